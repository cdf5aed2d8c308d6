package tensor

import (
	"slices"
	"sync"

	"github.com/descent-ml/descent/backend"
)

// autocast is the mixed precision of a scope and of those inside it.
type autocast struct {
	dt    DType
	scale *Tensor // of the loss, or nil
	home  *Scope

	mu    sync.Mutex
	casts map[castKey]*Tensor // of parameters
}

// castKey is a parameter at one version.
type castKey struct {
	p       *Tensor
	version int64
	tracked bool
}

// SetAutocast makes the ops in s and its children compute in mixed precision, as
// torch.autocast does. Products (MatMul, Linear, convolutions, attention and what is
// made of them) take their Float32 operands in dt, BFloat16 or Float16; a parameter
// is cast once for each of its versions. Sum, Prod, CumSum, CumProd, Norm, softmax,
// losses, powers, exponentials and logarithms take those of a half type in Float32.
// All others keep the types they are given. Normalization keeps its input's, but has
// its statistics in Float32, and parameters in Float32 beside an input of a half
// type. A backward pass computes in the types of the forward one.
//
// scale is nil or a Float32 scalar without a scope: Backward multiplies all gradients
// by what it holds when it runs. train.AMP has the rest of loss scaling.
//
// Float32 for dt ends mixed precision, in a child scope for its ops alone.
func (s *Scope) SetAutocast(dt DType, scale *Tensor) {
	const op = "autocast"
	if dt != BFloat16 && dt != Float16 && dt != Float32 {
		Fail(op, "%v; BFloat16, Float16, or Float32 for none, are needed", dt)
	}
	if scale != nil {
		if scale.use(op); scale.NumEl() != 1 || scale.DType() != Float32 || scale.scope != nil {
			Fail(op, "the scale %s is no Float32 scalar without a scope", scale.describe())
		}
	}
	if a := s.autocast; a == nil || a.dt != dt || a.scale != scale {
		s.autocast = &autocast{dt: dt, scale: scale, home: s, casts: map[castKey]*Tensor{}}
	}
}

// casting is the mixed precision that holds in s, or nil. It ends at the scope of a
// backward pass, but for a checkpoint, which computes its function as it did before.
func (s *Scope) casting() *autocast {
	for again := false; s != nil; s = s.parent {
		if a := s.autocast; a != nil {
			if a.dt == Float32 {
				return nil
			}
			return a
		}
		if s.swept && !again {
			return nil
		}
		again = again || s.replay
	}
	return nil
}

// lower casts the operands of a product, which may be nil, and calls fn with them; it
// returns nil if there is nothing to cast.
func lower(op string, fn func(in []*Tensor) *Tensor, in ...*Tensor) *Tensor {
	var s *Scope
	for _, x := range in {
		if x != nil {
			x.use(op)
			s = joinScopes(op, s, x.scope)
		}
	}
	a := s.casting()
	if a == nil || !slices.ContainsFunc(in, a.lowers) {
		return nil
	}
	cast := make([]*Tensor, len(in))
	var spent []*Tensor
	for i, x := range in {
		if cast[i] = x; a.lowers(x) {
			var kept bool
			if cast[i], kept = a.cast(x); !kept {
				spent = append(spent, cast[i])
			}
		}
	}
	y := fn(cast)
	if y.node == nil {
		free(spent...)
	}
	return y
}

func (a *autocast) lowers(x *Tensor) bool {
	return x != nil && x.DType() != a.dt && (x.DType() == Float32 || half(x.DType()))
}

// cast takes x to a's type. A parameter's cast is kept for its next use.
func (a *autocast) cast(x *Tensor) (y *Tensor, kept bool) {
	p := parameterOf(x)
	if p == nil {
		return x.To(a.dt), false
	}
	k := castKey{p, p.blk.version.Load(), x.needsGrad()}
	a.mu.Lock()
	defer a.mu.Unlock()
	if y = a.casts[k]; y == nil || y.dropped || y.blk.buf == nil {
		y = a.home.Use(p).To(a.dt)
		a.casts[k] = y
	}
	return y, true
}

// parameterOf is the parameter or buffer that x is, or stands for in a scope.
func parameterOf(x *Tensor) *Tensor {
	switch {
	case x.leaf != nil && x.leaf.kind != input:
		return x
	case x.node != nil && x.node.op == "use":
		return parameterOf(x.node.in[0])
	}
	return nil
}

func half(dt DType) bool { return dt == Float16 || dt == BFloat16 }

// wide is t, in Float32 if it is of a half type and its scope computes in mixed
// precision: for ops that need the range or the digits.
func (t *Tensor) wide() *Tensor {
	if half(t.DType()) && t.scope.casting() != nil {
		return t.To(Float32)
	}
	return t
}

// widens lists the elementwise functions that need them.
var widens = [backend.NumUnary]bool{
	backend.Exp: true, backend.Exp2: true, backend.Expm1: true, backend.Log: true, backend.Log2: true, backend.Log10: true,
	backend.Log1p: true, backend.Reciprocal: true, backend.Rsqrt: true, backend.Tan: true, backend.Asin: true, backend.Acos: true,
	backend.Sinh: true, backend.Cosh: true, backend.Softplus: true,
}
