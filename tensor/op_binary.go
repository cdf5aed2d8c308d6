package tensor

import (
	"math"

	"github.com/descent-ml/descent/backend"
)

// The ops of two tensors broadcast them against each other and promote their
// dtypes to a common one, as PyTorch does (ResultType).
//
// Of an op with a scalar c the result has t's dtype, but where t cannot hold c:
// with a c that is no integer, integers and bool become Float32, and bool becomes
// Int64 with any other. (Go has one constant 2 where Python has 2 and 2.0.)

// The formulas of ops of two inputs or one that need no values.
func passGrad(g, _, _ *Tensor) *Tensor { return g }
func negGrad(g, _, _ *Tensor) *Tensor  { return g.Neg() }
func zeroGrad(g, _, _ *Tensor) *Tensor { return ZerosLike(g) } // of what is constant almost everywhere
func noGrad(_, _, _ *Tensor) *Tensor   { return nil }          // zero, and not worth a tensor

// withScalar computes an elementwise op of x and c.
func withScalar(op string, code backend.BinaryOp, x *Tensor, c float64, grad formula1) *Tensor {
	return scalarOp(op, code, x, c, false, grad)
}

// scalarWith is withScalar with c as the first operand.
func scalarWith(op string, code backend.BinaryOp, c float64, x *Tensor, grad formula1) *Tensor {
	return scalarOp(op, code, x, c, true, grad)
}

func scalarOp(op string, code backend.BinaryOp, t *Tensor, c float64, first bool, grad formula1) *Tensor {
	t.use(op)
	x := t
	if dt := t.arr.DType; !dt.IsFloat() {
		x = t.To(scalarType(dt, c, code == backend.Div))
	} else if code == backend.Pow {
		x = t.wide()
	}
	dt := x.arr.DType
	compares := code >= backend.Eq && code <= backend.LogicalXor
	if compares {
		c = rounded(c, dt)
	}
	p := backend.Params{Scalars: scalars(dt, c)}
	if compares {
		dt = Bool
	}
	record := tracked(x.scope, dt, x)
	y := newResult(record).like(op, x.scope, dt, x)
	if first {
		check(op, x.dev.Binary(code, y.arr, backend.Array{}, x.arr, p))
	} else {
		check(op, x.dev.Binary(code, y.arr, x.arr, backend.Array{}, p))
	}
	if record {
		n := newNode(op, y, x)
		n.one = grad
		n.save()
	}
	if x != t {
		free(x)
	}
	return y
}

// scalarType is the dtype of an op of integers or bool with c.
func scalarType(dt DType, c float64, division bool) DType {
	switch {
	case division || !integral(c):
		return Float32
	case dt == Bool:
		return Int64
	}
	return dt
}

// rounded is c as the half type dt holds it, so that x equals the c it was made
// of; kernels know the other types' own precision.
func rounded(c float64, dt DType) float64 {
	var bits, least int // of the significand; the exponent of the smallest number
	switch dt {
	case Float16:
		bits, least = 11, -24
	case BFloat16:
		bits, least = 8, -133
	default:
		return c
	}
	_, e := math.Frexp(c)
	unit := math.Ldexp(1, max(e-bits, least))
	if r := math.RoundToEven(c/unit) * unit; dt != Float16 || math.Abs(r) <= 65504 {
		return r
	}
	return math.Copysign(math.Inf(1), c)
}

// integral reports whether c is an integer that an int64 holds.
func integral(c float64) bool { return c == math.Trunc(c) && c >= -1<<63 && c < 1<<63 }

// noBool refuses bool, noFloat floats, where an op has no meaning for them.
func noBool(op string, ts ...*Tensor) {
	for _, t := range ts {
		if t.use(op); t.arr.DType == Bool {
			Fail(op, "bool has no %s; To(tensor.Int64) counts with it, LogicalNot, LogicalAnd, LogicalOr and LogicalXor are its ops", op)
		}
	}
}

func noFloat(op string, ts ...*Tensor) {
	for _, t := range ts {
		if t.use(op); t.arr.DType.IsFloat() {
			Fail(op, "it is for integers and bool, not %v", t.arr.DType)
		}
	}
}

// Add is t + y; of bool, or.
func (t *Tensor) Add(y *Tensor) *Tensor {
	return valueFree(binary("add", backend.Add, t, y, none, passGrad, passGrad))
}

// valueFree says that the formulas of the op that made y look at the gradient
// alone: its operands may change, or be freed, before the backward pass.
func valueFree(y *Tensor) *Tensor {
	if y.node != nil {
		y.node.valueFree, y.node.saved = true, nil
	}
	return y
}

