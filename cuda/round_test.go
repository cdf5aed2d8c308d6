package cuda_test

import (
	"errors"
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

func TestDevicesTellTheirProperties(t *testing.T) {
	c := unbound(t, 1)
	d := c.Device()
	if major, minor := d.Capability(); major != 9 || minor != 0 {
		t.Errorf("capability %d.%d, want 9.0", major, minor)
	}
	if d.Name() == "" || d.TotalMemory() == 0 || d.Ordinal() != 1 || !strings.Contains(d.String(), "device 1, sm_90") {
		t.Errorf("name %q, memory %d, ordinal %d, %v", d.Name(), d.TotalMemory(), d.Ordinal(), d)
	}
	if warp := value(d.Attribute(cuda.WarpSize))(t); warp != 32 {
		t.Errorf("warps of %d", warp)
	}
	driver := value(cuda.Open())(t)
	if again := value(driver.Devices())(t)[1]; again != d {
		t.Error("the device is another pointer the second time")
	}
	if again := value(d.Primary())(t); again != c {
		t.Error("the context is another pointer the second time")
	}
	if id := value(d.PCIBusID())(t); !strings.Contains(id, ":") {
		t.Errorf("PCI bus id %q", id)
	}
	if driver.Version() < cuda.MinVersion || driver.Path() == "" {
		t.Errorf("version %d of %q", driver.Version(), driver.Path())
	}
}

func TestCopiesThroughEveryKindOfMemory(t *testing.T) {
	c := newContext(t, 0)
	s := newStream(t, c)
	const n = 1000
	a, b := alloc(t, c, n), alloc(t, c, n)
	pinned := value(c.AllocHost(n))(t)
	defer func() { check(t, c.FreeHost(pinned)) }()
	registered := make([]byte, n)
	check(t, c.RegisterHost(unsafe.Pointer(&registered[0]), n))
	defer func() { check(t, c.UnregisterHost(unsafe.Pointer(&registered[0]))) }()

	source := make([]byte, n)
	for i := range source {
		source[i] = byte(i * 7)
	}
	check(t, c.CopyToDevice(a, unsafe.Pointer(&source[0]), n, s))
	check(t, c.CopyOnDevice(b, a, n, s))
	check(t, c.CopyToHost(pinned, b, n, s))
	check(t, s.Synchronize())
	if !slices.Equal(unsafe.Slice((*byte)(pinned), n), source) {
		t.Error("the bytes changed on their way to the device and back")
	}

	// Through the pinned memory of the host, and with offsets.
	check(t, c.Set8(a, 0, n, s))
	check(t, c.CopyToDevice(a+100, unsafe.Add(pinned, 100), n-100, s))
	check(t, c.CopyToHost(unsafe.Pointer(&registered[0]), a, n, s))
	check(t, s.Synchronize())
	if !slices.Equal(registered[100:], source[100:]) || !slices.Equal(registered[:100], make([]byte, 100)) {
		t.Error("the bytes at an offset differ")
	}
}

func TestFillsOfEveryWidth(t *testing.T) {
	c := newContext(t, 0)
	s := newStream(t, c)
	p := alloc(t, c, 64)
	check(t, c.Set32(p, 0x01020304, 16, s))
	check(t, c.Set16(p+8, 0x0506, 4, s))
	check(t, c.Set8(p+16, 7, 3, s))
	var got [5]uint32
	check(t, c.CopyToHost(unsafe.Pointer(&got), p, 20, s))
	check(t, s.Synchronize())
	if want := [5]uint32{0x01020304, 0x01020304, 0x05060506, 0x05060506, 0x01070707}; got != want {
		t.Errorf("memory %#x, want %#x", got, want)
	}
}

func TestPoolsAllocateInStreamOrder(t *testing.T) {
	c := newContext(t, 0)
	s := newStream(t, c)
	pool := value(c.DefaultPool())(t)
	check(t, pool.SetReleaseThreshold(1<<30))
	f := function(t, c, "fill")
	p := value(c.AllocAsync(4096, s))(t)
	check(t, launch(f, s, &kernelArgs{p, 3, 1024}))
	wantAll(t, floats(t, c, s, p, 1024), 3)
	check(t, c.FreeAsync(p, s))
	check(t, s.Synchronize())
	if reserved, used, err := pool.Usage(); err != nil || used > reserved {
		t.Errorf("%d bytes used of %d reserved, %v", used, reserved, err)
	}
	check(t, pool.Trim(0))
}

func TestMemInfoFollowsAllocations(t *testing.T) {
	c := newContext(t, 0)
	before, total, err := c.MemInfo()
	check(t, err)
	alloc(t, c, 64<<20)
	after, _, err := c.MemInfo()
	check(t, err)
	if total == 0 || before-after < 64<<20 {
		t.Errorf("%d of %d bytes are free after an allocation of 64 MiB, %d before", after, total, before)
	}
}

func TestLaunchesReadTheirParametersAtOnce(t *testing.T) {
	c := newContext(t, 0)
	s := newStream(t, c)
	fill, scale := function(t, c, "fill"), function(t, c, "scale")
	const n = 1001
	p := alloc(t, c, 4*n)
	args := kernelArgs{p, 1, n}
	check(t, launch(fill, s, &args))
	args.value = 3 // the first launch has read its own
	check(t, launch(scale, s, &args))
	args = kernelArgs{}
	check(t, scale.LaunchEx(&cuda.LaunchConfig{Grid: [3]uint32{8, 1, 1}, Block: [3]uint32{128, 1, 1}, Stream: s, Programmatic: true,
		Cluster: [3]uint32{2, 1, 1}}, unsafe.Pointer(&kernelArgs{p, 5, n}), unsafe.Sizeof(args)))
	wantAll(t, floats(t, c, s, p, n), 15)
}

func TestFunctionsTellTheirProperties(t *testing.T) {
	c := newContext(t, 0)
	f := function(t, c, "fill")
	if n := value(f.Attribute(cuda.FunctionMaxThreads))(t); n != 1024 {
		t.Errorf("%d threads at most, want 1024", n)
	}
	check(t, f.MaxShared(100<<10))
	if n := value(f.Attribute(cuda.FunctionMaxShared))(t); n != 100<<10 {
		t.Errorf("%d bytes of shared memory after MaxShared(102400)", n)
	}
	if n := value(f.Occupancy(256, 0))(t); n != 8 {
		t.Errorf("%d blocks of 256 threads on a multiprocessor of 2048", n)
	}
}

func TestEventsOrderStreams(t *testing.T) {
	c := newContext(t, 0)
	s, other := newStream(t, c), newStream(t, c)
	fill, scale := function(t, c, "fill"), function(t, c, "scale")
	p := alloc(t, c, 4*256)
	start, done := value(c.NewEvent(true))(t), value(c.NewEvent(true))(t)

	check(t, start.Record(s))
	check(t, launch(fill, s, &kernelArgs{p, 2, 256}))
	check(t, done.Record(s))
	check(t, other.Wait(done))
	check(t, launch(scale, other, &kernelArgs{p, 4, 256}))
	wantAll(t, floats(t, c, other, p, 256), 8)

	check(t, done.Synchronize())
	if passed := value(done.Query())(t); !passed {
		t.Error("the event is not passed after it was waited for")
	}
	if idle := value(s.Query())(t); !idle {
		t.Error("the stream is busy after its last event passed")
	}
	if d := value(done.Since(start))(t); d < 0 {
		t.Errorf("%v between two events", d)
	}
	untimed := value(c.NewEvent(false))(t)
	check(t, untimed.Record(s))
	check(t, untimed.Synchronize())
	if _, err := untimed.Since(start); err == nil {
		t.Error("an event without timing tells a time")
	}
	for _, e := range []cuda.Event{start, done, untimed} {
		check(t, e.Destroy())
	}
	least, greatest, err := c.StreamPriorities()
	if err != nil || greatest > least {
		t.Errorf("priorities %d to %d, %v", least, greatest, err)
	}
}

// captured records the kernels in a graph.
func captured(t *testing.T, s cuda.Stream, work func()) cuda.Graph {
	t.Helper()
	check(t, s.BeginCapture())
	if !value(s.Capturing())(t) {
		t.Error("the stream does not say that it is being captured")
	}
	work()
	g := value(s.EndCapture())(t)
	t.Cleanup(func() { g.Destroy() })
	if value(s.Capturing())(t) {
		t.Error("the stream is still being captured")
	}
	return g
}

func TestGraphsReplayAndTakeNewParameters(t *testing.T) {
	c := newContext(t, 0)
	s := newStream(t, c)
	fill, scale := function(t, c, "fill"), function(t, c, "scale")
	p := alloc(t, c, 4*300)
	check(t, launch(fill, s, &kernelArgs{p, 1, 300}))
	double := func(factor float32) cuda.Graph {
		return captured(t, s, func() {
			check(t, launch(scale, s, &kernelArgs{p, factor, 300}))
			check(t, launch(scale, s, &kernelArgs{p, 2, 300}))
		})
	}

	g := double(1)
	wantAll(t, floats(t, c, s, p, 300), 1) // nothing ran
	if n := value(g.Nodes())(t); n != 2 {
		t.Errorf("%d nodes, want 2", n)
	}
	x := value(g.Instantiate())(t)
	check(t, x.Upload(s))
	for range 3 {
		check(t, x.Launch(s))
	}
	wantAll(t, floats(t, c, s, p, 300), 8)

	check(t, x.Update(double(8)))
	check(t, x.Launch(s))
	wantAll(t, floats(t, c, s, p, 300), 128)

	err := x.Update(captured(t, s, func() { check(t, launch(scale, s, &kernelArgs{p, 1, 300})) }))
	isError(t, err, cuda.ErrGraphExecUpdate, "cuGraphExecUpdate_v2")
	if err != nil && !strings.Contains(err.Error(), "nodes") {
		t.Errorf("the error does not say what changed: %v", err)
	}
	dot := filepath.Join(t.TempDir(), "graph.dot")
	check(t, g.Dot(dot))
	if text, err := os.ReadFile(dot); err != nil || !strings.Contains(string(text), "digraph") {
		t.Errorf("%v, the file has %q", err, text)
	}
	check(t, x.Destroy())
}

func TestWaitingSpoilsACapture(t *testing.T) {
	c := newContext(t, 0)
	s := newStream(t, c)
	check(t, s.BeginCapture())
	isError(t, s.Synchronize(), cuda.ErrCaptureUnsupported, "cuStreamSynchronize")
	_, err := s.EndCapture()
	isError(t, err, cuda.ErrCaptureInvalidated, "cuStreamEndCapture")
	check(t, s.Synchronize())
}

func TestPeersCopy(t *testing.T) {
	first, second := unbound(t, 0), unbound(t, 1)
	if can, err := first.Device().CanAccessPeer(second.Device()); err != nil || !can {
		t.Skipf("the fake devices are no peers: %v", err)
	}
	check(t, second.Bind())
	s2 := value(second.NewStream(0))(t)
	q := value(second.Alloc(64))(t)
	check(t, second.Set8(q, 9, 64, s2))
	check(t, s2.Synchronize())
	check(t, s2.Destroy())
	second.Unbind()

	check(t, first.Bind())
	defer first.Unbind()
	check(t, first.EnablePeerAccess(second))
	check(t, first.EnablePeerAccess(second)) // again is no error
	s := newStream(t, first)
	p := alloc(t, first, 64)
	check(t, first.CopyPeer(p, second, q, 64, s))
	var got [64]byte
	check(t, first.CopyToHost(unsafe.Pointer(&got), p, 64, s))
	check(t, s.Synchronize())
	if got[0] != 9 || got[63] != 9 {
		t.Errorf("the peer's bytes arrived as %v", got)
	}
	check(t, second.Bind())
	check(t, second.Free(q))
	second.Unbind()
	check(t, first.Bind()) // the cleanups need it
	first.Unbind()
}

func TestGoroutinesShareAContext(t *testing.T) {
	c := newContext(t, 0)
	scale, fill := function(t, c, "scale"), function(t, c, "fill")
	var all sync.WaitGroup
	for i := range 6 {
		all.Go(func() {
			check := func(err error) {
				if err != nil {
					t.Error(err)
				}
			}
			check(c.Bind())
			defer c.Unbind()
			s, err := c.NewStream(0)
			check(err)
			p, err := c.Alloc(4 * 100)
			check(err)
			check(launch(fill, s, &kernelArgs{p, float32(i), 100}))
			for range 3 {
				check(c.Bind()) // nests
				check(launch(scale, s, &kernelArgs{p, 2, 100}))
				c.Unbind()
				runtime.Gosched()
			}
			out := make([]float32, 100)
			check(c.CopyToHost(unsafe.Pointer(&out[0]), p, 400, s))
			check(s.Synchronize())
			if out[0] != float32(8*i) || out[99] != float32(8*i) {
				t.Errorf("goroutine %d got %v", i, out[0])
			}
			check(c.Free(p))
			check(s.Destroy())
		})
	}
	all.Wait()
	check(t, c.Synchronize())
}

func TestHotCallsAllocateNothing(t *testing.T) {
	c := newContext(t, 0)
	fakecuda.Mode(fakecuda.CountOnly)
	defer fakecuda.Mode(fakecuda.Execute)
	s := value(c.NewStream(0))(t)
	f := function(t, c, "scale")
	e := value(c.NewEvent(false))(t)
	p := value(c.Alloc(4096))(t)
	pinned := value(c.AllocHost(64))(t)
	config := &cuda.LaunchConfig{Grid: [3]uint32{2, 1, 1}, Block: [3]uint32{32, 1, 1}, Stream: s, Cluster: [3]uint32{2, 1, 1}}
	for name, call := range map[string]func() error{
		"Bind":   func() error { defer c.Unbind(); return c.Bind() },
		"Launch": func() error { return launch(f, s, &kernelArgs{p, 1, 64}) },
		"LaunchEx": func() error {
			args := kernelArgs{p, 1, 64}
			return f.LaunchEx(config, unsafe.Pointer(&args), unsafe.Sizeof(args))
		},
		"Alloc and Free": func() error {
			q, err := c.Alloc(1024)
			if err != nil {
				return err
			}
			return c.Free(q)
		},
		"AllocAsync and FreeAsync": func() error {
			q, err := c.AllocAsync(1024, s)
			if err != nil {
				return err
			}
			return c.FreeAsync(q, s)
		},
		"CopyToDevice": func() error { return c.CopyToDevice(p, pinned, 64, s) },
		"CopyToHost":   func() error { return c.CopyToHost(pinned, p, 64, s) },
		"CopyOnDevice": func() error { return c.CopyOnDevice(p, p+2048, 64, s) },
		"Set8":         func() error { return c.Set8(p, 1, 64, s) },
		"Set32":        func() error { return c.Set32(p, 1, 64, s) },
		"Record":       func() error { return e.Record(s) },
		"Wait":         func() error { return s.Wait(e) },
		"Query":        func() error { _, err := e.Query(); return err },
		"Synchronize":  func() error { return s.Synchronize() },
		"Capturing":    func() error { _, err := s.Capturing(); return err },
		"MemInfo":      func() error { _, _, err := c.MemInfo(); return err },
	} {
		if n := testing.AllocsPerRun(50, func() {
			if err := call(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}); n != 0 {
			t.Errorf("%s allocates %v times a call", name, n)
		}
	}
	check(t, c.FreeHost(pinned))
	check(t, c.Free(p))
	check(t, e.Destroy())
	check(t, s.Destroy())
}

func TestFailedCallsSayWhatFailed(t *testing.T) {
	c := newContext(t, 0)
	s := newStream(t, c)
	f := function(t, c, "fill")

	_, err := c.Alloc(1 << 60)
	isError(t, err, cuda.ErrOutOfMemory, "cuMemAlloc_v2")
	if !errors.Is(err, cuda.ErrOutOfMemory) || errors.Is(err, cuda.ErrInvalidValue) {
		t.Error("errors.Is does not tell the codes apart")
	}
	if !strings.Contains(err.Error(), "cuMemAlloc_v2: CUDA_ERROR_OUT_OF_MEMORY: ") {
		t.Errorf("the error lacks the driver's words: %v", err)
	}

	_, err = c.LoadModule([]byte("neither a cubin nor PTX"))
	isError(t, err, cuda.ErrInvalidImage, "cuModuleLoadDataEx")
	if !strings.Contains(err.Error(), "not an image") {
		t.Errorf("the error lacks the log: %v", err)
	}
	m := value(c.LoadModule(cubin(t)))(t)
	_, err = m.Function("absent")
	isError(t, err, cuda.ErrNotFound, "cuModuleGetFunction")
	if !strings.Contains(err.Error(), "absent") {
		t.Errorf("the error does not name the function: %v", err)
	}
	check(t, m.Unload())

	isError(t, f.Launch([3]uint32{1, 1, 1}, [3]uint32{2048, 1, 1}, 0, s, unsafe.Pointer(&kernelArgs{}), 16),
		cuda.ErrInvalidValue, "cuLaunchKernel")
	p := value(c.Alloc(64))(t)
	check(t, c.Free(p))
	if err := c.Free(p); err == nil {
		t.Error("memory was freed twice")
	}
}

// A thread keeps the context that some goroutine bound to it, so that this needs a process that has bound none.
func TestCallsNeedABoundContext(t *testing.T) {
	if !inChild(t) {
		return
	}
	_, err := unbound(t, 0).Alloc(64)
	isError(t, err, cuda.ErrInvalidContext, "cuMemAlloc_v2")
}

func TestALostDeviceStaysLost(t *testing.T) {
	c := newContext(t, 0)
	defer fakecuda.Reset()
	s := value(c.NewStream(0))(t)
	f := function(t, c, "fill")
	p := value(c.Alloc(64))(t)
	fakecuda.Fail("kernel", 1, int(cuda.ErrIllegalAddress))
	check(t, launch(f, s, &kernelArgs{p, 1, 16})) // it fails later
	err := s.Synchronize()
	isError(t, err, cuda.ErrIllegalAddress, "cuStreamSynchronize")
	if !cuda.ErrIllegalAddress.Lost() || cuda.ErrOutOfMemory.Lost() {
		t.Error("Lost does not tell an illegal address from lack of memory")
	}
	if _, err := c.Alloc(64); !errors.Is(err, cuda.ErrIllegalAddress) {
		t.Errorf("a later call returned %v", err)
	}
	fakecuda.Reset()
	check(t, c.Free(p))
	check(t, s.Destroy())
}
