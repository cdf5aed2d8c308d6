package train

import (
	"fmt"
	"iter"
	"maps"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/optim"
	"github.com/descent-ml/descent/tensor"
)

// AMPOptions are the options of NewAMP; the zero value of each field but DType is
// PyTorch's default.
type AMPOptions struct {
	// DType is BFloat16, which needs no loss scale, or Float16.
	DType tensor.DType
	// ClipNorm cuts the common 2-norm of the gradients, without the scale, as
	// optim.ClipGradNorm does; 0 leaves them.
	ClipNorm float64

	// Of Float16:
	Scale    float64 // of the first loss; 0 is 65536
	Growth   float64 // what multiplies the scale after Interval steps in a row; 0 is 2
	Backoff  float64 // and after a step that is skipped; 0 is 0.5
	Interval int     // 0 is 2000
}

// AMP is automatic mixed precision: an optimizer for a model whose parameters stay
// Float32, and which computes in a type of half their size where that is safe.
//
//	amp := train.NewAMP(optim.NewAdamW(nn.Params(model), optim.AdamW{}), train.AMPOptions{DType: tensor.Float16})
//	for b, err := range loader.Batches(ctx, epoch) {
//		…
//		amp.Use(b.Scope())
//		err := train.Step(amp, func() (*tensor.Tensor, train.Keep) {
//			return nn.CrossEntropy(model.Forward(b.X), b.Y), nil
//		})
//
// Fit calls Use itself; what Capture records calls it with the scope of its batch.
//
// With Float16, Backward multiplies all gradients by a scale, so that small ones are
// not lost. Step divides by it, or does nothing if a gradient is infinite or NaN, and
// moves the scale (torch.amp.GradScaler). All of it happens on the device: a step
// waits for nothing. The gradients hold the scale until the next ZeroGrad; ClipNorm,
// in place of optim.ClipGradNorm, knows of it.
type AMP struct {
	opt optim.Scaled
	o   AMPOptions

	scale  *tensor.Tensor // Float32
	streak *tensor.Tensor // Float32: steps in a row that were made
}

var _ optim.Capturable = (*AMP)(nil)

