package cpu

import (
	"math"
	"unsafe"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cpu/internal/parallel"
	"github.com/descent-ml/descent/backend/cpu/internal/vec"
)

const (
	// reduceChunk is how many elements are folded as one task. The partial
	// results are joined in pairs, so that the bits depend on the shape and
	// never on the threads.
	reduceChunk = 32 << 10
	// reduceGroup is how many rows are added up straight.
	reduceGroup = 64
)

// fold is a reduction in a computing type.
type fold[C compute] struct {
	init C
	row  func(x []C) C        // of contiguous elements
	cols func(acc, x []C)     // acc[i] = acc[i] ∘ x[i]
	end  func(acc []C, n int) // of n elements; nil for nothing
}

var reductions = [backend.NumReduce]struct {
	f32 *fold[float32] // float32 and the half types
	f64 *fold[float64]
	i64 *fold[int64]
}{
	backend.Sum: {
		f32: &fold[float32]{row: vec.Sum, cols: addTo32},
		f64: &fold[float64]{row: sum64, cols: each2to(add[float64])},
		i64: &fold[int64]{row: rowOf(add[int64], 0), cols: each2to(add[int64])},
	},
	backend.Mean: {
		f32: &fold[float32]{row: vec.Sum, cols: addTo32, end: divideBy[float32]},
		f64: &fold[float64]{row: sum64, cols: each2to(add[float64]), end: divideBy[float64]},
	},
	backend.Prod: {
		f32: &fold[float32]{init: 1, row: rowOf(product32, 1), cols: each2to(product32)},
		f64: &fold[float64]{init: 1, row: rowOf(mul[float64], 1), cols: each2to(mul[float64])},
		i64: &fold[int64]{init: 1, row: rowOf(mul[int64], 1), cols: each2to(mul[int64])},
	},
	backend.Max: {
		f32: &fold[float32]{init: float32(math.Inf(-1)), row: vec.MaxOf, cols: func(acc, x []float32) { vec.Max(acc, acc, x) }},
		f64: &fold[float64]{init: math.Inf(-1), row: rowOf(maximum[float64], math.Inf(-1)), cols: each2to(maximum[float64])},
		i64: &fold[int64]{init: math.MinInt64, row: rowOf(maximum[int64], math.MinInt64), cols: each2to(maximum[int64])},
	},
	backend.Min: {
		f32: &fold[float32]{init: float32(math.Inf(1)), row: vec.MinOf, cols: func(acc, x []float32) { vec.Min(acc, acc, x) }},
		f64: &fold[float64]{init: math.Inf(1), row: rowOf(minimum[float64], math.Inf(1)), cols: each2to(minimum[float64])},
		i64: &fold[int64]{init: math.MaxInt64, row: rowOf(minimum[int64], math.MaxInt64), cols: each2to(minimum[int64])},
	},
	backend.ArgMax: {}, // argReduce
	backend.ArgMin: {},
	backend.All: {
		f32: &fold[float32]{init: 1, row: rowOf(both[float32], 1), cols: each2to(both[float32])},
		f64: &fold[float64]{init: 1, row: rowOf(both[float64], 1), cols: each2to(both[float64])},
		i64: &fold[int64]{init: 1, row: rowOf(both[int64], 1), cols: each2to(both[int64])},
	},
	backend.Any: {
		f32: &fold[float32]{row: rowOf(either[float32], 0), cols: each2to(either[float32])},
		f64: &fold[float64]{row: rowOf(either[float64], 0), cols: each2to(either[float64])},
		i64: &fold[int64]{row: rowOf(either[int64], 0), cols: each2to(either[int64])},
	},
}

// Reduce reduces the axes on which out has size 1 and x has not.
func (d *Device) Reduce(op backend.ReduceOp, out, x backend.Array) error {
	if g := d.capturing(); g != nil {
		return g.reduce(op, out, x)
	}
	if op == backend.ArgMax || op == backend.ArgMin {
		return d.argReduce(op == backend.ArgMax, &out, &x)
	}
	r := &reductions[op]
	switch t := x.DType; {
	case t == backend.Float64 && r.f64 != nil && codec64.store[out.DType] != nil:
		return reduce(d, r.f64, &codec64, &out, &x, nil)
	case t != backend.Float64 && t.IsFloat() && r.f32 != nil && codec32.store[out.DType] != nil:
		return reduce(d, r.f32, &codec32, &out, &x, nil)
	case !t.IsFloat() && r.i64 != nil && codecInt.store[out.DType] != nil:
		return reduce(d, r.i64, &codecInt, &out, &x, nil)
	}
	return unsupported(op, x.DType)
}

