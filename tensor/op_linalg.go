package tensor

import (
	"slices"

	"github.com/descent-ml/descent/backend"
)

// The products below are MatMul for operands of one shape each, which it would
// broadcast: they refuse what does not fit exactly.

// wantDims refuses a tensor that has not n axes.
func (t *Tensor) wantDims(op string, n int) {
	if t.use(op); t.Dim() != n {
		Fail(op, "shape %v has not %s", t.Shape(), plural(n, "axis"))
	}
}

// MM is the product of two matrices.
func (t *Tensor) MM(y *Tensor) *Tensor {
	t.wantDims("mm", 2)
	y.wantDims("mm", 2)
	return t.MatMul(y)
}

// BMM is the products of n pairs of matrices, [n, m, k] by [n, k, p].
func (t *Tensor) BMM(y *Tensor) *Tensor {
	const op = "bmm"
	t.wantDims(op, 3)
	y.wantDims(op, 3)
	if t.Size(0) != y.Size(0) {
		Fail(op, "shapes %v and %v: %d matrices and %d", t.Shape(), y.Shape(), t.Size(0), y.Size(0))
	}
	return t.MatMul(y)
}

// MV is the product of a matrix and a vector.
func (t *Tensor) MV(y *Tensor) *Tensor {
	t.wantDims("mv", 2)
	y.wantDims("mv", 1)
	return t.MatMul(y)
}

// Dot is the sum of the products of two vectors of one size and dtype.
func (t *Tensor) Dot(y *Tensor) *Tensor {
	const op = "dot"
	t.wantDims(op, 1)
	y.wantDims(op, 1)
	if t.DType() != y.DType() {
		Fail(op, "%v and %v: one dtype is needed; To casts", t.DType(), y.DType())
	}
	return t.MatMul(y)
}

// Outer is the products of each element of a vector with each of another: [n]
// and [m] to [n, m].
func (t *Tensor) Outer(y *Tensor) *Tensor {
	t.wantDims("outer", 1)
	y.wantDims("outer", 1)
	return t.Unsqueeze(1).Mul(y)
}

// AddMM is beta·t + alpha·(x·y) for matrices x and y and a t that broadcasts to
// their product. With a beta of 0, t does not count at all, NaN or not. So it is
// for AddMV, AddR, BAddBMM and AddBMM.
func (t *Tensor) AddMM(x, y *Tensor, beta, alpha float64) *Tensor {
	if beta == 1 && alpha == 1 && t.Dim() == 1 {
		if z := t.addToRows(x, y); z != nil {
			return z
		}
	}
	return t.addProduct("addmm", x.MM(y), beta, alpha)
}

// addToRows is AddMM for a t that is added to each row, in the kernel of the product;
// nil for dtypes or sizes that differ.
func (t *Tensor) addToRows(x, y *Tensor) *Tensor {
	const op = "addmm"
	x.wantDims("mm", 2)
	y.wantDims("mm", 2)
	fused := func(in []*Tensor) *Tensor { return in[0].addToRows(in[1], in[2]) }
	if z := lower(op, fused, t, x, y); z != nil {
		return z
	}
	dt := t.DType()
	if !dt.IsFloat() || dt != x.DType() || dt != y.DType() || t.Size(0) != y.Size(1) || x.Size(1) != y.Size(0) {
		return nil
	}
	z := empty(op, t.dev, placeAll(op, t, x, y), dt, []int{x.Size(0), y.Size(1)})
	check(op, t.dev.MatMul(z.arr, x.arr, y.arr, backend.Epilogue{Bias: t.arr}))
	return record(op, z, []*Tensor{t, x, y},
		func(b *Back, g *Tensor) *Tensor { return g },
		func(b *Back, g *Tensor) *Tensor { return matmul("addmm_backward", g, b.In(2).T()) },
		func(b *Back, g *Tensor) *Tensor { return matmul("addmm_backward", b.In(1).T(), g) })
}

// AddMV is beta·t + alpha·(x·y) for a matrix x and a vector y.
func (t *Tensor) AddMV(x, y *Tensor, beta, alpha float64) *Tensor {
	return t.addProduct("addmv", x.MV(y), beta, alpha)
}

// AddR is beta·t + alpha·Outer(x, y).
func (t *Tensor) AddR(x, y *Tensor, beta, alpha float64) *Tensor {
	return t.addProduct("addr", x.Outer(y), beta, alpha)
}

