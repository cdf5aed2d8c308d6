package cuda_test

import (
	"fmt"
	"sync"
	"testing"
	"unsafe"

	"github.com/descent-ml/descent/cuda"
	"github.com/descent-ml/descent/cuda/nvrtc"
	"github.com/descent-ml/descent/internal/fakecuda"
)

// Kernels for the fake GPU. scale works in place, so that a run too many or too few shows.
const kernels = `
extern "C" __global__ void fill(float *out, float value, int n) {
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i < n) out[i] = value;
}
extern "C" __global__ void scale(float *out, float factor, int n) {
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i < n) out[i] *= factor;
}`

// kernelArgs are the parameters of both kernels.
type kernelArgs struct {
	out   cuda.DevicePtr
	value float32
	n     int32
}

var twoDevices sync.Once

// newContext binds the context of a fake device until the test ends.
func newContext(t testing.TB, ordinal int) *cuda.Context {
	t.Helper()
	c := unbound(t, ordinal)
	if err := c.Bind(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Unbind)
	return c
}

func unbound(t testing.TB, ordinal int) *cuda.Context {
	t.Helper()
	fakecuda.Libraries(t)
	twoDevices.Do(func() { fakecuda.Devices(2, 9, 0) })
	driver := value(cuda.Open())(t)
	return value(value(driver.Devices())(t)[ordinal].Primary())(t)
}

// value returns a function that returns v, or ends the test if there is an error.
func value[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newStream(t testing.TB, c *cuda.Context) cuda.Stream {
	t.Helper()
	s := value(c.NewStream(0))(t)
	t.Cleanup(func() { s.Destroy() })
	return s
}

func alloc(t testing.TB, c *cuda.Context, n uint64) cuda.DevicePtr {
	t.Helper()
	p := value(c.Alloc(n))(t)
	t.Cleanup(func() { c.Free(p) })
	return p
}

func cubin(t testing.TB) []byte {
	t.Helper()
	compiler := value(nvrtc.Open())(t)
	image, log, err := compiler.Compile(kernels, "kernels.cu", nil, []string{"--gpu-architecture=sm_90"})
	if err != nil || log != "" {
		t.Fatalf("%v\n%s", err, log)
	}
	return image
}

func function(t testing.TB, c *cuda.Context, name string) cuda.Function {
	t.Helper()
	m := value(c.LoadModule(cubin(t)))(t)
	t.Cleanup(func() { m.Unload() })
	return value(m.Function(name))(t)
}

// launch runs fill or scale over n floats.
func launch(f cuda.Function, s cuda.Stream, args *kernelArgs) error {
	return f.Launch([3]uint32{uint32(args.n+127) / 128, 1, 1}, [3]uint32{128, 1, 1}, 0, s, unsafe.Pointer(args), unsafe.Sizeof(*args))
}

// floats reads n floats once the stream is done.
func floats(t testing.TB, c *cuda.Context, s cuda.Stream, p cuda.DevicePtr, n int) []float32 {
	t.Helper()
	out := make([]float32, n)
	check(t, c.CopyToHost(unsafe.Pointer(&out[0]), p, uint64(4*n), s))
	check(t, s.Synchronize())
	return out
}

func wantAll(t testing.TB, got []float32, want float32) {
	t.Helper()
	for i, v := range got {
		if v != want {
			t.Fatalf("element %d of %d is %v, want %v", i, len(got), v, want)
		}
	}
}

func isError(t testing.TB, err error, code cuda.Result, call string) {
	t.Helper()
	e, ok := err.(*cuda.Error)
	if !ok || e.Code != code || e.Call != call || e.Detail == "" {
		t.Errorf("error %v, want %s to fail with %d", fmt.Sprint(err), call, code)
	}
}
