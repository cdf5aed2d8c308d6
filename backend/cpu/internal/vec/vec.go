// Package vec holds kernels over contiguous float32 slices: AVX2 assembly where the processor has it, plain Go with the
// same meaning elsewhere. They run on the calling goroutine; the caller shares out the work.
//
// Unless a function says otherwise, its operands have at least len(dst) elements (it panics if not), dst may be one of
// them exactly but must not overlap it in part, and the value of an element depends neither on its place nor on the
// length, so a slice may be cut anywhere without changing a bit. NaN and infinities behave as in PyTorch.
package vec

import "math"

// unary computes dst = f(x) in float64 and rounds once.
func unary(dst, x []float32, f func(float64) float64) {
	x = x[:len(dst)]
	for i, v := range x {
		dst[i] = float32(f(float64(v)))
	}
}

// Exp computes dst = e^x.
func Exp(dst, x []float32) { unary(dst, x, math.Exp) }

// Log computes dst = ln x.
func Log(dst, x []float32) { unary(dst, x, math.Log) }

// Tanh computes dst = tanh x.
func Tanh(dst, x []float32) { unary(dst, x, math.Tanh) }

// Sigmoid computes dst = 1/(1+e^-x).
func Sigmoid(dst, x []float32) {
	unary(dst, x, func(v float64) float64 { return 1 / (1 + math.Exp(-v)) })
}

// Erf computes dst = erf x.
func Erf(dst, x []float32) { unary(dst, x, math.Erf) }

// GELU computes dst = x·Φ(x) = x·(1+erf(x/√2))/2.
func GELU(dst, x []float32) {
	unary(dst, x, func(v float64) float64 { return v * 0.5 * (1 + math.Erf(v*(math.Sqrt2/2))) })
}

// GELUTanh computes PyTorch's approximate="tanh": dst = x·(1+tanh(√(2/π)·(x+0.044715·x³)))/2.
func GELUTanh(dst, x []float32) {
	unary(dst, x, func(v float64) float64 {
		return v * 0.5 * (1 + math.Tanh(math.Sqrt2/math.SqrtPi*(v+0.044715*v*v*v)))
	})
}

// SiLU computes dst = x/(1+e^-x).
func SiLU(dst, x []float32) {
	unary(dst, x, func(v float64) float64 { return v / (1 + math.Exp(-v)) })
}

// Sqrt computes dst = √x, correctly rounded.
func Sqrt(dst, x []float32) { unary(dst, x, math.Sqrt) }

// Rsqrt computes dst = 1/√x.
func Rsqrt(dst, x []float32) { unary(dst, x, func(v float64) float64 { return 1 / math.Sqrt(v) }) }

// Abs computes dst = |x|.
func Abs(dst, x []float32) {
	x = x[:len(dst)]
	for i, v := range x {
		dst[i] = math.Float32frombits(math.Float32bits(v) &^ (1 << 31))
	}
}

// Neg computes dst = -x.
func Neg(dst, x []float32) {
	x = x[:len(dst)]
	for i, v := range x {
		dst[i] = -v
	}
}

// ReLU computes dst = max(x, 0); NaN stays NaN.
func ReLU(dst, x []float32) {
	x = x[:len(dst)]
	for i, v := range x {
		if v <= 0 {
			v = 0
		}
		dst[i] = v
	}
}

// ReLUGrad computes dst = g where y > 0 and 0 elsewhere.
func ReLUGrad(dst, g, y []float32) {
	g, y = g[:len(dst)], y[:len(dst)]
	for i, v := range y {
		r := g[i]
		if !(v > 0) {
			r = 0
		}
		dst[i] = r
	}
}

// Add computes dst = x + y.
func Add(dst, x, y []float32) {
	x, y = x[:len(dst)], y[:len(dst)]
	for i := range dst {
		dst[i] = x[i] + y[i]
	}
}

// Sub computes dst = x - y.
func Sub(dst, x, y []float32) {
	x, y = x[:len(dst)], y[:len(dst)]
	for i := range dst {
		dst[i] = x[i] - y[i]
	}
}

// Mul computes dst = x·y.
func Mul(dst, x, y []float32) {
	x, y = x[:len(dst)], y[:len(dst)]
	for i := range dst {
		dst[i] = x[i] * y[i]
	}
}

// Div computes dst = x / y.
func Div(dst, x, y []float32) {
	x, y = x[:len(dst)], y[:len(dst)]
	for i := range dst {
		dst[i] = x[i] / y[i]
	}
}

// Max computes dst = max(x, y); NaN if either is.
func Max(dst, x, y []float32) {
	x, y = x[:len(dst)], y[:len(dst)]
	for i := range dst {
		dst[i] = max(x[i], y[i])
	}
}

// Min computes dst = min(x, y); NaN if either is.
func Min(dst, x, y []float32) {
	x, y = x[:len(dst)], y[:len(dst)]
	for i := range dst {
		dst[i] = min(x[i], y[i])
	}
}

// AddScalar computes dst = x + s.
func AddScalar(dst, x []float32, s float32) {
	x = x[:len(dst)]
	for i, v := range x {
		dst[i] = v + s
	}
}

// RSubScalar computes dst = s - x.
func RSubScalar(dst, x []float32, s float32) {
	x = x[:len(dst)]
	for i, v := range x {
		dst[i] = s - v
	}
}

// MulScalar computes dst = x·s.
func MulScalar(dst, x []float32, s float32) {
	x = x[:len(dst)]
	for i, v := range x {
		dst[i] = v * s
	}
}

// DivScalar computes dst = x / s.
func DivScalar(dst, x []float32, s float32) {
	x = x[:len(dst)]
	for i, v := range x {
		dst[i] = v / s
	}
}

// RDivScalar computes dst = s / x.
func RDivScalar(dst, x []float32, s float32) {
	x = x[:len(dst)]
	for i, v := range x {
		dst[i] = s / v
	}
}

// MaxScalar computes dst = max(x, s); NaN if either is.
func MaxScalar(dst, x []float32, s float32) {
	x = x[:len(dst)]
	for i, v := range x {
		dst[i] = max(v, s)
	}
}

// MinScalar computes dst = min(x, s); NaN if either is.
func MinScalar(dst, x []float32, s float32) {
	x = x[:len(dst)]
	for i, v := range x {
		dst[i] = min(v, s)
	}
}

// Axpy computes dst += a·x, rounded once where the processor can (fused multiply-add).
func Axpy(dst []float32, a float32, x []float32) {
	x = x[:len(dst)]
	for i, v := range x {
		dst[i] += a * v
	}
}

// MulAdd computes dst = x·y + z, rounded once where the processor can.
func MulAdd(dst, x, y, z []float32) {
	x, y, z = x[:len(dst)], y[:len(dst)], z[:len(dst)]
	for i := range dst {
		dst[i] = x[i]*y[i] + z[i]
	}
}
