package tensor

import (
	"github.com/descent-ml/descent/backend"
)

// Parameter makes a trainable parameter of t: it lives until it is collected or
// released, takes gradients, and can be assigned to. t must not be used again.
func Parameter(t *Tensor) *Tensor { return newLeaf(t, parameter) }

// Buffer makes a buffer of t: saved with a model and assignable like a
// parameter, but without gradient (running statistics).
func Buffer(t *Tensor) *Tensor { return newLeaf(t, buffer) }

func newLeaf(t *Tensor, k leafKind) *Tensor {
	t.use("parameter")
	if k == parameter && !t.DType().IsFloat() {
		Fail("parameter", "only floating-point tensors take gradients, not %v", t.DType())
	}
	p := Keep(t)
	p.leaf = &leaf{kind: k}
	p.blk.mutable = true
	return p
}

// IsParameter reports whether t was made by Parameter.
func (t *Tensor) IsParameter() bool { return t.leaf != nil && t.leaf.kind == parameter }

// IsBuffer reports whether t was made by Buffer.
func (t *Tensor) IsBuffer() bool { return t.leaf != nil && t.leaf.kind == buffer }

// RequiresGrad reports whether gradients flow into t.
func (t *Tensor) RequiresGrad() bool { return t.needsGrad() }

// RequireGrad opts an input in, so that the gradient with respect to it can be
// asked for, and returns it. Ops before the call do not count.
func (t *Tensor) RequireGrad() *Tensor {
	t.use("require_grad")
	switch {
	case !t.DType().IsFloat():
		Fail("require_grad", "only floating-point tensors take gradients, not %v", t.DType())
	case t.IsBuffer():
		Fail("require_grad", "a buffer takes no gradient")
	case t.leaf != nil:
		t.leaf.frozen = false
	case t.node == nil:
		t.leaf = &leaf{}
	}
	return t
}

// SetFrozen stops (or lets) gradients flow into a parameter. It affects what is
// computed from then on; nn.Freeze does it for a model.
func (t *Tensor) SetFrozen(frozen bool) {
	if t.leaf == nil {
		Fail("freeze", "%s is not a parameter", t.describe())
	}
	t.leaf.frozen = frozen
}

// Name is the name given with SetName, such as "layer1.0.conv1.weight".
func (t *Tensor) Name() string {
	if t.leaf == nil {
		return ""
	}
	return t.leaf.name
}

// SetName names a parameter or buffer in messages; optimizers do it.
func (t *Tensor) SetName(name string) {
	if t.leaf != nil {
		t.leaf.name = name
	}
}

func (t *Tensor) leafName() string {
	if t.leaf != nil && t.leaf.name != "" {
		return "parameter " + t.leaf.name
	}
	return "a parameter or buffer (" + t.describe() + ")"
}

// Version counts the changes of a parameter or buffer.
func (t *Tensor) Version() int64 { return t.blk.version.Load() }

// Grad is the gradient that Backward has gathered in a parameter or input, of
// its shape and dtype; nil if there is none. A parameter owns its gradient, which
// further passes add to and ZeroGrad clears.
func (t *Tensor) Grad() *Tensor {
	if t.leaf == nil || t.leaf.stale {
		return nil
	}
	return t.leaf.grad
}

// ZeroGrad forgets the gradient; its memory is kept for the next one.
func (t *Tensor) ZeroGrad() {
	if t.leaf != nil && t.leaf.grad != nil {
		t.leaf.stale = true
	}
}

// OnGrad registers a hook that Backward calls as soon as the gradient of p is
// complete, while it still works on others; p.Grad() has it.
func (p *Tensor) OnGrad(hook func(p *Tensor)) {
	if p.leaf == nil {
		Fail("on_grad", "%s is not a leaf that takes gradients", p.describe())
	}
	p.leaf.hooks = append(p.leaf.hooks, hook)
}

// addGrad adds g, of the engine's, to t's gradient, in place once there is one.
func (t *Tensor) addGrad(g *Tensor) {
	l := t.leaf
	if l.grad == nil {
		s := t.scope // an input's gradient lives as long as the input
		l.grad = emptyLike("backward", s, t.DType(), t)
		l.stale = true
	}
	if l.stale {
		check("backward", t.dev.Copy(l.grad.arr, g.arr, false))
	} else {
		check("backward", t.dev.Binary(backend.Add, l.grad.arr, l.grad.arr, g.arr, backend.Params{}))
	}
	l.stale = false
	for _, hook := range l.hooks {
		hook(t)
	}
}

