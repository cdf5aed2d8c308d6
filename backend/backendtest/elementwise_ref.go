package backendtest

import (
	"math"

	"github.com/descent-ml/descent/backend"
)

// The references are optional: see unaryWant. Integers go through them too, as
// exact float64; a and b are Params' A and B, or N and M for integers.

func f1(f func(float64) float64) func(x, a, b float64) float64 {
	return func(x, _, _ float64) float64 { return f(x) }
}

var unaryRefs = map[backend.UnaryOp]func(x, a, b float64) float64{
	backend.Identity:   f1(func(x float64) float64 { return x }),
	backend.Neg:        f1(func(x float64) float64 { return -x }),
	backend.Abs:        f1(math.Abs),
	backend.Sign:       f1(sign),
	backend.Square:     f1(func(x float64) float64 { return x * x }),
	backend.Reciprocal: f1(func(x float64) float64 { return 1 / x }),
	backend.Sqrt:       f1(math.Sqrt),
	backend.Rsqrt:      f1(func(x float64) float64 { return 1 / math.Sqrt(x) }),
	backend.Exp:        f1(math.Exp),
	backend.Exp2:       f1(math.Exp2),
	backend.Expm1:      f1(math.Expm1),
	backend.Log:        f1(math.Log),
	backend.Log2:       f1(math.Log2),
	backend.Log10:      f1(math.Log10),
	backend.Log1p:      f1(math.Log1p),
	backend.Sin:        f1(math.Sin),
	backend.Cos:        f1(math.Cos),
	backend.Tan:        f1(math.Tan),
	backend.Asin:       f1(math.Asin),
	backend.Acos:       f1(math.Acos),
	backend.Atan:       f1(math.Atan),
	backend.Cosh:       f1(math.Cosh),
	backend.Asinh:      f1(math.Asinh),
	backend.Acosh:      f1(math.Acosh),
	backend.Atanh:      f1(math.Atanh),
	backend.Tanh:       f1(math.Tanh),
	backend.Sigmoid:    f1(sigmoid),
	backend.LogSigmoid: f1(func(x float64) float64 { return min(x, 0) - math.Log1p(math.Exp(-math.Abs(x))) }),
	backend.Erf:        f1(math.Erf),
	backend.Erfc:       f1(math.Erfc),
	backend.ReLU:       f1(func(x float64) float64 { return max(x, 0) }),
	backend.LeakyReLU: func(x, a, _ float64) float64 {
		if x < 0 {
			return a * x
		}
		return x
	},
	backend.ELU: func(x, a, _ float64) float64 {
		if x < 0 {
			return a * math.Expm1(x)
		}
		return x
	},
	backend.GELU:     f1(func(x float64) float64 { return x * phi(x) }),
	backend.GELUTanh: f1(func(x float64) float64 { return x / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x))) }),
	backend.SiLU:     f1(func(x float64) float64 { return x * sigmoid(x) }),
	backend.Softplus: func(x, beta, threshold float64) float64 {
		if x*beta > threshold {
			return x
		}
		return math.Log1p(math.Exp(x*beta)) / beta
	},
	backend.Mish:     f1(func(x float64) float64 { return x * math.Tanh(max(x, 0)+math.Log1p(math.Exp(-math.Abs(x)))) }),
	backend.Hardtanh: func(x, a, b float64) float64 { return min(max(x, a), b) },
	backend.Clamp:    func(x, a, b float64) float64 { return min(max(x, a), b) },
	backend.Floor:    f1(math.Floor),
	backend.Ceil:     f1(math.Ceil),
	backend.Round:    f1(math.RoundToEven),
	backend.Trunc:    f1(math.Trunc),
	backend.Not:      f1(func(x float64) float64 { return truth(x == 0) }),
	backend.IsNaN:    f1(func(x float64) float64 { return truth(math.IsNaN(x)) }),
	backend.IsInf:    f1(func(x float64) float64 { return truth(math.IsInf(x, 0)) }),
	backend.IsFinite: f1(func(x float64) float64 { return truth(!math.IsInf(x, 0) && !math.IsNaN(x)) }),
}

func f2(f func(x, y float64) float64) func(x, y, a, b float64) float64 {
	return func(x, y, _, _ float64) float64 { return f(x, y) }
}

func bits(f func(x, y int64) int64) func(x, y, a, b float64) float64 {
	return func(x, y, _, _ float64) float64 { return float64(f(int64(x), int64(y))) }
}

func test(f func(x, y float64) bool) func(x, y, a, b float64) float64 {
	return func(x, y, _, _ float64) float64 { return truth(f(x, y)) }
}

// pick is g where the condition holds, whatever g is, and 0 elsewhere.
func pick(ok bool, g float64) float64 {
	if ok {
		return g
	}
	return 0
}

