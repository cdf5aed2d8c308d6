package optest

// unary is a row of an elementwise op of one input, from [lo, hi).
func unary(name string, op func(x *T) *T, torch string, lo, hi float64) Row {
	return Row{name: name, op: op, torch: torch, in: in(f(2, 3).between(lo, hi)), each: true}
}

// flat is r for an op whose second gradient PyTorch's autograd does not see,
// being zero everywhere.
func (r Row) flat() Row {
	r.noSecond = "the gradient does not depend on the input"
	return r
}

// predicate is r for an op whose result is Bool.
func (r Row) predicate() Row {
	r.noGrad = "the result is bool"
	return r
}

var _ = rows("unary",
	unary("neg", (*T).Neg, "-x", -2, 2),
	unary("abs", (*T).Abs, "x.abs()", -2, 2),
	unary("sign", (*T).Sign, "x.sign()", -2, 2).flat(),
	unary("square", (*T).Square, "x.square()", -2, 2),
	unary("reciprocal", (*T).Reciprocal, "x.reciprocal()", 0.5, 2),
	unary("sqrt", (*T).Sqrt, "x.sqrt()", 0.2, 3),
	unary("rsqrt", (*T).Rsqrt, "x.rsqrt()", 0.3, 3),
	unary("exp", (*T).Exp, "x.exp()", -2, 2),
	unary("exp2", (*T).Exp2, "x.exp2()", -2, 2),
	unary("expm1", (*T).Expm1, "x.expm1()", -1, 1),
	unary("log", (*T).Log, "x.log()", 0.2, 3),
	unary("log2", (*T).Log2, "x.log2()", 0.2, 3),
	unary("log10", (*T).Log10, "x.log10()", 0.2, 3),
	unary("log1p", (*T).Log1p, "x.log1p()", -0.5, 3),
	unary("sin", (*T).Sin, "x.sin()", -3, 3),
	unary("cos", (*T).Cos, "x.cos()", -3, 3),
	unary("tan", (*T).Tan, "x.tan()", -1, 1),
	unary("asin", (*T).Asin, "x.asin()", -0.9, 0.9),
	unary("acos", (*T).Acos, "x.acos()", -0.9, 0.9),
	unary("atan", (*T).Atan, "x.atan()", -3, 3),
	unary("sinh", (*T).Sinh, "x.sinh()", -2, 2),
	unary("cosh", (*T).Cosh, "x.cosh()", -2, 2),
	unary("asinh", (*T).Asinh, "x.asinh()", -3, 3),
	unary("acosh", (*T).Acosh, "x.acosh()", 1.2, 4),
	unary("atanh", (*T).Atanh, "x.atanh()", -0.8, 0.8),
	unary("erf", (*T).Erf, "x.erf()", -2, 2),
	unary("erfc", (*T).Erfc, "x.erfc()", -2, 2),
	unary("floor", (*T).Floor, "x.floor()", -4, 4).flat(),
	unary("ceil", (*T).Ceil, "x.ceil()", -4, 4).flat(),
	unary("round", (*T).Round, "x.round()", -4, 4).flat(),
	unary("trunc", (*T).Trunc, "x.trunc()", -4, 4).flat(),
	unary("frac", (*T).Frac, "x.frac()", -4, 4).flat(),
	unary("clamp", func(x *T) *T { return x.Clamp(-1, 0.5) }, "x.clamp(-1, 0.5)", -2, 2),
	unary("clamp_whole", func(x *T) *T { return x.Clamp(-1, 2) }, "x.clamp(-1, 2)", -2, 4),
	unary("clamp_min", func(x *T) *T { return x.ClampMin(0) }, "x.clamp(min=0)", -2, 2),
	unary("clamp_max", func(x *T) *T { return x.ClampMax(1) }, "x.clamp(max=1)", -2, 2),
	unary("clamp_crossed", func(x *T) *T { return x.Clamp(1, -1) }, "x.clamp(1, -1)", -2, 2),
	unary("logit", (*T).Logit, "x.logit()", 0.1, 0.9),
	unary("logical_not", (*T).LogicalNot, "x.logical_not()", -2, 2).predicate(),
	unary("isnan", (*T).IsNaN, "x.isnan()", -2, 2).predicate(),
	unary("isinf", (*T).IsInf, "x.isinf()", -2, 2).predicate(),
	unary("isfinite", (*T).IsFinite, "x.isfinite()", -2, 2).predicate(),
	Row{name: "bitwise_not", op: (*T).BitNot, torch: "~x", in: in(ints(-5, 5, 2, 3))},
	Row{name: "bitwise_not_bool", op: (*T).BitNot, torch: "~x", in: in(bools(2, 3))},
	Row{name: "image", op: (*T).Exp, torch: "x.exp()", in: in(f(2, 3, 2, 2))},
	Row{name: "scalar", op: (*T).Exp, torch: "x.exp()", in: in(f())},
)

var _ = rows("activation",
	unary("relu", (*T).ReLU, "x.relu()", -2, 2),
	unary("relu6", (*T).ReLU6, "F.relu6(x)", -3, 9),
	unary("leaky_relu", func(x *T) *T { return x.LeakyReLU(0.1) }, "F.leaky_relu(x, 0.1)", -2, 2),
	unary("hardtanh", func(x *T) *T { return x.Hardtanh(-1, 0.5) }, "F.hardtanh(x, -1, 0.5)", -2, 2),
	unary("elu", func(x *T) *T { return x.ELU(0.7) }, "F.elu(x, 0.7)", -2, 2),
	unary("tanh", (*T).Tanh, "x.tanh()", -2, 2),
	unary("sigmoid", (*T).Sigmoid, "x.sigmoid()", -4, 4),
	unary("log_sigmoid", (*T).LogSigmoid, "F.logsigmoid(x)", -4, 4),
	unary("gelu", (*T).GELU, "F.gelu(x)", -3, 3),
	unary("gelu_tanh", (*T).GELUTanh, "F.gelu(x, approximate='tanh')", -3, 3),
	Row{name: "silu_mul", op: (*T).SiLUMul, torch: "F.silu(x) * y", in: in(f(2, 3), f(2, 1)), each: true},
	unary("silu", (*T).SiLU, "F.silu(x)", -4, 4),
	unary("softplus", func(x *T) *T { return x.Softplus(1, 20) }, "F.softplus(x)", -3, 3),
	unary("softplus_beta", func(x *T) *T { return x.Softplus(3, 1.5) }, "F.softplus(x, 3, 1.5)", -2, 2),
	unary("mish", (*T).Mish, "F.mish(x)", -4, 4),
)
