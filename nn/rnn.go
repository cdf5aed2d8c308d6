package nn

import (
	"fmt"
	"iter"
	"math"
	"slices"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/tensor"
)

// RNNOptions are the options of NewLSTM and NewGRU.
type RNNOptions struct {
	Layers        int // 0 is 1; each further layer reads the outputs of the one before
	Bidirectional bool
	Dropout       float64 // on the outputs of each layer but the last
	NoBias        bool
	BatchFirst    bool // inputs and outputs are [N, T, ...] instead of [T, N, ...]
	DType         tensor.DType
	Device        backend.Device // nil: the CPU
}

// RNNWeights are those of one layer in one direction. G is the number of gates.
type RNNWeights struct {
	WeightIH *tensor.Tensor // [G·hidden, in]
	WeightHH *tensor.Tensor // [G·hidden, hidden]
	BiasIH   *tensor.Tensor // [G·hidden], or nil
	BiasHH   *tensor.Tensor // [G·hidden], or nil
}

// recurrent is what LSTM and GRU share: layers and directions.
type recurrent struct {
	// Layers has the weights by layer and direction. Their names are PyTorch's:
	// weight_ih_l0, weight_hh_l0_reverse.
	Layers [][]*RNNWeights

	name    string
	in      int
	hidden  int
	options RNNOptions
}

// newRecurrent draws all weights uniformly from ±1/√hidden.
func newRecurrent(name string, gates int, rng *random.Generator, in, hidden int, o RNNOptions) recurrent {
	if hidden <= 0 || o.Layers < 0 {
		tensor.Fail(name, "hidden size %d and %d layers", hidden, o.Layers)
	}
	checkProbability(name, o.Dropout)
	make := makerOf(o.DType, o.Device)
	r := recurrent{name: name, in: in, hidden: hidden, options: o}
	directions := 1
	if o.Bidirectional {
		directions = 2
	}
	for range orDefault(o.Layers, 1) {
		var layer []*RNNWeights
		for range directions {
			w := &RNNWeights{WeightIH: make.param(gates*hidden, in), WeightHH: make.param(gates*hidden, hidden)}
			if !o.NoBias {
				w.BiasIH, w.BiasHH = make.param(gates*hidden), make.param(gates*hidden)
			}
			layer = append(layer, w)
		}
		r.Layers = append(r.Layers, layer)
		in = directions * hidden
	}
	bound := 1 / math.Sqrt(float64(hidden))
	for _, part := range r.Parts() {
		if p := part.(*tensor.Tensor); p != nil {
			Uniform(rng, p, -bound, bound)
		}
	}
	return r
}

// Parts names the weights as PyTorch does.
func (r *recurrent) Parts() iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		for i, layer := range r.Layers {
			for j, w := range layer {
				suffix := fmt.Sprintf("_l%d%s", i, []string{"", "_reverse"}[j])
				if !(yield("weight_ih"+suffix, w.WeightIH) && yield("weight_hh"+suffix, w.WeightHH) &&
					yield("bias_ih"+suffix, w.BiasIH) && yield("bias_hh"+suffix, w.BiasHH)) {
					return
				}
			}
		}
	}
}

// A cell makes ready, once for all steps, what x [T, N, in] contributes to the
// gates [T, N, G·hidden], and computes single steps: from that of one step and
// the state before it the state after it, whose first part is the output.
type cell struct {
	project func(w *RNNWeights, x *tensor.Tensor) *tensor.Tensor
	step    func(w *RNNWeights, gates *tensor.Tensor, state []*tensor.Tensor) []*tensor.Tensor
}

// run applies all layers to x. state has the initial states [layers·directions,
// N, hidden], nil for zeros; it returns the output and the final states.
func (r *recurrent) run(m *Mode, c cell, x *tensor.Tensor, state ...*tensor.Tensor) (*tensor.Tensor, []*tensor.Tensor) {
	single := x.Dim() == 2 // one sequence, no batch
	if single {
		x = x.Unsqueeze(1)
	} else if r.options.BatchFirst && x.Dim() == 3 {
		x = x.Transpose(0, 1)
	}
	if x.Dim() != 3 || x.Size(2) != r.in || x.Size(0) == 0 {
		tensor.Fail(r.name, "an input of shape %v; it must have 2 or 3 axes, at least one step and %d features", x.Shape(), r.in)
	}
	want := []int{len(r.Layers) * len(r.Layers[0]), x.Size(1), r.hidden}
	in := []*tensor.Tensor{x}
	for i, s := range state {
		switch {
		case s == nil:
			s = tensor.Zeros(x.Place(), x.DType(), want...)
		case single && s.Dim() == 2:
			s = s.Unsqueeze(1)
		}
		if !slices.Equal(s.Shape(), want) {
			tensor.Fail(r.name, "initial state %d has shape %v, not %v", i, s.Shape(), want)
		}
		in = append(in, s)
	}
	out := tidy(in, func(in []*tensor.Tensor) []*tensor.Tensor { return r.layers(m, c, in[0], in[1:]) })
	if single {
		for i := range out {
			out[i] = out[i].Squeeze(1)
		}
	} else if r.options.BatchFirst {
		out[0] = out[0].Transpose(0, 1)
	}
	return out[0], out[1:]
}

