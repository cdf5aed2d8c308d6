package data

import (
	"context"
	"iter"
	"sync"
)

// ahead yields produce(ctx, k) for k from first to end-1, in order. With workers
// they run in that many goroutines and get at most prefetch results ahead of the
// loop; without, produce runs between the loop's bodies. However the loop ends,
// all goroutines have stopped when it has, and discard was called with every
// result that was not yielded. If ctx is canceled the sequence may end early.
func ahead[T any](ctx context.Context, first, end, workers, prefetch int, produce func(ctx context.Context, k int) T, discard func(T)) iter.Seq[T] {
	if workers == 0 {
		return func(yield func(T) bool) {
			for k := first; k < end && ctx.Err() == nil && yield(produce(ctx, k)); k++ {
			}
		}
	}
	type job struct {
		k   int
		out chan T
	}
	return func(yield func(T) bool) {
		ctx, stop := context.WithCancel(ctx)
		jobs := make(chan job)
		queue := make(chan chan T, prefetch) // the same jobs' results, in order
		var running sync.WaitGroup
		running.Go(func() {
			defer close(queue)
			defer close(jobs)
			for k := first; k < end; k++ {
				out := make(chan T, 1)
				select {
				case <-ctx.Done():
					return
				case queue <- out:
				}
				jobs <- job{k, out}
			}
		})
		for range workers {
			running.Go(func() {
				for j := range jobs {
					j.out <- produce(ctx, j.k)
				}
			})
		}
		defer func() {
			stop()
			for out := range queue {
				discard(<-out)
			}
			running.Wait()
		}()
		for out := range queue {
			if !yield(<-out) {
				return
			}
		}
	}
}
