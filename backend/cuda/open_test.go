package cuda

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/internal/fakecuda"
)

const machineVariable = "DESCENT_TEST_MACHINE"

// onMachine runs the calling test again in a process that has other libraries and
// devices, and reports whether this is that process.
func onMachine(t *testing.T, name string, environment ...string) bool {
	if os.Getenv(machineVariable) == name {
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(append(os.Environ(), machineVariable+"="+name), environment...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	} else {
		t.Logf("%s", out)
	}
	return false
}

// goesOn is what a program does without a GPU.
func goesOn(t *testing.T) {
	t.Helper()
	cpu, err := backend.Open("cpu")
	must(t, err)
	must(t, cpu.Sync())
}

func TestAMachineWithoutADriver(t *testing.T) {
	if !onMachine(t, "none", "DESCENT_CUDA_PATH="+t.TempDir()) {
		return
	}
	_, err := backend.Open("cuda")
	if err == nil {
		t.Skip("this machine has a driver")
	}
	for _, part := range []string{`"cuda"`, "libcuda.so.1", "searched", os.Getenv("DESCENT_CUDA_PATH")} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
	goesOn(t)
}

func TestAGPUThatIsTooOld(t *testing.T) {
	if !onMachine(t, "old") {
		return
	}
	fakecuda.Libraries(t)
	fakecuda.Devices(1, 7, 0)
	if _, err := New(0, Options{}); err == nil || !strings.Contains(err.Error(), "compute capability 7.0; 7.5 is the least") {
		t.Errorf("a GPU of compute capability 7.0: %v", err)
	}
	goesOn(t)
}

// TestAGPUThatIsNewerThanTheCompiler has kernels made in a form that the driver translates.
func TestAGPUThatIsNewerThanTheCompiler(t *testing.T) {
	if !onMachine(t, "new") {
		return
	}
	fakecuda.Libraries(t)
	fakecuda.Devices(1, 15, 0)
	d := testDevice(t, Options{})
	x := d.floats(t, 1, 2)
	defer x.Free()
	must(t, d.add(x, 1))
	if got := d.values(t, x); !same(got, []float32{2, 3}) {
		t.Errorf("[1 2] and 1 are %v", got)
	}
	if got := d.kernels.compiler.options[0]; got != "--gpu-architecture=compute_121" {
		t.Errorf("a kernel for sm_150 is made with %s", got)
	}
}

func TestAMachineWithoutTheCompiler(t *testing.T) {
	folder := t.TempDir()
	if os.Getenv(machineVariable) == "" {
		must(t, os.Symlink(filepath.Join(fakecuda.Libraries(t), "libcuda.so.1"), filepath.Join(folder, "libcuda.so.1")))
	}
	if !onMachine(t, "driver only", "DESCENT_CUDA_PATH="+folder, "LD_LIBRARY_PATH=", "VIRTUAL_ENV=", "CONDA_PREFIX=", "CUDA_HOME=", "CUDA_PATH=", "DESCENT_PYTHON=") {
		return
	}
	d, err := New(0, Options{CacheDir: t.TempDir()}) // the library is looked for when a kernel is needed
	must(t, err)
	defer d.Close()
	b, err := d.Alloc(4)
	must(t, err)
	must(t, d.Upload(b, make([]byte, 4)))
	err = d.add(b.(*buffer), 1)
	if err == nil {
		t.Skip("this machine has NVRTC elsewhere")
	}
	for _, part := range []string{"cuda:0", "Test", "NVRTC", "libnvrtc.so.13"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
	b.Free()
	goesOn(t)
}

func TestTwoGPUs(t *testing.T) {
	if !onMachine(t, "two") {
		return
	}
	fakecuda.Libraries(t)
	fakecuda.Devices(2, 9, 0)
	for i := range 2 {
		d, err := New(i, Options{CacheDir: t.TempDir()})
		must(t, err)
		defer d.Close()
		if want := fmt.Sprintf("cuda:%d", i); d.String() != want {
			t.Errorf("GPU %d is called %s", i, d)
		}
		x := d.floats(t, 1, 2)
		must(t, d.add(x, float32(i)))
		if got := d.values(t, x); !same(got, []float32{1 + float32(i), 2 + float32(i)}) {
			t.Errorf("%s: [1 2] and %d are %v", d, i, got)
		}
		x.Free()
	}
}
