package random_test

import (
	"math"
	"math/bits"
	"slices"
	"testing"

	"github.com/descent-ml/descent/random"
)

// long enough for several chunks and a ragged end
const someElements = 1003

var bernoulliProbabilities = []float64{0, 1e-3, 0.1, 0.5, 0.9, 1}

// everyKind calls test with each function that fills from a stream.
func everyKind(t *testing.T, test func(t *testing.T, fill filler)) {
	t.Run("Uint32s", func(t *testing.T) { test(t, fillerOf(random.Uint32s)) })
	t.Run("Uint64s", func(t *testing.T) { test(t, fillerOf(random.Uint64s)) })
	t.Run("Uniform32", func(t *testing.T) { test(t, fillerOf(random.Uniform32)) })
	t.Run("Uniform64", func(t *testing.T) { test(t, fillerOf(random.Uniform64)) })
	t.Run("Normal32", func(t *testing.T) { test(t, fillerOf(random.Normal32)) })
	t.Run("Normal64", func(t *testing.T) { test(t, fillerOf(random.Normal64)) })
	t.Run("Bernoulli", func(t *testing.T) {
		test(t, fillerOf(func(s random.Stream, offset int, dst []uint8) { random.Bernoulli(s, offset, 0.3, dst) }))
	})
	t.Run("Ints64", func(t *testing.T) {
		test(t, fillerOf(func(s random.Stream, offset int, dst []int64) { random.Ints64(s, offset, -5, 1e9, dst) }))
	})
}

// filler is a fill function of any type: whole fills n elements in one call, pieces in calls of the given lengths.
type filler struct {
	samePieces func(s random.Stream, offset int, lengths []int) bool
	allocs     func(s random.Stream) float64
	fill       func(s random.Stream, offset, n int)
}

func fillerOf[T comparable](fill func(s random.Stream, offset int, dst []T)) filler {
	return filler{
		samePieces: func(s random.Stream, offset int, lengths []int) bool {
			n := 0
			for _, length := range lengths {
				n += length
			}
			whole, pieces := make([]T, n), make([]T, n)
			fill(s, offset, whole)
			for rest := pieces; len(lengths) > 0; lengths = lengths[1:] {
				fill(s, offset+n-len(rest), rest[:lengths[0]])
				rest = rest[lengths[0]:]
			}
			return slices.Equal(whole, pieces)
		},
		allocs: func(s random.Stream) float64 {
			dst := make([]T, someElements&^1)
			return testing.AllocsPerRun(10, func() { fill(s, 0, dst) })
		},
		fill: func(s random.Stream, offset, n int) { fill(s, offset, make([]T, n)) },
	}
}

func TestPiecesAreTheSameAsTheWhole(t *testing.T) {
	everyKind(t, func(t *testing.T, f filler) {
		for offset := range 6 {
			for cut := range someElements {
				if cut > 20 && cut < 250 || cut > 262 && cut < someElements-10 {
					continue // edges of words, blocks, chunks and ends are covered
				}
				if !f.samePieces(stream, offset, []int{cut, someElements - cut}) {
					t.Fatalf("[%d, %d) cut after %d elements differs from the whole", offset, offset+someElements, cut)
				}
			}
			if !f.samePieces(stream, offset, slices.Repeat([]int{1, 0, 2, 3}, 50)) {
				t.Fatalf("[%d, …) in short pieces differs from the whole", offset)
			}
		}
	})
}

func TestFillingDoesNotAllocate(t *testing.T) {
	everyKind(t, func(t *testing.T, f filler) {
		if n := f.allocs(stream); n != 0 {
			t.Errorf("%v allocations a call", n)
		}
	})
}

func TestNegativeOffsetPanics(t *testing.T) {
	everyKind(t, func(t *testing.T, f filler) {
		mustPanic(t, "offset -1", func() { f.fill(stream, -1, 2) })
	})
}

