package cpu

import (
	"unsafe"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cpu/internal/parallel"
)

// Elements from which on a kernel is shared among threads.
const (
	grainFast = 32 << 10 // vectorised
	grainSlow = 4 << 10  // a call per element
)

// entry is a line of a kernel table: the function in the types that have one.
type entry struct {
	f32 kernel[float32, float32] // float32, and the half types
	f64 kernel[float64, float64] // float64, and without f32 all floats
	i64 kernel[int64, int64]     // the integers
	// In place of f32, f64 and i64 where the result is Bool.
	test32  kernel[uint8, float32]
	test64  kernel[uint8, float64]
	testInt kernel[uint8, int64]
	bools   bool // i64 serves Bool too
	// With one value as the second or the first operand, of float32; optional.
	xs, sx func(dst, x []float32, s float32)
	check  func(s *space, p backend.Scalars) error // of the operands; optional
}

// run applies e to arrays, the output first.
func (e *entry) run(op any, p *backend.Params, arrays ...*backend.Array) error {
	dtype := arrays[0].DType
	if e.test64 != nil {
		dtype = arrays[1].DType
		if arrays[1].IsScalar() {
			dtype = arrays[2].DType
		}
	}
	scalars := scalars(p)
	if dtype != backend.Float64 {
		scalars.A, scalars.B = float64(float32(scalars.A)), float64(float32(scalars.B))
	}
	if dtype == backend.Float32 && e.f32 != nil && e.runFlat(scalars, arrays) {
		return nil
	}
	var s space
	s.walk(arrays...)
	if s.size == 0 {
		return nil
	}
	for i := range s.args {
		if s.ops[i].scalar {
			s.ops[i].dtype = dtype
		}
	}
	if e.check != nil && dtype.IsInt() {
		t := s // the call makes its operand escape
		if err := e.check(&t, scalars); err != nil {
			return err
		}
	}
	switch {
	case dtype == backend.Bool && !e.bools:
	case dtype == backend.Float64 && e.f64 != nil:
		apply(&s, &codec64, &codec64, e.f64, scalars, grainSlow)
		return nil
	case dtype.IsFloat() && e.f32 != nil:
		apply(&s, &codec32, &codec32, e.f32, scalars, grainFast)
		return nil
	case dtype.IsFloat() && e.f64 != nil:
		apply(&s, &codec64, &codec64, e.f64, scalars, grainSlow)
		return nil
	case dtype.IsFloat() && dtype != backend.Float64 && e.test32 != nil:
		apply(&s, &codecBool, &codec32, e.test32, scalars, grainSlow)
		return nil
	case dtype.IsFloat() && e.test64 != nil:
		apply(&s, &codecBool, &codec64, e.test64, scalars, grainSlow)
		return nil
	case !dtype.IsFloat() && e.i64 != nil:
		apply(&s, &codecInt, &codecInt, e.i64, scalars, grainSlow)
		return nil
	case !dtype.IsFloat() && e.testInt != nil:
		apply(&s, &codecBool, &codecInt, e.testInt, scalars, grainSlow)
		return nil
	}
	return unsupported(op, dtype)
}

// runFlat is the short way for float32 arrays that lie in memory alike, one of
// which may be a single value. It reports whether it was one.
func (e *entry) runFlat(p backend.Scalars, arrays []*backend.Array) bool {
	out := arrays[0]
	size, ok := denseSize(out)
	if !ok {
		return false
	}
	if size == 0 {
		return true
	}
	var in [3][]float32
	value, at := float32(0), -1 // of the operand that is a single value
	for i, a := range arrays[1:] {
		switch {
		case a.DType == backend.Float32 && a.Buf != nil && alike(a, out):
			in[i] = flat32(a, size)
		case at < 0 && a.Buf == nil:
			value, at = float32(p.A), i
		case at < 0 && a.DType == backend.Float32 && isFixed(a):
			value, at = flat32(a, 1)[0], i
		default:
			return false
		}
	}
	dst := flat32(out, size)
	if at < 0 {
		if size <= grainFast {
			e.f32(dst, in, p)
			return true
		}
		f := e.f32
		parallel.For(size, grainFast, func(lo, hi int) {
			part := in
			for i := range part {
				if part[i] != nil {
					part[i] = part[i][lo:hi]
				}
			}
			f(dst[lo:hi], part, p)
		})
		return true
	}
	f := e.xs
	if at == 0 {
		f = e.sx
	}
	if f == nil || len(arrays) != 3 {
		return false
	}
	x := in[1-at]
	if size <= grainFast {
		f(dst, x, value)
		return true
	}
	parallel.For(size, grainFast, func(lo, hi int) { f(dst[lo:hi], x[lo:hi], value) })
	return true
}

