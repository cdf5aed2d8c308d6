package tensor

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/descent-ml/descent/backend"
)

// block is the memory behind one tensor and its views. A counted block belongs
// to the handles that scopes own and is freed with the last of them; any other
// one belongs to the garbage collector.
type block struct {
	buf     backend.Buffer // nil once freed
	counted bool
	refs    atomic.Int32
	// Parameters and buffers can change: a node remembers the versions it saw.
	mutable bool
	version atomic.Int64
	cleanup runtime.Cleanup
}

// allocate asks the device for memory; under pressure it lets the collector
// give back what nobody holds, and tries once more.
func allocate(op string, dev backend.Device, s *Scope, bytes int) *block {
	buf, err := dev.Alloc(bytes)
	if errors.Is(err, backend.ErrOutOfMemory) {
		runtime.GC()
		// Cleanups run in their own goroutine after the collection.
		for wait := time.Millisecond; err != nil && wait < 100*time.Millisecond; wait *= 2 {
			time.Sleep(wait)
			buf, err = dev.Alloc(bytes)
		}
		if err != nil {
			err = fmt.Errorf("%d bytes on %v: %w%s", bytes, dev, err, owners(dev, s))
		}
	}
	check(op, err)
	b := &block{buf: buf, counted: s != nil}
	if s == nil {
		b.collect()
	}
	return b
}

// collect leaves b to the garbage collector.
func (b *block) collect() {
	b.counted = false
	b.cleanup = runtime.AddCleanup(b, backend.Buffer.Free, b.buf)
}

// free gives b back now, whoever still holds it.
func (b *block) free() {
	if buf := b.buf; buf != nil {
		if !b.counted {
			b.cleanup.Stop()
		}
		b.buf = nil
		buf.Free()
	}
}

// owners tells what the memory is used for, as far as s can know.
func owners(dev backend.Device, s *Scope) string {
	var msg strings.Builder
	if m, ok := dev.(backend.MemoryDevice); ok {
		st := m.MemoryStats()
		fmt.Fprintf(&msg, "; %d bytes live, %d reserved", st.Live, st.Reserved)
	}
	bytes := map[string]int{}
	for ; s != nil; s = s.parent {
		s.mu.Lock()
		for _, t := range s.owned {
			if !t.dropped && t.blk.counted {
				bytes[t.describe()] += t.blk.buf.Bytes() / int(t.blk.refs.Load())
			}
		}
		s.mu.Unlock()
	}
	type owner struct {
		name string
		n    int
	}
	var list []owner
	for name, n := range bytes {
		list = append(list, owner{name, n})
	}
	slices.SortFunc(list, func(a, b owner) int {
		return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.name, b.name))
	})
	if len(list) > 0 {
		msg.WriteString("; the largest owners in this scope:")
	}
	for _, o := range list[:min(5, len(list))] {
		fmt.Fprintf(&msg, " %s %d bytes,", o.name, o.n)
	}
	return strings.TrimSuffix(msg.String(), ",")
}

func (t *Tensor) describe() string {
	op := "tensor"
	if t.node != nil {
		op = t.node.op
	}
	return fmt.Sprintf("%s %v%v", op, t.DType(), t.Shape())
}

// drop gives up t's share in its block; the scope that owns t calls it.
func (t *Tensor) drop() {
	if t.dropped || t.borrowed {
		return
	}
	t.dropped = true
	if b := t.blk; b.counted && b.refs.Add(-1) == 0 {
		b.free()
	}
}

// release drops a tensor that a scope owns before the scope closes.
func (t *Tensor) release() {
	if s := t.scope; s != nil && !t.borrowed {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !t.dropped {
			t.drop()
			s.live--
		}
	}
}

// free releases the temporaries of a composed op, unless the graph needs them.
func free(temps ...*Tensor) {
	for _, t := range temps {
		if t.node != nil || t.leaf != nil {
			continue
		}
		if t.scope == nil {
			t.blk.free()
		} else {
			t.release()
		}
	}
}

// share makes a handle on t's memory, which no other tensor needs to outlive, in s.
func (t *Tensor) share(s *Scope) *Tensor {
	if s == nil {
		return Keep(t)
	}
	return t.view(s, t.arr)
}

// moveTo takes t from its scope to another one, nil for none.
func (t *Tensor) moveTo(s *Scope) *Tensor {
	if t.scope == s {
		return t
	}
	if s == nil {
		return Keep(t)
	}
	u := t.view(s, t.arr)
	t.release()
	return u
}

// Keep moves t out of its scope: the result lives until it is collected, and
// is detached from the graph. A view, or a tensor that has views, is copied.
func Keep(t *Tensor) *Tensor {
	t.use("keep")
	b := t.blk
	if b.mutable || b.counted && (t.borrowed || b.refs.Load() > 1 || t.arr.Size()*t.DType().Size() != b.buf.Bytes()) {
		k := emptyLike("keep", nil, t.DType(), t)
		check("keep", t.dev.Copy(k.arr, t.arr, false))
		return k
	}
	if b.counted { // t stays usable, but owns nothing any more
		b.collect()
	}
	return t.view(nil, t.arr)
}

// Release frees the memory of a tensor that has no scope now instead of when it
// is collected; using it or a view of it afterwards panics. nn.Release does so
// for a model.
func (t *Tensor) Release() {
	if t.scope != nil {
		Fail("release", "the tensor belongs to a scope, which frees it")
	}
	t.blk.free()
	if t.leaf != nil && t.leaf.grad != nil {
		t.leaf.grad.blk.free()
		t.leaf.grad = nil
	}
}