func TestElementsAreTheDocumentedFunctionsOfTheWords(t *testing.T) {
	words := make([]uint32, 2*someElements)
	random.Uint32s(stream, 0, words)

	longs := make([]uint64, someElements)
	uniform32 := make([]float32, someElements)
	uniform64 := make([]float64, someElements)
	ints := make([]int64, someElements)
	const lo, hi = -17, 1e12
	random.Uint64s(stream, 0, longs)
	random.Uniform32(stream, 0, uniform32)
	random.Uniform64(stream, 0, uniform64)
	random.Ints64(stream, 0, lo, hi, ints)
	for i := range someElements {
		if want := uint64(words[2*i]) + uint64(words[2*i+1])*(1<<32); longs[i] != want {
			t.Fatalf("Uint64s: element %d is %#x, want %#x", i, longs[i], want)
		}
		if want := float32(math.Ldexp(float64(words[i]/256), -24)); uniform32[i] != want {
			t.Fatalf("Uniform32: element %d is %v, want %v", i, uniform32[i], want)
		}
		if want := math.Ldexp(float64(longs[i]/2048), -53); uniform64[i] != want {
			t.Fatalf("Uniform64: element %d is %v, want %v", i, uniform64[i], want)
		}
		high, _ := bits.Mul64(longs[i], hi-lo)
		if want := lo + int64(high); ints[i] != want {
			t.Fatalf("Ints64: element %d is %v, want %v", i, ints[i], want)
		}
	}
	for _, p := range bernoulliProbabilities {
		mask := make([]uint8, someElements)
		random.Bernoulli(stream, 0, p, mask)
		for i, got := range mask {
			if want := float64(words[i]) < math.RoundToEven(p*0x1p32); (got == 1) != want || got > 1 {
				t.Fatalf("Bernoulli(%v): element %d is %d of word %#x", p, i, got, words[i])
			}
		}
	}
}

func TestUniformIsFlat(t *testing.T) {
	const n, cells = 1 << 20, 1 << 10
	x32, x64, ints := make([]float32, n), make([]float64, n), make([]int64, n)
	random.Uniform32(stream, 0, x32)
	random.Uniform64(stream, 0, x64)
	random.Ints64(stream, 0, 0, cells, ints)
	var count32, count64, countInts [cells]int
	for i := range n {
		count32[int(x32[i]*cells)]++
		count64[int(x64[i]*cells)]++
		countInts[ints[i]]++
	}
	checkFlat(t, "Uniform32", count32[:])
	checkFlat(t, "Uniform64", count64[:])
	checkFlat(t, "Ints64", countInts[:])
}

func TestBernoulliHasItsProbability(t *testing.T) {
	const n = 1 << 20
	mask := make([]uint8, n)
	for _, p := range bernoulliProbabilities {
		random.Bernoulli(stream, 0, p, mask)
		ones := 0
		for _, m := range mask {
			ones += int(m)
		}
		if got := float64(ones) / n; math.Abs(got-p) > 4*math.Sqrt(p*(1-p)/n) {
			t.Errorf("probability %v: %v of %d elements are 1", p, got, n)
		}
	}
	for _, p := range []float64{-0.1, 1.1, math.NaN()} {
		mustPanic(t, "probability out of range", func() { random.Bernoulli(stream, 0, p, mask) })
	}
}

func TestInts64CoversItsRange(t *testing.T) {
	x := make([]int64, 1<<12)
	for _, r := range [][2]int64{{7, 8}, {-3, 4}, {math.MinInt64, math.MaxInt64}, {math.MaxInt64 - 2, math.MaxInt64}} {
		random.Ints64(stream, 0, r[0], r[1], x)
		least, most := slices.Min(x), slices.Max(x)
		if least < r[0] || most >= r[1] {
			t.Errorf("[%d, %d): got values from %d to %d", r[0], r[1], least, most)
		}
		// Of 4,096 values the extremes lie within a hundredth of the range from its ends (probability of a miss: e^-40).
		width := float64(r[1]) - float64(r[0])
		if float64(least)-float64(r[0]) > width/100 || float64(r[1])-1-float64(most) > width/100 {
			t.Errorf("[%d, %d): values from %d to %d do not reach its ends", r[0], r[1], least, most)
		}
	}
	mustPanic(t, "empty range", func() { random.Ints64(stream, 0, 3, 3, x) })
}

// checkFlat is Pearson's test that counts come from equal probabilities. chi² of k cells has mean k-1 and variance 2(k-1).
func checkFlat(t *testing.T, what string, counts []int) {
	t.Helper()
	total := 0
	for _, c := range counts {
		total += c
	}
	want, chi2 := float64(total)/float64(len(counts)), 0.0
	for _, c := range counts {
		chi2 += (float64(c) - want) * (float64(c) - want) / want
	}
	freedom := float64(len(counts) - 1)
	if z := (chi2 - freedom) / math.Sqrt(2*freedom); math.Abs(z) > 4 {
		t.Errorf("%s: chi² of %d cells is %.1f, %.1f standard deviations from its mean", what, len(counts), chi2, z)
	}
}

func mustPanic(t *testing.T, what string, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s: no panic", what)
		}
	}()
	f()
}
