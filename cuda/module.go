package cuda

import (
	"bytes"
	"unsafe"

	"github.com/descent-ml/descent/cuda/internal/dl"
)

// Numbers of cuda.h.
const (
	jitErrorLog, jitErrorLogSize     = 5, 6    // CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES
	paramEnd, paramBuffer, paramSize = 0, 1, 2 // CU_LAUNCH_PARAM_END, _BUFFER_POINTER, _BUFFER_SIZE

	attributeCooperative  = 2 // CU_LAUNCH_ATTRIBUTE_COOPERATIVE
	attributeCluster      = 4 // CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION
	attributeProgrammatic = 6 // CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION
)

// Module is code that is loaded in a context (CUmodule).
type Module struct {
	driver *Driver
	handle uintptr
}

// LoadModule loads a cubin, or PTX, which the driver compiles. The image may be reused afterwards. The compiler's complaints
// are part of the error.
func (c *Context) LoadModule(image []byte) (Module, error) {
	if !bytes.HasPrefix(image, []byte("\x7fELF")) {
		image = append(bytes.Clone(image), 0) // PTX is a C string
	}
	log := make([]byte, 8<<10)
	options := [2]int32{jitErrorLog, jitErrorLogSize}
	values := struct {
		buffer *byte
		size   uintptr // passed in the place of a pointer
	}{&log[0], uintptr(len(log))}

	m := Module{driver: c.driver}
	err := c.driver.do(&c.driver.api.moduleLoadData, dl.Ptr(&m.handle), dl.Ptr(unsafe.SliceData(image)), dl.Int(len(options)),
		dl.Ptr(&options), dl.Ptr(&values))
	if e, ok := err.(*Error); ok {
		if text := dl.String(unsafe.Pointer(&log[0])); text != "" {
			e.Detail += "\n" + text
		}
	}
	return m, err
}

// Unload frees the module. Its functions must not be running.
func (m Module) Unload() error { return m.driver.do(&m.driver.api.moduleUnload, dl.Int(m.handle)) }

// Function returns a kernel by the name it has in the module, which for extern "C" is the one in the source.
func (m Module) Function(name string) (Function, error) {
	f := Function{driver: m.driver}
	err := m.driver.do(&m.driver.api.moduleGetFunction, dl.Ptr(&f.handle), dl.Int(m.handle), dl.Ptr(dl.CString(name)))
	if e, ok := err.(*Error); ok {
		e.Detail += ": " + name
	}
	return f, err
}

// Global returns the address and size of a variable of the module.
func (m Module) Global(name string) (DevicePtr, uint64, error) {
	var p DevicePtr
	var n uint64
	err := m.driver.do(&m.driver.api.moduleGetGlobal, dl.Ptr(&p), dl.Ptr(&n), dl.Int(m.handle), dl.Ptr(dl.CString(name)))
	if e, ok := err.(*Error); ok {
		e.Detail += ": " + name
	}
	return p, n, err
}

// Function is a kernel (CUfunction).
type Function struct {
	driver *Driver
	handle uintptr
}

// Handle is the CUfunction.
func (f Function) Handle() uintptr { return f.handle }

// FunctionAttribute is CUfunction_attribute.
type FunctionAttribute int32

// Attributes of a kernel, with the numbers of cuda.h.
const (
	FunctionMaxThreads    FunctionAttribute = 0 // per block
	FunctionSharedBytes   FunctionAttribute = 1 // static, per block
	FunctionConstantBytes FunctionAttribute = 2
	FunctionLocalBytes    FunctionAttribute = 3 // per thread: what registers had no room for
	FunctionRegisters     FunctionAttribute = 4 // per thread
	FunctionPTXVersion    FunctionAttribute = 5
	FunctionBinaryVersion FunctionAttribute = 6 // 10*major + minor of the architecture
	FunctionMaxShared     FunctionAttribute = 8 // dynamic, per block
	FunctionCarveout      FunctionAttribute = 9 // percent of the cache that is shared memory, -1 for the driver's choice
)

// Attribute asks for a property.
func (f Function) Attribute(a FunctionAttribute) (int, error) {
	var v int32
	err := f.driver.do(&f.driver.api.funcGetAttribute, dl.Ptr(&v), dl.Int(a), dl.Int(f.handle))
	return int(v), err
}

