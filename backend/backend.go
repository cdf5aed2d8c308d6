// Package backend is the contract between tensors and the code that computes
// them: devices, the arrays they work on, and the names of the kernels.
//
// A new elementwise op is one opcode here and one line in each device's kernel
// table. A new device implements Device, registers itself, and is done when
// backendtest.Run passes.
package backend

import "errors"

// Buffer is memory of one device.
type Buffer interface {
	// Bytes is the size that was asked for.
	Bytes() int
	// Free gives the memory back to its device's pool, in stream order: a
	// kernel that was issued before still sees it. It is called once.
	Free()
}

// Array is a strided view of a Buffer; Offset and Strides count elements.
// A stride of 0 broadcasts. An operand without Buf is a scalar, which stands in
// Params: A for floats, N for integers and Bool.
type Array struct {
	Buf     Buffer
	DType   DType
	Offset  int
	Shape   []int
	Strides []int
}

// IsScalar reports whether a stands for the scalar in Params.
func (a Array) IsScalar() bool { return a.Buf == nil }

// Size is the number of elements of a.
func (a Array) Size() int {
	n := 1
	for _, d := range a.Shape {
		n *= d
	}
	return n
}

// IsContiguous reports whether a is dense and row-major.
func (a Array) IsContiguous() bool {
	n := 1
	for i := len(a.Shape) - 1; i >= 0; i-- {
		if a.Shape[i] != 1 && a.Strides[i] != n {
			return a.Size() == 0
		}
		n *= a.Shape[i]
	}
	return true
}

// Params are the scalars of a kernel; which it reads stands beside its opcode.
// When Slot is not nil they stand in device memory instead, in Scalars' layout at
// number SlotIndex, and are read when the kernel runs: a captured step is replayed
// with new ones.
type Params struct {
	Scalars
	Slot      Buffer
	SlotIndex int
}

// ScalarsBytes is the size of Scalars in a slot.
const ScalarsBytes = 48

// Scalars is what a slot holds: ScalarsBytes bytes, little-endian.
type Scalars struct {
	A, B         float64
	N, M         int64
	Key, Counter uint64 // of package random's Stream
}

// Epilogue is what MatMul and Conv do to a result before they store it: add
// Bias, apply Act, and with Accumulate add it all to what out held.
type Epilogue struct {
	Bias       Array   // [n], or no Buf for none
	Act        UnaryOp // Identity or ReLU
	Accumulate bool
}

// Device owns memory and runs kernels in order. It is safe for concurrent use.
//
// Shapes have been checked and broadcast by the caller: all arrays of an
// elementwise kernel have out's shape (operands may have strides of 0), and
// they share one dtype except where an opcode says otherwise. An op that a dtype
// does not have answers ErrUnsupported. Float16 and BFloat16 are computed in
// float32 and rounded once. At most one operand is a scalar, and none where the
// op reads Params itself. An integer divided by zero is an error.
//
// out is disjoint from the inputs; in elementwise kernels, Copy, Scan, Softmax
// and Norm it may also be exactly one of them. It is dense in some axis order,
// except in Copy; a random kernel's element i is the i-th in row-major order
// whatever that is. Arrays may be empty.
//
// Nothing but Download and Sync waits for the device: an error that only the data
// shows (an index out of range) may be returned at once or by the next of the
// two. A kernel may answer ErrUnsupported before it touches its output.
type Device interface {
	// String names the device as Open takes it: "cpu", "cuda:0".
	String() string
	// Alloc returns memory with undefined contents; ErrOutOfMemory if there is none.
	Alloc(bytes int) (Buffer, error)
	// Upload copies src to the start of dst. src may be reused on return.
	Upload(dst Buffer, src []byte) error
	// Download copies the start of src to dst once all kernels before it have run.
	Download(dst []byte, src Buffer) error
	// Sync waits until everything issued so far has run.
	Sync() error

	// Copy writes x to out, casting; out may be any view without overlaps, and
	// with accumulate x is added to it. Casts to integers truncate toward zero;
	// to Bool they test for non-zero.
	Copy(out, x Array, accumulate bool) error
	// Generate fills out.
	Generate(op GenerateOp, out Array, p Params) error
	Unary(op UnaryOp, out, x Array, p Params) error
	Binary(op BinaryOp, out, x, y Array, p Params) error
	Ternary(op TernaryOp, out, x, y, z Array, p Params) error
	// Reduce reduces the axes on which out has size 1 and x has not (an axis of
	// size 1 reduces to itself). An empty Max, Min, ArgMax or ArgMin is the
	// caller's error.
	Reduce(op ReduceOp, out, x Array) error
	// Scan runs along axis. idx is the position of the value for ops that have
	// two outputs, without Buf for the others.
	Scan(op ScanOp, out, idx, x Array, axis int) error
	// Sort sorts along axis, stably, NaN as the largest; out and idx (Int64, x's
	// positions) get the first k = out.Shape[axis] values. Either may lack Buf.
	Sort(out, idx, x Array, axis int, descending bool) error
	// Gather sets out[i…j…k] = x[i…index[i…j…k]…k], index (Int64) standing on
	// axis and having out's shape, which but for axis is no larger than x's.
	// Indices must be in [0, x.Shape[axis]).
	Gather(out, x, index Array, axis int) error
	// Scatter sets, or adds to, out[i…index[i…j…k]…k] the value src[i…j…k]: the
	// adjoint of Gather. index and src have one shape. Sums are in a fixed order.
	Scatter(op ScatterOp, out, index, src Array, axis int) error
	// MatMul multiplies [..., m, k] by [..., k, n] into [..., m, n]. The leading
	// axes are equal in number and size.
	MatMul(out, x, y Array, e Epilogue) error
}

// ErrUnsupported is returned for an op, dtype or layout that a device has no
// kernel for; nothing has been written.
var ErrUnsupported = errors.New("not supported by this device")

// ErrOutOfMemory is returned by Alloc.
var ErrOutOfMemory = errors.New("out of memory")

// IndexError is a Gather or Scatter index out of range.
type IndexError struct {
	Index int64
	Size  int // of the axis that is indexed
}
