package backendtest

import (
	"encoding/binary"
	"math"

	"github.com/descent-ml/descent/backend"
)

// round is x as d holds it: rounded to nearest even, integers truncated and wrapped.
func round(d backend.DType, x float64) float64 {
	switch d {
	case backend.Float64:
		return x
	case backend.Float32:
		return float64(float32(x))
	case backend.Float16:
		return roundBits(x, 11, -24, 65504)
	case backend.BFloat16:
		return roundBits(x, 8, -133, 0x1.fep127)
	case backend.Int64:
		return math.Trunc(x)
	case backend.Int32:
		return float64(int32(int64(x)))
	case backend.Int16:
		return float64(int16(int64(x)))
	case backend.Int8:
		return float64(int8(int64(x)))
	case backend.Uint8:
		return float64(uint8(int64(x)))
	default:
		if x != 0 {
			return 1
		}
		return 0
	}
}

// roundBits rounds x to a significand of so many bits, none worth less than 2^least.
func roundBits(x float64, bits, least int, largest float64) float64 {
	if x == 0 || math.IsInf(x, 0) || math.IsNaN(x) {
		return x
	}
	_, exp := math.Frexp(x)
	unit := math.Ldexp(1, max(exp-bits, least))
	r := math.RoundToEven(x/unit) * unit
	if math.Abs(r) > largest {
		return math.Inf(int(math.Copysign(1, x)))
	}
	return r
}

// codec stores and loads one element.
type codec struct {
	put func(p []byte, x float64) // x as the dtype holds it
	get func(p []byte) float64
}

var codecs = [backend.NumDTypes]codec{
	backend.Float64: {
		func(p []byte, x float64) { binary.LittleEndian.PutUint64(p, math.Float64bits(x)) },
		func(p []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(p)) },
	},
	backend.Float32: {
		func(p []byte, x float64) { binary.LittleEndian.PutUint32(p, math.Float32bits(float32(x))) },
		func(p []byte) float64 { return float64(math.Float32frombits(binary.LittleEndian.Uint32(p))) },
	},
	backend.Float16: {
		func(p []byte, x float64) { binary.LittleEndian.PutUint16(p, float16bits(x)) },
		func(p []byte) float64 { return float16(binary.LittleEndian.Uint16(p)) },
	},
	backend.BFloat16: {
		func(p []byte, x float64) { binary.LittleEndian.PutUint16(p, uint16(math.Float32bits(float32(x))>>16)) },
		func(p []byte) float64 {
			return float64(math.Float32frombits(uint32(binary.LittleEndian.Uint16(p)) << 16))
		},
	},
	backend.Int64: {
		func(p []byte, x float64) { binary.LittleEndian.PutUint64(p, uint64(int64(x))) },
		func(p []byte) float64 { return float64(int64(binary.LittleEndian.Uint64(p))) },
	},
	backend.Int32: {
		func(p []byte, x float64) { binary.LittleEndian.PutUint32(p, uint32(int32(x))) },
		func(p []byte) float64 { return float64(int32(binary.LittleEndian.Uint32(p))) },
	},
	backend.Int16: {
		func(p []byte, x float64) { binary.LittleEndian.PutUint16(p, uint16(int16(x))) },
		func(p []byte) float64 { return float64(int16(binary.LittleEndian.Uint16(p))) },
	},
	backend.Int8:  {putByte, func(p []byte) float64 { return float64(int8(p[0])) }},
	backend.Uint8: {putByte, getByte},
	backend.Bool:  {putByte, getByte},
}

func putByte(p []byte, x float64) { p[0] = byte(int16(x)) }
func getByte(p []byte) float64    { return float64(p[0]) }

// float16bits encodes x, which float16 represents.
func float16bits(x float64) uint16 {
	sign := uint16(0)
	if math.Signbit(x) {
		sign = 0x8000
	}
	switch x = math.Abs(x); {
	case math.IsNaN(x):
		return 0x7e00
	case math.IsInf(x, 0):
		return sign | 0x7c00
	case x < 0x1p-14:
		return sign | uint16(x*0x1p24)
	default:
		frac, exp := math.Frexp(x) // x = frac·2^exp, frac in [0.5, 1)
		return sign | uint16(exp+14)<<10 | uint16((frac-0.5)*0x1p11)
	}
}

func float16(bits uint16) float64 {
	exp, frac := int(bits>>10&31), float64(bits&0x3ff)
	var x float64
	switch {
	case exp == 31 && frac != 0:
		return math.NaN()
	case exp == 31:
		x = math.Inf(1)
	case exp == 0:
		x = math.Ldexp(frac, -24)
	default:
		x = math.Ldexp(1024+frac, exp-25)
	}
	if bits&0x8000 != 0 {
		return -x
	}
	return x
}
