package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/descent-ml/descent/backend"
)

// naiveConv visits each product of a convolution: y[yi] += x[xi]·w[wi].
func naiveConv(x, w, y []int, p backend.ConvParams, f func(xi, wi, yi int)) {
	cg, fg := x[1]/p.Groups, y[1]/p.Groups
	for n := range y[0] {
		for o := range y[1] {
			for oh := range y[2] {
				for ow := range y[3] {
					for c := range cg {
						for kh := range w[2] {
							for kw := range w[3] {
								h, v := oh*p.Stride[0]-p.Padding[0]+kh*p.Dilation[0], ow*p.Stride[1]-p.Padding[1]+kw*p.Dilation[1]
								if h < 0 || h >= x[2] || v < 0 || v >= x[3] {
									continue
								}
								f(((n*x[1]+o/fg*cg+c)*x[2]+h)*x[3]+v, ((o*cg+c)*w[2]+kh)*w[3]+kw, ((n*y[1]+o)*y[2]+oh)*y[3]+ow)
							}
						}
					}
				}
			}
		}
	}
}

func lastChannels(t testing.TB, d *Device, dtype backend.DType, s []int) backend.Array {
	a := empty(t, d, dtype, s[0], s[2], s[3], s[1])
	a.Strides = []int{a.Strides[0], a.Strides[3], a.Strides[1], a.Strides[2]}
	a.Shape = s
	return a
}

func TestConvolutionAndItsAdjoints(t *testing.T) {
	d, rng := device, rand.New(rand.NewPCG(19, 20))
	for i := range 160 {
		dtype := floatTypes[i%4]
		groups := 1 + rng.IntN(3)
		cg, fg := 1+rng.IntN(5), 1+rng.IntN(5)
		k := [2]int{1 + rng.IntN(3), 1 + rng.IntN(3)}
		p := backend.ConvParams{Groups: groups}
		xs := []int{1 + rng.IntN(3), cg * groups, 0, 0}
		ys := []int{xs[0], fg * groups, 0, 0}
		for a := range 2 {
			p.Stride[a], p.Dilation[a], p.Padding[a] = 1+rng.IntN(3), 1+rng.IntN(2), rng.IntN(3)
			reach := (k[a]-1)*p.Dilation[a] + 1
			xs[2+a] = max(1, reach-2*p.Padding[a]) + rng.IntN(9)
			ys[2+a] = (xs[2+a]+2*p.Padding[a]-reach)/p.Stride[a] + 1
		}
		ws := []int{ys[1], cg, k[0], k[1]}
		x := restride(t, d, rng, randomArray(t, d, rng, dtype, xs...))
		w := restride(t, d, rng, randomArray(t, d, rng, dtype, ws...))
		y := randomArray(t, d, rng, dtype, ys...)
		if rng.IntN(3) == 0 { // as the library calls it
			for _, a := range []*backend.Array{&x, &y} {
				c := lastChannels(t, d, dtype, a.Shape)
				check(t, d.Copy(c, *a, false))
				*a = c
			}
		}
		vx, vw, vy := values(t, d, x), values(t, d, w), values(t, d, y)
		want := [3][]float64{make([]float64, len(vy)), make([]float64, len(vx)), make([]float64, len(vw))}
		naiveConv(xs, ws, ys, p, func(xi, wi, yi int) {
			want[0][yi] += vx[xi] * vw[wi]
			want[1][xi] += vy[yi] * vw[wi]
			want[2][wi] += vx[xi] * vy[yi]
		})
		e := backend.Epilogue{Accumulate: rng.IntN(3) == 0}
		if rng.IntN(2) == 0 {
			e.Act = backend.ReLU
		}
		outs := [3][]int{ys, xs, ws}
		ins := [3][2]backend.Array{{x, w}, {y, w}, {y, x}}
		for op := backend.ConvForward; op <= backend.ConvBackwardWeight; op++ {
			out := restride(t, d, rng, randomArray(t, d, rng, dtype, outs[op]...))
			if rng.IntN(2) == 0 {
				out = lastChannels(t, d, dtype, outs[op])
				check(t, d.Generate(backend.Fill, out, backend.Params{Scalars: backend.Scalars{A: 1}}))
			}
			expect := slices.Clone(want[op])
			e.Bias = backend.Array{}
			if op != backend.ConvBackwardWeight {
				e.Bias = randomArray(t, d, rng, dtype, outs[op][1])
				bias := values(t, d, e.Bias)
				for i := range expect {
					expect[i] += bias[i/(outs[op][2]*outs[op][3])%outs[op][1]]
				}
			}
			if e.Act == backend.ReLU {
				for i, v := range expect {
					expect[i] = max(v, 0)
				}
			}
			if e.Accumulate {
				for i, v := range values(t, d, out) {
					expect[i] += v
				}
			}
			check(t, d.Conv(op, out, ins[op][0], ins[op][1], p, e))
			near(t, fmt.Sprintf("%v %v x %v w %v y %v %+v", op, dtype, xs, ws, ys, p), values(t, d, out), expect, 100*tolerance(dtype))
		}
	}
}

