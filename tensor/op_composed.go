package tensor

import (
	"math"
	"slices"

	"github.com/descent-ml/descent/backend"
)

// The ops of this file are short expressions of others and have no kernels and
// no formulas of their own.

// HardSigmoid is t/6 + 1/2 limited to [0, 1].
func (t *Tensor) HardSigmoid() *Tensor {
	t.wantFloat("hardsigmoid")
	s := t.AddScalar(3)
	h := s.Hardtanh(0, 6)
	return spent(h.DivScalar(6), s, h)
}

// HardSwish is t·HardSigmoid(t) (Howard et al., "Searching for MobileNetV3").
func (t *Tensor) HardSwish() *Tensor {
	s := t.HardSigmoid()
	return spent(t.Mul(s), s)
}

// SELU is ELU with the constants that keep mean 0 and variance 1 from layer to
// layer (Klambauer et al., "Self-normalizing neural networks").
func (t *Tensor) SELU() *Tensor {
	e := t.ELU(1.6732632423543772848170429916717)
	return spent(e.MulScalar(1.0507009873554804934193349852946), e)
}

// CELU is t, and alpha·(exp(t/alpha)-1) where t is negative.
func (t *Tensor) CELU(alpha float64) *Tensor {
	const op = "celu"
	t.wantFloat(op)
	if alpha == 0 {
		Fail(op, "alpha is 0")
	}
	s := t.DivScalar(alpha)
	e := s.ELU(1)
	return spent(e.MulScalar(alpha), s, e)
}

// Softsign is t/(1 + |t|).
func (t *Tensor) Softsign() *Tensor {
	a := t.Abs()
	d := a.AddScalar(1)
	return spent(t.Div(d), a, d)
}

// Tanhshrink is t - Tanh(t).
func (t *Tensor) Tanhshrink() *Tensor {
	h := t.Tanh()
	return spent(t.Sub(h), h)
}

// Hardshrink is t, and 0 where |t| is at most lambda.
func (t *Tensor) Hardshrink(lambda float64) *Tensor {
	t.wantFloat("hardshrink")
	a := t.Detach().Abs()
	small := a.LeScalar(lambda)
	return spent(t.MaskedFill(small, 0), a, small)
}

// Softshrink moves t towards 0 by lambda, at most to 0.
func (t *Tensor) Softshrink(lambda float64) *Tensor {
	const op = "softshrink"
	t.wantFloat(op)
	if !(lambda >= 0) {
		Fail(op, "lambda is %v; it must not be negative", lambda)
	}
	c := t.Clamp(-lambda, lambda)
	return spent(t.Sub(c), c)
}

// Threshold is t where it is above the threshold, and c elsewhere.
func (t *Tensor) Threshold(threshold, c float64) *Tensor {
	low := t.Detach().LeScalar(threshold)
	return spent(t.MaskedFill(low, c), low)
}

// PReLU is t, and weight·t where t is negative. weight has one element, or one
// for each channel, which is axis 1 of t (axis 0 of a vector).
func (t *Tensor) PReLU(weight *Tensor) *Tensor {
	const op = "prelu"
	place2(op, t, weight)
	t.wantFloat(op)
	channels := 1
	if t.Dim() > 1 {
		channels = t.Size(1)
	}
	if n := weight.NumEl(); weight.Dim() > 1 || n != 1 && n != channels {
		Fail(op, "weight has shape %v for %s", weight.Shape(), plural(channels, "channel"))
	}
	shape := []int{} // one weight for all
	if channels != 1 && weight.NumEl() == channels {
		shape = slices.Repeat([]int{1}, t.Dim())
		shape[1] = channels
	}
	w := weight.Reshape(shape...)
	positive := t.Detach().GtScalar(0)
	scaled := t.Mul(w)
	return spent(Where(positive, t, scaled), positive, scaled)
}

// GLU cuts t in two along axis, whose size is even, and is the first half times
// Sigmoid of the second (Dauphin et al., "Language modeling with gated
// convolutional networks").
func (t *Tensor) GLU(axis int) *Tensor {
	const op = "glu"
	t.wantFloat(op)
	n := t.joint(op, axis)
	if n%2 != 0 {
		Fail(op, "axis %d of %v has odd size %d", axis, t.Shape(), n)
	}
	gate := t.Narrow(axis, n/2, n/2).Sigmoid()
	return spent(t.Narrow(axis, 0, n/2).Mul(gate), gate)
}

// FMax is Maximum that takes the other number where one is NaN. Equal ones share
// the gradient.
func (t *Tensor) FMax(y *Tensor) *Tensor { return t.preferred("fmax", y, (*Tensor).Gt) }

// FMin is Minimum that takes the other number where one is NaN. Equal ones share
// the gradient.
func (t *Tensor) FMin(y *Tensor) *Tensor { return t.preferred("fmin", y, (*Tensor).Lt) }

