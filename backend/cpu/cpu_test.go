package cpu

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/descent-ml/descent/backend"
)

var device = New(Options{Poison: true})

func bytesOf[T any](s []T) []byte {
	var t T
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), len(s)*int(unsafe.Sizeof(t)))
}

// array uploads values as a row-major array.
func array[T any](t *testing.T, d *Device, dtype backend.DType, values []T, shape ...int) backend.Array {
	t.Helper()
	a := empty(t, d, dtype, shape...)
	if err := d.Upload(a.Buf, bytesOf(values)); err != nil {
		t.Fatal(err)
	}
	return a
}

func empty(t testing.TB, d *Device, dtype backend.DType, shape ...int) backend.Array {
	t.Helper()
	a, err := d.empty(dtype, shape)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// values reads a in row-major order as float64, whatever its strides and type.
func values(t testing.TB, d *Device, a backend.Array) []float64 {
	t.Helper()
	c := empty(t, d, backend.Float64, a.Shape...)
	defer c.Buf.Free()
	check(t, d.Copy(c, a, false))
	v := make([]float64, a.Size())
	check(t, d.Download(bytesOf(v), c.Buf))
	return v
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// randomArray fills a row-major array of any type with small values.
func randomArray(t testing.TB, d *Device, rng *rand.Rand, dtype backend.DType, shape ...int) backend.Array {
	t.Helper()
	a := empty(t, d, backend.Float64, shape...)
	defer a.Buf.Free()
	v := make([]float64, a.Size())
	for i := range v {
		v[i] = rng.NormFloat64() * 2
		switch {
		case dtype == backend.Uint8:
			v[i] = float64(rng.IntN(5))
		case !dtype.IsFloat():
			v[i] = float64(rng.IntN(9) - 4)
		}
	}
	check(t, d.Upload(a.Buf, bytesOf(v)))
	b := empty(t, d, dtype, shape...)
	check(t, d.Copy(b, a, false))
	return b
}

// restride returns an array of a's values with axes in another order of memory,
// gaps and an offset.
func restride(t testing.TB, d *Device, rng *rand.Rand, a backend.Array) backend.Array {
	t.Helper()
	b := a
	b.Strides = make([]int, len(a.Shape))
	n := 1
	for _, i := range rng.Perm(len(a.Shape)) {
		b.Strides[i] = n
		n *= a.Shape[i]
		if rng.IntN(3) == 0 {
			n++
		}
	}
	b.Offset = rng.IntN(3)
	buf, err := d.Alloc((n + b.Offset) * a.DType.Size())
	check(t, err)
	b.Buf = buf
	check(t, d.Copy(b, a, false))
	return b
}

func same64(a, b float64) bool { return a == b || a != a && b != b }

func near(t *testing.T, what string, got, want []float64, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	for i := range got {
		if !same64(got[i], want[i]) && !(math.Abs(got[i]-want[i]) <= tolerance*(1+math.Abs(want[i]))) {
			t.Fatalf("%s: element %d is %v, want %v", what, i, got[i], want[i])
		}
	}
}

// tolerance is for one rounding to dtype, of values around 1.
func tolerance(dtype backend.DType) float64 {
	switch dtype {
	case backend.Float32:
		return 4e-7
	case backend.Float64:
		return 1e-14
	case backend.Float16:
		return 1e-3
	case backend.BFloat16:
		return 8e-3
	}
	return 0
}

var (
	allTypes   = []backend.DType{backend.Float32, backend.Float64, backend.Float16, backend.BFloat16, backend.Int64, backend.Int32, backend.Int16, backend.Int8, backend.Uint8, backend.Bool}
	floatTypes = allTypes[:4]
)

// wrap is what storing v in dtype makes of it.
func wrap(dtype backend.DType, v float64) float64 {
	switch dtype {
	case backend.Int32:
		return float64(int32(int64(v)))
	case backend.Int16:
		return float64(int16(int64(v)))
	case backend.Int8:
		return float64(int8(int64(v)))
	case backend.Uint8:
		return float64(uint8(int64(v)))
	case backend.Bool:
		return float64(bit(v != 0))
	}
	return v
}

func TestEveryOpHasAnEntry(t *testing.T) {
	has := func(e *entry) bool { return e.f32 != nil || e.f64 != nil || e.i64 != nil || e.test64 != nil }
	for op := range backend.NumUnary {
		if op != backend.Identity && op != backend.Dropout && !has(&unary[op]) {
			t.Errorf("unary %v has no kernel", op)
		}
	}
	for op := range backend.NumBinary {
		if !has(&binary[op]) {
			t.Errorf("binary %v has no kernel", op)
		}
	}
	for op := range backend.NumTernary {
		if !has(&ternary[op]) {
			t.Errorf("ternary %v has no kernel", op)
		}
	}
	for op := range backend.NumReduce {
		if op != backend.ArgMax && op != backend.ArgMin && reductions[op].f64 == nil {
			t.Errorf("reduce %v has no kernel", op)
		}
	}
	for op := range backend.NumScan {
		if scans[op].f64 == nil && picks[op].f64 == nil {
			t.Errorf("scan %v has no kernel", op)
		}
	}
	for op := range backend.NumGenerate {
		if generators[op].f64 == nil && generators[op].i64 == nil {
			t.Errorf("generate %v has no kernel", op)
		}
	}
}

func TestUnsupportedTypesAreErrors(t *testing.T) {
	d := device
	x := array(t, d, backend.Int32, []int32{1, 2}, 2)
	if err := d.Unary(backend.Exp, x, x, backend.Params{}); !errors.Is(err, backend.ErrUnsupported) {
		t.Errorf("exp of int32: %v", err)
	}
	b := array(t, d, backend.Bool, []bool{true, false}, 2)
	if err := d.Binary(backend.Sub, b, b, b, backend.Params{}); !errors.Is(err, backend.ErrUnsupported) {
		t.Errorf("sub of bool: %v", err)
	}
}

// Elementwise kernels of all types and layouts agree with the scalar function.
func TestBinaryWalksAnyStrides(t *testing.T) {
	d, rng := device, rand.New(rand.NewPCG(1, 2))
	shapes := [][]int{{}, {1}, {7}, {2000}, {3, 5}, {4, 200}, {2, 1, 3, 4}, {5, 0, 2}, {2, 3, 2, 2, 3}, {70, 300}}
	for _, dtype := range allTypes {
		for _, shape := range shapes {
			for range 4 {
				x := restride(t, d, rng, randomArray(t, d, rng, dtype, shape...))
				y := restride(t, d, rng, randomArray(t, d, rng, dtype, shape...))
				for i := range shape {
					if rng.IntN(3) == 0 {
						y.Strides[i] = 0
					}
				}
				out := empty(t, d, dtype, shape...)
				want := make([]float64, out.Size())
				vx, vy := values(t, d, x), values(t, d, y)
				for i := range want {
					want[i] = wrap(dtype, vx[i]+vy[i])
				}
				if rng.IntN(2) == 0 {
					out = restride(t, d, rng, out)
				}
				if rng.IntN(3) == 0 {
					out = x
				}
				check(t, d.Binary(backend.Add, out, x, y, backend.Params{}))
				near(t, fmt.Sprintf("%v %v", dtype, shape), values(t, d, out), want, tolerance(dtype))
			}
		}
	}
}

func TestScalarOperandsStandInParamsOrASlot(t *testing.T) {
	d := device
	for _, dtype := range allTypes {
		if dtype == backend.Bool {
			continue
		}
		x := array(t, d, backend.Float64, []float64{1, 2, 3}, 3)
		y := empty(t, d, dtype, 3)
		check(t, d.Copy(y, x, false))
		scalar := backend.Array{DType: dtype, Shape: []int{3}, Strides: []int{0}}
		p := backend.Params{Scalars: backend.Scalars{A: 10, N: 10}}
		slot, err := d.Alloc(48)
		check(t, err)
		check(t, d.Upload(slot, bytesOf([]backend.Scalars{p.Scalars})))
		for _, p := range []backend.Params{p, {Slot: slot}} {
			out := empty(t, d, dtype, 3)
			check(t, d.Binary(backend.Sub, out, scalar, y, p))
			near(t, dtype.String(), values(t, d, out), []float64{9, 8, 7}, 0)
			check(t, d.Binary(backend.Sub, out, y, scalar, p))
			near(t, dtype.String(), values(t, d, out), []float64{wrap(dtype, -9), wrap(dtype, -8), wrap(dtype, -7)}, 0)
		}
	}
}

func TestCastsBetweenAllTypes(t *testing.T) {
	d, rng := device, rand.New(rand.NewPCG(3, 4))
	for _, from := range allTypes {
		for _, to := range allTypes {
			x := restride(t, d, rng, randomArray(t, d, rng, from, 6, 150))
			out := restride(t, d, rng, empty(t, d, to, 6, 150))
			check(t, d.Copy(out, x, false))
			want := values(t, d, x)
			for i, v := range want {
				if !to.IsFloat() && to != backend.Bool {
					v = math.Trunc(v)
				}
				want[i] = wrap(to, v)
			}
			near(t, fmt.Sprintf("%v to %v", from, to), values(t, d, out), want, tolerance(to))
		}
	}
	big := array(t, d, backend.Int64, []int64{1<<53 + 1, 1<<24 + 1, math.MaxInt64}, 3)
	out := empty(t, d, backend.Float32, 3)
	check(t, d.Copy(out, big, false))
	got := make([]float32, 3)
	check(t, d.Download(bytesOf(got), out.Buf))
	for i, v := range []int64{1<<53 + 1, 1<<24 + 1, math.MaxInt64} {
		if got[i] != float32(v) {
			t.Errorf("int64 %d becomes %v, want %v", v, got[i], float32(v))
		}
	}
}

func TestHalfTypesRoundToNearestEven(t *testing.T) {
	for b := range 1 << 16 {
		if h := float16(b); h.float32() == h.float32() && toFloat16(h.float32()) != h {
			t.Fatalf("float16 %04x becomes %04x", b, toFloat16(h.float32()))
		}
		if h := bfloat16(b); h.float32() == h.float32() && toBFloat16(h.float32()) != h {
			t.Fatalf("bfloat16 %04x becomes %04x", b, toBFloat16(h.float32()))
		}
	}
	// Between neighbours the nearer one is chosen, half way the even one.
	for b := range 0x7C00 {
		lo, hi := float16(b), float16(b+1)
		l := float64(lo.float32())
		h := float64(hi.float32())
		if hi == 0x7C00 {
			h = 65536
		}
		even := lo
		if b&1 != 0 {
			even = hi
		}
		mid := float32((l + h) / 2)
		for v, want := range map[float32]float16{mid: even, math.Nextafter32(mid, 0): lo, math.Nextafter32(mid, 1e9): hi} {
			if got := toFloat16(v); got != want {
				t.Fatalf("%v rounds to %04x, want %04x", v, got, want)
			}
			if got := toFloat16(-v); got != want|0x8000 {
				t.Fatalf("%v rounds to %04x", -v, got)
			}
		}
	}
	for b := range 0x7F80 {
		lo, hi := bfloat16(b), bfloat16(b+1)
		even := lo
		if b&1 != 0 {
			even = hi
		}
		mid := math.Float32frombits(uint32(b)<<16 | 0x8000)
		for v, want := range map[float32]bfloat16{mid: even, math.Nextafter32(mid, 0): lo, math.Nextafter32(mid, math.MaxFloat32): hi} {
			if got := toBFloat16(v); got != want {
				t.Fatalf("%v rounds to %04x, want %04x", v, got, want)
			}
		}
	}
	if h := toFloat16(float32(math.NaN())); h.float32() == h.float32() {
		t.Error("float16 loses NaN")
	}
	if h := toBFloat16(math.Float32frombits(0x7F800001)); h.float32() == h.float32() {
		t.Error("bfloat16 loses NaN")
	}
}
