package tensor

import (
	"slices"

	"github.com/descent-ml/descent/backend"
)

// Back is what a formula sees of its node during a backward pass.
type Back struct {
	n *Node
	e *engine
}

// In returns input i, as a tensor whose results the pass can free. It panics if
// the input is a parameter that has changed since.
func (b *Back) In(i int) *Tensor {
	x := b.n.in[i]
	for _, s := range b.n.saved {
		if s.input == i && x.blk.version.Load() != s.version {
			Fail("backward", "%s was changed after %s had used it: run backward before the optimizer's step, or compute the loss again", x.leafName(), b.n.op)
		}
	}
	return b.e.handle(x)
}

// Out returns output i.
func (b *Back) Out(i int) *Tensor { return b.e.handle(b.n.outs[i]) }

// Wants reports whether the gradient of input i is asked for.
func (b *Back) Wants(i int) bool { return b.e.wants(b.n.in[i]) }

// Recording reports whether the pass is itself recorded, so that its results can
// be differentiated again: fused gradients without a formula may not serve then.
func (b *Back) Recording() bool { return b.e.create }

// engine runs one backward pass.
type engine struct {
	// create records the pass. Otherwise everything it makes is in scope inner,
	// and is freed as soon as no pending gradient needs it.
	create bool
	inner  *Scope
	// spend frees each node's outputs after its turn, but for those in keep.
	spend bool
	keep  map[*block]bool

	nodes   map[*Node]*pending
	leaves  map[*Tensor]*pending // inputs without a node that take a gradient
	targets map[*Tensor]bool     // nil: all leaves
	// ready is called when the gradient of a leaf or target is complete.
	ready func(x, g *Tensor)
}

// pending is the gradient of a node's outputs, or of a leaf, so far.
type pending struct {
	g       []*Tensor
	owned   []bool // g[i] is the engine's own and may be added to in place
	waiting int    // contributions that are still to come
	wanted  bool   // leads to a target
}

// GradOptions are the options of GradWith.
type GradOptions struct {
	// Create records the computation of the gradients, so that they can be
	// differentiated.
	Create bool
	// Seed is the gradient of y, of its shape; nil for 1, if y has one element.
	Seed *Tensor
	// AllowUnused gives nil for an x that y does not depend on, where otherwise
	// GradWith panics.
	AllowUnused bool
}

// GradWith returns the gradients of y with respect to each x, which may be
// parameters, inputs after RequireGrad, or results on the way. They belong to
// y's scope. It is the primitive behind package autograd.
func GradWith(o GradOptions, y *Tensor, xs ...*Tensor) []*Tensor {
	const op = "grad"
	e := &engine{create: o.Create, targets: map[*Tensor]bool{}}
	for i, x := range xs {
		x.use(op)
		if !x.needsGrad() {
			Fail(op, "x[%d] %v is not tracked: call RequireGrad on it before y is computed", i, x.describe())
		}
		e.targets[x] = true
	}
	found := map[*Tensor]*Tensor{}
	e.ready = func(x, g *Tensor) {
		if !o.Create {
			g = g.share(y.scope)
		}
		found[x] = g
	}
	e.run(op, y, o.Seed)
	out := make([]*Tensor, len(xs))
	for i, x := range xs {
		out[i] = found[x]
		if out[i] == nil && !o.AllowUnused {
			Fail(op, "y does not depend on x[%d] %v (AllowUnused gives nil)", i, x.describe())
		}
	}
	return out
}

// Backward adds the gradients of t, a scalar, to Grad of every parameter and
// every input with RequireGrad that it depends on. It frees its own temporaries
// as it goes, and nothing else; it may be called again.
func (t *Tensor) Backward() { t.backward(nil, false, nil) }

// BackwardWith is Backward with the gradient of t, of t's shape.
func (t *Tensor) BackwardWith(seed *Tensor) { t.backward(seed, false, nil) }

// BackwardSpend is Backward for a caller who knows that nobody holds the results
// on the way any more: each is freed after its last use, except t and keep.
// train.Step calls it.
func (t *Tensor) BackwardSpend(keep ...*Tensor) { t.backward(nil, true, keep) }

func (t *Tensor) backward(seed *Tensor, spend bool, keep []*Tensor) {
	const op = "backward"
	t.use(op)
	if !t.needsGrad() {
		Fail(op, "%s depends on no parameter and no input with RequireGrad", t.describe())
	}
	if a := t.scope.casting(); a != nil && a.scale != nil {
		if seed != nil {
			seed = seed.Mul(a.scale)
		} else if t.NumEl() == 1 {
			seed = a.scale.Detach().Reshape(t.Shape()...)
		}
	}
	e := &engine{spend: spend, ready: func(x, g *Tensor) { x.addGrad(g) }}
	if spend {
		e.keep = map[*block]bool{t.blk: true}
		for _, k := range keep {
			if k != nil {
				e.keep[k.blk] = true
			}
		}
	}
	e.run(op, t, seed)
}

