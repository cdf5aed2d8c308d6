package train_test

import (
	"context"
	"strings"
	"testing"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/data"
	"github.com/descent-ml/descent/nn"
	"github.com/descent-ml/descent/optim"
	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/tensor"
	"github.com/descent-ml/descent/train"
)

// normed has what a step may change besides parameters: running statistics.
type normed struct {
	Conv *nn.Conv2d
	BN   *nn.BatchNorm2d
	Drop *nn.Dropout
	FC   *nn.Linear
}

func newNormed(dev backend.Device, seed uint64) *normed {
	rng := random.New(seed)
	m := &normed{nn.NewConv2d(rng, 1, 4, 3, nn.Conv2dOptions{}), nn.NewBatchNorm2d(4, nn.BatchNormOptions{}), nn.NewDropout(0.3),
		nn.NewLinear(rng, 4*6*6, 3, nn.LinearOptions{})}
	nn.To(dev, m)
	return m
}

func (m *normed) Forward(x *tensor.Tensor) *tensor.Tensor {
	return m.FC.Forward(m.Drop.Forward(m.BN.Forward(m.Conv.Forward(x)).ReLU()).Flatten(1, -1))
}

// images are n noisy images of 3 classes.
func images(n int) data.Slice[data.Sample] {
	x := make([]float32, 64*n)
	random.Normal32(random.New(5).Reserve(len(x)), 0, x)
	s := make(data.Slice[data.Sample], n)
	for i := range s {
		s[i] = data.Sample{X: x[64*i : 64*(i+1)], Y: int64(i % 3)}
		s[i].X[i%3] += 5
	}
	return s
}

// TestCaptureGivesTheBitsOfStep trains twice over batches of two sizes, with dropout,
// running statistics and a learning rate that changes: the losses, the state and
// the number of steps are the same, and the function ran but for the first steps.
func TestCaptureGivesTheBitsOfStep(t *testing.T) {
	dev := newDevice(t)
	type trained struct {
		bits   map[string][]float32
		losses []float32
		steps  map[string]int64
	}
	calls := 0
	run := func(capture bool) (r trained) {
		m := newNormed(dev, 1)
		defer nn.Release(m)
		opt := optim.NewAdamW(nn.Params(m), optim.AdamW{LR: 0.01})
		loader := data.NewLoader(images(70), data.Stack(1, 8, 8), dev, data.LoaderOptions{BatchSize: 16, Shuffle: true, Seed: 3, Workers: 2})
		fn := func(b data.Batch) (*tensor.Tensor, train.Keep) {
			calls++
			logits := m.Forward(b.X)
			return nn.CrossEntropy(logits, b.Y), train.Keep{logits}
		}
		step := train.Capture(opt, fn, train.CaptureOptions{})
		defer step.Release()
		for epoch := range 6 {
			for b, err := range loader.Batches(context.Background(), epoch) {
				if err != nil {
					t.Fatal(err)
				}
				opt.Groups()[0].LR *= 0.97
				var loss *tensor.Tensor
				var keep train.Keep
				if capture {
					loss, keep, err = step.Step(b)
				} else {
					err = train.Step(opt, func() (*tensor.Tensor, train.Keep) {
						loss, keep = fn(b)
						return loss, keep
					})
				}
				if err != nil {
					t.Fatal(err)
				}
				if keep[0].Size(0) != b.Len() {
					t.Fatalf("logits of %d images for a batch of %d", keep[0].Size(0), b.Len())
				}
				r.losses = append(r.losses, float32(loss.Item()), tensor.Values[float32](keep[0])[1])
			}
		}
		r.bits, r.steps = bits(m), opt.Steps()
		return r
	}
	plain := run(false)
	calls = 0
	captured := run(true)
	if calls != 2*4 {
		t.Errorf("the function ran %d times for two shapes of batch, want 8", calls)
	}
	for i, v := range plain.losses {
		if captured.losses[i] != v {
			t.Fatalf("number %d: loss or logit %v, captured %v", i, v, captured.losses[i])
		}
	}
	if !same(plain.bits, captured.bits) {
		t.Error("the states differ")
	}
	for name, n := range plain.steps {
		if captured.steps[name] != n || n != 30 {
			t.Errorf("%s made %d steps, captured %d", name, n, captured.steps[name])
		}
	}
}

