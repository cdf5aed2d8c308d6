package cuda

import (
	"unsafe"

	"github.com/descent-ml/descent/backend"
)

// gatherArgs mirrors GatherArgs of gather.cu.
type gatherArgs struct {
	views          [3]view // out, x, index
	dims           dims
	stride, length int64
	err            uint64
	op             uint32
	_              uint32
}

// gatherWide is the variant for elements of 16 bytes.
const gatherWide = 16

var gatherFault = faultID("Gather")

func gatherSpec(bytes int) spec {
	if bytes == gatherWide {
		return spec{file: "gather.cu", op: "Gather", t: backend.Uint8, variant: gatherWide}
	}
	return spec{file: "gather.cu", op: "Gather", t: sized[bytes]}
}

func init() {
	catalogue = append(catalogue, func(yield func(spec, uintptr) bool) {
		for bytes := 1; bytes <= gatherWide; bytes *= 2 {
			if !yield(gatherSpec(bytes), unsafe.Sizeof(gatherArgs{})) {
				return
			}
		}
	})
}

// Gather fetches the elements that index names: rows in 16-byte accesses where a
// row shares its index.
func (d *Device) Gather(out, x, index backend.Array, axis int) error {
	note(d, "Gather", noOp, out, axis)
	if out.DType != x.DType || index.DType != backend.Int64 {
		return unsupported("Gather", x.DType)
	}
	if out.Size() == 0 {
		return nil
	}
	var l layout
	if err := l.over(out.Shape, ^uint64(0), &out, &x, &index); err != nil {
		return err
	}
	if out.Shape[axis] != 1 {
		l.view[1].strides[l.place(out.Shape, axis)] = 0
	}
	l.arrange()
	a := gatherArgs{stride: int64(x.Strides[axis]), length: int64(x.Shape[axis]), err: d.errorWord(), op: gatherFault}
	for l.view[0].item < gatherWide && a.stride%2 == 0 && l.view[2].strides[0] == 0 && l.vectors(0, 2) && l.vectors(1, 2) {
		l.pair()
		a.stride /= 2
	}
	return d.gather(&l, &a)
}

func (d *Device) gather(l *layout, a *gatherArgs) error {
	const threads, each = 256, 4
	if l.size >= most || l.rank > maxDims {
		first, second := l.halves()
		if err := d.gather(&first, a); err != nil {
			return err
		}
		return d.gather(&second, a)
	}
	l.describe(&a.dims, a.views[:], 1)
	blocks := uint32(ceilDiv(l.size, threads*each))
	return d.launch(gatherSpec(l.view[0].item), [3]uint32{blocks, 1, 1}, threads, 0, unsafe.Pointer(a), unsafe.Sizeof(*a))
}

// place is where an axis stands that over has just listed.
func (l *layout) place(shape []int, axis int) int {
	n := 0
	for _, size := range shape[axis+1:] {
		if size != 1 {
			n++
		}
	}
	return n
}

// pair calls two neighbours of the first two arrays one element.
func (l *layout) pair() {
	l.size /= 2
	l.dims[0] /= 2
	for k := range 2 {
		v := &l.view[k]
		v.item *= 2
		for i := 1; i < l.rank; i++ {
			v.strides[i] /= 2
		}
	}
}
