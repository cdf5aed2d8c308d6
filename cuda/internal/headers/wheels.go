// Package headers checks package cuda and its bindings against NVIDIA's own headers, and finds NVIDIA's wheels for tests of
// the bindings.
package headers

import (
	"os"
	"path/filepath"
	"testing"
)

// Wheels returns the folder nvidia of the site-packages of DESCENT_PYTHON, a Python that has scripts/requirements.txt. It
// skips the test if there is none.
func Wheels(t testing.TB) string {
	t.Helper()
	const how = "make test sets it; by hand: DESCENT_PYTHON=$(scripts/venv) go test ./cuda/..."
	python := os.Getenv("DESCENT_PYTHON")
	if python == "" {
		t.Skip("NVIDIA's wheels are needed: DESCENT_PYTHON is not set (" + how + ")")
	}
	found, _ := filepath.Glob(filepath.Join(filepath.Dir(filepath.Dir(python)), "lib", "python3*", "site-packages", "nvidia"))
	if len(found) != 1 {
		t.Skipf("NVIDIA's wheels are needed: %s has none (%s)", python, how)
	}
	return found[0]
}

// Libraries makes the real libraries of the wheels those that are found, for the rest of the process.
func Libraries(t testing.TB) {
	t.Helper()
	os.Setenv("DESCENT_CUDA_PATH", filepath.Dir(Wheels(t)))
}
