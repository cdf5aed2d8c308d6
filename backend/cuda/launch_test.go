package cuda

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/cuda/nvrtc"
	"github.com/descent-ml/descent/internal/fakecuda"
)

func TestALaunchRunsTheKernel(t *testing.T) {
	d := testDevice(t, Options{})
	x := d.floats(t, ramp(1000, 1)...)
	defer x.Free()
	must(t, d.add(x, 0.5))
	must(t, d.add(x, 1))
	if got, want := d.values(t, x), ramp(1000, 2.5); !same(got, want) {
		t.Errorf("[1 2 …] and 0.5 and 1 are %v…", got[:4])
	}
	if s := fakecuda.Stats(); s.Calls["nvrtcCompileProgram"] != 1 {
		t.Errorf("one kernel was compiled %d times", s.Calls["nvrtcCompileProgram"])
	}
}

func TestALaunchAllocatesNothing(t *testing.T) {
	countOnly(t)
	d := testDevice(t, Options{})
	b, err := d.Alloc(4000)
	must(t, err)
	defer b.Free()
	must(t, d.add(b.(*buffer), 1))
	if n := testing.AllocsPerRun(100, func() { d.add(b.(*buffer), 1) }); n > 0 {
		t.Errorf("a launch makes %v allocations of Go's", n)
	}
}

func BenchmarkLaunch(b *testing.B) {
	countOnly(b)
	d := testDevice(b, Options{})
	x, err := d.Alloc(4000)
	must(b, err)
	defer x.Free()
	must(b, d.add(x.(*buffer), 1))
	b.ReportAllocs()
	for b.Loop() {
		d.add(x.(*buffer), 1)
	}
}

func TestAKernelIsCompiledOnceForAll(t *testing.T) {
	d := testDevice(t, Options{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			x := d.floats(t, 1, 2, 3)
			defer x.Free()
			if err := d.add(x, 1); err != nil {
				t.Error(err)
			}
			if got := d.values(t, x); !same(got, []float32{2, 3, 4}) {
				t.Errorf("[1 2 3] and 1 are %v", got)
			}
		})
	}
	wg.Wait()
	if n := fakecuda.Stats().Calls["nvrtcCompileProgram"]; n != 1 {
		t.Errorf("8 goroutines had one kernel compiled %d times", n)
	}
}

// compilations opens a device on a folder of kernels, has it run one, and returns
// how often it compiled.
func compilations(t *testing.T, dir string) int64 {
	t.Helper()
	var n int64
	t.Run("Device", func(t *testing.T) {
		d := testDevice(t, Options{CacheDir: dir})
		x := d.floats(t, 1)
		must(t, d.add(x, 1))
		if got := d.values(t, x); got[0] != 2 {
			t.Errorf("1 and 1 are %v", got)
		}
		x.Free()
		n = fakecuda.Stats().Calls["nvrtcCompileProgram"]
	})
	return n
}

func TestCompiledKernelsAreKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	if n := compilations(t, dir); n != 1 {
		t.Errorf("the first device compiles %d times", n)
	}
	if n := compilations(t, dir); n != 0 {
		t.Errorf("the next device compiles %d times", n)
	}
	files, err := os.ReadDir(dir)
	must(t, err)
	if len(files) != 1 {
		t.Fatalf("the folder has %d files", len(files))
	}
	path := filepath.Join(dir, files[0].Name())
	whole, err := os.ReadFile(path)
	must(t, err)
	spoilt := map[string][]byte{"empty": {}, "cut": whole[:len(whole)-1], "short": whole[:10], "longer": append(whole[:len(whole):len(whole)], 0)}
	flipped := []byte(string(whole))
	flipped[len(whole)/2] ^= 1
	spoilt["flipped"] = flipped
	// A right checksum of what is no image.
	writeImage(path, []byte("no image"))
	wrong, err := os.ReadFile(path)
	must(t, err)
	spoilt["foreign"] = wrong
	for name, file := range spoilt {
		must(t, os.WriteFile(path, file, 0o600))
		if n := compilations(t, dir); n != 1 {
			t.Errorf("with a file that is %s it compiles %d times", name, n)
		}
		if again, err := os.ReadFile(path); err != nil || string(again) != string(whole) {
			t.Errorf("the file that was %s is not written anew (%v)", name, err)
		}
	}
	t.Run("Off", func(t *testing.T) {
		t.Setenv("DESCENT_CUDA_CACHE", "off")
		if n := compilations(t, dir); n != 1 {
			t.Errorf("without the folder it compiles %d times", n)
		}
	})
	t.Run("NoFolder", func(t *testing.T) {
		if n := compilations(t, filepath.Join(path, "below a file")); n != 1 {
			t.Errorf("with a folder that cannot be it compiles %d times", n)
		}
	})
}

