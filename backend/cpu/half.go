package cpu

import "math"

// Bit patterns of the half types. Both convert to float32 exactly, and from it
// by rounding to nearest, ties to even.
type (
	float16  uint16
	bfloat16 uint16
)

func (h bfloat16) float32() float32 { return math.Float32frombits(uint32(h) << 16) }

func toBFloat16(f float32) bfloat16 {
	b := math.Float32bits(f)
	if b&0x7FFFFFFF > 0x7F800000 {
		return bfloat16(b>>16 | 0x40) // a NaN stays one when its low bits go
	}
	return bfloat16((b + 0x7FFF + b>>16&1) >> 16)
}

func (h float16) float32() float32 {
	sign, exp, frac := uint32(h&0x8000)<<16, uint32(h>>10&0x1F), uint32(h&0x3FF)
	switch exp {
	case 0: // zero or subnormal: frac·2⁻²⁴
		return math.Float32frombits(sign | math.Float32bits(float32(frac)*0x1p-24))
	case 0x1F:
		return math.Float32frombits(sign | 0x7F800000 | frac<<13)
	}
	return math.Float32frombits(sign | (exp+112)<<23 | frac<<13)
}

func toFloat16(f float32) float16 {
	b := math.Float32bits(f)
	sign, a := float16(b>>16&0x8000), b&0x7FFFFFFF
	switch {
	case a > 0x7F800000:
		return sign | 0x7E00 | float16(a>>13&0x3FF)
	case a >= 0x477FF000: // rounds to 2¹⁶ or more
		return sign | 0x7C00
	case a < 0x38800000: // below 2⁻¹⁴: let the adder round to multiples of 2⁻²⁴
		return sign | float16(math.Float32bits(math.Float32frombits(a)+0.5)-math.Float32bits(0.5))
	}
	return sign | float16((a-0x38000000+0xFFF+a>>13&1)>>13)
}
