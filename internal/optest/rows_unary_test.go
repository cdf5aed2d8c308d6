package optest

var _ = rows("unary",
	Row{name: "square_by_add", op: func(x *T) *T { return x.Add(x) }, torch: "x + x", in: in(f(2, 3)), each: true},
)
