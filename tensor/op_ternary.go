package tensor

import "github.com/descent-ml/descent/backend"

// formula3 is a formula of f(x, y, z).
type formula3 = func(g, x, y, z *Tensor) *Tensor

// ternary computes an elementwise op of three inputs, broadcast against each
// other and promoted to a common dtype, which the result has.
func ternary(op string, code backend.TernaryOp, x, y, z *Tensor, p backend.Scalars, gx, gy, gz formula3) *Tensor {
	placeAll(op, x, y, z)
	dt := ResultType(x, y, z)
	a, b, c := x.To(dt), y.To(dt), z.To(dt)
	out := elementwise3(op, code, dt, a, b, c, p, gx, gy, gz)
	if out.node == nil {
		freeCasts(x, a, y, b)
		freeCasts(z, c, nil, nil)
	}
	return out
}

func elementwise3(op string, code backend.TernaryOp, dt DType, x, y, z *Tensor, p backend.Scalars, gx, gy, gz formula3) *Tensor {
	s := placeAll(op, x, y, z)
	shape := broadcastShapes(op, broadcastShapes(op, x.arr.Shape, y.arr.Shape), z.arr.Shape)
	out := emptyAs(op, s, dt, shape, x, y, z)
	check(op, x.dev.Ternary(code, out.arr, expandArray(x.arr, shape), expandArray(y.arr, shape), expandArray(z.arr, shape), backend.Params{Scalars: p}))
	in := []*Tensor{x, y, z}
	if recording(out, in...) {
		n := newNode(op, out, in...)
		n.each = []formula{ofThree(gx), ofThree(gy), ofThree(gz)}
		n.save()
	}
	return out
}

// ofThree is f as a formula of any number of inputs.
func ofThree(f formula3) formula {
	if f == nil {
		return nil
	}
	return func(b *Back, g *Tensor) *Tensor { return f(g, b.In(0), b.In(1), b.In(2)) }
}

// emptyAs is empty in the memory order of the first dense one of like that has
// the shape.
func emptyAs(op string, s *Scope, dt DType, shape []int, like ...*Tensor) *Tensor {
	for _, x := range like {
		if sameShape(shape, x.arr.Shape) && dense(x.arr) {
			return emptyLike(op, s, dt, x)
		}
	}
	return empty(op, like[0].dev, s, dt, shape)
}

// Where is x where cond (Bool) is true and y elsewhere; the three are broadcast
// against each other, x and y promoted. A side that was not taken gets gradient
// 0, even where it is NaN.
func Where(cond, x, y *Tensor) *Tensor {
	const op = "where"
	boolMask(op, cond)
	a, b := promote(op, x, y)
	out := elementwise3(op, backend.Where, a.DType(), cond, a, b, none, nil,
		func(g, cond, x, y *Tensor) *Tensor { return fillWhere(op, g, cond, 0, false) },
		func(g, cond, x, y *Tensor) *Tensor { return fillWhere(op, g, cond, 0, true) })
	if out.node == nil {
		freeCasts(x, a, y, b)
	}
	return out
}

// MaskedFill is c where mask (Bool) is true and t elsewhere, broadcast against
// each other. The result has t's dtype.
func (t *Tensor) MaskedFill(mask *Tensor, c float64) *Tensor {
	const op = "masked_fill"
	boolMask(op, mask)
	if t.use(op); t.DType().IsInt() && !integral(c) {
		Fail(op, "%v cannot hold %v", t.DType(), c)
	}
	return fillWhere(op, t, mask, c, true)
}

// fillWhere is c where mask is on, and x elsewhere.
func fillWhere(op string, x, mask *Tensor, c float64, on bool) *Tensor {
	s := place2(op, x, mask)
	shape := broadcastShapes(op, x.arr.Shape, mask.arr.Shape)
	y := emptyAs(op, s, x.DType(), shape, x)
	a, b := expandArray(x.arr, shape), backend.Array{}
	if on {
		a, b = b, a
	}
	check(op, x.dev.Ternary(backend.Where, y.arr, expandArray(mask.arr, shape), a, b, backend.Params{Scalars: scalars(x.DType(), c)}))
	return record(op, y, []*Tensor{x, mask}, func(b *Back, g *Tensor) *Tensor { return fillWhere(op, g, b.In(1), 0, on) }, nil)
}

