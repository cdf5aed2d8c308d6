package cuda

import (
	"unsafe"

	"github.com/descent-ml/descent/backend"
)

// scanArgs mirrors ScanArgs of scan.cu.
type scanArgs struct {
	lines         [3]view // x, out, idx
	dims          dims
	stride        [3]int64
	carry         uint64
	length        uint32
	chunk, chunks uint32
	phase         uint32
}

const (
	scanRows = iota
	scanColumns
	scanPrefixes
)

const (
	scanWhole = iota // and what follows the totals
	scanTotals
)

const scanThreads = 256

func init() {
	catalogue = append(catalogue, func(yield func(spec, uintptr) bool) {
		for op := range backend.NumScan {
			for t := range backend.NumDTypes {
				for variant := range uint8(scanPrefixes + 1) {
					if !yield(spec{file: "scan.cu", op: op.String(), t: t, variant: variant}, unsafe.Sizeof(scanArgs{})) {
						return
					}
				}
			}
		}
	})
}

// Scan runs along axis. The order of sums depends on shapes and strides alone.
func (d *Device) Scan(op backend.ScanOp, out, idx, x backend.Array, axis int) error {
	note(d, "Scan", op, out, axis)
	if out.DType != x.DType || x.Shape[axis] >= most {
		return unsupported(op, x.DType)
	}
	if out.Size() == 0 {
		return nil
	}
	var l layout
	if err := l.over(x.Shape, ^(1 << axis), &x, &out, &idx); err != nil {
		return err
	}
	l.arrange()
	args := scanArgs{length: uint32(x.Shape[axis])}
	for k, a := range [...]*backend.Array{&x, &out, &idx} {
		if a.Buf != nil {
			args.stride[k] = int64(a.Strides[axis])
		}
	}
	return d.scan(spec{file: "scan.cu", op: op.String(), t: x.DType}, op.HasIndex(), &l, &args)
}

func (d *Device) scan(k spec, picks bool, l *layout, a *scanArgs) error {
	const (
		short  = 64      // lines that one thread takes
		blocks = 1024    // that share the work
		runs   = 1 << 16 // threads that do
	)
	if l.size >= most || l.rank > maxDims {
		first, second := l.halves()
		if err := d.scan(k, picks, &first, a); err != nil {
			return err
		}
		return d.scan(k, picks, &second, a)
	}
	l.describe(&a.dims, a.lines[:], 1)
	lines, length, grid, threads := l.size, int(a.length), 0, scanThreads
	chunk := length
	if length > short && (lines == 1 || magnitude(int(a.stride[0])) < magnitude(l.view[0].strides[0])) {
		k.variant = scanRows
		perThread := min(8, 16/k.t.Size())
		threads = min(max(32, powerAbove(ceilDiv(length, perThread))), threads)
		tile := threads * perThread
		if lines <= blocks/2 && length > 8*tile {
			chunk = tile * max(4, ceilDiv(length, tile*blocks/lines))
		}
		grid = lines * ceilDiv(length, chunk)
	} else {
		k.variant = scanColumns
		if lines <= runs/2 && length > 4*short {
			chunk = max(short, ceilDiv(length, runs/lines))
		}
		grid = ceilDiv(lines*ceilDiv(length, chunk), threads)
	}
	a.chunk, a.chunks, a.phase = uint32(chunk), uint32(ceilDiv(length, chunk)), scanWhole
	launch := func(k spec, blocks, threads int) error {
		return d.launch(k, [3]uint32{uint32(blocks), 1, 1}, uint32(threads), 0, unsafe.Pointer(a), unsafe.Sizeof(*a))
	}
	if a.chunks > 1 {
		partial := 8
		if picks {
			partial = 16
		}
		memory, err := d.scratch(lines * int(a.chunks) * partial)
		if err != nil {
			return err
		}
		defer memory.free()
		a.carry, a.phase = memory.addr(), scanTotals
		if err := launch(k, grid, threads); err != nil {
			return err
		}
		prefixes := k
		prefixes.variant = scanPrefixes
		if err := launch(prefixes, lines, scanThreads); err != nil {
			return err
		}
		a.phase = scanWhole
	}
	return launch(k, grid, threads)
}
