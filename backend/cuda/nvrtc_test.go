package cuda

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/cuda/nvrtc"
)

// realNVRTC is the folder of NVIDIA's compiler of a CUDA version below
// DESCENT_PYTHON. It skips the test without one.
func realNVRTC(t *testing.T, major int) string {
	t.Helper()
	python := os.Getenv("DESCENT_PYTHON")
	if python == "" {
		t.Skip("needs NVIDIA's compiler: run make test, or set DESCENT_PYTHON to the Python that scripts/venv prints")
	}
	wheel := map[int]string{13: "cu13", 12: "cuda_nvrtc"}[major]
	pattern := filepath.Join(filepath.Dir(filepath.Dir(python)), "lib/python3*/site-packages/nvidia", wheel, "lib", fmt.Sprintf("libnvrtc.so.%d", major))
	found, _ := filepath.Glob(pattern)
	if len(found) == 0 {
		t.Skipf("there is no %s: scripts/venv installs it", pattern)
	}
	return filepath.Dir(found[0])
}

// Environment variables of the processes below.
const (
	compileShare = "DESCENT_TEST_COMPILE" // what one of them compiles: compiler, its number and how many there are
	compileAll   = "DESCENT_ALL_KERNELS"  // every spec for every architecture
)

// TestKernelsCompile compiles the catalogue with NVIDIA's compilers: all of it for
// sm_90 as it is shipped, and a part for each other architecture and by CUDA 12, which
// together are all of it once more, or all for all with DESCENT_ALL_KERNELS=1. A warning is a failure, and so is a register
// that is spilled on sm_90. What has been compiled is remembered in the user's cache
// folder.
//
// The compilers run in processes of their own, as one process loads one of them,
// and as two threads hardly compile faster than one.
func TestKernelsCompile(t *testing.T) {
	if share := os.Getenv(compileShare); share != "" {
		var major, number, of int
		if _, err := fmt.Sscan(share, &major, &number, &of); err != nil {
			t.Fatal(err)
		}
		compileShareOfCatalogue(t, major, number, of)
		return
	}
	for _, major := range []int{13, 12} {
		t.Run(fmt.Sprintf("CUDA%d", major), func(t *testing.T) {
			folder := realNVRTC(t, major)
			var wg sync.WaitGroup
			for i := range runtime.NumCPU() {
				wg.Go(func() {
					cmd := exec.Command(os.Args[0], "-test.run=^TestKernelsCompile$", "-test.v")
					cmd.Env = append(os.Environ(), "DESCENT_CUDA_PATH="+folder, fmt.Sprintf("%s=%d %d %d", compileShare, major, i, runtime.NumCPU()))
					out, err := cmd.CombinedOutput()
					if err != nil {
						t.Errorf("%v\n%s", err, out)
					} else {
						t.Logf("%.0f s of processor time\n%s", cmd.ProcessState.UserTime().Seconds(), out)
					}
				})
			}
			wg.Wait()
		})
	}
}

// target is an architecture for which specs are compiled: those whose number
// leaves part when divided by parts.
type target struct {
	arch, part int
	all        bool // every spec, and as it is shipped; else the machine code is not looked at
}

const parts = 7

// targets by CUDA's version.
var targets = map[int][]target{
	13: {{arch: 90, all: true}, {arch: 75, part: 0}, {arch: 80, part: 1}, {arch: 86, part: 2}, {arch: 89, part: 3}, {arch: 100, part: 4}, {arch: 120, part: 5}},
	12: {{arch: 90, part: 6}},
}

// takes reports whether spec number i is compiled. sm_75 takes all of bfloat16, which
// it converts by code of its own.
func (to target) takes(i int, k spec) bool {
	bf16 := k.t == backend.BFloat16 || k.u == backend.BFloat16 || k.v == backend.BFloat16
	return to.all || i%parts == to.part || to.arch < 80 && bf16 || os.Getenv(compileAll) != ""
}

