package cuda

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/cuda/cublaslt"
	"github.com/descent-ml/descent/internal/fakecuda"
	"github.com/descent-ml/descent/random"
)

// dyadics are multiples of 1/8 in [-1, 1], of which float32 makes exact products and
// short sums.
func dyadics(n int, seed uint64) []float32 {
	bits := make([]uint32, n)
	random.Uint32s(random.New(seed).Reserve(n), 0, bits)
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(bits[i]%17)/8 - 1
	}
	return out
}

// placed is an array and its elements in row-major order.
type placed struct {
	backend.Array
	buf    *buffer
	memory []float32
	values []float32
}

// place lays random values out at strides, in elements; the rest of the memory is NaN.
func (d *Device) place(t testing.TB, shape, strides []int, offset int, seed uint64) *placed {
	t.Helper()
	p := &placed{Array: backend.Array{DType: backend.Float32, Offset: offset, Shape: shape, Strides: strides}}
	size := offset + 1
	for i, n := range shape {
		size += max(0, n-1) * strides[i]
	}
	p.memory = make([]float32, size)
	for i := range p.memory {
		p.memory[i] = float32(math.NaN())
	}
	values := dyadics(p.Size(), seed)
	for i := range p.Size() {
		p.memory[p.at(i)] = values[i]
	}
	p.read()
	p.buf = d.floats(t, p.memory...)
	p.Buf = p.buf
	t.Cleanup(p.buf.Free)
	return p
}

// rows is place for a row-major array at the start of its memory.
func (d *Device) rows(t testing.TB, seed uint64, shape ...int) *placed {
	t.Helper()
	return d.place(t, shape, packedStrides(nil, shape, false), 0, seed)
}

// at is the place of element i of the row-major order.
func (p *placed) at(i int) int {
	at := p.Offset
	for axis := len(p.Shape) - 1; axis >= 0; axis-- {
		at += i % p.Shape[axis] * p.Strides[axis]
		i /= p.Shape[axis]
	}
	return at
}

func (p *placed) read() {
	p.values = make([]float32, p.Size())
	for i := range p.values {
		p.values[i] = p.memory[p.at(i)]
	}
}

// now is what the device holds; what lies between the elements must not have changed.
func (p *placed) now(t testing.TB, d *Device) []float32 {
	t.Helper()
	before := append([]float32(nil), p.memory...)
	p.memory = d.values(t, p.buf)
	p.read()
	for i := range p.Size() {
		before[p.at(i)] = p.memory[p.at(i)]
	}
	if !same(before, p.memory) {
		t.Error("memory between the elements was written")
	}
	return p.values
}

// agree fails unless got is want, bit by bit.
func agree(t testing.TB, name string, got, want []float32) {
	t.Helper()
	for i := range want {
		if len(got) != len(want) || math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Errorf("%s: element %d of %d is %v, want %v", name, i, len(got), got[i], want[i])
			return
		}
	}
}

// reference is x·y + bias in batches, ReLU applied, added to held.
func reference(x, y, bias, held []float32, relu bool, m, n, k int) []float32 {
	out := make([]float32, len(held))
	for i := range out {
		batch, row, col := i/(m*n), i/n%m, i%n
		sum := 0.0
		for l := range k {
			sum += float64(x[batch*m*k+row*k+l]) * float64(y[batch*k*n+l*n+col])
		}
		if bias != nil {
			sum += float64(bias[col])
		}
		if relu {
			sum = max(sum, 0)
		}
		out[i] = float32(sum + float64(held[i]))
	}
	return out
}

func launchesOf(d *Device, t testing.TB, f func() error) map[string]int64 {
	t.Helper()
	must(t, d.Sync())
	fakecuda.Reset()
	must(t, f())
	must(t, d.Sync())
	return fakecuda.Stats().Launches
}

func TestMatricesWithDenseRowsOrColumnsAreNotCopied(t *testing.T) {
	d := testDevice(t, Options{})
	const m, n, k = 6, 5, 7
	views := func(rows, cols int) map[string][]int {
		return map[string][]int{"rows": {cols, 1}, "wide rows": {cols + 3, 1}, "columns": {1, rows}, "long columns": {1, rows + 2}}
	}
	for xName, xs := range views(m, k) {
		for yName, ys := range views(k, n) {
			for _, offset := range []int{0, 1, 2, 3} {
				x := d.place(t, []int{m, k}, xs, offset, 1)
				y := d.place(t, []int{k, n}, ys, 3-offset, 2)
				out, bias := d.place(t, []int{m, n}, []int{n + offset, 1}, offset, 3), d.rows(t, 4, n)
				want := reference(x.values, y.values, bias.values, make([]float32, m*n), true, m, n, k)
				made := launchesOf(d, t, func() error {
					return d.MatMul(out.Array, x.Array, y.Array, backend.Epilogue{Bias: bias.Array, Act: backend.ReLU})
				})
				if len(made) != 1 || made["matmul"] != 1 {
					t.Errorf("%s by %s takes the kernels %v", xName, yName, made)
				}
				agree(t, fmt.Sprintf("%s by %s from %d", xName, yName, offset), out.now(t, d), want)
			}
		}
	}
}