// denseSize is the number of a's elements; ok if they fill a piece of memory.
func denseSize(a *backend.Array) (size int, ok bool) {
	size = 1
	last := 0
	for i, d := range a.Shape {
		size *= d
		last += (d - 1) * a.Strides[i]
		ok = a.Strides[i] >= 0 || d == 1
		if !ok {
			return 0, false
		}
	}
	return size, size == 0 || last == size-1
}

// alike reports whether a's elements lie as those of b.
func alike(a, b *backend.Array) bool {
	for i, d := range b.Shape {
		if a.Strides[i] != b.Strides[i] && d > 1 {
			return false
		}
	}
	return true
}

func isFixed(a *backend.Array) bool {
	for i, d := range a.Shape {
		if a.Strides[i] != 0 && d > 1 {
			return false
		}
	}
	return true
}

// flat32 is n elements of float32 memory from a's first on.
func flat32(a *backend.Array, n int) []float32 {
	b := a.Buf.(*buffer)
	return unsafe.Slice((*float32)(b.ptr), b.room/4)[a.Offset:][:n]
}

// The helpers below make kernels of scalar functions and of package vec's.

func each1[C compute](f func(x C) C) kernel[C, C] {
	return func(dst []C, in [3][]C, _ backend.Scalars) {
		for i, x := range in[0][:len(dst)] {
			dst[i] = f(x)
		}
	}
}

func each1p[C compute](f func(x C, p backend.Scalars) C) kernel[C, C] {
	return func(dst []C, in [3][]C, p backend.Scalars) {
		for i, x := range in[0][:len(dst)] {
			dst[i] = f(x, p)
		}
	}
}

func each2[C compute](f func(x, y C) C) kernel[C, C] {
	return func(dst []C, in [3][]C, _ backend.Scalars) {
		y := in[1][:len(dst)]
		for i, x := range in[0][:len(dst)] {
			dst[i] = f(x, y[i])
		}
	}
}

func each2p[C compute](f func(x, y C, p backend.Scalars) C) kernel[C, C] {
	return func(dst []C, in [3][]C, p backend.Scalars) {
		y := in[1][:len(dst)]
		for i, x := range in[0][:len(dst)] {
			dst[i] = f(x, y[i], p)
		}
	}
}

func each3p[C compute](f func(x, y, z C, p backend.Scalars) C) kernel[C, C] {
	return func(dst []C, in [3][]C, p backend.Scalars) {
		y, z := in[1][:len(dst)], in[2][:len(dst)]
		for i, x := range in[0][:len(dst)] {
			dst[i] = f(x, y[i], z[i], p)
		}
	}
}

func test1[C compute](f func(x C) bool) kernel[uint8, C] {
	return func(dst []uint8, in [3][]C, _ backend.Scalars) {
		for i, x := range in[0][:len(dst)] {
			dst[i] = bit(f(x))
		}
	}
}

func test2[C compute](f func(x, y C) bool) kernel[uint8, C] {
	return func(dst []uint8, in [3][]C, _ backend.Scalars) {
		y := in[1][:len(dst)]
		for i, x := range in[0][:len(dst)] {
			dst[i] = bit(f(x, y[i]))
		}
	}
}

func vec1(f func(dst, x []float32)) kernel[float32, float32] {
	return func(dst []float32, in [3][]float32, _ backend.Scalars) { f(dst, in[0]) }
}

func vec2(f func(dst, x, y []float32)) kernel[float32, float32] {
	return func(dst []float32, in [3][]float32, _ backend.Scalars) { f(dst, in[0], in[1]) }
}

func bit(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}
