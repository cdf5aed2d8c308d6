package backendtest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/descent-ml/descent/backend"
)

// array is a view on the device, and what its whole buffer held when it was made.
type array struct {
	backend.Array
	raw []byte
}

// none stands for an argument that lacks a buffer.
var none array

// layout places an array of a shape in a buffer of so many elements.
type layout struct {
	name  string
	place func(shape []int) (strides []int, offset, elements int)
}

// dense is a layout whose axes follow each other in order, slowest first.
func dense(name string, offset int, order func(rank int) []int) layout {
	return layout{name, func(shape []int) ([]int, int, int) {
		strides, n := make([]int, len(shape)), 1
		for _, axis := range slices.Backward(order(len(shape))) {
			strides[axis] = n
			n *= shape[axis]
		}
		return strides, offset, offset + n + 3
	}}
}

func rowMajor(rank int) []int {
	order := make([]int, rank)
	for i := range order {
		order[i] = i
	}
	return order
}

func columnMajor(rank int) []int {
	order := rowMajor(rank)
	slices.Reverse(order)
	return order
}

// channelsLastOrder has axis 1 innermost.
func channelsLastOrder(rank int) []int {
	order := rowMajor(rank)
	if rank > 2 {
		order = append(slices.Delete(order, 1, 2), 1)
	}
	return order
}

// broadcast is row-major with strides of 0 on the axes that repeat names.
func broadcast(name string, repeat func(axis, rank int) bool) layout {
	return layout{name, func(shape []int) ([]int, int, int) {
		strides, n := make([]int, len(shape)), 1
		for axis := len(shape) - 1; axis >= 0; axis-- {
			if !repeat(axis, len(shape)) {
				strides[axis] = n
				n *= shape[axis]
			}
		}
		return strides, 1, 1 + n + 3
	}}
}

var (
	contiguous   = dense("contiguous", 0, rowMajor)
	offset       = dense("offset", 5, rowMajor)
	transposed   = dense("transposed", 1, columnMajor)
	channelsLast = dense("channels-last", 0, channelsLastOrder)
	gapped       = layout{"gapped", func(shape []int) ([]int, int, int) {
		strides, n := make([]int, len(shape)), 2
		for axis := len(shape) - 1; axis >= 0; axis-- {
			strides[axis] = n
			n *= shape[axis] + 1
		}
		return strides, 2, n + 5
	}}
	// The stride of an axis of size 1 means nothing.
	oddUnits = layout{"odd-units", func(shape []int) ([]int, int, int) {
		strides, offset, n := contiguous.place(shape)
		for axis, size := range shape {
			if size == 1 {
				strides[axis] = 1000003
			}
		}
		return strides, offset, n
	}}
	repeatFirst = broadcast("repeat-first", func(axis, _ int) bool { return axis == 0 })
	repeatLast  = broadcast("repeat-last", func(axis, rank int) bool { return axis == rank-1 })
	repeatAll   = broadcast("repeat-all", func(int, int) bool { return true })
)

// denseLayouts may serve an output.
var denseLayouts = []layout{contiguous, offset, transposed, channelsLast, oddUnits}

// array makes an array whose elements, in row-major order, are vals again and
// again. Where the layout repeats an element the last one stays.
func (b *bench) array(d backend.DType, shape []int, l layout, vals []float64) array {
	a := b.output(d, shape, l)
	if !b.values {
		return a
	}
	held := make([]float64, len(vals))
	for i, v := range vals {
		held[i] = round(d, v)
	}
	put, size, i := codecs[d].put, d.Size(), 0
	a.visit(func(at int) {
		put(a.raw[at*size:], held[i])
		if i++; i == len(held) {
			i = 0
		}
	})
	b.must(b.dev.Upload(a.Buf, a.raw))
	return a
}

// output makes an array that holds garbage.
func (b *bench) output(d backend.DType, shape []int, l layout) array {
	strides, offset, n := l.place(shape)
	garbage := byte(0xff) // NaN, -1
	if !b.values {
		garbage = 0
	}
	raw := bytes.Repeat([]byte{garbage}, n*d.Size())
	a := array{backend.Array{Buf: b.alloc(len(raw)), DType: d, Offset: offset, Shape: slices.Clone(shape), Strides: strides}, raw}
	b.must(b.dev.Upload(a.Buf, raw))
	return a
}

// ints makes an Int64 array of vals, exactly.
func (b *bench) ints(shape []int, l layout, vals []int64) array {
	a := b.output(backend.Int64, shape, l)
	i := 0
	a.visit(func(at int) {
		binary.LittleEndian.PutUint64(a.raw[8*at:], uint64(vals[i%len(vals)]))
		i++
	})
	b.must(b.dev.Upload(a.Buf, a.raw))
	return a
}

