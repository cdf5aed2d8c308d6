package main

import (
	"github.com/descent-ml/descent/tensor"
)

var reductions = []operator{
	reduction("sum", (*T).Sum, (*T).SumKeep),
	reduction("mean", (*T).Mean, (*T).MeanKeep),
	reduction("amax", (*T).AMax, (*T).AMaxKeep),
	reduction("amin", (*T).AMin, (*T).AMinKeep),
	reduction("logsumexp", (*T).LogSumExp, (*T).LogSumExpKeep),
	reduction("prod", (*T).Prod, nil),
	reduction("all", (*T).All, nil),
	reduction("any", (*T).Any, nil),
	reduction("argmax", (*T).ArgMax, nil),
	reduction("argmin", (*T).ArgMin, nil),
	reduction("count_nonzero", (*T).CountNonzero, nil),
	extreme("max", (*T).Maximum, (*T).AMax, (*T).Max),
	extreme("min", (*T).Minimum, (*T).AMin, (*T).Min),
	variance("var", func(x *T, o tensor.VarOptions) []*T { return []*T{x.Var(o)} }),
	variance("std", func(x *T, o tensor.VarOptions) []*T { return []*T{x.Std(o)} }),
	variance("std_mean", func(x *T, o tensor.VarOptions) []*T {
		s, m := x.StdMean(o)
		return []*T{s, m}
	}),
	variance("var_mean", func(x *T, o tensor.VarOptions) []*T {
		v, m := x.VarMean(o)
		return []*T{v, m}
	}),
	row("norm", "input, p='fro', dim=None, keepdim=False, dtype=None", func(a args) *T {
		p := 2.0
		if a.values["p"] != "fro" {
			p = a.float("p")
		}
		return a.cast("input").Norm(p, a.reduce())
	}),
	row("linalg.vector_norm", "input, ord=2, dim=None, keepdim=False, dtype=None", func(a args) *T {
		return a.cast("input").Norm(a.float("ord"), a.reduce())
	}),
	row("cumsum", "input, dim, dtype=None", func(a args) *T { return a.cast("input").CumSum(a.int("dim")) }),
	row("cumprod", "input, dim, dtype=None", func(a args) *T { return a.cast("input").CumProd(a.int("dim")) }),
	rows("cummax", "input, dim", func(a args) []*T {
		v, i := a.tensor("input").CumMax(a.int("dim"))
		return []*T{v, i}
	}),
	rows("cummin", "input, dim", func(a args) []*T {
		v, i := a.tensor("input").CumMin(a.int("dim"))
		return []*T{v, i}
	}),
	rows("sort", "input, dim=-1, descending=False, stable=False", func(a args) []*T {
		v, i := a.tensor("input").Sort(a.int("dim"), a.bool("descending"))
		return []*T{v, i}
	}),
	row("argsort", "input, dim=-1, descending=False, stable=False", func(a args) *T {
		return a.tensor("input").ArgSort(a.int("dim"), a.bool("descending"))
	}),
	unary("msort", func(x *T) *T {
		v, _ := x.Sort(0, false)
		return v
	}),
	rows("topk", "input, k, dim=-1, largest=True, sorted=True", func(a args) []*T {
		v, i := a.tensor("input").TopK(a.int("k"), a.int("dim"), tensor.TopKOptions{Smallest: !a.bool("largest")})
		return []*T{v, i}
	}),
}

// axes is nil, for all, for None and for an empty tuple.
func (a args) axes(name string) []int {
	if axes := a.ints(name); len(axes) > 0 {
		return axes
	}
	return nil
}

func (a args) reduce() tensor.Reduce {
	return tensor.Reduce{Axes: a.axes("dim"), KeepDim: a.bool("keepdim")}
}

// reduction is the row of a reduction over axes; keep is its form that leaves
// them, nil if there is none.
func reduction(name string, drop, keep func(x *T, axes ...int) *T) operator {
	return row(name, "input, dim=None, keepdim=False, dtype=None", func(a args) *T {
		x, axes := a.cast("input"), a.axes("dim")
		if keep != nil && a.bool("keepdim") {
			return keep(x, axes...)
		}
		return a.kept(x, drop(x, axes...))
	})
}

// kept gives y, x reduced by an op that drops axes, the form that keepdim asks for.
func (a args) kept(x, y *T) *T {
	if !a.bool("keepdim") {
		return y
	}
	return y.Reshape(x.Detach().SumKeep(a.axes("dim")...).Shape()...)
}

// extreme is the row of max and min, which are three ops in one.
func extreme(name string, two func(x, y *T) *T, whole func(x *T, axes ...int) *T, along func(x *T, axis int) (values, indices *T)) operator {
	return rows(name, "input, dim=None, keepdim=False", func(a args) []*T {
		x := a.tensor("input")
		if a.none("dim") {
			return []*T{whole(x)}
		}
		if a.isTensor("dim") {
			return []*T{two(x, a.tensor("dim"))}
		}
		v, i := along(x, a.int("dim"))
		return []*T{a.kept(x, v), a.kept(x, i)}
	})
}

// variance is the row of var and its kin. In PyTorch the second argument may be
// unbiased instead of dim; both ways of saying it are a correction.
func variance(name string, f func(x *T, o tensor.VarOptions) []*T) operator {
	return rows(name, "input, dim=None, unbiased=None, keepdim=False, correction=None", func(a args) []*T {
		if _, ok := a.values["dim"].(bool); ok {
			a.values["unbiased"], a.values["dim"] = a.values["dim"], nil
		}
		o := tensor.VarOptions{Reduce: a.reduce()}
		switch {
		case !a.none("correction"):
			o.Correction = new(a.float("correction"))
		case !a.none("unbiased"):
			o.Correction = new(a.float("unbiased"))
		}
		return f(a.tensor("input"), o)
	})
}
