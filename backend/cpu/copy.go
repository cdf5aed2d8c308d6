package cpu

import (
	"unsafe"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cpu/internal/parallel"
)

const grainCopy = 64 << 10 // elements

// Copy writes x to out, or adds it.
func (d *Device) Copy(out, x backend.Array, accumulate bool) error {
	if g := d.capturing(); g != nil {
		return g.copy(out, x, accumulate)
	}
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
	if axis := s.transposed(); axis > 0 && s.size > grainCopy/64 {
		moveTransposed[T](s, axis)
		return
	}
	if s.size <= grainCopy {
		moveRange[T](s, 0, s.size)
		return
	}
	t := *s
	parallel.For(t.size, grainCopy, func(lo, hi int) { moveRange[T](&t, lo, hi) })
}

// transposed is the axis along which the source is contiguous where the result
// is not, or 0.
func (s *space) transposed() int {
	if s.rank < 2 || s.ops[0].strides[0] != 1 || s.ops[1].strides[0] == 1 {
		return 0
	}
	for axis := 1; axis < s.rank; axis++ {
		if s.ops[1].strides[axis] == 1 && s.dims[axis] >= tile/2 {
			return axis
		}
	}
	return 0
}

// tile is the side of the squares in which a transpose is done: so many cache
// lines of both arrays stay in reach.
const tile = 16

// moveTransposed copies in tiles of the first axis and that one. The strips of
// a tile's height are shared among threads.
func moveTransposed[T any](s *space, axis int) {
	var zero T
	size := int(unsafe.Sizeof(zero))
	columns := s.dims[axis]
	strips := (columns-1)/tile + 1
	// The rest of the walk, without the two axes.
	outer := *s
	outer.dims[0], outer.dims[axis] = 1, 1
	planes := s.size / (s.dims[0] * columns)
	t := *s
	parallel.For(planes*strips, max(1, grainCopy/(tile*s.dims[0])), func(lo, hi int) {
		out, in := &t.ops[0], &t.ops[1]
		so, si := out.strides[axis]*size, in.strides[0]*size
		for i := lo; i < hi; i++ {
			at := outer.at(i / strips)
			first := i % strips * tile
			width := min(tile, columns-first)
			to := unsafe.Add(out.ptr, (t.offset(out, &at)+first*out.strides[axis])*size)
			from := unsafe.Add(in.ptr, (t.offset(in, &at)+first)*size)
			for row := 0; row < t.dims[0]; row += tile {
				height := min(tile, t.dims[0]-row)
				for c := range width {
					dst := unsafe.Slice((*T)(unsafe.Add(to, c*so+row*size)), height)
					src := unsafe.Add(from, c*size+row*si)
					for r := range dst {
						dst[r] = *(*T)(unsafe.Add(src, r*si))
					}
				}
			}
		}
	})
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
