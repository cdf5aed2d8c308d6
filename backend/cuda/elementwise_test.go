package cuda

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cpu"
	"github.com/descent-ml/descent/internal/fakecuda"
)

// mirrored is one array on the device under test and on the CPU.
type mirrored struct{ cuda, cpu backend.Array }

// mirror is a device and the CPU, which is asked the same.
type mirror struct {
	*testing.T
	cuda *Device
	cpu  backend.Device
	bufs []backend.Buffer
}

func newMirror(t *testing.T) *mirror {
	w := &mirror{T: t, cuda: testDevice(t, Options{}), cpu: cpu.New(cpu.Options{})}
	t.Cleanup(w.free)
	return w
}

func (w *mirror) free() {
	for _, b := range w.bufs {
		b.Free()
	}
	w.bufs = nil
}

// array uploads data as a contiguous array, or one with strides.
func array[E any](w *mirror, dtype backend.DType, data []E, shape, strides []int) mirrored {
	w.Helper()
	var e E
	raw := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(data))), len(data)*int(unsafe.Sizeof(e)))
	if strides == nil {
		strides = make([]int, len(shape))
		n := 1
		for axis := len(shape) - 1; axis >= 0; axis-- {
			strides[axis] = n
			n *= shape[axis]
		}
	}
	make := func(d backend.Device) backend.Array {
		b, err := d.Alloc(len(raw))
		must(w, err)
		w.bufs = append(w.bufs, b)
		must(w, d.Upload(b, raw))
		return backend.Array{Buf: b, DType: dtype, Shape: shape, Strides: strides}
	}
	return mirrored{make(w.cuda), make(w.cpu)}
}

// bytes downloads an array from both.
func (w *mirror) bytes(a mirrored) (cuda, cpu []byte) {
	w.Helper()
	cuda, cpu = make([]byte, a.cuda.Buf.Bytes()), make([]byte, a.cuda.Buf.Bytes())
	must(w, w.cuda.Download(cuda, a.cuda.Buf))
	must(w, w.cpu.Download(cpu, a.cpu.Buf))
	return cuda, cpu
}

// same fails unless both hold the same bytes.
func (w *mirror) same(a mirrored, format string, args ...any) {
	w.Helper()
	got, want := w.bytes(a)
	for i := range got {
		if got[i] != want[i] {
			size := a.cuda.DType.Size()
			at := i / size * size
			w.Errorf("%s: %v number %d in memory has the bytes %x, on the CPU %x", fmt.Sprintf(format, args...), a.cuda.DType, i/size, got[at:at+size], want[at:at+size])
			return
		}
	}
}

func elements[E any](raw []byte) []E {
	var e E
	return unsafe.Slice((*E)(unsafe.Pointer(unsafe.SliceData(raw))), len(raw)/int(unsafe.Sizeof(e)))
}

func TestEveryLineOfASourceIsAnOpcodeAndEveryOpcodeHasALine(t *testing.T) {
	check := func(file string, names []string) {
		for line := range strings.Lines(headers()[file]) {
			if macro, rest, ok := strings.Cut(line, "("); ok && opKinds[macro] != (opKind{}) {
				if name, _, _ := strings.Cut(rest, ","); !slices.Contains(names, name) {
					t.Errorf("%s: %s is no opcode", file, name)
				} else {
					names = slices.DeleteFunc(names, func(n string) bool { return n == name })
				}
			}
		}
		if len(names) > 0 {
			t.Errorf("%s has no line of %v, or two", file, names)
		}
	}
	check("unary.cu", opNames(backend.Identity+1, backend.NumUnary)) // which is a copy
	check("binary.cu", opNames(0, backend.NumBinary))
	check("ternary.cu", opNames(0, backend.NumTernary))
	check("generate.cu", opNames(0, backend.NumGenerate))
}

func opNames[Op opcode](first, end Op) (names []string) {
	for ; first < end; first++ {
		names = append(names, first.String())
	}
	return names
}

