package optest

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cpu"
	"github.com/descent-ml/descent/backend/null"
	"github.com/descent-ml/descent/internal/gputest"
	"github.com/descent-ml/descent/tensor"
)

// TestOps runs the table on the CPU, which fills free and fresh memory with NaN.
func TestOps(t *testing.T) { testOps(t, cpu.New(cpu.Options{Poison: poison})) }

// TestOpsOnCUDA runs it on a GPU or the fake one.
func TestOpsOnCUDA(t *testing.T) { testOps(t, gputest.Open(t)) }

func testOps(t *testing.T, dev backend.Device) {
	for _, topic := range slices.Sorted(maps.Keys(table)) {
		t.Run(topic, func(t *testing.T) {
			g := readGolden(t, topic)
			for i := range table[topic] {
				r := &table[topic][i]
				t.Run(r.name, func(t *testing.T) {
					torch := g.row(t, r)
					r.checkPyTorch(t, dev, torch)
					r.checkDifferences(t, dev)
					r.checkLayouts(t, dev)
					r.checkMemory(t, dev)
					r.checkNull(t, torch["float64"])
				})
			}
		})
	}
}

// result is what a row gives.
type result struct {
	out, grad, second []*T
}

// run computes r on x, and with level 1 or 2 the gradients too.
func (r *Row) run(x []*T, level int) (res result) {
	res.out = r.call(x)
	if level > 0 {
		res.grad = gradients(res.out, x, level > 1)
	}
	if level > 1 {
		res.second = gradients(res.grad, x, false)
	}
	return res
}

// gradients are those of sum_k <y_k, seed_k>, nil where there is none.
func gradients(y, x []*T, create bool) []*T {
	var wanted []*T
	for _, t := range x {
		if t.RequiresGrad() {
			wanted = append(wanted, t)
		}
	}
	total := make([]*T, len(x))
	for k, t := range y {
		if t == nil || !t.RequiresGrad() {
			continue
		}
		w := makeTensor(t.Place(), t.DType(), seed(k, t.NumEl()), t.Shape())
		g := tensor.GradWith(tensor.GradOptions{Seed: w, Create: create, AllowUnused: true}, t, wanted...)
		for i, j := 0, 0; i < len(x); i++ {
			if !x[i].RequiresGrad() {
				continue
			}
			switch {
			case g[j] == nil:
			case total[i] == nil:
				total[i] = g[j]
			default:
				total[i] = total[i].Add(g[j])
			}
			j++
		}
	}
	return total
}

// refused runs fn and reports whether it panicked with *tensor.Error, which is err.
func refused(fn func()) (err *tensor.Error) {
	defer func() {
		if e := recover(); e != nil {
			if te, ok := e.(error); !ok || !errors.As(te, &err) {
				panic(e)
			}
		}
	}()
	fn()
	return nil
}

var tolerance = map[backend.DType]float64{
	tensor.Float64: 1e-9, tensor.Float32: 1e-5, tensor.Float16: 4e-3, tensor.BFloat16: 3e-2,
}

// tolerance is that of numbers of dtype dt, 0 for integers.
func (r *Row) tolerance(dt backend.DType) float64 {
	if r.tol > 0 {
		return tolerance[dt] * r.tol
	}
	return tolerance[dt]
}

func (r *Row) checkPyTorch(t *testing.T, dev backend.Device, torch map[string]*answer) {
	s := tensor.NewScope(dev, tensor.ScopeOptions{})
	defer s.Close()
	want := torch["float64"]
	level := 0
	if want.Grad != nil {
		level = 1
	}
	if want.Second != nil {
		level = 2
	}
	got := r.run(r.inputs(s, tensor.Float64, level > 0), level)
	r.compare(t, "float64", got, want)

	got = r.run(r.inputs(s, tensor.Float32, level > 0), min(level, 1))
	r.compare(t, "float32", got, retyped(want, torch["float32"]))

	for _, dt := range []backend.DType{tensor.Float16, tensor.BFloat16} {
		if a := torch[dt.String()]; r.noHalf == "" {
			got = r.run(r.inputs(s, dt, level > 0), min(level, 1))
			r.compare(t, dt.String(), got, retyped(want, a))
		}
	}
	for _, dt := range integers {
		if a := torch[dt.String()]; a != nil && a.Absent == "" {
			err := refused(func() { got = r.run(r.inputs(s, dt, false), 0) })
			switch {
			case err != nil && a.Error == "":
				t.Errorf("%v: %v", dt, err)
			case err == nil && a.Error != "":
				t.Errorf("%v: no error, where PyTorch says %q", dt, a.Error)
			case err == nil:
				r.compare(t, dt.String(), got, a)
			}
		}
	}
	for _, dt := range []backend.DType{tensor.Float64, tensor.Float32} {
		if a := torch["special "+dt.String()]; a != nil && r.special == "" {
			v := r.specials()
			x := make([]*T, len(v))
			for k, i := range r.in {
				if x[k] = makeTensor(s, i.dtype(dt), v[k], []int{len(v[k])}); a.Grad != nil && r.tracked(k) {
					x[k].RequireGrad()
				}
			}
			r.compareSpecial(t, dt, r.run(x, min(level, 1)), a, v)
		}
	}
}

