package main

import (
	"log"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/models"
	"github.com/descent-ml/descent/nn"
	"github.com/descent-ml/descent/optim"
	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/tensor"
	"github.com/descent-ml/descent/train"
)

// workload is one line of the table; peer.py has the same under its name.
type workload struct {
	name, title string
	limit       float64 // of the ratio Descent/PyTorch in time
	setup       func() func(n int)
}

func workloads() []workload {
	dev, err := backend.Open("cpu")
	if err != nil {
		log.Fatal("bench: ", err)
	}
	rng := random.New(0)
	list := []workload{
		{"mlp", "MLP 784-512-256-10 training step, batch 64, Adam", 1.5, func() func(int) {
			return step(dev, models.NewMNISTMLP(rng), tensor.RandN(dev, rng, tensor.Float32, 64, 784))
		}},
		{"cnn", "MNIST CNN training step, batch 64, Adam", 3, func() func(int) {
			return step(dev, models.NewMNISTCNN(rng), tensor.RandN(dev, rng, tensor.Float32, 64, 1, 28, 28))
		}},
	}
	for _, n := range []int{512, 1024, 2048} {
		list = append(list, gemm(dev, rng, n))
	}
	eager := func(name string, op func(x, y *tensor.Tensor) *tensor.Tensor) {
		list = append(list, workload{name, name + " of 1,024 float32, gradients recorded", 0.5, func() func(int) {
			x := tensor.RandN(dev, rng, tensor.Float32, 1024).RequireGrad()
			y := tensor.RandN(dev, rng, tensor.Float32, 1024).RequireGrad()
			return func(n int) {
				// A step has some hundred ops in its scope, not one and not thousands.
				for n > 0 {
					s := tensor.NewScope(dev, tensor.ScopeOptions{})
					a, b := s.Use(x), s.Use(y)
					for range min(n, 128) {
						op(a, b)
					}
					s.Close()
					n -= 128
				}
			}
		}})
	}
	eager("add", (*tensor.Tensor).Add)
	eager("mul", (*tensor.Tensor).Mul)
	eager("relu", func(x, _ *tensor.Tensor) *tensor.Tensor { return x.ReLU() })
	return list
}

// step is one training step as train.Step runs it.
func step(dev backend.Device, model nn.Module, x *tensor.Tensor) func(n int) {
	y := tensor.RandInt(dev, random.New(1), tensor.Int64, 0, 10, 64)
	opt := optim.NewAdam(nn.Params(model), optim.Adam{LR: 1e-6})
	count := uint64(0)
	return func(n int) {
		for range n {
			count++
			s := tensor.NewScope(dev, tensor.ScopeOptions{Train: true, Rand: random.Derive(0, count)})
			err := train.Step(opt, func() (*tensor.Tensor, []*tensor.Tensor) {
				return nn.CrossEntropy(model.Forward(s.Use(x)), y), nil
			})
			s.Close()
			if err != nil {
				log.Fatal("bench: ", err)
			}
		}
	}
}

func gemm(dev backend.Device, rng *random.Generator, n int) workload {
	name := map[int]string{512: "gemm512", 1024: "gemm1024", 2048: "gemm2048"}[n]
	return workload{name, "matrix product of " + name[4:] + "³ float32", 1.3, func() func(int) {
		a := tensor.RandN(dev, rng, tensor.Float32, n, n)
		b := tensor.RandN(dev, rng, tensor.Float32, n, n)
		return func(n int) {
			for range n {
				s := tensor.NewScope(dev, tensor.ScopeOptions{NoGrad: true})
				s.Use(a).MatMul(b)
				s.Close()
			}
		}
	}}
}
