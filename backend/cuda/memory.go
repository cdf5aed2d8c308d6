package cuda

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/descent-ml/descent/backend"
	cu "github.com/descent-ml/descent/cuda"
)

// The rules of PyTorch's caching allocator, so that a step needs the memory that it
// needs there: sizes are multiples of 512; up to smallLimit they are cut from
// segments of smallSegment, up to largeLimit from segments of largeSegment, and
// larger ones have segments of their own, in multiples of smallSegment.
const (
	granule      = 512
	smallLimit   = 1 << 20
	smallSegment = 2 << 20
	largeLimit   = 10 << 20
	largeSegment = 20 << 20
	absurd       = 1 << 50 // more than any device has
)

// buffer is a block that was handed out.
type buffer struct {
	dev   *Device
	block *block // nil once freed; guarded by memory.mu
	addr  uint64 // likewise
	bytes int
	used  atomic.Bool // by a kernel or a copy, perhaps
}

func (b *buffer) Bytes() int { return b.bytes }

// Free panics if the buffer is free already.
func (b *buffer) Free() { b.dev.mem.free(b) }

// use is the address, for work that is about to be issued to the device.
func (b *buffer) use() uint64 {
	if b.addr == 0 {
		panic("cuda: a buffer is used after Free")
	}
	if !b.used.Load() {
		b.used.Store(true)
	}
	return b.addr
}

// addr is the address of a's first element in a kernel's arguments, 0 if a has no memory.
func addr(a backend.Array) uint64 {
	if a.Buf == nil {
		return 0
	}
	return a.Buf.(*buffer).use() + uint64(a.Offset)*uint64(a.DType.Size())
}

// slotAddr is the address of scalars in a slot, 0 for none.
func slotAddr(slot backend.Buffer, index int) uint64 {
	if slot == nil {
		return 0
	}
	return slot.(*buffer).use() + uint64(index)*backend.ScalarsBytes
}

// block is a piece of a segment. Its neighbours there are live if it is free.
type block struct {
	addr        uint64
	size        int64
	pool        *pool
	prev, next  *block // in the segment
	left, right *block // in the tree of free blocks
	small, free bool
	kept        bool   // not to be handed out again as long as its graph lives
	after       uint64 // the mark (staging) behind the work that used it before; 0: none did
}

// pool owns segments. There is one for all, and one for each graph.
type pool struct {
	graph    bool
	segments []*block // the first of each
	trees    [2]tree  // free blocks of large and small segments
	deferred []*block // freed, but the graph still needs them
}

func (p *pool) tree(small bool) *tree {
	if small {
		return &p.trees[1]
	}
	return &p.trees[0]
}

// memory is a caching allocator. A block that was freed is handed out again at
// once: the work that used it was issued before, so it runs before.
type memory struct {
	dev   *Device
	limit int64
	exact bool // for tests: each block is a segment, of the very bytes that were asked for

	mu                   sync.Mutex
	shared               pool
	graphs               []*pool
	spare                *block // unused structs, by next
	live, peak, reserved int64
}

func (m *memory) init(d *Device) {
	m.dev = d
	if m.limit = d.options.MemoryLimit; m.limit <= 0 {
		m.limit = int64(d.gpu.TotalMemory())
	}
}

// rounded is the size of the block for n bytes.
func rounded(n int) int64 { return max(granule, roundUp(int64(n), granule)) }

func roundUp(n, to int64) int64 { return (n + to - 1) / to * to }

// segmentBytes is the size of the segment that a block of size bytes is cut from.
func segmentBytes(size int64) int64 {
	switch {
	case size <= smallLimit:
		return smallSegment
	case size < largeLimit:
		return largeSegment
	}
	return roundUp(size, smallSegment)
}

// Alloc returns memory for the goroutine's calls from now on, aligned to 256 bytes or more.
func (d *Device) Alloc(bytes int) (backend.Buffer, error) {
	if err := d.alive(); err != nil {
		return nil, err
	}
	b, err := d.mem.alloc(bytes)
	if err != nil {
		return nil, d.failed("Alloc", err)
	}
	return &buffer{dev: d, block: b, addr: b.addr, bytes: bytes}, nil
}

// scratch is memory that an op needs until its last kernel is issued.
type scratch struct {
	mem   *memory
	block *block
}

// scratch takes temporary memory; the op must free it, in stream order.
func (d *Device) scratch(bytes int) (scratch, error) {
	b, err := d.mem.alloc(bytes)
	if err != nil {
		return scratch{}, d.failed("scratch memory", err)
	}
	return scratch{&d.mem, b}, nil
}

func (s scratch) addr() uint64 {
	if s.block == nil {
		return 0
	}
	return s.block.addr
}

