package cpu

import (
	"sync"
	"unsafe"

	"github.com/descent-ml/descent/backend"
)

// compute are the types in which kernels work: float32 and float64, int64 for
// all integers and Bool, uint8 for results that are Bool.
type compute interface {
	float32 | float64 | int64 | uint8
}

// native are the storage types that convert by Go's conversion.
type native interface {
	float32 | float64 | int64 | int32 | int16 | int8 | uint8
}

// codec moves rows between arrays and slices of a computing type. Strides count
// elements of the array.
type codec[C compute] struct {
	native backend.DType // whose rows are slices of C as they are
	load   [backend.NumDTypes]func(dst []C, src unsafe.Pointer, stride int)
	store  [backend.NumDTypes]func(dst unsafe.Pointer, stride int, src []C)
	pool   sync.Pool // of *blocks[C]
}

// blocks are a kernel's operands while they are in the computing type.
type blocks[C compute] [4][blockLen]C

func (c *codec[C]) get() *blocks[C] {
	if b := c.pool.Get(); b != nil {
		return b.(*blocks[C])
	}
	return new(blocks[C])
}

func (c *codec[C]) put(b *blocks[C]) { c.pool.Put(b) }

var codec32 = codec[float32]{
	native: backend.Float32,
	load: [backend.NumDTypes]func([]float32, unsafe.Pointer, int){
		backend.Float32:  loadSame[float32],
		backend.Float64:  loadRow[float32, float64],
		backend.Float16:  loadFloat16[float32],
		backend.BFloat16: loadBFloat16[float32],
		backend.Int64:    loadRow[float32, int64],
		backend.Int32:    loadRow[float32, int32],
		backend.Int16:    loadRow[float32, int16],
		backend.Int8:     loadRow[float32, int8],
		backend.Uint8:    loadRow[float32, uint8],
		backend.Bool:     loadRow[float32, uint8],
	},
	store: [backend.NumDTypes]func(unsafe.Pointer, int, []float32){
		backend.Float32:  storeSame[float32],
		backend.Float64:  storeRow[float32, float64],
		backend.Float16:  storeFloat16[float32],
		backend.BFloat16: storeBFloat16[float32],
		backend.Bool:     storeBool[float32],
	},
}

var codec64 = codec[float64]{
	native: backend.Float64,
	load: [backend.NumDTypes]func([]float64, unsafe.Pointer, int){
		backend.Float32:  loadRow[float64, float32],
		backend.Float64:  loadSame[float64],
		backend.Float16:  loadFloat16[float64],
		backend.BFloat16: loadBFloat16[float64],
		backend.Int64:    loadRow[float64, int64],
		backend.Int32:    loadRow[float64, int32],
		backend.Int16:    loadRow[float64, int16],
		backend.Int8:     loadRow[float64, int8],
		backend.Uint8:    loadRow[float64, uint8],
		backend.Bool:     loadRow[float64, uint8],
	},
	store: [backend.NumDTypes]func(unsafe.Pointer, int, []float64){
		backend.Float32:  storeRow[float64, float32],
		backend.Float64:  storeSame[float64],
		backend.Float16:  storeFloat16[float64],
		backend.BFloat16: storeBFloat16[float64],
		backend.Bool:     storeBool[float64],
	},
}

// codecInt truncates floats toward zero and cuts integers to their width.
var codecInt = codec[int64]{
	native: backend.Int64,
	load: [backend.NumDTypes]func([]int64, unsafe.Pointer, int){
		backend.Float32:  loadRow[int64, float32],
		backend.Float64:  loadRow[int64, float64],
		backend.Float16:  loadFloat16[int64],
		backend.BFloat16: loadBFloat16[int64],
		backend.Int64:    loadSame[int64],
		backend.Int32:    loadRow[int64, int32],
		backend.Int16:    loadRow[int64, int16],
		backend.Int8:     loadRow[int64, int8],
		backend.Uint8:    loadRow[int64, uint8],
		backend.Bool:     loadRow[int64, uint8],
	},
	store: [backend.NumDTypes]func(unsafe.Pointer, int, []int64){
		backend.Int64: storeSame[int64],
		backend.Int32: storeRow[int64, int32],
		backend.Int16: storeRow[int64, int16],
		backend.Int8:  storeRow[int64, int8],
		backend.Uint8: storeRow[int64, uint8],
		backend.Bool:  storeBool[int64],
	},
}

