package tensor

import "slices"

// PadMode says what Pad puts around a tensor.
type PadMode uint8

const (
	PadConstant  PadMode = iota // PadOptions.Value
	PadReflect                  // the elements mirrored at the edge, which is not repeated
	PadReplicate                // the element at the edge
	PadCircular                 // the elements of the other end of what is not cut off
)

// PadOptions are the options of Pad.
type PadOptions struct {
	Mode  PadMode
	Value float64 // for PadConstant
}

// Pad adds elements at both ends of axes. pads has two numbers an axis, before
// and after, the last axis first: {left, right, top, bottom} for images. Negative
// ones cut elements off. PadReflect takes fewer than the axis has, PadCircular at
// most as many.
func (t *Tensor) Pad(pads []int, o PadOptions) *Tensor {
	const op = "pad"
	t.use(op)
	if len(pads)%2 != 0 || len(pads) > 2*t.Dim() {
		Fail(op, "%v are not two numbers for each of at most %d axes", pads, t.Dim())
	}
	pads = slices.Clone(pads)
	shape := slices.Clone(t.Shape())
	for i := 0; i < len(pads); i += 2 {
		axis := t.Dim() - 1 - i/2
		if shape[axis] += pads[i] + pads[i+1]; shape[axis] < 0 {
			Fail(op, "%v cut more off axis %d than its size %d", pads[i:i+2], axis, t.Size(axis))
		}
	}
	checkShape(op, shape)
	if o.Mode == PadConstant {
		return t.padConstant(op, pads, shape, o.Value)
	}
	y := compose(t.scope, func(in []*Tensor) *Tensor {
		x := in[0]
		eachPad(op, x.Place(), o.Mode, pads, t.Shape(), func(axis int, index *Tensor) { x = x.IndexSelect(axis, index) })
		return x.unlike(in[0])
	}, t)
	from := t.Shape()
	return linear(op, y, t, func(g *Tensor) *Tensor { return g.padFold(pads, o, from) })
}

// padFold is the adjoint of Pad in all modes but PadConstant, for a tensor of the
// given shape: what an element was copied to is added up.
func (t *Tensor) padFold(pads []int, o PadOptions, shape []int) *Tensor {
	const op = "pad_backward"
	y := compose(t.scope, func(in []*Tensor) *Tensor {
		x, sizes := in[0], slices.Clone(t.Shape())
		eachPad(op, x.Place(), o.Mode, pads, shape, func(axis int, index *Tensor) {
			sizes[axis] = shape[axis]
			x = Zeros(x.Place(), x.DType(), sizes...).IndexAdd(axis, index, x, 1)
		})
		return x.unlike(in[0])
	}, t)
	return linear(op, y, t, func(g *Tensor) *Tensor { return g.Pad(pads, o) })
}

// eachPad calls fn for each axis that is padded, with the places its elements
// are copied from.
func eachPad(op string, p Place, mode PadMode, pads, shape []int, fn func(axis int, index *Tensor)) {
	for i := 0; i < len(pads); i += 2 {
		if axis := len(shape) - 1 - i/2; pads[i] != 0 || pads[i+1] != 0 {
			fn(axis, Of(p, padIndex(op, mode, shape[axis], pads[i], pads[i+1])))
		}
	}
}

// padConstant pads with c; its adjoint pads with the opposite numbers and zeros.
func (t *Tensor) padConstant(op string, pads, shape []int, c float64) *Tensor {
	y := emptyOrdered(op, t.dev, t.scope, t.DType(), shape, orderOf(t))
	y.fill(op, c)
	from, to := t.arr, y.arr
	from.Shape, to.Shape = slices.Clone(from.Shape), slices.Clone(to.Shape)
	for i := 0; i < len(pads); i += 2 {
		axis := t.Dim() - 1 - i/2
		from.Offset += max(0, -pads[i]) * from.Strides[axis]
		to.Offset += max(0, pads[i]) * to.Strides[axis]
		n := t.Size(axis) + min(0, pads[i]) + min(0, pads[i+1])
		from.Shape[axis], to.Shape[axis] = max(0, n), max(0, n)
	}
	if from.Size() > 0 {
		check(op, t.dev.Copy(to, from, false))
	}
	back := make([]int, len(pads))
	for i, n := range pads {
		back[i] = -n
	}
	return linear(op, y, t, func(g *Tensor) *Tensor { return g.Pad(back, PadOptions{}) })
}

// padIndex lists which elements of an axis of size n stand in the padded one.
func padIndex(op string, mode PadMode, n, before, after int) []int64 {
	first, left := max(0, -before), n+min(0, before)+min(0, after) // what is not cut off
	switch most := max(before, after); {
	case n == 0 || mode == PadCircular && left <= 0:
		Fail(op, "an axis of size %d has no elements left to pad with", n)
	case mode == PadReflect && most >= n:
		Fail(op, "%d and %d elements cannot be mirrored in an axis of size %d", before, after, n)
	case mode == PadCircular && most > left:
		Fail(op, "%d and %d elements go round an axis of size %d more than once", before, after, left)
	}
	var index []int64
	for i := -before; i < n+after; i++ {
		j := i
		switch mode {
		case PadReflect:
			if j = max(i, -i); j >= n {
				j = 2*(n-1) - j
			}
		case PadReplicate:
			j = min(max(i, 0), n-1)
		case PadCircular:
			j = first + (i-first+left)%left
		}
		index = append(index, int64(j))
	}
	return index
}
