package cuda

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cpu"
	"github.com/descent-ml/descent/internal/fakecuda"
)

// twins are a device and the CPU, which get the same arrays and the same calls.
type twins struct {
	testing.TB
	gpu  *Device
	cpu  *cpu.Device
	rng  *rand.Rand
	bufs []backend.Buffer
}

func newTwins(t testing.TB) *twins {
	w := &twins{TB: t, gpu: testDevice(t, Options{}), cpu: cpu.New(cpu.Options{}), rng: rand.New(rand.NewPCG(1, 2))}
	t.Cleanup(w.free) // before the device is closed
	return w
}

func (w *twins) free() {
	for _, b := range w.bufs {
		b.Free()
	}
	w.bufs = nil
}

// twin is one array on both.
type twin struct{ gpu, cpu backend.Array }

// view makes an array of zeros in a buffer of so many elements.
func (w *twins) view(dtype backend.DType, shape, strides []int, offset, elements int) twin {
	w.Helper()
	a := backend.Array{DType: dtype, Shape: shape, Strides: strides, Offset: offset}
	var pair twin
	for _, p := range []struct {
		dev backend.Device
		to  *backend.Array
	}{{w.gpu, &pair.gpu}, {w.cpu, &pair.cpu}} {
		*p.to = a
		b, err := p.dev.Alloc(elements * dtype.Size())
		must(w, err)
		must(w, p.dev.Upload(b, make([]byte, elements*dtype.Size())))
		p.to.Buf = b
		w.bufs = append(w.bufs, b)
	}
	return pair
}

// empty makes a row-major array.
func (w *twins) empty(dtype backend.DType, shape ...int) twin {
	strides, n := rowMajor(shape)
	return w.view(dtype, shape, strides, 0, n)
}

func rowMajor(shape []int) (strides []int, n int) {
	strides, n = make([]int, len(shape)), 1
	for i, d := range slices.Backward(shape) {
		strides[i] = n
		n *= d
	}
	return strides, n
}

// fill gives a's elements, in row-major order, the values again and again.
func (w *twins) fill(a twin, values ...float64) twin {
	w.Helper()
	n := a.cpu.Size()
	all := make([]float64, n)
	for i := range all {
		all[i] = values[i%len(values)]
	}
	strides, _ := rowMajor(a.cpu.Shape)
	b, err := w.cpu.Alloc(8 * n)
	must(w, err)
	defer b.Free()
	must(w, w.cpu.Upload(b, raw(all)))
	must(w, w.cpu.Copy(a.cpu, backend.Array{Buf: b, DType: backend.Float64, Shape: a.cpu.Shape, Strides: strides}, false))
	bytes := make([]byte, a.cpu.Buf.Bytes())
	must(w, w.cpu.Download(bytes, a.cpu.Buf))
	must(w, w.gpu.Upload(a.gpu.Buf, bytes))
	return a
}

// random gives a's elements values in [lo, hi).
func (w *twins) random(a twin, lo, hi float64) twin {
	w.Helper()
	values := make([]float64, max(1, a.cpu.Size()))
	for i := range values {
		values[i] = lo + (hi-lo)*w.rng.Float64()
	}
	return w.fill(a, values...)
}

// indices gives a's elements whole numbers in [0, n).
func (w *twins) indices(a twin, n int) twin {
	w.Helper()
	values := make([]float64, max(1, a.cpu.Size()))
	for i := range values {
		values[i] = float64(w.rng.IntN(n))
	}
	return w.fill(a, values...)
}

func raw[T any](s []T) []byte {
	var t T
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), len(s)*int(unsafe.Sizeof(t)))
}

// bytes are both buffers.
func (w *twins) bytes(a twin) (gpu, cpu []byte) {
	w.Helper()
	gpu, cpu = make([]byte, a.gpu.Buf.Bytes()), make([]byte, a.cpu.Buf.Bytes())
	must(w, w.gpu.Download(gpu, a.gpu.Buf))
	must(w, w.cpu.Download(cpu, a.cpu.Buf))
	return gpu, cpu
}

// values are both arrays' elements in row-major order.
func (w *twins) values(a twin) (gpu, cpu []float64) {
	w.Helper()
	device, _ := w.bytes(a)
	copied := a.cpu
	b, err := w.cpu.Alloc(len(device))
	must(w, err)
	defer b.Free()
	must(w, w.cpu.Upload(b, device))
	copied.Buf = b
	return w.host(copied), w.host(a.cpu)
}

