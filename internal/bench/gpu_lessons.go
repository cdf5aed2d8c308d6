package main

import (
	"fmt"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/data"
	"github.com/descent-ml/descent/models"
	"github.com/descent-ml/descent/nn"
	"github.com/descent-ml/descent/optim"
	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/tensor"
	"github.com/descent-ml/descent/train"
)

// lesson is a training; gpu_peer.py has the same under its name.
type lesson struct {
	name, title string
	mixed       bool // bfloat16 where it is safe
	model       func(z sizes, dropout bool) nn.Module
	optimizer   func(nn.Module) optim.Optimizer
}

var lessons = []lesson{
	{"mnist", "MNIST CNN, batch 128", false, func(z sizes, dropout bool) nn.Module {
		m := models.NewMNISTCNN(random.New(1))
		if !dropout {
			m.Dropout1, m.Dropout2 = nn.NewDropout(0), nn.NewDropout(0)
		}
		return m
	}, adamW},
	{"resnet18", "ResNet-18 for CIFAR, batch 128, bf16", true, func(z sizes, _ bool) nn.Module {
		return models.NewResNet18(random.New(1), models.ResNetOptions{Classes: z.Classes["resnet18"], Stem: models.CIFAR})
	}, sgd},
	{"resnet50", "ResNet-50, batch 256, bf16", true, func(z sizes, _ bool) nn.Module {
		return models.NewResNet50(random.New(1), models.ResNetOptions{Classes: z.Classes["resnet50"]})
	}, sgd},
	{"gpt2", "GPT-2 124M, batch 8, T=1024, bf16", true, func(z sizes, _ bool) nn.Module {
		return models.NewGPT2(random.New(1), models.GPT2Options{Layers: z.Layers, Heads: z.Heads, Width: z.Width,
			Vocabulary: z.Vocabulary, Positions: z.Positions, Dropout: new(0.0)})
	}, adamW},
}

func lessonOf(name string) lesson {
	for _, l := range lessons {
		if l.name == name {
			return l
		}
	}
	panic("bench: no lesson is called " + name)
}

func adamW(m nn.Module) optim.Optimizer { return optim.NewAdamW(nn.Params(m), optim.AdamW{LR: 1e-4}) }
func sgd(m nn.Module) optim.Optimizer {
	return optim.NewSGD(nn.Params(m), optim.SGD{LR: 1e-3, Momentum: 0.9})
}

// pupil is a model in training on a device.
type pupil struct {
	dev   backend.Device
	model nn.Module
	opt   optim.Optimizer
	loss  func(b data.Batch) *tensor.Tensor
	step  *train.Captured[data.Batch] // nil: every step is dispatched
	count uint64
}

// begin moves a fresh model to the device. amp says how to compute in mixed
// precision, nil not to; with capture a step is recorded and replayed.
func (l lesson) begin(dev backend.Device, z sizes, amp *train.AMPOptions, dropout, capture bool) *pupil {
	p := &pupil{dev: dev, model: l.model(z, dropout)}
	nn.To(dev, p.model)
	p.opt = l.optimizer(p.model)
	p.loss = func(b data.Batch) *tensor.Tensor {
		y := p.model.Forward(b.X)
		return nn.CrossEntropy(y.Reshape(-1, y.Size(-1)), b.Y)
	}
	if amp != nil {
		mixed, plain := train.NewAMP(p.opt, *amp), p.loss
		p.opt = mixed
		p.loss = func(b data.Batch) *tensor.Tensor {
			mixed.Use(b.Scope())
			return plain(b)
		}
	}
	if capture {
		p.step = train.Capture(p.opt, func(b data.Batch) (*tensor.Tensor, train.Keep) { return p.loss(b), nil }, train.CaptureOptions{})
	}
	return p
}

// mixedOf is a lesson's precision when it is timed.
func (l lesson) mixedOf() *train.AMPOptions {
	if !l.mixed {
		return nil
	}
	return &train.AMPOptions{DType: tensor.BFloat16}
}

// learn does a step on the batch that make makes in the step's scope, and hands the
// loss to see, if that is not nil.
func (p *pupil) learn(make func(s *tensor.Scope) data.Batch, see func(loss *tensor.Tensor)) error {
	p.count++
	s := tensor.NewScope(p.dev, tensor.ScopeOptions{Train: true, Rand: random.Derive(1, p.count)})
	defer s.Close()
	b := make(s)
	var loss *tensor.Tensor
	var err error
	if p.step != nil {
		loss, _, err = p.step.Step(b)
	} else {
		err = train.Step(p.opt, func() (*tensor.Tensor, train.Keep) {
			loss = p.loss(b)
			return loss, nil
		})
	}
	if err == nil && see != nil {
		see(loss)
	}
	return err
}

func (p *pupil) release() {
	if p.step != nil {
		p.step.Release()
	}
	nn.Release(p.model)
}

// host is a batch in the host's memory.
type host struct {
	images []float32
	tokens []int64
	labels []int64
	shape  []int
}

// batch makes the k-th batch of a lesson.
func (l lesson) batch(z sizes, shape []int, k int) host {
	g := random.Derive(7, uint64(k))
	n := 1
	for _, d := range shape {
		n *= d
	}
	classes := int64(z.Classes[l.name])
	below := func(n int) []int64 {
		v := make([]int64, n)
		for i := range v {
			v[i] = int64(g.Uint64() % uint64(classes))
		}
		return v
	}
	if l.name == "gpt2" {
		return host{tokens: below(n), labels: below(n), shape: shape}
	}
	b := host{images: make([]float32, n), labels: below(shape[0]), shape: shape}
	for i := range b.images {
		b.images[i] = float32(g.Uint64()>>40)/(1<<23) - 1 // [-1, 1)
	}
	return b
}

// at copies the batch to p.
func (b host) at(p tensor.Place) data.Batch {
	if b.tokens != nil {
		return data.Batch{X: tensor.Of(p, b.tokens, b.shape...), Y: tensor.Of(p, b.labels)}
	}
	return data.Batch{X: tensor.Of(p, b.images, b.shape...), Y: tensor.Of(p, b.labels)}
}

// resident is a batch that stays on the device.
func (b host) resident(dev backend.Device) (make func(s *tensor.Scope) data.Batch, release func()) {
	there := b.at(dev)
	return func(s *tensor.Scope) data.Batch { return data.Batch{X: s.Use(there.X), Y: s.Use(there.Y)} },
		func() { there.X.Release(); there.Y.Release() }
}

func (l lesson) shape(z sizes, of map[string][]int) ([]int, error) {
	if shape := of[l.name]; shape != nil {
		return shape, nil
	}
	return nil, fmt.Errorf("%s has no shape", l.name)
}
