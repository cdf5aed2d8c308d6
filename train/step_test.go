package train_test

import (
	"context"
	"errors"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/descent-ml/descent/data"
	"github.com/descent-ml/descent/nn"
	"github.com/descent-ml/descent/optim"
	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/tensor"
	"github.com/descent-ml/descent/train"
)

func TestStepIsPyTorchsLoop(t *testing.T) {
	dev := newDevice(t)
	a, b := newMLP(dev, 1, 3, 8, 2, 0.5), newMLP(dev, 1, 3, 8, 2, 0.5)
	adamA := optim.NewAdamW(nn.Params(a), optim.AdamW{LR: 0.01})
	adamB := optim.NewAdamW(nn.Params(b), optim.AdamW{LR: 0.01})
	for range 2 { // the scopes of a second loop have the same randomness
		for _, m := range []*mlp{a, b} {
			for s, err := range train.Steps(t.Context(), dev, 5, train.StepsOptions{Seed: 7}) {
				if err != nil {
					t.Fatal(err)
				}
				x := tensor.RandN(s, s.Rand(), tensor.Float32, 4, 3)
				y := tensor.RandN(s, s.Rand(), tensor.Float32, 4, 2)
				if m == a {
					if err := train.Step(adamA, func() (*tensor.Tensor, train.Keep) { return nn.MSE(a.Forward(x), y), nil }); err != nil {
						t.Fatal(err)
					}
					continue
				}
				loss := nn.MSE(b.Forward(x), y)
				adamB.ZeroGrad()
				loss.Backward()
				adamB.Step()
			}
		}
	}
	if !same(bits(a), bits(b)) {
		t.Error("the parameters differ")
	}
	if same(bits(a), bits(newMLP(dev, 1, 3, 8, 2, 0.5))) {
		t.Error("nothing was learned")
	}
}

func TestStepKeepsTheLossAndWhatItIsToldTo(t *testing.T) {
	dev := newDevice(t)
	m := newMLP(dev, 1, 3, 8, 2, 0)
	s := tensor.NewScope(dev, tensor.ScopeOptions{Train: true})
	defer s.Close()
	x := tensor.Ones(s, tensor.Float32, 4, 3)
	var loss, hidden, logits *tensor.Tensor
	err := train.Step(sgd(m, 0.1), func() (*tensor.Tensor, train.Keep) {
		hidden = m.FC1.Forward(x).ReLU()
		logits = m.FC2.Forward(hidden)
		loss = logits.Square().Mean()
		return loss, train.Keep{logits}
	})
	if err != nil {
		t.Fatal(err)
	}
	var sum float64
	for _, v := range tensor.Values[float32](logits) {
		sum += float64(v) * float64(v)
	}
	if got, want := loss.Item(), sum/8; math.Abs(got-want) > 1e-6*want {
		t.Errorf("the loss is %v, of the logits it is %v", got, want)
	}
	x.Neg() // no result: stays
	if msg := caught(t, func() { hidden.Neg() }); !strings.Contains(msg, "return it as one of the tensors to keep") {
		t.Errorf("a result on the way, used after Step: %s", msg)
	}
}

func TestStepTakesLessMemoryThanBackward(t *testing.T) {
	dev := newDevice(t)
	deep := func(x *tensor.Tensor, w *tensor.Tensor) *tensor.Tensor {
		for range 12 {
			x = x.MatMul(w).Tanh()
		}
		return x.Mean()
	}
	w := tensor.Parameter(tensor.RandN(dev, random.New(1), tensor.Float32, 64, 64))
	opt := optim.NewSGD(func(yield func(string, *tensor.Tensor) bool) { yield("w", w) }, optim.SGD{})
	peak := func(step func(x *tensor.Tensor)) int64 {
		for s := range train.Steps(t.Context(), dev, 2, train.StepsOptions{}) {
			dev.ResetPeak()
			step(tensor.Ones(s, tensor.Float32, 256, 64))
		}
		return dev.MemoryStats().Peak
	}
	bare := peak(func(x *tensor.Tensor) {
		loss := deep(x, w)
		opt.ZeroGrad()
		loss.Backward()
		opt.Step()
	})
	spent := peak(func(x *tensor.Tensor) {
		if err := train.Step(opt, func() (*tensor.Tensor, train.Keep) { return deep(x, w), nil }); err != nil {
			t.Fatal(err)
		}
	})
	t.Logf("peak: %d bytes with Backward, %d with Step", bare, spent)
	if spent >= bare {
		t.Errorf("Step peaks at %d bytes, Backward at %d", spent, bare)
	}
}

