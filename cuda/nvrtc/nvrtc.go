// Package nvrtc compiles CUDA C++ to machine code with NVIDIA's run-time compiler. It needs neither a GPU nor a driver.
//
//	compiler, err := nvrtc.Open()
//	cubin, log, err := compiler.Compile(source, "add.cu", nil, []string{"--gpu-architecture=sm_90"})
package nvrtc

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"

	"github.com/descent-ml/descent/cuda/internal/dl"
)

// Result is nvrtcResult. As an error it is the sentinel that errors.Is finds in an [*Error].
type Result int32

// Results, as in nvrtc.h.
const (
	Success            Result = 0
	ErrOutOfMemory     Result = 1
	ErrProgramCreation Result = 2
	ErrInvalidInput    Result = 3
	ErrInvalidProgram  Result = 4
	ErrInvalidOption   Result = 5
	ErrCompilation     Result = 6 // the source has errors: Error.Log
	ErrBuiltin         Result = 7 // most often: libnvrtc-builtins is missing or of another version
	ErrInternal        Result = 11
)

// Error returns the number; an [*Error] has NVRTC's own words.
func (r Result) Error() string { return fmt.Sprintf("NVRTC result %d", int32(r)) }

// Error is a call that failed.
type Error struct {
	Call   string // the C function
	Code   Result
	Detail string // NVRTC's name for the code
	Name   string // the source file, if one was being compiled
	Log    string // what the compiler said about it
}

func (e *Error) Error() string {
	var b strings.Builder
	if e.Name != "" {
		fmt.Fprintf(&b, "%s: ", e.Name)
	}
	fmt.Fprintf(&b, "%s: %s (%d)", e.Call, e.Detail, int32(e.Code))
	if e.Log != "" {
		fmt.Fprintf(&b, "\n%s", e.Log)
	}
	return b.String()
}

// Unwrap returns the code, so that errors.Is finds it.
func (e *Error) Unwrap() error { return e.Code }

// Compiler is libnvrtc. Several goroutines may compile at once.
type Compiler struct {
	api struct {
		version     dl.Func `sym:"nvrtcVersion"`
		errorString dl.Func `sym:"nvrtcGetErrorString"`
		numArchs    dl.Func `sym:"nvrtcGetNumSupportedArchs"`
		archs       dl.Func `sym:"nvrtcGetSupportedArchs"`
		create      dl.Func `sym:"nvrtcCreateProgram"`
		destroy     dl.Func `sym:"nvrtcDestroyProgram"`
		compile     dl.Func `sym:"nvrtcCompileProgram"`
		logSize     dl.Func `sym:"nvrtcGetProgramLogSize"`
		log         dl.Func `sym:"nvrtcGetProgramLog"`
		cubinSize   dl.Func `sym:"nvrtcGetCUBINSize"`
		cubin       dl.Func `sym:"nvrtcGetCUBIN"`
		ptxSize     dl.Func `sym:"nvrtcGetPTXSize"`
		ptx         dl.Func `sym:"nvrtcGetPTX"`
	}
	lib          *dl.Lib
	major, minor int
	archList     []int
}

var process dl.Once[Compiler]

// Open finds the compiler. Every call returns the same one; a failure is not remembered. Once a driver is open, a compiler
// of a later CUDA major version than the driver's is passed over.
func Open() (*Compiler, error) { return process.Get(open) }

func open() (*Compiler, error) {
	lib, err := dl.Open(dl.NVRTC)
	if err != nil {
		return nil, err
	}
	c := &Compiler{lib: lib}
	if err := lib.Bind(&c.api); err != nil {
		return nil, err
	}
	var major, minor int32
	if err := c.do(&c.api.version, dl.Ptr(&major), dl.Ptr(&minor)); err != nil {
		return nil, err
	}
	c.major, c.minor = int(major), int(minor)
	var n int32
	if err := c.do(&c.api.numArchs, dl.Ptr(&n)); err != nil {
		return nil, err
	}
	archs := make([]int32, max(n, 1))
	if err := c.do(&c.api.archs, dl.Ptr(&archs[0])); err != nil {
		return nil, err
	}
	for _, arch := range archs[:n] {
		c.archList = append(c.archList, int(arch))
	}
	return c, nil
}

