package optest

import "github.com/descent-ml/descent/tensor"

// crossEntropy is CrossEntropy with class weights where there is a third input.
func crossEntropy(o tensor.CrossEntropyOptions) func(x []*T) *T {
	return func(x []*T) *T {
		o := o
		o.Weight = pick(x, 2)
		return tensor.CrossEntropy(x[0], x[1], o)
	}
}

func nllLoss(o tensor.NLLLossOptions) func(x []*T) *T {
	return func(x []*T) *T {
		o := o
		o.Weight = pick(x, 2)
		return tensor.NLLLoss(x[0], x[1], o)
	}
}

// pairwise is a loss of two tensors and a reduction.
func pairwise(loss func(x, y *T, r tensor.Reduction) *T, r tensor.Reduction) func(x, y *T) *T {
	return func(x, y *T) *T { return loss(x, y, r) }
}

func smoothL1(beta float64) func(x, y *T) *T {
	return func(x, y *T) *T { return tensor.SmoothL1Loss(x, y, beta, tensor.ReductionMean) }
}

func huber(delta float64) func(x, y *T) *T {
	return func(x, y *T) *T { return tensor.HuberLoss(x, y, delta, tensor.ReductionSum) }
}

func bce(o tensor.BCEOptions) func(x []*T) *T {
	return func(x []*T) *T {
		o := o
		o.Weight = pick(x, 2)
		return tensor.BCELoss(x[0], x[1], o)
	}
}

func bceWithLogits(o tensor.BCEOptions) func(x []*T) *T {
	return func(x []*T) *T {
		o := o
		o.Weight, o.PosWeight = pick(x, 2), pick(x, 3)
		return tensor.BCEWithLogits(x[0], x[1], o)
	}
}

func klDiv(o tensor.KLDivOptions) func(x, y *T) *T {
	return func(x, y *T) *T { return tensor.KLDiv(x, y, o) }
}

const (
	sum  = tensor.ReductionSum
	none = tensor.ReductionNone
	mean = tensor.ReductionMean
)

var (
	labels  = ints(0, 4, 5)
	weights = f(4).between(0.5, 2).constant()
	chances = f(3, 4).between(0.1, 0.9)
)