func TestMistakesComeOutOfStepAsErrors(t *testing.T) {
	dev := newDevice(t)
	m := newMLP(dev, 1, 3, 8, 2, 0)
	opt := sgd(m, 0.1)
	before := bits(m)
	s := tensor.NewScope(dev, tensor.ScopeOptions{Train: true})
	defer s.Close()
	for want, fn := range map[string]func() (*tensor.Tensor, train.Keep){
		"[4 5]": func() (*tensor.Tensor, train.Keep) {
			return m.Forward(tensor.Ones(s, tensor.Float32, 4, 5)).Mean(), nil
		},
		"no loss":             func() (*tensor.Tensor, train.Keep) { return nil, nil },
		"sum or average":      func() (*tensor.Tensor, train.Keep) { return m.Forward(tensor.Ones(s, tensor.Float32, 4, 3)), nil },
		"depends on no param": func() (*tensor.Tensor, train.Keep) { return tensor.Ones(s, tensor.Float32), nil },
		"the loss is NaN": train.Finite(func() (*tensor.Tensor, train.Keep) {
			return m.Forward(tensor.Full(s, tensor.Float32, math.NaN(), 4, 3)).Mean(), nil
		}),
		"the loss is +Inf": train.Finite(func() (*tensor.Tensor, train.Keep) {
			return m.Forward(tensor.Ones(s, tensor.Float32, 4, 3)).Mean().AddScalar(math.Inf(1)), nil
		}),
	} {
		if err := train.Step(opt, fn); !isTensorError(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want one with %q", err, want)
		}
	}
	if !same(bits(m), before) {
		t.Error("a step that failed changed the parameters")
	}
	if err := train.Step(opt, train.Finite(func() (*tensor.Tensor, train.Keep) {
		return m.Forward(tensor.Ones(s, tensor.Float32, 4, 3)).Mean(), nil
	})); err != nil {
		t.Error(err)
	}
}

func TestOtherPanicsGoThroughStep(t *testing.T) {
	dev := newDevice(t)
	m := newMLP(dev, 1, 3, 8, 2, 0)
	defer func() {
		if r := recover(); r != "mine" {
			t.Errorf("recovered %v", r)
		}
	}()
	_ = train.Step(sgd(m, 0.1), func() (*tensor.Tensor, train.Keep) { panic("mine") })
}

func TestTwoMicroBatchesInTwoIterationsMakeTheGradientsOfOneBatch(t *testing.T) {
	dev := newDevice(t)
	rng := random.New(3)
	m := newMLP(dev, 1, 3, 8, 2, 0)
	nn.Cast(tensor.Float64, m)
	samples := make(data.Slice[[]float64], 8)
	for i := range samples {
		samples[i] = tensor.Values[float64](tensor.RandN(dev, rng, tensor.Float64, 5))
	}
	collate := func(p tensor.Place, s [][]float64) (data.Batch, error) {
		xy := tensor.Of(p, slices.Concat(s...), len(s), 5)
		return data.Batch{X: xy.Narrow(1, 0, 3), Y: xy.Narrow(1, 3, 2)}, nil
	}
	gradients := func(batch int) map[string][]float64 {
		nn.ZeroGrad(m)
		l := data.NewLoader(samples, collate, dev, data.LoaderOptions{BatchSize: batch})
		for b, err := range l.Batches(t.Context(), 0) {
			if err != nil {
				t.Fatal(err)
			}
			err := train.Accumulate(1/float64(l.Len()), func() (*tensor.Tensor, train.Keep) { return nn.MSE(m.Forward(b.X), b.Y), nil })
			if err != nil {
				t.Fatal(err)
			}
		}
		g := map[string][]float64{}
		for name, p := range nn.Params(m) {
			g[name] = tensor.Values[float64](p.Grad())
		}
		return g
	}
	whole, halves := gradients(8), gradients(4)
	for name, want := range whole {
		for i, w := range want {
			if got := halves[name][i]; math.Abs(got-w) > 1e-14 {
				t.Errorf("gradient of %s[%d] is %v, of the whole batch %v", name, i, got, w)
			}
		}
	}
}

