package backendtest

import (
	"fmt"
	"math"

	"github.com/descent-ml/descent/backend"
)

var optimizerCases = []struct {
	op     backend.OptimizerOp
	states int
	p      backend.OptimizerParams
}{
	{backend.SGD, 0, backend.OptimizerParams{LR: 0.1}},
	{backend.SGD, 0, backend.OptimizerParams{LR: 0.1, WeightDecay: 0.01, Maximize: true}},
	{backend.SGD, 1, backend.OptimizerParams{LR: 0.1, Momentum: 0.9}},
	{backend.SGD, 1, backend.OptimizerParams{LR: 0.1, Momentum: 0.9, Dampening: 0.5, WeightDecay: 0.05}},
	{backend.SGD, 1, backend.OptimizerParams{LR: 0.1, Momentum: 0.9, Nesterov: true}},
	{backend.Adam, 2, backend.OptimizerParams{LR: 0.01, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8}},
	{backend.Adam, 2, backend.OptimizerParams{LR: 0.01, Beta1: 0.8, Beta2: 0.95, Eps: 1e-6, WeightDecay: 0.1, Maximize: true}},
	{backend.Adam, 3, backend.OptimizerParams{LR: 0.01, Beta1: 0.9, Beta2: 0.9, Eps: 1e-8}},
	{backend.AdamW, 2, backend.OptimizerParams{LR: 0.01, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: 0.1}},
	{backend.AdamW, 3, backend.OptimizerParams{LR: 0.01, Beta1: 0.9, Beta2: 0.9, Eps: 1e-8, WeightDecay: 0.1, Maximize: true}},
}

// update is one step of one element, as PyTorch's documentation of torch.optim.SGD,
// Adam and AdamW defines it; state is updated in place.
func update(op backend.OptimizerOp, p backend.OptimizerParams, x, g float64, state []float64) float64 {
	if p.Maximize {
		g = -g
	}
	if op == backend.AdamW {
		x -= p.LR * p.WeightDecay * x
	} else {
		g += p.WeightDecay * x
	}
	if op == backend.SGD {
		if p.Momentum != 0 {
			if p.Step == 1 {
				state[0] = g
			} else {
				state[0] = p.Momentum*state[0] + (1-p.Dampening)*g
			}
			if p.Nesterov {
				g += p.Momentum * state[0]
			} else {
				g = state[0]
			}
		}
		return x - p.LR*g
	}
	state[0] = p.Beta1*state[0] + (1-p.Beta1)*g
	state[1] = p.Beta2*state[1] + (1-p.Beta2)*g*g
	second := state[1]
	if len(state) == 3 {
		state[2] = max(state[2], second)
		second = state[2]
	}
	t := float64(p.Step)
	denominator := math.Sqrt(second)/math.Sqrt(1-math.Pow(p.Beta2, t)) + p.Eps
	return x - p.LR/(1-math.Pow(p.Beta1, t))*state[0]/denominator
}

func testOptimizer(b *bench) {
	dev, ok := b.dev.(backend.OptimizerDevice)
	if !ok {
		b.Log("no OptimizerDevice")
		return
	}
	b.sub("SumSquares", func(b *bench) {
		b.floats("SumSquares", func(d backend.DType) bool { return b.sumSquares(dev, d) })
	})
	for i, c := range optimizerCases {
		b.sub(fmt.Sprintf("%s%d", c.op, i), func(b *bench) {
			b.floats("OptimizerStep "+c.op.String(), func(d backend.DType) bool {
				steps := 3
				if d != backend.Float32 && d != backend.Float64 {
					steps = 1 // a rounding that goes the other way would grow
				}
				direct := b.optimize(dev, c.op, d, c.p, c.states, steps, false)
				return b.optimize(dev, c.op, d, c.p, c.states, steps, true) && direct
			})
		})
	}
}

