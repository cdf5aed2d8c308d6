package nvrtc

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/descent-ml/descent/cuda/internal/dl"
)

const add = `extern "C" __global__ void add(float *out, const float *x, const float *y, int n) {
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i < n) out[i] = x[i] + y[i];
}`

// folders of the compiler in NVIDIA's wheels, by CUDA's major version.
var folders = map[int]string{13: "cu13", 12: "cuda_nvrtc"}

// wheel returns the folder of the compiler of a version below DESCENT_PYTHON, or skips the test.
func wheel(t *testing.T, major int) string {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("NVRTC is bound on Linux only")
	}
	python := os.Getenv("DESCENT_PYTHON")
	if python == "" {
		t.Skip("needs NVIDIA's compiler: run make test, or set DESCENT_PYTHON to the Python that scripts/venv prints")
	}
	site := filepath.Join(filepath.Dir(filepath.Dir(python)), "lib/python3*/site-packages")
	found, _ := filepath.Glob(filepath.Join(site, "nvidia", folders[major], "lib", fmt.Sprintf("libnvrtc.so.%d", major)))
	if len(found) == 0 {
		t.Skipf("%s has no NVRTC %d: scripts/venv installs it", python, major)
	}
	return filepath.Dir(found[0])
}

func compiler(t *testing.T, major int) *Compiler {
	t.Helper()
	t.Setenv(dl.PathVariable, wheel(t, major))
	dl.LimitMajor(major)
	defer dl.LimitMajor(0)
	c, err := open()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// each runs a test with the compiler of CUDA 13 and that of CUDA 12.
func each(t *testing.T, test func(t *testing.T, c *Compiler)) {
	for _, major := range []int{13, 12} {
		t.Run(fmt.Sprintf("CUDA%d", major), func(t *testing.T) { test(t, compiler(t, major)) })
	}
}

func TestCompilesForEveryArchitectureItKnows(t *testing.T) {
	each(t, func(t *testing.T, c *Compiler) {
		archs, err := c.Archs()
		if err != nil || !slices.IsSorted(archs) {
			t.Fatalf("architectures %v, %v", archs, err)
		}
		names := []string{"90a"}
		for _, arch := range archs {
			names = append(names, fmt.Sprint(arch))
		}
		for _, want := range []string{"75", "80", "86", "89", "90", "100", "120"} {
			if !slices.Contains(names, want) {
				t.Errorf("architecture %s is not among %v", want, names)
			}
		}
		for _, arch := range names {
			cubin, log, err := c.Compile(add, "add.cu", nil, []string{"--gpu-architecture=sm_" + arch, "--std=c++17"})
			deprecated := strings.Contains(log, "deprecated") // what it says about the oldest
			if err != nil || log != "" && !deprecated {
				t.Errorf("sm_%s: %v %s", arch, err, log)
				continue
			}
			// Not debug/elf: CUDA 12's files have a version of ELF that is their own.
			const cuda = 190 // EM_CUDA
			if !bytes.HasPrefix(cubin, []byte(elf.ELFMAG)) || binary.LittleEndian.Uint16(cubin[18:]) != cuda || !bytes.Contains(cubin, []byte(".text.add")) {
				t.Errorf("sm_%s: no cubin with add in it", arch)
			}
		}
	})
}

func TestVersionIsTheLibrarys(t *testing.T) {
	for major := range folders {
		c := compiler(t, major)
		if got, _ := c.Version(); got != major || !strings.Contains(c.Path(), fmt.Sprintf("libnvrtc.so.%d", major)) {
			t.Errorf("%s is version %d, want %d", c.Path(), got, major)
		}
	}
}

func TestHeadersComeFromMemory(t *testing.T) {
	each(t, func(t *testing.T, c *Compiler) {
		headers := map[string]string{"one.h": "#include \"sub/two.h\"\n#define ONE TWO", "sub/two.h": "#define TWO 2"}
		options := []string{"--gpu-architecture=sm_80"}
		source := "#include \"one.h\"\nstatic_assert(ONE == 2, \"\");"
		if _, log, err := c.Compile(source, "a.cu", headers, options); err != nil {
			t.Errorf("%v %s", err, log)
		}
		delete(headers, "sub/two.h")
		_, _, err := c.Compile(source, "a.cu", headers, options)
		if err == nil || !strings.Contains(err.Error(), "two.h") {
			t.Errorf("the error does not name the missing header: %v", err)
		}
	})
}

func TestErrorsNameTheLine(t *testing.T) {
	each(t, func(t *testing.T, c *Compiler) {
		cubin, log, err := c.Compile("\nextern \"C\" __global__ void f() { undeclared(); }", "wrong.cu", nil, []string{"--gpu-architecture=sm_80"})
		if !errors.Is(err, ErrCompilation) || cubin != nil {
			t.Fatalf("error %v, want ErrCompilation", err)
		}
		for _, part := range []string{"wrong.cu(2): error", "undeclared", "NVRTC_ERROR_COMPILATION"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("the error lacks %q: %v", part, err)
			}
		}
		if !strings.Contains(log, "undeclared") {
			t.Errorf("the log is %q", log)
		}
	})
}

