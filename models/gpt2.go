package models

import (
	"math"
	"strconv"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/nn"
	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/tensor"
)

// GPT2 is the language model of Radford et al., "Language models are unsupervised
// multitask learners" (2019), with the names of Hugging Face's GPT2LMHeadModel:
// "transformer.h.0.attn.c_attn.weight". LMHead's weight is that of the embedding.
type GPT2 struct {
	Transformer *GPT2Transformer
	LMHead      *nn.Linear

	o GPT2Options
}

// GPT2Transformer is a GPT2 without its head.
type GPT2Transformer struct {
	WTE  *nn.Embedding // of tokens
	WPE  *nn.Embedding // of positions
	Drop *nn.Dropout
	H    []*GPT2Block
	LNF  *nn.LayerNorm `nn:"ln_f"`
}

// GPT2Block is attention and a perceptron, each beside a shortcut.
type GPT2Block struct {
	LN1  *nn.LayerNorm `nn:"ln_1"`
	Attn *GPT2Attention
	LN2  *nn.LayerNorm `nn:"ln_2"`
	MLP  *GPT2MLP
}

// GPT2Attention lets each token look at itself and those before it.
type GPT2Attention struct {
	nn.Mode
	CAttn *Conv1D // to queries, keys and values
	CProj *Conv1D
	Drop  *nn.Dropout

	heads   int
	dropout float64 // of weights
}

// GPT2MLP is a perceptron with one hidden layer, four times as wide.
type GPT2MLP struct {
	CFC   *Conv1D `nn:"c_fc"`
	CProj *Conv1D
	Drop  *nn.Dropout
}

// Conv1D is a linear layer whose weight is [in, out], as GPT-2's are stored.
type Conv1D struct {
	Weight *tensor.Tensor // [in, out]
	Bias   *tensor.Tensor // [out]
}

// Forward maps x [..., in] to [..., out].
func (c *Conv1D) Forward(x *tensor.Tensor) *tensor.Tensor {
	rows := x.Reshape(-1, x.Size(-1)) // [N, in]
	shape := append(append([]int{}, x.Shape()[:x.Dim()-1]...), c.Weight.Size(1))
	return c.Bias.AddMM(rows, c.Weight, 1, 1).Reshape(shape...)
}

// GPT2Options are the options of NewGPT2 and its like.
type GPT2Options struct {
	Vocabulary int // 0 is 50257
	Positions  int // the longest sequence; 0 is 1024
	// Layers, Heads and Width are 12, 12 and 768 in NewGPT2 where they are 0.
	Layers, Heads, Width int
	// Dropout is that of embeddings, of attention weights and before each shortcut;
	// nil is 0.1.
	Dropout *float64

	DType  tensor.DType
	Device backend.Device // nil: the CPU
}

// NewGPT2 has 124 million parameters, initialised as the paper says: from a normal
// distribution of 0.02, and what goes to a shortcut by 1/√(2·Layers) narrower.
func NewGPT2(rng *random.Generator, o GPT2Options) *GPT2 { return gpt2(rng, o, 12, 12, 768) }

// NewGPT2Medium has 355 million parameters.
func NewGPT2Medium(rng *random.Generator, o GPT2Options) *GPT2 { return gpt2(rng, o, 24, 16, 1024) }

// NewGPT2Large has 774 million parameters.
func NewGPT2Large(rng *random.Generator, o GPT2Options) *GPT2 { return gpt2(rng, o, 36, 20, 1280) }

// NewGPT2XL has 1558 million parameters.
func NewGPT2XL(rng *random.Generator, o GPT2Options) *GPT2 { return gpt2(rng, o, 48, 25, 1600) }

func gpt2(rng *random.Generator, o GPT2Options, layers, heads, width int) *GPT2 {
	const op = "gpt2"
	o.Vocabulary, o.Positions = or(o.Vocabulary, 50257), or(o.Positions, 1024)
	o.Layers, o.Heads, o.Width = or(o.Layers, layers), or(o.Heads, heads), or(o.Width, width)
	if o.Dropout == nil {
		o.Dropout = new(0.1)
	}
	if min(o.Vocabulary, o.Positions, o.Layers, o.Heads, o.Width) < 1 || o.Width%o.Heads != 0 {
		tensor.Fail(op, "vocabulary %d, positions %d, layers %d, or width %d that does not split over %d heads", o.Vocabulary, o.Positions, o.Layers, o.Width, o.Heads)
	}
	if o.Device == nil {
		dev, err := backend.Open("cpu")
		if err != nil {
			tensor.Fail(op, "%w", err)
		}
		o.Device = dev
	}
	const std = 0.02
	normal := func(std float64, shape ...int) *tensor.Tensor {
		return tensor.Parameter(tensor.Normal(o.Device, rng, o.DType, 0, std, shape...))
	}
	conv := func(in, out int, std float64) *Conv1D {
		return &Conv1D{normal(std, in, out), tensor.Parameter(tensor.Zeros(o.Device, o.DType, out))}
	}
	norm := func() *nn.LayerNorm {
		return nn.NewLayerNorm([]int{o.Width}, nn.LayerNormOptions{DType: o.DType, Device: o.Device})
	}
	drop := func() *nn.Dropout { return nn.NewDropout(*o.Dropout) }
	narrow := std / math.Sqrt(float64(2*o.Layers))
	t := &GPT2Transformer{
		WTE:  &nn.Embedding{Weight: normal(std, o.Vocabulary, o.Width)},
		WPE:  &nn.Embedding{Weight: normal(std, o.Positions, o.Width)},
		Drop: drop(),
	}
	for range o.Layers {
		t.H = append(t.H, &GPT2Block{
			LN1: norm(),
			Attn: &GPT2Attention{CAttn: conv(o.Width, 3*o.Width, std), CProj: conv(o.Width, o.Width, narrow), Drop: drop(),
				heads: o.Heads, dropout: *o.Dropout},
			LN2: norm(),
			MLP: &GPT2MLP{CFC: conv(o.Width, 4*o.Width, std), CProj: conv(4*o.Width, o.Width, narrow), Drop: drop()},
		})
	}
	t.LNF = norm()
	return &GPT2{Transformer: t, LMHead: &nn.Linear{Weight: t.WTE.Weight}, o: o}
}