// Each player's step moves its own parameters only, and what the generator's loss
// leaves in the discriminator's gradients does not reach the discriminator.
func TestGANStep(t *testing.T) {
	dev := newDevice(t)
	run := func(clear bool) (g, d map[string][]float32) {
		G, D := newMLP(dev, 1, 2, 32, 1, 0), newMLP(dev, 2, 1, 32, 1, 0)
		optG, optD := sgd(G, 0.01), sgd(D, 0.01)
		score := func(x *tensor.Tensor, want float64) *tensor.Tensor {
			y := D.Forward(x)
			return nn.MSE(y, tensor.FullLike(y, want))
		}
		for s, err := range train.Steps(t.Context(), dev, 6, train.StepsOptions{Seed: 5}) {
			if err != nil {
				t.Fatal(err)
			}
			g, d = bits(G), bits(D)
			real := tensor.RandN(s, s.Rand(), tensor.Float32, 16, 1).AddScalar(3)
			fake := G.Forward(tensor.RandN(s, s.Rand(), tensor.Float32, 16, 2)) // both steps use it
			err := train.Step(optD, func() (*tensor.Tensor, train.Keep) {
				return score(real, 1).Add(score(fake.Detach(), 0)), nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if same(d, bits(D)) || !same(g, bits(G)) {
				t.Fatal("the discriminator's step must move it, and not the generator")
			}
			d = bits(D)
			err = train.Step(optG, func() (*tensor.Tensor, train.Keep) { return score(fake, 1), nil })
			if err != nil {
				t.Fatal(err)
			}
			if same(g, bits(G)) || !same(d, bits(D)) {
				t.Fatal("the generator's step must move it, and not the discriminator")
			}
			if clear {
				optD.ZeroGrad()
			}
		}
		g, d = bits(G), bits(D)
		nn.Release(G)
		nn.Release(D)
		return g, d
	}
	g1, d1 := run(true)
	g2, d2 := run(false)
	if !same(g1, g2) || !same(d1, d2) {
		t.Error("the generator's loss leaks into the discriminator's update")
	}
	if n := live(dev); n != 0 {
		t.Errorf("%d bytes are live after the models are released", n)
	}
}

// A batch norm that is frozen inside a training step uses its running statistics
// and keeps them; gradients pass through it to the layers before.
func TestFrozenBatchNorm(t *testing.T) {
	dev := newDevice(t)
	rng := random.New(1)
	m := &struct {
		FC1, FC2 *nn.Linear
		Norm     *nn.BatchNorm1d
	}{nn.NewLinear(rng, 3, 6, nn.LinearOptions{Device: dev}), nn.NewLinear(rng, 6, 2, nn.LinearOptions{Device: dev}),
		nn.NewBatchNorm1d(6, nn.BatchNormOptions{Device: dev})}
	opt := optim.NewAdamW(nn.Params(m), optim.AdamW{LR: 0.01})
	steps := func(check func(s *tensor.Scope, hidden, normed *tensor.Tensor)) {
		for s, err := range train.Steps(t.Context(), dev, 3, train.StepsOptions{Seed: 1}) {
			if err != nil {
				t.Fatal(err)
			}
			x := tensor.RandN(s, s.Rand(), tensor.Float32, 8, 3)
			var hidden, normed *tensor.Tensor
			err := train.Step(opt, func() (*tensor.Tensor, train.Keep) {
				hidden = m.FC1.Forward(x)
				normed = m.Norm.Forward(hidden)
				return m.FC2.Forward(normed).Square().Mean(), train.Keep{hidden, normed}
			})
			if err != nil {
				t.Fatal(err)
			}
			check(s, hidden, normed)
		}
	}
	before := bits(m.Norm)
	steps(func(*tensor.Scope, *tensor.Tensor, *tensor.Tensor) {})
	trained := bits(m.Norm)
	for name := range before {
		if name != "num_batches_tracked" && slices.Equal(before[name], trained[name]) {
			t.Errorf("training does not move %s", name)
		}
	}
	nn.Eval(m.Norm)
	nn.Freeze(m.Norm)
	opt.ZeroGrad()
	mean, variance := trained["running_mean"], trained["running_var"]
	weight, bias := trained["weight"], trained["bias"]
	first := bits(m.FC1)
	steps(func(s *tensor.Scope, hidden, normed *tensor.Tensor) {
		if !s.Mode().Train {
			t.Fatal("this is no training step")
		}
		h, got := tensor.Values[float32](hidden), tensor.Values[float32](normed)
		for i, v := range h {
			c := i % 6
			want := (float64(v)-float64(mean[c]))/math.Sqrt(float64(variance[c])+1e-5)*float64(weight[c]) + float64(bias[c])
			if math.Abs(float64(got[i])-want) > 1e-5 {
				t.Fatalf("element %d is %v, of the running statistics %v", i, got[i], want)
			}
		}
	})
	if !same(bits(m.Norm), trained) {
		t.Errorf("a frozen batch norm went from %v to %v", trained, bits(m.Norm))
	}
	if same(bits(m.FC1), first) {
		t.Error("no gradient passed through the batch norm")
	}
}

// A teacher and a student see batches of two loaders in one scope.
func TestDistillationFromTwoLoaders(t *testing.T) {
	dev := newDevice(t)
	labelled := data.NewLoader(clusters(60, 1), data.Stack(2), dev, data.LoaderOptions{BatchSize: 6, Shuffle: true, Seed: 1, Workers: 2})
	unlabelled := data.NewLoader(clusters(200, 2), data.Stack(2), dev, data.LoaderOptions{BatchSize: 12, Shuffle: true, Seed: 2})
	teacher, student := newMLP(dev, 1, 2, 16, 3, 0.5), newMLP(dev, 2, 2, 4, 3, 0)
	nn.Eval(teacher)
	nn.Freeze(teacher)
	before := bits(teacher)
	opt := sgd(student, 0.5)
	var first, last float64
	var base int64
	for epoch := range 3 {
		for p, err := range data.Zip(labelled, unlabelled).Batches(t.Context(), epoch) {
			if err != nil {
				t.Fatal(err)
			}
			var loss *tensor.Tensor
			err := train.Step(opt, func() (*tensor.Tensor, train.Keep) {
				x := tensor.Cat([]*tensor.Tensor{p.First.X, p.Second.X}, 0) // mixes tensors of both loaders
				loss = nn.MSE(student.Forward(x), teacher.Forward(x))
				return loss, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if last = loss.Item(); first == 0 {
				first = last
			}
		}
		if epoch == 0 {
			base = live(dev)
		} else if now := live(dev); now != base {
			t.Errorf("%d bytes are live after epoch %d, %d after the first", now, epoch, base)
		}
	}
	if !same(before, bits(teacher)) {
		t.Error("the teacher has changed")
	}
	for name, p := range nn.Params(teacher) {
		if p.Grad() != nil {
			t.Errorf("the teacher's %s has a gradient", name)
		}
	}
	if !(last < first/2) {
		t.Errorf("the student's loss went from %v to %v", first, last)
	}

	// Batches of two separate loops do not mix, and the message says what to do.
	for a := range labelled.Batches(t.Context(), 0) {
		for b := range unlabelled.Batches(t.Context(), 0) {
			err := train.Step(opt, func() (*tensor.Tensor, train.Keep) {
				return nn.MSE(student.Forward(a.X), teacher.Forward(b.X.Narrow(0, 0, 6))), nil
			})
			if !isTensorError(err) || !strings.Contains(err.Error(), "data.Zip") {
				t.Errorf("got error %v", err)
			}
			break
		}
		break
	}
}

// A loop that is left by break or panic frees all of its step at once.
func TestALoopLeftInTheMiddleGivesItsMemoryBack(t *testing.T) {
	dev := newDevice(t)
	m := newMLP(dev, 1, 2, 16, 3, 0.5)
	opt := optim.NewAdam(nn.Params(m), optim.Adam{})
	step := func(b data.Batch) *tensor.Tensor {
		loss := m.Forward(b.X).Square().Mean()
		opt.ZeroGrad()
		loss.Backward()
		opt.Step()
		return loss
	}
	boom := errors.New("boom")
	for _, workers := range []int{0, 2} {
		l := data.NewLoader(clusters(60, 1), data.Stack(2), dev, data.LoaderOptions{BatchSize: 6, Workers: workers})
		for b := range l.Batches(t.Context(), 0) {
			step(b)
		}
		base := live(dev)
		var scope *tensor.Scope
		var loss *tensor.Tensor
		check := func(how string) {
			t.Helper()
			if now := live(dev); now != base || scope.Bytes() != 0 {
				t.Errorf("%d workers, %s: %d bytes are live, %d before; %v", workers, how, now, base, scope)
			}
			if msg := caught(t, func() { loss.Item() }); !strings.Contains(msg, "used after its scope closed; tensor.Keep") {
				t.Errorf("the loss after the loop: %s", msg)
			}
		}
		for b := range l.Batches(t.Context(), 1) {
			scope, loss = b.Scope(), step(b)
			break
		}
		check("break")
		func() {
			defer func() {
				if r := recover(); r != boom {
					t.Errorf("recovered %v", r)
				}
			}()
			for b := range l.Batches(t.Context(), 1) {
				scope, loss = b.Scope(), step(b)
				panic(boom)
			}
		}()
		check("panic")
		for s := range train.Steps(t.Context(), dev, 3, train.StepsOptions{}) {
			scope, loss = s, step(data.Batch{X: tensor.Ones(s, tensor.Float32, 6, 2)})
			break
		}
		check("break out of Steps")
	}
}

func TestTenThousandStepsLeaveMemoryFlat(t *testing.T) {
	steps := 10_000
	dev := newDevice(t)
	m := newMLP(dev, 1, 4, 8, 2, 0.1)
	opt := optim.NewAdamW(nn.Params(m), optim.AdamW{})
	run := func(n int) (device int64, heap uint64) {
		for s, err := range train.Steps(t.Context(), dev, n, train.StepsOptions{}) {
			if err != nil {
				t.Fatal(err)
			}
			x := tensor.RandN(s, s.Rand(), tensor.Float32, 4, 4)
			if err := train.Step(opt, func() (*tensor.Tensor, train.Keep) { return m.Forward(x).Square().Mean(), nil }); err != nil {
				t.Fatal(err)
			}
		}
		runtime.GC()
		runtime.GC() // what has a cleanup goes with the second
		var mem runtime.MemStats
		runtime.ReadMemStats(&mem)
		return live(dev), mem.HeapAlloc
	}
	device0, heap0 := run(steps / 10)
	t.Logf("resident: %s", resident())
	reserved0 := dev.MemoryStats().Reserved
	device1, heap1 := run(steps)
	reserved1 := dev.MemoryStats().Reserved
	t.Logf("resident: %s", resident())
	t.Logf("after %d and after %d more steps: device %d and %d bytes live, %d and %d reserved; heap %d and %d bytes",
		steps/10, steps, device0, device1, reserved0, reserved1, heap0, heap1)
	runtime.KeepAlive(m)
	runtime.KeepAlive(opt)
	if device1 != device0 || reserved1 != reserved0 {
		t.Errorf("the device's memory grew from %d (%d reserved) to %d (%d reserved)", device0, reserved0, device1, reserved1)
	}
	if grown := int64(heap1) - int64(heap0); grown > 64<<10 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
}

// resident is the process's memory as Linux counts it.
func resident() string {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return "unknown on this system"
	}
	_, rss, _ := strings.Cut(string(status), "VmRSS:")
	rss, _, _ = strings.Cut(rss, "\n")
	return strings.TrimSpace(rss)
}

func TestStepsAreScopesInTrainingModeWithTheRandomnessOfTheirNumber(t *testing.T) {
	dev := newDevice(t)
	draw := func(n int, o train.StepsOptions) (v []uint64) {
		var last *tensor.Scope
		for s, err := range train.Steps(t.Context(), dev, n, o) {
			if err != nil {
				t.Fatal(err)
			}
			if mode := s.Mode(); !mode.Train || mode.NoGrad {
				t.Errorf("mode %+v", mode)
			}
			v, last = append(v, s.Rand().Uint64()), s
			tensor.Ones(s, tensor.Float32, 100)
		}
		if live(dev) != 0 {
			t.Errorf("%v stays open", last)
		}
		return v
	}
	all := draw(5, train.StepsOptions{Seed: 1})
	if len(all) != 5 || !slices.Equal(draw(3, train.StepsOptions{Seed: 1, First: 2}), all[2:]) {
		t.Error("steps 2 to 4 are other ones when they come first")
	}
	if slices.Equal(draw(5, train.StepsOptions{Seed: 2}), all) || all[0] == all[1] {
		t.Error("another seed or step has the same randomness")
	}
}

func TestStepsEndWithTheErrorOfTheContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	why := errors.New("enough")
	n := 0
	for _, err := range train.Steps(ctx, newDevice(t), 10, train.StepsOptions{}) {
		if n++; n == 3 {
			cancel(why)
		}
		if (err != nil) != (n == 4) || err != nil && err != why {
			t.Errorf("element %d has error %v", n, err)
		}
	}
	if n != 4 {
		t.Errorf("%d elements", n)
	}
	for _, err := range train.Steps(t.Context(), newDevice(t), -1, train.StepsOptions{}) {
		if err == nil {
			t.Error("-1 steps")
		}
	}
}