// Assign copies v, broadcast and cast, into a parameter or buffer. It is not
// recorded. Assigning while another goroutine reads t is a race.
func (t *Tensor) Assign(v *Tensor) {
	place2("assign", t, v)
	t.Mutate("assign", func(dev backend.Device, a backend.Array) error {
		if !sameShape(broadcastShapes("assign", a.Shape, v.Shape()), a.Shape) {
			Fail("assign", "a value of shape %v does not fit %s of shape %v", v.Shape(), t.leafName(), a.Shape)
		}
		return dev.Copy(a, expandArray(v.arr, a.Shape), false)
	})
}

// Mutate lets fn change the memory of a parameter or buffer, and counts a
// version. Optimizers are built on it.
func (t *Tensor) Mutate(op string, fn func(backend.Device, backend.Array) error) {
	MutateAll(op, []*Tensor{t}, func(dev backend.Device, as []backend.Array) error { return fn(dev, as[0]) })
}

// MutateAll is Mutate for parameters and buffers of one device in one call.
func MutateAll(op string, ts []*Tensor, fn func(backend.Device, []backend.Array) error) {
	as := make([]backend.Array, len(ts))
	for i, t := range ts {
		place2(op, ts[0], t)
		if t.leaf == nil || t.leaf.kind == input {
			Fail(op, "%s is immutable: only parameters and buffers can change", t.describe())
		}
		t.blk.version.Add(1)
		as[i] = t.arr
	}
	if len(ts) > 0 {
		check(op, fn(ts[0].dev, as))
	}
}

// MutateGrad lets fn change the gradient of a parameter, if it has one; clipping
// and all-reduce are built on it.
func (t *Tensor) MutateGrad(op string, fn func(backend.Device, backend.Array) error) {
	if g := t.Grad(); g != nil {
		g.use(op)
		check(op, fn(g.dev, g.arr))
	}
}

// SetGrad replaces the gradient of a parameter by a copy of g, nil for none;
// clipping and all-reduce use it.
func (t *Tensor) SetGrad(g *Tensor) {
	if t.leaf == nil {
		Fail("set_grad", "%s is not a leaf that takes gradients", t.describe())
	}
	t.ZeroGrad()
	if g == nil {
		return
	}
	place2("set_grad", t, g)
	if !sameShape(g.Shape(), t.Shape()) {
		Fail("set_grad", "a gradient of shape %v for %s of shape %v", g.Shape(), t.leafName(), t.Shape())
	}
	hooks := t.leaf.hooks
	t.leaf.hooks = nil
	t.addGrad(g)
	t.leaf.hooks = hooks
}

// MoveTo moves a parameter or buffer, and its gradient, to dev inside its
// handle, so that optimizers and ties keep it. Views of it stay behind.
func (t *Tensor) MoveTo(dev backend.Device) {
	t.replace("to", func(x *Tensor) *Tensor { return x.ToDevice(dev) })
}

// CastTo casts a parameter, or a floating-point buffer, to another
// floating-point type inside its handle; other buffers stay as they are.
func (t *Tensor) CastTo(dt DType) {
	if !dt.IsFloat() {
		Fail("to", "parameters are floating-point tensors, not %v", dt)
	}
	if t.use("to"); t.DType().IsFloat() {
		t.replace("to", func(x *Tensor) *Tensor { return x.To(dt) })
	}
}

func (t *Tensor) replace(op string, fn func(x *Tensor) *Tensor) {
	t.use(op)
	if t.leaf == nil || t.leaf.kind == input {
		Fail(op, "%s is no parameter or buffer", t.describe())
	}
	old, before := t.blk, t.Detach()
	after := fn(before)
	if after == before {
		return
	}
	t.arr, t.dev, t.blk = after.arr, after.dev, after.blk
	t.blk.mutable = true
	t.blk.version.Store(old.version.Load() + 1)
	if g := t.leaf.grad; g != nil {
		t.leaf.grad = fn(g)
		g.blk.free()
	}
	old.free()
}

// Leaves lists the parameters and inputs that the gradients of ys would flow into.
func Leaves(ys ...*Tensor) []*Tensor {
	var out []*Tensor
	seen, known := map[*Node]bool{}, map[*Tensor]bool{}
	queue := ys
	for len(queue) > 0 {
		x := queue[0]
		queue = queue[1:]
		switch {
		case x.node != nil:
			if !seen[x.node] {
				seen[x.node] = true
				queue = append(queue, x.node.in...)
			}
		case x.needsGrad() && !known[x]:
			known[x] = true
			out = append(out, x)
		}
	}
	return out
}
