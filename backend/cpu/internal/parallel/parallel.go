// Package parallel runs loops on a pool of persistent workers.
//
// The calling goroutine always takes part, and a worker that does not wake in time is not waited for: a call never
// depends on the scheduler for progress. Workers spin for a short while after a job, since a training step is a chain
// of jobs microseconds apart, and then park, so an idle program burns nothing.
//
// How a range is cut depends on the number of threads and on luck. A caller whose result must not (a sum) gives each
// grain, or each task, its own partial result and joins them in order of their index.
package parallel

import (
	"runtime"
	"sync/atomic"
)

// maxThreads is what the state word of a pool can count.
const maxThreads = 1 << 12

var current atomic.Pointer[pool]

func init() { current.Store(newPool(runtime.GOMAXPROCS(0))) }

// Threads returns the number of goroutines, the caller included, that a call may use.
func Threads() int { return current.Load().threads }

// SetThreads sets the number of goroutines that a call may use; the default is GOMAXPROCS at program start.
// It panics if n < 1. It may be called at any time: calls under way finish on the workers they began with.
func SetThreads(n int) {
	if n < 1 {
		panic("parallel: SetThreads needs at least one thread")
	}
	old := current.Swap(newPool(min(n, maxThreads)))
	old.close()
}

// For calls f on disjoint ranges that cover [0, n). Every lo is a multiple of grain, and so is every hi but the last;
// a range may hold several grains, or all of them: f(0, n) is one call when n <= grain, with one thread, and inside
// another call of this package. A grain below 1 counts as 1.
//
// A panic in f reaches the caller with its value, after all running ranges have ended; ranges not yet begun are
// dropped. For may be called from several goroutines at once: one has the workers, the others run alone.
func For(n, grain int, f func(lo, hi int)) {
	if n <= 0 {
		return
	}
	grain = max(grain, 1)
	p := current.Load()
	if n <= grain || p.threads == 1 || !p.mu.TryLock() {
		f(0, n)
		return
	}
	// A few ranges for each thread even out the load where a core is busy with something else.
	grains := (n-1)/grain + 1
	perChunk := (grains-1)/(p.threads*4) + 1
	p.job = job{ranges: f, n: n, chunk: perChunk * grain, chunks: (grains-1)/perChunk + 1}
	p.run()
}

// Tasks calls f once for each i in [0, n). Tasks start in order of i, each on the first thread that is free. Panics
// and concurrent calls are as For's.
func Tasks(n int, f func(i int)) {
	if n <= 0 {
		return
	}
	p := current.Load()
	if n == 1 || p.threads == 1 || !p.mu.TryLock() {
		for i := range n {
			f(i)
		}
		return
	}
	p.job = job{tasks: f, n: n, chunk: 1, chunks: n}
	p.run()
}
