package tensor

import (
	"sync/atomic"

	"github.com/descent-ml/descent/backend"
)

// Formulas map the gradient g of an op's output to the gradient of one input.
// They are written in ops, so that they can be differentiated again. A formula
// takes the op's tensors from its arguments, never from the closure: the engine
// passes handles whose results it can free. It need not undo broadcasting or
// casts; a result of nil means zero.
type (
	formula1 = func(g, x, y *Tensor) *Tensor // y = f(x)
	formula2 = func(g, x, y *Tensor) *Tensor // f(x, y)
	formula  = func(b *Back, g *Tensor) *Tensor
	// Joint computes the gradients of all inputs at once. gs[i] is nil where no
	// gradient reached output i; results that b.Wants not may be nil.
	Joint = func(b *Back, gs []*Tensor) []*Tensor
)

// Node is one recorded operation.
type Node struct {
	op   string
	id   uint64 // creation order, which is a topological order
	in   []*Tensor
	outs []*Tensor

	// One of these:
	pass  func(g *Tensor) *Tensor // a linear op of one input
	one   formula1
	two   [2]formula2
	each  []formula
	joint Joint
	// into, beside pass, is the view of an input's gradient that g is added to:
	// many slices of one tensor then share one buffer.
	into func(whole *Tensor) *Tensor

	saved     []savedVersion
	valueFree bool   // two use no values, only the gradient
	modeless  string // the layer that chose eval mode for want of a scope

	in1    [3]*Tensor // storage for in, outs and saved
	out1   [1]*Tensor
	saved1 [1]savedVersion
}

type savedVersion struct {
	input   int
	version int64
}

// recorded is a result and its node: as each holds the other, one allocation
// serves both.
type recorded struct {
	Tensor
	own Node
}

// newResult is a tensor for the result of an op, with room for its node if the
// op is to be recorded.
func newResult(record bool) *Tensor {
	if !record {
		return new(Tensor)
	}
	r := new(recorded)
	r.node = &r.own
	return &r.Tensor
}

var nodeCount atomic.Uint64

// needsGrad reports whether gradients flow into t.
func (t *Tensor) needsGrad() bool {
	return t.node != nil || t.leaf != nil && !t.leaf.frozen && t.leaf.kind != buffer
}

// recording reports whether an op with output y and inputs in is to be recorded.
func recording(y *Tensor, in ...*Tensor) bool { return tracked(y.scope, y.arr.DType, in...) }

// tracked is recording for an output in s of dtype dt.
func tracked(s *Scope, dt DType, in ...*Tensor) bool {
	if s != nil && s.mode.NoGrad || !dt.IsFloat() {
		return false
	}
	for _, x := range in {
		if x.needsGrad() {
			return true
		}
	}
	return false
}

// newNode makes y the first output of a node; the caller has asked recording.
func newNode(op string, y *Tensor, in ...*Tensor) *Node {
	n := y.node // the room that newResult made
	if n == nil || n.id != 0 {
		n = new(Node)
		y.node = n
	}
	n.op, n.id = op, nodeCount.Add(1)
	n.in = append(n.in1[:0], in...)
	n.out1[0] = y
	n.outs = n.out1[:]
	n.saved = n.saved1[:0]
	return n
}

// save remembers the versions of inputs that can change before the backward.
func (n *Node) save() {
	for i, x := range n.in {
		if x.blk.mutable {
			n.saved = append(n.saved, savedVersion{i, x.blk.version.Load()})
		}
	}
}

// linear records an op of one input whose gradient needs no values.
func linear(op string, y, x *Tensor, pass func(g *Tensor) *Tensor) *Tensor {
	if recording(y, x) {
		newNode(op, y, x).pass = pass
	}
	return y
}

// record records an op of any number of inputs, one formula each; nil stands
// for an input that has no gradient by its nature (an index).
func record(op string, y *Tensor, in []*Tensor, each ...formula) *Tensor {
	if recording(y, in...) {
		n := newNode(op, y, in...)
		n.each = each
		n.save()
	}
	return y
}

// recordJoint records an op whose inputs' gradients are computed together, or
// that has several outputs.
func recordJoint(op string, outs, in []*Tensor, joint Joint) {
	n := (*Node)(nil)
	for i, y := range outs {
		if !recording(y, in...) {
			continue
		}
		if n == nil {
			n = newNode(op, y, in...)
			n.outs = outs
			n.joint = joint
			n.save()
		}
		y.node, y.index = n, i
	}
}

