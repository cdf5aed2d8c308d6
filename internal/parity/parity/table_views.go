package main

import "github.com/descent-ml/descent/tensor"

var views = []operator{
	{"reshape", "input, *shape", func(a args) []*tensor.Tensor { return one(a.tensor("input").Reshape(a.ints("shape")...)) }},
	{"transpose", "input, dim0, dim1", func(a args) []*tensor.Tensor {
		return one(a.tensor("input").Transpose(a.int("dim0"), a.int("dim1")))
	}},
	{"expand", "input, *shape", func(a args) []*tensor.Tensor { return one(a.tensor("input").Expand(a.ints("shape")...)) }},
	{"unsqueeze", "input, dim", func(a args) []*tensor.Tensor { return one(a.tensor("input").Unsqueeze(a.int("dim"))) }},
}
