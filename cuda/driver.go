// Package cuda binds NVIDIA's driver API: devices, streams, memory, modules, launches and graphs, from pure Go. There is no
// cgo and nothing of CUDA is needed to build; [Open] finds the driver when the program runs.
//
// Package nvrtc compiles CUDA C, and packages cublaslt, cudnn and nccl bind NVIDIA's libraries.
//
// # Threads
//
// CUDA's current context belongs to an operating system thread. [Context.Bind] ties the goroutine to its thread and makes
// the context current; everything that belongs to a context must be called between it and [Context.Unbind]. Both are
// cheap enough for every operation, and nest. Values of this package may be used by several goroutines at once, with the
// order on a stream being the order of the calls.
//
// # Errors
//
// A call that fails returns an [*Error]. Kernels and copies run later than the calls that start them, so that their
// failures show in a later call. Calls that succeed allocate nothing.
package cuda

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/descent-ml/descent/cuda/internal/dl"
)

// MinVersion is the oldest CUDA version that the driver must support, as [Driver.Version] counts.
const MinVersion = 12000

// Driver is NVIDIA's driver, libcuda.so.1.
type Driver struct {
	api     api
	lib     *dl.Lib
	version int

	mu      sync.Mutex
	devices []*Device
}

var process dl.Once[Driver]

// Open finds and initialises the driver. Every call returns the same one; a failure is not remembered.
//
// The error says what to do: a driver that is not there (it lists what was searched), one that is too old (it names the
// versions), or a machine without a GPU (errors.Is(err, ErrNoDevice)).
func Open() (*Driver, error) { return process.Get(open) }

func open() (*Driver, error) {
	lib, err := dl.Open(dl.Driver)
	if err != nil {
		return nil, err
	}
	d := &Driver{lib: lib}

	// The version is asked first: an older driver lacks the functions that the whole table needs.
	var first struct {
		version dl.Func `sym:"cuDriverGetVersion"`
	}
	if err := lib.Bind(&first); err != nil {
		return nil, err
	}
	var version int32
	if err := d.do(&first.version, dl.Ptr(&version)); err != nil {
		return nil, err
	}
	d.version = int(version)
	if d.version < MinVersion {
		return nil, lib.VersionError("for CUDA "+FormatVersion(d.version), "CUDA "+FormatVersion(MinVersion)+" or later")
	}
	if err := lib.Bind(&d.api); err != nil {
		return nil, err
	}
	if err := d.do(&d.api.init, dl.Int(0)); err != nil {
		return nil, d.explain(err)
	}
	dl.LimitMajor(d.version / 1000)
	return d, nil
}

// explain adds what a person can do about a driver that does not start.
func (d *Driver) explain(err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code {
	case ErrNoDevice:
		e.Detail += "; this machine has no NVIDIA GPU, or the program may not use it (in a container, start it with its GPUs)"
		if visible, ok := os.LookupEnv("CUDA_VISIBLE_DEVICES"); ok {
			e.Detail += fmt.Sprintf("; CUDA_VISIBLE_DEVICES is %q", visible)
		}
	case ErrStubLibrary:
		e.Detail += fmt.Sprintf("; %s is the toolkit's stub, take its folder off LD_LIBRARY_PATH", d.lib.Path)
	case ErrDriverMismatch:
		e.Detail += "; the driver was updated while its kernel module stayed: reboot, or reload the module"
	}
	return err
}

// Version returns the newest CUDA version that the driver supports, as 1000*major + 10*minor: 13000 is CUDA 13.0.
func (d *Driver) Version() int { return d.version }

// Path returns the file that the driver was loaded from.
func (d *Driver) Path() string { return d.lib.Path }

// FormatVersion writes a version as [Driver.Version] counts it: 12090 is "12.9".
func FormatVersion(version int) string { return fmt.Sprintf("%d.%d", version/1000, version%1000/10) }

// Devices returns the GPUs, in CUDA's order, of which CUDA_VISIBLE_DEVICES may show a part. The same device is always the
// same pointer.
func (d *Driver) Devices() ([]*Device, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.devices != nil {
		return d.devices, nil
	}
	var n int32
	if err := d.do(&d.api.deviceGetCount, dl.Ptr(&n)); err != nil {
		return nil, err
	}
	var devices []*Device
	for ordinal := range int(n) {
		device, err := d.device(ordinal)
		if err != nil {
			return nil, err
		}
		devices = append(devices, device)
	}
	d.devices = devices
	return devices, nil
}
