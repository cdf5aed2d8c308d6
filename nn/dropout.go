package nn

import (
	"github.com/descent-ml/descent/tensor"
)

// Dropout zeroes each element with probability P and scales the others by
// 1/(1-P), in training; otherwise it returns its input. It draws from the
// generator of its input's scope.
type Dropout struct {
	Mode
	P float64
}

// NewDropout drops with probability p, PyTorch's default being 0.5.
func NewDropout(p float64) *Dropout {
	checkProbability("dropout", p)
	return &Dropout{P: p}
}

// Forward drops elements of x, of any shape.
func (d *Dropout) Forward(x *tensor.Tensor) *tensor.Tensor {
	return d.dropout(x, "Dropout", d.P)
}

// dropout is Dropout as part of a layer of another name.
func (m *Mode) dropout(x *tensor.Tensor, layer string, p float64) *tensor.Tensor {
	if p == 0 {
		return x
	}
	training, x := m.Training(x, layer)
	if !training {
		return x
	}
	return x.Dropout(p, x.Scope().Rand())
}

func checkProbability(op string, p float64) {
	if !(p >= 0 && p <= 1) {
		tensor.Fail(op, "%v is no probability", p)
	}
}
