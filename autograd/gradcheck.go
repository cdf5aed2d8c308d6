package autograd

import (
	"fmt"
	"math"

	"github.com/descent-ml/descent/tensor"
)

// CheckOptions are those of GradCheck; the zero value is PyTorch's gradcheck.
type CheckOptions struct {
	Eps  float64 // step of the differences, 1e-6
	Atol float64 // 1e-5
	Rtol float64 // 1e-3
	// Second checks the gradients of the gradients too, as gradgradcheck does.
	Second bool
}

// GradCheck compares the gradients of fn at xs, tensors of float64 without
// gradient history, with central differences, element by element. Every output of
// a floating-point type is checked, weighed by fixed numbers. The error names the
// first element that differs.
func GradCheck(fn func(xs []*tensor.Tensor) []*tensor.Tensor, o CheckOptions, xs ...*tensor.Tensor) (err error) {
	defer tensor.Catch(&err)
	if o.Eps == 0 {
		o.Eps = 1e-6
	}
	if o.Atol == 0 {
		o.Atol = 1e-5
	}
	if o.Rtol == 0 {
		o.Rtol = 1e-3
	}
	for i, x := range xs {
		if x.DType() != tensor.Float64 {
			return fmt.Errorf("gradcheck: x[%d] is %v; differences need float64", i, x.DType())
		}
	}
	scalar := func(xs []*tensor.Tensor) *tensor.Tensor { return weighed(fn(xs)) }
	if err := check("gradient", scalar, o, xs); err != nil || !o.Second {
		return err
	}
	return check("second gradient", func(xs []*tensor.Tensor) *tensor.Tensor {
		for i, x := range xs {
			if !x.RequiresGrad() { // differences ask for values alone
				xs[i] = x.Detach().RequireGrad()
			}
		}
		y := scalar(xs)
		if !y.RequiresGrad() {
			return y
		}
		gs := tensor.GradWith(tensor.GradOptions{Create: true, AllowUnused: true}, y, xs...)
		var used []*tensor.Tensor
		for _, g := range gs {
			if g != nil {
				used = append(used, g)
			}
		}
		return weighed(used)
	}, o, xs)
}

// weighed is Σ w·y over the floating-point outputs, with fixed weights that no
// symmetry of fn cancels.
func weighed(ys []*tensor.Tensor) *tensor.Tensor {
	var total *tensor.Tensor
	for k, y := range ys {
		if !y.DType().IsFloat() {
			continue
		}
		w := make([]float64, y.NumEl())
		for i := range w {
			w[i] = 1 + 0.5*math.Sin(float64(3*i+7*k+1))
		}
		part := y.Mul(tensor.Of(y.Place(), w, append([]int{}, y.Shape()...)...)).Sum()
		if total == nil {
			total = part
		} else {
			total = total.Add(part)
		}
	}
	if total == nil {
		tensor.Fail("gradcheck", "fn has no floating-point output")
	}
	return total
}

func check(what string, fn func(xs []*tensor.Tensor) *tensor.Tensor, o CheckOptions, xs []*tensor.Tensor) error {
	// Everything is computed in one scope, whatever scope the inputs have.
	values := make([][]float64, len(xs))
	for i, x := range xs {
		values[i] = tensor.Values[float64](x)
	}
	at := func(grad bool) (y float64, gs [][]float64) {
		s := tensor.NewScope(xs[0].Device(), tensor.ScopeOptions{})
		defer s.Close()
		in := make([]*tensor.Tensor, len(xs))
		for i, x := range xs {
			in[i] = tensor.Of(s, values[i], append([]int{}, x.Shape()...)...)
			if grad {
				in[i].RequireGrad()
			}
		}
		leaves := append([]*tensor.Tensor{}, in...)
		total := fn(in)
		if grad {
			gs = make([][]float64, len(xs))
			var g []*tensor.Tensor
			if total.RequiresGrad() {
				g = tensor.GradWith(tensor.GradOptions{AllowUnused: true}, total, leaves...)
			}
			for i := range xs {
				gs[i] = make([]float64, len(values[i]))
				if g != nil && g[i] != nil {
					gs[i] = tensor.Values[float64](g[i])
				}
			}
		}
		return total.Item(), gs
	}
	_, got := at(true)
	for i, v := range values {
		for j := range v {
			keep := v[j]
			v[j] = keep + o.Eps
			up, _ := at(false)
			v[j] = keep - o.Eps
			down, _ := at(false)
			v[j] = keep
			want := (up - down) / (2 * o.Eps)
			if d := math.Abs(got[i][j] - want); !(d <= o.Atol+o.Rtol*math.Abs(want)) {
				return fmt.Errorf("gradcheck: %s of x[%d] %v at element %d is %v, by differences %v", what, i, xs[i].Shape(), j, got[i][j], want)
			}
		}
	}
	return nil
}
