package tensor

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/descent-ml/descent/backend/cpu"
	"github.com/descent-ml/descent/random"
)

// near holds got to want within tol, relative for large numbers.
func near(t *testing.T, what string, got, want *Tensor, tol float64) {
	t.Helper()
	if !slices.Equal(got.Shape(), want.Shape()) {
		t.Errorf("%s has shape %v, not %v", what, got.Shape(), want.Shape())
		return
	}
	g, w := Values[float64](got.Detach().To(Float64)), Values[float64](want.Detach().To(Float64))
	for i := range g {
		if !(math.Abs(g[i]-w[i]) <= tol*(1+math.Abs(w[i]))) {
			t.Errorf("%s: element %d is %v, not %v", what, i, g[i], w[i])
			return
		}
	}
}

func normal(s *Scope, seed uint64, shape ...int) *Tensor {
	return RandN(s, random.New(seed), Float64, shape...)
}

func testScope(t *testing.T, o ScopeOptions) *Scope {
	s := NewScope(cpu.New(cpu.Options{Poison: true}), o)
	t.Cleanup(s.Close)
	return s
}

func TestBatchNormMovesRunningStatistics(t *testing.T) {
	s := testScope(t, ScopeOptions{})
	dev := s.Device()
	mean, variance := Buffer(Zeros(dev, Float64, 3)), Buffer(Ones(dev, Float64, 3))
	wantMean, wantVar := Zeros(s, Float64, 3), Ones(s, Float64, 3)
	for i := range uint64(3) {
		x := normal(s, i, 4, 3, 2, 5).AddScalar(float64(i))
		BatchNorm(x, mean, variance, nil, nil, true, 0.3, 1e-5)
		axes := Reduce{Axes: []int{0, 2, 3}}
		wantMean = wantMean.MulScalar(0.7).Add(x.Mean(axes.Axes...).MulScalar(0.3))
		wantVar = wantVar.MulScalar(0.7).Add(x.Var(VarOptions{Reduce: axes}).MulScalar(0.3))
	}
	near(t, "the running mean", mean, wantMean, 1e-12)
	near(t, "the running variance", variance, wantVar, 1e-12)
	if mean.Version() != 3 {
		t.Errorf("the running mean has version %d after 3 batches", mean.Version())
	}

	replay := s.Child(ScopeOptions{Train: true})
	replay.SetReplaying(true)
	BatchNorm(replay.Use(normal(s, 9, 4, 3, 2, 5)), mean, variance, nil, nil, true, 0.3, 1e-5)
	near(t, "the running mean after a replay", mean, wantMean, 1e-12)
	near(t, "the running variance after a replay", variance, wantVar, 1e-12)
}

func TestBatchNormOfABatchWithItsOwnStatisticsIsTheSameInBothModes(t *testing.T) {
	s := testScope(t, ScopeOptions{})
	x, w, b := normal(s, 1, 4, 3, 5), normal(s, 2, 3), normal(s, 3, 3)
	mean := x.Mean(0, 2)
	variance := x.Var(VarOptions{Reduce: Reduce{Axes: []int{0, 2}}, Correction: new(0.0)})
	trained := BatchNorm(x, nil, nil, w, b, true, 0.1, 1e-3)
	near(t, "eval", BatchNorm(x, mean, variance, w, b, false, 0.1, 1e-3), trained, 1e-12)
	half := BatchNorm(x.To(Float16), mean.To(Float32), variance.To(Float32), w.To(Float32), b.To(Float32), false, 0.1, 1e-3)
	if half.DType() != Float16 {
		t.Errorf("half precision gives %v", half.DType())
	}
	near(t, "half precision", half, trained, 1e-2)
}

func TestImagesStayChannelsLast(t *testing.T) {
	s := testScope(t, ScopeOptions{})
	x := normal(s, 1, 2, 4, 6, 6).ChannelsLast()
	w := normal(s, 2, 8, 4, 3, 3)
	one := Ones(s, Float64, 4)
	maxima, at := MaxPool2dWithIndices(x, [2]int{2, 2}, MaxPool2dOptions{})
	for what, y := range map[string]*Tensor{
		"conv2d":     Conv2d(x, w, nil, Conv2dOptions{}),
		"max_pool2d": maxima, "its indices": at,
		"avg_pool2d":  AvgPool2d(x, [2]int{3, 3}, AvgPool2dOptions{}),
		"batch_norm":  BatchNorm(x, nil, nil, one, one, true, 0.1, 1e-5),
		"cat":         Cat([]*Tensor{x, x}, 1),
		"pad":         x.Pad([]int{1, 1, 1, 1}, PadOptions{}),
		"log_softmax": x.LogSoftmax(1),
	} {
		if st := y.Strides(); st[1] != 1 || st[3] != y.Size(1) || st[2] != y.Size(1)*y.Size(3) {
			t.Errorf("%s has the strides %v for shape %v", what, st, y.Shape())
		}
	}
}

