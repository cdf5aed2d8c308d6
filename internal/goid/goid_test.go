package goid

import (
	"sync"
	"testing"
)

func TestEachGoroutineHasItsNumber(t *testing.T) {
	const n = 100
	ids := make([]uint64, n)
	var wg sync.WaitGroup
	start := make(chan bool)
	for i := range n {
		wg.Go(func() {
			<-start
			ids[i] = Get()
			if again := Get(); again != ids[i] {
				t.Errorf("%d, then %d", ids[i], again)
			}
		})
	}
	close(start)
	wg.Wait()
	seen := map[uint64]bool{Get(): true}
	for _, id := range ids {
		if seen[id] {
			t.Errorf("%d twice", id)
		}
		seen[id] = true
	}
}
