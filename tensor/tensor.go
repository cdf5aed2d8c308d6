// Package tensor has the n-dimensional array that everything is made of, and
// every operation on it with its gradient beside it.
//
// A Tensor is immutable and lives on a device. An op returns a new one, or a
// view that shares memory. Misuse (shapes, dtypes, devices, closed scopes)
// panics with *Error; see Catch. Tensors may be read from many goroutines.
package tensor

import (
	"slices"

	"github.com/descent-ml/descent/backend"
)

// DType is the type of a tensor's elements.
type DType = backend.DType

const (
	Float32  = backend.Float32
	Float64  = backend.Float64
	Float16  = backend.Float16
	BFloat16 = backend.BFloat16
	Int64    = backend.Int64
	Int32    = backend.Int32
	Int16    = backend.Int16
	Int8     = backend.Int8
	Uint8    = backend.Uint8
	Bool     = backend.Bool
)

// Tensor is an immutable strided array on a device. Only parameters and buffers
// change, by Assign and by optimizers.
type Tensor struct {
	arr   backend.Array
	dev   backend.Device
	blk   *block
	scope *Scope // nil: lives until collected
	node  *Node  // what computed it, nil for a leaf
	leaf  *leaf  // nil but for parameters, buffers and inputs with RequireGrad
	index int    // among node's outputs

	dropped  bool // its scope has given it up
	borrowed bool // a handle that owns nothing, for the length of a formula
	pins     int  // pending gradients that hold it, while the engine runs

	dims [2 * inlineRank]int // shape and strides of small ranks, to save allocations
}

const inlineRank = 5

// leaf is what a tensor has that is not computed and takes gradients.
type leaf struct {
	name   string
	kind   leafKind
	frozen bool // takes no gradient
	grad   *Tensor
	stale  bool // grad was zeroed: its block is kept, its contents do not count
	hooks  []func(p *Tensor)
}

type leafKind uint8

const (
	input leafKind = iota
	parameter
	buffer
)

// Shape returns the sizes of t's axes, empty for a scalar. It must not be modified.
func (t *Tensor) Shape() []int { return t.arr.Shape }

// Strides returns the distance in elements between neighbours along each axis.
// It must not be modified.
func (t *Tensor) Strides() []int { return t.arr.Strides }

// Dim is the number of axes.
func (t *Tensor) Dim() int { return len(t.arr.Shape) }

// Size is the length of one axis; a negative axis counts from the end.
func (t *Tensor) Size(axis int) int { return t.arr.Shape[t.axis("size", axis)] }

// NumEl is the number of elements.
func (t *Tensor) NumEl() int { return t.arr.Size() }

// DType is the type of t's elements.
func (t *Tensor) DType() DType { return t.arr.DType }

// Device is where t's memory is.
func (t *Tensor) Device() backend.Device { return t.dev }

// Scope is the scope t belongs to, nil for a tensor that lives until it is
// collected.
func (t *Tensor) Scope() *Scope { return t.scope }

// Place is where a new tensor must be created to be used with t and to live as
// long as it does: its scope, or its device.
func (t *Tensor) Place() Place {
	if t.scope != nil {
		return t.scope
	}
	return t.dev
}

// IsContiguous reports whether t is dense and row-major.
func (t *Tensor) IsContiguous() bool { return t.arr.IsContiguous() }

// Array is t as its device sees it, for packages that call kernels themselves.
// It is valid while t is.
func (t *Tensor) Array() backend.Array {
	t.use("array")
	return t.arr
}

// use checks that t may be an operand of op.
func (t *Tensor) use(op string) {
	if t == nil {
		Fail(op, "an operand is nil")
	}
	if t.dropped || t.blk.buf == nil || t.scope != nil && t.scope.closed {
		switch {
		case t.scope != nil && t.scope.closed:
			Fail(op, "%s is used after its scope closed; tensor.Keep takes a tensor out of its scope", t.describe())
		case t.scope != nil:
			Fail(op, "%s was freed by the backward pass of train.Step; return it as one of the tensors to keep", t.describe())
		default:
			Fail(op, "%s is used after it was released", t.describe())
		}
	}
}

// axis resolves an axis that may count from the end.
func (t *Tensor) axis(op string, a int) int { return resolveAxis(op, a, len(t.arr.Shape)) }

