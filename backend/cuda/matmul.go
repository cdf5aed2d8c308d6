package cuda

import (
	"errors"
	"slices"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/cuda/cublaslt"
)

// matmulCall is what a captured product is listed with.
type matmulCall struct {
	Accumulate bool
	Act        backend.UnaryOp
}

// MatMul multiplies batches of matrices: floats by cuBLASLt, integers by a kernel.
// Operands whose rows or columns are dense are taken as they lie; others are copied.
func (d *Device) MatMul(out, x, y backend.Array, e backend.Epilogue) error {
	note(d, "MatMul", noOp, out, matmulCall{e.Accumulate, e.Act})
	if out.DType == backend.Bool || e.Act != backend.Identity && e.Act != backend.ReLU {
		return unsupported("MatMul", out.DType)
	}
	if err := d.alive(); err != nil || out.Size() == 0 {
		return err
	}
	if out.DType.IsInt() {
		return d.matmulInt(out, x, y, &e)
	}
	relu := e.Act == backend.ReLU
	if x.Shape[len(x.Shape)-1] > 0 && !(relu && e.Accumulate) {
		if err := d.multiply(out, x, y, e.Bias, relu, e.Accumulate); err != errUnfused {
			return err
		}
	}
	return d.matmulInSteps(out, x, y, &e)
}

// errUnfused says that a product cannot be done in one call, and that nothing was
// written.
var errUnfused = errors.New("cuda: the product has to be done in steps")

// matmulInSteps multiplies first and sees to the epilogue then; what is to be
// rounded or added only once it does in a temporary.
func (d *Device) matmulInSteps(out, x, y backend.Array, e *backend.Epilogue) error {
	result, bias, accumulate := out, e.Bias, e.Accumulate
	half := out.DType.Size() == 2
	if half || accumulate && e.Act != backend.Identity || !hasRows(&out) {
		t := out.DType
		if half {
			t = backend.Float32
		}
		r, err := d.temporary(t, out.Shape, false)
		if err != nil {
			return err
		}
		defer r.free()
		result, accumulate = r.Array, false
		if bias.Buf != nil && bias.DType != t {
			b, err := d.copied(bias, t, false)
			if err != nil {
				return err
			}
			defer b.free()
			bias = b.Array
		}
	}
	var err error
	if x.Shape[len(x.Shape)-1] > 0 {
		err = d.multiply(result, x, y, backend.Array{}, false, accumulate)
	} else if !accumulate {
		err = d.Generate(backend.Fill, result, backend.Params{})
	}
	if err == nil && bias.Buf != nil {
		strides := append(make([]int, len(result.Shape)-1, maxAxes), bias.Strides[0])
		bias.Shape, bias.Strides = result.Shape, strides
		err = d.Binary(backend.Add, result, result, bias, backend.Params{})
	}
	if err == nil && e.Act != backend.Identity {
		err = d.Unary(e.Act, result, result, backend.Params{})
	}
	if err == nil && result.Buf != out.Buf {
		err = d.Copy(out, result, e.Accumulate)
	}
	return err
}

// matrixView is a matrix as cuBLASLt can read it: its columns, or else its rows, are
// dense and ld elements apart.
type matrixView struct {
	ld      int
	columns bool
}

func (v matrixView) transposed() matrixView { return matrixView{v.ld, !v.columns} }

// viewOf is a's last two axes; false if neither its rows nor its columns are dense.
func viewOf(a *backend.Array) (matrixView, bool) {
	r := len(a.Shape)
	m, n, row, col := a.Shape[r-2], a.Shape[r-1], a.Strides[r-2], a.Strides[r-1]
	switch {
	case (col == 1 || n == 1) && (row >= n || m == 1):
		if m == 1 {
			row = n
		}
		return matrixView{ld: row}, true
	case (row == 1 || m == 1) && (col >= m || n == 1):
		if n == 1 {
			col = m
		}
		return matrixView{ld: col, columns: true}, true
	}
	return matrixView{}, false
}

func hasRows(a *backend.Array) bool {
	_, ok := viewOf(a)
	return ok
}

// batchAxis is an axis of a batch, and the strides along it.
type batchAxis struct{ size, out, x, y int }

// maxLaunches bounds how many calls a product is done in; where a batch's axes do not
// merge to few enough, operands are copied.
const maxLaunches = 8

// maxBatch bounds the matrices of one call: a kernel's grid has no more in that axis.
const maxBatch = 65535

// batchOf merges the leading axes where all three walk them as one, and puts the
// longest last. all is memory for the result.
func batchOf(all []batchAxis, out, x, y *backend.Array) []batchAxis {
	for i := range len(out.Shape) - 2 {
		a := batchAxis{out.Shape[i], out.Strides[i], x.Strides[i], y.Strides[i]}
		if a.size == 1 {
			continue
		}
		if n := len(all); n > 0 {
			if l := &all[n-1]; l.out == a.out*a.size && l.x == a.x*a.size && l.y == a.y*a.size {
				a.size *= l.size
				*l = a
				continue
			}
		}
		all = append(all, a)
	}
	if n := len(all); n > 1 {
		longest := 0
		for i := range all {
			if all[i].size > all[longest].size {
				longest = i
			}
		}
		all[longest], all[n-1] = all[n-1], all[longest]
	}
	return all
}