func (e *engine) run(op string, y, seed *Tensor) {
	y.use(op)
	switch {
	case seed == nil && y.NumEl() != 1:
		Fail(op, "the gradient of a tensor of shape %v needs a seed; sum or average it to a scalar first", y.Shape())
	case seed != nil:
		place2(op, y, seed)
		if !sameShape(seed.Shape(), y.Shape()) {
			Fail(op, "the seed has shape %v, the tensor %v", seed.Shape(), y.Shape())
		}
	}
	home := y.scope
	if !e.create {
		o := ScopeOptions{NoGrad: true}
		if home != nil {
			o.Train, o.Rand = home.mode.Train, home.mode.Rand
			e.inner = home.Child(o)
		} else {
			e.inner = NewScope(y.dev, o)
		}
		e.inner.swept = true
		defer e.inner.Close()
		home = e.inner
	}
	if seed == nil {
		seed = full(op, y.dev, home, y.DType(), y.Shape(), 1)
	} else {
		seed = e.handle(seed).To(y.DType())
	}

	nodes := e.collect(y)
	e.add(y, seed)
	b := Back{e: e}
	for i := len(nodes) - 1; i >= 0; i-- {
		n := nodes[i]
		p := e.nodes[n]
		for j, g := range p.g {
			if g != nil && e.targets[n.outs[j]] {
				e.ready(n.outs[j], g)
			}
		}
		if p.wanted && slices.ContainsFunc(p.g, func(g *Tensor) bool { return g != nil }) {
			mark := e.mark()
			b.n = n
			e.step(&b, p)
			e.sweep(mark, p.g)
		} else {
			for _, x := range n.in {
				e.arrived(x)
			}
		}
		delete(e.nodes, n)
		if e.spend {
			for _, out := range n.outs {
				if !e.keep[out.blk] {
					out.release()
				}
			}
		}
	}
}

// collect lists the nodes that y depends on in creation order, counts the
// contributions each gradient will get, and marks what leads to a target.
func (e *engine) collect(y *Tensor) []*Node {
	e.nodes, e.leaves = map[*Node]*pending{}, map[*Tensor]*pending{}
	var nodes []*Node
	visit := func(x *Tensor) {
		switch {
		case x.node != nil:
			if e.nodes[x.node] == nil {
				n := len(x.node.outs)
				p := &pending{g: make([]*Tensor, n), owned: make([]bool, n), wanted: e.targets == nil}
				e.nodes[x.node] = p
				nodes = append(nodes, x.node)
			}
		case x.needsGrad():
			if e.leaves[x] == nil {
				e.leaves[x] = &pending{g: make([]*Tensor, 1), owned: make([]bool, 1)}
			}
			e.leaves[x].waiting++
		}
	}
	visit(y)
	for i := 0; i < len(nodes); i++ {
		for _, x := range nodes[i].in {
			visit(x)
		}
	}
	slices.SortFunc(nodes, func(a, b *Node) int {
		if a.id < b.id {
			return -1
		}
		return 1
	})
	if e.targets != nil {
		for _, n := range nodes {
			e.nodes[n].wanted = slices.ContainsFunc(n.in, e.wants)
		}
	}
	return nodes
}

// wants reports whether the gradient of x is a target's or leads to one.
func (e *engine) wants(x *Tensor) bool {
	if e.targets == nil {
		return x.needsGrad()
	}
	return e.targets[x] || x.node != nil && e.nodes[x.node] != nil && e.nodes[x.node].wanted
}

