package cuda

import (
	"fmt"
	"math/bits"

	"github.com/descent-ml/descent/backend"
)

const (
	maxAxes  = 16 // of a layout
	maxDims  = 8  // of a launch
	maxViews = 4
	most     = 1 << 31 // elements that a kernel counts in 32 bits
)

// view mirrors View of common.cuh.
type view struct {
	data   uint64
	stride [maxDims]int64
}

// dim mirrors Dim of common.cuh: how to divide by size, as in Granlund and
// Montgomery, "Division by invariant integers using multiplication", 1994.
type dim struct{ size, multiplier, shift uint32 }

func divider(size int) dim {
	d := uint64(size)
	shift := bits.Len64(d - 1)
	return dim{uint32(d), uint32((1<<shift-d)<<32/d + 1), uint32(shift)}
}

// dims mirrors Dims of common.cuh.
type dims struct {
	rank, size uint32
	dim        [maxDims]dim
}

// layout is how arrays of one shape lie in memory: without axes of size 1, in the
// order of the first array's memory, innermost first, and with those axes merged
// that every array walks as one. It is a value of the stack.
type layout struct {
	rank, size, views int
	dims              [maxAxes]int
	view              [maxViews]operand
}

// operand is an array of a layout. A scalar has neither data nor an item.
type operand struct {
	data    uint64
	item    int // bytes of an element
	strides [maxAxes]int
}

// start takes the shape and the first array, whose memory sets the order.
func (l *layout) start(out *backend.Array) error {
	l.rank, l.size, l.views = 0, 1, 0
	for axis := len(out.Shape) - 1; axis >= 0; axis-- {
		d := out.Shape[axis]
		l.size *= d
		if d == 1 {
			continue
		}
		if l.rank == maxAxes {
			return fmt.Errorf("cuda: shape %v has more than %d axes: %w", out.Shape, maxAxes, backend.ErrUnsupported)
		}
		l.dims[l.rank] = d
		l.rank++
	}
	l.add(out)
	return nil
}

// add takes another array of the same shape.
func (l *layout) add(a *backend.Array) {
	v := &l.view[l.views]
	l.views++
	if a.Buf == nil {
		*v = operand{}
		return
	}
	v.data, v.item = addr(*a), a.DType.Size()
	i := 0
	for axis := len(a.Shape) - 1; axis >= 0; axis-- {
		if a.Shape[axis] != 1 {
			v.strides[i] = a.Strides[axis]
			i++
		}
	}
}

// number adds a view without memory, whose offsets are the elements' numbers in
// row-major order. It comes before arrange.
func (l *layout) number() {
	v := &l.view[l.views]
	l.views++
	v.data, v.item = 0, 1
	n := 1
	for i := range l.rank {
		v.strides[i] = n
		n *= l.dims[i]
	}
}

// arrange sorts and merges the axes, once all arrays are there.
func (l *layout) arrange() {
	for i := 1; i < l.rank; i++ {
		for j := i; j > 0 && l.inside(j, j-1); j-- {
			l.dims[j], l.dims[j-1] = l.dims[j-1], l.dims[j]
			for k := range l.views {
				t := &l.view[k].strides
				t[j], t[j-1] = t[j-1], t[j]
			}
		}
	}
	last := 0
	for i := 1; i < l.rank; i++ {
		if l.together(last, i) {
			l.dims[last] *= l.dims[i]
			continue
		}
		last++
		l.dims[last] = l.dims[i]
		for k := range l.views {
			l.view[k].strides[last] = l.view[k].strides[i]
		}
	}
	l.rank = min(l.rank, last+1)
}

// inside reports whether axis i belongs further in than j.
func (l *layout) inside(i, j int) bool {
	for k := range l.views {
		if a, b := magnitude(l.view[k].strides[i]), magnitude(l.view[k].strides[j]); a != b {
			return a < b
		}
	}
	return false
}

func magnitude(n int) int { return max(n, -n) }

// together reports whether every array goes on from axis i to the next as along i.
func (l *layout) together(i, next int) bool {
	for k := range l.views {
		if t := &l.view[k].strides; t[next] != t[i]*l.dims[i] {
			return false
		}
	}
	return true
}

// The values of VARIANT in elementwise.cuh.
const (
	flat = iota
	rows
	strided
)

// lanes is how many neighbours a thread takes of arrays whose widest element has
// so many bytes.
func (l *layout) lanes() int {
	widest := 1
	for k := range l.views {
		widest = max(widest, l.view[k].item)
	}
	return 16 / widest
}

// variant says which kernel may take n neighbours at a time, and which views stay
// where they are along the innermost axis.
func (l *layout) variant(n int) (variant uint8, fixed uint32) {
	if l.rank > 1 {
		if l.dims[0]%n != 0 || l.rank > maxDims {
			return strided, 0
		}
		variant = rows
	}
	for k := range l.views {
		v := &l.view[k]
		if v.strides[0] == 0 && (l.rank > 0 || v.data == 0) {
			fixed |= 1 << k
			continue
		}
		if l.rank > 0 && (v.strides[0] != 1 || v.data%uint64(min(16, n*v.item)) != 0) {
			return strided, 0
		}
		for i := 1; i < l.rank; i++ {
			if v.strides[i]%n != 0 {
				return strided, 0
			}
		}
	}
	return variant, fixed
}

// describe writes the axes as a kernel sees them that takes n elements of the
// innermost at a time. It needs a rank up to maxDims.
func (l *layout) describe(d *dims, views []view, n int) {
	size := l.size / n
	d.rank, d.size = uint32(l.rank), uint32(size)
	for i := range l.rank {
		axis := l.dims[i]
		if i == 0 {
			axis /= n
		}
		d.dim[i] = divider(axis)
	}
	for k := range views {
		v := &l.view[k]
		views[k].data = v.data
		if l.rank == 0 {
			views[k].stride[0] = 0
		}
		for i := range l.rank {
			views[k].stride[i] = int64(v.strides[i])
		}
		views[k].stride[0] *= int64(n)
	}
}

// halves cuts the outermost axis in two.
func (l *layout) halves() (first, second layout) {
	axis := l.rank - 1
	first, second = *l, *l
	n := l.dims[axis] / 2
	first.resize(n)
	second.resize(l.dims[axis] - n)
	for k := range l.views {
		v := &second.view[k]
		v.data += uint64(n * v.strides[axis] * v.item)
	}
	return first, second
}

// resize changes the outermost axis, and drops it if one element is left.
func (l *layout) resize(n int) {
	axis := l.rank - 1
	l.size = l.size / l.dims[axis] * n
	if l.dims[axis] = n; n == 1 {
		l.rank--
	}
}

// drop leaves an axis out.
func (l *layout) drop(axis int) {
	l.size /= l.dims[axis]
	l.rank--
	copy(l.dims[axis:l.rank], l.dims[axis+1:])
	for k := range l.views {
		t := &l.view[k].strides
		copy(t[axis:l.rank], t[axis+1:])
	}
}