var binaryRefs = map[backend.BinaryOp]func(x, y, a, b float64) float64{
	backend.Add:        f2(func(x, y float64) float64 { return x + y }),
	backend.Sub:        f2(func(x, y float64) float64 { return x - y }),
	backend.Mul:        f2(func(x, y float64) float64 { return x * y }),
	backend.Div:        f2(func(x, y float64) float64 { return x / y }),
	backend.FloorDiv:   f2(floorDiv),
	backend.TruncDiv:   f2(func(x, y float64) float64 { return math.Trunc(x / y) }),
	backend.Remainder:  f2(remainder),
	backend.Fmod:       f2(math.Mod),
	backend.Pow:        f2(math.Pow),
	backend.Maximum:    f2(func(x, y float64) float64 { return max(x, y) }),
	backend.Minimum:    f2(func(x, y float64) float64 { return min(x, y) }),
	backend.Atan2:      f2(math.Atan2),
	backend.BitAnd:     bits(func(x, y int64) int64 { return x & y }),
	backend.BitOr:      bits(func(x, y int64) int64 { return x | y }),
	backend.BitXor:     bits(func(x, y int64) int64 { return x ^ y }),
	backend.Eq:         test(func(x, y float64) bool { return x == y }),
	backend.Ne:         test(func(x, y float64) bool { return x != y }),
	backend.Lt:         test(func(x, y float64) bool { return x < y }),
	backend.Le:         test(func(x, y float64) bool { return x <= y }),
	backend.Gt:         test(func(x, y float64) bool { return x > y }),
	backend.Ge:         test(func(x, y float64) bool { return x >= y }),
	backend.LogicalAnd: test(func(x, y float64) bool { return x != 0 && y != 0 }),
	backend.LogicalOr:  test(func(x, y float64) bool { return x != 0 || y != 0 }),
	backend.LogicalXor: test(func(x, y float64) bool { return (x != 0) != (y != 0) }),

	backend.ReLUGrad: f2(func(g, y float64) float64 { return pick(y > 0, g) }),
	backend.LeakyReLUGrad: func(g, x, a, _ float64) float64 {
		if x > 0 {
			return g
		}
		return a * g
	},
	backend.ELUGrad: func(g, x, a, _ float64) float64 {
		if x > 0 {
			return g
		}
		return g * a * math.Exp(x)
	},
	backend.TanhGrad:    f2(func(g, y float64) float64 { return g * (1 - y*y) }),
	backend.SigmoidGrad: f2(func(g, y float64) float64 { return g * (1 - y) * y }),
	backend.GELUGrad: f2(func(g, x float64) float64 {
		return g * (phi(x) + x*math.Exp(-x*x/2)/math.Sqrt(2*math.Pi))
	}),
	backend.GELUTanhGrad: f2(func(g, x float64) float64 {
		k := math.Sqrt(2 / math.Pi)
		t := math.Tanh(k * (x + 0.044715*x*x*x))
		return g * ((1+t)/2 + x/2*(1-t*t)*k*(1+3*0.044715*x*x))
	}),
	backend.SiLUGrad: f2(func(g, x float64) float64 { return g * sigmoid(x) * (1 + x*(1-sigmoid(x))) }),
	backend.SoftplusGrad: func(g, x, beta, threshold float64) float64 {
		if x*beta > threshold {
			return g
		}
		return g * sigmoid(x*beta)
	},
	backend.HardtanhGrad: func(g, x, a, b float64) float64 { return pick(a < x && x < b, g) },
}

// ternaryRefs also say what rounding may lose: the magnitudes that are added.
var ternaryRefs = map[backend.TernaryOp]func(x, y, z, a float64) (want, sum float64){
	backend.Where: func(x, y, z, _ float64) (float64, float64) {
		if x != 0 {
			return y, 0
		}
		return z, 0
	},
	backend.Addcmul: func(x, y, z, a float64) (float64, float64) {
		return x + a*y*z, math.Abs(x) + math.Abs(a*y*z)
	},
	backend.Addcdiv: func(x, y, z, a float64) (float64, float64) {
		return x + a*y/z, math.Abs(x) + math.Abs(a*y/z)
	},
}

func truth(ok bool) float64 {
	if ok {
		return 1
	}
	return 0
}

func sign(x float64) float64 { return truth(x > 0) - truth(x < 0) }

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// phi is the normal distribution's cumulative function.
func phi(x float64) float64 { return math.Erfc(-x/math.Sqrt2) / 2 }

// remainder and floorDiv are Python's, and PyTorch's for an infinite or zero y.
func remainder(x, y float64) float64 {
	m := math.Mod(x, y)
	if m != 0 && (m < 0) != (y < 0) {
		m += y
	}
	return m
}

func floorDiv(x, y float64) float64 {
	if y == 0 {
		return x / y
	}
	m := math.Mod(x, y)
	q := (x - m) / y
	if m != 0 && (m < 0) != (y < 0) {
		q--
	}
	return math.RoundToEven(q)
}
