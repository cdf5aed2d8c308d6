// Package cublaslt binds cuBLASLt, NVIDIA's matrix products with epilogues, without cgo. Versions 12 and 13 serve.
//
// Descriptors need no GPU; a [Handle] and everything that takes one do. cuBLASLt counts columns first: a row-major
// C = A·B is the column-major C' = B'·A' of the same memory (or [OrderRow] says so, which restricts the epilogues).
//
// All values may be used by several goroutines at once, with two exceptions: a descriptor while it is being set, and a
// workspace, which one product at a time may use.
package cublaslt

import (
	"fmt"
	"unsafe"

	"github.com/descent-ml/descent/cuda/internal/dl"
)

// Library is cuBLASLt, open.
type Library struct {
	lib *dl.Lib
	api functions
}

type functions struct {
	getVersion       dl.Func `sym:"cublasLtGetVersion"`
	getCudartVersion dl.Func `sym:"cublasLtGetCudartVersion"`
	getStatusName    dl.Func `sym:"cublasLtGetStatusName"`
	getStatusString  dl.Func `sym:"cublasLtGetStatusString"`

	create  dl.Func `sym:"cublasLtCreate"`
	destroy dl.Func `sym:"cublasLtDestroy"`

	descCreate  dl.Func `sym:"cublasLtMatmulDescCreate"`
	descDestroy dl.Func `sym:"cublasLtMatmulDescDestroy"`
	descSet     dl.Func `sym:"cublasLtMatmulDescSetAttribute"`
	descGet     dl.Func `sym:"cublasLtMatmulDescGetAttribute"`

	layoutCreate  dl.Func `sym:"cublasLtMatrixLayoutCreate"`
	layoutDestroy dl.Func `sym:"cublasLtMatrixLayoutDestroy"`
	layoutSet     dl.Func `sym:"cublasLtMatrixLayoutSetAttribute"`
	layoutGet     dl.Func `sym:"cublasLtMatrixLayoutGetAttribute"`

	prefCreate  dl.Func `sym:"cublasLtMatmulPreferenceCreate"`
	prefDestroy dl.Func `sym:"cublasLtMatmulPreferenceDestroy"`
	prefSet     dl.Func `sym:"cublasLtMatmulPreferenceSetAttribute"`
	prefGet     dl.Func `sym:"cublasLtMatmulPreferenceGetAttribute"`

	heuristic dl.Func `sym:"cublasLtMatmulAlgoGetHeuristic"`
	matmul    dl.Func `sym:"cublasLtMatmul"`
}

var process dl.Once[Library]

// Open finds cuBLASLt and opens it. Every call returns the same library; a failure is not remembered. The error says what
// was searched. Once a driver is open, a library of a later CUDA major version than the driver's is passed over.
func Open() (*Library, error) { return process.Get(open) }

func open() (*Library, error) {
	lib, err := dl.Open(dl.CuBLASLt)
	if err != nil {
		return nil, err
	}
	l := &Library{lib: lib}
	if err := lib.Bind(&l.api); err != nil {
		return nil, err
	}
	return l, nil
}

// Path returns the file that was opened.
func (l *Library) Path() string { return l.lib.Path }

// Version returns cuBLASLt's version as 10000·major + 100·minor + patch.
func (l *Library) Version() int { return int(dl.Call(l.api.getVersion.Addr)) }

// CUDAVersion returns the version of CUDA that the library was built with, as 1000·major + 10·minor.
func (l *Library) CUDAVersion() int { return int(dl.Call(l.api.getCudartVersion.Addr)) }

// Status is cublasStatus_t. As an error it is the sentinel that errors.Is finds in an [*Error].
type Status int32

const (
	Success            Status = 0  // CUBLAS_STATUS_SUCCESS
	ErrNotInitialized  Status = 1  // CUBLAS_STATUS_NOT_INITIALIZED: most often, no GPU or no driver
	ErrAllocFailed     Status = 3  // CUBLAS_STATUS_ALLOC_FAILED
	ErrInvalidValue    Status = 7  // CUBLAS_STATUS_INVALID_VALUE
	ErrArchMismatch    Status = 8  // CUBLAS_STATUS_ARCH_MISMATCH
	ErrMapping         Status = 11 // CUBLAS_STATUS_MAPPING_ERROR
	ErrExecutionFailed Status = 13 // CUBLAS_STATUS_EXECUTION_FAILED
	ErrInternal        Status = 14 // CUBLAS_STATUS_INTERNAL_ERROR
	ErrNotSupported    Status = 15 // CUBLAS_STATUS_NOT_SUPPORTED: no algorithm for this product
	ErrLicense         Status = 16 // CUBLAS_STATUS_LICENSE_ERROR
)

// Error returns the number; an [*Error] has cuBLASLt's own words.
func (s Status) Error() string { return fmt.Sprintf("cuBLASLt status %d", int32(s)) }

// Error is a call that failed.
type Error struct {
	Call   string // the C function
	Code   Status
	Detail string // cuBLASLt's name and words for the code
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%s: %s (%d)", e.Call, e.Detail, int32(e.Code))
	if e.Code == ErrNotInitialized {
		s += ": cuBLASLt found no GPU that it can use"
	}
	return s
}

// Unwrap returns the code, so that errors.Is finds it.
func (e *Error) Unwrap() error { return e.Code }

func (l *Library) do(fn *dl.Func, args ...dl.Arg) error {
	if s := Status(dl.Call(fn.Addr, args...)); s != Success {
		return l.fail(fn.Name, s)
	}
	return nil
}

func (l *Library) fail(call string, s Status) error {
	name := dl.CallString(l.api.getStatusName.Addr, dl.Int(s))
	if text := dl.CallString(l.api.getStatusString.Addr, dl.Int(s)); text != "" && text != name {
		name += ": " + text
	}
	return &Error{Call: call, Code: s, Detail: name}
}

// Handle is cuBLASLt's state for one device.
type Handle struct {
	lib *Library
	p   uintptr
}

// NewHandle makes a handle for the device of the calling thread's current CUDA context. The caller destroys it.
func (l *Library) NewHandle() (Handle, error) {
	h := Handle{lib: l}
	err := l.do(&l.api.create, dl.Ptr(&h.p))
	return h, err
}

// Destroy frees the handle.
func (h Handle) Destroy() error { return h.lib.do(&h.lib.api.destroy, dl.Int(h.p)) }

// Value is what an attribute can be. Each attribute says which of them it is.
type Value interface {
	~int32 | ~uint32 | ~int64 | ~uint64
}

// set calls one of the three functions that set an attribute.
func set[A ~int32, V Value](l *Library, fn *dl.Func, desc uintptr, name A, v V) error {
	if err := l.do(fn, dl.Int(desc), dl.Int(name), dl.Ptr(&v), dl.Int(unsafe.Sizeof(v))); err != nil {
		return fmt.Errorf("cublaslt: attribute %d = %d: %w", name, v, err)
	}
	return nil
}

// get calls one of the three functions that get an attribute.
func get[V Value, A ~int32](l *Library, fn *dl.Func, desc uintptr, name A) (V, error) {
	var v V
	var n uint64
	err := l.do(fn, dl.Int(desc), dl.Int(name), dl.Ptr(&v), dl.Int(unsafe.Sizeof(v)), dl.Ptr(&n))
	if err == nil && n != uint64(unsafe.Sizeof(v)) {
		err = fmt.Errorf("it has %d bytes", n)
	}
	if err != nil {
		return v, fmt.Errorf("cublaslt: attribute %d: %w", name, err)
	}
	return v, nil
}
