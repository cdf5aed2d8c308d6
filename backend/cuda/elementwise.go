package cuda

import (
	"strings"
	"sync"
	"unsafe"

	"github.com/descent-ml/descent/backend"
)

// elementwiseArgs mirrors ElementwiseArgs of elementwise.cuh; a kernel gets as many
// views as it has.
type elementwiseArgs struct {
	err          uint64
	op, fixed    uint32
	params       backend.Scalars
	slot         uint64
	size, groups int64
	dims         dims
	view         [maxViews]view
}

func elementwiseBytes(views int) uintptr {
	return unsafe.Offsetof(elementwiseArgs{}.view) + uintptr(views)*unsafe.Sizeof(view{})
}

const elementwiseThreads = 256

// elementwise runs a kernel over l, in several launches if it has too many axes or
// elements for one. broadcast and byRows say what variants the kernel has: operands
// that are one element for all, and rows.
func (d *Device) elementwise(k spec, l *layout, args *elementwiseArgs, broadcast, byRows bool) error {
	n := l.lanes()
	k.variant, args.fixed = l.variant(n)
	if args.fixed != 0 && !broadcast || k.variant == rows && !byRows {
		k.variant, args.fixed = strided, 0
	}
	if k.variant == strided {
		n = 1
	}
	if k.variant != flat && l.size/n >= most || l.rank > maxDims {
		first, second := l.halves()
		if err := d.elementwise(k, &first, args, broadcast, byRows); err != nil {
			return err
		}
		return d.elementwise(k, &second, args, broadcast, byRows)
	}
	args.size, args.groups = int64(l.size), int64(l.size/n)
	if k.variant == flat {
		for k := range l.views {
			args.view[k].data = l.view[k].data
		}
	} else {
		l.describe(&args.dims, args.view[:l.views], n)
	}
	return d.launch(k, d.grid(int(args.groups), elementwiseThreads), elementwiseThreads, 0, unsafe.Pointer(args), elementwiseBytes(l.views))
}

func (a *elementwiseArgs) scalars(p *backend.Params) {
	a.params, a.slot = p.Scalars, slotAddr(p.Slot, p.SlotIndex)
}

// opKind is what a line of a .cu file says of its op.
type opKind struct {
	floats, ints, bools bool // which dtypes it has
	test                bool // the result is Bool
	divides             bool // by an integer, which must not be 0
	ordered             bool // it depends on the elements' numbers
}

// opKinds are the macros that begin a line.
var opKinds = map[string]opKind{
	"FLOATS":  {floats: true},
	"NUMBERS": {floats: true, ints: true},
	"DIVIDES": {floats: true, ints: true, divides: true},
	"EVERY":   {floats: true, ints: true, bools: true},
	"CHOICES": {floats: true, ints: true, bools: true},
	"TESTS":   {floats: true, ints: true, bools: true, test: true},
	"BITS":    {ints: true, bools: true},
	"INDEXED": {floats: true, ints: true, bools: true, ordered: true},
	"RANDOM":  {floats: true, ordered: true},
}

func (k opKind) has(d backend.DType) bool {
	switch {
	case d.IsFloat():
		return k.floats
	case d.IsInt():
		return k.ints
	}
	return k.bools
}

// elementwiseOps are the kinds of all ops, as the .cu files have them.
type elementwiseOps struct {
	unary    [backend.NumUnary]opKind
	binary   [backend.NumBinary]opKind
	ternary  [backend.NumTernary]opKind
	generate [backend.NumGenerate]opKind
}

var ops = sync.OnceValue(func() *elementwiseOps {
	o := new(elementwiseOps)
	readKinds[backend.UnaryOp]("unary.cu", o.unary[:])
	readKinds[backend.BinaryOp]("binary.cu", o.binary[:])
	readKinds[backend.TernaryOp]("ternary.cu", o.ternary[:])
	readKinds[backend.GenerateOp]("generate.cu", o.generate[:])
	return o
})

// opcode is one of package backend's.
type opcode interface {
	~uint8
	String() string
}

// readKinds reads the lines of a file, which are of the form KIND(Name, value).
func readKinds[Op opcode](file string, kinds []opKind) {
	byName := map[string]opKind{}
	for line := range strings.Lines(headers()[file]) {
		macro, rest, ok := strings.Cut(line, "(")
		if kind, known := opKinds[macro]; ok && known {
			name, _, _ := strings.Cut(rest, ",")
			byName[name] = kind
		}
	}
	for op := range kinds {
		kinds[op] = byName[Op(op).String()]
	}
}

