package main

import "github.com/descent-ml/descent/tensor"

var views = []operator{
	row("reshape", "input, *shape", func(a args) *T { return a.tensor("input").Reshape(a.ints("shape")...) }),
	row("view", "input, *shape", func(a args) *T { return a.tensor("input").View(a.ints("shape")...) }),
	row("reshape_as", "input, other", func(a args) *T { return a.tensor("input").Reshape(a.tensor("other").Shape()...) }),
	row("view_as", "input, other", func(a args) *T { return a.tensor("input").View(a.tensor("other").Shape()...) }),
	unary("ravel", func(x *T) *T { return x.Reshape(-1) }),
	row("flatten", "input, start_dim=0, end_dim=-1", func(a args) *T {
		return a.tensor("input").Flatten(a.int("start_dim"), a.int("end_dim"))
	}),
	row("unflatten", "input, dim, sizes", func(a args) *T {
		return a.tensor("input").Unflatten(a.int("dim"), a.ints("sizes")...)
	}),
	row("transpose", "input, dim0, dim1", func(a args) *T {
		return a.tensor("input").Transpose(a.int("dim0"), a.int("dim1"))
	}),
	unary("t", (*T).T),
	row("permute", "input, *dims", func(a args) *T { return a.tensor("input").Permute(a.ints("dims")...) }),
	row("movedim", "input, source, destination", func(a args) *T {
		return a.tensor("input").Movedim(a.ints("source"), a.ints("destination"))
	}),
	row("expand", "input, *shape", func(a args) *T { return a.tensor("input").Expand(a.ints("shape")...) }),
	row("broadcast_to", "input, shape", func(a args) *T { return a.tensor("input").Expand(a.ints("shape")...) }),
	pairwise("expand_as", "other", (*T).ExpandAs, nil),
	row("unsqueeze", "input, dim", func(a args) *T { return a.tensor("input").Unsqueeze(a.int("dim")) }),
	row("squeeze", "input, dim=None", func(a args) *T {
		if axes := a.ints("dim"); axes == nil || len(axes) > 0 {
			return a.tensor("input").Squeeze(axes...)
		}
		return a.tensor("input") // PyTorch's squeeze(()) names no axis at all
	}),
	row("slice", "input, dim=0, start=None, end=None, step=1", func(a args) *T {
		x := a.tensor("input")
		return pythonSlice(x, a.int("dim"), slicing{a.values["start"], a.values["end"], a.values["step"]})
	}),
	row("narrow", "input, dim, start, length", func(a args) *T {
		if a.isTensor("start") {
			if !a.tensor("start").DType().IsInt() {
				cannot("Narrow takes an int")
			}
			a.values["start"] = a.tensor("start").IntItem()
		}
		return a.tensor("input").Narrow(a.int("dim"), a.int("start"), a.int("length"))
	}),
	row("select", "input, dim, index", func(a args) *T { return a.tensor("input").Select(a.int("dim"), a.int("index")) }),
	rows("split", "input, split_size_or_sections, dim=0", func(a args) []*T {
		if _, ok := a.values["split_size_or_sections"].([]any); ok {
			return a.tensor("input").SplitSizes(a.int("dim"), a.ints("split_size_or_sections")...)
		}
		return a.tensor("input").Split(a.int("dim"), a.int("split_size_or_sections"))
	}),
	rows("split_with_sizes", "input, split_sizes, dim=0", func(a args) []*T {
		return a.tensor("input").SplitSizes(a.int("dim"), a.ints("split_sizes")...)
	}),
	rows("chunk", "input, chunks, dim=0", func(a args) []*T { return a.tensor("input").Chunk(a.int("dim"), a.int("chunks")) }),
	rows("unbind", "input, dim=0", func(a args) []*T { return a.tensor("input").Unbind(a.int("dim")) }),
	row("diagonal", "input, offset=0, dim1=0, dim2=1", func(a args) *T {
		return a.tensor("input").Diagonal(a.int("offset"), a.int("dim1"), a.int("dim2"))
	}),
	row("linalg.diagonal", "input, offset=0, dim1=-2, dim2=-1", func(a args) *T {
		return a.tensor("input").Diagonal(a.int("offset"), a.int("dim1"), a.int("dim2"))
	}),
	row("diag_embed", "input, offset=0, dim1=-2, dim2=-1", func(a args) *T {
		return a.tensor("input").DiagEmbed(a.int("offset"), a.int("dim1"), a.int("dim2"))
	}),
	row("unfold", "input, dimension, size, step", func(a args) *T {
		return a.tensor("input").Unfold(a.int("dimension"), a.int("size"), a.int("step"))
	}),
}

var joins = []operator{
	row("cat", "tensors, dim=0", func(a args) *T { return tensor.Cat(a.tensors("tensors"), a.int("dim")) }),
	row("stack", "tensors, dim=0", func(a args) *T { return tensor.Stack(a.tensors("tensors"), a.int("dim")) }),
	row("repeat", "input, *repeats", func(a args) *T { return a.tensor("input").Repeat(a.ints("repeats")...) }),
	row("tile", "input, *dims", func(a args) *T { return a.tensor("input").Tile(a.ints("dims")...) }),
	row("repeat_interleave", "input, repeats, dim=None, output_size=None", func(a args) *T {
		x, axis := a.tensor("input"), 0
		if a.none("dim") {
			x = x.Reshape(-1)
		} else {
			axis = a.int("dim")
		}
		return x.RepeatInterleave(axis, a.int("repeats"))
	}),
	row("flip", "input, dims", func(a args) *T { return a.tensor("input").Flip(a.ints("dims")...) }),
	row("roll", "input, shifts, dims=None", func(a args) *T {
		return a.tensor("input").Roll(a.ints("shifts"), a.axes("dims")...)
	}),
	row("nn.functional.pad", "input, pad, mode='constant', value=None", func(a args) *T {
		o := tensor.PadOptions{}
		switch a.string("mode") {
		case "constant":
			if !a.none("value") {
				o.Value = a.float("value")
			}
		case "reflect":
			o.Mode = tensor.PadReflect
		case "replicate":
			o.Mode = tensor.PadReplicate
		case "circular":
			o.Mode = tensor.PadCircular
		default:
			cannot("there is no such PadMode")
		}
		return a.tensor("input").Pad(a.ints("pad"), o)
	}),
	row("constant_pad_nd", "input, pad, value=0", func(a args) *T {
		return a.tensor("input").Pad(a.ints("pad"), tensor.PadOptions{Value: a.float("value")})
	}),
	row("tril", "input, diagonal=0", func(a args) *T { return a.tensor("input").Tril(a.int("diagonal")) }),
	row("triu", "input, diagonal=0", func(a args) *T { return a.tensor("input").Triu(a.int("diagonal")) }),
	rows("meshgrid", "*tensors, indexing='ij'", func(a args) []*T {
		if a.string("indexing") != "ij" {
			cannot("Meshgrid has no indexing")
		}
		return tensor.Meshgrid(a.tensors("tensors")...)
	}),
}
