package tensor

import (
	"slices"

	"github.com/descent-ml/descent/backend"
)

// wantIndex checks an index tensor and returns it as int64.
func wantIndex(op string, index *Tensor) *Tensor {
	if index.use(op); !index.DType().IsInt() {
		Fail(op, "an index is of an integer type, not %v", index.DType())
	}
	return index.To(Int64)
}

// checkGather checks that index, of x's rank, is on no axis but axis larger than x.
func checkGather(op string, x, index *Tensor, axis int) {
	place2(op, x, index)
	ok := x.Dim() == index.Dim()
	for i := 0; ok && i < x.Dim(); i++ {
		ok = i == axis || index.Shape()[i] <= x.Shape()[i]
	}
	if !ok {
		Fail(op, "index of shape %v does not fit a tensor of shape %v along axis %d", index.Shape(), x.Shape(), axis)
	}
}

// vectors turns scalars, which PyTorch takes for vectors of one here, into such.
func vectors(ts ...*Tensor) (out []*Tensor, restore func(y *Tensor) *Tensor) {
	restore = passOn
	for _, t := range ts {
		if t.Dim() == 0 {
			t = t.Reshape(1)
		}
		out = append(out, t)
	}
	if ts[0].Dim() == 0 {
		restore = func(y *Tensor) *Tensor { return y.Reshape() }
	}
	return out, restore
}

// Gather takes t[i…index[i…j…k]…k] for each element of index (integers), which
// has as many axes as t and stands on axis. Indices must be in range; the
// gradient is added up where elements are taken more than once.
func (t *Tensor) Gather(axis int, index *Tensor) *Tensor {
	const op = "gather"
	t.use(op)
	index = wantIndex(op, index)
	axis = t.axis(op, axis)
	if t.Dim() == 0 || index.Dim() == 0 {
		v, _ := vectors(t, index)
		y := v[0].Gather(0, v[1])
		return y.Reshape(index.Shape()...)
	}
	if index.NumEl() == 0 && index.Dim() != t.Dim() { // as PyTorch
		return t.Reshape(-1).Narrow(0, 0, 0).Reshape(index.Shape()...)
	}
	checkGather(op, t, index, axis)
	return t.gather(op, axis, index)
}

func (t *Tensor) gather(op string, axis int, index *Tensor) *Tensor {
	y := empty(op, t.dev, joinScopes(op, t.scope, index.scope), t.DType(), index.Shape())
	check(op, t.dev.Gather(y.arr, t.arr, index.arr, axis))
	shape := t.Shape()
	return linear(op, y, t, func(g *Tensor) *Tensor { return gatherBackward(g, index, axis, shape) })
}

// gatherBackward adds g into zeros of shape at index: the adjoint of Gather.
func gatherBackward(g, index *Tensor, axis int, shape []int) *Tensor {
	const op = "gather_backward"
	y := full(op, g.dev, g.scope, g.DType(), shape, 0)
	check(op, g.dev.Scatter(backend.ScatterAdd, y.arr, index.arr, g.arr, axis))
	return linear(op, y, g, func(gg *Tensor) *Tensor { return gg.gather(op, axis, index) })
}

// scatter copies t and changes it at index by src.
func (t *Tensor) scatter(op string, code backend.ScatterOp, axis int, index, src *Tensor) *Tensor {
	index = wantIndex(op, index)
	axis = t.axis(op, axis)
	if t.Dim() == 0 || index.Dim() == 0 || src.Dim() == 0 {
		v, restore := vectors(t, index, src)
		return restore(v[0].scatter(op, code, 0, v[1], v[2]))
	}
	s := placeAll(op, t, index, src)
	checkGather(op, t, index, axis)
	if t.DType() != src.DType() {
		Fail(op, "the source is %v and the tensor %v; To casts", src.DType(), t.DType())
	}
	if src.Dim() != index.Dim() {
		Fail(op, "source %v and index %v have different numbers of axes", src.Shape(), index.Shape())
	}
	part := src // only as much of src is used as index covers
	for i, n := range index.Shape() {
		if n > src.Shape()[i] {
			Fail(op, "index of shape %v is larger than the source %v", index.Shape(), src.Shape())
		}
		part = part.Slice(i, 0, n, 1)
	}
	y := empty(op, t.dev, s, t.DType(), t.Shape())
	check(op, t.dev.Copy(y.arr, t.arr, false))
	check(op, t.dev.Scatter(code, y.arr, index.arr, part.arr, axis))
	return record(op, y, []*Tensor{t, part},
		func(b *Back, g *Tensor) *Tensor {
			if code == backend.ScatterAdd {
				return g
			}
			return g.ScatterFill(axis, index, 0)
		},
		func(b *Back, g *Tensor) *Tensor { return g.gather(op, axis, index) })
}

