package null

import (
	"github.com/descent-ml/descent/backend"
)

// ChannelsLast is false: tensors on this device are row-major.
func (d *Device) ChannelsLast() bool { return false }

func (d *Device) Conv(op backend.ConvOp, out, a, b backend.Array, p backend.ConvParams, e backend.Epilogue) error {
	c := d.check("Conv", op)
	x, w, y := a, b, out
	switch op {
	case backend.ConvForward:
	case backend.ConvBackwardInput:
		x, w, y = out, b, a
	case backend.ConvBackwardWeight:
		x, w, y = b, out, a
		c.that(e.Bias.IsScalar(), "a bias on a weight's gradient")
	default:
		c.failf("no such op")
	}
	c.array("a", a)
	c.array("b", b)
	c.result("out", out, a.DType, out.Shape)
	c.is("b", b, a.DType, b.Shape)
	c.that(len(x.Shape) == 4 && len(w.Shape) == 4 && len(y.Shape) == 4, "shapes: x %v, weight %v, y %v", x.Shape, w.Shape, y.Shape)
	c.that(p.Groups >= 1, "%d groups", p.Groups)
	if c.err != nil {
		return c.err
	}
	c.that(x.Shape[0] == y.Shape[0] && w.Shape[0] == y.Shape[1] && w.Shape[1]*p.Groups == x.Shape[1] && w.Shape[0]%p.Groups == 0,
		"shapes: x %v, weight %v, y %v in %d groups", x.Shape, w.Shape, y.Shape, p.Groups)
	for i := range 2 {
		c.window(x.Shape[2+i], y.Shape[2+i], w.Shape[2+i], p.Stride[i], p.Padding[i], p.Dilation[i], 0)
	}
	c.disjoint(out, a, false)
	c.disjoint(out, b, false)
	c.epilogue(e, out, 1)
	return c.err
}

// window holds out to be the number of places of a window in an axis of size n;
// slack allows for the partial window that PyTorch's ceil_mode adds.
func (c *check) window(n, out, kernel, stride, padding, dilation, slack int) {
	c.that(kernel >= 1 && stride >= 1 && padding >= 0 && dilation >= 1,
		"kernel %d, stride %d, padding %d, dilation %d", kernel, stride, padding, dilation)
	if c.err != nil {
		return
	}
	room := n + 2*padding - dilation*(kernel-1) - 1
	want := room/stride + 1
	c.that(room >= 0 && (out == want || out == want+slack && room%stride != 0),
		"an axis of %d is %d, not %d, after kernel %d, stride %d, padding %d, dilation %d", n, out, want, kernel, stride, padding, dilation)
}

func (d *Device) Pool(op backend.PoolOp, out, idx, x backend.Array, p backend.PoolParams) error {
	c := d.check("Pool", op)
	large, small := x, out
	switch op {
	case backend.MaxPool, backend.AvgPool:
	case backend.MaxPoolBackward, backend.AvgPoolBackward:
		large, small = out, x
	default:
		c.failf("no such op")
	}
	c.array("x", x)
	c.result("out", out, x.DType, out.Shape)
	c.that(len(large.Shape) == 4 && len(small.Shape) == 4, "shapes: %v into %v", x.Shape, out.Shape)
	if c.err != nil {
		return c.err
	}
	c.that(large.Shape[0] == small.Shape[0] && large.Shape[1] == small.Shape[1], "shapes: %v into %v", x.Shape, out.Shape)
	for i := range 2 {
		dilation := p.Dilation[i]
		if op == backend.AvgPool || op == backend.AvgPoolBackward {
			dilation = max(dilation, 1)
		}
		c.window(large.Shape[2+i], small.Shape[2+i], p.Kernel[i], p.Stride[i], p.Padding[i], dilation, 1)
		c.that(2*p.Padding[i] <= p.Kernel[i], "padding %d is more than half of kernel %d", p.Padding[i], p.Kernel[i])
	}
	c.disjoint(out, x, false)
	switch op {
	case backend.MaxPool:
		c.result("idx", idx, backend.Int64, out.Shape)
		c.disjoint(idx, x, false)
		c.disjoint(idx, out, false)
	case backend.MaxPoolBackward:
		c.operand("idx", idx, backend.Int64, x.Shape)
		c.disjoint(out, idx, false)
	default:
		c.that(idx.IsScalar(), "idx has a buffer")
	}
	return c.err
}

// statistics is the dtype of a norm's mean and variance.
func statistics(x backend.DType) backend.DType {
	if x == backend.Float16 || x == backend.BFloat16 {
		return backend.Float32
	}
	return x
}

