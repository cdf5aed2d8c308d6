package random

import (
	"fmt"
	"math"
	"math/bits"
)

// Stream names a block of random numbers, laid out as the package comment says. It is a value: any number of goroutines may
// fill from one. Two streams of one key overlap if their counters are near; a [Generator] hands out streams that do not.
type Stream struct {
	Key, Counter uint64
}

// chunk is how many words the functions below draw at a time: small enough for the stack and the innermost cache.
const chunk = 256

// Uint32s sets dst to elements offset, offset+1, … of s, each uniform over all 32 bits.
// Like all functions on streams it panics if offset is negative.
func Uint32s(s Stream, offset int, dst []uint32) {
	words(s, index(offset), dst)
}

// Uint64s sets dst to elements offset, offset+1, … of s, each uniform over all 64 bits.
func Uint64s(s Stream, offset int, dst []uint64) {
	var w [chunk]uint32
	for first := 2 * index(offset); len(dst) > 0; first += chunk {
		n := min(len(dst), chunk/2)
		words(s, first, w[:2*n])
		for i := range dst[:n] {
			dst[i] = long(w[2*i], w[2*i+1])
		}
		dst = dst[n:]
	}
}

// Uniform32 sets dst to elements offset, offset+1, … of s, each one of the 2^24 multiples of 2^-24 in [0, 1), equally likely.
// Rounded to a narrower type, a value may become 1.
func Uniform32(s Stream, offset int, dst []float32) {
	var w [chunk]uint32
	for first := index(offset); len(dst) > 0; first += chunk {
		n := min(len(dst), chunk)
		words(s, first, w[:n])
		for i, u := range w[:n] {
			dst[i] = float32(u>>8) * 0x1p-24
		}
		dst = dst[n:]
	}
}

// Uniform64 sets dst to elements offset, offset+1, … of s, each one of the 2^53 multiples of 2^-53 in [0, 1), equally likely.
func Uniform64(s Stream, offset int, dst []float64) {
	var w [chunk]uint32
	for first := 2 * index(offset); len(dst) > 0; first += chunk {
		n := min(len(dst), chunk/2)
		words(s, first, w[:2*n])
		for i := range dst[:n] {
			dst[i] = float64(long(w[2*i], w[2*i+1])>>11) * 0x1p-53
		}
		dst = dst[n:]
	}
}

// Threshold is the number of the 2^32 words for which [Bernoulli] of probability p gives 1: p·2^32, rounded to the nearest. A
// kernel compares each word, as 64 bits, with it. It panics unless p is in [0, 1].
func Threshold(p float64) uint64 {
	if !(p >= 0 && p <= 1) {
		panic(fmt.Sprintf("random: probability %v is not in [0, 1]", p))
	}
	return uint64(math.RoundToEven(p * 0x1p32))
}

// Bernoulli sets dst to elements offset, offset+1, … of s, each 1 with probability p, to the nearest 2^-32, and else 0. With
// p = 0 no element is 1, with p = 1 every element. It panics unless p is in [0, 1].
func Bernoulli(s Stream, offset int, p float64, dst []uint8) {
	threshold := Threshold(p)
	var w [chunk]uint32
	for first := index(offset); len(dst) > 0; first += chunk {
		n := min(len(dst), chunk)
		words(s, first, w[:n])
		for i, u := range w[:n] {
			dst[i] = uint8((uint64(u) - threshold) >> 63)
		}
		dst = dst[n:]
	}
}

// Ints64 sets dst to elements offset, offset+1, … of s, integers in [lo, hi). A value's probability differs from 1/(hi-lo) by
// less than 2^-64. It panics unless lo < hi.
func Ints64(s Stream, offset int, lo, hi int64, dst []int64) {
	if lo >= hi {
		panic(fmt.Sprintf("random: no integer in [%d, %d)", lo, hi))
	}
	span := uint64(hi) - uint64(lo)
	var w [chunk]uint32
	for first := 2 * index(offset); len(dst) > 0; first += chunk {
		n := min(len(dst), chunk/2)
		words(s, first, w[:2*n])
		for i := range dst[:n] {
			scaled, _ := bits.Mul64(long(w[2*i], w[2*i+1]), span)
			dst[i] = lo + int64(scaled)
		}
		dst = dst[n:]
	}
}

// Normal32 sets dst to elements offset, offset+1, … of s, normal with mean 0 and standard deviation 1. The largest magnitude
// that can come out is 6.67.
func Normal32(s Stream, offset int, dst []float32) {
	inPairs(index(offset), dst, func(first uint64, dst []float32) {
		var w [chunk]uint32
		for ; len(dst) > 0; first += chunk {
			n := min(len(dst), chunk)
			words(s, first, w[:n])
			for i := 0; i+1 < n; i += 2 {
				dst[i], dst[i+1] = normals32(w[i], w[i+1])
			}
			dst = dst[n:]
		}
	})
}

// Normal64 sets dst to elements offset, offset+1, … of s, normal with mean 0 and standard deviation 1. The largest magnitude
// that can come out is 9.42.
func Normal64(s Stream, offset int, dst []float64) {
	inPairs(index(offset), dst, func(first uint64, dst []float64) {
		var w [chunk]uint32
		for first *= 2; len(dst) > 0; first += chunk {
			n := min(len(dst), chunk/2)
			words(s, first, w[:2*n])
			for i := 0; i+1 < n; i += 2 {
				dst[i], dst[i+1] = normals64(long(w[2*i], w[2*i+1]), long(w[2*i+2], w[2*i+3]))
			}
			dst = dst[n:]
		}
	})
}

// inPairs lets fill set dst, elements first, first+1, …, in whole pairs: it is called with an even first and an even length.
func inPairs[T any](first uint64, dst []T, fill func(first uint64, dst []T)) {
	if first%2 != 0 && len(dst) > 0 {
		pair := make([]T, 2)
		fill(first-1, pair)
		dst[0] = pair[1]
		dst = dst[1:]
		first++
	}
	even := len(dst) &^ 1
	fill(first, dst[:even])
	if even < len(dst) {
		pair := make([]T, 2)
		fill(first+uint64(even), pair)
		dst[even] = pair[0]
	}
}

// words sets dst to the words of s from number first on.
func words(s Stream, first uint64, dst []uint32) {
	counter := s.Counter + first/4
	if within := first % 4; within != 0 {
		b := block(s.Key, counter, forNumbers)
		dst = dst[copy(dst, b[within:]):]
		counter++
	}
	whole := len(dst) &^ 3
	blocks(dst[:whole], s.Key, counter)
	if rest := dst[whole:]; len(rest) > 0 {
		b := block(s.Key, counter+uint64(whole/4), forNumbers)
		copy(rest, b[:])
	}
}

func long(lo, hi uint32) uint64 { return uint64(lo) | uint64(hi)<<32 }

func index(offset int) uint64 {
	if offset < 0 {
		panic(fmt.Sprintf("random: offset %d is negative", offset))
	}
	return uint64(offset)
}