// launches is how many calls a batch takes.
func launches(batch []batchAxis) int {
	n := 1
	for i, a := range batch {
		if i < len(batch)-1 {
			n *= a.size
		}
	}
	return n
}

// multiply is out = x·y + bias, ReLU applied, or out += x·y + bias, by cuBLASLt. The
// inner size is not 0. It answers errUnfused before anything is written.
func (d *Device) multiply(out, x, y, bias backend.Array, relu, accumulate bool) error {
	outView, ok := viewOf(&out)
	if !ok || outView.columns && bias.Buf != nil {
		return errUnfused
	}
	var memory [8]batchAxis
	batch := batchOf(memory[:0], &out, &x, &y)
	scattered := launches(batch) > maxLaunches
	xView, ok := viewOf(&x)
	if !ok || scattered && !mergeable(&x) {
		c, err := d.copied(x, x.DType, false)
		if err != nil {
			return err
		}
		defer c.free()
		x = c.Array
		xView, _ = viewOf(&x)
	}
	yView, ok := viewOf(&y)
	if !ok || scattered && !mergeable(&y) {
		c, err := d.copied(y, y.DType, false)
		if err != nil {
			return err
		}
		defer c.free()
		y = c.Array
		yView, _ = viewOf(&y)
	}
	if bias.Buf != nil && bias.Strides[0] != 1 && bias.Shape[0] != 1 {
		c, err := d.copied(bias, bias.DType, false)
		if err != nil {
			return err
		}
		defer c.free()
		bias = c.Array
	}
	batch = batchOf(memory[:0], &out, &x, &y)

	r := len(out.Shape)
	p := product{relu: relu, accumulate: accumulate, a: addr(x), b: addr(y), d: addr(out), bias: addr(bias)}
	p.key = productKey{in: x.DType, out: out.DType, relu: relu, bias: bias.Buf != nil, count: 1}
	k := &p.key
	k.m, k.n, k.k = out.Shape[r-2], out.Shape[r-1], x.Shape[r-1]
	inner := batchAxis{size: 1}
	if n := len(batch); n > 0 {
		inner, batch = batch[n-1], batch[:n-1]
	}
	if inner.size > 1 && inner.y == 0 && !xView.columns && !outView.columns && inner.x == k.m*xView.ld && inner.out == k.m*outView.ld {
		k.m *= inner.size // y serves all: their rows are those of one matrix
		inner = batchAxis{size: 1}
	}
	if !outView.columns { // cuBLASLt counts columns first: out' = y'·x'
		p.a, p.b = p.b, p.a
		k.m, k.n = k.n, k.m
		xView, yView = yView.transposed(), xView.transposed()
		outView = outView.transposed()
		inner.x, inner.y = inner.y, inner.x
		for i := range batch {
			batch[i].x, batch[i].y = batch[i].y, batch[i].x
		}
	}
	k.a, k.b, k.ldd = xView, yView, outView.ld
	k.strideA, k.strideB, k.strideD = inner.x, inner.y, inner.out
	return d.multiplyAll(&p, batch, inner.size)
}

// mergeable reports whether a's leading axes walk its memory as one, or stand still.
func mergeable(a *backend.Array) bool {
	last := -1
	for i := range len(a.Shape) - 2 {
		if a.Shape[i] == 1 {
			continue
		}
		if last >= 0 && a.Strides[last] != a.Strides[i]*a.Shape[i] {
			return false
		}
		last = i
	}
	return true
}

// multiplyAll goes through the outer axes of a batch and, by maxBatch, the inner one.
func (d *Device) multiplyAll(p *product, outer []batchAxis, inner int) error {
	in, out := uint64(p.key.in.Size()), uint64(p.key.out.Size())
	one, calls := *p, 1
	for _, axis := range outer {
		calls *= axis.size
	}
	for i := range calls {
		a, b, to := 0, 0, 0
		for _, axis := range slices.Backward(outer) {
			at := i % axis.size
			i /= axis.size
			a, b, to = a+at*axis.x, b+at*axis.y, to+at*axis.out
		}
		for first := 0; first < inner; first += maxBatch {
			one.key.count = min(maxBatch, inner-first)
			one.a = p.a + uint64(a+first*p.key.strideA)*in
			one.b = p.b + uint64(b+first*p.key.strideB)*in
			one.d = p.d + uint64(to+first*p.key.strideD)*out
			if one.key.count == 1 {
				one.key.strideA, one.key.strideB, one.key.strideD = 0, 0, 0
			}
			if err := d.issue(&one); err != nil {
				return err
			}
		}
	}
	return nil
}

var cublasTypes = [...]cublaslt.DataType{
	backend.Float32:  cublaslt.R32F,
	backend.Float64:  cublaslt.R64F,
	backend.Float16:  cublaslt.R16F,
	backend.BFloat16: cublaslt.R16BF,
}
