// Package optim updates parameters from their gradients: optimizers, schedules of
// the learning rate, and clipping. Options are PyTorch's, and so are the results.
//
// An optimizer belongs to one goroutine.
package optim

import (
	"errors"
	"fmt"
	"iter"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/tensor"
)

// Params are named parameters, as nn.Params yields them.
type Params = iter.Seq2[string, *tensor.Tensor]

// Optimizer updates parameters from their gradients.
type Optimizer interface {
	// ZeroGrad forgets the gradients of all parameters.
	ZeroGrad()
	// Step updates every parameter that has a gradient, in place. It is not
	// recorded and does not wait for the device.
	Step()
	// Groups are the parameter groups; their fields may be changed between steps.
	Groups() []*Group
	// State yields what is saved of the optimizer: "fc1.weight.exp_avg".
	State() iter.Seq2[string, *tensor.Tensor]
	// SetState replaces the state by copies of what State of the same optimizer
	// yielded, and by the number of steps each parameter has made. It changes
	// nothing if it returns an error.
	SetState(state map[string]*tensor.Tensor, steps map[string]int64) error
	// Steps is the number of updates each parameter has had, by name; those
	// without any are left out.
	Steps() map[string]int64
}

// Group is a set of parameters with options of their own.
type Group struct {
	LR          float64
	WeightDecay float64

	names  []string
	params []*tensor.Tensor
}

// Params yields the group's parameters by name.
func (g *Group) Params() Params {
	return func(yield func(string, *tensor.Tensor) bool) {
		for i, p := range g.params {
			if !yield(g.names[i], p) {
				return
			}
		}
	}
}

// GroupOptions describe a group; nil fields are as the optimizer's.
type GroupOptions struct {
	Params      Params
	LR          *float64
	WeightDecay *float64
}

// rule is what the optimizers share: groups, state, and the update by name.
type rule struct {
	op     backend.OptimizerOp
	p      backend.OptimizerParams
	slots  []string // names of the state tensors
	groups []*Group
	state  map[*tensor.Tensor]*paramState

	scaled   bool // some steps may have been skipped
	composed bool // tests turn the fused kernel off
}

type paramState struct {
	step  int64  // attempts, of which lost counts those that were skipped
	lost  *skips // nil for none
	slots []*tensor.Tensor
}

func newRule(op backend.OptimizerOp, p backend.OptimizerParams, slots []string, params Params, groups []GroupOptions) *rule {
	r := &rule{op: op, p: p, slots: slots, state: map[*tensor.Tensor]*paramState{}}
	if params != nil {
		groups = append([]GroupOptions{{Params: params}}, groups...)
	}
	seen := map[*tensor.Tensor]string{}
	for _, o := range groups {
		g := &Group{LR: p.LR, WeightDecay: p.WeightDecay}
		if o.LR != nil {
			g.LR = *o.LR
		}
		if o.WeightDecay != nil {
			g.WeightDecay = *o.WeightDecay
		}
		for name, t := range o.Params {
			if !t.IsParameter() {
				tensor.Fail("optim", "%s is no parameter", name)
			}
			if other, twice := seen[t]; twice {
				tensor.Fail("optim", "parameter %s stands in two groups (as %s too)", name, other)
			}
			seen[t] = name
			t.SetName(name)
			g.names, g.params = append(g.names, name), append(g.params, t)
		}
		r.groups = append(r.groups, g)
	}
	if len(seen) == 0 {
		tensor.Fail("optim", "there are no parameters to optimize")
	}
	return r
}

func (r *rule) Groups() []*Group { return r.groups }

func (r *rule) ZeroGrad() {
	for _, g := range r.groups {
		for _, p := range g.params {
			p.ZeroGrad()
		}
	}
}

// batch is what one fused call updates: parameters of one device, dtype and number
// of steps made.
type batch struct {
	dev  backend.Device
	dt   tensor.DType
	step int64
	lost *skips
}

func (r *rule) Step() {
	r.settle()
	for _, g := range r.groups {
		byAge, order := r.byAge(g)
		for _, key := range order {
			for _, p := range byAge[key] {
				r.state[p].step++
			}
			o := r.p
			o.LR, o.WeightDecay, o.Step = g.LR, g.WeightDecay, key.step+1
			r.update(key.dev, byAge[key], o)
		}
	}
}