// like is a view of a's buffer with another shape.
func (a array) like(offset int, shape, strides []int) array {
	a.Offset, a.Shape, a.Strides = offset, shape, strides
	return a
}

// visit calls f with the place of each element, in row-major order.
func (a array) visit(f func(at int)) {
	rank := len(a.Shape)
	if rank == 0 {
		f(a.Offset)
		return
	}
	index, at := make([]int, rank-1), a.Offset
	n, stride := a.Shape[rank-1], a.Strides[rank-1]
	for range a.Size() / max(n, 1) {
		for i := range n {
			f(at + i*stride)
		}
		for axis := rank - 2; axis >= 0; axis-- {
			index[axis]++
			at += a.Strides[axis]
			if index[axis] < a.Shape[axis] {
				break
			}
			at -= index[axis] * a.Strides[axis]
			index[axis] = 0
		}
	}
}

// values are a's elements in row-major order as they were uploaded.
func (a array) values() []float64 { return a.decode(a.raw) }

func (a array) decode(raw []byte) []float64 {
	vals := make([]float64, 0, a.Size())
	get, size := codecs[a.DType].get, a.DType.Size()
	a.visit(func(at int) { vals = append(vals, get(raw[at*size:])) })
	return vals
}

func (b *bench) download(a array) []byte {
	raw := make([]byte, len(a.raw))
	b.must(b.dev.Download(raw, a.Buf))
	return raw
}

// read downloads a, and fails if an element outside of it has changed.
func (b *bench) read(call string, a array) []float64 {
	return a.decode(b.readRaw(call, a))
}

func (b *bench) readRaw(call string, a array) []byte {
	raw := b.download(a)
	if !b.values {
		return raw
	}
	size := a.DType.Size()
	mine := make([]bool, len(raw)/size)
	a.visit(func(at int) { mine[at] = true })
	for i := range mine {
		if piece := raw[i*size : (i+1)*size]; !mine[i] && !bytes.Equal(piece, a.raw[i*size:(i+1)*size]) {
			b.Errorf("%s: wrote outside of its output: element %d of a buffer, out starts at %d with shape %v and strides %v",
				call, i, a.Offset, a.Shape, a.Strides)
			break
		}
		if mine[i] && a.DType == backend.Bool && raw[i] > 1 {
			b.Errorf("%s: a bool is the byte %d", call, raw[i])
			break
		}
	}
	return raw
}

func (b *bench) readInts(call string, a array) []int64 {
	raw := b.readRaw(call, a)
	vals := make([]int64, 0, a.Size())
	a.visit(func(at int) { vals = append(vals, int64(binary.LittleEndian.Uint64(raw[8*at:]))) })
	return vals
}

// tolerance bounds an error by rel·|want| + abs; sum is what an accumulation may
// lose of the sum of its terms' magnitudes. Half precision is computed in float32
// and rounded once: rel is half a unit of the last place and a little.
var tolerance = [backend.NumDTypes]struct{ rel, abs, sum float64 }{
	backend.Float64:  {1e-12, 1e-13, 1e-13},
	backend.Float32:  {2e-6, 1e-6, 1e-6},
	backend.Float16:  {4.95e-4, 1e-6, 1e-6},
	backend.BFloat16: {3.95e-3, 1e-6, 1e-6},
}

// close compares got with want; integers must be equal. sums are the magnitudes
// that were added up, where that says more than want; nil for none.
func (b *bench) close(call string, d backend.DType, got, want, sums []float64) {
	if !b.values {
		return
	}
	b.Helper()
	if len(got) != len(want) {
		b.Fatalf("%s %s: %d values for %d", call, d, len(got), len(want))
	}
	t := tolerance[d]
	wrong, first := 0, -1
	for i := range got {
		sum := 0.0
		if sums != nil {
			sum = sums[i]
		}
		// Most need no rounding of want to tell.
		if d.IsFloat() && math.Abs(got[i]-want[i]) <= t.rel*math.Abs(want[i])+t.abs+t.sum*sum || sameNumber(got[i], round(d, want[i])) {
			continue
		}
		if wrong++; first < 0 {
			first = i
		}
	}
	if wrong > 0 {
		b.Errorf("%s %s: %d of %d wrong, first element %d: %v, want %v", call, d, wrong, len(got), first, got[first], round(d, want[first]))
	}
}

func sameNumber(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }

// equal compares exactly.
func equal[T comparable](b *bench, call string, got, want []T) {
	b.Helper()
	if !b.values || slices.Equal(got, want) {
		return
	}
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			b.Errorf("%s: of %d values element %d is %v, want %v", call, len(want), i, got[i], want[i])
			return
		}
	}
	b.Errorf("%s: %d values for %d", call, len(got), len(want))
}

// describe names a case.
func describe(call string, arrays ...array) string {
	for _, a := range arrays {
		call += fmt.Sprintf(" %v/%v", a.Shape, a.Strides)
	}
	return call
}