// free does nothing for the zero scratch.
func (s scratch) free() {
	if s.block != nil {
		s.mem.freeBlock(s.block)
	}
}

// alloc takes a block from the pool of the calling goroutine.
func (m *memory) alloc(bytes int) (*block, error) {
	p := &m.shared
	if c := m.dev.capturing(); c != nil {
		p = c.pool
	}
	return m.take(bytes, p)
}

// origin is the mark behind the work that used b's memory before it was handed out;
// private if that is not known, because the memory is a graph's.
func (m *memory) origin(b *buffer) (after uint64, private bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return b.block.after, b.block.pool.graph
}

func (m *memory) take(bytes int, p *pool) (*block, error) {
	if bytes < 0 {
		return nil, fmt.Errorf("allocation of %d bytes", bytes)
	}
	if bytes > absurd {
		return nil, fmt.Errorf("%w: %d bytes asked for", backend.ErrOutOfMemory, bytes)
	}
	size := rounded(bytes)
	small := size <= smallLimit
	m.mu.Lock()
	t := p.tree(small)
	b := t.atLeast(size)
	if m.exact {
		if _, err := m.release(); err != nil {
			m.mu.Unlock()
			return nil, err
		}
		b, size = nil, max(1, int64(bytes))
	}
	if b == nil {
		var err error
		if b, err = m.grow(p, size, small); err != nil {
			m.mu.Unlock()
			return nil, err
		}
	} else {
		t.remove(b)
	}
	b.free = false
	if rest := b.size - size; small && rest >= granule || rest > smallLimit {
		m.split(b, size)
	}
	m.live += b.size
	m.peak = max(m.peak, m.live)
	m.mu.Unlock()
	return b, nil
}

// split cuts what b has beyond size off, as a free block.
func (m *memory) split(b *block, size int64) {
	rest := m.newBlock()
	*rest = block{
		addr: b.addr + uint64(size), size: b.size - size, pool: b.pool, small: b.small, free: true, after: b.after,
		prev: b, next: b.next,
	}
	if b.next != nil {
		b.next.prev = rest
	}
	b.next, b.size = rest, size
	b.pool.tree(b.small).insert(rest)
}

func (m *memory) newBlock() *block {
	b := m.spare
	if b == nil {
		return &block{}
	}
	m.spare = b.next
	return b
}

func (m *memory) free(b *buffer) {
	c := m.dev.capturing()
	m.mu.Lock()
	blk := b.block
	if blk == nil {
		m.mu.Unlock()
		panic("cuda: buffer freed twice")
	}
	b.block, b.addr = nil, 0
	m.put(blk, c)
	m.mu.Unlock()
}

func (m *memory) freeBlock(b *block) {
	c := m.dev.capturing()
	m.mu.Lock()
	m.put(b, c)
	m.mu.Unlock()
}

// put takes a block back; c is the caller's capture. What is not c's own stays as
// it is until c's graph is freed, because the graph will read it again.
func (m *memory) put(b *block, c *capture) {
	switch {
	case c != nil && (b.pool != c.pool || b.kept):
		c.pool.deferred = append(c.pool.deferred, b)
		return
	case b.kept:
		b.pool.deferred = append(b.pool.deferred, b)
		return
	}
	m.live -= b.size
	b.after = m.dev.staging.marks.Load() + 1
	b.free = true
	t := b.pool.tree(b.small)
	if n := b.next; n != nil && n.free {
		t.remove(n)
		m.join(b, n)
	}
	if p := b.prev; p != nil && p.free {
		t.remove(p)
		m.join(p, b)
		b = p
	}
	t.insert(b)
}

// join makes b and the next block one.
func (m *memory) join(b, next *block) {
	b.size += next.size
	b.after = max(b.after, next.after)
	if b.next = next.next; b.next != nil {
		b.next.prev = b
	}
	*next = block{next: m.spare}
	m.spare = next
}

