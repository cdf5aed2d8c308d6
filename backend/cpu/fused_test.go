package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/descent-ml/descent/backend"
)

func TestSoftmaxAndItsGradients(t *testing.T) {
	d, rng := device, rand.New(rand.NewPCG(23, 24))
	for i := range 80 {
		dtype := floatTypes[i%4]
		shape := []int{1 + rng.IntN(4), 1 + rng.IntN(40), 1 + rng.IntN(4)}
		if rng.IntN(4) == 0 {
			shape[1] = 1500
		}
		axis := rng.IntN(3)
		x := restride(t, d, rng, randomArray(t, d, rng, dtype, shape...))
		y := randomArray(t, d, rng, dtype, shape...)
		check(t, d.Unary(backend.Clamp, y, y, backend.Params{Scalars: backend.Scalars{A: -4, B: 0}})) // as logarithms of probabilities are
		y = restride(t, d, rng, y)
		vx, vy := values(t, d, x), values(t, d, y)
		n := len(vx)
		want := [4][]float64{make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)}
		lines(shape, axis, func(first, stride, n int) {
			sum, dot, total := 0.0, 0.0, 0.0
			for j := range n {
				k := first + j*stride
				sum += math.Exp(vx[k])
				dot += vx[k] * vy[k]
				total += vx[k]
			}
			for j := range n {
				k := first + j*stride
				want[backend.Softmax][k] = math.Exp(vx[k]) / sum
				want[backend.LogSoftmax][k] = vx[k] - math.Log(sum)
				want[backend.SoftmaxBackward][k] = (vx[k] - dot) * vy[k]
				want[backend.LogSoftmaxBackward][k] = vx[k] - math.Exp(vy[k])*total
			}
		})
		for op := backend.Softmax; op <= backend.LogSoftmaxBackward; op++ {
			second := y
			if op <= backend.LogSoftmax {
				second = backend.Array{}
			}
			out := restride(t, d, rng, empty(t, d, dtype, shape...))
			in := x
			switch rng.IntN(3) {
			case 0:
				in = restride(t, d, rng, x)
				out = in
			case 1:
				if second.Buf != nil {
					second = restride(t, d, rng, y)
					out = second
				}
			}
			check(t, d.Softmax(op, out, in, second, axis))
			near(t, fmt.Sprintf("%v %v %v axis %d", op, dtype, shape, axis), values(t, d, out), want[op], float64(40+shape[1]/5)*tolerance(dtype))
		}
	}
}

// With the bias corrections, averages and decays written out from PyTorch's
// documentation of the rules.
func TestOptimizersFollowTheRules(t *testing.T) {
	d, rng := device, rand.New(rand.NewPCG(25, 26))
	for i := range 48 {
		dtype := floatTypes[i%4]
		op := backend.OptimizerOp(i % 3)
		shapes := [][]int{{3, 4}, {700}, {}}
		if dtype == backend.Float32 {
			shapes = append(shapes, []int{20000}) // more than one task
		}
		p := backend.OptimizerParams{LR: 0.01, Beta1: 0.9, Beta2: 0.99, Eps: 1e-3, WeightDecay: 0.1 * float64(rng.IntN(2)), Maximize: rng.IntN(2) == 0}
		states := 2 + rng.IntN(2)
		if op == backend.SGD {
			if states = rng.IntN(2); states > 0 {
				p.Momentum = 0.9
				if p.Nesterov = rng.IntN(2) == 0; !p.Nesterov {
					p.Dampening = 0.1
				}
			}
		}
		var params, grads []backend.Array
		var state [][]backend.Array
		var want [][][]float64
		for _, s := range shapes {
			w := randomArray(t, d, rng, dtype, s...)
			params = append(params, w)
			grads = append(grads, randomArray(t, d, rng, dtype, s...))
			v := [][]float64{values(t, d, w)}
			var st []backend.Array
			for range states {
				z := empty(t, d, dtype, s...)
				check(t, d.Generate(backend.Fill, z, backend.Params{}))
				st = append(st, z)
				v = append(v, values(t, d, z))
			}
			state = append(state, st)
			want = append(want, v)
		}
		slot, err := d.Alloc(48)
		check(t, err)
		for step := range 3 {
			p.Step = int64(step + 1)
			q := p
			if rng.IntN(2) == 0 {
				check(t, d.Upload(slot, bytesOf([]backend.Scalars{{A: p.LR, B: 1, N: p.Step}})))
				q.Slot, q.LR, q.Step = slot, 0, 0
			}
			check(t, d.OptimizerStep(op, params, grads, state, q))
			for i := range params {
				g := values(t, d, grads[i])
				for j := range g {
					v := make([]*float64, len(want[i]))
					for k := range v {
						v[k] = &want[i][k][j]
					}
					rule(op, g[j], v, &p)
				}
				name := fmt.Sprintf("%v of %v step %d %+v", op, dtype, step+1, p)
				near(t, name, values(t, d, params[i]), want[i][0], 30*tolerance(dtype))
				for k, s := range state[i] {
					near(t, name+" state", values(t, d, s), want[i][k+1], 30*tolerance(dtype))
				}
			}
		}
	}
}

// rule updates one parameter: v is the parameter and its state.
func rule(op backend.OptimizerOp, g float64, v []*float64, p *backend.OptimizerParams) {
	w := v[0]
	if p.Maximize {
		g = -g
	}
	if op == backend.AdamW {
		*w *= 1 - p.LR*p.WeightDecay
	} else {
		g += p.WeightDecay * *w
	}
	if op == backend.SGD {
		if len(v) > 1 {
			if p.Step == 1 {
				*v[1] = g
			} else {
				*v[1] = p.Momentum**v[1] + (1-p.Dampening)*g
			}
			if p.Nesterov {
				g += p.Momentum * *v[1]
			} else {
				g = *v[1]
			}
		}
		*w -= p.LR * g
		return
	}
	*v[1] = p.Beta1**v[1] + (1-p.Beta1)*g
	*v[2] = p.Beta2**v[2] + (1-p.Beta2)*g*g
	second := *v[2]
	if len(v) > 3 {
		*v[3] = max(*v[3], second)
		second = *v[3]
	}
	m := *v[1] / (1 - math.Pow(p.Beta1, float64(p.Step)))
	root := math.Sqrt(second / (1 - math.Pow(p.Beta2, float64(p.Step))))
	*w -= p.LR * m / (root + p.Eps)
}
