package models

import (
	"github.com/descent-ml/descent/nn"
	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/tensor"
)

// MNISTCNN is the convolutional network of PyTorch's MNIST example, up to the
// logits: 1.2 million parameters.
type MNISTCNN struct {
	Conv1, Conv2       *nn.Conv2d
	Dropout1, Dropout2 *nn.Dropout
	FC1, FC2           *nn.Linear
}

// NewMNISTCNN has PyTorch's default initialisation.
func NewMNISTCNN(rng *random.Generator) *MNISTCNN {
	return &MNISTCNN{
		Conv1:    nn.NewConv2d(rng, 1, 32, 3, nn.Conv2dOptions{}),
		Conv2:    nn.NewConv2d(rng, 32, 64, 3, nn.Conv2dOptions{}),
		Dropout1: nn.NewDropout(0.25),
		Dropout2: nn.NewDropout(0.5),
		FC1:      nn.NewLinear(rng, 9216, 128, nn.LinearOptions{}),
		FC2:      nn.NewLinear(rng, 128, 10, nn.LinearOptions{}),
	}
}

// Forward maps images [N, 1, 28, 28] to logits [N, 10].
func (m *MNISTCNN) Forward(x *tensor.Tensor) *tensor.Tensor {
	return nn.Sequential{
		m.Conv1, nn.ReLU{}, // [N, 32, 26, 26]
		m.Conv2, nn.ReLU{}, // [N, 64, 24, 24]
		nn.MaxPool2d{Kernel: 2}, // [N, 64, 12, 12]
		m.Dropout1,
		nn.Flatten{},     // [N, 9216]
		m.FC1, nn.ReLU{}, // [N, 128]
		m.Dropout2,
		m.FC2, // [N, 10]
	}.Forward(x)
}

// MNISTMLP is a perceptron with two hidden layers: 0.5 million parameters.
type MNISTMLP struct {
	FC1, FC2, FC3 *nn.Linear
}

// NewMNISTMLP has PyTorch's default initialisation.
func NewMNISTMLP(rng *random.Generator) *MNISTMLP {
	return &MNISTMLP{
		FC1: nn.NewLinear(rng, 784, 512, nn.LinearOptions{}),
		FC2: nn.NewLinear(rng, 512, 256, nn.LinearOptions{}),
		FC3: nn.NewLinear(rng, 256, 10, nn.LinearOptions{}),
	}
}

// Forward maps images [N, 1, 28, 28] to logits [N, 10].
func (m *MNISTMLP) Forward(x *tensor.Tensor) *tensor.Tensor {
	x = x.Flatten(1, -1)        // [N, 784]
	x = m.FC1.Forward(x).ReLU() // [N, 512]
	x = m.FC2.Forward(x).ReLU() // [N, 256]
	return m.FC3.Forward(x)     // [N, 10]
}
