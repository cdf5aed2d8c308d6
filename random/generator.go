package random

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// Generator hands out random numbers, each once. Its whole state is a key and a counter. The zero Generator is New(0).
//
// A Generator is not safe for concurrent use by multiple goroutines: give each its own by [Generator.Split] or [Derive], or
// [Generator.Reserve] a [Stream] and share that.
//
// It is a source of math/rand/v2: rand.New(g) has IntN, Float64 and the rest for single numbers.
type Generator struct {
	at Stream
}

// New returns the generator whose key is seed.
func New(seed uint64) *Generator {
	return &Generator{Stream{Key: seed}}
}

// Derive returns the generator that a path, such as an epoch and a batch, has under a seed. The same arguments give the same
// generator; other ones, a longer path included, give an unrelated one. Keys have 64 bits: among a billion derived generators,
// the probability that two share a key is 3%.
func Derive(seed uint64, path ...uint64) *Generator {
	for _, part := range path {
		seed = newKey(seed, part, forDerive)
	}
	return New(seed)
}

// Split returns a new generator, unrelated to g and to all others split from it. It is a function of g's state, and moves g on.
func (g *Generator) Split() *Generator {
	key := newKey(g.at.Key, g.at.Counter, forSplit)
	g.at.Counter++
	return New(key)
}

func newKey(key, counter uint64, purpose uint32) uint64 {
	b := block(key, counter, purpose)
	return long(b[0], b[1])
}

// Reserve takes the next n numbers from g, of whatever kind, and returns the stream that they are elements 0 to n-1 of. It costs
// no time: g's counter moves on by (n+1)/2 blocks, enough for n numbers of two words. It panics if n is negative.
func (g *Generator) Reserve(n int) Stream {
	if n < 0 {
		panic(fmt.Sprintf("random: cannot reserve %d numbers", n))
	}
	s := g.at
	g.at.Counter += uint64(n)/2 + uint64(n)&1
	return s
}

// Uint64 takes one number, uniform over all 64 bits. Many are cheaper by [Uint64s].
func (g *Generator) Uint64() uint64 {
	return newKey(g.at.Key, g.Reserve(1).Counter, forNumbers)
}

// Permutation returns the integers from 0 to n-1 in a random order, all orders equally likely. It panics if n is negative.
func (g *Generator) Permutation(n int) []int {
	p := make([]int, max(n, 0))
	for i := range p {
		p[i] = i
	}
	g.Shuffle(n, func(i, j int) { p[i], p[j] = p[j], p[i] })
	return p
}

// Shuffle brings n things into a random order, all orders equally likely, by calls of swap (Fisher and Yates, Durstenfeld). It
// panics if n is negative.
func (g *Generator) Shuffle(n int, swap func(i, j int)) {
	if n < 0 {
		panic(fmt.Sprintf("random: cannot shuffle %d things", n))
	}
	draws := g.Reserve(max(n-1, 0))
	var longs [chunk / 2]uint64
	for left := n; left > 1; {
		some := longs[:min(len(longs), left-1)]
		Uint64s(draws, n-left, some)
		for _, u := range some {
			swap(left-1, int(g.below(uint64(left), u)))
			left--
		}
	}
}

// below turns u into a number in [0, n), all equally likely; it draws another u in the rare case that this one must be
// rejected. Lemire, "Fast random integer generation in an interval", 2019.
func (g *Generator) below(n, u uint64) uint64 {
	scaled, rest := bits.Mul64(u, n)
	if rest < n {
		for excess := -n % n; rest < excess; {
			scaled, rest = bits.Mul64(g.Uint64(), n)
		}
	}
	return scaled
}

// State returns g's state: the stream that the next Reserve returns.
func (g *Generator) State() Stream { return g.at }

// SetState makes g go on from a state that [Generator.State] returned.
func (g *Generator) SetState(s Stream) { g.at = s }

const textPrefix = "philox4x32-10:"

// MarshalText returns g's state as one word of ASCII, which is also its form in JSON. (Its receiver is a value, so
// that a Generator held by value is not written as an empty object.)
func (g Generator) MarshalText() ([]byte, error) {
	return fmt.Appendf(nil, "%s%016x:%016x", textPrefix, g.at.Key, g.at.Counter), nil
}

// UnmarshalText sets g to a state that [Generator.MarshalText] wrote, to the letter. On an error g keeps its state.
func (g *Generator) UnmarshalText(text []byte) error {
	var s Stream
	state, ok := strings.CutPrefix(string(text), textPrefix)
	key, counter, colon := strings.Cut(state, ":")
	if !ok || !colon || !parseHex(key, &s.Key) || !parseHex(counter, &s.Counter) {
		return fmt.Errorf("random: generator state %.80q is not of the form %s<16 hexadecimal digits>:<16 hexadecimal digits>", text, textPrefix)
	}
	g.at = s
	return nil
}

// parseHex takes exactly the digits that %016x writes.
func parseHex(digits string, v *uint64) bool {
	if len(digits) != 16 || strings.Trim(digits, "0123456789abcdef") != "" {
		return false
	}
	var err error
	*v, err = strconv.ParseUint(digits, 16, 64)
	return err == nil
}
