package main

import (
	"encoding/json"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/data"
	"github.com/descent-ml/descent/data/datasets"
	"github.com/descent-ml/descent/nn"
	"github.com/descent-ml/descent/optim"
	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/serialize"
	"github.com/descent-ml/descent/tensor"
	"github.com/descent-ml/descent/train"
)

const (
	batchSize = 32
	steps     = 21 // the initial loss, and those after 20 updates
)

// TestPyTorchOpensCheckpointsAndTrainsAlike: PyTorch loads what the example has
// saved with strict names, and computes the same logits of test images; from the
// same weights it has the same losses.
func TestPyTorchOpensCheckpointsAndTrainsAlike(t *testing.T) {
	python := os.Getenv("DESCENT_PYTHON")
	if python == "" {
		t.Skip("needs a Python with torch: run make test, or set DESCENT_PYTHON")
	}
	folder, small := t.TempDir(), small("", digits(t, 200, 20))
	names := []string{"cnn", "mlp"}
	for _, name := range names {
		o := small
		o.Model, o.Epochs, o.save = name, 1, filepath.Join(folder, name+".trained")
		if err := run(t.Context(), io.Discard, o); err != nil {
			t.Fatal(err)
		}
		if err := serialize.Save(filepath.Join(folder, name+".start"), build(t, name), nil); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command(python, "testdata/mnist.py", "data", folder, strconv.Itoa(batchSize), strconv.Itoa(steps)).CombinedOutput()
	if err != nil {
		t.Fatalf("mnist.py: %v\n%s", err, out)
	}
	var results map[string]struct{ Logits, SGD, AdamW []float64 }
	if err := json.Unmarshal(read(t, filepath.Join(folder, "results.json")), &results); err != nil {
		t.Fatal(err)
	}

	images, err := mnist()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		want := results[name]
		t.Run(name+"/logits", func(t *testing.T) {
			m := build(t, name)
			if err := serialize.Load(filepath.Join(folder, name+".trained"), m, serialize.LoadOptions{}); err != nil {
				t.Fatal(err)
			}
			got := logits(t, m, loader(t, images[1], 1000, 250))
			worst := 0.0
			for i, w := range want.Logits {
				worst = max(worst, math.Abs(got[i]-w))
			}
			if len(got) != len(want.Logits) || !(worst <= 1e-4) {
				t.Errorf("%d logits differ by %.2g from PyTorch's %d", len(got), worst, len(want.Logits))
			}
			t.Logf("1,000 images: the logits differ by at most %.2g", worst)
		})
		batches := loader(t, images[0], batchSize*steps, batchSize)
		t.Run(name+"/sgd", func(t *testing.T) {
			m := build(t, name)
			opt := optim.NewSGD(nn.Params(m), optim.SGD{LR: 0.01, Momentum: 0.9})
			compareLosses(t, losses(t, m, opt, batches), want.SGD)
		})
		t.Run(name+"/adamw", func(t *testing.T) {
			m := build(t, name)
			opt := optim.NewAdamW(nn.Params(m), optim.AdamW{LR: 1e-3})
			compareLosses(t, losses(t, m, opt, batches), want.AdamW)
		})
	}
}

// build is a network in eval mode: dropouts are not compared.
func build(t *testing.T, name string) nn.Module {
	m, err := newModel(name, random.New(5))
	if err != nil {
		t.Fatal(err)
	}
	nn.Eval(m)
	t.Cleanup(func() { nn.Release(m) })
	return m
}

// loader has the first n images in their order.
func loader(t *testing.T, images *datasets.Images, n, batch int) *data.Loader[data.Batch] {
	dev, err := backend.Open("cpu")
	if err != nil {
		t.Fatal(err)
	}
	first := make([]int, n)
	for i := range first {
		first[i] = i
	}
	return data.NewLoader(data.Subset(images, first), images.Collate, dev, data.LoaderOptions{BatchSize: batch})
}

func logits(t *testing.T, m nn.Module, l *data.Loader[data.Batch]) (out []float64) {
	for b, err := range l.Eval(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, tensor.Values[float64](m.Forward(b.X).To(tensor.Float64))...)
	}
	return out
}

func losses(t *testing.T, m nn.Module, opt optim.Optimizer, l *data.Loader[data.Batch]) (out []float64) {
	for b, err := range l.Batches(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		var loss *tensor.Tensor
		if err := train.Step(opt, func() (*tensor.Tensor, train.Keep) {
			loss = nn.CrossEntropy(m.Forward(b.X), b.Y)
			return loss, nil
		}); err != nil {
			t.Fatal(err)
		}
		out = append(out, loss.Item())
	}
	return out
}

func compareLosses(t *testing.T, got, want []float64) {
	t.Helper()
	if len(got) != steps || len(want) != steps {
		t.Fatalf("%d losses, PyTorch has %d", len(got), len(want))
	}
	worst := 0.0
	for i, w := range want {
		off := math.Abs(got[i]-w) / w
		if !(off <= 1e-4) {
			t.Errorf("loss %d is %v, PyTorch has %v", i, got[i], w)
		}
		worst = max(worst, off)
	}
	t.Logf("losses from %.4f to %.4f differ by at most %.2g, relatively", want[0], want[steps-1], worst)
}
