package cuda_test

import (
	"testing"

	"github.com/descent-ml/descent/cuda"
)

func TestARelaxedThreadMayAllocateInACapture(t *testing.T) {
	c := newContext(t, 0)
	s := newStream(t, c)
	for _, relaxed := range []bool{false, true} {
		check(t, s.BeginCapture())
		old := cuda.CaptureGlobal
		if relaxed {
			old = value(c.ExchangeCaptureMode(cuda.CaptureRelaxed))(t)
		}
		p, err := c.Alloc(16)
		if relaxed {
			check(t, err)
			if was := value(c.ExchangeCaptureMode(old))(t); was != cuda.CaptureRelaxed {
				t.Errorf("the mode was %d, not the one that was set", was)
			}
		} else {
			isError(t, err, cuda.ErrCaptureUnsupported, "cuMemAlloc_v2")
		}
		g, err := s.EndCapture()
		if relaxed {
			check(t, err)
			check(t, g.Destroy())
			check(t, c.Free(p))
		} else {
			isError(t, err, cuda.ErrCaptureInvalidated, "cuStreamEndCapture")
		}
	}
}
