package cuda

import (
	"github.com/descent-ml/descent/backend"
	cu "github.com/descent-ml/descent/cuda"
)

// Convolutions are cuDNN's. Its engines take tensors that are dense, with their
// channels last for the most part; others are copied to such ones.

// tensorAlignment is what the plans are made for, in bytes.
const tensorAlignment = 16

// ChannelsLast reports that the results of Conv should have their channels last.
func (d *Device) ChannelsLast() bool { return true }

// convCall is what a captured convolution is listed with.
type convCall struct {
	Params     backend.ConvParams
	Accumulate bool
	Act        backend.UnaryOp
}

// Conv computes a convolution or one of its adjoints. Without cuDNN, or where it has
// no engine, it answers ErrUnsupported.
func (d *Device) Conv(op backend.ConvOp, out, a, b backend.Array, p backend.ConvParams, e backend.Epilogue) error {
	note(d, "Conv", op, out, convCall{p, e.Accumulate, e.Act})
	if !out.DType.IsFloat() || e.Act != backend.Identity && e.Act != backend.ReLU || op == backend.ConvBackwardWeight && e.Bias.Buf != nil {
		return unsupported(op, out.DType)
	}
	if err := d.alive(); err != nil || out.Size() == 0 {
		return err
	}
	c := convolution{d: d, out: out, a: a, b: b, act: e.Act, bias: e.Bias, accumulate: e.Accumulate}
	if a.Size() == 0 || b.Size() == 0 {
		return c.empty()
	}
	if !exactWindows(op, &out, &a, &b, &p) {
		return unsupported(op, out.DType)
	}
	if e.Accumulate && out.DType.Size() == 2 {
		return d.wider(out, a, b, e.Bias, true, func(out, a, b, bias backend.Array) error {
			return d.Conv(op, out, a, b, p, backend.Epilogue{Bias: bias, Act: e.Act})
		})
	}
	c.key = keyOf(op, &out, &a, &b, &p, &e)
	var try func(*convPlan) error
	if d.options.Autotune && d.capturing() == nil {
		inner := c
		inner.held = true
		try = func(p *convPlan) error { return inner.compute(p) }
	}
	plan, err := d.planOf(c.key, try)
	if err != nil {
		return err
	}
	return c.run(plan)
}

// exactWindows reports whether y has a place for each window of x. A transposed
// convolution with output padding may have fewer, which cuDNN refuses.
func exactWindows(op backend.ConvOp, out, a, b *backend.Array, p *backend.ConvParams) bool {
	x, w, y := a, b, out
	switch op {
	case backend.ConvBackwardInput:
		x, y = out, a
	case backend.ConvBackwardWeight:
		x, w, y = b, out, a
	}
	for i := range 2 {
		room := x.Shape[2+i] + 2*p.Padding[i] - p.Dilation[i]*(w.Shape[2+i]-1) - 1
		if room/p.Stride[i]+1 != y.Shape[2+i] {
			return false
		}
	}
	return true
}

// convolution is one call.
type convolution struct {
	d          *Device
	key        convKey
	out, a, b  backend.Array
	bias       backend.Array
	act        backend.UnaryOp
	accumulate bool
	held       bool // convMu, by the caller
}

// empty is the convolution of nothing.
func (c *convolution) empty() error {
	d := c.d
	if c.accumulate {
		t, err := d.temporary(c.out.DType, c.out.Shape, false)
		if err != nil {
			return err
		}
		defer t.free()
		inner := *c
		inner.out, inner.accumulate = t.Array, false
		if err := inner.empty(); err != nil {
			return err
		}
		return d.Copy(c.out, t.Array, true)
	}
	if err := d.Generate(backend.Fill, c.out, backend.Params{}); err != nil {
		return err
	}
	return c.epilogue(c.out)
}

