package nn_test

import (
	"fmt"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/nn"
	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/tensor"
)

// Net is a model: layers in exported fields, and a Forward method.
type Net struct {
	Conv1 *nn.Conv2d
	BN1   *nn.BatchNorm2d
	FC    *nn.Linear
}

func NewNet(rng *random.Generator) *Net {
	return &Net{
		Conv1: nn.NewConv2d(rng, 1, 8, 3, nn.Conv2dOptions{Padding: 1, NoBias: true}),
		BN1:   nn.NewBatchNorm2d(8, nn.BatchNormOptions{}),
		FC:    nn.NewLinear(rng, 8*4*4, 10, nn.LinearOptions{}),
	}
}

func (n *Net) Forward(x *tensor.Tensor) *tensor.Tensor { // x [N, 1, 4, 4]
	x = n.BN1.Forward(n.Conv1.Forward(x)).ReLU() // [N, 8, 4, 4]
	return n.FC.Forward(x.Flatten(1, -1))        // [N, 10]
}

func Example() {
	model := NewNet(random.New(1))
	for name, p := range nn.Params(model) {
		fmt.Println(name, p.Shape())
	}

	dev, err := backend.Open("cpu")
	if err != nil {
		panic(err)
	}
	scope := tensor.NewScope(dev, tensor.ScopeOptions{Train: true})
	defer scope.Close()
	images := tensor.RandN(scope, random.New(2), tensor.Float32, 2, 1, 4, 4)
	labels := tensor.Of(scope, []int64{3, 7})
	loss := nn.CrossEntropy(model.Forward(images), labels)
	loss.Backward()
	fmt.Println("gradient", model.FC.Weight.Grad().Shape())
	// Output:
	// conv1.weight [8 1 3 3]
	// bn1.weight [8]
	// bn1.bias [8]
	// fc.weight [10 128]
	// fc.bias [10]
	// gradient [10 128]
}
