package optest

import "github.com/descent-ml/descent/tensor"

// binary is a row of an elementwise op of two inputs, which broadcast.
func binary(name string, op func(x, y *T) *T, torch string) Row {
	return Row{name: name, op: op, torch: torch, in: in(f(2, 3), f(3)), each: true}
}

// on is r with inputs of its own.
func (r Row) on(x ...Input) Row {
	r.in = x
	return r
}

func (r Row) unchecked(why string) Row {
	r.noCheck = why
	return r
}

// scalar is a row of an op of a tensor and a constant.
func scalar(name string, op func(x *T) *T, torch string) Row {
	return unary(name, op, torch, -2, 2)
}

var _ = rows("binary",
	binary("add", (*T).Add, "x + y"),
	binary("sub", (*T).Sub, "x - y"),
	binary("mul", (*T).Mul, "x * y"),
	binary("div", (*T).Div, "x / y").on(f(2, 3), f(3).between(0.5, 2)),
	binary("floor_div", (*T).FloorDiv, "x.div(y, rounding_mode='floor')").on(f(2, 3).between(-9, 9), f(3).between(0.8, 2)).flat(),
	binary("floor_div_negative", (*T).FloorDiv, "x.div(y, rounding_mode='floor')").on(f(2, 3).between(-9, 9), f(3).between(-2.1, -0.8)).flat(),
	binary("trunc_div", (*T).TruncDiv, "x.div(y, rounding_mode='trunc')").on(f(2, 3).between(-9, 9), f(3).between(0.8, 2)).flat(),
	binary("remainder", (*T).Remainder, "x % y").on(f(2, 3).between(-9, 9), f(3).between(0.8, 2)).flat(),
	binary("remainder_negative", (*T).Remainder, "x % y").on(f(2, 3).between(-9, 9), f(3).between(-2.1, -0.8)).flat(),
	binary("fmod", (*T).Fmod, "x.fmod(y)").on(f(2, 3).between(-9, 9), f(3).between(0.8, 2.1)).flat(),
	binary("pow", (*T).Pow, "x ** y").on(f(2, 3).between(0.3, 3), f(3)),
	binary("float_power", (*T).FloatPower, "x.float_power(y)").on(f(2, 3).between(0.3, 3), f(3)),
	binary("maximum", (*T).Maximum, "torch.maximum(x, y)"),
	binary("minimum", (*T).Minimum, "torch.minimum(x, y)"),
	binary("atan2", (*T).Atan2, "torch.atan2(x, y)"),
	binary("xlogy", (*T).XLogY, "torch.xlogy(x, y)").on(f(2, 3), f(3).between(0.3, 3)),
	binary("eq", (*T).Eq, "x == y").predicate(),
	binary("ne", (*T).Ne, "x != y").predicate(),
	binary("lt", (*T).Lt, "x < y").predicate(),
	binary("le", (*T).Le, "x <= y").predicate(),
	binary("gt", (*T).Gt, "x > y").predicate(),
	binary("ge", (*T).Ge, "x >= y").predicate(),
	binary("logical_and", (*T).LogicalAnd, "torch.logical_and(x, y)").predicate(),
	binary("logical_or", (*T).LogicalOr, "torch.logical_or(x, y)").predicate(),
	binary("logical_xor", (*T).LogicalXor, "torch.logical_xor(x, y)").predicate(),
	Row{name: "bitwise_and", op: (*T).BitAnd, torch: "x & y", in: in(ints(-9, 9, 2, 3), ints(-9, 9, 3))},
	Row{name: "bitwise_or", op: (*T).BitOr, torch: "x | y", in: in(ints(-9, 9, 2, 3), bools(3))},
	Row{name: "bitwise_xor", op: (*T).BitXor, torch: "x ^ y", in: in(bools(2, 3), bools(3))},
	binary("outer", (*T).Mul, "x * y").on(f(2, 1), f(1, 3)),
	binary("images", (*T).Mul, "x * y").on(f(2, 3, 2, 2), f(3, 1, 1)),
	binary("scalar", (*T).Mul, "x * y").on(f(2, 3), f()),
	binary("with_itself", func(x, _ *T) *T { return x.Mul(x) }, "x * x").on(f(2, 3), f(1).constant()),
	Row{name: "float_with_int", op: (*T).Mul, torch: "x * y", in: in(f(2, 3), ints(-5, 5, 3))},
	Row{name: "int_with_float", op: (*T).Sub, torch: "x - y", in: in(ints(-5, 5, 3), f(2, 3))},
	Row{name: "int_with_float_scalar", op: (*T).Add, torch: "x + y", in: in(ints(-5, 5, 3), f())},
	Row{name: "int_by_int", op: (*T).Div, torch: "x / y", in: in(ints(-9, 9, 2, 3), ints(1, 5, 3))},
	Row{name: "int_mod_int", op: (*T).Remainder, torch: "x % y", in: in(ints(-9, 9, 2, 3), ints(-5, -1, 3))},
	Row{name: "int_pow_int", op: (*T).Pow, torch: "x ** y", in: in(ints(-9, 9, 2, 3), ints(0, 5, 3))},
	Row{name: "bool_with_float", op: (*T).Mul, torch: "x * y", in: in(bools(2, 3), f(3))},
)

