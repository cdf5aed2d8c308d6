package tensor

import (
	"errors"
	"slices"

	"github.com/descent-ml/descent/backend"
)

// Reduction says what becomes of the losses of single elements.
type Reduction uint8

const (
	ReductionMean Reduction = iota
	ReductionSum
	ReductionNone
)

// reduced is t after reduction. It frees t, and temps, which were made
// on the way, unless a graph needs them.
func (t *Tensor) reduced(r Reduction, temps ...*Tensor) *Tensor {
	y := t
	switch r {
	case ReductionMean:
		y = t.Mean()
	case ReductionSum:
		y = t.Sum()
	}
	if y.node == nil {
		if y != t {
			temps = append(temps, t)
		}
		free(temps...)
	}
	return y
}

// NLLLossOptions are those of NLLLoss.
type NLLLossOptions struct {
	Weight      *Tensor // of each class [C], nil for 1
	IgnoreIndex *int64  // a label whose positions do not count, nil for -100
	Reduction   Reduction
}

// CrossEntropyOptions are those of CrossEntropy.
type CrossEntropyOptions struct {
	Weight         *Tensor // of each class [C], nil for 1
	IgnoreIndex    *int64  // a label whose positions do not count, nil for -100; for labels only
	LabelSmoothing float64 // in [0, 1]: how much of the target is spread evenly over the classes
	Reduction      Reduction
}

// CrossEntropy is the negative log-likelihood of target under softmax(logits),
// whose axis 1 has the classes: [N, C] or [N, C, d1, …], or [C] for one example.
// target has labels, integers in [0, C), of logits' shape without the classes, or
// probabilities, of logits' shape and dtype. The mean over labels is weighted by
// Weight.
func CrossEntropy(logits, target *Tensor, o CrossEntropyOptions) *Tensor {
	const op = "cross_entropy"
	logits.wantFloat(op)
	axis := classAxis(op, logits)
	if !(o.LabelSmoothing >= 0 && o.LabelSmoothing <= 1) {
		Fail(op, "label smoothing is %v; it must be in [0, 1]", o.LabelSmoothing)
	}
	place2(op, logits, target)
	logp := logits.LogSoftmax(axis)
	var loss *Tensor
	if target.DType().IsFloat() && sameShape(target.Shape(), logits.Shape()) {
		loss = softTargets(op, logp, target, axis, o)
	} else {
		loss = nllLoss(op, logp, target, axis, NLLLossOptions{o.Weight, o.IgnoreIndex, o.Reduction}, o.LabelSmoothing)
	}
	free(logp)
	return loss
}

// NLLLoss is -logp at each label of target, times the label's weight; logp and
// target are like the logits and labels of CrossEntropy. The mean is weighted by
// Weight.
func NLLLoss(logp, target *Tensor, o NLLLossOptions) *Tensor {
	const op = "nll_loss"
	logp.wantFloat(op)
	return nllLoss(op, logp, target, classAxis(op, logp), o, 0)
}

func classAxis(op string, x *Tensor) int {
	if x.Dim() == 0 {
		Fail(op, "a scalar has no axis of classes")
	}
	return min(1, x.Dim()-1)
}

// classWeights views w [C], which may be nil, as an axis of classes.
func classWeights(op string, w, x *Tensor, axis int) *Tensor {
	if w == nil {
		return nil
	}
	place2(op, x, w)
	if w.Dim() != 1 || w.Size(0) != x.Size(axis) {
		Fail(op, "weight %v: [%d] is needed", w.Shape(), x.Size(axis))
	}
	return alongAxis(w.Detach().To(x.DType()), x.Dim(), axis)
}

