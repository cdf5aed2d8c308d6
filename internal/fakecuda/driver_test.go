//go:build linux && amd64

package fakecuda_test

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/descent-ml/descent/cuda"
	"github.com/descent-ml/descent/internal/fakecuda"
)

func (r rig) stream() cuda.Stream {
	r.Helper()
	s, err := r.NewStream(0)
	r.must(err)
	r.Cleanup(func() { r.must(s.Destroy()) })
	return s
}

func (r rig) event() cuda.Event {
	r.Helper()
	e, err := r.NewEvent(true)
	r.must(err)
	r.Cleanup(func() { r.must(e.Destroy()) })
	return e
}

func TestNothingWorksWithoutACurrentContext(t *testing.T) {
	r := newRig(t)
	p := r.alloc(16)
	// Threads of earlier tests may still have the context, so many are asked at once; they end with their goroutines.
	const threads = 64
	done, all := make(chan error), make(chan struct{})
	for range threads {
		go func() {
			runtime.LockOSThread()
			done <- r.Set8(p, 0, 16, r.Stream)
			<-all
		}()
	}
	refused := 0
	for range threads {
		if err := <-done; err != nil {
			r.wants(err, cuda.ErrInvalidContext)
			refused++
		}
	}
	close(all)
	if refused == 0 {
		t.Errorf("none of %d threads was refused", threads)
	}
}

func TestWrongHandlesAndRangesAreRefused(t *testing.T) {
	r := newRig(t)
	p, q := r.alloc(1000), r.alloc(1000)
	x := make([]byte, 2000)
	src := unsafe.Pointer(&x[0])
	s, err := r.NewStream(0)
	r.must(err)
	r.must(s.Destroy())
	e, err := r.NewEvent(false)
	r.must(err)
	r.must(e.Destroy())
	freed, err := r.Alloc(1 << 20)
	r.must(err)
	r.must(r.Free(freed))
	timed, untimed := r.event(), e
	for name, c := range map[string]struct {
		err  error
		want cuda.Result
	}{
		"a copy past the end":            {r.CopyToDevice(p, src, 1001, r.Stream), cuda.ErrInvalidValue},
		"a copy into the middle, past":   {r.CopyToDevice(p+500, src, 501, r.Stream), cuda.ErrInvalidValue},
		"a copy from past the end":       {r.CopyToHost(src, p, 1001, r.Stream), cuda.ErrInvalidValue},
		"a copy from one into the next":  {r.CopyOnDevice(p, q, 1001, r.Stream), cuda.ErrInvalidValue},
		"a copy that overlaps":           {r.CopyOnDevice(p, p+100, 200, r.Stream), cuda.ErrInvalidValue},
		"a copy to host memory":          {r.CopyToDevice(cuda.DevicePtr(uintptr(src)), src, 10, r.Stream), cuda.ErrInvalidValue},
		"a fill past the end":            {r.Set32(p, 0, 251, r.Stream), cuda.ErrInvalidValue},
		"a misaligned fill":              {r.Set32(p+2, 0, 1, r.Stream), cuda.ErrInvalidValue},
		"a fill of freed memory":         {r.Set8(freed, 0, 1, r.Stream), cuda.ErrInvalidValue},
		"freeing twice":                  {r.Free(freed), cuda.ErrInvalidValue},
		"freeing the middle":             {r.Free(p + 16), cuda.ErrInvalidValue},
		"freeing host memory not pinned": {r.FreeHost(src), cuda.ErrInvalidValue},
		"a destroyed stream":             {r.Set8(p, 0, 1, s), cuda.ErrInvalidHandle},
		"a destroyed stream, waited for": {s.Synchronize(), cuda.ErrInvalidHandle},
		"a destroyed event":              {untimed.Record(r.Stream), cuda.ErrInvalidHandle},
		"an event destroyed twice":       {untimed.Destroy(), cuda.ErrInvalidHandle},
		"an event as stream":             {timed.Record(s), cuda.ErrInvalidHandle},
	} {
		t.Run(name, func(t *testing.T) {
			rig{t, r.Context, r.Stream}.wants(c.err, c.want)
		})
	}
	r.must(r.CopyToDevice(p, src, 1000, r.Stream)) // the context is well
}

