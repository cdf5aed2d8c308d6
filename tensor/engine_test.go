package tensor_test

import (
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/descent-ml/descent/autograd"
	"github.com/descent-ml/descent/backend/cpu"
	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/tensor"
)

func param(dev *cpu.Device, v ...float64) *tensor.Tensor {
	return tensor.Parameter(tensor.Of(dev, v))
}

func values(t *tensor.Tensor) []float64 { return tensor.Values[float64](t) }

// mistake returns the text of the *tensor.Error that fn panics with.
func mistake(t *testing.T, fn func()) string {
	t.Helper()
	err := func() (err error) { defer tensor.Catch(&err); fn(); return nil }()
	if err == nil {
		t.Error("nothing panicked")
		return ""
	}
	return err.Error()
}

func wantMistake(t *testing.T, want string, fn func()) {
	t.Helper()
	if got := mistake(t, fn); !strings.Contains(got, want) {
		t.Errorf("want an error with %q, got %q", want, got)
	}
}

func TestBackwardAccumulatesAndZeroGradForgets(t *testing.T) {
	dev := cpu.New(cpu.Options{})
	p := param(dev, 1, 2, 3)
	loss := func() *tensor.Tensor { return p.Mul(p).Sum() }
	loss().Backward()
	loss().Backward()
	if got := values(p.Grad()); !slices.Equal(got, []float64{4, 8, 12}) {
		t.Errorf("two passes give %v", got)
	}
	g := p.Grad()
	p.ZeroGrad()
	if p.Grad() != nil {
		t.Error("ZeroGrad leaves a gradient")
	}
	loss().Backward()
	if p.Grad() != g || !slices.Equal(values(p.Grad()), []float64{2, 4, 6}) {
		t.Errorf("after ZeroGrad the gradient is %v, in its own block: %v", values(p.Grad()), p.Grad() == g)
	}
}

func TestUnusedParameterHasNoGradient(t *testing.T) {
	dev := cpu.New(cpu.Options{})
	p, q := param(dev, 1), param(dev, 2)
	p.Sum().Backward()
	if q.Grad() != nil {
		t.Error("a parameter that the loss does not use has a gradient")
	}
	wantMistake(t, "does not depend on x[1]", func() { autograd.Grad(p.Sum(), p, q) })
	gs := autograd.GradWith(autograd.Options{AllowUnused: true}, p.Sum(), p, q)
	if gs[0] == nil || gs[1] != nil {
		t.Errorf("got %v", gs)
	}
}

