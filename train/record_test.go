package train_test

import (
	"testing"

	"github.com/descent-ml/descent/backend/null"
	"github.com/descent-ml/descent/models"
	"github.com/descent-ml/descent/nn"
	"github.com/descent-ml/descent/optim"
	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/tensor"
	"github.com/descent-ml/descent/train"
)

// TestStepWaitsForNothing lists a training step as device calls (-v prints it;
// ARCHITECTURE.md shows it) and finds none among them that waits.
func TestStepWaitsForNothing(t *testing.T) {
	for name, make := range map[string]func(*random.Generator) nn.Module{
		"mlp": func(g *random.Generator) nn.Module { return models.NewMNISTMLP(g) },
		"cnn": func(g *random.Generator) nn.Module { return models.NewMNISTCNN(g) },
	} {
		dev := null.Record(null.New())
		model := make(random.New(1))
		nn.To(dev, model)
		opt := optim.NewAdamW(nn.Params(model), optim.AdamW{})
		step := func() {
			s := tensor.NewScope(dev, tensor.ScopeOptions{Train: true, Rand: random.New(2)})
			defer s.Close()
			x := tensor.Zeros(s, tensor.Float32, 64, 1, 28, 28)
			y := tensor.Zeros(s, tensor.Int64, 64)
			dev.Reset() // the batch is the loader's
			err := train.Step(opt, func() (*tensor.Tensor, train.Keep) {
				return nn.CrossEntropy(model.Forward(x), y), nil
			})
			if err != nil {
				t.Fatal(name, err)
			}
		}
		step() // makes the gradients and the optimizer's state
		step()
		t.Logf("%s:\n%s", name, dev.Listing())
		calls := dev.Calls()
		if len(calls) < 20 {
			t.Errorf("%s: only %d calls were recorded", name, len(calls))
		}
		for _, c := range calls {
			if c.Synchronises() {
				t.Errorf("%s: a step waits in %s", name, c.Method)
			}
		}
	}
}