func TestLaunchesAreChecked(t *testing.T) {
	r := newRig(t)
	f := r.kernel(rowSums, "run") // THREADS is 256
	out := r.alloc(64)
	good := threeArgs{out, out, 1}
	r.wants(launch(r, f, 0, 32, 0, good), cuda.ErrInvalidValue)
	r.wants(launch(r, f, 1, 0, 0, good), cuda.ErrInvalidValue)
	r.wants(launch(r, f, 1, 512, 0, good), cuda.ErrLaunchOutOfResources)
	r.wants(launch(r, f, 1, 2048, 0, good), cuda.ErrInvalidValue)
	r.wants(launch(r, f, 1, 32, 0, out), cuda.ErrInvalidValue) // too few parameters
	r.wants(launch(r, f, 1, 32, 0, [4]uint64{}), cuda.ErrInvalidValue)
	r.wants(launch(r, f, 1, 32, 49<<10, good), cuda.ErrInvalidValue)
	r.must(f.MaxShared(100 << 10))
	r.must(launch(r, f, 1, 32, 100<<10, good))
	r.wants(f.MaxShared(228<<10), cuda.ErrInvalidValue)
	r.must(r.Stream.Synchronize())
}

func TestWorkIsLazyAndReadsPinnedMemoryLate(t *testing.T) {
	r := newRig(t)
	p := r.alloc(4)
	host, plain := pinned[int32](r, 1), []int32{1}
	host[0] = 1
	r.must(r.CopyToDevice(p, unsafe.Pointer(&host[0]), 4, r.Stream))
	host[0] = 2 // too early: the copy may not have run
	if got := download[int32](r, p, 1)[0]; got != 2 {
		t.Errorf("pinned memory was read when the copy was enqueued: %d", got)
	}
	r.must(r.CopyToDevice(p, unsafe.Pointer(&plain[0]), 4, r.Stream))
	plain[0] = 2 // memory that is not pinned has been read
	if got := download[int32](r, p, 1)[0]; got != 1 {
		t.Errorf("memory that is not pinned was read late: %d", got)
	}
	r.must(r.CopyToHost(unsafe.Pointer(&host[0]), p, 4, r.Stream))
	if host[0] != 2 {
		t.Error("a copy to pinned memory ran before anything waited for it")
	}
	ready, err := r.Stream.Query()
	r.must(err)
	if ready {
		t.Error("the first query finds pending work done")
	}
	if ready, err = r.Stream.Query(); err != nil || !ready || host[0] != 1 {
		t.Errorf("after a query: ready %v, error %v, copied %d", ready, err, host[0])
	}
}

// Without the wait, stream b sees what was there before.
func TestEventsOrderStreams(t *testing.T) {
	r := newRig(t)
	a, b, e := r.stream(), r.stream(), r.event()
	p, q := r.alloc(4), r.alloc(4)
	for _, wait := range []bool{false, true} {
		r.must(r.Set32(p, 1, 1, a))
		r.must(a.Synchronize())
		r.must(r.Set32(p, 2, 1, a))
		r.must(e.Record(a))
		r.must(r.Set32(p, 3, 1, a))
		if wait {
			r.must(b.Wait(e))
		}
		r.must(r.CopyOnDevice(q, p, 4, b))
		r.must(b.Synchronize())
		want := int32(1)
		if wait {
			want = 2
		}
		if got := download[int32](r, q, 1)[0]; got != want {
			t.Errorf("wait %v: %d, want %d", wait, got, want)
		}
		r.must(a.Synchronize())
	}
	start, end := r.event(), r.event()
	r.must(start.Record(a))
	r.must(r.Set32(p, 0, 1, a))
	r.must(end.Record(a))
	if _, err := end.Since(start); err == nil {
		t.Error("the time of an event that has not come")
	}
	r.must(end.Synchronize())
	if d, err := end.Since(start); err != nil || d < 0 {
		t.Errorf("%v between events, error %v", d, err)
	}
}

