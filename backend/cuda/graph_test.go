package cuda

import (
	"errors"
	"strings"
	"testing"

	"github.com/descent-ml/descent/backend"
	cu "github.com/descent-ml/descent/cuda"
	"github.com/descent-ml/descent/internal/fakecuda"
)

func TestACaptureGrowsItsPoolAndCompiles(t *testing.T) {
	d := testDevice(t, Options{})
	x := d.floats(t, 1, 2, 3)
	defer x.Free()
	g, err := d.Capture(func() error {
		tmp, err := d.Alloc(3 << 20) // the driver must be asked, on a thread that captures
		if err != nil {
			return err
		}
		defer tmp.Free()
		if err := d.add(tmp.(*buffer), 1); err != nil { // which compiles and loads
			return err
		}
		return d.add(x, 10)
	})
	must(t, err)
	defer g.Free()
	if got := d.values(t, x); !same(got, []float32{11, 12, 13}) {
		t.Errorf("the capture took effect as %v", got)
	}
	before := fakecuda.Stats()
	for range 3 {
		must(t, g.Launch())
	}
	after := fakecuda.Stats()
	if n := after.Syncs - before.Syncs; n != 0 {
		t.Errorf("3 launches of a graph wait %d times", n)
	}
	if n := after.Calls["cuLaunchKernel"] - before.Calls["cuLaunchKernel"]; n != 0 {
		t.Errorf("3 launches of a graph launch %d kernels one by one", n)
	}
	if got := d.values(t, x); !same(got, []float32{41, 42, 43}) {
		t.Errorf("3 launches later: %v", got)
	}
}

func TestAFailedCaptureLeavesNothing(t *testing.T) {
	d := testDevice(t, Options{})
	x := d.floats(t, 1)
	defer x.Free()
	must(t, d.add(x, 0))
	live := d.MemoryStats().Live
	own := errors.New("own")
	var held backend.Buffer
	for name, c := range map[string]struct {
		fn   func() error
		want error
	}{
		"the function's error": {func() error { return own }, own},
		"a launch that fails": {func() error {
			fakecuda.Fail("cuLaunchKernel", 1, 1)
			return d.add(x, 1)
		}, cu.ErrInvalidValue},
		"an instantiation that fails": {func() error {
			fakecuda.Fail("cuGraphInstantiateWithFlags", 1, 2)
			return d.add(x, 1)
		}, cu.ErrOutOfMemory},
		"a capture that a forbidden call spoils": {func() error {
			d.captures.Synchronize()
			return nil
		}, cu.ErrCaptureInvalidated},
		"no memory": {func() error {
			for {
				if _, err := d.scratch(4 << 30); err != nil {
					return err
				}
			}
		}, backend.ErrOutOfMemory},
		"memory that outlives it": {func() (err error) {
			held, err = d.Alloc(100)
			if err == nil {
				err = own
			}
			return err
		}, own},
	} {
		g, err := d.Capture(c.fn)
		if err == nil {
			g.Free()
		}
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	held.Free()
	if name := "no memory"; d.MemoryStats().Live == live {
		t.Errorf("%s: the test's scratch memory should be live", name)
	}
	must(t, d.Sync())
	g, err := d.Capture(func() error { return d.add(x, 1) })
	must(t, err)
	g.Free()
	if got := d.values(t, x); got[0] != 2 {
		t.Errorf("after captures that failed 1 and 1 are %v", got)
	}
	if n := fakecuda.Stats().Live.Graphs; n != 0 {
		t.Errorf("%d graphs are left", n)
	}
}

func TestMemoryOfAGraph(t *testing.T) {
	d := testDevice(t, Options{})
	x := d.floats(t, 1, 2)
	defer x.Free()
	start := d.MemoryStats().Live
	var out *buffer
	g, err := d.Capture(func() error {
		b, err := d.Alloc(8)
		if err != nil {
			return err
		}
		out = b.(*buffer)
		return d.bound(func() error { // on another thread, but the stream is the capture's
			return d.ctx.CopyOnDevice(cu.DevicePtr(out.use()), cu.DevicePtr(x.use()), 8, d.captures)
		})
	})
	must(t, err)
	for range 3 { // others must not get its memory
		y := d.floats(t, 50, 50)
		if y.addr == out.addr {
			t.Fatal("memory of a graph was handed out")
		}
		y.Free()
		must(t, g.Launch())
	}
	if got := d.values(t, out); !same(got, []float32{1, 2}) {
		t.Errorf("what a graph wrote is %v", got)
	}
	d.EmptyCache()
	must(t, g.Launch())
	g.Free()
	if got := d.values(t, out); !same(got, []float32{1, 2}) { // out lives on
		t.Errorf("after the graph is freed its output is %v", got)
	}
	out.Free()
	if live := d.MemoryStats().Live; live != start {
		t.Errorf("%d bytes are live, %d before the graph", live, start)
	}
	d.mem.check(t, map[*buffer]bool{x: true})
	if err := g.Launch(); err == nil {
		t.Error("a graph that was freed can be launched")
	}
}

func TestNothingInACaptureMayWait(t *testing.T) {
	d := testDevice(t, Options{})
	x := d.floats(t, 1)
	defer x.Free()
	for name, fn := range map[string]func() error{
		"Download": func() error { return d.Download(make([]byte, 4), x) },
		"Sync":     d.Sync,
		"capture": func() error {
			_, err := d.Capture(func() error { return nil })
			return err
		},
	} {
		g, err := d.Capture(fn)
		if err == nil {
			g.Free()
			t.Errorf("%s in a capture is no error", name)
		} else if !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	g, err := d.Capture(func() error { d.EmptyCache(); return d.add(x, 1) })
	must(t, err)
	g.Free()
	if got := d.values(t, x); got[0] != 2 {
		t.Errorf("1 and 1 are %v", got)
	}
}

func TestCapturesReuseWhatIsFree(t *testing.T) {
	d := testDevice(t, Options{})
	x := d.floats(t, make([]float32, 2<<20)...)
	must(t, d.add(x, 1))
	x.Free()
	before := fakecuda.Stats().Calls["cuMemAlloc_v2"]
	for i := range 5 {
		g, err := d.Capture(func() error {
			b, err := d.Alloc(8 << 20)
			if err != nil {
				return err
			}
			defer b.Free()
			return d.add(b.(*buffer), float32(i))
		})
		must(t, err)
		must(t, g.Launch())
		g.Free()
	}
	if n := fakecuda.Stats().Calls["cuMemAlloc_v2"] - before; n != 0 {
		t.Errorf("graphs that need what is free ask the driver for memory %d times", n)
	}
	d.mem.check(t, nil)
}
