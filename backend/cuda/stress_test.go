package cuda

import (
	"testing"
	"unsafe"

	"github.com/descent-ml/descent/backend/backendtest"
)

// TestContractInExactMemory is the conformance suite with each array an allocation
// of its own, to the byte, which is given back once it is freed: the fake driver
// finds accesses that segments hide.
func TestContractInExactMemory(t *testing.T) {
	precompile(t)
	d := testDevice(t, Options{})
	d.mem.exact = true
	backendtest.Run(t, d)
}

func TestExactMemoryEndsWhereAnArrayDoes(t *testing.T) {
	d := testDevice(t, Options{})
	beyond := func() error { // adds to one element more than there are
		const n = 1024 // the array ends with a page of the host's
		b, err := d.Alloc(4 * n)
		must(t, err)
		defer b.Free()
		must(t, d.Upload(b, make([]byte, 4*n)))
		args := testArgs{x: b.(*buffer).use(), n: n + 1, add: 1, op: testID, error: d.errorWord()}
		must(t, d.launch(testSpec, d.grid(n+1, 256), 256, 0, unsafe.Pointer(&args), unsafe.Sizeof(args)))
		return d.Sync()
	}
	if err := beyond(); err != nil {
		t.Errorf("a segment ends with the array: %v", err)
	}
	d.mem.exact = true
	if err := beyond(); err == nil {
		t.Error("nobody noticed the element beyond the end")
	}
}