func (d *Device) Norm(out, mean, variance, x, weight, bias backend.Array, eps float64) error {
	c := d.check("Norm", nil)
	c.operand("x", x, x.DType, x.Shape)
	c.that(x.DType.IsFloat(), "x is %s", x.DType)
	c.result("out", out, x.DType, x.Shape)
	c.disjoint(out, x, true)
	c.result("mean", mean, statistics(x.DType), mean.Shape)
	c.result("variance", variance, statistics(x.DType), mean.Shape)
	c.reduced("mean", mean, x.Shape)
	c.disjoint(mean, x, false)
	c.disjoint(variance, x, false)
	c.affine("weight", weight, x)
	c.affine("bias", bias, x)
	return c.err
}

// affine holds a norm's weight or bias, where there is one, to have x's shape and
// x's dtype or that of its statistics.
func (c *check) affine(name string, a, x backend.Array) {
	if !a.IsScalar() {
		t := x.DType
		if a.DType == statistics(t) {
			t = a.DType
		}
		c.operand(name, a, t, x.Shape)
	}
}

func (d *Device) NormBackward(dx, dweight, dbias, g, x, mean, variance, weight backend.Array, eps float64) error {
	c := d.check("NormBackward", nil)
	c.operand("x", x, x.DType, x.Shape)
	c.operand("g", g, x.DType, x.Shape)
	c.operand("mean", mean, statistics(x.DType), mean.Shape)
	c.operand("variance", variance, statistics(x.DType), mean.Shape)
	c.reduced("mean", mean, x.Shape)
	c.affine("weight", weight, x)
	c.that(!dx.IsScalar() || !dweight.IsScalar() || !dbias.IsScalar(), "no gradient is wanted")
	if !dx.IsScalar() {
		c.result("dx", dx, x.DType, x.Shape)
		c.disjoint(dx, x, true)
		c.disjoint(dx, g, true)
	}
	for _, dw := range []backend.Array{dweight, dbias} {
		if dw.IsScalar() {
			continue
		}
		c.affineGrad(dw, x, weight)
	}
	return c.err
}

// affineGrad holds dw to have size 1 on the axes on which weight is broadcast.
func (c *check) affineGrad(dw, x, weight backend.Array) {
	c.result("dweight, dbias", dw, dw.DType, dw.Shape)
	c.reduced("dweight, dbias", dw, x.Shape)
	if c.err != nil || weight.IsScalar() {
		return
	}
	c.that(dw.DType == weight.DType, "dweight, dbias is %s, not %s", dw.DType, weight.DType)
	for i, n := range x.Shape {
		want := n
		if weight.Strides[i] == 0 {
			want = 1
		}
		c.that(n == 1 || dw.Shape[i] == want, "dweight, dbias has the shape %v for a weight with the strides %v", dw.Shape, weight.Strides)
	}
}

func (d *Device) Softmax(op backend.SoftmaxOp, out, x, y backend.Array, axis int) error {
	c := d.check("Softmax", op)
	c.operand("x", x, x.DType, x.Shape)
	c.that(x.DType.IsFloat(), "x is %s", x.DType)
	c.axis(axis, x)
	c.result("out", out, x.DType, x.Shape)
	c.disjoint(out, x, true)
	switch op {
	case backend.Softmax, backend.LogSoftmax:
		c.that(y.IsScalar(), "y has a buffer")
	case backend.SoftmaxBackward, backend.LogSoftmaxBackward:
		c.operand("y", y, x.DType, x.Shape)
		c.disjoint(out, y, true)
	default:
		c.failf("no such op")
	}
	return c.err
}

func (d *Device) Attention(out, lse, q, k, v backend.Array, p backend.AttentionParams) error {
	c := d.check("Attention", nil)
	if c.attention(q, k, v); c.err != nil {
		return c.err
	}
	c.result("out", out, q.DType, q.Shape)
	c.result("lse", lse, statistics(q.DType), q.Shape[:3])
	for _, in := range []backend.Array{q, k, v} {
		c.disjoint(out, in, false)
		c.disjoint(lse, in, false)
	}
	c.disjoint(out, lse, false)
	return c.err
}

func (d *Device) AttentionBackward(dq, dk, dv, g, out, lse, q, k, v backend.Array, p backend.AttentionParams) error {
	c := d.check("AttentionBackward", nil)
	if c.attention(q, k, v); c.err != nil {
		return c.err
	}
	c.operand("g", g, q.DType, q.Shape)
	c.operand("out", out, q.DType, q.Shape)
	c.operand("lse", lse, statistics(q.DType), q.Shape[:3])
	c.result("dq", dq, q.DType, q.Shape)
	c.result("dk", dk, q.DType, k.Shape)
	c.result("dv", dv, q.DType, v.Shape)
	for _, dx := range []backend.Array{dq, dk, dv} {
		for _, in := range []backend.Array{g, out, lse, q, k, v} {
			c.disjoint(dx, in, false)
		}
	}
	return c.err
}