func TestAConvolutionOfNoImages(t *testing.T) {
	s := testScope(t, ScopeOptions{})
	x, w, b := Zeros(s, Float32, 0, 2, 4, 4).RequireGrad(), Ones(s, Float32, 3, 2, 3, 3).RequireGrad(), Ones(s, Float32, 3).RequireGrad()
	y := Conv2d(x, w, b, Conv2dOptions{})
	if !slices.Equal(y.Shape(), []int{0, 3, 2, 2}) {
		t.Fatalf("shape %v", y.Shape())
	}
	gs := GradWith(GradOptions{}, y.Sum(), x, w, b)
	near(t, "the gradient of the weight", gs[1], ZerosLike(w), 0)
	near(t, "the gradient of the bias", gs[2], ZerosLike(b), 0)
	if !slices.Equal(gs[0].Shape(), x.Shape()) {
		t.Errorf("the gradient of the input has shape %v", gs[0].Shape())
	}
}

func TestAttentionDropsWeights(t *testing.T) {
	run := func(p float64) *Tensor {
		s := testScope(t, ScopeOptions{Train: true, Rand: random.New(7)})
		// With these values the result is the sum of the weights that are left.
		q := Zeros(s, Float64, 1, 400, 2)
		return ScaledDotProductAttention(q, Zeros(s, Float64, 1, 100, 2), Ones(s, Float64, 1, 100, 1), AttentionOptions{Dropout: p})
	}
	y := run(0.25)
	if mean := y.Mean().Item(); math.Abs(mean-1) > 0.02 { // 6 standard deviations
		t.Errorf("the weights that are left sum to %v on average", mean)
	}
	if v := y.Var(VarOptions{}).Item(); v < 1e-4 {
		t.Errorf("nothing was dropped: variance %v", v)
	}
	near(t, "a second run with the same seed", run(0.25), y, 0)
	near(t, "with everything dropped", run(1), ZerosLike(y), 0)

	s := testScope(t, ScopeOptions{})
	x := Zeros(s, Float64, 2, 2)
	wantFailure(t, "there is no generator", func() { ScaledDotProductAttention(x, x, x, AttentionOptions{Dropout: 0.5}) })
}

func wantFailure(t *testing.T, text string, fn func()) {
	t.Helper()
	err := func() (err error) { defer Catch(&err); fn(); return nil }()
	if err == nil {
		t.Errorf("no error, where %q is wanted", text)
	} else if !strings.Contains(err.Error(), text) {
		t.Errorf("the error is %q, which lacks %q", err, text)
	}
}

func TestMisuseIsNamed(t *testing.T) {
	s := testScope(t, ScopeOptions{})
	img, vec := Zeros(s, Float32, 2, 3, 4, 4), Zeros(s, Float32, 3)
	w := Zeros(s, Float32, 6, 3, 3, 3)
	k2 := [2]int{2, 2}
	for _, c := range []struct {
		text string
		fn   func()
	}{
		{"conv2d: input [2 3 4 4] has 3 channels, weight [6 2 3 3] in 1 group takes 2", func() { Conv2d(img, Zeros(s, Float32, 6, 2, 3, 3), nil, Conv2dOptions{}) }},
		{"in 2 groups takes 6", func() { Conv2d(img, w, nil, Conv2dOptions{Groups: 2}) }},
		{"kernel [3 3] with dilation [2 2] is larger than input [2 3 4 4]", func() { Conv2d(img, w, nil, Conv2dOptions{Dilation: k2}) }},
		{"are needed", func() { Conv2d(vec, w, nil, Conv2dOptions{}) }},
		{"one dtype is needed", func() { Conv2d(img, w.To(Float64), nil, Conv2dOptions{}) }},
		{"bias [3]: [6] is needed", func() { Conv2d(img, w, vec, Conv2dOptions{}) }},
		{"stride [-1 1]", func() { Conv2d(img, w, nil, Conv2dOptions{Stride: [2]int{-1, 1}}) }},
		{"Same needs stride 1", func() { Conv2d(img, w, nil, Conv2dOptions{Same: true, Stride: k2}) }},
		{"an operand is nil", func() { Conv2d(img, nil, nil, Conv2dOptions{}) }},
		{"output padding", func() {
			ConvTranspose2d(Zeros(s, Float32, 2, 6, 4, 4), w, nil, ConvTranspose2dOptions{OutputPadding: k2})
		}},
		{"padding [2 2] is more than half of kernel [2 2]", func() { MaxPool2d(img, k2, MaxPool2dOptions{Padding: k2}) }},
		{"is larger than input [2 3 4 4]", func() { AvgPool2d(img, [2]int{5, 5}, AvgPool2dOptions{}) }},
		{"[N, C, H, W] or [C, H, W] is needed", func() { MaxPool2d(vec, k2, MaxPool2dOptions{}) }},
		{"output size [-1 1] is negative", func() { AdaptiveAvgPool2d(img, [2]int{-1, 1}) }},
		{"expected more than 1 value per channel when training", func() { BatchNorm(Zeros(s, Float32, 1, 3), nil, nil, nil, nil, true, 0.1, 1e-5) }},
		{"training mode only", func() { BatchNorm(img, nil, nil, nil, nil, false, 0.1, 1e-5) }},
		{"immutable", func() { BatchNorm(img, vec, nil, nil, nil, true, 0.1, 1e-5) }},
		{"weight, bias or statistic of shape [2]", func() { BatchNorm(img, nil, nil, Zeros(s, Float32, 2), nil, true, 0.1, 1e-5) }},
		{"does not end in the axes [3]", func() { LayerNorm(img, []int{3}, nil, nil, 1e-5) }},
		{"a multiple of 2 channels", func() { GroupNorm(img, 2, nil, nil, 1e-5) }},
		{"softmax: it takes floating-point tensors, not int64", func() { Zeros(s, Int64, 2).Softmax(0) }},
		{"axis 2 is out of range", func() { Zeros(s, Float32, 2, 2).LogSoftmax(2) }},
		{"shapes [3] and [2 3 4 4] differ in more than axis 0", func() { Cat([]*Tensor{vec, img}, 0) }},
		{"at least one tensor", func() { Cat(nil, 0) }},
		{"a tensor without axes", func() { Cat([]*Tensor{Zeros(s, Float32)}, 0) }},
		{"shapes [3] and [2 3 4 4] differ", func() { Stack([]*Tensor{vec, img}, 0) }},
		{"sizes [1 1] add up to 2, not to 3", func() { vec.SplitSizes(0, 1, 1) }},
		{"cannot be mirrored", func() { vec.Pad([]int{3, 0}, PadOptions{Mode: PadReflect}) }},
		{"go round an axis", func() { vec.Pad([]int{4, 0}, PadOptions{Mode: PadCircular}) }},
		{"cut more off axis 0", func() { vec.Pad([]int{-2, -2}, PadOptions{}) }},
		{"are not two numbers", func() { vec.Pad(make([]int, vec.Dim()), PadOptions{}) }},
		{"queries [2 3], keys [2 4]", func() {
			ScaledDotProductAttention(Zeros(s, Float32, 2, 3), Zeros(s, Float32, 2, 4), Zeros(s, Float32, 2, 3), AttentionOptions{})
		}},
	} {
		wantFailure(t, c.text, c.fn)
	}
}

