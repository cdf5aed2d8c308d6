package cuda

import (
	"fmt"
	"iter"
	"math/bits"
	"unsafe"

	"github.com/descent-ml/descent/backend"
)

// reduceArgs mirrors ReduceArgs of reduce.cu.
type reduceArgs struct {
	results       [2]view // x, out over the kept axes
	elements      [1]view // x over the reduced axes
	kept, reduced dims
	partial       uint64
	length, count int64
	neighbour     int64
	chunk, chunks uint32
	group, access uint32
}

const (
	reduceRows = iota
	reduceColumns
	reduceFinish
)

const (
	reduceStraight = iota
	reduceWide
	reduceSingle
)

const (
	reduceThreads = 256
	// reduceBlocks is how many blocks a reduction is spread over. It is no property
	// of the device, so that sums have the same bits on all.
	reduceBlocks = 1024
	// reduceMaxChunks bounds the parts of a result.
	reduceMaxChunks = 1 << 15
)

// reduceType is the dtype of op's results, and whether x's dtype has the op.
func reduceType(op backend.ReduceOp, x backend.DType) (backend.DType, bool) {
	switch op {
	case backend.Sum:
		if !x.IsFloat() {
			return backend.Int64, true
		}
	case backend.Mean:
		return x, x.IsFloat()
	case backend.ArgMax, backend.ArgMin:
		return backend.Int64, true
	case backend.All, backend.Any:
		return backend.Bool, true
	}
	return x, op < backend.NumReduce
}

// partialSize is sizeof(Partial) in reduce.cu.
func partialSize(op backend.ReduceOp, x backend.DType) int {
	switch {
	case op == backend.ArgMax || op == backend.ArgMin:
		return 16
	case op == backend.All || op == backend.Any, x.IsFloat() && x != backend.Float64:
		return 4
	case op == backend.Max || op == backend.Min:
		return max(4, x.Size())
	}
	return 8
}

// lanes is LANES of fold.cuh, by the sizes of the two types.
func lanes(element, partial int) int { return min(8, 16/element, 32/partial) }

func init() { catalogue = append(catalogue, reduceSpecs) }

func reduceSpec(op backend.ReduceOp, t backend.DType, variant uint8) spec {
	out, _ := reduceType(op, t)
	return spec{file: "reduce.cu", op: op.String(), t: t, u: out, v: out, variant: variant}
}

var reduceSpecs iter.Seq2[spec, uintptr] = func(yield func(spec, uintptr) bool) {
	for op := range backend.NumReduce {
		for t := range backend.NumDTypes {
			if _, ok := reduceType(op, t); !ok {
				continue
			}
			for variant := range uint8(reduceFinish + 1) {
				if !yield(reduceSpec(op, t, variant), unsafe.Sizeof(reduceArgs{})) {
					return
				}
			}
		}
	}
}

// reduction is one call of Reduce: a launch, or two where blocks share results.
type reduction struct {
	dev           *Device
	op            backend.ReduceOp
	dtype         backend.DType
	variant       uint8
	blocks        uint32
	kept, reduced layout // of x and out, of x
	args          reduceArgs
}

// Reduce reduces the axes on which out has size 1 and x has not. What is added to
// what depends on shapes, strides and alignment alone.
func (d *Device) Reduce(op backend.ReduceOp, out, x backend.Array) error {
	note(d, "Reduce", op, out, struct{}{})
	if t, ok := reduceType(op, x.DType); !ok || t != out.DType {
		return unsupported(op, x.DType)
	}
	if out.Size() == 0 {
		return nil
	}
	axes := uint64(0) // that are reduced
	for i, n := range x.Shape {
		if out.Shape[i] != n {
			axes |= 1 << i
		}
	}
	r := reduction{dev: d, op: op, dtype: x.DType}
	if err := r.kept.over(x.Shape, ^axes, &x, &out); err != nil {
		return err
	}
	r.kept.arrange()
	if err := r.reduced.over(x.Shape, axes, &x); err != nil {
		return err
	}
	if op == backend.ArgMax || op == backend.ArgMin { // elements are numbered
		r.reduced.inOrder()
	} else {
		r.reduced.arrange()
	}
	if r.reduced.rank > maxDims || r.reduced.size >= most && !r.straight() {
		return d.reduceCopied(op, &out, &x)
	}
	return r.run()
}