func TestOpsHaveTheDtypesOfTheCPU(t *testing.T) {
	d := cpu.New(cpu.Options{})
	buf, err := d.Alloc(8)
	must(t, err)
	must(t, d.Upload(buf, []byte{1, 0, 0, 0, 0, 0, 0, 0})) // a divisor
	result, err := d.Alloc(8)
	must(t, err)
	p := backend.Params{Scalars: backend.Scalars{M: 1}}
	for dtype := range backend.NumDTypes {
		a := backend.Array{Buf: buf, DType: dtype}
		out := func(k opKind) backend.Array {
			if k.test {
				return backend.Array{Buf: result, DType: backend.Bool}
			}
			return backend.Array{Buf: result, DType: dtype}
		}
		check := func(op fmt.Stringer, k opKind, err error) {
			if err != nil && !errors.Is(err, backend.ErrUnsupported) {
				t.Errorf("%s of %v on the CPU: %v", op, dtype, err)
			} else if k.has(dtype) != (err == nil) {
				t.Errorf("%s of %v: %v here, on the CPU %v", op, dtype, k.has(dtype), err)
			}
		}
		for op := backend.Identity + 1; op < backend.NumUnary; op++ {
			k := ops().unary[op]
			check(op, k, d.Unary(op, out(k), a, p))
		}
		for op := range backend.NumBinary {
			k := ops().binary[op]
			check(op, k, d.Binary(op, out(k), a, a, p))
		}
		for op := range backend.NumTernary {
			x := a
			if op == backend.Where {
				x.DType = backend.Bool
			}
			k := ops().ternary[op]
			check(op, k, d.Ternary(op, out(k), x, a, a, p))
		}
		for op := range backend.NumGenerate {
			k := ops().generate[op]
			check(op, k, d.Generate(op, out(k), p))
		}
	}
}

// wideFloats are floats of all magnitudes and both signs, and the special ones.
func wideFloats(n int, seed uint64) []float32 {
	r := rand.New(rand.NewPCG(seed, 0))
	x := []float32{0, float32(math.Copysign(0, -1)), 1, -1, 0.5, -0.5, 2.5, float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()),
		math.MaxFloat32, -math.MaxFloat32, 0x1p-126, -0x1p-126, 0x1p-149, 88, -88, 1 - 0x1p-24, 1 + 0x1p-23}
	for len(x) < n {
		v := float32(math.Exp(r.Float64()*24 - 14)) // 1e-6 to 2e4
		if r.IntN(2) == 0 {
			v = -v
		}
		x = append(x, v, float32(r.NormFloat64()*3))
	}
	return x[:n]
}

// A float32 result is that of the CPU in float64 to 1e-5 of its magnitude. A slope
// that is a sum of terms near 1 loses their last digit where they cancel, and so does
// the CPU's 1 + tanh. What lies below the normal numbers may be zero.
func TestFloatsAgreeWithTheCPU(t *testing.T) {
	const n = 3001
	w := newMirror(t)
	shape := []int{n}
	wide := func(x []float32) []float64 {
		d := make([]float64, len(x))
		for i, v := range x {
			d[i] = float64(v)
		}
		return d
	}
	x, y := wideFloats(n, 1), wideFloats(n, 2)
	rand.New(rand.NewPCG(3, 3)).Shuffle(n, func(i, j int) { y[i], y[j] = y[j], y[i] })
	var narrow, exact [3]backend.Array // x, y, out
	for i, v := range [][]float32{x, y, x} {
		narrow[i] = array(w, backend.Float32, v, shape, nil).cuda
		exact[i] = array(w, backend.Float64, wide(v), shape, nil).cpu
	}
	p := backend.Params{Scalars: backend.Scalars{A: 0.5, B: 2}}
	lost := map[fmt.Stringer]float64{
		backend.GELUTanh: 1e-15, backend.GELUGrad: 2e-7, backend.GELUTanhGrad: 2e-7, backend.SiLUGrad: 2e-7,
	}
	compare := func(op fmt.Stringer, err, cpuErr error) {
		t.Helper()
		if err != nil || cpuErr != nil {
			t.Errorf("%s: %v, on the CPU %v", op, err, cpuErr)
			return
		}
		got, want := make([]float32, n), make([]float64, n)
		must(t, w.cuda.Download(bytesOf(got), narrow[2].Buf))
		must(t, w.cpu.Download(unsafe.Slice((*byte)(unsafe.Pointer(&want[0])), 8*n), exact[2].Buf))
		wrong := 0
		for i := range got {
			g, v := float64(got[i]), float64(float32(want[i]))
			if g == v || math.IsNaN(g) && math.IsNaN(v) || math.Abs(g-v) <= 1e-5*math.Abs(v)+lost[op]*math.Abs(float64(x[i]))+0x1p-126 {
				continue
			}
			if wrong++; wrong <= 3 {
				t.Errorf("%s(%g, %g) = %g, on the CPU %g", op, x[i], y[i], g, v)
			}
		}
	}
	for op := backend.Identity; op < backend.NumUnary; op++ {
		if op != backend.Dropout && !ops().unary[op].test {
			compare(op, w.cuda.Unary(op, narrow[2], narrow[0], p), w.cpu.Unary(op, exact[2], exact[0], p))
		}
	}
	for op := range backend.NumBinary {
		if kind := ops().binary[op]; kind.floats && !kind.test {
			compare(op, w.cuda.Binary(op, narrow[2], narrow[0], narrow[1], p), w.cpu.Binary(op, exact[2], exact[0], exact[1], p))
		}
	}
}

