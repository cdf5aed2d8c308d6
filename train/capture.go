package train

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/optim"
	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/tensor"
)

// CaptureOptions are the options of Capture.
type CaptureOptions struct {
	// WarmUp is the number of ordinary steps before a capture, for batches of each
	// shape: what is made once, such as the optimizer's state, is then there. 0 is 2.
	WarmUp int
	// Graphs is the most that are kept, one for each shape of batch; 0 is 4. The one
	// that was used the longest ago makes room.
	Graphs int
	// BeforeStep runs between backward and the update, and is recorded too: clipping.
	BeforeStep func() error
}

// Captured is a training step that is replayed. It belongs to one goroutine.
type Captured[B any] struct {
	opt    optim.Capturable
	params []*tensor.Tensor // of opt
	fn     func(b B) (loss *tensor.Tensor, keep Keep)
	o      CaptureOptions
	list   []*captured[B] // the latest used last
}

// Capture makes a step of fn that is recorded and then replayed, as one CUDA graph
// or, on the CPU, as its list of kernels, without the work of dispatch:
//
//	step := train.Capture(opt, func(b data.Batch) (*tensor.Tensor, train.Keep) {
//		logits := model.Forward(b.X)
//		return nn.CrossEntropy(logits, b.Y), train.Keep{logits}
//	}, train.CaptureOptions{})
//	defer step.Release()
//	for b, err := range loader.Batches(ctx, epoch) {
//		…
//		loss, keep, err := step.Step(b)
//
// Each call of Step does what Step(opt, …) does, to the same bits. For a batch of
// new shapes the first calls are ordinary steps; then two are recorded and compared;
// those after them are replayed and do not run fn. What fn computes from Go values
// stays as it was recorded; the learning rate, the number of the step and the random
// numbers of the batch's scope do change. If the two recordings differ in a scalar,
// a shape or a call, Step returns an error that names it and the line that asked
// for it. Nothing in fn may wait for the device, as Item does.
//
// The tensors of B, in exported fields, are copied into fixed inputs; they must not
// share memory that fn relies on. Hooks of gradients do not run in a replay.
func Capture[B any](opt optim.Optimizer, fn func(b B) (loss *tensor.Tensor, keep Keep), o CaptureOptions) *Captured[B] {
	if o.WarmUp == 0 {
		o.WarmUp = 2
	}
	if o.Graphs == 0 {
		o.Graphs = 4
	}
	if o.WarmUp < 0 || o.Graphs < 0 {
		tensor.Fail("capture", "WarmUp is %d and Graphs is %d", o.WarmUp, o.Graphs)
	}
	c, ok := opt.(optim.Capturable)
	if !ok {
		tensor.Fail("capture", "%T is no optim.Capturable", opt)
	}
	var params []*tensor.Tensor
	for _, g := range opt.Groups() {
		for _, p := range g.Params() {
			params = append(params, p)
		}
	}
	return &Captured[B]{opt: c, params: params, fn: fn, o: o}
}

// captured is the step for one shape of batch.
type captured[B any] struct {
	key    string
	warm   int // ordinary steps so far
	calls  []backend.GraphCall
	graph  backend.Graph
	slots  *tensor.Slots
	scope  *tensor.Scope // of the graph's tensors
	batch  B             // with the fixed inputs
	inputs []*tensor.Tensor
	gen    *random.Generator
	drawn  uint64           // how far a step moves the generator
	where  []backend.Buffer // of the parameters
	result
}

