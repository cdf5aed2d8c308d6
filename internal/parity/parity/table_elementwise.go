package main

import (
	"math"

	"github.com/descent-ml/descent/tensor"
)

var arithmetic = []operator{
	row("add", "input, other, alpha=1", func(a args) *T {
		if !a.isTensor("other") {
			return a.tensor("input").AddScalar(a.float("alpha") * a.float("other"))
		}
		return a.tensor("input").Add(a.scaled("other", "alpha"))
	}),
	row("sub", "input, other, alpha=1", func(a args) *T {
		if !a.isTensor("other") {
			return a.tensor("input").SubScalar(a.float("alpha") * a.float("other"))
		}
		return a.tensor("input").Sub(a.scaled("other", "alpha"))
	}),
	row("rsub", "input, other, alpha=1", func(a args) *T {
		if !a.isTensor("other") {
			return a.scaled("input", "alpha").RSubScalar(a.float("other"))
		}
		return a.tensor("other").Sub(a.scaled("input", "alpha"))
	}),
	pairwise("mul", "other", (*T).Mul, (*T).MulScalar),
	row("div", "input, other, rounding_mode=None", func(a args) *T {
		if a.none("rounding_mode") {
			return pairwise("div", "other", (*T).Div, (*T).DivScalar).run(a)[0]
		}
		if a.string("rounding_mode") == "floor" {
			return pairwise("div", "other", (*T).FloorDiv, (*T).FloorDivScalar).run(a)[0]
		}
		return a.tensor("input").TruncDiv(a.tensor("other"))
	}),
	pairwise("true_divide", "other", (*T).Div, (*T).DivScalar),
	pairwise("floor_divide", "other", (*T).FloorDiv, (*T).FloorDivScalar),
	pairwise("remainder", "other", (*T).Remainder, (*T).RemainderScalar),
	pairwise("fmod", "other", (*T).Fmod, (*T).FmodScalar),
	row("pow", "input, exponent", func(a args) *T {
		if !a.isTensor("input") {
			return a.tensor("exponent").RPowScalar(a.float("input"))
		}
		return pairwise("pow", "exponent", (*T).Pow, (*T).PowScalar).run(a)[0]
	}),
	pairwise("float_power", "exponent", (*T).FloatPower, nil),
	pairwise("maximum", "other", (*T).Maximum, nil),
	pairwise("minimum", "other", (*T).Minimum, nil),
	pairwise("atan2", "other", (*T).Atan2, nil),
	pairwise("xlogy", "other", (*T).XLogY, nil),
	pairwise("fmax", "other", (*T).FMax, nil),
	pairwise("fmin", "other", (*T).FMin, nil),
	pairwise("logaddexp", "other", (*T).LogAddExp, nil),
	reflected("__radd__", (*T).Add, (*T).AddScalar),
	reflected("__rsub__", (*T).Sub, (*T).RSubScalar),
	reflected("__rmul__", (*T).Mul, (*T).MulScalar),
	reflected("__rdiv__", (*T).Div, (*T).RDivScalar),
	reflected("__rpow__", (*T).Pow, (*T).RPowScalar),
	reflected("__rmod__", (*T).Remainder, nil),
	reflected("__rand__", (*T).BitAnd, nil),
	reflected("__ror__", (*T).BitOr, nil),
	reflected("__rxor__", (*T).BitXor, nil),
	reflected("__rmatmul__", (*T).MatMul, nil),

	row("addcmul", "input, tensor1, tensor2, value=1", func(a args) *T {
		return a.tensor("input").Addcmul(a.tensor("tensor1"), a.tensor("tensor2"), a.float("value"))
	}),
	row("addcdiv", "input, tensor1, tensor2, value=1", func(a args) *T {
		return a.tensor("input").Addcdiv(a.tensor("tensor1"), a.tensor("tensor2"), a.float("value"))
	}),
	row("lerp", "input, end, weight", func(a args) *T {
		x := a.tensor("input")
		weight, ok := a.values["weight"].(*T)
		if !ok {
			weight = tensor.Full(x.Place(), x.DType(), a.float("weight"))
		}
		return x.Lerp(a.tensor("end"), weight)
	}),
	row("clamp", "input, min=None, max=None", func(a args) *T {
		if a.isTensor("min") || a.isTensor("max") {
			return a.tensor("input").ClampTensor(a.maybe("min"), a.maybe("max"))
		}
		return a.tensor("input").Clamp(a.bound("min", -1), a.bound("max", 1))
	}),
	pairwise("clamp_min", "min", func(x, lo *T) *T { return x.ClampTensor(lo, nil) }, (*T).ClampMin),
	pairwise("clamp_max", "max", func(x, hi *T) *T { return x.ClampTensor(nil, hi) }, (*T).ClampMax),
	row("where", "input, condition, other", func(a args) *T {
		return tensor.Where(a.tensor("condition"), a.tensor("input"), a.tensor("other"))
	}),
	row("masked_fill", "input, mask, value", func(a args) *T {
		x := a.tensor("input")
		if a.isTensor("value") {
			v := a.tensor("value")
			if v.Dim() != 0 {
				cannot("masked_fill takes a number")
			}
			return tensor.Where(a.tensor("mask"), v.To(x.DType()), x)
		}
		return x.MaskedFill(a.tensor("mask"), a.float("value"))
	}),
}

