package autograd_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/descent-ml/descent/autograd"
	"github.com/descent-ml/descent/backend/cpu"
	"github.com/descent-ml/descent/nn"
	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/tensor"
)

type T = tensor.Tensor

func values(t *T) []float64 { return tensor.Values[float64](t) }

// cube is x³ with a backward pass of its own.
var cube = autograd.Function{
	Name:    "cube",
	Forward: func(in []*T) []*T { return []*T{in[0].Mul(in[0]).Mul(in[0])} },
	Backward: func(b *tensor.Back, gs []*T) []*T {
		return []*T{gs[0].Mul(b.In(0)).Mul(b.In(0)).MulScalar(3)}
	},
}

func TestFunction(t *testing.T) {
	dev := cpu.New(cpu.Options{})
	err := autograd.GradCheck(func(xs []*T) []*T { return cube.Apply(xs[0].Exp()) },
		autograd.CheckOptions{Second: true}, tensor.Of(dev, []float64{0.5, -1, 2}))
	if err != nil {
		t.Error(err)
	}
	s := tensor.NewScope(dev, tensor.ScopeOptions{})
	x := tensor.Ones(s, tensor.Float64, 100)
	before := s.Bytes()
	if y := cube.Apply(x)[0]; y.Scope() != s || s.Bytes()-before != y.NumEl()*8 {
		t.Errorf("the forward pass leaves %d bytes for a result of %d", s.Bytes()-before, y.NumEl()*8)
	}
	s.Close()
}

// TestGradCheckFindsAWrongFormula: a factor, a missing term of the second order,
// and a gradient that is not there.
func TestGradCheckFindsAWrongFormula(t *testing.T) {
	dev := cpu.New(cpu.Options{})
	x := tensor.Of(dev, []float64{0.5, -1, 2})
	wrong := cube
	wrong.Backward = func(b *tensor.Back, gs []*T) []*T {
		return []*T{gs[0].Mul(b.In(0)).Mul(b.In(0)).MulScalar(3.001)}
	}
	apply := func(f autograd.Function) func(xs []*T) []*T {
		return func(xs []*T) []*T { return f.Apply(xs[0]) }
	}
	if err := autograd.GradCheck(apply(wrong), autograd.CheckOptions{Rtol: 1e-4}, x); err == nil || !strings.Contains(err.Error(), "gradient of x[0] [3] at element 0") {
		t.Errorf("a wrong factor: %v", err)
	}
	flat := cube
	flat.Backward = func(b *tensor.Back, gs []*T) []*T {
		return []*T{gs[0].Mul(b.In(0).Detach()).Mul(b.In(0).Detach()).MulScalar(3)}
	}
	if err := autograd.GradCheck(apply(flat), autograd.CheckOptions{}, x); err != nil {
		t.Errorf("its first gradient is right: %v", err)
	}
	if err := autograd.GradCheck(apply(flat), autograd.CheckOptions{Second: true}, x); err == nil || !strings.Contains(err.Error(), "second gradient") {
		t.Errorf("a wrong second gradient: %v", err)
	}
	none := cube
	none.Backward = func(*tensor.Back, []*T) []*T { return nil }
	if err := autograd.GradCheck(apply(none), autograd.CheckOptions{}, x); err == nil {
		t.Error("a missing gradient passes")
	}
	if err := autograd.GradCheck(apply(cube), autograd.CheckOptions{}, tensor.Ones(dev, tensor.Float32)); err == nil {
		t.Error("differences in float32 pass")
	}
	if err := autograd.GradCheck(func(xs []*T) []*T { return []*T{xs[0].MatMul(xs[0].Reshape(1, 3))} }, autograd.CheckOptions{}, x); err == nil {
		t.Error("a mistake in fn is no error")
	}
}

// block has what makes a checkpoint hard: parameters of its own, dropout, and a
// batch norm with running statistics.
type block struct {
	FC   *nn.Linear
	Norm *nn.BatchNorm1d
	Drop *nn.Dropout
}

func (b *block) Forward(x *T) *T {
	return b.Drop.Forward(b.Norm.Forward(b.FC.Forward(x).Tanh()))
}

func newBlock() *block {
	rng := random.New(1)
	return &block{nn.NewLinear(rng, 8, 8, nn.LinearOptions{}), nn.NewBatchNorm1d(8, nn.BatchNormOptions{}), nn.NewDropout(0.5)}
}

// run makes two steps through three blocks and returns loss, gradients and buffers.
func run(t *testing.T, checkpoint bool) (out [][]byte, forward int) {
	t.Helper()
	blocks := []*block{newBlock(), newBlock(), newBlock()}
	dev := blocks[0].FC.Weight.Device()
	for step := range 2 {
		s := tensor.NewScope(dev, tensor.ScopeOptions{Train: true, Rand: random.New(uint64(step))})
		x := tensor.RandN(s, random.New(7), tensor.Float32, 64, 8).RequireGrad()
		h := x
		for _, b := range blocks {
			if checkpoint {
				h = autograd.Checkpoint(func(in []*T) []*T { return []*T{b.Forward(in[0])} }, h)[0]
			} else {
				h = b.Forward(h)
			}
		}
		loss := h.Square().Mean()
		forward = s.Bytes()
		loss.Backward()
		out = append(out, loss.Bytes(), x.Grad().Bytes(), fmt.Append(nil, s.Rand().State()))
		s.Close()
	}
	for _, b := range blocks {
		for _, p := range nn.State(b) {
			out = append(out, p.Bytes())
			if p.IsParameter() {
				out = append(out, p.Grad().Bytes())
			}
		}
	}
	return out, forward
}

// TestCheckpointIsTheSame: bit for bit the loss, the gradients of inputs and
// parameters, the running statistics and the generator, with less memory.
func TestCheckpointIsTheSame(t *testing.T) {
	plain, all := run(t, false)
	saved, some := run(t, true)
	for i := range plain {
		if string(plain[i]) != string(saved[i]) {
			t.Errorf("value %d differs", i)
		}
	}
	if some > all/2 {
		t.Errorf("%d bytes are held with checkpoints, %d without", some, all)
	}
}

func TestCheckpointHigherOrder(t *testing.T) {
	dev := cpu.New(cpu.Options{})
	w := tensor.Parameter(tensor.Of(dev, []float64{0.3, -0.7, 1.1, 0.2}, 2, 2))
	err := autograd.GradCheck(func(xs []*T) []*T {
		return autograd.Checkpoint(func(in []*T) []*T {
			h := in[0].MatMul(w).Tanh()
			return []*T{h, h.Mul(in[1])}
		}, xs...)
	}, autograd.CheckOptions{Second: true}, tensor.Of(dev, []float64{1, 0.2, -0.3, 0.4}, 2, 2), tensor.Of(dev, []float64{0.5, -2}))
	if err != nil {
		t.Error(err)
	}
}

func TestGradOfSeveral(t *testing.T) {
	dev := cpu.New(cpu.Options{})
	x, y := tensor.Of(dev, []float64{1, 2}).RequireGrad(), tensor.Of(dev, []float64{3, 4}).RequireGrad()
	gs := autograd.Grad(x.Mul(y).Sum(), y, x)
	if !slices.Equal(values(gs[0]), []float64{1, 2}) || !slices.Equal(values(gs[1]), []float64{3, 4}) {
		t.Errorf("got %v and %v", values(gs[0]), values(gs[1]))
	}
	if math.IsNaN(values(gs[0])[0]) || gs[0].RequiresGrad() {
		t.Error("Grad records")
	}
}