func boolMask(op string, mask *Tensor) {
	if mask.use(op); mask.DType() != Bool {
		Fail(op, "the mask is %v; it must be bool (Ne and its like make one)", mask.DType())
	}
}

// Addcmul is t + c·y·z; of integers with an integer c only.
func (t *Tensor) Addcmul(y, z *Tensor, c float64) *Tensor {
	const op = "addcmul"
	noBool(op, t, y, z)
	dt := ResultType(t, y, z)
	if !dt.IsFloat() && !integral(c) {
		Fail(op, "%v cannot be multiplied by %v", dt, c)
	}
	return ternary(op, backend.Addcmul, t, y, z, scalars(dt, c), passFirst,
		func(g, x, y, z *Tensor) *Tensor { return g.Mul(z).MulScalar(c) },
		func(g, x, y, z *Tensor) *Tensor { return g.Mul(y).MulScalar(c) })
}

// Addcdiv is t + c·y/z, of floats only.
func (t *Tensor) Addcdiv(y, z *Tensor, c float64) *Tensor {
	const op = "addcdiv"
	placeAll(op, t, y, z)
	if dt := ResultType(t, y, z); !dt.IsFloat() {
		Fail(op, "%v has no true division; To(tensor.Float32) casts it", dt)
	}
	return ternary(op, backend.Addcdiv, t, y, z, backend.Scalars{A: c}, passFirst,
		func(g, x, y, z *Tensor) *Tensor { return g.Div(z).MulScalar(c) },
		func(g, x, y, z *Tensor) *Tensor { return g.Mul(y.Div(z).Div(z)).MulScalar(-c) })
}

func passFirst(g, _, _, _ *Tensor) *Tensor { return g }

// ClampTensor limits t to [lo, hi], which are broadcast against it; nil stands
// for no bound. Where they cross it is hi. A tie shares the gradient, as in
// Maximum, but where the bounds are equal.
func (t *Tensor) ClampTensor(lo, hi *Tensor) *Tensor {
	const op = "clamp"
	switch noBool(op, t); {
	case lo == nil && hi == nil:
		Fail(op, "both bounds are nil")
	case hi == nil:
		return t.Maximum(lo)
	case lo == nil:
		return t.Minimum(hi)
	}
	placeAll(op, t, lo, hi)
	dt := ResultType(t, lo, hi)
	x, a, b := t.To(dt), lo.To(dt), hi.To(dt)
	in := []*Tensor{x, a, b}
	y := Within(ScopeOptions{NoGrad: true}, in, func(in []*Tensor) []*Tensor {
		return []*Tensor{in[0].Maximum(in[1]).Minimum(in[2])}
	})[0]
	record(op, y, in,
		ofThree(func(g, x, lo, hi *Tensor) *Tensor {
			tie := x.Eq(lo).LogicalOr(x.Eq(hi)).LogicalAnd(lo.Lt(hi))
			return Where(tie, g.MulScalar(0.5), g).MaskedFill(x.Lt(lo).LogicalOr(x.Gt(hi)), 0)
		}),
		ofThree(func(g, x, lo, hi *Tensor) *Tensor {
			tie := x.Eq(lo).LogicalAnd(lo.Lt(hi))
			taken := x.Lt(lo).LogicalAnd(lo.Le(hi))
			return Where(tie, g.MulScalar(0.5), g).MaskedFill(tie.LogicalOr(taken).LogicalNot(), 0)
		}),
		ofThree(func(g, x, lo, hi *Tensor) *Tensor {
			tie := x.Eq(hi).LogicalAnd(lo.Lt(hi))
			taken := x.Gt(hi).LogicalOr(lo.Gt(hi))
			return Where(tie, g.MulScalar(0.5), g).MaskedFill(tie.LogicalOr(taken).LogicalNot(), 0)
		}))
	if y.node == nil {
		freeCasts(t, x, lo, a)
		freeCasts(hi, b, nil, nil)
	}
	return y
}

// Lerp goes from t to end by weight: t + weight·(end-t), of floats.
func (t *Tensor) Lerp(end, weight *Tensor) *Tensor {
	t.wantFloat("lerp")
	return ternary("lerp", backend.Lerp, t, end, weight, none,
		func(g, x, y, w *Tensor) *Tensor { return g.Mul(w.RSubScalar(1)) },
		func(g, x, y, w *Tensor) *Tensor { return g.Mul(w) },
		func(g, x, y, w *Tensor) *Tensor { return g.Mul(y.Sub(x)) })
}