// capture records f, and checks that nothing ran.
func (r rig) capture(f func()) (cuda.GraphExec, error) {
	r.Helper()
	r.must(r.BeginCapture())
	f()
	g, err := r.EndCapture()
	if err != nil {
		return cuda.GraphExec{}, err
	}
	x, err := g.Instantiate()
	r.must(err)
	r.must(g.Destroy())
	r.Cleanup(func() { r.must(x.Destroy()) })
	return x, nil
}

const addOne = `extern "C" __global__ void run(int *x, int by) { x[threadIdx.x] += by; }`

type addArgs struct {
	x  cuda.DevicePtr
	by int32
	_  int32
}

func TestGraphsReplayWithTheArgumentsOfTheCapture(t *testing.T) {
	r := newRig(t)
	f := r.kernel(addOne, "run")
	p := upload(r, []int32{10, 20})
	x, err := r.capture(func() {
		a := &addArgs{x: p, by: 1}
		r.must(f.Launch([3]uint32{1, 1, 1}, [3]uint32{2, 1, 1}, 0, r.Stream, unsafe.Pointer(a), 12))
		a.by = 100 // the parameters were copied
	})
	r.must(err)
	if got := download[int32](r, p, 2); !slices.Equal(got, []int32{10, 20}) {
		t.Errorf("capturing changed memory: %v", got)
	}
	fakecuda.Reset()
	for range 3 {
		r.must(x.Launch(r.Stream))
	}
	if got := download[int32](r, p, 2); !slices.Equal(got, []int32{13, 23}) {
		t.Errorf("after three launches: %v", got)
	}
	if s := fakecuda.Stats(); s.Replayed != 3 || s.Calls["cuGraphLaunch"] != 3 || s.Calls["cuLaunchKernel"] != 0 {
		t.Errorf("counts: %+v", s)
	}

	change := func(by int32, launches int) cuda.Graph {
		r.must(r.BeginCapture())
		for range launches {
			r.must(launch(r, f, 1, 2, 0, addArgs{x: p, by: by}))
		}
		g, err := r.EndCapture()
		r.must(err)
		r.Cleanup(func() { r.must(g.Destroy()) })
		return g
	}
	r.must(x.Update(change(7, 1)))
	r.must(x.Launch(r.Stream))
	if got := download[int32](r, p, 2); !slices.Equal(got, []int32{20, 30}) {
		t.Errorf("after an update: %v", got)
	}
	r.wants(x.Update(change(7, 2)), cuda.ErrGraphExecUpdate)

	dot := filepath.Join(t.TempDir(), "graph.dot")
	r.must(change(1, 2).Dot(dot))
	if text, err := os.ReadFile(dot); err != nil || strings.Count(string(text), "test.cu") != 2 || strings.Count(string(text), "->") != 1 {
		t.Errorf("error %v, drawing of a graph of two kernels in a row:\n%s", err, text)
	}
}

func TestCaptureFollowsEventsIntoOtherStreams(t *testing.T) {
	r := newRig(t)
	f := r.kernel(addOne, "run")
	p, q := upload(r, []int32{0}), upload(r, []int32{0})
	other, fork, join := r.stream(), r.event(), r.event()
	record := func(joined bool) func() {
		return func() {
			r.must(launch(r, f, 1, 1, 0, addArgs{x: p, by: 1}))
			r.must(fork.Record(r.Stream))
			r.must(other.Wait(fork))
			r.must(r.CopyOnDevice(q, p, 4, other)) // after the launch
			if joined {
				r.must(join.Record(other))
				r.must(r.Stream.Wait(join))
			}
		}
	}
	x, err := r.capture(record(true))
	r.must(err)
	for i := range 5 {
		r.must(x.Launch(r.Stream))
		if got := download[int32](r, q, 1)[0]; got != int32(i+1) {
			t.Fatalf("launch %d: copied %d", i, got)
		}
	}
	_, err = r.capture(record(false))
	r.wants(err, cuda.ErrCaptureUnjoined)
	if on, err := other.Capturing(); on || err != nil {
		t.Errorf("the other stream still captures, error %v", err)
	}
}

