//go:build !linux || !(amd64 || arm64)

package dl

import (
	"errors"
	"runtime"
	"unsafe"
)

func supported() error {
	return errors.New("NVIDIA's libraries are bound on Linux for amd64 and arm64, not on " + runtime.GOOS + "/" + runtime.GOARCH)
}

func open(string) (uintptr, error)           { return 0, supported() }
func openPart(string)                        {}
func symbol(uintptr, string) uintptr         { return 0 }
func filename(_ uintptr, name string) string { return name }
func pointer(p unsafe.Pointer) Arg           { return Arg{pointer: p} }
func call(*frame)                            { panic(supported()) }
