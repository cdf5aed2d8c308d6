package cuda

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/descent-ml/descent/backend"
)

// divide is Dim::divide of common.cuh.
func (d dim) divide(n uint32) uint32 {
	return (uint32(uint64(n)*uint64(d.multiplier)>>32) + n) >> d.shift
}

func TestDividersDivideExactly(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	sizes := []int{1, 2, 3, 7, 10, 641, 1<<16 - 1, 1 << 16, 1<<30 + 1, 1<<31 - 1}
	for range 300 {
		sizes = append(sizes, 1+int(r.Uint32()>>(1+r.IntN(31))))
	}
	for _, size := range sizes {
		d := divider(size)
		ns := []uint32{0, 1, uint32(size) - 1, uint32(size), 1<<31 - 1}
		for range 100 {
			q := r.Uint32N(uint32(1<<31/size) + 1)
			ns = append(ns, r.Uint32()>>1, q*uint32(size), q*uint32(size)-1)
		}
		for _, n := range ns {
			if n >= 1<<31 {
				continue
			}
			if got, want := d.divide(n), n/uint32(size); got != want {
				t.Fatalf("%d / %d = %d, want %d", n, size, got, want)
			}
		}
	}
}

// places are where a kernel finds element i of each view, in elements: locate of
// common.cuh.
func places(d *dims, views []view, i uint32) [maxViews]int {
	var at [maxViews]int
	for axis := range d.rank {
		rest := uint32(0)
		if axis+1 < d.rank {
			rest = d.dim[axis].divide(i)
		}
		index := int(i - rest*d.dim[axis].size)
		for k := range views {
			at[k] += index * int(views[k].stride[axis])
		}
		i = rest
	}
	return at
}

// visited are the places of all elements of l, as kernels of up to maxDims axes and
// limit elements visit them.
func visited(l *layout, limit int) (all [][maxViews]int) {
	if l.rank > maxDims || l.size > limit {
		first, second := l.halves()
		return append(visited(&first, limit), visited(&second, limit)...)
	}
	var d dims
	var views [maxViews]view
	l.describe(&d, views[:l.views], 1)
	for i := range l.size {
		at := places(&d, views[:l.views], uint32(i))
		for k := range l.views {
			at[k] += int(l.view[k].data) // of items of one byte
		}
		all = append(all, at)
	}
	return all
}

// byteLayout is that of views with the given strides of a shape; their data counts
// elements and begins at 1000, so that strides may be negative.
func byteLayout(shape []int, strides ...[]int) layout {
	var l layout
	out := backend.Array{DType: backend.Uint8, Shape: shape, Strides: strides[0]}
	if err := l.start(&out); err != nil {
		panic(err)
	}
	l.views = 0
	for _, s := range strides {
		v := &l.view[l.views]
		l.views++
		v.data, v.item = 1000, 1
		i := 0
		for axis := len(shape) - 1; axis >= 0; axis-- {
			if shape[axis] != 1 {
				v.strides[i] = s[axis]
				i++
			}
		}
	}
	l.arrange()
	return l
}

func TestALayoutVisitsTheElementsOfAllArraysTogether(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for range 500 {
		shape := make([]int, r.IntN(12))
		budget := 2000
		for axis := range shape {
			shape[axis] = 1 + r.IntN(4)
			if budget /= shape[axis]; budget == 0 {
				shape[axis] = 1
				budget = 1
			}
		}
		// out is dense in some order; the others are anything, broadcast or backwards.
		strides := make([][]int, 1+r.IntN(maxViews))
		for k := range strides {
			strides[k] = make([]int, len(shape))
			n := 1
			for _, axis := range r.Perm(len(shape)) {
				strides[k][axis] = n
				n *= shape[axis]
				switch {
				case k == 0:
				case r.IntN(4) == 0:
					strides[k][axis] = 0
				case r.IntN(6) == 0:
					strides[k][axis] *= -1
				}
			}
		}
		l := byteLayout(shape, strides...)
		got := visited(&l, 1+r.IntN(500))
		var want [][maxViews]int
		var walk func(axis int, at [maxViews]int)
		walk = func(axis int, at [maxViews]int) {
			if axis == len(shape) {
				want = append(want, at)
				return
			}
			for i := range shape[axis] {
				next := at
				for k := range strides {
					next[k] += i * strides[k][axis]
				}
				walk(axis+1, next)
			}
		}
		var begin [maxViews]int
		for k := range strides {
			begin[k] = 1000
		}
		walk(0, begin)
		compare := func(a, b [maxViews]int) int { return slices.Compare(a[:], b[:]) }
		slices.SortFunc(got, compare)
		slices.SortFunc(want, compare)
		if !slices.Equal(got, want) {
			t.Fatalf("shape %v, strides %v: the elements are others", shape, strides)
		}
	}
}

func TestVariantOfALayout(t *testing.T) {
	const at = 512 // aligned
	for _, c := range []struct {
		name    string
		shape   []int
		strides [2][]int
		offset  [2]int
		item    int
		variant uint8
		fixed   uint32
	}{
		{"contiguous", []int{3, 5, 7}, [2][]int{{35, 7, 1}, {35, 7, 1}}, [2]int{}, 4, flat, 0},
		{"channels last", []int{2, 3, 4, 4}, [2][]int{{48, 1, 12, 3}, {48, 1, 12, 3}}, [2]int{}, 2, flat, 0},
		{"one element", []int{1, 1}, [2][]int{{9, 9}, {5, 3}}, [2]int{4, 2}, 2, flat, 0},
		{"one for all", []int{50}, [2][]int{{1}, {0}}, [2]int{0, 4}, 4, flat, 2},
		{"odd start of one for all", []int{50}, [2][]int{{1}, {0}}, [2]int{0, 3}, 4, flat, 2},
		{"odd start", []int{50}, [2][]int{{1}, {1}}, [2]int{0, 4}, 4, strided, 0},
		{"bias", []int{6, 8}, [2][]int{{8, 1}, {0, 1}}, [2]int{}, 4, rows, 0},
		{"bias of odd length", []int{6, 7}, [2][]int{{7, 1}, {0, 1}}, [2]int{}, 4, strided, 0},
		{"bias of a channel", []int{6, 8}, [2][]int{{8, 1}, {1, 0}}, [2]int{}, 4, rows, 2},
		{"columns of a matrix", []int{6, 8}, [2][]int{{8, 1}, {12, 1}}, [2]int{}, 4, rows, 0},
		{"columns of an odd matrix", []int{6, 8}, [2][]int{{8, 1}, {13, 1}}, [2]int{}, 4, strided, 0},
		{"transposed", []int{8, 8}, [2][]int{{8, 1}, {1, 8}}, [2]int{}, 4, strided, 0},
	} {
		l := byteLayout(c.shape, c.strides[0], c.strides[1])
		for k := range l.views {
			l.view[k].item, l.view[k].data = c.item, uint64(at+c.offset[k])
		}
		if variant, fixed := l.variant(l.lanes()); variant != c.variant || fixed != c.fixed {
			t.Errorf("%s: variant %d, fixed %b; want %d, %b", c.name, variant, fixed, c.variant, c.fixed)
		}
	}
}

func TestMoreAxesThanALayoutHasAreRefused(t *testing.T) {
	shape := slices.Repeat([]int{2}, maxAxes+1)
	a := backend.Array{DType: backend.Uint8, Shape: shape, Strides: make([]int, len(shape))}
	var l layout
	if err := l.start(&a); !errors.Is(err, backend.ErrUnsupported) {
		t.Errorf("%d axes: %v", len(shape), err)
	}
}
