package tensor

import (
	"errors"

	"github.com/descent-ml/descent/backend"
)

// SumSquares is the sum of the squares of all elements of ts, floats of one
// device: a Float64 scalar in p without history, no finite number if an element is
// none. It is what clipping and loss scaling ask of gradients, in one device call.
func SumSquares(p Place, ts ...*Tensor) *Tensor {
	const op = "sum_squares"
	dev, s := place(op, p)
	for _, t := range ts {
		if t.wantFloat(op); t.dev != dev {
			Fail(op, "%s is on %v, its result on %v", t.describe(), t.dev, dev)
		}
	}
	if d, ok := dev.(backend.OptimizerDevice); ok {
		if out := sumSquares(op, d, dev, s, ts); out != nil {
			return out
		}
	}
	inner := NewScope(dev, ScopeOptions{NoGrad: true})
	defer inner.Close()
	total := Zeros(inner, Float64)
	for _, t := range ts {
		x := t.untracked()
		x.scope = inner
		total = total.Add(x.To(Float64).Square().Sum())
	}
	out := empty(op, dev, s, Float64, nil)
	check(op, dev.Copy(out.arr, total.arr, false))
	return out
}

// sumSquares asks the device, and returns nil if it has no kernel.
func sumSquares(op string, d backend.OptimizerDevice, dev backend.Device, s *Scope, ts []*Tensor) *Tensor {
	arrays := make([]backend.Array, len(ts))
	for i, t := range ts {
		if arrays[i] = t.arr; !dense(t.arr) {
			c := t.untracked().clone(op)
			defer free(c)
			arrays[i] = c.arr
		}
	}
	out := empty(op, dev, s, Float64, nil)
	err := d.SumSquares(out.arr, arrays)
	if errors.Is(err, backend.ErrUnsupported) {
		free(out)
		return nil
	}
	check(op, err)
	return out
}
