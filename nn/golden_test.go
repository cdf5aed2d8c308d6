package nn_test

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/descent-ml/descent/backend/cpu"
	"github.com/descent-ml/descent/nn"
	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/serialize/safetensors"
	"github.com/descent-ml/descent/tensor"
)

// A golden case of testdata/golden.py: the module as Go builds it, and how it is
// called.
type goldenCase struct {
	module any // nil for a function
	eval   bool
	call   func(in []*tensor.Tensor) []*tensor.Tensor // nil for the Module's Forward
}

// layer is a case that is called by Forward.
func layer(m nn.Module) goldenCase { return goldenCase{module: m} }

// evaluated is c in eval mode.
func evaluated(c goldenCase) goldenCase {
	c.eval = true
	return c
}

// function is a case without a module, of one result.
func function(f func(in []*tensor.Tensor) *tensor.Tensor) goldenCase {
	return goldenCase{call: func(in []*tensor.Tensor) []*tensor.Tensor { return []*tensor.Tensor{f(in)} }}
}

func TestLayersAgreeWithPyTorch(t *testing.T) {
	file := readGolden(t)
	cases := goldenCases()
	for name := range file {
		name, _, _ = strings.Cut(name, "/")
		if _, ok := cases[name]; !ok {
			t.Fatalf("golden.safetensors has case %q, which is not tested", name)
		}
	}
	for name := range cases {
		for _, dt := range []tensor.DType{tensor.Float64, tensor.Float32} {
			t.Run(fmt.Sprintf("%s/%v", name, dt), func(t *testing.T) {
				// A module is built anew for each run.
				(&goldenRun{T: t, file: file, name: name, dt: dt}).run(goldenCases()[name])
			})
		}
	}
}

type goldenRun struct {
	*testing.T
	file map[string]stored
	name string
	dt   tensor.DType
}

func (r *goldenRun) run(c goldenCase) {
	dev := cpu.New(cpu.Options{Poison: true})
	if c.module != nil {
		nn.Cast(r.dt, c.module)
		nn.To(dev, c.module)
		r.load(c.module, dev)
	}
	if c.call == nil {
		c.call = func(in []*tensor.Tensor) []*tensor.Tensor {
			return []*tensor.Tensor{c.module.(nn.Module).Forward(in[0])}
		}
	}
	calls := 0
	for ; r.has(fmt.Sprintf("%d/out/0", calls)); calls++ {
		s := tensor.NewScope(dev, tensor.ScopeOptions{Train: !c.eval, Rand: random.New(1)})
		r.call(c, s, fmt.Sprintf("%d/", calls))
		s.Close()
	}
	if calls == 0 {
		r.Fatal("there is nothing in golden.safetensors")
	}
	if c.module != nil {
		for name, p := range nn.State(c.module) {
			switch {
			case p.IsBuffer():
				r.compare("state/"+name, p)
			case r.has("grad/" + name):
				r.compare("grad/"+name, p.Grad())
			case p.Grad() != nil:
				r.Errorf("parameter %s has a gradient, in PyTorch it has none", name)
			}
		}
		nn.Release(c.module)
	}
	if live := dev.MemoryStats().Live; live != 0 {
		r.Errorf("%d bytes are live after the scopes closed and the module was released", live)
	}
}

// load gives the module the case's parameters, which must be all that it has.
func (r *goldenRun) load(module any, place tensor.Place) {
	var names []string
	for name, p := range nn.State(module) {
		names = append(names, name)
		if !r.has("param/" + name) {
			r.Errorf("PyTorch has no parameter or buffer %s", name)
			continue
		}
		v := r.tensor("param/"+name, place)
		p.Assign(v)
		v.Release()
	}
	for key := range r.file {
		if name, ok := strings.CutPrefix(key, r.name+"/param/"); ok && !slices.Contains(names, name) {
			r.Errorf("the module lacks %s", name)
		}
	}
	if r.Failed() {
		r.FailNow()
	}
}

