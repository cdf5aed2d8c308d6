package cuda

import (
	"math/bits"
	"unsafe"

	"github.com/descent-ml/descent/backend"
)

// scatterArgs mirrors ScatterArgs of scatter.cu.
type scatterArgs struct {
	lines         [3]view // src, out, index
	columns       [2]view // src, out
	line, column  dims
	stride        [3]int64
	length, size  int64
	sorted, order uint64
	parts         uint64
	run, runs     uint32
	width, wide   uint32
	err           uint64
	op            uint32
	_             uint32
}

const (
	scatterSerial = iota
	scatterLast
	scatterSum
	scatterJoin
)

const scatterThreads = 256

// scatterFaults are the error word's numbers of the ops.
var scatterFaults = [backend.NumScatter]uint32{
	backend.ScatterAssign: faultID(backend.ScatterAssign.String()),
	backend.ScatterAdd:    faultID(backend.ScatterAdd.String()),
}

// scatterSpec names a kernel; one that only moves elements goes by their size.
func scatterSpec(op backend.ScatterOp, t backend.DType, variant uint8) spec {
	if op == backend.ScatterAssign {
		t = sized[t.Size()]
	}
	return spec{file: "scatter.cu", op: op.String(), t: t, variant: variant}
}

func init() {
	catalogue = append(catalogue, func(yield func(spec, uintptr) bool) {
		variants := [backend.NumScatter][]uint8{
			backend.ScatterAssign: {scatterSerial, scatterLast},
			backend.ScatterAdd:    {scatterSerial, scatterSum, scatterJoin},
		}
		for op, variants := range variants {
			for t := range backend.NumDTypes {
				for _, variant := range variants {
					if k := scatterSpec(backend.ScatterOp(op), t, variant); k.t == t && !yield(k, unsafe.Sizeof(scatterArgs{})) {
						return
					}
				}
			}
		}
	})
}

// scattering is one call of Scatter, or a part of it.
type scattering struct {
	dev            *Device
	op             backend.ScatterOp
	dtype          backend.DType
	lines, columns layout // of src, out and index; of src and out
	args           scatterArgs
}

// Scatter stores, or adds, what index places. The order of sums depends on the
// indices and on shapes alone.
func (d *Device) Scatter(op backend.ScatterOp, out, index, src backend.Array, axis int) error {
	note(d, "Scatter", op, out, axis)
	if op >= backend.NumScatter || out.DType != src.DType || index.DType != backend.Int64 || src.Shape[axis] >= most {
		return unsupported(op, out.DType)
	}
	if src.Size() == 0 {
		return nil
	}
	columns := uint64(0)
	for i, stride := range index.Strides {
		if stride == 0 && i != axis {
			columns |= 1 << i
		}
	}
	s := scattering{dev: d, op: op, dtype: out.DType}
	if err := s.lines.over(src.Shape, ^(columns | 1<<axis), &src, &out, &index); err != nil {
		return err
	}
	if err := s.columns.over(src.Shape, columns, &src, &out); err != nil {
		return err
	}
	s.lines.arrange()
	s.columns.arrange()
	s.args = scatterArgs{
		stride: [3]int64{int64(src.Strides[axis]), int64(out.Strides[axis]), int64(index.Strides[axis])},
		length: int64(src.Shape[axis]), size: int64(out.Shape[axis]),
		err: d.errorWord(), op: scatterFaults[op],
	}
	// The lines have the addresses.
	for k := range s.columns.views {
		s.columns.view[k].data = 0
	}
	return s.run()
}

