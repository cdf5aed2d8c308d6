package cuda

import (
	"unsafe"

	"github.com/descent-ml/descent/backend"
	cu "github.com/descent-ml/descent/cuda"
)

// sized are the dtypes that stand for all of their size where elements are only moved.
var sized = [...]backend.DType{1: backend.Uint8, 2: backend.Int16, 4: backend.Int32, 8: backend.Int64}

// Copy writes x to out, or adds it.
func (d *Device) Copy(out, x backend.Array, accumulate bool) error {
	note(d, "Copy", noOp, out, accumulate)
	var l layout
	if err := l.start(&out); err != nil || l.size == 0 {
		return err
	}
	k := spec{file: "copy.cu", op: "Copy", t: out.DType, u: x.DType}
	same := out.DType == x.DType
	if accumulate {
		k.op = "Accumulate"
		l.add(&out)
	} else if same {
		k.t = sized[out.DType.Size()]
		k.u = k.t
	}
	l.add(&x)
	l.arrange()
	var args elementwiseArgs
	if !same || accumulate {
		return d.elementwise(k, &l, &args, true, same)
	}
	if l.rank == 0 || l.rank == 1 && l.view[0].strides[0] == 1 && l.view[1].strides[0] == 1 {
		return d.move(l.view[0].data, l.view[1].data, l.size*l.view[0].item)
	}
	if axis := l.transposed(); axis > 0 {
		return d.transpose(&l, axis, k.t)
	}
	return d.elementwise(k, &l, &args, true, true)
}

// move copies contiguous memory.
func (d *Device) move(to, from uint64, bytes int) error {
	if to == from {
		return nil
	}
	if err := d.alive(); err != nil {
		return err
	}
	err := d.ctx.Bind()
	if err == nil {
		err = d.ctx.CopyOnDevice(cu.DevicePtr(to), cu.DevicePtr(from), uint64(bytes), d.stream())
		d.ctx.Unbind()
	}
	return d.launched("Copy", err)
}

// shortest is the least length of axes that are worth turning squares for.
const shortest = 16

// transposed is the axis along which x is contiguous where out is not, or 0.
func (l *layout) transposed() int {
	out, x := &l.view[0].strides, &l.view[1].strides
	if l.rank < 2 || l.rank > maxDims || l.dims[0] < shortest || out[0] != 1 || x[0] == 1 || x[0] == 0 {
		return 0
	}
	for axis := 1; axis < l.rank; axis++ {
		if x[axis] == 1 && l.dims[axis] >= shortest && max(l.dims[0], l.dims[axis]) < most {
			return axis
		}
	}
	return 0
}

// transposeArgs mirrors TransposeArgs of transpose.cu.
type transposeArgs struct {
	width, height  uint32
	outRow, column int64
	dims           dims
	view           [2]view
}

// transpose copies with turned squares of axis 0 and that one.
func (d *Device) transpose(l *layout, axis int, dtype backend.DType) error {
	tile := 32
	if dtype.Size() < 4 {
		tile = 64
	}
	width, height := l.dims[0], l.dims[axis]
	squares := ((width-1)/tile + 1) * ((height-1)/tile + 1)
	blocks := squares * (l.size / width / height)
	args := transposeArgs{
		width: uint32(width), height: uint32(height),
		outRow: int64(l.view[0].strides[axis]), column: int64(l.view[1].strides[0]),
	}
	rest := *l
	rest.drop(axis)
	rest.drop(0)
	rest.describe(&args.dims, args.view[:], 1)
	return d.launch(spec{file: "transpose.cu", op: "Transpose", t: dtype, u: dtype}, [3]uint32{uint32(blocks), 1, 1},
		elementwiseThreads, 0, unsafe.Pointer(&args), unsafe.Sizeof(args))
}

func init() {
	catalogue = append(catalogue, func(yield func(spec, uintptr) bool) {
		casts, all := []uint8{flat, strided}, []uint8{flat, rows, strided}
		specs := func(op string, to, from backend.DType, views int, variants []uint8) bool {
			for _, v := range variants {
				if !yield(spec{file: "copy.cu", op: op, t: to, u: from, variant: v}, elementwiseBytes(views)) {
					return false
				}
			}
			return true
		}
		for _, d := range []backend.DType{sized[1], sized[2], sized[4], sized[8]} {
			if !specs("Copy", d, d, 2, all) || !yield(spec{file: "transpose.cu", op: "Transpose", t: d, u: d}, unsafe.Sizeof(transposeArgs{})) {
				return
			}
		}
		for to := range backend.NumDTypes {
			for from := range backend.NumDTypes {
				ok := true
				if to == from {
					ok = specs("Accumulate", to, from, 3, all)
				} else {
					ok = specs("Copy", to, from, 2, casts) && specs("Accumulate", to, from, 3, casts)
				}
				if !ok {
					return
				}
			}
		}
	})
}
