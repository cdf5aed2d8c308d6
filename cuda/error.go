package cuda

import (
	"fmt"
	"strings"
	"unsafe"

	"github.com/descent-ml/descent/cuda/internal/dl"
)

// Result is CUresult, what every call of the driver returns. As an error it is the sentinel that errors.Is finds in an
// [*Error]:
//
//	if errors.Is(err, cuda.ErrOutOfMemory) { … }
type Result int32

// Results that a program may want to tell apart. Their names and values are those of CUresult in cuda.h.
const (
	Success                    Result = 0   // CUDA_SUCCESS
	ErrInvalidValue            Result = 1   // CUDA_ERROR_INVALID_VALUE: an argument is out of its range
	ErrOutOfMemory             Result = 2   // CUDA_ERROR_OUT_OF_MEMORY
	ErrNotInitialized          Result = 3   // CUDA_ERROR_NOT_INITIALIZED
	ErrDeinitialized           Result = 4   // CUDA_ERROR_DEINITIALIZED: the process is ending
	ErrStubLibrary             Result = 34  // CUDA_ERROR_STUB_LIBRARY: the toolkit's stub was loaded in place of the driver
	ErrNewerDriverNeeded       Result = 36  // CUDA_ERROR_CALL_REQUIRES_NEWER_DRIVER; also a function that the driver lacks
	ErrDeviceUnavailable       Result = 46  // CUDA_ERROR_DEVICE_UNAVAILABLE: another process has it for itself
	ErrNoDevice                Result = 100 // CUDA_ERROR_NO_DEVICE: there is no GPU that CUDA can use
	ErrInvalidDevice           Result = 101 // CUDA_ERROR_INVALID_DEVICE
	ErrInvalidImage            Result = 200 // CUDA_ERROR_INVALID_IMAGE: neither a cubin nor PTX
	ErrInvalidContext          Result = 201 // CUDA_ERROR_INVALID_CONTEXT: most often, none is bound to the thread
	ErrNoBinaryForGPU          Result = 209 // CUDA_ERROR_NO_BINARY_FOR_GPU: compiled for another architecture
	ErrECCUncorrectable        Result = 214 // CUDA_ERROR_ECC_UNCORRECTABLE
	ErrPeerAccessUnsupported   Result = 217 // CUDA_ERROR_PEER_ACCESS_UNSUPPORTED
	ErrInvalidPTX              Result = 218 // CUDA_ERROR_INVALID_PTX
	ErrNVLinkUncorrectable     Result = 220 // CUDA_ERROR_NVLINK_UNCORRECTABLE
	ErrUnsupportedPTXVersion   Result = 222 // CUDA_ERROR_UNSUPPORTED_PTX_VERSION: made by a newer toolkit than the driver
	ErrContained               Result = 226 // CUDA_ERROR_CONTAINED: a fault of the hardware that hit this process only
	ErrInvalidSource           Result = 300 // CUDA_ERROR_INVALID_SOURCE
	ErrInvalidHandle           Result = 400 // CUDA_ERROR_INVALID_HANDLE
	ErrIllegalState            Result = 401 // CUDA_ERROR_ILLEGAL_STATE
	ErrNotFound                Result = 500 // CUDA_ERROR_NOT_FOUND: no function of that name
	ErrNotReady                Result = 600 // CUDA_ERROR_NOT_READY: no error, work is still under way
	ErrIllegalAddress          Result = 700 // CUDA_ERROR_ILLEGAL_ADDRESS: a kernel used memory that is not there
	ErrLaunchOutOfResources    Result = 701 // CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES: too many threads for the registers
	ErrLaunchTimeout           Result = 702 // CUDA_ERROR_LAUNCH_TIMEOUT
	ErrPeerAccessEnabled       Result = 704 // CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED
	ErrContextDestroyed        Result = 709 // CUDA_ERROR_CONTEXT_IS_DESTROYED
	ErrAssert                  Result = 710 // CUDA_ERROR_ASSERT: an assert in a kernel failed
	ErrHostMemoryRegistered    Result = 712 // CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED
	ErrHostMemoryNotRegistered Result = 713 // CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED
	ErrHardwareStack           Result = 714 // CUDA_ERROR_HARDWARE_STACK_ERROR
	ErrIllegalInstruction      Result = 715 // CUDA_ERROR_ILLEGAL_INSTRUCTION
	ErrMisalignedAddress       Result = 716 // CUDA_ERROR_MISALIGNED_ADDRESS
	ErrInvalidAddressSpace     Result = 717 // CUDA_ERROR_INVALID_ADDRESS_SPACE
	ErrInvalidPC               Result = 718 // CUDA_ERROR_INVALID_PC
	ErrLaunchFailed            Result = 719 // CUDA_ERROR_LAUNCH_FAILED
	ErrNotPermitted            Result = 800 // CUDA_ERROR_NOT_PERMITTED
	ErrNotSupported            Result = 801 // CUDA_ERROR_NOT_SUPPORTED
	ErrSystemNotReady          Result = 802 // CUDA_ERROR_SYSTEM_NOT_READY: nvidia-fabricmanager is not running
	ErrDriverMismatch          Result = 803 // CUDA_ERROR_SYSTEM_DRIVER_MISMATCH: kernel module and libcuda differ
	ErrCaptureUnsupported      Result = 900 // CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED: a call that may not be made in a capture
	ErrCaptureInvalidated      Result = 901 // CUDA_ERROR_STREAM_CAPTURE_INVALIDATED: an earlier call spoilt the capture
	ErrCaptureMerge            Result = 902 // CUDA_ERROR_STREAM_CAPTURE_MERGE
	ErrCaptureUnmatched        Result = 903 // CUDA_ERROR_STREAM_CAPTURE_UNMATCHED
	ErrCaptureUnjoined         Result = 904 // CUDA_ERROR_STREAM_CAPTURE_UNJOINED: a stream that forked was not joined again
	ErrCaptureIsolation        Result = 905 // CUDA_ERROR_STREAM_CAPTURE_ISOLATION
	ErrCaptureImplicit         Result = 906 // CUDA_ERROR_STREAM_CAPTURE_IMPLICIT: the default stream was used meanwhile
	ErrCapturedEvent           Result = 907 // CUDA_ERROR_CAPTURED_EVENT
	ErrCaptureWrongThread      Result = 908 // CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD
	ErrTimeout                 Result = 909 // CUDA_ERROR_TIMEOUT
	ErrGraphExecUpdate         Result = 910 // CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE: the graph changed too much
	ErrExternalDevice          Result = 911 // CUDA_ERROR_EXTERNAL_DEVICE
	ErrInvalidClusterSize      Result = 912 // CUDA_ERROR_INVALID_CLUSTER_SIZE
	ErrUnknown                 Result = 999 // CUDA_ERROR_UNKNOWN
)

