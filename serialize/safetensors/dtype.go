package safetensors

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
)

// A DType is the name that the format gives to the type of a tensor's elements.
type DType string

// The format's dtypes. F4 and the F6s are narrower than a byte: their elements are packed and fill whole bytes together.
const (
	Bool       DType = "BOOL" // one byte, 0 or 1
	F4         DType = "F4"
	F6E2M3     DType = "F6_E2M3"
	F6E3M2     DType = "F6_E3M2"
	U8         DType = "U8"
	I8         DType = "I8"
	F8E5M2     DType = "F8_E5M2"
	F8E4M3     DType = "F8_E4M3"
	F8E8M0     DType = "F8_E8M0"
	F8E4M3FNUZ DType = "F8_E4M3FNUZ"
	F8E5M2FNUZ DType = "F8_E5M2FNUZ"
	I16        DType = "I16"
	U16        DType = "U16"
	F16        DType = "F16"
	BF16       DType = "BF16"
	I32        DType = "I32"
	U32        DType = "U32"
	F32        DType = "F32"
	C64        DType = "C64" // two F32: the real and the imaginary part
	F64        DType = "F64"
	I64        DType = "I64"
	U64        DType = "U64"
)

// dtypes stands in the order by which the reference implementation sorts the data of a file: by alignment.
var dtypes = []struct {
	name DType
	bits uint64
}{
	{Bool, 8}, {F4, 4}, {F6E2M3, 6}, {F6E3M2, 6}, {U8, 8}, {I8, 8},
	{F8E5M2, 8}, {F8E4M3, 8}, {F8E8M0, 8}, {F8E4M3FNUZ, 8}, {F8E5M2FNUZ, 8},
	{I16, 16}, {U16, 16}, {F16, 16}, {BF16, 16},
	{I32, 32}, {U32, 32}, {F32, 32},
	{C64, 64}, {F64, 64}, {I64, 64}, {U64, 64},
}

// rank is the dtype's place in the order of dtypes, or -1 for an unknown one.
func (d DType) rank() int {
	for i := range dtypes {
		if dtypes[i].name == d {
			return i
		}
	}
	return -1
}

// Size is the number of bytes that a tensor of this dtype and shape takes in a file; a scalar has the shape []. It is an
// error if the format has no such dtype, a dimension is negative, the elements do not fill whole bytes, or their bits do
// not fit an int64. A shape that holds a 0 must fit without it, so that strides never overflow.
func (d DType) Size(shape []int) (int64, error) {
	rank := d.rank()
	if rank < 0 {
		return 0, fmt.Errorf("dtype: %s is not one of the format's", quote(string(d)))
	}
	n, err := sizeInBits(dtypes[rank].bits, shape)
	if err != nil {
		return 0, fmt.Errorf("shape: %s of %s: %w", shapeText(shape), d, err)
	}
	return n / 8, nil
}

func sizeInBits(size uint64, shape []int) (int64, error) {
	for _, n := range shape {
		if n < 0 {
			return 0, fmt.Errorf("%d is negative", n)
		}
		hi, lo := bits.Mul64(size, uint64(max(n, 1)))
		if hi != 0 || lo > math.MaxInt64 {
			return 0, errors.New("too large")
		}
		size = lo
	}
	if slices.Contains(shape, 0) {
		size = 0
	}
	if size%8 != 0 {
		return 0, errors.New("ends within a byte")
	}
	return int64(size), nil
}
