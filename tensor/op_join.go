package tensor

import (
	"cmp"
	"slices"

	"github.com/descent-ml/descent/backend"
)

// compose computes the value of an op out of other ops, without recording them,
// and frees all that they make but the result, which belongs to home. The caller
// records the op as one node. Some operands may be nil.
func compose(home *Scope, fn func(in []*Tensor) *Tensor, in ...*Tensor) *Tensor {
	first := in[slices.IndexFunc(in, func(x *Tensor) bool { return x != nil })]
	inner := NewScope(first.dev, ScopeOptions{NoGrad: true})
	if home != nil {
		inner = home.Child(inner.mode)
	}
	defer inner.Close()
	used := make([]*Tensor, len(in))
	for i, x := range in {
		if x != nil {
			used[i] = inner.Use(x)
		}
	}
	return fn(used).moveTo(home)
}

// composed computes an op that is a chain of others, which record it where one of
// in, which may hold nil, takes a gradient. Otherwise all they make but the
// result is freed.
func composed(fn func(in []*Tensor) *Tensor, in ...*Tensor) *Tensor {
	var home *Scope
	tracked := false
	for _, x := range in {
		if x != nil {
			home = joinScopes("compose", home, x.scope)
			tracked = tracked || x.needsGrad()
		}
	}
	if tracked && (home == nil || !home.mode.NoGrad) {
		if home == nil {
			return fn(in)
		}
		// What is computed from parameters and buffers alone is to be home's too.
		used := make([]*Tensor, len(in))
		for i, x := range in {
			if x != nil {
				used[i] = home.Use(x)
			}
		}
		return fn(used)
	}
	return compose(home, fn, in...)
}

// unlike is t, or a copy if t is x itself.
func (t *Tensor) unlike(x *Tensor) *Tensor {
	if t == x {
		return t.Clone()
	}
	return t
}

// emptyOrdered is empty with the axes in the given order in memory, the
// outermost first.
func emptyOrdered(op string, dev backend.Device, s *Scope, dt DType, shape, order []int) *Tensor {
	t := &Tensor{dev: dev, scope: s}
	t.setShape(shape, nil)
	n := 1
	for _, axis := range slices.Backward(order) {
		t.arr.Strides[axis] = n
		n *= shape[axis]
	}
	t.init(op, dt, n)
	return t
}

// orderOf lists x's axes from the outermost in memory to the innermost, or
// row-major if x is not dense.
func orderOf(x *Tensor) []int {
	order := make([]int, x.Dim())
	for i := range order {
		order[i] = i
	}
	strides := make([]int, x.Dim())
	if !x.IsContiguous() && denseOrder(x.arr.Shape, x.arr.Strides, strides) {
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(strides[b], strides[a]) })
	}
	return order
}

// Cat joins tensors along axis. Their other sizes are equal, and their dtypes
// are promoted to one. As in PyTorch, tensors of shape [0] are left out whatever
// the others' shape.
func Cat(ts []*Tensor, axis int) *Tensor {
	const op = "cat"
	parts := promoteAll(op, ts)
	s := placeAll(op, parts...)
	like := parts[0]
	for _, p := range parts {
		if p.Dim() == 0 {
			Fail(op, "a tensor without axes cannot be joined; Stack makes a new axis")
		}
		if vacant(like) {
			like = p
		}
	}
	axis = like.axis(op, axis)
	shape := slices.Clone(like.Shape())
	shape[axis] = 0
	starts := make([]int, len(parts))
	for i, p := range parts {
		starts[i] = shape[axis]
		if vacant(p) {
			continue
		}
		for a := range shape {
			if a != axis && (p.Dim() != len(shape) || p.Size(a) != shape[a]) || p.Dim() != len(shape) {
				Fail(op, "shapes %v and %v differ in more than axis %d", like.Shape(), p.Shape(), axis)
			}
		}
		shape[axis] += p.Size(axis)
	}
	out := emptyOrdered(op, like.dev, s, like.DType(), shape, orderOf(like))
	each := make([]formula, len(parts))
	for i, p := range parts {
		if vacant(p) {
			each[i] = func(b *Back, g *Tensor) *Tensor { return full(op, g.dev, g.scope, g.DType(), []int{0}, 0) }
			continue
		}
		n := p.Size(axis)
		part := out.arr
		part.Shape = p.Shape()
		part.Offset += starts[i] * part.Strides[axis]
		check(op, out.dev.Copy(part, p.arr, false))
		each[i] = func(b *Back, g *Tensor) *Tensor { return g.Narrow(axis, starts[i], n) }
	}
	record(op, out, parts, each...)
	for i, p := range parts {
		if p != ts[i] {
			free(p)
		}
	}
	return out
}

