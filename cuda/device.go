package cuda

import (
	"fmt"
	"sync"
	"unsafe"

	"github.com/descent-ml/descent/cuda/internal/dl"
)

// Device is a GPU.
type Device struct {
	driver       *Driver
	ordinal      int
	handle       int32
	name         string
	major, minor int
	memory       uint64

	mu      sync.Mutex
	primary *Context
}

func (d *Driver) device(ordinal int) (*Device, error) {
	dev := &Device{driver: d, ordinal: ordinal}
	if err := d.do(&d.api.deviceGet, dl.Ptr(&dev.handle), dl.Int(ordinal)); err != nil {
		return nil, err
	}
	name := make([]byte, 256)
	if err := d.do(&d.api.deviceGetName, dl.Ptr(&name[0]), dl.Int(len(name)), dl.Int(dev.handle)); err != nil {
		return nil, err
	}
	dev.name = dl.String(unsafe.Pointer(&name[0]))
	var bytes uintptr
	if err := d.do(&d.api.deviceTotalMem, dl.Ptr(&bytes), dl.Int(dev.handle)); err != nil {
		return nil, err
	}
	dev.memory = uint64(bytes)
	var err error
	if dev.major, err = dev.Attribute(ComputeCapabilityMajor); err != nil {
		return nil, err
	}
	if dev.minor, err = dev.Attribute(ComputeCapabilityMinor); err != nil {
		return nil, err
	}
	return dev, nil
}

// Ordinal is the device's place in [Driver.Devices].
func (d *Device) Ordinal() int { return d.ordinal }

// Name is NVIDIA's name: "NVIDIA H200".
func (d *Device) Name() string { return d.name }

// Capability is the compute capability: 9, 0 for sm_90.
func (d *Device) Capability() (major, minor int) { return d.major, d.minor }

// TotalMemory is the size of the device's memory in bytes.
func (d *Device) TotalMemory() uint64 { return d.memory }

// String is the name with what tells devices apart: "NVIDIA H200 (device 0, sm_90)".
func (d *Device) String() string {
	return fmt.Sprintf("%s (device %d, sm_%d%d)", d.name, d.ordinal, d.major, d.minor)
}

// Attribute asks for a property. Numbers of CUdevice_attribute that have no name here do as well.
func (d *Device) Attribute(a Attribute) (int, error) {
	var v int32
	err := d.driver.do(&d.driver.api.deviceGetAttribute, dl.Ptr(&v), dl.Int(a), dl.Int(d.handle))
	return int(v), err
}

// PCIBusID is the device's address in the form domain:bus:device.function.
func (d *Device) PCIBusID() (string, error) {
	id := make([]byte, 32)
	err := d.driver.do(&d.driver.api.deviceGetPCIBusID, dl.Ptr(&id[0]), dl.Int(len(id)), dl.Int(d.handle))
	return dl.String(unsafe.Pointer(&id[0])), err
}

// CanAccessPeer reports whether kernels on this device can read and write the memory of another.
func (d *Device) CanAccessPeer(peer *Device) (bool, error) {
	var can int32
	err := d.driver.do(&d.driver.api.deviceCanAccessPeer, dl.Ptr(&can), dl.Int(d.handle), dl.Int(peer.handle))
	return can != 0, err
}

// Primary returns the device's primary context, the one that NVIDIA's libraries use too. It is retained for as long as the
// process runs; every call returns the same one.
func (d *Device) Primary() (*Context, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.primary == nil {
		c := &Context{driver: d.driver, device: d}
		if err := d.driver.do(&d.driver.api.primaryCtxRetain, dl.Ptr(&c.handle), dl.Int(d.handle)); err != nil {
			return nil, err
		}
		d.primary = c
	}
	return d.primary, nil
}

// Attribute is CUdevice_attribute: a property of a device.
type Attribute int32

// Attributes, with the numbers of cuda.h.
const (
	MaxThreadsPerBlock          Attribute = 1
	MaxGridX                    Attribute = 5
	MaxGridY                    Attribute = 6
	MaxGridZ                    Attribute = 7
	MaxSharedMemoryPerBlock     Attribute = 8 // bytes, without opting in
	WarpSize                    Attribute = 10
	MaxRegistersPerBlock        Attribute = 12
	ClockRate                   Attribute = 13 // kHz
	MultiprocessorCount         Attribute = 16
	Integrated                  Attribute = 18
	ConcurrentKernels           Attribute = 31
	ECCEnabled                  Attribute = 32
	MemoryClockRate             Attribute = 36 // kHz
	GlobalMemoryBusWidth        Attribute = 37 // bits
	L2CacheSize                 Attribute = 38 // bytes
	MaxThreadsPerMultiprocessor Attribute = 39
	AsyncEngineCount            Attribute = 40 // copies that can run at once beside a kernel
	UnifiedAddressing           Attribute = 41
	ComputeCapabilityMajor      Attribute = 75
	ComputeCapabilityMinor      Attribute = 76
	MaxSharedPerMultiprocessor  Attribute = 81 // bytes
	MaxRegistersPerMultiproc    Attribute = 82
	CooperativeLaunch           Attribute = 95
	MaxSharedPerBlockOptIn      Attribute = 97 // bytes, after Function.MaxShared
	MaxBlocksPerMultiprocessor  Attribute = 106
	MaxPersistingL2CacheSize    Attribute = 108 // bytes
	ReservedSharedPerBlock      Attribute = 111 // bytes
	MemoryPoolsSupported        Attribute = 115
	ClusterLaunch               Attribute = 120
)