// The numbers of a stream do not depend on the device, on how the array lies or on
// how many a thread makes at a time.
func TestRandomNumbersAreTheCPUsToTheBit(t *testing.T) {
	w := newMirror(t)
	p := backend.Params{Scalars: backend.Scalars{A: 0.3, B: 1.7, N: -5, M: 1000, Key: 0xfeedfacecafebeef, Counter: math.MaxUint64 - 100}}
	for _, l := range []struct {
		name           string
		shape, strides []int
	}{
		{"contiguous", []int{10_007}, nil},
		{"channels last", []int{3, 5, 8, 16}, []int{640, 1, 80, 5}},
		{"transposed", []int{64, 33}, []int{1, 64}},
	} {
		n := 1
		for _, d := range l.shape {
			n *= d
		}
		for dtype := range backend.NumDTypes {
			zeros := make([]byte, n*dtype.Size())
			for op := range backend.NumGenerate {
				if !ops().generate[op].has(dtype) {
					continue
				}
				out := array(w, dtype, zeros, l.shape, l.strides)
				must(t, w.cuda.Generate(op, out.cuda, p))
				must(t, w.cpu.Generate(op, out.cpu, p))
				w.same(out, "%s of %v, %s", op, dtype, l.name)
			}
			if dtype.IsFloat() {
				x, out := array(w, dtype, zeros, l.shape, nil), array(w, dtype, zeros, l.shape, l.strides)
				must(t, w.cuda.Generate(backend.Normal, x.cuda, p))
				must(t, w.cpu.Generate(backend.Normal, x.cpu, p))
				must(t, w.cuda.Unary(backend.Dropout, out.cuda, x.cuda, p))
				must(t, w.cpu.Unary(backend.Dropout, out.cpu, x.cpu, p))
				w.same(out, "Dropout of %v, %s", dtype, l.name)
			}
			w.free()
		}
	}
}

func TestAnIntegerDividedByZeroIsReported(t *testing.T) {
	w := newMirror(t)
	d := w.cuda
	x := array(w, backend.Int32, []int32{1, 2, 3, 4, 5}, []int{5}, nil).cuda
	y := array(w, backend.Int32, []int32{1, 2, 0, 4, 0}, []int{5}, nil).cuda
	out := array(w, backend.Int32, make([]int32, 5), []int{5}, nil).cuda
	for op := backend.FloorDiv; op <= backend.Fmod; op++ {
		must(t, d.Binary(op, out, x, y, backend.Params{}))
		err := d.Sync()
		if err == nil || !strings.Contains(err.Error(), op.String()) || !strings.Contains(err.Error(), "division by zero") {
			t.Errorf("%s of an array with zeros: Sync answers %v", op, err)
		}
		if err := d.Sync(); err != nil {
			t.Errorf("%s: the error is reported twice: %v", op, err)
		}
		err = d.Binary(op, out, x, backend.Array{DType: backend.Int32}, backend.Params{})
		if err == nil || !strings.Contains(err.Error(), "division by zero") {
			t.Errorf("%s by the scalar zero: %v", op, err)
		}
		must(t, d.Binary(op, out, backend.Array{DType: backend.Int32}, x, backend.Params{})) // of zero
		must(t, d.Sync())
	}
	err := d.Binary(backend.Pow, out, x, backend.Array{DType: backend.Int32}, backend.Params{Scalars: backend.Scalars{N: -1}})
	if err == nil || !strings.Contains(err.Error(), "negative integer powers") {
		t.Errorf("an integer to the power -1: %v", err)
	}
}