func (w *twins) host(a backend.Array) []float64 {
	w.Helper()
	strides, n := rowMajor(a.Shape)
	b, err := w.cpu.Alloc(8 * n)
	must(w, err)
	defer b.Free()
	must(w, w.cpu.Copy(backend.Array{Buf: b, DType: backend.Float64, Shape: a.Shape, Strides: strides}, a, false))
	out := make([]float64, n)
	must(w, w.cpu.Download(raw(out), b))
	return out
}

// equal holds both to have the same bits.
func (w *twins) equal(what string, a twin) {
	w.Helper()
	if gpu, host := w.bytes(a); !slices.Equal(gpu, host) {
		g, c := w.values(a)
		for i := range g {
			if g[i] != c[i] && (g[i] == g[i] || c[i] == c[i]) {
				w.Errorf("%s: element %d is %v, on the CPU %v", what, i, g[i], c[i])
				return
			}
		}
		w.Errorf("%s: bits differ from the CPU's", what)
	}
}

// close holds them to differ by no more than tolerance, relative to the CPU's.
func (w *twins) close(what string, a twin, tolerance float64) {
	w.Helper()
	gpu, host := w.values(a)
	for i := range gpu {
		if math.Abs(gpu[i]-host[i]) > tolerance*math.Abs(host[i]) {
			w.Errorf("%s: element %d is %v, on the CPU %v", what, i, gpu[i], host[i])
			return
		}
	}
}

// tolerance is how far apart two good sums of positive numbers may be.
func tolerance(d backend.DType) float64 {
	switch d {
	case backend.Float64:
		return 1e-13
	case backend.Float32:
		return 1e-5
	case backend.Float16:
		return 0x1p-10
	case backend.BFloat16:
		return 0x1p-7
	}
	return 0
}

func (w *twins) reduce(op backend.ReduceOp, x twin, axes ...int) {
	w.Helper()
	shape := slices.Clone(x.cpu.Shape)
	for _, axis := range axes {
		shape[axis] = 1
	}
	dtype, ok := reduceType(op, x.cpu.DType)
	if !ok {
		return
	}
	out := w.empty(dtype, shape...)
	must(w, w.gpu.Reduce(op, out.gpu, x.gpu))
	must(w, w.cpu.Reduce(op, out.cpu, x.cpu))
	what := fmt.Sprintf("%v of %v %v strides %v offset %d along %v", op, x.cpu.DType, x.cpu.Shape, x.cpu.Strides, x.cpu.Offset, axes)
	if op <= backend.Prod {
		w.close(what, out, tolerance(x.cpu.DType))
	} else {
		w.equal(what, out)
	}
}

func TestReductionsOfEveryLengthMatchTheCPU(t *testing.T) {
	w := newTwins(t)
	for _, dtype := range []backend.DType{backend.Float32, backend.BFloat16, backend.Float64, backend.Int32, backend.Uint8} {
		lengths := []int{1, 33, 1025}
		if dtype == backend.Float32 {
			lengths = []int{1, 3, 31, 32, 33, 129, 1023, 1024, 1025, 4097}
		}
		for _, n := range lengths {
			for _, offset := range []int{0, 1} {
				rows := w.random(w.view(dtype, []int{5, n}, []int{n, 1}, offset, 5*n+offset), 0.9, 1.1)
				columns := w.random(w.view(dtype, []int{n, 12}, []int{12, 1}, 4*offset, 12*n+4*offset), 0.9, 1.1)
				middle := w.random(w.empty(dtype, 3, n, 4), 0.9, 1.1)
				turned := w.random(w.view(dtype, []int{n, 3, 2}, []int{1, n, 3 * n}, offset, 6*n+offset), 0.9, 1.1)
				for _, op := range []backend.ReduceOp{backend.Sum, backend.Mean, backend.Max, backend.ArgMin, backend.Any} {
					w.reduce(op, rows, 1)
					w.reduce(op, rows, 0, 1)
					w.reduce(op, columns, 0)
					w.reduce(op, columns, 0, 1)
					w.reduce(op, middle, 1)
					w.reduce(op, middle, 0, 2)
					w.reduce(op, turned, 0, 1)
					w.reduce(op, turned, 1, 2)
				}
				w.free()
			}
		}
	}
}

