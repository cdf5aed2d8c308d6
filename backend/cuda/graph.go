package cuda

import (
	"errors"
	"fmt"
	"sync"

	"github.com/descent-ml/descent/backend"
	cu "github.com/descent-ml/descent/cuda"
	"github.com/descent-ml/descent/internal/goid"
)

// capture is one in progress. The calls of its goroutine go to a stream that
// captures them and their memory comes from a pool of its own; other goroutines
// go on as usual.
type capture struct {
	dev   *Device
	owner uint64 // the goroutine
	pool  *pool
	calls []backend.GraphCall
}

// capturing is the capture that the calling goroutine is in, nil for none.
func (d *Device) capturing() *capture {
	c := d.capture.Load()
	if c == nil || c.owner != goid.Get() {
		return nil
	}
	return c
}

// note is what a method of the device does first: in a capture it lists the call
// as, say, "Unary GELU".
func note[Op ~uint8, P any](d *Device, family string, op Op, out backend.Array, params P) {
	if d.capture.Load() != nil {
		noteCapture(d, family, op, out, params)
	}
}

func noteCapture[Op ~uint8, P any](d *Device, family string, op Op, out backend.Array, params P) {
	c := d.capturing()
	if c == nil {
		return
	}
	if s, ok := any(op).(fmt.Stringer); ok {
		family += " " + s.String()
	}
	c.calls = append(c.calls, backend.NewGraphCall(family, out.Shape, params))
}

// noOp is for note where a family is one op.
const noOp = uint8(0)

// keep makes b's memory, if it is the capture's own, b's alone for as long as the
// graph lives: b is about to be uploaded to, and the graph must not write over it.
func (c *capture) keep(b *buffer) error {
	m := &c.dev.mem
	m.mu.Lock()
	own := b.block.pool == c.pool && !b.block.kept
	if own && b.used.Load() {
		b.block.kept = true
		own = false
	}
	m.mu.Unlock()
	if !own {
		return nil
	}
	// Its place may be that of earlier temporaries, so it gets another one.
	fresh, err := m.take(b.bytes, &m.shared)
	if err != nil {
		return err
	}
	m.freeBlock(b.block)
	m.mu.Lock()
	b.block, b.addr = fresh, fresh.addr
	m.mu.Unlock()
	return nil
}

// Capture runs fn, with what it asks of the device going into a CUDA graph, and
// launches the graph once, so that fn has taken effect. Captures of one device
// run one after the other.
func (d *Device) Capture(fn func() error) (backend.Graph, error) {
	if err := d.alive(); err != nil {
		return nil, err
	}
	if d.capturing() != nil {
		return nil, fmt.Errorf("%s: a capture in a captured function", d.name)
	}
	d.captureLock.Lock()
	defer d.captureLock.Unlock()
	if err := d.ctx.Bind(); err != nil {
		return nil, d.failed("Capture", err)
	}
	defer d.ctx.Unbind()
	g := &graph{dev: d, pool: d.mem.newPool()}
	done := false
	defer func() {
		if !done {
			g.Free()
		}
	}()
	if err := g.capture(fn); err != nil {
		return nil, err
	}
	if err := g.Launch(); err != nil {
		return nil, err
	}
	done = true
	return g, nil
}

// graph is a captured function.
type graph struct {
	dev   *Device
	pool  *pool
	calls []backend.GraphCall

	mu   sync.Mutex
	exec cu.GraphExec // zero before it is captured and once freed
}

func (g *graph) capture(fn func() error) (err error) {
	d := g.dev
	if err := d.captures.BeginCapture(); err != nil {
		return d.failed("Capture", err)
	}
	c := &capture{dev: d, owner: goid.Get(), pool: g.pool}
	d.capture.Store(c)
	defer func() { // also if fn panics
		d.capture.Store(nil)
		captured, endErr := d.captures.EndCapture()
		if endErr == nil {
			defer captured.Destroy()
		}
		if err == nil {
			err = d.failed("Capture", endErr)
		}
		if err == nil {
			g.calls = c.calls
			g.exec, err = captured.Instantiate()
			err = d.failed("Capture", err)
		}
	}()
	return fn()
}

// Launch puts the graph into the compute stream.
func (g *graph) Launch() error {
	d := g.dev
	if err := d.alive(); err != nil {
		return err
	}
	if d.capturing() != nil {
		return fmt.Errorf("%s: a graph is launched in a captured function", d.name)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.exec.Handle() == 0 {
		return errors.New("cuda: a graph is launched after Free")
	}
	if err := d.ctx.Bind(); err != nil {
		return d.failed("graph", err)
	}
	defer d.ctx.Unbind()
	return d.launched("graph", g.exec.Launch(d.compute))
}

func (g *graph) Calls() []backend.GraphCall { return g.calls }

// Free gives up the graph; what of its memory is still live becomes ordinary.
func (g *graph) Free() {
	g.mu.Lock()
	exec := g.exec
	g.exec = cu.GraphExec{}
	g.mu.Unlock()
	d := g.dev
	if exec.Handle() != 0 && d.alive() == nil {
		d.failed("graph", d.bound(exec.Destroy))
	}
	d.mem.absorb(g.pool)
}
