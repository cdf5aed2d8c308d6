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

func (t *Tensor) reduced(r Reduction) *Tensor {
	switch r {
	case ReductionMean:
		return t.Mean()
	case ReductionSum:
		return t.Sum()
	}
	return t
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
	return composed(func(in []*Tensor) *Tensor {
		logits, target, weight := in[0], in[1], in[2]
		if target.DType().IsFloat() && sameShape(target.Shape(), logits.Shape()) {
			return softTargets(op, logits.LogSoftmax(axis), target.wide(), weight, axis, o)
		}
		if loss := crossEntropyFused(op, logits, target, axis, o); loss != nil {
			return loss
		}
		return nllLoss(op, logits.LogSoftmax(axis), target, axis, NLLLossOptions{weight, o.IgnoreIndex, o.Reduction}, o.LabelSmoothing)
	}, logits, target, o.Weight)
}

// NLLLoss is -logp at each label of target, times the label's weight; logp and
// target are like the logits and labels of CrossEntropy. The mean is weighted by
// Weight.
func NLLLoss(logp, target *Tensor, o NLLLossOptions) *Tensor {
	const op = "nll_loss"
	logp.wantFloat(op)
	return composed(func(in []*Tensor) *Tensor {
		o.Weight = in[2]
		return nllLoss(op, in[0].wide(), in[1], classAxis(op, logp), o, 0)
	}, logp, target, o.Weight)
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

// nllLoss is linear in logp: the labels choose the coefficients. Smoothing spreads
// as much of each label over all classes.
func nllLoss(op string, logp, target *Tensor, axis int, o NLLLossOptions, smoothing float64) *Tensor {
	shape := logp.Shape()
	wantLabels(op, logp, target, axis)
	ignore := ignored(o.IgnoreIndex)
	in := []*Tensor{logp, target}
	classes := classWeights(op, o.Weight, logp, axis)
	if classes != nil {
		in = append(in, classes)
	}
	c := Within(ScopeOptions{NoGrad: true}, in, func(in []*Tensor) []*Tensor {
		logp := in[0]
		label := in[1].Unsqueeze(axis).To(Int64)
		ignored := label.EqScalar(float64(ignore))
		label = label.MaskedFill(ignored, 0)
		picked := pickLabels(op, logp, label, axis)
		// Minus the weight of each position, and of the even spread there. In a mean
		// they have its divisor.
		spread := ignored.To(logp.DType()).SubScalar(1)
		weight := spread
		if classes != nil {
			weight = in[2].Expand(shape...).Gather(axis, label).Mul(spread)
		}
		if o.Reduction == ReductionMean {
			total := weight.Sum().Neg()
			if smoothing > 0 {
				spread = spread.Div(total)
			}
			weight = weight.Div(total)
		}
		if smoothing == 0 {
			loss := picked.MaskedFill(ignored, 0).Mul(weight) // else 0·Inf would be NaN
			return []*Tensor{lossAlong(axis, loss, o.Reduction), label, weight, nil}
		}
		weight, spread = weight.MulScalar(1-smoothing), spread.MulScalar(smoothing/float64(shape[axis]))
		if classes != nil {
			logp = logp.Mul(in[2])
		}
		loss := picked.Mul(weight).Add(logp.SumKeep(axis).Mul(spread)).MaskedFill(ignored, 0)
		return []*Tensor{lossAlong(axis, loss, o.Reduction), label, weight, spread}
	})
	loss, label, weight, spread := c[0], c[1], c[2], c[3]
	each := o.Reduction == ReductionNone
	return linear(op, loss, logp, func(g *Tensor) *Tensor {
		if each {
			g = g.Unsqueeze(axis)
		}
		d := gatherBackward(g.Mul(weight), label, axis, shape)
		if spread == nil {
			return d
		}
		even := g.Mul(spread)
		if classes != nil {
			even = even.Mul(classes)
		}
		return d.Add(even)
	})
}

// lossAlong reduces a loss that has size 1 on axis and, for a mean, its divisor
// in its weights.
func lossAlong(axis int, loss *Tensor, r Reduction) *Tensor {
	if r == ReductionNone {
		return loss.Squeeze(axis)
	}
	return loss.Sum()
}

// pickLabels is logp at the labels. A device that computes later tells of a label
// out of range when it is waited for.
func pickLabels(op string, logp, label *Tensor, axis int) *Tensor {
	y := empty(op, logp.dev, label.scope, logp.DType(), label.Shape())
	checkLabels(op, label, logp.dev.Gather(y.arr, logp.arr, label.arr, axis))
	return y
}

// checkLabels is check for a kernel that looked labels up; it names a bad one.
func checkLabels(op string, label *Tensor, err error) {
	if bad := (*backend.IndexError)(nil); errors.As(err, &bad) {
		at := slices.Index(Values[int64](label), bad.Index)
		Fail(op, "label %d at position %d is out of range [0, %d)", bad.Index, at, bad.Size)
	}
	check(op, err)
}

// wantLabels holds target to have an integer for each position of input but axis.
func wantLabels(op string, input, target *Tensor, axis int) {
	want := slices.Delete(slices.Clone(input.Shape()), axis, axis+1)
	if place2(op, input, target); !target.DType().IsInt() || !sameShape(target.Shape(), want) {
		Fail(op, "a target of %v%v for input %v: integers of shape %v, or probabilities, are needed", target.DType(), target.Shape(), input.Shape(), want)
	}
}

func ignored(index *int64) int64 {
	if index == nil {
		return -100
	}
	return *index
}

// softTargets is the cross entropy of probabilities.
func softTargets(op string, logp, target, weight *Tensor, axis int, o CrossEntropyOptions) *Tensor {
	if o.LabelSmoothing > 0 {
		target = target.MulScalar(1 - o.LabelSmoothing).AddScalar(o.LabelSmoothing / float64(logp.Size(axis)))
	}
	each := logp.Mul(target)
	if weight = classWeights(op, weight, logp, axis); weight != nil {
		each = each.Mul(weight)
	}
	return each.Sum(axis).Neg().reduced(o.Reduction)
}

// MSELoss is (x - target)², reduced.
func MSELoss(x, target *Tensor, r Reduction) *Tensor {
	return composed(func(in []*Tensor) *Tensor { return in[0].wide().Sub(in[1].wide()).Square().reduced(r) }, x, target)
}

// L1Loss is |x - target|, reduced.
func L1Loss(x, target *Tensor, r Reduction) *Tensor {
	return composed(func(in []*Tensor) *Tensor { return in[0].wide().Sub(in[1].wide()).Abs().reduced(r) }, x, target)
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
	return composed(func(in []*Tensor) *Tensor {
		// With c = d cut to the bound it is c·(d - c/2), on both sides of it.
		d := in[0].wide().Sub(in[1].wide())
		c := d.Clamp(-bound, bound)
		return c.Mul(d.Sub(c.MulScalar(0.5))).MulScalar(scale).reduced(r)
	}, x, target)
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
	return composed(func(in []*Tensor) *Tensor {
		x, target, weight, positive := in[0].wide(), in[1].wide(), in[2], in[3]
		logp := x.LogSigmoid()
		if positive != nil {
			logp = logp.Mul(target.Mul(positive.SubScalar(1)).AddScalar(1))
		}
		return target.RSubScalar(1).Mul(x).Sub(logp).weighted(weight, o.Reduction)
	}, x, target, o.Weight, o.PosWeight)
}

// BCELoss is the binary cross entropy of probabilities x and target, of x's
// shape: -t·log(x) - (1-t)·log(1-x), the logarithms being at least -100. Near 0
// and 1 the gradient is held finite, as in PyTorch.
func BCELoss(x, target *Tensor, o BCEOptions) *Tensor {
	const op = "binary_cross_entropy"
	x.wantFloat(op)
	sameTarget(op, x, target)
	if a, b := x.wide(), target.wide(); a != x || b != target {
		y := BCELoss(a, b, o)
		if y.node == nil {
			freeCasts(x, a, target, b)
		}
		return y
	}
	loss := compose(place2(op, x, target), func(in []*Tensor) *Tensor {
		yes, no := in[0].Log().ClampMin(-100), in[0].Neg().Log1p().ClampMin(-100)
		return in[1].SubScalar(1).Mul(no).Sub(in[1].Mul(yes))
	}, x, target)
	record(op, loss, []*Tensor{x, target},
		func(b *Back, g *Tensor) *Tensor { return bceGrad(g, b.In(0), b.In(1)) },
		func(b *Back, g *Tensor) *Tensor {
			x := b.In(0)
			return g.Mul(x.Neg().Log1p().Sub(x.Log()))
		})
	y := composed(func(in []*Tensor) *Tensor { return in[0].weighted(in[1], o.Reduction) }, loss, o.Weight)
	if y.node == nil {
		loss.release()
	}
	return y
}

// bceGrad is g·(x-t)/(x·(1-x)). Its own gradient is written as a sum of terms of
// one sign: the quotient's would lose digits where x is near 0 or 1.
func bceGrad(g, x, t *Tensor) *Tensor {
	const op = "binary_cross_entropy_backward"
	spread := func(x *Tensor) *Tensor {
		return x.Mul(x.RSubScalar(1)).ClampMin(float64(float32(1e-12))) // PyTorch's bound, for every dtype
	}
	y := compose(placeAll(op, g, x, t), func(in []*Tensor) *Tensor {
		return in[0].Mul(in[1].Sub(in[2])).Div(spread(in[1]))
	}, g, x, t)
	return record(op, y, []*Tensor{g, x, t},
		func(b *Back, gg *Tensor) *Tensor { return bceGrad(gg, b.In(1), b.In(2)) },
		func(b *Back, gg *Tensor) *Tensor {
			x, t := b.In(1), b.In(2)
			slope := t.Div(x.Square()).Add(t.RSubScalar(1).Div(x.RSubScalar(1).Square()))
			return gg.Mul(b.In(0)).Mul(slope)
		},
		func(b *Back, gg *Tensor) *Tensor { return gg.Mul(b.In(0)).Div(spread(b.In(1))).Neg() })
}

func sameTarget(op string, x, target *Tensor) {
	if place2(op, x, target); !sameShape(x.Shape(), target.Shape()) {
		Fail(op, "target %v must have the input's shape %v", target.Shape(), x.Shape())
	}
}

// weighted is the loss t times w, which may be nil, reduced.
func (t *Tensor) weighted(w *Tensor, r Reduction) *Tensor {
	if w != nil {
		t = t.Mul(w)
	}
	return t.reduced(r)
}

// KLDivOptions are those of KLDiv.
type KLDivOptions struct {
	LogTarget bool // target has logarithms too
	BatchMean bool // the sum divided by the size of the first axis, in place of Reduction: the true divergence
	Reduction Reduction
}

// KLDiv is target·(log(target) - logp), of logarithms logp and probabilities target.
func KLDiv(logp, target *Tensor, o KLDivOptions) *Tensor {
	return composed(func(in []*Tensor) *Tensor {
		logp, target := in[0].wide(), in[1].wide()
		var loss *Tensor
		if o.LogTarget {
			loss = target.Exp().Mul(target.Sub(logp))
		} else {
			loss = target.XLogY(target).Sub(target.Mul(logp))
		}
		if o.BatchMean && loss.Dim() > 0 {
			return loss.Sum().DivScalar(float64(loss.Size(0)))
		}
		return loss.reduced(o.Reduction)
	}, logp, target)
}
