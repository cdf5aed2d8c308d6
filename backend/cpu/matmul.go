package cpu

import (
	"cmp"
	"slices"
	"unsafe"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cpu/internal/gemm"
	"github.com/descent-ml/descent/backend/cpu/internal/parallel"
)

// MatMul multiplies batches of matrices.
func (d *Device) MatMul(out, x, y backend.Array, e backend.Epilogue) error {
	if g := d.capturing(); g != nil {
		return g.matMul(out, x, y, e)
	}
	if out.DType == backend.Bool || e.Act != backend.Identity && e.Act != backend.ReLU {
		return unsupported("MatMul", out.DType)
	}
	if out.Size() == 0 {
		return nil
	}
	t := out.DType
	switch {
	case t == backend.Float32 && !(e.Accumulate && e.Act == backend.ReLU):
		return matMulFloat(d, gemm.Float32Batch, &out, &x, &y, &e)
	case t == backend.Float64 && !(e.Accumulate && e.Act == backend.ReLU):
		return matMulFloat(d, gemm.Float64Batch, &out, &x, &y, &e)
	}
	return d.matMulConverted(&out, &x, &y, &e)
}

// matMulConverted computes in another type, or in other memory, and copies or
// adds the result to out.
func (d *Device) matMulConverted(out, x, y *backend.Array, e *backend.Epilogue) error {
	t := backend.Int64
	if out.DType == backend.Float64 {
		t = backend.Float64
	} else if out.DType.IsFloat() {
		t = backend.Float32
	}
	cx, err := d.dense(x, t)
	if err != nil {
		return err
	}
	defer cx.Buf.Free()
	cy, err := d.dense(y, t)
	if err != nil {
		return err
	}
	defer cy.Buf.Free()
	product, err := d.empty(t, out.Shape)
	if err != nil {
		return err
	}
	defer product.Buf.Free()
	inner := backend.Epilogue{Act: e.Act}
	if e.Bias.Buf != nil {
		if inner.Bias, err = d.dense(&e.Bias, t); err != nil {
			return err
		}
		defer inner.Bias.Buf.Free()
	}
	if t == backend.Int64 {
		matMulInt(&product, &cx, &cy, &inner)
	} else if err := d.MatMul(product, cx, cy, inner); err != nil {
		return err
	}
	return d.Copy(*out, product, e.Accumulate)
}

// empty allocates a row-major array.
func (d *Device) empty(t backend.DType, shape []int) (backend.Array, error) {
	a := backend.Array{DType: t, Shape: shape, Strides: rowMajorStrides(shape)}
	buf, err := d.Alloc(a.Size() * t.Size())
	a.Buf = buf
	return a, err
}

func rowMajorStrides(shape []int) []int {
	strides := make([]int, len(shape))
	n := 1
	for i := len(shape) - 1; i >= 0; i-- {
		strides[i] = n
		n *= shape[i]
	}
	return strides
}

// emptyLike allocates an array of type t with a's order of axes in memory, or as
// near to it as a dense array comes.
func (d *Device) emptyLike(a *backend.Array, t backend.DType) (backend.Array, error) {
	c, err := d.empty(t, a.Shape)
	if err != nil {
		return c, err
	}
	axes := make([]int, len(a.Shape))
	for i := range axes {
		axes[i] = i
	}
	slices.SortStableFunc(axes, func(i, j int) int { return cmp.Compare(abs(a.Strides[j]), abs(a.Strides[i])) })
	n := 1
	for _, i := range slices.Backward(axes) {
		c.Strides[i] = n
		n *= a.Shape[i]
	}
	return c, nil
}

// dense returns a copy of a in type t; axes along which a is broadcast still are.
func (d *Device) dense(a *backend.Array, t backend.DType) (backend.Array, error) {
	shape := make([]int, len(a.Shape))
	for i, n := range a.Shape {
		if a.Strides[i] == 0 {
			n = min(n, 1)
		}
		shape[i] = n
	}
	c, err := d.empty(t, shape)
	if err != nil {
		return c, err
	}
	from := *a
	from.Shape = shape
	if err := d.Copy(c, from, false); err != nil {
		c.Buf.Free()
		return c, err
	}
	c.Shape = a.Shape
	for i := range c.Strides {
		if a.Strides[i] == 0 {
			c.Strides[i] = 0
		}
	}
	return c, nil
}