func TestWarningsAreInTheLog(t *testing.T) {
	each(t, func(t *testing.T, c *Compiler) {
		cubin, log, err := c.Compile("extern \"C\" __global__ void f() { int unused; }", "warn.cu", nil, []string{"--gpu-architecture=sm_80"})
		if err != nil || len(cubin) == 0 {
			t.Fatal(err)
		}
		if !strings.Contains(log, "warn.cu(1): warning") {
			t.Errorf("the log is %q", log)
		}
	})
}

func TestWrongOptionsAreErrors(t *testing.T) {
	each(t, func(t *testing.T, c *Compiler) {
		for _, option := range []string{"--gpu-architecture=sm_1", "--nonsense"} {
			_, _, err := c.Compile(add, "add.cu", nil, []string{option})
			if !errors.Is(err, ErrInvalidOption) || !strings.Contains(err.Error(), "add.cu") {
				t.Errorf("%s: error %v, want ErrInvalidOption with the file's name", option, err)
			}
		}
	})
}

func TestVirtualArchitecturesGivePTX(t *testing.T) {
	each(t, func(t *testing.T, c *Compiler) {
		ptx, _, err := c.Compile(add, "add.cu", nil, []string{"--gpu-architecture=compute_90"})
		if err != nil || !strings.Contains(string(ptx), ".target sm_90") || !strings.Contains(string(ptx), ".entry add") {
			t.Errorf("%v: %.200s", err, ptx)
		}
	})
}

func TestGoroutinesCompileAtOnce(t *testing.T) {
	c := compiler(t, 13)
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			name := fmt.Sprintf("f%d", i)
			cubin, _, err := c.Compile(fmt.Sprintf("extern \"C\" __global__ void %s() {}", name), name+".cu", nil, []string{"--gpu-architecture=sm_90"})
			if err != nil || !bytes.Contains(cubin, []byte(".text."+name)) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	all.Wait()
}

// The compiler opens its builtins by plain name: ours must be open before, and those of another version must not do harm. A
// process that once had them keeps them, so that each case needs its own.
func TestBuiltins(t *testing.T) {
	const variable = "NVRTC_TEST_CHILD"
	if os.Getenv(variable) != "" {
		c, err := Open()
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = c.Compile(add, "add.cu", nil, []string{"--gpu-architecture=sm_90"})
		fmt.Printf("from %s: %v\n", c.Path(), err)
		return
	}
	thirteen, twelve := wheel(t, 13), wheel(t, 12)
	good, _ := filepath.Glob(filepath.Join(thirteen, "libnvrtc-builtins.so.13.*"))
	stale, _ := filepath.Glob(filepath.Join(twelve, "libnvrtc-builtins.so.12.*"))
	if len(good) == 0 || len(stale) == 0 {
		t.Fatalf("builtins %q and %q", good, stale)
	}
	for name, c := range map[string]struct {
		builtins []string
		want     string
	}{
		"beside it":         {good, ": <nil>"},
		"two versions":      {append(stale, good...), ": <nil>"},
		"a stale one alone": {stale, "NVRTC_ERROR_BUILTIN_OPERATION_FAILURE"},
		"none":              {nil, "NVRTC_ERROR_BUILTIN_OPERATION_FAILURE"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, file := range append([]string{filepath.Join(thirteen, "libnvrtc.so.13")}, c.builtins...) {
				if err := os.Symlink(file, filepath.Join(dir, filepath.Base(file))); err != nil {
					t.Fatal(err)
				}
			}
			cmd := exec.Command(os.Args[0], "-test.run", "^TestBuiltins$")
			cmd.Env = append(os.Environ(), variable+"=1", dl.PathVariable+"="+dir)
			out, err := cmd.CombinedOutput()
			if want := "from " + dir; err != nil || !strings.Contains(string(out), want) || !strings.Contains(string(out), c.want) {
				t.Errorf("%v: %s\nwant %q and %q", err, out, want, c.want)
			}
		})
	}
}