func TestOtherMatricesAreCopied(t *testing.T) {
	d := testDevice(t, Options{})
	const m, n, k = 4, 5, 6
	x := d.place(t, []int{m, k}, []int{2 * k, 2}, 1, 1)
	y := d.place(t, []int{k, n}, []int{0, 1}, 0, 2) // one row for all
	out := d.place(t, []int{m, n}, []int{3 * n, 3}, 2, 3)
	want := reference(x.values, y.values, nil, out.values, false, m, n, k)
	must(t, d.MatMul(out.Array, x.Array, y.Array, backend.Epilogue{Accumulate: true}))
	agree(t, "MatMul", out.now(t, d), want)
}

func TestBatchesTakeAsFewProductsAsTheirAxesAllow(t *testing.T) {
	d := testDevice(t, Options{})
	const m, n, k = 3, 4, 2
	for _, c := range []struct {
		name    string
		shape   []int // of the batch
		x, y    []int // strides of its axes
		yOffset int
		want    int64
	}{
		{"row-major", []int{3, 4}, []int{4 * m * k, m * k}, []int{4 * k * n, k * n}, 0, 1},
		{"one y for all", []int{3, 4}, []int{4 * m * k, m * k}, []int{0, 0}, 1, 1},
		{"one y for each of the first axis", []int{2, 5}, []int{5 * m * k, m * k}, []int{k * n, 0}, 0, 2},
		{"heads inside the rows", []int{2, 6}, []int{6 * m * k, k}, []int{6 * k * n, n}, 0, 2},
		{"axes of size 1", []int{1, 5, 1}, []int{7, m * k, 9}, []int{8, k * n, 3}, 0, 1},
	} {
		row := []int{k, n}
		if c.name == "heads inside the rows" {
			row = []int{6 * k, 6 * n}
		}
		x := d.place(t, append(append([]int{}, c.shape...), m, k), append(append([]int{}, c.x...), row[0], 1), 0, 5)
		y := d.place(t, append(append([]int{}, c.shape...), k, n), append(append([]int{}, c.y...), row[1], 1), c.yOffset, 6)
		out := d.rows(t, 7, append(append([]int{}, c.shape...), m, n)...)
		want := reference(x.values, y.values, nil, make([]float32, out.Size()), false, m, n, k)
		made := launchesOf(d, t, func() error { return d.MatMul(out.Array, x.Array, y.Array, backend.Epilogue{}) })
		if len(made) != 1 || made["matmul"] != c.want {
			t.Errorf("%s takes the kernels %v, want %d products", c.name, made, c.want)
		}
		agree(t, c.name, out.now(t, d), want)
	}
}

func TestAxesThatDoNotMergeAreCopiedWhereTheyAreMany(t *testing.T) {
	d := testDevice(t, Options{})
	const b, h, m, n, k = 10, 11, 2, 3, 2
	x := d.place(t, []int{b, h, m, k}, []int{m * h * k, k, h * k, 1}, 0, 1) // [b, m, h, k] transposed
	y := d.rows(t, 2, b, h, k, n)
	out := d.rows(t, 3, b, h, m, n)
	want := reference(x.values, y.values, nil, make([]float32, out.Size()), false, m, n, k)
	made := launchesOf(d, t, func() error { return d.MatMul(out.Array, x.Array, y.Array, backend.Epilogue{}) })
	if made["matmul"] != 1 || len(made) != 2 {
		t.Errorf("the kernels are %v: want one copy and one product", made)
	}
	agree(t, "MatMul", out.now(t, d), want)
}

func TestABatchLargerThanAGrid(t *testing.T) {
	d := testDevice(t, Options{})
	const batch = maxBatch + 7
	x, y, out := d.rows(t, 1, batch, 1, 2), d.rows(t, 2, batch, 2, 1), d.rows(t, 3, batch, 1, 1)
	want := reference(x.values, y.values, nil, make([]float32, batch), false, 1, 1, 2)
	made := launchesOf(d, t, func() error { return d.MatMul(out.Array, x.Array, y.Array, backend.Epilogue{}) })
	if made["matmul"] != 2 {
		t.Errorf("it takes the kernels %v", made)
	}
	agree(t, "MatMul", out.now(t, d), want)
}

