// Command parity answers, over its standard input and output, what Descent
// computes for a sample of PyTorch's OpInfo database. opinfo.py starts it and
// judges; the protocol is described in wire.py.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cpu"
	_ "github.com/descent-ml/descent/backend/cuda"
	"github.com/descent-ml/descent/tensor"
)

func main() {
	device := flag.String("device", "cpu", "`device` that computes")
	flag.Parse()
	if err := run(*device); err != nil {
		fmt.Fprintln(os.Stderr, "parity:", err)
		os.Exit(1)
	}
}

func run(device string) error {
	var dev backend.Device = cpu.New(cpu.Options{Poison: true})
	if device != "cpu" {
		var err error
		if dev, err = backend.Open(device); err != nil {
			return err
		}
	}
	return serve(dev, os.Stdin, os.Stdout)
}

func serve(dev backend.Device, in io.Reader, out io.Writer) error {
	r, w := bufio.NewReaderSize(in, 1<<20), bufio.NewWriterSize(out, 1<<20)
	ops := map[string]operator{}
	var names []string
	for _, o := range table() {
		if _, twice := ops[o.name]; twice {
			return fmt.Errorf("%s stands twice in the table", o.name)
		}
		ops[o.name] = o
		names = append(names, o.name)
	}
	for {
		q, body, err := readFrame(r)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		p := &reply{ID: q.ID}
		switch q.Do {
		case "list":
			p.Version, p.Ops = version, names
		case "call":
			o, ok := ops[q.Op]
			if !ok {
				return fmt.Errorf("asked for %q, which is not in the list", q.Op)
			}
			s := tensor.NewScope(dev, tensor.ScopeOptions{})
			err = call(o, &q, body, s, p)
			s.Close()
			if err != nil {
				return fmt.Errorf("request %d (%s): %w", q.ID, q.Op, err)
			}
		default:
			return fmt.Errorf("asked to %q", q.Do)
		}
		if err := p.write(w); err != nil {
			return err
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
}

// call fills p. An error is a fault of the request; what the op does wrong goes
// into p.Error.
func call(o operator, q *request, body []byte, s *tensor.Scope, p *reply) error {
	ts := make([]*tensor.Tensor, len(q.Tensors))
	for i, w := range q.Tensors {
		var err error
		if ts[i], err = w.make(s, body); err != nil {
			return err
		}
	}
	pick := func(indices []*int) []*tensor.Tensor {
		picked := make([]*tensor.Tensor, len(indices))
		for i, at := range indices {
			if at != nil {
				picked[i] = ts[*at]
			}
		}
		return picked
	}
	var wrt []*tensor.Tensor
	for _, i := range q.Wrt {
		wrt = append(wrt, ts[i].RequireGrad())
	}
	cotangents, vectors := pick(q.Cotangents), pick(q.Second)

	input, err := value(q.Input, ts)
	if err != nil {
		return err
	}
	positional, err := value(q.Args, ts)
	if err != nil {
		return err
	}
	keywords := map[string]any{}
	for name, v := range q.Kwargs {
		if keywords[name], err = value(v, ts); err != nil {
			return err
		}
	}

	var outputs, grads []*tensor.Tensor
	p.Error = stage("outputs", func() {
		outputs = o.run(o.bind(s, input, positional.([]any), keywords))
		p.Outputs = p.put(outputs)
	})
	if p.Error != nil || len(wrt) == 0 {
		return nil
	}
	second := len(vectors) > 0
	p.Error = stage("grads", func() {
		if len(outputs) != len(cotangents) {
			panic(fmt.Sprintf("%d outputs, %d cotangents", len(outputs), len(cotangents)))
		}
		if second {
			for _, c := range cotangents {
				if c != nil {
					c.RequireGrad()
				}
			}
		}
		grads = gradients(outputs, cotangents, wrt, second)
		p.Grads = p.put(grads)
	})
	if p.Error != nil || !second {
		return nil
	}
	p.Error = stage("second", func() {
		over := append(slices.Clone(wrt), slices.DeleteFunc(slices.Clone(cotangents), func(t *tensor.Tensor) bool { return t == nil })...)
		p.Second = p.put(gradients(grads, vectors, over, false))
	})
	return nil
}

// gradients differentiates sum_i <ys[i], vs[i]>; pairs with a nil, and ys
// without a history, add nothing.
func gradients(ys, vs, xs []*tensor.Tensor, create bool) []*tensor.Tensor {
	var sum *tensor.Tensor
	for i, y := range ys {
		if y == nil || vs[i] == nil || !y.RequiresGrad() {
			continue
		}
		term := y.Reshape(-1).MatMul(vs[i].Reshape(-1))
		if sum == nil {
			sum = term
		} else {
			sum = sum.Add(term)
		}
	}
	if sum == nil {
		return make([]*tensor.Tensor, len(xs))
	}
	return tensor.GradWith(tensor.GradOptions{Create: create, AllowUnused: true}, sum, xs...)
}

// stage runs fn and tells how it failed, if it did.
func stage(name string, fn func()) (f *failure) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case inexpressible:
			f = &failure{name, "inexpressible", string(r)}
		case *tensor.Error:
			f = &failure{name, "error", r.Error()}
		default:
			f = &failure{name, "panic", fmt.Sprintf("%v%s", r, culprits())}
		}
	}()
	fn()
	return nil
}

// culprits names the innermost frames below a panic, for the one line that
// opinfo.py prints.
func culprits() string {
	pcs := make([]uintptr, 16)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs)])
	var b strings.Builder
	for range 6 {
		f, more := frames.Next()
		if !strings.HasPrefix(f.Function, "runtime.") {
			fmt.Fprintf(&b, " < %s:%d", filepath.Base(f.File), f.Line)
		}
		if !more {
			break
		}
	}
	return b.String()
}
