package cpu

import (
	"bufio"
	"bytes"
	"fmt"
	"math"
	"math/bits"
	"os"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/descent-ml/descent/backend"
)

const (
	alignment = 64
	minClass  = 64 // bytes of class 0
	poisoned  = 0xFF
)

// numClasses reaches 2^50 bytes.
const numClasses = (50-6)*4 + 1

// buffer is a block of the pool, the same object each time its memory is
// handed out.
type buffer struct {
	ptr   unsafe.Pointer
	bytes int
	room  int // for views: bytes, or more if a graph's kernels share the memory in turn
	class int
	pool  *pool

	// Guarded by pool.mu.
	live  bool
	next  *buffer // in the free list
	graph *graph  // that owns it, nil for none
	kept  bool    // it has a value that the graph does not compute
}

func (b *buffer) Bytes() int { return b.bytes }

func (b *buffer) memory() []byte { return unsafe.Slice((*byte)(b.ptr), b.bytes) }

// Free panics if the buffer is free already.
func (b *buffer) Free() {
	p := b.pool
	p.mu.Lock()
	if !b.live {
		p.mu.Unlock()
		panic("cpu: buffer freed twice")
	}
	g := p.capturing()
	if own := b.graph; own != nil || g != nil {
		if g == nil {
			own.release(b, false)
		} else {
			g.release(b, true)
		}
		p.mu.Unlock()
		return
	}
	b.live = false
	p.put(b)
	p.mu.Unlock()
}

// put keeps the memory of b for reuse; p.mu is held.
func (p *pool) put(b *buffer) {
	if p.poison {
		b.fill()
	}
	b.next = p.free[b.class]
	p.free[b.class] = b
	p.live -= classBytes(b.class)
}

func (b *buffer) fill() {
	m := unsafe.Slice((*byte)(b.ptr), classBytes(b.class))
	for i := range m {
		m[i] = poisoned
	}
}

// pool keeps freed memory in size classes, four between two powers of two.
type pool struct {
	limit  int64
	poison bool
	graph  atomic.Pointer[graph] // that is being captured

	mu                   sync.Mutex
	free                 [numClasses]*buffer
	live, peak, reserved int64
}

// classOf is the smallest class of at least n bytes.
func classOf(n int) int {
	if n <= minClass {
		return 0
	}
	u := uint(n - 1)
	e := bits.Len(u) - 3 // u>>e is 4, 5, 6 or 7
	return (e-4)*4 + int(u>>e) - 3
}

func classBytes(class int) int64 {
	if class == 0 {
		return minClass
	}
	class--
	return int64(5+class%4) << (4 + class/4)
}

func (p *pool) alloc(n int) (*buffer, error) {
	if n < 0 {
		return nil, fmt.Errorf("cpu: allocation of %d bytes", n)
	}
	class := classOf(n)
	if class >= numClasses {
		return nil, fmt.Errorf("cpu: %w: %d bytes asked for", backend.ErrOutOfMemory, n)
	}
	size := classBytes(class)
	p.mu.Lock()
	b := p.free[class]
	if b != nil {
		p.free[class], b.next = b.next, nil
	} else {
		if p.reserved+size > p.limit {
			p.dropFree()
		}
		if p.reserved+size > p.limit {
			live := p.live
			p.mu.Unlock()
			return nil, fmt.Errorf("cpu: %w: %d bytes asked for, %d live, limit %d", backend.ErrOutOfMemory, n, live, p.limit)
		}
		p.reserved += size
		b = &buffer{class: class, pool: p}
	}
	b.live, b.bytes, b.room = true, n, n
	p.live += size
	p.peak = max(p.peak, p.live)
	p.mu.Unlock()
	if b.ptr == nil {
		b.ptr = aligned(int(size))
	}
	if p.poison {
		b.fill()
	}
	return b, nil
}

// aligned returns new memory. It has no pointers, so the collector does not
// look into it, and it lives as long as the buffer that points to it.
func aligned(n int) unsafe.Pointer {
	m := make([]byte, n+alignment)
	p := unsafe.Pointer(unsafe.SliceData(m))
	return unsafe.Add(p, -int(uintptr(p))&(alignment-1))
}

func (p *pool) dropFree() {
	p.free = [numClasses]*buffer{}
	p.reserved = p.live
}

func (p *pool) stats() backend.MemoryStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return backend.MemoryStats{Live: p.live, Peak: p.peak, Reserved: p.reserved}
}

func (p *pool) resetPeak() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.peak = p.live
}

func (p *pool) emptyCache() {
	p.mu.Lock()
	p.dropFree()
	p.mu.Unlock()
	debug.FreeOSMemory()
}

// machineMemory is the smaller of the machine's memory and the control group's
// limit where the system tells them, so that an absurd request is an error
// instead of the end of the process.
func machineMemory() int64 {
	limit := int64(math.MaxInt64) / 2
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		lines := bufio.NewScanner(bytes.NewReader(text))
		for lines.Scan() {
			if f := bytes.Fields(lines.Bytes()); len(f) > 1 && string(f[0]) == "MemTotal:" {
				if kb, err := strconv.ParseInt(string(f[1]), 10, 64); err == nil {
					limit = min(limit, kb<<10)
				}
			}
		}
	}
	if text, err := os.ReadFile("/sys/fs/cgroup/memory.max"); err == nil {
		if n, err := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64); err == nil {
			limit = min(limit, n)
		}
	}
	return limit
}
