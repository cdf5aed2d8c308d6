package optest

func softmax(axis int) func(x *T) *T    { return func(x *T) *T { return x.Softmax(axis) } }
func logSoftmax(axis int) func(x *T) *T { return func(x *T) *T { return x.LogSoftmax(axis) } }

var _ = rows("softmax",
	Row{name: "softmax", op: softmax(1), torch: "torch.softmax(x, 1)", in: in(f(2, 5)), ints: true},
	Row{name: "softmax_first", op: softmax(0), torch: "torch.softmax(x, 0)", in: in(f(4, 3))},
	Row{name: "softmax_middle", op: softmax(-2), torch: "torch.softmax(x, -2)", in: in(f(2, 4, 3))},
	Row{name: "softmax_scalar", op: softmax(0), torch: "torch.softmax(x, 0)", in: in(f())},
	Row{name: "softmax_empty", op: softmax(1), torch: "torch.softmax(x, 1)", in: in(f(2, 0))},
	Row{name: "softmax_far", op: softmax(0), torch: "torch.softmax(x, 0)", in: in(f(4).between(-1e4, 1e4)), noCheck: "it is flat"},
	Row{name: "log_softmax", op: logSoftmax(-1), torch: "torch.log_softmax(x, -1)", in: in(f(2, 5)), ints: true},
	Row{name: "log_softmax_channels", op: logSoftmax(1), torch: "torch.log_softmax(x, 1)", in: in(f(2, 3, 2, 2))},
	Row{name: "log_softmax_scalar", op: logSoftmax(0), torch: "torch.log_softmax(x, 0)", in: in(f())},
	Row{name: "log_softmax_far", op: logSoftmax(0), torch: "torch.log_softmax(x, 0)", in: in(f(4).between(-1e4, 1e4)), noCheck: "it is flat"},
)