func (s *scattering) run() error {
	a, length := &s.args, int(s.args.length)
	switch {
	case s.lines.size*length >= most && s.lines.rank > 0 || s.lines.rank > maxDims:
		first, second := *s, *s
		first.lines, second.lines = s.lines.halves()
		return both(&first, &second)
	case s.columns.size >= most/256 || s.columns.rank > maxDims:
		first, second := *s, *s
		first.columns, second.columns = s.columns.halves()
		for k := range s.columns.views {
			second.lines.view[k].data += second.columns.view[k].data
			second.columns.view[k].data = 0
		}
		return both(&first, &second)
	}
	lanes, wide := s.lanes(), 1
	a.wide = 0
	if s.vectors(lanes) {
		a.wide, wide = 1, lanes
	}
	s.lines.describe(&a.line, a.lines[:], 1)
	s.columns.describe(&a.column, a.columns[:], wide)
	units := s.columns.size / wide
	a.width = uint32(min(scatterThreads, powerAbove(units)))
	if s.serial(units) {
		return s.launch(scatterSerial, length, units)
	}

	// The sorted indices, their places and the parts of sums.
	sorted := s.lines.size * length * 8
	runs, run, parts := length, 1, 0
	if s.op == backend.ScatterAdd {
		run = min(max(s.lines.size*length*units>>16, 4), 64)
		runs = ceilDiv(length, run)
		parts = 2 * s.lines.size * runs * s.columns.size * s.sumBytes()
	}
	memory, err := s.dev.scratch(2*sorted + parts)
	if err != nil {
		return err
	}
	defer memory.free()
	a.sorted = memory.addr()
	a.order, a.parts = a.sorted+uint64(sorted), a.sorted+uint64(2*sorted)
	if err := s.sort(); err != nil {
		return err
	}
	if s.op == backend.ScatterAssign {
		return s.launch(scatterLast, run, units)
	}
	if err := s.launch(scatterSum, run, units); err != nil || runs == 1 {
		return err
	}
	return s.launch(scatterJoin, run, units)
}

func both(first, second *scattering) error {
	if err := first.run(); err != nil {
		return err
	}
	return second.run()
}

// launch has each thread take a run of so many indices in one of the units of columns.
func (s *scattering) launch(variant uint8, run, units int) error {
	a := &s.args
	a.run, a.runs = uint32(run), uint32(ceilDiv(int(a.length), run))
	layers := scatterThreads / int(a.width)
	grid := [3]uint32{uint32(ceilDiv(s.lines.size*int(a.runs), layers)), uint32(ceilDiv(units, int(a.width))), 1}
	return s.dev.launch(scatterSpec(s.op, s.dtype, variant), grid, scatterThreads, 0, unsafe.Pointer(a), unsafe.Sizeof(*a))
}

// serial reports whether it pays to let threads go through lines in order. Sums of
// halves would be rounded each time.
func (s *scattering) serial(units int) bool {
	length := int(s.args.length)
	if size := s.dtype.Size(); s.op == backend.ScatterAdd && s.dtype.IsFloat() && size == 2 {
		return length <= 2
	}
	return length <= 32 || length <= 512 && s.lines.size*units >= 1<<15
}

// sumBytes is sizeof(Partial) of ScatterAdd.
func (s *scattering) sumBytes() int { return partialSize(backend.Sum, s.dtype) }

// lanes is how many columns make a vector.
func (s *scattering) lanes() int {
	size := s.dtype.Size()
	if s.op == backend.ScatterAssign {
		return lanes(size, size)
	}
	return lanes(size, s.sumBytes())
}

// vectors reports whether columns may be taken n at a time.
func (s *scattering) vectors(n int) bool {
	for k := range 2 {
		if !s.columns.vectors(k, n) || !s.lines.multiples(k, 0, n) || int(s.args.stride[k])%n != 0 {
			return false
		}
	}
	return true
}

// sort orders the indices of each line.
func (s *scattering) sort() error {
	var l layout
	l.rank, l.size, l.views = s.lines.rank, s.lines.size, 1
	l.dims, l.view[0] = s.lines.dims, s.lines.view[2]
	for range 2 {
		l.number()
	}
	for k, data := range [...]uint64{s.args.sorted, s.args.order} {
		v := &l.view[k+1]
		v.data, v.item = data, 8
		for i := range l.rank {
			v.strides[i] *= int(s.args.length)
		}
	}
	a := sortArgs{length: uint32(s.args.length), first: uint32(s.args.length), stride: [3]int64{s.args.stride[2], 1, 1}}
	return s.dev.sortLines(backend.Int64, &l, &a, bits.Len64(uint64(s.args.size-1)))
}