// contiguous returns a itself if it is row-major or lacks Buf, else a copy; free
// gives the copy back.
func (d *Device) contiguous(a *backend.Array) (c backend.Array, free func(), err error) {
	if a.Buf == nil || a.IsContiguous() {
		return *a, func() {}, nil
	}
	if c, err = d.empty(a.DType, a.Shape); err != nil {
		return c, nil, err
	}
	if err = d.Copy(c, *a, false); err != nil {
		c.Buf.Free()
		return c, nil, err
	}
	return c, c.Buf.Free, nil
}

// whole is all of a's buffer.
func whole[T any](a *backend.Array) []T {
	b := a.Buf.(*buffer)
	var t T
	return unsafe.Slice((*T)(b.ptr), b.room/int(unsafe.Sizeof(t)))
}

func matrix[T gemm.Float](a *backend.Array) gemm.Matrix[T] {
	r := len(a.Shape)
	return gemm.Matrix[T]{Data: whole[T](a), Offset: a.Offset, RowStride: a.Strides[r-2], ColStride: a.Strides[r-1]}
}

type batchFunc[T gemm.Float] func(batch []gemm.BatchDim, m, n, k int, a, b, c gemm.Matrix[T], ep gemm.Epilogue[T])

func matMulFloat[T gemm.Float](d *Device, multiply batchFunc[T], out, x, y *backend.Array, e *backend.Epilogue) error {
	r := len(out.Shape)
	m, n, k := out.Shape[r-2], out.Shape[r-1], x.Shape[r-1]
	ep := gemm.Epilogue[T]{Accumulate: e.Accumulate, ReLU: e.Act == backend.ReLU}
	bias, free, err := d.contiguous(&e.Bias)
	if err != nil {
		return err
	}
	defer free()
	if bias.Buf != nil {
		ep.Bias = whole[T](&bias)[bias.Offset:][:n]
	}
	var dims [8]gemm.BatchDim
	batch := dims[:0]
	for i := range r - 2 {
		if out.Shape[i] != 1 {
			batch = append(batch, gemm.BatchDim{Size: out.Shape[i], A: x.Strides[i], B: y.Strides[i], C: out.Strides[i]})
		}
	}
	multiply(batch, m, n, k, matrix[T](x), matrix[T](y), matrix[T](out), ep)
	return nil
}

// matMulInt multiplies row-major int64 matrices.
func matMulInt(out, x, y *backend.Array, e *backend.Epilogue) {
	r := len(out.Shape)
	m, n, k := out.Shape[r-2], out.Shape[r-1], x.Shape[r-1]
	c, a, b := whole[int64](out), whole[int64](x), whole[int64](y)
	parallel.For(len(c)/n, max(1, grainSlow/max(1, n*k)), func(lo, hi int) {
		for row := lo; row < hi; row++ {
			ox, oy := 0, 0
			for i, at := r-3, row/m; i >= 0; i-- {
				ox += at % out.Shape[i] * x.Strides[i]
				oy += at % out.Shape[i] * y.Strides[i]
				at /= out.Shape[i]
			}
			dst := c[row*n:][:n]
			if e.Bias.Buf != nil {
				copy(dst, whole[int64](&e.Bias))
			} else {
				clear(dst)
			}
			for q := range k {
				v := a[ox+row%m*x.Strides[r-2]+q*x.Strides[r-1]]
				for j := range dst {
					dst[j] += v * b[oy+q*y.Strides[r-2]+j*y.Strides[r-1]]
				}
			}
			if e.Act == backend.ReLU {
				for j, v := range dst {
					dst[j] = max(v, 0)
				}
			}
		}
	})
}
