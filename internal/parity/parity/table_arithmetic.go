package main

import "github.com/descent-ml/descent/tensor"

var arithmetic = []operator{
	{"matmul", "input, other", func(a args) []*tensor.Tensor { return one(a.tensor("input").MatMul(a.tensor("other"))) }},
}