var codecBool = codec[uint8]{
	native: backend.Bool,
	load: [backend.NumDTypes]func([]uint8, unsafe.Pointer, int){
		backend.Bool: loadSame[uint8],
	},
	store: [backend.NumDTypes]func(unsafe.Pointer, int, []uint8){
		backend.Bool: storeSame[uint8],
	},
}

func loadSame[C compute](dst []C, src unsafe.Pointer, stride int) {
	if stride == 1 {
		copy(dst, unsafe.Slice((*C)(src), len(dst)))
		return
	}
	size := stride * int(unsafe.Sizeof(dst[0]))
	for i := range dst {
		dst[i] = *(*C)(unsafe.Add(src, i*size))
	}
}

func storeSame[C compute](dst unsafe.Pointer, stride int, src []C) {
	if stride == 1 {
		copy(unsafe.Slice((*C)(dst), len(src)), src)
		return
	}
	size := stride * int(unsafe.Sizeof(src[0]))
	for i, v := range src {
		*(*C)(unsafe.Add(dst, i*size)) = v
	}
}

func loadRow[C compute, T native](dst []C, src unsafe.Pointer, stride int) {
	if stride == 1 {
		for i, v := range unsafe.Slice((*T)(src), len(dst)) {
			dst[i] = C(v)
		}
		return
	}
	size := stride * int(unsafe.Sizeof(*(*T)(src)))
	for i := range dst {
		dst[i] = C(*(*T)(unsafe.Add(src, i*size)))
	}
}

func storeRow[C compute, T native](dst unsafe.Pointer, stride int, src []C) {
	if stride == 1 {
		d := unsafe.Slice((*T)(dst), len(src))
		for i, v := range src {
			d[i] = T(v)
		}
		return
	}
	size := stride * int(unsafe.Sizeof(*(*T)(dst)))
	for i, v := range src {
		*(*T)(unsafe.Add(dst, i*size)) = T(v)
	}
}

func loadFloat16[C compute](dst []C, src unsafe.Pointer, stride int) {
	if stride == 1 {
		for i, h := range unsafe.Slice((*float16)(src), len(dst)) {
			dst[i] = C(h.float32())
		}
		return
	}
	for i := range dst {
		dst[i] = C((*(*float16)(unsafe.Add(src, i*stride*2))).float32())
	}
}

func loadBFloat16[C compute](dst []C, src unsafe.Pointer, stride int) {
	if stride == 1 {
		for i, h := range unsafe.Slice((*bfloat16)(src), len(dst)) {
			dst[i] = C(h.float32())
		}
		return
	}
	for i := range dst {
		dst[i] = C((*(*bfloat16)(unsafe.Add(src, i*stride*2))).float32())
	}
}

func storeFloat16[C compute](dst unsafe.Pointer, stride int, src []C) {
	if stride == 1 {
		d := unsafe.Slice((*float16)(dst), len(src))
		for i, v := range src {
			d[i] = toFloat16(float32(v))
		}
		return
	}
	for i, v := range src {
		*(*float16)(unsafe.Add(dst, i*stride*2)) = toFloat16(float32(v))
	}
}

func storeBFloat16[C compute](dst unsafe.Pointer, stride int, src []C) {
	if stride == 1 {
		d := unsafe.Slice((*bfloat16)(dst), len(src))
		for i, v := range src {
			d[i] = toBFloat16(float32(v))
		}
		return
	}
	for i, v := range src {
		*(*bfloat16)(unsafe.Add(dst, i*stride*2)) = toBFloat16(float32(v))
	}
}

func storeBool[C compute](dst unsafe.Pointer, stride int, src []C) {
	for i, v := range src {
		b := uint8(0)
		if v != 0 {
			b = 1
		}
		*(*uint8)(unsafe.Add(dst, i*stride)) = b
	}
}
