package cpu

import (
	"errors"
	"math"
	"runtime"
	"sync"
	"testing"

	"github.com/descent-ml/descent/backend"
)

func TestClassesHoldWhatIsAskedAndWasteLittle(t *testing.T) {
	for _, n := range []int{0, 1, 64, 65, 80, 81, 1000, 1024, 1025, 4096, 5000, 1 << 20, 1<<20 + 1, 3 << 30} {
		c := classOf(n)
		size := classBytes(c)
		if size < int64(n) || n > minClass && size > int64(n)*5/4+1 {
			t.Errorf("%d bytes are put in a class of %d", n, size)
		}
		if c > 0 && classBytes(c-1) >= int64(n) {
			t.Errorf("%d bytes fit the class below, of %d", n, classBytes(c-1))
		}
	}
}

func TestFreedMemoryIsHandedOutAgain(t *testing.T) {
	d := New(Options{})
	a, err := d.Alloc(1000)
	check(t, err)
	b, err := d.Alloc(1000)
	check(t, err)
	if p := uintptr(a.(*buffer).ptr); p%alignment != 0 {
		t.Errorf("memory at %x", p)
	}
	before := d.MemoryStats()
	a.Free()
	c, err := d.Alloc(990)
	check(t, err)
	if c != a || c.Bytes() != 990 {
		t.Error("the freed buffer did not come back")
	}
	if d.MemoryStats() != before {
		t.Errorf("%+v after a free and an allocation, %+v before", d.MemoryStats(), before)
	}
	b.Free()
	c.Free()
	s := d.MemoryStats()
	if s.Live != 0 || s.Peak < 2000 || s.Reserved < 2000 {
		t.Errorf("%+v with nothing live", s)
	}
	d.ResetPeak()
	d.EmptyCache()
	if s := d.MemoryStats(); s != (backend.MemoryStats{}) {
		t.Errorf("%+v after EmptyCache", s)
	}
}

func TestFreeingTwicePanics(t *testing.T) {
	a, err := New(Options{}).Alloc(8)
	check(t, err)
	a.Free()
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	a.Free()
}

func TestTheLimitCountsWhatIsCachedAndGivesItUp(t *testing.T) {
	d := New(Options{MemoryLimit: 1 << 20})
	a, err := d.Alloc(700 << 10)
	check(t, err)
	if _, err := d.Alloc(700 << 10); !errors.Is(err, backend.ErrOutOfMemory) {
		t.Errorf("beyond the limit: %v", err)
	}
	a.Free()
	b, err := d.Alloc(1 << 20) // another class: the cache makes room
	check(t, err)
	b.Free()
	for _, n := range []int{1 << 40, math.MaxInt} {
		if _, err := New(Options{}).Alloc(n); !errors.Is(err, backend.ErrOutOfMemory) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if _, err := d.Alloc(-1); err == nil {
		t.Error("a negative size")
	}
}

func TestPoisonedMemoryIsNaN(t *testing.T) {
	d := New(Options{Poison: true})
	a := empty(t, d, backend.Float32, 4)
	nan := math.NaN()
	near(t, "fresh", values(t, d, a), []float64{nan, nan, nan, nan}, 0)
	check(t, d.Generate(backend.Fill, a, backend.Params{}))
	a.Buf.Free()
	near(t, "freed", values(t, d, a), []float64{nan, nan, nan, nan}, 0)
}

func TestCachedAllocationsMakeNoGarbage(t *testing.T) {
	d := New(Options{})
	if n := testing.AllocsPerRun(100, func() {
		b, _ := d.Alloc(5000)
		b.Free()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestSmallKernelsMakeNoGarbage(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool drops objects on purpose under the race detector")
	}
	d := New(Options{})
	x, y := empty(t, d, backend.Float32, 32, 32), empty(t, d, backend.Float32, 32, 32)
	wide := y
	wide.Strides = []int{0, 1}
	half := empty(t, d, backend.BFloat16, 32, 32)
	scalar := backend.Array{DType: backend.Float32, Shape: x.Shape, Strides: []int{0, 0}}
	for name, f := range map[string]func() error{
		"add":           func() error { return d.Binary(backend.Add, x, x, y, backend.Params{}) },
		"add broadcast": func() error { return d.Binary(backend.Add, x, x, wide, backend.Params{}) },
		"add scalar":    func() error { return d.Binary(backend.Add, x, x, scalar, backend.Params{}) },
		"add bfloat16":  func() error { return d.Binary(backend.Add, half, half, half, backend.Params{}) },
		"relu":          func() error { return d.Unary(backend.ReLU, x, x, backend.Params{}) },
		"sin":           func() error { return d.Unary(backend.Sin, x, x, backend.Params{}) },
		"copy":          func() error { return d.Copy(x, wide, false) },
		"cast":          func() error { return d.Copy(half, x, false) },
	} {
		if n := testing.AllocsPerRun(100, func() {
			if err := f(); err != nil {
				t.Fatal(err)
			}
		}); n > 0 {
			t.Errorf("%s makes %v allocations", name, n)
		}
	}
}

func TestAllocFromManyGoroutines(t *testing.T) {
	d := New(Options{})
	var wait sync.WaitGroup
	for g := range 8 {
		wait.Go(func() {
			for i := range 500 {
				b, err := d.Alloc(64 + (g*i)%9*100)
				if err != nil {
					t.Error(err)
					return
				}
				m := b.(*buffer).memory()
				for j := range m {
					m[j] = byte(g)
				}
				runtime.Gosched()
				for j := range m {
					if m[j] != byte(g) {
						t.Error("two goroutines have one buffer")
						return
					}
				}
				b.Free()
			}
		})
	}
	wait.Wait()
	if s := d.MemoryStats(); s.Live != 0 {
		t.Errorf("%d bytes live", s.Live)
	}
}

func TestOpenSharesOneDevice(t *testing.T) {
	a, err := backend.Open("cpu")
	check(t, err)
	b, err := backend.Open("cpu:0")
	check(t, err)
	if a != b || a.String() != "cpu" {
		t.Errorf("%v, %v", a, b)
	}
	if _, err := backend.Open("cpu:1"); err == nil {
		t.Error("cpu:1 opens")
	}
}
