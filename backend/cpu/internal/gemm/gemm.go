// Package gemm multiplies matrices of float32 and float64.
//
// One micro-kernel, chosen at run time, reads both operands through strides, so it serves packed and unpacked operands
// alike; the driver copies a block into a packed buffer only where that pays. The work is cut into tiles of C, dealt
// out to the pool of package parallel.
//
// A result depends on the shapes, the strides and the kernel, never on the number of threads: an element's products
// are added in order of k within blocks of k whose length is a function of k alone, and then block by block.
package gemm

import "fmt"

// A Matrix is a strided view: element (i, j) is Data[Offset+i*RowStride+j*ColStride]. Strides count elements; in an
// operand they may be zero (broadcast) or negative, in a result no two elements may share a place.
type Matrix[T Float] struct {
	Data                 []T
	Offset               int
	RowStride, ColStride int
}

// Float is the element type of a product.
type Float interface{ float32 | float64 }

// T returns the transposed view.
func (m Matrix[T]) T() Matrix[T] {
	m.RowStride, m.ColStride = m.ColStride, m.RowStride
	return m
}

// An Epilogue says what becomes of the product on its way into C: C = relu?(product + C? + bias?).
type Epilogue[T Float] struct {
	Accumulate bool // add to what C holds
	Bias       []T  // one value for each column, or nil
	ReLU       bool // max(0, x); NaN stays NaN
}

// A BatchDim is one dimension of a batch of products: how many, and how far apart their operands and results lie, in
// elements. A stride of zero shares an operand.
type BatchDim struct{ Size, A, B, C int }

// A PackFunc writes the rows×cols block of an operand that begins at (row, col) into dst: element (row+r, col+c) goes
// to dst[r*ld+c]. It stands for an operand that is never stored whole, such as the patches of a convolution. It is
// called from several goroutines at once, and may be called more than once for one element.
type PackFunc[T Float] func(dst []T, ld, row, rows, col, cols int)

// Float32 computes C = A·B for A of m×k, B of k×n and C of m×n. C overlaps neither operand.
// It panics if a size is negative or an operand too short for its strides. It may be called from several goroutines.
func Float32(m, n, k int, a, b, c Matrix[float32], ep Epilogue[float32]) {
	multiply(problem[float32]{m: m, n: n, k: k, a: operand[float32]{Matrix: a}, b: operand[float32]{Matrix: b}, c: c, ep: ep}, nil)
}

// Float64 is Float32 for float64.
func Float64(m, n, k int, a, b, c Matrix[float64], ep Epilogue[float64]) {
	multiply(problem[float64]{m: m, n: n, k: k, a: operand[float64]{Matrix: a}, b: operand[float64]{Matrix: b}, c: c, ep: ep}, nil)
}

// Float32Batch computes a product for each point of the batch; a, b and c are those of the first. The results must be
// disjoint. The work of the whole batch is shared among the threads.
func Float32Batch(batch []BatchDim, m, n, k int, a, b, c Matrix[float32], ep Epilogue[float32]) {
	multiply(problem[float32]{m: m, n: n, k: k, a: operand[float32]{Matrix: a}, b: operand[float32]{Matrix: b}, c: c, ep: ep}, batch)
}

// Float64Batch is Float32Batch for float64.
func Float64Batch(batch []BatchDim, m, n, k int, a, b, c Matrix[float64], ep Epilogue[float64]) {
	multiply(problem[float64]{m: m, n: n, k: k, a: operand[float64]{Matrix: a}, b: operand[float64]{Matrix: b}, c: c, ep: ep}, batch)
}

// Float32Packed is Float32 with an A that packA makes block by block: implicit GEMM.
func Float32Packed(m, n, k int, packA PackFunc[float32], b, c Matrix[float32], ep Epilogue[float32]) {
	multiply(problem[float32]{m: m, n: n, k: k, a: operand[float32]{pack: packA}, b: operand[float32]{Matrix: b}, c: c, ep: ep}, nil)
}

// Float32PackedB is Float32 with a B that packB makes block by block, as the weight gradient of a convolution wants.
func Float32PackedB(m, n, k int, a Matrix[float32], packB PackFunc[float32], c Matrix[float32], ep Epilogue[float32]) {
	multiply(problem[float32]{m: m, n: n, k: k, a: operand[float32]{Matrix: a}, b: operand[float32]{pack: packB}, c: c, ep: ep}, nil)
}

// An operand is a stored matrix, or one that pack makes.
type operand[T Float] struct {
	Matrix[T]
	pack PackFunc[T]
}

type problem[T Float] struct {
	m, n, k int
	a, b    operand[T]
	c       Matrix[T]
	ep      Epilogue[T]
}

// check panics unless the rows×cols view lies inside its data, also at the far end of the batch.
func check[T Float](name string, m Matrix[T], rows, cols int, batch []BatchDim, stride func(BatchDim) int) {
	lo, hi := m.Offset, m.Offset
	reach := func(n, stride int) {
		if d := (n - 1) * stride; d < 0 {
			lo += d
		} else {
			hi += d
		}
	}
	reach(rows, m.RowStride)
	reach(cols, m.ColStride)
	for _, d := range batch {
		reach(d.Size, stride(d))
	}
	if lo < 0 || hi >= len(m.Data) {
		panic(fmt.Sprintf("gemm: %s %d×%d with strides %d, %d spans elements %d to %d, data has %d",
			name, rows, cols, m.RowStride, m.ColStride, lo, hi, len(m.Data)))
	}
}
