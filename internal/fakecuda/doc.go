// Package fakecuda builds fake NVIDIA libraries and steers them, for tests on machines without a GPU: what ships (package
// cuda, backend/cuda, their kernels) runs as it is against libcuda.so.1, libnvrtc.so.13, libcublasLt.so.13, libcudnn.so.9
// and libnccl.so.2 in C++ (src), made by g++ into the user's cache folder.
//
//   - The fake NVRTC compiles a kernel's CUDA C++ by g++ with shim.h in front, into a small library; its cubin names it.
//   - The fake driver runs a kernel's threads as fibres, which switch stacks where they wait for each other. Blocks, warps
//     and lanes go in a random order, shared memory is NaN at the start of a block, a barrier or shuffle that not all
//     threads come to is an error, and so are accesses outside arrays, misaligned ones, and any outside of device memory.
//   - Device memory is host memory between pages that may not be touched. It is filled with NaN when allocated and
//     cannot be touched once freed.
//   - Work is queued and runs when something waits for it or asks about it. Memory that is not pinned is copied when the
//     real driver would copy it.
//   - Misuse gives the real driver's error code and a line on stderr: no current context on the thread, handles that are
//     not live, ranges outside one allocation, wrong parameter sizes, calls not allowed while capturing.
//   - In count-only mode nothing is executed and device memory has no backing, but every call is checked and counted.
//
// Blocks run one after the other: a kernel in which one block waits for another hangs. A program's own allocator hides from
// the driver where its blocks end; what must be checked to the byte needs an allocation of its own for each array.
//
// Environment variables: FAKECUDA_CXX, the compiler (g++); FAKECUDA_SEED, of the order of threads; FAKECUDA_DEVICES and
// FAKECUDA_MEMORY, their number and bytes; FAKECUDA_CACHE, the folder of compiled kernels; FAKECUDA_VERBOSE, to see what
// [Precompile] could not compile.
//
// All functions are safe for concurrent use. Other systems than linux/amd64 have no fake: Libraries skips there.
package fakecuda

// Execution is what the fake driver does with work.
type Execution int

const (
	Execute   Execution = iota // queue it, and run it when something waits for it
	Eager                      // run it at once
	CountOnly                  // count it
)

// Counts are made since [Reset], of all fake libraries, and what is live now.
type Counts struct {
	Calls    map[string]int64 // by function
	Launches map[string]int64 // kernels enqueued or captured, by the name of the program, or of the entry point if that is not run

	HostToDevice, DeviceToHost, DeviceToDevice, Set int64 // bytes

	Copies, Sets int64 // calls of copies and fills
	Syncs        int64 // calls that had the host wait for the device
	Replayed     int64 // kernels run by graph launches
	Peak         int64 // bytes of device memory allocated at once, since the process began

	Live struct {
		Allocations, Bytes, Pinned, Streams, Events, Graphs, Modules int64 // Pinned in bytes
	}
}
