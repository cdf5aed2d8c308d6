// Package nn has the layers of a network, its losses and their initialisation,
// and the walk that finds the parameters in a model.
//
// A model is any struct with layers in its exported fields and a Forward method;
// there is nothing to register and nothing to embed. Constructors take a
// generator for PyTorch's default initialisation and options whose zero value is
// PyTorch's default; parameters have PyTorch's names and shapes.
//
// Layers are read by Forward and may be used from many goroutines at once, each
// with a scope of its own, except that a BatchNorm in training updates its
// running statistics. Shapes that do not fit panic with *tensor.Error.
package nn

import (
	"fmt"
	"reflect"

	"github.com/descent-ml/descent/backend"
	_ "github.com/descent-ml/descent/backend/cpu" // the embedded default, where parameters are made
	"github.com/descent-ml/descent/tensor"
)

// Module maps a tensor to a tensor.
type Module interface {
	Forward(x *tensor.Tensor) *tensor.Tensor
}

// Func is a module without parameters: nn.Func((*tensor.Tensor).ReLU).
type Func func(x *tensor.Tensor) *tensor.Tensor

// Forward calls f.
func (f Func) Forward(x *tensor.Tensor) *tensor.Tensor { return f(x) }

// Sequential runs modules one after the other; its parameters are called by
// their module's number: "0.weight".
type Sequential []Module

// Forward runs x through all of s. In a scope without gradients each result on
// the way is freed as soon as the next one is there.
func (s Sequential) Forward(x *tensor.Tensor) *tensor.Tensor {
	if len(s) > 0 && noGrad(x) {
		last := len(s) - 1
		return tensor.Tidy(x, func(x *tensor.Tensor) *tensor.Tensor {
			return s[last].Forward(s[:last].Forward(x))
		})
	}
	for _, m := range s {
		x = m.Forward(x)
	}
	return x
}

// noGrad reports whether the scope that results of in belong to records nothing.
func noGrad(in ...*tensor.Tensor) bool {
	s := tensor.CommonScope(in...)
	return s != nil && s.Mode().NoGrad
}

// tidy is fn(in); without gradients all that fn makes but its results is freed.
func tidy(in []*tensor.Tensor, fn func(in []*tensor.Tensor) []*tensor.Tensor) []*tensor.Tensor {
	if noGrad(in...) {
		return tensor.Within(tensor.CommonScope(in...).Mode(), in, fn)
	}
	return fn(in)
}

// To moves m to dev. The tensors stay the same handles, so that optimizers and
// tied weights keep them.
func To(dev backend.Device, m any) { each(m, func(t *tensor.Tensor) { t.MoveTo(dev) }) }

// Cast turns the floating-point parameters and buffers of m to dt.
func Cast(dt tensor.DType, m any) { each(m, func(t *tensor.Tensor) { t.CastTo(dt) }) }

// Release frees the memory of m and of its gradients at once; using m
// afterwards panics.
func Release(m any) { each(m, (*tensor.Tensor).Release) }

// Freeze stops gradients into the parameters of m: they are constants in what
// is computed from now on.
func Freeze(m any) { setFrozen(m, true) }

// Unfreeze undoes Freeze.
func Unfreeze(m any) { setFrozen(m, false) }

func setFrozen(m any, frozen bool) {
	for _, p := range Params(m) {
		p.SetFrozen(frozen)
	}
}

// ZeroGrad forgets the gradients of m.
func ZeroGrad(m any) {
	for _, p := range Params(m) {
		p.ZeroGrad()
	}
}

// Mode is embedded in layers that behave differently in training. What a layer
// does is decided by the scope of its input (see tensor.Scope); Eval overrules
// it for single modules.
type Mode struct{ eval bool }

// Training reports whether a layer of this name runs its input x in training
// mode, and returns x for it to go on with. Without a scope that is eval mode,
// and x comes back marked: Backward panics on its way through the layer.
func (m *Mode) Training(x *tensor.Tensor, layer string) (bool, *tensor.Tensor) {
	if m.eval {
		return false, x
	}
	if s := x.Scope(); s != nil {
		return s.Mode().Train, x
	}
	if !x.RequiresGrad() && x.DType().IsFloat() {
		x = x.Detach().RequireGrad() // a path on which the mark can stand
	}
	return false, tensor.ModeDependent(x, layer)
}

// Eval keeps m in eval mode, inside a training step too: its dropouts pass
// everything on, its batch norms use and keep their running statistics.
func Eval(m any) { setEval(m, true) }

// Train undoes Eval: m follows the scope again.
func Train(m any) { setEval(m, false) }

func setEval(m any, eval bool) {
	w := walker{
		visit: func(string, *tensor.Tensor) bool { return true },
		enter: func(layer reflect.Value, mode int) {
			if !layer.CanAddr() {
				panic(fmt.Sprintf("nn: a %v is held by value where its mode cannot be set; hold a pointer to it", layer.Type()))
			}
			layer.Field(mode).Addr().Interface().(*Mode).eval = eval
		},
	}
	w.value(reflect.ValueOf(m), "")
}
