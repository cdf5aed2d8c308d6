package backend

import "fmt"

// DType is the type of an array's elements. The zero value is float32.
type DType uint8

const (
	Float32 DType = iota
	Float64
	Float16
	BFloat16
	Int64
	Int32
	Int16
	Int8
	Uint8
	Bool // one byte, 0 or 1
	NumDTypes
)

var dtypes = [NumDTypes]struct {
	name string
	size int
}{
	Float32:  {"float32", 4},
	Float64:  {"float64", 8},
	Float16:  {"float16", 2},
	BFloat16: {"bfloat16", 2},
	Int64:    {"int64", 8},
	Int32:    {"int32", 4},
	Int16:    {"int16", 2},
	Int8:     {"int8", 1},
	Uint8:    {"uint8", 1},
	Bool:     {"bool", 1},
}

// Size is the number of bytes of one element.
func (d DType) Size() int { return dtypes[d].size }

// String is PyTorch's name without its prefix: "float32", "int64", "bool".
func (d DType) String() string {
	if d >= NumDTypes {
		return fmt.Sprintf("dtype(%d)", uint8(d))
	}
	return dtypes[d].name
}

// IsFloat reports whether d is one of the floating-point types.
func (d DType) IsFloat() bool { return d <= BFloat16 }

// IsInt reports whether d is an integer type; bool is none.
func (d DType) IsInt() bool { return d >= Int64 && d <= Uint8 }