var _ = rows("scalar",
	scalar("add", func(x *T) *T { return x.AddScalar(2) }, "x + 2"),
	scalar("add_fraction", func(x *T) *T { return x.AddScalar(0.5) }, "x + 0.5"),
	scalar("sub", func(x *T) *T { return x.SubScalar(3) }, "x - 3"),
	scalar("rsub", func(x *T) *T { return x.RSubScalar(3) }, "3 - x"),
	scalar("mul", func(x *T) *T { return x.MulScalar(-3) }, "x * -3"),
	scalar("mul_fraction", func(x *T) *T { return x.MulScalar(1.5) }, "x * 1.5"),
	scalar("div", func(x *T) *T { return x.DivScalar(4) }, "x / 4"),
	scalar("div_zero", func(x *T) *T { return x.DivScalar(0) }, "x / 0").unchecked("it is infinite"),
	scalar("rdiv", func(x *T) *T { return x.RDivScalar(3) }, "3 / x").on(f(2, 3).between(0.4, 2)),
	scalar("floor_div", func(x *T) *T { return x.FloorDivScalar(2) }, "x.div(2, rounding_mode='floor')").on(f(2, 3).between(-9, 9)).flat(),
	scalar("remainder", func(x *T) *T { return x.RemainderScalar(2) }, "x % 2").on(f(2, 3).between(-9, 9)).flat(),
	scalar("fmod", func(x *T) *T { return x.FmodScalar(2) }, "x.fmod(2)").on(f(2, 3).between(-9, 9)).flat(),
	scalar("pow2", func(x *T) *T { return x.PowScalar(2) }, "x ** 2"),
	scalar("pow3", func(x *T) *T { return x.PowScalar(3) }, "x ** 3"),
	scalar("pow0", func(x *T) *T { return x.PowScalar(0) }, "x ** 0"),
	scalar("pow1", func(x *T) *T { return x.PowScalar(1) }, "x ** 1"),
	scalar("pow_fraction", func(x *T) *T { return x.PowScalar(1.5) }, "x ** 1.5").on(f(2, 3).between(0.4, 3)),
	scalar("pow_negative", func(x *T) *T { return x.PowScalar(-1) }, "x ** -1").on(f(2, 3).between(0.4, 3)),
	scalar("rpow", func(x *T) *T { return x.RPowScalar(3) }, "3 ** x"),
	scalar("rpow_zero", func(x *T) *T { return x.RPowScalar(0) }, "0 ** x").on(f(2, 3).between(0.4, 3)).flat(),
	scalar("eq", func(x *T) *T { return x.EqScalar(1) }, "x == 1").predicate(),
	scalar("ne", func(x *T) *T { return x.NeScalar(1) }, "x != 1").predicate(),
	scalar("lt", func(x *T) *T { return x.LtScalar(0.5) }, "x < 0.5").predicate(),
	scalar("le", func(x *T) *T { return x.LeScalar(1) }, "x <= 1").predicate(),
	scalar("gt", func(x *T) *T { return x.GtScalar(0) }, "x > 0").predicate(),
	scalar("ge", func(x *T) *T { return x.GeScalar(0.5) }, "x >= 0.5").predicate(),
)

var _ = rows("ternary",
	Row{name: "where", op: tensor.Where, torch: "torch.where(x, y, z)", in: in(bools(2, 1), f(3), f(2, 3)), each: true},
	Row{name: "where_promotes", op: tensor.Where, torch: "torch.where(x, y, z)", in: in(bools(2, 3), ints(0, 5, 3), f(2, 3))},
	Row{name: "masked_fill", op: func(x, m *T) *T { return x.MaskedFill(m, 2) }, torch: "x.masked_fill(y, 2)",
		in: in(f(2, 3), bools(2, 1)), each: true},
	Row{name: "masked_fill_row", op: func(x, m *T) *T { return x.MaskedFill(m, 2) }, torch: "x.masked_fill(y, 2)",
		in: in(f(3), bools(2, 1))},
	Row{name: "addcmul", op: func(x, y, z *T) *T { return x.Addcmul(y, z, 2) }, torch: "torch.addcmul(x, y, z, value=2)",
		in: in(f(2, 3), f(3), f(2, 1)), each: true},
	Row{name: "addcdiv", op: func(x, y, z *T) *T { return x.Addcdiv(y, z, 0.5) }, torch: "torch.addcdiv(x, y, z, value=0.5)",
		in: in(f(2, 3), f(3), f(2, 1).between(0.5, 2)), each: true},
	Row{name: "lerp", op: (*T).Lerp, torch: "torch.lerp(x, y, z)", in: in(f(2, 3), f(3), f(2, 1).between(0, 1)), each: true},
	Row{name: "clamp_tensor", op: (*T).ClampTensor, torch: "x.clamp(y, z)", in: in(f(2, 3), f(3).between(-1.5, 0), f(2, 1).between(0, 1.5)), each: true,
		nan: "PyTorch drops the gradient where a bound is NaN"},
	Row{name: "clamp_tensor_min", op: func(x, y *T) *T { return x.ClampTensor(y, nil) }, torch: "x.clamp(min=y)", in: in(f(2, 3), f(3))},
)