// Scatter returns t with t[i…index[i…j…k]…k] replaced by src[i…j…k]. With equal
// indices the last one wins, and the gradient of src is then not defined, as in
// PyTorch.
func (t *Tensor) Scatter(axis int, index, src *Tensor) *Tensor {
	t.use("scatter")
	return t.scatter("scatter", backend.ScatterAssign, axis, index, src)
}

// ScatterFill is Scatter of one number.
func (t *Tensor) ScatterFill(axis int, index *Tensor, c float64) *Tensor {
	t.use("scatter")
	index.use("scatter")
	src := full("scatter", t.dev, index.scope, t.DType(), index.Shape(), c)
	y := t.scatter("scatter", backend.ScatterAssign, axis, index, src)
	free(src)
	return y
}

// ScatterAdd returns t with src[i…j…k] added to t[i…index[i…j…k]…k].
func (t *Tensor) ScatterAdd(axis int, index, src *Tensor) *Tensor {
	t.use("scatter_add")
	return t.scatter("scatter_add", backend.ScatterAdd, axis, index, src)
}

// expandIndex spreads a vector of indices on axis over the other axes of shape.
func expandIndex(index *Tensor, axis int, shape []int) *Tensor {
	full, one := slices.Clone(shape), make([]int, len(shape))
	for i := range one {
		one[i] = 1
	}
	one[axis], full[axis] = index.NumEl(), index.NumEl()
	return index.Reshape(one...).Expand(full...)
}

// IndexSelect takes the slices that index, a vector of integers, names along axis.
func (t *Tensor) IndexSelect(axis int, index *Tensor) *Tensor {
	const op = "index_select"
	place2(op, t, index)
	index = wantIndex(op, index)
	axis = t.axis(op, axis)
	if index.Dim() > 1 {
		Fail(op, "index has shape %v; it must be a vector", index.Shape())
	}
	if t.Dim() == 0 {
		return t.Reshape(1).IndexSelect(0, index).Reshape()
	}
	return t.gather(op, axis, expandIndex(index, axis, t.Shape()))
}

// IndexAdd returns t with the slices of src, times alpha, added to those that
// index, a vector of integers, names along axis.
func (t *Tensor) IndexAdd(axis int, index, src *Tensor, alpha float64) *Tensor {
	const op = "index_add"
	placeAll(op, t, index, src)
	index = wantIndex(op, index)
	axis = t.axis(op, axis)
	if alpha != 1 {
		src = src.MulScalar(alpha)
		defer free(src)
	}
	if t.Dim() == 0 {
		return t.Reshape(1).IndexAdd(0, index, src.Reshape(src.NumEl()), 1).Reshape()
	}
	want := slices.Clone(t.Shape())
	want[axis] = index.NumEl()
	if index.Dim() > 1 || !sameShape(want, src.Shape()) {
		Fail(op, "index %v and source %v do not fit a tensor of shape %v along axis %d", index.Shape(), src.Shape(), t.Shape(), axis)
	}
	return t.scatter(op, backend.ScatterAdd, axis, expandIndex(index, axis, src.Shape()), src)
}

// TakeAlongDim is Gather with t and index broadcast against each other; negative
// indices count from the end.
func (t *Tensor) TakeAlongDim(axis int, index *Tensor) *Tensor {
	const op = "take_along_dim"
	place2(op, t, index)
	axis = t.axis(op, axis)
	if t.Dim() != index.Dim() {
		Fail(op, "a tensor of shape %v and an index of shape %v have different numbers of axes", t.Shape(), index.Shape())
	}
	xs, is := slices.Clone(t.Shape()), slices.Clone(index.Shape())
	if t.Dim() > 0 {
		xs[axis], is[axis] = 1, 1
		both := broadcastShapes(op, xs, is)
		copy(xs, both)
		copy(is, both)
		xs[axis], is[axis] = t.Shape()[axis], index.Shape()[axis]
	}
	return composed(func(in []*Tensor) *Tensor {
		index := wantIndex(op, in[1])
		if t.Dim() > 0 {
			index = wrapIndex(op, index, t.Size(axis))
		}
		return in[0].Expand(xs...).Gather(axis, index.Expand(is...))
	}, t, index)
}