func resolveAxis(op string, a, rank int) int {
	r := max(rank, 1) // a scalar is taken for a vector of one, as in PyTorch
	if a < -r || a >= r {
		Fail(op, "axis %d is out of range for a tensor of %d axes", a, rank)
	}
	if a < 0 {
		a += r
	}
	return a
}

// empty makes a tensor with undefined contents, row-major, in s.
func empty(op string, dev backend.Device, s *Scope, dt DType, shape []int) *Tensor {
	return new(Tensor).shaped(op, dev, s, dt, shape)
}

// emptyLike is empty with the memory order of x, if x is dense, so that
// channels-last survives.
func emptyLike(op string, s *Scope, dt DType, x *Tensor) *Tensor {
	return new(Tensor).like(op, s, dt, x)
}

// shaped makes t what empty returns.
func (t *Tensor) shaped(op string, dev backend.Device, s *Scope, dt DType, shape []int) *Tensor {
	t.dev, t.scope = dev, s
	t.setShape(shape, nil)
	t.init(op, dt, rowMajor(shape, t.arr.Strides))
	return t
}

// like makes t what emptyLike returns.
func (t *Tensor) like(op string, s *Scope, dt DType, x *Tensor) *Tensor {
	t.dev, t.scope = x.dev, s
	t.setShape(x.arr.Shape, x.arr.Strides)
	n := x.arr.Size()
	if x.arr.IsContiguous() || n == 0 || !denseOrder(t.arr.Shape, t.arr.Strides, t.arr.Strides) {
		rowMajor(t.arr.Shape, t.arr.Strides)
	}
	t.init(op, dt, n)
	return t
}

func (t *Tensor) init(op string, dt DType, n int) {
	t.arr.DType = dt
	t.blk = allocate(op, t.dev, t.scope, n*dt.Size())
	t.arr.Buf = t.blk.buf
	if t.scope != nil {
		t.blk.refs.Store(1)
		t.scope.own(t)
	}
}

// setShape copies shape and strides (nil: room for them) into t.
func (t *Tensor) setShape(shape, strides []int) {
	n := len(shape)
	if n <= inlineRank {
		t.arr.Shape, t.arr.Strides = t.dims[:n:n], t.dims[inlineRank:inlineRank+n:inlineRank+n]
	} else {
		both := make([]int, 2*n)
		t.arr.Shape, t.arr.Strides = both[:n:n], both[n:]
	}
	copy(t.arr.Shape, shape)
	copy(t.arr.Strides, strides)
}

// view makes a handle in s on t's memory with another shape, strides, offset.
// arr's slices may be t's own; they are not modified.
func (t *Tensor) view(s *Scope, arr backend.Array) *Tensor {
	v := &Tensor{arr: arr, dev: t.dev, blk: t.blk, scope: s}
	if t.blk.counted {
		t.blk.refs.Add(1)
		s.own(v)
	}
	return v
}

// Detach returns t without its history: gradients stop there.
func (t *Tensor) Detach() *Tensor {
	t.use("detach")
	return t.view(t.scope, t.arr)
}

// rowMajor writes the strides of a dense row-major array and returns its size.
func rowMajor(shape, strides []int) int {
	n := 1
	for i := len(shape) - 1; i >= 0; i-- {
		strides[i] = n
		n *= shape[i]
	}
	return n
}

// denseOrder reports whether an array is dense in some order of its axes, and
// if so writes to out its strides in that order, those of axes of size 1 too.
func denseOrder(shape, strides, out []int) bool {
	var order [16]int
	if len(shape) > len(order) {
		return false
	}
	k := 0
	for i := range shape {
		if shape[i] != 1 {
			order[k] = i
			k++
		}
	}
	axes := order[:k]
	slices.SortStableFunc(axes, func(a, b int) int { return strides[b] - strides[a] })
	n := 1
	for i := k - 1; i >= 0; i-- {
		if strides[axes[i]] != n {
			return false
		}
		n *= shape[axes[i]]
	}
	// An axis of size 1 gets the stride it has in row-major order of its
	// neighbours: that of the axis after it times its size.
	for i := len(shape) - 1; i >= 0; i-- {
		switch {
		case shape[i] != 1:
			out[i] = strides[i]
		case i == len(shape)-1:
			out[i] = 1
		default:
			out[i] = out[i+1] * shape[i+1]
		}
	}
	return true
}
