package null

import (
	"fmt"
	"slices"

	"github.com/descent-ml/descent/backend"
)

// check gathers the first breach of the contract in one call.
type check struct {
	dev  *Device
	call string
	op   fmt.Stringer // nil for a method without opcodes
	err  error
}

func (d *Device) check(call string, op fmt.Stringer) check {
	return check{dev: d, call: call, op: op}
}

func (c *check) failf(format string, args ...any) {
	if c.err != nil {
		return
	}
	call := c.call
	if c.op != nil {
		call += " " + c.op.String()
	}
	c.err = fmt.Errorf("%s: %s: %s", c.dev, call, fmt.Sprintf(format, args...))
}

func (c *check) that(ok bool, format string, args ...any) {
	if !ok {
		c.failf(format, args...)
	}
}

// buffer holds b to be a live buffer of this device with room for bytes.
func (c *check) buffer(name string, b backend.Buffer, bytes int) {
	own, ok := b.(*buffer)
	switch {
	case !ok || own == nil:
		c.failf("%s is a %T, no buffer of this device", name, b)
	case own.dev != c.dev:
		c.failf("%s is a buffer of another device, %s", name, own.dev)
	case own.freed.Load():
		c.failf("%s is used after Free", name)
	case bytes > own.bytes:
		c.failf("%s needs %d bytes of a buffer of %d", name, bytes, own.bytes)
	}
}

// array holds a to be a view inside a buffer of this device.
func (c *check) array(name string, a backend.Array) {
	if c.err != nil {
		return
	}
	if a.IsScalar() {
		c.failf("%s has no buffer", name)
		return
	}
	c.that(a.DType < backend.NumDTypes, "%s has an unknown %s", name, a.DType)
	c.that(len(a.Shape) == len(a.Strides), "%s has %d axes and %d strides", name, len(a.Shape), len(a.Strides))
	for _, n := range a.Shape {
		c.that(n >= 0, "%s has the shape %v", name, a.Shape)
	}
	if c.err != nil {
		return
	}
	lo, hi := extent(a)
	c.that(lo >= 0, "%s starts %d elements before its buffer", name, -lo)
	c.buffer(name, a.Buf, hi*a.DType.Size())
}

// result holds out to be an array that is dense in some axis order.
func (c *check) result(name string, out backend.Array, dtype backend.DType, shape []int) {
	if c.array(name, out); c.err != nil {
		return
	}
	c.is(name, out, dtype, shape)
	c.that(dense(out), "%s is not dense: shape %v, strides %v", name, out.Shape, out.Strides)
}

// operand holds a to be an array of that dtype and shape.
func (c *check) operand(name string, a backend.Array, dtype backend.DType, shape []int) {
	if c.array(name, a); c.err == nil {
		c.is(name, a, dtype, shape)
	}
}

func (c *check) is(name string, a backend.Array, dtype backend.DType, shape []int) {
	c.that(a.DType == dtype, "%s is %s, not %s", name, a.DType, dtype)
	c.that(slices.Equal(a.Shape, shape), "%s has the shape %v, not %v", name, a.Shape, shape)
}

// disjoint holds out to share no element with x; orSame lets it be x itself.
func (c *check) disjoint(out, x backend.Array, orSame bool) {
	if c.err != nil || x.Buf != out.Buf || x.IsScalar() || orSame && same(out, x) {
		return
	}
	c.that(!overlap(out, x), "out overlaps an input: shape %v, strides %v, offset %d and shape %v, strides %v, offset %d",
		out.Shape, out.Strides, out.Offset, x.Shape, x.Strides, x.Offset)
}