// NewAMP wraps opt, which must be one of package optim.
func NewAMP(opt optim.Optimizer, o AMPOptions) *AMP {
	const op = "amp"
	scaled, ok := opt.(optim.Scaled)
	if !ok {
		tensor.Fail(op, "%T is no optim.Scaled", opt)
	}
	if o.DType != tensor.BFloat16 && o.DType != tensor.Float16 {
		tensor.Fail(op, "DType %v; BFloat16 or Float16 is needed", o.DType)
	}
	a := &AMP{opt: scaled, o: o}
	for _, d := range []struct {
		field *float64
		value float64
	}{{&a.o.Scale, 65536}, {&a.o.Growth, 2}, {&a.o.Backoff, 0.5}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if a.o.Interval == 0 {
		a.o.Interval = 2000
	}
	if !(a.o.Scale > 0 && a.o.Growth > 1 && a.o.Backoff > 0 && a.o.Backoff < 1 && a.o.Interval > 0 && a.o.ClipNorm >= 0) {
		tensor.Fail(op, "Scale %g, Growth %g, Backoff %g, Interval %d or ClipNorm %g is out of range",
			a.o.Scale, a.o.Growth, a.o.Backoff, a.o.Interval, a.o.ClipNorm)
	}
	return a
}

// Use makes the ops in s, which is a batch's, compute in mixed precision.
func (a *AMP) Use(s *tensor.Scope) {
	if s == nil {
		tensor.Fail("amp", "the batch has no scope")
	}
	if a.scales() {
		a.place(s.Device())
	}
	s.SetAutocast(a.o.DType, a.scale)
}

// scales reports whether the loss is scaled.
func (a *AMP) scales() bool { return a.o.DType == tensor.Float16 }

// place makes the scaler's state on dev, or moves it there.
func (a *AMP) place(dev backend.Device) {
	if a.scale == nil {
		a.scale = tensor.Buffer(tensor.Full(dev, tensor.Float32, a.o.Scale))
		a.streak = tensor.Buffer(tensor.Zeros(dev, tensor.Float32))
	}
	a.scale.MoveTo(dev)
	a.streak.MoveTo(dev)
}

// Scale is what the next loss is multiplied by; 1 for BFloat16. It waits for the
// device.
func (a *AMP) Scale() float64 {
	switch {
	case !a.scales():
		return 1
	case a.scale == nil:
		return a.o.Scale
	}
	return a.scale.Item()
}

// ZeroGrad forgets the gradients of all parameters.
func (a *AMP) ZeroGrad() { a.opt.ZeroGrad() }

// Groups are those of the optimizer inside.
func (a *AMP) Groups() []*optim.Group { return a.opt.Groups() }

// Steps are those of the optimizer inside: skipped ones do not count.
func (a *AMP) Steps() map[string]int64 { return a.opt.Steps() }

// Step updates the parameters by their gradients divided by the scale, unless one
// of those is infinite or NaN, and moves the scale.
func (a *AMP) Step() { a.step(nil) }

// StepSlots is Step for a captured step.
func (a *AMP) StepSlots(slots *tensor.Slots) { a.step(slots) }

func (a *AMP) step(slots *tensor.Slots) {
	var grads []*tensor.Tensor
	for _, g := range a.opt.Groups() {
		for _, p := range g.Params() {
			if grad := p.Grad(); grad != nil {
				grads = append(grads, grad)
			}
		}
	}
	switch {
	case len(grads) == 0:
		return
	case a.scales():
		a.place(grads[0].Device())
	case a.o.ClipNorm > 0:
	case slots == nil:
		a.opt.Step()
		return
	default:
		a.opt.StepSlots(slots)
		return
	}
	s := tensor.NewScope(grads[0].Device(), tensor.ScopeOptions{NoGrad: true})
	defer s.Close()
	squares := tensor.SumSquares(s, grads...)
	factor, skip := tensor.Ones(s, tensor.Float64), tensor.Zeros(s, tensor.Bool)
	if a.scales() {
		factor = s.Use(a.scale).To(tensor.Float64).Reciprocal()
		skip = squares.IsFinite().LogicalNot()
	}
	if a.o.ClipNorm > 0 {
		norm := squares.Sqrt().Mul(factor)
		factor = factor.Mul(norm.AddScalar(1e-6).Reciprocal().MulScalar(a.o.ClipNorm).ClampMax(1))
	}
	a.opt.StepScaled(factor, skip, slots)
	if a.scales() {
		a.move(s, skip)
	}
}

// move changes the scale as torch.amp.GradScaler.update does.
func (a *AMP) move(s *tensor.Scope, skipped *tensor.Tensor) {
	scale, streak := s.Use(a.scale), s.Use(a.streak).AddScalar(1)
	grow := streak.GeScalar(float64(a.o.Interval))
	grown := scale.MulScalar(a.o.Growth)
	grown = tensor.Where(grow.LogicalAnd(grown.IsFinite()), grown, scale)
	a.streak.Assign(streak.MaskedFill(grow.LogicalOr(skipped), 0))
	a.scale.Assign(tensor.Where(skipped, scale.MulScalar(a.o.Backoff), grown))
}

// The names of the scaler's state beside the optimizer's.
const scaleName, streakName = "amp.scale", "amp.growth_tracker"

// State yields the state of the optimizer inside and that of the scale.
func (a *AMP) State() iter.Seq2[string, *tensor.Tensor] {
	return func(yield func(string, *tensor.Tensor) bool) {
		for name, t := range a.opt.State() {
			if !yield(name, t) {
				return
			}
		}
		if a.scale != nil && yield(scaleName, a.scale) {
			yield(streakName, a.streak)
		}
	}
}

// SetState replaces the state by what State yielded; without a scale in it, one
// begins anew.
func (a *AMP) SetState(state map[string]*tensor.Tensor, steps map[string]int64) error {
	scale, streak := state[scaleName], state[streakName]
	if scale != nil && streak != nil {
		for name, t := range map[string]*tensor.Tensor{scaleName: scale, streakName: streak} {
			if t.DType() != tensor.Float32 || t.Dim() != 0 || !finite(t.Item()) || t.Item() < 0 {
				return fmt.Errorf("train: %s is %v%v, and no number of a loss scale", name, t.DType(), t.Shape())
			}
		}
		state = maps.Clone(state)
		delete(state, scaleName)
		delete(state, streakName)
	}
	if err := a.opt.SetState(state, steps); err != nil {
		return err
	}
	if !a.scales() {
		return nil
	}
	given := scale != nil && streak != nil
	if a.scale == nil {
		if !given {
			return nil
		}
		a.place(scale.Device())
	}
	// In place: a captured step has these tensors.
	s := tensor.NewScope(a.scale.Device(), tensor.ScopeOptions{NoGrad: true})
	defer s.Close()
	if !given {
		scale, streak = tensor.Full(s, tensor.Float32, a.o.Scale), tensor.Zeros(s, tensor.Float32)
	}
	a.scale.Assign(scale.ToDevice(a.scale.Device()))
	a.streak.Assign(streak.ToDevice(a.scale.Device()))
	return nil
}
