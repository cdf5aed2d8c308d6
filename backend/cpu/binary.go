package cpu

import (
	"errors"
	"math"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cpu/internal/vec"
)

// Binary computes out = op(x, y). An integer division by zero is an error.
func (d *Device) Binary(op backend.BinaryOp, out, x, y backend.Array, p backend.Params) error {
	if g := d.capturing(); g != nil {
		return g.binary(op, out, x, y, p)
	}
	return binary[op].run(op, &p, &out, &x, &y)
}

var binary = [backend.NumBinary]entry{
	backend.Add:        {f32: vec2(vec.Add), f64: addAll[float64], i64: addAll[int64], bools: true, xs: vec.AddScalar, sx: vec.AddScalar},
	backend.Sub:        {f32: vec2(vec.Sub), f64: subAll[float64], i64: subAll[int64], xs: subScalar, sx: vec.RSubScalar},
	backend.Mul:        {f32: vec2(vec.Mul), f64: mulAll[float64], i64: mulAll[int64], bools: true, xs: vec.MulScalar, sx: vec.MulScalar},
	backend.Div:        {f32: vec2(vec.Div), f64: divAll, xs: vec.DivScalar, sx: vec.RDivScalar},
	backend.FloorDiv:   {f64: each2(floorDiv), i64: each2(floorDivInt), check: divisor},
	backend.TruncDiv:   {f32: each2(truncDiv[float32]), f64: each2(truncDiv[float64]), i64: each2(truncDivInt), check: divisor},
	backend.Remainder:  {f64: each2(remainder), i64: each2(remainderInt), check: divisor},
	backend.Fmod:       {f64: each2(math.Mod), i64: each2(fmodInt), check: divisor},
	backend.Pow:        {f64: each2(math.Pow), i64: each2(powInt), check: exponent},
	backend.Maximum:    {f32: vec2(vec.Max), f64: each2(maximum[float64]), i64: each2(maximum[int64]), bools: true, xs: vec.MaxScalar, sx: vec.MaxScalar},
	backend.Minimum:    {f32: vec2(vec.Min), f64: each2(minimum[float64]), i64: each2(minimum[int64]), bools: true, xs: vec.MinScalar, sx: vec.MinScalar},
	backend.Atan2:      {f64: each2(math.Atan2)},
	backend.SiLUMul:    {f64: each2(func(x, y float64) float64 { return y * x / (1 + math.Exp(-x)) })},
	backend.BitAnd:     {i64: each2(func(x, y int64) int64 { return x & y }), bools: true},
	backend.BitOr:      {i64: each2(func(x, y int64) int64 { return x | y }), bools: true},
	backend.BitXor:     {i64: each2(func(x, y int64) int64 { return x ^ y }), bools: true},
	backend.Eq:         tests(eq[float32], eq[float64], eq[int64]),
	backend.Ne:         tests(ne[float32], ne[float64], ne[int64]),
	backend.Lt:         tests(lt[float32], lt[float64], lt[int64]),
	backend.Le:         tests(le[float32], le[float64], le[int64]),
	backend.Gt:         tests(gt[float32], gt[float64], gt[int64]),
	backend.Ge:         tests(ge[float32], ge[float64], ge[int64]),
	backend.LogicalAnd: tests(and[float32], and[float64], and[int64]),
	backend.LogicalOr:  tests(or[float32], or[float64], or[int64]),
	backend.LogicalXor: tests(xor[float32], xor[float64], xor[int64]),

	backend.ReLUGrad:      {f32: vec2(vec.ReLUGrad), f64: each2(reluGrad)},
	backend.LeakyReLUGrad: {f64: each2p(leakyReLUGrad)},
	backend.ELUGrad:       {f64: each2p(eluGrad)},
	backend.TanhGrad:      {f32: tanhGrad[float32], f64: tanhGrad[float64]},
	backend.SigmoidGrad:   {f32: sigmoidGrad[float32], f64: sigmoidGrad[float64]},
	backend.GELUGrad:      {f64: each2(geluGrad)},
	backend.GELUTanhGrad:  {f64: each2(geluTanhGrad)},
	backend.SiLUGrad:      {f64: each2(siluGrad)},
	backend.SoftplusGrad:  {f64: each2p(softplusGrad)},
	backend.HardtanhGrad:  {f64: each2p(hardtanhGrad)},
}

// tests is the entry of an op whose result is Bool.
func tests(f32 func(x, y float32) bool, f64 func(x, y float64) bool, i64 func(x, y int64) bool) entry {
	return entry{test32: test2(f32), test64: test2(f64), testInt: test2(i64), bools: true}
}

func subScalar(dst, x []float32, s float32) { vec.AddScalar(dst, x, -s) }

func add[T signed](x, y T) T     { return x + y }
func mul[T signed](x, y T) T     { return x * y }
func maximum[T signed](x, y T) T { return max(x, y) }
func minimum[T signed](x, y T) T { return min(x, y) }
func eq[T compute](x, y T) bool  { return x == y }
func ne[T compute](x, y T) bool  { return x != y }
func lt[T compute](x, y T) bool  { return x < y }
func le[T compute](x, y T) bool  { return x <= y }
func gt[T compute](x, y T) bool  { return x > y }
func ge[T compute](x, y T) bool  { return x >= y }
func and[T compute](x, y T) bool { return x != 0 && y != 0 }
func or[T compute](x, y T) bool  { return x != 0 || y != 0 }
func xor[T compute](x, y T) bool { return (x != 0) != (y != 0) }

// The four kernels below are loops of their own, as calls for each element would
// cost several times the arithmetic.

func addAll[C signed](dst []C, in [3][]C, _ backend.Scalars) {
	x, y := in[0][:len(dst)], in[1][:len(dst)]
	for i := range dst {
		dst[i] = x[i] + y[i]
	}
}

