package optest

import (
	"math"

	"github.com/descent-ml/descent/tensor"
)

// over calls a reduction with axes.
func over(op func(x *T, axes ...int) *T, axes ...int) func(x *T) *T {
	return func(x *T) *T { return op(x, axes...) }
}

func variance(op func(x *T, o tensor.VarOptions) *T, correction *float64, keep bool, axes ...int) func(x *T) *T {
	return func(x *T) *T {
		return op(x, tensor.VarOptions{Reduce: tensor.Reduce{Axes: axes, KeepDim: keep}, Correction: correction})
	}
}

func pNorm(p float64, axes ...int) func(x *T) *T {
	return func(x *T) *T { return x.Norm(p, tensor.Reduce{Axes: axes}) }
}

var _ = rows("reduce",
	Row{name: "sum", op: over((*T).Sum), torch: "x.sum()", in: in(f(2, 3)), ints: true},
	Row{name: "sum_axis", op: over((*T).Sum, -2), torch: "x.sum(-2)", in: in(f(2, 3, 4)), ints: true},
	Row{name: "sum_axes", op: over((*T).Sum, 2, 0), torch: "x.sum((2, 0))", in: in(f(2, 3, 4))},
	Row{name: "sum_keep", op: over((*T).SumKeep, 1), torch: "x.sum(1, keepdim=True)", in: in(f(2, 3))},
	Row{name: "sum_scalar", op: over((*T).Sum), torch: "x.sum()", in: in(f())},
	Row{name: "sum_empty", op: over((*T).Sum, 1), torch: "x.sum(1)", in: in(f(2, 0))},
	Row{name: "sum_images", op: over((*T).Sum, 0, 2, 3), torch: "x.sum((0, 2, 3))", in: in(f(2, 3, 2, 2))},
	Row{name: "mean", op: over((*T).Mean), torch: "x.mean()", in: in(f(2, 3))},
	Row{name: "mean_axis", op: over((*T).Mean, 0), torch: "x.mean(0)", in: in(f(2, 3))},
	Row{name: "mean_keep", op: over((*T).MeanKeep, 0, 2), torch: "x.mean((0, 2), keepdim=True)", in: in(f(2, 3, 4))},
	Row{name: "var", op: variance((*T).Var, nil, false), torch: "x.var()", in: in(f(2, 3))},
	Row{name: "var_axis", op: variance((*T).Var, new(0.0), true, 1), torch: "x.var(1, correction=0, keepdim=True)", in: in(f(2, 3))},
	Row{name: "std", op: variance((*T).Std, nil, false, 0), torch: "x.std(0)", in: in(f(4, 3))},
	Row{name: "std_zero", op: variance((*T).Std, nil, false), torch: "x.std()", in: in(f(3).of(1, 1, 1)), noCheck: "its slope is infinite", noSecond: "so is that"},
	Row{name: "var_mean", op: func(x *T) (*T, *T) { return x.VarMean(tensor.VarOptions{Reduce: tensor.Reduce{Axes: []int{1}}}) },
		torch: "torch.var_mean(x, 1)", in: in(f(2, 3))},
	Row{name: "prod", op: over((*T).Prod), torch: "x.prod()", in: in(f(2, 3)), ints: true},
	Row{name: "prod_axis", op: over((*T).Prod, 1), torch: "x.prod(1)", in: in(f(2, 3, 2)), ints: true},
	Row{name: "prod_zero", op: over((*T).Prod, 1), torch: "x.prod(1)", in: in(f(3, 3).of(1, 0, 2, 0, 0, 3))},
	Row{name: "amax", op: over((*T).AMax), torch: "x.amax()", in: in(f(2, 3)), ints: true},
	Row{name: "amax_axes", op: over((*T).AMaxKeep, 0, 2), torch: "x.amax((0, 2), keepdim=True)", in: in(f(2, 3, 4))},
	Row{name: "amax_tie", op: over((*T).AMax, 1), torch: "x.amax(1)", in: in(f(2, 3).of(1, 1, 0)), noCheck: "it has a kink there", noSecond: "so it has"},
	Row{name: "amin", op: over((*T).AMin, -1), torch: "x.amin(-1)", in: in(f(2, 3)), ints: true},
	Row{name: "max", op: func(x *T) (*T, *T) { return x.Max(1) }, torch: "x.max(1)", in: in(f(2, 3)), ints: true},
	Row{name: "max_tie", op: func(x *T) (*T, *T) { return x.Max(0) }, torch: "x.max(0)", in: in(f(3).of(2, 2, 1)), noCheck: "it has a kink there"},
	Row{name: "min", op: func(x *T) (*T, *T) { return x.Min(-2) }, torch: "x.min(-2)", in: in(f(2, 3)), ints: true},
	Row{name: "argmax", op: over((*T).ArgMax), torch: "x.argmax()", in: in(f(2, 3)), noGrad: "an index"},
	Row{name: "argmin", op: over((*T).ArgMin, 0), torch: "x.argmin(0)", in: in(f(3, 4)), noGrad: "an index"},
	Row{name: "all", op: over((*T).All, 1), torch: "x.all(1)", in: in(bools(4, 2)), noGrad: "bool"},
	Row{name: "any", op: over((*T).Any), torch: "x.any()", in: in(bools(2, 2)), noGrad: "bool"},
	Row{name: "count_nonzero", op: over((*T).CountNonzero, 0), torch: "x.count_nonzero(0)", in: in(ints(0, 2, 3, 2)), noGrad: "a number"},
	Row{name: "logsumexp", op: over((*T).LogSumExp, 1), torch: "x.logsumexp(1)", in: in(f(2, 5))},
	Row{name: "logsumexp_axes", op: over((*T).LogSumExpKeep, 0, 1), torch: "x.logsumexp((0, 1), keepdim=True)", in: in(f(2, 5))},
	Row{name: "logsumexp_far", op: over((*T).LogSumExp, 0), torch: "x.logsumexp(0)", in: in(f(3).between(900, 1100)), noHalf: "half lacks the range", tol: 4},
	Row{name: "norm", op: pNorm(2), torch: "torch.linalg.vector_norm(x, 2)", in: in(f(2, 3))},
	Row{name: "norm_1", op: pNorm(1, 1), torch: "torch.linalg.vector_norm(x, 1, 1)", in: in(f(2, 3))},
	Row{name: "norm_3", op: pNorm(3, 0), torch: "torch.linalg.vector_norm(x, 3, 0)", in: in(f(2, 3))},
	Row{name: "norm_inf", op: pNorm(math.Inf(1), 1), torch: "torch.linalg.vector_norm(x, float('inf'), 1)", in: in(f(2, 3))},
	Row{name: "norm_zero", op: pNorm(2), torch: "torch.linalg.vector_norm(x, 2)", in: in(f(2).of(0, 0)), noCheck: "it has a kink there", noSecond: "so it has"},
)