// reflected is the row of an operator that Python asks the right operand for.
func reflected(name string, f func(x, y *T) *T, number func(x *T, c float64) *T) operator {
	return pairwise(name, "other", func(x, y *T) *T { return f(y, x) }, number)
}

// bound is infinite on its side for None.
func (a args) bound(name string, side int) float64 {
	if a.none(name) {
		return math.Inf(side)
	}
	return a.float(name)
}

var comparisons = []operator{
	pairwise("eq", "other", (*T).Eq, (*T).EqScalar),
	pairwise("ne", "other", (*T).Ne, (*T).NeScalar),
	pairwise("lt", "other", (*T).Lt, (*T).LtScalar),
	pairwise("le", "other", (*T).Le, (*T).LeScalar),
	pairwise("gt", "other", (*T).Gt, (*T).GtScalar),
	pairwise("ge", "other", (*T).Ge, (*T).GeScalar),
	closeness("isclose", (*T).IsClose),
	closeness("allclose", func(x, y *T, o tensor.CloseOptions) *T { return tensor.Scalar(x.Place(), x.AllClose(y, o)) }),
	pairwise("logical_and", "other", (*T).LogicalAnd, nil),
	pairwise("logical_or", "other", (*T).LogicalOr, nil),
	pairwise("logical_xor", "other", (*T).LogicalXor, nil),
	unary("logical_not", (*T).LogicalNot),
	pairwise("bitwise_and", "other", (*T).BitAnd, nil),
	pairwise("bitwise_or", "other", (*T).BitOr, nil),
	pairwise("bitwise_xor", "other", (*T).BitXor, nil),
	unary("bitwise_not", (*T).BitNot),
	unary("isnan", (*T).IsNaN),
	unary("isinf", (*T).IsInf),
	unary("isfinite", (*T).IsFinite),
}

func closeness(name string, f func(x, y *T, o tensor.CloseOptions) *T) operator {
	return row(name, "input, other, rtol=1e-5, atol=1e-8, equal_nan=False", func(a args) *T {
		o := tensor.CloseOptions{RTol: new(a.float("rtol")), ATol: new(a.float("atol")), EqualNaN: a.bool("equal_nan")}
		return f(a.tensor("input"), a.tensor("other"), o)
	})
}

