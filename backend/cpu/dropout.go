package cpu

import (
	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cpu/internal/parallel"
	"github.com/descent-ml/descent/random"
)

// dropOut multiplies x by p.B where the mask that Generate's Bernoulli would make
// is 0. It walks row-major, since that is how the mask's elements are numbered.
func dropOut(out, x *backend.Array, p backend.Scalars) error {
	t := out.DType
	if !t.IsFloat() {
		return unsupported(backend.Dropout, t)
	}
	s := new(space)
	s.rowMajor(out, x)
	parallel.For(s.size, grainGenerate, func(lo, hi int) {
		if t == backend.Float64 {
			dropRange(s, &codec64, p, lo, hi)
		} else {
			dropRange(s, &codec32, p, lo, hi)
		}
	})
	return nil
}

func dropRange[C float32 | float64](s *space, c *codec[C], p backend.Scalars, lo, hi int) {
	out, x := &s.ops[0], &s.ops[1]
	outDirect, xDirect := direct(out, c, false), direct(x, c, false)
	buf := c.get()
	defer c.put(buf)
	factor := C(p.B)
	var drop [blockLen]uint8
	at := s.at(lo)
	for ; lo < hi; lo += blockLen {
		n := min(blockLen, hi-lo)
		src, dst := buf[0][:n], buf[1][:n]
		if xDirect {
			src = slice[C](s, x, &at, lo, n)
		} else {
			gather(s, x, c, at, src)
		}
		if outDirect {
			dst = slice[C](s, out, &at, lo, n)
		}
		random.Bernoulli(stream(&p), lo, p.A, drop[:n])
		for i, v := range src {
			// A choice without a branch, which would be mispredicted often.
			dst[i] = [2]C{v * factor, 0}[drop[i]&1]
		}
		if !outDirect {
			scatter(s, out, c, at, dst)
		}
		s.advance(&at, n)
	}
}
