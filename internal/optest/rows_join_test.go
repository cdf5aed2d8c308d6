package optest

import "github.com/descent-ml/descent/tensor"

func cat(axis int) func(x []*T) *T   { return func(x []*T) *T { return tensor.Cat(x, axis) } }
func stack(axis int) func(x []*T) *T { return func(x []*T) *T { return tensor.Stack(x, axis) } }

func pad(mode tensor.PadMode, value float64, pads ...int) func(x *T) *T {
	return func(x *T) *T { return x.Pad(pads, tensor.PadOptions{Mode: mode, Value: value}) }
}

var _ = rows("join",
	Row{name: "cat", op: cat(1), torch: "torch.cat(xs, 1)", in: in(f(2, 3), f(2, 1), f(2, 2)), ints: true},
	Row{name: "cat_last", op: cat(-1), torch: "torch.cat(xs, -1)", in: in(f(2, 3, 2), f(2, 3, 4))},
	Row{name: "cat_first", op: cat(0), torch: "torch.cat(xs, 0)", in: in(f(2, 3, 2, 2), f(1, 3, 2, 2))},
	Row{name: "cat_one", op: cat(0), torch: "torch.cat(xs)", in: in(f(3))},
	Row{name: "cat_promotes", op: cat(0), torch: "torch.cat(xs)", in: in(f(3), ints(0, 5, 2), bools(2))},
	Row{name: "stack", op: stack(1), torch: "torch.stack(xs, 1)", in: in(f(2, 3), f(2, 3)), ints: true},
	Row{name: "stack_last", op: stack(-1), torch: "torch.stack(xs, -1)", in: in(f(2, 3), f(2, 3), f(2, 3))},
	Row{name: "stack_scalars", op: stack(0), torch: "torch.stack(xs)", in: in(f(), f())},
	Row{name: "split", op: func(x []*T) []*T { return x[0].Split(1, 2) }, torch: "torch.split(x, 2, 1)", in: in(f(2, 5)), ints: true, extra: 80},
	Row{name: "split_sizes", op: func(x []*T) []*T { return x[0].SplitSizes(-1, 1, 0, 4) }, torch: "torch.split(x, [1, 0, 4], -1)", in: in(f(2, 5)), extra: 80},
	Row{name: "chunk", op: func(x []*T) []*T { return x[0].Chunk(0, 3) }, torch: "torch.chunk(x, 3)", in: in(f(7, 2)), extra: 112},
	Row{name: "unbind", op: func(x []*T) []*T { return x[0].Unbind(-1) }, torch: "torch.unbind(x, -1)", in: in(f(2, 3)), extra: 48},
	Row{name: "repeat", op: func(x *T) *T { return x.Repeat(2, 1, 3) }, torch: "x.repeat(2, 1, 3)", in: in(f(2, 3)), ints: true},
	Row{name: "repeat_scalar", op: func(x *T) *T { return x.Repeat(2) }, torch: "x.repeat(2)", in: in(f())},
	Row{name: "tile", op: func(x *T) *T { return x.Tile(2) }, torch: "torch.tile(x, (2,))", in: in(f(2, 3))},
	Row{name: "repeat_interleave", op: func(x *T) *T { return x.RepeatInterleave(0, 3) }, torch: "torch.repeat_interleave(x, 3, 0)", in: in(f(2, 3)), ints: true},
	Row{name: "flip", op: func(x *T) *T { return x.Flip(0, -1) }, torch: "torch.flip(x, (0, -1))", in: in(f(2, 3, 4)), ints: true},
	Row{name: "flip_scalar", op: func(x *T) *T { return x.Flip(0) }, torch: "torch.flip(x, (0,))", in: in(f())},
	Row{name: "roll", op: func(x *T) *T { return x.Roll([]int{1, -4}, 0, 1) }, torch: "torch.roll(x, (1, -4), (0, 1))", in: in(f(2, 3, 2)), ints: true},
	Row{name: "roll_flat", op: func(x *T) *T { return x.Roll([]int{5}) }, torch: "torch.roll(x, 5)", in: in(f(2, 3))},
	Row{name: "roll_round", op: func(x *T) *T { return x.Roll([]int{3}, 1) }, torch: "torch.roll(x, 3, 1)", in: in(f(2, 3))},
	Row{name: "diagonal", op: func(x *T) *T { return x.Diagonal(1, 0, 1) }, torch: "torch.diagonal(x, 1)", in: in(f(3, 4)), ints: true, extra: 96},
	Row{name: "diagonal_axes", op: func(x *T) *T { return x.Diagonal(-1, -1, 0) }, torch: "torch.diagonal(x, -1, -1, 0)", in: in(f(3, 2, 4)), extra: 192},
	Row{name: "diagonal_beyond", op: func(x *T) *T { return x.Diagonal(5, 0, 1) }, torch: "torch.diagonal(x, 5)", in: in(f(3, 4)), extra: 96},
	Row{name: "diag_embed", op: func(x *T) *T { return x.DiagEmbed(-1, 0, 2) }, torch: "torch.diag_embed(x, -1, 0, 2)", in: in(f(2, 3)), ints: true},
	Row{name: "unfold", op: func(x *T) *T { return x.Unfold(1, 3, 2) }, torch: "x.unfold(1, 3, 2)", in: in(f(2, 8)), ints: true, extra: 128},
	Row{name: "unfold_overlap", op: func(x *T) *T { return x.Unfold(0, 3, 1) }, torch: "x.unfold(0, 3, 1)", in: in(f(5, 2)), extra: 80},
	Row{name: "movedim", op: func(x *T) *T { return x.Movedim([]int{0, -1}, []int{2, 0}) }, torch: "torch.movedim(x, (0, -1), (2, 0))", in: in(f(2, 3, 4)), ints: true},
	Row{name: "meshgrid", op: func(x []*T) []*T { return tensor.Meshgrid(x...) }, torch: "torch.meshgrid(*xs, indexing='ij')", in: in(f(2), f(3), f()), ints: true},
	Row{name: "tril", op: func(x *T) *T { return x.Tril(0) }, torch: "torch.tril(x)", in: in(f(3, 4)), ints: true},
	Row{name: "tril_above", op: func(x *T) *T { return x.Tril(1) }, torch: "torch.tril(x, 1)", in: in(f(2, 4, 3))},
	Row{name: "triu", op: func(x *T) *T { return x.Triu(0) }, torch: "torch.triu(x)", in: in(f(3, 4)), ints: true},
	Row{name: "triu_below", op: func(x *T) *T { return x.Triu(-2) }, torch: "torch.triu(x, -2)", in: in(f(2, 4, 3))},
	Row{name: "pad", op: pad(tensor.PadConstant, 0, 1, 2), torch: "F.pad(x, (1, 2))", in: in(f(2, 3)), ints: true},
	Row{name: "pad_value", op: pad(tensor.PadConstant, 1.5, 0, 1, 2, 0), torch: "F.pad(x, (0, 1, 2, 0), value=1.5)", in: in(f(2, 3, 2))},
	Row{name: "pad_cut", op: pad(tensor.PadConstant, 0, -1, 1, 1, -1), torch: "F.pad(x, (-1, 1, 1, -1))", in: in(f(3, 3))},
	Row{name: "pad_reflect", op: pad(tensor.PadReflect, 0, 2, 1, 1, 0), torch: "F.pad(x, (2, 1, 1, 0), mode='reflect')", in: in(f(1, 2, 3, 3))},
	Row{name: "pad_replicate", op: pad(tensor.PadReplicate, 0, 4, 1, 0, 2), torch: "F.pad(x, (4, 1, 0, 2), mode='replicate')", in: in(f(1, 2, 2, 3))},
	Row{name: "pad_circular", op: pad(tensor.PadCircular, 0, 3, 1), torch: "F.pad(x, (3, 1), mode='circular')", in: in(f(1, 2, 3))},
	Row{name: "pad_circular_cut", op: pad(tensor.PadCircular, 0, -1, 2, 1, -2), torch: "F.pad(x, (-1, 2, 1, -2), mode='circular')", in: in(f(1, 2, 4, 4))},
)