// SetAttribute sets FunctionMaxShared or FunctionCarveout.
func (f Function) SetAttribute(a FunctionAttribute, v int) error {
	return f.driver.do(&f.driver.api.funcSetAttribute, dl.Int(f.handle), dl.Int(a), dl.Int(v))
}

// MaxShared lets blocks have up to n bytes of dynamic shared memory. Without it a launch with more than 48 KiB fails.
func (f Function) MaxShared(n int) error { return f.SetAttribute(FunctionMaxShared, n) }

// Occupancy returns how many blocks of so many threads and dynamic shared bytes run on one multiprocessor at a time.
func (f Function) Occupancy(threads int, shared uint64) (int, error) {
	var blocks int32
	err := f.driver.do(&f.driver.api.occupancy, dl.Ptr(&blocks), dl.Int(f.handle), dl.Int(threads), dl.Int(shared))
	return int(blocks), err
}

// parameters is the "extra" form of a kernel's parameters: one buffer in which they lie as in a C struct. It is read during
// the call only.
type parameters struct {
	pointerTag uintptr
	buffer     unsafe.Pointer
	sizeTag    uintptr
	size       *uintptr
	end        uintptr
}

func newParameters(args unsafe.Pointer, size *uintptr) parameters {
	return parameters{paramBuffer, args, paramSize, size, paramEnd}
}

// Launch starts a kernel: grid blocks of block threads, with so many bytes of dynamic shared memory. The kernel's parameters
// lie at args as a C struct would lay them out, size bytes in all; they have been read when Launch returns.
func (f Function) Launch(grid, block [3]uint32, shared uint32, s Stream, args unsafe.Pointer, size uintptr) error {
	extra := newParameters(args, &size)
	return f.driver.do(&f.driver.api.launchKernel, dl.Int(f.handle), dl.Int(grid[0]), dl.Int(grid[1]), dl.Int(grid[2]),
		dl.Int(block[0]), dl.Int(block[1]), dl.Int(block[2]), dl.Int(shared), dl.Int(s.handle), dl.Arg{}, dl.Ptr(&extra))
}

// LaunchConfig is what [Function.LaunchEx] can set.
type LaunchConfig struct {
	Grid, Block [3]uint32
	Shared      uint32 // bytes of dynamic shared memory
	Stream      Stream

	Cluster [3]uint32 // blocks that run together; all 0 for none. It divides Grid. sm_90 and later

	// Programmatic lets the kernel start before the one before it in the stream is done; it must wait itself, by
	// griddepcontrol.wait, before it reads what that one wrote. sm_90 and later.
	Programmatic bool

	Cooperative bool // all blocks run at once and can wait for each other; too many are an error
}

// Layouts of cuda.h: CUlaunchConfig and CUlaunchAttribute.
type (
	launchConfig struct {
		grid, block [3]uint32
		shared      uint32
		stream      uintptr
		attributes  *launchAttribute
		n           uint32
	}
	launchAttribute struct {
		id    uint32
		_     uint32
		value [16]uint32
	}
)

// LaunchEx is [Function.Launch] with the features of newer devices.
func (f Function) LaunchEx(c *LaunchConfig, args unsafe.Pointer, size uintptr) error {
	var attributes [3]launchAttribute
	n := 0
	if c.Cluster != [3]uint32{} {
		attributes[n].id = attributeCluster
		copy(attributes[n].value[:], c.Cluster[:])
		n++
	}
	if c.Programmatic {
		attributes[n].id = attributeProgrammatic
		attributes[n].value[0] = 1
		n++
	}
	if c.Cooperative {
		attributes[n].id = attributeCooperative
		attributes[n].value[0] = 1
		n++
	}
	config := launchConfig{c.Grid, c.Block, c.Shared, c.Stream.handle, &attributes[0], uint32(n)}
	extra := newParameters(args, &size)
	return f.driver.do(&f.driver.api.launchKernelEx, dl.Ptr(&config), dl.Int(f.handle), dl.Arg{}, dl.Ptr(&extra))
}
