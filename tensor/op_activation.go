package tensor

import (
	"math"

	"github.com/descent-ml/descent/backend"
)

// fused computes a gradient in one kernel, of g and what its opcode asks for.
// Where it will be differentiated in turn, composed says the same in ops.
func fused(op string, code backend.BinaryOp, g, x *Tensor, p backend.Scalars, composed func() *Tensor) *Tensor {
	if recording(g, g, x) {
		return composed()
	}
	return binary(op, code, g, x, p, nil, nil)
}

// masked computes a gradient that is g times a function of x that is constant
// almost everywhere: it is its own formula.
func masked(op string, code backend.BinaryOp, g, x *Tensor, p backend.Scalars) *Tensor {
	return binary(op, code, g, x, p, func(gg, g, x *Tensor) *Tensor { return masked(op, code, gg, x, p) }, noGrad)
}

// ReLU is max(t, 0); its gradient at 0 is 0.
func (t *Tensor) ReLU() *Tensor {
	noBool("relu", t)
	return unary("relu", backend.ReLU, t, none, func(g, x, y *Tensor) *Tensor {
		return masked("relu_backward", backend.ReLUGrad, g, y, none)
	})
}

// ReLU6 is t limited to [0, 6].
func (t *Tensor) ReLU6() *Tensor { return t.Hardtanh(0, 6) }

// LeakyReLU is t, and slope·t where t is negative.
func (t *Tensor) LeakyReLU(slope float64) *Tensor {
	p := backend.Scalars{A: slope}
	return unaryFloat("leaky_relu", backend.LeakyReLU, t, p, func(g, x, y *Tensor) *Tensor {
		return masked("leaky_relu_backward", backend.LeakyReLUGrad, g, x, p)
	})
}

// Hardtanh is t limited to [lo, hi]; unlike Clamp's, its gradient is 0 at the bounds.
func (t *Tensor) Hardtanh(lo, hi float64) *Tensor {
	const op = "hardtanh"
	noBool(op, t)
	if lo > hi {
		Fail(op, "the bounds %v and %v cross", lo, hi)
	}
	p := backend.Scalars{A: lo, B: hi, N: saturate(lo), M: saturate(hi)}
	return unary(op, backend.Hardtanh, t, p, func(g, x, y *Tensor) *Tensor {
		return masked("hardtanh_backward", backend.HardtanhGrad, g, x, p)
	})
}

// ELU is t, and alpha·(exp(t)-1) where t is negative.
func (t *Tensor) ELU(alpha float64) *Tensor {
	p := backend.Scalars{A: alpha}
	return unaryFloat("elu", backend.ELU, t, p, func(g, x, y *Tensor) *Tensor {
		return fused("elu_backward", backend.ELUGrad, g, x, p, func() *Tensor {
			return Where(x.GtScalar(0), g, g.Mul(x.ClampMax(0).Exp()).MulScalar(alpha))
		})
	})
}

// Tanh is the hyperbolic tangent.
func (t *Tensor) Tanh() *Tensor {
	return unaryFloat("tanh", backend.Tanh, t, none, func(g, x, y *Tensor) *Tensor {
		return fused("tanh_backward", backend.TanhGrad, g, y, none, func() *Tensor {
			return g.Mul(y.Square().RSubScalar(1))
		})
	})
}

// Sigmoid is 1/(1 + exp(-t)).
func (t *Tensor) Sigmoid() *Tensor {
	return unaryFloat("sigmoid", backend.Sigmoid, t, none, func(g, x, y *Tensor) *Tensor {
		return fused("sigmoid_backward", backend.SigmoidGrad, g, y, none, func() *Tensor {
			return g.Mul(y.Mul(y.RSubScalar(1)))
		})
	})
}

