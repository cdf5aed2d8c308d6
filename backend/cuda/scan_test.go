package cuda

import (
	"fmt"
	"math"
	"testing"

	"github.com/descent-ml/descent/backend"
)

func (w *twins) scan(op backend.ScanOp, x twin, axis int) {
	w.Helper()
	out, idx := w.empty(x.cpu.DType, x.cpu.Shape...), twin{}
	if op.HasIndex() {
		idx = w.empty(backend.Int64, x.cpu.Shape...)
	}
	must(w, w.gpu.Scan(op, out.gpu, idx.gpu, x.gpu, axis))
	must(w, w.cpu.Scan(op, out.cpu, idx.cpu, x.cpu, axis))
	what := fmt.Sprintf("%v of %v %v strides %v along %d", op, x.cpu.DType, x.cpu.Shape, x.cpu.Strides, axis)
	if !op.HasIndex() {
		w.close(what, out, tolerance(x.cpu.DType))
		return
	}
	w.equal(what, out)
	w.equal(what+" idx", idx)
}

func TestScansOfEveryLengthMatchTheCPU(t *testing.T) {
	w := newTwins(t)
	ops := []backend.ScanOp{backend.CumSum, backend.CumProd, backend.CumMax, backend.CumMin}
	for _, dtype := range []backend.DType{backend.Float32, backend.Float16, backend.Float64, backend.Int64, backend.Bool} {
		for _, n := range []int{1, 33, 64, 65, 300, 1023, 1025, 4097} {
			for _, offset := range []int{0, 1} {
				rows := w.random(w.view(dtype, []int{3, n}, []int{n, 1}, offset, 3*n+offset), 0.99, 1.01)
				columns := w.random(w.empty(dtype, n, 5), 0.99, 1.01)
				for _, op := range ops {
					w.scan(op, rows, 1)
					w.scan(op, columns, 0)
				}
				w.free()
			}
		}
	}
}

func TestLongScansAreSharedByBlocks(t *testing.T) {
	w := newTwins(t)
	for name, c := range map[string]struct {
		shape []int
		axis  int
	}{"a row": {[]int{200_003}, 0}, "columns": {[]int{60_001, 3}, 0}, "rows": {[]int{2, 70_000}, 1}} {
		x := w.random(w.empty(backend.Float32, c.shape...), 0.5, 1.5)
		launches := launchesOf(w.gpu, t, func() error {
			for _, op := range []backend.ScanOp{backend.CumSum, backend.CumMax, backend.CumMin} {
				w.scan(op, x, c.axis)
			}
			return nil
		})
		total := int64(0)
		for _, n := range launches {
			total += n
		}
		if total != 9 {
			t.Errorf("%s: 3 scans are %d launches; each is totals, prefixes and the scan", name, total)
		}
	}
}

func TestScansKeepNaNAndTheLaterOfEqualsAcrossChunks(t *testing.T) {
	w := newTwins(t)
	const n = 100_000
	values := make([]float64, n)
	for i := range values {
		values[i] = float64(i * 7 % 5)
	}
	values[70_000] = math.NaN()
	values[90_001] = math.NaN()
	x := w.fill(w.empty(backend.Float32, n), values...)
	for _, op := range []backend.ScanOp{backend.CumMax, backend.CumMin, backend.CumSum} {
		out, idx := w.empty(backend.Float32, n), w.empty(backend.Int64, n)
		if !op.HasIndex() {
			idx = twin{}
		}
		must(t, w.gpu.Scan(op, out.gpu, idx.gpu, x.gpu, 0))
		must(t, w.cpu.Scan(op, out.cpu, idx.cpu, x.cpu, 0))
		w.equal(op.String(), out)
		if op.HasIndex() {
			w.equal(op.String()+" idx", idx)
		}
	}
}

func TestAScanInPlace(t *testing.T) {
	w := newTwins(t)
	for _, shape := range [][]int{{2, 40_000}, {40_000, 2}, {50, 50}} {
		for axis := range shape {
			x := w.random(w.empty(backend.Float32, shape...), 0.5, 1.5)
			must(t, w.gpu.Scan(backend.CumSum, x.gpu, backend.Array{}, x.gpu, axis))
			must(t, w.cpu.Scan(backend.CumSum, x.cpu, backend.Array{}, x.cpu, axis))
			w.close(fmt.Sprintf("CumSum of %v along %d", shape, axis), x, tolerance(backend.Float32))
		}
	}
}
