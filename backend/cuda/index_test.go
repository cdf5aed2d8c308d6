package cuda

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/descent-ml/descent/backend"
)

func (w *twins) gather(x, index twin, axis int) {
	w.Helper()
	out := w.empty(x.cpu.DType, index.cpu.Shape...)
	must(w, w.gpu.Gather(out.gpu, x.gpu, index.gpu, axis))
	must(w, w.cpu.Gather(out.cpu, x.cpu, index.cpu, axis))
	w.equal(fmt.Sprintf("Gather of %v %v strides %v by %v strides %v along %d",
		x.cpu.DType, x.cpu.Shape, x.cpu.Strides, index.cpu.Shape, index.cpu.Strides, axis), out)
}

// scatter scatters into zeros of that shape.
func (w *twins) scatter(op backend.ScatterOp, shape []int, index, src twin, axis int) {
	w.Helper()
	out := w.empty(src.cpu.DType, shape...)
	must(w, w.gpu.Scatter(op, out.gpu, index.gpu, src.gpu, axis))
	must(w, w.cpu.Scatter(op, out.cpu, index.cpu, src.cpu, axis))
	what := fmt.Sprintf("%v of %v %v by strides %v along %d", op, src.cpu.DType, src.cpu.Shape, index.cpu.Strides, axis)
	if op == backend.ScatterAdd {
		w.close(what, out, tolerance(src.cpu.DType))
	} else {
		w.equal(what, out)
	}
}

// rowNumbers is an embedding's index: n row numbers, each for a whole row.
func (w *twins) rowNumbers(width int, numbers ...float64) twin {
	n := len(numbers)
	index := w.view(backend.Int64, []int{n, 1}, []int{1, 0}, 0, n)
	w.fill(index, numbers...)
	index.gpu.Shape, index.cpu.Shape = []int{n, width}, []int{n, width}
	return index
}

func TestGathersOfEveryElementSize(t *testing.T) {
	w := newTwins(t)
	for _, dtype := range []backend.DType{backend.Bool, backend.BFloat16, backend.Float32, backend.Float64} {
		for _, width := range []int{1, 2, 3, 4, 6, 8, 12, 16, 33, 64} {
			for _, offset := range []int{0, 1, 2, 4, 8} {
				x := w.random(w.view(dtype, []int{11, width}, []int{width, 1}, offset, 11*width+offset), 0, 100)
				numbers := make([]float64, 29)
				for i := range numbers {
					numbers[i] = float64(w.rng.IntN(11))
				}
				w.gather(x, w.rowNumbers(width, numbers...), 0)
				w.gather(x, w.indices(w.empty(backend.Int64, 11, 7), width), 1)
			}
			w.free()
		}
	}
}

func TestEmbeddingsMoveSixteenBytesAtATime(t *testing.T) {
	countOnly(t)
	w := newTwins(t)
	for _, c := range []struct {
		dtype  backend.DType
		width  int
		offset int
		want   spec
	}{
		{backend.BFloat16, 768, 0, gatherSpec(16)},
		{backend.Float32, 768, 0, gatherSpec(16)},
		{backend.Uint8, 48, 0, gatherSpec(16)},
		{backend.BFloat16, 770, 0, gatherSpec(4)},
		{backend.Float32, 768, 2, gatherSpec(8)},
		{backend.Float32, 767, 0, gatherSpec(4)},
	} {
		x := w.view(c.dtype, []int{100, c.width}, []int{c.width, 1}, c.offset, 101*c.width)
		index := w.view(backend.Int64, []int{50, c.width}, []int{1, 0}, 0, 50)
		out := w.empty(c.dtype, 50, c.width)
		launches := launchesOf(w.gpu, t, func() error { return w.gpu.Gather(out.gpu, x.gpu, index.gpu, 0) })
		if launches[c.want.String()] != 1 {
			t.Errorf("rows of %d %v at offset %d are gathered by %v, not %v", c.width, c.dtype, c.offset, launches, c.want)
		}
	}
}

