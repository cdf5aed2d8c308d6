package models_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/descent-ml/descent/backend/cpu"
	"github.com/descent-ml/descent/backend/null"
	"github.com/descent-ml/descent/models"
	"github.com/descent-ml/descent/nn"
	"github.com/descent-ml/descent/optim"
	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/serialize"
	"github.com/descent-ml/descent/tensor"
	"github.com/descent-ml/descent/train"
)

// small is the GPT2 of gpt2.py.
func small(dt tensor.DType, dropout float64) *models.GPT2 {
	return models.NewGPT2(random.New(1), models.GPT2Options{Vocabulary: 61, Positions: 40, Width: 24, Layers: 3, Heads: 4, Dropout: &dropout, DType: dt})
}

func TestGPT2AgreesWithHuggingFace(t *testing.T) {
	python := os.Getenv("DESCENT_PYTHON")
	if python == "" {
		t.Skip("this asks Hugging Face's transformers: run make test, or set DESCENT_PYTHON to the Python that scripts/venv prints")
	}
	folder := t.TempDir()
	out, err := exec.Command(python, "testdata/gpt2.py", folder).CombinedOutput()
	if err != nil {
		t.Fatalf("gpt2.py: %v\n%s", err, out)
	}
	t.Logf("%s", out)
	t.Run("names", func(t *testing.T) { checkGPT2Names(t, filepath.Join(folder, "names.json")) })
	for _, file := range []string{"saved/model.safetensors", "hub.safetensors"} {
		for dt, tolerance := range map[tensor.DType]float64{tensor.Float64: 1e-9, tensor.Float32: 2e-5} {
			t.Run(fmt.Sprintf("%s/%v", filepath.Base(file), dt), func(t *testing.T) {
				r := open(t, filepath.Join(folder, "gpt2.safetensors"))
				r.dt, r.tolerance = dt, tolerance
				m := small(dt, 0.1)
				defer nn.Release(m)
				if err := m.Load(filepath.Join(folder, file)); err != nil {
					t.Fatal(err)
				}
				s := tensor.NewScope(m.LMHead.Weight.Device(), tensor.ScopeOptions{})
				defer s.Close()
				tokens := r.read("tokens", s)
				r.compare("hidden", m.Transformer.Forward(tokens))
				logits := m.Forward(tokens)
				r.compare("logits", logits)
				loss := languageLoss(logits, tokens)
				r.compare("loss", loss)
				loss.Backward()
				for name, p := range nn.Params(m) {
					r.compare("grad/"+name, p.Grad())
				}
				want := tensor.Values[int64](r.read("continued", s))
				got := slices.Clone(want[:5])
				for token := range m.Generate(got[:5:5], models.GenerateOptions{}) {
					if got = append(got, token); len(got) == len(want) {
						break
					}
				}
				if !slices.Equal(got, want) {
					t.Errorf("the prompt goes on as %v, Hugging Face's as %v", got, want)
				}
			})
		}
	}
	t.Run("another size", func(t *testing.T) {
		m := models.NewGPT2(random.New(1), models.GPT2Options{Vocabulary: 61, Positions: 40, Width: 24, Layers: 2, Heads: 4})
		var mismatch *serialize.MismatchError
		if err := m.Load(filepath.Join(folder, "hub.safetensors")); !errors.As(err, &mismatch) || len(mismatch.Unexpected) != 12 {
			t.Errorf("a file with a layer more: %v", err)
		}
	})
}

// languageLoss is that of each token from those before it.
func languageLoss(logits, tokens *tensor.Tensor) *tensor.Tensor {
	n := tokens.Size(1) - 1
	return nn.CrossEntropy(logits.Narrow(1, 0, n).Flatten(0, 1), tokens.Narrow(1, 1, n).Flatten(0, 1))
}

func checkGPT2Names(t *testing.T, path string) {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var golden map[string][][2]any
	if err := json.Unmarshal(text, &golden); err != nil {
		t.Fatal(err)
	}
	builds := map[string]func(*random.Generator, models.GPT2Options) *models.GPT2{
		"gpt2": models.NewGPT2, "medium": models.NewGPT2Medium, "large": models.NewGPT2Large, "xl": models.NewGPT2XL,
	}
	for name, want := range golden {
		var got, names []string
		for key, p := range nn.State(builds[name](random.New(1), models.GPT2Options{Device: null.New()})) {
			got = append(got, fmt.Sprint(key, p.Shape()))
		}
		for _, entry := range want {
			names = append(names, fmt.Sprint(entry[0], entry[1]))
		}
		if !slices.Equal(got, names) {
			t.Errorf("%s has the tensors\n%v\nHugging Face's has\n%v", name, got, names)
		}
	}
}