func TestArraysOfManyAxes(t *testing.T) {
	w := newMirror(t)
	shape := slices.Repeat([]int{2}, 11)
	there, back := make([]int, 11), make([]int, 11)
	for axis := range shape { // no two axes are one in both
		there[axis], back[axis] = 1<<axis, 1<<(10-axis)
	}
	there[3], there[7] = there[7], there[3]
	r := rand.New(rand.NewPCG(5, 5))
	data := make([]float32, 1<<11)
	for i := range data {
		data[i] = float32(r.IntN(100))
	}
	x, y := array(w, backend.Float32, data, shape, there), array(w, backend.Float32, data, shape, back)
	out := array(w, backend.Float32, data, shape, back)
	p := backend.Params{Scalars: backend.Scalars{Key: 1, A: 0.5, B: 2}}
	for name, call := range map[string]func(d backend.Device, out, x, y backend.Array) error{
		"Binary":   func(d backend.Device, out, x, y backend.Array) error { return d.Binary(backend.Sub, out, x, y, p) },
		"Copy":     func(d backend.Device, out, x, _ backend.Array) error { return d.Copy(out, x, false) },
		"Dropout":  func(d backend.Device, out, x, _ backend.Array) error { return d.Unary(backend.Dropout, out, x, p) },
		"Generate": func(d backend.Device, out, _, _ backend.Array) error { return d.Generate(backend.Uniform, out, p) },
	} {
		must(t, call(w.cuda, out.cuda, x.cuda, y.cuda))
		must(t, call(w.cpu, out.cpu, x.cpu, y.cpu))
		w.same(out, "%s of 11 axes", name)
	}
}

// An array of more elements than a kernel counts in 32 bits is served by several
// launches, or by one that counts in 64.
func TestArraysOfMoreElementsThan32BitsCount(t *testing.T) {
	countOnly(t)
	fakecuda.Memory(1 << 40)
	t.Cleanup(func() { fakecuda.Memory(8 << 30) })
	d := testDevice(t, Options{MemoryLimit: 1 << 35})
	const side = 1 << 17 // 2³⁴ elements
	b, err := d.Alloc(side * side)
	must(t, err)
	defer b.Free()
	a := func(strides ...int) backend.Array {
		return backend.Array{Buf: b, DType: backend.Int8, Shape: []int{side, side}, Strides: strides}
	}
	for name, c := range map[string]struct {
		out, x   backend.Array
		launches int64
	}{
		"contiguous": {a(side, 1), a(side, 1), 1},
		"transposed": {a(side, 1), a(1, side), 16}, // of 2³⁰ elements
	} {
		fakecuda.Reset()
		must(t, d.Unary(backend.Neg, c.out, c.x, backend.Params{}))
		if n := fakecuda.Stats().Calls["cuLaunchKernel"]; n != c.launches {
			t.Errorf("%s: %d launches, want %d", name, n, c.launches)
		}
	}
}