func compileShareOfCatalogue(t *testing.T, major, number, of int) {
	nv, err := nvrtc.Open()
	if err != nil {
		t.Fatal(err)
	}
	if got, minor := nv.Version(); got != major {
		t.Fatalf("%s is of CUDA %d.%d, want %d", nv.Path(), got, minor, major)
	}
	for _, to := range targets[major] {
		begin := time.Now()
		known := openChecked(t, nv, to)
		options := []string{fmt.Sprintf("--gpu-architecture=sm_%d", to.arch), "--std=c++17", "-default-device"}
		if to.all {
			options = append(options, "--ptxas-options=-v")
		} else if major >= 13 {
			options = append(options, "--Ofast-compile=mid")
		}
		compiled, remembered, i := 0, 0, 0
		for _, family := range catalogue {
			for k, size := range family {
				i++
				if i%of != number || !to.takes(i/of, k) || k == brokenSpec {
					continue
				}
				source := k.source(size)
				key := sourceKey(k, source, options)
				if known.has[key] {
					remembered++
					continue
				}
				_, log, err := nv.Compile(source, k.String(), sources(k.file), options)
				if err != nil {
					t.Errorf("sm_%d: %v: %v", to.arch, k, err)
					continue
				}
				spilled, complaints := readLog(log)
				if complaints != "" {
					t.Errorf("sm_%d: %v: %s", to.arch, k, complaints)
				} else if spilled != 0 {
					t.Errorf("sm_%d: %v: %d bytes of registers are spilled", to.arch, k, spilled)
				} else {
					known.add(key)
				}
				compiled++
			}
		}
		t.Logf("sm_%d: %d compiled in %.1fs, %d done before", to.arch, compiled, time.Since(begin).Seconds(), remembered)
	}
}

var spillNumbers = regexp.MustCompile(`(\d+) bytes spill (?:stores|loads)`)

// readLog tells what ptxas counts from what a compiler complains about.
func readLog(log string) (spilled int, complaints string) {
	var rest []string
	for line := range strings.Lines(log) {
		switch line = strings.TrimRight(line, "\n\x00"); {
		case strings.HasPrefix(line, "ptxas info"), strings.HasPrefix(line, "ptxas   "):
			for _, m := range spillNumbers.FindAllStringSubmatch(line, -1) {
				var n int
				fmt.Sscan(m[1], &n)
				spilled += n
			}
		case strings.TrimSpace(line) != "":
			rest = append(rest, line)
		}
	}
	return spilled, strings.Join(rest, "\n")
}

// checked remembers the sources that a compiler took without a complaint, a line of
// a file each.
type checked struct {
	has  map[string]bool
	file *os.File
}

func openChecked(t *testing.T, nv *nvrtc.Compiler, to target) *checked {
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "descent", "compiled")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	major, minor := nv.Version()
	file, err := os.OpenFile(filepath.Join(dir, fmt.Sprintf("nvrtc-%d.%d-sm_%d", major, minor, to.arch)), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	text := make([]byte, info.Size())
	if _, err := file.ReadAt(text, 0); err != nil && len(text) > 0 {
		t.Fatal(err)
	}
	c := &checked{map[string]bool{}, file}
	for line := range strings.Lines(string(text)) {
		c.has[strings.TrimSpace(line)] = true
	}
	return c
}

func (c *checked) add(key string) {
	c.has[key] = true
	fmt.Fprintln(c.file, key)
}

// sourceKey names all that a compilation depends on but the compiler.
func sourceKey(k spec, source string, options []string) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q\n", options, source)
	included := sources(k.file)
	for _, name := range slices.Sorted(maps.Keys(included)) {
		fmt.Fprintf(h, "%q\n", included[name])
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:12])
}

func TestSpillsAndWarningsAreFoundInALog(t *testing.T) {
	if !inProcessOfItsOwn(t) {
		return
	}
	nv, err := nvrtc.Open()
	if err != nil {
		t.Fatal(err)
	}
	_, log, err := nv.Compile(`extern "C" __global__ void run(double *x) {
		double a[48];
#pragma unroll
		for (int i = 0; i < 48; i++) a[i] = x[32 * i];
		__syncthreads();
#pragma unroll
		for (int i = 0; i < 48; i++) x[32 * i] = a[47 - i] * a[i];
	}`, "spill.cu", nil, []string{"--gpu-architecture=sm_90", "--ptxas-options=-v", "--maxrregcount=32"})
	if err != nil {
		t.Fatal(err)
	}
	if spilled, _ := readLog(log); spilled == 0 {
		t.Errorf("32 registers are enough for 48 numbers in double precision:\n%s", log)
	}
	_, log, err = nv.Compile(`extern "C" __global__ void run(int *x) { int unused; *x = 1; }`, "warn.cu", nil, []string{"--gpu-architecture=sm_90", "--ptxas-options=-v"})
	if err != nil {
		t.Fatal(err)
	}
	if _, complaints := readLog(log); !strings.Contains(complaints, "unused") {
		t.Errorf("no warning in the log:\n%s", log)
	}
}
