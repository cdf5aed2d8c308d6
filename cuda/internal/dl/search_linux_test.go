package dl

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

var libraries atomic.Int32

// newSpec names a library that nobody has. Every test needs another one, since the dynamic linker knows those it has opened.
func newSpec() (base string, spec Spec) {
	base = fmt.Sprintf("libfake%d", libraries.Add(1))
	return base, Spec{
		Name:      "Fake",
		Sonames:   []string{base + ".so.13", base + ".so.12"},
		CUDAMajor: true,
		Preload:   []string{base + "-parts.so.*"},
		How:       "ask for it",
	}
}

// empty hides the machine's own Python and CUDA from the search.
func empty(t *testing.T) (root string) {
	root = t.TempDir()
	for _, name := range []string{PathVariable, "DESCENT_PYTHON", "CUDA_HOME", "CUDA_PATH", "VIRTUAL_ENV", "CONDA_PREFIX"} {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", filepath.Join(root, "home"))
	t.Setenv("PATH", os.Getenv("PATH")) // restored at the end
	return root
}

// fake builds a library whose function version returns number.
func fake(t *testing.T, file string, number int) {
	t.Helper()
	source := filepath.Join(t.TempDir(), "fake.c")
	if err := os.WriteFile(source, fmt.Appendf(nil, "int version(void) { return %d; }\n", number), 0o644); err != nil {
		t.Fatal(err)
	}
	build(t, file, source)
}

func expect(t *testing.T, spec Spec, path string, number int) {
	t.Helper()
	lib, err := Open(spec)
	if err != nil {
		t.Fatal(err)
	}
	if lib.Path != path {
		t.Errorf("opened %s, want %s", lib.Path, path)
	}
	if got := int(Call(lib.Sym("version"))); got != number {
		t.Errorf("the library is version %d, want %d", got, number)
	}
}

func TestFindsLibrariesWherePeopleHaveThem(t *testing.T) {
	target := map[string]string{"amd64": "x86_64-linux", "arm64": "sbsa-linux"}[runtime.GOARCH]
	for _, c := range []struct {
		name, variable, root, folder, soname string
	}{
		{"a folder in DESCENT_CUDA_PATH", PathVariable, "any", "any", ".so.13"},
		{"site-packages in DESCENT_CUDA_PATH", PathVariable, "site", "site/nvidia/cu13/lib", ".so.13"},
		{"a toolkit in DESCENT_CUDA_PATH", PathVariable, "cuda", "cuda/lib64", ".so.12"},
		{"a toolkit", "CUDA_HOME", "cuda", "cuda/lib64", ".so.13"},
		{"a toolkit by another name", "CUDA_PATH", "cuda", "cuda/lib64", ".so.12"},
		{"a toolkit for several targets", "CUDA_HOME", "cuda", "cuda/targets/" + target + "/lib", ".so.13"},
		{"wheels of CUDA 13", "VIRTUAL_ENV", "venv", "venv/lib/python3.12/site-packages/nvidia/cu13/lib", ".so.13"},
		{"wheels of CUDA 12: NVRTC", "VIRTUAL_ENV", "venv", "venv/lib/python3.9/site-packages/nvidia/cuda_nvrtc/lib", ".so.12"},
		{"wheels of CUDA 12: cuBLAS", "VIRTUAL_ENV", "venv", "venv/lib/python3.9/site-packages/nvidia/cublas/lib", ".so.12"},
		{"wheels of cuDNN", "VIRTUAL_ENV", "venv", "venv/lib/python3.12/site-packages/nvidia/cudnn/lib", ".so.13"},
		{"wheels of NCCL", "VIRTUAL_ENV", "venv", "venv/lib64/python3.12/site-packages/nvidia/nccl/lib", ".so.13"},
		{"wheels in conda", "CONDA_PREFIX", "conda", "conda/lib/python3.11/site-packages/nvidia/cu13/lib", ".so.13"},
		{"conda's packages", "CONDA_PREFIX", "conda", "conda/lib", ".so.12"},
		{"an environment in the home folder", "HOME", "home", "home/.venv/lib/python3.12/site-packages/nvidia/cu13/lib", ".so.13"},
		{"pip install --user", "HOME", "home", "home/.local/lib/python3.12/site-packages/nvidia/cublas/lib", ".so.12"},
		{"a conda environment in the home folder", "HOME", "home", "home/miniconda3/envs/x/lib/python3.12/site-packages/nvidia/cu13/lib", ".so.13"},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := empty(t)
			base, spec := newSpec()
			file := filepath.Join(root, c.folder, base+c.soname)
			fake(t, file, 7)
			if err := os.MkdirAll(filepath.Join(root, "conda/conda-meta"), 0o755); err != nil {
				t.Fatal(err)
			}
			t.Setenv(c.variable, filepath.Join(root, c.root))
			expect(t, spec, file, 7)
		})
	}
}

