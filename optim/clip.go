package optim

import (
	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/tensor"
)

// ClipGradNorm scales the gradients of params so that their common 2-norm is at
// most max, and returns the norm before, a float32 scalar. It reads nothing back
// (torch.nn.utils.clip_grad_norm_).
func ClipGradNorm(params Params, max float64) *tensor.Tensor {
	var grads []*tensor.Tensor
	for _, p := range params {
		if g := p.Grad(); g != nil {
			grads = append(grads, g)
		}
	}
	if len(grads) == 0 {
		tensor.Fail("clip_grad_norm", "no parameter has a gradient")
	}
	s := tensor.NewScope(grads[0].Device(), tensor.ScopeOptions{NoGrad: true})
	defer s.Close()
	norm := tensor.SumSquares(s, grads...).Sqrt().To(tensor.Float32)
	scale := norm.AddScalar(1e-6).Reciprocal().MulScalar(max).ClampMax(1)
	for _, p := range params {
		p.MutateGrad("clip_grad_norm", func(dev backend.Device, g backend.Array) error {
			c := scale.To(g.DType).Array()
			c.Shape, c.Strides = g.Shape, make([]int, len(g.Shape))
			return dev.Binary(backend.Mul, g, g, c, backend.Params{})
		})
	}
	return tensor.Keep(norm)
}

// ClipGradValue cuts each element of the gradients of params to [-limit, limit].
func ClipGradValue(params Params, limit float64) {
	for _, p := range params {
		p.MutateGrad("clip_grad_value", func(dev backend.Device, g backend.Array) error {
			return dev.Unary(backend.Clamp, g, g, backend.Params{Scalars: backend.Scalars{A: -limit, B: limit}})
		})
	}
}
