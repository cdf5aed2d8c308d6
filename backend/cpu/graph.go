package cpu

import (
	"errors"
	"fmt"
	"slices"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/internal/goid"
)

// graph is a list of kernels and their arguments, with memory of its own. While
// it is captured it stands for the device: its methods run a kernel and note it.
type graph struct {
	dev   *Device
	owner uint64 // the goroutine that captures
	busy  bool   // it runs a kernel, which may use the device itself

	calls []backend.GraphCall
	steps []func() error

	// Guarded by pool.mu. A buffer of the graph that is free serves the graph's
	// later allocations, as they come later in each run too.
	freed    bool
	owned    []*buffer
	free     [numClasses]*buffer
	deferred []*buffer // of others, freed in the capture: the graph still reads them
}

var errWaits = errors.New("cpu: nothing in a captured function may wait for the device")

// Capture runs fn and notes its kernels.
func (d *Device) Capture(fn func() error) (_ backend.Graph, err error) {
	d.capture.Lock()
	defer d.capture.Unlock()
	g := &graph{dev: d, owner: goid.Get()}
	d.pool.graph.Store(g)
	done := false
	defer func() {
		d.pool.graph.Store(nil)
		if !done {
			g.Free()
		}
	}()
	if err := fn(); err != nil {
		return nil, err
	}
	done = true
	return g, nil
}

// capturing is the graph that the calling goroutine captures, nil if it captures none.
func (p *pool) capturing() *graph {
	g := p.graph.Load()
	if g == nil || g.owner != goid.Get() || g.busy {
		return nil
	}
	return g
}

func (d *Device) capturing() *graph { return d.pool.capturing() }

// add runs a kernel and notes it if the device has it.
func (g *graph) add(name string, out backend.Array, params any, run func() error) error {
	g.busy = true
	defer func() { g.busy = false }()
	err := run()
	if err == nil {
		g.calls = append(g.calls, backend.NewGraphCall(name, out.Shape, params))
		g.steps = append(g.steps, run)
	}
	return err
}

// Launch runs the kernels.
func (g *graph) Launch() error {
	if g.freed {
		return errors.New("cpu: a graph is launched after Free")
	}
	for i, run := range g.steps {
		if err := run(); err != nil {
			return fmt.Errorf("%s%s (at %s): %w", g.calls[i].Name, g.calls[i].Shape, g.calls[i].Line, err)
		}
	}
	return nil
}

func (g *graph) Calls() []backend.GraphCall { return g.calls }

// Free gives the graph's memory back; what of it is still live becomes ordinary.
func (g *graph) Free() {
	p := &g.dev.pool
	p.mu.Lock()
	if g.freed {
		p.mu.Unlock()
		panic("cpu: graph freed twice")
	}
	g.freed = true
	for _, b := range g.owned {
		b.graph, b.kept = nil, false
		if !b.live {
			p.put(b)
		}
	}
	for _, b := range g.deferred {
		if b.graph == nil { // else that graph has it
			p.put(b)
		}
	}
	g.owned, g.free, g.deferred, g.steps = nil, [numClasses]*buffer{}, nil, nil
	p.mu.Unlock()
}

// alloc takes memory that lives as long as the graph.
func (g *graph) alloc(n int) (*buffer, error) {
	p := &g.dev.pool
	if class := classOf(n); n >= 0 && class < numClasses {
		p.mu.Lock()
		if b := g.free[class]; b != nil {
			g.free[class], b.next = b.next, nil
			b.live, b.bytes = true, n // not room, which earlier kernels of the graph need
			p.mu.Unlock()
			if p.poison {
				b.fill()
			}
			return b, nil
		}
		p.mu.Unlock()
	}
	b, err := p.alloc(n)
	if err == nil {
		p.mu.Lock()
		b.graph, b.room = g, int(classBytes(b.class))
		g.owned = append(g.owned, b)
		p.mu.Unlock()
	}
	return b, err
}

// release is Free of a buffer in a capture, or of a graph's buffer; pool.mu is held.
func (g *graph) release(b *buffer, capturing bool) {
	switch {
	case b.graph != g:
		g.deferred = append(g.deferred, b)
	case capturing && !b.kept:
		b.next, g.free[b.class] = g.free[b.class], b
	}
	b.live = false
}

func clone(a backend.Array) backend.Array {
	a.Shape, a.Strides = slices.Clone(a.Shape), slices.Clone(a.Strides)
	return a
}

func clones(as []backend.Array) []backend.Array {
	as = slices.Clone(as)
	for i := range as {
		as[i] = clone(as[i])
	}
	return as
}

// The methods of a device, run and noted. Shapes are the caller's, so they are copied.

func (g *graph) copy(out, x backend.Array, accumulate bool) error {
	out, x = clone(out), clone(x)
	return g.add("Copy", out, accumulate, func() error { return g.dev.Copy(out, x, accumulate) })
}

func (g *graph) generate(op backend.GenerateOp, out backend.Array, p backend.Params) error {
	out = clone(out)
	return g.add("Generate "+op.String(), out, p, func() error { return g.dev.Generate(op, out, p) })
}

func (g *graph) unary(op backend.UnaryOp, out, x backend.Array, p backend.Params) error {
	out, x = clone(out), clone(x)
	return g.add("Unary "+op.String(), out, p, func() error { return g.dev.Unary(op, out, x, p) })
}

func (g *graph) binary(op backend.BinaryOp, out, x, y backend.Array, p backend.Params) error {
	out, x, y = clone(out), clone(x), clone(y)
	return g.add("Binary "+op.String(), out, p, func() error { return g.dev.Binary(op, out, x, y, p) })
}