// split makes the two walks of a reduction: kept over the results, whose
// operands are x, out and others of its shape, and reduced over what is folded
// into one of them.
func split(kept, reduced *space, inOrder bool, x, out *backend.Array, others ...*backend.Array) {
	var buf [32]int
	shape := append(buf[:0], x.Shape...)
	for i, d := range out.Shape {
		if d == x.Shape[i] {
			shape[i] = 1
		}
	}
	k, r := *x, *x
	k.Shape, r.Shape = out.Shape, shape
	if x.Size() == 0 { // there may be results, but nothing to read
		k = *out
	}
	kept.walk(append(append(make([]*backend.Array, 0, maxArgs), &k, out), others...)...)
	kept.ops[0].dtype = x.DType
	if inOrder {
		reduced.rowMajor(&r)
	} else {
		reduced.walk(&r)
	}
}

// reduction is one call of Reduce. A task folds a chunk of the reduced elements
// for a block of results.
type reduction[C compute] struct {
	*fold[C]
	codec         *codec[C]
	kept, reduced space
	byCols        bool // results lie closer together than what is folded into one
	width         int  // results of a block
	perRow        int  // blocks of a row of kept, or 0 where blocks do not end with a row
	chunk         int  // reduced elements of a task
	centred       bool // the squares of the distances from the third operand of kept are folded
}

// reduce folds x into out; with a centre, of out's shape, it folds the squares
// of the distances from it.
func reduce[C compute](d *Device, f *fold[C], c *codec[C], out, x, centre *backend.Array) error {
	if out.Size() == 0 {
		return nil
	}
	if n, ok := denseSize(x); ok && n <= reduceChunk && n > 0 && centre == nil && x.DType == c.native && out.Size() == 1 {
		var o operand
		o.point(x)
		acc := c.get()
		defer c.put(acc)
		acc[0][0] = f.row(unsafe.Slice((*C)(o.ptr), n))
		if f.end != nil {
			f.end(acc[0][:1], n)
		}
		o.point(out)
		c.store[out.DType](o.ptr, 1, acc[0][:1])
		return nil
	}
	var r reduction[C]
	r.fold, r.codec = f, c
	if centre == nil {
		split(&r.kept, &r.reduced, false, x, out)
	} else {
		r.centred = true
		split(&r.kept, &r.reduced, false, x, out, centre)
	}
	r.plan()
	blocks, chunks := r.counts()
	if blocks*chunks == 1 {
		buf := c.get()
		defer c.put(buf)
		acc := buf[0][:r.kept.size]
		r.task(0, 0, acc)
		r.finish(0, acc)
		return nil
	}
	return reduceTasks(d, &r)
}

// reduceTasks is apart from reduce so that small reductions allocate nothing.
func reduceTasks[C compute](d *Device, p *reduction[C]) error {
	r := *p
	blocks, chunks := r.counts()
	if chunks == 1 {
		parallel.For(blocks, max(1, reduceChunk/(r.width*max(1, r.reduced.size))), func(lo, hi int) {
			buf := r.codec.get()
			defer r.codec.put(buf)
			for b := lo; b < hi; b++ {
				first, n := r.block(b)
				r.task(first, 0, buf[0][:n])
				r.finish(first, buf[0][:n])
			}
		})
		return nil
	}
	partial, memory, err := scratch[C](d, chunks*r.kept.size)
	if err != nil {
		return err
	}
	defer memory.Free()
	parallel.Tasks(blocks*chunks, func(i int) {
		first, n := r.block(i % blocks)
		chunk := i / blocks
		r.task(first, chunk, partial[chunk*r.kept.size+first:][:n])
	})
	parallel.For(blocks, 8, func(lo, hi int) {
		for b := lo; b < hi; b++ {
			first, n := r.block(b)
			at := func(chunk int) []C { return partial[chunk*r.kept.size+first:][:n] }
			for step := 1; step < chunks; step *= 2 {
				for i := 0; i+step < chunks; i += 2 * step {
					r.cols(at(i), at(i+step))
				}
			}
			r.finish(first, at(0))
		}
	})
	return nil
}

