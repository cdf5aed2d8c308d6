package cuda

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/internal/fakecuda"
)

// check holds the allocator's structures and counts to what live says.
func (m *memory) check(t *testing.T, live map[*buffer]bool) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	mine := map[*block]bool{}
	var liveBytes, reserved int64
	for b := range live {
		mine[b.block] = true
		if b.block.free || b.block.size < int64(b.bytes) || b.addr != b.block.addr || b.addr%256 != 0 {
			t.Fatalf("a live buffer of %d bytes has the block %+v", b.bytes, *b.block)
		}
		liveBytes += b.block.size
	}
	free := map[*block]bool{}
	found := 0
	for _, first := range m.shared.segments {
		var prev *block
		at := first.addr
		for b := first; b != nil; prev, b = b, b.next {
			if b.prev != prev || b.addr != at || b.size < granule || b.size%granule != 0 || b.small != first.small {
				t.Fatalf("the block %+v stands at %#x after %+v", *b, at, prev)
			}
			switch {
			case b.free:
				if prev != nil && prev.free {
					t.Fatal("two free blocks stand side by side")
				}
				free[b] = true
			case mine[b]:
				found++
			default:
				t.Fatalf("the block %+v is live and nobody has it", *b)
			}
			at += uint64(b.size)
		}
		reserved += int64(at - first.addr)
	}
	if found != len(live) {
		t.Fatalf("%d of %d live blocks stand in segments: some overlap", found, len(live))
	}
	for _, small := range []bool{false, true} {
		for _, b := range m.shared.tree(small).list() {
			if !free[b] || b.small != small {
				t.Fatalf("a tree has the block %+v", *b)
			}
			delete(free, b)
		}
	}
	if len(free) > 0 {
		t.Fatalf("%d free blocks are in no tree", len(free))
	}
	if m.live != liveBytes || m.reserved != reserved || m.peak < m.live {
		t.Fatalf("%d bytes live, %d reserved, peak %d; it counts %d and %d", liveBytes, reserved, m.peak, m.live, m.reserved)
	}
}

// randomBytes has as many small sizes as large ones.
func randomBytes(rng *rand.Rand) int {
	return rng.IntN([]int{2000, 600 << 10, 3 << 20, 30 << 20}[rng.IntN(4)])
}

func TestBlocksNeverOverlapAndComeTogetherAgain(t *testing.T) {
	countOnly(t)
	d := testDevice(t, Options{})
	rng := rand.New(rand.NewPCG(3, 4))
	live := map[*buffer]bool{}
	var order []*buffer
	for i := range 4000 {
		if len(order) > 0 && rng.IntN(100) < 30+len(order)/4 {
			k := rng.IntN(len(order))
			b := order[k]
			order[k] = order[len(order)-1]
			order = order[:len(order)-1]
			delete(live, b)
			b.Free()
		} else {
			b, err := d.Alloc(randomBytes(rng))
			must(t, err)
			live[b.(*buffer)] = true
			order = append(order, b.(*buffer))
		}
		if i%50 == 0 {
			d.mem.check(t, live)
		}
	}
	d.mem.check(t, live)
	for _, b := range order {
		b.Free()
	}
	clear(live)
	d.mem.check(t, live)
	for _, b := range d.mem.shared.segments {
		if !b.free || b.next != nil {
			t.Fatal("all was freed, and a segment is still in pieces")
		}
	}
	if s := d.MemoryStats(); s.Live != 0 || s.Reserved == 0 {
		t.Errorf("all was freed: %+v", s)
	}
	before := fakecuda.Stats().Live
	d.EmptyCache()
	if s := d.MemoryStats(); s.Reserved != 0 {
		t.Errorf("after EmptyCache: %+v", s)
	}
	if after := fakecuda.Stats().Live; before.Bytes-after.Bytes < 20<<20 {
		t.Errorf("EmptyCache gave %d bytes back to the driver", before.Bytes-after.Bytes)
	}
}

