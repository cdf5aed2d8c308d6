package tensor

import (
	"math"

	"github.com/descent-ml/descent/backend"
)

// The ops of this file work element by element and keep the shape. Unless they
// say otherwise, functions whose values are no integers take integers and bool
// to Float32, the others keep the dtype.

// none are the scalars of a kernel that has none.
var none backend.Scalars

// test computes an elementwise predicate; the result is Bool.
func test(op string, code backend.UnaryOp, x *Tensor) *Tensor {
	x.use(op)
	y := emptyLike(op, x.scope, Bool, x)
	check(op, x.dev.Unary(code, y.arr, x.arr, backend.Params{}))
	return y
}

// Neg is -t. Bool has no negative; see LogicalNot.
func (t *Tensor) Neg() *Tensor {
	noBool("neg", t)
	return unary("neg", backend.Neg, t, none, func(g, x, y *Tensor) *Tensor { return g.Neg() })
}

// Abs is |t|; its gradient at 0 is 0.
func (t *Tensor) Abs() *Tensor {
	noBool("abs", t)
	return unary("abs", backend.Abs, t, none, func(g, x, y *Tensor) *Tensor { return g.Mul(x.Sign()) })
}

// Sign is -1, 0 or 1; 0 for NaN.
func (t *Tensor) Sign() *Tensor {
	return unary("sign", backend.Sign, t, none, zeroGrad)
}

// Square is t·t; bool is taken to Int64.
func (t *Tensor) Square() *Tensor {
	if t.use("square"); t.DType() == Bool {
		return t.To(Int64) // 0 and 1 are their own squares
	}
	return unary("square", backend.Square, t, none, func(g, x, y *Tensor) *Tensor { return g.Mul(x).MulScalar(2) })
}

// Reciprocal is 1/t.
func (t *Tensor) Reciprocal() *Tensor {
	return unaryFloat("reciprocal", backend.Reciprocal, t, none, func(g, x, y *Tensor) *Tensor { return g.Mul(y.Square()).Neg() })
}

// Sqrt is the square root, NaN for negative numbers.
func (t *Tensor) Sqrt() *Tensor {
	return unaryFloat("sqrt", backend.Sqrt, t, none, func(g, x, y *Tensor) *Tensor { return g.Div(y.MulScalar(2)) })
}

// Rsqrt is 1/√t.
func (t *Tensor) Rsqrt() *Tensor {
	return unaryFloat("rsqrt", backend.Rsqrt, t, none, func(g, x, y *Tensor) *Tensor { return g.Mul(y.PowScalar(3)).MulScalar(-0.5) })
}

// Exp is e to the power of t.
func (t *Tensor) Exp() *Tensor {
	return unaryFloat("exp", backend.Exp, t, none, func(g, x, y *Tensor) *Tensor { return g.Mul(y) })
}

// Exp2 is 2 to the power of t.
func (t *Tensor) Exp2() *Tensor {
	return unaryFloat("exp2", backend.Exp2, t, none, func(g, x, y *Tensor) *Tensor { return g.Mul(y).MulScalar(math.Ln2) })
}

// Expm1 is exp(t) - 1, accurate near 0.
func (t *Tensor) Expm1() *Tensor {
	return unaryFloat("expm1", backend.Expm1, t, none, func(g, x, y *Tensor) *Tensor { return g.Mul(y.AddScalar(1)) })
}

// Log is the natural logarithm: -Inf at 0, NaN below.
func (t *Tensor) Log() *Tensor {
	return unaryFloat("log", backend.Log, t, none, func(g, x, y *Tensor) *Tensor { return g.Div(x) })
}

// Log2 is the logarithm to base 2.
func (t *Tensor) Log2() *Tensor {
	return unaryFloat("log2", backend.Log2, t, none, func(g, x, y *Tensor) *Tensor { return g.Div(x.MulScalar(math.Ln2)) })
}

// Log10 is the logarithm to base 10.
func (t *Tensor) Log10() *Tensor {
	return unaryFloat("log10", backend.Log10, t, none, func(g, x, y *Tensor) *Tensor { return g.Div(x.MulScalar(math.Ln10)) })
}

// Log1p is log(1 + t), accurate near 0.
func (t *Tensor) Log1p() *Tensor {
	return unaryFloat("log1p", backend.Log1p, t, none, func(g, x, y *Tensor) *Tensor { return g.Div(x.AddScalar(1)) })
}