// Version is the compiler's version, which is that of the CUDA it came with.
func (c *Compiler) Version() (major, minor int) { return c.major, c.minor }

// Path is the file that the compiler was loaded from.
func (c *Compiler) Path() string { return c.lib.Path }

// Archs lists the architectures that the compiler knows, ascending: 90 for sm_90. It is the caller's.
func (c *Compiler) Archs() ([]int, error) { return slices.Clone(c.archList), nil }

// Compile compiles source. The result is a cubin, or PTX if the options ask for a virtual architecture (compute_90). name
// is what messages call the source. headers are the contents of files by the name that an #include gives them. options
// are nvrtcCompileProgram's: "--gpu-architecture=sm_90", "--std=c++17", …
//
// log holds warnings too, so look at it even without an error. A failure is an [*Error] with the log in it.
func (c *Compiler) Compile(source, name string, headers map[string]string, options []string) (cubin []byte, log string, err error) {
	var pins runtime.Pinner
	defer pins.Unpin()
	names := slices.Sorted(maps.Keys(headers))
	contents := make([]string, len(names))
	for i, n := range names {
		contents[i] = headers[n]
	}

	var program uintptr
	err = c.do(&c.api.create, dl.Ptr(&program), dl.Ptr(dl.CString(source)), dl.Ptr(dl.CString(name)), dl.Int(len(names)),
		cStrings(&pins, contents), cStrings(&pins, names))
	if err != nil {
		return nil, "", named(err, name, "")
	}
	defer dl.Call(c.api.destroy.Addr, dl.Ptr(&program))

	failed := c.do(&c.api.compile, dl.Int(program), dl.Int(len(options)), cStrings(&pins, options))
	text, err := c.output(&c.api.logSize, &c.api.log, program)
	log = strings.TrimSpace(strings.TrimRight(string(text), "\x00"))
	if failed != nil {
		return nil, log, named(failed, name, log)
	}
	if err != nil {
		return nil, "", named(err, name, "")
	}

	cubin, err = c.output(&c.api.cubinSize, &c.api.cubin, program)
	if err == nil && len(cubin) == 0 {
		cubin, err = c.output(&c.api.ptxSize, &c.api.ptx, program)
	}
	if err != nil {
		return nil, log, named(err, name, log)
	}
	return cubin, log, nil
}

// output asks for the size of a result and then for the result.
func (c *Compiler) output(size, get *dl.Func, program uintptr) ([]byte, error) {
	var n uintptr
	if err := c.do(size, dl.Int(program), dl.Ptr(&n)); err != nil || n == 0 {
		return nil, err
	}
	b := make([]byte, n)
	err := c.do(get, dl.Int(program), dl.Ptr(&b[0]))
	return b, err
}

func (c *Compiler) do(fn *dl.Func, args ...dl.Arg) error {
	r := Result(dl.Call(fn.Addr, args...))
	if r == Success {
		return nil
	}
	return &Error{Call: fn.Name, Code: r, Detail: dl.CallString(c.api.errorString.Addr, dl.Int(r))}
}

func named(err error, name, log string) error {
	if e, ok := err.(*Error); ok {
		e.Name, e.Log = name, log
	}
	return err
}

// cStrings makes a C array of C strings, or NULL.
func cStrings(pins *runtime.Pinner, list []string) dl.Arg {
	if len(list) == 0 {
		return dl.Arg{}
	}
	pointers := make([]*byte, len(list))
	for i, s := range list {
		pointers[i] = dl.CString(s)
		pins.Pin(pointers[i])
	}
	return dl.Ptr(&pointers[0])
}
