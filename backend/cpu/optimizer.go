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
	if p.Slot != nil {
		s := scalars(&backend.Params{Slot: p.Slot})
		p.LR, p.Step = s.A, s.N
	}
	for i := range params {
		if t := params[i].DType; !t.IsFloat() {
			return unsupported(op, t)
		}
	}
	// A piece is a part of one parameter.
	type piece struct{ param, lo, hi int }
	total := 0
	for i := range params {
		total += params[i].Size()
	}
	pieces := make([]piece, 0, total/grainOptimizer+len(params))
	for i := range params {
		n := params[i].Size()
		for lo := 0; lo < n; lo += grainOptimizer {
			pieces = append(pieces, piece{i, lo, min(lo+grainOptimizer, n)})
		}
	}
	update := func(lo, hi int) {
		for _, q := range pieces[lo:hi] {
			step(op, &params[q.param], &grads[q.param], state[q.param], &p, q.lo, q.hi)
		}
	}
	if total <= grainOptimizer {
		update(0, len(pieces))
	} else {
		parallel.For(len(pieces), 1, update)
	}
	return nil
}

// step updates elements [lo, hi) of a parameter, in the order of its memory.
func step(op backend.OptimizerOp, param, grad *backend.Array, state []backend.Array, p *backend.OptimizerParams, lo, hi int) {
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
				Nesterov: p.Nesterov, Maximize: p.Maximize, First: p.Step == 1}
			s.Step(v[0], v[1], v[2])
			return
		}
		a := vec.Adam{LR: p.LR, Beta1: p.Beta1, Beta2: p.Beta2, Eps: p.Eps, WeightDecay: p.WeightDecay,
			Step: int(p.Step), Decoupled: op == backend.AdamW, Maximize: p.Maximize}
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

// sgd is the rule of vec.SGD.
func sgd(w, g, momentum []float64, p *backend.OptimizerParams) {
	for i, d := range g {
		if p.Maximize {
			d = -d
		}
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

// adam is the rule of vec.Adam.
func adam(w, g, m, v, vmax []float64, p *backend.OptimizerParams, decoupled bool) {
	correction1 := 1 - math.Pow(p.Beta1, float64(p.Step))
	correction2 := math.Sqrt(1 - math.Pow(p.Beta2, float64(p.Step)))
	for i, d := range g {
		if p.Maximize {
			d = -d
		}
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
