package cuda

import (
	"runtime"

	"github.com/descent-ml/descent/cuda/internal/dl"
)

// Context is a device's primary context. See the package comment about threads.
type Context struct {
	driver *Driver
	device *Device
	handle uintptr
}

// Device is the device of the context.
func (c *Context) Device() *Device { return c.device }

// Handle is the CUcontext.
func (c *Context) Handle() uintptr { return c.handle }

// Bind ties the calling goroutine to its thread and makes the context current there. Each Bind that returns nil needs an
// [Context.Unbind] by the same goroutine.
func (c *Context) Bind() error {
	runtime.LockOSThread()
	if err := c.driver.do(&c.driver.api.ctxSetCurrent, dl.Int(c.handle)); err != nil {
		runtime.UnlockOSThread()
		return err
	}
	return nil
}

// Unbind undoes one [Context.Bind]: the goroutine may be moved to another thread again.
func (c *Context) Unbind() { runtime.UnlockOSThread() }

// Synchronize waits until everything that was started in the context is done.
func (c *Context) Synchronize() error { return c.driver.do(&c.driver.api.ctxSynchronize) }

// EnablePeerAccess lets kernels in this context use the memory of a peer's. Enabling it twice is no error.
func (c *Context) EnablePeerAccess(peer *Context) error {
	fn := &c.driver.api.ctxEnablePeerAccess
	if fn.Addr == 0 {
		return c.driver.lacks(fn.Name)
	}
	if r := Result(dl.Call(fn.Addr, dl.Int(peer.handle), dl.Int(0))); r != Success && r != ErrPeerAccessEnabled {
		return c.driver.fail(fn.Name, r)
	}
	return nil
}

// StreamPriorities returns the range of priorities: the greatest has the lowest number.
func (c *Context) StreamPriorities() (least, greatest int, err error) {
	var l, g int32
	err = c.driver.do(&c.driver.api.ctxGetStreamPriorityRange, dl.Ptr(&l), dl.Ptr(&g))
	return int(l), int(g), err
}

// StartProfiler starts the recording of a profiler that was told to wait for it (nsys --capture-range=cudaProfilerApi).
func (c *Context) StartProfiler() error { return c.driver.do(&c.driver.api.profilerStart) }

// StopProfiler ends what [Context.StartProfiler] began.
func (c *Context) StopProfiler() error { return c.driver.do(&c.driver.api.profilerStop) }
