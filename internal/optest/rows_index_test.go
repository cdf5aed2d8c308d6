package optest

import "github.com/descent-ml/descent/tensor"

// at indexes x; the further inputs stand in for the nils in order.
func at(indices ...any) func(x []*T) *T {
	return func(x []*T) *T {
		k := 1
		full := append([]any{}, indices...)
		for i, index := range full {
			if index == nil {
				full[i] = x[k]
				k++
			}
		}
		return x[0].At(full...)
	}
}

var _ = rows("index",
	Row{name: "gather", op: func(x, i *T) *T { return x.Gather(1, i) }, torch: "x.gather(1, y)", in: in(f(3, 4), ints(0, 4, 3, 6)), ints: true},
	Row{name: "gather_smaller", op: func(x, i *T) *T { return x.Gather(0, i) }, torch: "x.gather(0, y)", in: in(f(3, 4), ints(0, 3, 2, 3))},
	Row{name: "gather_scalar", op: func(x, i *T) *T { return x.Gather(0, i) }, torch: "x.gather(0, y)", in: in(f(), ints(0, 1, 3))},
	Row{name: "scatter", op: func(x, i, y *T) *T { return x.Scatter(0, i, y) }, torch: "x.scatter(0, y, z)", in: in(f(3, 2), ints(0, 3, 1, 2), f(1, 2))},
	Row{name: "scatter_fill", op: func(x, i *T) *T { return x.ScatterFill(1, i, 3) }, torch: "x.scatter(1, y, 3)", in: in(f(3, 4), ints(0, 4, 3, 2))},
	Row{name: "scatter_add", op: func(x, i, y *T) *T { return x.ScatterAdd(0, i, y) }, torch: "x.scatter_add(0, y, z)", in: in(f(3, 2), ints(0, 3, 5, 2), f(5, 2)), ints: true},
	Row{name: "index_select", op: func(x, i *T) *T { return x.IndexSelect(1, i) }, torch: "x.index_select(1, y)", in: in(f(2, 4, 3), ints(0, 4, 5)), ints: true},
	Row{name: "index_add", op: func(x, i, y *T) *T { return x.IndexAdd(0, i, y, 2) }, torch: "x.index_add(0, y, z, alpha=2)", in: in(f(3, 2), ints(0, 3, 4), f(4, 2))},
	Row{name: "take_along_dim", op: func(x, i *T) *T { return x.TakeAlongDim(1, i) }, torch: "x.take_along_dim(y, 1)", in: in(f(1, 4), ints(0, 4, 3, 2))},
	Row{name: "embedding", op: func(w, i *T) *T { return tensor.Embedding(w, i, tensor.EmbeddingOptions{}) }, torch: "F.embedding(y, x)", in: in(f(5, 3), ints(0, 5, 2, 4))},
	Row{name: "embedding_padding", op: func(w, i *T) *T { return tensor.Embedding(w, i, tensor.EmbeddingOptions{PaddingIndex: new(-4)}) }, torch: "F.embedding(y, x, padding_idx=-4)",
		in: in(f(5, 3), ints(0, 5, 12)), noCheck: "the padding row's gradient is left out"},
	Row{name: "one_hot", op: func(i *T) *T { return i.OneHot(4) }, torch: "F.one_hot(x, 4)", in: in(ints(0, 4, 2, 3)), noGrad: "integers"},
	Row{name: "masked_select", op: func(x, m *T) *T { return x.MaskedSelect(m) }, torch: "x.masked_select(y)", in: in(f(3, 4), bools(4)), noNull: "its length"},
	Row{name: "nonzero", op: func(x *T) *T { return x.NonZero() }, torch: "x.nonzero()", in: in(ints(0, 2, 3, 4)), noGrad: "indices", noNull: "its length"},
	Row{name: "at_int", op: at(-1), torch: "x[-1]", in: in(f(3, 4)), extra: 64},
	Row{name: "at_range", op: at(tensor.All, tensor.Range{Start: 1, Stop: -1, Step: 2}), torch: "x[:, 1:-1:2]", in: in(f(2, 6)), extra: 64},
	Row{name: "at_new", op: at(tensor.Ellipsis, tensor.NewAxis, 1), torch: "x[..., None, 1]", in: in(f(2, 3)), extra: 32},
	Row{name: "at_list", op: at([]int{2, 0, -1}), torch: "x[[2, 0, -1]]", in: in(f(3, 2))},
	Row{name: "at_tensor", op: at(tensor.All, nil), torch: "x[:, y]", in: in(f(2, 4, 3), ints(-4, 4, 2, 2))},
	Row{name: "at_pair", op: at(nil, nil), torch: "x[y, z]", in: in(f(4, 4, 2), ints(0, 4, 3), ints(0, 4, 2, 1))},
	Row{name: "at_apart", op: at(nil, tensor.All, nil), torch: "x[y, :, z]", in: in(f(4, 3, 4), ints(0, 4, 2), ints(0, 4, 2))},
	Row{name: "at_middle", op: at(tensor.All, nil, nil), torch: "x[:, y, z]", in: in(f(2, 3, 4, 2), ints(0, 3, 2), ints(0, 4, 2))},
	Row{name: "at_mask", op: at(nil), torch: "x[y]", in: in(f(3, 4), bools(3, 4)), noNull: "its length"},
	Row{name: "at_mask_rows", op: at(tensor.All, nil), torch: "x[:, y]", in: in(f(2, 4, 3), bools(4)), noNull: "its length"},
)

