package tensor

import (
	"slices"

	"github.com/descent-ml/descent/backend"
)

// MatMul is PyTorch's matmul: [..., m, k] by [..., k, n] to [..., m, n], where
// the leading axes broadcast. A vector on the left is a row, one on the right a
// column, and the result lacks that axis; two vectors give a scalar.
func (t *Tensor) MatMul(y *Tensor) *Tensor {
	const op = "matmul"
	place2(op, t, y)
	if z := lower(op, func(in []*Tensor) *Tensor { return in[0].MatMul(in[1]) }, t, y); z != nil {
		return z
	}
	x, y := promote(op, t, y)
	xs, ys := x.Shape(), y.Shape()
	if len(xs) == 0 || len(ys) == 0 {
		Fail(op, "shapes %v and %v: a scalar is no matrix; Mul multiplies by it", xs, ys)
	}
	k := ys[0]
	if len(ys) > 1 {
		k = ys[len(ys)-2]
	}
	if xs[len(xs)-1] != k {
		Fail(op, "shapes %v and %v: the inner sizes %d and %d differ", xs, ys, xs[len(xs)-1], k)
	}
	switch {
	case len(xs) == 1 && len(ys) == 1:
		z := matmul(op, x.Unsqueeze(0), y.Unsqueeze(1))
		return onlyView(z.Reshape(), z)
	case len(xs) == 1:
		z := matmul(op, x.Unsqueeze(0), y)
		return onlyView(z.Squeeze(-2), z)
	case len(ys) == 1:
		z := matmul(op, x, y.Unsqueeze(1))
		return onlyView(z.Squeeze(-1), z)
	}
	return matmul(op, x, y)
}

// matmul multiplies tensors of at least two axes whose inner sizes agree.
func matmul(op string, x, y *Tensor) *Tensor {
	xs, ys := x.Shape(), y.Shape()
	m, n := xs[len(xs)-2], ys[len(ys)-1]
	if len(ys) == 2 && len(xs) > 2 { // one large product instead of many
		rows := []int{sizeOf(xs[:len(xs)-1]), xs[len(xs)-1]}
		if _, ok := reshapeStrides(x.arr, rows); ok {
			z := matmul(op, x.Reshape(rows...), y)
			return z.Reshape(append(slices.Clone(xs[:len(xs)-1]), n)...)
		}
	}
	batch := broadcastShapes(op, xs[:len(xs)-2], ys[:len(ys)-2])
	out := empty(op, x.dev, place2(op, x, y), x.DType(), append(slices.Clone(batch), m, n))
	xa := expandArray(x.arr, append(slices.Clone(batch), xs[len(xs)-2:]...))
	ya := expandArray(y.arr, append(slices.Clone(batch), ys[len(ys)-2:]...))
	check(op, x.dev.MatMul(out.arr, xa, ya, backend.Epilogue{}))
	if recording(out, x, y) {
		node := newNode(op, out, x, y)
		node.two = [2]formula2{
			func(g, x, y *Tensor) *Tensor { return matmul("matmul_backward", g, y.Transpose(-2, -1)) },
			matmulGradRight,
		}
		node.save()
	}
	return out
}

// matmulGradRight is xᵀ·g; for a plain matrix y under batches the sum over them
// is part of the product.
func matmulGradRight(g, x, y *Tensor) *Tensor {
	if y.Dim() == 2 && x.Dim() > 2 {
		n := sizeOf(x.Shape()[:x.Dim()-1])
		x, g = x.Reshape(n, x.Size(-1)), g.Reshape(n, g.Size(-1))
	}
	return matmul("matmul_backward", x.Transpose(-2, -1), g)
}

// Linear returns x·wᵀ + b for x [..., in], w [out, in] and b [out] or nil, in
// one kernel.
func Linear(x, w, b *Tensor) *Tensor {
	const op = "linear"
	if y := lower(op, func(in []*Tensor) *Tensor { return Linear(in[0], in[1], in[2]) }, x, w, b); y != nil {
		return y
	}
	in := []*Tensor{x, w}
	if b != nil {
		in = append(in, b)
	}
	s := placeAll(op, in...)
	if w.Dim() != 2 || x.Dim() < 1 || x.Size(-1) != w.Size(1) || b != nil && (b.Dim() != 1 || b.Size(0) != w.Size(0)) {
		var bs any = "none"
		if b != nil {
			bs = b.Shape()
		}
		Fail(op, "input %v, weight %v and bias %v do not fit: [..., in], [out, in] and [out]", x.Shape(), w.Shape(), bs)
	}
	if dt := x.DType(); dt != w.DType() || b != nil && dt != b.DType() {
		Fail(op, "input %v, weight %v: one dtype is needed; To casts", dt, w.DType())
	}
	rows := x
	if x.Dim() != 2 {
		rows = x.Reshape(sizeOf(x.Shape()[:x.Dim()-1]), x.Size(-1))
		in[0] = rows
	}
	y := empty(op, x.dev, s, x.DType(), []int{rows.Size(0), w.Size(0)})
	e := backend.Epilogue{}
	if b != nil {
		e.Bias = b.arr
	}
	wt := w.arr
	wt.Shape, wt.Strides = []int{w.Size(1), w.Size(0)}, []int{w.arr.Strides[1], w.arr.Strides[0]}
	check(op, x.dev.MatMul(y.arr, rows.arr, wt, e))
	each := []formula{
		func(b *Back, g *Tensor) *Tensor { return matmul("linear_backward", g, b.In(1)) },
		func(b *Back, g *Tensor) *Tensor { return matmul("linear_backward", g.T(), b.In(0)) },
		func(b *Back, g *Tensor) *Tensor { return g },
	}
	record(op, y, in, each[:len(in)]...)
	if x.Dim() == 2 {
		return y
	}
	return y.Reshape(append(slices.Clone(x.Shape()[:x.Dim()-1]), w.Size(0))...)
}

func sizeOf(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}
