package cuda

import (
	"slices"
	"sync"

	"github.com/descent-ml/descent/backend"
)

// temporary is an array of an op's own, row-major or with its second axis innermost.
type temporary struct {
	backend.Array
	buf            buffer
	shape, strides [8]int
}

var temporaries = sync.Pool{New: func() any { return new(temporary) }}

// temporary returns an array that the op must free, in stream order, once its last
// kernel is issued. Nothing is allocated in Go but for arrays of many axes.
func (d *Device) temporary(dtype backend.DType, shape []int, channelsLast bool) (*temporary, error) {
	t := temporaries.Get().(*temporary)
	t.DType, t.Offset = dtype, 0
	t.Shape = append(t.shape[:0], shape...)
	t.Strides = packedStrides(t.strides[:0], shape, channelsLast)
	b, err := d.mem.alloc(t.Size() * dtype.Size())
	if err != nil {
		temporaries.Put(t)
		return nil, d.failed("temporary memory", err)
	}
	t.buf.dev, t.buf.block, t.buf.addr, t.buf.bytes = d, b, b.addr, t.Size()*dtype.Size()
	t.Buf = &t.buf
	return t, nil
}

// free gives t back; nil is nothing.
func (t *temporary) free() {
	if t != nil {
		t.buf.Free()
		temporaries.Put(t)
	}
}

// copied is a temporary with a's elements as t.
func (d *Device) copied(a backend.Array, t backend.DType, channelsLast bool) (*temporary, error) {
	c, err := d.temporary(t, a.Shape, channelsLast)
	if err != nil {
		return nil, err
	}
	if err := d.Copy(c.Array, a, false); err != nil {
		c.free()
		return nil, err
	}
	return c, nil
}

// wider has f compute in float32 what out and the operands hold in half precision,
// and rounds once: to out, or to the sum with what it held. An operand without Buf
// stays so.
func (d *Device) wider(out, a, b, bias backend.Array, accumulate bool, f func(out, a, b, bias backend.Array) error) error {
	result, err := d.temporary(backend.Float32, out.Shape, false)
	if err != nil {
		return err
	}
	defer result.free()
	operands := [3]backend.Array{a, b, bias}
	for i := range operands {
		if operands[i].Buf == nil {
			continue
		}
		c, err := d.copied(operands[i], backend.Float32, false)
		if err != nil {
			return err
		}
		defer c.free()
		operands[i] = c.Array
	}
	if err := f(result.Array, operands[0], operands[1], operands[2]); err != nil {
		return err
	}
	return d.Copy(out, result.Array, accumulate)
}

// innermost calls f with the axes from the innermost outwards: row-major, or with
// the second axis first.
func innermost(rank int, channelsLast bool, f func(axis int) bool) {
	if channelsLast && !f(1) {
		return
	}
	for axis := rank - 1; axis >= 0; axis-- {
		if !(channelsLast && axis == 1) && !f(axis) {
			return
		}
	}
}

// packedStrides appends to s the strides of a dense array.
func packedStrides(s []int, shape []int, channelsLast bool) []int {
	s = slices.Grow(s, len(shape))[:len(shape)]
	n := 1
	innermost(len(shape), channelsLast, func(axis int) bool {
		s[axis] = n
		n *= shape[axis]
		return true
	})
	return s
}

// packed reports whether a is dense in that order. Axes of size 1 may have any stride.
func packed(a *backend.Array, channelsLast bool) bool {
	n, ok := 1, true
	innermost(len(a.Shape), channelsLast, func(axis int) bool {
		ok = a.Shape[axis] == 1 || a.Strides[axis] == n
		n *= a.Shape[axis]
		return ok
	})
	return ok
}
