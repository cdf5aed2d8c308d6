package cuda

import (
	"unsafe"

	"github.com/descent-ml/descent/backend"
)

// softmaxArgs mirrors SoftmaxArgs of softmax.cu.
type softmaxArgs struct {
	lines         [3]view
	kept          dims
	step          [3]int64
	length, group uint32
	wide, _       uint32
}

const lineThreads = 256

func init() {
	catalogue = append(catalogue, func(yield func(spec, uintptr) bool) {
		for op := backend.Softmax; op <= backend.LogSoftmaxBackward; op++ {
			for _, t := range floats {
				if !yield(softmaxSpec(op, t), unsafe.Sizeof(softmaxArgs{})) {
					return
				}
			}
		}
	})
}

var floats = [...]backend.DType{backend.Float32, backend.Float64, backend.Float16, backend.BFloat16}

func softmaxSpec(op backend.SoftmaxOp, t backend.DType) spec {
	return spec{file: "softmax.cu", op: op.String(), t: t, u: t, v: t}
}

// Softmax computes softmax along axis, its logarithm, or their gradients.
func (d *Device) Softmax(op backend.SoftmaxOp, out, x, y backend.Array, axis int) error {
	note(d, "Softmax", op, out, axis)
	if op > backend.LogSoftmaxBackward || !x.DType.IsFloat() || x.DType != out.DType {
		return unsupported(op, x.DType)
	}
	n := out.Shape[axis]
	if out.Size() == 0 {
		return nil
	}
	if n >= most {
		return unsupported(op, x.DType)
	}
	if y.Buf == nil {
		y = x
	}
	var l layout
	if err := l.over(out.Shape, ^(1 << axis), &out, &x, &y); err != nil {
		return err
	}
	var args softmaxArgs
	lanes := 16 / x.DType.Size()
	straight := n%lanes == 0
	for k, a := range [3]*backend.Array{&out, &x, &y} {
		args.step[k] = int64(a.Strides[axis])
		straight = straight && (a.Strides[axis] == 1 || n == 1) && l.multiples(k, 0, lanes)
	}
	l.arrange()
	// Neighbouring threads read neighbouring lines where these lie closer together.
	across := l.rank > 0 && l.size >= 1024 && magnitude(l.view[1].strides[0]) < magnitude(x.Strides[axis])
	args.length, args.group = uint32(n), lineGroup(n, l.size)
	switch {
	case straight:
		args.wide, args.length = 1, uint32(n/lanes)
		args.step = [3]int64{int64(lanes), int64(lanes), int64(lanes)}
		args.group = lineGroup(n/lanes, l.size)
	case across:
		args.group = 1
	}
	return d.softmax(softmaxSpec(op, x.DType), &l, &args)
}

func (d *Device) softmax(k spec, l *layout, args *softmaxArgs) error {
	if l.size >= most || l.rank > maxDims {
		first, second := l.halves()
		if err := d.softmax(k, &first, args); err != nil {
			return err
		}
		return d.softmax(k, &second, args)
	}
	l.describe(&args.kept, args.lines[:], 1)
	blocks := ceilDiv(l.size, lineThreads/int(args.group))
	return d.launch(k, [3]uint32{uint32(blocks), 1, 1}, lineThreads, 0, unsafe.Pointer(args), unsafe.Sizeof(*args))
}

// lineGroup is how many threads share a line of n units: the block for a long one,
// or where there are few; else no more than a warp.
func lineGroup(n, lines int) uint32 {
	if n > 256 || n > 64 && lines < 1024 {
		return lineThreads
	}
	return uint32(min(32, powerAbove(n)))
}
