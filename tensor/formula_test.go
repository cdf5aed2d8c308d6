package tensor

import (
	"strings"
	"testing"

	"github.com/descent-ml/descent/backend/cpu"
)

// TestMissingFormulaPanics: an op without a formula on the way to a parameter is
// a mistake that is named, never a silent zero; elsewhere it does no harm.
func TestMissingFormulaPanics(t *testing.T) {
	dev := cpu.New(cpu.Options{})
	op := func(x, y *Tensor) *Tensor {
		z := x.Detach().Clone()
		return record("mystery", z, []*Tensor{x, y}, nil, func(b *Back, g *Tensor) *Tensor { return g })
	}
	p, q := Parameter(Ones(dev, Float32, 2)), Parameter(Ones(dev, Float32, 2))
	err := func() (err error) { defer Catch(&err); op(p, q).Sum().Backward(); return nil }()
	if err == nil || !strings.Contains(err.Error(), "mystery has no gradient with respect to its input 0") {
		t.Errorf("got %v", err)
	}
	q.ZeroGrad()
	op(p.Detach(), q).Sum().Backward()
	if q.Grad() == nil {
		t.Error("the input with a formula has no gradient")
	}
}
