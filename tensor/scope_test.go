package tensor_test

import (
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cpu"
	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/tensor"
)

func TestScopeFreesWhatIsComputedInIt(t *testing.T) {
	dev := cpu.New(cpu.Options{})
	p := param(dev, 1, 2, 3)
	base := dev.MemoryStats().Live
	s := tensor.NewScope(dev, tensor.ScopeOptions{})
	x := s.Use(p)
	y := x.Mul(p).Add(p).Reshape(3, 1).T().Exp()
	if y.Scope() != s || s.Bytes() == 0 {
		t.Errorf("a result belongs to %v, which holds %d bytes", y.Scope(), s.Bytes())
	}
	if p.Mul(p).Scope() != nil {
		t.Error("a result of parameters alone has a scope")
	}
	s.Close()
	s.Close()
	runtime.GC()
	waitFor(t, "a closed scope gives its memory back", func() bool { return dev.MemoryStats().Live == base })
	wantMistake(t, "is used after its scope closed; tensor.Keep", func() { y.Neg() })
	wantMistake(t, "a tensor is made in a scope that has closed", func() { tensor.Zeros(s, tensor.Float32, 2) })
}

// waitFor gives the collector's cleanups, which run in a goroutine, some time.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 200 {
		if ok() {
			return
		}
		runtime.GC()
		time.Sleep(5 * time.Millisecond)
	}
	t.Error(what + ": it does not")
}

func TestTwoScopesInOneOpPanic(t *testing.T) {
	dev := cpu.New(cpu.Options{})
	a, b := tensor.NewScope(dev, tensor.ScopeOptions{}), tensor.NewScope(dev, tensor.ScopeOptions{})
	defer a.Close()
	defer b.Close()
	x, y := tensor.Ones(a, tensor.Float32, 2), tensor.Ones(b, tensor.Float32, 2)
	wantMistake(t, "two unrelated scopes; iterate both loaders with data.Zip", func() { x.Add(y) })
	inner := a.Child(tensor.ScopeOptions{})
	z := tensor.Ones(inner, tensor.Float32, 2)
	if x.Add(z).Scope() != inner || z.Add(x).Scope() != inner {
		t.Error("a parent's and a child's tensors make one that is not the child's")
	}
	a.Close()
	wantMistake(t, "after its scope closed", func() { z.Neg() })
}

func TestErrorNamesTheCallersLine(t *testing.T) {
	dev := cpu.New(cpu.Options{})
	got := mistake(t, func() {
		tensor.Ones(dev, tensor.Float32, 2, 3).MatMul(tensor.Ones(dev, tensor.Float32, 2, 3))
	})
	for _, want := range []string{"matmul", "[2 3]", "scope_test.go:"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q lacks %q", got, want)
		}
	}
	var e *tensor.Error
	err := func() (err error) { defer tensor.Catch(&err); tensor.Ones(dev, tensor.Float32, 2).View(3); return }()
	if !errors.As(err, &e) || e.Op != "view" {
		t.Errorf("got %#v", err)
	}
	defer func() {
		if recover() != "other" {
			t.Error("Catch swallowed another panic")
		}
	}()
	defer tensor.Catch(&err)
	panic("other")
}

func TestKeepOutlivesTheScope(t *testing.T) {
	dev := cpu.New(cpu.Options{})
	p := param(dev, 1, 2, 3, 4)
	s := tensor.NewScope(dev, tensor.ScopeOptions{})
	y := s.Use(p).MulScalar(2)
	part := y.Slice(0, 0, 2, 1)
	kept, keptPart := tensor.Keep(y.MulScalar(10)), tensor.Keep(part)
	again := tensor.Keep(s.Use(p))
	s.Close()
	p.Assign(tensor.Zeros(dev, tensor.Float64, 4))
	if v := values(kept); v[3] != 80 || kept.Scope() != nil || kept.RequiresGrad() {
		t.Errorf("kept %v", v)
	}
	if v := values(keptPart); len(v) != 2 || v[1] != 4 {
		t.Errorf("kept part %v", v)
	}
	if v := values(again); v[0] != 1 {
		t.Errorf("what was kept of a parameter changes with it: %v", v)
	}
}