// nllLoss is linear in logp: the labels choose coefficients, which are computed
// first and are constant for the gradient. Smoothing spreads as much of each
// label over all classes.
func nllLoss(op string, logp, target *Tensor, axis int, o NLLLossOptions, smoothing float64) *Tensor {
	want := slices.Delete(slices.Clone(logp.Shape()), axis, axis+1)
	if place2(op, logp, target); !target.DType().IsInt() || !sameShape(target.Shape(), want) {
		Fail(op, "a target of %v%v for input %v: integers of shape %v, or probabilities, are needed", target.DType(), target.Shape(), logp.Shape(), want)
	}
	ignore := int64(-100)
	if o.IgnoreIndex != nil {
		ignore = *o.IgnoreIndex
	}
	in := []*Tensor{target, logp}
	if o.Weight != nil {
		in = append(in, classWeights(op, o.Weight, logp, axis))
	}
	// For each position: is it ignored, its label (0 if so), logp there, minus its
	// weight, and minus the weight of an even spread. Means have their divisor in
	// the weights.
	c := Within(ScopeOptions{NoGrad: true}, in, func(in []*Tensor) []*Tensor {
		label := in[0].Unsqueeze(axis).To(Int64)
		ignored := label.EqScalar(float64(ignore))
		label = label.MaskedFill(ignored, 0)
		picked := pickLabels(op, in[1], label, axis)
		spread := Full(label.Place(), logp.DType(), -1, label.Shape()...).MaskedFill(ignored, 0)
		weight := spread
		if len(in) > 2 {
			weight = spread.Mul(in[2].Expand(logp.Shape()...).Gather(axis, label))
		}
		if o.Reduction == ReductionMean {
			total := weight.Sum().Neg()
			spread, weight = spread.Div(total), weight.Div(total)
		}
		n := float64(logp.Size(axis))
		return []*Tensor{ignored, label, picked, weight.MulScalar(1 - smoothing), spread.MulScalar(smoothing / n)}
	})
	ignored, label, picked, weight, spread := c[0], c[1], c[2], c[3], c[4]
	shape := logp.Shape()
	linear(op, picked, logp, func(g *Tensor) *Tensor { return gatherBackward(g, label, axis, shape) })
	counted := picked.MaskedFill(ignored, 0) // else 0·Inf would be NaN
	loss := counted.Mul(weight)
	temps := append(c, counted)
	if smoothing > 0 {
		each := logp
		if o.Weight != nil {
			each = logp.Mul(in[2])
			temps = append(temps, each)
		}
		sum := each.SumKeep(axis)
		even := sum.MaskedFill(ignored, 0)
		rest := even.Mul(spread)
		temps = append(temps, sum, even, rest, loss)
		loss = loss.Add(rest)
	}
	if o.Reduction == ReductionMean {
		o.Reduction = ReductionSum
	}
	return lossAlong(axis, loss, o.Reduction, temps...)
}

// pickLabels is logp at the labels. A device that computes later tells of a label
// out of range when it is waited for.
func pickLabels(op string, logp, label *Tensor, axis int) *Tensor {
	y := empty(op, logp.dev, label.scope, logp.DType(), label.Shape())
	err := logp.dev.Gather(y.arr, logp.arr, label.arr, axis)
	if bad := (*backend.IndexError)(nil); errors.As(err, &bad) {
		n := int64(logp.Size(axis))
		at := slices.IndexFunc(Values[int64](label), func(l int64) bool { return l < 0 || l >= n })
		Fail(op, "label %d at position %d is out of range [0, %d)", bad.Index, at, n)
	}
	check(op, err)
	return y
}

// softTargets is the cross entropy of probabilities.
func softTargets(op string, logp, target *Tensor, axis int, o CrossEntropyOptions) *Tensor {
	n := float64(logp.Size(axis))
	weight := classWeights(op, o.Weight, logp, axis)
	var temps []*Tensor
	if o.LabelSmoothing > 0 {
		scaled := target.MulScalar(1 - o.LabelSmoothing)
		target = scaled.AddScalar(o.LabelSmoothing / n)
		temps = append(temps, scaled, target)
	}
	each := logp.Mul(target)
	temps = append(temps, each)
	if weight != nil {
		each = each.Mul(weight)
		temps = append(temps, each)
	}
	sum := each.SumKeep(axis)
	return lossAlong(axis, sum.Neg(), o.Reduction, append(temps, sum)...)
}

// lossAlong reduces a loss that has size 1 on axis, which it drops.
func lossAlong(axis int, loss *Tensor, r Reduction, temps ...*Tensor) *Tensor {
	if r != ReductionNone {
		return loss.reduced(r, temps...)
	}
	y := loss.Squeeze(axis)
	if y.node == nil {
		free(temps...)
		loss.release()
	}
	return y
}

// MSELoss is (x - target)², reduced.
func MSELoss(x, target *Tensor, r Reduction) *Tensor {
	d := x.Sub(target)
	return d.Square().reduced(r, d)
}

// L1Loss is |x - target|, reduced.
func L1Loss(x, target *Tensor, r Reduction) *Tensor {
	d := x.Sub(target)
	return d.Abs().reduced(r, d)
}

// SmoothL1Loss is d²/(2·beta) where d = |x - target| is less than beta, and
// d - beta/2 elsewhere, reduced. With beta 0 it is L1Loss.
func SmoothL1Loss(x, target *Tensor, beta float64, r Reduction) *Tensor {
	if beta < 0 {
		Fail("smooth_l1_loss", "beta is %v", beta)
	}
	if beta == 0 {
		return L1Loss(x, target, r)
	}
	return huber(x, target, beta, 1/beta, r)
}

