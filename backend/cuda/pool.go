package cuda

import (
	"unsafe"

	"github.com/descent-ml/descent/backend"
)

// image mirrors Image of pool.cu.
type image struct {
	data       uint64
	n, c, h, w int64
}

func imageOf(a *backend.Array) image {
	if a.Buf == nil {
		return image{}
	}
	s := a.Strides
	return image{addr(*a), int64(s[0]), int64(s[1]), int64(s[2]), int64(s[3])}
}

// poolArgs mirrors PoolArgs of pool.cu.
type poolArgs struct {
	out, idx, x                       image
	size, channelsLast, wide, _       uint32
	channels, height, width           dim
	inHeight, inWidth                 uint32
	kernel, stride, padding, dilation [2]int32
	includePad, divisor               int32
	_                                 uint32
}

const poolThreads = 256

func poolSpec(op backend.PoolOp, t backend.DType) spec {
	return spec{file: "pool.cu", op: op.String(), t: t, u: t, v: t}
}

func init() {
	catalogue = append(catalogue, func(yield func(spec, uintptr) bool) {
		for op := backend.MaxPool; op <= backend.AvgPoolBackward; op++ {
			for _, t := range floats {
				if !yield(poolSpec(op, t), unsafe.Sizeof(poolArgs{})) {
					return
				}
			}
		}
	})
}

// Pool pools the planes of [N, C, H, W], in any strides.
func (d *Device) Pool(op backend.PoolOp, out, idx, x backend.Array, p backend.PoolParams) error {
	note(d, "Pool", op, out, p)
	if op > backend.AvgPoolBackward || !out.DType.IsFloat() || x.Shape[2]*x.Shape[3] >= most || out.Shape[2]*out.Shape[3] >= most {
		return unsupported(op, out.DType)
	}
	if out.Size() == 0 {
		return nil
	}
	if out.Size() >= most { // an image has fewer
		n := out.Shape[0]
		if n == 1 {
			return unsupported(op, out.DType)
		}
		for _, part := range [2][2]int{{0, n / 2}, {n / 2, n}} {
			if err := d.Pool(op, images(out, part), images(idx, part), images(x, part), p); err != nil {
				return err
			}
		}
		return nil
	}
	a := poolArgs{out: imageOf(&out), idx: imageOf(&idx), x: imageOf(&x), size: uint32(out.Size()),
		inHeight: uint32(x.Shape[2]), inWidth: uint32(x.Shape[3]), includePad: int32(bit(p.CountIncludePad)), divisor: int32(p.Divisor)}
	for i := range 2 {
		a.kernel[i], a.stride[i], a.padding[i], a.dilation[i] = int32(p.Kernel[i]), int32(p.Stride[i]), int32(p.Padding[i]), int32(max(1, p.Dilation[i]))
	}
	channels, lanes := out.Shape[1], 16/out.DType.Size()
	if a.out.c == 1 && channels > 1 {
		a.channelsLast = 1
		if channels%lanes == 0 && a.out.vectors(lanes, lanes) && a.x.vectors(lanes, lanes) && (idx.Buf == nil || a.idx.vectors(lanes, 2)) {
			a.wide = 1
			channels /= lanes
			a.size /= uint32(lanes)
		}
	}
	a.channels, a.height, a.width = divider(channels), divider(out.Shape[2]), divider(out.Shape[3])
	return d.launch(poolSpec(op, out.DType), d.grid(int(a.size), poolThreads), poolThreads, 0, unsafe.Pointer(&a), unsafe.Sizeof(a))
}

// vectors reports whether n neighbouring channels can be taken at a time, in
// accesses of m elements, which are 16 bytes.
func (a *image) vectors(n, m int) bool {
	return a.c == 1 && a.data%16 == 0 && a.n%int64(m) == 0 && a.h%int64(m) == 0 && a.w%int64(m) == 0 && n%m == 0
}

// images are those of a batch from part[0] to part[1].
func images(a backend.Array, part [2]int) backend.Array {
	if a.Buf == nil {
		return a
	}
	a.Shape = append([]int{part[1] - part[0]}, a.Shape[1:]...)
	a.Offset += part[0] * a.Strides[0]
	return a
}