func TestLargeReductionsAreSharedByBlocks(t *testing.T) {
	w := newTwins(t)
	all := w.random(w.empty(backend.Float32, 1<<20), 0.5, 1.5)
	images := w.random(w.view(backend.Float32, []int{8, 16, 32, 32}, []int{16 << 10, 1, 512, 16}, 0, 128<<10), 0.5, 1.5)
	tall := w.random(w.empty(backend.Float32, 20000, 3), 0.5, 1.5)
	for _, op := range []backend.ReduceOp{backend.Sum, backend.Mean, backend.Max, backend.ArgMax} {
		for name, call := range map[string]func(){
			"all":                 func() { w.reduce(op, all, 0) },
			"a channel of images": func() { w.reduce(op, images, 0, 2, 3) },
			"a column":            func() { w.reduce(op, tall, 0) },
		} {
			before := fakecuda.Stats()
			call()
			after := fakecuda.Stats()
			if n := after.Calls["cuLaunchKernel"] - before.Calls["cuLaunchKernel"]; n != 2 {
				t.Errorf("%v of %s: %d launches; parts and their sum are 2", op, name, n)
			}
		}
	}
}

func TestSumsOfManyEqualNumbersKeepTheirPrecision(t *testing.T) {
	// Each addition of 0.1 rounds the same way; one long sum would be far off.
	w := newTwins(t)
	const n = 1 << 20
	x := w.fill(w.empty(backend.Float32, n), 0.1)
	columns := x
	columns.gpu.Shape, columns.gpu.Strides = []int{n / 4, 4}, []int{4, 1}
	for name, c := range map[string]struct {
		x backend.Array
		n float64
	}{"rows": {x.gpu, n}, "columns": {columns.gpu, n / 4}} {
		out := w.empty(backend.Float32, c.x.Size()/int(c.n)).gpu
		out.Shape, out.Strides = []int{1, c.x.Size() / int(c.n)}[2-len(c.x.Shape):], []int{4, 1}[2-len(c.x.Shape):]
		must(t, w.gpu.Reduce(backend.Sum, out, c.x))
		got := make([]float32, out.Size())
		must(t, w.gpu.Download(raw(got), out.Buf))
		want := float64(float32(0.1)) * c.n
		if e := math.Abs(float64(got[0])/want - 1); e > 2e-6 {
			t.Errorf("%s: the sum of %v times 0.1 is %v, off by %.1e", name, c.n, got[0], e)
		}
	}
}

// manyAxes is the shape of an array whose axes do not merge.
var manyAxes = []int{2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3}

// many makes an array of manyAxes, with gaps between all axes.
func (w *twins) many(dtype backend.DType) twin {
	strides, n := make([]int, len(manyAxes)), 1
	for i, d := range slices.Backward(manyAxes) {
		strides[i] = n
		n = n*d + 1
	}
	return w.view(dtype, manyAxes, strides, 0, n)
}

func TestMoreAxesThanALaunchTakes(t *testing.T) {
	w := newTwins(t)
	x := w.random(w.many(backend.Float32), 0.5, 1.5)
	for _, axes := range [][]int{{0}, {10}, {3, 10}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, {1, 3, 5, 7, 9}} {
		for _, op := range []backend.ReduceOp{backend.Sum, backend.ArgMax} {
			w.reduce(op, x, axes...)
		}
	}
	for _, axis := range []int{0, 5, 10} {
		w.scan(backend.CumSum, x, axis)
		w.scan(backend.CumMax, x, axis)
		w.sort(x, axis, manyAxes[axis], true)
		index := w.indices(w.many(backend.Int64), manyAxes[axis])
		w.gather(x, index, axis)
		w.scatter(backend.ScatterAssign, manyAxes, index, x, axis)
		w.scatter(backend.ScatterAdd, manyAxes, index, x, axis)
		column := index // shared by most of the axes
		for _, a := range []*backend.Array{&column.gpu, &column.cpu} {
			a.Strides = make([]int, len(manyAxes))
			a.Strides[axis] = index.cpu.Strides[axis]
		}
		w.gather(x, column, axis)
		w.scatter(backend.ScatterAdd, manyAxes, column, x, axis)
	}
}

