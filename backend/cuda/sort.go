package cuda

import (
	"math/bits"
	"unsafe"

	"github.com/descent-ml/descent/backend"
)

// sortArgs mirrors SortArgs of sort.cu.
type sortArgs struct {
	lines          [3]view // x, out, idx
	dims           dims
	stride         [3]int64
	keys, moved    uint64
	from, to       uint64
	counts, totals uint64
	length, first  uint32
	tiles          uint32
	shift          uint32
	bits           uint32
	descending     uint32
}

const (
	sortSmall = iota
	sortKeys
	sortCount
	sortOffsets
	sortMove
	sortEmit
)

const (
	sortThreads = 256
	sortTile    = 2048 // elements of a block
	sortDigits  = 256
)

// sortSpec names a kernel. Those between keys and emit see keys alone.
func sortSpec(t backend.DType, variant uint8) spec {
	switch variant {
	case sortCount, sortMove:
		t = sized[t.Size()]
	case sortOffsets:
		t = backend.Uint8
	}
	return spec{file: "sort.cu", op: "Sort", t: t, variant: variant}
}

func init() {
	catalogue = append(catalogue, func(yield func(spec, uintptr) bool) {
		for t := range backend.NumDTypes {
			for variant := range uint8(sortEmit + 1) {
				// A kernel that serves several dtypes comes with the one that it is named for.
				if k := sortSpec(t, variant); k.t == t && !yield(k, unsafe.Sizeof(sortArgs{})) {
					return
				}
			}
		}
	})
}

// Sort sorts along axis, stably, NaN as the largest.
func (d *Device) Sort(out, idx, x backend.Array, axis int, descending bool) error {
	note(d, "Sort", noOp, out, descending)
	return d.sort(&out, &idx, &x, axis, descending, 8*x.DType.Size())
}

// sort is Sort by so many low bits of the keys, to which those above need not matter.
func (d *Device) sort(out, idx, x *backend.Array, axis int, descending bool, keyBits int) error {
	first := out
	if out.Buf == nil {
		first = idx
	}
	if x.Shape[axis] >= most {
		return unsupported("Sort", x.DType)
	}
	if first.Size() == 0 {
		return nil
	}
	var l layout
	if err := l.over(x.Shape, ^(1 << axis), x, out, idx); err != nil {
		return err
	}
	l.arrange()
	a := sortArgs{length: uint32(x.Shape[axis]), first: uint32(first.Shape[axis])}
	for k, arr := range [...]*backend.Array{x, out, idx} {
		if arr.Buf != nil {
			a.stride[k] = int64(arr.Strides[axis])
		}
	}
	if descending {
		a.descending = 1
	}
	return d.sortLines(x.DType, &l, &a, keyBits)
}

func (d *Device) sortLines(t backend.DType, l *layout, a *sortArgs, keyBits int) error {
	tiles := ceilDiv(int(a.length), sortTile)
	if l.size*max(tiles, sortDigits) >= most || l.rank > maxDims {
		first, second := l.halves()
		if err := d.sortLines(t, &first, a, keyBits); err != nil {
			return err
		}
		return d.sortLines(t, &second, a, keyBits)
	}
	l.describe(&a.dims, a.lines[:], 1)
	launch := func(variant uint8, blocks, shared int) error {
		return d.launch(sortSpec(t, variant), [3]uint32{uint32(blocks), 1, 1}, sortThreads, uint32(shared), unsafe.Pointer(a), unsafe.Sizeof(*a))
	}
	if tiles == 1 {
		padded := max(2, powerAbove(int(a.length)))
		a.bits = uint32(bits.TrailingZeros(uint(padded)))
		lines, item := min(sortTile/padded, l.size), 8
		if t.Size() == 8 {
			item = 16
		}
		return launch(sortSmall, ceilDiv(l.size, lines), lines*padded*item)
	}

	// Twice keys and positions, then counts and totals.
	n := l.size * int(a.length)
	sizes := [...]int{n * t.Size(), n * t.Size(), n * 4, n * 4, l.size * sortDigits * tiles * 4, l.size * sortDigits * 4}
	var offsets [len(sizes)]int
	total := 0
	for i, size := range sizes {
		offsets[i] = total
		total += (size + 15) &^ 15
	}
	memory, err := d.scratch(total)
	if err != nil {
		return err
	}
	defer memory.free()
	base := memory.addr()
	for i, to := range [...]*uint64{&a.keys, &a.moved, &a.from, &a.to, &a.counts, &a.totals} {
		*to = base + uint64(offsets[i])
	}
	blocks := l.size * tiles
	a.tiles = uint32(tiles)
	if err := launch(sortKeys, blocks, 0); err != nil {
		return err
	}
	for shift := 0; shift < keyBits; shift += 8 {
		a.shift = uint32(shift)
		if err := launch(sortCount, blocks, 0); err != nil {
			return err
		}
		if err := launch(sortOffsets, l.size*sortDigits, 0); err != nil {
			return err
		}
		if err := launch(sortMove, blocks, 0); err != nil {
			return err
		}
		a.keys, a.moved, a.from, a.to = a.moved, a.keys, a.to, a.from
	}
	a.tiles = uint32(ceilDiv(int(a.first), sortTile))
	return launch(sortEmit, l.size*int(a.tiles), 0)
}