var pointwise = []operator{
	unary("neg", (*T).Neg),
	unary("abs", (*T).Abs),
	unary("sign", (*T).Sign),
	unary("square", (*T).Square),
	unary("reciprocal", (*T).Reciprocal),
	unary("sqrt", (*T).Sqrt),
	unary("rsqrt", (*T).Rsqrt),
	unary("exp", (*T).Exp),
	unary("exp2", (*T).Exp2),
	unary("expm1", (*T).Expm1),
	unary("log", (*T).Log),
	unary("log2", (*T).Log2),
	unary("log10", (*T).Log10),
	unary("log1p", (*T).Log1p),
	unary("sin", (*T).Sin),
	unary("cos", (*T).Cos),
	unary("tan", (*T).Tan),
	unary("asin", (*T).Asin),
	unary("acos", (*T).Acos),
	unary("atan", (*T).Atan),
	unary("sinh", (*T).Sinh),
	unary("cosh", (*T).Cosh),
	unary("tanh", (*T).Tanh),
	unary("asinh", (*T).Asinh),
	unary("acosh", (*T).Acosh),
	unary("atanh", (*T).Atanh),
	unary("erf", (*T).Erf),
	unary("erfc", (*T).Erfc),
	unary("sigmoid", (*T).Sigmoid),
	row("logit", "input, eps=None", func(a args) *T {
		x := a.tensor("input")
		if !a.none("eps") {
			x = x.Clamp(a.float("eps"), 1-a.float("eps"))
		}
		return x.Logit()
	}),
	unary("floor", (*T).Floor),
	unary("ceil", (*T).Ceil),
	row("round", "input", func(a args) *T { return a.tensor("input").Round() }),
	unary("trunc", (*T).Trunc),
	unary("frac", (*T).Frac),
	row("nan_to_num", "input, nan=0.0, posinf=None, neginf=None", func(a args) *T {
		o := tensor.NaNToNumOptions{NaN: a.float("nan")}
		if !a.none("posinf") {
			o.PosInf = new(a.float("posinf"))
		}
		if !a.none("neginf") {
			o.NegInf = new(a.float("neginf"))
		}
		return a.tensor("input").NaNToNum(o)
	}),
}

var activations = []operator{
	unary("nn.functional.relu", (*T).ReLU),
	unary("nn.functional.relu6", (*T).ReLU6),
	row("nn.functional.leaky_relu", "input, negative_slope=0.01", func(a args) *T {
		return a.tensor("input").LeakyReLU(a.float("negative_slope"))
	}),
	row("nn.functional.hardtanh", "input, min_val=-1, max_val=1", func(a args) *T {
		return a.tensor("input").Hardtanh(a.float("min_val"), a.float("max_val"))
	}),
	row("nn.functional.elu", "input, alpha=1", func(a args) *T { return a.tensor("input").ELU(a.float("alpha")) }),
	row("nn.functional.gelu", "input, approximate='none'", func(a args) *T {
		switch a.string("approximate") {
		case "tanh":
			return a.tensor("input").GELUTanh()
		case "none":
			return a.tensor("input").GELU()
		}
		cannot("there are two GELUs")
		return nil
	}),
	unary("nn.functional.silu", (*T).SiLU),
	row("nn.functional.softplus", "input, beta=1, threshold=20", func(a args) *T {
		return a.tensor("input").Softplus(a.float("beta"), a.float("threshold"))
	}),
	unary("nn.functional.mish", (*T).Mish),
	unary("nn.functional.logsigmoid", (*T).LogSigmoid),
	unary("nn.functional.hardsigmoid", (*T).HardSigmoid),
	unary("nn.functional.hardswish", (*T).HardSwish),
	unary("nn.functional.softsign", (*T).Softsign),
	unary("nn.functional.tanhshrink", (*T).Tanhshrink),
	unary("nn.functional.selu", (*T).SELU),
	row("nn.functional.celu", "input, alpha=1", func(a args) *T { return a.tensor("input").CELU(a.float("alpha")) }),
	row("nn.functional.hardshrink", "input, lambd=0.5", func(a args) *T { return a.tensor("input").Hardshrink(a.float("lambd")) }),
	row("nn.functional.softshrink", "input, lambd=0.5", func(a args) *T { return a.tensor("input").Softshrink(a.float("lambd")) }),
	row("nn.functional.threshold", "input, threshold, value", func(a args) *T {
		return a.tensor("input").Threshold(a.float("threshold"), a.float("value"))
	}),
	pairwise("nn.functional.prelu", "weight", (*T).PReLU, nil),
	row("nn.functional.glu", "input, dim=-1", func(a args) *T { return a.tensor("input").GLU(a.int("dim")) }),
	row("softmax", "input, dim, dtype=None", func(a args) *T { return a.cast("input").Softmax(a.int("dim")) }),
	row("log_softmax", "input, dim, dtype=None", func(a args) *T { return a.cast("input").LogSoftmax(a.int("dim")) }),
}