// reduceCopied is Reduce of a copy in which the elements of each result follow each
// other.
func (d *Device) reduceCopied(op backend.ReduceOp, out, x *backend.Array) error {
	buf, err := d.Alloc(x.Size() * x.DType.Size())
	if err != nil {
		return err
	}
	defer buf.Free()
	c, n := *x, 1
	c.Buf, c.Offset, c.Strides = buf, 0, make([]int, len(x.Shape))
	for _, kept := range []bool{false, true} {
		for axis := len(x.Shape) - 1; axis >= 0; axis-- {
			if (out.Shape[axis] == x.Shape[axis]) == kept {
				c.Strides[axis] = n
				n *= x.Shape[axis]
			}
		}
	}
	if err := d.Copy(c, *x, false); err != nil {
		return err
	}
	return d.Reduce(op, *out, c)
}

// straight reports whether the elements of a result follow each other.
func (r *reduction) straight() bool { return r.reduced.rank == 1 && r.reduced.view[0].strides[0] == 1 }

func (r *reduction) run() error {
	if r.kept.size >= most || r.kept.rank > maxDims {
		first, second := *r, *r
		first.kept, second.kept = r.kept.halves()
		if err := first.run(); err != nil {
			return err
		}
		return second.run()
	}
	a := &r.args
	a.count, a.chunks = int64(r.reduced.size), 0
	if r.reduced.size > 0 {
		n := 1
		partial := partialSize(r.op, r.dtype)
		if lanes := lanes(r.dtype.Size(), partial); r.byColumns() {
			n = r.columns(lanes)
		} else {
			r.rows(lanes)
		}
		r.kept.describe(&a.kept, a.results[:], n)
		if a.chunks == 1 {
			return r.launch(a.chunks)
		}
		memory, err := r.dev.scratch(int(a.chunks) * r.kept.size * partial)
		if err != nil {
			return err
		}
		defer memory.free()
		a.partial = memory.addr()
		if err := r.launch(a.chunks); err != nil {
			return err
		}
	}
	// Join the parts; there are none if there is nothing to reduce.
	r.variant = reduceFinish
	layers := min(powerBelow(int(a.chunks)/2), reduceThreads/min(32, powerAbove(r.kept.size)))
	r.width(r.kept.size, reduceThreads/layers)
	r.kept.describe(&a.kept, a.results[:], 1)
	return r.launch(1)
}

func (r *reduction) launch(chunks uint32) error {
	k := reduceSpec(r.op, r.dtype, r.variant)
	return r.dev.launch(k, [3]uint32{r.blocks, chunks, 1}, reduceThreads, 0, unsafe.Pointer(&r.args), unsafe.Sizeof(r.args))
}

// byColumns reports whether results lie closer together than what is reduced to one.
func (r *reduction) byColumns() bool {
	if r.kept.rank == 0 || r.reduced.rank == 0 {
		return r.kept.rank > 0
	}
	across := magnitude(r.kept.view[0].strides[0])
	return across > 0 && across < magnitude(r.reduced.view[0].strides[0])
}

// rows plans a group of threads for each result.
func (r *reduction) rows(lanes int) {
	a, n := &r.args, 1
	r.variant, a.access = reduceRows, reduceSingle
	length, units, unit := r.reduced.size, r.reduced.size, 1
	switch {
	case r.straight():
		a.access = reduceStraight
		units, unit = ceilDiv(length, lanes), lanes
	case r.reduced.vectors(0, lanes) && r.kept.multiples(0, 0, lanes):
		a.access, n = reduceWide, lanes
		length /= lanes
		units = length
	}
	group := min(32, powerBelow(units/2))
	if units >= 1024 || units >= 128 && r.kept.size < 2*reduceBlocks {
		group = reduceThreads
	}
	chunks := 1
	if group == reduceThreads {
		// A thread takes 64 vectors at most, which bounds the error of a sum, and 4 at least.
		chunks = max(ceilDiv(units, group*64), min(reduceBlocks/r.kept.size, units/(group*4)))
	}
	r.share(length, units, unit, chunks, group)
	if a.access != reduceStraight {
		r.reduced.describe(&a.reduced, a.elements[:], n)
	}
	a.group, r.blocks = uint32(group), uint32(ceilDiv(r.kept.size, reduceThreads/group))
}

