package cpu

import (
	"math"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cpu/internal/vec"
)

// Unary computes out = op(x).
func (d *Device) Unary(op backend.UnaryOp, out, x backend.Array, p backend.Params) error {
	if g := d.capturing(); g != nil {
		return g.unary(op, out, x, p)
	}
	if op == backend.Identity {
		return d.Copy(out, x, false)
	}
	if op == backend.Dropout {
		return dropOut(&out, &x, scalars(&p))
	}
	return unary[op].run(op, &p, &out, &x)
}

var unary = [backend.NumUnary]entry{
	backend.Identity:   {}, // Copy
	backend.Neg:        {f32: vec1(vec.Neg), f64: each1(neg[float64]), i64: each1(neg[int64])},
	backend.Abs:        {f32: vec1(vec.Abs), f64: each1(math.Abs), i64: each1(absolute)},
	backend.Sign:       {f64: each1(sign[float64]), i64: each1(sign[int64]), bools: true},
	backend.Square:     {f32: vec1(square32), f64: each1(square[float64]), i64: each1(square[int64])},
	backend.Reciprocal: {f64: each1(func(x float64) float64 { return 1 / x })},
	backend.Sqrt:       {f32: vec1(vec.Sqrt), f64: each1(math.Sqrt)},
	backend.Rsqrt:      {f32: vec1(vec.Rsqrt), f64: each1(func(x float64) float64 { return 1 / math.Sqrt(x) })},
	backend.Exp:        {f32: vec1(vec.Exp), f64: each1(math.Exp)},
	backend.Exp2:       {f64: each1(math.Exp2)},
	backend.Expm1:      {f64: each1(math.Expm1)},
	backend.Log:        {f32: vec1(vec.Log), f64: each1(math.Log)},
	backend.Log2:       {f64: each1(math.Log2)},
	backend.Log10:      {f64: each1(math.Log10)},
	backend.Log1p:      {f64: each1(math.Log1p)},
	backend.Sin:        {f64: each1(math.Sin)},
	backend.Cos:        {f64: each1(math.Cos)},
	backend.Tan:        {f64: each1(math.Tan)},
	backend.Asin:       {f64: each1(math.Asin)},
	backend.Acos:       {f64: each1(math.Acos)},
	backend.Atan:       {f64: each1(math.Atan)},
	backend.Sinh:       {f64: each1(math.Sinh)},
	backend.Cosh:       {f64: each1(math.Cosh)},
	backend.Asinh:      {f64: each1(math.Asinh)},
	backend.Acosh:      {f64: each1(math.Acosh)},
	backend.Atanh:      {f64: each1(math.Atanh)},
	backend.Tanh:       {f32: vec1(vec.Tanh), f64: each1(math.Tanh)},
	backend.Sigmoid:    {f32: vec1(vec.Sigmoid), f64: each1(sigmoid)},
	backend.LogSigmoid: {f64: each1(logSigmoid)},
	backend.Erf:        {f32: vec1(vec.Erf), f64: each1(math.Erf)},
	backend.Erfc:       {f64: each1(math.Erfc)},
	backend.ReLU:       {f32: vec1(vec.ReLU), f64: each1(relu[float64]), i64: each1(relu[int64])},
	backend.LeakyReLU:  {f64: each1p(leakyReLU)},
	backend.ELU:        {f64: each1p(elu)},
	backend.GELU:       {f32: vec1(vec.GELU), f64: each1(gelu)},
	backend.GELUTanh:   {f32: vec1(vec.GELUTanh), f64: each1(geluTanh)},
	backend.SiLU:       {f32: vec1(vec.SiLU), f64: each1(func(x float64) float64 { return x / (1 + math.Exp(-x)) })},
	backend.Softplus:   {f64: each1p(softplus)},
	backend.Mish:       {f64: each1(func(x float64) float64 { return x * math.Tanh(math.Log1p(math.Exp(x))) })},
	backend.Hardtanh:   {f32: clamp32, f64: each1p(clampFloat), i64: each1p(clampInt)},
	backend.Clamp:      {f32: clamp32, f64: each1p(clampFloat), i64: each1p(clampInt)},
	backend.Dropout:    {}, // dropOut
	backend.Floor:      {f64: each1(math.Floor), i64: each1(same)},
	backend.Ceil:       {f64: each1(math.Ceil), i64: each1(same)},
	backend.Round:      {f64: each1(math.RoundToEven), i64: each1(same)},
	backend.Trunc:      {f64: each1(math.Trunc), i64: each1(same)},
	backend.Not:        {test64: test1(isZero[float64]), testInt: test1(isZero[int64]), bools: true},
	backend.IsNaN:      {test64: test1(math.IsNaN), testInt: test1(never), bools: true},
	backend.IsInf:      {test64: test1(func(x float64) bool { return math.IsInf(x, 0) }), testInt: test1(never), bools: true},
	backend.IsFinite:   {test64: test1(isFinite), testInt: test1(always), bools: true},
}

type signed interface{ float64 | int64 }

func neg[T signed](x T) T    { return -x }
func square[T signed](x T) T { return x * x }
func same(x int64) int64     { return x }
func never(int64) bool       { return false }
func always(int64) bool      { return true }
func isZero[T signed](x T) bool {
	return x == 0
}
func isFinite(x float64) bool      { return x-x == 0 }
func absolute(x int64) int64       { return max(x, -x) }
func square32(dst, x []float32)    { vec.Mul(dst, x, x) }
func relu[T signed](x T) T         { return max(x, 0) }
func sigmoid(x float64) float64    { return 1 / (1 + math.Exp(-x)) }
func logSigmoid(x float64) float64 { return min(x, 0) - math.Log1p(math.Exp(-math.Abs(x))) }
func normalCDF(x float64) float64  { return 0.5 * math.Erfc(-x/math.Sqrt2) }
func gelu(x float64) float64       { return x * normalCDF(x) }

// sign of NaN is 0, as PyTorch's.
func sign[T signed](x T) T {
	switch {
	case x > 0:
		return 1
	case x < 0:
		return -1
	}
	return 0
}

const (
	sqrt2OverPi = math.Sqrt2 / math.SqrtPi
	geluCubic   = 0.044715 // Hendrycks and Gimpel, "Gaussian error linear units"
)

func geluTanh(x float64) float64 {
	return 0.5 * x * (1 + math.Tanh(sqrt2OverPi*(x+geluCubic*x*x*x)))
}

func leakyReLU(x float64, p backend.Scalars) float64 {
	if x > 0 {
		return x
	}
	return x * p.A
}

func elu(x float64, p backend.Scalars) float64 {
	if x > 0 {
		return x
	}
	return p.A * math.Expm1(x)
}

func softplus(x float64, p backend.Scalars) float64 {
	if x*p.A > p.B {
		return x
	}
	return math.Log1p(math.Exp(x*p.A)) / p.A
}

func clampFloat(x float64, p backend.Scalars) float64 { return min(max(x, p.A), p.B) }
func clampInt(x int64, p backend.Scalars) int64       { return min(max(x, p.N), p.M) }

func clamp32(dst []float32, in [3][]float32, p backend.Scalars) {
	vec.MaxScalar(dst, in[0], float32(p.A))
	vec.MinScalar(dst, dst, float32(p.B))
}