func TestCallsThatMayNotBeMadeWhileCapturing(t *testing.T) {
	for name, c := range map[string]struct {
		call        func(r rig, p cuda.DevicePtr, e cuda.Event) error
		want, after cuda.Result // of the call, and of the end of the capture
	}{
		"waiting for the stream":       {func(r rig, _ cuda.DevicePtr, _ cuda.Event) error { return r.Stream.Synchronize() }, cuda.ErrCaptureUnsupported, cuda.ErrCaptureInvalidated},
		"waiting for the context":      {func(r rig, _ cuda.DevicePtr, _ cuda.Event) error { return r.Context.Synchronize() }, cuda.ErrCaptureUnsupported, cuda.ErrCaptureInvalidated},
		"asking about the stream":      {func(r rig, _ cuda.DevicePtr, _ cuda.Event) error { _, err := r.Stream.Query(); return err }, cuda.ErrCaptureUnsupported, cuda.ErrCaptureInvalidated},
		"allocating":                   {func(r rig, _ cuda.DevicePtr, _ cuda.Event) error { _, err := r.Alloc(16); return err }, cuda.ErrCaptureUnsupported, cuda.ErrCaptureInvalidated},
		"freeing":                      {func(r rig, p cuda.DevicePtr, _ cuda.Event) error { return r.Free(p) }, cuda.ErrCaptureUnsupported, cuda.ErrCaptureInvalidated},
		"loading code":                 {func(r rig, _ cuda.DevicePtr, _ cuda.Event) error { _, err := r.LoadModule([]byte("x")); return err }, cuda.ErrCaptureUnsupported, cuda.ErrCaptureInvalidated},
		"waiting for an earlier event": {func(r rig, _ cuda.DevicePtr, e cuda.Event) error { return r.Stream.Wait(e) }, cuda.ErrCaptureIsolation, cuda.ErrCaptureInvalidated},
		"waiting for a captured event": {func(r rig, _ cuda.DevicePtr, e cuda.Event) error { r.must(e.Record(r.Stream)); return e.Synchronize() }, cuda.ErrCapturedEvent, cuda.Success},
		"asking about a captured event": {func(r rig, _ cuda.DevicePtr, e cuda.Event) error {
			r.must(e.Record(r.Stream))
			_, err := e.Query()
			return err
		}, cuda.ErrCapturedEvent, cuda.Success},
		"beginning again": {func(r rig, _ cuda.DevicePtr, _ cuda.Event) error { return r.BeginCapture() }, cuda.ErrIllegalState, cuda.Success},
		"copying memory that can be paged": {func(r rig, p cuda.DevicePtr, _ cuda.Event) error {
			return r.CopyToDevice(p, unsafe.Pointer(new(int64)), 8, r.Stream)
		}, cuda.ErrCaptureUnsupported, cuda.ErrCaptureInvalidated},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			p, e := r.alloc(64), r.event()
			r.must(e.Record(r.Stream))
			_, err := r.capture(func() { r.wants(c.call(r, p, e), c.want) })
			if c.after != cuda.Success {
				r.wants(err, c.after)
			} else {
				r.must(err)
			}
			r.must(r.Set8(p, 0, 64, r.Stream)) // the stream works again
			r.must(r.Stream.Synchronize())
		})
	}
}

func TestFaultsStrikeTheNthCall(t *testing.T) {
	r := newRig(t)
	p := r.alloc(64)
	fakecuda.Fail("cuMemAlloc_v2", 2, int(cuda.ErrOutOfMemory))
	r.alloc(64)
	_, err := r.Alloc(64)
	r.wants(err, cuda.ErrOutOfMemory)
	r.alloc(64) // one failure, and the context is well

	f := r.kernel(addOne, "run")
	fakecuda.Fail("kernel", 1, int(cuda.ErrLaunchFailed))
	r.must(launch(r, f, 1, 1, 0, addArgs{x: p, by: 1})) // launches fail later
	r.wants(r.Stream.Synchronize(), cuda.ErrLaunchFailed)
	r.wants(r.Set8(p, 0, 1, r.Stream), cuda.ErrLaunchFailed)
	fakecuda.Reset()
	r.must(r.Set8(p, 0, 1, r.Stream))

	fakecuda.Fail("cuLaunchKernel", 1, int(cuda.ErrECCUncorrectable))
	r.wants(launch(r, f, 1, 1, 0, addArgs{x: p, by: 1}), cuda.ErrECCUncorrectable)
	r.wants(r.Context.Synchronize(), cuda.ErrECCUncorrectable) // lost for good
}

