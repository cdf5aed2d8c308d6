package vec

import "math"

// block is the length under which a sum is added up straight; longer ones are halved, so that the rounding error
// grows with the logarithm of the length.
const block = 1024

// half cuts n at a multiple of block near its middle.
func half(n int) int { return (n/block + 1) / 2 * block }

// Sum returns the sum of x, 0 if it is empty. The order of additions is a function of the length.
func Sum(x []float32) float32 {
	if len(x) > block {
		h := half(len(x))
		return Sum(x[:h]) + Sum(x[h:])
	}
	var s [8]float32
	i := 0
	for ; i+8 <= len(x); i += 8 {
		for j, v := range x[i : i+8] {
			s[j] += v
		}
	}
	for j, v := range x[i:] {
		s[j] += v
	}
	return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]))
}

// Dot returns the sum of x·y over len(x) elements, in the order of Sum. It panics if y is shorter than x.
func Dot(x, y []float32) float32 {
	y = y[:len(x)]
	if len(x) > block {
		h := half(len(x))
		return Dot(x[:h], y[:h]) + Dot(x[h:], y[h:])
	}
	var s [8]float32
	i := 0
	for ; i+8 <= len(x); i += 8 {
		for j, v := range x[i : i+8] {
			s[j] += v * y[i+j]
		}
	}
	for j, v := range x[i:] {
		s[j] += v * y[i+j]
	}
	return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]))
}

// MaxOf returns the largest element, NaN if there is one, and -Inf if x is empty.
func MaxOf(x []float32) float32 {
	m := float32(math.Inf(-1))
	for _, v := range x {
		m = max(m, v)
	}
	return m
}

// MinOf returns the smallest element, NaN if there is one, and +Inf if x is empty.
func MinOf(x []float32) float32 {
	m := float32(math.Inf(1))
	for _, v := range x {
		m = min(m, v)
	}
	return m
}

// ExpSum computes dst = e^(x-shift) and returns the sum of dst, in the order of Sum: with shift = MaxOf(x), the
// numerators and the denominator of a softmax in one pass.
func ExpSum(dst, x []float32, shift float32) float32 {
	x = x[:len(dst)]
	for i, v := range x {
		dst[i] = float32(math.Exp(float64(v - shift)))
	}
	return Sum(dst)
}

// SumExp is ExpSum without storing the terms: the denominator alone, as a log-softmax wants it.
func SumExp(x []float32, shift float32) float32 {
	var buf [block]float32
	if len(x) > block {
		h := half(len(x))
		return SumExp(x[:h], shift) + SumExp(x[h:], shift)
	}
	return ExpSum(buf[:len(x)], x, shift)
}
