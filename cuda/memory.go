package cuda

import (
	"unsafe"

	"github.com/descent-ml/descent/cuda/internal/dl"
)

// DevicePtr is an address in a device's memory (CUdeviceptr). Go cannot follow it; arithmetic on it is by bytes.
type DevicePtr uint64

// MemInfo returns the free and the total bytes of the device's memory.
func (c *Context) MemInfo() (free, total uint64, err error) {
	err = c.driver.do(&c.driver.api.memGetInfo, dl.Ptr(&free), dl.Ptr(&total))
	return free, total, err
}

// Alloc allocates n bytes on the device, aligned to 256 or better. It may wait for the device. The memory is not zeroed.
func (c *Context) Alloc(n uint64) (DevicePtr, error) {
	var p DevicePtr
	err := c.driver.do(&c.driver.api.memAlloc, dl.Ptr(&p), dl.Int(n))
	return p, err
}

// Free gives back memory from [Context.Alloc]. It waits for the work that uses it.
func (c *Context) Free(p DevicePtr) error { return c.driver.do(&c.driver.api.memFree, dl.Int(p)) }

// AllocAsync allocates n bytes from the device's default pool, for use on s after this point and, after an event, on other
// streams.
func (c *Context) AllocAsync(n uint64, s Stream) (DevicePtr, error) {
	var p DevicePtr
	err := c.driver.do(&c.driver.api.memAllocAsync, dl.Ptr(&p), dl.Int(n), dl.Int(s.handle))
	return p, err
}

// FreeAsync gives memory back when s gets there.
func (c *Context) FreeAsync(p DevicePtr, s Stream) error {
	return c.driver.do(&c.driver.api.memFreeAsync, dl.Int(p), dl.Int(s.handle))
}

const hostPortable = 1 // CU_MEMHOSTALLOC_PORTABLE and CU_MEMHOSTREGISTER_PORTABLE

// AllocHost allocates n bytes of the host's memory that stay in place, so that copies from and to them run at full speed
// and beside other work. Every context can use them. They are not Go's: free them with [Context.FreeHost].
func (c *Context) AllocHost(n uint64) (unsafe.Pointer, error) {
	var p unsafe.Pointer
	err := c.driver.do(&c.driver.api.memHostAlloc, dl.Ptr(&p), dl.Int(n), dl.Int(hostPortable))
	return p, err
}

// FreeHost frees memory from [Context.AllocHost]. Copies that use it must be done.
func (c *Context) FreeHost(p unsafe.Pointer) error {
	return c.driver.do(&c.driver.api.memFreeHost, dl.Addr(p))
}

// RegisterHost makes n bytes at p behave like memory from [Context.AllocHost]. Memory of Go's must be kept alive and must
// not be a local variable's, until [Context.UnregisterHost].
func (c *Context) RegisterHost(p unsafe.Pointer, n uint64) error {
	return c.driver.do(&c.driver.api.memHostRegister, dl.Addr(p), dl.Int(n), dl.Int(hostPortable))
}

// UnregisterHost undoes [Context.RegisterHost].
func (c *Context) UnregisterHost(p unsafe.Pointer) error {
	return c.driver.do(&c.driver.api.memHostUnregister, dl.Addr(p))
}

// CopyToDevice copies n bytes from the host. From memory of [Context.AllocHost] it returns before the copy is done, and the
// memory must be left alone until the stream is past it; from other memory the bytes have been read when it returns.
func (c *Context) CopyToDevice(dst DevicePtr, src unsafe.Pointer, n uint64, s Stream) error {
	return c.driver.do(&c.driver.api.memcpyHtoD, dl.Int(dst), dl.Addr(src), dl.Int(n), dl.Int(s.handle))
}

// CopyToHost copies n bytes to the host. Into memory of [Context.AllocHost] it returns before the copy is done; into other
// memory it waits, but rely on Stream.Synchronize all the same.
func (c *Context) CopyToHost(dst unsafe.Pointer, src DevicePtr, n uint64, s Stream) error {
	return c.driver.do(&c.driver.api.memcpyDtoH, dl.Addr(dst), dl.Int(src), dl.Int(n), dl.Int(s.handle))
}

// CopyOnDevice copies n bytes within the device, which must not overlap.
func (c *Context) CopyOnDevice(dst, src DevicePtr, n uint64, s Stream) error {
	return c.driver.do(&c.driver.api.memcpyDtoD, dl.Int(dst), dl.Int(src), dl.Int(n), dl.Int(s.handle))
}

// CopyPeer copies n bytes from another device's memory to this one's. The stream may belong to either.
func (c *Context) CopyPeer(dst DevicePtr, from *Context, src DevicePtr, n uint64, s Stream) error {
	return c.driver.do(&c.driver.api.memcpyPeer, dl.Int(dst), dl.Int(c.handle), dl.Int(src), dl.Int(from.handle), dl.Int(n),
		dl.Int(s.handle))
}

// Set8 sets count bytes.
func (c *Context) Set8(dst DevicePtr, value uint8, count uint64, s Stream) error {
	return c.driver.do(&c.driver.api.memset8, dl.Int(dst), dl.Int(value), dl.Int(count), dl.Int(s.handle))
}

// Set16 sets count values of 16 bits; dst is a multiple of 2.
func (c *Context) Set16(dst DevicePtr, value uint16, count uint64, s Stream) error {
	return c.driver.do(&c.driver.api.memset16, dl.Int(dst), dl.Int(value), dl.Int(count), dl.Int(s.handle))
}

// Set32 sets count values of 32 bits; dst is a multiple of 4.
func (c *Context) Set32(dst DevicePtr, value uint32, count uint64, s Stream) error {
	return c.driver.do(&c.driver.api.memset32, dl.Int(dst), dl.Int(value), dl.Int(count), dl.Int(s.handle))
}

// Pool is what [Context.AllocAsync] allocates from.
type Pool struct {
	driver *Driver
	handle uintptr
}

// DefaultPool returns the device's pool.
func (c *Context) DefaultPool() (Pool, error) {
	p := Pool{driver: c.driver}
	err := c.driver.do(&c.driver.api.deviceGetPool, dl.Ptr(&p.handle), dl.Int(c.device.handle))
	return p, err
}

// Attributes of a pool, CUmemPool_attribute.
const (
	poolReleaseThreshold = 4
	poolReserved         = 5
	poolUsed             = 7
)

// SetReleaseThreshold sets how many unused bytes the pool keeps when a stream, event or context is waited for. By default it
// keeps none.
func (p Pool) SetReleaseThreshold(n uint64) error {
	return p.driver.do(&p.driver.api.memPoolSetAttr, dl.Int(p.handle), dl.Int(poolReleaseThreshold), dl.Ptr(&n))
}

// Usage returns the bytes that the pool has from the device, and those of them in use.
func (p Pool) Usage() (reserved, used uint64, err error) {
	fn := &p.driver.api.memPoolGetAttr
	if err = p.driver.do(fn, dl.Int(p.handle), dl.Int(poolReserved), dl.Ptr(&reserved)); err == nil {
		err = p.driver.do(fn, dl.Int(p.handle), dl.Int(poolUsed), dl.Ptr(&used))
	}
	return reserved, used, err
}

// Trim gives back unused memory until the pool has keep bytes.
func (p Pool) Trim(keep uint64) error {
	return p.driver.do(&p.driver.api.memPoolTrim, dl.Int(p.handle), dl.Int(keep))
}
