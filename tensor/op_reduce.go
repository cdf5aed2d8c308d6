package tensor

import (
	"math"
	"slices"

	"github.com/descent-ml/descent/backend"
)

// Reduce says how a reduction treats axes; its zero value reduces all of them.
type Reduce struct {
	Axes    []int // nil: all; a negative axis counts from the end
	KeepDim bool  // leave the reduced axes with size 1
}

// resolve returns the axes in order, without repetitions, and the shape with
// reduced axes of size 1.
func (r Reduce) resolve(op string, t *Tensor) (axes, kept []int) {
	t.use(op)
	kept = slices.Clone(t.Shape())
	if r.Axes == nil {
		axes = make([]int, t.Dim())
		for i := range axes {
			axes[i] = i
		}
	} else {
		for _, a := range r.Axes {
			a = t.axis(op, a)
			if slices.Contains(axes, a) {
				Fail(op, "axis %d is named twice in %v", a, r.Axes)
			}
			axes = append(axes, a)
		}
		slices.Sort(axes)
	}
	for _, a := range axes {
		if a < len(kept) {
			kept[a] = 1
		}
	}
	return axes, kept
}

// squeezed drops the reduced axes of y unless they are to be kept.
func (r Reduce) squeezed(y *Tensor, axes []int) *Tensor {
	if r.KeepDim || y.Dim() == 0 {
		return y
	}
	shape := []int{}
	for i, n := range y.Shape() {
		if !slices.Contains(axes, i) {
			shape = append(shape, n)
		}
	}
	return onlyView(y.Reshape(shape...), y)
}

// reduce runs one kernel; the result keeps the reduced axes with size 1.
func reduce(op string, code backend.ReduceOp, t *Tensor, dt DType, kept []int) *Tensor {
	y := empty(op, t.dev, t.scope, dt, kept)
	check(op, t.dev.Reduce(code, y.arr, t.arr))
	return y
}

// Sum adds up all elements, or those along the given axes, which it drops.
// Integers and bool are summed as int64.
func (t *Tensor) Sum(axes ...int) *Tensor { return t.total(axes, false) }

// SumKeep is Sum that leaves the axes with size 1.
func (t *Tensor) SumKeep(axes ...int) *Tensor { return t.total(axes, true) }

func (t *Tensor) total(axes []int, keep bool) *Tensor {
	t.use("sum")
	if c := t.wide(); c != t {
		defer free(c)
		return c.sum(axes, keep)
	}
	return t.sum(axes, keep)
}

func (t *Tensor) sum(ax []int, keep bool) *Tensor {
	const op = "sum"
	r := Reduce{ax, keep}
	axes, kept := r.resolve(op, t)
	dt := t.DType()
	if !dt.IsFloat() {
		dt = Int64
	}
	y := reduce(op, backend.Sum, t, dt, kept)
	shape := t.Shape()
	linear(op, y, t, func(g *Tensor) *Tensor { return g.Expand(shape...) })
	return r.squeezed(y, axes)
}

// Mean averages all elements, or those along the given axes, which it drops.
// Only floats have a mean. The mean of nothing is NaN.
func (t *Tensor) Mean(axes ...int) *Tensor { return t.mean(axes, false) }

// MeanKeep is Mean that leaves the axes with size 1.
func (t *Tensor) MeanKeep(axes ...int) *Tensor { return t.mean(axes, true) }

func (t *Tensor) mean(ax []int, keep bool) *Tensor {
	const op = "mean"
	t.wantFloat(op)
	r := Reduce{ax, keep}
	axes, kept := r.resolve(op, t)
	y := reduce(op, backend.Mean, t, t.DType(), kept)
	shape, n := t.Shape(), countOf(t, axes)
	linear(op, y, t, func(g *Tensor) *Tensor { return g.MulScalar(1 / float64(n)).Expand(shape...) })
	return r.squeezed(y, axes)
}

func (t *Tensor) wantFloat(op string) {
	if t.use(op); !t.DType().IsFloat() {
		Fail(op, "it takes floating-point tensors, not %v; To casts", t.DType())
	}
}

