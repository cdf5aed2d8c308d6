package tensor

import (
	"errors"

	"github.com/descent-ml/descent/backend"
)

// Softmax is exp(t) divided by its sum along axis, for floating-point t.
func (t *Tensor) Softmax(axis int) *Tensor {
	return t.softmax("softmax", backend.Softmax, axis, func(x *Tensor, axis int) *Tensor {
		e := x.Sub(x.AMaxKeep(axis)).Exp()
		return e.Div(e.SumKeep(axis))
	})
}

// LogSoftmax is the logarithm of Softmax, exact where that is tiny.
func (t *Tensor) LogSoftmax(axis int) *Tensor {
	return t.softmax("log_softmax", backend.LogSoftmax, axis, func(x *Tensor, axis int) *Tensor {
		d := x.Sub(x.AMaxKeep(axis))
		return d.Sub(d.Exp().SumKeep(axis).Log())
	})
}

func (t *Tensor) softmax(op string, code backend.SoftmaxOp, axis int, composed func(x *Tensor, axis int) *Tensor) *Tensor {
	t.wantFloat(op)
	axis = t.axis(op, axis)
	if c := t.wide(); c != t {
		defer free(c)
		return c.softmax(op, code, axis, composed)
	}
	if t.Dim() == 0 {
		return t.Reshape(1).softmax(op, code, 0, composed).Reshape()
	}
	if t.NumEl() == 0 {
		return t.Clone()
	}
	y := softmaxFused(op, code, t, nil, axis)
	if y == nil {
		y = compose(t.scope, func(in []*Tensor) *Tensor { return composed(in[0], axis) }, t)
	}
	return record(op, y, []*Tensor{t}, func(b *Back, g *Tensor) *Tensor {
		y, op := b.Out(0), op+"_backward"
		if !b.Recording() {
			if dx := softmaxFused(op, code+backend.SoftmaxBackward-backend.Softmax, g, y, axis); dx != nil {
				return dx
			}
		}
		if code == backend.LogSoftmax {
			return g.Sub(y.Exp().Mul(g.SumKeep(axis)))
		}
		gy := g.Mul(y)
		return gy.Sub(y.Mul(gy.SumKeep(axis)))
	})
}

// softmaxFused asks the device, and returns nil if it has no kernel. y is nil
// but for the gradients.
func softmaxFused(op string, code backend.SoftmaxOp, x, y *Tensor, axis int) *Tensor {
	d, ok := x.dev.(backend.SoftmaxDevice)
	if !ok {
		return nil
	}
	like, ya := x, backend.Array{}
	if y != nil {
		like, ya = y, y.arr
	}
	out := emptyLike(op, x.scope, x.DType(), like)
	err := d.Softmax(code, out.arr, x.arr, ya, axis)
	if errors.Is(err, backend.ErrUnsupported) {
		free(out)
		return nil
	}
	check(op, err)
	return out
}