// TestMoreElementsThanALaunchCounts only looks at what is launched: there is no memory.
func TestMoreElementsThanALaunchCounts(t *testing.T) {
	countOnly(t)
	fakecuda.Memory(1 << 45)
	t.Cleanup(func() { fakecuda.Memory(16 << 30) })
	d := testDevice(t, Options{MemoryLimit: 1 << 45}) // the driver may have been asked for the size before
	huge := func(dtype backend.DType, shape ...int) backend.Array {
		strides, n := rowMajor(shape)
		b, err := d.Alloc(n * dtype.Size())
		must(t, err)
		t.Cleanup(b.Free)
		return backend.Array{Buf: b, DType: dtype, Shape: shape, Strides: strides}
	}
	u8, none := backend.Uint8, backend.Array{}
	const many = 3 << 30
	long, wide, tall, square := huge(u8, many), huge(u8, 2, many), huge(u8, many, 2), huge(u8, 1<<16, 3<<14)
	turned := wide
	turned.Shape, turned.Strides = []int{many / 2, 2, 2}, []int{1, many / 2, many}
	row, column := huge(backend.Int64, 1, many), huge(backend.Int64, many, 1)
	pair, one, places := huge(backend.Int64, 2, 1, 1), huge(backend.Int64, 1), huge(backend.Int64, 1<<16, 3<<14)
	pair.Shape, pair.Strides = []int{1, 2}, []int{2, 1}
	alike := places
	alike.Strides = []int{3 << 14, 0}
	for name, c := range map[string]struct {
		call  func() error
		least int64
	}{
		"Reduce all":          {func() error { return d.Reduce(backend.Sum, one, long) }, 2},
		"Reduce rows":         {func() error { return d.Reduce(backend.Sum, column, tall) }, 2},
		"Reduce columns":      {func() error { return d.Reduce(backend.Sum, row, wide) }, 2},
		"Reduce turned":       {func() error { return d.Reduce(backend.Sum, sub(one, 1, 1, 1), turned) }, 2},
		"Reduce tall columns": {func() error { return d.Reduce(backend.ArgMax, pair, tall) }, 3},
		"Scan columns":        {func() error { return d.Scan(backend.CumSum, wide, none, wide, 0) }, 2},
		"Scan rows":           {func() error { return d.Scan(backend.CumSum, square, none, square, 1) }, 1},
		"Sort":                {func() error { return d.Sort(square, none, square, 1, false) }, 2},
		"Gather":              {func() error { return d.Gather(square, square, places, 0) }, 2},
		"Gather rows":         {func() error { return d.Gather(square, square, alike, 0) }, 1},
		"Scatter":             {func() error { return d.Scatter(backend.ScatterAdd, square, places, square, 0) }, 2},
		"Scatter rows":        {func() error { return d.Scatter(backend.ScatterAdd, square, alike, square, 0) }, 2},
		"Scatter along rows":  {func() error { return d.Scatter(backend.ScatterAssign, square, places, square, 1) }, 2},
	} {
		launches := int64(0)
		for _, n := range launchesOf(d, t, c.call) {
			launches += n
		}
		if launches < c.least {
			t.Errorf("%s: %d launches, want %d at least", name, launches, c.least)
		}
	}
	for name, call := range map[string]func() error{
		"Scan": func() error { return d.Scan(backend.CumSum, long, none, long, 0) },
		"Sort": func() error { return d.Sort(long, none, long, 0, false) },
	} {
		if err := call(); !errors.Is(err, backend.ErrUnsupported) {
			t.Errorf("%s of %d elements along one axis: %v", name, many, err)
		}
	}
}

