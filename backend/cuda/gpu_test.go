package cuda_test

import (
	"testing"

	"github.com/descent-ml/descent/backend/backendtest"
	"github.com/descent-ml/descent/internal/gputest"
)

// TestGPUContract is the conformance suite on the GPU that DESCENT_GPU names.
func TestGPUContract(t *testing.T) {
	if !gputest.Real() {
		t.Skipf("%s names no GPU; TestContract has the fake one", gputest.Variable)
	}
	backendtest.Run(t, gputest.Open(t))
}