func TestPoolsAndTheirGradients(t *testing.T) {
	d, rng := device, rand.New(rand.NewPCG(21, 22))
	for i := range 120 {
		dtype := floatTypes[i%4]
		xs := []int{1 + rng.IntN(3), 1 + rng.IntN(5), 0, 0}
		ys := slices.Clone(xs)
		p := backend.PoolParams{CountIncludePad: rng.IntN(2) == 0}
		if rng.IntN(4) == 0 {
			p.Divisor = 3
		}
		average := rng.IntN(2) == 0
		ceil := rng.IntN(2)
		for a := range 2 {
			p.Kernel[a], p.Stride[a], p.Dilation[a] = 1+rng.IntN(3), 1+rng.IntN(3), 1
			p.Padding[a] = rng.IntN(p.Kernel[a]/2 + 1)
			if !average {
				p.Dilation[a] += rng.IntN(2)
			}
			reach := (p.Kernel[a]-1)*p.Dilation[a] + 1
			xs[2+a] = reach + rng.IntN(8)
			ys[2+a] = (xs[2+a]+2*p.Padding[a]-reach+ceil*(p.Stride[a]-1))/p.Stride[a] + 1
			if (ys[2+a]-1)*p.Stride[a] >= xs[2+a]+p.Padding[a] {
				ys[2+a]--
			}
		}
		x := restride(t, d, rng, randomArray(t, d, rng, dtype, xs...))
		g := restride(t, d, rng, randomArray(t, d, rng, dtype, ys...))
		if rng.IntN(2) == 0 {
			for _, a := range []*backend.Array{&x, &g} {
				c := lastChannels(t, d, dtype, a.Shape)
				check(t, d.Copy(c, *a, false))
				*a = c
			}
		}
		vx, vg := values(t, d, x), values(t, d, g)
		want, wantAt, wantDx := make([]float64, len(vg)), make([]float64, len(vg)), make([]float64, len(vx))
		for o := range want {
			plane, oh, ow := o/(ys[2]*ys[3]), o/ys[3]%ys[2], o%ys[3]
			best, at, sum, inside := math.Inf(-1), -1, 0.0, []int{}
			size := 1 // of the window, cut at the padded edge
			for a, o := range []int{oh, ow} {
				start := o*p.Stride[a] - p.Padding[a]
				size *= min(start+p.Kernel[a], xs[2+a]+p.Padding[a]) - start
			}
			for kh := range p.Kernel[0] {
				for kw := range p.Kernel[1] {
					h, w := oh*p.Stride[0]-p.Padding[0]+kh*p.Dilation[0], ow*p.Stride[1]-p.Padding[1]+kw*p.Dilation[1]
					if h < 0 || h >= xs[2] || w < 0 || w >= xs[3] {
						continue
					}
					xi := (plane*xs[2]+h)*xs[3] + w
					inside = append(inside, xi)
					sum += vx[xi]
					if vx[xi] > best {
						best, at = vx[xi], h*xs[3]+w
					}
				}
			}
			if !average {
				want[o], wantAt[o] = best, float64(at)
				wantDx[plane*xs[2]*xs[3]+at] += vg[o]
				continue
			}
			by := float64(len(inside))
			if p.CountIncludePad {
				by = float64(size)
			}
			if p.Divisor != 0 {
				by = float64(p.Divisor)
			}
			want[o] = sum / by
			for _, xi := range inside {
				wantDx[xi] += vg[o] / by
			}
		}
		out, dx := restride(t, d, rng, empty(t, d, dtype, ys...)), restride(t, d, rng, empty(t, d, dtype, xs...))
		idx := restride(t, d, rng, empty(t, d, backend.Int64, ys...))
		name := fmt.Sprintf("%v average=%v x %v y %v %+v", dtype, average, xs, ys, p)
		if average {
			check(t, d.Pool(backend.AvgPool, out, backend.Array{}, x, p))
			check(t, d.Pool(backend.AvgPoolBackward, dx, backend.Array{}, g, p))
		} else {
			check(t, d.Pool(backend.MaxPool, out, idx, x, p))
			near(t, name+" positions", values(t, d, idx), wantAt, 0)
			check(t, d.Pool(backend.MaxPoolBackward, dx, idx, g, p))
		}
		near(t, name, values(t, d, out), want, 4*tolerance(dtype))
		near(t, name+" gradient", values(t, d, dx), wantDx, 4*tolerance(dtype))
	}
}
