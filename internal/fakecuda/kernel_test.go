//go:build linux && amd64

package fakecuda_test

import (
	"testing"

	"github.com/descent-ml/descent/cuda"
)

const vectorAdd = `
extern "C" __global__ void add(float *out, const float *x, const float *y, int n) {
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i < n) out[i] = x[i] + y[i];
}`

func TestPackedParametersReachAKernel(t *testing.T) {
	r := newRig(t)
	f := r.kernel(vectorAdd, "add")
	x, y := make([]float32, 1000), make([]float32, 1000)
	for i := range x {
		x[i], y[i] = float32(i), float32(i*i)
	}
	out := r.alloc(4000)
	r.must(run(r, f, 4, 256, 0, struct {
		out, x, y cuda.DevicePtr
		n         int32
	}{out, upload(r, x), upload(r, y), 1000}))
	for i, v := range download[float32](r, out, 1000) {
		if v != x[i]+y[i] {
			t.Fatalf("out[%d] = %v, want %v", i, v, x[i]+y[i])
		}
	}
}