func TestGradientsOfEmbeddings(t *testing.T) {
	w := newTwins(t)
	const rows = 37
	patterns := map[string]func(i int) int{
		"random":       func(int) int { return w.rng.IntN(rows) },
		"one row":      func(int) int { return 5 },
		"each once":    func(i int) int { return i % rows },
		"mostly one":   func(i int) int { return max(0, w.rng.IntN(200)-200+rows) },
		"long in turn": func(i int) int { return i / 100 % rows },
	}
	for name, pattern := range patterns {
		for _, n := range []int{1, 2, 33, 600, 2100} {
			for _, width := range []int{1, 3, 16, 40} {
				for _, dtype := range []backend.DType{backend.Float32, backend.BFloat16, backend.Int16} {
					if (n > 600 || name != "random") && dtype != backend.Float32 {
						continue
					}
					numbers := make([]float64, n)
					for i := range numbers {
						numbers[i] = float64(pattern(i))
					}
					src := w.random(w.empty(dtype, n, width), 0.5, 1.5)
					out := w.random(w.empty(dtype, rows, width), 0.5, 1.5)
					index := w.rowNumbers(width, numbers...)
					_, want := w.values(out)
					_, add := w.values(src)
					for i, v := range add {
						want[int(numbers[i/width])*width+i%width] += v
					}
					must(t, w.gpu.Scatter(backend.ScatterAdd, out.gpu, index.gpu, src.gpu, 0))
					got, _ := w.values(out)
					for i := range got {
						if dtype.IsFloat() && math.Abs(got[i]-want[i]) > tolerance(dtype)*want[i] || dtype.IsInt() && got[i] != want[i] {
							t.Fatalf("%s, %d rows of %d %v: element %d is %v, want %v", name, n, width, dtype, i, got[i], want[i])
						}
					}
					w.free()
				}
			}
		}
	}
}

func TestScattersMatchTheCPU(t *testing.T) {
	w := newTwins(t)
	for _, c := range []struct {
		shape []int
		index []int
		axis  int
	}{
		{[]int{50}, []int{4000}, 0}, {[]int{5000}, []int{40}, 0}, {[]int{9, 40}, []int{700, 40}, 0}, {[]int{40, 9}, []int{40, 700}, 1},
		{[]int{700, 9}, []int{700, 6}, 1}, {[]int{3, 50, 8}, []int{3, 90, 8}, 1},
	} {
		for _, dtype := range []backend.DType{backend.Float32, backend.Float64, backend.Uint8, backend.Bool} {
			src := w.random(w.empty(dtype, c.index...), 0, 9)
			index := w.indices(w.empty(backend.Int64, c.index...), c.shape[c.axis])
			w.scatter(backend.ScatterAssign, c.shape, index, src, c.axis)
			w.scatter(backend.ScatterAdd, c.shape, index, src, c.axis)
			for axis := range c.index { // an index that is shared along an axis
				if axis == c.axis {
					continue
				}
				strides := slices.Clone(index.cpu.Strides)
				strides[axis] = 0
				shared := index
				shared.gpu.Strides, shared.cpu.Strides = strides, strides
				w.scatter(backend.ScatterAssign, c.shape, shared, src, c.axis)
				w.scatter(backend.ScatterAdd, c.shape, shared, src, c.axis)
				w.gather(w.random(w.empty(dtype, c.shape...), 0, 9), shared, c.axis)
			}
			w.free()
		}
	}
}

func TestABadIndexAmongManyIsReportedOnceAndTheOthersAreUnharmed(t *testing.T) {
	w := newTwins(t)
	numbers := make([]float64, 500)
	for i := range numbers {
		numbers[i] = float64(i % 7)
	}
	numbers[400] = 7
	index := w.rowNumbers(24, numbers...)
	src, out := w.random(w.empty(backend.Float32, 500, 24), 0, 1), w.empty(backend.Float32, 7, 24)
	table, rows := w.random(w.empty(backend.Float32, 7, 24), 0, 1), w.empty(backend.Float32, 500, 24)
	for name, call := range map[string]func() error{
		"Gather":        func() error { return w.gpu.Gather(rows.gpu, table.gpu, index.gpu, 0) },
		"ScatterAssign": func() error { return w.gpu.Scatter(backend.ScatterAssign, out.gpu, index.gpu, src.gpu, 0) },
		"ScatterAdd":    func() error { return w.gpu.Scatter(backend.ScatterAdd, out.gpu, index.gpu, src.gpu, 0) },
	} {
		must(t, call())
		err := w.gpu.Sync()
		var bad *backend.IndexError
		if !errors.As(err, &bad) || bad.Index != 7 || bad.Size != 7 {
			t.Errorf("%s with the index 7 of 7 rows: %v", name, err)
		}
		must(t, w.gpu.Sync())
	}
}
