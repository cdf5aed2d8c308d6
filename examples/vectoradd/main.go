// Command vectoradd adds two vectors on the first GPU: package cuda on its own, from CUDA C++ to the sum.
//
//	go run ./examples/vectoradd
package main

import (
	"fmt"
	"log"
	"unsafe"

	"github.com/descent-ml/descent/cuda"
	"github.com/descent-ml/descent/cuda/nvrtc"
)

const source = `extern "C" __global__ void add(float *out, const float *x, const float *y, long long n) {
	long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
	if (i < n) out[i] = x[i] + y[i];
}`

func main() {
	const n, bytes = 1000, 1000 * 4
	x, y, sum := make([]float32, n), make([]float32, n), make([]float32, n)
	for i := range x {
		x[i], y[i] = float32(i), float32(2*i)
	}

	driver := try(cuda.Open())
	device := try(driver.Devices())[0]
	context := try(device.Primary())
	must(context.Bind()) // CUDA's current context belongs to a thread
	defer context.Unbind()

	major, minor := device.Capability()
	compiler := try(nvrtc.Open())
	cubin, _, err := compiler.Compile(source, "add.cu", nil, []string{fmt.Sprintf("--gpu-architecture=sm_%d%d", major, minor)})
	must(err)
	add := try(try(context.LoadModule(cubin)).Function("add"))

	stream := try(context.NewStream(0))
	args := struct { // the kernel's parameters, as C lays them out
		out, x, y cuda.DevicePtr
		n         int64
	}{try(context.Alloc(bytes)), try(context.Alloc(bytes)), try(context.Alloc(bytes)), n}
	must(context.CopyToDevice(args.x, unsafe.Pointer(&x[0]), bytes, stream))
	must(context.CopyToDevice(args.y, unsafe.Pointer(&y[0]), bytes, stream))
	must(add.Launch([3]uint32{(n + 255) / 256, 1, 1}, [3]uint32{256, 1, 1}, 0, stream, unsafe.Pointer(&args), unsafe.Sizeof(args)))
	must(context.CopyToHost(unsafe.Pointer(&sum[0]), args.out, bytes, stream))
	must(stream.Synchronize())

	fmt.Printf("%s: %g + %g = %g\n", device.Name(), x[n-1], y[n-1], sum[n-1])
}

func try[T any](v T, err error) T {
	must(err)
	return v
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