// Sin is the sine of radians.
func (t *Tensor) Sin() *Tensor {
	return unaryFloat("sin", backend.Sin, t, none, func(g, x, y *Tensor) *Tensor { return g.Mul(x.Cos()) })
}

// Cos is the cosine of radians.
func (t *Tensor) Cos() *Tensor {
	return unaryFloat("cos", backend.Cos, t, none, func(g, x, y *Tensor) *Tensor { return g.Mul(x.Sin()).Neg() })
}

// Tan is the tangent of radians.
func (t *Tensor) Tan() *Tensor {
	return unaryFloat("tan", backend.Tan, t, none, func(g, x, y *Tensor) *Tensor { return g.Mul(y.Square().AddScalar(1)) })
}

// Asin is the inverse of Sin, NaN outside [-1, 1].
func (t *Tensor) Asin() *Tensor {
	return unaryFloat("asin", backend.Asin, t, none, func(g, x, y *Tensor) *Tensor { return g.Mul(x.Square().RSubScalar(1).Rsqrt()) })
}

// Acos is the inverse of Cos, NaN outside [-1, 1].
func (t *Tensor) Acos() *Tensor {
	return unaryFloat("acos", backend.Acos, t, none, func(g, x, y *Tensor) *Tensor { return g.Mul(x.Square().RSubScalar(1).Rsqrt()).Neg() })
}

// Atan is the inverse of Tan.
func (t *Tensor) Atan() *Tensor {
	return unaryFloat("atan", backend.Atan, t, none, func(g, x, y *Tensor) *Tensor { return g.Div(x.Square().AddScalar(1)) })
}

// Sinh is the hyperbolic sine.
func (t *Tensor) Sinh() *Tensor {
	return unaryFloat("sinh", backend.Sinh, t, none, func(g, x, y *Tensor) *Tensor { return g.Mul(x.Cosh()) })
}

// Cosh is the hyperbolic cosine.
func (t *Tensor) Cosh() *Tensor {
	return unaryFloat("cosh", backend.Cosh, t, none, func(g, x, y *Tensor) *Tensor {
		return g.Mul(x.Expm1().Sub(x.Neg().Expm1())).MulScalar(0.5) // sinh, accurate near 0
	})
}

// Asinh is the inverse hyperbolic sine.
func (t *Tensor) Asinh() *Tensor {
	return unaryFloat("asinh", backend.Asinh, t, none, func(g, x, y *Tensor) *Tensor { return g.Mul(x.Square().AddScalar(1).Rsqrt()) })
}

// Acosh is the inverse hyperbolic cosine, NaN below 1.
func (t *Tensor) Acosh() *Tensor {
	return unaryFloat("acosh", backend.Acosh, t, none, func(g, x, y *Tensor) *Tensor { return g.Mul(x.Square().SubScalar(1).Rsqrt()) })
}

// Atanh is the inverse of Tanh, NaN outside [-1, 1].
func (t *Tensor) Atanh() *Tensor {
	return unaryFloat("atanh", backend.Atanh, t, none, func(g, x, y *Tensor) *Tensor { return g.Div(x.Square().RSubScalar(1)) })
}

// Erf is the error function, 2/√π·∫exp(-s²)ds from 0 to t.
func (t *Tensor) Erf() *Tensor {
	return unaryFloat("erf", backend.Erf, t, none, func(g, x, y *Tensor) *Tensor {
		return g.Mul(x.Square().Neg().Exp()).MulScalar(2 / math.SqrtPi)
	})
}

// Erfc is 1 - Erf, accurate for large t.
func (t *Tensor) Erfc() *Tensor {
	return unaryFloat("erfc", backend.Erfc, t, none, func(g, x, y *Tensor) *Tensor {
		return g.Mul(x.Square().Neg().Exp()).MulScalar(-2 / math.SqrtPi)
	})
}

// Floor rounds down.
func (t *Tensor) Floor() *Tensor {
	noBool("floor", t)
	return unary("floor", backend.Floor, t, none, zeroGrad)
}

// Ceil rounds up.
func (t *Tensor) Ceil() *Tensor {
	noBool("ceil", t)
	return unary("ceil", backend.Ceil, t, none, zeroGrad)
}

// Round rounds to the nearest integer, halves to the even one.
func (t *Tensor) Round() *Tensor {
	noBool("round", t)
	return unary("round", backend.Round, t, none, zeroGrad)
}

// Trunc rounds toward 0.
func (t *Tensor) Trunc() *Tensor {
	noBool("trunc", t)
	return unary("trunc", backend.Trunc, t, none, zeroGrad)
}

