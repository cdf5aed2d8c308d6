package main

import (
	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/data"
	"github.com/descent-ml/descent/models"
	"github.com/descent-ml/descent/nn"
	"github.com/descent-ml/descent/optim"
	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/tensor"
	"github.com/descent-ml/descent/train"
)

var (
	resnet50 = images("resnet50", "ResNet-50, batch 256", 1000, func(g *random.Generator) nn.Module { return models.NewResNet50(g, models.ResNetOptions{}) }, 256, 3, 224, 224)
	gpt      = gpt2("gpt2", "GPT-2 124M, 8 × 1024 tokens")
)

var workloads = []workload{
	images("mlp", "MNIST MLP, batch 64", 10, func(g *random.Generator) nn.Module { return models.NewMNISTMLP(g) }, 64, 784),
	images("cnn", "MNIST CNN, batch 64", 10, func(g *random.Generator) nn.Module { return models.NewMNISTCNN(g) }, 64, 1, 28, 28),
	resnet50,
	mixed(resnet50, "mixed with bfloat16", train.AMPOptions{DType: tensor.BFloat16}),
	mixed(resnet50, "mixed with float16, clipped", train.AMPOptions{DType: tensor.Float16, ClipNorm: 1}),
	gpt,
	mixed(gpt, "mixed with bfloat16", train.AMPOptions{DType: tensor.BFloat16}),
}

// gpt2 is a step of the language model, without dropout.
func gpt2(name, title string) workload {
	return workload{name, title, func(dev backend.Device) (optim.Optimizer, stepFunc, func(s *tensor.Scope) data.Batch) {
		m := models.NewGPT2(random.New(0), models.GPT2Options{Dropout: new(0.0)})
		nn.To(dev, m)
		opt := optim.NewAdamW(nn.Params(m), optim.AdamW{})
		tokens := make([]int64, 8*1024)
		return opt, func(b data.Batch) (*tensor.Tensor, train.Keep) {
				return nn.CrossEntropy(m.Forward(b.X).Flatten(0, 1), b.Y.Flatten(0, 1)), nil
			}, func(s *tensor.Scope) data.Batch {
				return data.Batch{X: tensor.Of(s, tokens, 8, 1024), Y: tensor.Of(s, tokens, 8, 1024)}
			}
	}}
}

// mixed is a step in mixed precision.
func mixed(w workload, how string, o train.AMPOptions) workload {
	return workload{w.name, w.title + ", " + how, func(dev backend.Device) (optim.Optimizer, stepFunc, func(s *tensor.Scope) data.Batch) {
		opt, fn, batch := w.setup(dev)
		amp := train.NewAMP(opt, o)
		return amp, func(b data.Batch) (*tensor.Tensor, train.Keep) {
			amp.Use(b.Scope())
			return fn(b)
		}, batch
	}}
}

// images is a classification step with AdamW on a batch of so many images.
func images(name, title string, classes int64, model func(*random.Generator) nn.Module, shape ...int) workload {
	return workload{name, title, func(dev backend.Device) (optim.Optimizer, stepFunc, func(s *tensor.Scope) data.Batch) {
		m := model(random.New(0))
		nn.To(dev, m)
		opt := optim.NewAdamW(nn.Params(m), optim.AdamW{})
		x, y := make([]float32, size(shape)), make([]int64, shape[0])
		return opt, func(b data.Batch) (*tensor.Tensor, train.Keep) { return nn.CrossEntropy(m.Forward(b.X), b.Y), nil },
			func(s *tensor.Scope) data.Batch { return data.Batch{X: tensor.Of(s, x, shape...), Y: tensor.Of(s, y)} }
	}}
}

func size(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}
