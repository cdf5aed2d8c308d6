package models

import (
	"cmp"
	"iter"
	"math"
	"slices"

	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/tensor"
)

// GenerateOptions say how Generate chooses.
type GenerateOptions struct {
	// Temperature divides the logits before one is drawn by its probability; 0 takes
	// the most probable token each time.
	Temperature float64
	TopK        int               // draws among so many of the most probable ones; 0 is all
	Rand        *random.Generator // what draws; needed with a Temperature
}

// Generate goes on after the prompt, token by token, for as long as the loop wants:
//
//	for token := range model.Generate(prompt, models.GenerateOptions{}) {
//
// The model looks at the last Positions tokens, in eval mode, and keeps the keys and
// values of those it has seen. Each token waits for the device.
func (m *GPT2) Generate(prompt []int64, o GenerateOptions) iter.Seq[int64] {
	const op = "generate"
	if len(prompt) == 0 {
		tensor.Fail(op, "the prompt has no tokens")
	}
	if o.Temperature < 0 || o.TopK < 0 || o.Temperature > 0 && o.Rand == nil {
		tensor.Fail(op, "temperature %g, the top %d, or no generator for a temperature", o.Temperature, o.TopK)
	}
	return func(yield func(int64) bool) {
		text, seen := slices.Clone(prompt), &keysValues{}
		defer func() { seen.release() }()
		for {
			if window := m.o.Positions; len(text) > window {
				text = text[len(text)-window:]
				seen.release() // every token has another position now
			}
			token := o.choose(m.next(text, seen))
			if !yield(token) {
				return
			}
			text = append(text, token)
		}
	}
}

// next returns the logits of the token after text, of which seen has the beginning.
func (m *GPT2) next(text []int64, seen *keysValues) []float32 {
	s := tensor.NewScope(m.LMHead.Weight.Device(), tensor.ScopeOptions{NoGrad: true})
	defer s.Close()
	tokens := tensor.Of(s, text[seen.n:], 1, len(text)-seen.n)
	x := m.Transformer.forward(tokens, seen)
	seen.n = len(text)
	return tensor.Values[float32](m.LMHead.Forward(x.Narrow(1, -1, 1)).To(tensor.Float32))
}

// choose picks a token by its logit.
func (o *GenerateOptions) choose(logits []float32) int64 {
	best := slices.Index(logits, slices.Max(logits))
	if o.Temperature == 0 || best < 0 { // it is not found among NaNs
		return int64(max(best, 0))
	}
	order := make([]int, len(logits))
	for i := range order {
		order[i] = i
	}
	if o.TopK > 0 && o.TopK < len(order) {
		slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(logits[j], logits[i]) })
		order = order[:o.TopK]
	}
	sums, total := make([]float64, len(order)), 0.0
	for i, token := range order {
		total += math.Exp(float64(logits[token]-logits[best]) / o.Temperature)
		sums[i] = total
	}
	var u [1]float64
	random.Uniform64(o.Rand.Reserve(1), 0, u[:])
	i, _ := slices.BinarySearchFunc(sums, u[0]*total, func(sum, u float64) int {
		if sum <= u {
			return -1
		}
		return 1
	})
	return int64(order[min(i, len(order)-1)])
}

// keysValues are those of the tokens that a model has seen, of each layer:
// [N, heads, n, width/heads].
type keysValues struct {
	k, v []*tensor.Tensor
	n    int
}

func (c *keysValues) len() int {
	if c == nil {
		return 0
	}
	return c.n
}

// add joins the keys and values of new tokens in layer i to those before them.
func (c *keysValues) add(i int, k, v *tensor.Tensor) (_, _ *tensor.Tensor) {
	if i == len(c.k) {
		c.k, c.v = append(c.k, tensor.Keep(k)), append(c.v, tensor.Keep(v))
		return k, v
	}
	for _, x := range []struct{ kept, now **tensor.Tensor }{{&c.k[i], &k}, {&c.v[i], &v}} {
		old := *x.kept
		*x.kept = tensor.Keep(tensor.Cat([]*tensor.Tensor{old, *x.now}, 2))
		*x.now = *x.kept
		old.Release()
	}
	return k, v
}

func (c *keysValues) release() {
	for _, x := range slices.Concat(c.k, c.v) {
		x.Release()
	}
	*c = keysValues{}
}
