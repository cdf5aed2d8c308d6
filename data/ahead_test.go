package data

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// All goroutines of a synctest bubble must have ended when the test does, so each
// of these tests is one against leaks as well.

func TestAheadKeepsTheOrderThoughWorkersFinishInAnother(t *testing.T) {
	for _, workers := range []int{0, 1, 3, 8} {
		synctest.Test(t, func(t *testing.T) {
			produce := func(_ context.Context, k int) int {
				time.Sleep(time.Duration(k*7%5) * time.Second)
				return k
			}
			got := slices.Collect(ahead(t.Context(), 2, 30, workers, 4, produce, func(int) { t.Error("discarded") }))
			var want []int
			for k := 2; k < 30; k++ {
				want = append(want, k)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%d workers: got %v", workers, got)
			}
		})
	}
}

func TestAheadIsNeverMoreThanPrefetchAhead(t *testing.T) {
	for _, c := range []struct{ workers, prefetch int }{{0, 0}, {1, 1}, {4, 3}, {2, 5}} {
		synctest.Test(t, func(t *testing.T) {
			var begun atomic.Int64
			produce := func(_ context.Context, k int) int {
				begun.Add(1)
				return k
			}
			for k := range ahead(t.Context(), 0, 20, c.workers, c.prefetch, produce, func(int) {}) {
				synctest.Wait() // until nothing more happens by itself
				if want := min(k+1+c.prefetch, 20); int(begun.Load()) != want {
					t.Errorf("workers %d, prefetch %d: in the body of %d, %d are begun, want %d", c.workers, c.prefetch, k, begun.Load(), want)
				}
			}
		})
	}
}

func TestAheadRunsItsWorkersAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		produce := func(_ context.Context, k int) int { time.Sleep(time.Second); return k }
		for range ahead(t.Context(), 0, 12, 4, 8, produce, func(int) {}) {
		}
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("12 seconds of work took 4 workers %v", took)
		}
	})
}

func TestAheadDiscardsWhatItDoesNotYield(t *testing.T) {
	ends := map[string]func(ctx context.Context, cancel func(), seq func(func(int) bool)){
		"break": func(_ context.Context, _ func(), seq func(func(int) bool)) {
			for k := range seq {
				if k == 3 {
					break
				}
			}
		},
		"panic": func(_ context.Context, _ func(), seq func(func(int) bool)) {
			defer func() { _ = recover() }()
			for k := range seq {
				if k == 3 {
					panic("in the body")
				}
			}
		},
		"cancel": func(_ context.Context, cancel func(), seq func(func(int) bool)) {
			for k := range seq {
				if k == 3 {
					cancel()
				}
			}
		},
	}
	for name, end := range ends {
		for _, workers := range []int{0, 1, 4} {
			t.Run(fmt.Sprintf("%s/%d", name, workers), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					var made, dropped, yielded atomic.Int64
					produce := func(_ context.Context, k int) int {
						time.Sleep(time.Second)
						made.Add(1)
						return k
					}
					seq := ahead(ctx, 0, 1000, workers, 6, produce, func(int) { dropped.Add(1) })
					end(ctx, cancel, func(yield func(int) bool) {
						seq(func(k int) bool { yielded.Add(1); return yield(k) })
					})
					if made.Load() != yielded.Load()+dropped.Load() {
						t.Errorf("%d made, %d yielded, %d discarded", made.Load(), yielded.Load(), dropped.Load())
					}
					if made.Load() > 20 {
						t.Errorf("%d were made after the end", made.Load())
					}
				})
			})
		}
	}
}