// steps runs fn as a captured step over batches of one shape until it fails.
func captureSteps(dev backend.Device, n int, opt optim.Optimizer, fn func(b data.Batch) (*tensor.Tensor, train.Keep)) error {
	step := train.Capture(opt, fn, train.CaptureOptions{})
	defer step.Release()
	for s, err := range train.Steps(context.Background(), dev, n, train.StepsOptions{}) {
		if err != nil {
			return err
		}
		b := data.Batch{X: tensor.Ones(s, tensor.Float32, 4, 2), Y: tensor.Zeros(s, tensor.Int64, 4)}
		if _, _, err := step.Step(b); err != nil {
			return err
		}
	}
	return nil
}

func TestCaptureNamesWhatItCannotReplay(t *testing.T) {
	dev := newDevice(t)
	for name, c := range map[string]struct {
		change func(k int, x *tensor.Tensor) *tensor.Tensor
		want   []string
	}{
		"scalar": {func(k int, x *tensor.Tensor) *tensor.Tensor { return x.MulScalar(float64(k)) },
			[]string{"Binary Mul[4 2]", "capture_test.go:", "went from {A:3 ", "to {A:4 "}},
		"shape": {func(k int, x *tensor.Tensor) *tensor.Tensor {
			return x.Add(tensor.Ones(x.Scope(), tensor.Float32, 1+k%2, 1).Sum())
		},
			[]string{"cannot be replayed", "Generate Fill[2 1]", "then Generate Fill[1 1]"}},
		"wait": {func(k int, x *tensor.Tensor) *tensor.Tensor { return x.MulScalar(x.Sum().Item()) },
			[]string{"nothing in a captured function may wait"}},
		"random": {func(k int, x *tensor.Tensor) *tensor.Tensor {
			return x.Add(tensor.Rand(x.Scope(), x.Scope().Rand().Split(), tensor.Float32, 4, 2))
		}, []string{"another generator"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMLP(dev, 1, 2, 5, 3, 0.5)
			defer nn.Release(m)
			before := dev.MemoryStats().Live
			opt := optim.NewSGD(nn.Params(m), optim.SGD{LR: 0.1})
			k := 0
			err := captureSteps(dev, 10, opt, func(b data.Batch) (*tensor.Tensor, train.Keep) {
				k++
				return nn.CrossEntropy(m.Forward(c.change(k, b.X)), b.Y), nil
			})
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q lacks %q", err, want)
				}
			}
			opt.ZeroGrad()
			grads := int64(0)
			for _, p := range nn.Params(m) {
				grads += int64(max(64, 4*p.NumEl()))
			}
			if after := dev.MemoryStats().Live; after > before+2*grads {
				t.Errorf("%d bytes are live after the failure, %d before", after, before)
			}
		})
	}
}

// TestCaptureIsFlatOverReplays holds replays not to take memory.
func TestCaptureIsFlatOverReplays(t *testing.T) {
	dev := newDevice(t)
	m := newMLP(dev, 1, 2, 5, 3, 0.5)
	defer nn.Release(m)
	opt := optim.NewSGD(nn.Params(m), optim.SGD{LR: 0.1, Momentum: 0.9})
	var live []int64
	err := captureSteps(dev, 2000, opt, func(b data.Batch) (*tensor.Tensor, train.Keep) {
		return nn.CrossEntropy(m.Forward(b.X), b.Y), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	step := train.Capture(opt, func(b data.Batch) (*tensor.Tensor, train.Keep) {
		return nn.CrossEntropy(m.Forward(b.X), b.Y), nil
	}, train.CaptureOptions{})
	for s, err := range train.Steps(context.Background(), dev, 1000, train.StepsOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		b := data.Batch{X: tensor.Ones(s, tensor.Float32, 4, 2), Y: tensor.Zeros(s, tensor.Int64, 4)}
		if _, _, err := step.Step(b); err != nil {
			t.Fatal(err)
		}
		live = append(live, dev.MemoryStats().Live)
	}
	if live[10] != live[999] {
		t.Errorf("%d bytes are live in step 10, %d in step 999", live[10], live[999])
	}
	step.Release()
	if end := dev.MemoryStats().Live; end >= live[999] {
		t.Errorf("Release leaves %d of %d bytes", end, live[999])
	}
}