// vacant reports whether Cat leaves t out.
func vacant(t *Tensor) bool { return t.Dim() == 1 && t.Size(0) == 0 }

// Stack joins tensors of one shape along a new axis.
func Stack(ts []*Tensor, axis int) *Tensor {
	const op = "stack"
	if len(ts) == 0 {
		Fail(op, "it needs at least one tensor")
	}
	placeAll(op, ts...)
	parts := make([]*Tensor, len(ts))
	for i, t := range ts {
		if !sameShape(t.Shape(), ts[0].Shape()) {
			Fail(op, "shapes %v and %v differ", ts[0].Shape(), t.Shape())
		}
		parts[i] = t.Unsqueeze(resolveAxis(op, axis, t.Dim()+1))
	}
	return Cat(parts, axis)
}

// Split cuts t along axis into views of the given size; the last may be smaller.
func (t *Tensor) Split(axis, size int) []*Tensor {
	const op = "split"
	n := t.joint(op, axis)
	if size < 0 || size == 0 && n > 0 {
		Fail(op, "an axis of size %d cannot be cut into pieces of %d", n, size)
	}
	sizes := []int{min(size, n)}
	for at := size; at < n; at += size {
		sizes = append(sizes, min(size, n-at))
	}
	return t.SplitSizes(axis, sizes...)
}

// SplitSizes cuts t along axis into views of the given sizes, which add up to
// the axis's.
func (t *Tensor) SplitSizes(axis int, sizes ...int) []*Tensor {
	const op = "split"
	n, sum := t.joint(op, axis), 0
	for _, size := range sizes {
		if size < 0 {
			Fail(op, "sizes %v: one is negative", sizes)
		}
		sum += size
	}
	if sum != n {
		Fail(op, "sizes %v add up to %d, not to %d, the size of axis %d of %v", sizes, sum, n, axis, t.Shape())
	}
	axis = t.axis(op, axis)
	parts, at := make([]*Tensor, len(sizes)), 0
	for i, size := range sizes {
		a := t.arr
		a.Offset += at * a.Strides[axis]
		a.Shape = slices.Clone(a.Shape)
		a.Shape[axis] = size
		parts[i] = t.view(t.scope, a)
		at += size
	}
	recordJoint(op, parts, []*Tensor{t}, func(b *Back, gs []*Tensor) []*Tensor {
		all := slices.Clone(gs)
		for i, g := range gs {
			if g == nil {
				all[i] = ZerosLike(b.Out(i))
			}
		}
		return []*Tensor{Cat(all, axis)}
	})
	return parts
}

// Chunk cuts t along axis into at most n views of one size, the last of which
// may be smaller.
func (t *Tensor) Chunk(axis, n int) []*Tensor {
	size := t.joint("chunk", axis)
	if n <= 0 {
		Fail("chunk", "%d chunks", n)
	}
	if size == 0 { // as PyTorch: n empty ones
		return t.SplitSizes(axis, make([]int, n)...)
	}
	return t.Split(axis, (size+n-1)/n)
}

// Unbind returns the views that Select gives along axis.
func (t *Tensor) Unbind(axis int) []*Tensor {
	parts := make([]*Tensor, t.joint("unbind", axis))
	for i := range parts {
		parts[i] = t.Select(axis, i)
	}
	return parts
}

