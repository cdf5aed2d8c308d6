package cuda

import "log/slog"

// Options configure a device; the zero value is what Open("cuda:0") uses.
type Options struct {
	// TF32 lets float32 matrix products and convolutions round their operands to
	// 10 bits of mantissa, which tensor cores multiply about eight times as fast.
	TF32 bool
	// Deterministic keeps to algorithms that give the same bits in every run. All
	// kernels of this package do; it rules out some of cuDNN's.
	Deterministic bool
	// Autotune times several algorithms for each new shape of a convolution or a
	// matrix product and keeps the fastest.
	Autotune bool
	// MemoryLimit is the most bytes the device holds, its cache included; 0 means
	// the memory of the GPU.
	MemoryLimit int64
	// CacheDir keeps compiled kernels; "" means descent/cubin in the user's cache
	// folder. The environment variable DESCENT_CUDA_CACHE=off keeps none.
	CacheDir string
	// Blocking waits after every kernel, so that an error names the op that made
	// it. The environment variable DESCENT_CUDA_BLOCKING=1 sets it for every device.
	Blocking bool
	// Logger tells of compilations, plans and what is done without; nil tells nothing.
	Logger *slog.Logger
}
