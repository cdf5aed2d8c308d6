package main

import "github.com/descent-ml/descent/tensor"

var indexing = []operator{
	row("__getitem__", "input, index", func(a args) *T { return a.tensor("input").At(a.indices("index")...) }),
	row("gather", "input, dim, index", func(a args) *T { return a.tensor("input").Gather(a.int("dim"), a.tensor("index")) }),
	row("scatter", "input, dim, index, src, reduce=None", func(a args) *T {
		x, index := a.tensor("input"), a.tensor("index")
		if !a.none("reduce") {
			cannot("Scatter has no reduce")
		}
		if !a.isTensor("src") {
			return x.ScatterFill(a.int("dim"), index, a.float("src"))
		}
		return x.Scatter(a.int("dim"), index, a.tensor("src"))
	}),
	row("scatter_add", "input, dim, index, src", func(a args) *T {
		return a.tensor("input").ScatterAdd(a.int("dim"), a.tensor("index"), a.tensor("src"))
	}),
	row("index_select", "input, dim, index", func(a args) *T {
		return a.tensor("input").IndexSelect(a.int("dim"), a.tensor("index"))
	}),
	row("index_add", "input, dim, index, source, alpha=1", func(a args) *T {
		return a.tensor("input").IndexAdd(a.int("dim"), a.tensor("index"), a.tensor("source"), a.float("alpha"))
	}),
	row("index_fill", "input, dim, index, value", func(a args) *T {
		if a.isTensor("value") {
			cannot("IndexFill takes a number")
		}
		return a.tensor("input").IndexFill(a.int("dim"), a.tensor("index"), a.float("value"))
	}),
	row("index_copy", "input, dim, index, source", func(a args) *T {
		return a.tensor("input").IndexCopy(a.int("dim"), a.tensor("index"), a.tensor("source"))
	}),
	row("index_put", "input, indices, values, accumulate=False", func(a args) *T {
		return a.tensor("input").IndexPut(a.tensor("values"), a.bool("accumulate"), a.indices("indices")...)
	}),
	row("take_along_dim", "input, indices, dim=None", func(a args) *T {
		x, index, axis := a.tensor("input"), a.tensor("indices"), 0
		if a.none("dim") {
			x, index = x.Reshape(-1), index.Reshape(-1)
		} else {
			axis = a.int("dim")
		}
		return x.TakeAlongDim(axis, index)
	}),
	pairwise("masked_select", "mask", (*T).MaskedSelect, nil),
	row("nonzero", "input, as_tuple=False", func(a args) *T {
		if a.bool("as_tuple") {
			cannot("NonZero gives one tensor")
		}
		return a.tensor("input").NonZero()
	}),
	unary("argwhere", (*T).NonZero),
	row("nn.functional.embedding", "weight, input, padding_idx=None, max_norm=None, norm_type=2.0, scale_grad_by_freq=False, sparse=False", func(a args) *T {
		if !a.none("max_norm") || a.bool("scale_grad_by_freq") || a.bool("sparse") {
			cannot("Embedding has no max_norm, no scale_grad_by_freq and no sparse")
		}
		var o tensor.EmbeddingOptions
		if !a.none("padding_idx") {
			o.PaddingIndex = new(a.int("padding_idx"))
		}
		return tensor.Embedding(a.tensor("weight"), a.tensor("input"), o)
	}),
	row("nn.functional.one_hot", "input, num_classes=-1", func(a args) *T {
		return a.tensor("input").OneHot(a.int("num_classes"))
	}),
}

// indices are what stands between Python's brackets, as At takes it.
func (a args) indices(name string) []any {
	x := a.tensor("input")
	list, ok := a.values[name].([]any)
	if !ok || indexList(list) != nil {
		list = []any{a.values[name]}
	}
	at, axis := make([]any, len(list)), 0
	for i, v := range list {
		size := 0
		if axis < x.Dim() {
			size = x.Size(axis)
		}
		axis++
		switch v := v.(type) {
		case int64:
			at[i] = int(v)
		case nil:
			at[i] = tensor.NewAxis
		case ellipsis:
			at[i] = tensor.Ellipsis
		case slicing:
			start, stop, step := v.bounds(size)
			at[i] = tensor.Range{Start: start, Stop: stop, Step: step}
		case []any:
			at[i] = indexList(v)
		default:
			at[i] = v
		}
	}
	return at
}

// indexList is v as ints, nil if it is none.
func indexList(v []any) []int {
	ints := make([]int, len(v))
	for i, x := range v {
		n, ok := x.(int64)
		if !ok {
			return nil
		}
		ints[i] = int(n)
	}
	return ints
}

// bounds resolves None; the rest is Descent's to understand.
func (s slicing) bounds(size int) (start, stop, step int) {
	or := func(v any, def int) int {
		if n, ok := v.(int64); ok {
			return int(n)
		}
		return def
	}
	return or(s.start, 0), or(s.stop, size), or(s.step, 1)
}

func pythonSlice(x *T, axis int, s slicing) *T {
	start, stop, step := s.bounds(x.Size(axis))
	return x.Slice(axis, start, stop, step)
}
