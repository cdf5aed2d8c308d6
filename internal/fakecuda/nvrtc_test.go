//go:build linux && amd64

package fakecuda_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/descent-ml/descent/cuda"
	"github.com/descent-ml/descent/cuda/nvrtc"
	"github.com/descent-ml/descent/internal/fakecuda"
)

// emptyCache has kernels compiled anew.
func emptyCache(t *testing.T) string {
	fakecuda.Libraries(t)
	dir := t.TempDir()
	t.Setenv("FAKECUDA_CACHE", dir)
	return dir
}

func openCompiler(t *testing.T) *nvrtc.Compiler {
	t.Helper()
	fakecuda.Libraries(t)
	c, err := nvrtc.Open()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCompilerErrorsNameTheProgramAndLine(t *testing.T) {
	c := openCompiler(t)
	_, log, err := c.Compile("#include \"a.cuh\"\n\nvoid f() { undeclared(); }", "mine.cu", map[string]string{"a.cuh": "#pragma once\nint a;"}, nil)
	if err == nil || !strings.Contains(log+err.Error(), "mine.cu:3") || !strings.Contains(log+err.Error(), "undeclared") {
		t.Errorf("error %v, log %q", err, log)
	}
	_, log, err = c.Compile("#include \"a.cuh\"\n", "mine.cu", map[string]string{"a.cuh": "#pragma once\n\nwrong"}, nil)
	if err == nil || !strings.Contains(log+err.Error(), "a.cuh:3") {
		t.Errorf("error %v, log %q", err, log)
	}
}

func TestWrongOptionsAreRefused(t *testing.T) {
	c := openCompiler(t)
	for _, o := range []string{"--gpu-architecture=sm_70", "--gpu-architecture=90", "--no-such-option"} {
		if _, _, err := c.Compile(vectorAdd, "add.cu", nil, []string{o}); err == nil {
			t.Errorf("%s was taken", o)
		}
	}
}

func TestDefinesAreWhatTheySay(t *testing.T) {
	r := newRig(t)
	emptyCache(t)
	c := openCompiler(t)
	out := r.alloc(4)
	for _, want := range []int32{1, 2} {
		image, _, err := c.Compile("extern \"C\" __global__ void run(int *x) { *x = A * B; }", "defines.cu", nil, []string{"--gpu-architecture=sm_90", "-DA=1", fmt.Sprint("-DB=", want)})
		r.must(err)
		m, err := r.LoadModule(image)
		r.must(err)
		f, err := m.Function("run")
		r.must(err)
		r.must(run(r, f, 1, 1, 0, out))
		if got := download[int32](r, out, 1)[0]; got != want {
			t.Errorf("B=%d gives %d", want, got)
		}
		r.must(m.Unload())
	}
}

func TestImagesOfOtherDevicesAndVersionsAreRefused(t *testing.T) {
	r := newRig(t)
	emptyCache(t)
	c := openCompiler(t)
	for _, arch := range []string{"sm_80", "sm_100"} {
		image, _, err := c.Compile(vectorAdd, "add.cu", nil, []string{"--gpu-architecture=" + arch})
		r.must(err)
		_, err = r.LoadModule(image)
		r.wants(err, cuda.ErrNoBinaryForGPU)
	}
	image, _, err := compile(vectorAdd)
	r.must(err)
	_, err = r.LoadModule(bytes.Replace(image, []byte("\npath "), []byte("\npaht "), 1))
	r.wants(err, cuda.ErrInvalidImage)
	at := bytes.Index(image, []byte("abi ")) + len("abi ")
	other := bytes.Clone(image)
	other[at] ^= 1
	_, err = r.LoadModule(other)
	r.wants(err, cuda.ErrNoBinaryForGPU)
	libraries, _ := filepath.Glob(filepath.Join(os.Getenv("FAKECUDA_CACHE"), "*.so"))
	for _, l := range libraries {
		r.must(os.Remove(l))
	}
	_, err = r.LoadModule(image)
	r.wants(err, cuda.ErrInvalidImage)
	image, _, err = compile(vectorAdd) // made anew
	r.must(err)
	m, err := r.LoadModule(image)
	r.must(err)
	defer m.Unload()
	_, err = m.Function("subtract")
	r.wants(err, cuda.ErrNotFound)
}

func TestPortableCodeRunsOnNewerDevices(t *testing.T) {
	r := newRig(t)
	image, _, err := openCompiler(t).Compile(vectorAdd, "add.cu", nil, []string{"--gpu-architecture=compute_75"})
	r.must(err)
	m, err := r.LoadModule(image)
	r.must(err)
	r.must(m.Unload())
}

// A header as kernels have it: macros of the program, a macro and a type of its own, static shared memory of a size that
// depends on the program.
const reverse = `
#pragma once
#define SCALE (N % 7)
struct Args { int *out; };
template <int n> __device__ int other(int x) {
	__shared__ int a[n];
	a[threadIdx.x] = x * SCALE;
	__syncthreads();
	return a[n - 1 - threadIdx.x];
}
#ifdef DESCENT_HOST
#define KERNEL(Args) extern "C" void run(const Args &args)
#else
#define KERNEL(Args) extern "C" __global__ void run(const __grid_constant__ Args args)
#endif`

func TestPrecompiledProgramsRun(t *testing.T) {
	r := newRig(t)
	dir := emptyCache(t)
	headers := map[string]string{"reverse.cuh": reverse, "run.cu": "#include \"reverse.cuh\"\nKERNEL(Args) { args.out[threadIdx.x] = other<N>(threadIdx.x); }"}
	options := []string{"--gpu-architecture=sm_90"}
	var programs []fakecuda.Program
	for n := 1; n <= 60; n++ {
		programs = append(programs, fakecuda.Program{Name: fmt.Sprint("reverse ", n), Source: fmt.Sprintf("#define N %d\n#include \"run.cu\"\n", n)})
	}
	fakecuda.Precompile(t, programs, headers, options)
	libraries, err := filepath.Glob(filepath.Join(dir, "*.so"))
	r.must(err)
	if len(libraries) == 0 || len(libraries) > len(programs)/10 {
		t.Errorf("%d programs are in %d libraries", len(programs), len(libraries))
	}
	out := r.alloc(64 * 4)
	c := openCompiler(t)
	for i, p := range programs {
		n := i + 1
		image, _, err := c.Compile(p.Source, p.Name, headers, options)
		r.must(err)
		m, err := r.LoadModule(image)
		r.must(err)
		f, err := m.Function("run")
		r.must(err)
		if shared, err := f.Attribute(cuda.FunctionSharedBytes); shared != 4*n || err != nil {
			t.Errorf("%d bytes of shared memory, want %d; error %v", shared, 4*n, err)
		}
		r.must(run(r, f, 1, n, 0, out))
		for j, v := range download[int32](r, out, n) {
			if want := int32((n - 1 - j) * (n % 7)); v != want {
				t.Fatalf("program %d: out[%d] = %d, want %d", n, j, v, want)
			}
		}
		r.must(m.Unload())
	}
	if after, _ := filepath.Glob(filepath.Join(dir, "*.so")); len(after) != len(libraries) {
		t.Errorf("%d libraries after compiling what was precompiled, %d before", len(after), len(libraries))
	}
}

func TestAProgramThatDoesNotCompileIsLeftToNVRTC(t *testing.T) {
	emptyCache(t)
	programs := []fakecuda.Program{{"good", "extern \"C\" __global__ void run(int *x) { *x = 1; }"}, {"bad", "extern \"C\" __global__ void run(int *x) { y = 1; }"}}
	fakecuda.Precompile(t, programs, nil, nil)
	c := openCompiler(t)
	if _, _, err := c.Compile(programs[0].Source, "good", nil, nil); err != nil {
		t.Error(err)
	}
	_, _, err := c.Compile(programs[1].Source, "bad", nil, nil)
	var failed *nvrtc.Error
	if !errors.As(err, &failed) || !strings.Contains(err.Error(), "bad:1") {
		t.Errorf("error %v", err)
	}
}