// elementwise is the rule of Unary, Binary and Ternary: inputs have out's shape,
// and out is none of them or exactly one. A scalar may stand for one.
func (c *check) elementwise(out backend.Array, outType, inType backend.DType, p backend.Params, in ...backend.Array) {
	c.result("out", out, outType, out.Shape)
	scalars := 0
	for i, x := range in {
		name := "xyz"[i : i+1]
		if x.IsScalar() {
			scalars++
			continue
		}
		c.operand(name, x, inType, out.Shape)
		c.disjoint(out, x, true)
	}
	c.that(scalars == 0 || scalars == 1 && len(in) > 1, "%d of %d operands are scalars", scalars, len(in))
	c.params(p)
}

func (c *check) params(p backend.Params) {
	if p.Slot != nil {
		c.buffer("Slot", p.Slot, (p.SlotIndex+1)*backend.ScalarsBytes)
	}
}

func (c *check) axis(axis int, a backend.Array) {
	c.that(axis >= 0 && axis < len(a.Shape), "axis %d of an array with %d axes", axis, len(a.Shape))
}

// dtype is the type of the first array among xs.
func dtype(xs ...backend.Array) backend.DType {
	for _, x := range xs {
		if !x.IsScalar() {
			return x.DType
		}
	}
	return 0
}

// extent is the half-open range of the elements of a in its buffer.
func extent(a backend.Array) (lo, hi int) {
	if a.Size() == 0 {
		return 0, 0
	}
	lo, hi = a.Offset, a.Offset+1
	for i, n := range a.Shape {
		if s := a.Strides[i] * (n - 1); s < 0 {
			lo += s
		} else {
			hi += s
		}
	}
	return lo, hi
}

// dense reports whether the elements of a fill its extent in some axis order.
func dense(a backend.Array) bool {
	size := a.Size()
	for n := 1; n < size; {
		next := n
		for i, dim := range a.Shape {
			if dim > 1 && a.Strides[i] == n {
				next = n * dim
				break
			}
		}
		if next == n {
			return false
		}
		n = next
	}
	return true
}

// same reports whether a and b are one view.
func same(a, b backend.Array) bool {
	if a.DType != b.DType || a.Offset != b.Offset || !slices.Equal(a.Shape, b.Shape) {
		return false
	}
	for i, n := range a.Shape {
		if n > 1 && a.Strides[i] != b.Strides[i] {
			return false
		}
	}
	return true
}

// overlap reports whether two views of one buffer share a byte.
func overlap(a, b backend.Array) bool {
	alo, ahi := extent(a)
	blo, bhi := extent(b)
	as, bs := a.DType.Size(), b.DType.Size()
	if ahi*as <= blo*bs || bhi*bs <= alo*as {
		return false
	}
	taken := make(map[int]bool, a.Size()*as)
	visit(a, func(i int) {
		for k := range as {
			taken[i*as+k] = true
		}
	})
	found := false
	visit(b, func(i int) {
		for k := range bs {
			found = found || taken[i*bs+k]
		}
	})
	return found
}

// selfOverlap reports whether two positions of a are one element.
func selfOverlap(a backend.Array) bool {
	if a.Size() == 0 {
		return false
	}
	var axes []int
	for i, n := range a.Shape {
		if n > 1 {
			axes = append(axes, i)
		}
	}
	slices.SortFunc(axes, func(i, j int) int { return abs(a.Strides[i]) - abs(a.Strides[j]) })
	reach, nested := 0, true
	for _, i := range axes {
		nested = nested && abs(a.Strides[i]) > reach
		reach += abs(a.Strides[i]) * (a.Shape[i] - 1)
	}
	if nested { // each axis steps over all that the smaller ones reach
		return false
	}
	taken, found := make(map[int]bool, a.Size()), false
	visit(a, func(i int) {
		found = found || taken[i]
		taken[i] = true
	})
	return found
}

// visit calls f with the place of each element of a.
func visit(a backend.Array, f func(int)) {
	var walk func(axis, at int)
	walk = func(axis, at int) {
		if axis == len(a.Shape) {
			f(at)
			return
		}
		for i := range a.Shape[axis] {
			walk(axis+1, at+i*a.Strides[axis])
		}
	}
	walk(0, a.Offset)
}

func abs(n int) int { return max(n, -n) }
