// Package autograd holds what stands on package tensor's backward engine:
// gradients as values, gradients of gradients, ops of one's own, checkpoints
// that trade time for memory, and the numerical check of a gradient.
package autograd

import "github.com/descent-ml/descent/tensor"

// Grad returns the gradients of the scalar y with respect to each x (parameters,
// inputs after RequireGrad, or results on the way), of their shapes and in y's
// scope. It is not recorded itself; see GradWith. It panics if y does not depend
// on some x.
func Grad(y *tensor.Tensor, xs ...*tensor.Tensor) []*tensor.Tensor {
	return tensor.GradWith(tensor.GradOptions{}, y, xs...)
}

// Options are those of GradWith.
type Options = tensor.GradOptions

// GradWith is Grad with options: Create records the computation, so that the
// gradients can be differentiated; Seed is the gradient of a y that is no
// scalar; AllowUnused gives nil for an x that y does not depend on.
func GradWith(o Options, y *tensor.Tensor, xs ...*tensor.Tensor) []*tensor.Tensor {
	return tensor.GradWith(o, y, xs...)
}

// Function is an op of one's own, with a forward and a backward pass that the
// engine does not look into.
type Function struct {
	Name string
	// Forward computes the outputs. It is not recorded.
	Forward func(in []*tensor.Tensor) (out []*tensor.Tensor)
	// Backward maps the gradients of the outputs (nil where none came) to those of
	// the inputs; nil says that an input has none. Written in tensor ops on b.In and
	// b.Out it can be differentiated again.
	Backward func(b *tensor.Back, gs []*tensor.Tensor) []*tensor.Tensor
}

// Apply runs f on in, which share one scope or have none.
func (f Function) Apply(in ...*tensor.Tensor) []*tensor.Tensor {
	out := tensor.Within(modeOf(in, true), in, f.Forward)
	tensor.Custom(f.Name, out, in, f.Backward)
	return out
}

// modeOf is the mode of the innermost scope of in.
func modeOf(in []*tensor.Tensor, noGrad bool) tensor.ScopeOptions {
	var o tensor.ScopeOptions
	if s := tensor.CommonScope(in...); s != nil {
		o = s.Mode()
	}
	o.NoGrad = noGrad
	return o
}
