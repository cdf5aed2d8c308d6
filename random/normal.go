package random

import (
	"math"
	"math/bits"
)

// Box and Muller's transform ("A note on the generation of random normal deviates", 1958) turns two uniform numbers into two
// independent normal ones:
//
//	sqrt(-2 ln u) · (cos 2πv, sin 2πv)
//
// It is written out here because math.Log, Sin and Cos differ by architecture. Two rules make every bit portable. All
// reduction of arguments is done on integers, exactly. And each product is converted explicitly before it is added to: the
// language lets a compiler fuse x*y + z into one rounding, even across statements, but not across a conversion. (A test with
// GOAMD64=v3, or on arm64, shows whether one was forgotten.) The polynomials are the Taylor series of sine, cosine and artanh,
// cut where the next term is below half a unit in the last place.

// normals32 makes two standard normal numbers of two random words. The radius is never zero and at most 6.67.
func normals32(radius, angle uint32) (float32, float32) {
	r := float32(math.Sqrt(float64(2 * negLog32(radius|1)))) // exact to the rounding: sqrtss once compiled
	sin, cos := sinCos32(angle)
	return float32(r * cos), float32(r * sin)
}

// normals64 makes two standard normal numbers of two random longs. The radius is never zero and at most 9.42.
func normals64(radius, angle uint64) (float64, float64) {
	r := math.Sqrt(2 * negLog64(radius|1))
	sin, cos := sinCos64(angle)
	return float64(r * cos), float64(r * sin)
}

// negLog32 is -ln(n·2^-32), for n > 0. Shifted left until it stands nearest to a power of two, n is (1+f)·2^(32-shift) with f in
// [√½-1, √2-1): as a signed number the shifted n is f·2^32, exactly. So the logarithm keeps its relative accuracy as n·2^-32
// goes to 1. With s = f/(2+f), ln(1+f) = 2 artanh s = f - s(f-R), R = 2(s²/3 + s⁴/5 + …).
func negLog32(n uint32) float32 {
	const sqrtHalf = 0xB504F334 // √½·2^32, rounded up
	shift := bits.LeadingZeros32(n)
	_, below := bits.Sub32(n<<shift, sqrtHalf, 0)
	shift += int(below)

	f := float32(float32(int32(n<<shift)) * 0x1p-32)
	s := f / (2 + f)
	z := s * s
	p := float32(z*(2.0/9)) + 2.0/7
	p = float32(z*p) + 2.0/5
	p = float32(z*p) + 2.0/3
	r := float32(z * p)
	return float32(float32(shift)*math.Ln2) - (f - float32(s*(f-r)))
}

// negLog64 is -ln(n·2^-64), for n > 0, as negLog32.
func negLog64(n uint64) float64 {
	const sqrtHalf = 0xB504F333F9DE6485 // √½·2^64, rounded up
	shift := bits.LeadingZeros64(n)
	_, below := bits.Sub64(n<<shift, sqrtHalf, 0)
	shift += int(below)

	f := float64(float64(int64(n<<shift)) * 0x1p-64)
	s := f / (2 + f)
	z := s * s
	p := float64(z*(2.0/21)) + 2.0/19
	p = float64(z*p) + 2.0/17
	p = float64(z*p) + 2.0/15
	p = float64(z*p) + 2.0/13
	p = float64(z*p) + 2.0/11
	p = float64(z*p) + 2.0/9
	p = float64(z*p) + 2.0/7
	p = float64(z*p) + 2.0/5
	p = float64(z*p) + 2.0/3
	r := float64(z * p)
	return float64(float64(shift)*math.Ln2) - (f - float64(s*(f-r)))
}

// sinCos32 is the sine and cosine of 2π(w+½)·2^-32. The top bits of w name the nearest multiple of π/2; the rest, as a signed
// number, is the distance x from it in units of π/2·2^-32, |x| < π/4.
func sinCos32(w uint32) (sin, cos float32) {
	x := float32(float32(int32(w<<2|2)) * (math.Pi / 2 * 0x1p-32))
	z := x * x
	p := float32(z*(1.0/362880)) - 1.0/5040
	p = float32(z*p) + 1.0/120
	p = float32(z*p) - 1.0/6
	s := x + float32(x*float32(z*p))
	p = float32(z*(1.0/40320)) - 1.0/720
	p = float32(z*p) + 1.0/24
	p = float32(z*p) - 1.0/2
	c := 1 + float32(z*p)

	// Turn by the quarters: an odd number exchanges sine and cosine, and the signs follow.
	quarters := (w + 1<<29) >> 30
	sb, cb := math.Float32bits(s), math.Float32bits(c)
	swap := (sb ^ cb) & -(quarters & 1)
	sb ^= swap ^ quarters>>1<<31
	cb ^= swap ^ (quarters+1)>>1<<31
	return math.Float32frombits(sb), math.Float32frombits(cb)
}

// sinCos64 is the sine and cosine of 2π(w+½)·2^-64, as sinCos32.
func sinCos64(w uint64) (sin, cos float64) {
	x := float64(float64(int64(w<<2|2)) * (math.Pi / 2 * 0x1p-64))
	z := x * x
	p := float64(z*(1.0/355687428096000)) - 1.0/1307674368000
	p = float64(z*p) + 1.0/6227020800
	p = float64(z*p) - 1.0/39916800
	p = float64(z*p) + 1.0/362880
	p = float64(z*p) - 1.0/5040
	p = float64(z*p) + 1.0/120
	p = float64(z*p) - 1.0/6
	s := x + float64(x*float64(z*p))
	p = float64(z*(1.0/20922789888000)) - 1.0/87178291200
	p = float64(z*p) + 1.0/479001600
	p = float64(z*p) - 1.0/3628800
	p = float64(z*p) + 1.0/40320
	p = float64(z*p) - 1.0/720
	p = float64(z*p) + 1.0/24
	p = float64(z*p) - 1.0/2
	c := 1 + float64(z*p)

	quarters := (w + 1<<61) >> 62
	sb, cb := math.Float64bits(s), math.Float64bits(c)
	swap := (sb ^ cb) & -(quarters & 1)
	sb ^= swap ^ quarters>>1<<63
	cb ^= swap ^ (quarters+1)>>1<<63
	return math.Float64frombits(sb), math.Float64frombits(cb)
}