var _ = rows("view",
	Row{name: "reshape", op: func(x *T) *T { return x.Reshape(3, -1) }, torch: "x.reshape(3, -1)", in: in(f(2, 3, 2)), ints: true},
	Row{name: "flatten", op: func(x *T) *T { return x.Flatten(1, -1) }, torch: "x.flatten(1)", in: in(f(2, 3, 2))},
	Row{name: "flatten_scalar", op: func(x *T) *T { return x.Flatten(0, -1) }, torch: "x.flatten()", in: in(f())},
	Row{name: "permute", op: func(x *T) *T { return x.Permute(2, 0, -2) }, torch: "x.permute(2, 0, -2)", in: in(f(2, 3, 4)), ints: true},
	Row{name: "transpose", op: func(x *T) *T { return x.Transpose(0, -1) }, torch: "x.transpose(0, -1)", in: in(f(2, 3, 4))},
	Row{name: "slice", op: func(x *T) *T { return x.Slice(1, -4, 100, 3) }, torch: "x[:, -4:100:3]", in: in(f(2, 6)), extra: 64, ints: true},
	Row{name: "narrow", op: func(x *T) *T { return x.Narrow(0, 1, 2) }, torch: "x.narrow(0, 1, 2)", in: in(f(4, 2)), extra: 32},
	Row{name: "select", op: func(x *T) *T { return x.Select(1, -1) }, torch: "x.select(1, -1)", in: in(f(2, 3)), extra: 32},
	Row{name: "expand", op: func(x *T) *T { return x.Expand(2, -1, 3) }, torch: "x.expand(2, -1, 3)", in: in(f(4, 1))},
	Row{name: "squeeze", op: func(x *T) *T { return x.Squeeze() }, torch: "x.squeeze()", in: in(f(1, 3, 1))},
	Row{name: "squeeze_axis", op: func(x *T) *T { return x.Squeeze(0, 1) }, torch: "x.squeeze((0, 1))", in: in(f(1, 3, 1))},
	Row{name: "unsqueeze", op: func(x *T) *T { return x.Unsqueeze(-2) }, torch: "x.unsqueeze(-2)", in: in(f(2, 3))},
	Row{name: "contiguous", op: func(x *T) *T { return x.T().Contiguous() }, torch: "x.t().contiguous()", in: in(f(2, 3))},
	Row{name: "channels_last", op: (*T).ChannelsLast, torch: "x.contiguous(memory_format=torch.channels_last)", in: in(f(2, 3, 2, 2))},
)

var _ = rows("matmul",
	Row{name: "matmul", op: (*T).MatMul, torch: "x @ y", in: in(f(2, 3), f(3, 4)), ints: true},
	Row{name: "matmul_vectors", op: (*T).MatMul, torch: "x @ y", in: in(f(3), f(3))},
	Row{name: "matmul_row", op: (*T).MatMul, torch: "x @ y", in: in(f(3), f(2, 3, 2))},
	Row{name: "matmul_column", op: (*T).MatMul, torch: "x @ y", in: in(f(2, 2, 3), f(3))},
	Row{name: "matmul_batched", op: (*T).MatMul, torch: "x @ y", in: in(f(2, 1, 2, 3), f(3, 3, 2))},
	Row{name: "matmul_folds", op: (*T).MatMul, torch: "x @ y", in: in(f(2, 3, 4), f(4, 2))},
	Row{name: "matmul_nothing", op: (*T).MatMul, torch: "x @ y", in: in(f(2, 0), f(0, 3))},
	Row{name: "linear", op: func(x, w, b *T) *T { return tensor.Linear(x, w, b) }, torch: "F.linear(x, y, z)", in: in(f(2, 3), f(4, 3), f(4))},
	Row{name: "linear_batched", op: func(x, w *T) *T { return tensor.Linear(x, w, nil) }, torch: "F.linear(x, y)", in: in(f(2, 2, 3), f(4, 3))},
	Row{name: "linear_vector", op: func(x, w, b *T) *T { return tensor.Linear(x, w, b) }, torch: "F.linear(x, y, z)", in: in(f(3), f(4, 3), f(4))},
)
