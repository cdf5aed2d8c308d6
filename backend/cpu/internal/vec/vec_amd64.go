//go:build !noasm

package vec

import "golang.org/x/sys/cpu"

//go:noescape
func expAVX2(dst, x *float32, n int)

//go:noescape
func logAVX2(dst, x *float32, n int)

//go:noescape
func tanhAVX2(dst, x *float32, n int)

//go:noescape
func sigmoidAVX2(dst, x *float32, n int)

//go:noescape
func siluAVX2(dst, x *float32, n int)

//go:noescape
func erfAVX2(dst, x *float32, n int)

//go:noescape
func geluAVX2(dst, x *float32, n int)

//go:noescape
func geluTanhAVX2(dst, x *float32, n int)

//go:noescape
func sqrtAVX2(dst, x *float32, n int)

//go:noescape
func rsqrtAVX2(dst, x *float32, n int)

//go:noescape
func absAVX2(dst, x *float32, n int)

//go:noescape
func negAVX2(dst, x *float32, n int)

//go:noescape
func reluAVX2(dst, x *float32, n int)

//go:noescape
func addAVX2(dst, x, y *float32, n int)

//go:noescape
func subAVX2(dst, x, y *float32, n int)

//go:noescape
func mulAVX2(dst, x, y *float32, n int)

//go:noescape
func divAVX2(dst, x, y *float32, n int)

//go:noescape
func maxAVX2(dst, x, y *float32, n int)

//go:noescape
func minAVX2(dst, x, y *float32, n int)

//go:noescape
func reluGradAVX2(dst, x, y *float32, n int)

//go:noescape
func addScalarAVX2(dst, x *float32, n int, s float32)

//go:noescape
func rsubScalarAVX2(dst, x *float32, n int, s float32)

//go:noescape
func mulScalarAVX2(dst, x *float32, n int, s float32)

//go:noescape
func divScalarAVX2(dst, x *float32, n int, s float32)

//go:noescape
func rdivScalarAVX2(dst, x *float32, n int, s float32)

//go:noescape
func maxScalarAVX2(dst, x *float32, n int, s float32)

//go:noescape
func minScalarAVX2(dst, x *float32, n int, s float32)

//go:noescape
func axpyAVX2(dst, x, y *float32, n int, s float32)

//go:noescape
func mulAddAVX2(dst, x, y, z *float32, n int)

//go:noescape
func sumAVX2(x *float32, n int) float32

//go:noescape
func dotAVX2(x, y *float32, n int) float32

//go:noescape
func maxOfAVX2(x *float32, n int) float32

//go:noescape
func minOfAVX2(x *float32, n int) float32

//go:noescape
func expSumAVX2(dst, x *float32, n int, shift float32) float32

//go:noescape
func adamAVX2(p, dp, m, v, vmax *float32, n int, c *adamScalars)

//go:noescape
func sgdAVX2(p, dp, buf *float32, n int, c *sgdScalars)

func init() {
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA {
		useAVX2()
	}
}

func useAVX2() {
	exp.fast = expAVX2
	log.fast = logAVX2
	tanh.fast = tanhAVX2
	sigmoid.fast = sigmoidAVX2
	silu.fast = siluAVX2
	erf.fast = erfAVX2
	gelu.fast = geluAVX2
	geluTanh.fast = geluTanhAVX2
	sqrt.fast = sqrtAVX2
	rsqrt.fast = rsqrtAVX2
	abs.fast = absAVX2
	neg.fast = negAVX2
	relu.fast = reluAVX2
	add.fast = addAVX2
	sub.fast = subAVX2
	mul.fast = mulAVX2
	div.fast = divAVX2
	maximum.fast = maxAVX2
	minimum.fast = minAVX2
	reluGrad.fast = reluGradAVX2
	addScalar.fast = addScalarAVX2
	rsubScalar.fast = rsubScalarAVX2
	mulScalar.fast = mulScalarAVX2
	divScalar.fast = divScalarAVX2
	rdivScalar.fast = rdivScalarAVX2
	maxScalar.fast = maxScalarAVX2
	minScalar.fast = minScalarAVX2
	fastAxpy, fastMulAdd = axpyAVX2, mulAddAVX2
	fastSum, fastDot, fastMax, fastMin, fastExpSum = sumAVX2, dotAVX2, maxOfAVX2, minOfAVX2, expSumAVX2
	fastSGD, fastAdam = sgdAVX2, adamAVX2
}