// retyped is the float64 answer with the dtypes of another run, gradients having
// their inputs'; where PyTorch lacks the dtype it is not compared.
func retyped(want, in *answer) *answer {
	out := &answer{Grad: want.Grad}
	for k, a := range want.Out {
		b := *a
		b.DType = ""
		if in != nil && in.Out != nil {
			b.DType = in.Out[k].DType
		}
		out.Out = append(out.Out, &b)
	}
	return out
}

func (r *Row) compare(t *testing.T, what string, got result, want *answer) {
	t.Helper()
	if len(got.out) != len(want.Out) {
		t.Errorf("%s: %d results, PyTorch has %d", what, len(got.out), len(want.Out))
		return
	}
	for k, a := range want.Out {
		if g := got.out[k]; a.DType != "" && a.DType != g.DType().String() {
			t.Errorf("%s: result %d is %v, PyTorch's %s", what, k, g.DType(), a.DType)
		}
		r.close(t, fmt.Sprint(what, ": result ", k), got.out[k], a)
	}
	for k, a := range want.Grad {
		r.close(t, fmt.Sprint(what, ": gradient ", k), pick(got.grad, k), a)
	}
	if got.second != nil {
		for k, a := range want.Second {
			r.close(t, fmt.Sprint(what, ": second gradient ", k), pick(got.second, k), a)
		}
	}
}

func pick(t []*T, k int) *T {
	if k < len(t) {
		return t[k]
	}
	return nil
}

// close holds got to want; no gradient is one of zeros.
func (r *Row) close(t *testing.T, what string, got *T, want *array) {
	t.Helper()
	var g, w []float64
	tol := 0.0
	if got != nil {
		tol = r.tolerance(got.DType())
	}
	switch {
	case got == nil && want == nil:
		return
	case want == nil:
		g, w = numbers(got), make([]float64, got.NumEl())
	case got == nil:
		w = want.values(t)
		g = make([]float64, len(w))
	default:
		if !slices.Equal(got.Shape(), want.Shape) {
			t.Errorf("%s has shape %v, PyTorch's %v", what, got.Shape(), want.Shape)
			return
		}
		g, w = numbers(got), want.values(t)
	}
	if i, ok := differ(g, w, tol); ok {
		t.Errorf("%s: element %d is %v, PyTorch's %v", what, i, g[i], w[i])
	}
}

func (r *Row) compareSpecial(t *testing.T, dt backend.DType, got result, want *answer, in [][]float64) {
	t.Helper()
	show := func(what string, got *T, want *array) {
		if got == nil || want == nil {
			return
		}
		g, w := numbers(got), want.values(t)
		for i := range g {
			if _, bad := differ(g[i:i+1], w[i:i+1], r.tolerance(dt)); bad {
				var at []float64
				for _, v := range in {
					at = append(at, v[i])
				}
				if r.nan != "" && slices.ContainsFunc(at, math.IsNaN) {
					continue
				}
				t.Errorf("special %v: %s at %v is %v, PyTorch's %v", dt, what, at, g[i], w[i])
			}
		}
	}
	for k, a := range want.Out {
		show(fmt.Sprint("result ", k), got.out[k], a)
	}
	for k, a := range want.Grad {
		show(fmt.Sprint("gradient ", k), pick(got.grad, k), a)
	}
}

// numbers are t's elements as float64.
func numbers(t *T) []float64 { return tensor.Values[float64](t.Detach().To(tensor.Float64)) }

// differ finds an element that is not within tol, relative for large numbers.
func differ(got, want []float64, tol float64) (int, bool) {
	if len(got) != len(want) {
		return 0, true
	}
	for i, g := range got {
		w := want[i]
		if g == w || math.IsNaN(g) && math.IsNaN(w) {
			continue
		}
		if !(math.Abs(g-w) <= tol*(1+math.Abs(w))) || math.IsInf(w, 0) {
			return i, true
		}
	}
	return 0, false
}

// checkNull runs r where there are shapes and no numbers.
func (r *Row) checkNull(t *testing.T, want *answer) {
	if r.noNull != "" {
		return
	}
	dev := null.New()
	s := tensor.NewScope(dev, tensor.ScopeOptions{})
	defer s.Close()
	got := r.run(r.inputs(s, tensor.Float64, want.Grad != nil), min(1, len(want.Grad)))
	for k, a := range want.Out {
		if g := got.out[k]; !slices.Equal(g.Shape(), a.Shape) || g.DType().String() != a.DType {
			t.Errorf("null device: result %d is %v%v, PyTorch's %s%v", k, g.DType(), g.Shape(), a.DType, a.Shape)
		}
	}
}