// Error returns the number; an [*Error] has the driver's own words.
func (r Result) Error() string { return fmt.Sprintf("CUDA result %d", int32(r)) }

// Lost reports whether the context cannot be used any more: every later call in this process fails too, and only a new
// process can use the device again.
func (r Result) Lost() bool {
	switch r {
	case ErrDeinitialized, ErrECCUncorrectable, ErrNVLinkUncorrectable, ErrContained, ErrIllegalAddress, ErrLaunchTimeout,
		ErrContextDestroyed, ErrAssert, ErrHardwareStack, ErrIllegalInstruction, ErrMisalignedAddress,
		ErrInvalidAddressSpace, ErrInvalidPC, ErrLaunchFailed, ErrExternalDevice:
		return true
	}
	return false
}

// Error is a call of the driver that failed. An asynchronous failure, as of a kernel, is reported by some later call.
type Error struct {
	Call   string // the C function: "cuMemAlloc_v2"
	Code   Result
	Detail string // the driver's name and words for the code, and a log if there is one
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s: %s (%d)", e.Call, e.Detail, int32(e.Code))
}

// Unwrap returns the code, so that errors.Is finds it.
func (e *Error) Unwrap() error { return e.Code }

// do calls a function of the driver.
func (d *Driver) do(fn *dl.Func, args ...dl.Arg) error {
	if fn.Addr == 0 {
		return d.lacks(fn.Name)
	}
	if r := Result(dl.Call(fn.Addr, args...)); r != Success {
		return d.fail(fn.Name, r)
	}
	return nil
}

// ready is do for the calls that answer ErrNotReady.
func (d *Driver) ready(fn *dl.Func, handle uintptr) (bool, error) {
	switch r := Result(dl.Call(fn.Addr, dl.Int(handle))); r {
	case Success:
		return true, nil
	case ErrNotReady:
		return false, nil
	default:
		return false, d.fail(fn.Name, r)
	}
}

func (d *Driver) lacks(name string) error {
	detail := fmt.Sprintf("the driver, which supports CUDA %s, does not have this function", FormatVersion(d.version))
	return &Error{Call: name, Code: ErrNewerDriverNeeded, Detail: detail}
}

func (d *Driver) fail(name string, code Result) error {
	var parts []string
	for _, fn := range []*dl.Func{&d.api.getErrorName, &d.api.getErrorString} {
		var text *byte
		if fn.Addr != 0 && dl.Call(fn.Addr, dl.Int(code), dl.Ptr(&text)) == 0 && text != nil {
			parts = append(parts, dl.String(unsafe.Pointer(text)))
		}
	}
	if parts == nil {
		parts = []string{"unknown result"}
	}
	return &Error{Call: name, Code: code, Detail: strings.Join(parts, ": ")}
}