// grow asks the driver for a segment and returns it as one block that is in no tree.
// When there is no room it first gives back what is kept for reuse, and then does
// with a segment that has nothing to spare.
func (m *memory) grow(p *pool, size int64, small bool) (*block, error) {
	if err := m.dev.alive(); err != nil {
		return nil, err
	}
	if b := m.adopt(p, size, small); b != nil {
		return b, nil
	}
	sizes := []int64{segmentBytes(size), roundUp(size, smallSegment)}
	if m.exact {
		sizes = []int64{size}
	}
	for _, n := range sizes {
		for range 2 {
			if m.reserved+n <= m.limit {
				var at cu.DevicePtr
				err := m.dev.bound(func() (err error) {
					at, err = m.dev.ctx.Alloc(uint64(n))
					return err
				})
				if err == nil {
					b := m.newBlock()
					*b = block{addr: uint64(at), size: n, pool: p, small: small}
					p.segments = append(p.segments, b)
					m.reserved += n
					return b, nil
				}
				if !errors.Is(err, cu.ErrOutOfMemory) {
					return nil, err
				}
			}
			if freed, err := m.release(); err != nil {
				return nil, err
			} else if !freed {
				break
			}
		}
	}
	var free, total uint64
	m.dev.bound(func() (err error) {
		free, total, err = m.dev.ctx.MemInfo()
		return err
	})
	return nil, fmt.Errorf("%w: %d bytes asked for, %d live, %d reserved, limit %d; the GPU has %d bytes, %d free",
		backend.ErrOutOfMemory, size, m.live, m.reserved, m.limit, total, free)
}

// whole reports whether b is a segment of which nothing is live.
func (b *block) whole() bool { return b.free && b.prev == nil && b.next == nil }

// adopt moves a segment of the shared pool that is wholly free, and not much larger
// than one of the driver's would be, to a graph's pool.
func (m *memory) adopt(p *pool, size int64, small bool) *block {
	if !p.graph || m.exact {
		return nil
	}
	for i, b := range m.shared.segments {
		if b.whole() && b.small == small && b.size >= size && b.size <= max(largeSegment, 2*size) {
			m.shared.tree(small).remove(b)
			m.shared.segments = slices.Delete(m.shared.segments, i, i+1)
			p.segments = append(p.segments, b)
			b.pool = p
			return b
		}
	}
	return nil
}

// release gives the segments of the shared pool back that are wholly free, and
// reports whether there were any. It waits for the work that used them.
func (m *memory) release() (freed bool, err error) {
	if !slices.ContainsFunc(m.shared.segments, (*block).whole) {
		return false, nil
	}
	err = m.dev.bound(func() error {
		if err := m.dev.settle(); err != nil {
			return err
		}
		var kept []*block
		var errs []error
		for _, b := range m.shared.segments {
			if !b.whole() {
				kept = append(kept, b)
				continue
			}
			m.shared.tree(b.small).remove(b)
			m.reserved -= b.size
			errs = append(errs, m.dev.ctx.Free(cu.DevicePtr(b.addr)))
			*b = block{next: m.spare}
			m.spare = b
		}
		m.shared.segments = kept
		return errors.Join(errs...)
	})
	return true, err
}

// newPool is a pool for a graph.
func (m *memory) newPool() *pool {
	p := &pool{graph: true}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.graphs = append(m.graphs, p)
	return p
}

// absorb makes the memory of a graph's pool everybody's: the graph is gone.
func (m *memory) absorb(p *pool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.graphs = slices.DeleteFunc(m.graphs, func(g *pool) bool { return g == p })
	after := m.dev.staging.marks.Load() + 1
	for _, first := range p.segments {
		for b := first; b != nil; b = b.next {
			b.pool, b.kept = &m.shared, false
			b.after = after
			if b.free {
				m.shared.tree(b.small).insert(b)
			}
		}
	}
	m.shared.segments = append(m.shared.segments, p.segments...)
	for _, b := range p.deferred {
		b.kept = false
		m.put(b, nil)
	}
	*p = pool{graph: true}
}

// close gives all memory back to the driver, that of live buffers included. The
// device is bound and settled.
func (m *memory) close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var errs []error
	for _, p := range append(m.graphs, &m.shared) {
		for _, b := range p.segments {
			errs = append(errs, m.dev.ctx.Free(cu.DevicePtr(b.addr)))
		}
		p.segments = nil
	}
	m.reserved = 0
	return errors.Join(errs...)
}

// MemoryStats counts blocks, which are a little larger than what was asked for.
func (d *Device) MemoryStats() backend.MemoryStats {
	m := &d.mem
	m.mu.Lock()
	defer m.mu.Unlock()
	return backend.MemoryStats{Live: m.live, Peak: m.peak, Reserved: m.reserved}
}

// ResetPeak sets the peak to what is live now.
func (d *Device) ResetPeak() {
	d.mem.mu.Lock()
	defer d.mem.mu.Unlock()
	d.mem.peak = d.mem.live
}

// EmptyCache gives the memory that is kept for reuse back to the driver. It waits
// for the device.
func (d *Device) EmptyCache() {
	if d.alive() != nil {
		return
	}
	d.mem.mu.Lock()
	defer d.mem.mu.Unlock()
	if _, err := d.mem.release(); err != nil {
		d.failed("EmptyCache", err)
	}
}