func TestHeuristicsAreAskedOnceForAKindOfProduct(t *testing.T) {
	d := testDevice(t, Options{})
	x, y, out, bias := d.rows(t, 1, 8, 16), d.rows(t, 2, 16, 8), d.rows(t, 3, 8, 8), d.rows(t, 4, 8)
	const call = "cublasLtMatmulAlgoGetHeuristic"
	asked := func(f func() error) int64 {
		fakecuda.Reset()
		must(t, f())
		return fakecuda.Stats().Calls[call]
	}
	plain := func() error { return d.MatMul(out.Array, x.Array, y.Array, backend.Epilogue{}) }
	biased := func() error { return d.MatMul(out.Array, x.Array, y.Array, backend.Epilogue{Bias: bias.Array}) }
	if a, b, c, e := asked(plain), asked(plain), asked(biased), asked(biased); a != 1 || b != 0 || c != 1 || e != 0 {
		t.Errorf("asked %d, %d, %d and %d times; want 1, 0, 1, 0", a, b, c, e)
	}
}

func TestMatMulDoesNotAllocate(t *testing.T) {
	countOnly(t)
	d := testDevice(t, Options{})
	x, y, out, bias := d.rows(t, 1, 4, 8, 16), d.rows(t, 2, 4, 16, 8), d.rows(t, 3, 4, 8, 8), d.rows(t, 4, 8)
	gapped := d.place(t, []int{4, 8, 16}, []int{256, 32, 2}, 0, 1)
	for name, f := range map[string]func() error{
		"bias and ReLU": func() error {
			return d.MatMul(out.Array, x.Array, y.Array, backend.Epilogue{Bias: bias.Array, Act: backend.ReLU})
		},
		"accumulation":    func() error { return d.MatMul(out.Array, x.Array, y.Array, backend.Epilogue{Accumulate: true}) },
		"a copied matrix": func() error { return d.MatMul(out.Array, gapped.Array, y.Array, backend.Epilogue{}) },
	} {
		must(t, f())
		if n := testing.AllocsPerRun(100, func() { must(t, f()) }); n != 0 {
			t.Errorf("%s: %g allocations", name, n)
		}
	}
}

func TestTF32IsUsedOnlyWhereItIsAllowed(t *testing.T) {
	for _, tf32 := range []bool{false, true} {
		d := testDevice(t, Options{TF32: tf32})
		x, y, out := d.rows(t, 1, 1, 1), d.rows(t, 2, 1, 1), d.rows(t, 3, 1, 1)
		fine := float32(1 + 0x1p-20) // TF32 has 10 bits after the point
		must(t, d.Upload(x.Buf, bytesOf([]float32{fine})))
		must(t, d.Upload(y.Buf, bytesOf([]float32{1})))
		must(t, d.MatMul(out.Array, x.Array, y.Array, backend.Epilogue{}))
		want := fine
		if tf32 {
			want = 1
		}
		if got := out.now(t, d); got[0] != want {
			t.Errorf("TF32 %v: %v, want %v", tf32, got[0], want)
		}
	}
}

func TestAutotuneTriesSeveralAlgorithmsAndLeavesTheOutputAlone(t *testing.T) {
	d := testDevice(t, Options{Autotune: true})
	const m, n, k = 9, 8, 7
	x, y, out, bias := d.rows(t, 1, m, k), d.rows(t, 2, k, n), d.rows(t, 3, m, n), d.rows(t, 4, n)
	want := reference(x.values, y.values, bias.values, out.values, false, m, n, k)
	first := launchesOf(d, t, func() error {
		return d.MatMul(out.Array, x.Array, y.Array, backend.Epilogue{Bias: bias.Array, Accumulate: true})
	})
	agree(t, "MatMul", out.now(t, d), want)
	again := launchesOf(d, t, func() error {
		return d.MatMul(out.Array, x.Array, y.Array, backend.Epilogue{Bias: bias.Array})
	})
	if first["matmul"] < 5 || again["matmul"] != 1 {
		t.Errorf("%d products the first time, %d later", first["matmul"], again["matmul"])
	}
}

