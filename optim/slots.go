package optim

import (
	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/tensor"
)

// Capturable is an optimizer whose update can be part of a captured step.
type Capturable interface {
	Optimizer
	// StepSlots is Step with the scalars that change from step to step, the learning
	// rate and the number of the step, in slots. Refreshing those counts a step.
	StepSlots(slots *tensor.Slots)
}

// StepSlots is Step for a captured step. The device must have a fused kernel.
func (r *rule) StepSlots(slots *tensor.Slots) {
	r.settle()
	r.eachSlot(slots, false, func(key batch, ps []*tensor.Tensor, o backend.OptimizerParams) {
		if _, fused := key.dev.(backend.OptimizerDevice); !fused {
			tensor.Fail("optim", "%v has no fused optimizer, which a captured step needs", key.dev)
		}
		r.update(key.dev, ps, o)
	})
}

// eachSlot calls f for each batch with its learning rate and step in a slot; scaled
// is for steps that the device may skip.
func (r *rule) eachSlot(slots *tensor.Slots, scaled bool, f func(key batch, ps []*tensor.Tensor, o backend.OptimizerParams)) {
	for _, g := range r.groups {
		byAge, order := r.byAge(g)
		for _, key := range order {
			ps, o := byAge[key], r.p
			o.WeightDecay = g.WeightDecay
			states := make([]*paramState, len(ps))
			for i, p := range ps {
				states[i] = r.state[p]
			}
			o.Slot, o.SlotIndex = slots.Add(func() backend.Scalars {
				if g.WeightDecay != o.WeightDecay {
					tensor.Fail("optim", "WeightDecay went from %g to %g after the step was captured", o.WeightDecay, g.WeightDecay)
				}
				r.scaled = r.scaled || scaled
				var step int64
				for i, st := range states {
					if r.state[ps[i]] != st {
						tensor.Fail("optim", "SetState has taken away the state of %s, which a captured step uses: capture it anew", ps[i].Name())
					}
					st.step++
					step = st.step
				}
				return backend.Scalars{A: g.LR, B: 1, N: step}
			})
			f(key, ps, o)
		}
	}
}
