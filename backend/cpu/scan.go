package cpu

import (
	"unsafe"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cpu/internal/parallel"
)

var scans = [backend.NumScan]struct {
	init float64
	f64  func(a, b float64) float64 // all floats: PyTorch too accumulates float32 in float64
	i64  func(a, b int64) int64
}{
	backend.CumSum:  {init: 0, f64: add[float64], i64: add[int64]},
	backend.CumProd: {init: 1, f64: mul[float64], i64: mul[int64]},
}

// picks say whether the running value gives way to the next one; only these ops
// have an idx.
var picks = [backend.NumScan]struct {
	f64 func(acc, v float64) bool
	i64 func(acc, v int64) bool
}{
	backend.CumMax: {f64: func(acc, v float64) bool { return v != v || v >= acc }, i64: func(acc, v int64) bool { return v >= acc }},
	backend.CumMin: {f64: func(acc, v float64) bool { return v != v || v <= acc }, i64: func(acc, v int64) bool { return v <= acc }},
}

// Scan computes running sums, products or extremes along axis.
func (d *Device) Scan(op backend.ScanOp, out, idx, x backend.Array, axis int) error {
	if g := d.capturing(); g != nil {
		return g.scan(op, out, idx, x, axis)
	}
	s, p := &scans[op], &picks[op]
	switch {
	case x.DType.IsFloat() && codec64.store[out.DType] != nil:
		if op.HasIndex() {
			scanPicks(&codec64, p.f64, &out, &idx, &x, axis)
		} else {
			scan(&codec64, s.f64, s.init, &out, &x, axis)
		}
	case !x.DType.IsFloat() && codecInt.store[out.DType] != nil:
		if op.HasIndex() {
			scanPicks(&codecInt, p.i64, &out, &idx, &x, axis)
		} else {
			scan(&codecInt, s.i64, int64(s.init), &out, &x, axis)
		}
	default:
		return unsupported(op, x.DType)
	}
	return nil
}

// line is an array's stride along an axis, and the array without that axis.
func line(a *backend.Array, axis int, shape *[]int) (rest backend.Array, stride int) {
	rest = *a
	*shape = append((*shape)[:0], a.Shape...)
	(*shape)[axis] = 1
	rest.Shape = *shape
	return rest, a.Strides[axis]
}

func scan[C compute](c *codec[C], f func(a, b C) C, init C, out, x *backend.Array, axis int) {
	if out.Size() == 0 {
		return
	}
	length := x.Shape[axis]
	var shape []int
	o, so := line(out, axis, &shape)
	i, si := line(x, axis, &shape)
	s := new(space)
	s.walk(&o, &i)
	load, store := c.load[x.DType], c.store[out.DType]
	sizeO, sizeI := out.DType.Size(), x.DType.Size()
	parallel.For(s.size, max(1, grainSlow/length), func(lo, hi int) {
		buf := c.get()
		defer c.put(buf)
		at := s.at(lo)
		for ; lo < hi; lo++ {
			to := unsafe.Add(s.ops[0].ptr, s.offset(&s.ops[0], &at)*sizeO)
			from := unsafe.Add(s.ops[1].ptr, s.offset(&s.ops[1], &at)*sizeI)
			acc := init
			for j := 0; j < length; j += blockLen {
				v := buf[0][:min(blockLen, length-j)]
				load(v, unsafe.Add(from, j*si*sizeI), si)
				for k := range v {
					acc = f(acc, v[k])
					v[k] = acc
				}
				store(unsafe.Add(to, j*so*sizeO), so, v)
			}
			s.advance(&at, 1)
		}
	})
}

// scanPicks is scan for a running value that is always one of x's, and its place.
func scanPicks[C compute](c *codec[C], takes func(acc, v C) bool, out, idx, x *backend.Array, axis int) {
	if out.Size() == 0 {
		return
	}
	length := x.Shape[axis]
	var shape []int
	o, so := line(out, axis, &shape)
	k, sk := line(idx, axis, &shape)
	i, si := line(x, axis, &shape)
	s := new(space)
	s.walk(&o, &k, &i)
	load, store := c.load[x.DType], c.store[out.DType]
	sizeO, sizeI := out.DType.Size(), x.DType.Size()
	parallel.For(s.size, max(1, grainSlow/length), func(lo, hi int) {
		buf := c.get()
		defer c.put(buf)
		at := s.at(lo)
		for ; lo < hi; lo++ {
			to := unsafe.Add(s.ops[0].ptr, s.offset(&s.ops[0], &at)*sizeO)
			place := unsafe.Add(s.ops[1].ptr, s.offset(&s.ops[1], &at)*8)
			from := unsafe.Add(s.ops[2].ptr, s.offset(&s.ops[2], &at)*sizeI)
			var acc C
			best := int64(0)
			for j := 0; j < length; j += blockLen {
				v := buf[0][:min(blockLen, length-j)]
				load(v, unsafe.Add(from, j*si*sizeI), si)
				for n := range v {
					if j+n == 0 || takes(acc, v[n]) {
						acc, best = v[n], int64(j+n)
					}
					v[n] = acc
					*(*int64)(unsafe.Add(place, (j+n)*sk*8)) = best
				}
				store(unsafe.Add(to, j*so*sizeO), so, v)
			}
			s.advance(&at, 1)
		}
	})
}
