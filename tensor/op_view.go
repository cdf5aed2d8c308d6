package tensor

import (
	"slices"

	"github.com/descent-ml/descent/backend"
)

// viewOp makes a view of x and records it; back maps the gradient to x's shape.
func viewOp(op string, x *Tensor, shape, strides []int, offset int, back func(g *Tensor) *Tensor) *Tensor {
	a := x.arr
	a.Shape, a.Strides, a.Offset = shape, strides, offset
	return linear(op, x.view(x.scope, a), x, back)
}

// partOp is viewOp for a view of only some elements: in a backward pass that is
// not recorded, its gradient is added to the same part of x's.
func partOp(op string, x *Tensor, part func(x *Tensor) *Tensor) *Tensor {
	y := part(x)
	if recording(y, x) {
		shape, dt := x.Shape(), x.DType()
		n := newNode(op, y, x)
		n.into = part
		n.pass = func(g *Tensor) *Tensor { return g.embed(op, dt, shape, part) }
	}
	return y
}

// embed is the adjoint of a part: zeros of shape with g in the part.
func (g *Tensor) embed(op string, dt DType, shape []int, part func(x *Tensor) *Tensor) *Tensor {
	whole := full(op, g.dev, g.scope, dt, shape, 0)
	hole := part(whole)
	check(op, g.dev.Copy(hole.arr, g.arr, true))
	hole.release()
	return linear(op+"_backward", whole, g, func(gg *Tensor) *Tensor { return partOp(op, gg, part) })
}

// Reshape gives t another shape with the same elements in row-major order; one
// size may be -1 and is worked out. It is a view where strides allow, else a copy.
func (t *Tensor) Reshape(shape ...int) *Tensor {
	const op = "reshape"
	t.use(op)
	shape = inferShape(op, t, shape)
	if sameShape(shape, t.Shape()) {
		return t
	}
	from := t.Shape()
	back := func(g *Tensor) *Tensor { return g.Reshape(from...) }
	if st, ok := reshapeStrides(t.arr, shape); ok {
		return viewOp(op, t, shape, st, t.arr.Offset, back)
	}
	c := empty(op, t.dev, t.scope, t.DType(), t.Shape())
	check(op, t.dev.Copy(c.arr, t.arr, false))
	strides := make([]int, len(shape))
	rowMajor(shape, strides)
	v := c.view(c.scope, backend.Array{Buf: c.arr.Buf, DType: c.arr.DType, Shape: shape, Strides: strides})
	c.release()
	return linear(op, v, t, back)
}

// View is Reshape that never copies: it panics where t's strides do not allow it.
func (t *Tensor) View(shape ...int) *Tensor {
	t.use("view")
	shape = inferShape("view", t, shape)
	if _, ok := reshapeStrides(t.arr, shape); !ok {
		Fail("view", "a tensor of shape %v and strides %v cannot be viewed as %v; Reshape copies", t.Shape(), t.Strides(), shape)
	}
	return t.Reshape(shape...)
}

func inferShape(op string, t *Tensor, shape []int) []int {
	shape = slices.Clone(shape)
	n, hole := 1, -1
	for i, d := range shape {
		switch {
		case d == -1 && hole < 0:
			hole = i
		case d < 0:
			Fail(op, "shape %v is not valid for %s", shape, plural(t.NumEl(), "element"))
		default:
			n *= d
		}
	}
	total := t.NumEl()
	if hole >= 0 {
		if n == 0 || total%n != 0 {
			Fail(op, "shape %v cannot hold %s of %v", shape, plural(total, "element"), t.Shape())
		}
		shape[hole] = total / n
		n = total
	}
	if n != total {
		Fail(op, "shape %v cannot hold %s of %v", shape, plural(total, "element"), t.Shape())
	}
	return shape
}

// reshapeStrides finds strides that show a as shape without a copy: each run of
// a's axes that is evenly spaced in memory is cut anew.
func reshapeStrides(a backend.Array, shape []int) ([]int, bool) {
	out := make([]int, len(shape))
	if a.Size() == 0 || a.IsContiguous() {
		rowMajor(shape, out)
		return out, true
	}
	j := len(shape) - 1
	for i := len(a.Shape) - 1; i >= 0; {
		// The run of axes from i down to k+1 that one stride walks through.
		run, k := a.Shape[i], i-1
		for ; k >= 0 && (a.Shape[k] == 1 || run == 1 || a.Strides[k] == a.Strides[i]*run); k-- {
			if run == 1 {
				i = k
			}
			run *= a.Shape[k]
		}
		stride, n := a.Strides[i], 1
		for ; j >= 0 && (n < run || shape[j] == 1); j-- {
			out[j] = stride * n
			n *= shape[j]
		}
		if n != run {
			return nil, false
		}
		i = k
	}
	for ; j >= 0; j-- { // only sizes of 1 are left
		out[j] = 1
	}
	return out, true
}