// columns plans neighbouring threads for neighbouring results, and how many each takes.
func (r *reduction) columns(lanes int) (n int) {
	a := &r.args
	r.variant, a.access, n = reduceColumns, reduceSingle, 1
	if r.kept.vectors(0, lanes) && r.reduced.multiples(0, 0, lanes) {
		a.access, n = reduceWide, lanes
		a.neighbour = int64(r.kept.view[1].strides[0])
	}
	units, length := r.kept.size/n, r.reduced.size
	layers := min(powerBelow(length/4), reduceThreads/min(32, powerAbove(r.kept.dims[0]/n)))
	r.width(units, reduceThreads/layers)
	r.share(length, length, 1, max(ceilDiv(length, layers*128), min(reduceBlocks/int(r.blocks), length/(layers*8))), layers)
	r.reduced.describe(&a.reduced, a.elements[:], 1)
	return n
}

// width sets the columns of a block.
func (r *reduction) width(columns, width int) {
	r.args.group, r.blocks = uint32(width), uint32(ceilDiv(columns, width))
}

// share splits the length elements, which are so many units, into about so many
// chunks, in whole steps of units.
func (r *reduction) share(length, units, unit, chunks, step int) {
	chunks = min(max(chunks, 1), reduceMaxChunks)
	chunk := ceilDiv(ceilDiv(units, chunks), step) * step
	r.args.length, r.args.chunk, r.args.chunks = int64(length), uint32(chunk*unit), uint32(ceilDiv(units, chunk))
}

// over sets l to the axes of shape that are in the set; arrays may have other sizes.
func (l *layout) over(shape []int, axes uint64, arrays ...*backend.Array) error {
	l.rank, l.size, l.views = 0, 1, len(arrays)
	for k, a := range arrays {
		if l.view[k] = (operand{}); a.Buf != nil {
			l.view[k].data, l.view[k].item = addr(*a), a.DType.Size()
		}
	}
	for axis := len(shape) - 1; axis >= 0; axis-- {
		if axes>>axis&1 == 0 || shape[axis] == 1 {
			continue
		}
		if l.rank == maxAxes {
			return fmt.Errorf("cuda: an array has more than %d axes: %w", maxAxes, backend.ErrUnsupported)
		}
		l.dims[l.rank] = shape[axis]
		l.size *= shape[axis]
		for k, a := range arrays {
			if a.Buf != nil {
				l.view[k].strides[l.rank] = a.Strides[axis]
			}
		}
		l.rank++
	}
	return nil
}

// inOrder arranges the only array in row-major order.
func (l *layout) inOrder() {
	x := l.view[0]
	l.views = 0
	l.number()
	l.view[1], l.views = x, 2
	l.arrange()
	l.view[0], l.views = l.view[1], 1
}

// vectors reports whether view k can be taken n aligned neighbours at a time.
func (l *layout) vectors(k, n int) bool {
	return l.rank > 0 && l.view[k].strides[0] == 1 && l.dims[0]%n == 0 && l.multiples(k, 1, n)
}

// multiples reports whether view k's address and strides, from an axis on, are
// multiples of n elements.
func (l *layout) multiples(k, axis, n int) bool {
	v := &l.view[k]
	for ; axis < l.rank; axis++ {
		if v.strides[axis]%n != 0 {
			return false
		}
	}
	return v.data%uint64(min(16, n*v.item)) == 0
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }

// powerAbove is the least power of 2 that is not less than n.
func powerAbove(n int) int { return 1 << bits.Len(uint(max(n, 1)-1)) }

// powerBelow is the largest power of 2 that is not more than n, or 1.
func powerBelow(n int) int { return 1 << (bits.Len(uint(max(n, 1))) - 1) }
