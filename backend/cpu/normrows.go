package cpu

import (
	"math"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cpu/internal/parallel"
	"github.com/descent-ml/descent/backend/cpu/internal/vec"
)

// normRows is the number of rows whose gradients of weight and bias are added
// up as one task.
const normRows = 64

// rowNorm is a norm over the last axes of row-major float32 arrays, such as
// layer norm: every row is normalised while it is in the innermost cache.
type rowNorm struct {
	rows, n        int
	mean, variance []float32
	weight, bias   []float32 // of a row, or nil
}

// asRows reports whether the norm is one of rows; like are the arrays of x's
// shape beside it.
func asRows(x, mean, variance, weight, bias *backend.Array, like ...*backend.Array) (r rowNorm, ok bool) {
	first := 0
	r.rows, r.n = 1, 1
	for first < len(x.Shape) && mean.Shape[first] == x.Shape[first] {
		r.rows *= x.Shape[first]
		first++
	}
	for i := first; i < len(x.Shape); i++ {
		if mean.Shape[i] != 1 {
			return r, false
		}
		r.n *= x.Shape[i]
	}
	if x.DType != backend.Float32 || !mean.IsContiguous() || !variance.IsContiguous() || !x.IsContiguous() {
		return r, false
	}
	for _, a := range like {
		if a.Buf != nil && !a.IsContiguous() {
			return r, false
		}
	}
	r.mean, r.variance = flat32(mean, r.rows), flat32(variance, r.rows)
	for _, p := range []struct {
		array *backend.Array
		row   *[]float32
	}{{weight, &r.weight}, {bias, &r.bias}} {
		if p.array.Buf == nil {
			continue
		}
		for i, d := range p.array.Shape[:first] {
			if d > 1 && p.array.Strides[i] != 0 {
				return r, false
			}
		}
		row := *p.array
		row.Shape, row.Strides = row.Shape[first:], row.Strides[first:]
		if !row.IsContiguous() {
			return r, false
		}
		*p.row = flat32(p.array, r.n)
	}
	return r, true
}

func (r *rowNorm) forward(out, x []float32, eps float64) {
	parallel.For(r.rows, max(1, grainSlow/r.n), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			x, y := x[i*r.n:][:r.n], out[i*r.n:][:r.n]
			mean := vec.Sum(x) / float32(r.n)
			vec.AddScalar(y, x, -mean)
			variance := vec.Dot(y, y) / float32(r.n)
			r.mean[i], r.variance[i] = mean, variance
			vec.MulScalar(y, y, float32(1/math.Sqrt(float64(variance)+eps)))
			switch {
			case r.weight != nil && r.bias != nil:
				vec.MulAdd(y, y, r.weight, r.bias)
			case r.weight != nil:
				vec.Mul(y, y, r.weight)
			case r.bias != nil:
				vec.Add(y, y, r.bias)
			}
		}
	})
}

// backward writes dx if it is not nil. It adds the gradients of weight and bias
// of each normRows rows to one row of dweight and dbias, which may be nil.
func (r *rowNorm) backward(dx, dweight, dbias, g, x []float32, eps float64) {
	parallel.For((r.rows-1)/normRows+1, max(1, grainSlow/(normRows*r.n)), func(lo, hi int) {
		tmp := make([]float32, 2*r.n)
		xhat, gw := tmp[:r.n], tmp[r.n:]
		for part := lo; part < hi; part++ {
			var dw, db []float32
			if dweight != nil {
				dw = dweight[part*r.n:][:r.n]
				clear(dw)
			}
			if dbias != nil {
				db = dbias[part*r.n:][:r.n]
				clear(db)
			}
			for i := part * normRows; i < min((part+1)*normRows, r.rows); i++ {
				g, x := g[i*r.n:][:r.n], x[i*r.n:][:r.n]
				rstd := float32(1 / math.Sqrt(float64(r.variance[i])+eps))
				vec.AddScalar(xhat, x, -r.mean[i])
				vec.MulScalar(xhat, xhat, rstd)
				if dw != nil {
					vec.MulAdd(dw, g, xhat, dw)
				}
				if db != nil {
					vec.Add(db, db, g)
				}
				if dx == nil {
					continue
				}
				if r.weight != nil {
					vec.Mul(gw, g, r.weight)
				} else {
					copy(gw, g)
				}
				meanG, meanT := vec.Sum(gw)/float32(r.n), vec.Dot(gw, xhat)/float32(r.n)
				vec.Axpy(gw, gw, -meanT, xhat)
				vec.AddScalar(gw, gw, -meanG)
				vec.MulScalar(dx[i*r.n:][:r.n], gw, rstd)
			}
		}
	})
}

// normBackwardRows is NormBackward of rows. dweight and dbias have x's shape,
// with size 1 on the axes before the row.
func (d *Device) normBackwardRows(r *rowNorm, dx, dweight, dbias, g, x *backend.Array, eps float64) error {
	size := r.rows * r.n
	parts := (r.rows-1)/normRows + 1
	c := composer{d: d}
	defer c.free()
	// One row for each task, and their sum.
	partial := func(a *backend.Array) (backend.Array, []float32) {
		if a.Buf == nil {
			return *a, nil
		}
		p := c.temp(backend.Float32, []int{parts, r.n})
		if c.err != nil {
			return p, nil
		}
		return p, flat32(&p, parts*r.n)
	}
	weights, dw := partial(dweight)
	biases, db := partial(dbias)
	if c.err != nil {
		return c.err
	}
	var to []float32
	if dx.Buf != nil {
		to = flat32(dx, size)
	}
	r.backward(to, dw, db, flat32(g, size), flat32(x, size), eps)
	for _, p := range []struct{ out, parts *backend.Array }{{dweight, &weights}, {dbias, &biases}} {
		if p.out.Buf == nil {
			continue
		}
		row := c.temp(backend.Float32, []int{1, r.n})
		c.sum(row, *p.parts)
		row.Shape = p.out.Shape
		row.Strides = rowMajorStrides(p.out.Shape)
		c.copy(*p.out, row)
	}
	return c.err
}
