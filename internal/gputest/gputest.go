// Package gputest opens the CUDA device that tests run on: the fake one of package
// fakecuda, or, where DESCENT_GPU names it, a real one.
package gputest

import (
	"os"
	"testing"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cuda"
	"github.com/descent-ml/descent/internal/fakecuda"
)

// Variable names the environment variable with a real device, such as cuda:0.
const Variable = "DESCENT_GPU"

// Real reports whether Open opens a real GPU.
func Real() bool { return os.Getenv(Variable) != "" }

// Open returns a device that is closed when the test ends. The test is skipped if
// there is no GPU and the fake one cannot be built, with a note of what it takes.
func Open(t testing.TB) *cuda.Device {
	t.Helper()
	if name := os.Getenv(Variable); name != "" {
		d, err := backend.Open(name)
		if err != nil {
			t.Fatalf("%s=%s: %v", Variable, name, err)
		}
		return d.(*cuda.Device)
	}
	fakecuda.Libraries(t)
	d, err := cuda.New(0, cuda.Options{CacheDir: t.TempDir()}) // no fake kernels in the user's folder
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("%v: %v", d, err)
		}
	})
	return d
}