// step runs the formulas of one node.
func (e *engine) step(b *Back, p *pending) {
	n := b.n
	if n.modeless != "" {
		Fail("backward", "%s ran without a scope and therefore in eval mode; compute the loss from a batch of loader.Batches, or from tensors of a scope (nn.Eval says that eval mode is meant)", n.modeless)
	}
	switch {
	case n.joint != nil:
		gs := n.joint(b, p.g)
		for i, x := range n.in {
			if e.wants(x) && gs != nil && i < len(gs) && gs[i] != nil {
				e.add(x, gs[i])
			} else {
				e.arrived(x)
			}
		}
	case n.pass != nil:
		x := n.in[0]
		switch {
		case !e.wants(x):
			e.arrived(x)
		case n.into != nil && !e.create:
			e.addInto(x, p.g[0], n.into)
		default:
			e.add(x, n.pass(p.g[0]))
		}
	case n.one != nil:
		if x := n.in[0]; e.wants(x) {
			e.add(x, n.one(p.g[0], b.In(0), b.Out(0)))
		} else {
			e.arrived(x)
		}
	case n.each == nil:
		var x, y *Tensor
		if !n.valueFree {
			x, y = b.In(0), b.In(1)
		}
		for i, f := range n.two {
			e.formula(n, i, f != nil, func() *Tensor { return f(p.g[0], x, y) })
		}
	default:
		for i, f := range n.each {
			e.formula(n, i, f != nil, func() *Tensor { return f(b, p.g[0]) })
		}
	}
}

func (e *engine) formula(n *Node, i int, exists bool, f func() *Tensor) {
	x := n.in[i]
	switch {
	case !e.wants(x):
		e.arrived(x)
	case !exists:
		Fail("backward", "%s has no gradient with respect to its input %d %s; Detach the input if none is meant", n.op, i, x.describe())
	default:
		e.add(x, f())
	}
}

// add adds g, which may be nil, to the pending gradient of x.
func (e *engine) add(x, g *Tensor) {
	p, i := e.of(x)
	if p == nil {
		return
	}
	if g != nil {
		if g.arr.DType != x.arr.DType {
			g = g.To(x.DType())
		}
		g = sumTo(g, x.Shape())
		switch old := p.g[i]; {
		case old == nil:
			p.g[i] = g
			g.pins++
		case p.owned[i]:
			check("backward", old.dev.Binary(backend.Add, old.arr, old.arr, g.arr, backend.Params{}))
		default:
			p.g[i], p.owned[i] = old.Add(g), !e.create
			p.g[i].pins++
			old.pins--
			e.let(old)
		}
	}
	e.arrived(x)
}

// addInto adds g to a part of x's gradient, which is a buffer of the engine's.
func (e *engine) addInto(x, g *Tensor, into func(whole *Tensor) *Tensor) {
	p, i := e.of(x)
	if p == nil {
		return
	}
	if old := p.g[i]; !p.owned[i] {
		whole := empty("backward", x.dev, e.inner, x.DType(), x.Shape())
		if old != nil {
			check("backward", x.dev.Copy(whole.arr, old.arr, false))
			old.pins--
			e.let(old)
		} else {
			whole.fill("backward", 0)
		}
		whole.pins++
		p.g[i], p.owned[i] = whole, true
	}
	part := into(p.g[i])
	check("backward", x.dev.Copy(part.arr, g.arr, true))
	e.arrived(x)
}

func (e *engine) of(x *Tensor) (*pending, int) {
	if x.node != nil {
		return e.nodes[x.node], x.index
	}
	return e.leaves[x], 0
}

// arrived notes that one contribution to x's gradient has come; with the last
// one a leaf's gradient is complete, and all-reduce can start on it.
func (e *engine) arrived(x *Tensor) {
	p := e.leaves[x]
	if x.node != nil || p == nil {
		return
	}
	p.waiting--
	if p.waiting > 0 {
		return
	}
	delete(e.leaves, x)
	if g := p.g[0]; g != nil {
		if e.targets == nil || e.targets[x] {
			e.ready(x, g)
		}
		g.pins--
		e.let(g)
	}
}

// handle gives a formula its view of a saved tensor.
func (e *engine) handle(x *Tensor) *Tensor {
	if e.create {
		return x
	}
	x.use("backward")
	h := x.untracked()
	h.scope = e.inner
	return h
}

// mark and sweep bracket a node: what its formulas made and nobody pins is freed.
func (e *engine) mark() int {
	if e.create {
		return 0
	}
	return len(e.inner.owned)
}

func (e *engine) sweep(mark int, gs []*Tensor) {
	for _, g := range gs {
		if g != nil {
			g.pins--
		}
	}
	if e.create {
		return
	}
	kept := e.inner.owned[:mark]
	for _, t := range e.inner.owned[mark:] {
		if t.pins > 0 {
			kept = append(kept, t)
		} else {
			t.drop()
		}
	}
	clear(e.inner.owned[len(kept):])
	e.inner.owned = kept
	for _, g := range gs {
		if g != nil {
			e.let(g)
		}
	}
}

// let drops a gradient of the engine's that is pending nowhere.
func (e *engine) let(g *Tensor) {
	if !e.create && g.scope == e.inner && g.pins <= 0 {
		g.drop()
	}
}