// optimize runs steps over several parameters in one call each; with slot the
// learning rate, the step and a factor stand in device memory, and the second step
// is skipped.
func (b *bench) optimize(dev backend.OptimizerDevice, op backend.OptimizerOp, d backend.DType, p backend.OptimizerParams, states, steps int, slot bool) bool {
	defer b.free()
	call := "OptimizerStep " + op.String()
	shapes, layouts := [][]int{{}, {5}, {3, 4}, {0}, {2, 3, 2, 2}, {70001}}, []layout{contiguous, offset, transposed, contiguous, channelsLast, contiguous}
	if d != backend.Float32 || slot || p.WeightDecay == 0 {
		shapes = shapes[:5]
	}
	var params []array
	var arrays, grads []backend.Array
	var state [][]backend.Array
	var stateArrays [][]array
	for i, shape := range shapes {
		x := b.array(d, shape, layouts[i], b.random(d, -1, 1, 211))
		params, arrays = append(params, x), append(arrays, x.Array)
		var own []array
		var list []backend.Array
		for range states {
			s := b.array(d, shape, layouts[i], []float64{0})
			own, list = append(own, s), append(list, s.Array)
		}
		stateArrays, state = append(stateArrays, own), append(state, list)
	}
	want := make([][]float64, len(params))
	wantState := make([][][]float64, len(params)) // of parameter, of element
	for i, x := range params {
		want[i], wantState[i] = x.values(), make([][]float64, x.Size())
		for j := range wantState[i] {
			wantState[i][j] = make([]float64, states)
		}
	}
	for step := range steps {
		p.Step = int64(step + 1)
		grads = grads[:0]
		skipped := slot && step == 1
		for i, x := range params {
			g := b.array(d, x.Shape, layouts[i], b.random(d, -1, 1, 199))
			grads = append(grads, g.Array)
			if skipped {
				continue
			}
			for j, v := range g.values() {
				if slot {
					v *= slotFactor
				}
				want[i][j] = update(op, p, want[i][j], v, wantState[i][j])
			}
		}
		passed := p
		if slot {
			passed.Slot = b.alloc(48)
			s := backend.Scalars{A: p.LR, B: slotFactor, N: p.Step}
			if passed.LR, passed.Step = nan, 99; skipped {
				s.M = 1
			}
			b.must(b.dev.Upload(passed.Slot, backend.AppendScalars(nil, s)))
		}
		if !b.ran(call, d, dev.OptimizerStep(op, arrays, grads, state, passed), params...) {
			return false
		}
	}
	for i, x := range params {
		b.close(describe(call, x), d, b.read(call, x), want[i], nil)
		for k, s := range stateArrays[i] {
			of := make([]float64, len(wantState[i]))
			for j := range of {
				of[j] = wantState[i][j][k]
			}
			b.close(fmt.Sprintf("%s, state %d", describe(call, x), k), d, b.read(call, s), of, nil)
		}
	}
	return true
}

// slotFactor is a power of 2: it rounds nothing.
const slotFactor = 0.25

func (b *bench) sumSquares(dev backend.OptimizerDevice, d backend.DType) bool {
	shapes, layouts := [][]int{{}, {5}, {3, 4}, {0}, {2, 3, 2, 2}, {70001}}, []layout{contiguous, offset, transposed, contiguous, channelsLast, contiguous}
	huge, tiny := 1e30, 1e-30 // whose squares float32 does not hold
	if d == backend.Float16 {
		huge, tiny = 60000, 0x1p-24
	}
	check := func(name string, n int, special ...float64) bool {
		defer b.free()
		var xs []backend.Array
		want := 0.0
		for i, shape := range shapes[:n] {
			vals := b.random(d, -2, 2, 211)
			if len(special) > 0 {
				vals = special
			}
			x := b.array(d, shape, layouts[i], vals)
			xs = append(xs, x.Array)
			for _, v := range x.values() {
				want += v * v
			}
		}
		out := b.output(backend.Float64, []int{}, offset)
		if !b.ran("SumSquares", d, dev.SumSquares(out.Array, xs), out) {
			return false
		}
		got := b.read("SumSquares of "+name, out)
		switch {
		case !b.values:
		case math.IsInf(want, 0) || math.IsNaN(want):
			if !math.IsInf(got[0], 0) && !math.IsNaN(got[0]) {
				b.Errorf("SumSquares of %s %s is %v", name, d, got[0])
			}
		case !(math.Abs(got[0]-want) <= 1e-6*want):
			b.Errorf("SumSquares of %s %s is %v, want %v", name, d, got[0], want)
		}
		return true
	}
	ran := check("random numbers", len(shapes))
	check("nothing", 0)
	check("zeros", 5, 0)
	check("huge numbers", 5, huge, 1)
	check("tiny numbers", 5, tiny)
	check("an infinity", 5, 1, 2, inf)
	check("a NaN", 5, nan, 1, 1)
	return ran
}