func TestAFailedProductIsNamedAndTheNextOneRuns(t *testing.T) {
	d := testDevice(t, Options{})
	x, y, out := d.rows(t, 1, 4, 4), d.rows(t, 2, 4, 4), d.rows(t, 3, 4, 4)
	run := func() error { return d.MatMul(out.Array, x.Array, y.Array, backend.Epilogue{}) }
	for _, call := range []string{"cublasLtMatmulAlgoGetHeuristic", "cublasLtMatmul"} {
		fakecuda.Fail(call, 1, int(cublaslt.ErrInternal))
		err := run()
		if !errors.Is(err, cublaslt.ErrInternal) || !strings.Contains(err.Error(), "cuda:0: MatMul: ") || !strings.Contains(err.Error(), call) {
			t.Errorf("%s fails: %v", call, err)
		}
		must(t, run())
	}
	agree(t, "MatMul", out.now(t, d), reference(x.values, y.values, nil, make([]float32, 16), false, 4, 4, 4))
}

func TestWithoutCuBLASLtProductsOfIntegersAreThere(t *testing.T) {
	d := testDevice(t, Options{})
	x, y, out := d.rows(t, 1, 2, 2), d.rows(t, 2, 2, 2), d.rows(t, 3, 2, 2)
	fakecuda.Fail("cublasLtCreate", 1, int(cublaslt.ErrNotInitialized))
	for range 2 {
		if err := d.MatMul(out.Array, x.Array, y.Array, backend.Epilogue{}); !errors.Is(err, cublaslt.ErrNotInitialized) || !strings.Contains(err.Error(), "MatMul") {
			t.Errorf("without cuBLASLt: %v", err)
		}
	}
	for _, a := range []*placed{x, y, out} {
		a.DType = backend.Int32
	}
	must(t, d.MatMul(out.Array, x.Array, y.Array, backend.Epilogue{}))
	must(t, d.Sync())
}

// Products that share an algorithm set its bias's address in turn.
func TestProductsWithDifferentBiasesAtOnce(t *testing.T) {
	d := testDevice(t, Options{})
	const m, n, k, rounds = 4, 8, 4, 50
	var wg sync.WaitGroup
	for g := range uint64(runtime.GOMAXPROCS(0) + 2) {
		x, y, out, bias := d.rows(t, 1, m, k), d.rows(t, 2, k, n), d.rows(t, 3, m, n), d.rows(t, 10+g, n)
		want := reference(x.values, y.values, bias.values, make([]float32, m*n), false, m, n, k)
		wg.Go(func() {
			for range rounds {
				if err := d.MatMul(out.Array, x.Array, y.Array, backend.Epilogue{Bias: bias.Array}); err != nil {
					t.Error(err)
				}
				if got := out.now(t, d); !same(got, want) {
					t.Errorf("goroutine %d: %v, want %v", g, got, want)
					return
				}
			}
		})
	}
	wg.Wait()
}

// The first product of a kind may come in a capture.
func TestAProductIsCaptured(t *testing.T) {
	d := testDevice(t, Options{Autotune: true})
	const m, n, k = 5, 6, 7
	x, y, out, bias := d.rows(t, 1, m, k), d.rows(t, 2, k, n), d.rows(t, 3, m, n), d.rows(t, 4, n)
	held := out.values
	g, err := d.Capture(func() error {
		return d.MatMul(out.Array, x.Array, y.Array, backend.Epilogue{Bias: bias.Array, Accumulate: true})
	})
	must(t, err)
	defer g.Free()
	if n := fakecuda.Stats().Calls["cuThreadExchangeStreamCaptureMode"]; n != 2 {
		t.Errorf("%d changes of what the thread may do, 2 let cuBLASLt load its kernels", n)
	}
	for range 3 {
		want := reference(x.values, y.values, bias.values, held, false, m, n, k)
		agree(t, "MatMul", out.now(t, d), want)
		held = out.values
		must(t, g.Launch())
	}
	if calls := fmt.Sprint(g.(*graph).Calls()); !strings.Contains(calls, "MatMul") {
		t.Errorf("the graph lists %s", calls)
	}
}

func BenchmarkMatMulHostTime(b *testing.B) {
	countOnly(b)
	d := testDevice(b, Options{})
	x, y, out, bias := d.rows(b, 1, 128, 768), d.rows(b, 2, 768, 768), d.rows(b, 3, 128, 768), d.rows(b, 4, 768)
	b.ReportAllocs()
	for b.Loop() {
		if err := d.MatMul(out.Array, x.Array, y.Array, backend.Epilogue{Bias: bias.Array}); err != nil {
			b.Fatal(err)
		}
	}
}
