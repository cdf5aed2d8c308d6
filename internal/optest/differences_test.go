package optest

import (
	"math"
	"testing"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/tensor"
)

// checkDifferences holds gradients, and those of gradients, to central
// differences in float64.
func (r *Row) checkDifferences(t *testing.T, dev backend.Device) {
	if r.noGrad != "" || r.noCheck != "" {
		return
	}
	r.differences(t, dev, "gradient", func(x []*T) []*T { return r.call(x) })
	if r.noSecond == "" {
		r.differences(t, dev, "second gradient", func(x []*T) []*T {
			return gradients(r.call(x), x, true)
		})
	}
}

// differences compares the gradients of fn's weighted sum with what moving each
// element of each input does to it.
func (r *Row) differences(t *testing.T, dev backend.Device, what string, fn func(x []*T) []*T) {
	t.Helper()
	s := tensor.NewScope(dev, tensor.ScopeOptions{})
	defer s.Close()
	x := r.inputs(s, tensor.Float64, true)
	y := fn(x)
	analytic := gradients(y, x, false)
	for k := range r.in {
		if !r.tracked(k) {
			continue
		}
		v := r.values(k)
		// Of large inputs some elements will do: PyTorch's gradients are held to all.
		step := max(1, len(v)/probes)
		var got, want []float64
		for i := 0; i < len(v); i += step {
			at := v[i]
			h := 1e-5 * max(1, math.Abs(at))
			v[i] = at + h
			up := r.moved(dev, k, v, fn)
			v[i] = at - h
			want = append(want, (up-r.moved(dev, k, v, fn))/(2*h))
			v[i] = at
			if analytic[k] == nil {
				got = append(got, 0)
			} else {
				got = append(got, numbers(analytic[k])[i])
			}
		}
		if i, bad := differ(got, want, 1e-6*max(r.tol, 1)); bad {
			t.Errorf("%s of input %d, element %d is %v, central difference %v", what, k, i*step, got[i], want[i])
		}
	}
}

// moved is fn's weighted sum with other values in input k.
func (r *Row) moved(dev backend.Device, k int, v []float64, fn func(x []*T) []*T) float64 {
	s := tensor.NewScope(dev, tensor.ScopeOptions{})
	defer s.Close()
	x := r.inputs(s, tensor.Float64, true)
	x[k] = makeTensor(s, tensor.Float64, v, r.in[k].Shape).RequireGrad()
	total := 0.0
	for j, y := range fn(x) {
		if y != nil && y.DType().IsFloat() {
			w := seed(j, y.NumEl())
			for i, n := range numbers(y) {
				total += n * w[i]
			}
		}
	}
	return total
}
