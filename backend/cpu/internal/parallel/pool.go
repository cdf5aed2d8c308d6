package parallel

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// How long an idle worker looks for work before it parks, and how often it lets another goroutine run meanwhile.
// Waking a parked worker costs tens of microseconds, far more than most jobs.
const (
	spinFor     = 200 * time.Microsecond
	pausesCheck = 64 // pauses between two looks at the clock, a few microseconds
)

// A job is cut into chunks, dealt out by a counter.
type job struct {
	ranges           func(lo, hi int) // one of the two is set
	tasks            func(i int)
	n, chunk, chunks int
}

// The state word of a pool publishes a job and counts the workers inside it:
// epoch (32 bits) | wanted (12) | unused (6) | open (1) | active (13).
const (
	activeMask = 1<<13 - 1
	openBit    = 1 << 13
	wantShift  = 20
	wantMask   = 1<<12 - 1
	epochShift = 32
	cacheLine  = 128 // two lines: the adjacent-line prefetcher pulls pairs
)

// A pool serves one job at a time. A worker that enters after the job closed finds it closed and never touches it, so
// the caller waits only for workers that really take part.
type pool struct {
	threads int
	start   sync.Once
	mu      sync.Mutex // held by the goroutine whose job runs
	job     job        // written before the job opens
	workers []worker
	failed  atomic.Bool
	failure any // the first worker's panic, written by whoever set failed

	_     [cacheLine]byte
	state atomic.Uint64
	_     [cacheLine - 8]byte
	next  atomic.Int64 // next chunk
	_     [cacheLine - 8]byte
	quit  atomic.Bool
}

type worker struct {
	wake   chan struct{}
	parked atomic.Bool
	_      [cacheLine - 16]byte
}

func newPool(threads int) *pool { return &pool{threads: threads} }

// run opens p.job, takes part, and returns when no worker is inside. It owns p.mu and releases it.
func (p *pool) run() {
	p.start.Do(p.spawn)
	want := min(p.job.chunks-1, len(p.workers))
	p.next.Store(0)
	epoch := p.state.Load()>>epochShift + 1
	p.state.Store(epoch<<epochShift | uint64(want)<<wantShift | openBit)
	p.wake(0, want)
	p.wake(1, want)
	defer p.finish() // also when f panics here
	p.work()
}

func (p *pool) finish() {
	for {
		s := p.state.Load()
		if p.state.CompareAndSwap(s, s&^openBit) {
			break
		}
	}
	for i := 0; p.state.Load()&activeMask != 0; i++ {
		if i < 2000 {
			pause()
		} else {
			runtime.Gosched()
		}
	}
	p.job = job{} // keep nothing alive
	failed, failure := p.failed.Load(), p.failure
	p.failure = nil
	p.failed.Store(false)
	p.mu.Unlock()
	if failed {
		panic(failure)
	}
}

// work takes chunks until none is left.
func (p *pool) work() {
	defer func() {
		// After a panic or Goexit the other threads need not go on.
		p.next.Store(int64(p.job.chunks))
	}()
	j := &p.job
	for {
		c := int(p.next.Add(1)) - 1
		if c >= j.chunks {
			return
		}
		if j.tasks != nil {
			j.tasks(c)
		} else {
			j.ranges(c*j.chunk, min((c+1)*j.chunk, j.n))
		}
	}
}

func (p *pool) spawn() {
	p.workers = make([]worker, p.threads-1)
	for i := range p.workers {
		p.workers[i].wake = make(chan struct{}, 1)
		go p.worker(i, 0)
	}
}

// close ends the workers once they are idle. A job that is open meanwhile is finished by its caller.
func (p *pool) close() {
	p.quit.Store(true)
	p.start.Do(func() {}) // a pool never used needs no workers; one being used has spawned them
	for i := range p.workers {
		p.workers[i].unpark()
	}
}

// wake unparks worker i if the job wants it. Each worker wakes two more, so that a wide machine wakes in few steps.
func (p *pool) wake(i, want int) {
	if i < want {
		p.workers[i].unpark()
	}
}

func (w *worker) unpark() {
	if w.parked.Load() && w.parked.CompareAndSwap(true, false) {
		w.wake <- struct{}{}
	}
}

// worker is the life of worker i; seen is the epoch of the last job it took part in.
func (p *pool) worker(i int, seen uint64) {
	defer func() {
		// Reached early only if f called runtime.Goexit, which ends this goroutine: another takes its place.
		if !p.quit.Load() {
			go p.worker(i, seen)
		}
	}()
	w := &p.workers[i]
	for p.idle(i, w, seen) {
		s := p.state.Load()
		if !calls(s, i, seen) || !p.state.CompareAndSwap(s, s+1) {
			continue
		}
		seen = s >> epochShift
		want := int(s >> wantShift & wantMask)
		p.wake(2*i+2, want)
		p.wake(2*i+3, want)
		p.takePart()
	}
}

// calls reports whether state s holds an open job that wants worker i and that it has not seen.
func calls(s uint64, i int, seen uint64) bool {
	return s&openBit != 0 && i < int(s>>wantShift&wantMask) && s>>epochShift != seen
}

func (p *pool) takePart() {
	normal := false
	defer func() {
		if !normal {
			r := recover()
			if r == nil {
				r = "parallel: the function called runtime.Goexit on a worker"
			}
			if p.failed.CompareAndSwap(false, true) {
				p.failure = r
			}
		}
		p.state.Add(^uint64(0))
	}()
	p.work()
	normal = true
}

// idle returns true when a job calls worker i and false when the pool closes.
func (p *pool) idle(i int, w *worker, seen uint64) bool {
	var since time.Time
	for n := 0; !calls(p.state.Load(), i, seen); n++ {
		if p.quit.Load() {
			return false
		}
		if n%pausesCheck != pausesCheck-1 {
			pause()
			continue
		}
		if since.IsZero() {
			since = time.Now()
		}
		if time.Since(since) < spinFor {
			runtime.Gosched()
			continue
		}
		w.parked.Store(true)
		if (calls(p.state.Load(), i, seen) || p.quit.Load()) && w.parked.CompareAndSwap(true, false) {
			continue
		}
		<-w.wake
		since = time.Time{}
	}
	return true
}