// joint returns the size of the axis that t is to be cut along.
func (t *Tensor) joint(op string, axis int) int {
	t.use(op)
	if t.Dim() == 0 {
		Fail(op, "a scalar has no axis to cut")
	}
	return t.arr.Shape[t.axis(op, axis)]
}

// Repeat lays reps[i] copies of t along axis i; t gets leading axes of size 1
// where there are more repetitions than axes.
func (t *Tensor) Repeat(reps ...int) *Tensor {
	const op = "repeat"
	t.use(op)
	pad := len(reps) - t.Dim()
	if pad < 0 {
		Fail(op, "%v names fewer axes than shape %v has; Tile fills up with 1", reps, t.Shape())
	}
	// Each axis n becomes [1, n], is expanded to [reps, n] and joined to reps*n.
	var split, wide, joined []int
	for i, r := range reps {
		n := 1
		if i >= pad {
			n = t.arr.Shape[i-pad]
		}
		if r < 0 {
			Fail(op, "repetitions %v: one is negative", reps)
		}
		split, wide, joined = append(split, 1, n), append(wide, r, n), append(joined, r*n)
	}
	checkShape(op, joined)
	return t.Reshape(split...).Expand(wide...).Reshape(joined...)
}

// Tile is Repeat with 1 for the leading axes that reps does not name.
func (t *Tensor) Tile(reps ...int) *Tensor {
	t.use("tile")
	for len(reps) < t.Dim() {
		reps = slices.Insert(slices.Clone(reps), 0, 1)
	}
	return t.Repeat(reps...)
}

// RepeatInterleave repeats each element along axis n times in place: [a, b]
// becomes [a, a, b, b].
func (t *Tensor) RepeatInterleave(axis, n int) *Tensor {
	const op = "repeat_interleave"
	size := t.joint(op, axis)
	if n < 0 {
		Fail(op, "%d repetitions", n)
	}
	axis = t.axis(op, axis)
	joined := slices.Clone(t.Shape())
	joined[axis] = size * n
	checkShape(op, joined)
	wide := slices.Insert(slices.Clone(t.Shape()), axis+1, n)
	return t.Unsqueeze(axis + 1).Expand(wide...).Reshape(joined...)
}

// Flip reverses the order along the given axes.
func (t *Tensor) Flip(axes ...int) *Tensor {
	const op = "flip"
	t.use(op)
	flipped := make([]bool, max(t.Dim(), 1))
	for _, a := range axes {
		a = t.axis(op, a)
		if flipped[a] {
			Fail(op, "axis %d is named twice in %v", a, axes)
		}
		flipped[a] = true
	}
	if t.Dim() == 0 || len(axes) == 0 {
		return t.Clone()
	}
	axes = slices.Clone(axes)
	y := compose(t.scope, func(in []*Tensor) *Tensor {
		x := in[0]
		for _, a := range axes {
			n := float64(x.Size(a))
			x = x.IndexSelect(a, Arange(x.Place(), Int64, n-1, -1, -1))
		}
		return x
	}, t)
	return linear(op, y, t, func(g *Tensor) *Tensor { return g.Flip(axes...) })
}

// Roll shifts the elements along axes by shifts, those that fall off the end
// coming in at the start. Without axes t is rolled as if it were flat.
func (t *Tensor) Roll(shifts []int, axes ...int) *Tensor {
	const op = "roll"
	t.use(op)
	if len(axes) == 0 && len(shifts) == 1 {
		return t.Reshape(-1).Roll(shifts, 0).Reshape(t.Shape()...)
	}
	if len(shifts) != len(axes) || len(shifts) == 0 || t.Dim() == 0 {
		Fail(op, "%d shifts for %d axes of a tensor of %d", len(shifts), len(axes), t.Dim())
	}
	back := make([]int, len(shifts))
	y := compose(t.scope, func(in []*Tensor) *Tensor {
		x := in[0]
		for i, a := range axes {
			a, back[i] = t.axis(op, a), -shifts[i]
			if x.NumEl() > 0 {
				n := x.Size(a)
				cut := (n - shifts[i]%n) % n
				x = Cat([]*Tensor{x.Slice(a, cut, n, 1), x.Slice(a, 0, cut, 1)}, a)
			}
		}
		return x.unlike(in[0])
	}, t)
	return linear(op, y, t, func(g *Tensor) *Tensor { return g.Roll(back, axes...) })
}