func TestSumsHaveTheSameBitsWhateverRunsFirst(t *testing.T) {
	w := newTwins(t)
	x := w.random(w.empty(backend.Float32, 300, 700), -1, 1)
	numbers := make([]float64, 300)
	for i := range numbers {
		numbers[i] = float64(w.rng.IntN(9))
	}
	rows := w.rowNumbers(700, numbers...)
	each := w.indices(w.empty(backend.Int64, 300, 700), 9)
	calls := map[string]func(out backend.Array) error{
		"of all":     func(out backend.Array) error { return w.gpu.Reduce(backend.Sum, sub(out, 1, 1), x.gpu) },
		"of columns": func(out backend.Array) error { return w.gpu.Reduce(backend.Sum, sub(out, 1, 700), x.gpu) },
		"of rows":    func(out backend.Array) error { return w.gpu.Reduce(backend.Sum, sub(out, 300, 1), x.gpu) },
		"running": func(out backend.Array) error {
			return w.gpu.Scan(backend.CumSum, out, backend.Array{}, x.gpu, 1)
		},
		"of embeddings": func(out backend.Array) error {
			return w.gpu.Scatter(backend.ScatterAdd, sub(out, 9, 700), rows.gpu, x.gpu, 0)
		},
		"scattered": func(out backend.Array) error {
			return w.gpu.Scatter(backend.ScatterAdd, sub(out, 9, 700), each.gpu, x.gpu, 0)
		},
	}
	t.Cleanup(func() { fakecuda.Seed(1) })
	for name, call := range calls {
		var first []byte
		for seed := range int64(4) {
			fakecuda.Seed(seed + 1)
			out := w.empty(backend.Float32, 300, 700)
			must(t, call(out.gpu))
			got, _ := w.bytes(out)
			if first == nil {
				first = got
			} else if !slices.Equal(got, first) {
				t.Errorf("a sum %s has other bits when blocks and warps come in another order", name)
			}
		}
	}
}

// sub is an array of that shape at the start of a's memory.
func sub(a backend.Array, shape ...int) backend.Array {
	a.Shape = shape
	a.Strides, _ = rowMajor(shape)
	return a
}

func TestReductionsNeitherWaitNorAllocate(t *testing.T) {
	countOnly(t)
	w := newTwins(t)
	x, index := w.empty(backend.Float32, 64, 128), w.view(backend.Int64, []int{64, 128}, []int{1, 0}, 0, 64)
	out, places := w.empty(backend.Float32, 64, 128), w.empty(backend.Int64, 64, 128)
	none := backend.Array{}
	big, one := w.empty(backend.Float32, 1<<20).gpu, w.empty(backend.Float32, 1).gpu
	row, column := sub(out.gpu, 1, 128), sub(out.gpu, 64, 1)
	for name, c := range map[string]struct {
		call func() error
		most float64 // Go's allocations: a buffer each time scratch memory is needed
	}{
		"Reduce rows":    {func() error { return w.gpu.Reduce(backend.Sum, column, x.gpu) }, 0},
		"Reduce columns": {func() error { return w.gpu.Reduce(backend.Sum, row, x.gpu) }, 0},
		"Reduce all":     {func() error { return w.gpu.Reduce(backend.Sum, one, big) }, 1},
		"Scan":           {func() error { return w.gpu.Scan(backend.CumSum, out.gpu, none, x.gpu, 1) }, 0},
		"Sort":           {func() error { return w.gpu.Sort(out.gpu, places.gpu, x.gpu, 1, false) }, 0},
		"Gather":         {func() error { return w.gpu.Gather(out.gpu, x.gpu, index.gpu, 0) }, 0},
		"Scatter":        {func() error { return w.gpu.Scatter(backend.ScatterAdd, out.gpu, index.gpu, x.gpu, 0) }, 1},
	} {
		must(t, c.call())
		waits, live := fakecuda.Stats().Syncs, w.gpu.MemoryStats().Live
		if n := testing.AllocsPerRun(100, func() { must(t, c.call()) }); n > c.most {
			t.Errorf("%s makes %v allocations of Go's, not %v", name, n, c.most)
		}
		if n := fakecuda.Stats().Syncs - waits; n != 0 {
			t.Errorf("%s waits for the device %d times", name, n)
		}
		if n := w.gpu.MemoryStats().Live - live; n != 0 {
			t.Errorf("%s leaves %d bytes of the device behind", name, n)
		}
	}
}

func BenchmarkReduceHostTime(b *testing.B) {
	countOnly(b)
	w := newTwins(b)
	x, out := w.empty(backend.Float32, 64, 128), w.empty(backend.Float32, 64, 1)
	must(b, w.gpu.Reduce(backend.Sum, out.gpu, x.gpu))
	b.ReportAllocs()
	for b.Loop() {
		w.gpu.Reduce(backend.Sum, out.gpu, x.gpu)
	}
}