func TestGoroutinesShareThePool(t *testing.T) {
	countOnly(t)
	d := testDevice(t, Options{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	owned := map[uint64]bool{} // addresses
	kept := map[*buffer]bool{}
	for g := range 6 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(5, uint64(g)))
			var mine []*buffer
			for range 400 {
				if len(mine) > 0 && rng.IntN(2) == 0 {
					b := mine[len(mine)-1]
					mine = mine[:len(mine)-1]
					mu.Lock()
					delete(owned, b.addr)
					mu.Unlock()
					b.Free()
					continue
				}
				b, err := d.Alloc(randomBytes(rng))
				if err != nil {
					t.Error(err)
					return
				}
				buf := b.(*buffer)
				mu.Lock()
				if owned[buf.addr] {
					t.Errorf("%#x was handed out twice", buf.addr)
				}
				owned[buf.addr] = true
				mu.Unlock()
				mine = append(mine, buf)
				s, err := d.scratch(100)
				if err != nil {
					t.Error(err)
					return
				}
				s.free()
			}
			mu.Lock()
			for _, b := range mine {
				kept[b] = true
			}
			mu.Unlock()
		})
	}
	wg.Wait()
	d.mem.check(t, kept)
	for b := range kept {
		b.Free()
	}
}

func TestSizesFollowPyTorchsRules(t *testing.T) {
	countOnly(t)
	d := testDevice(t, Options{})
	for _, c := range []struct {
		bytes          int
		live, reserved int64
	}{
		{0, 512, 2 << 20},
		{1, 512, 2 << 20},
		{513, 1024, 2 << 20},
		{1 << 20, 1 << 20, 2 << 20},
		{1<<20 + 1, 1<<20 + 512, 20 << 20},
		{10<<20 - 512, 10<<20 - 512, 20 << 20},
		{10 << 20, 10 << 20, 10 << 20},
		{11<<20 + 1, 12 << 20, 12 << 20}, // what is left of its segment is too small to cut off
		{100 << 20, 100 << 20, 100 << 20},
	} {
		b, err := d.Alloc(c.bytes)
		must(t, err)
		if s := d.MemoryStats(); s.Live != c.live || s.Reserved != c.reserved {
			t.Errorf("%d bytes make %d live and %d reserved, want %d and %d", c.bytes, s.Live, s.Reserved, c.live, c.reserved)
		}
		b.Free()
		d.EmptyCache()
	}
}

func TestTheSmallestBlockThatFitsIsReused(t *testing.T) {
	countOnly(t)
	d := testDevice(t, Options{})
	var bufs []backend.Buffer
	for _, n := range []int{40 << 20, 30 << 20, 50 << 20} {
		b, err := d.Alloc(n)
		must(t, err)
		bufs = append(bufs, b)
	}
	want := bufs[1].(*buffer).addr
	for _, b := range bufs {
		b.Free()
	}
	b, err := d.Alloc(25 << 20)
	must(t, err)
	if got := b.(*buffer).addr; got != want {
		t.Errorf("25 MiB of free 30, 40 and 50 MiB are at %#x, want %#x", got, want)
	}
	b.Free()
}

func TestFreeingTwicePanics(t *testing.T) {
	d := testDevice(t, Options{})
	b, err := d.Alloc(100)
	must(t, err)
	b.Free()
	other, err := d.Alloc(100) // has the memory now
	must(t, err)
	defer other.Free()
	for name, f := range map[string]func(){
		"Free":  b.Free,
		"a use": func() { addr(backend.Array{Buf: b}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s after Free does not panic", name)
				}
			}()
			f()
		}()
	}
	if s := d.MemoryStats(); s.Live != 512 {
		t.Errorf("%d bytes are live after a Free too many", s.Live)
	}
}