// Step does one step on b. The loss and the kept tensors belong to b's scope.
func (c *Captured[B]) Step(b B) (loss *tensor.Tensor, keep Keep, err error) {
	defer tensor.Catch(&err)
	xs := tensors(reflect.ValueOf(&b).Elem())
	if len(xs) == 0 {
		tensor.Fail("capture", "%T has no tensors in exported fields", b)
	}
	scope := tensor.CommonScope(xs...)
	if scope == nil {
		tensor.Fail("capture", "the batch has no scope")
	}
	dev, ok := scope.Device().(backend.GraphDevice)
	e := c.find(key(xs))
	if !ok || e.warm < c.o.WarmUp {
		var out result
		c.opt.ZeroGrad()
		if err := c.gradients(b, &out); err != nil {
			return nil, nil, err
		}
		c.opt.Step()
		e.warm++
		return out.loss, out.keep, nil
	}
	if e.graph != nil && e.calls == nil && !slices.Equal(e.where, c.places()) {
		e.release() // nn.To has moved the model
	}
	if e.graph != nil && e.calls == nil {
		e.load(xs, scope)
		e.slots.Refresh()
		if err := e.graph.Launch(); err != nil {
			return nil, nil, fmt.Errorf("train: a captured step: %w", err)
		}
		// A version more, as by an update.
		tensor.MutateAll("capture", c.params, func(backend.Device, []backend.Array) error { return nil })
		loss, keep = e.results(scope)
		return loss, keep, nil
	}
	first := e.calls
	e.release()
	if err := e.record(c, dev, b, scope); err != nil {
		e.release()
		return nil, nil, err
	}
	e.calls = e.graph.Calls()
	if first != nil {
		if err := compare(first, e.calls); err != nil {
			e.release()
			e.calls = nil
			return nil, nil, err
		}
		e.calls, e.where = nil, c.places()
	}
	loss, keep = e.results(scope)
	return loss, keep, nil
}

type result struct {
	loss *tensor.Tensor
	keep Keep
}

// gradients runs fn and what follows up to the update.
func (c *Captured[B]) gradients(b B, out *result) error {
	err := Accumulate(1, func() (*tensor.Tensor, Keep) {
		out.loss, out.keep = c.fn(b)
		return out.loss, out.keep
	})
	if err == nil && c.o.BeforeStep != nil {
		err = c.o.BeforeStep()
	}
	return err
}

// find returns the entry of a key, as the latest used one.
func (c *Captured[B]) find(key string) *captured[B] {
	i := slices.IndexFunc(c.list, func(e *captured[B]) bool { return e.key == key })
	if i < 0 {
		if len(c.list) == c.o.Graphs {
			c.list[0].release()
			c.list = slices.Delete(c.list, 0, 1)
		}
		e := &captured[B]{key: key}
		c.list = append(c.list, e)
		return e
	}
	e := c.list[i]
	c.list = append(slices.Delete(c.list, i, i+1), e)
	return e
}

// Release gives up the graphs and their memory.
func (c *Captured[B]) Release() {
	for _, e := range c.list {
		e.release()
	}
	c.list = nil
}

func (e *captured[B]) release() {
	if e.scope != nil {
		e.scope.Close()
	}
	if e.graph != nil {
		e.graph.Free()
	}
	if e.slots != nil {
		e.slots.Release()
	}
	for _, x := range e.inputs {
		x.Release()
	}
	e.scope, e.graph, e.slots, e.inputs, e.where, e.result = nil, nil, nil, nil, nil, result{}
}

// record captures a step on b, which it does at the same time.
func (e *captured[B]) record(c *Captured[B], dev backend.GraphDevice, b B, scope *tensor.Scope) error {
	e.batch = b
	mode := scope.Mode()
	if e.gen = nil; mode.Rand != nil {
		e.gen = random.New(0)
		mode.Rand = e.gen
	}
	e.scope = tensor.NewScope(scope.Device(), mode)
	e.slots = tensor.NewSlots(scope.Device())
	e.scope.SetSlots(e.slots)
	fields := fields(reflect.ValueOf(&e.batch).Elem())
	xs := make([]*tensor.Tensor, len(fields))
	for i, f := range fields {
		xs[i] = f.Interface().(*tensor.Tensor)
		fixed := tensor.Buffer(xs[i].Clone())
		e.inputs = append(e.inputs, fixed)
		f.Set(reflect.ValueOf(e.scope.Use(fixed)))
	}
	e.load(xs, scope)
	start := e.start()
	graph, err := dev.Capture(func() (err error) {
		defer tensor.Catch(&err)
		c.opt.ZeroGrad()
		if err := c.gradients(e.batch, &e.result); err != nil {
			return err
		}
		c.opt.StepSlots(e.slots)
		return nil
	})
	if err != nil {
		return err
	}
	e.graph = graph
	if e.drawn = e.start() - start; e.gen != nil {
		scope.Rand().SetState(e.gen.State())
	}
	return nil
}