func TestGPT2sHaveTheirPublishedSizes(t *testing.T) {
	for want, build := range map[int]func(*random.Generator, models.GPT2Options) *models.GPT2{ // from Hugging Face's num_parameters
		124439808: models.NewGPT2, 354823168: models.NewGPT2Medium, 774030080: models.NewGPT2Large, 1557611200: models.NewGPT2XL,
	} {
		if got := nn.Count(build(random.New(1), models.GPT2Options{Device: null.New()})); got != want {
			t.Errorf("a model has %d parameters, not %d", got, want)
		}
	}
}

func TestGPT2IsInitialisedAsThePaperSays(t *testing.T) {
	m := models.NewGPT2(random.New(1), models.GPT2Options{Vocabulary: 500, Positions: 100, Width: 64, Heads: 4, Layers: 8})
	defer nn.Release(m)
	for want, w := range map[float64]*tensor.Tensor{
		0.02: m.Transformer.WTE.Weight, 0.02 + 1e-12: m.Transformer.H[7].Attn.CAttn.Weight,
		0.02 / 4: m.Transformer.H[3].Attn.CProj.Weight, 0.02/4 + 1e-12: m.Transformer.H[0].MLP.CProj.Weight,
	} {
		if got := w.Detach().Std(tensor.VarOptions{}).Item(); math.Abs(got-want) > 0.05*want {
			t.Errorf("weights %v have the standard deviation %v, not %v", w.Shape(), got, want)
		}
	}
	if m.LMHead.Weight != m.Transformer.WTE.Weight {
		t.Error("the head and the embedding are not tied")
	}
}

// TestGPT2GeneratesAsWithoutACache compares each token with that of a pass over all,
// also when the text has grown longer than the model's positions.
func TestGPT2GeneratesAsWithoutACache(t *testing.T) {
	m := small(tensor.Float64, 0)
	defer nn.Release(m)
	for _, p := range nn.Params(m) { // larger, so that the tokens are not all the same
		nn.Normal(random.New(uint64(p.NumEl())), p, 0, 0.4)
	}
	nn.Normal(random.New(9), m.Transformer.WPE.Weight, 0, 3)
	nn.Zeros(m.Transformer.LNF.Bias)
	text, n := []int64{3, 1, 4, 1, 5}, 0
	for token := range m.Generate(text, models.GenerateOptions{}) {
		s := tensor.NewScope(m.LMHead.Weight.Device(), tensor.ScopeOptions{NoGrad: true})
		window := text[max(0, len(text)-40):]
		logits := m.Forward(tensor.Of(s, window, 1, len(window))).Select(0, 0).Select(0, len(window)-1)
		want := logits.ArgMax().IntItem()
		s.Close()
		if token != want {
			t.Fatalf("token %d is %d, a pass over all gives %d", n, token, want)
		}
		text = append(text, token)
		if n++; n == 45 {
			break
		}
	}
	if slices.Equal(text[10:19], text[11:20]) {
		t.Errorf("the text is one token again and again: %v", text)
	}
}

func TestSamplingFollowsTheProbabilities(t *testing.T) {
	m := small(tensor.Float32, 0)
	defer nn.Release(m)
	for _, p := range nn.Params(m) {
		nn.Normal(random.New(uint64(p.NumEl())), p, 0, 0.4)
	}
	prompt, rng := []int64{7, 8}, random.New(5)
	draw := func(o models.GenerateOptions, n int) []float64 {
		counts := make([]float64, 61)
		o.Rand = rng
		for range n {
			for token := range m.Generate(prompt, o) {
				counts[token] += 1 / float64(n)
				break
			}
		}
		return counts
	}
	s := tensor.NewScope(m.LMHead.Weight.Device(), tensor.ScopeOptions{NoGrad: true})
	defer s.Close()
	logits := m.Forward(tensor.Of(s, prompt, 1, 2)).Select(0, 0).Select(0, 1)
	const n = 1500
	want := tensor.Values[float32](logits.DivScalar(2).Softmax(0))
	for i, got := range draw(models.GenerateOptions{Temperature: 2}, n) {
		p := float64(want[i])
		if math.Abs(got-p) > 5*math.Sqrt(p*(1-p)/n)+1e-3 {
			t.Errorf("token %d was drawn in %.4f of the cases, its probability is %.4f", i, got, p)
		}
	}
	_, top := logits.TopK(3, 0, tensor.TopKOptions{})
	allowed := tensor.Values[int64](top)
	for i, got := range draw(models.GenerateOptions{Temperature: 2, TopK: 3}, 200) {
		if got > 0 && !slices.Contains(allowed, int64(i)) {
			t.Errorf("token %d is none of the top %v", i, allowed)
		}
	}
}

