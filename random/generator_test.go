package random_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/descent-ml/descent/random"
)

var _ rand.Source = (*random.Generator)(nil)

func TestReservedStreamsDoNotOverlap(t *testing.T) {
	g := random.New(5)
	seen := map[uint64]bool{}
	for _, n := range []int{1, 2, 3, 0, 100, 7, 1} {
		longs := make([]uint64, n)
		random.Uint64s(g.Reserve(n), 0, longs)
		for _, u := range longs {
			if seen[u] {
				t.Fatalf("number %#x was handed out twice", u)
			}
			seen[u] = true
		}
		if u := g.Uint64(); seen[u] {
			t.Fatalf("Uint64 repeats %#x", u)
		} else {
			seen[u] = true
		}
	}
	mustPanic(t, "negative count", func() { g.Reserve(-1) })
}

func TestDeriveIsAFunctionOfSeedAndPath(t *testing.T) {
	keys := map[uint64][]uint64{}
	for _, path := range [][]uint64{
		{0}, {1}, {0, 0}, {0, 1}, {1, 0}, {1, 1}, {0, 0, 0}, {0, 1, 0}, {0, 0, 1}, {1, 0, 0}, {0, 1 << 32}, {1 << 32, 0},
	} {
		state := random.Derive(path[0], path[1:]...).State()
		if again := random.Derive(path[0], path[1:]...).State(); again != state {
			t.Errorf("Derive(%v) gives %v, then %v", path, state, again)
		}
		if other, ok := keys[state.Key]; ok {
			t.Errorf("Derive(%v) and Derive(%v) have one key", path, other)
		}
		keys[state.Key] = path
	}
	if *random.Derive(7) != *random.New(7) {
		t.Error("Derive without a path is not New")
	}
}

func TestSplitGivesUnrelatedReproducibleChildren(t *testing.T) {
	g, twin := random.New(3), random.New(3)
	keys := map[uint64]bool{3: true}
	for range 1000 {
		child := g.Split().State()
		if child != twin.Split().State() {
			t.Fatal("two equal generators split into different children")
		}
		if keys[child.Key] {
			t.Fatalf("key %#x occurs twice", child.Key)
		}
		keys[child.Key] = true
	}
	if g.Uint64() != twin.Uint64() {
		t.Error("equal generators differ after equal splits")
	}
	// A child's key is not a number that its parent draws.
	parent := random.New(3)
	for range 1000 {
		if u := parent.Uint64(); keys[u] {
			t.Fatalf("the parent draws its child's key %#x", u)
		}
	}
}

// If two generators are independent, the exclusive or of their numbers is uniform.
func TestRelatedGeneratorsAreNotCorrelated(t *testing.T) {
	const n = 1 << 14
	draw := func(g *random.Generator) []uint64 {
		x := make([]uint64, n)
		random.Uint64s(g.Reserve(n), 0, x)
		return x
	}
	parent := random.New(1)
	first, second := parent.Split(), parent.Split()
	related := [][]uint64{
		draw(parent), draw(first), draw(second), draw(random.New(2)), draw(random.Derive(1, 0)), draw(random.Derive(1, 1)),
	}
	for a, x := range related {
		for b, y := range related[:a] {
			var counts [16]int // of the values of four bits
			for i := range x {
				for at := 0; at < 64; at += 4 {
					counts[(x[i]^y[i])>>at&15]++
				}
			}
			checkFlat(t, fmt.Sprintf("generators %d and %d", b, a), counts[:])
		}
	}
}

func TestStateResumesExactly(t *testing.T) {
	g := random.Derive(11, 4, 2)
	g.Reserve(17)
	type checkpoint struct {
		Pointer *random.Generator
		Value   random.Generator
	}
	data, err := json.Marshal(checkpoint{g, *g})
	if err != nil {
		t.Fatal(err)
	}
	var c checkpoint
	if err := json.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	moved := random.New(0)
	moved.SetState(g.State())
	want := g.Permutation(100)
	for _, resumed := range []*random.Generator{c.Pointer, &c.Value, moved} {
		if got := resumed.Permutation(100); !slices.Equal(got, want) {
			t.Errorf("a resumed generator goes on differently; the checkpoint was %s", data)
		}
	}
}

func TestUnmarshalTextRefusesWhatMarshalTextDoesNotWrite(t *testing.T) {
	for _, text := range []string{
		"",
		"philox4x32-10:",
		"philox4x32-10:0000000000000001",
		"philox4x32-10:0000000000000001:000000000000002",
		"philox4x32-10:0000000000000001:00000000000000002",
		"philox4x32-10:000000000000000A:0000000000000002",
		"philox4x32-10:+000000000000001:0000000000000002",
		"philox4x32-10:0_00000000000001:0000000000000002",
		"philox4x32-10:0000000000000001:0000000000000002 ",
		"philox4x32-10:0000000000000001:0000000000000002:",
		"philox4x32-7:0000000000000001:0000000000000002",
		"mt19937:0000000000000001:0000000000000002",
	} {
		g := random.New(9)
		if err := g.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was accepted", text)
		}
		if *g != *random.New(9) {
			t.Errorf("%q was refused, and changed the generator", text)
		}
	}
}

func FuzzUnmarshalText(f *testing.F) {
	for _, text := range []string{"", "philox4x32-10:0123456789abcdef:fedcba9876543210", "philox4x32-10:::", "philox4x32-10:0:0"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var g random.Generator
		if err := g.UnmarshalText(text); err != nil {
			if g != (random.Generator{}) {
				t.Errorf("refused, and changed the generator: %v", err)
			}
			return
		}
		again, err := g.MarshalText()
		if err != nil || string(again) != string(text) {
			t.Errorf("%q comes back as %q (%v)", text, again, err)
		}
	})
}

func TestPermutationHoldsEachIndexOnce(t *testing.T) {
	g := random.New(1)
	for _, n := range []int{0, 1, 2, 3, 127, 128, 129, 130, 1000} {
		p := g.Permutation(n)
		sorted := slices.Sorted(slices.Values(p))
		for i, v := range sorted {
			if v != i {
				t.Fatalf("Permutation(%d) = %v", n, p)
			}
		}
		if len(p) != n {
			t.Fatalf("Permutation(%d) has %d elements", n, len(p))
		}
	}
	mustPanic(t, "negative length", func() { g.Permutation(-1) })
}

func TestPermutationsAreEquallyLikely(t *testing.T) {
	g := random.New(2)
	var counts [120]int // of the 5! orders, by their Lehmer code
	for range 60_000 {
		code, p := 0, g.Permutation(5)
		for i := range p {
			smaller := 0
			for _, later := range p[i+1:] {
				if later < p[i] {
					smaller++
				}
			}
			code = code*(5-i) + smaller
		}
		counts[code]++
	}
	checkFlat(t, "orders of 5", counts[:])
}

func TestShuffleIsThePermutationOfItsState(t *testing.T) {
	x := make([]int, 300)
	for i := range x {
		x[i] = i
	}
	random.New(8).Shuffle(len(x), func(i, j int) { x[i], x[j] = x[j], x[i] })
	if !slices.Equal(x, random.New(8).Permutation(len(x))) {
		t.Error("Shuffle of 0 … n-1 and Permutation(n) of equal generators differ")
	}
}
