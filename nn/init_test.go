package nn_test

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/descent-ml/descent/nn"
	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/tensor"
)

type spread struct{ Mean, Std, Min, Max float64 }

func spreadOf(t *tensor.Tensor) spread {
	v := values(t)
	var sum, squares float64
	for _, x := range v {
		sum += x
	}
	mean := sum / float64(len(v))
	for _, x := range v {
		squares += (x - mean) * (x - mean)
	}
	return spread{mean, math.Sqrt(squares / float64(len(v)-1)), slices.Min(v), slices.Max(v)}
}

// Both sides are samples of 600 to 200,000 numbers: they agree up to what chance does.
func TestInitialValuesAreSpreadAsPyTorchs(t *testing.T) {
	var golden struct{ Stats map[string]spread }
	text, err := os.ReadFile("testdata/init.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &golden); err != nil {
		t.Fatal(err)
	}
	rng := random.New(3)
	lstm := nn.NewLSTM(rng, 100, 200, nn.RNNOptions{})
	attention := nn.NewMultiHeadAttention(rng, 200, 4, nn.MultiHeadAttentionOptions{AddBiasKV: true})
	mixed := nn.NewMultiHeadAttention(rng, 400, 4, nn.MultiHeadAttentionOptions{KDim: 100, VDim: 50})
	w := tensor.Parameter(tensor.Zeros(dev(t), tensor.Float32, 300, 40, 3, 3))
	initialised := func(init func()) func() *tensor.Tensor {
		return func() *tensor.Tensor { init(); return w }
	}
	made := func(p *tensor.Tensor) func() *tensor.Tensor {
		return func() *tensor.Tensor { return p }
	}
	cases := map[string]func() *tensor.Tensor{
		"linear weight":             made(nn.NewLinear(rng, 100, 2000, nn.LinearOptions{}).Weight),
		"linear bias":               made(nn.NewLinear(rng, 4, 100000, nn.LinearOptions{}).Bias),
		"conv weight":               made(nn.NewConv2d(rng, 40, 400, 5, nn.Conv2dOptions{Groups: 4}).Weight),
		"conv bias":                 made(nn.NewConv2d(rng, 4, 50000, 1, nn.Conv2dOptions{}).Bias),
		"embedding":                 made(nn.NewEmbedding(rng, 1000, 200, nn.EmbeddingOptions{}).Weight),
		"lstm weight_ih":            made(lstm.Layers[0][0].WeightIH),
		"lstm weight_hh":            made(lstm.Layers[0][0].WeightHH),
		"attention in_proj_weight":  made(attention.InProjWeight),
		"attention in_proj_bias":    made(attention.InProjBias),
		"attention out_proj.weight": made(attention.OutProj.Weight),
		"attention out_proj.bias":   made(attention.OutProj.Bias),
		"attention q_proj_weight":   made(mixed.QProjWeight),
		"attention k_proj_weight":   made(mixed.KProjWeight),
		"kaiming_uniform":           initialised(func() { nn.KaimingUniform(rng, w, nn.Kaiming{}) }),
		"kaiming_normal fan_out":    initialised(func() { nn.KaimingNormal(rng, w, nn.Kaiming{FanOut: true}) }),
		"kaiming_normal tanh":       initialised(func() { nn.KaimingNormal(rng, w, nn.Kaiming{Nonlinearity: nn.AfterTanh}) }),
		"kaiming_normal selu":       initialised(func() { nn.KaimingNormal(rng, w, nn.Kaiming{Nonlinearity: nn.AfterSELU}) }),
		"kaiming_normal linear":     initialised(func() { nn.KaimingNormal(rng, w, nn.Kaiming{Nonlinearity: nn.AfterLinear}) }),
		"kaiming_normal slope":      initialised(func() { nn.KaimingNormal(rng, w, nn.Kaiming{Slope: 0.5}) }),
		"xavier_uniform":            initialised(func() { nn.XavierUniform(rng, w, 2) }),
		"xavier_normal":             initialised(func() { nn.XavierNormal(rng, w, 1) }),
		"trunc_normal":              initialised(func() { nn.TruncNormal(rng, w, 0.5, 2, -1, 3) }),
		"orthogonal":                initialised(func() { nn.Orthogonal(rng, w, 3) }),
	}
	for name, want := range golden.Stats {
		tensorOf, ok := cases[name]
		if !ok {
			t.Errorf("%s is not tested", name)
			continue
		}
		got := spreadOf(tensorOf())
		// Nothing here has extremes that vary by more than a fifth, but for the
		// normal distribution's, of which only the order is certain.
		edge := 0.02
		if strings.Contains(name, "normal") && name != "trunc_normal" || name == "embedding" || name == "orthogonal" {
			edge = 0.3
		}
		if math.Abs(got.Std-want.Std) > 0.02*want.Std || math.Abs(got.Mean-want.Mean) > 0.02*want.Std+0.02*math.Abs(want.Mean) ||
			math.Abs(got.Min-want.Min) > edge*math.Abs(want.Min) || math.Abs(got.Max-want.Max) > edge*math.Abs(want.Max) {
			t.Errorf("%s: %+v, PyTorch has %+v", name, got, want)
		}
	}
}

func TestOrthogonalRowsOrColumnsAreOrthogonal(t *testing.T) {
	for _, shape := range [][]int{{5, 8}, {8, 5}, {4, 2, 3}, {3, 3}} {
		w := tensor.Parameter(tensor.Zeros(dev(t), tensor.Float64, shape...))
		nn.Orthogonal(random.New(1), w, 1)
		m := w.Detach().Reshape(shape[0], -1)
		if m.Size(0) > m.Size(1) {
			m = m.T()
		}
		for i, v := range values(m.MatMul(m.T()).Sub(tensor.Eye(dev(t), tensor.Float64, m.Size(0), m.Size(0)))) {
			if math.Abs(v) > 1e-12 {
				t.Errorf("%v: element %d of w·wᵀ is off by %v", shape, i, v)
			}
		}
	}
}

func TestConstantsAreAssigned(t *testing.T) {
	l := linear(3, 2)
	w := l.Weight
	for want, set := range map[float64]func(){0: func() { nn.Zeros(w) }, 1: func() { nn.Ones(w) }, 2.5: func() { nn.Constant(w, 2.5) }} {
		set()
		for _, v := range values(w) {
			if v != want {
				t.Errorf("%v instead of %v", v, want)
			}
		}
	}
	if l.Weight != w || !w.IsParameter() {
		t.Error("the handle changed")
	}
}

func TestInitialisationIsAFunctionOfTheSeed(t *testing.T) {
	make := func(seed uint64) []float64 {
		return values(nn.NewConv2d(random.New(seed), 3, 4, 3, nn.Conv2dOptions{}).Weight)
	}
	if !slices.Equal(make(1), make(1)) || slices.Equal(make(1), make(2)) {
		t.Error("equal seeds give different weights, or different ones equal weights")
	}
}

func TestPaddingRowOfAnEmbeddingStartsAsZeros(t *testing.T) {
	e := nn.NewEmbedding(random.New(1), 4, 3, nn.EmbeddingOptions{PaddingIndex: new(-1)})
	v := values(e.Weight)
	for i, x := range v {
		if (x == 0) != (i >= 9) {
			t.Errorf("element %d is %v", i, x)
		}
	}
}
