package autograd

import (
	"slices"

	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/tensor"
)

// Checkpoint computes fn(in) without keeping what is computed on the way: the
// backward pass runs fn again. Activations of one fn at a time are then held,
// for the price of a second forward. Random layers draw the same numbers again,
// and buffers (running statistics) are updated by the first run alone. fn must
// compute the same each time; parameters that it uses get their gradients.
func Checkpoint(fn func(in []*tensor.Tensor) []*tensor.Tensor, in ...*tensor.Tensor) []*tensor.Tensor {
	mode := modeOf(in, false)
	if s := tensor.CommonScope(in...); s != nil && s.Mode().NoGrad {
		return fn(in)
	}
	var start random.Stream
	if mode.Rand != nil {
		start = mode.Rand.State()
	}
	// The first run is recorded, to learn which parameters it depends on.
	inputs := slices.Clone(in)
	out := tensor.Within(mode, in, func(xs []*tensor.Tensor) []*tensor.Tensor {
		leaves := track(xs, in)
		ys := fn(leaves)
		for _, p := range tensor.Leaves(ys...) {
			if !slices.Contains(leaves, p) {
				inputs = append(inputs, p)
			}
		}
		return ys
	})
	params := inputs[len(in):]
	tensor.Custom("checkpoint", out, inputs, func(b *tensor.Back, gs []*tensor.Tensor) []*tensor.Tensor {
		if mode.Rand != nil {
			mode.Rand = replayed(start)
		}
		xs := make([]*tensor.Tensor, len(in))
		for i := range in {
			xs[i] = b.In(i)
		}
		again := func(xs []*tensor.Tensor, create bool) []*tensor.Tensor {
			ys := fn(xs)
			var wanted []*tensor.Tensor
			var place []int
			for i, x := range slices.Concat(xs, params) {
				if b.Wants(i) {
					wanted, place = append(wanted, x), append(place, i)
				}
			}
			grads := make([]*tensor.Tensor, len(inputs))
			total := weigh(ys, gs)
			if total == nil {
				return grads
			}
			for i, g := range tensor.GradWith(tensor.GradOptions{Create: create, AllowUnused: true}, total, wanted...) {
				grads[place[i]] = g
			}
			return grads
		}
		if b.Recording() {
			// Nothing can be freed: run fn on the inputs themselves, under the graph.
			return again(xs, true)
		}
		var given []*tensor.Tensor
		for _, g := range gs {
			if g != nil {
				given = append(given, g)
			}
		}
		return tensor.Within(mode, slices.Concat(xs, given), func(used []*tensor.Tensor) []*tensor.Tensor {
			tensor.CommonScope(used...).SetReplaying(true)
			return again(track(used[:len(xs)], in), false)
		})
	})
	return out
}

// track detaches xs and lets gradients flow into those that want them.
func track(xs, like []*tensor.Tensor) []*tensor.Tensor {
	out := make([]*tensor.Tensor, len(xs))
	for i, x := range xs {
		if out[i] = x.Detach(); like[i].RequiresGrad() {
			out[i].RequireGrad()
		}
	}
	return out
}

// weigh is Σ ys·gs, whose gradient is the one that gs ask for.
func weigh(ys, gs []*tensor.Tensor) *tensor.Tensor {
	var total *tensor.Tensor
	for i, g := range gs {
		if g == nil || !ys[i].RequiresGrad() {
			continue
		}
		if part := ys[i].Mul(g).Sum(); total == nil {
			total = part
		} else {
			total = total.Add(part)
		}
	}
	return total
}

func replayed(start random.Stream) *random.Generator {
	g := new(random.Generator)
	g.SetState(start)
	return g
}