// Sub is t - y.
func (t *Tensor) Sub(y *Tensor) *Tensor {
	noBool("sub", t, y)
	return valueFree(binary("sub", backend.Sub, t, y, none, passGrad, negGrad))
}

// Mul is t·y element by element; of bool, and. MatMul is the matrix product.
func (t *Tensor) Mul(y *Tensor) *Tensor {
	return binary("mul", backend.Mul, t, y, none,
		func(g, x, y *Tensor) *Tensor { return g.Mul(y) },
		func(g, x, y *Tensor) *Tensor { return g.Mul(x) })
}

// Div is t / y; integers and bool become Float32.
func (t *Tensor) Div(y *Tensor) *Tensor {
	return binaryFloat("div", backend.Div, t, y,
		func(g, x, y *Tensor) *Tensor { return g.Div(y) },
		func(g, x, y *Tensor) *Tensor { return g.Mul(x.Div(y).Div(y)).Neg() })
}

// binaryFloat is binary for functions that take integers to the default float.
func binaryFloat(op string, code backend.BinaryOp, x, y *Tensor, gx, gy formula2) *Tensor {
	x.use(op)
	y.use(op)
	if ResultType(x, y).IsFloat() {
		return binary(op, code, x, y, none, gx, gy)
	}
	a, b := x.To(Float32), y.To(Float32)
	defer free(a, b)
	return binary(op, code, a, b, none, nil, nil)
}

// FloorDiv is t / y rounded down, as Python's //. Its gradient is zero. An
// integer divided by 0 panics, possibly when the device next synchronises.
func (t *Tensor) FloorDiv(y *Tensor) *Tensor {
	noBool("floor_divide", t, y)
	return binary("floor_divide", backend.FloorDiv, t, y, none, zeroGrad, zeroGrad)
}

// TruncDiv is t / y rounded toward 0, as Go's integer division. Its gradient is zero.
func (t *Tensor) TruncDiv(y *Tensor) *Tensor {
	return binary("trunc_divide", backend.TruncDiv, t, y, none, zeroGrad, zeroGrad)
}

// Remainder is t - FloorDiv(t, y)·y, of y's sign, as Python's %.
func (t *Tensor) Remainder(y *Tensor) *Tensor {
	return binary("remainder", backend.Remainder, t, y, none, passGrad,
		func(g, x, y *Tensor) *Tensor { return g.Mul(x.FloorDiv(y)).Neg() })
}

// Fmod is t - TruncDiv(t, y)·y, of t's sign, as C's fmod and Go's %.
func (t *Tensor) Fmod(y *Tensor) *Tensor {
	return binary("fmod", backend.Fmod, t, y, none, passGrad,
		func(g, x, y *Tensor) *Tensor { return g.Mul(x.TruncDiv(y)).Neg() })
}

// Pow is t to the power of y. Of integers it stays integer, and is 0 where y is
// negative and t is neither 1 nor -1. The gradients at base 0 are PyTorch's.
func (t *Tensor) Pow(y *Tensor) *Tensor {
	noBool("pow", t, y)
	if a, b := t.wide(), y.wide(); a != t || b != y {
		z := a.Pow(b)
		if z.node == nil {
			freeCasts(t, a, y, b)
		}
		return z
	}
	return binary("pow", backend.Pow, t, y, none,
		func(g, x, y *Tensor) *Tensor {
			return g.Mul(y.Mul(x.Pow(y.SubScalar(1)))).MaskedFill(y.EqScalar(0), 0)
		},
		func(g, x, y *Tensor) *Tensor {
			return g.Mul(x.Pow(y).Mul(x.Log())).MaskedFill(x.EqScalar(0).LogicalAnd(y.GeScalar(0)), 0)
		})
}

// FloatPower is Pow in Float64, whatever the operands are.
func (t *Tensor) FloatPower(y *Tensor) *Tensor {
	t.use("float_power")
	y.use("float_power")
	a, b := t.To(Float64), y.To(Float64)
	z := a.Pow(b)
	if z.node == nil {
		freeCasts(t, a, y, b)
	}
	return z
}

// Maximum is the larger of the two, NaN if either is. Equal ones share the gradient.
func (t *Tensor) Maximum(y *Tensor) *Tensor {
	return binary("maximum", backend.Maximum, t, y, none,
		func(g, x, y *Tensor) *Tensor { return tieGrad(g, x, x.Lt(y), y) },
		func(g, x, y *Tensor) *Tensor { return tieGrad(g, x, x.Gt(y), y) })
}

