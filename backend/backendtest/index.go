package backendtest

import (
	"errors"
	"slices"

	"github.com/descent-ml/descent/backend"
)

func testSort(b *bench) {
	b.dtypes("Sort", func(d backend.DType) bool {
		vals := []float64{3, 1, 2, 2, 5, 0, 1, 7, 2, 2, 9, 0, 4}
		if d.IsFloat() {
			vals = append(b.dyadic(30), 1, nan, -1, 2, nan, inf, -inf, 2, 2, -1)
		} else if d == backend.Bool {
			vals = []float64{1, 0, 1, 1, 0, 0, 1}
		}
		for _, shape := range [][]int{{1}, {37}, {5, 7}, {3, 1, 4}, {2, 3, 4, 5}, {0}, {2, 0, 3}, {3, 300}, {300, 3}} {
			for axis := range shape {
				for i, in := range []layout{contiguous, transposed, channelsLast, gapped, repeatFirst, repeatLast} {
					if (backend.Array{Shape: shape}).Size() > 500 && (d != backend.Float32 || i > 2) {
						continue
					}
					k := shape[axis]
					if i%2 == 1 {
						k = (k + 1) / 2
					}
					if !b.sort(d, shape, axis, k, i%3 == 0, in, denseLayouts[b.rng.IntN(len(denseLayouts))], vals, i%4 != 1, i%4 != 2) {
						return false
					}
				}
			}
		}
		if d == backend.Float32 || d == backend.Int64 || d == backend.BFloat16 {
			long := b.random(d, -40, 40, 70001)
			b.sort(d, []int{70001}, 0, 70001, false, contiguous, contiguous, long, true, true)
			b.sort(d, []int{70001}, 0, 10, true, contiguous, contiguous, long, true, true)
		}
		b.sort(d, []int{4, 5}, 1, 0, true, contiguous, contiguous, vals, true, true)
		return true
	})
}

func (b *bench) sort(d backend.DType, shape []int, axis, k int, descending bool, in, out layout, vals []float64, withOut, withIdx bool) bool {
	defer b.free()
	x := b.array(d, shape, in, vals)
	first := slices.Clone(shape)
	first[axis] = k
	o, idx := none, none
	if withOut {
		o = b.output(d, first, out)
	}
	if withIdx {
		idx = b.output(backend.Int64, first, out)
	}
	var outs []array
	for _, a := range []array{o, idx} {
		if !a.IsScalar() {
			outs = append(outs, a)
		}
	}
	if !b.ran("Sort", d, b.dev.Sort(o.Array, idx.Array, x.Array, axis, descending), outs...) {
		return false
	}
	if !b.values {
		return true
	}
	cmp := byMax
	if descending {
		cmp = reverse(byMax)
	}
	of := func(f func(line []float64, place int) float64) []float64 {
		sorted := lines(x.values(), shape, axis, func(line []float64) []float64 {
			places := make([]int, len(line))
			for i := range places {
				places[i] = i
			}
			slices.SortStableFunc(places, func(i, j int) int { return cmp(line[i], line[j]) })
			vals := make([]float64, len(line))
			for i, place := range places {
				vals[i] = f(line, place)
			}
			return vals
		})
		return head(sorted, shape, axis, k)
	}
	call := describe("Sort", x)
	if withOut {
		b.exact(call+" out", d, b.read(call, o), of(func(line []float64, place int) float64 { return line[place] }))
	}
	if withIdx {
		equal(b, call+" idx "+d.String(), b.read(call, idx), of(func(_ []float64, place int) float64 { return float64(place) }))
	}
	return true
}

// head is the first k elements along axis of x.
func head(x []float64, shape []int, axis, k int) []float64 {
	inner := 1
	for _, n := range shape[axis+1:] {
		inner *= n
	}
	var out []float64
	for i, v := range x {
		if i/inner%shape[axis] < k {
			out = append(out, v)
		}
	}
	return out
}

// indexCases are a shape, an axis of it and the shape of an index array.
var indexCases = []struct {
	shape []int
	axis  int
	index []int
}{
	{[]int{5}, 0, []int{9}},
	{[]int{5}, 0, []int{0}},
	{[]int{4, 6}, 0, []int{7, 6}},
	{[]int{4, 6}, 1, []int{3, 11}},
	{[]int{4, 6}, 0, []int{2, 5}},
	{[]int{3, 1, 5}, 1, []int{3, 4, 5}},
	{[]int{2, 3, 4, 5}, 2, []int{2, 3, 7, 5}},
	{[]int{2, 3, 4, 5}, 1, []int{1, 6, 4, 2}},
	{[]int{2, 3, 4, 5}, 3, []int{2, 3, 4, 1}},
	{[]int{900, 80}, 0, []int{1000, 80}}, // more elements than one thread takes
	{[]int{300, 257}, 1, []int{300, 300}},
}

// targets calls f with the row-major number of each index and that of the element
// of shape that it names.
func targets(index []float64, indexShape, shape []int, axis int, f func(i, target int)) {
	place := make([]int, len(shape))
	for i := range index {
		for a, rest := len(shape)-1, i; a >= 0; a-- {
			place[a], rest = rest%indexShape[a], rest/indexShape[a]
		}
		place[axis] = int(index[i])
		target := 0
		for a, n := range shape {
			target = target*n + place[a]
		}
		f(i, target)
	}
}

// indices are numbers in [0, n).
func (b *bench) indices(n, count int) []float64 {
	vals := make([]float64, count)
	for i := range vals {
		vals[i] = float64(b.rng.IntN(n))
	}
	return vals
}

// indexLayouts include an embedding's: one row number for the whole row.
var indexLayouts = []layout{contiguous, transposed, gapped, repeatLast, repeatFirst}