// Frac is t - Trunc(t), of t's sign.
func (t *Tensor) Frac() *Tensor {
	whole := t.Detach().Trunc()
	y := t.Sub(whole)
	if y.node == nil {
		free(whole)
	}
	return y
}

// Clamp limits t to [lo, hi]; where the two cross, it is hi. Infinities stand
// for no bound. The gradient is 0 at the bounds and beyond, as in PyTorch since
// 2.15, and at NaN. Bounds that are no integers take integers and bool to Float32.
func (t *Tensor) Clamp(lo, hi float64) *Tensor {
	const op = "clamp"
	t.use(op)
	x := t
	if dt := t.DType(); !dt.IsFloat() {
		if !bound(lo) || !bound(hi) {
			x = t.To(Float32)
		} else if dt == Bool {
			x = t.To(Int64)
		} else if least, most := intRange(dt); lo > most || hi < least {
			Fail(op, "the bounds [%v, %v] leave nothing of %v", lo, hi, dt)
		}
	}
	p := backend.Scalars{A: lo, B: hi, N: saturate(lo), M: saturate(hi)}
	y := unary(op, backend.Clamp, x, p, func(g, x, y *Tensor) *Tensor {
		if !math.IsInf(lo, -1) {
			g = fillWhere("clamp_backward", g, x.GtScalar(lo), 0, false)
		}
		if !math.IsInf(hi, 1) {
			g = fillWhere("clamp_backward", g, x.LtScalar(hi), 0, false)
		}
		return g
	})
	if x != t {
		free(x)
	}
	return y
}

// ClampMin is Clamp without an upper bound.
func (t *Tensor) ClampMin(lo float64) *Tensor { return t.Clamp(lo, math.Inf(1)) }

// ClampMax is Clamp without a lower bound.
func (t *Tensor) ClampMax(hi float64) *Tensor { return t.Clamp(math.Inf(-1), hi) }

// bound reports whether integers can be clamped to c.
func bound(c float64) bool { return math.IsInf(c, 0) || integral(c) }

// intRange are the bounds of an integer dtype.
func intRange(dt DType) (least, most float64) {
	if dt == Uint8 {
		return 0, math.MaxUint8
	}
	most = math.Ldexp(1, 8*dt.Size()-1)
	return -most, most - 1
}

// saturate is c as an int64, the nearest one if there is none.
func saturate(c float64) int64 {
	switch {
	case c >= 1<<63:
		return math.MaxInt64
	case c < -1<<63:
		return math.MinInt64
	}
	return int64(c)
}

// Logit is log(t/(1-t)), the inverse of Sigmoid; NaN outside [0, 1]. Clamp
// before it takes the place of PyTorch's eps.
func (t *Tensor) Logit() *Tensor {
	x := t
	if !t.DType().IsFloat() {
		x = t.To(Float32)
	}
	y := Within(ScopeOptions{NoGrad: true}, []*Tensor{x}, func(in []*Tensor) []*Tensor {
		return []*Tensor{in[0].Div(in[0].RSubScalar(1)).Log()}
	})[0]
	record("logit", y, []*Tensor{x}, func(b *Back, g *Tensor) *Tensor {
		x := b.In(0)
		outside := x.LtScalar(0).LogicalOr(x.GtScalar(1))
		return g.Div(x.Mul(x.RSubScalar(1))).MaskedFill(outside, math.NaN())
	})
	if x != t {
		free(x)
	}
	return y
}

// LogicalNot is true where t is 0 or false; the result is Bool.
func (t *Tensor) LogicalNot() *Tensor { return test("logical_not", backend.Not, t) }

// BitNot flips every bit of integers; of bool it is LogicalNot.
func (t *Tensor) BitNot() *Tensor {
	const op = "bitwise_not"
	noFloat(op, t)
	if t.DType() == Bool {
		return t.LogicalNot()
	}
	return withScalar(op, backend.BitXor, t, -1, nil)
}

// IsNaN is true where t is not a number; the result is Bool.
func (t *Tensor) IsNaN() *Tensor { return test("isnan", backend.IsNaN, t) }

// IsInf is true where t is infinite; the result is Bool.
func (t *Tensor) IsInf() *Tensor { return test("isinf", backend.IsInf, t) }

// IsFinite is true where t is neither infinite nor NaN; the result is Bool.
func (t *Tensor) IsFinite() *Tensor { return test("isfinite", backend.IsFinite, t) }