func (e *captured[B]) start() uint64 {
	if e.gen == nil {
		return 0
	}
	return e.gen.State().Counter
}

// load copies a batch into the fixed inputs, and takes its random numbers.
func (e *captured[B]) load(xs []*tensor.Tensor, scope *tensor.Scope) {
	for i, x := range xs {
		e.inputs[i].Assign(x)
	}
	if e.gen == nil {
		return
	}
	at := scope.Rand().State()
	e.slots.Begin(at)
	e.gen.SetState(at)
	if e.graph != nil {
		at.Counter += e.drawn
		scope.Rand().SetState(at)
	}
}

// results copies what the graph has computed to s: its next launch overwrites it.
func (e *captured[B]) results(s *tensor.Scope) (*tensor.Tensor, Keep) {
	var keep Keep
	for _, t := range e.keep {
		if t != nil {
			t = s.Copy(t)
		}
		keep = append(keep, t)
	}
	return s.Copy(e.loss), keep
}

// places is where the parameters lie.
func (c *Captured[B]) places() []backend.Buffer {
	at := make([]backend.Buffer, len(c.params))
	for i, p := range c.params {
		at[i] = p.Array().Buf
	}
	return at
}

// compare tells where two recordings of one step differ.
func compare(a, b []backend.GraphCall) error {
	for i := range min(len(a), len(b)) {
		x, y := a[i], b[i]
		switch {
		case x.Name != y.Name || x.Shape != y.Shape:
			return fmt.Errorf("train: a step cannot be replayed: its call %d was %s%s (at %s), and then %s%s (at %s)",
				i+1, x.Name, x.Shape, x.Line, y.Name, y.Shape, y.Line)
		case x.Params != y.Params:
			return fmt.Errorf("train: a step cannot be replayed: the scalars of %s%s (at %s) went from %s to %s: what changes from step to step must come from a tensor of the batch",
				x.Name, x.Shape, x.Line, show(x.Params), show(y.Params))
		}
	}
	if len(a) != len(b) {
		return fmt.Errorf("train: a step cannot be replayed: it made %d calls, and then %d", len(a), len(b))
	}
	return nil
}

func show(params any) string { return strings.TrimPrefix(fmt.Sprintf("%+v", params), "backend.") }

func key(xs []*tensor.Tensor) string {
	var text strings.Builder
	for _, x := range xs {
		fmt.Fprint(&text, x.DType(), x.Shape(), " ")
	}
	return text.String()
}

// tensors are those in the exported fields of a struct, in order.
func tensors(v reflect.Value) []*tensor.Tensor {
	var xs []*tensor.Tensor
	for _, f := range fields(v) {
		xs = append(xs, f.Interface().(*tensor.Tensor))
	}
	return xs
}

// fields are the fields of v that hold a tensor, or v itself.
func fields(v reflect.Value) []reflect.Value {
	switch {
	case v.Type() == reflect.TypeFor[*tensor.Tensor]():
		if v.IsNil() {
			return nil
		}
		return []reflect.Value{v}
	case v.Kind() == reflect.Struct:
		var all []reflect.Value
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				all = append(all, fields(v.Field(i))...)
			}
		}
		return all
	}
	return nil
}
