package cpu

import (
	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cpu/internal/vec"
)

// mulAdd is x·y + z.
var mulAdd = entry{
	f32: func(dst []float32, in [3][]float32, _ backend.Scalars) { vec.MulAdd(dst, in[0], in[1], in[2]) },
	f64: each3p(func(x, y, z float64, _ backend.Scalars) float64 { return x*y + z }),
}

// Norm normalises x over the axes on which mean has size 1. It takes two passes
// over x for the moments, and one for the result where weight and bias are
// constant over those axes, as in batch norm, else two.
func (d *Device) Norm(out, mean, variance, x, weight, bias backend.Array, eps float64) error {
	if g := d.capturing(); g != nil {
		return g.norm(out, mean, variance, x, weight, bias, eps)
	}
	if t := out.DType; !t.IsFloat() {
		return unsupported("Norm", t)
	} else if t == backend.Float16 || t == backend.BFloat16 {
		return d.inFloat32(func(c []backend.Array) error {
			return d.Norm(c[0], mean, variance, c[1], c[2], c[3], eps)
		}, []*backend.Array{&out}, &x, &weight, &bias)
	}
	if x.Size() == 0 {
		return nil
	}
	if r, ok := asRows(&x, &mean, &variance, &weight, &bias, &out); ok {
		r.forward(flat32(&out, x.Size()), flat32(&x, x.Size()), eps)
		return nil
	}
	c := composer{d: d}
	defer c.free()
	c.reduce(mean, x, nil)
	c.reduce(variance, x, &mean)
	// out = x·scale + shift, with what is constant over the axes folded in.
	folded := constantOver(&weight, &mean)
	foldBias := folded && constantOver(&bias, &mean)
	group := func(a backend.Array) backend.Array {
		a.Shape = mean.Shape
		return a
	}
	scale, shift := c.rstd(variance, eps), c.temp(variance.DType, mean.Shape)
	if folded && weight.Buf != nil {
		c.binary(backend.Mul, scale, scale, group(weight))
	}
	c.binary(backend.Mul, shift, scale, mean)
	c.unary(backend.Neg, shift, shift)
	if foldBias && bias.Buf != nil {
		c.binary(backend.Add, shift, shift, group(bias))
	}
	c.mulAdd(out, x, expand(scale, x.Shape), expand(shift, x.Shape))
	switch {
	case !folded && bias.Buf != nil:
		c.mulAdd(out, out, weight, bias)
	case !folded:
		c.binary(backend.Mul, out, out, weight)
	case !foldBias:
		c.binary(backend.Add, out, out, bias)
	}
	return c.err
}

// NormBackward computes, with x̂ = (x-mean)/√(variance+eps) and means over the
// axes that are normalised,
//
//	dweight = Σ g·x̂,  dbias = Σ g,  dx = (g·w - mean(g·w) - x̂·mean(g·w·x̂)) / √(variance+eps)
func (d *Device) NormBackward(dx, dweight, dbias, g, x, mean, variance, weight backend.Array, eps float64) error {
	if own := d.capturing(); own != nil {
		return own.normBackward(dx, dweight, dbias, g, x, mean, variance, weight, eps)
	}
	if t := x.DType; !t.IsFloat() {
		return unsupported("Norm", t)
	} else if t == backend.Float16 || t == backend.BFloat16 {
		return d.inFloat32(func(c []backend.Array) error {
			return d.NormBackward(c[0], c[1], c[2], c[3], c[4], mean, variance, c[5], eps)
		}, []*backend.Array{&dx, &dweight, &dbias}, &g, &x, &weight)
	}
	if x.Size() > 0 {
		var none backend.Array
		r, ok := asRows(&x, &mean, &variance, &weight, &none, &dx, &g)
		if ok && perRow(&dweight, &mean, &x) && perRow(&dbias, &mean, &x) {
			return d.normBackwardRows(&r, &dx, &dweight, &dbias, &g, &x, eps)
		}
	}
	c := composer{d: d}
	defer c.free()
	if dbias.Buf != nil {
		c.sum(dbias, g)
	}
	if dweight.Buf == nil && dx.Buf == nil || c.err != nil {
		return c.err
	}
	if x.Size() == 0 {
		if dweight.Buf != nil {
			c.sum(dweight, g)
		}
		return c.err
	}
	over := func(a backend.Array) backend.Array { return expand(a, x.Shape) }
	rstd, shift := c.rstd(variance, eps), c.temp(x.DType, mean.Shape)
	c.binary(backend.Mul, shift, mean, rstd)
	c.unary(backend.Neg, shift, shift)
	xhat, t := c.tempLike(x), c.tempLike(x)
	c.mulAdd(xhat, x, over(rstd), over(shift))
	c.binary(backend.Mul, t, g, xhat)
	if dweight.Buf != nil {
		c.sum(dweight, t)
	}
	if dx.Buf == nil {
		return c.err
	}
	gw := g
	if weight.Buf != nil {
		gw = c.tempLike(g)
		c.binary(backend.Mul, gw, g, weight)
		c.binary(backend.Mul, t, t, weight)
	}
	meanG, meanT := c.temp(x.DType, mean.Shape), c.temp(x.DType, mean.Shape)
	c.reduce(meanG, gw, nil)
	c.reduce(meanT, t, nil)
	// dx = gw·rstd + (-rstd·meanG) - x̂·(rstd·meanT)
	c.binary(backend.Mul, meanG, meanG, rstd)
	c.unary(backend.Neg, meanG, meanG)
	c.binary(backend.Mul, meanT, meanT, rstd)
	c.unary(backend.Neg, meanT, meanT)
	c.mulAdd(t, xhat, over(meanT), over(meanG))
	c.mulAdd(dx, gw, over(rstd), t)
	return c.err
}

