package dl

import (
	"math"
	"runtime"
	"unsafe"
)

// MaxArgs is the largest number of arguments besides floating point ones that [Call] takes: as many as the longest function
// of cuDNN has, and two.
const MaxArgs = 32

// Arg is one argument of a C function: an integer of any size, a handle, or a pointer. The zero Arg is 0 and NULL.
//
// A pointer stays a pointer here, and becomes a number only on the C stack: the collector sees it until the call is over,
// and it follows a Go stack that moves.
type Arg struct {
	pointer unsafe.Pointer
	word    uintptr
}

// Int is an integer or a handle. A negative one is passed with its sign.
func Int[T ~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uintptr](v T) Arg {
	return Arg{word: uintptr(v)}
}

// Ptr is a pointer, to the stack too: a result, or what C reads during the call. What it points to must not itself hold
// pointers to Go memory that is not pinned (runtime.Pinner).
func Ptr[T any](p *T) Arg { return pointer(unsafe.Pointer(p)) }

// Addr is a pointer without a type, to Go's memory or C's.
func Addr(p unsafe.Pointer) Arg { return pointer(p) }

// Float is a floating point argument, as it stands in a register.
type Float uint64

// Float64 is a C double.
func Float64(v float64) Float { return Float(math.Float64bits(v)) }

// Float32 is a C float.
func Float32(v float32) Float { return Float(math.Float32bits(v)) }

// frame is what the trampoline gets. Its layout is known to the assembly.
type frame struct {
	fn     uintptr
	args   *Arg
	n      uintptr
	floats *Float
	nf     uintptr
	result uintptr
}

// Call calls the C function at fn and returns what it returns; of an int only the lower 32 bits are meaningful: convert
// with int32(Call(...)). It allocates nothing.
//
// The function runs on the stack of the operating system's thread, most often 8 MiB ("ulimit -s"). It must not call back
// into Go, since then the stack that its pointers point to could move. It panics if fn is 0 or there are more than
// [MaxArgs] arguments.
func Call(fn uintptr, args ...Arg) uintptr {
	return CallFloat(fn, nil, args...)
}

// CallFloat calls a C function that has floating point parameters, at most 8, too. They have registers of their own, so
// that only their order among themselves matters: f(int a, double b, void *c, float d) is
// CallFloat(f, []Float{Float64(b), Float32(d)}, Int(a), Addr(c)).
func CallFloat(fn uintptr, floats []Float, args ...Arg) uintptr {
	if fn == 0 || len(args) > MaxArgs || len(floats) > 8 {
		badCall(fn)
	}
	c := frame{fn: fn, args: unsafe.SliceData(args), n: uintptr(len(args)), floats: unsafe.SliceData(floats), nf: uintptr(len(floats))}
	call(&c)
	runtime.KeepAlive(args)
	return c.result
}

func badCall(fn uintptr) {
	if fn == 0 {
		panic("dl: call of a function that the library does not have")
	}
	panic("dl: too many arguments")
}

// String copies a C string, which may be NULL.
func String(p unsafe.Pointer) string {
	if p == nil {
		return ""
	}
	n := 0
	for *(*byte)(unsafe.Add(p, n)) != 0 {
		n++
	}
	return string(unsafe.Slice((*byte)(p), n))
}

// CallString calls a function that returns a C string and copies that.
func CallString(fn uintptr, args ...Arg) string {
	var p unsafe.Pointer
	*(*uintptr)(unsafe.Pointer(&p)) = Call(fn, args...) // memory of C's, which a conversion could not say
	return String(p)
}

// CString returns s with the zero byte that C expects, in Go's memory.
func CString(s string) *byte {
	b := make([]byte, len(s)+1)
	copy(b, s)
	return &b[0]
}