var _ = rows("loss",
	Row{name: "cross_entropy", op: crossEntropy(tensor.CrossEntropyOptions{}), torch: "F.cross_entropy(*xs)", in: in(f(5, 4), labels)},
	Row{name: "cross_entropy_sum", op: crossEntropy(tensor.CrossEntropyOptions{Reduction: sum}), torch: "F.cross_entropy(*xs, reduction='sum')", in: in(f(5, 4), labels), tol: 2},
	Row{name: "cross_entropy_none", op: crossEntropy(tensor.CrossEntropyOptions{Reduction: none}), torch: "F.cross_entropy(*xs, reduction='none')", in: in(f(5, 4), labels)},
	Row{name: "cross_entropy_weight", op: crossEntropy(tensor.CrossEntropyOptions{}), torch: "F.cross_entropy(*xs)", in: in(f(5, 4), labels, weights)},
	Row{name: "cross_entropy_weight_none", op: crossEntropy(tensor.CrossEntropyOptions{Reduction: none}), torch: "F.cross_entropy(*xs, reduction='none')", in: in(f(5, 4), labels, weights), tol: 2},
	Row{name: "cross_entropy_ignored", op: crossEntropy(tensor.CrossEntropyOptions{}), torch: "F.cross_entropy(*xs)", in: in(f(5, 4), labels.of(0, -100, 3, -100, 1))},
	Row{name: "cross_entropy_ignore_index", op: crossEntropy(tensor.CrossEntropyOptions{IgnoreIndex: new(int64(2)), LabelSmoothing: 0.1}),
		torch: "F.cross_entropy(*xs, ignore_index=2, label_smoothing=0.1)", in: in(f(5, 4), labels.of(0, 2, 3, 2, 1), weights)},
	Row{name: "cross_entropy_smooth", op: crossEntropy(tensor.CrossEntropyOptions{LabelSmoothing: 0.3}), torch: "F.cross_entropy(*xs, label_smoothing=0.3)", in: in(f(5, 4), labels)},
	Row{name: "cross_entropy_smooth_none", op: crossEntropy(tensor.CrossEntropyOptions{LabelSmoothing: 0.3, Reduction: none}),
		torch: "F.cross_entropy(*xs, label_smoothing=0.3, reduction='none')", in: in(f(5, 4), labels.of(1, -100), weights), tol: 2},
	Row{name: "cross_entropy_one", op: crossEntropy(tensor.CrossEntropyOptions{}), torch: "F.cross_entropy(*xs)", in: in(f(4), ints(0, 4))},
	Row{name: "cross_entropy_image", op: crossEntropy(tensor.CrossEntropyOptions{}), torch: "F.cross_entropy(*xs)", in: in(f(2, 4, 2, 3), ints(0, 4, 2, 2, 3), weights)},
	Row{name: "cross_entropy_image_none", op: crossEntropy(tensor.CrossEntropyOptions{Reduction: none}), torch: "F.cross_entropy(*xs, reduction='none')", in: in(f(2, 4, 3), ints(0, 4, 2, 3))},
	Row{name: "cross_entropy_soft", op: crossEntropy(tensor.CrossEntropyOptions{}), torch: "F.cross_entropy(*xs)", in: in(f(3, 4), chances)},
	Row{name: "cross_entropy_soft_smooth", op: crossEntropy(tensor.CrossEntropyOptions{LabelSmoothing: 0.2, Reduction: sum}),
		torch: "F.cross_entropy(*xs, label_smoothing=0.2, reduction='sum')", in: in(f(3, 4), chances, weights), tol: 3},
	Row{name: "cross_entropy_soft_none", op: crossEntropy(tensor.CrossEntropyOptions{Reduction: none}), torch: "F.cross_entropy(*xs, reduction='none')", in: in(f(2, 4, 3), f(2, 4, 3).between(0.1, 0.9)), tol: 2},
	Row{name: "nll_loss", op: nllLoss(tensor.NLLLossOptions{}), torch: "F.nll_loss(*xs)", in: in(f(5, 4), labels.of(-100), weights), noSecond: straight},
	Row{name: "nll_loss_sum", op: nllLoss(tensor.NLLLossOptions{Reduction: sum, IgnoreIndex: new(int64(1))}), torch: "F.nll_loss(*xs, ignore_index=1, reduction='sum')",
		in: in(f(5, 4), labels.of(1)), noSecond: straight},
	Row{name: "nll_loss_none", op: nllLoss(tensor.NLLLossOptions{Reduction: none}), torch: "F.nll_loss(*xs, reduction='none')", in: in(f(2, 4, 3), ints(0, 4, 2, 3)), noSecond: straight},
	Row{name: "mse_loss", op: pairwise(tensor.MSELoss, mean), torch: "F.mse_loss(x, y)", in: in(f(2, 3), f(2, 3))},
	Row{name: "mse_loss_none", op: pairwise(tensor.MSELoss, none), torch: "F.mse_loss(x, y, reduction='none')", in: in(f(2, 3), f(2, 3))},
	Row{name: "l1_loss", op: pairwise(tensor.L1Loss, sum), torch: "F.l1_loss(x, y, reduction='sum')", in: in(f(2, 3), f(2, 3)), noSecond: straight},
	Row{name: "smooth_l1_loss", op: smoothL1(0.7), torch: "F.smooth_l1_loss(x, y, beta=0.7)", in: in(f(3, 4), f(3, 4))},
	Row{name: "smooth_l1_loss_zero", op: smoothL1(0), torch: "F.smooth_l1_loss(x, y, beta=0.0)", in: in(f(3, 4), f(3, 4)), noSecond: straight},
	Row{name: "huber_loss", op: huber(0.7), torch: "F.huber_loss(x, y, delta=0.7, reduction='sum')", in: in(f(3, 4), f(3, 4)), tol: 2},
	Row{name: "binary_cross_entropy", op: bce(tensor.BCEOptions{}), torch: "F.binary_cross_entropy(*xs)", in: in(chances, chances)},
	Row{name: "binary_cross_entropy_weight", op: bce(tensor.BCEOptions{Reduction: none}), torch: "F.binary_cross_entropy(*xs, reduction='none')",
		in: in(chances.of(0, 1, 0.25), chances.of(0, 0), f(4).between(0.5, 2).constant()), noCheck: "0 and 1 are at the edge", noHalf: "the gradient at 1 is 1e12", noSecond: "the gradient at 1 is 1e12"},
	Row{name: "binary_cross_entropy_with_logits", op: bceWithLogits(tensor.BCEOptions{}), torch: "F.binary_cross_entropy_with_logits(*xs)", in: in(f(3, 4), chances)},
	Row{name: "binary_cross_entropy_with_logits_weights", op: bceWithLogits(tensor.BCEOptions{Reduction: sum}),
		torch: "F.binary_cross_entropy_with_logits(x, y, z, reduction='sum', pos_weight=xs[3])",
		in:    in(f(3, 4), chances, f(3, 1).between(0.5, 2).constant(), f(4).between(0.5, 2).constant()), tol: 3},
	Row{name: "kl_div", op: klDiv(tensor.KLDivOptions{}), torch: "F.kl_div(x, y)", in: in(f(3, 4).between(-3, -0.1), chances)},
	Row{name: "kl_div_log", op: klDiv(tensor.KLDivOptions{LogTarget: true, BatchMean: true}), torch: "F.kl_div(x, y, log_target=True, reduction='batchmean')",
		in: in(f(3, 4).between(-3, -0.1), f(3, 4).between(-3, -0.1))},
)
