package cuda

import (
	"unsafe"

	"github.com/descent-ml/descent/backend"
)

// matmulIntArgs mirrors MatMulArgs of matmul_int.cu.
type matmulIntArgs struct {
	views            [4]view
	dims             dims
	k, xStep, yStep  int64
	relu, accumulate uint32
}

const matmulIntThreads = 256

// matmulInt multiplies integer matrices. The kernel walks out's elements; its
// operands stand still along the axis that they lack.
func (d *Device) matmulInt(out, x, y backend.Array, e *backend.Epilogue) error {
	r := len(out.Shape)
	args := matmulIntArgs{k: int64(x.Shape[r-1]), xStep: int64(x.Strides[r-1]), yStep: int64(y.Strides[r-2])}
	if e.Act == backend.ReLU {
		args.relu = 1
	}
	if e.Accumulate {
		args.accumulate = 1
	}
	var l layout
	if err := l.start(&out); err != nil {
		return err
	}
	still := func(a backend.Array, row, col int) {
		strides := append(make([]int, 0, maxAxes), a.Strides[:len(a.Strides)-2]...)
		a.Shape, a.Strides = out.Shape, append(strides, row, col)
		l.add(&a)
	}
	still(x, x.Strides[r-2], 0)
	still(y, 0, y.Strides[r-1])
	bias := e.Bias
	if bias.Buf != nil {
		bias.Strides = append(make([]int, r-2, maxAxes), 0, bias.Strides[0])
	}
	bias.Shape = out.Shape
	l.add(&bias)
	l.arrange()
	return d.matmulIntParts(out.DType, &l, &args)
}

// matmulIntParts launches, several times if there are too many elements or axes.
func (d *Device) matmulIntParts(t backend.DType, l *layout, args *matmulIntArgs) error {
	if l.size >= most || l.rank > maxDims {
		first, second := l.halves()
		if err := d.matmulIntParts(t, &first, args); err != nil {
			return err
		}
		return d.matmulIntParts(t, &second, args)
	}
	l.describe(&args.dims, args.views[:], 1)
	blocks := uint32((l.size + matmulIntThreads - 1) / matmulIntThreads)
	return d.launch(spec{file: "matmul_int.cu", op: "MatMul", t: t}, [3]uint32{blocks, 1, 1}, matmulIntThreads, 0, unsafe.Pointer(args), unsafe.Sizeof(*args))
}

func init() {
	catalogue = append(catalogue, func(yield func(spec, uintptr) bool) {
		for t := range backend.NumDTypes {
			if t.IsInt() && !yield(spec{file: "matmul_int.cu", op: "MatMul", t: t}, unsafe.Sizeof(matmulIntArgs{})) {
				return
			}
		}
	})
}