// Minimum is the smaller of the two, NaN if either is. Equal ones share the gradient.
func (t *Tensor) Minimum(y *Tensor) *Tensor {
	return binary("minimum", backend.Minimum, t, y, none,
		func(g, x, y *Tensor) *Tensor { return tieGrad(g, x, x.Gt(y), y) },
		func(g, x, y *Tensor) *Tensor { return tieGrad(g, x, x.Lt(y), y) })
}

// tieGrad is the gradient of the one that is not taken where lost, half of it
// where both are equal.
func tieGrad(g, x, lost, y *Tensor) *Tensor {
	return Where(x.Eq(y), g.MulScalar(0.5), g).MaskedFill(lost, 0)
}

// Atan2 is the angle of the point (y, t), from -π to π; its gradient at (0, 0) is 0.
func (t *Tensor) Atan2(y *Tensor) *Tensor {
	return binaryFloat("atan2", backend.Atan2, t, y,
		func(g, x, y *Tensor) *Tensor { return g.Mul(overSquares(y, x)) },
		func(g, x, y *Tensor) *Tensor { return g.Mul(overSquares(x, y)).Neg() })
}

// overSquares is x/(x² + y²), 0 at the origin.
func overSquares(x, y *Tensor) *Tensor {
	r := x.Square().Add(y.Square())
	return x.Div(r).MaskedFill(r.EqScalar(0), 0)
}

// XLogY is t·log(y), 0 where t is 0 whatever y is, but for NaN.
func (t *Tensor) XLogY(y *Tensor) *Tensor {
	const op = "xlogy"
	place2(op, t, y)
	dt := ResultType(t, y)
	if !dt.IsFloat() {
		dt = Float32
	}
	a, b := t.To(dt), y.To(dt)
	z := Within(ScopeOptions{NoGrad: true}, []*Tensor{a, b}, func(in []*Tensor) []*Tensor {
		x, y := in[0], in[1]
		return []*Tensor{x.Mul(y.Log()).MaskedFill(x.EqScalar(0).LogicalAnd(y.IsNaN().LogicalNot()), 0)}
	})[0]
	record(op, z, []*Tensor{a, b},
		func(bk *Back, g *Tensor) *Tensor {
			x, y := bk.In(0), bk.In(1)
			return g.Mul(y.Log()).MaskedFill(x.EqScalar(0).LogicalAnd(y.LeScalar(0)), 0)
		},
		func(bk *Back, g *Tensor) *Tensor { return g.Mul(bk.In(0).Div(bk.In(1))) })
	if z.node == nil {
		freeCasts(t, a, y, b)
	}
	return z
}

// compare computes a predicate of two tensors; the result is Bool.
func compare(op string, code backend.BinaryOp, x, y *Tensor) *Tensor {
	a, b := promote(op, x, y)
	z := elementwise2(op, code, Bool, a, b, none, nil, nil)
	freeCasts(x, a, y, b)
	return z
}

// freeCasts frees the operands a and b of an op that is not recorded, unless
// they are x and y themselves.
func freeCasts(x, a, y, b *Tensor) {
	if a != x {
		free(a)
	}
	if b != y {
		free(b)
	}
}

// Eq, Ne, Lt, Le, Gt and Ge compare; the result is Bool. NaN equals nothing.
func (t *Tensor) Eq(y *Tensor) *Tensor { return compare("eq", backend.Eq, t, y) }
func (t *Tensor) Ne(y *Tensor) *Tensor { return compare("ne", backend.Ne, t, y) }
func (t *Tensor) Lt(y *Tensor) *Tensor { return compare("lt", backend.Lt, t, y) }
func (t *Tensor) Le(y *Tensor) *Tensor { return compare("le", backend.Le, t, y) }
func (t *Tensor) Gt(y *Tensor) *Tensor { return compare("gt", backend.Gt, t, y) }
func (t *Tensor) Ge(y *Tensor) *Tensor { return compare("ge", backend.Ge, t, y) }

// LogicalAnd, LogicalOr and LogicalXor take what is not 0 for true; the result is Bool.
func (t *Tensor) LogicalAnd(y *Tensor) *Tensor {
	return compare("logical_and", backend.LogicalAnd, t, y)
}
func (t *Tensor) LogicalOr(y *Tensor) *Tensor { return compare("logical_or", backend.LogicalOr, t, y) }
func (t *Tensor) LogicalXor(y *Tensor) *Tensor {
	return compare("logical_xor", backend.LogicalXor, t, y)
}