// Flatten joins the axes from start to end, both included, into one.
func (t *Tensor) Flatten(start, end int) *Tensor {
	const op = "flatten"
	t.use(op)
	start, end = t.axis(op, start), t.axis(op, end)
	if t.Dim() == 0 {
		return t.Reshape(1)
	}
	if start > end {
		Fail(op, "start axis %d comes after end axis %d", start, end)
	}
	n := 1
	for _, d := range t.Shape()[start : end+1] {
		n *= d
	}
	return t.Reshape(slices.Concat(t.Shape()[:start], []int{n}, t.Shape()[end+1:])...)
}

// Permute orders the axes anew: axis i of the result is axes[i] of t.
func (t *Tensor) Permute(axes ...int) *Tensor {
	const op = "permute"
	t.use(op)
	if len(axes) != t.Dim() {
		Fail(op, "%d axes are named for a tensor of %d", len(axes), t.Dim())
	}
	n := len(axes)
	buf := make([]int, 3*n)
	shape, strides, inverse := buf[:n:n], buf[n:2*n:2*n], buf[2*n:]
	for i := range inverse {
		inverse[i] = -1
	}
	for i, a := range axes {
		a = t.axis(op, a)
		if inverse[a] >= 0 {
			Fail(op, "axis %d is named twice in %v", a, axes)
		}
		inverse[a] = i
		shape[i], strides[i] = t.arr.Shape[a], t.arr.Strides[a]
	}
	return viewOp(op, t, shape, strides, t.arr.Offset, func(g *Tensor) *Tensor { return g.Permute(inverse...) })
}

// Transpose swaps two axes.
func (t *Tensor) Transpose(a, b int) *Tensor {
	const op = "transpose"
	t.use(op)
	a, b = t.axis(op, a), t.axis(op, b)
	if a == b {
		return t
	}
	shape, strides := slices.Clone(t.arr.Shape), slices.Clone(t.arr.Strides)
	shape[a], shape[b] = shape[b], shape[a]
	strides[a], strides[b] = strides[b], strides[a]
	return viewOp(op, t, shape, strides, t.arr.Offset, func(g *Tensor) *Tensor { return g.Transpose(a, b) })
}

// T transposes a matrix; tensors of fewer axes are returned as they are.
func (t *Tensor) T() *Tensor {
	t.use("t")
	if t.Dim() > 2 {
		Fail("t", "a tensor of %d axes is no matrix; Transpose or Permute names the axes", t.Dim())
	}
	if t.Dim() < 2 {
		return t
	}
	return t.Transpose(0, 1)
}

// Slice takes the elements from start up to stop, excluded, by step along axis,
// as Python's x[start:stop:step]: negative bounds count from the end and bounds
// beyond it are cut. step must be positive; Flip reverses.
func (t *Tensor) Slice(axis, start, stop, step int) *Tensor {
	const op = "slice"
	t.use(op)
	if t.Dim() == 0 {
		Fail(op, "a scalar has no axis to slice")
	}
	axis = t.axis(op, axis)
	if step <= 0 {
		Fail(op, "the step is %d; it must be positive", step)
	}
	size := t.arr.Shape[axis]
	bound := func(i int) int {
		if i < 0 {
			i += size
		}
		return min(max(i, 0), size)
	}
	start, stop = bound(start), bound(stop)
	n := max(0, (stop-start+step-1)/step)
	if n == size && step == 1 {
		return t
	}
	return partOp(op, t, func(x *Tensor) *Tensor {
		a := x.arr
		a.Shape, a.Strides = slices.Clone(a.Shape), slices.Clone(a.Strides)
		a.Offset += start * a.Strides[axis]
		a.Shape[axis] = n
		a.Strides[axis] *= step
		return x.view(x.scope, a)
	})
}

// Narrow takes length elements from start along axis.
func (t *Tensor) Narrow(axis, start, length int) *Tensor {
	const op = "narrow"
	t.use(op)
	if t.Dim() == 0 {
		Fail(op, "a scalar has no axis to narrow")
	}
	n := t.Size(axis)
	if start < 0 {
		start += n
	}
	if start < 0 || length < 0 || start+length > n {
		Fail(op, "%d elements from %d are not in an axis of size %d", length, start, n)
	}
	return t.Slice(axis, start, start+length, 1)
}

