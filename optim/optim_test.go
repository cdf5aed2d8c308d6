package optim

import (
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/descent-ml/descent/backend/cpu"
	"github.com/descent-ml/descent/tensor"
)

// golden.json is written by testdata/golden.py.
type goldenFile struct {
	Shapes    [][]int
	Weights   [][]float64
	Grads     [][][]float64
	Variants  map[string][3][][]float64
	Schedules map[string][]float64
	Clip      map[string]struct {
		Norm  float64
		Grads [][]float64
	}
}

func readGolden(t *testing.T) (g goldenFile) {
	t.Helper()
	raw, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

func named(ps []*tensor.Tensor) iter.Seq2[string, *tensor.Tensor] {
	return func(yield func(string, *tensor.Tensor) bool) {
		for i, p := range ps {
			if !yield(fmt.Sprintf("p%d", i), p) {
				return
			}
		}
	}
}

var variants = map[string]func(ps []*tensor.Tensor) Optimizer{
	"sgd":          func(ps []*tensor.Tensor) Optimizer { return NewSGD(named(ps), SGD{LR: 0.1}) },
	"sgd momentum": func(ps []*tensor.Tensor) Optimizer { return NewSGD(named(ps), SGD{LR: 0.1, Momentum: 0.9}) },
	"sgd momentum dampening": func(ps []*tensor.Tensor) Optimizer {
		return NewSGD(named(ps), SGD{LR: 0.1, Momentum: 0.9, Dampening: 0.3})
	},
	"sgd nesterov decay": func(ps []*tensor.Tensor) Optimizer {
		return NewSGD(named(ps), SGD{LR: 0.1, Momentum: 0.9, Nesterov: true, WeightDecay: 0.05})
	},
	"sgd maximize": func(ps []*tensor.Tensor) Optimizer {
		return NewSGD(named(ps), SGD{LR: 0.1, Momentum: 0.5, Maximize: true})
	},
	"adam": func(ps []*tensor.Tensor) Optimizer { return NewAdam(named(ps), Adam{LR: 0.01}) },
	"adam betas eps decay": func(ps []*tensor.Tensor) Optimizer {
		return NewAdam(named(ps), Adam{LR: 0.01, Betas: [2]float64{0.5, 0.9}, Eps: 1e-4, WeightDecay: 0.1})
	},
	"adam amsgrad":  func(ps []*tensor.Tensor) Optimizer { return NewAdam(named(ps), Adam{LR: 0.01, AMSGrad: true}) },
	"adam maximize": func(ps []*tensor.Tensor) Optimizer { return NewAdam(named(ps), Adam{LR: 0.01, Maximize: true}) },
	"adam sparse":   func(ps []*tensor.Tensor) Optimizer { return NewAdam(named(ps), Adam{LR: 0.01}) },
	"adamw":         func(ps []*tensor.Tensor) Optimizer { return NewAdamW(named(ps), AdamW{LR: 0.01}) },
	"adamw no decay": func(ps []*tensor.Tensor) Optimizer {
		return NewAdamW(named(ps), AdamW{LR: 0.01, WeightDecay: new(0.0)})
	},
	"adamw amsgrad maximize": func(ps []*tensor.Tensor) Optimizer {
		return NewAdamW(named(ps), AdamW{LR: 0.01, AMSGrad: true, Maximize: true, WeightDecay: new(0.2)})
	},
	"groups": func(ps []*tensor.Tensor) Optimizer {
		second := func(yield func(string, *tensor.Tensor) bool) { yield("p1", ps[1]) }
		return NewSGD(named(ps[:1]), SGD{LR: 0.1, Groups: []GroupOptions{{Params: second, LR: new(0.02), WeightDecay: new(0.3)}}})
	},
}

// TestStepsEqualPyTorch runs each variant for the golden 20 steps, with the
// device's fused kernel and composed of ops, in every precision.
func TestStepsEqualPyTorch(t *testing.T) {
	g := readGolden(t)
	if len(g.Variants) != len(variants) {
		t.Fatalf("%d variants in the golden file, %d here", len(g.Variants), len(variants))
	}
	for name, want := range g.Variants {
		for _, composed := range []bool{false, true} {
			for dt, tol := range map[tensor.DType]float64{tensor.Float64: 1e-12, tensor.Float32: 2e-5, tensor.BFloat16: 0.2, tensor.Float16: 0.05} {
				t.Run(fmt.Sprintf("%s/composed=%v/%v", name, composed, dt), func(t *testing.T) {
					dev := cpu.New(cpu.Options{})
					ps := make([]*tensor.Tensor, len(g.Weights))
					for i, w := range g.Weights {
						ps[i] = tensor.Parameter(tensor.Of(dev, w, g.Shapes[i]...).To(dt))
					}
					opt := variants[name](ps)
					opt.(*rule).composed = composed
					seen := 0
					for step, grads := range g.Grads {
						for i, v := range grads {
							ps[i].SetGrad(tensor.Of(dev, v, g.Shapes[i]...).To(dt))
							if strings.HasSuffix(name, "sparse") && i == 1 && step%2 == 1 {
								ps[i].ZeroGrad()
							}
						}
						before := ps[0].Version()
						opt.Step()
						if ps[0].Version() == before {
							t.Fatal("a step does not count as a new version of the parameter")
						}
						if step == 0 || step == 1 || step == len(g.Grads)-1 {
							for i, w := range want[seen] {
								closeTo(t, fmt.Sprintf("step %d, p%d", step+1, i), ps[i], w, tol)
							}
							seen++
						}
					}
				})
			}
		}
	}
}

func closeTo(t *testing.T, what string, got *tensor.Tensor, want []float64, tol float64) {
	t.Helper()
	for i, v := range tensor.Values[float64](got.Detach().To(tensor.Float64)) {
		if !(math.Abs(v-want[i]) <= tol*(1+math.Abs(want[i]))) {
			t.Fatalf("%s [%d]: %v, PyTorch has %v", what, i, v, want[i])
		}
	}
}

func TestSchedulesEqualPyTorch(t *testing.T) {
	g := readGolden(t)
	schedules := map[string]Schedule{
		"step":          StepLR(3, 0.5),
		"multistep":     MultiStepLR([]int{2, 5, 5, 9}, 0.1),
		"exponential":   ExponentialLR(0.9),
		"cosine":        CosineAnnealingLR(10, 0.01),
		"warmup cosine": WarmUp(4, 0.25, CosineAnnealingLR(10, 0)),
	}
	for name, want := range g.Schedules {
		p := tensor.Parameter(tensor.Zeros(cpu.New(cpu.Options{}), tensor.Float32, 1))
		opt := NewSGD(named([]*tensor.Tensor{p}), SGD{LR: 0.2})
		s := NewScheduler(opt, schedules[name])
		for i, lr := range want {
			if got := opt.Groups()[0].LR; math.Abs(got-lr) > 1e-12 {
				t.Errorf("%s at %d: %v, PyTorch has %v", name, i, got, lr)
			}
			s.Step()
		}
		if err := s.SetStep(3); err != nil || math.Abs(opt.Groups()[0].LR-want[3]) > 1e-12 {
			t.Errorf("%s does not go back to step 3: %v, %v", name, opt.Groups()[0].LR, err)
		}
	}
	if s := NewScheduler(NewSGD(named([]*tensor.Tensor{tensor.Parameter(tensor.Zeros(cpu.New(cpu.Options{}), tensor.Float32, 1))}), SGD{}), ConstantLR()); s.SetStep(-1) == nil {
		t.Error("a schedule takes a negative step")
	}
}

func TestClippingEqualsPyTorch(t *testing.T) {
	g := readGolden(t)
	for name, want := range g.Clip {
		dev := cpu.New(cpu.Options{})
		ps := make([]*tensor.Tensor, len(g.Weights))
		for i, w := range g.Weights {
			ps[i] = tensor.Parameter(tensor.Of(dev, w, g.Shapes[i]...))
			ps[i].SetGrad(tensor.Of(dev, g.Grads[0][i], g.Shapes[i]...))
		}
		kind, limit, _ := strings.Cut(name, " ")
		var max float64
		fmt.Sscan(limit, &max)
		if kind == "norm" {
			if norm := ClipGradNorm(named(ps), max).Item(); math.Abs(norm-want.Norm) > 1e-5 {
				t.Errorf("%s: the norm is %v, PyTorch has %v", name, norm, want.Norm)
			}
		} else {
			ClipGradValue(named(ps), max)
		}
		for i, w := range want.Grads {
			closeTo(t, name, ps[i].Grad(), w, 1e-6)
		}
	}
}

// TestStateResumes stops an optimizer half way, gives its state to a new one, and
// ends with the same bits as without the stop.
func TestStateResumes(t *testing.T) {
	g := readGolden(t)
	for name, make := range variants {
		dev := cpu.New(cpu.Options{})
		run := func(stop int) []byte {
			var ps []*tensor.Tensor
			for i, w := range g.Weights {
				ps = append(ps, tensor.Parameter(tensor.Of(dev, w, g.Shapes[i]...)))
			}
			opt := make(ps)
			for step, grads := range g.Grads {
				if step == stop {
					next := make(ps)
					state := map[string]*tensor.Tensor{}
					for key, v := range opt.State() {
						state[key] = v
					}
					if err := next.SetState(state, opt.Steps()); err != nil {
						t.Fatal(name, err)
					}
					opt = next
				}
				for i, v := range grads {
					ps[i].SetGrad(tensor.Of(dev, v, g.Shapes[i]...))
				}
				opt.Step()
			}
			return append(ps[0].Bytes(), ps[1].Bytes()...)
		}
		if string(run(-1)) != string(run(7)) {
			t.Errorf("%s: stopping changes the result", name)
		}
	}
}

func TestStateOfAnotherModelIsRefused(t *testing.T) {
	dev := cpu.New(cpu.Options{})
	p := tensor.Parameter(tensor.Ones(dev, tensor.Float32, 2, 3))
	opt := NewAdam(named([]*tensor.Tensor{p}), Adam{})
	p.SetGrad(tensor.Ones(dev, tensor.Float32, 2, 3))
	opt.Step()
	good := tensor.Zeros(dev, tensor.Float32, 2, 3)
	for what, c := range map[string]struct {
		state map[string]*tensor.Tensor
		steps map[string]int64
	}{
		"lacks p0.exp_avg_sq":      {map[string]*tensor.Tensor{"p0.exp_avg": good}, map[string]int64{"p0": 3}},
		"shape [4]":                {map[string]*tensor.Tensor{"p0.exp_avg": tensor.Zeros(dev, tensor.Float32, 4), "p0.exp_avg_sq": good}, map[string]int64{"p0": 3}},
		"2 parameters, of which 1": {map[string]*tensor.Tensor{"p0.exp_avg": good, "p0.exp_avg_sq": good}, map[string]int64{"p0": 3, "p9": 1}},
		"3 tensors, of which 2":    {map[string]*tensor.Tensor{"p0.exp_avg": good, "p0.exp_avg_sq": good, "x": good}, map[string]int64{"p0": 3}},
		"-1 steps":                 {map[string]*tensor.Tensor{"p0.exp_avg": good, "p0.exp_avg_sq": good}, map[string]int64{"p0": -1}},
	} {
		if err := opt.SetState(c.state, c.steps); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("want an error with %q, got %v", what, err)
		}
		if n := opt.Steps()["p0"]; n != 1 {
			t.Fatalf("a refused state changed the optimizer: %d steps", n)
		}
	}
}

