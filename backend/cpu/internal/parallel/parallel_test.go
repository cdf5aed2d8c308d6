package parallel

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func withThreads(t testing.TB, n int) {
	old := Threads()
	SetThreads(n)
	t.Cleanup(func() { SetThreads(old) })
}

func TestForCoversEveryIndexOnceInGrainSteps(t *testing.T) {
	for _, threads := range []int{1, 2, 3, 8} {
		withThreads(t, threads)
		for _, n := range []int{0, 1, 2, 7, 64, 1000, 4097} {
			for _, grain := range []int{-1, 1, 3, 64, 5000} {
				seen := make([]atomic.Int32, n)
				For(n, grain, func(lo, hi int) {
					g := max(grain, 1)
					if lo >= hi || lo%g != 0 || (hi%g != 0 && hi != n) {
						t.Errorf("threads %d n %d grain %d: range [%d,%d)", threads, n, grain, lo, hi)
					}
					for i := lo; i < hi; i++ {
						seen[i].Add(1)
					}
				})
				for i := range seen {
					if c := seen[i].Load(); c != 1 {
						t.Fatalf("threads %d n %d grain %d: index %d seen %d times", threads, n, grain, i, c)
					}
				}
			}
		}
	}
}

func TestTasksRunsEachTaskOnceAndItsWritesAreSeen(t *testing.T) {
	withThreads(t, 4)
	for range 200 {
		out := make([]int, 37) // no atomics: -race sees a missing happens-before
		Tasks(len(out), func(i int) { out[i] += i + 1 })
		for i, v := range out {
			if v != i+1 {
				t.Fatalf("task %d left %d", i, v)
			}
		}
	}
}

func TestWorkIsShared(t *testing.T) {
	if runtime.GOMAXPROCS(0) < 2 {
		t.Log("one processor: nothing to share")
		return
	}
	withThreads(t, 2)
	var both sync.WaitGroup
	both.Add(2)
	Tasks(2, func(int) { both.Done(); both.Wait() }) // ends only if two threads are inside at once
}

func TestParkedWorkersWakeAgain(t *testing.T) {
	withThreads(t, 3)
	p := current.Load()
	for range 3 {
		Tasks(8, func(int) {})
		for i := range p.workers {
			for deadline := time.Now().Add(10 * time.Second); !p.workers[i].parked.Load(); time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("worker %d still spins after 10 s of idleness", i)
				}
			}
		}
		var n atomic.Int32
		Tasks(8, func(int) { n.Add(1); time.Sleep(time.Millisecond) })
		if n.Load() != 8 {
			t.Fatalf("%d of 8 tasks ran", n.Load())
		}
	}
}

func TestNestedAndConcurrentCallsFinish(t *testing.T) {
	withThreads(t, 4)
	var total atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				Tasks(5, func(int) {
					For(100, 7, func(lo, hi int) { total.Add(int64(hi - lo)) })
				})
			}
		})
	}
	wg.Wait()
	if want := int64(8 * 50 * 5 * 100); total.Load() != want {
		t.Fatalf("total %d, want %d", total.Load(), want)
	}
}

func TestPanicReachesTheCallerAndThePoolStaysUsable(t *testing.T) {
	withThreads(t, 4)
	boom := errors.New("boom")
	for round := range 100 {
		bad := round % 20
		got := func() (r any) {
			defer func() { r = recover() }()
			Tasks(20, func(i int) {
				if i == bad {
					panic(boom)
				}
			})
			return nil
		}()
		if got != boom {
			t.Fatalf("task %d panicked, the caller recovered %v", bad, got)
		}
		var n atomic.Int32
		For(100, 1, func(lo, hi int) { n.Add(int32(hi - lo)) })
		if n.Load() != 100 {
			t.Fatalf("after a panic: %d of 100", n.Load())
		}
	}
}

func TestGoexitOnAWorkerPanicsInTheCallerAndTheWorkerIsReplaced(t *testing.T) {
	if runtime.GOMAXPROCS(0) < 2 {
		t.Log("one processor: a worker takes no part")
		return
	}
	withThreads(t, 2)
	for range 3 {
		got := func() (r any) {
			defer func() { r = recover() }()
			var both sync.WaitGroup
			both.Add(2)
			var last atomic.Int32
			caller := goroutine()
			Tasks(2, func(int) {
				both.Done()
				both.Wait()
				if last.Add(1); goroutine() != caller {
					runtime.Goexit()
				}
			})
			return nil
		}()
		if _, ok := got.(string); !ok {
			t.Fatalf("recovered %v", got)
		}
	}
}

// goroutine returns the running goroutine's line in a stack dump, which begins with its number.
func goroutine() string {
	var b [32]byte
	return string(b[:runtime.Stack(b[:], false)])
}

func TestSetThreadsWhileCallsRun(t *testing.T) {
	withThreads(t, 2)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			var n atomic.Int32
			For(64, 1, func(lo, hi int) { n.Add(int32(hi - lo)) })
			if n.Load() != 64 {
				t.Errorf("%d of 64", n.Load())
			}
		}
	})
	for i := range 50 {
		SetThreads(1 + i%5)
	}
	close(stop)
	wg.Wait()
}

func TestCallsDoNotAllocate(t *testing.T) {
	withThreads(t, 2)
	f := func(lo, hi int) {}
	g := func(i int) {}
	if a := testing.AllocsPerRun(100, func() { For(1000, 1, f); Tasks(10, g) }); a >= 1 {
		t.Fatalf("%v allocations a call", a)
	}
}

func BenchmarkForkJoin(b *testing.B) {
	withThreads(b, 2)
	f := func(i int) {}
	for b.Loop() {
		Tasks(2, f)
	}
}

// BenchmarkTwoHalves times two pieces of 20 µs: near 20 µs when both cores work, near 40 µs when one does.
func BenchmarkTwoHalves(b *testing.B) {
	withThreads(b, 2)
	f := func(int) {
		for t := time.Now(); time.Since(t) < 20*time.Microsecond; {
		}
	}
	for b.Loop() {
		Tasks(2, f)
	}
}
