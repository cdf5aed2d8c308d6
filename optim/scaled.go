package optim

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/tensor"
)

// Scaled is an optimizer whose update the device decides on; train.AMP uses it.
type Scaled interface {
	Capturable
	// StepScaled is Step with all gradients multiplied by factor, a Float64 scalar,
	// unless skip, a Bool scalar, is true: then nothing is updated, and the step does
	// not count. It does not wait for the device, if that has a fused optimizer. slots
	// are those of a captured step, nil for an ordinary one.
	StepScaled(factor, skip *tensor.Tensor, slots *tensor.Slots)
}

// skips counts, on the device, the steps of a set of parameters that were skipped.
type skips struct {
	count  *tensor.Tensor // Int64, one element
	params int            // how many share it
}

// StepScaled implements Scaled.
func (r *rule) StepScaled(factor, skip *tensor.Tensor, slots *tensor.Slots) {
	if slots == nil {
		dev := factor.Device()
		slots = tensor.NewSlots(dev)
		defer slots.Release()
	}
	r.eachSlot(slots, true, func(key batch, ps []*tensor.Tensor, o backend.OptimizerParams) {
		s := tensor.NewScope(key.dev, tensor.ScopeOptions{NoGrad: true})
		defer s.Close()
		slot := tensor.Zeros(s, tensor.Int64, backend.ScalarsBytes/8).Array()
		r.lostBy(key, ps).Mutate("optimizer_step", func(dev backend.Device, lost backend.Array) error {
			return decide(dev, slot, lost, factor.Array(), skip.Array(), o)
		})
		o.Slot, o.SlotIndex = slot.Buf, 0
		r.update(key.dev, ps, o)
	})
}

// decide fills slot from o's: the factor, whether to skip, and the number of the step
// without those that were skipped, which it counts.
func decide(dev backend.Device, slot, lost, factor, skip backend.Array, o backend.OptimizerParams) error {
	given := slot
	given.Buf, given.Offset = o.Slot, o.SlotIndex*slot.Size()
	field := func(dt tensor.DType, i int) backend.Array {
		return backend.Array{Buf: slot.Buf, DType: dt, Offset: i, Shape: []int{}, Strides: []int{}}
	}
	b, n, m := field(tensor.Float64, 1), field(tensor.Int64, 2), field(tensor.Int64, 3) // of backend.Scalars
	return errors.Join(
		dev.Copy(slot, given, false),
		dev.Copy(b, factor, false),
		dev.Copy(m, skip, false),
		dev.Binary(backend.Sub, n, n, lost, backend.Params{}),
		dev.Binary(backend.Add, lost, lost, m, backend.Params{}),
	)
}

// lostBy is the count that ps share with no other parameter. ps have that of key, or
// none.
func (r *rule) lostBy(key batch, ps []*tensor.Tensor) *tensor.Tensor {
	l := key.lost
	if l == nil || l.params != len(ps) {
		count := tensor.Zeros(key.dev, tensor.Int64)
		if l != nil {
			count = l.count.Detach()
			l.params -= len(ps)
		}
		l = &skips{tensor.Buffer(count), len(ps)}
		for _, p := range ps {
			r.state[p].lost = l
		}
	}
	l.count.MoveTo(key.dev)
	return l.count
}

// settle takes the steps that were skipped from those that were made. It waits for
// the device if steps were scaled. A captured step goes on with the same counts.
func (r *rule) settle() {
	if !r.scaled {
		return
	}
	r.scaled = false
	counts := map[*skips]int64{}
	for _, st := range r.state {
		l := st.lost
		if l == nil {
			continue
		}
		n, known := counts[l]
		if !known {
			if n = l.count.IntItem(); n != 0 {
				s := tensor.NewScope(l.count.Device(), tensor.ScopeOptions{NoGrad: true})
				l.count.Assign(tensor.Zeros(s, tensor.Int64))
				s.Close()
			}
			counts[l] = n
		}
		st.step -= n
	}
}

// readSlot is o with what stands in its slot. It waits for the device.
func readSlot(dev backend.Device, o backend.OptimizerParams) (_ backend.OptimizerParams, factor float64, skip bool) {
	raw := make([]byte, (o.SlotIndex+1)*backend.ScalarsBytes)
	if err := dev.Download(raw, o.Slot); err != nil {
		tensor.Fail("optimizer_step", "%w", err)
	}
	word := func(i int) uint64 { return binary.LittleEndian.Uint64(raw[o.SlotIndex*backend.ScalarsBytes+8*i:]) }
	o.LR, o.Step, o.Slot = math.Float64frombits(word(0)), int64(word(2)), nil
	return o, math.Float64frombits(word(1)), word(3) != 0
}