// Custom records outs as the results of a user's op on in, for package
// autograd's Function and for layers with kernels of their own. The tensors of
// outs must be new; their values were computed without recording.
func Custom(op string, outs, in []*Tensor, joint Joint) { recordJoint(op, outs, in, joint) }

// ModeDependent marks x, the result of a layer that behaves differently in
// training and found no scope to tell it which: Backward panics on its way
// through, so that nobody trains without dropout by mistake.
func ModeDependent(x *Tensor, layer string) *Tensor {
	if x.scope != nil || !x.needsGrad() {
		return x
	}
	y := x.view(nil, x.arr)
	linear(layer, y, x, passOn)
	y.node.modeless = layer
	return y
}

func passOn(g *Tensor) *Tensor { return g }

// unary computes an elementwise op of one input.
func unary(op string, code backend.UnaryOp, x *Tensor, p backend.Scalars, grad formula1) *Tensor {
	return unaryParams(op, code, x, backend.Params{Scalars: p}, grad)
}

// unaryParams is unary with scalars that may stand in a slot.
func unaryParams(op string, code backend.UnaryOp, x *Tensor, p backend.Params, grad formula1) *Tensor {
	x.use(op)
	if widens[code] {
		if c := x.wide(); c != x {
			defer free(c)
			x = c
		}
	}
	record := tracked(x.scope, x.arr.DType, x)
	y := newResult(record).like(op, x.scope, x.arr.DType, x)
	check(op, x.dev.Unary(code, y.arr, x.arr, p))
	if record {
		n := newNode(op, y, x)
		n.one = grad
		n.save()
	}
	return y
}

// unaryFloat is unary for functions that take integers to the default float.
func unaryFloat(op string, code backend.UnaryOp, x *Tensor, p backend.Scalars, grad formula1) *Tensor {
	if x.use(op); !x.DType().IsFloat() {
		c := x.To(Float32)
		defer free(c)
		return unary(op, code, c, p, grad)
	}
	return unary(op, code, x, p, grad)
}

// binary computes an elementwise op of two inputs, broadcast against each other
// and promoted to a common dtype. The result has that dtype.
func binary(op string, code backend.BinaryOp, x, y *Tensor, p backend.Scalars, gx, gy formula2) *Tensor {
	a, b := promote(op, x, y)
	out := elementwise2(op, code, a.arr.DType, a, b, p, gx, gy)
	if out.node == nil {
		freeCasts(x, a, y, b)
	}
	return out
}

func elementwise2(op string, code backend.BinaryOp, dt DType, x, y *Tensor, p backend.Scalars, gx, gy formula2) *Tensor {
	s := place2(op, x, y)
	xa, ya := x.arr, y.arr
	record := tracked(s, dt, x, y)
	out := newResult(record)
	if sameShape(xa.Shape, ya.Shape) {
		like := x
		if !dense(xa) && dense(ya) {
			like = y
		}
		out.like(op, s, dt, like)
	} else {
		shape := broadcastShapes(op, xa.Shape, ya.Shape)
		switch {
		case sameShape(shape, xa.Shape):
			out.like(op, s, dt, x)
		case sameShape(shape, ya.Shape):
			out.like(op, s, dt, y)
		default:
			out.shaped(op, x.dev, s, dt, shape)
		}
		xa, ya = expandArray(xa, shape), expandArray(ya, shape)
	}
	check(op, x.dev.Binary(code, out.arr, xa, ya, backend.Params{Scalars: p}))
	if record {
		n := newNode(op, out, x, y)
		n.two = [2]formula2{gx, gy}
		n.save()
	}
	return out
}

func place2(op string, x, y *Tensor) *Scope {
	x.use(op)
	y.use(op)
	if x.dev != y.dev {
		Fail(op, "its operands are on %v and %v; To moves one", x.dev, y.dev)
	}
	return joinScopes(op, x.scope, y.scope)
}

// placeAll is place2 for any number of operands.
func placeAll(op string, in ...*Tensor) *Scope {
	var s *Scope
	for _, x := range in {
		s = joinScopes(op, place2(op, in[0], x), s)
	}
	return s
}

func dense(a backend.Array) bool {
	var tmp [16]int
	return a.IsContiguous() || len(a.Shape) <= len(tmp) && denseOrder(a.Shape, a.Strides, tmp[:len(a.Shape)])
}