func TestFindsWheelsOfThePythonOnPathWithoutStartingIt(t *testing.T) {
	root := empty(t)
	base, spec := newSpec()
	file := filepath.Join(root, "env/lib/python3.12/site-packages/nvidia/cu13/lib", base+".so.13")
	fake(t, file, 1)
	started := filepath.Join(root, "started")
	python := filepath.Join(root, "env/bin/python3")
	write(t, python, "#!/bin/sh\ntouch "+started+"\n")
	if err := os.Chmod(python, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", filepath.Dir(python)+":"+os.Getenv("PATH"))
	expect(t, spec, file, 1)
	if !missingFile(started) {
		t.Error("the python was started")
	}
}

func TestFoldersInThePathVariableComeFirstAndInOrder(t *testing.T) {
	root := empty(t)
	base, spec := newSpec()
	fake(t, filepath.Join(root, "b", base+".so.13"), 2)
	fake(t, filepath.Join(root, "c", base+".so.13"), 3)
	fake(t, filepath.Join(root, "toolkit/lib64", base+".so.13"), 4)
	t.Setenv("CUDA_HOME", filepath.Join(root, "toolkit"))
	t.Setenv(PathVariable, strings.Join([]string{filepath.Join(root, "a"), "", filepath.Join(root, "b"), filepath.Join(root, "c")}, ":"))
	expect(t, spec, filepath.Join(root, "b", base+".so.13"), 2)
}

func TestTakesTheNewestVersionOfAFolder(t *testing.T) {
	root := empty(t)
	base, spec := newSpec()
	fake(t, filepath.Join(root, base+".so.12"), 12)
	fake(t, filepath.Join(root, base+".so.13"), 13)
	t.Setenv(PathVariable, root)
	expect(t, spec, filepath.Join(root, base+".so.13"), 13)
}

func TestPassesOverLibrariesNewerThanTheDriver(t *testing.T) {
	root := empty(t)
	base, spec := newSpec()
	fake(t, filepath.Join(root, base+".so.13"), 13)
	t.Setenv(PathVariable, root)
	LimitMajor(12)
	defer LimitMajor(0)

	_, err := Open(spec)
	var missing *NotFoundError
	want := filepath.Join(root, base+".so.13") + " (newer than the driver, which supports CUDA 12)"
	if !errors.As(err, &missing) || !slices.Contains(missing.Other, want) {
		t.Errorf("the error does not say %q: %v", want, err)
	}
	fake(t, filepath.Join(root, base+".so.12"), 12)
	expect(t, spec, filepath.Join(root, base+".so.12"), 12)
}

func TestPartsBesideALibraryAreOpenedFirst(t *testing.T) {
	root := empty(t)
	base, spec := newSpec()
	fake(t, filepath.Join(root, base+"-parts.so.13.2"), 9)
	source := filepath.Join(root, "main.c")
	write(t, source, fmt.Sprintf(`#include <dlfcn.h>
int version(void) {
	void *h = dlopen("%s-parts.so.13.2", RTLD_NOW); // by plain name, as NVRTC does
	if (!h) return 0;
	int (*f)(void) = dlsym(h, "version");
	return f();
}`, base))
	build(t, filepath.Join(root, base+".so.13"), source, "-ldl")
	t.Setenv(PathVariable, root)
	expect(t, spec, filepath.Join(root, base+".so.13"), 9)
}

func TestLibrariesThatAreNeededAreOpenedFirst(t *testing.T) {
	root := empty(t)
	needed, needs := newSpec()
	base, spec := newSpec()
	spec.Needs = []Spec{needs}
	fake(t, filepath.Join(root, "other/lib64", needed+".so.13"), 5)
	source := filepath.Join(root, "main.c")
	write(t, source, fmt.Sprintf("#include <dlfcn.h>\nint version(void) { return dlopen(\"%s.so.13\", RTLD_NOW) ? 6 : 0; }", needed))
	build(t, filepath.Join(root, base+".so.13"), source, "-ldl")
	t.Setenv(PathVariable, root)
	t.Setenv("CUDA_HOME", filepath.Join(root, "other"))
	expect(t, spec, filepath.Join(root, base+".so.13"), 6)
}

// The dynamic linker reads LD_LIBRARY_PATH when a program starts, so that this needs a program of its own.
func TestFindsLibrariesOnLDLibraryPath(t *testing.T) {
	const child = "DL_TEST_SONAME"
	if soname := os.Getenv(child); soname != "" {
		lib, err := Open(Spec{Name: "Fake", Sonames: []string{soname}})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("path", lib.Path, "version", Call(lib.Sym("version")))
		return
	}
	root := empty(t)
	base, _ := newSpec()
	file := filepath.Join(root, base+".so.13")
	fake(t, file, 8)
	cmd := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+root, child+"="+base+".so.13")
	out, err := cmd.CombinedOutput()
	if want := fmt.Sprintf("path %s version 8", file); err != nil || !strings.Contains(string(out), want) {
		t.Errorf("%v: %s\nwant %q", err, out, want)
	}
}

