package backendtest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/descent-ml/descent/backend"
)

func testMemory(b *bench) {
	b.sub("Buffers", func(b *bench) {
		if b.dev.String() == "" {
			b.Error("the device has no name")
		}
		for _, n := range []int{0, 1, 3, 48, 1000, 1 << 20} {
			if got := b.alloc(n).Bytes(); got != n {
				b.Errorf("Alloc(%d) has %d bytes", n, got)
			}
		}
		buf := b.alloc(8)
		src := []byte{1, 2, 3, 4, 5, 6, 7, 8}
		b.must(b.dev.Upload(buf, src))
		clear(src) // the caller's again
		b.must(b.dev.Upload(buf, []byte{9, 9}))
		b.must(b.dev.Upload(buf, nil))
		got := make([]byte, 5)
		b.must(b.dev.Download(got, buf))
		equal(b, "Upload and Download of the start of a buffer", got, []byte{9, 9, 3, 4, 5})
		b.must(b.dev.Sync())
	})
	b.sub("FreeIsInStreamOrder", func(b *bench) {
		const n = 1 << 16
		for round := range 10 {
			x := b.array(backend.Float32, []int{n}, contiguous, []float64{float64(round)})
			out := b.output(backend.Float32, []int{n}, contiguous)
			b.must(b.dev.Unary(backend.Neg, out.Array, x.Array, backend.Params{}))
			x.Buf.Free() // the kernel still sees it, and the next Alloc may get it
			b.bufs = b.bufs[1:]
			b.array(backend.Float32, []int{n}, contiguous, []float64{77})
			equal(b, "a kernel whose input was freed behind it", b.read("Neg", out)[n-1:], []float64{-float64(round)})
			b.free()
		}
	})
	b.sub("OutOfMemory", func(b *bench) {
		if !b.values {
			return // a device of shapes has room for all
		}
		if _, err := b.dev.Alloc(1 << 60); !errors.Is(err, backend.ErrOutOfMemory) {
			b.Errorf("Alloc of 2^60 bytes: %v, want ErrOutOfMemory", err)
		}
		b.must(b.dev.Upload(b.alloc(4), []byte{1, 2, 3, 4}))
	})
	if d, ok := b.dev.(backend.MemoryDevice); ok {
		b.sub("Stats", func(b *bench) { memoryStats(b, d) })
	}
}

func memoryStats(b *bench, d backend.MemoryDevice) {
	start := d.MemoryStats()
	const n = 100_000
	for range 3 {
		b.alloc(n)
	}
	d.ResetPeak()
	b.alloc(n)
	full := d.MemoryStats()
	if full.Live < start.Live+4*n {
		b.Errorf("4 buffers of %d bytes make %d live bytes out of %d", n, full.Live, start.Live)
	}
	if full.Peak < full.Live || full.Reserved < full.Live {
		b.Errorf("less peak or reserved than live: %+v", full)
	}
	b.free()
	end := d.MemoryStats()
	if end.Live != start.Live {
		b.Errorf("%d bytes are live after all was freed, %d before", end.Live, start.Live)
	}
	if end.Peak != full.Peak {
		b.Errorf("the peak went from %d to %d by freeing", full.Peak, end.Peak)
	}
	d.EmptyCache()
	d.ResetPeak()
	if s := d.MemoryStats(); s.Peak != s.Live || s.Reserved > end.Reserved {
		b.Errorf("after EmptyCache and ResetPeak: %+v, before: %+v", s, end)
	}
}

// testConcurrency runs the same work from several goroutines: the device must
// serve them all, each with the bits that one alone gets.
func testConcurrency(b *bench) {
	shared := b.array(backend.Float32, []int{90, 80}, contiguous, b.random(backend.Float32, -1, 1, 997))
	work := func(b *bench) []byte {
		x := b.array(backend.Float32, []int{70, 90}, contiguous, []float64{0.5, -0.25, 1, 0.125, -2})
		y, z, sum := b.output(backend.Float32, []int{70, 80}, contiguous), b.output(backend.Float32, []int{70, 80}, transposed), b.output(backend.Float32, []int{1, 80}, contiguous)
		b.must(b.dev.MatMul(y.Array, x.Array, shared.Array, backend.Epilogue{}))
		b.must(b.dev.Unary(backend.Exp, z.Array, y.Array, backend.Params{}))
		b.must(b.dev.Binary(backend.Mul, y.Array, y.Array, z.Array, backend.Params{}))
		b.must(b.dev.Reduce(backend.Sum, sum.Array, y.Array))
		return append(b.download(y), b.download(sum)...)
	}
	want := work(b)
	b.Run("Goroutines", func(t *testing.T) { // returns when all have ended
		for g := range 6 {
			t.Run(fmt.Sprint(g), func(t *testing.T) {
				t.Parallel()
				for range 8 {
					own := b.bench(t)
					equal(own, "the same work beside others", work(own), want)
					own.free()
				}
			})
		}
	})
}