func TestHigherOrder(t *testing.T) {
	dev := cpu.New(cpu.Options{})
	x := tensor.Of(dev, []float64{2}).RequireGrad()
	y := x.PowScalar(4).Sum()
	for _, want := range []float64{32, 48, 48, 24} { // 4x³, 12x², 24x, 24
		y = autograd.GradWith(autograd.Options{Create: true}, y, x)[0].Sum()
		if got := y.Item(); math.Abs(got-want) > 1e-9 {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
}

func TestGradOfResultOnTheWay(t *testing.T) {
	dev := cpu.New(cpu.Options{})
	x := tensor.Of(dev, []float64{1, 2}).RequireGrad()
	h := x.MulScalar(3)
	y := h.Mul(h).Sum()
	gs := autograd.Grad(y, h, x)
	if !slices.Equal(values(gs[0]), []float64{6, 12}) || !slices.Equal(values(gs[1]), []float64{18, 36}) {
		t.Errorf("got %v and %v", values(gs[0]), values(gs[1]))
	}
	seed := tensor.Of(dev, []float64{1, 10})
	g := autograd.GradWith(autograd.Options{Seed: seed}, h, x)[0]
	if !slices.Equal(values(g), []float64{3, 30}) {
		t.Errorf("with a seed: %v", values(g))
	}
	wantMistake(t, "needs a seed", func() { autograd.Grad(h, x) })
	wantMistake(t, "is not tracked", func() { autograd.Grad(y, tensor.Ones(dev, tensor.Float64)) })
	wantMistake(t, "depends on no parameter", func() { tensor.Ones(dev, tensor.Float64).Backward() })
}

// TestReadyHookRunsDuringBackward: the hook of a late layer comes before the
// gradient of an early one is there, and once, with the complete gradient.
func TestReadyHookRunsDuringBackward(t *testing.T) {
	dev := cpu.New(cpu.Options{})
	early, late := param(dev, 2), param(dev, 3)
	var order []string
	late.OnGrad(func(p *tensor.Tensor) {
		order = append(order, "late")
		if early.Grad() != nil {
			t.Error("the early gradient is there already")
		}
	})
	early.OnGrad(func(p *tensor.Tensor) {
		order = append(order, "early")
		if got := p.Grad().Item(); got != 15 {
			t.Errorf("the gradient is not complete: %v", got)
		}
	})
	h := early.Mul(early)                   // 4
	h.Add(early).Mul(late).Sum().Backward() // (x²+x)·l: (2x+1)·3 = 15
	if !slices.Equal(order, []string{"late", "early"}) {
		t.Errorf("hooks ran as %v", order)
	}
}

func TestChangedParameterIsNamed(t *testing.T) {
	dev := cpu.New(cpu.Options{})
	p, q := param(dev, 1, 2), param(dev, 3, 4)
	p.SetName("fc.weight")
	loss := p.Mul(q).Sum()
	p.Assign(tensor.Zeros(dev, tensor.Float64, 2))
	wantMistake(t, "parameter fc.weight was changed after mul had used it", loss.Backward)
	// Addition needs no values, so a change does no harm.
	loss = p.Add(q).Sum()
	p.Assign(tensor.Ones(dev, tensor.Float64, 2))
	loss.Backward()
}

// TestSlicesShareOneBuffer: the gradients of many slices of one tensor cost one
// buffer of its size, not one each.
func TestSlicesShareOneBuffer(t *testing.T) {
	dev := cpu.New(cpu.Options{})
	const n, width = 64, 1024
	p := tensor.Parameter(tensor.Ones(dev, tensor.Float32, n, width))
	s := tensor.NewScope(dev, tensor.ScopeOptions{})
	defer s.Close()
	x := s.Use(p)
	total := tensor.Zeros(s, tensor.Float32)
	for i := range n {
		total = total.Add(x.Select(0, i).Sum().MulScalar(float64(i)))
	}
	dev.ResetPeak()
	before := dev.MemoryStats().Live
	total.Backward()
	whole := int64(n * width * 4)
	if peak := dev.MemoryStats().Peak - before; peak > 3*whole {
		t.Errorf("backward took %d bytes at its peak, the gradient has %d", peak, whole)
	}
	for i, v := range tensor.Values[float32](p.Grad().Select(1, 7)) {
		if v != float32(i) {
			t.Fatalf("row %d has gradient %v", i, v)
		}
	}
}

// deep is a chain of layers whose activations are all saved.
func deep(x, w *tensor.Tensor) *tensor.Tensor {
	for range 24 {
		x = x.MatMul(w).Tanh()
	}
	return x.Mul(x).Mean()
}

// TestSpendingLowersThePeak: activations are freed after their last use, temporary
// gradients after each node, and the gradients stay the same.
func TestSpendingLowersThePeak(t *testing.T) {
	dev := cpu.New(cpu.Options{})
	rng := random.New(1)
	p := tensor.Parameter(tensor.Normal(dev, rng, tensor.Float32, 0, 0.2, 32, 32))
	input := tensor.RandN(dev, rng, tensor.Float32, 256, 32)
	run := func(spend bool) (peak, forward int64, g []byte) {
		s := tensor.NewScope(dev, tensor.ScopeOptions{})
		defer s.Close()
		p.ZeroGrad()
		start := dev.MemoryStats().Live
		loss := deep(s.Use(input), s.Use(p))
		forward = dev.MemoryStats().Live - start
		dev.ResetPeak()
		if spend {
			loss.BackwardSpend()
			if left := dev.MemoryStats().Live - start; left > forward/4 {
				t.Errorf("%d of %d bytes of activations are left after spending them", left, forward)
			}
		} else {
			loss.Backward()
		}
		return dev.MemoryStats().Peak - start, forward, p.Grad().Bytes()
	}
	run(false) // makes the gradient's block
	peak, forward, g1 := run(false)
	spent, _, g2 := run(true)
	if peak > forward+forward/4 {
		t.Errorf("a pass of %d bytes peaks at %d: temporaries are not freed", forward, peak)
	}
	if spent > forward+forward/8 || string(g1) != string(g2) {
		t.Errorf("spending peaks at %d of %d; equal gradients: %v", spent, forward, string(g1) == string(g2))
	}
}

func TestSpentTensorSaysSo(t *testing.T) {
	dev := cpu.New(cpu.Options{})
	p := param(dev, 1, 2)
	s := tensor.NewScope(dev, tensor.ScopeOptions{})
	defer s.Close()
	h, k := s.Use(p).Exp(), s.Use(p).Exp()
	h.Mul(k).Sum().BackwardSpend(k)
	values(k)
	wantMistake(t, "return it as one of the tensors to keep", func() { h.Neg() })
}

func TestBackwardMayRunAgain(t *testing.T) {
	dev := cpu.New(cpu.Options{})
	p := param(dev, 3)
	s := tensor.NewScope(dev, tensor.ScopeOptions{})
	defer s.Close()
	loss := s.Use(p).Exp().Log().Sum()
	loss.Backward()
	loss.Backward()
	if got := p.Grad().Item(); math.Abs(got-2) > 1e-12 {
		t.Errorf("got %v", got)
	}
}

// TestLongChain: no recursion, so that depth costs no stack.
func TestLongChain(t *testing.T) {
	dev := cpu.New(cpu.Options{})
	p := param(dev, 1)
	s := tensor.NewScope(dev, tensor.ScopeOptions{})
	defer s.Close()
	x := s.Use(p)
	for range 20000 {
		x = x.AddScalar(1)
	}
	x.Sum().Backward()
	if p.Grad().Item() != 1 {
		t.Errorf("got %v", p.Grad().Item())
	}
}

func TestDropoutWithoutScopeIsMarked(t *testing.T) {
	dev := cpu.New(cpu.Options{})
	p := param(dev, 1)
	y := tensor.ModeDependent(p.MulScalar(2), "Dropout").Sum()
	wantMistake(t, "Dropout ran without a scope and therefore in eval mode", y.Backward)
}

func TestFrozenParameterTakesNoGradient(t *testing.T) {
	dev := cpu.New(cpu.Options{})
	p, q := param(dev, 2), param(dev, 3)
	p.SetFrozen(true)
	p.Mul(q).Sum().Backward()
	if p.Grad() != nil || q.Grad().Item() != 2 {
		t.Errorf("frozen %v, other %v", p.Grad(), q.Grad())
	}
	p.SetFrozen(false)
	p.Mul(q).Sum().Backward()
	if p.Grad().Item() != 3 {
		t.Error("thawed parameters take gradients again")
	}
}

// TestConcurrentBackward: graphs that share parameters can be walked at once; only
// Grad's results are separate, so the passes use GradWith.
func TestConcurrentBackward(t *testing.T) {
	dev := cpu.New(cpu.Options{})
	p := tensor.Parameter(tensor.Ones(dev, tensor.Float32, 64, 64))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10 {
				s := tensor.NewScope(dev, tensor.ScopeOptions{})
				x := s.Use(p)
				g := autograd.Grad(x.MatMul(x).Sum(), p)[0]
				if v := tensor.Values[float32](g)[0]; v != 128 {
					t.Errorf("got %v", v)
				}
				s.Close()
			}
		})
	}
	wg.Wait()
}