// Forward maps tokens [N, L], of Int64, to the logits [N, L, vocabulary] of those
// that come next.
func (m *GPT2) Forward(tokens *tensor.Tensor) *tensor.Tensor {
	return m.LMHead.Forward(m.Transformer.forward(tokens, nil))
}

// Forward maps tokens [N, L], of Int64, to features [N, L, width].
func (m *GPT2Transformer) Forward(tokens *tensor.Tensor) *tensor.Tensor {
	return m.forward(tokens, nil)
}

// forward goes on after the tokens whose keys and values are in past, if that is not
// nil, and adds those of the new ones.
func (m *GPT2Transformer) forward(tokens *tensor.Tensor, past *keysValues) *tensor.Tensor {
	if tokens.Dim() != 2 || tokens.Size(1)+past.len() > m.WPE.Weight.Size(0) {
		tensor.Fail("gpt2", "tokens of shape %v after %d; [N, L] with up to %d tokens are needed", tokens.Shape(), past.len(), m.WPE.Weight.Size(0))
	}
	places := m.WPE.Weight.Narrow(0, past.len(), tokens.Size(1)) // [L, width]
	layers := nn.Sequential{m.Drop}
	for i, b := range m.H {
		layers = append(layers, nn.Func(func(x *tensor.Tensor) *tensor.Tensor { return b.forward(x, past, i) }))
	}
	layers = append(layers, m.LNF)
	return layers.Forward(m.WTE.Forward(tokens).Add(places)) // [N, L, width]
}

// Forward maps x [N, L, width] to the same shape.
func (b *GPT2Block) Forward(x *tensor.Tensor) *tensor.Tensor { return b.forward(x, nil, 0) }

func (b *GPT2Block) forward(x *tensor.Tensor, past *keysValues, i int) *tensor.Tensor {
	attend := nn.Func(func(x *tensor.Tensor) *tensor.Tensor { return b.Attn.forward(x, past, i) })
	x = x.Add(nn.Sequential{b.LN1, attend}.Forward(x))
	return x.Add(nn.Sequential{b.LN2, b.MLP}.Forward(x))
}

// Forward maps x [N, L, width] to the same shape.
func (a *GPT2Attention) Forward(x *tensor.Tensor) *tensor.Tensor { return a.forward(x, nil, 0) }

// forward attends in layer number i.
func (a *GPT2Attention) forward(x *tensor.Tensor, past *keysValues, i int) *tensor.Tensor {
	n, length, width := x.Size(0), x.Size(1), x.Size(2)
	qkv := a.CAttn.Forward(x).Reshape(n, length, 3*a.heads, width/a.heads).Transpose(1, 2).Split(1, a.heads)
	q, k, v := qkv[0], qkv[1], qkv[2] // [N, heads, L, width/heads]
	o := tensor.AttentionOptions{Causal: true}
	if past != nil {
		o.Causal = past.len() == 0
		k, v = past.add(i, k, v)
	}
	if a.dropout > 0 {
		var training bool
		if training, q = a.Training(q, "GPT2Attention"); training {
			o.Dropout = a.dropout
		}
	}
	y := tensor.ScaledDotProductAttention(q, k, v, o)
	return a.Drop.Forward(a.CProj.Forward(y.Transpose(1, 2).Reshape(n, length, width)))
}

// Forward maps x [..., width] to the same shape.
func (m *GPT2MLP) Forward(x *tensor.Tensor) *tensor.Tensor {
	return nn.Sequential{m.CFC, nn.GELU{Tanh: true}, m.CProj, m.Drop}.Forward(x)
}

// String says how large the model is.
func (m *GPT2) String() string {
	return "GPT-2, " + strconv.Itoa(m.o.Layers) + " layers, " + strconv.Itoa(nn.Count(m)/1e6) + " million parameters"
}
