package nn_test

import (
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

// training opens a scope in training mode.
func training(t *testing.T) *tensor.Scope {
	s := tensor.NewScope(dev(t), tensor.ScopeOptions{Train: true, Rand: random.New(1)})
	t.Cleanup(s.Close)
	return s
}

// evaluation opens a scope of the given mode but for training.
func evaluation(t *testing.T, noGrad bool) *tensor.Scope {
	s := tensor.NewScope(dev(t), tensor.ScopeOptions{NoGrad: noGrad})
	t.Cleanup(s.Close)
	return s
}

func wantPanic(t *testing.T, part string, fn func()) {
	t.Helper()
	if msg := panicOf(fn); !strings.Contains(msg, part) {
		t.Errorf("the panic says %q, not %q", msg, part)
	}
}

func TestDropoutKeepsTheMean(t *testing.T) {
	const n, p = 100000, 0.3
	s := training(t)
	x := tensor.Full(s, tensor.Float32, 2, n).RequireGrad()
	y := nn.NewDropout(p).Forward(x)
	zeros := 0
	for _, v := range values(y) {
		switch {
		case v == 0:
			zeros++
		case math.Abs(v-2/(1-p)) > 1e-6:
			t.Fatalf("an element is %v", v)
		}
	}
	if got := float64(zeros) / n; math.Abs(got-p) > 6*math.Sqrt(p*(1-p)/n) {
		t.Errorf("%v of all elements are dropped, not %v", got, p)
	}
	y.Sum().Backward()
	for i, g := range values(x.Grad()) {
		if want := values(y)[i] / 2; math.Abs(g-want) > 1e-6 {
			t.Fatalf("gradient %d is %v, not %v", i, g, want)
		}
		if i == 100 {
			break
		}
	}
}

func TestDropoutDropsNothingOrAllAtItsBounds(t *testing.T) {
	s := training(t)
	x := tensor.Full(s, tensor.Float32, math.Inf(1), 10)
	if nn.NewDropout(0).Forward(x) != x {
		t.Error("a dropout of nothing is not the identity")
	}
	for _, v := range values(nn.NewDropout(1).Forward(x)) {
		if v != 0 {
			t.Errorf("an element is %v where all are dropped", v)
		}
	}
	wantPanic(t, "no probability", func() { nn.NewDropout(1.5) })
}

func TestDropoutIsAFunctionOfTheScopesGenerator(t *testing.T) {
	draw := func(seed uint64) []float64 {
		s := tensor.NewScope(dev(t), tensor.ScopeOptions{Train: true, Rand: random.New(seed)})
		defer s.Close()
		d := nn.NewDropout(0.5)
		x := tensor.Ones(s, tensor.Float32, 64)
		return append(values(d.Forward(x)), values(d.Forward(x))...)
	}
	a := draw(1)
	if !slices.Equal(a, draw(1)) || slices.Equal(a, draw(2)) || slices.Equal(a[:64], a[64:]) {
		t.Error("equal seeds differ, or different draws are equal")
	}
	s := tensor.NewScope(dev(t), tensor.ScopeOptions{Train: true})
	defer s.Close()
	wantPanic(t, "generator", func() { nn.NewDropout(0.5).Forward(tensor.Ones(s, tensor.Float32, 2)) })
}

func TestAFrozenBatchNormKeepsItsStatisticsInATrainingStep(t *testing.T) {
	b := nn.NewBatchNorm2d(3, nn.BatchNormOptions{})
	nn.Uniform(random.New(1), b.RunningMean, -1, 1)
	nn.Eval(b)
	nn.Freeze(b)
	before := state(b)
	s := training(t)
	x := tensor.RandN(s, random.New(2), tensor.Float32, 2, 3, 4, 4).RequireGrad()
	y := b.Forward(x)
	y.Square().Sum().Backward()
	if !slices.Equal(state(b), before) {
		t.Error("the statistics moved")
	}
	for name, p := range nn.Params(b) {
		if p.Grad() != nil {
			t.Errorf("%s has a gradient", name)
		}
	}
	if x.Grad() == nil {
		t.Error("no gradient passes through")
	}
	e := evaluation(t, true)
	same := b.Forward(tensor.Of(e, tensor.Values[float32](x), x.Shape()...))
	if !slices.Equal(values(same), values(y)) {
		t.Error("it computes something else than in evaluation")
	}
	nn.Train(b)
	nn.Unfreeze(b)
	b.Forward(x).Sum().Backward()
	if slices.Equal(state(b), before) || b.Weight.Grad() == nil {
		t.Error("it stays frozen")
	}
}

// state is all numbers of m's state.
func state(m any) []float64 {
	var all []float64
	for _, t := range nn.State(m) {
		all = append(all, values(t)...)
	}
	return all
}

func TestACheckpointUpdatesStatisticsOnce(t *testing.T) {
	plain, checked := nn.NewBatchNorm1d(3, nn.BatchNormOptions{}), nn.NewBatchNorm1d(3, nn.BatchNormOptions{})
	s := training(t)
	x := tensor.RandN(s, random.New(2), tensor.Float32, 8, 3)
	plain.Forward(x).Square().Sum().Backward()
	out := autograd.Checkpoint(func(in []*tensor.Tensor) []*tensor.Tensor {
		return []*tensor.Tensor{checked.Forward(in[0])}
	}, x)
	out[0].Square().Sum().Backward()
	if !slices.Equal(state(plain), state(checked)) {
		t.Errorf("the state is %v with a checkpoint, %v without", state(checked), state(plain))
	}
	if !slices.Equal(values(plain.Bias.Grad()), values(checked.Bias.Grad())) {
		t.Error("the gradients differ")
	}
}

func TestTrainingAModeDependentLayerInNoScopePanics(t *testing.T) {
	x := tensor.Ones(dev(t), tensor.Float32, 3, 4, 2)
	images := tensor.Ones(dev(t), tensor.Float32, 3, 4, 2, 2)
	attention := nn.NewMultiHeadAttention(rng, 2, 1, nn.MultiHeadAttentionOptions{Dropout: 0.1})
	lstm := nn.NewLSTM(rng, 2, 3, nn.RNNOptions{Layers: 2, Dropout: 0.1})
	for name, forward := range map[string]func() *tensor.Tensor{
		"Dropout":            func() *tensor.Tensor { return linear(2, 1).Forward(nn.NewDropout(0.5).Forward(x)) },
		"BatchNorm1d":        func() *tensor.Tensor { return nn.NewBatchNorm1d(4, nn.BatchNormOptions{}).Forward(x) },
		"BatchNorm2d":        func() *tensor.Tensor { return nn.NewBatchNorm2d(4, nn.BatchNormOptions{}).Forward(images) },
		"MultiHeadAttention": func() *tensor.Tensor { y, _ := attention.Forward(x, x, x, nn.AttentionOptions{}); return y },
		"lstm":               func() *tensor.Tensor { y, _, _ := lstm.Forward(x, nil, nil); return y },
	} {
		t.Run(name, func(t *testing.T) {
			loss := forward().Sum()
			wantPanic(t, name+" ran without a scope", loss.Backward)
		})
	}
	t.Run("without dropout", func(t *testing.T) {
		y, _, _ := nn.NewLSTM(rng, 2, 3, nn.RNNOptions{Layers: 2}).Forward(x, nil, nil)
		y.Sum().Backward()
	})
}

func TestLSTMDropsBetweenLayersInTraining(t *testing.T) {
	l := nn.NewLSTM(rng, 2, 3, nn.RNNOptions{Layers: 2, Dropout: 0.5})
	run := func(s *tensor.Scope) (*tensor.Tensor, *tensor.Tensor) {
		y, h, _ := l.Forward(tensor.Ones(s, tensor.Float32, 4, 2, 2), nil, nil)
		return y, h
	}
	trained, hTrained := run(training(t))
	quiet, h := run(evaluation(t, false))
	if slices.Equal(values(trained), values(quiet)) {
		t.Error("training changes nothing")
	}
	if first, same := values(hTrained.Select(0, 0)), values(h.Select(0, 0)); !slices.Equal(first, same) {
		t.Error("the first layer is dropped from")
	}
}

func TestRecurrentLayersWithoutGradientsKeepOnlyTheirResults(t *testing.T) {
	const steps, n, hidden = 200, 2, 8
	d := cpu.New(cpu.Options{Poison: true})
	l := nn.NewLSTM(rng, 3, hidden, nn.RNNOptions{Layers: 2, Bidirectional: true})
	nn.To(d, l)
	parameters := d.MemoryStats().Live
	s := tensor.NewScope(d, tensor.ScopeOptions{NoGrad: true})
	defer s.Close()
	x := tensor.RandN(s, random.New(1), tensor.Float32, steps, n, 3)
	d.ResetPeak()
	y, h, c := l.Forward(x, nil, nil)
	if held, want := s.Bytes(), 4*(x.NumEl()+y.NumEl()+3*h.NumEl()+c.NumEl()); held > want { // two states of zeros
		t.Errorf("the scope holds %d bytes, not %d", held, want)
	}
	// Both layers, and of one direction: gates, steps of both states, outputs.
	layer := int64(y.NumEl() * 4)
	if peak := d.MemoryStats().Peak - parameters - int64(x.NumEl()*4); peak > 9*layer {
		t.Errorf("%d bytes were live at once for an output of %d", peak, layer)
	}
}

func TestRecurrentLayersRefuseWrongShapes(t *testing.T) {
	s := training(t)
	l := nn.NewLSTM(rng, 3, 4, nn.RNNOptions{})
	g := nn.NewGRU(rng, 3, 4, nn.RNNOptions{Bidirectional: true})
	x := tensor.Ones(s, tensor.Float32, 5, 2, 3)
	wantPanic(t, "lstm: an input of shape [5 2 4]", func() { l.Forward(tensor.Ones(s, tensor.Float32, 5, 2, 4), nil, nil) })
	wantPanic(t, "at least one step", func() { l.Forward(tensor.Ones(s, tensor.Float32, 0, 2, 3), nil, nil) })
	wantPanic(t, "initial state 1 has shape [1 3 4], not [1 2 4]", func() {
		l.Forward(x, tensor.Ones(s, tensor.Float32, 1, 2, 4), tensor.Ones(s, tensor.Float32, 1, 3, 4))
	})
	wantPanic(t, "gru: initial state 0 has shape [1 2 4], not [2 2 4]", func() { g.Forward(x, tensor.Ones(s, tensor.Float32, 1, 2, 4)) })
	wantPanic(t, "hidden size 0", func() { nn.NewLSTM(rng, 3, 0, nn.RNNOptions{}) })
}

func TestAttentionPathsAgree(t *testing.T) {
	a := nn.NewMultiHeadAttention(rng, 6, 2, nn.MultiHeadAttentionOptions{BatchFirst: true})
	s := evaluation(t, false)
	q, k := tensor.RandN(s, random.New(1), tensor.Float32, 2, 4, 6), tensor.RandN(s, random.New(2), tensor.Float32, 2, 5, 6)
	blind := tensor.Of(s, []bool{true, true, true, true, true, false, false, true, false, false}, 2, 5)
	for name, o := range map[string]nn.AttentionOptions{
		"no mask": {},
		"padding": {KeyPaddingMask: blind}, // the first of the batch sees nothing
		"causal":  {Causal: true},
		"bias":    {Mask: tensor.RandN(s, random.New(3), tensor.Float32, 4, 5), KeyPaddingMask: blind, Causal: true},
	} {
		t.Run(name, func(t *testing.T) {
			fused, none := a.Forward(q, k, k, o)
			o.EachHead = true
			composed, weights := a.Forward(q, k, k, o)
			if none != nil || !slices.Equal(weights.Shape(), []int{2, 2, 4, 5}) {
				t.Errorf("weights are %v where none are asked for, and have shape %v", none, weights.Shape())
			}
			for i, v := range values(fused) {
				if w := values(composed)[i]; !(math.Abs(v-w) < 1e-5) {
					t.Fatalf("element %d is %v, with weights %v", i, v, w)
				}
			}
			if o.KeyPaddingMask != nil {
				for _, w := range values(weights.Select(0, 0)) {
					if w != 0 {
						t.Errorf("a query that sees nothing has weight %v", w)
					}
				}
			}
		})
	}
}

func TestAttentionDropsWeightsInTraining(t *testing.T) {
	a := nn.NewMultiHeadAttention(rng, 4, 2, nn.MultiHeadAttentionOptions{Dropout: 0.5})
	run := func(s *tensor.Scope) ([]float64, []float64, []float64) {
		x := tensor.RandN(s, random.New(5), tensor.Float32, 6, 1, 4)
		y, _ := a.Forward(x, x, x, nn.AttentionOptions{})
		z, w := a.Forward(x, x, x, nn.AttentionOptions{EachHead: true})
		y.Sum().Add(z.Sum()).Backward()
		return values(y), values(z), values(w)
	}
	y, z, w := run(training(t))
	quietY, quietZ, quietW := run(evaluation(t, false))
	if slices.Equal(y, quietY) || slices.Equal(z, quietZ) {
		t.Error("training changes nothing")
	}
	for i, v := range w {
		if v != 0 && math.Abs(v-2*quietW[i]) > 1e-6 {
			t.Errorf("weight %d is %v in training, %v otherwise", i, v, quietW[i])
		}
	}
}

func TestAttentionRefusesWrongShapes(t *testing.T) {
	s := training(t)
	a := nn.NewMultiHeadAttention(rng, 4, 2, nn.MultiHeadAttentionOptions{})
	x, y := tensor.Ones(s, tensor.Float32, 3, 2, 4), tensor.Ones(s, tensor.Float32, 5, 2, 4)
	wantPanic(t, "do not split", func() { nn.NewMultiHeadAttention(rng, 5, 2, nn.MultiHeadAttentionOptions{}) })
	wantPanic(t, "all must be", func() { a.Forward(x, x, x.Select(0, 0), nn.AttentionOptions{}) })
	wantPanic(t, "keys, 2 by 5 values", func() { a.Forward(x, x, y, nn.AttentionOptions{}) })
	wantPanic(t, "a mask of shape [3 3]", func() { a.Forward(x, y, y, nn.AttentionOptions{Mask: tensor.Ones(s, tensor.Bool, 3, 3)}) })
	wantPanic(t, "padding mask of shape [3]", func() {
		a.Forward(x, y, y, nn.AttentionOptions{KeyPaddingMask: tensor.Ones(s, tensor.Bool, 3)})
	})
}

func TestLayersRefuseWrongInputs(t *testing.T) {
	s := training(t)
	flat := tensor.Ones(s, tensor.Float32, 3, 4)
	wantPanic(t, "to BatchNorm2d", func() { nn.NewBatchNorm2d(4, nn.BatchNormOptions{}).Forward(flat) })
	wantPanic(t, "to BatchNorm1d", func() { nn.NewBatchNorm1d(3, nn.BatchNormOptions{}).Forward(flat.Reshape(1, 3, 2, 2)) })
	wantPanic(t, "more than 1 value per channel", func() { nn.NewBatchNorm1d(4, nn.BatchNormOptions{}).Forward(flat.Narrow(0, 0, 1)) })
	wantPanic(t, "in 2 groups", func() { nn.NewConv2d(rng, 3, 4, 1, nn.Conv2dOptions{Groups: 2}) })
	wantPanic(t, "in 3 groups", func() { nn.NewGroupNorm(3, 4, nn.GroupNormOptions{}) })
	wantPanic(t, "padding index 4", func() { nn.NewEmbedding(rng, 4, 2, nn.EmbeddingOptions{PaddingIndex: new(4)}) })
	wantPanic(t, "linear", func() { linear(3, 1).Forward(flat) })
	wantPanic(t, "label 4", func() { nn.CrossEntropy(flat, tensor.Of(s, []int64{0, 1, 4})) })
	wantPanic(t, "fan in", func() { nn.KaimingNormal(rng, linear(3, 1).Bias, nn.Kaiming{}) })
}