func (t *Tensor) preferred(op string, y *Tensor, better func(t, y *Tensor) *Tensor) *Tensor {
	// Either is lost where the other is better, or is a number and it is not.
	lostY := func(x, y *Tensor) *Tensor { return better(x, y).LogicalOr(y.IsNaN()) }
	lostX := func(x, y *Tensor) *Tensor { return lostY(y, x).LogicalAnd(y.IsNaN().LogicalNot()) }
	place2(op, t, y)
	a, b := promote(op, t, y)
	z := compose(joinScopes(op, a.scope, b.scope), func(in []*Tensor) *Tensor {
		return Where(lostX(in[0], in[1]), in[1], in[0])
	}, a, b)
	record(op, z, []*Tensor{a, b},
		func(bk *Back, g *Tensor) *Tensor {
			x, y := bk.In(0), bk.In(1)
			return tieGrad(g, x, lostX(x, y), y)
		},
		func(bk *Back, g *Tensor) *Tensor {
			x, y := bk.In(0), bk.In(1)
			return tieGrad(g, x, lostY(x, y), y)
		})
	if z.node == nil {
		freeCasts(t, a, y, b)
	}
	return z
}

// LogAddExp is log(exp(t) + exp(y)), computed without overflow.
func (t *Tensor) LogAddExp(y *Tensor) *Tensor {
	const op = "logaddexp"
	place2(op, t, y)
	a, b := promote(op, t, y)
	a.wantFloat(op)
	z := compose(joinScopes(op, a.scope, b.scope), func(in []*Tensor) *Tensor {
		x, y := in[0], in[1]
		// Equal infinities have no difference.
		apart := x.Sub(y).Abs().Neg()
		return x.Maximum(y).Add(apart.Exp().Log1p().MaskedFill(x.Eq(y).LogicalAnd(x.IsInf()), 0))
	}, a, b)
	record(op, z, []*Tensor{a, b},
		func(bk *Back, g *Tensor) *Tensor { return g.Mul(bk.In(0).Sub(bk.In(1)).Sigmoid()) },
		func(bk *Back, g *Tensor) *Tensor { return g.Mul(bk.In(1).Sub(bk.In(0)).Sigmoid()) })
	if z.node == nil {
		freeCasts(t, a, y, b)
	}
	return z
}

// CloseOptions are those of IsClose and AllClose.
type CloseOptions struct {
	RTol, ATol *float64 // nil: 1e-5 and 1e-8
	EqualNaN   bool
}

// IsClose is true where t and y are equal, or finite and |t-y| is at most ATol +
// RTol·|y|; the result is Bool.
func (t *Tensor) IsClose(y *Tensor, o CloseOptions) *Tensor {
	const op = "isclose"
	rtol, atol := 1e-5, 1e-8
	if o.RTol != nil {
		rtol = *o.RTol
	}
	if o.ATol != nil {
		atol = *o.ATol
	}
	if !(rtol >= 0 && atol >= 0) {
		Fail(op, "the tolerances %v and %v must not be negative", rtol, atol)
	}
	if place2(op, t, y); t.DType() != y.DType() {
		Fail(op, "%v and %v: one dtype is needed; To casts", t.DType(), y.DType())
	}
	return compose(joinScopes(op, t.scope, y.scope), func(in []*Tensor) *Tensor {
		x, y := in[0], in[1]
		same := x.Eq(y)
		if o.EqualNaN {
			same = same.LogicalOr(x.IsNaN().LogicalAnd(y.IsNaN()))
		}
		switch dt := x.DType(); {
		case dt == Bool:
			return same
		case dt.IsInt():
			x, y = x.To(Float64), y.To(Float64)
		}
		apart := x.Sub(y).Abs()
		return same.LogicalOr(apart.IsFinite().LogicalAnd(apart.Le(y.Abs().MulScalar(rtol).AddScalar(atol))))
	}, t, y)
}

// AllClose reports whether IsClose holds everywhere. It waits for the device.
func (t *Tensor) AllClose(y *Tensor, o CloseOptions) bool {
	near := t.Detach().IsClose(y.Detach(), o)
	all := near.All()
	defer free(near, all)
	return all.IntItem() != 0
}

// NaNToNumOptions are those of NaNToNum.
type NaNToNumOptions struct {
	NaN            float64
	PosInf, NegInf *float64 // nil: the largest and the smallest number of the dtype
}

// NaNToNum replaces NaN and the infinities by numbers.
func (t *Tensor) NaNToNum(o NaNToNumOptions) *Tensor {
	t.use("nan_to_num")
	if !t.DType().IsFloat() {
		return t.Clone()
	}
	above := largest(t.DType())
	below := -above
	if o.PosInf != nil {
		above = *o.PosInf
	}
	if o.NegInf != nil {
		below = *o.NegInf
	}
	x := t.Detach()
	masks := []*Tensor{x.IsNaN(), x.EqScalar(math.Inf(1)), x.EqScalar(math.Inf(-1))}
	a := t.MaskedFill(masks[0], o.NaN)
	b := a.MaskedFill(masks[1], above)
	return spent(b.MaskedFill(masks[2], below), append(masks, a, b)...)
}