// HuberLoss is d²/2 where d = |x - target| is at most delta, and
// delta·(d - delta/2) elsewhere, reduced.
func HuberLoss(x, target *Tensor, delta float64, r Reduction) *Tensor {
	if delta <= 0 {
		Fail("huber_loss", "delta is %v; it must be positive", delta)
	}
	return huber(x, target, delta, 1, r)
}

// huber is scale times d²/2 for d up to bound, and then goes on straight.
func huber(x, target *Tensor, bound, scale float64, r Reduction) *Tensor {
	d := x.Sub(target)
	// With c = d cut to the bound it is c·(d - c/2), on both sides of it.
	c := d.Clamp(-bound, bound)
	half := c.MulScalar(0.5)
	rest := d.Sub(half)
	product := c.Mul(rest)
	return product.MulScalar(scale).reduced(r, d, c, half, rest, product)
}

// BCEOptions are those of BCELoss and BCEWithLogits.
type BCEOptions struct {
	Weight    *Tensor // of each element, broadcast; nil for 1
	PosWeight *Tensor // of positive examples, broadcast; nil for 1; BCEWithLogits only
	Reduction Reduction
}

// BCEWithLogits is the binary cross entropy of the probabilities sigmoid(x) and
// target, of x's shape: (1-t)·x - (1 + (PosWeight-1)·t)·log(sigmoid(x)).
func BCEWithLogits(x, target *Tensor, o BCEOptions) *Tensor {
	const op = "binary_cross_entropy_with_logits"
	x.wantFloat(op)
	sameTarget(op, x, target)
	logp := x.LogSigmoid()
	off := target.RSubScalar(1)
	flat := off.Mul(x)
	temps := []*Tensor{logp, off, flat}
	if o.PosWeight != nil {
		more := o.PosWeight.SubScalar(1)
		scaled := target.Mul(more)
		factor := scaled.AddScalar(1)
		logp = logp.Mul(factor)
		temps = append(temps, more, scaled, factor, logp)
	}
	return flat.Sub(logp).weighted(o, temps...)
}

// BCELoss is the binary cross entropy of probabilities x and target, of x's
// shape: -t·log(x) - (1-t)·log(1-x), the logarithms being at least -100. Near 0
// and 1 the gradient is held finite, as in PyTorch.
func BCELoss(x, target *Tensor, o BCEOptions) *Tensor {
	const op = "binary_cross_entropy"
	x.wantFloat(op)
	sameTarget(op, x, target)
	loss := compose(place2(op, x, target), func(in []*Tensor) *Tensor {
		yes, no := in[0].Log().ClampMin(-100), in[0].Neg().Log1p().ClampMin(-100)
		return in[1].SubScalar(1).Mul(no).Sub(in[1].Mul(yes))
	}, x, target)
	record(op, loss, []*Tensor{x, target},
		func(b *Back, g *Tensor) *Tensor {
			x, t := b.In(0), b.In(1)
			const least = float64(float32(1e-12)) // PyTorch's, for every dtype
			return g.Mul(x.Sub(t)).Div(x.Mul(x.RSubScalar(1)).ClampMin(least))
		},
		func(b *Back, g *Tensor) *Tensor {
			x := b.In(0)
			return g.Mul(x.Neg().Log1p().Sub(x.Log()))
		})
	return loss.weighted(o)
}

func sameTarget(op string, x, target *Tensor) {
	if place2(op, x, target); !sameShape(x.Shape(), target.Shape()) {
		Fail(op, "target %v must have the input's shape %v", target.Shape(), x.Shape())
	}
}

// weighted is the loss t times the weight of o, reduced.
func (t *Tensor) weighted(o BCEOptions, temps ...*Tensor) *Tensor {
	if o.Weight == nil {
		return t.reduced(o.Reduction, temps...)
	}
	return t.Mul(o.Weight).reduced(o.Reduction, append(temps, t)...)
}

// KLDivOptions are those of KLDiv.
type KLDivOptions struct {
	LogTarget bool // target has logarithms too
	BatchMean bool // the sum divided by the size of the first axis, in place of Reduction: the true divergence
	Reduction Reduction
}

// KLDiv is target·(log(target) - logp), of logarithms logp and probabilities target.
func KLDiv(logp, target *Tensor, o KLDivOptions) *Tensor {
	var loss *Tensor
	var temps []*Tensor
	if o.LogTarget {
		p, d := target.Exp(), target.Sub(logp)
		loss, temps = p.Mul(d), []*Tensor{p, d}
	} else {
		entropy, cross := target.XLogY(target), target.Mul(logp)
		loss, temps = entropy.Sub(cross), []*Tensor{entropy, cross}
	}
	if o.BatchMean && loss.Dim() > 0 {
		temps = append(temps, loss)
		loss = loss.DivScalar(float64(loss.Size(0)))
		o.Reduction = ReductionSum
	}
	return loss.reduced(o.Reduction, temps...)
}