// EmbeddingOptions are those of Embedding.
type EmbeddingOptions struct {
	// PaddingIndex is a row that gets no gradient; nil for none.
	PaddingIndex *int
}

// Embedding looks up rows of weight [n, d] for index [...] of integers: [..., d].
func Embedding(weight, index *Tensor, o EmbeddingOptions) *Tensor {
	const op = "embedding"
	s := place2(op, weight, index)
	index = wantIndex(op, index)
	if weight.Dim() != 2 {
		Fail(op, "weight has shape %v; it must be a matrix", weight.Shape())
	}
	n, d := weight.Size(0), weight.Size(1)
	rows := expandIndex(index.Reshape(index.NumEl()), 0, weight.Shape())
	y := empty(op, weight.dev, s, weight.DType(), rows.Shape())
	check(op, weight.dev.Gather(y.arr, weight.arr, rows.arr, 0))
	pad := -1
	if o.PaddingIndex != nil {
		if pad = *o.PaddingIndex; pad < 0 {
			pad += n
		}
		if pad < 0 || pad >= n {
			Fail(op, "padding index %d is out of range for %d rows", *o.PaddingIndex, n)
		}
	}
	record(op, y, []*Tensor{weight, rows}, func(b *Back, g *Tensor) *Tensor {
		rows := b.In(1)
		if pad >= 0 {
			g = g.MaskedFill(rows.EqScalar(float64(pad)), 0)
		}
		return gatherBackward(g, rows, 0, []int{n, d})
	}, nil)
	return y.Reshape(append(slices.Clone(index.Shape()), d)...)
}

// OneHot turns integers in [0, n) of shape [...] into [..., n], int64, with a one
// at each. n of -1 is one more than the largest, which waits for the device.
func (t *Tensor) OneHot(n int) *Tensor {
	const op = "one_hot"
	index := wantIndex(op, t)
	if n == -1 {
		if t.NumEl() == 0 {
			Fail(op, "the number of classes of an empty tensor is not known")
		}
		n = int(index.AMax().IntItem()) + 1
	}
	if n <= 0 && t.NumEl() > 0 {
		Fail(op, "the number of classes is %d", n)
	}
	zeros := Zeros(t.Place(), Int64, append(slices.Clone(t.Shape()), n)...)
	y := zeros.ScatterFill(-1, index.Unsqueeze(-1), 1)
	free(zeros)
	return y
}

// MaskedSelect takes the elements of t where mask (bool, broadcast) is true, as
// a vector. Its length depends on the data: it waits for the device.
func (t *Tensor) MaskedSelect(mask *Tensor) *Tensor {
	const op = "masked_select"
	place2(op, t, mask)
	if mask.DType() != Bool {
		Fail(op, "a mask is of bool, not %v", mask.DType())
	}
	shape := broadcastShapes(op, t.Shape(), mask.Shape())
	return composed(func(in []*Tensor) *Tensor {
		where := in[1].Expand(shape...).Reshape(sizeOf(shape)).NonZero()
		return in[0].Expand(shape...).Reshape(sizeOf(shape)).IndexSelect(0, where.Reshape(where.Size(0)))
	}, t, mask)
}

// NonZero lists the indices of the non-zero elements, [n, axes] of int64, in
// row-major order. It waits for the device.
func (t *Tensor) NonZero() *Tensor {
	const op = "nonzero"
	t.use(op)
	b := t.Detach().To(Bool)
	defer freeCasts(t, b, nil, nil)
	rank, shape := t.Dim(), t.Shape()
	var out []int64
	n := 0
	at := make([]int64, rank)
	for _, v := range Values[bool](b) {
		if v {
			out = append(out, at...)
			n++
		}
		for i := rank - 1; i >= 0; i-- {
			if at[i]++; at[i] < int64(shape[i]) {
				break
			}
			at[i] = 0
		}
	}
	return Of(t.Place(), out, n, rank)
}
