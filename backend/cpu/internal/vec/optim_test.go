package vec

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// The two tests walk a few steps beside the same formulas in float64.
func TestSGDFollowsItsFormula(t *testing.T) {
	bothPaths(t, func(t *testing.T) {
		for _, s := range []SGD{
			{LR: 0.1, Factor: 1}, {LR: 0.1, WeightDecay: 0.05, Factor: 0.25}, {LR: 0.1, Factor: -1}, {LR: 0.1, Momentum: 0.9, Factor: 1},
			{LR: 0.1, Momentum: 0.9, Dampening: 0.3, WeightDecay: 0.01, Factor: 1}, {LR: 0.1, Momentum: 0.8, Nesterov: true, Factor: -1, WeightDecay: 0.1},
		} {
			rng := rand.New(rand.NewPCG(9, 10))
			const n = 37
			p := normals(rng, n)
			want, buf64 := widen(p), make([]float64, n)
			var buf []float32
			if s.Momentum != 0 {
				buf = make([]float32, n)
				for i := range buf {
					buf[i] = nan // the first step must not read it
				}
			}
			for step := range 5 {
				g := normals(rng, n)
				s.First = step == 0
				s.Step(p, g, buf)
				for i := range want {
					d := s.Factor * float64(g[i])
					d += s.WeightDecay * want[i]
					if s.Momentum != 0 {
						if s.First {
							buf64[i] = d
						} else {
							buf64[i] = s.Momentum*buf64[i] + (1-s.Dampening)*d
						}
						if s.Nesterov {
							d += s.Momentum * buf64[i]
						} else {
							d = buf64[i]
						}
					}
					want[i] -= s.LR * d
				}
			}
			close64(t, fmt.Sprintf("%+v", s), p, want)
		}
	})
}

func TestAdamFollowsItsFormula(t *testing.T) {
	bothPaths(t, func(t *testing.T) {
		for _, s := range []Adam{
			{LR: 0.01, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Factor: 1}, {LR: 0.01, Beta1: 0.9, Beta2: 0.99, Eps: 1e-6, WeightDecay: 0.1, Factor: 0.25},
			{LR: 0.01, Beta1: 0.9, Beta2: 0.99, Eps: 1e-8, WeightDecay: 0.1, Decoupled: true, Factor: 1}, {LR: 0.01, Beta1: 0.3, Beta2: 0.9, Eps: 1e-8, Factor: -1},
			{LR: 0.01, Beta1: 0, Beta2: 0.9, Eps: 1e-8, Factor: 1},
		} {
			for _, amsgrad := range []bool{false, true} {
				rng := rand.New(rand.NewPCG(11, 12))
				const n = 37
				p, m, v := normals(rng, n), make([]float32, n), make([]float32, n)
				want, m64, v64, x64 := widen(p), make([]float64, n), make([]float64, n), make([]float64, n)
				var vmax []float32
				if amsgrad {
					vmax = make([]float32, n)
				}
				for step := range 6 {
					g := normals(rng, n)
					if step == 3 {
						MulScalar(g, g, 0.01) // v shrinks, vmax does not
					}
					s.Step = step + 1
					s.Update(p, g, m, v, vmax)
					for i := range want {
						d := s.Factor * float64(g[i])
						if s.Decoupled {
							want[i] -= s.LR * s.WeightDecay * want[i]
						} else {
							d += s.WeightDecay * want[i]
						}
						m64[i] = s.Beta1*m64[i] + (1-s.Beta1)*d
						v64[i] = s.Beta2*v64[i] + (1-s.Beta2)*d*d
						x64[i] = max(x64[i], v64[i])
						u := v64[i]
						if amsgrad {
							u = x64[i]
						}
						c1, c2 := 1-math.Pow(s.Beta1, float64(s.Step)), 1-math.Pow(s.Beta2, float64(s.Step))
						want[i] -= s.LR / c1 * m64[i] / (math.Sqrt(u)/math.Sqrt(c2) + s.Eps)
					}
				}
				close64(t, fmt.Sprintf("%+v amsgrad %v", s, amsgrad), p, want)
			}
		}
	})
}

func widen(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

func close64(t *testing.T, what string, got []float32, want []float64) {
	t.Helper()
	for i, v := range got {
		if !(math.Abs(float64(v)-want[i]) <= 2e-6*(1+math.Abs(want[i]))) {
			t.Fatalf("%s: element %d is %v, want %v", what, i, v, want[i])
		}
	}
}
