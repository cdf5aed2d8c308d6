package cuda_test

import (
	"fmt"
	"log"
	"unsafe"

	"github.com/descent-ml/descent/cuda"
	"github.com/descent-ml/descent/cuda/nvrtc"
)

// Vector addition on the first GPU. examples/vectoradd is the same as a program.
func ExampleDriver() {
	const n, bytes = 1000, 1000 * 4
	x, y, sum := make([]float32, n), make([]float32, n), make([]float32, n)
	x[n-1], y[n-1] = 1, 2
	must := func(err error) {
		if err != nil {
			log.Fatal(err)
		}
	}

	driver, err := cuda.Open()
	must(err)
	devices, err := driver.Devices()
	must(err)
	context, err := devices[0].Primary()
	must(err)
	must(context.Bind())
	defer context.Unbind()

	compiler, err := nvrtc.Open()
	must(err)
	major, minor := devices[0].Capability()
	cubin, _, err := compiler.Compile(`extern "C" __global__ void add(float *out, const float *x, const float *y, long long n) {
		long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
		if (i < n) out[i] = x[i] + y[i];
	}`, "add.cu", nil, []string{fmt.Sprintf("--gpu-architecture=sm_%d%d", major, minor)})
	must(err)
	module, err := context.LoadModule(cubin)
	must(err)
	add, err := module.Function("add")
	must(err)

	stream, err := context.NewStream(0)
	must(err)
	memory, err := context.Alloc(3 * bytes)
	must(err)
	args := struct { // the kernel's parameters, as C lays them out
		out, x, y cuda.DevicePtr
		n         int64
	}{memory, memory + bytes, memory + 2*bytes, n}
	must(context.CopyToDevice(args.x, unsafe.Pointer(&x[0]), bytes, stream))
	must(context.CopyToDevice(args.y, unsafe.Pointer(&y[0]), bytes, stream))
	must(add.Launch([3]uint32{4, 1, 1}, [3]uint32{256, 1, 1}, 0, stream, unsafe.Pointer(&args), unsafe.Sizeof(args)))
	must(context.CopyToHost(unsafe.Pointer(&sum[0]), args.out, bytes, stream))
	must(stream.Synchronize())
	fmt.Println(sum[n-1])
}
