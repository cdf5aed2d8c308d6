package vec

import "math"

// block is the length up to which a sum is added straight; a longer one is halved, so that the rounding error grows
// with the logarithm of the length.
const block = 1024

// half cuts n > block at a multiple of block near its middle.
func half(n int) int { return (n/block + 1) / 2 * block }

// The kernels of a block; nil without assembly.
var (
	fastSum    func(x *float32, n int) float32
	fastDot    func(x, y *float32, n int) float32
	fastMax    func(x *float32, n int) float32
	fastMin    func(x *float32, n int) float32
	fastExpSum func(dst, x *float32, n int, shift float32) float32
)

// Sum returns the sum of x, 0 if it is empty. The order of additions is a function of the length.
func Sum(x []float32) float32 {
	if len(x) > block {
		h := half(len(x))
		return Sum(x[:h]) + Sum(x[h:])
	}
	if fastSum != nil && len(x) > 0 {
		return fastSum(&x[0], len(x))
	}
	var s [8]float32
	for i, v := range x {
		s[i%8] += v
	}
	return lanes(s)
}

// Dot returns the sum of x·y over len(x) elements, in an order that is a function of the length. It panics if y is
// shorter than x.
func Dot(x, y []float32) float32 {
	y = y[:len(x)]
	if len(x) > block {
		h := half(len(x))
		return Dot(x[:h], y[:h]) + Dot(x[h:], y[h:])
	}
	if fastDot != nil && len(x) > 0 {
		return fastDot(&x[0], &y[0], len(x))
	}
	var s [8]float32
	for i, v := range x {
		s[i%8] += v * y[i]
	}
	return lanes(s)
}

func lanes(s [8]float32) float32 {
	return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]))
}

// MaxOf returns the largest element, NaN if there is one, and -Inf if x is empty.
func MaxOf(x []float32) float32 {
	if fastMax != nil && len(x) > 0 {
		return fastMax(&x[0], len(x))
	}
	m := float32(math.Inf(-1))
	for _, v := range x {
		m = max(m, v)
	}
	return m
}

// MinOf returns the smallest element, NaN if there is one, and +Inf if x is empty.
func MinOf(x []float32) float32 {
	if fastMin != nil && len(x) > 0 {
		return fastMin(&x[0], len(x))
	}
	m := float32(math.Inf(1))
	for _, v := range x {
		m = min(m, v)
	}
	return m
}

// ExpSum computes dst = e^(x-shift) and returns the sum of dst, in an order that is a function of the length: with
// shift = MaxOf(x), the numerators and the denominator of a softmax in one pass.
func ExpSum(dst, x []float32, shift float32) float32 {
	x = x[:len(dst)]
	if len(x) > block {
		h := half(len(x))
		return ExpSum(dst[:h], x[:h], shift) + ExpSum(dst[h:], x[h:], shift)
	}
	if fastExpSum != nil && len(x) > 0 {
		return fastExpSum(&dst[0], &x[0], len(x), shift)
	}
	for i, v := range x {
		dst[i] = float32(math.Exp(float64(v - shift)))
	}
	return Sum(dst)
}