var _ = rows("scan",
	Row{name: "cumsum", op: func(x *T) *T { return x.CumSum(1) }, torch: "x.cumsum(1)", in: in(f(2, 5)), ints: true},
	Row{name: "cumsum_first", op: func(x *T) *T { return x.CumSum(0) }, torch: "x.cumsum(0)", in: in(f(4, 3, 2))},
	Row{name: "cumsum_empty", op: func(x *T) *T { return x.CumSum(0) }, torch: "x.cumsum(0)", in: in(f(0, 3))},
	Row{name: "cumprod", op: func(x *T) *T { return x.CumProd(-1) }, torch: "x.cumprod(-1)", in: in(f(2, 4)), ints: true},
	Row{name: "cumprod_zero", op: func(x *T) *T { return x.CumProd(0) }, torch: "x.cumprod(0)", in: in(f(5).of(2, 0, 3, 0))},
	Row{name: "cummin", op: func(x *T) (*T, *T) { return x.CumMin(0) }, torch: "x.cummin(0)", in: in(f(5, 2)), ints: true},
	Row{name: "cummax", op: func(x *T) (*T, *T) { return x.CumMax(1) }, torch: "x.cummax(1)", in: in(f(2, 6)), ints: true},
)

var _ = rows("sort",
	Row{name: "sort", op: func(x *T) (*T, *T) { return x.Sort(1, false) }, torch: "x.sort(1)", in: in(f(3, 6))},
	Row{name: "sort_descending", op: func(x *T) (*T, *T) { return x.Sort(0, true) }, torch: "x.sort(0, descending=True)", in: in(f(5, 2))},
	Row{name: "sort_stable", op: func(x *T) (*T, *T) { return x.Sort(0, true) }, torch: "x.sort(stable=True, dim=0, descending=True)", in: in(ints(0, 3, 12)), noGrad: "integers"},
	Row{name: "argsort", op: func(x *T) *T { return x.ArgSort(-1, false) }, torch: "x.argsort(-1)", in: in(f(2, 5)), noGrad: "an index"},
	Row{name: "topk", op: func(x *T) (*T, *T) { return x.TopK(2, 1, tensor.TopKOptions{}) }, torch: "x.topk(2, 1)", in: in(f(3, 5))},
	Row{name: "topk_smallest", op: func(x *T) (*T, *T) { return x.TopK(3, 0, tensor.TopKOptions{Smallest: true}) }, torch: "x.topk(3, 0, largest=False)", in: in(f(5, 2))},
)