// TestWhatAKernelIsMadeOfDecidesItsFile changes each part.
func TestWhatAKernelIsMadeOfDecidesItsFile(t *testing.T) {
	testDevice(t, Options{})
	dir := t.TempDir()
	count := func() int {
		files, err := os.ReadDir(dir)
		must(t, err)
		return len(files)
	}
	want := 0
	for _, arch := range []int{80, 90} {
		c, err := newCompiler(arch, dir)
		must(t, err)
		for _, k := range []spec{testSpec, {file: "test.cu", op: "Other"}, {file: "test.cu", op: "Test", variant: 1}, {file: "test.cu", op: "Test", u: 2}} {
			_, cached, err := c.image(k, unsafe.Sizeof(testArgs{}), true)
			must(t, err)
			if want++; cached || count() != want {
				t.Errorf("%v for sm_%d: cached %t, %d files, want %d", k, arch, cached, count(), want)
			}
		}
	}
}

func TestAKernelThatDoesNotCompileSaysWhy(t *testing.T) {
	d := testDevice(t, Options{})
	var args testArgs
	err := d.launch(brokenSpec, d.grid(1, 256), 256, 0, unsafe.Pointer(&args), unsafe.Sizeof(args))
	if !errors.Is(err, nvrtc.ErrCompilation) {
		t.Fatalf("a kernel with an error: %v", err)
	}
	for _, part := range []string{"cuda:0", "broken.cu Broken f32", "Nothing", "broken.cu"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
	x := d.floats(t, 1)
	defer x.Free()
	must(t, d.add(x, 1)) // others go on
}

func TestArgumentsOfAnotherSizeAreAnError(t *testing.T) {
	d := testDevice(t, Options{})
	x := d.floats(t, 1)
	defer x.Free()
	must(t, d.add(x, 1))
	var args [100]byte
	if err := d.launch(testSpec, d.grid(1, 256), 256, 0, unsafe.Pointer(&args), 100); err == nil {
		t.Error("100 bytes of arguments are taken by a kernel of 40")
	}
}

func TestMuchSharedMemoryIsAskedFor(t *testing.T) {
	countOnly(t)
	d := testDevice(t, Options{})
	b, err := d.Alloc(4)
	must(t, err)
	defer b.Free()
	args := testArgs{x: b.(*buffer).use(), n: 1, error: d.errorWord()}
	for _, shared := range []uint32{40 << 10, 100 << 10, 60 << 10} {
		must(t, d.launch(testSpec, d.grid(1, 256), 256, shared, unsafe.Pointer(&args), unsafe.Sizeof(args)))
	}
	if n := fakecuda.Stats().Calls["cuFuncSetAttribute"]; n != 1 {
		t.Errorf("launches with 40, 100 and 60 KiB ask for shared memory %d times", n)
	}
	if err := d.launch(testSpec, d.grid(1, 256), 256, 10<<20, unsafe.Pointer(&args), unsafe.Sizeof(args)); err == nil {
		t.Error("10 MiB of shared memory are no error")
	}
	must(t, d.add(b.(*buffer), 1))
}

func TestWarmupCompilesAhead(t *testing.T) {
	countOnly(t)
	dir := t.TempDir()
	d := testDevice(t, Options{CacheDir: dir})
	err := d.Warmup(backend.Int8)
	if !errors.Is(err, nvrtc.ErrCompilation) || strings.Count(err.Error(), "cuda:0: kernel") != 1 || !strings.Contains(err.Error(), brokenSpec.String()) {
		t.Errorf("one kernel is broken: %v", err)
	}
	n := fakecuda.Stats().Calls["nvrtcCompileProgram"]
	x, err := d.Alloc(100)
	must(t, err)
	defer x.Free()
	a := backend.Array{Buf: x, DType: backend.Int8, Shape: []int{100}, Strides: []int{1}}
	must(t, d.Unary(backend.Neg, a, a, backend.Params{}))
	must(t, d.Binary(backend.Add, a, a, a, backend.Params{}))
	if after := fakecuda.Stats().Calls["nvrtcCompileProgram"]; n < 50 || after != n {
		t.Errorf("Warmup compiles %d kernels, and ops after it %d", n, after-n)
	}
	a.DType = backend.Int16
	must(t, d.Unary(backend.Neg, a, a, backend.Params{}))
	if after := fakecuda.Stats().Calls["nvrtcCompileProgram"]; after != n+1 {
		t.Errorf("an op of another dtype compiles %d kernels", after-n)
	}
}