// attention holds q, k and v to fit.
func (c *check) attention(q, k, v backend.Array) {
	c.array("q", q)
	c.that(q.DType.IsFloat() && len(q.Shape) == 4 && len(k.Shape) == 4, "q is %s%v, k %v", q.DType, q.Shape, k.Shape)
	if c.err != nil {
		return
	}
	c.operand("k", k, q.DType, []int{q.Shape[0], k.Shape[1], k.Shape[2], q.Shape[3]})
	c.operand("v", v, q.DType, k.Shape)
	c.that(k.Shape[1] > 0 && q.Shape[1]%k.Shape[1] == 0, "%d heads of queries share %d of keys", q.Shape[1], k.Shape[1])
}

func (d *Device) CrossEntropy(loss, lse, x, labels backend.Array, p backend.CrossEntropyParams) error {
	c := d.check("CrossEntropy", nil)
	c.labelled(x, labels, p)
	for _, out := range []backend.Array{loss, lse} {
		c.result("loss, lse", out, statistics(x.DType), labels.Shape)
		c.disjoint(out, x, false)
		c.disjoint(out, labels, false)
	}
	c.disjoint(loss, lse, false)
	return c.err
}

func (d *Device) CrossEntropyBackward(dx, g, lse, x, labels backend.Array, p backend.CrossEntropyParams) error {
	c := d.check("CrossEntropyBackward", nil)
	c.labelled(x, labels, p)
	c.operand("g", g, statistics(x.DType), labels.Shape)
	c.operand("lse", lse, statistics(x.DType), labels.Shape)
	c.result("dx", dx, x.DType, x.Shape)
	for _, in := range []backend.Array{g, lse, x, labels} {
		c.disjoint(dx, in, false)
	}
	return c.err
}

// labelled holds x to be logits [N, C] and labels [N] to be theirs.
func (c *check) labelled(x, labels backend.Array, p backend.CrossEntropyParams) {
	c.array("x", x)
	c.that(len(x.Shape) == 2 && x.DType.IsFloat(), "x is %s%v", x.DType, x.Shape)
	if c.err == nil {
		c.operand("labels", labels, backend.Int64, x.Shape[:1])
		c.that(p.Smoothing >= 0 && p.Smoothing <= 1, "smoothing %g", p.Smoothing)
	}
}

func (d *Device) OptimizerStep(op backend.OptimizerOp, params, grads []backend.Array, state [][]backend.Array, p backend.OptimizerParams) error {
	c := d.check("OptimizerStep", op)
	c.that(op <= backend.AdamW, "no such op")
	c.that(len(grads) == len(params) && len(state) == len(params), "%d parameters, %d gradients, %d states", len(params), len(grads), len(state))
	if p.Slot != nil {
		c.buffer("Slot", p.Slot, (p.SlotIndex+1)*backend.ScalarsBytes)
	} else {
		c.that(p.Step >= 1, "step %d", p.Step)
	}
	if c.err != nil {
		return c.err
	}
	for i, x := range params {
		c.result("a parameter", x, x.DType, x.Shape)
		c.that(x.DType.IsFloat(), "a parameter is %s", x.DType)
		c.sameOrder("a gradient", grads[i], x)
		n := len(state[i])
		if op == backend.SGD {
			c.that(n == 0 && p.Momentum == 0 || n == 1 && p.Momentum != 0, "SGD with momentum %g and %d state arrays", p.Momentum, n)
		} else {
			c.that(n == 2 || n == 3, "%d state arrays", n)
		}
		for _, s := range state[i] {
			c.sameOrder("a state", s, x)
		}
	}
	return c.err
}

func (d *Device) SumSquares(out backend.Array, xs []backend.Array) error {
	c := d.check("SumSquares", nil)
	c.result("out", out, backend.Float64, out.Shape)
	c.that(out.Size() == 1, "out has the shape %v", out.Shape)
	for _, x := range xs {
		c.result("an array", x, x.DType, x.Shape)
		c.that(x.DType.IsFloat(), "an array is %s", x.DType)
		c.disjoint(out, x, false)
	}
	return c.err
}

// sameOrder holds a to be dense in x's order and of its dtype and shape.
func (c *check) sameOrder(name string, a, x backend.Array) {
	c.result(name, a, x.DType, x.Shape)
	c.disjoint(x, a, false)
	a.Offset, a.DType = x.Offset, x.DType
	c.that(same(a, x), "%s has the strides %v, its parameter %v", name, a.Strides, x.Strides)
}
