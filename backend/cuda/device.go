package cuda

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/descent-ml/descent/backend"
	cu "github.com/descent-ml/descent/cuda"
)

// oldest is the first architecture that CUDA 13's compiler knows: Turing.
const oldest = 75

// Device is one GPU. It is safe for concurrent use: each goroutine's calls run in
// their order.
type Device struct {
	name    string
	options Options
	gpu     *cu.Device
	ctx     *cu.Context
	arch    int // 90 for sm_90

	multiprocessors           int
	threadsPerMultiprocessor  int
	sharedPerBlock            int // bytes, the most a launch may ask for
	compute, copies, captures cu.Stream

	mem      memory
	kernels  kernels
	staging  staging
	landings landings
	faults   faults

	lost        atomic.Pointer[error]   // what every call answers from now on
	capture     atomic.Pointer[capture] // the one in progress
	captureLock sync.Mutex
	closing     sync.Once

	matmulState
	convState
}

var _ interface {
	backend.Device
	backend.MemoryDevice
	backend.GraphDevice
	backend.ConvDevice
	backend.PoolDevice
	backend.NormDevice
	backend.SoftmaxDevice
	backend.CrossEntropyDevice
	backend.OptimizerDevice
	backend.AttentionDevice
} = (*Device)(nil)

func init() {
	backend.Register("cuda", func(index int) (backend.Device, error) { return New(index, Options{}) })
}

// New opens GPU number index with memory and streams of its own. The error says
// what is missing: the driver, a GPU of that number, one of compute capability 7.5
// or more. Libraries are looked for when an op first needs them.
func New(index int, o Options) (*Device, error) {
	driver, err := cu.Open()
	if err != nil {
		return nil, err
	}
	gpus, err := driver.Devices()
	if err != nil {
		return nil, err
	}
	if index < 0 || index >= len(gpus) {
		names := make([]string, len(gpus))
		for i, g := range gpus {
			names[i] = fmt.Sprintf("%d: %s", i, g.Name())
		}
		return nil, fmt.Errorf("there is no GPU of number %d; CUDA shows %d (%s)", index, len(gpus), strings.Join(names, ", "))
	}
	d := &Device{name: fmt.Sprintf("cuda:%d", index), options: o, gpu: gpus[index]}
	major, minor := d.gpu.Capability()
	if d.arch = 10*major + minor; d.arch < oldest {
		return nil, fmt.Errorf("%s has compute capability %d.%d; %d.%d is the least that is supported", d.gpu.Name(), major, minor, oldest/10, oldest%10)
	}
	d.options.Blocking = o.Blocking || os.Getenv("DESCENT_CUDA_BLOCKING") == "1"
	if d.ctx, err = d.gpu.Primary(); err != nil {
		return nil, err
	}
	if err := d.ctx.Bind(); err != nil {
		return nil, err
	}
	defer d.ctx.Unbind()
	if err := d.open(); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// open makes what a device has from its beginning.
func (d *Device) open() error {
	for attribute, to := range map[cu.Attribute]*int{
		cu.MultiprocessorCount:         &d.multiprocessors,
		cu.MaxThreadsPerMultiprocessor: &d.threadsPerMultiprocessor,
		cu.MaxSharedPerBlockOptIn:      &d.sharedPerBlock,
	} {
		n, err := d.gpu.Attribute(attribute)
		if err != nil {
			return err
		}
		*to = n
	}
	var err error
	for _, s := range []*cu.Stream{&d.compute, &d.copies, &d.captures} {
		if *s, err = d.ctx.NewStream(0); err != nil {
			return err
		}
	}
	d.mem.init(d)
	if err := d.faults.open(d); err != nil {
		return err
	}
	return d.staging.open(d)
}

// Close waits for the device and gives back all memory that it has of it. What is
// asked of it afterwards is an error; its buffers may still be freed.
func (d *Device) Close() (err error) {
	d.closing.Do(func() {
		closed := errors.New(d.name + " is closed")
		d.lost.Store(&closed)
		if err = d.ctx.Bind(); err == nil {
			defer d.ctx.Unbind()
			err = d.close()
		}
	})
	return err
}

func (d *Device) close() error {
	errs := []error{d.settle(), d.closeMatMul(), d.closeConv(), d.mem.close(), d.kernels.close(), d.staging.close(d), d.landings.close(d), d.faults.close(d)}
	for _, s := range []cu.Stream{d.compute, d.copies, d.captures} {
		if s.Handle() != 0 {
			errs = append(errs, s.Destroy())
		}
	}
	return errors.Join(errs...)
}

// settle waits for the streams. Unlike a wait for the context it may be done while
// a capture is in progress, but not on its thread.
func (d *Device) settle() error {
	for _, s := range []cu.Stream{d.copies, d.compute} {
		if s.Handle() != 0 {
			if err := s.Synchronize(); err != nil {
				return err
			}
		}
	}
	return nil
}

// String returns "cuda:0" and so on.
func (d *Device) String() string { return d.name }

// stream is where the calling goroutine's work goes.
func (d *Device) stream() cu.Stream {
	if c := d.capturing(); c != nil {
		return d.captures
	}
	return d.compute
}

// bound runs f with the context bound to its thread: another one than the caller's
// if that one captures, on which CUDA forbids whatever waits or allocates.
func (d *Device) bound(f func() error) (err error) {
	run := func() {
		if err = d.ctx.Bind(); err == nil {
			defer d.ctx.Unbind()
			err = f()
		}
	}
	if d.capturing() == nil {
		run()
		return err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		run()
	}()
	<-done
	return err
}

// relaxed lets the caller's thread, if it captures, make calls that CUDA forbids it
// otherwise, until restore is called: libraries load kernels when they first run.
func (d *Device) relaxed() (restore func()) {
	if d.capturing() == nil {
		return func() {}
	}
	old, err := d.ctx.ExchangeCaptureMode(cu.CaptureRelaxed)
	if err != nil {
		return func() {}
	}
	return func() { d.ctx.ExchangeCaptureMode(old) }
}