// layers returns the output of the last layer and the final states of all.
func (r *recurrent) layers(m *Mode, c cell, x *tensor.Tensor, state []*tensor.Tensor) []*tensor.Tensor {
	end := make([][]*tensor.Tensor, len(state)) // for each part of the state, by layer and direction
	for i, layer := range r.Layers {
		var ys []*tensor.Tensor
		for j, w := range layer {
			var begin []*tensor.Tensor
			for _, s := range state {
				begin = append(begin, s.Select(0, i*len(layer)+j))
			}
			y, last := c.scan(w, x, begin, j == 1)
			ys = append(ys, y)
			for k, s := range last {
				end[k] = append(end[k], s)
			}
		}
		if x = ys[0]; len(ys) > 1 {
			x = tensor.Cat(ys, -1)
		}
		if i < len(r.Layers)-1 {
			x = m.dropout(x, r.name, r.options.Dropout)
		}
	}
	out := []*tensor.Tensor{x}
	for _, s := range end {
		out = append(out, tensor.Stack(s, 0))
	}
	return out
}

// scan runs one layer in one direction over all steps and returns its outputs
// [T, N, hidden] and the last state.
func (c cell) scan(w *RNNWeights, x *tensor.Tensor, state []*tensor.Tensor, reverse bool) (y *tensor.Tensor, last []*tensor.Tensor) {
	out := tidy(append([]*tensor.Tensor{x}, state...), func(in []*tensor.Tensor) []*tensor.Tensor {
		gates, state := c.project(w, in[0]), in[1:]
		ys := make([]*tensor.Tensor, gates.Size(0))
		for i := range ys {
			t := i
			if reverse {
				t = len(ys) - 1 - i
			}
			state = tidy(append([]*tensor.Tensor{gates.Select(0, t)}, state...), func(in []*tensor.Tensor) []*tensor.Tensor {
				return c.step(w, in[0], in[1:])
			})
			ys[t] = state[0]
		}
		return append([]*tensor.Tensor{tensor.Stack(ys, 0)}, state...)
	})
	return out[0], out[1:]
}

// LSTM is a stack of long short-term memories (Hochreiter and Schmidhuber 1997,
// with forget gates) over sequences.
type LSTM struct {
	Mode
	recurrent
}

// NewLSTM reads in features and has hidden numbers of state. All weights are
// drawn uniformly from ±1/√hidden.
func NewLSTM(rng *random.Generator, in, hidden int, o RNNOptions) *LSTM {
	return &LSTM{recurrent: newRecurrent("lstm", 4, rng, in, hidden, o)}
}

// Forward runs over x [T, N, in] ([N, T, in] with BatchFirst, or one sequence
// [T, in]) from the states h0 and c0 [layers·directions, N, hidden], nil for
// zeros. out [T, N, directions·hidden] are the outputs of the last layer, hN and
// cN the states after the last step of each layer and direction.
func (l *LSTM) Forward(x, h0, c0 *tensor.Tensor) (out, hN, cN *tensor.Tensor) {
	out, end := l.run(&l.Mode, cell{projectLSTM, stepLSTM}, x, h0, c0)
	return out, end[0], end[1]
}

func projectLSTM(w *RNNWeights, x *tensor.Tensor) *tensor.Tensor {
	bias := w.BiasIH
	if bias != nil {
		bias = beside(x, bias).Add(w.BiasHH) // both are added to the same gates
	}
	return tensor.Linear(x, w.WeightIH, bias)
}

func stepLSTM(w *RNNWeights, gates *tensor.Tensor, state []*tensor.Tensor) []*tensor.Tensor {
	h, c := state[0], state[1]
	n := h.Size(-1)
	gates = gates.Add(tensor.Linear(h, w.WeightHH, nil)) // [N, 4·hidden]: input, forget, cell, output
	inForget := gates.Narrow(-1, 0, 2*n).Sigmoid()
	in, forget := inForget.Narrow(-1, 0, n), inForget.Narrow(-1, n, n)
	c = forget.Mul(c).Add(in.Mul(gates.Narrow(-1, 2*n, n).Tanh()))
	h = gates.Narrow(-1, 3*n, n).Sigmoid().Mul(c.Tanh())
	return []*tensor.Tensor{h, c}
}

// GRU is a stack of gated recurrent units (Cho et al. 2014) over sequences, in
// the form of cuDNN and PyTorch: the reset gate acts on the projected state.
type GRU struct {
	Mode
	recurrent
}

// NewGRU reads in features and has hidden numbers of state. All weights are
// drawn uniformly from ±1/√hidden.
func NewGRU(rng *random.Generator, in, hidden int, o RNNOptions) *GRU {
	return &GRU{recurrent: newRecurrent("gru", 3, rng, in, hidden, o)}
}

// Forward runs over x [T, N, in] ([N, T, in] with BatchFirst, or one sequence
// [T, in]) from the state h0 [layers·directions, N, hidden], nil for zeros. out
// [T, N, directions·hidden] are the outputs of the last layer, hN the states
// after the last step of each layer and direction.
func (l *GRU) Forward(x, h0 *tensor.Tensor) (out, hN *tensor.Tensor) {
	out, end := l.run(&l.Mode, cell{projectGRU, stepGRU}, x, h0)
	return out, end[0]
}

func projectGRU(w *RNNWeights, x *tensor.Tensor) *tensor.Tensor {
	return tensor.Linear(x, w.WeightIH, w.BiasIH)
}

func stepGRU(w *RNNWeights, gates *tensor.Tensor, state []*tensor.Tensor) []*tensor.Tensor {
	h := state[0]
	n := h.Size(-1)
	fromState := tensor.Linear(h, w.WeightHH, w.BiasHH) // [N, 3·hidden]: reset, update, new
	both := gates.Narrow(-1, 0, 2*n).Add(fromState.Narrow(-1, 0, 2*n)).Sigmoid()
	reset, update := both.Narrow(-1, 0, n), both.Narrow(-1, n, n)
	new := gates.Narrow(-1, 2*n, n).Add(reset.Mul(fromState.Narrow(-1, 2*n, n))).Tanh()
	return []*tensor.Tensor{new.Add(update.Mul(h.Sub(new)))}
}