// Diagonal views the elements whose index on axis b is offset more than that on
// axis a. Both axes are replaced by a last one that runs along them.
func (t *Tensor) Diagonal(offset, a, b int) *Tensor {
	const op = "diagonal"
	t.use(op)
	if t.Dim() < 2 {
		Fail(op, "shape %v has no two axes", t.Shape())
	}
	a, b = t.axis(op, a), t.axis(op, b)
	if a == b {
		Fail(op, "axis %d is named twice", a)
	}
	n := max(0, min(t.Size(a)+min(offset, 0), t.Size(b)-max(offset, 0)))
	return partOp(op, t, func(x *Tensor) *Tensor {
		d := x.arr
		if n > 0 {
			d.Offset += max(-offset, 0)*d.Strides[a] + max(offset, 0)*d.Strides[b]
		}
		step := d.Strides[a] + d.Strides[b]
		drop := func(v []int, last int) []int {
			v = slices.Delete(slices.Clone(v), max(a, b), max(a, b)+1)
			return append(slices.Delete(v, min(a, b), min(a, b)+1), last)
		}
		d.Shape, d.Strides = drop(d.Shape, n), drop(d.Strides, step)
		return x.view(x.scope, d)
	})
}

// DiagEmbed is the adjoint of Diagonal: zeros but for t, whose last axis lies on
// the diagonal of the new axes a and b.
func (t *Tensor) DiagEmbed(offset, a, b int) *Tensor {
	const op = "diag_embed"
	t.use(op)
	if t.Dim() < 1 {
		Fail(op, "a scalar has no axis to lie on a diagonal")
	}
	rank := t.Dim() + 1
	a, b = resolveAxis(op, a, rank), resolveAxis(op, b, rank)
	if a == b {
		Fail(op, "axis %d is named twice", a)
	}
	n := t.Size(-1) + max(offset, -offset)
	shape := slices.Clone(t.Shape()[:t.Dim()-1])
	shape = slices.Insert(shape, min(a, b), n)
	shape = slices.Insert(shape, max(a, b), n)
	return t.embed(op, t.DType(), shape, func(x *Tensor) *Tensor { return x.Diagonal(offset, a, b) })
}

// Unfold views windows of size elements, step apart, along axis, as a last axis:
// [..., n, ...] becomes [..., (n-size)/step+1, ..., size].
func (t *Tensor) Unfold(axis, size, step int) *Tensor {
	const op = "unfold"
	t.use(op)
	if t.Dim() == 0 {
		return t.Reshape(1).Unfold(0, size, step).Select(0, 0)
	}
	axis = t.axis(op, axis)
	n := t.Size(axis)
	if size < 0 || size > n || step <= 0 {
		Fail(op, "an axis of size %d has no windows of %d elements, %d apart", n, size, step)
	}
	from := slices.Clone(t.Shape())
	shape := append(slices.Clone(from), size)
	shape[axis] = (n-size)/step + 1
	strides := append(slices.Clone(t.Strides()), t.Strides()[axis])
	strides[axis] *= step
	return viewOp(op, t, shape, strides, t.arr.Offset, func(g *Tensor) *Tensor { return g.foldInto(from, axis, step) })
}

