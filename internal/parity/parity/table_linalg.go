package main

import "github.com/descent-ml/descent/tensor"

var products = []operator{
	pairwise("matmul", "other", (*T).MatMul, nil),
	row("nn.functional.linear", "input, weight, bias=None", func(a args) *T {
		return tensor.Linear(a.tensor("input"), a.tensor("weight"), a.maybe("bias"))
	}),
}
