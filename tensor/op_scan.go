package tensor

import "github.com/descent-ml/descent/backend"

// scan runs along one axis; outputs have t's shape.
func (t *Tensor) scan(op string, code backend.ScanOp, axis int) *Tensor {
	y := empty(op, t.dev, t.scope, t.DType(), t.Shape())
	if t.Dim() == 0 {
		check(op, t.dev.Copy(y.arr, t.arr, false))
		return y
	}
	check(op, t.dev.Scan(code, y.arr, backend.Array{}, t.arr, axis))
	return y
}

// scanPick is scan for a running value that is always one of t's: it returns its
// index too, and the gradient goes to that element.
func (t *Tensor) scanPick(op string, code backend.ScanOp, axis int) (values, indices *Tensor) {
	t.use(op)
	axis = t.axis(op, axis)
	if t.Dim() == 0 {
		return t, Zeros(t.Place(), Int64)
	}
	values = empty(op, t.dev, t.scope, t.DType(), t.Shape())
	indices = empty(op, t.dev, t.scope, Int64, t.Shape())
	check(op, t.dev.Scan(code, values.arr, indices.arr, t.arr, axis))
	shape := t.Shape()
	linear(op, values, t, func(g *Tensor) *Tensor { return gatherBackward(g, indices, axis, shape) })
	return values, indices
}

// CumSum is the running sum along axis. Integers and bool are summed as int64.
func (t *Tensor) CumSum(axis int) *Tensor {
	const op = "cumsum"
	t.use(op)
	axis = t.axis(op, axis)
	if c := t.wide(); c != t {
		defer free(c)
		return c.CumSum(axis)
	}
	if !t.DType().IsFloat() && t.DType() != Int64 {
		c := t.To(Int64)
		defer free(c)
		return c.CumSum(axis)
	}
	return linear(op, t.scan(op, backend.CumSum, axis), t, func(g *Tensor) *Tensor { return g.reverseCumSum(axis) })
}

// reverseCumSum is the running sum from the end.
func (t *Tensor) reverseCumSum(axis int) *Tensor {
	if t.Dim() == 0 {
		return t
	}
	return t.Flip(axis).CumSum(axis).Flip(axis)
}

// CumMax is the running maximum along axis and the last index (int64) that has
// it. NaN is larger than anything.
func (t *Tensor) CumMax(axis int) (values, indices *Tensor) {
	return t.scanPick("cummax", backend.CumMax, axis)
}

// CumMin is the running minimum along axis and the last index (int64) that has
// it. NaN is smaller than anything.
func (t *Tensor) CumMin(axis int) (values, indices *Tensor) {
	return t.scanPick("cummin", backend.CumMin, axis)
}

// CumProd is the running product along axis. Integers and bool are multiplied
// as int64.
func (t *Tensor) CumProd(axis int) *Tensor {
	const op = "cumprod"
	t.use(op)
	axis = t.axis(op, axis)
	if c := t.wide(); c != t {
		defer free(c)
		return c.CumProd(axis)
	}
	if !t.DType().IsFloat() && t.DType() != Int64 {
		c := t.To(Int64)
		defer free(c)
		return c.CumProd(axis)
	}
	y := t.scan(op, backend.CumProd, axis)
	if recording(y, t) {
		n := newNode(op, y, t)
		n.save()
		n.one = func(g, x, y *Tensor) *Tensor { return cumProdGrad(g, x, axis) }
	}
	return y
}

// cumProdGrad is exact where elements are zero too:
//
//	dL/dx_k = Π_{i<k} x_i · Σ_{j≥k} g_j · Π_{k<i≤j} x_i
//
// Row k of a matrix over the axis has x_i for i > k and 1 before, so that its
// running product is the inner one; the cost is quadratic in the axis.
func cumProdGrad(g, x *Tensor, axis int) *Tensor {
	if x.Dim() == 0 {
		return g
	}
	x, g = x.Transpose(axis, -1), g.Transpose(axis, -1)
	n := x.Size(-1)
	if n == 0 {
		return g.Transpose(axis, -1)
	}
	k := Arange(x.Place(), Int64, 0, float64(n), 1)
	upto := k.Unsqueeze(0).Le(k.Unsqueeze(1)) // [k, i]: i <= k
	before := k.Unsqueeze(0).Lt(k.Unsqueeze(1))
	square := append(append([]int{}, x.Shape()...), n)
	rows := x.Unsqueeze(-2).Expand(square...).MaskedFill(upto, 1).CumProd(-1).MaskedFill(before, 0)
	inner := rows.Mul(g.Unsqueeze(-2)).Sum(-1)
	edge := append([]int{}, x.Shape()...)
	edge[len(edge)-1] = 1
	left := Cat([]*Tensor{Ones(x.Place(), x.DType(), edge...), x.Slice(-1, 0, -1, 1)}, -1).CumProd(-1)
	return left.Mul(inner).Transpose(axis, -1)
}