func TestTidyFreesAllButTheResult(t *testing.T) {
	dev := cpu.New(cpu.Options{})
	s := tensor.NewScope(dev, tensor.ScopeOptions{Train: true, Rand: random.New(1)})
	defer s.Close()
	x := tensor.Ones(s, tensor.Float32, 100)
	before := s.Bytes()
	y := tensor.Tidy(x, func(x *tensor.Tensor) *tensor.Tensor {
		if m := x.Scope().Mode(); !m.Train || !m.NoGrad || m.Rand == nil {
			t.Errorf("the inner scope has mode %+v", m)
		}
		return x.Exp().Exp().MulScalar(2).Slice(0, 0, 10, 1)
	})
	if y.Scope() != s || y.NumEl() != 10 {
		t.Errorf("the result %v belongs to %v", y.Shape(), y.Scope())
	}
	if grown := s.Bytes() - before; grown > 400 {
		t.Errorf("%d bytes more than before: only the block of the result may stay", grown)
	}
	live := dev.MemoryStats().Live
	func() {
		defer func() { recover() }()
		tensor.Tidy(x, func(x *tensor.Tensor) *tensor.Tensor { x.Exp(); panic("in the function") })
	}()
	if now := dev.MemoryStats().Live; now != live {
		t.Errorf("a panic leaves %d bytes", now-live)
	}
}

// TestLongLoopInOneScope: a scope forgets what Tidy frees.
func TestLongLoopInOneScope(t *testing.T) {
	dev := cpu.New(cpu.Options{})
	s := tensor.NewScope(dev, tensor.ScopeOptions{})
	defer s.Close()
	x := tensor.Ones(s, tensor.Float32, 8)
	for i := range 5000 {
		y := tensor.Tidy(x, func(x *tensor.Tensor) *tensor.Tensor { return x.MulScalar(0.5).AddScalar(1) })
		if i == 10 {
			dev.ResetPeak()
		}
		_ = tensor.Tidy(y, func(y *tensor.Tensor) *tensor.Tensor { return y.Sum() })
	}
	if st := dev.MemoryStats(); st.Live > 5001*2*64+4096 {
		t.Errorf("%d bytes are live", st.Live)
	}
}

func TestScopelessTensorsAreCollected(t *testing.T) {
	dev := cpu.New(cpu.Options{})
	base := dev.MemoryStats().Live
	func() {
		x := tensor.Ones(dev, tensor.Float32, 1000)
		v := x.Reshape(10, 100).T()
		if v.Sum().Item() != 1000 {
			t.Error("wrong sum")
		}
	}()
	waitFor(t, "the collector gives blocks back", func() bool { return dev.MemoryStats().Live == base })
}

// TestViewKeepsItsBlock: a view of a collected tensor still reads its memory.
func TestViewKeepsItsBlock(t *testing.T) {
	dev := cpu.New(cpu.Options{})
	v := func() *tensor.Tensor { return tensor.Full(dev, tensor.Float32, 7, 1000).Slice(0, 990, 1000, 1) }()
	for range 3 {
		runtime.GC()
		tensor.Zeros(dev, tensor.Float32, 1000)
	}
	for _, f := range tensor.Values[float32](v) {
		if f != 7 {
			t.Fatalf("the view reads %v", f)
		}
	}
}

func TestReleaseAndUse(t *testing.T) {
	dev := cpu.New(cpu.Options{})
	base := dev.MemoryStats().Live
	p := param(dev, 1, 2)
	v := p.Reshape(2, 1)
	p.Mul(p).Sum().Backward()
	p.Release()
	waitFor(t, "release", func() bool { return dev.MemoryStats().Live == base })
	wantMistake(t, "used after it was released", func() { p.Neg() })
	wantMistake(t, "used after it was released", func() { v.Neg() })
}

// TestOutOfMemoryNamesTheOwners, and collects what nobody holds before it gives up.
func TestOutOfMemoryNamesTheOwners(t *testing.T) {
	dev := cpu.New(cpu.Options{MemoryLimit: 1 << 20})
	s := tensor.NewScope(dev, tensor.ScopeOptions{})
	defer s.Close()
	for range 10 { // each is garbage when the next is made
		tensor.Zeros(dev, tensor.Float32, 1<<17)
	}
	p := tensor.Parameter(tensor.Ones(dev, tensor.Float32, 1<<16))
	s.Use(p).Exp()
	err := func() (err error) {
		defer tensor.Catch(&err)
		tensor.Zeros(s, tensor.Float32, 1<<18)
		return nil
	}()
	if !errors.Is(err, backend.ErrOutOfMemory) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"1048576 bytes", "largest owners", "exp float32[65536] 262144 bytes"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q lacks %q", err, want)
		}
	}
}

func TestScopeFromSeveralGoroutines(t *testing.T) {
	dev := cpu.New(cpu.Options{})
	s := tensor.NewScope(dev, tensor.ScopeOptions{})
	x := tensor.Ones(s, tensor.Float32, 100)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				x.Add(x).Var(tensor.VarOptions{})
			}
		})
	}
	wg.Wait()
	s.Close()
	if live := dev.MemoryStats().Live; live != 0 {
		t.Errorf("%d bytes are left", live)
	}
}