func subAll[C signed](dst []C, in [3][]C, _ backend.Scalars) {
	x, y := in[0][:len(dst)], in[1][:len(dst)]
	for i := range dst {
		dst[i] = x[i] - y[i]
	}
}

func mulAll[C signed](dst []C, in [3][]C, _ backend.Scalars) {
	x, y := in[0][:len(dst)], in[1][:len(dst)]
	for i := range dst {
		dst[i] = x[i] * y[i]
	}
}

func divAll(dst []float64, in [3][]float64, _ backend.Scalars) {
	x, y := in[0][:len(dst)], in[1][:len(dst)]
	for i := range dst {
		dst[i] = x[i] / y[i]
	}
}

// truncDiv rounds the quotient to T first, as PyTorch does.
func truncDiv[T float32 | float64](x, y T) T { return T(math.Trunc(float64(x / y))) }

// floorDiv is CPython's float_floor_div: consistent with remainder even where
// the quotient rounds up to an integer.
func floorDiv(x, y float64) float64 {
	if y == 0 {
		return x / y
	}
	mod := math.Mod(x, y)
	div := (x - mod) / y
	if mod != 0 && (y < 0) != (mod < 0) {
		div--
	}
	if div == 0 {
		return math.Copysign(0, x/y)
	}
	floor := math.Floor(div)
	if div-floor > 0.5 {
		floor++
	}
	return floor
}

func remainder(x, y float64) float64 {
	mod := math.Mod(x, y)
	if mod != 0 && (y < 0) != (mod < 0) {
		mod += y
	}
	return mod
}

func truncDivInt(x, y int64) int64 { return x / y }
func fmodInt(x, y int64) int64     { return x % y }

func floorDivInt(x, y int64) int64 {
	q := x / y
	if x%y != 0 && (x < 0) != (y < 0) {
		q--
	}
	return q
}

func remainderInt(x, y int64) int64 {
	r := x % y
	if r != 0 && (r < 0) != (y < 0) {
		r += y
	}
	return r
}

// powInt is 0 for a negative exponent unless the base is 1 or -1.
func powInt(x, n int64) int64 {
	if n < 0 {
		switch {
		case x == 1 || x == -1 && n%2 == 0:
			return 1
		case x == -1:
			return -1
		}
		return 0
	}
	r := int64(1)
	for ; n > 0; n >>= 1 {
		if n&1 != 0 {
			r *= x
		}
		x *= x
	}
	return r
}

var (
	errDivisionByZero   = errors.New("ZeroDivisionError: integer division by zero")
	errNegativeExponent = errors.New("integers to negative integer powers are not allowed")
)

// divisor fails if an element of the second operand is zero.
func divisor(s *space, p backend.Scalars) error {
	o := &s.ops[2]
	buf := codecInt.get()
	defer codecInt.put(buf)
	n := min(s.size, blockLen)
	if o.fixed {
		n = 1
		constant(o, &codecInt, &p, buf[0][:1])
	}
	var at position
	for i := 0; i < s.size; i += n {
		y := buf[0][:min(n, s.size-i)]
		if !o.fixed {
			gather(s, o, &codecInt, at, y)
			s.advance(&at, len(y))
		}
		for _, v := range y {
			if v == 0 {
				return errDivisionByZero
			}
		}
		if o.fixed {
			break
		}
	}
	return nil
}

// exponent fails if a scalar exponent is negative; a tensor's gives 0.
func exponent(s *space, p backend.Scalars) error {
	if s.ops[2].scalar && p.N < 0 {
		return errNegativeExponent
	}
	return nil
}

// The gradients: g is the gradient of the output.

// NaN lets the gradient through, as in PyTorch.
func reluGrad(g, y float64) float64 {
	if y <= 0 {
		return 0
	}
	return g
}

func tanhGrad[C float32 | float64](dst []C, in [3][]C, _ backend.Scalars) {
	g, y := in[0][:len(dst)], in[1][:len(dst)]
	for i := range dst {
		dst[i] = g[i] * (1 - y[i]*y[i])
	}
}

func sigmoidGrad[C float32 | float64](dst []C, in [3][]C, _ backend.Scalars) {
	g, y := in[0][:len(dst)], in[1][:len(dst)]
	for i := range dst {
		dst[i] = g[i] * y[i] * (1 - y[i])
	}
}

func leakyReLUGrad(g, x float64, p backend.Scalars) float64 {
	if x > 0 {
		return g
	}
	return g * p.A
}

func eluGrad(g, x float64, p backend.Scalars) float64 {
	if !(x <= 0) { // PyTorch passes the gradient on at NaN too
		return g
	}
	return g * p.A * math.Exp(x)
}

// d/dx x·Φ(x) = Φ(x) + x·φ(x).
func geluGrad(g, x float64) float64 {
	density := math.Exp(-x*x/2) / (math.Sqrt2 * math.SqrtPi)
	return g * (normalCDF(x) + x*density)
}

func geluTanhGrad(g, x float64) float64 {
	t := math.Tanh(sqrt2OverPi * (x + geluCubic*x*x*x))
	inner := sqrt2OverPi * (1 + 3*geluCubic*x*x)
	return g * (0.5*(1+t) + 0.5*x*(1-t*t)*inner)
}

func siluGrad(g, x float64) float64 {
	s := sigmoid(x)
	return g * s * (1 + x*(1-s))
}

func softplusGrad(g, x float64, p backend.Scalars) float64 {
	if x*p.A > p.B {
		return g
	}
	return g * sigmoid(x*p.A)
}

func hardtanhGrad(g, x float64, p backend.Scalars) float64 {
	if x <= p.A || x >= p.B {
		return 0
	}
	return g
}
