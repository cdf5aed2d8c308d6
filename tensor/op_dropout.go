package tensor

import (
	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/random"
)

// Dropout sets each element to 0 with probability p, as BernoulliMask would draw
// it from g, and multiplies the others by 1/(1-p) (Srivastava et al. 2014). t is of
// a floating-point dtype. A layer leaves it out in eval mode; this op does not know
// of modes.
func (t *Tensor) Dropout(p float64, g *random.Generator) *Tensor {
	const op = "dropout"
	t.wantFloat(op)
	if !(p >= 0 && p <= 1) {
		Fail(op, "%v is no probability", p)
	}
	s := stream(op, g, t.NumEl())
	if s.A = p; p < 1 {
		s.B = 1 / (1 - p)
	}
	return t.dropout(s)
}

// dropout is linear: its gradient drops the same elements.
func (t *Tensor) dropout(s backend.Scalars) *Tensor {
	const op = "dropout"
	t.use(op)
	return unaryParams(op, backend.Dropout, t, t.scope.random(op, s), func(g, x, y *Tensor) *Tensor { return g.dropout(s) })
}
