package tensor

import (
	"slices"
)

// Sort orders the elements along axis, stably, NaN as the largest, and returns
// the index (int64) each came from.
func (t *Tensor) Sort(axis int, descending bool) (values, indices *Tensor) {
	const op = "sort"
	t.use(op)
	if t.Dim() == 0 {
		return t, Zeros(t.Place(), Int64)
	}
	axis = t.axis(op, axis)
	return t.ordered(op, axis, t.Size(axis), descending)
}

// ArgSort returns the indices of Sort.
func (t *Tensor) ArgSort(axis int, descending bool) *Tensor {
	values, indices := t.Detach().Sort(axis, descending)
	if t.Dim() > 0 {
		free(values)
	}
	return indices
}

// TopKOptions are those of TopK.
type TopKOptions struct{ Smallest bool }

// TopK returns the k largest elements along axis in descending order, and their
// indices (int64).
func (t *Tensor) TopK(k, axis int, o TopKOptions) (values, indices *Tensor) {
	const op = "topk"
	t.use(op)
	axis = t.axis(op, axis)
	size := 1
	if t.Dim() > 0 {
		size = t.Size(axis)
	}
	if k < 0 || k > size {
		Fail(op, "k is %d for an axis of size %d", k, size)
	}
	if t.Dim() == 0 {
		if k == 0 {
			return t.Reshape(1).Slice(0, 0, 0, 1), Zeros(t.Place(), Int64, 0)
		}
		return t, Zeros(t.Place(), Int64)
	}
	return t.ordered(op, axis, k, !o.Smallest)
}

func (t *Tensor) ordered(op string, axis, k int, descending bool) (values, indices *Tensor) {
	shape := slices.Clone(t.Shape())
	shape[axis] = k
	values = empty(op, t.dev, t.scope, t.DType(), shape)
	indices = empty(op, t.dev, t.scope, Int64, shape)
	check(op, t.dev.Sort(values.arr, indices.arr, t.arr, axis, descending))
	from := t.Shape()
	linear(op, values, t, func(g *Tensor) *Tensor { return gatherBackward(g, indices, axis, from) })
	return values, indices
}