func TestOutOfMemorySaysHowMuchThereIs(t *testing.T) {
	for name, limit := range map[string]int64{"TheGPUsMemory": 0, "ALimit": 100 << 20} {
		t.Run(name, func(t *testing.T) {
			countOnly(t)
			fakecuda.Memory(120 << 20)
			defer fakecuda.Memory(16 << 30)
			d := testDevice(t, Options{MemoryLimit: limit})
			a, err := d.Alloc(60 << 20)
			must(t, err)
			_, err = d.Alloc(64 << 20)
			if !errors.Is(err, backend.ErrOutOfMemory) {
				t.Fatalf("60 and 64 MiB: %v, want ErrOutOfMemory", err)
			}
			for _, part := range []string{"cuda:0", "67108864 bytes asked for", "62914560 live", "62914560 reserved", "the GPU has 125829120"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
			a.Free()
			b, err := d.Alloc(64 << 20) // what is kept for reuse goes back first
			must(t, err)
			if s := d.MemoryStats(); s.Reserved != 64<<20 {
				t.Errorf("%d bytes are reserved", s.Reserved)
			}
			b.Free()
			d.EmptyCache()
			// Where no segment to cut from has room, one of the size that is asked for may.
			b, err = d.Alloc(84 << 20)
			must(t, err)
			c, err := d.Alloc(5 << 20)
			must(t, err)
			if s := d.MemoryStats(); limit != 0 && s.Reserved != 90<<20 {
				t.Errorf("84 and 5 MiB reserve %d bytes", s.Reserved)
			}
			b.Free()
			c.Free()
			if _, err = d.Alloc(-1); err == nil || errors.Is(err, backend.ErrOutOfMemory) {
				t.Errorf("Alloc(-1): %v", err)
			}
		})
	}
}

func TestAnAllocationThatFailsLeavesTheRestInOrder(t *testing.T) {
	countOnly(t)
	d := testDevice(t, Options{})
	rng := rand.New(rand.NewPCG(6, 7))
	live := map[*buffer]bool{}
	for n := range 60 {
		fakecuda.Fail("cuMemAlloc_v2", 1, 2)
		fakecuda.Fail("cuMemAlloc_v2", 1+n%3, 2)
		b, err := d.Alloc(randomBytes(rng))
		switch {
		case err == nil:
			live[b.(*buffer)] = true
		case !errors.Is(err, backend.ErrOutOfMemory):
			t.Fatal(err)
		}
		fakecuda.Reset()
		d.mem.check(t, live)
	}
	for b := range live {
		b.Free()
	}
}

func TestAHitAllocatesOnlyTheBuffer(t *testing.T) {
	d := testDevice(t, Options{})
	b, err := d.Alloc(5000)
	must(t, err)
	b.Free()
	if n := testing.AllocsPerRun(100, func() {
		b, _ := d.Alloc(5000)
		b.Free()
	}); n > 1 {
		t.Errorf("Alloc and Free make %v allocations of Go's", n)
	}
	if n := testing.AllocsPerRun(100, func() {
		s, _ := d.scratch(5000)
		s.free()
	}); n > 0 {
		t.Errorf("scratch memory makes %v allocations of Go's", n)
	}
}

// BenchmarkAlloc takes and gives back memory among a thousand free blocks.
func BenchmarkAlloc(b *testing.B) {
	countOnly(b)
	d := testDevice(b, Options{})
	rng := rand.New(rand.NewPCG(8, 9))
	var keep, gaps []backend.Buffer
	for range 1000 {
		n := rng.IntN(100 << 10)
		one, _ := d.Alloc(n)
		two, _ := d.Alloc(n)
		keep, gaps = append(keep, one), append(gaps, two)
	}
	for _, g := range gaps {
		g.Free()
	}
	sizes := make([]int, 256)
	for i := range sizes {
		sizes[i] = rng.IntN(100 << 10)
	}
	var held [16]backend.Buffer
	runtime.GC()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if old := held[i%16]; old != nil {
			old.Free()
		}
		held[i%16], _ = d.Alloc(sizes[i%256])
		i++
	}
	b.StopTimer()
	for _, h := range append(keep, held[:]...) {
		if h != nil {
			h.Free()
		}
	}
}