func (g *graph) ternary(op backend.TernaryOp, out, x, y, z backend.Array, p backend.Params) error {
	out, x, y, z = clone(out), clone(x), clone(y), clone(z)
	return g.add("Ternary "+op.String(), out, p, func() error { return g.dev.Ternary(op, out, x, y, z, p) })
}

func (g *graph) reduce(op backend.ReduceOp, out, x backend.Array) error {
	out, x = clone(out), clone(x)
	return g.add("Reduce "+op.String(), out, nil, func() error { return g.dev.Reduce(op, out, x) })
}

func (g *graph) scan(op backend.ScanOp, out, idx, x backend.Array, axis int) error {
	out, idx, x = clone(out), clone(idx), clone(x)
	return g.add("Scan "+op.String(), out, axis, func() error { return g.dev.Scan(op, out, idx, x, axis) })
}

func (g *graph) sort(out, idx, x backend.Array, axis int, descending bool) error {
	out, idx, x = clone(out), clone(idx), clone(x)
	return g.add("Sort", x, [2]any{axis, descending}, func() error { return g.dev.Sort(out, idx, x, axis, descending) })
}

func (g *graph) gather(out, x, index backend.Array, axis int) error {
	out, x, index = clone(out), clone(x), clone(index)
	return g.add("Gather", out, axis, func() error { return g.dev.Gather(out, x, index, axis) })
}

func (g *graph) scatter(op backend.ScatterOp, out, index, src backend.Array, axis int) error {
	out, index, src = clone(out), clone(index), clone(src)
	return g.add("Scatter "+op.String(), out, axis, func() error { return g.dev.Scatter(op, out, index, src, axis) })
}

func (g *graph) matMul(out, x, y backend.Array, e backend.Epilogue) error {
	out, x, y, e.Bias = clone(out), clone(x), clone(y), clone(e.Bias)
	return g.add("MatMul", out, e.Act, func() error { return g.dev.MatMul(out, x, y, e) })
}

func (g *graph) conv(op backend.ConvOp, out, a, b backend.Array, p backend.ConvParams, e backend.Epilogue) error {
	out, a, b, e.Bias = clone(out), clone(a), clone(b), clone(e.Bias)
	return g.add("Conv "+op.String(), out, p, func() error { return g.dev.Conv(op, out, a, b, p, e) })
}

func (g *graph) pooling(op backend.PoolOp, out, idx, x backend.Array, p backend.PoolParams) error {
	out, idx, x = clone(out), clone(idx), clone(x)
	return g.add("Pool "+op.String(), out, p, func() error { return g.dev.Pool(op, out, idx, x, p) })
}

func (g *graph) norm(out, mean, variance, x, weight, bias backend.Array, eps float64) error {
	out, mean, variance, x, weight, bias = clone(out), clone(mean), clone(variance), clone(x), clone(weight), clone(bias)
	return g.add("Norm", out, eps, func() error { return g.dev.Norm(out, mean, variance, x, weight, bias, eps) })
}

func (g *graph) normBackward(dx, dweight, dbias, dy, x, mean, variance, weight backend.Array, eps float64) error {
	dx, dweight, dbias, dy = clone(dx), clone(dweight), clone(dbias), clone(dy)
	x, mean, variance, weight = clone(x), clone(mean), clone(variance), clone(weight)
	return g.add("NormBackward", x, eps, func() error {
		return g.dev.NormBackward(dx, dweight, dbias, dy, x, mean, variance, weight, eps)
	})
}

func (g *graph) softmax(op backend.SoftmaxOp, out, x, y backend.Array, axis int) error {
	out, x, y = clone(out), clone(x), clone(y)
	return g.add("Softmax "+op.String(), out, axis, func() error { return g.dev.Softmax(op, out, x, y, axis) })
}

func (g *graph) optimizerStep(op backend.OptimizerOp, params, grads []backend.Array, state [][]backend.Array, p backend.OptimizerParams) error {
	params, grads, state = clones(params), clones(grads), slices.Clone(state)
	for i := range state {
		state[i] = clones(state[i])
	}
	return g.add("OptimizerStep "+op.String(), backend.Array{Shape: []int{len(params)}}, p, func() error {
		return g.dev.OptimizerStep(op, params, grads, state, p)
	})
}

func (g *graph) sumSquares(out backend.Array, xs []backend.Array) error {
	out, xs = clone(out), clones(xs)
	return g.add("SumSquares", out, len(xs), func() error { return g.dev.SumSquares(out, xs) })
}

func (g *graph) crossEntropy(loss, lse, x, labels backend.Array, p backend.CrossEntropyParams) error {
	loss, lse, x, labels = clone(loss), clone(lse), clone(x), clone(labels)
	return g.add("CrossEntropy", x, p, func() error { return g.dev.CrossEntropy(loss, lse, x, labels, p) })
}

func (g *graph) crossEntropyBackward(dx, dloss, lse, x, labels backend.Array, p backend.CrossEntropyParams) error {
	dx, dloss, lse, x, labels = clone(dx), clone(dloss), clone(lse), clone(x), clone(labels)
	return g.add("CrossEntropyBackward", dx, p, func() error { return g.dev.CrossEntropyBackward(dx, dloss, lse, x, labels, p) })
}

func (g *graph) attention(out, lse, q, k, v backend.Array, p backend.AttentionParams) error {
	a := clones([]backend.Array{out, lse, q, k, v})
	return g.add("Attention", out, p, func() error { return g.dev.Attention(a[0], a[1], a[2], a[3], a[4], p) })
}

func (g *graph) attentionBackward(dq, dk, dv, dout, out, lse, q, k, v backend.Array, p backend.AttentionParams) error {
	a := clones([]backend.Array{dq, dk, dv, dout, out, lse, q, k, v})
	return g.add("AttentionBackward", dq, p, func() error {
		return g.dev.AttentionBackward(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], p)
	})
}
