package cuda

import (
	"errors"
	"strings"
	"testing"

	"github.com/descent-ml/descent/backend"
	_ "github.com/descent-ml/descent/backend/cpu"
	cu "github.com/descent-ml/descent/cuda"
	"github.com/descent-ml/descent/internal/fakecuda"
)

func TestALostDeviceSaysSoFromThenOn(t *testing.T) {
	d := testDevice(t, Options{})
	x := d.floats(t, 1, 2)
	must(t, d.add(x, 1))
	must(t, d.Sync())
	fakecuda.Fail("kernel", 1, int(cu.ErrIllegalAddress))
	must(t, d.add(x, 1)) // nobody knows yet
	first := d.Sync()
	if !errors.Is(first, cu.ErrIllegalAddress) || !strings.Contains(first.Error(), "cuda:0") || !strings.Contains(first.Error(), "lost") {
		t.Fatalf("Sync after a kernel that crashed: %v", first)
	}
	for name, call := range map[string]func() error{
		"Alloc":       func() error { _, err := d.Alloc(4); return err },
		"large Alloc": func() error { _, err := d.Alloc(500 << 20); return err },
		"Upload":      func() error { return d.Upload(x, make([]byte, 4)) },
		"Download":    func() error { return d.Download(make([]byte, 4), x) },
		"Sync":        d.Sync,
		"a launch":    func() error { return d.add(x, 1) },
		"Capture":     func() error { _, err := d.Capture(func() error { return nil }); return err },
	} {
		if err := call(); err == nil || err.Error() != first.Error() {
			t.Errorf("%s of a lost device: %v, want %v", name, err, first)
		}
	}
	d.EmptyCache()
	x.Free()
	if s := d.MemoryStats(); s.Live != 0 {
		t.Errorf("%d bytes are live after all was freed", s.Live)
	}
	// The program goes on with the CPU.
	cpu, err := backend.Open("cpu")
	must(t, err)
	b, err := cpu.Alloc(4)
	must(t, err)
	must(t, cpu.Upload(b, make([]byte, 4)))
	b.Free()
}

func TestABlockingDeviceNamesTheOp(t *testing.T) {
	d := testDevice(t, Options{Blocking: true})
	x := d.floats(t, 1)
	defer x.Free()
	must(t, d.add(x, 1))
	fakecuda.Fail("kernel", 1, int(cu.ErrIllegalAddress))
	if err := d.add(x, 1); err == nil || !strings.HasPrefix(err.Error(), "cuda:0: Test: ") {
		t.Errorf("a kernel that crashed: %v", err)
	}
}

func TestAnErrorOnceIsNoLoss(t *testing.T) {
	d := testDevice(t, Options{})
	x := d.floats(t, 1)
	defer x.Free()
	must(t, d.add(x, 1))
	for call, f := range map[string]func() error{
		"cuLaunchKernel":       func() error { return d.add(x, 1) },
		"cuMemcpyHtoDAsync_v2": func() error { return d.Upload(x, make([]byte, 4)) },
		"cuMemcpyDtoHAsync_v2": func() error { return d.Download(make([]byte, 4), x) },
		"cuEventRecord":        d.Sync,
		"cuCtxSetCurrent":      d.Sync,
		"cuStreamBeginCapture_v2": func() error {
			_, err := d.Capture(func() error { return nil })
			return err
		},
	} {
		fakecuda.Fail(call, 1, int(cu.ErrInvalidValue))
		if err := f(); !errors.Is(err, cu.ErrInvalidValue) || !strings.HasPrefix(err.Error(), "cuda:0: ") {
			t.Errorf("%s fails: %v", call, err)
		}
		must(t, d.Sync())
	}
	must(t, d.Upload(x, bytesOf([]float32{5})))
	must(t, d.add(x, 1))
	if got := d.values(t, x); got[0] != 6 {
		t.Errorf("5 and 1 are %v", got)
	}
}

// TestOpeningFailsWhole has each call of the driver fail that opening a device makes.
func TestOpeningFailsWhole(t *testing.T) {
	fakecuda.Libraries(t)
	must(t, func() error { // what the driver does once for the process
		d, err := New(0, Options{})
		if err == nil {
			err = d.Close()
		}
		return err
	}())
	before := fakecuda.Stats().Live
	for _, call := range []string{"cuStreamCreateWithPriority", "cuEventCreate", "cuMemAlloc_v2", "cuMemsetD8Async", "cuDeviceGetAttribute", "cuCtxSetCurrent"} {
		for n := 1; n <= 3; n += 2 {
			fakecuda.Fail(call, n, int(cu.ErrOutOfMemory))
			if d, err := New(0, Options{}); err == nil {
				if n == 1 {
					t.Errorf("%s fails and the device opens", call)
				}
				d.Close()
			} else if !errors.Is(err, cu.ErrOutOfMemory) {
				t.Errorf("%s fails: %v", call, err)
			}
			fakecuda.Reset()
			if after := fakecuda.Stats().Live; after != before {
				t.Errorf("%s fails and leaves %+v, before %+v", call, after, before)
			}
		}
	}
}

func TestThereIsNoDeviceOfThatNumber(t *testing.T) {
	fakecuda.Libraries(t)
	for _, n := range []int{-1, 1, 99} {
		if _, err := New(n, Options{}); err == nil || !strings.Contains(err.Error(), "CUDA shows 1") {
			t.Errorf("device %d: %v", n, err)
		}
	}
	if _, err := backend.Open("cuda:7"); err == nil || !strings.Contains(err.Error(), `"cuda:7"`) {
		t.Errorf("cuda:7: %v", err)
	}
}

func TestAClosedDeviceSaysSo(t *testing.T) {
	d := testDevice(t, Options{})
	x := d.floats(t, 1)
	must(t, d.Close())
	must(t, d.Close())
	if _, err := d.Alloc(4); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("Alloc: %v", err)
	}
	if err := d.Sync(); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("Sync: %v", err)
	}
	x.Free()
}
