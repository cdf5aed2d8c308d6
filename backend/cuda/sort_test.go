package cuda

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/descent-ml/descent/backend"
)

func (w *twins) sort(x twin, axis, k int, descending bool) {
	w.Helper()
	shape := slices.Clone(x.cpu.Shape)
	shape[axis] = k
	out, idx := w.empty(x.cpu.DType, shape...), w.empty(backend.Int64, shape...)
	must(w, w.gpu.Sort(out.gpu, idx.gpu, x.gpu, axis, descending))
	must(w, w.cpu.Sort(out.cpu, idx.cpu, x.cpu, axis, descending))
	what := fmt.Sprintf("the first %d of %v %v strides %v along %d", k, x.cpu.DType, x.cpu.Shape, x.cpu.Strides, axis)
	w.equal(what, out)
	w.equal(what+" idx", idx)
}

// mixed are values with ties, both zeros, infinities and NaN.
func (w *twins) mixed(dtype backend.DType, n int) []float64 {
	values := make([]float64, n)
	for i := range values {
		values[i] = float64(w.rng.IntN(n/2+2) - n/4)
		switch dtype {
		case backend.Bool:
			values[i] = float64(w.rng.IntN(2))
		case backend.Uint8:
			values[i] = float64(w.rng.IntN(256))
		case backend.Int8, backend.Int16:
			values[i] = float64(w.rng.IntN(256) - 128)
		}
		if dtype.IsFloat() && w.rng.IntN(10) == 0 {
			values[i] = []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1), 0}[w.rng.IntN(5)]
		}
	}
	return values
}

func TestSortsOfEveryLengthMatchTheCPU(t *testing.T) {
	w := newTwins(t)
	for dtype := range backend.NumDTypes {
		lengths := []int{33, 2049}
		if dtype == backend.Float32 {
			lengths = []int{1, 2, 3, 31, 32, 33, 1000, 1023, 1025, 2047, 2048, 2049, 5000}
		}
		for i, n := range lengths {
			rows := w.fill(w.empty(dtype, 2, n), w.mixed(dtype, 2*n)...)
			w.sort(rows, 1, n, i%2 == 0)
			w.sort(rows, 1, (n+2)/3, i%2 == 1)
			if dtype == backend.Float32 || dtype == backend.Int8 {
				w.sort(w.fill(w.empty(dtype, n, 3), w.mixed(dtype, 3*n)...), 0, n, true)
			}
			w.free()
		}
	}
}

func TestSortsOfManyShortLines(t *testing.T) {
	w := newTwins(t)
	for _, n := range []int{1, 2, 10, 64} {
		w.sort(w.fill(w.empty(backend.Float32, 777, n), w.mixed(backend.Float32, 777*n)...), 1, n, true)
		w.sort(w.fill(w.empty(backend.Int64, n, 777), w.mixed(backend.Int64, 777*n)...), 0, (n+1)/2, false)
	}
}
