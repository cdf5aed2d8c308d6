package cpu

import (
	"unsafe"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cpu/internal/parallel"
)

const grainCopy = 64 << 10 // elements

// Copy writes x to out, or adds it.
func (d *Device) Copy(out, x backend.Array, accumulate bool) error {
	if accumulate {
		return accumulateInto(&out, &x)
	}
	if x.Buf == nil {
		x.DType = out.DType
	}
	var s space
	s.walk(&out, &x)
	if s.size == 0 {
		return nil
	}
	if out.DType == x.DType {
		switch out.DType.Size() {
		case 1:
			move[uint8](&s)
		case 2:
			move[uint16](&s)
		case 4:
			move[uint32](&s)
		case 8:
			move[uint64](&s)
		}
		return nil
	}
	cast(&s)
	return nil
}

// accumulateInto adds x, cast, to out.
func accumulateInto(out, x *backend.Array) error {
	return binary[backend.Add].run(backend.Add, &backend.Params{}, out, out, x)
}

// cast converts the elements. Each pair of types goes through a computing type
// in which nothing is rounded that the result does not round.
func cast(s *space) {
	from, to := s.ops[1].dtype, s.ops[0].dtype
	var none backend.Scalars
	switch {
	case !to.IsFloat() && to != backend.Bool:
		apply(s, &codecInt, &codecInt, identity[int64], none, grainFast)
	case from == backend.Float64 || to == backend.Float64:
		apply(s, &codec64, &codec64, identity[float64], none, grainFast)
	default:
		apply(s, &codec32, &codec32, identity[float32], none, grainFast)
	}
}

func identity[C compute](dst []C, in [3][]C, _ backend.Scalars) { copy(dst, in[0]) }

// move copies elements of one size.
func move[T any](s *space) {
	if s.size <= grainCopy {
		moveRange[T](s, 0, s.size)
		return
	}
	t := *s
	parallel.For(t.size, grainCopy, func(lo, hi int) { moveRange[T](&t, lo, hi) })
}

func moveRange[T any](s *space, lo, hi int) {
	var zero T
	size := int(unsafe.Sizeof(zero))
	out, in := &s.ops[0], &s.ops[1]
	if out.flat && in.flat {
		copy(unsafe.Slice((*T)(unsafe.Add(out.ptr, lo*size)), hi-lo), unsafe.Slice((*T)(unsafe.Add(in.ptr, lo*size)), hi-lo))
		return
	}
	so, si := out.strides[0]*size, in.strides[0]*size
	at := s.at(lo)
	for lo < hi {
		n := min(s.dims[0]-at[0], hi-lo)
		to := unsafe.Add(out.ptr, s.offset(out, &at)*size)
		from := unsafe.Add(in.ptr, s.offset(in, &at)*size)
		if so == size && si == size {
			copy(unsafe.Slice((*T)(to), n), unsafe.Slice((*T)(from), n))
		} else {
			for i := range n {
				*(*T)(unsafe.Add(to, i*so)) = *(*T)(unsafe.Add(from, i*si))
			}
		}
		s.advance(&at, n)
		lo += n
	}
}