func (r *reduction[C]) plan() {
	k, e := &r.kept, &r.reduced
	r.byCols = k.rank > 0 && e.rank > 0 && k.dims[0] >= 8 && abs(k.ops[0].strides[0]) < abs(e.ops[0].strides[0])
	r.width = min(k.size, blockLen)
	if r.byCols {
		if k.rank > 1 && k.dims[0] >= reduceGroup {
			r.width = min(k.dims[0], blockLen)
			r.perRow = (k.dims[0]-1)/r.width + 1
		}
		r.chunk = min(max(reduceGroup, reduceChunk/r.width), reduceGroup*reduceGroup)
	} else {
		r.width = min(r.width, max(1, reduceChunk/max(1, e.size)))
		r.chunk = reduceChunk
	}
}

func (r *reduction[C]) counts() (blocks, chunks int) {
	blocks = (r.kept.size-1)/r.width + 1
	if r.perRow > 0 {
		blocks = r.kept.size / r.kept.dims[0] * r.perRow
	}
	return blocks, max(1, (r.reduced.size+r.chunk-1)/r.chunk)
}

// block is the first result of block b and how many there are.
func (r *reduction[C]) block(b int) (first, n int) {
	if r.perRow == 0 {
		first = b * r.width
		return first, min(r.width, r.kept.size-first)
	}
	within := b % r.perRow * r.width
	return b/r.perRow*r.kept.dims[0] + within, min(r.width, r.kept.dims[0]-within)
}

// task folds a chunk for the results from first on into acc.
func (r *reduction[C]) task(first, chunk int, acc []C) {
	lo := chunk * r.chunk
	hi := min(lo+r.chunk, r.reduced.size)
	fill(acc, r.init)
	if r.reduced.size == 0 {
		return
	}
	buf := r.codec.get()
	defer r.codec.put(buf)
	if r.byCols {
		r.foldCols(first, lo, hi, acc, buf)
		return
	}
	k, at := &r.kept, r.kept.at(first)
	size := k.ops[0].dtype.Size()
	for i := range acc {
		o := r.reduced.ops[0]
		o.ptr = unsafe.Add(o.ptr, k.offset(&k.ops[0], &at)*size)
		about := buf[3][blockLen-1:]
		if r.centred {
			gather(k, &k.ops[2], r.codec, at, about)
		}
		acc[i] = r.foldRow(&o, lo, hi, about[0], buf)
		k.advance(&at, 1)
	}
}

// foldRow folds elements [lo, hi) of o into one.
func (r *reduction[C]) foldRow(o *operand, lo, hi int, about C, buf *blocks[C]) C {
	s := &r.reduced
	if o.dtype == r.codec.native && o.flat && !r.centred {
		return r.row(unsafe.Slice((*C)(unsafe.Add(o.ptr, lo*o.dtype.Size())), hi-lo))
	}
	byRow := s.rank > 0 && s.dims[0] >= minRow
	straight := direct(o, r.codec, byRow)
	// Partial results of equal weight are joined first, as in a binary counter.
	stack := func(i int) []C { return buf[3][i : i+1] }
	depth, count := 0, 0
	at := s.at(lo)
	for lo < hi {
		n := min(blockLen, hi-lo)
		if byRow {
			n = min(n, s.dims[0]-at[0])
		}
		x := buf[1][:n]
		if straight {
			x = slice[C](s, o, &at, lo, n)
		} else {
			gather(s, o, r.codec, at, x)
		}
		if r.centred {
			squaresAbout(buf[2][:n], x, about)
			x = buf[2][:n]
		}
		stack(depth)[0] = r.row(x)
		depth++
		count++
		for c := count; c&1 == 0; c >>= 1 {
			depth--
			r.cols(stack(depth-1), stack(depth))
		}
		s.advance(&at, n)
		lo += n
	}
	if depth == 0 {
		return r.init
	}
	for ; depth > 1; depth-- {
		r.cols(stack(depth-2), stack(depth-1))
	}
	return stack(0)[0]
}

