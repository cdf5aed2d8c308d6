//go:build linux && (amd64 || arm64)

package dl

import "unsafe"

// The runtime keeps this name for packages that call C without cgo (see runtime/cgocall.go).
//
// It is without escape since no function that we call calls back into Go, and while one runs a goroutine's stack does not
// move.
//
//go:linkname cgocall runtime.cgocall
//go:noescape
func cgocall(fn uintptr, arg unsafe.Pointer) int32

// trampoline holds the address of the assembly function that cgocall runs on the thread's own stack.
var trampoline uintptr

func call(c *frame) { cgocall(trampoline, unsafe.Pointer(c)) }

func pointer(p unsafe.Pointer) Arg { return Arg{pointer: p} }
