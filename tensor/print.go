package tensor

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// PyTorch's default print options.
const (
	printDigits    = 4
	printThreshold = 1000 // a tensor of more elements is summarised
	printEdge      = 3    // elements at each end of an axis that a summary shows
	printWidth     = 80
)

// String prints t as PyTorch does: tensor([[1.0000, 2.5000]]), with the middle
// of large tensors left out. It waits for the device. A tensor whose memory is
// gone, or whose device fails, prints a note in place of its values.
func (t *Tensor) String() (s string) {
	if t == nil {
		return "tensor(nil)"
	}
	defer func() {
		if e, ok := recover().(*Error); ok {
			s = fmt.Sprintf("tensor(<%v>, size=%s, dtype=%v)", e.Err, tuple(t.Shape()), t.DType())
		}
	}()
	t.use("print")
	const prefix = "tensor("
	body, dt := "[]", t.DType()
	if t.NumEl() > 0 {
		body = newPrinter(t).text(len(prefix))
	}
	var suffixes []string
	if dev := t.dev.String(); dev != "cpu" {
		suffixes = append(suffixes, "device='"+dev+"'")
	}
	if t.NumEl() == 0 && t.Dim() != 1 {
		suffixes = append(suffixes, "size="+tuple(t.Shape()))
	}
	if dt != Float32 && (t.NumEl() == 0 || dt != Int64 && dt != Bool) {
		suffixes = append(suffixes, "dtype=torch."+dt.String())
	}
	switch {
	case t.node != nil:
		suffixes = append(suffixes, "grad_fn=<"+t.node.op+">")
	case t.needsGrad():
		suffixes = append(suffixes, "requires_grad=True")
	}

	out := prefix + body
	used := len(out) - strings.LastIndexByte(out, '\n') + 1
	for _, suffix := range suffixes {
		if used+len(suffix)+2 > printWidth {
			out += ",\n" + strings.Repeat(" ", len(prefix)) + suffix
			used = len(prefix) + len(suffix)
		} else {
			out += ", " + suffix
			used += len(suffix) + 2
		}
	}
	return out + ")"
}

// tuple spells a shape as Python does.
func tuple(shape []int) string {
	parts := make([]string, len(shape))
	for i, n := range shape {
		parts[i] = strconv.Itoa(n)
	}
	if len(parts) == 1 {
		return "(" + parts[0] + ",)"
	}
	return "(" + strings.Join(parts, ", ") + ")"
}

// printer has the elements that are shown as text, row-major.
type printer struct {
	shape  []int  // of the elements that are shown
	elided []bool // axes whose middle is left out
	cells  []string
	width  int
}

func newPrinter(t *Tensor) *printer {
	p := &printer{elided: make([]bool, t.Dim()), width: 1}
	Within(ScopeOptions{NoGrad: true}, []*Tensor{t}, func(in []*Tensor) []*Tensor {
		shown := in[0]
		for axis, n := range t.Shape() {
			if t.NumEl() > printThreshold && n > 2*printEdge {
				p.elided[axis] = true
				shown = Cat([]*Tensor{shown.Narrow(axis, 0, printEdge), shown.Narrow(axis, n-printEdge, printEdge)}, axis)
			}
		}
		p.shape = slices.Clone(shown.Shape())
		p.format(shown)
		return nil
	})
	return p
}

// format makes the cells of t's elements.
func (p *printer) format(t *Tensor) {
	if t.DType().IsFloat() {
		v := Values[float64](t.To(Float64))
		text := floatFormat(v)
		for _, x := range v {
			p.cells = append(p.cells, text(x))
			if measured(x) {
				p.width = max(p.width, len(text(x)))
			}
		}
		return
	}
	for _, x := range Values[int64](t.To(Int64)) {
		cell := strconv.FormatInt(x, 10)
		if t.DType() == Bool {
			cell = [...]string{"False", "True"}[x]
		}
		p.cells = append(p.cells, cell)
		p.width = max(p.width, len(cell))
	}
}

// measured reports whether x counts when a format and a width are chosen.
func measured(x float64) bool { return x != 0 && !math.IsInf(x, 0) && !math.IsNaN(x) }

// floatFormat chooses between whole numbers, decimals and scientific notation.
func floatFormat(v []float64) func(x float64) string {
	whole, lo, hi := true, math.Inf(1), 0.0
	for _, x := range v {
		if measured(x) {
			whole = whole && x == math.Trunc(x)
			lo, hi = min(lo, math.Abs(x)), max(hi, math.Abs(x))
		}
	}
	verb, digits, point := byte('f'), printDigits, ""
	switch {
	case hi > 0 && (hi/lo > 1000 || hi > 1e8 || lo < 1e-4):
		verb = 'e'
	case whole:
		digits, point = 0, "."
	}
	return func(x float64) string {
		switch {
		case math.IsNaN(x):
			return "nan"
		case math.IsInf(x, 0):
			return strings.ToLower(strings.TrimPrefix(strconv.FormatFloat(x, 'f', 0, 64), "+"))
		}
		return strconv.FormatFloat(x, verb, digits, 64) + point
	}
}

// text prints everything, the brackets standing indent columns from the left.
func (p *printer) text(indent int) string {
	var b strings.Builder
	p.print(&b, 0, p.cells, indent)
	return b.String()
}

// print writes the part of the tensor that cells are, from the given axis on.
func (p *printer) print(b *strings.Builder, axis int, cells []string, indent int) {
	if axis == len(p.shape) {
		b.WriteString(strings.Repeat(" ", p.width-min(p.width, len(cells[0]))) + cells[0])
		return
	}
	n := p.shape[axis]
	rest := len(p.shape) - axis - 1
	perLine := max(1, (printWidth-indent)/(p.width+2))
	b.WriteByte('[')
	column := 0
	separate := func() {
		switch {
		case column == 0:
		case rest > 0:
			b.WriteString("," + strings.Repeat("\n", rest) + strings.Repeat(" ", indent+1))
		case column%perLine == 0:
			b.WriteString(",\n" + strings.Repeat(" ", indent+1))
		default:
			b.WriteString(", ")
		}
		column++
	}
	for i := range n {
		if p.elided[axis] && i == printEdge {
			separate()
			b.WriteString(strings.Repeat(" ", 1-min(rest, 1)) + "...")
		}
		separate()
		part := len(cells) / n
		p.print(b, axis+1, cells[i*part:(i+1)*part], indent+1)
	}
	b.WriteByte(']')
}
