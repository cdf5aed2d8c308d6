package nn

import (
	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/tensor"
)

// maker makes the tensors of one layer, on the CPU unless a device is given.
type maker struct {
	dev backend.Device
	dt  tensor.DType
}

func makerOf(dt tensor.DType, dev backend.Device) maker {
	if dev == nil {
		var err error
		if dev, err = backend.Open("cpu"); err != nil {
			tensor.Fail("nn", "%w", err)
		}
	}
	return maker{dev, dt}
}

// param is a parameter of zeros, for the caller to initialise.
func (m maker) param(shape ...int) *tensor.Tensor {
	return tensor.Parameter(tensor.Zeros(m.dev, m.dt, shape...))
}

// filled is a parameter of one value.
func (m maker) filled(c float64, shape ...int) *tensor.Tensor {
	return tensor.Parameter(tensor.Full(m.dev, m.dt, c, shape...))
}

// buffer is a buffer of one value.
func (m maker) buffer(dt tensor.DType, c float64, shape ...int) *tensor.Tensor {
	return tensor.Buffer(tensor.Full(m.dev, dt, c, shape...))
}

// beside brings a parameter or buffer, which may be nil, into x's scope, so that
// what is computed from it alone is freed with that.
func beside(x, p *tensor.Tensor) *tensor.Tensor {
	if s := x.Scope(); s != nil && p != nil {
		return s.Use(p)
	}
	return p
}

// orDefault is an option of which 0 says that it was not set.
func orDefault[T int | float64](v, or T) T {
	if v == 0 {
		return or
	}
	return v
}
