package cpu

import (
	"unsafe"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cpu/internal/parallel"
)

// argReduce finds the first place of the largest, or smallest, element.
func (d *Device) argReduce(largest bool, out, x *backend.Array) error {
	if out.DType != backend.Int64 {
		return unsupported(backend.ArgMax, out.DType)
	}
	switch {
	case x.DType == backend.Float64:
		argReduce(&codec64, largest, out, x)
	case x.DType.IsFloat():
		argReduce(&codec32, largest, out, x)
	default:
		argReduce(&codecInt, largest, out, x)
	}
	return nil
}

func argReduce[C compute](c *codec[C], largest bool, out, x *backend.Array) {
	if x.Size() == 0 {
		return
	}
	k, r := new(space), new(space)
	split(k, r, true, x, out)
	size := x.DType.Size()
	parallel.For(k.size, max(1, grainSlow/r.size), func(lo, hi int) {
		buf := c.get()
		defer c.put(buf)
		at := k.at(lo)
		for ; lo < hi; lo++ {
			o := r.ops[0]
			o.ptr = unsafe.Add(o.ptr, k.offset(&k.ops[0], &at)*size)
			*(*int64)(unsafe.Add(k.ops[1].ptr, k.offset(&k.ops[1], &at)*8)) = int64(argRow(r, &o, c, largest, buf))
			k.advance(&at, 1)
		}
	})
}

func argRow[C compute](s *space, o *operand, c *codec[C], largest bool, buf *blocks[C]) int {
	var best C
	found := -1
	var at position
	straight := direct(o, c, false)
	for i := 0; i < s.size; i += blockLen {
		n := min(blockLen, s.size-i)
		x := buf[0][:n]
		if straight {
			x = slice[C](s, o, &at, i, n)
		} else {
			gather(s, o, c, at, x)
			s.advance(&at, n)
		}
		for j, v := range x {
			if v != v { // nothing beats the first NaN
				return i + j
			}
			if found < 0 || largest && v > best || !largest && v < best {
				best, found = v, i+j
			}
		}
	}
	return found
}
