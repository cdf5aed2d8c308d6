package cuda

import (
	"unsafe"

	"github.com/descent-ml/descent/backend"
)

// norm is the work of the kernels over one choice of results and their elements.
type norm struct {
	dev               *Device
	t, u              backend.DType // of x, of the affine parameters
	results, elements layout
	scratch           scratch
	args              normArgs
}

// init reports whether there are kernels for such arrays; y is out or its gradient,
// and affine may lack Buf.
func (c *norm) init(d *Device, x, y, mean, variance, affine *backend.Array) bool {
	c.dev, c.t, c.u = d, x.DType, x.DType
	c.args.variance = addr(*variance)
	if affine.Buf != nil {
		c.u = affine.DType
	}
	stat := statistics(x.DType)
	return x.DType.IsFloat() && y.DType == x.DType && mean.DType == stat && variance.DType == stat && alike(mean, variance) &&
		(c.u == x.DType || c.u == stat) && len(x.Shape) <= maxDims
}

// either is the one of two arrays that has Buf, if one has, and whether one stands
// for both.
func either(a, b *backend.Array) (*backend.Array, bool) {
	switch {
	case b.Buf == nil:
		return a, true
	case a.Buf == nil:
		return b, true
	}
	return a, a.DType == b.DType && alike(a, b)
}

// alike reports whether arrays have one shape and the same strides.
func alike(a, b *backend.Array) bool {
	for i, n := range a.Shape {
		if b.Shape[i] != n || n != 1 && a.Strides[i] != b.Strides[i] {
			return false
		}
	}
	return true
}

// sharedAxes are the axes on which a is as large as x.
func sharedAxes(a, x *backend.Array) (axes uint64) {
	for i, n := range x.Shape {
		if a.Shape[i] == n {
			axes |= 1 << i
		}
	}
	return axes
}

// over makes the axes in the set those of the results. stat and affine are broadcast.
func (c *norm) over(axes uint64, x, y, stat, affine *backend.Array) error {
	var strides [2][maxDims]int
	s, a := spread(stat, x.Shape, &strides[0]), spread(affine, x.Shape, &strides[1])
	if err := c.results.over(x.Shape, axes, x, y, &s, &a); err != nil {
		return err
	}
	if err := c.elements.over(x.Shape, ^axes, x, y, &s, &a); err != nil {
		return err
	}
	c.results.arrange()
	c.elements.arrange()
	if c.results.size >= most || c.elements.size >= most {
		return unsupported("Norm", x.DType)
	}
	c.args.size, c.args.fixed = uint32(c.results.size), 0
	for k := range normSlots {
		c.args.fixed |= bit(c.elements.constant(k)) << k
	}
	return nil
}

// spread is a with strides of 0 on its axes of size 1.
func spread(a *backend.Array, shape []int, strides *[maxDims]int) backend.Array {
	b := *a
	b.Strides = strides[:len(a.Strides)]
	for i, n := range a.Shape {
		if n == shape[i] {
			b.Strides[i] = a.Strides[i]
		}
	}
	return b
}

// constant reports whether view k stays where it is.
func (l *layout) constant(k int) bool {
	for i := range l.rank {
		if l.view[k].strides[i] != 0 {
			return false
		}
	}
	return true
}

// byColumns reports whether results lie closer together than the elements of one.
func (c *norm) byColumns() bool {
	if c.results.rank == 0 || c.elements.rank == 0 {
		return c.results.rank > 0
	}
	across := magnitude(c.results.view[normX].strides[0])
	return across > 0 && across < magnitude(c.elements.view[normX].strides[0])
}

// wide is how many neighbours along inner's first axis a thread takes at a time.
func (c *norm) wide(inner, outer *layout) int {
	a, n := &c.args, 16/c.t.Size()
	a.wide, a.same = 0, 0
	if inner.rank == 0 || inner.dims[0]%n != 0 || (a.to|a.weight|a.bias|a.variance|a.dweight|a.dbias)%16 != 0 {
		return 1
	}
	same := uint32(0)
	for k := range normSlots {
		v := &inner.view[k]
		switch {
		case v.data == 0 || k != normX && v.strides[0] == 0:
			same |= 1 << k
		case !inner.vectors(k, n) || !outer.multiples(k, 0, n):
			return 1
		}
	}
	if (same|a.fixed)>>normStat&1 == 0 {
		return 1
	}
	a.wide, a.same = 1, same
	return n
}

// byLine plans one kernel for all, a warp or a block for each result, and reports
// whether that is the way.
func (c *norm) byLine() bool {
	a := &c.args
	if c.byColumns() {
		return false
	}
	n := c.wide(&c.elements, &c.results)
	units, lines := c.elements.size/n, c.results.size
	if units > 4*normKept && lines < reduceBlocks/2 {
		return false
	}
	c.results.describe(&a.kept, a.results[:], 1)
	c.elements.describe(&a.reduced, a.elements[:], n)
	a.length, a.chunk, a.chunks = uint32(units), uint32(units), 1
	switch {
	case units <= 64 || units <= 128 && lines >= 2*reduceBlocks:
		a.group = uint32(min(32, powerAbove(units)))
	case lines >= reduceBlocks: // 4 vectors a thread
		a.group = uint32(min(normThreads, max(64, powerAbove(ceilDiv(units, 4)))))
	default:
		a.group = uint32(min(normThreads, powerAbove(units)))
	}
	return true
}

