package vec

// A binary kernel computes dst = f(x, y).
type binary struct {
	plain func(x, y float32) float32
	fast  func(dst, x, y *float32, n int)
}

func (k *binary) do(dst, x, y []float32) {
	x, y = x[:len(dst)], y[:len(dst)]
	if k.fast == nil || len(dst) == 0 {
		for i := range dst {
			dst[i] = k.plain(x[i], y[i])
		}
		return
	}
	k.fast(&dst[0], &x[0], &y[0], len(dst))
}

// A scalar kernel computes dst = f(x, s).
type scalar struct {
	plain func(x, s float32) float32
	fast  func(dst, x *float32, n int, s float32)
}

func (k *scalar) do(dst, x []float32, s float32) {
	x = x[:len(dst)]
	if k.fast == nil || len(dst) == 0 {
		for i, v := range x {
			dst[i] = k.plain(v, s)
		}
		return
	}
	k.fast(&dst[0], &x[0], len(dst), s)
}

func plainAdd(x, y float32) float32  { return x + y }
func plainSub(x, y float32) float32  { return x - y }
func plainRSub(x, y float32) float32 { return y - x }
func plainMul(x, y float32) float32  { return x * y }
func plainDiv(x, y float32) float32  { return x / y }
func plainRDiv(x, y float32) float32 { return y / x }
func plainMax(x, y float32) float32  { return max(x, y) }
func plainMin(x, y float32) float32  { return min(x, y) }

func plainReLUGrad(y, g float32) float32 {
	if y <= 0 {
		return 0
	}
	return g
}

var (
	add      = binary{plain: plainAdd}
	sub      = binary{plain: plainSub}
	mul      = binary{plain: plainMul}
	div      = binary{plain: plainDiv}
	maximum  = binary{plain: plainMax}
	minimum  = binary{plain: plainMin}
	reluGrad = binary{plain: plainReLUGrad}

	addScalar  = scalar{plain: plainAdd}
	rsubScalar = scalar{plain: plainRSub}
	mulScalar  = scalar{plain: plainMul}
	divScalar  = scalar{plain: plainDiv}
	rdivScalar = scalar{plain: plainRDiv}
	maxScalar  = scalar{plain: plainMax}
	minScalar  = scalar{plain: plainMin}
)

// Add computes dst = x + y.
func Add(dst, x, y []float32) { add.do(dst, x, y) }

// Sub computes dst = x - y.
func Sub(dst, x, y []float32) { sub.do(dst, x, y) }

// Mul computes dst = x·y.
func Mul(dst, x, y []float32) { mul.do(dst, x, y) }

// Div computes dst = x / y.
func Div(dst, x, y []float32) { div.do(dst, x, y) }

// Max computes dst = max(x, y); NaN if either is.
func Max(dst, x, y []float32) { maximum.do(dst, x, y) }

// Min computes dst = min(x, y); NaN if either is.
func Min(dst, x, y []float32) { minimum.do(dst, x, y) }

// ReLUGrad computes dst = g, but 0 where y <= 0: the gradient of ReLU from its result y. As in PyTorch, a NaN in y lets
// g pass.
func ReLUGrad(dst, g, y []float32) { reluGrad.do(dst, y, g) }

// AddScalar computes dst = x + s.
func AddScalar(dst, x []float32, s float32) { addScalar.do(dst, x, s) }

// RSubScalar computes dst = s - x.
func RSubScalar(dst, x []float32, s float32) { rsubScalar.do(dst, x, s) }

// MulScalar computes dst = x·s.
func MulScalar(dst, x []float32, s float32) { mulScalar.do(dst, x, s) }

// DivScalar computes dst = x / s.
func DivScalar(dst, x []float32, s float32) { divScalar.do(dst, x, s) }

// RDivScalar computes dst = s / x.
func RDivScalar(dst, x []float32, s float32) { rdivScalar.do(dst, x, s) }

// MaxScalar computes dst = max(x, s); NaN if either is.
func MaxScalar(dst, x []float32, s float32) { maxScalar.do(dst, x, s) }

// MinScalar computes dst = min(x, s); NaN if either is.
func MinScalar(dst, x []float32, s float32) { minScalar.do(dst, x, s) }

// The kernels of three operands; nil without assembly.
var (
	fastAxpy   func(dst, x, y *float32, n int, s float32)
	fastMulAdd func(dst, x, y, z *float32, n int)
)

// Axpy computes dst = x + a·y, rounded once where the processor can (fused multiply-add).
func Axpy(dst, x []float32, a float32, y []float32) {
	x, y = x[:len(dst)], y[:len(dst)]
	if fastAxpy != nil && len(dst) > 0 {
		fastAxpy(&dst[0], &x[0], &y[0], len(dst), a)
		return
	}
	for i := range dst {
		dst[i] = x[i] + a*y[i]
	}
}

// MulAdd computes dst = x·y + z, rounded once where the processor can.
func MulAdd(dst, x, y, z []float32) {
	x, y, z = x[:len(dst)], y[:len(dst)], z[:len(dst)]
	if fastMulAdd != nil && len(dst) > 0 {
		fastMulAdd(&dst[0], &x[0], &y[0], &z[0], len(dst))
		return
	}
	for i := range dst {
		dst[i] = x[i]*y[i] + z[i]
	}
}
