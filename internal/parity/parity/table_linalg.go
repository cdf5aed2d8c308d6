package main

import "github.com/descent-ml/descent/tensor"

var products = []operator{
	pairwise("matmul", "other", (*T).MatMul, nil),
	pairwise("mm", "mat2", (*T).MM, nil),
	pairwise("bmm", "mat2", (*T).BMM, nil),
	pairwise("mv", "vec", (*T).MV, nil),
	pairwise("dot", "other", (*T).Dot, nil),
	pairwise("vdot", "other", (*T).Dot, nil),
	pairwise("outer", "vec2", (*T).Outer, nil),
	weighted("addmm", (*T).AddMM),
	weighted("addmv", (*T).AddMV),
	weighted("addr", (*T).AddR),
	weighted("baddbmm", (*T).BAddBMM),
	weighted("addbmm", (*T).AddBMM),
	unary("trace", (*T).Trace),
	row("diag", "input, diagonal=0", func(a args) *T { return a.tensor("input").Diag(a.int("diagonal")) }),
	row("tensordot", "input, other, dims=2", func(a args) *T {
		x, y := a.tensor("input"), a.tensor("other")
		if pairs, ok := a.values["dims"].([]any); ok {
			a.values["left"], a.values["right"] = pairs[0], pairs[1]
			return x.TensorDot(y, a.ints("left"), a.ints("right"))
		}
		var left, right []int
		for i := range a.int("dims") {
			left, right = append(left, x.Dim()-a.int("dims")+i), append(right, i)
		}
		return x.TensorDot(y, left, right)
	}),
	row("nn.functional.linear", "input, weight, bias=None", func(a args) *T {
		return tensor.Linear(a.tensor("input"), a.tensor("weight"), a.maybe("bias"))
	}),
}

// weighted is the row of an op that adds a product.
func weighted(name string, f func(x, y, z *T, beta, alpha float64) *T) operator {
	return row(name, "input, x, y, beta=1, alpha=1", func(a args) *T {
		return f(a.tensor("input"), a.tensor("x"), a.tensor("y"), a.float("beta"), a.float("alpha"))
	})
}
