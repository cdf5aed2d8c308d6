package cuda

import (
	"sync"
	"unsafe"

	"github.com/descent-ml/descent/backend"
)

// spec names one kernel: a file of kernels/, and what its macros stand for. Its
// entry point is compiled from
//
//	#define OP GELU          // op
//	#define T f32            // t, and U and V likewise
//	#define VARIANT 0        // variant
//	#define ARGS_BYTES 48    // the size of the arguments
//	#include "unary.cu"      // file
type spec struct {
	file, op string // "unary.cu", the opcode's name
	t, u, v  backend.DType
	variant  uint8
}

// maxArgs is the most bytes of arguments that every driver takes.
const maxArgs = 4096

// argsPool holds memory that does not move while C reads it, as a stack may.
var argsPool = sync.Pool{New: func() any { return new([maxArgs]byte) }}

// launch starts a kernel on the stream of the calling goroutine, compiling it
// first if it is new. args points to the kernel's one struct of size bytes, which
// may live on the stack: it is copied. An error names k.op.
func (d *Device) launch(k spec, grid [3]uint32, threads, shared uint32, args unsafe.Pointer, size uintptr) error {
	fn, err := d.kernel(k, size, shared)
	if err != nil {
		return err
	}
	buf := argsPool.Get().(*[maxArgs]byte)
	copy(buf[:], unsafe.Slice((*byte)(args), size))
	if err = d.ctx.Bind(); err == nil {
		err = fn.Launch(grid, [3]uint32{threads, 1, 1}, shared, d.stream(), unsafe.Pointer(buf), size)
		d.ctx.Unbind()
	}
	argsPool.Put(buf)
	if err != nil || d.options.Blocking {
		return d.launched(k.op, err)
	}
	return nil
}

// grid is that of a kernel whose threads take each several of the given number
// of items, in a grid-stride loop: no more blocks than fill the device a few times.
func (d *Device) grid(items int, threads uint32) [3]uint32 {
	const waves = 4
	blocks := (uint64(items) + uint64(threads) - 1) / uint64(threads)
	resident := uint64(d.multiprocessors) * max(1, uint64(d.threadsPerMultiprocessor)/uint64(threads))
	return [3]uint32{uint32(max(1, min(blocks, resident*waves))), 1, 1}
}
