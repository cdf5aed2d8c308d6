//go:build linux && (amd64 || arm64)

package dl

import (
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"
)

func supported() error { return nil }

// open opens a library, whose names stay its own: two versions do not mix.
func open(file string) (uintptr, error) {
	runtime.LockOSThread() // dlerror speaks of its own thread
	defer runtime.UnlockOSThread()
	return purego.Dlopen(file, purego.RTLD_NOW|purego.RTLD_LOCAL)
}

// openPart opens a part of a library that is opened next, which sees its names.
func openPart(file string) { purego.Dlopen(file, purego.RTLD_NOW|purego.RTLD_GLOBAL) }

func symbol(handle uintptr, name string) uintptr {
	addr, err := purego.Dlsym(handle, name)
	if err != nil {
		return 0
	}
	return addr
}

// filename returns the path of the file behind a handle, or the name it was opened by if that cannot be learnt.
func filename(handle uintptr, name string) string {
	const linkMap = 2 // RTLD_DI_LINKMAP
	dlinfo := symbol(purego.RTLD_DEFAULT, "dlinfo")
	if dlinfo == 0 {
		return name
	}
	var m *struct {
		addr uintptr
		name *byte
	}
	if Call(dlinfo, Int(handle), Int(linkMap), Ptr(&m)) != 0 || m == nil || m.name == nil || *m.name == 0 {
		return name
	}
	return String(unsafe.Pointer(m.name))
}