// TestStepsLeaveMemoryFlat: the state is made once, whatever the path.
func TestStepsLeaveMemoryFlat(t *testing.T) {
	for _, composed := range []bool{false, true} {
		dev := cpu.New(cpu.Options{})
		p := tensor.Parameter(tensor.Ones(dev, tensor.Float32, 64, 64))
		opt := NewAdamW(named([]*tensor.Tensor{p}), AdamW{})
		opt.(*rule).composed = composed
		step := func() {
			s := tensor.NewScope(dev, tensor.ScopeOptions{})
			defer s.Close()
			opt.ZeroGrad()
			s.Use(p).Square().Sum().Backward()
			opt.Step()
		}
		step()
		live := dev.MemoryStats().Live
		for range 50 {
			step()
		}
		if now := dev.MemoryStats().Live; now != live {
			t.Errorf("composed=%v: %d bytes live after the first step, %d after 50 more", composed, live, now)
		}
	}
}

func TestMisuseIsNamed(t *testing.T) {
	dev := cpu.New(cpu.Options{})
	p := tensor.Parameter(tensor.Ones(dev, tensor.Float32, 2))
	for what, fn := range map[string]func(){
		"no parameters":         func() { NewSGD(named(nil), SGD{}) },
		"is no parameter":       func() { NewSGD(named([]*tensor.Tensor{tensor.Ones(dev, tensor.Float32, 2)}), SGD{}) },
		"stands in two groups":  func() { NewSGD(named([]*tensor.Tensor{p, p}), SGD{}) },
		"Nesterov momentum":     func() { NewSGD(named([]*tensor.Tensor{p}), SGD{Nesterov: true}) },
		"are not in [0, 1)":     func() { NewAdam(named([]*tensor.Tensor{p}), Adam{Betas: [2]float64{1, 0.5}}) },
		"parameter has a gradi": func() { ClipGradNorm(named([]*tensor.Tensor{p}), 1) },
	} {
		err := func() (err error) { defer tensor.Catch(&err); fn(); return nil }()
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("want an error with %q, got %v", what, err)
		}
	}
}