// countOf is the number of elements that are reduced to one.
func countOf(t *Tensor, axes []int) int {
	n := 1
	for _, a := range axes {
		if a < t.Dim() {
			n *= t.Shape()[a]
		}
	}
	return n
}

// VarOptions are those of Var and Std.
type VarOptions struct {
	Reduce
	// Correction is subtracted from the number of elements; nil is 1, Bessel's.
	Correction *float64
}

// Var is the variance. With as few elements as the correction it is NaN or Inf.
func (t *Tensor) Var(o VarOptions) *Tensor {
	v, m, axes := t.varMean("var", o)
	free(m)
	return o.squeezed(v, axes)
}

// VarMean returns the variance and the mean.
func (t *Tensor) VarMean(o VarOptions) (variance, mean *Tensor) {
	v, m, axes := t.varMean("var_mean", o)
	return o.squeezed(v, axes), o.squeezed(m, axes)
}

// varMean leaves the reduced axes with size 1.
func (t *Tensor) varMean(op string, o VarOptions) (variance, mean *Tensor, axes []int) {
	t.wantFloat(op)
	axes, _ = o.resolve(op, t)
	correction := 1.0
	if o.Correction != nil {
		correction = *o.Correction
	}
	m := t.mean(axes, true)
	d := t.Sub(m)
	sq := d.Square()
	sum := sq.sum(axes, true)
	v := sum.DivScalar(max(0, float64(countOf(t, axes))-correction))
	free(d, sq, sum)
	return v, m, axes
}

// Std is the square root of Var; where it is 0 its gradient is 0, as in PyTorch.
func (t *Tensor) Std(o VarOptions) *Tensor {
	v, m, axes := t.varMean("std", o)
	free(m)
	return o.squeezed(rootOf(v), axes)
}

// rootOf is the deviation for a variance, which it frees.
func rootOf(v *Tensor) *Tensor {
	y := unary("std", backend.Sqrt, v, backend.Scalars{}, func(g, x, y *Tensor) *Tensor {
		return g.Div(y.MulScalar(2)).MaskedFill(y.EqScalar(0), 0)
	})
	free(v)
	return y
}

// Prod multiplies all elements, or those along one axis, which it drops.
// Integers and bool are multiplied as int64.
func (t *Tensor) Prod(axis ...int) *Tensor {
	const op = "prod"
	t.use(op)
	c := t
	if !t.DType().IsFloat() {
		c = t.To(Int64)
		defer freeCasts(t, c, nil, nil)
	}
	return c.prod(axis, false)
}

func (t *Tensor) prod(axis []int, keep bool) *Tensor {
	const op = "prod"
	t.use(op)
	if c := t.wide(); c != t {
		defer free(c)
		return c.prod(axis, keep)
	}
	r := Reduce{axis, keep}
	axes, kept := r.resolve(op, t)
	y := reduce(op, backend.Prod, t, t.DType(), kept)
	if recording(y, t) {
		n := newNode(op, y, t)
		n.save()
		n.one = func(g, x, y *Tensor) *Tensor { return x.productOfOthers(axes).Mul(g) }
	}
	return r.squeezed(y, axes)
}

// productOfOthers is, for each element, the product of the others along axes,
// right where elements are zero too.
func (t *Tensor) productOfOthers(axes []int) *Tensor {
	// The reduced axes, joined into a last one.
	order := []int{}
	for i := range t.Dim() {
		if !slices.Contains(axes, i) {
			order = append(order, i)
		}
	}
	order = append(order, axes...)
	if t.Dim() == 0 {
		return OnesLike(t)
	}
	inverse := make([]int, len(order))
	for i, a := range order {
		inverse[a] = i
	}
	p := t.Permute(order...)
	rows := p.Reshape(append(slices.Clone(p.Shape()[:t.Dim()-len(axes)]), countOf(t, axes))...)
	last := rows.Dim() - 1
	if rows.Size(last) == 0 {
		return t
	}
	edge := slices.Clone(rows.Shape())
	edge[last] = 1
	one := Ones(rows.Place(), rows.DType(), edge...)
	before := Cat([]*Tensor{one, rows.Slice(last, 0, -1, 1)}, last).CumProd(last)
	after := Cat([]*Tensor{one, rows.Flip(last).Slice(last, 0, -1, 1)}, last).CumProd(last).Flip(last)
	return before.Mul(after).Reshape(p.Shape()...).Permute(inverse...)
}