// composer runs kernels one after the other until one fails, and frees its
// temporaries.
type composer struct {
	d     *Device
	temps []backend.Buffer
	err   error
}

func (c *composer) free() {
	for _, b := range c.temps {
		b.Free()
	}
}

func (c *composer) keep(a backend.Array, err error) backend.Array {
	if err != nil {
		c.err = err
	} else {
		c.temps = append(c.temps, a.Buf)
	}
	return a
}

func (c *composer) temp(t backend.DType, shape []int) (a backend.Array) {
	if c.err == nil {
		a = c.keep(c.d.empty(t, shape))
	}
	return a
}

func (c *composer) tempLike(a backend.Array) (b backend.Array) {
	if c.err == nil {
		b = c.keep(c.d.emptyLike(&a, a.DType))
	}
	return b
}

func (c *composer) do(f func() error) {
	if c.err == nil {
		c.err = f()
	}
}

func (c *composer) unary(op backend.UnaryOp, out, x backend.Array) {
	c.do(func() error { return c.d.Unary(op, out, x, backend.Params{}) })
}

func (c *composer) binary(op backend.BinaryOp, out, x, y backend.Array) {
	c.do(func() error { return c.d.Binary(op, out, x, y, backend.Params{}) })
}

func (c *composer) mulAdd(out, x, y, z backend.Array) {
	c.do(func() error { return mulAdd.run("Norm", &backend.Params{}, &out, &x, &y, &z) })
}

func (c *composer) copy(out, x backend.Array) {
	c.do(func() error { return c.d.Copy(out, x, false) })
}

func (c *composer) sum(out, x backend.Array) {
	c.do(func() error { return c.d.Reduce(backend.Sum, out, x) })
}

// reduce is the mean, or about a centre that of the squares.
func (c *composer) reduce(out, x backend.Array, centre *backend.Array) {
	c.do(func() error {
		if x.DType == backend.Float64 {
			return reduce(c.d, reductions[backend.Mean].f64, &codec64, &out, &x, centre)
		}
		return reduce(c.d, reductions[backend.Mean].f32, &codec32, &out, &x, centre)
	})
}

// rstd is 1/√(variance+eps).
func (c *composer) rstd(variance backend.Array, eps float64) backend.Array {
	a := c.temp(variance.DType, variance.Shape)
	c.do(func() error {
		scalar := backend.Array{DType: variance.DType, Shape: variance.Shape, Strides: make([]int, len(variance.Shape))}
		return c.d.Binary(backend.Add, a, variance, scalar, backend.Params{Scalars: backend.Scalars{A: eps}})
	})
	c.unary(backend.Rsqrt, a, a)
	return a
}

// constantOver reports whether a, which may lack Buf, has one value along the
// axes on which group has size 1.
func constantOver(a, group *backend.Array) bool {
	for i, stride := range a.Strides {
		if group.Shape[i] == 1 && a.Shape[i] > 1 && stride != 0 {
			return a.Buf == nil
		}
	}
	return true
}

// perRow reports whether a gradient, which may lack Buf, has one value for each
// place of a row, and none for each row.
func perRow(a, mean, x *backend.Array) bool {
	if a.Buf == nil {
		return true
	}
	for i, d := range x.Shape {
		row := mean.Shape[i] != d
		if row && a.Shape[i] != d || !row && a.Shape[i] != 1 && d != 1 {
			return false
		}
	}
	return true
}

// expand broadcasts axes of size 1 to shape.
func expand(a backend.Array, shape []int) backend.Array {
	strides := make([]int, len(shape))
	for i := range shape {
		if a.Shape[i] != 1 {
			strides[i] = a.Strides[i]
		}
	}
	a.Shape, a.Strides = shape, strides
	return a
}
