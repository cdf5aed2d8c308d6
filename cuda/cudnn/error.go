package cudnn

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/descent-ml/descent/cuda/internal/dl"
)

// Status is what a call of cuDNN returns. Only those that a program may want to tell apart have names here; the thousands
// are categories, and errors.Is(err, StatusNotSupported) is true for every status from 3000 to 3999.
type Status int32

const (
	StatusSuccess                         Status = 0    // CUDNN_STATUS_SUCCESS
	StatusNotInitialized                  Status = 1001 // CUDNN_STATUS_NOT_INITIALIZED
	StatusSublibraryVersionMismatch       Status = 1002 // CUDNN_STATUS_SUBLIBRARY_VERSION_MISMATCH
	StatusSerializationVersionMismatch    Status = 1003 // CUDNN_STATUS_SERIALIZATION_VERSION_MISMATCH
	StatusSublibraryLoadingFailed         Status = 1008 // CUDNN_STATUS_SUBLIBRARY_LOADING_FAILED
	StatusBadParam                        Status = 2000 // CUDNN_STATUS_BAD_PARAM
	StatusBadParamNotFinalized            Status = 2004 // CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED
	StatusBadParamShapeMismatch           Status = 2008 // CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH
	StatusNotSupported                    Status = 3000 // CUDNN_STATUS_NOT_SUPPORTED
	StatusNotSupportedGraphPattern        Status = 3001 // CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN
	StatusNotSupportedShape               Status = 3002 // CUDNN_STATUS_NOT_SUPPORTED_SHAPE
	StatusNotSupportedDataType            Status = 3003 // CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE
	StatusNotSupportedLayout              Status = 3004 // CUDNN_STATUS_NOT_SUPPORTED_LAYOUT
	StatusNotSupportedArchMismatch        Status = 3007 // CUDNN_STATUS_NOT_SUPPORTED_ARCH_MISMATCH
	StatusNotSupportedRuntimePrerequisite Status = 3008 // CUDNN_STATUS_NOT_SUPPORTED_RUNTIME_PREREQUISITE_MISSING
	StatusInternalError                   Status = 4000 // CUDNN_STATUS_INTERNAL_ERROR
	StatusInternalErrorHostAllocation     Status = 4003 // CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED
	StatusInternalErrorDeviceAllocation   Status = 4004 // CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED
	StatusExecutionFailed                 Status = 5000 // CUDNN_STATUS_EXECUTION_FAILED
)

// Error makes a status a target for errors.Is.
func (s Status) Error() string { return fmt.Sprintf("cuDNN status %d", int32(s)) }

// category returns the status that stands for the whole thousand.
func (s Status) category() Status { return s / 1000 * 1000 }

// Error is a call of cuDNN that failed.
type Error struct {
	Call   string // the C function
	Code   Status
	Name   string // the code in cuDNN's words: "CUDNN_STATUS_BAD_PARAM"
	Detail string // the reason, where cuDNN gives one
}

func (e *Error) Error() string {
	s := e.Call + ": " + e.Name
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	return s
}

// Is reports whether target is this status, or the category of it.
func (e *Error) Is(target error) bool {
	s, ok := target.(Status)
	return ok && (s == e.Code || s == e.Code.category())
}

// do calls a function that returns a status. cuDNN keeps the reason of a failure for the thread, so that the goroutine
// must not change threads before it has asked for it.
func (l *Library) do(fn *dl.Func, args ...dl.Arg) error {
	return l.doFloat(fn, nil, args...)
}

func (l *Library) doFloat(fn *dl.Func, floats []dl.Float, args ...dl.Arg) error {
	if fn.Addr == 0 {
		return &Error{Call: fn.Name, Code: StatusNotSupported, Name: "not in cuDNN " + versionString(l.Version())}
	}
	runtime.LockOSThread()
	var err error
	if status := Status(dl.CallFloat(fn.Addr, floats, args...)); status != StatusSuccess {
		err = &Error{Call: fn.Name, Code: status, Name: l.statusName(status), Detail: l.lastError()}
	}
	runtime.UnlockOSThread()
	return err
}

func (l *Library) statusName(s Status) string {
	return dl.CallString(l.api.getErrorString.Addr, dl.Int(s))
}

func (l *Library) lastError() string {
	var buffer [2048]byte
	dl.Call(l.api.getLastErrorString.Addr, dl.Ptr(&buffer[0]), dl.Int(len(buffer)))
	s, _, _ := strings.Cut(string(buffer[:]), "\x00")
	return strings.TrimSpace(s)
}
