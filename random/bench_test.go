package random_test

import (
	"math/rand/v2"
	"testing"

	"github.com/descent-ml/descent/random"
)

const benchElements = 1 << 14

func benchmark[T any](b *testing.B, fill func(dst []T)) {
	dst := make([]T, benchElements)
	b.ReportAllocs()
	for b.Loop() {
		fill(dst)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchElements, "ns/elem")
}

var stream = random.Stream{Key: 0x9E3779B97F4A7C15, Counter: 1}

func BenchmarkUint32s(b *testing.B) {
	benchmark(b, func(dst []uint32) { random.Uint32s(stream, 0, dst) })
}

func BenchmarkUniform32(b *testing.B) {
	benchmark(b, func(dst []float32) { random.Uniform32(stream, 0, dst) })
}

func BenchmarkUniform64(b *testing.B) {
	benchmark(b, func(dst []float64) { random.Uniform64(stream, 0, dst) })
}

func BenchmarkBernoulli(b *testing.B) {
	benchmark(b, func(dst []uint8) { random.Bernoulli(stream, 0, 0.9, dst) })
}

func BenchmarkInts64(b *testing.B) {
	benchmark(b, func(dst []int64) { random.Ints64(stream, 0, 0, 1000, dst) })
}

func BenchmarkNormal32(b *testing.B) {
	benchmark(b, func(dst []float32) { random.Normal32(stream, 0, dst) })
}

func BenchmarkNormal64(b *testing.B) {
	benchmark(b, func(dst []float64) { random.Normal64(stream, 0, dst) })
}

func BenchmarkPermutation(b *testing.B) {
	g := random.New(1)
	for b.Loop() {
		g.Permutation(benchElements)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchElements, "ns/elem")
}

// The peers: the standard library's generators, one number a call.

func BenchmarkPeerChaCha8Uint32(b *testing.B) {
	r := rand.New(rand.NewChaCha8([32]byte{1}))
	benchmark(b, func(dst []uint32) {
		for i := range dst {
			dst[i] = r.Uint32()
		}
	})
}

func BenchmarkPeerPCGNormal64(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	benchmark(b, func(dst []float64) {
		for i := range dst {
			dst[i] = r.NormFloat64()
		}
	})
}
