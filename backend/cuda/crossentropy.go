package cuda

import (
	"unsafe"

	"github.com/descent-ml/descent/backend"
)

// crossEntropyArgs mirrors CrossEntropyArgs of crossentropy.cu.
type crossEntropyArgs struct {
	x, dx, labels, loss, lse, g, error     uint64
	xRow, xStep, dxRow, dxStep             int64
	labelStep, lossStep, lseStep, gStep    int64
	ignore                                 int64
	smoothing                              float64
	rows, classes, length, group, wide, op uint32
}

const (
	crossEntropyForward = iota
	crossEntropyBackward
)

var crossEntropyID = faultID("CrossEntropy")

func crossEntropySpec(t backend.DType, variant uint8) spec {
	return spec{file: "crossentropy.cu", op: "CrossEntropy", t: t, u: t, v: t, variant: variant}
}

func init() {
	catalogue = append(catalogue, func(yield func(spec, uintptr) bool) {
		for _, t := range floats {
			for variant := range uint8(crossEntropyBackward + 1) {
				if !yield(crossEntropySpec(t, variant), unsafe.Sizeof(crossEntropyArgs{})) {
					return
				}
			}
		}
	})
}

// CrossEntropy computes the loss of each row of logits.
func (d *Device) CrossEntropy(loss, lse, x, labels backend.Array, p backend.CrossEntropyParams) error {
	note(d, "CrossEntropy", noOp, x, p)
	if !x.DType.IsFloat() {
		return unsupported("CrossEntropy", x.DType)
	}
	args := crossEntropyArgs{loss: addr(loss), lse: addr(lse), lossStep: int64(loss.Strides[0]), lseStep: int64(lse.Strides[0]),
		error: d.errorWord(), op: crossEntropyID}
	return d.crossEntropy(crossEntropyForward, &args, &x, &labels, p)
}

// CrossEntropyBackward computes the gradient of each row of logits.
func (d *Device) CrossEntropyBackward(dx, g, lse, x, labels backend.Array, p backend.CrossEntropyParams) error {
	note(d, "CrossEntropyBackward", noOp, x, p)
	if !x.DType.IsFloat() {
		return unsupported("CrossEntropyBackward", x.DType)
	}
	args := crossEntropyArgs{dx: addr(dx), g: addr(g), lse: addr(lse), gStep: int64(g.Strides[0]), lseStep: int64(lse.Strides[0]),
		dxRow: int64(dx.Strides[0]), dxStep: int64(dx.Strides[1])}
	return d.crossEntropy(crossEntropyBackward, &args, &x, &labels, p)
}

func (d *Device) crossEntropy(variant uint8, args *crossEntropyArgs, x, labels *backend.Array, p backend.CrossEntropyParams) error {
	rows, classes := x.Shape[0], x.Shape[1]
	if rows == 0 || variant == crossEntropyBackward && classes == 0 {
		return nil
	}
	if rows >= most || classes >= most {
		return unsupported("CrossEntropy", x.DType)
	}
	args.x, args.xRow, args.xStep = addr(*x), int64(x.Strides[0]), int64(x.Strides[1])
	args.labels, args.labelStep = addr(*labels), int64(labels.Strides[0])
	args.ignore, args.smoothing = p.Ignore, p.Smoothing
	args.rows, args.classes, args.length = uint32(rows), uint32(classes), uint32(classes)
	lanes := 16 / x.DType.Size()
	if n := int64(lanes); classes%lanes == 0 && args.xStep == 1 && args.xRow%n == 0 && args.x%16 == 0 &&
		(variant == crossEntropyForward || args.dxStep == 1 && args.dxRow%n == 0 && args.dx%16 == 0) {
		args.wide, args.length = 1, uint32(classes/lanes)
		args.xStep, args.dxStep = n, n
	}
	args.group = lineGroup(int(args.length), rows)
	blocks := ceilDiv(rows, lineThreads/int(args.group))
	return d.launch(crossEntropySpec(x.DType, variant), [3]uint32{uint32(blocks), 1, 1}, lineThreads, 0, unsafe.Pointer(args), unsafe.Sizeof(*args))
}