// Unary computes out = op(x).
func (d *Device) Unary(op backend.UnaryOp, out, x backend.Array, p backend.Params) error {
	if op == backend.Identity {
		return d.Copy(out, x, false)
	}
	kind := ops().unary[op]
	if !kind.has(x.DType) {
		return unsupported(op, x.DType)
	}
	note(d, "Unary", op, out, p)
	var l layout
	if err := l.start(&out); err != nil || l.size == 0 {
		return err
	}
	l.add(&x)
	if kind.ordered {
		checkStream(op == backend.Dropout, false, &p)
		l.number()
	}
	l.arrange()
	var args elementwiseArgs
	args.scalars(&p)
	return d.elementwise(spec{file: "unary.cu", op: op.String(), t: x.DType}, &l, &args, false, false)
}

// binaryFaults is the error word's number of the first binary op.
var binaryFaults = func() uint32 {
	first := faultID(backend.BinaryOp(0).String())
	for op := backend.BinaryOp(1); op < backend.NumBinary; op++ {
		faultID(op.String())
	}
	return first
}()

// Binary computes out = op(x, y). An integer divided by zero is an error: at once if
// y is a scalar of the call, else of the next Download or Sync.
func (d *Device) Binary(op backend.BinaryOp, out, x, y backend.Array, p backend.Params) error {
	dtype := x.DType
	if x.IsScalar() {
		dtype = y.DType
	}
	kind := ops().binary[op]
	if !kind.has(dtype) {
		return unsupported(op, dtype)
	}
	note(d, "Binary", op, out, p)
	var l layout
	if err := l.start(&out); err != nil || l.size == 0 {
		return err
	}
	fault := binaryFaults + uint32(op)
	if y.IsScalar() && dtype.IsInt() && p.Slot == nil {
		if kind.divides && p.N == 0 {
			return (&errorWord{code: divisionByZero, op: fault}).error(d.name)
		}
		if op == backend.Pow && p.N < 0 {
			return (&errorWord{code: negativeExponent, op: fault}).error(d.name)
		}
	}
	l.add(&x)
	l.add(&y)
	l.arrange()
	args := elementwiseArgs{err: d.errorWord(), op: fault}
	args.scalars(&p)
	return d.elementwise(spec{file: "binary.cu", op: op.String(), t: dtype}, &l, &args, true, true)
}

// Ternary computes out = op(x, y, z).
func (d *Device) Ternary(op backend.TernaryOp, out, x, y, z backend.Array, p backend.Params) error {
	if !ops().ternary[op].has(out.DType) {
		return unsupported(op, out.DType)
	}
	note(d, "Ternary", op, out, p)
	var l layout
	if err := l.start(&out); err != nil || l.size == 0 {
		return err
	}
	l.add(&x)
	l.add(&y)
	l.add(&z)
	l.arrange()
	var args elementwiseArgs
	args.scalars(&p)
	return d.elementwise(spec{file: "ternary.cu", op: op.String(), t: out.DType}, &l, &args, true, true)
}

func init() {
	catalogue = append(catalogue,
		func(yield func(spec, uintptr) bool) {
			o := ops()
			_ = specsOf[backend.UnaryOp]("unary.cu", o.unary[:], 1, yield, flat, strided) &&
				specsOf[backend.BinaryOp]("binary.cu", o.binary[:], 2, yield, flat, rows, strided) &&
				specsOf[backend.TernaryOp]("ternary.cu", o.ternary[:], 3, yield, flat, rows, strided)
		})
}

// specsOf yields the specs of a file's ops, which have so many inputs.
func specsOf[Op opcode](file string, kinds []opKind, inputs int, yield func(spec, uintptr) bool, variants ...uint8) bool {
	for op, kind := range kinds {
		views := 1 + inputs
		if kind.ordered {
			views++
		}
		for dtype := range backend.NumDTypes {
			if !kind.has(dtype) {
				continue
			}
			for _, v := range variants {
				if !yield(spec{file: file, op: Op(op).String(), t: dtype, variant: v}, elementwiseBytes(views)) {
					return false
				}
			}
		}
	}
	return true
}
