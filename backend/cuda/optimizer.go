package cuda

import (
	"unsafe"

	"github.com/descent-ml/descent/backend"
)

// chunk mirrors CHUNK of tensors.cuh.
const chunk = 16384

// The tables of arrays mirror Table of tensors.cuh.
const (
	optimizerEntries = 48
	squaresEntries   = 150
	tableThreads     = 256
)

// optimizerArgs mirrors OptimizerArgs of optimizer.cu.
type optimizerArgs struct {
	lr, decay, momentum, dampening, beta1, beta2, eps float64
	step                                              int64
	slot                                              uint64
	nesterov, maximize                                uint32

	entries, _ uint32
	chunks     [optimizerEntries + 1]uint32
	aligned    [optimizerEntries]uint32
	_          uint32
	size       [optimizerEntries]int64
	data       [optimizerEntries][5]uint64
}

// squaresArgs mirrors SumSquaresArgs of sumsquares.cu.
type squaresArgs struct {
	partial, out uint64
	count        int64

	entries, firstChunk uint32
	chunks              [squaresEntries + 1]uint32
	aligned             [squaresEntries]uint32
	_                   uint32
	size                [squaresEntries]int64
	data                [squaresEntries]uint64
}

const (
	squaresChunks = iota
	squaresFinish
)

// optimizerStates is how many state arrays a rule may have.
var optimizerStates = [...][]uint8{backend.SGD: {0, 1}, backend.Adam: {2, 3}, backend.AdamW: {2, 3}}

func optimizerSpec(op backend.OptimizerOp, t backend.DType, states int) spec {
	return spec{file: "optimizer.cu", op: op.String(), t: t, u: t, v: t, variant: uint8(states)}
}

func squaresSpec(t backend.DType, variant uint8) spec {
	return spec{file: "sumsquares.cu", op: "SumSquares", t: t, u: t, v: t, variant: variant}
}

func init() {
	catalogue = append(catalogue, func(yield func(spec, uintptr) bool) {
		for _, t := range floats {
			for op, states := range optimizerStates {
				for _, n := range states {
					if !yield(optimizerSpec(backend.OptimizerOp(op), t, int(n)), unsafe.Sizeof(optimizerArgs{})) {
						return
					}
				}
			}
			if !yield(squaresSpec(t, squaresChunks), unsafe.Sizeof(squaresArgs{})) {
				return
			}
		}
		yield(squaresSpec(backend.Float64, squaresFinish), unsafe.Sizeof(squaresArgs{}))
	})
}

// OptimizerStep updates parameters in place, some dozens in a launch.
func (d *Device) OptimizerStep(op backend.OptimizerOp, params, grads []backend.Array, state [][]backend.Array, p backend.OptimizerParams) error {
	note(d, "OptimizerStep", op, backend.Array{Shape: []int{len(params)}}, p)
	for i := range params {
		if t := params[i].DType; !t.IsFloat() || int(op) >= len(optimizerStates) || len(state[i]) > 3 {
			return unsupported(op, t)
		}
	}
	a := optimizerArgs{lr: p.LR, decay: p.WeightDecay, momentum: p.Momentum, dampening: p.Dampening, beta1: p.Beta1, beta2: p.Beta2, eps: p.Eps,
		step: p.Step, nesterov: bit(p.Nesterov), maximize: bit(p.Maximize)}
	if p.Slot != nil {
		a.slot = p.Slot.(*buffer).use() + uint64(p.SlotIndex)*backend.ScalarsBytes
	}
	// One launch has one dtype and number of states, which rarely change.
	for len(params) > 0 {
		k := optimizerSpec(op, params[0].DType, len(state[0]))
		a.entries = 0
		for len(params) > 0 && a.entries < optimizerEntries && params[0].DType == k.t && len(state[0]) == int(k.variant) {
			if n := params[0].Size(); n > 0 {
				e := a.entries
				a.entries++
				a.size[e] = int64(n)
				a.chunks[e+1] = a.chunks[e] + uint32(ceilDiv(n, chunk))
				a.data[e] = [5]uint64{addr(params[0]), addr(grads[0])}
				all := a.data[e][0] | a.data[e][1]
				for j := range state[0] {
					a.data[e][2+j] = addr(state[0][j])
					all |= a.data[e][2+j]
				}
				a.aligned[e] = bit(all%16 == 0)
			}
			params, grads, state = params[1:], grads[1:], state[1:]
		}
		if a.entries == 0 {
			continue
		}
		if err := d.launch(k, [3]uint32{a.chunks[a.entries], 1, 1}, tableThreads, 0, unsafe.Pointer(&a), unsafe.Sizeof(a)); err != nil {
			return err
		}
	}
	return nil
}

// SumSquares adds up the squares of all elements of xs, in float64 and in an order
// that depends on their sizes alone.
func (d *Device) SumSquares(out backend.Array, xs []backend.Array) error {
	note(d, "SumSquares", noOp, out, len(xs))
	a := squaresArgs{out: addr(out)}
	for i := range xs {
		if t := xs[i].DType; !t.IsFloat() {
			return unsupported("SumSquares", t)
		}
		a.count += int64(ceilDiv(xs[i].Size(), chunk))
	}
	partial, err := d.scratch(8 * int(a.count))
	if err != nil {
		return err
	}
	defer partial.free()
	a.partial = partial.addr()
	for len(xs) > 0 {
		k := squaresSpec(xs[0].DType, squaresChunks)
		a.entries = 0
		for len(xs) > 0 && a.entries < squaresEntries && xs[0].DType == k.t {
			if n := xs[0].Size(); n > 0 {
				e := a.entries
				a.entries++
				a.size[e] = int64(n)
				a.chunks[e+1] = a.chunks[e] + uint32(ceilDiv(n, chunk))
				a.data[e] = addr(xs[0])
				a.aligned[e] = bit(a.data[e]%16 == 0)
			}
			xs = xs[1:]
		}
		if a.entries == 0 {
			continue
		}
		blocks := a.chunks[a.entries]
		if err := d.launch(k, [3]uint32{blocks, 1, 1}, tableThreads, 0, unsafe.Pointer(&a), unsafe.Sizeof(a)); err != nil {
			return err
		}
		a.firstChunk += blocks
	}
	return d.launch(squaresSpec(backend.Float64, squaresFinish), [3]uint32{1, 1, 1}, tableThreads, 0, unsafe.Pointer(&a), unsafe.Sizeof(a))
}

func bit(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}
