package cpu

import (
	"math"
	"unsafe"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cpu/internal/parallel"
	"github.com/descent-ml/descent/backend/cpu/internal/vec"
)

// grainOptimizer is how many elements of a parameter one task updates.
const grainOptimizer = 16 << 10

// OptimizerStep updates parameters in place.
func (d *Device) OptimizerStep(op backend.OptimizerOp, params, grads []backend.Array, state [][]backend.Array, p backend.OptimizerParams) error {
	if g := d.capturing(); g != nil {
		return g.optimizerStep(op, params, grads, state, p)
	}
	factor := 1.0
	if p.Slot != nil {
		s := scalars(&backend.Params{Slot: p.Slot, SlotIndex: p.SlotIndex})
		if s.M != 0 {
			return nil
		}
		p.LR, factor, p.Step = s.A, s.B, s.N
	}
	if p.Maximize {
		factor = -factor
	}
	for i := range params {
		if t := params[i].DType; !t.IsFloat() {
			return unsupported(op, t)
		}
	}
	eachPiece(params, func(_ int, q piece) {
		step(op, &params[q.array], &grads[q.array], state[q.array], &p, factor, q.lo, q.hi)
	})
	return nil
}

// piece is a part of one array of several: its elements [lo, hi) in memory.
type piece struct{ array, lo, hi int }

func piecesOf(arrays []backend.Array) []piece {
	var pieces []piece
	for i := range arrays {
		n := arrays[i].Size()
		for lo := 0; lo < n; lo += grainOptimizer {
			pieces = append(pieces, piece{i, lo, min(lo+grainOptimizer, n)})
		}
	}
	return pieces
}

func eachPiece(arrays []backend.Array, f func(i int, q piece)) {
	pieces := piecesOf(arrays)
	grain := 1
	if len(pieces) <= len(arrays) { // small ones
		grain = 4
	}
	parallel.For(len(pieces), grain, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			f(i, pieces[i])
		}
	})
}

// step updates elements [lo, hi) of a parameter, in the order of its memory.
func step(op backend.OptimizerOp, param, grad *backend.Array, state []backend.Array, p *backend.OptimizerParams, factor float64, lo, hi int) {
	arrays := [5]*backend.Array{param, grad}
	for i := range state {
		arrays[2+i] = &state[i]
	}
	if param.DType == backend.Float32 {
		var v [5][]float32
		for i, a := range arrays {
			if a != nil {
				v[i] = whole[float32](a)[a.Offset+lo : a.Offset+hi]
			}
		}
		if op == backend.SGD {
			s := vec.SGD{LR: p.LR, Momentum: p.Momentum, Dampening: p.Dampening, WeightDecay: p.WeightDecay,
				Factor: factor, Nesterov: p.Nesterov, First: p.Step == 1}
			s.Step(v[0], v[1], v[2])
			return
		}
		a := vec.Adam{LR: p.LR, Beta1: p.Beta1, Beta2: p.Beta2, Eps: p.Eps, WeightDecay: p.WeightDecay,
			Factor: factor, Step: int(p.Step), Decoupled: op == backend.AdamW}
		a.Update(v[0], v[1], v[2], v[3], v[4])
		return
	}
	// Other types are computed in float64, block by block.
	buf, extra := codec64.get(), codec64.get()
	defer codec64.put(buf)
	defer codec64.put(extra)
	for ; lo < hi; lo += blockLen {
		n := min(blockLen, hi-lo)
		var v [5][]float64
		for i, a := range arrays {
			if a == nil {
				continue
			}
			v[i] = buf[i%4][:n]
			if i == 4 {
				v[i] = extra[0][:n]
			}
			codec64.load[a.DType](v[i], element(a, lo), 1)
		}
		for j := range v[1] {
			v[1][j] *= factor
		}
		if op == backend.SGD {
			sgd(v[0], v[1], v[2], p)
		} else {
			adam(v[0], v[1], v[2], v[3], v[4], p, op == backend.AdamW)
		}
		for i, a := range arrays {
			if a != nil && i != 1 {
				codec64.store[a.DType](element(a, lo), 1, v[i])
			}
		}
	}
}

// element points to the element of a dense array that is number i in memory.
func element(a *backend.Array, i int) unsafe.Pointer {
	return unsafe.Add(a.Buf.(*buffer).ptr, (a.Offset+i)*a.DType.Size())
}

// sgd is the rule of vec.SGD, g being multiplied already.
func sgd(w, g, momentum []float64, p *backend.OptimizerParams) {
	for i, d := range g {
		d += p.WeightDecay * w[i]
		if momentum != nil {
			b := d
			if p.Step != 1 {
				b = p.Momentum*momentum[i] + (1-p.Dampening)*d
			}
			momentum[i] = b
			if p.Nesterov {
				d += p.Momentum * b
			} else {
				d = b
			}
		}
		w[i] -= p.LR * d
	}
}

// adam is the rule of vec.Adam, g being multiplied already.
func adam(w, g, m, v, vmax []float64, p *backend.OptimizerParams, decoupled bool) {
	correction1 := 1 - math.Pow(p.Beta1, float64(p.Step))
	correction2 := math.Sqrt(1 - math.Pow(p.Beta2, float64(p.Step)))
	for i, d := range g {
		if decoupled {
			w[i] -= p.LR * p.WeightDecay * w[i]
		} else {
			d += p.WeightDecay * w[i]
		}
		m[i] += (1 - p.Beta1) * (d - m[i])
		v[i] = p.Beta2*v[i] + (1-p.Beta2)*d*d
		second := v[i]
		if vmax != nil {
			vmax[i] = max(vmax[i], second)
			second = vmax[i]
		}
		w[i] -= p.LR / correction1 * m[i] / (math.Sqrt(second)/correction2 + p.Eps)
	}
}
