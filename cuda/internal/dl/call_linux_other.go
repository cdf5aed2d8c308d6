//go:build linux && !amd64

package dl

import (
	"math"
	"reflect"
	"unsafe"

	"github.com/ebitengine/purego"
)

// call goes through purego, which is slower. Its arguments are numbers before the stack is safe from moving, so pointer
// keeps what they point to off it.
func call(c *frame) {
	var words [MaxArgs]uintptr
	args := unsafe.Slice(c.args, c.n)
	for i, a := range args {
		words[i] = uintptr(a.pointer) + a.word
	}
	if c.nf > 0 {
		c.result = callFloat(c.fn, unsafe.Slice(c.floats, c.nf), words[:len(args)])
		return
	}
	c.result, _, _ = purego.SyscallN(c.fn, words[:len(args)]...)
}

// callFloat makes a function of the right type. Floating point arguments come first there, which is all the same to C's
// conventions as long as there are registers for them. A C float is the lower half of a register.
func callFloat(fn uintptr, floats []Float, words []uintptr) uintptr {
	var in []reflect.Type
	var values []reflect.Value
	for _, f := range floats {
		in = append(in, reflect.TypeFor[float64]())
		values = append(values, reflect.ValueOf(math.Float64frombits(uint64(f))))
	}
	for _, w := range words {
		in = append(in, reflect.TypeFor[uintptr]())
		values = append(values, reflect.ValueOf(w))
	}
	f := reflect.New(reflect.FuncOf(in, []reflect.Type{reflect.TypeFor[uintptr]()}, false))
	purego.RegisterFunc(f.Interface(), fn)
	return uintptr(f.Elem().Call(values)[0].Uint())
}

// kept makes the compiler put what a pointer points to on the heap.
var kept unsafe.Pointer

//go:noinline
func pointer(p unsafe.Pointer) Arg {
	kept = p
	kept = nil
	return Arg{pointer: p}
}
