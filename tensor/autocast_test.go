package tensor

import (
	"testing"

	"github.com/descent-ml/descent/backend/cpu"
	"github.com/descent-ml/descent/backend/null"
)

// mixed is a scope that computes in dt.
func mixed(t *testing.T, dt DType) *Scope {
	s := testScope(t, ScopeOptions{})
	s.SetAutocast(dt, nil)
	return s
}

func TestMixedPrecisionCastsByOp(t *testing.T) {
	for _, dt := range []DType{BFloat16, Float16} {
		s := mixed(t, dt)
		x, w, b := normal(s, 1, 4, 6).To(Float32), normal(s, 2, 6, 6).To(Float32), normal(s, 3, 6).To(Float32)
		low, label := x.To(dt), Zeros(s, Int64, 4)
		image, filter := normal(s, 4, 1, 2, 5, 5).To(Float32), normal(s, 5, 3, 2, 2, 2).To(Float32)
		heads := normal(s, 6, 1, 2, 4, 4).To(Float32)
		for name, c := range map[string]struct{ y, want *Tensor }{ // of the same numbers
			"matmul":        {x.MatMul(w), low.MatMul(w.To(dt))},
			"mixed matmul":  {low.MatMul(w), low.MatMul(w.To(dt))},
			"linear":        {Linear(x, w, b), Linear(low, w.To(dt), b.To(dt))},
			"addmm":         {x.AddMM(x, w, 0, 1), low.MatMul(w.To(dt))},
			"conv2d":        {Conv2d(image, filter, nil, Conv2dOptions{}), Conv2d(image.To(dt), filter.To(dt), nil, Conv2dOptions{})},
			"attention":     {ScaledDotProductAttention(heads, heads, heads, AttentionOptions{}), ScaledDotProductAttention(heads.To(dt), heads.To(dt), heads.To(dt), AttentionOptions{})},
			"softmax":       {low.Softmax(1), low.To(Float32).Softmax(1)},
			"sum":           {low.Sum(), low.To(Float32).Sum()},
			"exp":           {low.Exp(), low.To(Float32).Exp()},
			"pow":           {low.PowScalar(3), low.To(Float32).PowScalar(3)},
			"cross_entropy": {CrossEntropy(low, label, CrossEntropyOptions{}), CrossEntropy(low.To(Float32), label, CrossEntropyOptions{})},
			"nll_loss":      {NLLLoss(low, label, NLLLossOptions{}), NLLLoss(low.To(Float32), label, NLLLossOptions{})},
			"mse_loss":      {MSELoss(low, low.MulScalar(2), ReductionMean), MSELoss(low.To(Float32), low.MulScalar(2).To(Float32), ReductionMean)},
			"relu":          {low.ReLU(), low.ReLU().To(dt)},
			"gelu":          {x.GELU(), x.GELU().To(Float32)},
			"add":           {low.Add(x), low.To(Float32).Add(x)},
			"layer_norm":    {LayerNorm(low, []int{6}, b, b, 1e-5), LayerNorm(low, []int{6}, b, b, 1e-5).To(dt)},
		} {
			if c.y.DType() != c.want.DType() {
				t.Errorf("%s in %v is %v, not %v", name, dt, c.y.DType(), c.want.DType())
			}
			near(t, name, c.y, c.want, 1e-6)
		}
		if y := normal(s, 1, 4, 6).MatMul(normal(s, 2, 6, 6)); y.DType() != Float64 {
			t.Errorf("a product of Float64 is %v", y.DType())
		}
		off := s.Child(ScopeOptions{})
		off.SetAutocast(Float32, nil)
		if y := off.Use(x).MatMul(w); y.DType() != Float32 {
			t.Errorf("where mixed precision has ended a product is %v", y.DType())
		}
	}
}

func TestMixedPrecisionGivesParametersGradientsOfTheirOwnType(t *testing.T) {
	s := mixed(t, BFloat16)
	w, b := Parameter(normal(s, 1, 3, 5).To(Float32)), Parameter(Zeros(s.Device(), Float32, 3))
	x := normal(s, 2, 4, 5).To(Float32)
	Linear(x, w, b).Square().Sum().Backward()
	// In the types of the forward pass: y in bfloat16, and so its gradient.
	plain := NewScope(s.Device(), ScopeOptions{})
	defer plain.Close()
	bf := func(t *Tensor) *Tensor { return t.To(BFloat16) }
	px := bf(normal(plain, 2, 4, 5).To(Float32))
	y := Linear(px, bf(plain.Copy(w)), bf(plain.Copy(b)))
	g := y.MulScalar(2)
	near(t, "the weight's", w.Grad(), g.T().MatMul(px), 1e-6)
	near(t, "the bias's", b.Grad(), g.Sum(0), 1e-6)
	if w.Grad().DType() != Float32 {
		t.Errorf("the weight's gradient is %v", w.Grad().DType())
	}
}

// casts counts the casts of w that a function makes.
func casts(dev *null.Recorder, w *Tensor, fn func()) int {
	dev.Reset()
	fn()
	n := 0
	for _, c := range dev.Calls() {
		if c.Method == "Copy" && c.In[0].Buf == w.arr.Buf && c.Out[0].DType == Float16 {
			n++
		}
	}
	return n
}

func TestAParameterIsCastOnceForEachVersion(t *testing.T) {
	dev := null.Record(cpu.New(cpu.Options{}))
	s := NewScope(dev, ScopeOptions{})
	defer s.Close()
	s.SetAutocast(Float16, nil)
	w, x := Parameter(normal(s, 1, 5, 5).To(Float32)), normal(s, 2, 4, 5).To(Float32)
	twice := func() { Linear(Linear(x, w, nil), w, nil).Sum().Backward() }
	if n := casts(dev, w, twice); n != 1 {
		t.Errorf("two uses make %d casts", n)
	}
	if n := casts(dev, w, func() { s.SetAutocast(Float16, nil); twice() }); n != 0 {
		t.Errorf("two more make %d casts", n)
	}
	w.Assign(Ones(s, Float32, 5, 5))
	if n := casts(dev, w, twice); n != 1 {
		t.Errorf("after a change two uses make %d casts", n)
	}
	w.ZeroGrad()
	cut := Linear(x, s.Use(w.Detach()), nil) // has no part in the gradient
	Linear(x, w, nil).Mul(cut).Sum().Backward()
	near(t, "the gradient beside a detached use", w.Grad(), cut.T().MatMul(x), 1e-3)
}

func TestALossScaleMultipliesWhatBackwardGathersAndNothingElse(t *testing.T) {
	s := testScope(t, ScopeOptions{})
	scale := Full(s.Device(), Float32, 8)
	s.SetAutocast(Float16, scale)
	p := Parameter(Ones(s.Device(), Float32, 3))
	loss := s.Use(p).Square().Sum()
	near(t, "GradWith", GradWith(GradOptions{}, loss, p)[0], Full(s, Float32, 2, 3), 0)
	loss.Backward()
	near(t, "Backward", p.Grad(), Full(s, Float32, 16, 3), 0)
	p.ZeroGrad()
	s.Use(p).Square().BackwardWith(Full(s, Float32, 0.5, 3))
	near(t, "BackwardWith", p.Grad(), Full(s, Float32, 8, 3), 0)
}
