package nn_test

import (
	"bytes"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cpu"
	"github.com/descent-ml/descent/nn"
	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/tensor"
)

// dev is where constructors put parameters by default.
func dev(t testing.TB) backend.Device {
	d, err := backend.Open("cpu")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func linear(in, out int) *nn.Linear {
	return nn.NewLinear(random.New(1), in, out, nn.LinearOptions{})
}

func names(seq iter.Seq2[string, *tensor.Tensor]) []string {
	var list []string
	for name := range seq {
		list = append(list, name)
	}
	return list
}

func wantNames(t *testing.T, got iter.Seq2[string, *tensor.Tensor], want ...string) {
	t.Helper()
	if g := names(got); !slices.Equal(g, want) {
		t.Errorf("names are %q, not %q", g, want)
	}
}

type base struct{ FC1 *nn.Linear }

type model struct {
	base
	InProjWeight *tensor.Tensor
	Layer1       nn.Sequential
	Heads        map[string]*nn.Linear
	Pair         [2]*nn.Linear
	Any          any
	Tagged       *nn.Linear `nn:"c_fc"`
	Left         *nn.Linear `nn:"-"`
	Absent       *nn.Linear
	width        int
	hidden       any
}

func TestNamesAreThoseOfPyTorch(t *testing.T) {
	m := &model{
		base:         base{linear(2, 2)},
		InProjWeight: tensor.Parameter(tensor.Zeros(dev(t), tensor.Float32, 3)),
		Layer1:       nn.Sequential{linear(1, 1), nn.ReLU{}, linear(1, 1)},
		Heads:        map[string]*nn.Linear{"b": linear(1, 1), "a": linear(1, 1)},
		Any:          linear(1, 1),
		Tagged:       linear(1, 1),
		Left:         linear(1, 1),
		width:        3,
		hidden:       "no tensor",
	}
	m.Pair[1] = nn.NewLinear(random.New(1), 1, 1, nn.LinearOptions{NoBias: true})
	wantNames(t, nn.Params(m),
		"fc1.weight", "fc1.bias", "in_proj_weight",
		"layer1.0.weight", "layer1.0.bias", "layer1.2.weight", "layer1.2.bias",
		"heads.a.weight", "heads.a.bias", "heads.b.weight", "heads.b.bias",
		"pair.1.weight", "any.weight", "any.bias", "c_fc.weight", "c_fc.bias")
	if n := nn.Count(m); n != 4+2+3+2*4+1+4 {
		t.Errorf("%d numbers are counted", n)
	}
}

func TestTiedTensorsStandOnceInParamsAndUnderEveryNameInState(t *testing.T) {
	tied := linear(2, 2)
	m := struct{ A, B *nn.Linear }{tied, tied}
	wantNames(t, nn.Params(m), "a.weight", "a.bias")
	wantNames(t, nn.State(m), "a.weight", "a.bias", "b.weight", "b.bias")
}

func TestBuffersAreStateAndNoParameters(t *testing.T) {
	m := struct{ W, Cache, Loose *tensor.Tensor }{
		tensor.Parameter(tensor.Zeros(dev(t), tensor.Float32, 1)),
		tensor.Buffer(tensor.Zeros(dev(t), tensor.Int64, 1)),
		tensor.Zeros(dev(t), tensor.Float32, 1),
	}
	wantNames(t, nn.Params(m), "w")
	wantNames(t, nn.State(m), "w", "cache")
}

func TestWalkEndsOnCyclesAndWhenToldTo(t *testing.T) {
	type node struct {
		FC   *nn.Linear
		Next *node
	}
	n := &node{FC: linear(1, 1)}
	n.Next = &node{FC: linear(1, 1), Next: n}
	wantNames(t, nn.Params(n), "fc.weight", "fc.bias", "next.fc.weight", "next.fc.bias")
	count := 0
	for range nn.Params(n) {
		count++
		break
	}
	if count != 1 {
		t.Errorf("the walk went on after break, %d times", count)
	}
}

func TestAnUnexportedFieldWithTensorsPanics(t *testing.T) {
	for _, m := range []any{
		&struct{ fc *nn.Linear }{linear(1, 1)},
		&struct{ drop *nn.Dropout }{nn.NewDropout(0.5)},
		&struct{ any any }{linear(1, 1)},
		&struct{ list []nn.Module }{[]nn.Module{nn.ReLU{}}},
	} {
		if msg := panicOf(func() { names(nn.Params(m)) }); !strings.Contains(msg, "not exported") {
			t.Errorf("%T: %q", m, msg)
		}
	}
	for _, m := range []any{
		&struct{ fc *nn.Linear }{},
		&struct {
			fc *nn.Linear `nn:"-"`
		}{linear(1, 1)},
		&struct{ text bytes.Buffer }{},
		&struct{ keep any }{map[string]any{}},
	} {
		wantNames(t, nn.Params(m))
	}
}

// panicOf is the message that fn panics with.
func panicOf(fn func()) (msg string) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case error:
			msg = r.Error()
		case string:
			msg = r
		default:
			panic(r)
		}
	}()
	fn()
	return ""
}

type renamed struct{ W *tensor.Tensor }

func (r *renamed) Parts() iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		_ = yield("", nn.Sequential{linear(1, 1)}) && yield("kernel", r.W)
	}
}

