package cpu

import (
	"fmt"
	"unsafe"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cpu/internal/parallel"
)

const (
	maxRank  = 16  // axes left after collapsing
	maxArgs  = 4   // out and three operands
	blockLen = 512 // elements that are converted at a time
	minRow   = 128 // inner axes from this length on are walked row by row
)

// operand is an array as a space walks it.
type operand struct {
	ptr     unsafe.Pointer // of the first element
	dtype   backend.DType
	scalar  bool         // the value stands in Scalars
	flat    bool         // the elements follow each other in the order of the walk
	fixed   bool         // one element serves all
	strides [maxRank]int // in elements, innermost first
}

// space is a common walk over arrays of one shape, without axes of size 1 and
// with those merged that are one axis in every array.
type space struct {
	rank, size int
	args       int
	dims       [maxRank]int // innermost first
	ops        [maxArgs]operand
}

// position is an element of a space.
type position [maxRank]int

// point sets o to a's memory. It panics if a reaches outside of its buffer.
func (o *operand) point(a *backend.Array) {
	o.dtype = a.DType
	if a.Buf == nil {
		o.scalar, o.fixed = true, true
		return
	}
	b := a.Buf.(*buffer)
	lo, hi := a.Offset, a.Offset
	for i, d := range a.Shape {
		if d == 0 {
			return
		}
		if s := a.Strides[i]; s > 0 {
			hi += (d - 1) * s
		} else {
			lo += (d - 1) * s
		}
	}
	if size := a.DType.Size(); lo < 0 || (hi+1)*size > b.room {
		panic(fmt.Sprintf("cpu: array of %v, shape %v, strides %v, offset %d reaches outside its buffer of %d bytes",
			a.DType, a.Shape, a.Strides, a.Offset, b.bytes))
	}
	o.ptr = unsafe.Add(b.ptr, a.Offset*a.DType.Size())
}

// walk sets s to walk the arrays together in the order of the first's memory.
func (s *space) walk(arrays ...*backend.Array) {
	s.set(arrays...)
	s.sort()
	s.merge()
}

// rowMajor sets s to walk the arrays together in the order of their indices.
func (s *space) rowMajor(arrays ...*backend.Array) {
	s.set(arrays...)
	s.merge()
}

// set takes the arrays, whose shapes are the first one's.
func (s *space) set(arrays ...*backend.Array) {
	shape := arrays[0].Shape
	s.size, s.rank, s.args = 1, 0, len(arrays)
	for i, a := range arrays {
		s.ops[i].point(a)
	}
	for axis := len(shape) - 1; axis >= 0; axis-- {
		d := shape[axis]
		s.size *= d
		if d == 1 {
			continue
		}
		if s.rank == maxRank {
			panic(fmt.Sprintf("cpu: shape %v has more than %d axes", shape, maxRank))
		}
		s.dims[s.rank] = d
		for i, a := range arrays {
			if a.Buf != nil {
				s.ops[i].strides[s.rank] = a.Strides[axis]
			}
		}
		s.rank++
	}
}

// sort orders the axes by the first operand's strides, equal ones by the
// others', innermost the smallest.
func (s *space) sort() {
	for i := 1; i < s.rank; i++ {
		for j := i; j > 0 && s.before(j, j-1); j-- {
			s.dims[j], s.dims[j-1] = s.dims[j-1], s.dims[j]
			for k := range s.args {
				t := &s.ops[k].strides
				t[j], t[j-1] = t[j-1], t[j]
			}
		}
	}
}

func (s *space) before(i, j int) bool {
	for k := range s.args {
		if a, b := abs(s.ops[k].strides[i]), abs(s.ops[k].strides[j]); a != b {
			return a < b
		}
	}
	return false
}

// merge joins neighbouring axes that every operand walks as one, and finds out
// which operands are flat and which are fixed.
func (s *space) merge() {
	last := 0
	for i := 1; i < s.rank; i++ {
		one := true
		for k := range s.args {
			t := &s.ops[k].strides
			one = one && t[i] == t[last]*s.dims[last]
		}
		if one {
			s.dims[last] *= s.dims[i]
			continue
		}
		last++
		s.dims[last] = s.dims[i]
		for k := range s.args {
			t := &s.ops[k].strides
			t[last] = t[i]
		}
	}
	s.rank = min(s.rank, last+1)
	for k := range s.args {
		o := &s.ops[k]
		o.flat, o.fixed = true, true
		n := 1
		for i := range s.rank {
			o.flat = o.flat && o.strides[i] == n
			o.fixed = o.fixed && o.strides[i] == 0
			n *= s.dims[i]
		}
		o.flat = o.flat && !o.scalar
	}
}

// at is the position of element n.
func (s *space) at(n int) (p position) {
	s.advance(&p, n)
	return p
}

func (s *space) advance(p *position, n int) {
	for i := 0; n > 0 && i < s.rank; i++ {
		n += p[i]
		if n < s.dims[i] {
			p[i] = n
			return
		}
		p[i] = n % s.dims[i]
		n /= s.dims[i]
	}
}

// offset is where o has the element at p, in elements.
func (s *space) offset(o *operand, p *position) int {
	n := 0
	for i := range s.rank {
		n += p[i] * o.strides[i]
	}
	return n
}

