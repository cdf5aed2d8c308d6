package tensor

import (
	"slices"

	"github.com/descent-ml/descent/backend"
)

func sameShape(a, b []int) bool { return slices.Equal(a, b) }

// broadcastShapes is NumPy's rule: aligned at the last axis, sizes are equal or
// one of them is 1.
func broadcastShapes(op string, a, b []int) []int {
	out := make([]int, max(len(a), len(b)))
	for i := range out {
		da, db := 1, 1
		if j := i - len(out) + len(a); j >= 0 {
			da = a[j]
		}
		if j := i - len(out) + len(b); j >= 0 {
			db = b[j]
		}
		switch {
		case da == db || db == 1:
			out[i] = da
		case da == 1:
			out[i] = db
		default:
			Fail(op, "shapes %v and %v do not broadcast", a, b)
		}
	}
	return out
}

// BroadcastShapes returns the shape that tensors of the given shapes broadcast
// to, and panics if they do not.
func BroadcastShapes(shapes ...[]int) []int {
	out := []int{}
	for _, s := range shapes {
		out = broadcastShapes("broadcast_shapes", out, s)
	}
	return out
}

// expandArray views a as shape, which it broadcasts to.
func expandArray(a backend.Array, shape []int) backend.Array {
	if sameShape(a.Shape, shape) {
		return a
	}
	st := make([]int, len(shape))
	pad := len(shape) - len(a.Shape)
	for i, n := range a.Shape {
		if n == shape[pad+i] && n != 1 {
			st[pad+i] = a.Strides[i]
		}
	}
	a.Shape, a.Strides = shape, st
	return a
}

// sumTo undoes broadcasting: it sums g down to shape.
func sumTo(g *Tensor, shape []int) *Tensor {
	if sameShape(g.Shape(), shape) {
		return g
	}
	pad := g.Dim() - len(shape)
	var axes []int
	for i, n := range g.Shape() {
		if i < pad || shape[i-pad] == 1 && n != 1 {
			axes = append(axes, i)
		}
	}
	if len(axes) > 0 {
		g = g.sum(axes, true)
	}
	return g.Reshape(shape...)
}

// PromoteTypes is PyTorch's table: the smallest type both fit in, where floats
// outrank integers and those outrank bool.
func PromoteTypes(a, b DType) DType {
	if a == b {
		return a
	}
	rank := func(d DType) int {
		switch {
		case d.IsFloat():
			return 2
		case d.IsInt():
			return 1
		}
		return 0
	}
	switch ra, rb := rank(a), rank(b); {
	case ra > rb:
		return a
	case rb > ra:
		return b
	}
	if a.IsFloat() {
		if a.Size() == b.Size() { // float16 and bfloat16
			return Float32
		}
	} else if a == Uint8 || b == Uint8 { // only int16 and up hold uint8's values
		if a == Int8 || b == Int8 {
			return Int16
		}
	}
	if a.Size() > b.Size() {
		return a
	}
	return b
}

// ResultType is the dtype of an op on ts. Scalars (tensors without axes) count
// less than tensors with axes unless they are of a higher kind.
func ResultType(ts ...*Tensor) DType {
	var strong, weak DType
	var haveStrong, haveWeak bool
	for _, t := range ts {
		of, have := &strong, &haveStrong
		if t.Dim() == 0 {
			of, have = &weak, &haveWeak
		}
		if *have {
			*of = PromoteTypes(*of, t.DType())
		} else {
			*of, *have = t.DType(), true
		}
	}
	switch {
	case !haveStrong:
		return weak
	case !haveWeak || strong.IsFloat() || !weak.IsFloat() && (strong.IsInt() || !weak.IsInt()):
		return strong
	}
	return weak
}

// promote casts x and y to their common dtype.
func promote(op string, x, y *Tensor) (*Tensor, *Tensor) {
	if x == nil || y == nil {
		Fail(op, "an operand is nil")
	}
	if x.arr.DType == y.arr.DType {
		return x, y
	}
	dt := ResultType(x, y)
	return x.To(dt), y.To(dt)
}

func promoteAll(op string, ts []*Tensor) []*Tensor {
	if len(ts) == 0 {
		Fail(op, "it needs at least one tensor")
	}
	ranked := ts[0].DType()
	for _, t := range ts[1:] {
		t.use(op)
		ranked = PromoteTypes(ranked, t.DType())
	}
	out := make([]*Tensor, len(ts))
	for i, t := range ts {
		out[i] = t.To(ranked)
	}
	return out
}
