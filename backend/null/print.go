package null

import (
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/descent-ml/descent/backend"
)

// WriteTo prints the calls, one a line, and then how often each method was
// called. Buffers are numbered in the order of their first use; the bytes are
// those that a call reads and writes, a broadcast element counted once.
//
//	12  Binary Add               5.1 KiB  b7:f32[64 10] <- b5:f32[64 10], b2:f32[64 10] strides [0 1]
//
// Alloc and Free stand in the summary only.
func (r *Recorder) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, r.Listing())
	return int64(n), err
}

// Listing is what WriteTo prints.
func (r *Recorder) Listing() string {
	p := printer{names: map[backend.Buffer]int{}}
	line := 0
	for _, c := range r.Calls() {
		bytes := c.bytes()
		p.count(c, bytes)
		if c.Method == "Alloc" || c.Method == "Free" {
			continue
		}
		line++
		fmt.Fprintf(&p.text, "%4d  %-24s %10s  %s\n", line, strings.TrimSpace(c.Method+" "+c.Op), size(bytes), p.call(c))
	}
	fmt.Fprintln(&p.text)
	for _, t := range p.totals {
		fmt.Fprintf(&p.text, "%4d  %-24s %10s\n", t.calls, t.method, size(t.bytes))
	}
	fmt.Fprintf(&p.text, "%4d  calls that wait for the device\n", p.waits)
	return p.text.String()
}

type total struct {
	method       string
	calls, bytes int
}

type printer struct {
	text   strings.Builder
	names  map[backend.Buffer]int
	totals []total
	waits  int
}

func (p *printer) count(c Call, bytes int) {
	i := slices.IndexFunc(p.totals, func(t total) bool { return t.method == c.Method })
	if i < 0 {
		i = len(p.totals)
		p.totals = append(p.totals, total{method: c.Method})
	}
	p.totals[i].calls++
	p.totals[i].bytes += bytes
	if c.Synchronises() {
		p.waits++
	}
}

func (p *printer) buffer(b backend.Buffer) string {
	if _, ok := p.names[b]; !ok {
		p.names[b] = len(p.names) + 1
	}
	return fmt.Sprintf("b%d", p.names[b])
}

func (p *printer) call(c Call) string {
	var text strings.Builder
	text.WriteString(p.arrays(c.Out, c))
	if len(c.In) > 0 {
		if len(c.Out) > 0 {
			text.WriteString(" ")
		}
		text.WriteString("<- " + p.arrays(c.In, c))
	}
	if p, ok := c.Params.(backend.Params); ok && p.Slot == nil && slices.ContainsFunc(c.In, backend.Array.IsScalar) {
		p.A, p.N = 0, 0 // printed among the operands
		c.Params = p
	}
	if c.Params != nil {
		text.WriteString(p.fields(reflect.ValueOf(c.Params)))
	}
	if c.Err != nil {
		text.WriteString("  ! " + c.Err.Error())
	}
	return text.String()
}

func (p *printer) arrays(as []backend.Array, c Call) string {
	var parts []string
	for _, a := range as {
		if !a.IsScalar() {
			parts = append(parts, p.array(a))
		} else if c.Method == "Binary" || c.Method == "Ternary" {
			parts = append(parts, scalar(c))
		}
	}
	return strings.Join(parts, ", ")
}

var short = strings.NewReplacer("bfloat", "bf", "float", "f", "uint", "u", "int", "i")

func (p *printer) array(a backend.Array) string {
	text := fmt.Sprintf("%s:%s%v", p.buffer(a.Buf), short.Replace(a.DType.String()), a.Shape)
	if !a.IsContiguous() {
		if channelsLast(a) {
			text += " channels-last"
		} else {
			text += fmt.Sprintf(" strides %v", a.Strides)
		}
	}
	if a.Offset != 0 {
		text += fmt.Sprintf(" at %d", a.Offset)
	}
	return text
}

// channelsLast reports whether a is dense in the order N, H, W, C.
func channelsLast(a backend.Array) bool {
	if len(a.Shape) != 4 {
		return false
	}
	s, n := a.Shape, a.Strides
	a.Shape, a.Strides = []int{s[0], s[2], s[3], s[1]}, []int{n[0], n[2], n[3], n[1]}
	return a.IsContiguous()
}

// scalar is the value of c's operand without a buffer.
func scalar(c Call) string {
	p, t := c.Params.(backend.Params), dtype(c.In...)
	if c.Method == "Ternary" { // Where's condition is no number
		t = c.Out[0].DType
	}
	switch {
	case p.Slot != nil:
		return "scalar"
	case t.IsFloat():
		return fmt.Sprint(p.A)
	default:
		return fmt.Sprint(p.N)
	}
}

// fields are the names and values of a struct's fields that say something.
func (p *printer) fields(v reflect.Value) string {
	var text strings.Builder
	for i := range v.NumField() {
		f, name := v.Field(i), v.Type().Field(i).Name
		switch x := f.Interface().(type) {
		case backend.Array: // stands among the inputs
		case backend.Buffer:
			text.WriteString("  " + name + " " + p.buffer(x))
		case bool:
			if x {
				text.WriteString("  " + name)
			}
		default:
			if v.Type().Field(i).Anonymous {
				text.WriteString(p.fields(f))
			} else if !f.IsZero() || name == "Axis" {
				fmt.Fprintf(&text, "  %s %v", name, x)
			}
		}
	}
	return text.String()
}

// bytes is what c reads and writes.
func (c Call) bytes() int {
	n := 0
	for _, a := range slices.Concat(c.Out, c.In) {
		if a.IsScalar() {
			continue
		}
		elements := 1
		for i, dim := range a.Shape {
			if a.Strides[i] != 0 || dim == 0 {
				elements *= dim
			}
		}
		n += elements * a.DType.Size()
	}
	return n
}

func size(bytes int) string {
	f, unit := float64(bytes), "B"
	for _, next := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if f < 1024 {
			break
		}
		f, unit = f/1024, next
	}
	if unit == "B" {
		return fmt.Sprintf("%d B", bytes)
	}
	return fmt.Sprintf("%.1f %s", f, unit)
}
