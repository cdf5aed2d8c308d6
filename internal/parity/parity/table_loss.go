package main

import "github.com/descent-ml/descent/tensor"

var losses = []operator{
	row("nn.functional.cross_entropy", "input, target, weight=None, ignore_index=-100, reduction='mean', label_smoothing=0", func(a args) *T {
		return tensor.CrossEntropy(a.tensor("input"), a.tensor("target"), tensor.CrossEntropyOptions{
			Weight: a.maybe("weight"), IgnoreIndex: new(int64(a.int("ignore_index"))), Reduction: a.reduction(),
			LabelSmoothing: a.float("label_smoothing"),
		})
	}),
	row("nn.functional.nll_loss", "input, target, weight=None, ignore_index=-100, reduction='mean'", func(a args) *T {
		return tensor.NLLLoss(a.tensor("input"), a.tensor("target"), tensor.NLLLossOptions{
			Weight: a.maybe("weight"), IgnoreIndex: new(int64(a.int("ignore_index"))), Reduction: a.reduction(),
		})
	}),
	row("nn.functional.mse_loss", "input, target, reduction='mean'", func(a args) *T {
		return tensor.MSELoss(a.tensor("input"), a.tensor("target"), a.reduction())
	}),
	row("nn.functional.l1_loss", "input, target, reduction='mean'", func(a args) *T {
		return tensor.L1Loss(a.tensor("input"), a.tensor("target"), a.reduction())
	}),
	row("nn.functional.smooth_l1_loss", "input, target, reduction='mean', beta=1", func(a args) *T {
		return tensor.SmoothL1Loss(a.tensor("input"), a.tensor("target"), a.float("beta"), a.reduction())
	}),
	row("nn.functional.huber_loss", "input, target, reduction='mean', delta=1", func(a args) *T {
		return tensor.HuberLoss(a.tensor("input"), a.tensor("target"), a.float("delta"), a.reduction())
	}),
	row("nn.functional.binary_cross_entropy", "input, target, weight=None, reduction='mean'", func(a args) *T {
		return tensor.BCELoss(a.tensor("input"), a.tensor("target"), tensor.BCEOptions{Weight: a.maybe("weight"), Reduction: a.reduction()})
	}),
	row("nn.functional.binary_cross_entropy_with_logits", "input, target, weight=None, reduction='mean', pos_weight=None", func(a args) *T {
		return tensor.BCEWithLogits(a.tensor("input"), a.tensor("target"), tensor.BCEOptions{
			Weight: a.maybe("weight"), PosWeight: a.maybe("pos_weight"), Reduction: a.reduction(),
		})
	}),
	row("nn.functional.kl_div", "input, target, reduction='mean', log_target=False", func(a args) *T {
		o := tensor.KLDivOptions{LogTarget: a.bool("log_target")}
		if a.string("reduction") == "batchmean" {
			o.BatchMean = true
		} else {
			o.Reduction = a.reduction()
		}
		return tensor.KLDiv(a.tensor("input"), a.tensor("target"), o)
	}),
	row("nn.functional.scaled_dot_product_attention", "query, key, value, attn_mask=None, dropout_p=0, is_causal=False, scale=None, enable_gqa=False", func(a args) *T {
		o := tensor.AttentionOptions{Mask: a.maybe("attn_mask"), Causal: a.bool("is_causal"), Dropout: a.float("dropout_p"), GroupedQueries: a.bool("enable_gqa")}
		if !a.none("scale") {
			o.Scale = a.float("scale")
		}
		return tensor.ScaledDotProductAttention(a.tensor("query"), a.tensor("key"), a.tensor("value"), o)
	}),
}

func (a args) reduction() tensor.Reduction {
	switch a.string("reduction") {
	case "mean":
		return tensor.ReductionMean
	case "sum":
		return tensor.ReductionSum
	case "none":
		return tensor.ReductionNone
	}
	cannot("there is no such Reduction")
	return 0
}