// largest is the largest number of a float dtype.
func largest(dt DType) float64 {
	switch dt {
	case Float64:
		return math.MaxFloat64
	case Float16:
		return 65504
	case BFloat16:
		return 0x1.FEp127
	}
	return math.MaxFloat32
}

// StdMean returns Std and Mean.
func (t *Tensor) StdMean(o VarOptions) (std, mean *Tensor) {
	v, m, axes := t.varMean("std_mean", o)
	return o.squeezed(rootOf(v), axes), o.squeezed(m, axes)
}

// Unflatten cuts one axis into several of the given sizes, of which one may be
// -1 and is worked out.
func (t *Tensor) Unflatten(axis int, sizes ...int) *Tensor {
	const op = "unflatten"
	n := t.joint(op, axis)
	axis = t.axis(op, axis)
	if len(sizes) == 0 {
		Fail(op, "there are no sizes")
	}
	sizes = slices.Clone(sizes)
	known, hole := 1, -1
	for i, s := range sizes {
		switch {
		case s >= 0:
			known *= s
		case s == -1 && hole < 0:
			hole = i
		default:
			Fail(op, "sizes %v are not valid", sizes)
		}
	}
	if hole >= 0 && known > 0 {
		sizes[hole], known = n/known, n/known*known
	}
	if known != n {
		Fail(op, "sizes %v do not multiply to %d, the size of axis %d of %v", sizes, n, axis, t.Shape())
	}
	return t.Reshape(slices.Concat(t.Shape()[:axis], sizes, t.Shape()[axis+1:])...)
}

// IndexFill returns t with c in the slices that index, a vector of integers,
// names along axis.
func (t *Tensor) IndexFill(axis int, index *Tensor, c float64) *Tensor {
	const op = "index_fill"
	place2(op, t, index)
	axis = t.axis(op, axis)
	if index.Dim() > 1 {
		Fail(op, "index has shape %v; it must be a vector", index.Shape())
	}
	if t.Dim() == 0 {
		return t.Reshape(1).IndexFill(0, index, c).Reshape()
	}
	return t.ScatterFill(axis, expandIndex(wantIndex(op, index), axis, t.Shape()), c)
}

// IndexCopy returns t with the slices that index, a vector of integers, names
// along axis replaced by those of src.
func (t *Tensor) IndexCopy(axis int, index, src *Tensor) *Tensor {
	const op = "index_copy"
	placeAll(op, t, index, src)
	axis = t.axis(op, axis)
	if t.Dim() == 0 {
		return t.Reshape(1).IndexCopy(0, index, src.Reshape(src.NumEl())).Reshape()
	}
	want := slices.Clone(t.Shape())
	want[axis] = index.NumEl()
	if index.Dim() > 1 || !sameShape(want, src.Shape()) {
		Fail(op, "index %v and source %v do not fit a tensor of shape %v along axis %d", index.Shape(), src.Shape(), t.Shape(), axis)
	}
	return t.scatter(op, backend.ScatterAssign, axis, expandIndex(wantIndex(op, index), axis, src.Shape()), src)
}

// IndexPut returns t with t.At(indices...) replaced by v, or with v added to it,
// broadcast. Where an element is named more than once all of v's are added, or
// the last one stays.
func (t *Tensor) IndexPut(v *Tensor, accumulate bool, indices ...any) *Tensor {
	const op = "index_put"
	in := []*Tensor{t, v}
	for _, index := range indices {
		if x, ok := index.(*Tensor); ok {
			in = append(in, x)
		}
	}
	at := compose(placeAll(op, in...), func(in []*Tensor) *Tensor {
		places := Arange(in[0].Place(), Int64, 0, float64(t.NumEl()), 1).Reshape(t.Shape()...)
		used, in := slices.Clone(indices), in[2:]
		for i, index := range used {
			if _, ok := index.(*Tensor); ok {
				used[i], in = in[0], in[1:]
			}
		}
		return places.At(used...)
	}, in...)
	if !sameShape(broadcastShapes(op, v.Shape(), at.Shape()), at.Shape()) {
		Fail(op, "values of shape %v do not broadcast to %v, that of the places", v.Shape(), at.Shape())
	}
	code := backend.ScatterAssign
	if accumulate {
		code = backend.ScatterAdd
	}
	src := v.Expand(at.Shape()...).Reshape(-1)
	flat := t.Reshape(-1)
	at = onlyView(at.Reshape(-1), at)
	put := flat.scatter(op, code, 0, at, src)
	y := onlyView(put.Reshape(t.Shape()...), put)
	if y.node == nil {
		at.release()
		if src != v {
			src.release()
		}
		if flat != t {
			flat.release()
		}
	}
	return y
}
