package cpu

import (
	"cmp"
	"slices"
	"unsafe"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cpu/internal/parallel"
)

// Sort sorts along axis, stably, NaN as the largest.
func (d *Device) Sort(out, idx, x backend.Array, axis int, descending bool) error {
	if g := d.capturing(); g != nil {
		return g.sort(out, idx, x, axis, descending)
	}
	switch {
	case x.DType == backend.Float64:
		sortLines(&codec64, &out, &idx, &x, axis, descending)
	case x.DType.IsFloat():
		sortLines(&codec32, &out, &idx, &x, axis, descending)
	default:
		sortLines(&codecInt, &out, &idx, &x, axis, descending)
	}
	return nil
}

// keyed is an element and its position, which makes the order total: a sort by
// it is stable.
type keyed[C compute] struct {
	key C
	at  int
}

// ascending orders NaN last, descending first.
func ascending[C compute](a, b keyed[C]) int {
	if c := compareKeys(a.key, b.key); c != 0 {
		return c
	}
	return cmp.Compare(a.at, b.at)
}

func descending[C compute](a, b keyed[C]) int {
	if c := compareKeys(b.key, a.key); c != 0 {
		return c
	}
	return cmp.Compare(a.at, b.at)
}

func compareKeys[C compute](a, b C) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	case a == b:
		return 0
	}
	return cmp.Compare(bit(a != a), bit(b != b))
}

func sortLines[C compute](c *codec[C], out, idx, x *backend.Array, axis int, down bool) {
	result := out
	if out.Buf == nil {
		result = idx
	}
	if x.Size() == 0 || result.Size() == 0 {
		return
	}
	order := ascending[C]
	if down {
		order = descending[C]
	}
	n, k := x.Shape[axis], result.Shape[axis]
	// Walk the lines of x; the results are walked along with it.
	var shape []int
	lineX, strideX := line(x, axis, &shape)
	lineOut, lineIdx := lineX, lineX
	var strideOut, strideIdx int
	if out.Buf != nil {
		lineOut, strideOut = line(out, axis, &shape)
	}
	if idx.Buf != nil {
		lineIdx, strideIdx = line(idx, axis, &shape)
	}
	s := new(space)
	s.rowMajor(&lineX, &lineOut, &lineIdx)
	place := func(i int, at *position) unsafe.Pointer {
		o := &s.ops[i]
		return unsafe.Add(o.ptr, s.offset(o, at)*o.dtype.Size())
	}
	parallel.For(s.size, max(1, grainSlow/n), func(lo, hi int) {
		keys, pairs := make([]C, n), make([]keyed[C], n)
		at := s.at(lo)
		for ; lo < hi; lo++ {
			c.load[x.DType](keys, place(0, &at), strideX)
			for i, v := range keys {
				pairs[i] = keyed[C]{v, i}
			}
			top := pairs
			if k < n/8 {
				top = selectTop(pairs, k, order)
			}
			slices.SortFunc(top, order)
			if out.Buf != nil {
				for i := range k {
					keys[i] = top[i].key
				}
				c.store[out.DType](place(1, &at), strideOut, keys[:k])
			}
			if idx.Buf != nil {
				to := place(2, &at)
				for i := range k {
					*(*int64)(unsafe.Add(to, i*strideIdx*8)) = int64(top[i].at)
				}
			}
			s.advance(&at, 1)
		}
	})
}

// selectTop moves the first k of the order to the front, in a heap whose root
// is the last of them.
func selectTop[C compute](pairs []keyed[C], k int, order func(a, b keyed[C]) int) []keyed[C] {
	heap := pairs[:k]
	down := func(i int) {
		for {
			child := 2*i + 1
			if child >= k {
				return
			}
			if child+1 < k && order(heap[child], heap[child+1]) < 0 {
				child++
			}
			if order(heap[i], heap[child]) >= 0 {
				return
			}
			heap[i], heap[child] = heap[child], heap[i]
			i = child
		}
	}
	for i := k/2 - 1; i >= 0; i-- {
		down(i)
	}
	for _, v := range pairs[k:] {
		if k > 0 && order(v, heap[0]) < 0 {
			heap[0] = v
			down(0)
		}
	}
	return heap
}
