// Package cpu is the device that every program has: kernels in Go and
// assembly, run on a pool of persistent workers. Importing it registers "cpu".
//
// Adding an elementwise op is one line in the table of unary.go, binary.go or
// ternary.go. A line gives the function in up to three computing types: float64
// serves every float type that has no line of its own, float32 serves float32
// and, converted in blocks, the half types; int64 serves all integers and Bool,
// as its results agree with theirs modulo the width. Results do not depend on
// the number of threads.
package cpu

import (
	"fmt"
	"os"
	"sync"
	"unsafe"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cpu/internal/parallel"
)

// Options configure a device; the zero value is what Open("cpu") uses.
type Options struct {
	// MemoryLimit is the most bytes the device holds, its cache included; 0
	// means the memory of the machine.
	MemoryLimit int64
	// Threads is the number of goroutines that kernels use; 0 leaves it as it
	// is, at first GOMAXPROCS. It holds for all cpu devices of the process.
	Threads int
	// Poison fills memory with NaN bytes when it is handed out and when it is
	// freed, so that a read of uninitialised or freed memory shows. The
	// environment variable DESCENT_POISON=1 sets it for every device.
	Poison bool
}

// Device is the CPU. Kernels have run when their method returns. It is safe for
// concurrent use.
type Device struct {
	pool    pool
	capture sync.Mutex // one at a time
}

var _ interface {
	backend.Device
	backend.MemoryDevice
	backend.ConvDevice
	backend.PoolDevice
	backend.NormDevice
	backend.SoftmaxDevice
	backend.OptimizerDevice
	backend.CrossEntropyDevice
	backend.AttentionDevice
	backend.GraphDevice
} = (*Device)(nil)

func init() {
	backend.Register("cpu", func(index int) (backend.Device, error) {
		if index != 0 {
			return nil, fmt.Errorf("there is one cpu device, number 0")
		}
		return New(Options{}), nil
	})
}

// New returns a device with a memory pool of its own.
func New(o Options) *Device {
	d := &Device{}
	d.pool.limit = o.MemoryLimit
	if d.pool.limit <= 0 {
		d.pool.limit = machineMemory()
	}
	d.pool.poison = o.Poison || os.Getenv("DESCENT_POISON") == "1"
	if o.Threads > 0 {
		parallel.SetThreads(o.Threads)
	}
	return d
}

// String returns "cpu".
func (d *Device) String() string { return "cpu" }

// Alloc returns 64-byte aligned memory.
func (d *Device) Alloc(bytes int) (backend.Buffer, error) {
	alloc := d.pool.alloc
	if g := d.capturing(); g != nil {
		alloc = g.alloc
	}
	b, err := alloc(bytes)
	if err != nil {
		return nil, err
	}
	return b, nil
}

// Upload copies src to the start of dst.
func (d *Device) Upload(dst backend.Buffer, src []byte) error {
	if len(src) > dst.Bytes() {
		return fmt.Errorf("cpu: upload of %d bytes to a buffer of %d", len(src), dst.Bytes())
	}
	b := dst.(*buffer)
	if g := d.capturing(); g != nil && b.graph == g {
		b.kept = true // the graph must not use it for something else
	}
	copy(b.memory(), src)
	return nil
}

// Download copies the start of src to dst.
func (d *Device) Download(dst []byte, src backend.Buffer) error {
	if d.capturing() != nil {
		return errWaits
	}
	if len(dst) > src.Bytes() {
		return fmt.Errorf("cpu: download of %d bytes from a buffer of %d", len(dst), src.Bytes())
	}
	copy(dst, src.(*buffer).memory())
	return nil
}

// Sync returns at once: no kernel outlives its call.
func (d *Device) Sync() error {
	if d.capturing() != nil {
		return errWaits
	}
	return nil
}

// MemoryStats counts memory in the pool's size classes.
func (d *Device) MemoryStats() backend.MemoryStats { return d.pool.stats() }

// ResetPeak sets the peak to what is live now.
func (d *Device) ResetPeak() { d.pool.resetPeak() }

// EmptyCache gives the memory that is kept for reuse back to the system.
func (d *Device) EmptyCache() { d.pool.emptyCache() }

// scratch is temporary memory of n elements for a kernel. Its release must be
// called in the kernel.
func scratch[T any](d *Device, n int) ([]T, *buffer, error) {
	var t T
	b, err := d.pool.alloc(n * int(unsafe.Sizeof(t)))
	if err != nil {
		return nil, nil, err
	}
	return unsafe.Slice((*T)(b.ptr), n), b, nil
}

// scalars returns the kernel's scalars, from device memory if they stand there.
func scalars(p *backend.Params) backend.Scalars {
	if p.Slot == nil {
		return p.Scalars
	}
	return *(*backend.Scalars)(unsafe.Add(p.Slot.(*buffer).ptr, p.SlotIndex*backend.ScalarsBytes))
}

func unsupported(op any, dtype backend.DType) error {
	return fmt.Errorf("cpu: %v of %v: %w", op, dtype, backend.ErrUnsupported)
}
