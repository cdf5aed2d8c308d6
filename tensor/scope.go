package tensor

import (
	"fmt"
	"slices"
	"sync"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/random"
)

// Place is where a new tensor goes: a backend.Device, for a tensor that lives
// until it is collected, or a *Scope, for one that lives until that closes.
type Place interface{ String() string }

// Scope owns the tensors that are computed from its inputs, as a database
// transaction owns its reads: they are valid until it closes, and then all
// their memory is free at once. A result belongs to the scope of its operands;
// tensors without a scope (parameters, gradients) mix with any. The tensors of
// a parent and of its child mix too, and the result is the child's; those of
// unrelated scopes panic.
//
// A scope also carries the two modes, training and recording of gradients, and
// the source of randomness of layers such as dropout.
//
// It may be used from several goroutines, but for Close and Rand.
type Scope struct {
	dev    backend.Device
	parent *Scope
	mode   ScopeOptions

	mu       sync.Mutex
	owned    []*Tensor
	live     int // of owned, those that are not dropped
	closed   bool
	children []*Scope // open ones
	swept    bool     // the engine forgets what is gone itself
	replay   bool     // a checkpoint computes again what it has computed before
	slots    *Slots   // of a step that is captured
	autocast *autocast
}

// ScopeOptions are a scope's modes. The zero value is that of inference with
// gradients: layers in eval mode, ops recorded.
type ScopeOptions struct {
	Train  bool              // layers such as Dropout and BatchNorm are in training mode
	NoGrad bool              // nothing is recorded
	Rand   *random.Generator // nil: random layers in training mode panic
}

// NewScope opens a scope for tensors of dev.
func NewScope(dev backend.Device, o ScopeOptions) *Scope { return &Scope{dev: dev, mode: o} }

// Child opens a scope inside s with modes of its own. Closing s closes it too.
func (s *Scope) Child(o ScopeOptions) *Scope {
	c := &Scope{dev: s.dev, parent: s, mode: o, replay: s.replay}
	s.mu.Lock()
	s.children = append(s.children, c)
	s.mu.Unlock()
	return c
}

// Close frees every tensor of s and of its children. It may be called again.
func (s *Scope) Close() {
	if p := s.parent; p != nil {
		p.mu.Lock()
		if i := slices.Index(p.children, s); i >= 0 {
			p.children = slices.Delete(p.children, i, i+1)
		}
		p.mu.Unlock()
	}
	s.mu.Lock()
	owned, children := s.owned, s.children
	s.owned, s.children, s.live, s.closed = nil, nil, 0, true
	s.mu.Unlock()
	for _, c := range children {
		c.Close()
	}
	for _, t := range owned {
		t.drop()
	}
}

// Mode returns the options s was opened with.
func (s *Scope) Mode() ScopeOptions { return s.mode }

// Device returns the device that creation functions use when s is their place.
func (s *Scope) Device() backend.Device { return s.dev }

// Rand is the generator of s, nil if it has none. It belongs to one goroutine.
func (s *Scope) Rand() *random.Generator { return s.mode.Rand }

// Replaying reports whether a checkpoint computes its function again in s:
// layers then update no buffers.
func (s *Scope) Replaying() bool { return s.replay }

// SetReplaying is for checkpoints.
func (s *Scope) SetReplaying(on bool) { s.replay = on }

func (s *Scope) String() string {
	return fmt.Sprintf("scope on %v, %d bytes", s.dev, s.Bytes())
}

// Bytes is the memory that the tensors of s hold, without its children's.
// A block that several of its tensors share counts once.
func (s *Scope) Bytes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := map[*block]bool{}
	n := 0
	for _, t := range s.owned {
		if b := t.blk; !t.dropped && b.counted && !seen[b] {
			seen[b] = true
			n += b.buf.Bytes()
		}
	}
	return n
}

