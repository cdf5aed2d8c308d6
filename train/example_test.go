package train_test

import (
	"context"
	"fmt"
	"log"

	"github.com/descent-ml/descent/backend/cpu"
	"github.com/descent-ml/descent/data"
	"github.com/descent-ml/descent/nn"
	"github.com/descent-ml/descent/optim"
	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/tensor"
	"github.com/descent-ml/descent/train"
)

// The whole loop, as in Keras. FitOptions{Progress: os.Stderr} shows how it goes.
func ExampleFit() {
	dev := cpu.New(cpu.Options{})
	loader := data.NewLoader(clusters(300, 1), data.Stack(2), dev, data.LoaderOptions{BatchSize: 16, Shuffle: true})
	held := data.NewLoader(clusters(60, 2), data.Stack(2), dev, data.LoaderOptions{BatchSize: 60})

	model := nn.NewLinear(random.New(0), 2, 3, nn.LinearOptions{Device: dev})
	opt := optim.NewSGD(nn.Params(model), optim.SGD{LR: 0.5})
	fn := func(b data.Batch) (*tensor.Tensor, train.Metrics) {
		logits := model.Forward(b.X)
		return nn.CrossEntropy(logits, b.Y), train.Metrics{"accuracy": train.Accuracy(logits, b.Y)}
	}
	history, err := train.Fit(context.Background(), loader, opt, fn, train.FitOptions[data.Batch]{Epochs: 3, Validate: held})
	if err != nil {
		log.Fatal(err)
	}
	last := history.Epochs[2]
	fmt.Printf("%d steps, %d of 100 right\n", last.Step, int(100*last.Validation["accuracy"]))
	// Output:
	// 57 steps, 100 of 100 right
}

// The loop by hand. Results of a step are freed as the gradients have used them,
// but for the loss and those listed to be kept.
func ExampleStep() {
	dev := cpu.New(cpu.Options{})
	model := nn.NewLinear(random.New(0), 2, 1, nn.LinearOptions{Device: dev})
	opt := optim.NewSGD(nn.Params(model), optim.SGD{LR: 0.1})

	var last float64
	for s, err := range train.Steps(context.Background(), dev, 200, train.StepsOptions{Seed: 1}) {
		if err != nil {
			log.Fatal(err)
		}
		x := tensor.RandN(s, s.Rand(), tensor.Float32, 32, 2)
		sum := x.SumKeep(1) // what the model is to learn
		var loss *tensor.Tensor
		err := train.Step(opt, func() (*tensor.Tensor, train.Keep) {
			loss = nn.MSE(model.Forward(x), sum)
			return loss, nil
		})
		if err != nil {
			log.Fatal(err)
		}
		last = loss.Item() // waits for the device; leave it out where every step counts
	}
	fmt.Printf("loss %.4f\n", last)
	// Output:
	// loss 0.0000
}
