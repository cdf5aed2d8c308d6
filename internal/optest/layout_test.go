package optest

import (
	"slices"
	"testing"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/tensor"
)

// layouts put a tensor into memory in other ways; they give nil where one does
// not apply.
var layouts = map[string]func(x *T) *T{
	"transposed": func(x *T) *T {
		if x.Dim() < 2 {
			return nil
		}
		axes := make([]int, x.Dim())
		for i := range axes {
			axes[i] = len(axes) - 1 - i
		}
		return x.Permute(axes...).Contiguous().Permute(axes...)
	},
	// Every second element of a larger tensor, from its middle on.
	"sliced": func(x *T) *T {
		if x.Dim() == 0 {
			return nil
		}
		n := x.Size(-1)
		wide := x.Unsqueeze(-1).Expand(append(slices.Clone(x.Shape()), 2)...).Contiguous().Flatten(-2, -1)
		return wide.Slice(-1, 1, 2*n, 2)
	},
	"channels last": func(x *T) *T {
		if x.Dim() != 4 {
			return nil
		}
		return x.ChannelsLast()
	},
	// The first index of an axis for all: other numbers.
	"expanded": func(x *T) *T {
		if x.NumEl() == 0 || x.Dim() == 0 {
			return nil
		}
		return x.Slice(0, 0, 1, 1).Expand(x.Shape()...)
	},
}

// checkLayouts holds results and gradients to be the same whatever the strides.
func (r *Row) checkLayouts(t *testing.T, dev backend.Device) {
	s := tensor.NewScope(dev, tensor.ScopeOptions{})
	defer s.Close()
	for name, layout := range layouts {
		x := r.inputs(s, tensor.Float64, false)
		plain := slices.Clone(x)
		any := false
		for k, v := range x {
			if u := layout(v); u != nil && (name != "expanded" || r.in[k].float()) {
				x[k], plain[k] = u.Detach(), u.Clone()
				any = any || !u.IsContiguous()
			}
		}
		if !any {
			continue
		}
		level := 0
		for k := range x {
			if r.tracked(k) {
				x[k], plain[k] = x[k].Detach().RequireGrad(), plain[k].Detach().RequireGrad()
				level = 1
			}
		}
		got, want := r.run(x, level), r.run(plain, level)
		same := func(what string, got, want []*T) {
			for k, w := range want {
				if w == nil || got[k] == nil {
					if w != got[k] {
						t.Errorf("%s inputs: %s %d is missing", name, what, k)
					}
					continue
				}
				a, b := numbers(got[k]), numbers(w)
				if i, bad := differ(a, b, 1e-10*max(r.tol, 1)); bad {
					t.Errorf("%s inputs: %s %d, element %d is %v, %v of contiguous ones", name, what, k, i, a[i], b[i])
				}
			}
		}
		same("result", got.out, want.out)
		same("gradient", got.grad, want.grad)
	}
	if r.each {
		r.checkEmpty(t, dev)
	}
}

// checkEmpty runs an elementwise row on tensors without elements.
func (r *Row) checkEmpty(t *testing.T, dev backend.Device) {
	s := tensor.NewScope(dev, tensor.ScopeOptions{})
	defer s.Close()
	x := make([]*T, len(r.in))
	for k, i := range r.in {
		x[k] = makeTensor(s, i.dtype(tensor.Float32), nil, []int{2, 0})
		if r.tracked(k) {
			x[k].RequireGrad()
		}
	}
	res := r.run(x, 1)
	for _, y := range append(res.out, res.grad...) {
		if y != nil && !slices.Equal(y.Shape(), []int{2, 0}) {
			t.Errorf("empty inputs give shape %v", y.Shape())
		}
	}
}

// checkMemory holds a scope to have what it must and no more.
func (r *Row) checkMemory(t *testing.T, dev backend.Device) {
	live := func() int64 { return 0 }
	if m, ok := dev.(backend.MemoryDevice); ok {
		live = func() int64 { return m.MemoryStats().Live }
	}
	before := live()
	s := tensor.NewScope(dev, tensor.ScopeOptions{})
	defer s.Close()

	dtypes := []backend.DType{tensor.Float32}
	if r.each || r.ints {
		dtypes = append(dtypes, integers...)
	}
	for _, dt := range dtypes {
		plain := s.Child(tensor.ScopeOptions{NoGrad: true})
		x := r.inputs(s, dt, false)
		for k := range x {
			x[k] = plain.Use(x[k])
		}
		have := plain.Bytes()
		most := r.extra
		err := refused(func() {
			for _, y := range r.call(x) {
				most += y.NumEl() * y.DType().Size()
			}
		})
		if n := plain.Bytes() - have; err == nil && n > most {
			t.Errorf("%v: without recording, %d bytes are held for results of %d", dt, n, most)
		}
		plain.Close()
	}

	if r.noGrad == "" {
		x := r.inputs(s, tensor.Float32, true)
		y := r.call(x)
		w := make([]*T, len(y))
		for k, y := range y {
			w[k] = makeTensor(s, y.DType(), seed(k, y.NumEl()), y.Shape())
		}
		have := s.Bytes()
		most := 0
		var wanted []*T
		for _, t := range x {
			if t.RequiresGrad() {
				wanted = append(wanted, t)
			}
		}
		for k, y := range y {
			if y.RequiresGrad() {
				for _, g := range tensor.GradWith(tensor.GradOptions{Seed: w[k], AllowUnused: true}, y, wanted...) {
					if g != nil {
						most += g.NumEl() * g.DType().Size()
					}
				}
			}
		}
		if n := s.Bytes() - have; n > most {
			t.Errorf("a backward pass leaves %d bytes for gradients of %d", n, most)
		}
	}
	s.Close()
	if n := live() - before; n != 0 {
		t.Errorf("%d bytes are live after the scope closed", n)
	}
}
