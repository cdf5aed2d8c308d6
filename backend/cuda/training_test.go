package cuda_test

import (
	"math"
	"testing"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cpu"
	"github.com/descent-ml/descent/data"
	"github.com/descent-ml/descent/data/datasets"
	mnistdata "github.com/descent-ml/descent/examples/mnist/data"
	"github.com/descent-ml/descent/internal/gputest"
	"github.com/descent-ml/descent/models"
	"github.com/descent-ml/descent/nn"
	"github.com/descent-ml/descent/optim"
	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/tensor"
	"github.com/descent-ml/descent/train"
)

// course is a training on the first digits of MNIST.
type course struct {
	model func(*random.Generator) nn.Module
	batch int
	steps int
}

var courses = map[string]course{
	"MLP": {func(g *random.Generator) nn.Module { return models.NewMNISTMLP(g) }, 50, 60},
	"CNN": {func(g *random.Generator) nn.Module { return models.NewMNISTCNN(g) }, 8, 8},
}

// learned is what a training leaves: the losses, and the share of 500 other digits
// that are told right.
type learned struct {
	losses   []float64
	accuracy float64
}

func (c course) train(t *testing.T, dev backend.Device, capture bool) (l learned) {
	t.Helper()
	digits, _, err := datasets.MNIST(mnistdata.Files)
	if err != nil {
		t.Fatal(err)
	}
	m := c.model(random.New(1))
	nn.To(dev, m)
	defer nn.Release(m)
	opt := optim.NewAdamW(nn.Params(m), optim.AdamW{LR: 1e-3})
	fn := func(b data.Batch) (*tensor.Tensor, train.Keep) { return nn.CrossEntropy(m.Forward(b.X), b.Y), nil }
	step := train.Capture(opt, fn, train.CaptureOptions{})
	defer step.Release()
	loader := data.NewLoader(digits, digits.Collate, dev, data.LoaderOptions{BatchSize: c.batch, Shuffle: true, Seed: 1, Workers: 1})
	k := 0
	for b, err := range loader.Batches(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		var loss *tensor.Tensor
		if capture {
			loss, _, err = step.Step(b)
		} else {
			err = train.Step(opt, func() (*tensor.Tensor, train.Keep) {
				loss, _ = fn(b)
				return loss, nil
			})
		}
		if err != nil {
			t.Fatal(err)
		}
		l.losses = append(l.losses, loss.Item())
		if k++; k == c.steps {
			break
		}
	}
	if c.steps >= 50 {
		samples := make([]int, 500)
		for i := range samples {
			samples[i] = 50_000 + i
		}
		test := data.NewLoader(data.Subset(digits, samples), digits.Collate, dev, data.LoaderOptions{BatchSize: 250})
		v, err := train.Eval(t.Context(), test, func(b data.Batch) (*tensor.Tensor, train.Metrics) {
			y := m.Forward(b.X)
			return nn.CrossEntropy(y, b.Y), train.Metrics{"accuracy": train.Accuracy(y, b.Y)}
		})
		if err != nil {
			t.Fatal(err)
		}
		l.accuracy = v["accuracy"]
	}
	return l
}

// TestMNIST trains on the GPU, step by step and captured, as on the CPU: the curves
// lie on each other.
func TestMNIST(t *testing.T) {
	dev := gputest.Open(t)
	for name, c := range courses {
		t.Run(name, func(t *testing.T) {
			want := c.train(t, cpu.New(cpu.Options{}), false)
			got := c.train(t, dev, false)
			captured := c.train(t, dev, true)
			for i := range want.losses {
				// Rounding grows along the way.
				limit := 1e-5 * math.Pow(1.2, float64(i))
				if d := math.Abs(got.losses[i] - want.losses[i]); d > max(limit, 1e-5) && d > 0.02*want.losses[i] {
					t.Fatalf("step %d: loss %.6f, on the CPU %.6f", i, got.losses[i], want.losses[i])
				}
				if captured.losses[i] != got.losses[i] {
					t.Fatalf("step %d: loss %v, captured %v", i, got.losses[i], captured.losses[i])
				}
			}
			if first, last := got.losses[0], got.losses[len(got.losses)-1]; !(last < 0.9*first) {
				t.Errorf("the loss went from %.3f to %.3f", first, last)
			}
			if c.steps >= 50 && !(got.accuracy > 0.75 && math.Abs(got.accuracy-want.accuracy) < 0.02) {
				t.Errorf("%.1f%% are right, on the CPU %.1f%%", 100*got.accuracy, 100*want.accuracy)
			}
			t.Logf("loss from %.3f to %.3f, on the CPU to %.3f; accuracy %.3f and %.3f", got.losses[0],
				got.losses[len(got.losses)-1], want.losses[len(want.losses)-1], got.accuracy, want.accuracy)
		})
	}
}