// foldCols folds reduced elements [lo, hi) for the results from first on, side
// by side.
func (r *reduction[C]) foldCols(first, lo, hi int, acc []C, buf *blocks[C]) {
	k, e := &r.kept, &r.reduced
	o := k.ops[0]
	base, size := o.ptr, o.dtype.Size()
	straight := direct(&o, r.codec, r.perRow > 0)
	from, at := k.at(first), e.at(lo)
	group, about := buf[1][:len(acc)], buf[3][:len(acc)]
	if r.centred {
		gather(k, &k.ops[2], r.codec, from, about)
	}
	if straight && e.rank == 1 && e.ops[0].strides[0] == len(acc) {
		// The rows follow each other: several are one long row.
		o.ptr = unsafe.Add(base, k.offset(&o, &from)*size)
		r.foldRows(unsafe.Slice((*C)(o.ptr), hi*len(acc))[lo*len(acc):], acc, about, buf)
		return
	}
	for lo < hi {
		n := min(reduceGroup, hi-lo)
		fill(group, r.init)
		for range n {
			o.ptr = unsafe.Add(base, e.offset(&e.ops[0], &at)*size)
			x := buf[2][:len(acc)]
			if straight {
				x = slice[C](k, &o, &from, first, len(acc))
			} else {
				gather(k, &o, r.codec, from, x)
			}
			if r.centred {
				squaresAboutEach(buf[2][:len(acc)], x, about)
				x = buf[2][:len(acc)]
			}
			r.cols(group, x)
			e.advance(&at, 1)
		}
		r.cols(acc, group)
		lo += n
	}
}

// foldRows folds the rows of x, each of acc's length, into acc.
func (r *reduction[C]) foldRows(x, acc, about []C, buf *blocks[C]) {
	n := len(acc)
	wide := blockLen / n * n
	group, sum, squares := buf[1][:wide], buf[2][:wide], buf[0][:wide]
	for i := n; i < wide; i += n {
		copy(buf[3][i:wide], about)
	}
	about = buf[3][:wide]
	fill(sum, r.init)
	for len(x) > 0 {
		fill(group, r.init)
		for i := 0; i < reduceGroup && len(x) > 0; i++ {
			m := min(wide, len(x))
			part := x[:m]
			if r.centred {
				squaresAboutEach(squares[:m], part, about)
				part = squares[:m]
			}
			r.cols(group[:m], part)
			x = x[m:]
		}
		r.cols(sum, group)
	}
	for ; len(sum) > 0; sum = sum[n:] {
		r.cols(acc, sum[:n])
	}
}

// finish stores the results from first on.
func (r *reduction[C]) finish(first int, acc []C) {
	if r.end != nil {
		r.end(acc, r.reduced.size)
	}
	scatter(&r.kept, &r.kept.ops[1], r.codec, r.kept.at(first), acc)
}

func squaresAbout[C compute](dst, x []C, about C) {
	if d, ok := any(dst).([]float32); ok {
		vec.AddScalar(d, any(x).([]float32), -float32(about))
		vec.Mul(d, d, d)
		return
	}
	for i, v := range x[:len(dst)] {
		dst[i] = (v - about) * (v - about)
	}
}

func squaresAboutEach[C compute](dst, x, about []C) {
	if d, ok := any(dst).([]float32); ok {
		vec.Sub(d, any(x).([]float32), any(about).([]float32))
		vec.Mul(d, d, d)
		return
	}
	about = about[:len(dst)]
	for i, v := range x[:len(dst)] {
		dst[i] = (v - about[i]) * (v - about[i])
	}
}

func rowOf[C compute](f func(a, b C) C, init C) func([]C) C {
	return func(x []C) C {
		acc := init
		for _, v := range x {
			acc = f(acc, v)
		}
		return acc
	}
}

func each2to[C compute](f func(a, b C) C) func(acc, x []C) {
	return func(acc, x []C) {
		for i, v := range x[:len(acc)] {
			acc[i] = f(acc[i], v)
		}
	}
}

func addTo32(acc, x []float32) { vec.Add(acc, acc, x) }

func product32(a, b float32) float32 { return a * b }

// sum64 adds in pairs, blocks straight.
func sum64(x []float64) float64 {
	if len(x) > 128 {
		half := (len(x)/128 + 1) / 2 * 128
		return sum64(x[:half]) + sum64(x[half:])
	}
	var s0, s1, s2, s3 float64
	for ; len(x) >= 4; x = x[4:] {
		s0 += x[0]
		s1 += x[1]
		s2 += x[2]
		s3 += x[3]
	}
	for _, v := range x {
		s0 += v
	}
	return (s0 + s1) + (s2 + s3)
}

func divideBy[C float32 | float64](acc []C, n int) {
	for i := range acc {
		acc[i] /= C(n)
	}
}

func both[C compute](a, b C) C {
	if a != 0 && b != 0 {
		return 1
	}
	return 0
}

func either[C compute](a, b C) C {
	if a != 0 || b != 0 {
		return 1
	}
	return 0
}