// partial is the size of a partial result.
func (c *norm) partial(op string) int {
	if op == "NormMoments" {
		return 4 * statistics(c.t).Size()
	}
	return 2 * statistics(c.t).Size()
}

// share splits length elements into about so many chunks, in whole steps.
func (c *norm) share(length, chunks, step int) {
	chunks = min(max(chunks, 1), reduceMaxChunks)
	chunk := max(1, ceilDiv(ceilDiv(length, chunks), step)*step)
	c.args.length, c.args.chunk, c.args.chunks = uint32(length), uint32(chunk), uint32(ceilDiv(length, chunk))
}

// plan decides who takes which elements, by shapes, strides and alignment alone, and
// returns the variant and the blocks along x.
func (c *norm) plan() (variant uint8, blocks int) {
	a, results, elements := &c.args, &c.results, &c.elements
	if c.byColumns() {
		n := c.wide(results, elements)
		units, length := results.size/n, elements.size
		layers := min(powerBelow(length/4), normThreads/min(32, powerAbove(results.dims[0]/n)))
		width := normThreads / layers
		blocks = ceilDiv(units, width)
		c.share(length, max(ceilDiv(length, layers*128), min(reduceBlocks/blocks, length/(layers*8))), layers)
		results.describe(&a.kept, a.results[:], n)
		elements.describe(&a.reduced, a.elements[:], 1)
		a.group = uint32(width)
		return normColumns, blocks
	}
	n := c.wide(elements, results)
	units, chunks := elements.size/n, 1
	group := min(32, powerBelow(units/2))
	if units >= 1024 || units >= 128 && results.size < 2*reduceBlocks {
		group = normThreads
		// A thread takes 64 vectors at most, which bounds the error of a sum, and 4 at least.
		chunks = max(ceilDiv(units, group*64), min(reduceBlocks/results.size, units/(group*4)))
	}
	c.share(units, chunks, group)
	results.describe(&a.kept, a.results[:], 1)
	elements.describe(&a.reduced, a.elements[:], n)
	a.group = uint32(group)
	return normRows, ceilDiv(results.size, normThreads/group)
}

// reduce makes NormMoments or NormSums, of parts if need be. With keep the sums stand in
// scratch memory until free is called.
func (c *norm) reduce(op string, keep bool) error {
	a := &c.args
	var variant uint8
	blocks, parts, size := 0, 0, c.results.size*c.partial(op)
	a.chunks = 0
	if c.elements.size > 0 {
		if variant, blocks = c.plan(); a.chunks > 1 {
			parts = size * int(a.chunks)
		}
	}
	if parts > 0 || keep {
		memory, err := c.dev.scratch(parts + size)
		if err != nil {
			return err
		}
		c.scratch = memory
		a.partial = memory.addr()
		if keep {
			a.sums = a.partial + uint64(parts)
		}
	}
	if c.elements.size > 0 {
		if err := c.launch(op, variant, blocks, a.chunks, normThreads); err != nil || a.chunks == 1 {
			return err
		}
	}
	// Join the parts; there are none if there is nothing to reduce.
	a.group = uint32(normThreads / min(normThreads, powerBelow(int(a.chunks)/4)))
	c.results.describe(&a.kept, a.results[:], 1)
	return c.launch(op, normFinish, ceilDiv(c.results.size, int(a.group)), 1, normThreads)
}

// free gives back what reduce allocated.
func (c *norm) free() {
	c.scratch.free()
	c.scratch, c.args.partial, c.args.sums = scratch{}, 0, 0
}

// pass makes NormScale or NormGradient.
func (c *norm) pass(op string) error {
	variant, blocks := c.plan()
	return c.launch(op, variant, blocks, c.args.chunks, normThreads)
}

// line makes Norm or NormBackward as byLine planned it.
func (c *norm) line(op string) error {
	group := int(c.args.group)
	if group > 32 {
		return c.launch(op, normRows, c.results.size, 1, uint32(group))
	}
	return c.launch(op, normRows, ceilDiv(c.results.size, normThreads/group), 1, normThreads)
}

func (c *norm) launch(op string, variant uint8, blocks int, chunks, threads uint32) error {
	u := c.u
	if op == "NormMoments" {
		u = c.t
	}
	return c.dev.launch(normSpec(op, c.t, u, variant), [3]uint32{uint32(blocks), chunks, 1}, threads, 0, unsafe.Pointer(&c.args), unsafe.Sizeof(c.args))
}