// Use brings a tensor that has no scope, or a parent's, into s, so that what is
// computed from it belongs to s. Its data is shared and gradients pass through.
func (s *Scope) Use(t *Tensor) *Tensor {
	t.use("use")
	if t.scope == s {
		return t
	}
	if joinScopes("use", s, t.scope) != s {
		Fail("use", "the tensor belongs to an inner scope; tensor.Keep moves it out")
	}
	return linear("use", t.view(s, t.arr), t, passOn)
}

// Copy copies t, of any scope of the device, into s, without its history.
func (s *Scope) Copy(t *Tensor) *Tensor {
	if t.use("copy"); t.dev != s.dev {
		Fail("copy", "%s is on %v, the scope on %v", t.describe(), t.dev, s.dev)
	}
	c := emptyLike("copy", s, t.DType(), t)
	check("copy", t.dev.Copy(c.arr, t.arr, false))
	return c
}

// own adds t to s, which will drop it.
func (s *Scope) own(t *Tensor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		Fail("scope", "a tensor is made in a scope that has closed")
	}
	// A long loop in one scope releases more than it keeps: forget what is gone.
	if !s.swept && len(s.owned) >= 64 && len(s.owned) >= 2*s.live {
		kept := s.owned[:0]
		for _, o := range s.owned {
			if !o.dropped {
				kept = append(kept, o)
			}
		}
		clear(s.owned[len(kept):])
		s.owned, s.live = kept, len(kept)
	}
	s.owned = append(s.owned, t)
	s.live++
}

// inside reports whether s is a or one of its descendants.
func (s *Scope) inside(a *Scope) bool {
	for ; s != nil; s = s.parent {
		if s == a {
			return true
		}
	}
	return false
}

// joinScopes returns the scope of a result: the inner one of its operands'.
func joinScopes(op string, a, b *Scope) *Scope {
	switch {
	case a == b || b == nil:
		return a
	case a == nil || b.inside(a):
		return b
	case a.inside(b):
		return a
	}
	Fail(op, "its operands belong to two unrelated scopes; iterate both loaders with data.Zip, or tensor.Keep one of them")
	return nil
}

// place resolves where a creation function puts its result.
func place(op string, p Place) (backend.Device, *Scope) {
	switch p := p.(type) {
	case *Scope:
		if p != nil {
			return p.dev, p
		}
	case backend.Device:
		return p, nil
	}
	Fail(op, "a place is a backend.Device or a *tensor.Scope, not %T", p)
	return nil, nil
}

// Tidy runs fn on x in a scope of its own without gradients and frees all that
// it makes but the result, which belongs to x's scope. It serves inference and
// long loops: y := tensor.Tidy(x, model.Forward).
func Tidy(x *Tensor, fn func(x *Tensor) *Tensor) *Tensor {
	o := ScopeOptions{}
	if x.use("tidy"); x.scope != nil {
		o = x.scope.mode
	}
	o.NoGrad = true
	return Within(o, []*Tensor{x}, func(in []*Tensor) []*Tensor { return []*Tensor{fn(in[0])} })[0]
}

// Within runs fn on in, in a child of their scope (or a scope of its own if they
// have none) that is closed when fn returns or panics. The results move to the
// scope of in, without history. It is what Tidy, functions and checkpoints are
// made of.
func Within(o ScopeOptions, in []*Tensor, fn func(in []*Tensor) []*Tensor) []*Tensor {
	const op = "within"
	if len(in) == 0 {
		Fail(op, "it needs a tensor")
	}
	home := placeAll(op, in...)
	inner := NewScope(in[0].dev, o)
	if home != nil {
		inner = home.Child(o)
	}
	defer inner.Close()
	used := make([]*Tensor, len(in))
	for i, x := range in {
		used[i] = inner.Use(x)
	}
	out := fn(used)
	for i, y := range out {
		switch {
		case y == nil:
		case y.scope == inner:
			out[i] = y.moveTo(home)
		default:
			out[i] = y.Detach()
		}
	}
	return out
}

// CommonScope is the innermost scope of ts, to which a result of theirs would
// belong; nil if they have none. It panics as an op on them would.
func CommonScope(ts ...*Tensor) *Scope {
	if len(ts) == 0 {
		return nil
	}
	return placeAll("common_scope", ts...)
}