// BitAnd, BitOr and BitXor work on the bits of integers, and on bool.
func (t *Tensor) BitAnd(y *Tensor) *Tensor { return bitwise("bitwise_and", backend.BitAnd, t, y) }
func (t *Tensor) BitOr(y *Tensor) *Tensor  { return bitwise("bitwise_or", backend.BitOr, t, y) }
func (t *Tensor) BitXor(y *Tensor) *Tensor { return bitwise("bitwise_xor", backend.BitXor, t, y) }

func bitwise(op string, code backend.BinaryOp, x, y *Tensor) *Tensor {
	noFloat(op, x, y)
	return binary(op, code, x, y, none, nil, nil)
}

// AddScalar is t + c.
func (t *Tensor) AddScalar(c float64) *Tensor {
	return withScalar("add", backend.Add, t, c, passGrad)
}

// SubScalar is t - c.
func (t *Tensor) SubScalar(c float64) *Tensor {
	noBool("sub", t)
	return withScalar("sub", backend.Sub, t, c, passGrad)
}

// RSubScalar is c - t.
func (t *Tensor) RSubScalar(c float64) *Tensor {
	noBool("sub", t)
	return scalarWith("sub", backend.Sub, c, t, negGrad)
}

// MulScalar is t·c.
func (t *Tensor) MulScalar(c float64) *Tensor {
	return withScalar("mul", backend.Mul, t, c, func(g, x, y *Tensor) *Tensor { return g.MulScalar(c) })
}

// DivScalar is t / c; integers and bool become Float32.
func (t *Tensor) DivScalar(c float64) *Tensor {
	return withScalar("div", backend.Div, t, c, func(g, x, y *Tensor) *Tensor { return g.DivScalar(c) })
}

// RDivScalar is c / t; integers and bool become Float32.
func (t *Tensor) RDivScalar(c float64) *Tensor {
	return scalarWith("div", backend.Div, c, t, func(g, x, y *Tensor) *Tensor { return g.Mul(y.Div(x)).Neg() })
}

// FloorDivScalar is FloorDiv(t, c).
func (t *Tensor) FloorDivScalar(c float64) *Tensor {
	return withScalar("floor_divide", backend.FloorDiv, t, c, zeroGrad)
}

// RemainderScalar is Remainder(t, c).
func (t *Tensor) RemainderScalar(c float64) *Tensor {
	return withScalar("remainder", backend.Remainder, t, c, passGrad)
}

// FmodScalar is Fmod(t, c).
func (t *Tensor) FmodScalar(c float64) *Tensor {
	return withScalar("fmod", backend.Fmod, t, c, passGrad)
}

// PowScalar is t to the power of c. Integers to a negative integer panic.
func (t *Tensor) PowScalar(c float64) *Tensor {
	if t.use("pow"); c == 2 {
		return t.Square()
	} else if t.DType().IsFloat() {
		switch c { // faster, and PyTorch's values at infinities
		case 0.5:
			return t.Sqrt()
		case -0.5:
			return t.Rsqrt()
		case -1:
			return t.Reciprocal()
		}
	}
	return withScalar("pow", backend.Pow, t, c, func(g, x, y *Tensor) *Tensor {
		if c == 0 {
			return ZerosLike(g)
		}
		return g.Mul(x.PowScalar(c - 1)).MulScalar(c)
	})
}

// RPowScalar is c to the power of t.
func (t *Tensor) RPowScalar(c float64) *Tensor {
	return scalarWith("pow", backend.Pow, c, t, func(g, x, y *Tensor) *Tensor {
		g = g.Mul(y).MulScalar(math.Log(c))
		if c == 0 {
			g = g.MaskedFill(x.GeScalar(0), 0)
		}
		return g
	})
}

// EqScalar, NeScalar, LtScalar, LeScalar, GtScalar and GeScalar compare t with
// c, which is rounded to t's dtype; the result is Bool.
func (t *Tensor) EqScalar(c float64) *Tensor { return withScalar("eq", backend.Eq, t, c, nil) }
func (t *Tensor) NeScalar(c float64) *Tensor { return withScalar("ne", backend.Ne, t, c, nil) }
func (t *Tensor) LtScalar(c float64) *Tensor { return withScalar("lt", backend.Lt, t, c, nil) }
func (t *Tensor) LeScalar(c float64) *Tensor { return withScalar("le", backend.Le, t, c, nil) }
func (t *Tensor) GtScalar(c float64) *Tensor { return withScalar("gt", backend.Gt, t, c, nil) }
func (t *Tensor) GeScalar(c float64) *Tensor { return withScalar("ge", backend.Ge, t, c, nil) }
