package cpu

import (
	"sync/atomic"
	"unsafe"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cpu/internal/parallel"
)

// Gather copies the elements that index names. A row of out whose elements
// share one index (a stride of 0) is copied as a whole: index select, embedding.
func (d *Device) Gather(out, x, index backend.Array, axis int) error {
	if g := d.capturing(); g != nil {
		return g.gather(out, x, index, axis)
	}
	if out.Size() == 0 {
		return nil
	}
	switch out.DType.Size() {
	case 1:
		return gatherAlong[uint8](&out, &x, &index, axis)
	case 2:
		return gatherAlong[uint16](&out, &x, &index, axis)
	case 4:
		return gatherAlong[uint32](&out, &x, &index, axis)
	}
	return gatherAlong[uint64](&out, &x, &index, axis)
}

// indexed sets s to walk elements, a second array and their indices together
// with the array that is indexed, which stands still along the axis.
func indexed(s *space, elements, index, target *backend.Array, axis int, inOrder bool) {
	t := *target
	var buf [32]int
	t.Strides = append(buf[:0], target.Strides...)
	t.Strides[axis] = 0
	if inOrder {
		s.rowMajor(elements, index, &t)
	} else {
		s.walk(elements, index, &t)
	}
	// Check where all of target lies, not only its first plane.
	var o operand
	o.point(target)
}

func gatherAlong[T any](out, x, index *backend.Array, axis int) error {
	s := new(space)
	indexed(s, out, index, x, axis, false)
	size, stride := x.Shape[axis], x.Strides[axis]
	var failed atomic.Pointer[backend.IndexError]
	parallel.For(s.size, grainFast, func(lo, hi int) {
		var zero T
		width := int(unsafe.Sizeof(zero))
		to, ix, from := &s.ops[0], &s.ops[1], &s.ops[2]
		so, sx, si := 1, 1, 1
		if s.rank > 0 {
			so, si, sx = to.strides[0], ix.strides[0], from.strides[0]
		}
		at := s.at(lo)
		for lo < hi {
			n := 1
			if s.rank > 0 {
				n = min(s.dims[0]-at[0], hi-lo)
			}
			dst := unsafe.Add(to.ptr, s.offset(to, &at)*width)
			src := unsafe.Add(from.ptr, s.offset(from, &at)*width)
			where := unsafe.Add(ix.ptr, s.offset(ix, &at)*8)
			if si == 0 && so == 1 && sx == 1 {
				i := *(*int64)(where)
				if uint64(i) >= uint64(size) {
					failed.CompareAndSwap(nil, &backend.IndexError{Index: i, Size: size})
					return
				}
				copy(unsafe.Slice((*T)(dst), n), unsafe.Slice((*T)(unsafe.Add(src, int(i)*stride*width)), n))
			} else {
				for j := range n {
					i := *(*int64)(unsafe.Add(where, j*si*8))
					if uint64(i) >= uint64(size) {
						failed.CompareAndSwap(nil, &backend.IndexError{Index: i, Size: size})
						return
					}
					*(*T)(unsafe.Add(dst, j*so*width)) = *(*T)(unsafe.Add(src, (int(i)*stride+j*sx)*width))
				}
			}
			s.advance(&at, n)
			lo += n
		}
	})
	if err := failed.Load(); err != nil {
		return err
	}
	return nil
}

// Scatter sets or adds to the elements that index names, in row-major order. It
// checks all indices before it writes.
func (d *Device) Scatter(op backend.ScatterOp, out, index, src backend.Array, axis int) error {
	if g := d.capturing(); g != nil {
		return g.scatter(op, out, index, src, axis)
	}
	if src.Size() == 0 {
		return nil
	}
	if err := checkIndex(&index, out.Shape[axis]); err != nil {
		return err
	}
	if op == backend.ScatterAdd {
		switch t := out.DType; {
		case t == backend.Float64:
			scatterAlong(&codec64, each2to(add[float64]), &out, &index, &src, axis)
		case t.IsFloat():
			scatterAlong(&codec32, addTo32, &out, &index, &src, axis)
		default:
			scatterAlong(&codecInt, each2to(add[int64]), &out, &index, &src, axis)
		}
		return nil
	}
	switch t := out.DType; {
	case t == backend.Float64:
		scatterAlong(&codec64, nil, &out, &index, &src, axis)
	case t.IsFloat():
		scatterAlong(&codec32, nil, &out, &index, &src, axis)
	default:
		scatterAlong(&codecInt, nil, &out, &index, &src, axis)
	}
	return nil
}

func checkIndex(index *backend.Array, size int) error {
	var s space
	var shape [32]int
	once := *index // what is broadcast is read once
	once.Shape = append(shape[:0], index.Shape...)
	for i, stride := range index.Strides {
		if stride == 0 {
			once.Shape[i] = 1
		}
	}
	s.walk(&once)
	buf := codecInt.get()
	defer codecInt.put(buf)
	var at position
	for i := 0; i < s.size; i += blockLen {
		v := buf[0][:min(blockLen, s.size-i)]
		gather(&s, &s.ops[0], &codecInt, at, v)
		for _, x := range v {
			if uint64(x) >= uint64(size) {
				return &backend.IndexError{Index: x, Size: size}
			}
		}
		s.advance(&at, len(v))
	}
	return nil
}

// scatterAlong walks src in row-major order. Rows whose elements share one
// index are handled as a whole, and then the columns are shared among threads:
// each still sees its rows in order.
func scatterAlong[C compute](c *codec[C], join func(acc, x []C), out, index, src *backend.Array, axis int) {
	s := new(space)
	indexed(s, src, index, out, axis, true)
	stride := out.Strides[axis]
	columns, rows := 1, s.size
	if s.rank > 0 {
		columns, rows = s.dims[0], s.size/s.dims[0]
	}
	byRow := s.rank == 0 || s.ops[1].strides[0] == 0 && s.ops[2].strides[0] != 0
	part := func(lo, hi int) {
		buf := c.get()
		defer c.put(buf)
		from, ix, to := &s.ops[0], &s.ops[1], &s.ops[2]
		load, store := c.load[src.DType], c.store[out.DType]
		loadOut := c.load[out.DType]
		sizeS, sizeO := src.DType.Size(), out.DType.Size()
		ss, si, so := from.strides[0], ix.strides[0], to.strides[0]
		step := blockLen
		if !byRow {
			step = 1
		}
		plain := src.DType == c.native && out.DType == c.native && (ss == 1 && so == 1 || step == 1)
		var at position
		for range rows {
			for j := lo; j < hi; j += step {
				n := min(step, hi-j)
				i := *(*int64)(unsafe.Add(ix.ptr, (s.offset(ix, &at)+j*si)*8))
				x := unsafe.Add(from.ptr, (s.offset(from, &at)+j*ss)*sizeS)
				y := unsafe.Add(to.ptr, (s.offset(to, &at)+int(i)*stride+j*so)*sizeO)
				if join != nil && plain {
					join(unsafe.Slice((*C)(y), n), unsafe.Slice((*C)(x), n))
					continue
				}
				load(buf[0][:n], x, ss)
				if join != nil {
					loadOut(buf[1][:n], y, so)
					join(buf[1][:n], buf[0][:n])
					store(y, so, buf[1][:n])
				} else {
					store(y, so, buf[0][:n])
				}
			}
			s.advance(&at, columns)
		}
	}
	if byRow && rows*columns > grainSlow {
		parallel.For(columns, max(16, grainSlow/rows), part)
	} else {
		part(0, columns)
	}
}