func TestMissingLibraryErrorNamesWhatWasSearched(t *testing.T) {
	root := empty(t)
	base, spec := newSpec()
	toolkit := filepath.Join(root, "cuda/lib64")
	if err := os.MkdirAll(toolkit, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CUDA_HOME", filepath.Join(root, "cuda"))
	t.Setenv(PathVariable, filepath.Join(root, "nowhere"))
	_, err := Open(spec)
	var missing *NotFoundError
	if !errors.As(err, &missing) {
		t.Fatalf("error %v, want a NotFoundError", err)
	}
	want := []string{filepath.Join(root, "nowhere"), "the dynamic linker's paths", toolkit}
	if len(missing.Searched) < 3 || !slices.Equal(missing.Searched[:3], want) {
		t.Errorf("searched %q, want first %q", missing.Searched, want)
	}
	for _, part := range []string{"Fake", base + ".so.13", base + ".so.12", toolkit, "ask for it"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not name %q: %v", part, err)
		}
	}
}

func TestOtherMajorVersionsAreNamed(t *testing.T) {
	root := empty(t)
	base, spec := newSpec()
	spec.CUDAMajor = false
	fake(t, filepath.Join(root, base+".so.11"), 11)
	fake(t, filepath.Join(root, base+".so.14"), 14)
	t.Setenv(PathVariable, root)
	_, err := Open(spec)
	for _, soname := range []string{".so.11", ".so.14"} {
		want := filepath.Join(root, base+soname) + " (another major version)"
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q: %v", want, err)
		}
	}
}

func TestFilesThatCannotBeOpenedAreNamedAndPassedOver(t *testing.T) {
	root := empty(t)
	base, spec := newSpec()
	broken := filepath.Join(root, "broken", base+".so.13")
	write(t, broken, "this is no library")
	if err := os.MkdirAll(filepath.Join(root, "folder", base+".so.13"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(root, "dangling"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nothing", filepath.Join(root, "dangling", base+".so.13")); err != nil {
		t.Fatal(err)
	}
	folders := []string{filepath.Join(root, "broken"), filepath.Join(root, "folder"), filepath.Join(root, "dangling")}
	t.Setenv(PathVariable, strings.Join(folders, ":"))
	_, err := Open(spec)
	if err == nil || !strings.Contains(err.Error(), broken+": ") {
		t.Errorf("the error does not say why %s could not be opened: %v", broken, err)
	}

	fake(t, filepath.Join(root, "good", base+".so.13"), 3)
	t.Setenv(PathVariable, strings.Join(append(folders, filepath.Join(root, "good")), ":"))
	expect(t, spec, filepath.Join(root, "good", base+".so.13"), 3)
}

func TestBindNamesEveryMissingFunction(t *testing.T) {
	root := empty(t)
	base, spec := newSpec()
	fake(t, filepath.Join(root, base+".so.13"), 21)
	t.Setenv(PathVariable, root)
	lib, err := Open(spec)
	if err != nil {
		t.Fatal(err)
	}
	var good struct {
		version Func    `sym:"version"`
		address uintptr `sym:"version"`
		newer   Func    `sym:"future,optional"`
		other   int
	}
	if err := lib.Bind(&good); err != nil {
		t.Fatal(err)
	}
	if good.version.Name != "version" || Call(good.version.Addr) != 21 || Call(good.address) != 21 {
		t.Errorf("bound %+v", good)
	}
	if good.newer.Addr != 0 || good.newer.Name != "future" {
		t.Errorf("the optional function is bound to %+v", good.newer)
	}

	var bad struct {
		version Func `sym:"version"`
		a       Func `sym:"first"`
		b       Func `sym:"second"`
	}
	err = lib.Bind(&bad)
	var missing *SymbolError
	if !errors.As(err, &missing) || !slices.Equal(missing.Symbols, []string{"first", "second"}) {
		t.Errorf("error %v, want one about first and second", err)
	}
}

func TestNewerVersionsSortFirst(t *testing.T) {
	paths := []string{"/usr/local/cuda-9.2", "/usr/local/cuda-12.9", "/usr/local/cuda-13", "/usr/local/cuda-12.10"}
	slices.SortFunc(paths, newestFirst)
	want := []string{"/usr/local/cuda-13", "/usr/local/cuda-12.10", "/usr/local/cuda-12.9", "/usr/local/cuda-9.2"}
	if !slices.Equal(paths, want) {
		t.Errorf("order %q, want %q", paths, want)
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