// Select takes one index along axis, and drops that axis.
func (t *Tensor) Select(axis, index int) *Tensor {
	const op = "select"
	t.use(op)
	if t.Dim() == 0 {
		Fail(op, "a scalar has no axis to select from")
	}
	axis = t.axis(op, axis)
	n := t.arr.Shape[axis]
	if index < -n || index >= n {
		Fail(op, "index %d is out of range for axis %d of size %d", index, axis, n)
	}
	if index < 0 {
		index += n
	}
	return partOp(op, t, func(x *Tensor) *Tensor {
		a := x.arr
		a.Offset += index * a.Strides[axis]
		a.Shape = slices.Delete(slices.Clone(a.Shape), axis, axis+1)
		a.Strides = slices.Delete(slices.Clone(a.Strides), axis, axis+1)
		return x.view(x.scope, a)
	})
}

// Expand broadcasts t to shape without moving data; -1 keeps an axis's size.
func (t *Tensor) Expand(shape ...int) *Tensor {
	const op = "expand"
	t.use(op)
	shape = slices.Clone(shape)
	pad := len(shape) - t.Dim()
	for i, n := range shape {
		ok := pad >= 0
		if ok && i >= pad {
			if have := t.arr.Shape[i-pad]; n == -1 {
				shape[i] = have
			} else {
				ok = have == n || have == 1 && n >= 0
			}
		} else {
			ok = ok && n >= 0
		}
		if !ok {
			Fail(op, "shape %v does not expand to %v", t.Shape(), shape)
		}
	}
	if pad < 0 {
		Fail(op, "shape %v does not expand to %v", t.Shape(), shape)
	}
	if sameShape(shape, t.Shape()) {
		return t
	}
	a := expandArray(t.arr, shape)
	return viewOp(op, t, a.Shape, a.Strides, a.Offset, passOn) // the engine sums
}

// ExpandAs expands t to y's shape.
func (t *Tensor) ExpandAs(y *Tensor) *Tensor { return t.Expand(y.Shape()...) }

// Squeeze drops the named axes where their size is 1, all such axes if none is named.
func (t *Tensor) Squeeze(axes ...int) *Tensor {
	const op = "squeeze"
	t.use(op)
	drop := make([]bool, max(t.Dim(), 1))
	for _, a := range axes {
		drop[t.axis(op, a)] = true
	}
	shape := []int{}
	for i, n := range t.Shape() {
		if n != 1 || len(axes) > 0 && !drop[i] {
			shape = append(shape, n)
		}
	}
	return t.Reshape(shape...)
}

// Unsqueeze inserts an axis of size 1 before axis; -1 appends it.
func (t *Tensor) Unsqueeze(axis int) *Tensor {
	t.use("unsqueeze")
	axis = resolveAxis("unsqueeze", axis, t.Dim()+1)
	return t.Reshape(slices.Insert(slices.Clone(t.Shape()), axis, 1)...)
}

// Contiguous returns t in row-major order, itself if it is so already.
func (t *Tensor) Contiguous() *Tensor {
	t.use("contiguous")
	if t.IsContiguous() {
		return t
	}
	return t.clone("contiguous")
}

// Clone copies t.
func (t *Tensor) Clone() *Tensor {
	t.use("clone")
	return t.clone("clone")
}

func (t *Tensor) clone(op string) *Tensor {
	c := empty(op, t.dev, t.scope, t.DType(), t.Shape())
	check(op, t.dev.Copy(c.arr, t.arr, false))
	return linear(op, c, t, passOn)
}

// ChannelsLast returns an image [N, C, H, W], the same numbers with the same
// axes, in the memory order N, H, W, C.
func (t *Tensor) ChannelsLast() *Tensor {
	const op = "channels_last"
	t.use(op)
	if t.Dim() != 4 {
		Fail(op, "shape %v is not [N, C, H, W]", t.Shape())
	}
	return t.Permute(0, 2, 3, 1).Contiguous().Permute(0, 3, 1, 2)
}

// To casts t to dt; t itself if it has that dtype. Floats are cut toward zero
// when they become integers, and any non-zero value becomes true.
func (t *Tensor) To(dt DType) *Tensor {
	t.use("to")
	if t.DType() == dt {
		return t
	}
	c := emptyLike("to", t.scope, dt, t)
	check("to", t.dev.Copy(c.arr, t.arr, false))
	return linear("to", c, t, passOn) // the engine casts the gradient back
}

// ToDevice copies t to dev, without a scope if dev is another device: the
// gradient comes back the same way. It waits for t's device.
func (t *Tensor) ToDevice(dev backend.Device) *Tensor {
	const op = "to"
	t.use(op)
	if dev == t.dev {
		return t
	}
	raw := t.Bytes()
	c := empty(op, dev, nil, t.DType(), t.Shape())
	check(op, dev.Upload(c.blk.buf, raw))
	from := t.dev
	return linear(op, c, t, func(g *Tensor) *Tensor { return g.ToDevice(from) })
}