func (r *goldenRun) call(c goldenCase, s *tensor.Scope, at string) {
	var in []*tensor.Tensor
	for i := 0; r.has(fmt.Sprintf("%sin/%d", at, i)); i++ {
		x := r.tensor(fmt.Sprintf("%sin/%d", at, i), s)
		if r.has(fmt.Sprintf("%sgrad/%d", at, i)) {
			x.RequireGrad()
		}
		in = append(in, x)
	}
	var total *tensor.Tensor
	outs := c.call(slices.Clone(in))
	if r.has(fmt.Sprintf("%sout/%d", at, len(outs))) {
		r.Errorf("there are %d outputs, PyTorch has more", len(outs))
	}
	for i, y := range outs {
		r.compare(fmt.Sprintf("%sout/%d", at, i), y)
		part := y.Mul(r.tensor(fmt.Sprintf("%sseed/%d", at, i), s)).Sum()
		if total == nil {
			total = part
		} else {
			total = total.Add(part)
		}
	}
	total.Backward()
	for i, x := range in {
		if key := fmt.Sprintf("%sgrad/%d", at, i); r.has(key) {
			r.compare(key, x.Grad())
		}
	}
}

// compare holds got against the file within 1e-9 or, in float32, 1e-4.
func (r *goldenRun) compare(key string, got *tensor.Tensor) {
	r.Helper()
	want := r.file[r.name+"/"+key]
	switch {
	case want.dtype == "":
		r.Errorf("%s: PyTorch has none", key)
		return
	case got == nil:
		r.Errorf("%s: there is none", key)
		return
	case !slices.Equal(got.Shape(), want.shape):
		r.Errorf("%s: shape %v, PyTorch has %v", key, got.Shape(), want.shape)
		return
	}
	tolerance := 1e-9
	if r.dt == tensor.Float32 {
		tolerance = 1e-4
	}
	v, w := values(got), want.float64s(r.T)
	for i := range w {
		if !(math.Abs(v[i]-w[i]) <= tolerance*(1+math.Abs(w[i]))) {
			r.Errorf("%s: element %d is %v, PyTorch has %v", key, i, v[i], w[i])
			return
		}
	}
}

func (r *goldenRun) has(key string) bool {
	_, ok := r.file[r.name+"/"+key]
	return ok
}

// tensor is the file's tensor on place, floats in the run's dtype.
func (r *goldenRun) tensor(key string, place tensor.Place) *tensor.Tensor {
	t := r.file[r.name+"/"+key]
	dt := map[safetensors.DType]tensor.DType{
		safetensors.F64: tensor.Float64, safetensors.I64: tensor.Int64, safetensors.Bool: tensor.Bool,
	}[t.dtype]
	if dt == 0 {
		r.Fatalf("%s is of dtype %q", key, t.dtype)
	}
	x, err := tensor.FromBytes(place, dt, t.data, t.shape...)
	if err != nil {
		r.Fatal(err)
	}
	if dt == tensor.Float64 && r.dt != dt {
		y := x.To(r.dt)
		if x.Scope() == nil {
			x.Release()
		}
		return y
	}
	return x
}

// values are t's numbers.
func values(t *tensor.Tensor) []float64 {
	x := t.Detach().To(tensor.Float64)
	v := tensor.Values[float64](x)
	if x.Scope() == nil && t.DType() != tensor.Float64 {
		x.Release()
	}
	return v
}

// stored is a tensor of the file.
type stored struct {
	dtype safetensors.DType
	shape []int
	data  []byte
}

func (s stored) float64s(t *testing.T) []float64 {
	dev := cpu.New(cpu.Options{})
	dt := tensor.Float64
	if s.dtype == safetensors.I64 {
		dt = tensor.Int64
	}
	x, err := tensor.FromBytes(dev, dt, s.data, s.shape...)
	if err != nil {
		t.Fatal(err)
	}
	return values(x)
}

func readGolden(t *testing.T) map[string]stored {
	f, err := safetensors.OpenFile("testdata/golden.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := map[string]stored{}
	for _, name := range f.Names() {
		e, err := f.Entry(name)
		if err != nil {
			t.Fatal(err)
		}
		var data bytes.Buffer
		if _, err := e.Data.WriteTo(&data); err != nil {
			t.Fatal(err)
		}
		out[name] = stored{e.DType, append([]int{}, e.Shape...), data.Bytes()}
	}
	return out
}
