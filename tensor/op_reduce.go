package tensor

import (
	"slices"

	"github.com/descent-ml/descent/backend"
)

// Reduce says how a reduction treats axes; its zero value reduces all of them.
type Reduce struct {
	Axes    []int // nil: all; a negative axis counts from the end
	KeepDim bool  // leave the reduced axes with size 1
}

// resolve returns the axes in order, without repetitions, and the shape with
// reduced axes of size 1.
func (r Reduce) resolve(op string, t *Tensor) (axes, kept []int) {
	t.use(op)
	kept = slices.Clone(t.Shape())
	if r.Axes == nil {
		axes = make([]int, t.Dim())
		for i := range axes {
			axes[i] = i
		}
	} else {
		for _, a := range r.Axes {
			a = t.axis(op, a)
			if slices.Contains(axes, a) {
				Fail(op, "axis %d is named twice in %v", a, r.Axes)
			}
			axes = append(axes, a)
		}
		slices.Sort(axes)
	}
	for _, a := range axes {
		if a < len(kept) {
			kept[a] = 1
		}
	}
	return axes, kept
}

// squeezed drops the reduced axes of y unless they are to be kept.
func (r Reduce) squeezed(y *Tensor, axes []int) *Tensor {
	if r.KeepDim || y.Dim() == 0 {
		return y
	}
	shape := []int{}
	for i, n := range y.Shape() {
		if !slices.Contains(axes, i) {
			shape = append(shape, n)
		}
	}
	return y.Reshape(shape...)
}

// reduce runs one kernel; the result keeps the reduced axes with size 1.
func reduce(op string, code backend.ReduceOp, t *Tensor, dt DType, kept []int) *Tensor {
	y := empty(op, t.dev, t.scope, dt, kept)
	check(op, t.dev.Reduce(code, y.arr, t.arr))
	return y
}

// Sum adds up all elements, or those along the given axes, which it drops.
// Integers and bool are summed as int64.
func (t *Tensor) Sum(axes ...int) *Tensor { return t.sum(axes, false) }

// SumKeep is Sum that leaves the axes with size 1.
func (t *Tensor) SumKeep(axes ...int) *Tensor { return t.sum(axes, true) }

func (t *Tensor) sum(ax []int, keep bool) *Tensor {
	const op = "sum"
	r := Reduce{ax, keep}
	axes, kept := r.resolve(op, t)
	dt := t.DType()
	if !dt.IsFloat() {
		dt = Int64
	}
	y := reduce(op, backend.Sum, t, dt, kept)
	shape := t.Shape()
	linear(op, y, t, func(g *Tensor) *Tensor { return g.Expand(shape...) })
	return r.squeezed(y, axes)
}
