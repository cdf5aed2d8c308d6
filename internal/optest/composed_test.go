package optest

import (
	"testing"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cpu"
	"github.com/descent-ml/descent/backend/null"
)

// plain hides the optional interfaces of a device.
type plain struct{ backend.Device }

// TestOpsWithoutFusedKernels holds the ops that have fused kernels to PyTorch's
// numbers on devices that have none of them: one that does not implement the
// interfaces, and one that answers ErrUnsupported.
func TestOpsWithoutFusedKernels(t *testing.T) {
	bare := plain{cpu.New(cpu.Options{Poison: true})}
	for _, topic := range []string{"attention", "conv", "loss", "norm", "pool", "softmax"} {
		g := readGolden(t, topic)
		for i := range table[topic] {
			r := &table[topic][i]
			t.Run(topic+"/"+r.name, func(t *testing.T) {
				torch := g.row(t, r)
				r.checkPyTorch(t, bare, torch)
				r.checkPyTorch(t, null.Record(bare), torch)
			})
		}
	}
}