// foldInto is the adjoint of Unfold: windows are added up where they overlap.
func (t *Tensor) foldInto(shape []int, axis, step int) *Tensor {
	const op = "unfold_backward"
	whole := full(op, t.dev, t.scope, t.DType(), shape, 0)
	n, size := t.Size(axis), t.Size(-1)
	for k := range size {
		at, from := whole.arr, t.arr
		at.Shape, at.Strides = slices.Clone(at.Shape), slices.Clone(at.Strides)
		at.Shape[axis], at.Strides[axis] = n, at.Strides[axis]*step
		at.Offset += k * whole.arr.Strides[axis]
		last := len(from.Shape) - 1
		from.Offset += k * from.Strides[last]
		from.Shape, from.Strides = from.Shape[:last], from.Strides[:last]
		check(op, t.dev.Copy(at, from, true))
	}
	return linear(op, whole, t, func(g *Tensor) *Tensor { return g.Unfold(axis, size, step) })
}

// Movedim puts the axes src at the places dst and keeps the order of the others.
func (t *Tensor) Movedim(src, dst []int) *Tensor {
	const op = "movedim"
	t.use(op)
	if len(src) != len(dst) {
		Fail(op, "%d axes to move to %d places", len(src), len(dst))
	}
	order, moved := make([]int, t.Dim()), make([]bool, t.Dim())
	for i := range order {
		order[i] = -1
	}
	if t.Dim() == 0 {
		return t
	}
	for i := range src {
		from, to := t.axis(op, src[i]), t.axis(op, dst[i])
		if moved[from] || order[to] >= 0 {
			Fail(op, "an axis is named twice in %v or %v", src, dst)
		}
		order[to], moved[from] = from, true
	}
	next := 0
	for i := range order {
		if order[i] < 0 {
			for moved[next] {
				next++
			}
			order[i] = next
			next++
		}
	}
	return t.Permute(order...)
}

// Meshgrid views n tensors of one axis (or none) as n of n axes: the k-th varies
// along axis k. It is PyTorch's with indexing "ij".
func Meshgrid(ts ...*Tensor) []*Tensor {
	const op = "meshgrid"
	if len(ts) == 0 {
		Fail(op, "it needs at least one tensor")
	}
	placeAll(op, ts...)
	shape := make([]int, len(ts))
	for i, t := range ts {
		if t.Dim() > 1 {
			Fail(op, "shape %v has more than one axis", t.Shape())
		}
		if t.DType() != ts[0].DType() {
			Fail(op, "%v and %v: one dtype is needed; To casts", ts[0].DType(), t.DType())
		}
		shape[i] = t.NumEl()
	}
	grids := make([]*Tensor, len(ts))
	for i, t := range ts {
		line := make([]int, len(ts))
		for a := range line {
			line[a] = 1
		}
		line[i] = shape[i]
		grids[i] = t.Reshape(line...).Expand(shape...)
	}
	return grids
}

// Tril keeps the elements of the last two axes on and below the k-th diagonal,
// counted from the main one, and makes the others zero.
func (t *Tensor) Tril(k int) *Tensor { return t.triangle("tril", k, true) }

// Triu keeps the elements of the last two axes on and above the k-th diagonal,
// counted from the main one, and makes the others zero.
func (t *Tensor) Triu(k int) *Tensor { return t.triangle("triu", k, false) }

func (t *Tensor) triangle(op string, k int, lower bool) *Tensor {
	t.use(op)
	if t.Dim() < 2 {
		Fail(op, "shape %v is no matrix", t.Shape())
	}
	y := compose(t.scope, func(in []*Tensor) *Tensor {
		x := in[0]
		n, m := float64(x.Size(-2)), float64(x.Size(-1))
		diagonal := Arange(x.Place(), Int64, float64(k), float64(k)+n, 1).Unsqueeze(1)
		columns := Arange(x.Place(), Int64, 0, m, 1)
		drop := columns.Gt(diagonal)
		if !lower {
			drop = columns.Lt(diagonal)
		}
		return x.MaskedFill(drop, 0)
	}, t)
	return linear(op, y, t, func(g *Tensor) *Tensor { return g.triangle(op, k, lower) })
}
