package cuda

import (
	"math"
	"testing"
	"unsafe"

	"github.com/descent-ml/descent/internal/fakecuda"
)

// testDevice opens a device on the fake libraries, and closes it when the test
// ends: whatever it still has of the driver then is a failure.
func testDevice(t testing.TB, o Options) *Device {
	t.Helper()
	fakecuda.Libraries(t)
	fakecuda.Reset()
	before := fakecuda.Stats().Live
	if o.CacheDir == "" {
		o.CacheDir = t.TempDir()
	}
	d, err := New(0, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		fakecuda.Reset()
		if err := d.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if after := fakecuda.Stats().Live; after != before {
			t.Errorf("a closed device leaves behind %+v; before it was opened %+v", after, before)
		}
	})
	return d
}

// countOnly has the fake driver count the work of the devices that are opened next.
func countOnly(t testing.TB) {
	fakecuda.Libraries(t)
	fakecuda.Mode(fakecuda.CountOnly)
	t.Cleanup(func() { fakecuda.Mode(fakecuda.Execute) })
}

func must(t testing.TB, err error) {
	if err != nil {
		t.Helper()
		t.Fatal(err)
	}
}

// The kernel of these tests adds to an array, and calls negative elements an index.

func init() {
	headers()["test.cu"] = `
#include "common.cuh"
struct TestArgs {
    f32 *x;
    i64 n;
    f32 add;
    u32 op;
    ErrorWord *error;
};
KERNEL(TestArgs) {
    for (i64 i = blockIdx.x * i64(blockDim.x) + threadIdx.x; i < args.n; i += i64(gridDim.x) * blockDim.x) {
        if (args.x[i] < 0) report(args.error, INDEX_OUT_OF_RANGE, args.op, i, args.n);
        args.x[i] += args.add;
    }
}`
	catalogue = append(catalogue, func(yield func(spec, uintptr) bool) {
		_ = yield(testSpec, unsafe.Sizeof(testArgs{})) && yield(brokenSpec, unsafe.Sizeof(testArgs{}))
	})
	headers()["broken.cu"] = "#include \"common.cuh\"\nKERNEL(Nothing) {}\n"
}

var (
	testSpec   = spec{file: "test.cu", op: "Test"}
	brokenSpec = spec{file: "broken.cu", op: "Broken"}
	testID     = faultID("Test")
)

type testArgs struct {
	x     uint64
	n     int64
	add   float32
	op    uint32
	error uint64
}

func (d *Device) add(b *buffer, y float32) error {
	args := testArgs{b.use(), int64(b.bytes / 4), y, testID, d.errorWord()}
	return d.launch(testSpec, d.grid(b.bytes/4, 256), 256, 0, unsafe.Pointer(&args), unsafe.Sizeof(args))
}

// floats allocates an array.
func (d *Device) floats(t testing.TB, values ...float32) *buffer {
	t.Helper()
	b, err := d.Alloc(4 * len(values))
	must(t, err)
	must(t, d.Upload(b, bytesOf(values)))
	return b.(*buffer)
}

func bytesOf(values []float32) []byte {
	if len(values) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&values[0])), 4*len(values))
}

// values downloads an array.
func (d *Device) values(t testing.TB, b *buffer) []float32 {
	t.Helper()
	out := make([]float32, b.bytes/4)
	must(t, d.Download(bytesOf(out), b))
	return out
}

func ramp(n int, start float32) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = start + float32(i%(1<<20))
	}
	return out
}

func same(a, b []float32) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) {
			return false
		}
	}
	return true
}
