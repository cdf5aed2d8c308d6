package train_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/descent-ml/descent/autograd"
	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/null"
	"github.com/descent-ml/descent/data"
	"github.com/descent-ml/descent/models"
	"github.com/descent-ml/descent/nn"
	"github.com/descent-ml/descent/optim"
	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/serialize"
	"github.com/descent-ml/descent/tensor"
	"github.com/descent-ml/descent/train"
)

// ampGolden is testdata/amp.json, which amp.py writes.
type ampGolden struct {
	Scaler map[string]struct {
		Scales, Trackers []float64
		W, B             [][]float64
		Grads            [][2][]string
	}
	Curve map[string]struct {
		Start  map[string][]float32
		X      []float32
		Y      []int64
		Losses []float64
	}
}

func readAMP(t *testing.T) (g ampGolden) {
	t.Helper()
	raw, err := os.ReadFile("testdata/amp.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

// plainDevice hides the optional interfaces.
type plainDevice struct{ backend.Device }

func TestLossScalesAndSkippedStepsArePyTorchs(t *testing.T) {
	adamw := func(m any) optim.Optimizer { return optim.NewAdamW(nn.Params(m), optim.AdamW{LR: 0.05}) }
	for name, c := range map[string]struct {
		opt func(m any) optim.Optimizer
		o   train.AMPOptions
	}{
		"adamw": {adamw, train.AMPOptions{Interval: 5}},
		"sgd": {func(m any) optim.Optimizer { return optim.NewSGD(nn.Params(m), optim.SGD{LR: 0.1, Momentum: 0.9}) },
			train.AMPOptions{Scale: 1024, Growth: 4, Backoff: 0.25, Interval: 3}},
		"adamw clipped": {adamw, train.AMPOptions{ClipNorm: 1, Interval: 7}},
		"default":       {adamw, train.AMPOptions{}},
	} {
		want := readAMP(t).Scaler[name]
		for _, dev := range []backend.Device{newDevice(t), plainDevice{newDevice(t)}} {
			t.Run(fmt.Sprintf("%s on %T", name, dev), func(t *testing.T) {
				m := &struct{ W, B *tensor.Tensor }{
					tensor.Parameter(tensor.Linspace(dev, tensor.Float32, -1, 1, 12).Reshape(3, 4)),
					tensor.Parameter(tensor.Zeros(dev, tensor.Float32, 4)),
				}
				c.o.DType = tensor.Float16
				amp := train.NewAMP(c.opt(m), c.o)
				for i, grads := range want.Grads {
					s := tensor.NewScope(dev, tensor.ScopeOptions{})
					amp.Use(s)
					gw, gb := tensor.Of(s, numbers(t, grads[0]), 3, 4), tensor.Of(s, numbers(t, grads[1]))
					check(t, train.Step(amp, func() (*tensor.Tensor, train.Keep) {
						return m.W.Mul(gw).Sum().Add(m.B.Mul(gb).Sum()), nil
					}))
					s.Close()
					if got := amp.Scale(); got != want.Scales[i] {
						t.Fatalf("after step %d the scale is %v, PyTorch's %v", i, got, want.Scales[i])
					}
					for name, v := range amp.State() {
						if name == "amp.growth_tracker" && v.Item() != want.Trackers[i] {
							t.Fatalf("after step %d the growth tracker is %v, PyTorch's %v", i, v.Item(), want.Trackers[i])
						}
					}
					closeTo(t, fmt.Sprintf("w after step %d", i), m.W, want.W[i], 2e-5)
					closeTo(t, fmt.Sprintf("b after step %d", i), m.B, want.B[i], 2e-5)
				}
				made := int64(0) // the tracker is 0 after a step that grows the scale, and after one that is skipped
				for i, s := range want.Scales {
					if want.Trackers[i] != 0 || i > 0 && s > want.Scales[i-1] {
						made++
					}
				}
				for name, n := range amp.Steps() {
					if n != made {
						t.Errorf("%s has made %d steps, not %d of %d", name, n, made, len(want.Scales))
					}
				}
			})
		}
	}
}

func numbers(t *testing.T, text []string) []float32 {
	v := make([]float32, len(text))
	for i, s := range text {
		f, err := strconv.ParseFloat(s, 64)
		check(t, err)
		v[i] = float32(f)
	}
	return v
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func closeTo(t *testing.T, what string, x *tensor.Tensor, want []float64, tol float64) {
	t.Helper()
	for i, v := range tensor.Values[float32](x) {
		if !(math.Abs(float64(v)-want[i]) <= tol*(1+math.Abs(want[i]))) {
			t.Fatalf("%s: element %d is %v, PyTorch's %v", what, i, v, want[i])
		}
	}
}

// perceptron is amp.py's.
type perceptron struct {
	L0, L2, L4 *nn.Linear
}

func (m *perceptron) Forward(x *tensor.Tensor) *tensor.Tensor {
	return m.L4.Forward(m.L2.Forward(m.L0.Forward(x).ReLU()).GELU())
}

func TestMixedPrecisionTrainsAsPyTorchsDoes(t *testing.T) {
	g := readAMP(t)
	start := g.Curve["float32"]
	for name, dt := range map[string]tensor.DType{"float32": tensor.Float32, "bfloat16": tensor.BFloat16, "float16": tensor.Float16} {
		dev, rng := newDevice(t), random.New(1)
		linear := func(in, out int) *nn.Linear { return nn.NewLinear(rng, in, out, nn.LinearOptions{Device: dev}) }
		m := &perceptron{linear(16, 32), linear(32, 32), linear(32, 5)}
		for i, l := range []*nn.Linear{m.L0, m.L2, m.L4} {
			l.Weight.Assign(tensor.Of(dev, start.Start[fmt.Sprint(2*i, ".weight")], l.Weight.Shape()...))
			l.Bias.Assign(tensor.Of(dev, start.Start[fmt.Sprint(2*i, ".bias")]))
		}
		opt := optim.NewAdamW(nn.Params(m), optim.AdamW{LR: 0.01})
		var amp *train.AMP
		if dt != tensor.Float32 {
			amp = train.NewAMP(opt, train.AMPOptions{DType: dt})
			opt = amp
		}
		for i, want := range g.Curve[name].Losses {
			s := tensor.NewScope(dev, tensor.ScopeOptions{Train: true})
			if amp != nil {
				amp.Use(s)
			}
			var loss *tensor.Tensor
			check(t, train.Step(opt, func() (*tensor.Tensor, train.Keep) {
				logits := m.Forward(tensor.Of(s, start.X, 64, 16))
				if logits.DType() != dt {
					t.Fatalf("the logits are %v, not %v", logits.DType(), dt)
				}
				loss = nn.CrossEntropy(logits, tensor.Of(s, start.Y))
				return loss, nil
			}))
			// A rounding that goes the other way in a half type grows over the steps.
			tol := map[tensor.DType]float64{tensor.Float32: 1e-4, tensor.BFloat16: 0.03, tensor.Float16: 0.004}[dt]
			if got := loss.Item(); loss.DType() != tensor.Float32 || !(math.Abs(got-want) <= tol*want+1e-5) {
				t.Fatalf("%s: the loss of step %d is %v, PyTorch's %v", name, i, got, want)
			}
			s.Close()
		}
	}
}

// TestAMPWaitsForNothing trains with a loss scale and clipping on a device that lists
// its calls.
func TestAMPWaitsForNothing(t *testing.T) {
	for _, o := range []train.AMPOptions{
		{DType: tensor.Float16}, {DType: tensor.Float16, ClipNorm: 1}, {DType: tensor.BFloat16}, {DType: tensor.BFloat16, ClipNorm: 1},
	} {
		dev := null.Record(null.New())
		model := models.NewMNISTCNN(random.New(1))
		nn.To(dev, model)
		amp := train.NewAMP(optim.NewAdamW(nn.Params(model), optim.AdamW{}), o)
		for range 3 {
			s := tensor.NewScope(dev, tensor.ScopeOptions{Train: true, Rand: random.New(2)})
			x, y := tensor.Zeros(s, tensor.Float32, 8, 1, 28, 28), tensor.Zeros(s, tensor.Int64, 8)
			dev.Reset()
			amp.Use(s)
			check(t, train.Step(amp, func() (*tensor.Tensor, train.Keep) { return nn.CrossEntropy(model.Forward(x), y), nil }))
			s.Close()
		}
		t.Logf("%+v:\n%s", o, dev.Listing())
		low := 0
		for _, c := range dev.Calls() {
			if c.Synchronises() {
				t.Errorf("%+v: a step waits in %s", o, c.Method)
			}
			if (c.Method == "Conv" || c.Method == "MatMul") && c.Out[0].DType == o.DType {
				low++
			} else if c.Method == "Conv" || c.Method == "MatMul" {
				t.Errorf("%+v: a product is %v", o, c.Out[0].DType)
			}
		}
		if low < 8 {
			t.Errorf("%+v: %d products", o, low)
		}
	}
}

// TestCapturedAMPGivesTheBitsOfSteps replays steps with a scale that overflows at
// first, and again and again as it grows. Steps, which a checkpoint asks for on the
// way, changes nothing, and neither does SetState with the state as it is.
func TestCapturedAMPGivesTheBitsOfSteps(t *testing.T) {
	run := func(capture bool, every int) (map[string][]float32, float64, map[string]int64) {
		dev := newDevice(t)
		m := newMLP(dev, 1, 2, 16, 3, 0.2)
		amp := train.NewAMP(optim.NewAdamW(nn.Params(m), optim.AdamW{LR: 0.01}),
			train.AMPOptions{DType: tensor.Float16, Scale: 1 << 24, Interval: 4, ClipNorm: 0.5})
		loader := data.NewLoader(clusters(120, 3), data.Stack(2), dev, data.LoaderOptions{BatchSize: 12, Seed: 5})
		_, err := train.Fit(context.Background(), loader, amp, func(b data.Batch) (*tensor.Tensor, train.Metrics) {
			return nn.CrossEntropy(m.Forward(b.X), b.Y), nil
		}, train.FitOptions[data.Batch]{Epochs: 3, Capture: capture, CheckpointEvery: every, Checkpoint: func() error {
			steps := amp.Steps()
			if every < 7 {
				return nil
			}
			return amp.SetState(maps.Collect(amp.State()), steps)
		}})
		check(t, err)
		return bits(m), amp.Scale(), amp.Steps()
	}
	b, scale, steps := run(false, 0)
	for _, capture := range []bool{false, true} {
		for _, every := range []int{0, 1, 3, 7} {
			cb, cscale, csteps := run(capture, every)
			if !same(b, cb) || scale != cscale || fmt.Sprint(steps) != fmt.Sprint(csteps) {
				t.Errorf("captured %v, steps asked for every %d: scale %v and steps %v, else %v and %v, the same bits: %v",
					capture, every, cscale, csteps, scale, steps, same(b, cb))
			}
		}
	}
	for name, n := range steps {
		if n == 0 || n >= 30 {
			t.Errorf("%s has made %d of 30 steps: some were to be skipped", name, n)
		}
	}
}

func TestTheStateOfAMPIsSaved(t *testing.T) {
	type trainer struct {
		m   *mlp
		amp *train.AMP
	}
	dev := newDevice(t)
	open := func(seed uint64) trainer {
		m := newMLP(dev, seed, 2, 8, 3, 0)
		return trainer{m, train.NewAMP(optim.NewAdamW(nn.Params(m), optim.AdamW{LR: 0.01}), train.AMPOptions{DType: tensor.Float16, Scale: 1 << 30, Interval: 3})}
	}
	step := func(tr trainer, n int) {
		for i := range n {
			s := tensor.NewScope(dev, tensor.ScopeOptions{Train: true})
			tr.amp.Use(s)
			x := tensor.RandN(s, random.New(uint64(i)), tensor.Float32, 6, 2)
			check(t, train.Step(tr.amp, func() (*tensor.Tensor, train.Keep) { return tr.m.Forward(x).Square().Mean(), nil }))
			s.Close()
		}
	}
	whole, half := open(1), open(1)
	step(whole, 9)
	step(half, 9)
	file := filepath.Join(t.TempDir(), "training.safetensors")
	check(t, (&serialize.Checkpoint{Model: half.m, Optimizer: half.amp}).Save(file))
	again := open(2)
	check(t, (&serialize.Checkpoint{Model: again.m, Optimizer: again.amp}).Load(file))
	step(whole, 7)
	step(again, 7)
	if !same(bits(whole.m), bits(again.m)) || whole.amp.Scale() != again.amp.Scale() {
		t.Errorf("a training that a file has brought back ends with scale %v, not %v, and the same bits: %v",
			again.amp.Scale(), whole.amp.Scale(), same(bits(whole.m), bits(again.m)))
	}
	if whole.amp.Scale() >= 1<<30 {
		t.Errorf("the scale is still %v: nothing overflowed", whole.amp.Scale())
	}
}

// TestParametersThatSkipDifferentStepsCountTheirOwn gives one of two parameters no
// gradient in a step that overflows.
func TestParametersThatSkipDifferentStepsCountTheirOwn(t *testing.T) {
	dev := newDevice(t)
	m := &struct{ A, B *tensor.Tensor }{tensor.Parameter(tensor.Ones(dev, tensor.Float32, 2)), tensor.Parameter(tensor.Ones(dev, tensor.Float32, 2))}
	amp := train.NewAMP(optim.NewAdamW(nn.Params(m), optim.AdamW{}), train.AMPOptions{DType: tensor.Float16})
	step := func(factor float64, ps ...*tensor.Tensor) {
		s := tensor.NewScope(dev, tensor.ScopeOptions{})
		defer s.Close()
		amp.Use(s)
		check(t, train.Step(amp, func() (*tensor.Tensor, train.Keep) {
			loss := tensor.Zeros(s, tensor.Float32)
			for _, p := range ps {
				loss = loss.Add(s.Use(p).Sum().MulScalar(factor))
			}
			return loss, nil
		}))
	}
	step(1, m.A, m.B)
	step(math.Inf(1), m.A)
	step(1, m.A, m.B)
	step(math.Inf(1), m.A, m.B)
	step(1, m.B)
	if got := amp.Steps(); got["a"] != 2 || got["b"] != 3 {
		t.Errorf("they have made %v steps, not 2 and 3", got)
	}
}

func TestMistakesWithAMP(t *testing.T) {
	m := newMLP(newDevice(t), 1, 2, 4, 2, 0)
	for name, fn := range map[string]func(){
		"BFloat16 or Float16": func() { train.NewAMP(sgd(m, 0.1), train.AMPOptions{}) },
		"no optim.Scaled":     func() { train.NewAMP(nil, train.AMPOptions{DType: tensor.BFloat16}) },
		"out of range":        func() { train.NewAMP(sgd(m, 0.1), train.AMPOptions{DType: tensor.Float16, Backoff: 2}) },
		"no scope":            func() { train.NewAMP(sgd(m, 0.1), train.AMPOptions{DType: tensor.Float16}).Use(nil) },
	} {
		if msg := caught(t, fn); !strings.Contains(msg, name) {
			t.Errorf("%q is not said: %s", name, msg)
		}
	}
	amp := train.NewAMP(sgd(m, 0.1), train.AMPOptions{DType: tensor.Float16})
	bad := tensor.Full(newDevice(t), tensor.Float32, math.NaN())
	if err := amp.SetState(map[string]*tensor.Tensor{"amp.scale": bad, "amp.growth_tracker": bad}, nil); err == nil {
		t.Error("a scale of NaN was taken")
	}
}

// TestACheckpointComputesAgainInTheSameTypes compares gradients with those without
// one.
func TestACheckpointComputesAgainInTheSameTypes(t *testing.T) {
	grads := func(checkpoint bool) [][]float32 {
		dev := newDevice(t)
		m := newMLP(dev, 1, 6, 8, 4, 0)
		s := tensor.NewScope(dev, tensor.ScopeOptions{Train: true})
		defer s.Close()
		s.SetAutocast(tensor.BFloat16, nil)
		x := tensor.RandN(s, random.New(2), tensor.Float32, 5, 6).RequireGrad()
		forward := func(in []*tensor.Tensor) []*tensor.Tensor { return []*tensor.Tensor{m.Forward(in[0]).Softmax(1)} }
		ys := forward
		if checkpoint {
			ys = func(in []*tensor.Tensor) []*tensor.Tensor { return autograd.Checkpoint(forward, in...) }
		}
		y := ys([]*tensor.Tensor{x})[0]
		y.Square().Sum().Backward()
		out := [][]float32{tensor.Values[float32](x.Grad())}
		for _, p := range nn.Params(m) {
			out = append(out, tensor.Values[float32](p.Grad()))
		}
		return out
	}
	if a, b := grads(false), grads(true); !slices.EqualFunc(a, b, slices.Equal[[]float32]) {
		t.Errorf("with a checkpoint the gradients are %v, not %v", b, a)
	}
}