func TestAModuleMayNameItsParts(t *testing.T) {
	r := &renamed{tensor.Parameter(tensor.Zeros(dev(t), tensor.Float32, 1))}
	wantNames(t, nn.Params(struct{ R *renamed }{r}), "r.0.weight", "r.0.bias", "r.kernel")
}

func TestEvalReachesEveryLayerWithAMode(t *testing.T) {
	m := struct {
		Drop *nn.Dropout
		Seq  nn.Sequential
		Map  map[string]nn.Module
	}{nn.NewDropout(0.5), nn.Sequential{nn.NewDropout(0.5)}, map[string]nn.Module{"a": nn.NewDropout(0.5)}}
	s := tensor.NewScope(dev(t), tensor.ScopeOptions{Train: true, Rand: random.New(1)})
	defer s.Close()
	x := tensor.Ones(s, tensor.Float32, 100)
	drops := func(layer nn.Module) bool { return layer.Forward(x) != x }
	for range 2 {
		for _, layer := range []nn.Module{m.Drop, m.Seq[0], m.Map["a"]} {
			if !drops(layer) {
				t.Error("a layer is in eval mode in a training scope")
			}
		}
		nn.Eval(m)
		for _, layer := range []nn.Module{m.Drop, m.Seq[0], m.Map["a"]} {
			if drops(layer) {
				t.Error("Eval did not reach a layer")
			}
		}
		nn.Train(m)
	}
	byValue := struct{ Drop nn.Dropout }{}
	if msg := panicOf(func() { nn.Eval(byValue) }); !strings.Contains(msg, "pointer") {
		t.Errorf("Eval of a model by value: %q", msg)
	}
	nn.Eval(&byValue)
}

func TestFreezeStopsGradients(t *testing.T) {
	m := linear(2, 1)
	nn.Freeze(m)
	if m.Weight.RequiresGrad() || m.Bias.RequiresGrad() {
		t.Error("a frozen parameter takes gradients")
	}
	wantNames(t, nn.Params(m), "weight", "bias")
	nn.Unfreeze(m)
	if !m.Weight.RequiresGrad() {
		t.Error("an unfrozen parameter takes none")
	}
}

func TestCastAndToKeepTheHandles(t *testing.T) {
	m := linear(2, 1)
	w := m.Weight
	before := tensor.Values[float32](w)
	nn.Cast(tensor.Float64, m)
	nn.To(dev(t), m)
	if m.Weight != w || w.DType() != tensor.Float64 {
		t.Errorf("the weight is %v after Cast", m.Weight.DType())
	}
	for i, v := range tensor.Values[float64](w) {
		if v != float64(before[i]) {
			t.Errorf("element %d changed from %v to %v", i, before[i], v)
		}
	}
}

func TestReleaseGivesBackAllMemory(t *testing.T) {
	dev := cpu.New(cpu.Options{Poison: true})
	o := nn.LinearOptions{Device: dev}
	m := nn.Sequential{nn.NewLinear(random.New(1), 64, 64, o), nn.NewLinear(random.New(1), 64, 1, o)}
	step(dev, func(s *tensor.Scope) *tensor.Tensor {
		return m.Forward(tensor.Ones(s, tensor.Float32, 3, 64)).Sum()
	})
	if live := dev.MemoryStats().Live; live == 0 {
		t.Error("the model has no memory")
	}
	nn.Release(m)
	if live := dev.MemoryStats().Live; live != 0 {
		t.Errorf("%d bytes are live after Release", live)
	}
	if msg := panicOf(func() { m.Forward(tensor.Ones(dev, tensor.Float32, 64)) }); !strings.Contains(msg, "released") {
		t.Errorf("a released model runs: %q", msg)
	}
}

// step runs forward and backward in a training scope, and closes it.
func step(dev backend.Device, loss func(s *tensor.Scope) *tensor.Tensor) {
	s := tensor.NewScope(dev, tensor.ScopeOptions{Train: true, Rand: random.New(1)})
	defer s.Close()
	loss(s).Backward()
}

func TestTrainingWithDropoutInNoScopePanics(t *testing.T) {
	m := nn.Sequential{nn.NewDropout(0.5), linear(3, 1)}
	loss := m.Forward(tensor.Ones(dev(t), tensor.Float32, 2, 3)).Sum()
	if msg := panicOf(loss.Backward); !strings.Contains(msg, "Dropout") || !strings.Contains(msg, "loader.Batches") {
		t.Errorf("Backward says %q", msg)
	}
	nn.Eval(m)
	m.Forward(tensor.Ones(dev(t), tensor.Float32, 2, 3)).Sum().Backward()
	nn.Release(m)
}

func TestSequentialWithoutGradientsKeepsNoResultsOnTheWay(t *testing.T) {
	m := nn.Sequential{nn.Flatten{}, linear(64, 64), nn.ReLU{}, nn.Identity{}, linear(64, 64), nn.ReLU{}, linear(64, 1)}
	s := tensor.NewScope(dev(t), tensor.ScopeOptions{NoGrad: true})
	defer s.Close()
	x := tensor.Ones(s, tensor.Float32, 8, 8, 8)
	before := s.Bytes()
	y := m.Forward(x)
	if got := s.Bytes() - before; got != 8*4 {
		t.Errorf("%d bytes for an output of %v", got, y.Shape())
	}
}
