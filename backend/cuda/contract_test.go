package cuda

import (
	"testing"

	"github.com/descent-ml/descent/backend/backendtest"
	"github.com/descent-ml/descent/internal/fakecuda"
)

// specs are those of the catalogue, with the sizes of their arguments.
func specs(t testing.TB) map[spec]uintptr {
	t.Helper()
	all := map[spec]uintptr{}
	for _, family := range catalogue {
		for k, size := range family {
			if _, twice := all[k]; twice {
				t.Errorf("%v stands in the catalogue twice", k)
			}
			all[k] = size
		}
	}
	delete(all, brokenSpec)
	return all
}

// precompile has the fake compiler make all kernels at once, which is quicker.
func precompile(t testing.TB) {
	fakecuda.Libraries(t)
	c, err := newCompiler(90, t.TempDir())
	must(t, err)
	files := map[string][]fakecuda.Program{}
	for k, size := range specs(t) {
		files[k.file] = append(files[k.file], fakecuda.Program{Name: k.String(), Source: k.source(size)})
	}
	for file, programs := range files {
		fakecuda.Precompile(t, programs, sources(file), c.options)
	}
}

// TestContract is the conformance suite, with what it compiled held to the catalogue.
func TestContract(t *testing.T) {
	precompile(t)
	d := testDevice(t, Options{})
	backendtest.Run(t, d)
	all := specs(t)
	for k, made := range *d.kernels.table.Load() {
		if size, ok := all[k]; !ok || size != made.size {
			t.Errorf("%v with %d bytes of arguments was compiled; the catalogue has %d", k, made.size, size)
		}
	}
}