// extreme is the maximum or minimum over axes. Its gradient is shared equally by
// the elements that attain it, as in PyTorch's amax.
func (t *Tensor) extreme(op string, code backend.ReduceOp, ax []int, keep bool) *Tensor {
	r := Reduce{ax, keep}
	axes, kept := r.resolve(op, t)
	if countOf(t, axes) == 0 {
		Fail(op, "shape %v has no elements along axes %v", t.Shape(), axes)
	}
	y := reduce(op, code, t, t.DType(), kept)
	if recording(y, t) {
		n := newNode(op, y, t)
		n.save()
		n.one = func(g, x, y *Tensor) *Tensor {
			hit := x.Eq(y).To(x.DType())
			return hit.Mul(g.Div(hit.sum(axes, true)))
		}
	}
	return r.squeezed(y, axes)
}

// AMax is the largest element, or the largest along the given axes. NaN is
// larger than anything. Ties share the gradient.
func (t *Tensor) AMax(axes ...int) *Tensor { return t.extreme("amax", backend.Max, axes, false) }

// AMaxKeep is AMax that leaves the axes with size 1.
func (t *Tensor) AMaxKeep(axes ...int) *Tensor { return t.extreme("amax", backend.Max, axes, true) }

// AMin is the smallest element, or the smallest along the given axes.
func (t *Tensor) AMin(axes ...int) *Tensor { return t.extreme("amin", backend.Min, axes, false) }

// AMinKeep is AMin that leaves the axes with size 1.
func (t *Tensor) AMinKeep(axes ...int) *Tensor { return t.extreme("amin", backend.Min, axes, true) }

// Max is the largest element along axis, which it drops, and its first index.
// The gradient goes to that element.
func (t *Tensor) Max(axis int) (values, indices *Tensor) { return t.pick("max", backend.ArgMax, axis) }

// Min is the smallest element along axis, which it drops, and its first index.
func (t *Tensor) Min(axis int) (values, indices *Tensor) { return t.pick("min", backend.ArgMin, axis) }

func (t *Tensor) pick(op string, code backend.ReduceOp, axis int) (values, indices *Tensor) {
	if t.use(op); t.Dim() == 0 {
		return t, Zeros(t.Place(), Int64)
	}
	at := t.arg(op, code, []int{axis}, true)
	return t.Gather(axis, at).Squeeze(axis), at.Squeeze(axis)
}

// ArgMax is the first index of the largest element along axis, or in the
// flattened tensor if none is given.
func (t *Tensor) ArgMax(axis ...int) *Tensor { return t.arg("argmax", backend.ArgMax, axis, false) }

// ArgMin is the first index of the smallest element along axis, or in the
// flattened tensor if none is given.
func (t *Tensor) ArgMin(axis ...int) *Tensor { return t.arg("argmin", backend.ArgMin, axis, false) }

func (t *Tensor) arg(op string, code backend.ReduceOp, axis []int, keep bool) *Tensor {
	r := Reduce{axis, keep}
	axes, kept := r.resolve(op, t)
	if len(axis) > 1 {
		Fail(op, "it takes one axis, not %v", axis)
	}
	if countOf(t, axes) == 0 {
		Fail(op, "shape %v has no elements along axes %v", t.Shape(), axes)
	}
	return r.squeezed(reduce(op, code, t, Int64, kept), axes)
}

// All reports whether all elements, or all along the given axes, are non-zero.
func (t *Tensor) All(axes ...int) *Tensor { return t.logical("all", backend.All, axes) }

// Any reports whether any element, or any along the given axes, is non-zero.
func (t *Tensor) Any(axes ...int) *Tensor { return t.logical("any", backend.Any, axes) }