func TestMemoryIsLimited(t *testing.T) {
	r := newRig(t)
	_, total, err := r.MemInfo()
	r.must(err)
	fakecuda.Memory(1 << 20)
	defer fakecuda.Memory(int64(total))
	p := r.alloc(1 << 19)
	_, err = r.Alloc(1<<19 + 1)
	r.wants(err, cuda.ErrOutOfMemory)
	free, _, err := r.MemInfo()
	r.must(err)
	if free != 1<<19 {
		t.Errorf("%d bytes free", free)
	}
	r.alloc(1 << 19)
	_ = p
}

func TestCountOnlyChecksAndCountsButDoesNotRun(t *testing.T) {
	r := newRig(t)
	f := r.kernel(addOne, "run")
	fakecuda.Mode(fakecuda.CountOnly)
	t.Cleanup(func() { fakecuda.Mode(fakecuda.Execute) })
	fakecuda.Reset()
	p, err := r.Alloc(4 << 30)
	r.must(err)
	defer func() { r.must(r.Free(p)) }()
	for range 10 {
		r.must(launch(r, f, 1, 1, 0, addArgs{x: p, by: 1}))
	}
	r.wants(launch(r, f, 1, 1, 0, p), cuda.ErrInvalidValue)
	host := pinned[int32](r, 100)
	r.must(r.CopyToDevice(p, unsafe.Pointer(&host[0]), 400, r.Stream))
	r.must(r.Set32(p, 1, 1<<30, r.Stream))
	r.must(r.CopyToHost(unsafe.Pointer(&host[0]), p+1<<30, 4, r.Stream))
	r.wants(r.CopyToHost(unsafe.Pointer(&host[0]), p+4<<30-2, 4, r.Stream), cuda.ErrInvalidValue)
	x, err := r.capture(func() { r.must(launch(r, f, 1, 1, 0, addArgs{x: p, by: 1})) })
	r.must(err)
	r.must(x.Launch(r.Stream))
	r.must(r.Stream.Synchronize())
	s := fakecuda.Stats()
	if s.Launches["test.cu"] != 11 || s.HostToDevice != 400 || s.DeviceToHost != 4 || s.Set != 4<<30 || s.Copies != 2 || s.Syncs != 1 || s.Replayed != 1 {
		t.Errorf("counts %+v", s)
	}
}

func TestManyThreadsShareTheDriver(t *testing.T) {
	r := newRig(t)
	f := r.kernel(addOne, "run")
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			if err := r.Bind(); err != nil {
				t.Error(err)
				return
			}
			defer r.Unbind()
			s, err := r.NewStream(0)
			if err != nil {
				t.Error(err)
				return
			}
			p, err := r.Alloc(4)
			if err != nil {
				t.Error(err)
				return
			}
			mine := rig{t, r.Context, s}
			err = r.Set32(p, 0, 1, s)
			for range 50 {
				if err == nil {
					err = launch(mine, f, 1, 1, 0, addArgs{x: p, by: 1})
				}
			}
			var got int32
			if err == nil {
				err = r.CopyToHost(unsafe.Pointer(&got), p, 4, s)
			}
			if err != nil || got != 50 {
				t.Errorf("%d after 50 launches, error %v", got, err)
			}
			if err := r.Free(p); err != nil {
				t.Error(err)
			}
			if err := s.Destroy(); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
}

// A kernel that fails does not disturb Go's own handling of a nil pointer.
func TestGoPanicsAreGos(t *testing.T) {
	r := newRig(t)
	f := r.kernel(addOne, "run")
	r.wants(run(r, f, 1, 1, 0, addArgs{by: 1}), cuda.ErrIllegalAddress)
	defer func() {
		if e, ok := recover().(runtime.Error); !ok || !strings.Contains(e.Error(), "nil pointer") {
			t.Errorf("recovered %v", e)
		}
	}()
	var p *int
	*p = 1
}