func TestGPT2Learns(t *testing.T) {
	for _, dt := range []tensor.DType{tensor.Float32, tensor.BFloat16} {
		m := small(tensor.Float32, 0.1)
		defer nn.Release(m)
		var opt optim.Optimizer = optim.NewAdamW(nn.Params(m), optim.AdamW{LR: 1e-2})
		if dt != tensor.Float32 {
			opt = train.NewAMP(opt, train.AMPOptions{DType: dt, ClipNorm: 1})
		}
		var first, last float64
		for i := range 80 {
			s := tensor.NewScope(m.LMHead.Weight.Device(), tensor.ScopeOptions{Train: true, Rand: random.Derive(1, uint64(i))})
			if amp, ok := opt.(*train.AMP); ok {
				amp.Use(s)
			}
			// Each token is the one before it and 7 more.
			tokens := tensor.RandInt(s, s.Rand(), tensor.Int64, 0, 61, 8, 1).Add(tensor.Arange(s, tensor.Int64, 0, 7*12, 7)).RemainderScalar(61)
			var loss *tensor.Tensor
			if err := train.Step(opt, func() (*tensor.Tensor, train.Keep) {
				loss = languageLoss(m.Forward(tokens), tokens)
				return loss, nil
			}); err != nil {
				t.Fatal(err)
			}
			if last = loss.Item(); i == 0 {
				first = last
			}
			s.Close()
		}
		if math.Abs(first-math.Log(61)) > 0.2 || last > first/4 {
			t.Errorf("%v: the loss went from %v to %v; it begins near %v", dt, first, last, math.Log(61))
		}
	}
}

func TestGPT2WithoutGradientsHoldsOneBlockAtATime(t *testing.T) {
	dev := cpu.New(cpu.Options{})
	m := models.NewGPT2(random.New(1), models.GPT2Options{Vocabulary: 100, Positions: 64, Width: 64, Heads: 4, Layers: 6, Device: dev})
	s := tensor.NewScope(dev, tensor.ScopeOptions{NoGrad: true})
	defer s.Close()
	tokens := tensor.Zeros(s, tensor.Int64, 4, 64)
	before := dev.MemoryStats().Live
	dev.ResetPeak()
	m.Forward(tokens)
	features := int64(4 * 64 * 64 * 4)
	if peak := dev.MemoryStats().Peak - before; peak > 15*features { // the perceptron alone has 4 before its nonlinearity and 4 after it
		t.Errorf("%d bytes were live at once, %.1f times the features", peak, float64(peak)/float64(features))
	}
}

func TestMistakesWithGPT2(t *testing.T) {
	m := small(tensor.Float32, 0)
	defer nn.Release(m)
	for name, fn := range map[string]func(){
		"too long a text":   func() { m.Forward(tensor.Zeros(m.LMHead.Weight.Device(), tensor.Int64, 1, 41)) },
		"no batch":          func() { m.Forward(tensor.Zeros(m.LMHead.Weight.Device(), tensor.Int64, 5)) },
		"no prompt":         func() { m.Generate(nil, models.GenerateOptions{}) },
		"no generator":      func() { m.Generate([]int64{1}, models.GenerateOptions{Temperature: 1}) },
		"heads that do not": func() { models.NewGPT2(random.New(1), models.GPT2Options{Width: 10, Heads: 3}) },
	} {
		var err error
		func() {
			defer tensor.Catch(&err)
			fn()
		}()
		if err == nil {
			t.Errorf("%s: there was no panic", name)
		}
	}
}