// byAge sorts the parameters of g that have gradients into batches, in order.
func (r *rule) byAge(g *Group) (byAge map[batch][]*tensor.Tensor, order []batch) {
	byAge = map[batch][]*tensor.Tensor{}
	for _, p := range g.params {
		if p.Grad() == nil {
			continue
		}
		st := r.stateOf(p)
		key := batch{p.Device(), p.DType(), st.step, st.lost}
		if byAge[key] == nil {
			order = append(order, key)
		}
		byAge[key] = append(byAge[key], p)
	}
	return byAge, order
}

// stateOf returns the state of p on p's device, made on first use.
func (r *rule) stateOf(p *tensor.Tensor) *paramState {
	st := r.state[p]
	if st == nil {
		st = &paramState{}
		for range r.slots {
			st.slots = append(st.slots, tensor.Buffer(tensor.ZerosLike(p.Detach())))
		}
		r.state[p] = st
	}
	for _, t := range st.slots {
		t.MoveTo(p.Device()) // nn.To may have moved the model
	}
	return st
}

// update steps ps with the device's kernel, or with tensor ops if it has none.
func (r *rule) update(dev backend.Device, ps []*tensor.Tensor, o backend.OptimizerParams) {
	grads := make([]backend.Array, len(ps))
	state := make([][]backend.Array, len(ps))
	for i, p := range ps {
		grads[i] = p.Grad().Array()
		state[i] = make([]backend.Array, 0, len(r.slots))
		for _, t := range r.state[p].slots {
			state[i] = append(state[i], t.Array())
		}
	}
	if d, ok := dev.(backend.OptimizerDevice); ok && !r.composed {
		done := true
		tensor.MutateAll("optimizer_step", ps, func(_ backend.Device, as []backend.Array) error {
			err := d.OptimizerStep(r.op, as, grads, state, o)
			if errors.Is(err, backend.ErrUnsupported) {
				done = false
				return nil
			}
			return err
		})
		if done {
			return
		}
	}
	factor := 1.0
	if o.Slot != nil {
		var skip bool
		if o, factor, skip = readSlot(dev, o); skip {
			return
		}
	}
	for _, p := range ps {
		r.compose(p, o, factor)
	}
}

func (r *rule) State() iter.Seq2[string, *tensor.Tensor] {
	return func(yield func(string, *tensor.Tensor) bool) {
		for _, g := range r.groups {
			for i, p := range g.params {
				if st := r.state[p]; st != nil {
					for j, slot := range r.slots {
						if !yield(g.names[i]+"."+slot, st.slots[j]) {
							return
						}
					}
				}
			}
		}
	}
}

func (r *rule) Steps() map[string]int64 {
	r.settle()
	out := map[string]int64{}
	for _, g := range r.groups {
		for i, p := range g.params {
			if st := r.state[p]; st != nil {
				out[g.names[i]] = st.step
			}
		}
	}
	return out
}

func (r *rule) SetState(state map[string]*tensor.Tensor, steps map[string]int64) error {
	used, known := 0, 0
	for _, g := range r.groups {
		for i, p := range g.params {
			n, stepped := steps[g.names[i]]
			if !stepped {
				continue
			}
			known++
			if n < 0 {
				return fmt.Errorf("optim: parameter %s has made %d steps", g.names[i], n)
			}
			for _, slot := range r.slots {
				name := g.names[i] + "." + slot
				t := state[name]
				switch {
				case t == nil:
					return fmt.Errorf("optim: the state lacks %s", name)
				case fmt.Sprint(t.Shape()) != fmt.Sprint(p.Shape()):
					return fmt.Errorf("optim: state %s has shape %v, the parameter %v", name, t.Shape(), p.Shape())
				}
				used++
			}
		}
	}
	if known != len(steps) {
		return fmt.Errorf("optim: the state has %d parameters, of which %d are this optimizer's", len(steps), known)
	}
	if used != len(state) {
		return fmt.Errorf("optim: the state has %d tensors, of which %d are this optimizer's", len(state), used)
	}
	r.settle()
	for _, g := range r.groups {
		for i, p := range g.params {
			n, stepped := steps[g.names[i]]
			if !stepped {
				delete(r.state, p)
				continue
			}
			st := r.stateOf(p)
			st.step = n
			for j, slot := range r.slots {
				st.slots[j].Assign(state[g.names[i]+"."+slot].ToDevice(p.Device()))
			}
		}
	}
	return nil
}