// epilogue adds the bias to y and applies the activation.
func (c *convolution) epilogue(y backend.Array) error {
	if b := c.bias; b.Buf != nil {
		b.Shape, b.Strides = y.Shape, []int{0, b.Strides[0], 0, 0}
		if err := c.d.Binary(backend.Add, y, y, b, backend.Params{}); err != nil {
			return err
		}
	}
	if c.act == backend.Identity {
		return nil
	}
	return c.d.Unary(c.act, y, y, backend.Params{})
}

// run computes by a plan.
func (c *convolution) run(p *convPlan) error {
	d, y := c.d, c.out
	var result *temporary
	if c.accumulate || !ready(&y, p.channelsLast) {
		var err error
		if result, err = d.temporary(y.DType, y.Shape, p.channelsLast); err != nil {
			return err
		}
		defer result.free()
		y = result.Array
	}
	if err := c.into(p, y); err != nil {
		return err
	}
	if !p.fused && (c.key.bias || c.key.relu) {
		if err := c.epilogue(y); err != nil {
			return err
		}
	}
	if result != nil {
		return d.Copy(c.out, y, c.accumulate)
	}
	return nil
}

// compute is run without touching what out holds, for timing.
func (c *convolution) compute(p *convPlan) error {
	result, err := c.d.temporary(c.out.DType, c.out.Shape, p.channelsLast)
	if err != nil {
		return err
	}
	defer result.free()
	return c.into(p, result.Array)
}

// ready reports whether a plan takes a as it lies.
func ready(a *backend.Array, channelsLast bool) bool {
	return addr(*a)%tensorAlignment == 0 && packed(a, channelsLast)
}

// arranged is the address of a, or of a copy that a plan takes.
func (d *Device) arranged(a *backend.Array, channelsLast bool) (uint64, *temporary, error) {
	if ready(a, channelsLast) {
		return addr(*a), nil, nil
	}
	t, err := d.copied(*a, a.DType, channelsLast)
	if err != nil {
		return 0, nil, err
	}
	return addr(t.Array), t, nil
}

// into executes a plan with the output at y, which is ready.
func (c *convolution) into(p *convPlan, y backend.Array) error {
	d := c.d
	a, copyOfA, err := d.arranged(&c.a, p.channelsLast)
	defer copyOfA.free()
	if err != nil {
		return err
	}
	b, copyOfB, err := d.arranged(&c.b, p.channelsLast)
	defer copyOfB.free()
	if err != nil {
		return err
	}
	addresses := [4]uint64{addr(y), a, b}
	uids := [3][4]int64{
		backend.ConvForward:        {uidY, uidX, uidW, uidBias},
		backend.ConvBackwardInput:  {uidX, uidY, uidW, uidBias},
		backend.ConvBackwardWeight: {uidW, uidY, uidX},
	}[c.key.op]
	n := 3
	if p.fused && c.key.bias {
		bias, copyOfBias, err := d.arranged(&c.bias, false)
		defer copyOfBias.free()
		if err != nil {
			return err
		}
		addresses[3], n = bias, 4
	}
	workspace, err := d.scratch(int(p.plan.Workspace))
	if err != nil {
		return err
	}
	defer workspace.free()
	return c.execute(p, uids[:n], addresses[:n], workspace.addr())
}

// execute puts a plan's work on the caller's stream.
func (c *convolution) execute(p *convPlan, uids []int64, addresses []uint64, workspace uint64) error {
	d := c.d
	if !c.held {
		d.convMu.Lock()
		defer d.convMu.Unlock()
	}
	err := d.ctx.Bind()
	if err == nil {
		restore := d.relaxed()
		err = d.onStream(d.stream())
		if err == nil {
			err = p.plan.Execute(d.handle, uids, addresses, workspace)
		}
		restore()
		d.ctx.Unbind()
	}
	if err != nil || d.options.Blocking {
		return d.launched(c.key.op.String(), err)
	}
	return nil
}

// onStream makes the handle work on s.
func (d *Device) onStream(s cu.Stream) error {
	if d.handleOn == s.Handle() {
		return nil
	}
	if err := d.handle.SetStream(s.Handle()); err != nil {
		return err
	}
	d.handleOn = s.Handle()
	return nil
}
