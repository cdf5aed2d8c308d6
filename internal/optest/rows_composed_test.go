package optest

import "github.com/descent-ml/descent/tensor"

// product is an op that adds weighted products.
func product(f func(x, a, b *T, beta, alpha float64) *T, beta, alpha float64) func(x, a, b *T) *T {
	return func(x, a, b *T) *T { return f(x, a, b, beta, alpha) }
}

var _ = rows("linalg",
	Row{name: "mm", op: (*T).MM, torch: "x.mm(y)", in: in(f(2, 3), f(3, 4))},
	Row{name: "bmm", op: (*T).BMM, torch: "x.bmm(y)", in: in(f(2, 3, 4), f(2, 4, 2))},
	Row{name: "mv", op: (*T).MV, torch: "x.mv(y)", in: in(f(2, 3), f(3))},
	Row{name: "dot", op: (*T).Dot, torch: "x.dot(y)", in: in(f(5), f(5))},
	Row{name: "outer", op: (*T).Outer, torch: "x.outer(y)", in: in(f(2), f(3)), ints: true},
	Row{name: "addmm", op: product((*T).AddMM, 0.5, 2), torch: "torch.addmm(x, y, z, beta=0.5, alpha=2)", in: in(f(4), f(2, 3), f(3, 4))},
	Row{name: "addmm_plain", op: product((*T).AddMM, 1, 1), torch: "torch.addmm(x, y, z)", in: in(f(2, 4), f(2, 3), f(3, 4))},
	Row{name: "addmv", op: product((*T).AddMV, 0.5, 2), torch: "torch.addmv(x, y, z, beta=0.5, alpha=2)", in: in(f(2), f(2, 3), f(3))},
	Row{name: "addr", op: product((*T).AddR, 0.5, 2), torch: "torch.addr(x, y, z, beta=0.5, alpha=2)", in: in(f(2, 3), f(2), f(3))},
	Row{name: "baddbmm", op: product((*T).BAddBMM, 0.5, 2), torch: "torch.baddbmm(x, y, z, beta=0.5, alpha=2)", in: in(f(2, 2, 2), f(2, 2, 3), f(2, 3, 2))},
	Row{name: "addbmm", op: product((*T).AddBMM, 0.5, 2), torch: "torch.addbmm(x, y, z, beta=0.5, alpha=2)", in: in(f(2, 2), f(3, 2, 3), f(3, 3, 2))},
	Row{name: "trace", op: (*T).Trace, torch: "x.trace()", in: in(f(3, 4)), ints: true},
	Row{name: "diag", op: func(x *T) *T { return x.Diag(1) }, torch: "x.diag(1)", in: in(f(3, 4)), ints: true, extra: 96},
	Row{name: "diag_vector", op: func(x *T) *T { return x.Diag(-1) }, torch: "x.diag(-1)", in: in(f(3)), ints: true},
	Row{name: "tensordot", op: func(x, y *T) *T { return x.TensorDot(y, []int{0, -1}, []int{2, 0}) }, torch: "torch.tensordot(x, y, dims=([0, -1], [2, 0]))", in: in(f(2, 4, 3), f(3, 2, 2))},
)

var _ = rows("composed",
	Row{name: "hardsigmoid", op: (*T).HardSigmoid, torch: "F.hardsigmoid(x)", in: in(f(2, 3).between(-4, 4)), each: true,
		tol: 1e6, special: "PyTorch divides by 6 in float32 and has gradient 0 at NaN"},
	Row{name: "hardswish", op: (*T).HardSwish, torch: "F.hardswish(x)", in: in(f(2, 3).between(-4, 4)), each: true,
		special: "PyTorch has a gradient at NaN"},
	unary("selu", (*T).SELU, "F.selu(x)", -2, 2),
	unary("celu", func(x *T) *T { return x.CELU(0.5) }, "F.celu(x, 0.5)", -2, 2),
	unary("softsign", (*T).Softsign, "F.softsign(x)", -2, 2),
	unary("tanhshrink", (*T).Tanhshrink, "F.tanhshrink(x)", -2, 2),
	unary("hardshrink", func(x *T) *T { return x.Hardshrink(0.7) }, "F.hardshrink(x, 0.7)", -2, 2),
	unary("softshrink", func(x *T) *T { return x.Softshrink(0.7) }, "F.softshrink(x, 0.7)", -2, 2),
	unary("threshold", func(x *T) *T { return x.Threshold(0.5, -3) }, "F.threshold(x, 0.5, -3)", -2, 2),
	unary("nan_to_num", func(x *T) *T { return x.NaNToNum(tensor.NaNToNumOptions{NaN: 2, NegInf: new(-7.0)}) }, "torch.nan_to_num(x, 2, neginf=-7)", -2, 2),
	Row{name: "prelu", op: (*T).PReLU, torch: "F.prelu(x, y)", in: in(f(2, 3, 2), f(3))},
	Row{name: "prelu_shared", op: (*T).PReLU, torch: "F.prelu(x, y)", in: in(f(2, 3, 2), f(1))},
	Row{name: "glu", op: func(x *T) *T { return x.GLU(1) }, torch: "F.glu(x, 1)", in: in(f(2, 4, 2))},
	Row{name: "fmax", op: (*T).FMax, torch: "torch.fmax(x, y)", in: in(f(2, 3), f(3)), each: true},
	Row{name: "fmin", op: (*T).FMin, torch: "torch.fmin(x, y)", in: in(f(2, 3), f(3)), each: true},
	Row{name: "logaddexp", op: (*T).LogAddExp, torch: "torch.logaddexp(x, y)", in: in(f(2, 3), f(3)), each: true},
	Row{name: "isclose", op: func(x, y *T) *T { return x.IsClose(y, tensor.CloseOptions{RTol: new(0.5)}) }, torch: "torch.isclose(x, y, rtol=0.5)", in: in(f(3, 4), f(4)), each: true, noGrad: "the result is bool"},
	Row{name: "std_mean", op: func(x *T) (*T, *T) { return x.StdMean(tensor.VarOptions{Reduce: tensor.Reduce{Axes: []int{1}}}) }, torch: "torch.std_mean(x, 1)", in: in(f(2, 4))},
	Row{name: "unflatten", op: func(x *T) *T { return x.Unflatten(1, 2, -1) }, torch: "x.unflatten(1, (2, -1))", in: in(f(2, 6)), ints: true},
	Row{name: "index_fill", op: func(x, i *T) *T { return x.IndexFill(1, i, 3) }, torch: "x.index_fill(1, y, 3)", in: in(f(2, 4), ints(0, 4, 2))},
	Row{name: "index_copy", op: func(x, i, y *T) *T { return x.IndexCopy(1, i, y) }, torch: "x.index_copy(1, y, z)", in: in(f(2, 4), ints(0, 4, 2).of(3, 1), f(2, 2))},
	Row{name: "index_put", op: func(x, i, v *T) *T { return x.IndexPut(v, false, i) }, torch: "x.index_put((y,), z)", in: in(f(4, 2), ints(0, 4, 2).of(3, 1), f(2))},
	Row{name: "index_put_accumulate", op: func(x, i, v *T) *T { return x.IndexPut(v, true, i) }, torch: "x.index_put((y,), z, accumulate=True)", in: in(f(4, 2), ints(0, 4, 3).of(3, 1, 3), f(3, 2))},
)
