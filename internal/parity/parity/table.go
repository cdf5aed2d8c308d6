package main

import (
	"slices"

	"github.com/descent-ml/descent/tensor"
)

// T is what rows are about.
type T = tensor.Tensor

// table has every operator of op_db that Descent has. A new one is a row in the
// file of its kind.
func table() []operator {
	return slices.Concat(creation, casts, arithmetic, comparisons, pointwise, activations, reductions, views, joins, indexing,
		products, convolutions, pools, norms, losses)
}

// row is an operator with one result, rows one with several.
func row(name, parameters string, run func(a args) *T) operator {
	return rows(name, parameters, func(a args) []*T { return []*T{run(a)} })
}

func rows(name, parameters string, run func(a args) []*T) operator {
	return operator{name, parameters, run}
}

// unary is the row of an op of a tensor alone.
func unary(name string, f func(x *T) *T) operator {
	return row(name, "input", func(a args) *T { return f(a.tensor("input")) })
}

// pairwise is the row of an op of two tensors, or of a tensor and a number if
// there is an op for it. In op_db the second operand has several names.
func pairwise(name, other string, f func(x, y *T) *T, number func(x *T, c float64) *T) operator {
	return row(name, "input, "+other, func(a args) *T {
		if number != nil && !a.isTensor(other) {
			return number(a.tensor("input"), a.float(other))
		}
		return f(a.tensor("input"), a.tensor(other))
	})
}