// gather loads the elements from p on into dst.
func gather[C compute](s *space, o *operand, c *codec[C], p position, dst []C) {
	load, size := c.load[o.dtype], o.dtype.Size()
	if s.rank == 0 {
		load(dst, o.ptr, 1)
		return
	}
	for len(dst) > 0 {
		n := min(s.dims[0]-p[0], len(dst))
		load(dst[:n], unsafe.Add(o.ptr, s.offset(o, &p)*size), o.strides[0])
		s.advance(&p, n)
		dst = dst[n:]
	}
}

// scatter stores src to the elements from p on.
func scatter[C compute](s *space, o *operand, c *codec[C], p position, src []C) {
	store, size := c.store[o.dtype], o.dtype.Size()
	if s.rank == 0 {
		store(o.ptr, 1, src)
		return
	}
	for len(src) > 0 {
		n := min(s.dims[0]-p[0], len(src))
		store(unsafe.Add(o.ptr, s.offset(o, &p)*size), o.strides[0], src[:n])
		s.advance(&p, n)
		src = src[n:]
	}
}

// direct reports whether a walk can use o's memory as it is.
func direct[C compute](o *operand, c *codec[C], byRow bool) bool {
	return o.dtype == c.native && !o.scalar && (o.flat || byRow && o.strides[0] == 1)
}

// slice is o's memory from element i of the walk, which is at p.
func slice[C compute](s *space, o *operand, p *position, i, n int) []C {
	if !o.flat {
		i = s.offset(o, p)
	}
	return unsafe.Slice((*C)(unsafe.Add(o.ptr, i*o.dtype.Size())), n)
}

// constant fills dst with the one value of a fixed operand.
func constant[C compute](o *operand, c *codec[C], p *backend.Scalars, dst []C) {
	switch {
	case !o.scalar:
		c.load[o.dtype](dst[:1], o.ptr, 1)
		fill(dst, dst[0])
	case o.dtype.IsFloat():
		fill(dst, C(p.A))
	default:
		fill(dst, C(p.N))
	}
}

// kernel computes dst from up to three operands of the same length.
type kernel[R, C compute] func(dst []R, in [3][]C, p backend.Scalars)

// apply runs f over s, in parallel if s has more than grain elements.
func apply[R, C compute](s *space, cr *codec[R], cc *codec[C], f kernel[R, C], p backend.Scalars, grain int) {
	if s.size <= grain {
		applyRange(s, cr, cc, f, p, 0, s.size)
		return
	}
	t := *s
	parallel.For(t.size, grain, func(lo, hi int) { applyRange(&t, cr, cc, f, p, lo, hi) })
}

func applyRange[R, C compute](s *space, cr *codec[R], cc *codec[C], f kernel[R, C], p backend.Scalars, lo, hi int) {
	byRow := s.rank > 0 && s.dims[0] >= minRow
	out := &s.ops[0]
	outDirect := direct(out, cr, byRow)
	limit := s.size
	var inDirect [3]bool
	for i := range s.args - 1 {
		inDirect[i] = direct(&s.ops[i+1], cc, byRow)
		if !inDirect[i] {
			limit = blockLen
		}
	}
	var result *blocks[R]
	if !outDirect {
		limit = blockLen
		result = cr.get()
		defer cr.put(result)
	}
	var buf *blocks[C]
	if limit == blockLen {
		buf = cc.get()
		defer cc.put(buf)
	}
	for i := range s.args - 1 {
		if o := &s.ops[i+1]; o.fixed && !inDirect[i] {
			constant(o, cc, &p, buf[i][:min(blockLen, hi-lo)])
		}
	}
	// An operand that repeats with every row is loaded once, as often as it fits.
	period := 0
	var repeats [3]bool
	if !byRow && s.rank > 1 && s.dims[0] <= blockLen/2 {
		for i := range s.args - 1 {
			if o := &s.ops[i+1]; !inDirect[i] && !o.fixed && repeatsByRow(o, s.rank) {
				repeats[i] = true
				period = blockLen / s.dims[0] * s.dims[0]
				gather(s, o, cc, position{}, buf[i][:min(period, s.size)])
			}
		}
	}
	at := s.at(lo)
	for lo < hi {
		n := min(limit, hi-lo)
		if byRow {
			n = min(n, s.dims[0]-at[0])
		} else if period > 0 {
			n = min(n, period-at[0])
		}
		var in [3][]C
		for i := range s.args - 1 {
			o := &s.ops[i+1]
			switch {
			case inDirect[i]:
				in[i] = slice[C](s, o, &at, lo, n)
			case o.fixed:
				in[i] = buf[i][:n]
			case repeats[i]:
				in[i] = buf[i][at[0]:][:n]
			default:
				in[i] = buf[i][:n]
				gather(s, o, cc, at, in[i])
			}
		}
		if outDirect {
			f(slice[R](s, out, &at, lo, n), in, p)
		} else {
			dst := result[0][:n]
			f(dst, in, p)
			scatter(s, out, cr, at, dst)
		}
		s.advance(&at, n)
		lo += n
	}
}

func repeatsByRow(o *operand, rank int) bool {
	for _, stride := range o.strides[1:rank] {
		if stride != 0 {
			return false
		}
	}
	return true
}

func fill[T any](s []T, v T) {
	for i := range s {
		s[i] = v
	}
}

func abs(n int) int { return max(n, -n) }
