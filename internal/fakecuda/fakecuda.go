//go:build linux && amd64

package fakecuda

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/ebitengine/purego"
)

// driver is the part of the fake libcuda.so.1 that is not in NVIDIA's.
var driver struct {
	once      sync.Once
	err       error
	folder    string
	configure func(name string, value int64) int32
	fault     func(call string, nth, code int32)
	reset     func()
	stats     func() string

	nvrtc      sync.Once
	precompile func(n int32, names, sources unsafe.Pointer, headers int32, headerNames, headerTexts unsafe.Pointer, options int32, option unsafe.Pointer) int32
}

func load() error {
	driver.once.Do(func() {
		driver.folder, driver.err = build()
		if driver.err != nil {
			return
		}
		var lib uintptr
		lib, driver.err = purego.Dlopen(filepath.Join(driver.folder, "libcuda.so.1"), purego.RTLD_NOW|purego.RTLD_LOCAL)
		if driver.err != nil {
			return
		}
		purego.RegisterLibFunc(&driver.configure, lib, "fakecuda_configure")
		purego.RegisterLibFunc(&driver.fault, lib, "fakecuda_fault")
		purego.RegisterLibFunc(&driver.reset, lib, "fakecuda_reset")
		purego.RegisterLibFunc(&driver.stats, lib, "fakecuda_stats")
		cache, _ := cacheFolder()
		if os.Getenv("FAKECUDA_CACHE") == "" {
			os.Setenv("FAKECUDA_CACHE", filepath.Join(cache, "kernels"))
		}
	})
	return driver.err
}

// Libraries builds the fake libraries, has the search of package cuda find them (DESCENT_CUDA_PATH, for the rest of the
// process) and returns their folder. It skips the test if there is no C++ compiler.
func Libraries(t testing.TB) string {
	t.Helper()
	if _, err := exec.LookPath(compiler()); err != nil {
		t.Skipf("the fake CUDA libraries need g++, which is not here: install it (Debian, Ubuntu: sudo apt-get install g++)")
	}
	if err := load(); err != nil {
		t.Fatal(err)
	}
	os.Setenv("DESCENT_CUDA_PATH", driver.folder)
	return driver.folder
}

// Program is a kernel's source, and its name as nvrtc.Compile is told.
type Program struct{ Name, Source string }

// Precompile compiles programs that share headers, many in one run of g++ and on all cores, so that NVRTC finds them done:
// one by one they take twice as long. A program that does not compile is left to NVRTC, which says why.
func Precompile(t testing.TB, programs []Program, headers map[string]string, options []string) {
	t.Helper()
	Libraries(t)
	var names, sources, headerNames, headerTexts []string
	for _, p := range programs {
		names, sources = append(names, p.Name), append(sources, p.Source)
	}
	for name, text := range headers {
		headerNames, headerTexts = append(headerNames, name), append(headerTexts, text)
	}
	lists := [][]string{names, sources, headerNames, headerTexts, options}
	var keep runtime.Pinner
	defer keep.Unpin()
	var args [5]unsafe.Pointer
	for i, list := range lists {
		pointers := make([]*byte, len(list)+1)
		for j, s := range list {
			pointers[j] = unsafe.SliceData(append([]byte(s), 0))
			keep.Pin(pointers[j])
		}
		args[i] = unsafe.Pointer(&pointers[0])
		keep.Pin(args[i])
	}
	driver.nvrtc.Do(func() {
		lib, err := purego.Dlopen(filepath.Join(driver.folder, "libnvrtc.so.13"), purego.RTLD_NOW|purego.RTLD_LOCAL)
		if err != nil {
			panic(err)
		}
		purego.RegisterLibFunc(&driver.precompile, lib, "fakecuda_precompile")
	})
	code := driver.precompile(int32(len(names)), args[0], args[1], int32(len(headerNames)), args[2], args[3], int32(len(options)), args[4])
	if code != 0 {
		t.Fatalf("fakecuda: precompiling with options %q: NVRTC result %d", options, code)
	}
}

func must() {
	if err := load(); err != nil {
		panic(err)
	}
}

// Mode says whether work is executed. It can only change while no device memory is allocated: it panics otherwise.
func Mode(e Execution) {
	must()
	for name, v := range map[string]bool{"counting": e == CountOnly, "eager": e == Eager} {
		n := int64(0)
		if v {
			n = 1
		}
		set(name, n)
	}
}

// Memory sets the bytes of device memory of every device.
func Memory(bytes int64) { set("memory", bytes) }

// Devices sets the number of devices and their compute capability, before cuInit.
func Devices(n, major, minor int) {
	set("devices", int64(n))
	set("major", int64(major))
	set("minor", int64(minor))
}

// Seed chooses the order of blocks, warps and lanes of the kernels that follow.
func Seed(seed int64) { set("seed", seed) }

func set(name string, value int64) {
	must()
	if code := driver.configure(name, value); code != 0 {
		panic(fmt.Sprintf("fakecuda: %s cannot be %d now (error %d)", name, value, code))
	}
}

// Fail makes the nth call from now on (1 is the next) of a function of any fake library fail with a code. The call "kernel"
// is the execution of a kernel. A code that loses the context (700, 719 and the like), from a function of the driver, makes
// every later call of the driver fail with it, until Reset.
func Fail(call string, nth, code int) {
	must()
	driver.fault(call, int32(nth), int32(code))
}

// Reset sets all counts to zero, forgets faults and lost contexts, and drops work that waits. Objects live on.
func Reset() {
	must()
	driver.reset()
}

// Stats returns the counts since Reset.
func Stats() Counts {
	must()
	s := Counts{Calls: map[string]int64{}, Launches: map[string]int64{}}
	counts := map[string]*int64{
		"count hostToDevice": &s.HostToDevice, "count deviceToHost": &s.DeviceToHost, "count deviceToDevice": &s.DeviceToDevice,
		"count set": &s.Set, "count copies": &s.Copies, "count sets": &s.Sets, "count syncs": &s.Syncs, "count replayed": &s.Replayed,
		"count peak": &s.Peak, "live allocations": &s.Live.Allocations, "live bytes": &s.Live.Bytes, "live pinned": &s.Live.Pinned,
		"live streams": &s.Live.Streams, "live events": &s.Live.Events, "live graphs": &s.Live.Graphs, "live modules": &s.Live.Modules,
	}
	for line := range strings.Lines(driver.stats()) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		n, err := strconv.ParseInt(f[len(f)-1], 10, 64)
		if err != nil || len(f) != 3 {
			panic("fakecuda: a line of statistics: " + line)
		}
		switch f[0] {
		case "call":
			s.Calls[f[1]] = n
		case "launch":
			s.Launches[f[1]] = n
		default:
			*counts[f[0]+" "+f[1]] = n
		}
	}
	return s
}