func testGather(b *bench) {
	b.dtypes("Gather", func(d backend.DType) bool {
		vals := []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0, 13}
		if d.IsFloat() {
			vals = append(b.dyadic(100), nan, inf)
		}
		for i, c := range indexCases {
			if i > 8 && d != backend.Float32 && d != backend.Bool {
				continue
			}
			for j, l := range indexLayouts {
				if i > 8 && j%3 > 0 {
					continue
				}
				in := []layout{contiguous, transposed, channelsLast, gapped, repeatLast}[(i+j)%5]
				out := b.output(d, c.index, denseLayouts[b.rng.IntN(len(denseLayouts))])
				x := b.array(d, c.shape, in, vals)
				index := b.array(backend.Int64, c.index, l, b.indices(c.shape[c.axis], 101))
				call := describe("Gather", out, x, index)
				if !b.ran("Gather", d, b.dev.Gather(out.Array, x.Array, index.Array, c.axis), out) {
					return false
				}
				want, from := make([]float64, out.Size()), x.values()
				targets(index.values(), c.index, c.shape, c.axis, func(i, target int) { want[i] = from[target] })
				b.exact(call, d, b.read(call, out), want)
				b.free()
			}
		}
		return true
	})
	b.badIndex("Gather", func(index array) error {
		x, out := b.array(backend.Float32, []int{4, 3}, contiguous, []float64{1}), b.output(backend.Float32, index.Shape, contiguous)
		return b.dev.Gather(out.Array, x.Array, index.Array, 0)
	})
}

// badIndex holds an index out of range to be an IndexError, at once or by the next
// Download or Sync, once.
func (b *bench) badIndex(name string, call func(index array) error) {
	if !b.values {
		return
	}
	for _, bad := range []int64{4, -1, -4, 1 << 40, -1 << 63} {
		for _, wait := range []string{"Sync", "Download"} {
			index := b.ints([]int{2, 3}, contiguous, []int64{0, 1, 2, 3, bad, 1})
			err := call(index)
			if err == nil && wait == "Sync" {
				err = b.dev.Sync()
			} else if err == nil {
				err = b.dev.Download(make([]byte, 8), index.Buf)
			}
			var wrong *backend.IndexError
			if !errors.As(err, &wrong) {
				b.Errorf("%s with the index %d of an axis of 4, by %s: %v, want an IndexError", name, bad, wait, err)
			} else if wrong.Index != bad || wrong.Size != 4 {
				b.Errorf("%s with the index %d of an axis of 4, by %s: %v", name, bad, wait, wrong)
			}
			if err := b.dev.Sync(); err != nil {
				b.Errorf("%s: the error of a bad index comes a second time: %v", name, err)
			}
			b.free()
		}
	}
}

func testScatter(b *bench) {
	// What becomes of a value, and whether d can add at all.
	refs := map[backend.ScatterOp]func(held, v float64) float64{
		backend.ScatterAssign: func(_, v float64) float64 { return v },
		backend.ScatterAdd:    func(held, v float64) float64 { return held + v },
	}
	for op := range backend.NumScatter {
		ref := refs[op]
		if ref == nil {
			b.Errorf("Scatter %s: add a line to testScatter", op)
			continue
		}
		b.sub(op.String(), func(b *bench) {
			b.dtypes("Scatter "+op.String(), func(d backend.DType) bool {
				// Small whole numbers, whose sums every dtype holds exactly.
				vals, held := []float64{1, 2, 0, 1, 0, 2, 1, 1, 0}, []float64{0, 1, 0, 2, 1, 1, 0}
				for i, c := range indexCases {
					if i > 8 && d != backend.Float32 && d != backend.Int64 {
						continue
					}
					for j, l := range indexLayouts {
						if i > 8 && j%3 > 0 {
							continue
						}
						in := []layout{contiguous, transposed, channelsLast, gapped, repeatLast}[(i+j)%5]
						out := b.array(d, c.shape, denseLayouts[b.rng.IntN(len(denseLayouts))], held)
						src := b.array(d, c.index, in, vals)
						index := b.array(backend.Int64, c.index, l, b.indices(c.shape[c.axis], 101))
						call := describe("Scatter "+op.String(), out, index, src)
						if !b.ran("Scatter "+op.String(), d, b.dev.Scatter(op, out.Array, index.Array, src.Array, c.axis), out) {
							return false
						}
						want, from := out.values(), src.values()
						targets(index.values(), c.index, c.shape, c.axis, func(i, target int) { want[target] = ref(want[target], from[i]) })
						b.exact(call, d, b.read(call, out), b.defined(d, b.read(call, out), want))
						b.free()
					}
				}
				return true
			})
		})
		b.badIndex("Scatter "+op.String(), func(index array) error {
			out, src := b.array(backend.Float32, []int{4, 3}, contiguous, []float64{1}), b.array(backend.Float32, index.Shape, contiguous, []float64{2})
			return b.dev.Scatter(op, out.Array, index.Array, src.Array, 0)
		})
	}
	b.sub("SumsInAFixedOrder", func(b *bench) {
		src := b.array(backend.Float32, []int{5000, 40}, contiguous, b.random(backend.Float32, -1, 1, 99991))
		index := b.array(backend.Int64, []int{5000, 40}, repeatLast, b.indices(7, 4999))
		var first []byte
		for range 5 {
			out := b.array(backend.Float32, []int{7, 40}, contiguous, []float64{0})
			b.must(b.dev.Scatter(backend.ScatterAdd, out.Array, index.Array, src.Array, 0))
			if raw := b.download(out); first == nil {
				first = raw
			} else {
				equal(b, "ScatterAdd, repeated", raw, first)
			}
		}
	})
}