func TestALabelOutOfRangeIsNamed(t *testing.T) {
	s := testScope(t, ScopeOptions{})
	logits := normal(s, 1, 5, 10)
	labels := func(v ...int64) *Tensor { return Of(s, v) }
	wantFailure(t, "cross_entropy: label 12 at position 3 is out of range [0, 10)", func() {
		CrossEntropy(logits, labels(0, -100, 9, 12, 1), CrossEntropyOptions{})
	})
	wantFailure(t, "nll_loss: label -1 at position 0 is out of range [0, 10)", func() {
		NLLLoss(logits, labels(-1, 0, 0, 0, 0), NLLLossOptions{Weight: Ones(s, Float64, 10)})
	})
	wantFailure(t, "label -100 at position 2", func() {
		CrossEntropy(logits, labels(0, 0, -100, 0, 0), CrossEntropyOptions{IgnoreIndex: new(int64(0))})
	})
	wantFailure(t, "integers of shape [5]", func() { CrossEntropy(logits, labels(0, 1), CrossEntropyOptions{}) })
	wantFailure(t, "integers of shape [5]", func() { CrossEntropy(logits, normal(s, 1, 5), CrossEntropyOptions{}) })
	wantFailure(t, "label smoothing is 2", func() { CrossEntropy(logits, labels(0, 0, 0, 0, 0), CrossEntropyOptions{LabelSmoothing: 2}) })

	// An infinity at an ignored position, or NaN from nothing to average, is PyTorch's.
	far := Of(s, []float64{math.Inf(-1), 0, 1, 2}, 2, 2)
	if l := CrossEntropy(far, labels(-100, 1), CrossEntropyOptions{}).Item(); math.IsNaN(l) || math.IsInf(l, 0) {
		t.Errorf("an ignored -Inf gives the loss %v", l)
	}
	if l := CrossEntropy(far, labels(-100, -100), CrossEntropyOptions{}).Item(); !math.IsNaN(l) {
		t.Errorf("the mean of nothing is %v", l)
	}
}

func TestSplitPartsShareOneGradient(t *testing.T) {
	s := testScope(t, ScopeOptions{})
	x := normal(s, 1, 6, 2).RequireGrad()
	parts := x.Split(0, 2)
	y := parts[0].Sum().Add(parts[2].Square().Sum())
	g := GradWith(GradOptions{}, y, x)[0]
	near(t, "the gradient", g, Cat([]*Tensor{Ones(s, Float64, 2, 2), Zeros(s, Float64, 2, 2), parts[2].Detach().MulScalar(2)}, 0), 1e-15)
}
