package cuda

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func (t *tree) list() []*block {
	var out []*block
	var walk func(*block)
	walk = func(b *block) {
		if b != nil {
			walk(b.left)
			out = append(out, b)
			walk(b.right)
		}
	}
	walk(t.root)
	return out
}

// depth is the longest way from the root.
func (b *block) depth() int {
	if b == nil {
		return 0
	}
	return 1 + max(b.left.depth(), b.right.depth())
}

func TestTreeKeepsBlocksInOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var have []*block
	var tr tree
	order := func(a, b *block) int {
		if a.before(b) {
			return -1
		}
		return 1
	}
	for i := range 5000 {
		if len(have) > 0 && rng.IntN(5) < 2 {
			k := rng.IntN(len(have))
			tr.remove(have[k])
			have = slices.Delete(have, k, k+1)
		} else {
			b := &block{addr: uint64(i) * granule, size: int64(1+rng.IntN(40)) * granule}
			tr.insert(b)
			have = append(have, b)
		}
		if i%100 != 0 {
			continue
		}
		slices.SortFunc(have, order)
		if got := tr.list(); !slices.Equal(got, have) {
			t.Fatalf("after %d steps the tree lists %d blocks in another order than the %d it holds", i, len(got), len(have))
		}
		for size := int64(0); size < 42*granule; size += granule / 2 {
			var want *block
			if k := slices.IndexFunc(have, func(b *block) bool { return b.size >= size }); k >= 0 {
				want = have[k]
			}
			if got := tr.atLeast(size); got != want {
				t.Fatalf("atLeast(%d) is %+v, want %+v", size, got, want)
			}
		}
	}
	// A balanced tree of that many has a depth of 10; one out of balance, of hundreds.
	if d := tr.root.depth(); d > 40 {
		t.Errorf("%d blocks stand %d deep", len(have), d)
	}
}
