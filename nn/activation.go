package nn

import "github.com/descent-ml/descent/tensor"

// The modules of this file have no parameters; any other function of one tensor
// becomes a module by Func.

type (
	ReLU       struct{}
	ReLU6      struct{}
	Tanh       struct{}
	Sigmoid    struct{}
	LogSigmoid struct{}
	SiLU       struct{}
	Mish       struct{}
	// GELU is the exact function, or its approximation by tanh.
	GELU struct{ Tanh bool }
	// LeakyReLU has slope NegativeSlope below 0; 0 is 0.01.
	LeakyReLU struct{ NegativeSlope float64 }
	// ELU has the limit -Alpha; 0 is 1.
	ELU struct{ Alpha float64 }
	// Softplus has PyTorch's Beta and Threshold; 0 is 1 and 20.
	Softplus struct{ Beta, Threshold float64 }
	// Softmax normalizes along Axis.
	Softmax struct{ Axis int }
	// LogSoftmax normalizes along Axis.
	LogSoftmax struct{ Axis int }
)

func (ReLU) Forward(x *tensor.Tensor) *tensor.Tensor       { return x.ReLU() }
func (ReLU6) Forward(x *tensor.Tensor) *tensor.Tensor      { return x.ReLU6() }
func (Tanh) Forward(x *tensor.Tensor) *tensor.Tensor       { return x.Tanh() }
func (Sigmoid) Forward(x *tensor.Tensor) *tensor.Tensor    { return x.Sigmoid() }
func (LogSigmoid) Forward(x *tensor.Tensor) *tensor.Tensor { return x.LogSigmoid() }
func (SiLU) Forward(x *tensor.Tensor) *tensor.Tensor       { return x.SiLU() }
func (Mish) Forward(x *tensor.Tensor) *tensor.Tensor       { return x.Mish() }

func (m GELU) Forward(x *tensor.Tensor) *tensor.Tensor {
	if m.Tanh {
		return x.GELUTanh()
	}
	return x.GELU()
}

func (m LeakyReLU) Forward(x *tensor.Tensor) *tensor.Tensor {
	return x.LeakyReLU(orDefault(m.NegativeSlope, 0.01))
}

func (m ELU) Forward(x *tensor.Tensor) *tensor.Tensor { return x.ELU(orDefault(m.Alpha, 1)) }

func (m Softplus) Forward(x *tensor.Tensor) *tensor.Tensor {
	return x.Softplus(orDefault(m.Beta, 1), orDefault(m.Threshold, 20))
}

func (m Softmax) Forward(x *tensor.Tensor) *tensor.Tensor    { return x.Softmax(m.Axis) }
func (m LogSoftmax) Forward(x *tensor.Tensor) *tensor.Tensor { return x.LogSoftmax(m.Axis) }
