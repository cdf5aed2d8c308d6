package cuda_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/descent-ml/descent/cuda"
)

// inChild runs the test that calls it in a process of its own, with more environment, and reports whether this is that one.
// What the child says is the parent's.
func inChild(t *testing.T, environment ...string) bool {
	t.Helper()
	const variable = "CUDA_TEST_CHILD"
	if os.Getenv(variable) == t.Name() {
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.v", "-test.run", "^"+t.Name()+"$")
	cmd.Env = append(append(os.Environ(), variable+"="+t.Name()), environment...)
	out, err := cmd.CombinedOutput()
	switch {
	case err != nil || !strings.Contains(string(out), "--- "):
		t.Fatalf("%v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skip(string(out))
	}
	return false
}

func TestWithoutADriverTheErrorSaysWhatWasSearched(t *testing.T) {
	folder := t.TempDir()
	if !inChild(t, "DESCENT_CUDA_PATH="+folder) {
		return
	}
	_, err := cuda.Open()
	if err == nil {
		t.Skip("this machine has a driver")
	}
	if runtime.GOOS != "linux" {
		if !strings.Contains(err.Error(), runtime.GOOS) {
			t.Errorf("the error does not name the system: %v", err)
		}
		return
	}
	for _, part := range []string{"NVIDIA's driver not found", "libcuda.so.1", os.Getenv("DESCENT_CUDA_PATH"), "install"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error lacks %q: %v", part, err)
		}
	}
}

// stub builds a driver that is there but cannot be used, and has the search find it.
func stub(t *testing.T, version int, source string) {
	t.Helper()
	gcc, err := exec.LookPath("gcc")
	if err != nil || runtime.GOOS != "linux" {
		t.Skip("gcc on Linux is needed for a library that stands for the driver (Debian, Ubuntu: sudo apt-get install gcc libc6-dev)")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "stub.c")
	text := fmt.Sprintf("int cuDriverGetVersion(int *v) { *v = %d; return 0; }\n%s", version, source)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(gcc, "-shared", "-fPIC", "-o", filepath.Join(dir, "libcuda.so.1"), file)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Setenv("DESCENT_CUDA_PATH", dir)
}

func TestOldDriversAreNamedWithTheirVersions(t *testing.T) {
	stub(t, 11040, "")
	_, err := cuda.OpenAnother()
	if err == nil || !strings.Contains(err.Error(), "11.4") || !strings.Contains(err.Error(), "12.0") {
		t.Errorf("the error does not name CUDA 11.4 and 12.0: %v", err)
	}
}

func TestDriversThatLackFunctionsAreNamed(t *testing.T) {
	stub(t, 13000, "int cuInit(unsigned f) { return 0; }")
	_, err := cuda.OpenAnother()
	if err == nil || !strings.Contains(err.Error(), "cuMemAlloc_v2, ") || strings.Contains(err.Error(), "cuInit") {
		t.Errorf("the error does not list the missing functions: %v", err)
	}
}

func TestDriversThatDoNotStartSayWhatToDo(t *testing.T) {
	for _, c := range []struct {
		code  cuda.Result
		parts []string
	}{
		{cuda.ErrNoDevice, []string{"cuInit", "the words for 100", "no NVIDIA GPU", `CUDA_VISIBLE_DEVICES is "3"`}},
		{cuda.ErrStubLibrary, []string{"libcuda.so.1 is the toolkit's stub"}},
		{cuda.ErrDriverMismatch, []string{"reboot"}},
		{cuda.ErrUnknown, []string{"the words for 999"}},
	} {
		t.Run(fmt.Sprint(int(c.code)), func(t *testing.T) {
			stub(t, 13000, everyFunction(t)+fmt.Sprintf(`
int cuInit(unsigned flags) { return %d; }
int cuGetErrorName(int e, const char **s) { return 1; }
int cuGetErrorString(int e, const char **s) { *s = "the words for %d"; return 0; }`, c.code, c.code))
			t.Setenv("CUDA_VISIBLE_DEVICES", "3")
			_, err := cuda.OpenAnother()
			if !errors.Is(err, c.code) {
				t.Fatalf("error %v, want code %d", err, c.code)
			}
			for _, part := range c.parts {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error lacks %q: %v", part, err)
				}
			}
		})
	}
}

// everyFunction declares, in C, the functions that the binding needs and that the stub does not define itself.
func everyFunction(t *testing.T) string {
	source, err := os.ReadFile("api.go")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, line := range strings.Split(string(source), "\n") {
		_, name, found := strings.Cut(line, "`sym:\"")
		name, _, _ = strings.Cut(name, "\"")
		if found && !strings.Contains(name, ",") && name != "cuInit" && !strings.HasPrefix(name, "cuGetError") {
			fmt.Fprintf(&b, "int %s(void) { return 3; }\n", name)
		}
	}
	return b.String()
}