// LogSigmoid is log(1/(1 + exp(-t))), also where exp would overflow.
func (t *Tensor) LogSigmoid() *Tensor {
	return unaryFloat("log_sigmoid", backend.LogSigmoid, t, none, func(g, x, y *Tensor) *Tensor {
		return g.Mul(x.Neg().Sigmoid())
	})
}

// GELU is t·Φ(t), Φ the normal distribution's function (Hendrycks and Gimpel,
// "Gaussian error linear units").
func (t *Tensor) GELU() *Tensor {
	return unaryFloat("gelu", backend.GELU, t, none, func(g, x, y *Tensor) *Tensor {
		return fused("gelu_backward", backend.GELUGrad, g, x, none, func() *Tensor {
			below := x.MulScalar(-1 / math.Sqrt2).Erfc().MulScalar(0.5)
			density := x.Square().MulScalar(-0.5).Exp().MulScalar(1 / (math.Sqrt2 * math.SqrtPi))
			return g.Mul(below.Add(x.Mul(density)))
		})
	})
}

// GELUTanh is GELU by the approximation t/2·(1 + tanh(√(2/π)·(t + 0.044715·t³))).
func (t *Tensor) GELUTanh() *Tensor {
	return unaryFloat("gelu", backend.GELUTanh, t, none, func(g, x, y *Tensor) *Tensor {
		return fused("gelu_backward", backend.GELUTanhGrad, g, x, none, func() *Tensor {
			const scale, cubic = math.Sqrt2 / math.SqrtPi, 0.044715
			square := x.Square()
			th := x.Mul(square.MulScalar(scale * cubic).AddScalar(scale)).Tanh()
			inner := square.MulScalar(3 * scale * cubic).AddScalar(scale)
			slope := th.AddScalar(1).Add(x.Mul(th.Square().RSubScalar(1)).Mul(inner))
			return g.Mul(slope).MulScalar(0.5)
		})
	})
}

// SiLU is t·sigmoid(t), also called swish.
func (t *Tensor) SiLU() *Tensor {
	return unaryFloat("silu", backend.SiLU, t, none, func(g, x, y *Tensor) *Tensor { return siluGrad(g, x) })
}

func siluGrad(g, x *Tensor) *Tensor {
	return fused("silu_backward", backend.SiLUGrad, g, x, none, func() *Tensor {
		s := x.Sigmoid()
		return g.Mul(s).Mul(x.Mul(s.RSubScalar(1)).AddScalar(1))
	})
}

// Softplus is log(1 + exp(beta·t))/beta, and t itself where beta·t exceeds
// threshold. PyTorch's defaults are 1 and 20.
func (t *Tensor) Softplus(beta, threshold float64) *Tensor {
	p := backend.Scalars{A: beta, B: threshold}
	return unaryFloat("softplus", backend.Softplus, t, p, func(g, x, y *Tensor) *Tensor {
		return fused("softplus_backward", backend.SoftplusGrad, g, x, p, func() *Tensor {
			z := x.MulScalar(beta)
			return Where(z.GtScalar(threshold), g, g.Mul(z.Sigmoid()))
		})
	})
}

// Mish is t·tanh(softplus(t)) (Misra, "Mish: a self regularized non-monotonic
// activation function").
func (t *Tensor) Mish() *Tensor {
	return unaryFloat("mish", backend.Mish, t, none, func(g, x, y *Tensor) *Tensor {
		th := x.Softplus(1, 20).Tanh()
		return g.Mul(th.Add(x.Mul(x.Sigmoid()).Mul(th.Square().RSubScalar(1))))
	})
}

// SiLUMul is SiLU(t)·y in one kernel: the gate of a SwiGLU layer (Shazeer 2020).
func (t *Tensor) SiLUMul(y *Tensor) *Tensor {
	return binaryFloat("silu_mul", backend.SiLUMul, t, y,
		func(g, x, y *Tensor) *Tensor { return siluGrad(g.Mul(y), x) },
		func(g, x, y *Tensor) *Tensor { return g.Mul(x.SiLU()) })
}
