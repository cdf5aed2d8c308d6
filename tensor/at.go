package tensor

import "slices"

// Range is Python's start:stop:step in At. A Stop of 0 is the end of the axis and
// a Step of 0 is 1, so that the zero Range is the whole axis; negative bounds
// count from the end.
type Range struct{ Start, Stop, Step int }

// Marker is an index of At without a value.
type Marker uint8

const (
	All      Marker = iota // the whole axis, Python's ":"
	Ellipsis               // as many whole axes as are left, Python's "..."
	NewAxis                // a new axis of size 1, Python's None
)

// At indexes as NumPy and PyTorch do, x.At(0, tensor.Range{1, 5, 0}, mask). Each
// index is an int (which drops its axis, before all else, as in PyTorch), a Range or a Marker, a tensor of bool (a
// mask over as many axes as it has; it waits for the device), or a tensor of
// integers or a []int (negative ones count from the end). Several index tensors
// broadcast against each other and pick single elements: their common shape
// stands where the first of them does if they are neighbours, else in front.
// Without index tensors the result is a view.
func (t *Tensor) At(indices ...any) *Tensor {
	const op = "at"
	t.use(op)
	indices = expandEllipsis(op, t, indices)
	operands := []*Tensor{t}
	for i, index := range indices {
		switch v := index.(type) {
		case []int:
			list := make([]int64, len(v))
			for j, k := range v {
				list[j] = int64(k)
			}
			made := Of(t.Place(), list)
			defer free(made)
			indices[i] = made
			operands = append(operands, made)
		case *Tensor:
			place2(op, t, v)
			operands = append(operands, v)
		}
	}
	if len(operands) == 1 {
		return t.at(op, indices)
	}
	return composed(func(in []*Tensor) *Tensor {
		indices, k := slices.Clone(indices), 1
		for i, index := range indices {
			if _, ok := index.(*Tensor); ok {
				indices[i] = in[k]
				k++
			}
		}
		return in[0].at(op, indices)
	}, operands...)
}

func (t *Tensor) at(op string, indices []any) *Tensor {
	x := t
	var picks []*Tensor // by axis of x, nil where there is none
	apart, last := false, -2
	pick := func(index *Tensor) {
		if last >= 0 && last != len(picks)-1 {
			apart = true
		}
		last = len(picks)
		picks = append(picks, index)
	}
	for i, index := range indices {
		axis := len(picks)
		switch v := index.(type) {
		case int:
			if v < -x.Size(axis) || v >= x.Size(axis) {
				Fail(op, "index %d is out of range for axis %d of size %d of %v", v, axis, x.Size(axis), t.Shape())
			}
			x = x.Select(axis, v)
		case Range:
			stop, step := v.Stop, v.Step
			if stop == 0 {
				stop = x.Size(axis)
			}
			if step == 0 {
				step = 1
			}
			x = x.Slice(axis, v.Start, stop, step)
			picks = append(picks, nil)
		case Marker:
			if v == NewAxis {
				x = x.Unsqueeze(axis)
			}
			picks = append(picks, nil)
		case *Tensor:
			if v.DType() != Bool {
				pick(wrapIndex(op, wantIndex(op, v), x.Size(axis)))
				break
			}
			if axis+v.Dim() > x.Dim() || !sameShape(v.Shape(), x.Shape()[axis:axis+v.Dim()]) {
				Fail(op, "a mask of shape %v does not fit the axes from %d of %v", v.Shape(), axis, x.Shape())
			}
			where := v.NonZero()
			if v.Dim() == 0 { // as PyTorch: an axis of 1 or 0 in front
				x = x.Unsqueeze(axis)
				pick(Zeros(t.Place(), Int64, where.Size(0)))
			}
			for d := range v.Dim() {
				pick(where.Select(1, d))
			}
		default:
			Fail(op, "index %d is a %T; it must be an int, []int, Range, Marker or *Tensor", i, index)
		}
	}
	if !slices.ContainsFunc(picks, func(p *Tensor) bool { return p != nil }) {
		return x
	}
	return x.pickAt(op, picks, apart)
}

// pickAt takes single elements along the axes that have an index tensor.
func (t *Tensor) pickAt(op string, picks []*Tensor, apart bool) *Tensor {
	var picked, others, order, sizes []int
	var shape []int
	first := -1
	for a := range t.Dim() {
		if a < len(picks) && picks[a] != nil {
			if first < 0 {
				first = len(others)
			}
			picked = append(picked, a)
			sizes = append(sizes, t.Size(a))
			shape = broadcastShapes(op, shape, picks[a].Shape())
		} else {
			others = append(others, a)
		}
	}
	if apart {
		first = 0
	}
	// One index into the picked axes, flattened in front of the others.
	order = slices.Concat(picked, others)
	rest := make([]int, len(others))
	for i, a := range others {
		rest[i] = t.Size(a)
	}
	flat := t.Permute(order...).Reshape(append([]int{sizeOf(sizes)}, rest...)...)
	var linearIndex *Tensor
	for i, a := range picked {
		p := picks[a].MulScalar(float64(sizeOf(sizes[i+1:])))
		if linearIndex == nil {
			linearIndex = p
		} else {
			linearIndex = linearIndex.Add(p)
		}
	}
	index := linearIndex.Expand(shape...).Reshape(sizeOf(shape))
	y := flat.IndexSelect(0, index).Reshape(slices.Concat(shape, rest)...)
	if first == 0 {
		return y
	}
	// The common shape moves behind the axes that stand before the first index.
	n := len(shape)
	back := make([]int, 0, y.Dim())
	for i := range first {
		back = append(back, n+i)
	}
	for i := range n {
		back = append(back, i)
	}
	for i := n + first; i < y.Dim(); i++ {
		back = append(back, i)
	}
	return y.Permute(back...)
}

// wrapIndex lets negative indices count from the end of an axis of size n.
func wrapIndex(op string, index *Tensor, n int) *Tensor {
	negative := index.LtScalar(0)
	wrapped := index.AddScalar(float64(n))
	out := Where(negative, wrapped, index)
	free(negative, wrapped)
	return out
}

// expandEllipsis replaces an Ellipsis, or adds what is missing at the end.
func expandEllipsis(op string, t *Tensor, indices []any) []any {
	used, at := 0, -1
	for i, index := range indices {
		switch v := index.(type) {
		case Marker:
			switch v {
			case Ellipsis:
				if at >= 0 {
					Fail(op, "there are two ellipses")
				}
				at = i
			case All:
				used++
			}
		case *Tensor:
			if v.use(op); v.DType() == Bool {
				used += v.Dim()
			} else {
				used++
			}
		default:
			used++
		}
	}
	if used > t.Dim() {
		Fail(op, "%d indices for a tensor of shape %v", used, t.Shape())
	}
	whole := slices.Repeat([]any{All}, t.Dim()-used)
	if at < 0 {
		return slices.Concat(indices, whole)
	}
	return slices.Concat(indices[:at], whole, indices[at+1:])
}