func TestCopiesByTheirLayout(t *testing.T) {
	w := newMirror(t)
	data := make([]int16, 1<<12)
	for i := range data {
		data[i] = int16(i)
	}
	for _, c := range []struct {
		name         string
		shape        []int
		out, x       []int
		launches     string // the kernel, or none for the driver's copy
		deviceCopies int64
	}{
		{"contiguous", []int{64, 64}, []int{64, 1}, []int{64, 1}, "", 1},
		{"channels last to the same", []int{4, 4, 16, 16}, []int{1024, 1, 64, 4}, []int{1024, 1, 64, 4}, "", 1},
		{"transposed", []int{64, 64}, []int{64, 1}, []int{1, 64}, "transpose.cu", 0},
		{"batch of transposed", []int{3, 17, 70}, []int{17 * 70, 70, 1}, []int{17 * 70, 1, 17}, "transpose.cu", 0},
		{"heads", []int{4, 8, 16, 8}, []int{1024, 128, 8, 1}, []int{1024, 8, 64, 1}, "copy.cu", 0},
		{"every second column", []int{64, 32}, []int{32, 1}, []int{64, 2}, "copy.cu", 0},
		{"a row for all", []int{16, 64}, []int{64, 1}, []int{0, 1}, "copy.cu", 0},
		{"one for all", []int{16, 64}, []int{64, 1}, []int{0, 0}, "copy.cu", 0},
	} {
		x, out := array(w, backend.Int16, data, c.shape, c.x), array(w, backend.Int16, make([]int16, len(data)), c.shape, c.out)
		must(t, w.cuda.Sync()) // a reset drops what waits
		fakecuda.Reset()
		must(t, w.cuda.Copy(out.cuda, x.cuda, false))
		counts := fakecuda.Stats()
		must(t, w.cpu.Copy(out.cpu, x.cpu, false))
		w.same(out, "%s", c.name)
		if n := counts.Calls["cuMemcpyDtoDAsync_v2"]; n != c.deviceCopies {
			t.Errorf("%s: %d of the driver's copies, want %d", c.name, n, c.deviceCopies)
		}
		for name := range counts.Launches {
			if !strings.HasPrefix(name, c.launches) || c.launches == "" {
				t.Errorf("%s: launches %s", c.name, name)
			}
		}
		w.free()
	}
}

func TestElementwiseCallsAllocateNothing(t *testing.T) {
	countOnly(t)
	d := testDevice(t, Options{})
	b, err := d.Alloc(1 << 20)
	must(t, err)
	defer b.Free()
	a := func(strides ...int) backend.Array {
		return backend.Array{Buf: b, DType: backend.Float32, Shape: []int{64, 64, 8}, Strides: strides}
	}
	x, channels, bias := a(512, 8, 1), a(512, 1, 64), a(0, 0, 1)
	mask := x
	mask.DType = backend.Bool
	p := backend.Params{Scalars: backend.Scalars{A: 0.5}, Slot: b}
	calls := map[string]func() error{
		"Unary":                 func() error { return d.Unary(backend.GELU, x, x, backend.Params{}) },
		"Unary strided":         func() error { return d.Unary(backend.GELU, channels, x, backend.Params{}) },
		"Dropout":               func() error { return d.Unary(backend.Dropout, x, x, p) },
		"Binary":                func() error { return d.Binary(backend.Add, x, x, x, backend.Params{}) },
		"Binary with a bias":    func() error { return d.Binary(backend.Add, x, x, bias, backend.Params{}) },
		"Binary with a scalar":  func() error { return d.Binary(backend.Mul, x, x, backend.Array{}, p) },
		"Ternary":               func() error { return d.Ternary(backend.Where, x, mask, x, bias, backend.Params{}) },
		"Copy":                  func() error { return d.Copy(channels, x, false) },
		"Copy accumulating":     func() error { return d.Copy(channels, x, true) },
		"Generate":              func() error { return d.Generate(backend.Normal, x, p) },
		"Binary in many pieces": func() error { return d.Binary(backend.Add, channels, x, bias, backend.Params{}) },
	}
	for name, call := range calls {
		must(t, call())
		if n := testing.AllocsPerRun(100, func() { must(t, call()) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkHostTime(b *testing.B) {
	countOnly(b)
	d := testDevice(b, Options{})
	buf, err := d.Alloc(1 << 20)
	must(b, err)
	defer buf.Free()
	x := backend.Array{Buf: buf, DType: backend.Float32, Shape: []int{32, 8, 8, 16}, Strides: []int{1024, 128, 16, 1}}
	bias := x
	bias.Strides = []int{0, 0, 0, 1}
	for name, call := range map[string]func() error{
		"Unary":      func() error { return d.Unary(backend.ReLU, x, x, backend.Params{}) },
		"Binary":     func() error { return d.Binary(backend.Add, x, x, x, backend.Params{}) },
		"BinaryBias": func() error { return d.Binary(backend.Add, x, x, bias, backend.Params{}) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := call(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
