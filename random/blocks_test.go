package random

import (
	"math"
	"slices"
	"testing"
)

func TestAssemblyGivesTheBitsOfPlainGo(t *testing.T) {
	for _, key := range []uint64{0, 0x0123456789abcdef, math.MaxUint64} {
		for _, counter := range []uint64{0, math.MaxUint32 - 5, 0xfedcba9876543210, math.MaxUint64 - 5} {
			for n := 0; n < 160; n += 4 {
				got, want := make([]uint32, n+4), make([]uint32, n+4)
				blocks(got[:n], key, counter)
				blocksGo(want[:n], key, counter)
				if !slices.Equal(got, want) {
					t.Fatalf("key %#x, counter %#x, %d words: got %08x, want %08x", key, counter, n, got, want)
				}
			}
		}
	}
}

func BenchmarkUint32sInPlainGo(b *testing.B) {
	dst := make([]uint32, 1<<14)
	for b.Loop() {
		blocksGo(dst, 1, 1)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(dst)), "ns/elem")
}
