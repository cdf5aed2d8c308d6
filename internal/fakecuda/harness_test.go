//go:build linux && amd64

package fakecuda_test

import (
	"errors"
	"runtime"
	"sync"
	"testing"
	"unsafe"

	"github.com/descent-ml/descent/cuda"
	"github.com/descent-ml/descent/cuda/nvrtc"
	"github.com/descent-ml/descent/internal/fakecuda"
)

var opened = sync.OnceValues(func() (*cuda.Context, error) {
	driver, err := cuda.Open()
	if err != nil {
		return nil, err
	}
	devices, err := driver.Devices()
	if err != nil {
		return nil, err
	}
	return devices[0].Primary()
})

// rig is a context that is current on the test's thread, and a stream.
type rig struct {
	*testing.T
	*cuda.Context
	cuda.Stream
}

func newRig(t *testing.T) rig {
	t.Helper()
	fakecuda.Libraries(t)
	c, err := opened()
	if err != nil {
		t.Fatal(err)
	}
	fakecuda.Reset()
	before := fakecuda.Stats().Live
	if err := c.Bind(); err != nil {
		t.Fatal(err)
	}
	s, err := c.NewStream(0)
	if err != nil {
		t.Fatal(err)
	}
	r := rig{t, c, s}
	// Runs after the test's own cleanups: all that it made is gone again.
	t.Cleanup(func() {
		fakecuda.Reset()
		r.must(s.Destroy())
		c.Unbind()
		if after := fakecuda.Stats().Live; after != before {
			t.Errorf("objects left behind: %+v, before the test %+v", after, before)
		}
	})
	return r
}

func (r rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// wants fails the test unless err is that result of the driver.
func (r rig) wants(err error, want cuda.Result) {
	r.Helper()
	if !errors.Is(err, want) {
		r.Errorf("error %v, want result %d", err, want)
	}
}

func (r rig) alloc(n uint64) cuda.DevicePtr {
	r.Helper()
	p, err := r.Alloc(n)
	r.must(err)
	r.Cleanup(func() {
		fakecuda.Reset()
		if err := r.Free(p); err != nil && !errors.Is(err, cuda.ErrIllegalAddress) {
			r.Error(err)
		}
	})
	return p
}

func upload[T any](r rig, x []T) cuda.DevicePtr {
	r.Helper()
	n := uint64(len(x)) * uint64(unsafe.Sizeof(x[0]))
	p := r.alloc(n)
	r.must(r.CopyToDevice(p, unsafe.Pointer(&x[0]), n, r.Stream))
	return p
}

func download[T any](r rig, p cuda.DevicePtr, n int) []T {
	r.Helper()
	x := make([]T, n)
	r.must(r.CopyToHost(unsafe.Pointer(&x[0]), p, uint64(n)*uint64(unsafe.Sizeof(x[0])), r.Stream))
	return x
}

func pinned[T any](r rig, n int) []T {
	r.Helper()
	var z T
	p, err := r.AllocHost(uint64(n) * uint64(unsafe.Sizeof(z)))
	r.must(err)
	r.Cleanup(func() { r.must(r.FreeHost(p)) })
	return unsafe.Slice((*T)(p), n)
}

func compile(source string) ([]byte, string, error) {
	c, err := nvrtc.Open()
	if err != nil {
		return nil, "", err
	}
	return c.Compile(source, "test.cu", nil, []string{"--gpu-architecture=sm_90", "--std=c++17"})
}

// kernel compiles a source and returns its function.
func (r rig) kernel(source, name string) cuda.Function {
	r.Helper()
	image, log, err := compile(source)
	if err != nil {
		r.Fatal(err, log)
	}
	m, err := r.LoadModule(image)
	r.must(err)
	r.Cleanup(func() {
		fakecuda.Reset()
		r.must(m.Unload())
	})
	f, err := m.Function(name)
	r.must(err)
	return f
}

// launch starts a kernel with the parameters in *args.
func launch[T any](r rig, f cuda.Function, grid, block int, shared uint32, args T) error {
	a := new(T)
	*a = args
	err := f.Launch([3]uint32{uint32(grid), 1, 1}, [3]uint32{uint32(block), 1, 1}, shared, r.Stream, unsafe.Pointer(a), unsafe.Sizeof(*a))
	runtime.KeepAlive(a)
	return err
}

// run launches a kernel and waits for it.
func run[T any](r rig, f cuda.Function, grid, block int, shared uint32, args T) error {
	if err := launch(r, f, grid, block, shared, args); err != nil {
		return err
	}
	return r.Stream.Synchronize()
}