func (t *Tensor) logical(op string, code backend.ReduceOp, ax []int) *Tensor {
	r := Reduce{Axes: ax}
	axes, kept := r.resolve(op, t)
	return r.squeezed(reduce(op, code, t, Bool, kept), axes)
}

// CountNonzero counts the non-zero elements, all or along the given axes.
func (t *Tensor) CountNonzero(axes ...int) *Tensor {
	b := t.Detach().To(Bool)
	n := b.Sum(axes...)
	if t.DType() != Bool {
		free(b)
	}
	return n
}

// LogSumExp is log(Σ exp(x)) along the given axes (all if none), computed
// without overflow.
func (t *Tensor) LogSumExp(axes ...int) *Tensor { return t.logSumExp(axes, false) }

// LogSumExpKeep is LogSumExp that leaves the axes with size 1.
func (t *Tensor) LogSumExpKeep(axes ...int) *Tensor { return t.logSumExp(axes, true) }

func (t *Tensor) logSumExp(ax []int, keep bool) *Tensor {
	const op = "logsumexp"
	if t.use(op); !t.DType().IsFloat() {
		return t.To(Float32).logSumExp(ax, keep)
	}
	r := Reduce{ax, keep}
	axes, kept := r.resolve(op, t)
	if countOf(t, axes) == 0 {
		return Full(t.Place(), t.DType(), math.Inf(-1), r.squeezed(Zeros(t.Place(), t.DType(), kept...), axes).Shape()...)
	}
	x := t.Detach()
	m := x.AMaxKeep(axes...)
	// An infinite maximum would make ∞-∞ of itself.
	inf := m.IsInf()
	finite := m.MaskedFill(inf, 0)
	d := x.Sub(finite)
	e := d.Exp()
	s := e.sum(axes, true)
	l := s.Log()
	y := l.Add(finite)
	free(m, inf, finite, d, e, s, l)
	if recording(y, t) {
		n := newNode(op, y, t)
		n.save()
		n.one = func(g, x, y *Tensor) *Tensor { return x.Sub(y).Exp().Mul(g) }
	}
	return r.squeezed(y, axes)
}

// Norm is the p-norm (Σ|x|^p)^(1/p) of all elements or along axes; p may be 0
// (the number of non-zeros) and ±Inf (the extreme absolute value). Where it is 0
// its gradient is 0.
func (t *Tensor) Norm(p float64, r Reduce) *Tensor {
	const op = "norm"
	t.wantFloat(op)
	if c := t.wide(); c != t {
		defer free(c)
		return c.Norm(p, r)
	}
	axes, _ := r.resolve(op, t)
	var y *Tensor
	switch {
	case p == 0:
		y = t.NeScalar(0).To(t.DType()).sum(axes, true)
	case math.IsInf(p, 0):
		code := backend.Max
		if p < 0 {
			code = backend.Min
		}
		a := t.Abs()
		y = a.extreme(op, code, axes, true)
		free(a)
	case p == 1:
		a := t.Abs()
		y = a.sum(axes, true)
		free(a)
	default:
		y = t.pNorm(p, axes)
	}
	return r.squeezed(y, axes)
}

func (t *Tensor) pNorm(p float64, axes []int) *Tensor {
	x := t.Detach()
	var y *Tensor
	if p == 2 {
		sq := x.Square()
		s := sq.sum(axes, true)
		y = s.Sqrt()
		free(sq, s)
	} else {
		a := x.Abs()
		w := a.PowScalar(p)
		s := w.sum(axes, true)
		y = s.PowScalar(1 / p)
		free(a, w, s)
	}
	if recording(y, t) {
		n := newNode("norm", y, t)
		n.save()
		// d‖x‖/dx = x·|x|^(p-2) / ‖x‖^(p-1)
		n.one = func(g, x, y *Tensor) *Tensor {
			zero := y.EqScalar(0)
			if p == 2 {
				return x.Mul(g.Div(y).MaskedFill(zero, 0))
			}
			scale := g.Div(y.PowScalar(p-1)).MaskedFill(zero, 0)
			return x.Sign().Mul(x.Abs().PowScalar(p-1)).MaskedFill(x.EqScalar(0), 0).Mul(scale)
		}
	}
	return y
}
