package dl

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

const summed = 20_000_000 // sum of so many takes some tens of milliseconds

func checkSum(t *testing.T, fn uintptr) {
	if got, want := uint64(Call(fn, Int(summed))), uint64(summed)*(summed-1)/2; got != want {
		t.Errorf("sum %d, want %d", got, want)
	}
}

func TestProfilingSignalsDuringCalls(t *testing.T) {
	sum := function(t, "sum")
	if err := pprof.StartCPUProfile(io.Discard); err != nil {
		t.Skipf("no profile could be started: %v", err)
	}
	defer pprof.StopCPUProfile()
	for range 5 {
		checkSum(t, sum)
	}
}

func TestStormOfPreemptionSignalsDuringCalls(t *testing.T) {
	sum, fill := function(t, "sum"), function(t, "late_fill")
	var stop atomic.Bool
	var storm sync.WaitGroup
	storm.Go(func() {
		for !stop.Load() {
			syscall.Kill(os.Getpid(), syscall.SIGURG)
			runtime.GC()
		}
	})
	var callers sync.WaitGroup
	for range 2 {
		callers.Go(func() { checkSum(t, sum) })
		callers.Go(func() {
			for i := range 20_000 {
				var out [3]uint64
				Call(fill, Ptr(&out), Int(3), Int(i), Int(0))
				if out != [3]uint64{uint64(i), uint64(i) + 1, uint64(i) + 2} {
					t.Errorf("call %d wrote %v", i, out)
					return
				}
			}
		})
	}
	callers.Wait()
	stop.Store(true)
	storm.Wait()
}

func TestGoHandlesSignalsThatComeDuringCalls(t *testing.T) {
	sum := function(t, "sum")
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGUSR1)
	defer signal.Stop(signals)
	done := make(chan bool)
	go func() {
		for range 8 {
			syscall.Kill(os.Getpid(), syscall.SIGUSR1)
			time.Sleep(time.Millisecond)
		}
		close(done)
	}()
	checkSum(t, sum)
	<-done
	select {
	case <-signals:
	case <-time.After(5 * time.Second):
		t.Error("no signal arrived")
	}
}

// The C stack is the thread's, not the goroutine's: glibc gives threads what "ulimit -s" says, most often 8 MiB.
func TestDeepCStacks(t *testing.T) {
	deep, size := function(t, "deep"), function(t, "stack_size")
	const kib = 4 << 10
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			runtime.LockOSThread() // a thread of its own, which ends with the goroutine
			n := uint64(Call(size))
			if n>>10 < kib+1024 {
				t.Logf("this thread's stack has %d KiB: %d KiB are not tried", n>>10, kib)
				n = 1 << 20
			} else {
				n = kib << 10
			}
			// A frame of deep has a little more than its KiB.
			depth := n >> 10 * 3 / 4
			if got := uint64(Call(deep, Int(depth))); got != depth {
				t.Errorf("recursion to %d KiB returned %d", depth, got)
			}
		})
	}
	all.Wait()
}

func TestThreadLocalsBelongToLockedThreads(t *testing.T) {
	set, get := function(t, "set_local"), function(t, "get_local")
	var ready, all sync.WaitGroup
	const n = 8
	ready.Add(n)
	for i := range n {
		all.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			Call(set, Int(100+i))
			ready.Done()
			ready.Wait() // all threads have set theirs
			runtime.Gosched()
			if got := int(Call(get)); got != 100+i {
				t.Errorf("goroutine %d read %d", i, got)
			}
		})
	}
	all.Wait()
}

func TestPinnedMemoryOfGoIsCsToKeep(t *testing.T) {
	type node struct {
		next  *node
		value uint64
	}
	hold, sumHeld := function(t, "hold"), function(t, "sum_held")
	var pins runtime.Pinner
	defer pins.Unpin()
	var list *node
	for i := range 10 {
		list = &node{list, uint64(i)}
		pins.Pin(list)
	}
	Call(hold, Ptr(list))
	defer Call(hold, Arg{})
	for range 3 { // it stays where it is and what it is
		runtime.GC()
		fresh := make([][]byte, 1000)
		for i := range fresh {
			fresh[i] = make([]byte, unsafe.Sizeof(node{}))
		}
	}
	if got := Call(sumHeld); got != 45 {
		t.Errorf("C summed %d, want 45", got)
	}
	if list.value != 10 {
		t.Errorf("C's write shows as %d, want 10", list.value)
	}
}

// grow calls fn with a pointer to its own frame at every depth, so that stacks grow between the pointer and the call.
//
//go:noinline
func grow(fn uintptr, depth int) error {
	var out [5]uint64
	Call(fn, Ptr(&out), Int(len(out)), Int(depth), Int(0))
	for i, v := range out {
		if v != uint64(depth+i) {
			return fmt.Errorf("depth %d: C's write did not reach the variable: %v", depth, out)
		}
	}
	if depth == 0 {
		return nil
	}
	if err := grow(fn, depth-1); err != nil {
		return err
	}
	if out[0] != uint64(depth) {
		return fmt.Errorf("depth %d: the variable changed later: %v", depth, out)
	}
	return nil
}

func TestPointersIntoAStackThatGrows(t *testing.T) {
	fill := function(t, "late_fill")
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() { // a new goroutine starts with a small stack
			if err := grow(fill, 10+i*5); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

//go:noinline
func useStack(n int) int {
	var page [512]byte
	page[n%len(page)] = 1
	if n == 0 {
		return int(page[0])
	}
	return useStack(n-1) + int(page[n%len(page)])
}

// A collection shrinks the stack of a goroutine that once needed more, but not while it is in C.
func TestPointersIntoAStackThatShouldShrink(t *testing.T) {
	fill := function(t, "late_fill")
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			useStack(500)
			for j := range 5 {
				var out [4]uint64
				Call(fill, Ptr(&out), Int(4), Int(i+j), Int(2000))
				if out[3] != uint64(i+j+3) {
					t.Errorf("C's write did not reach the variable: %v", out)
				}
			}
		})
	}
	stop := make(chan bool)
	go func() { all.Wait(); close(stop) }()
	for {
		select {
		case <-stop:
			return
		default:
			runtime.GC()
		}
	}
}

// Memory that only an argument points to stays until the call is over, although others want memory of that size.
func TestCollectionsDuringCallsOfManyGoroutines(t *testing.T) {
	sum := function(t, "late_sum")
	const words = 64
	var stop atomic.Bool
	var wanting, calling sync.WaitGroup
	wanting.Go(func() {
		for !stop.Load() {
			runtime.GC()
			for range 1000 {
				block := new([words]uint64)
				block[0] = 1
				sink.Store(block)
			}
		}
	})
	for i := range 8 {
		calling.Go(func() {
			for j := range 10 {
				value := uint64(1000*i + j)
				if got := uint64(Call(sum, newFilled(value), Int(words), Int(2000))); got != words*value {
					t.Errorf("C summed %d, want %d: the memory was used again during the call", got, words*value)
				}
			}
		})
	}
	calling.Wait()
	stop.Store(true)
	wanting.Wait()
}

var sink atomic.Pointer[[64]uint64]

//go:noinline
func newFilled(value uint64) Arg {
	block := new([64]uint64)
	for i := range block {
		block[i] = value
	}
	return Ptr(block)
}