// BAddBMM is beta·t + alpha·BMM(x, y).
func (t *Tensor) BAddBMM(x, y *Tensor, beta, alpha float64) *Tensor {
	return t.addProduct("baddbmm", x.BMM(y), beta, alpha)
}

// AddBMM is beta·t + alpha times the sum of the n products BMM(x, y).
func (t *Tensor) AddBMM(x, y *Tensor, beta, alpha float64) *Tensor {
	p := x.BMM(y)
	wide := p.Sum(0) // of integers in int64
	sum := wide.To(p.DType())
	if sum != wide {
		free(wide)
	}
	return t.addProduct("addbmm", spent(sum, p), beta, alpha)
}

// addProduct is beta·t + alpha·p; p is a temporary of the caller's.
func (t *Tensor) addProduct(op string, p *Tensor, beta, alpha float64) *Tensor {
	t.use(op)
	if !sameShape(broadcastShapes(op, t.Shape(), p.Shape()), p.Shape()) {
		Fail(op, "shape %v does not broadcast to that of the product, %v", t.Shape(), p.Shape())
	}
	if alpha != 1 {
		p = spent(p.MulScalar(alpha), p)
	}
	switch beta {
	case 0:
		return p
	case 1:
		return spent(t.Add(p), p)
	}
	s := t.MulScalar(beta)
	return spent(s.Add(p), s, p)
}

// spent frees the temporaries of a composed op with result y, unless the graph
// still needs them.
func spent(y *Tensor, temps ...*Tensor) *Tensor {
	if y.node == nil {
		free(temps...)
	}
	return y
}

// onlyView is v, a view of z, whose own handle is given up unless the graph needs it.
func onlyView(v, z *Tensor) *Tensor {
	if v != z && v.node == nil {
		z.release()
	}
	return v
}

// Trace is the sum of a matrix's main diagonal.
func (t *Tensor) Trace() *Tensor {
	t.wantDims("trace", 2)
	return t.Diagonal(0, 0, 1).Sum()
}

// Diag is the k-th diagonal of a matrix, or a matrix of zeros with the vector t
// on it.
func (t *Tensor) Diag(k int) *Tensor {
	const op = "diag"
	t.use(op)
	switch t.Dim() {
	case 1:
		return t.DiagEmbed(k, 0, 1)
	case 2:
		return t.Diagonal(k, 0, 1)
	}
	Fail(op, "shape %v is neither a vector nor a matrix", t.Shape())
	return nil
}

// TensorDot sums the products of t and y over pairs of axes, tAxes[i] and
// yAxes[i]. The result has t's other axes, then y's.
func (t *Tensor) TensorDot(y *Tensor, tAxes, yAxes []int) *Tensor {
	const op = "tensordot"
	place2(op, t, y)
	if len(tAxes) != len(yAxes) {
		Fail(op, "%d axes of one tensor and %d of the other", len(tAxes), len(yAxes))
	}
	left, right := slices.Clone(tAxes), slices.Clone(yAxes)
	for i := range left {
		left[i], right[i] = t.axis(op, left[i]), y.axis(op, right[i])
		if t.Dim() == 0 || y.Dim() == 0 || t.Size(left[i]) != y.Size(right[i]) {
			Fail(op, "axis %d of %v and axis %d of %v differ", left[i], t.Shape(), right[i], y.Shape())
		}
	}
	x, rows := t.gathered(op, left, true)
	z, cols := y.gathered(op, right, false)
	p := x.MatMul(z)
	y = onlyView(p.Reshape(slices.Concat(rows, cols)...), p)
	if y.node == nil { // x and z may be views of the operands: their memory is not ours to free
		x.release()
		z.release()
	}
	return y
}

// gathered views t as a matrix: the given axes in that order are the columns if
// last, else the rows. It returns the sizes of the others too.
func (t *Tensor) gathered(op string, axes []int, last bool) (matrix *Tensor, others []int) {
	order, inner, outer := []int{}, 1, 1
	for i, n := range t.Shape() {
		if !slices.Contains(axes, i) {
			order, others, outer = append(order, i), append(others, n), outer*n
		}
	}
	if len(order)+len(axes) != t.Dim() {
		Fail(op, "an axis is named twice in %v", axes)
	}
	for _, a := range axes {
		inner *= t.Size(a)
	}
	if last {
		return t.Permute(slices.Concat(order, axes)...).Reshape(outer, inner), others
	}
	return t.Permute(slices.Concat(axes, order)...).Reshape(inner, outer), others
}
