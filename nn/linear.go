package nn

import (
	"math"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/tensor"
)

// Linear is an affine map of the last axis.
type Linear struct {
	Weight *tensor.Tensor // [out, in]
	Bias   *tensor.Tensor // [out], or nil
}

// LinearOptions are the options of NewLinear.
type LinearOptions struct {
	NoBias bool
	DType  tensor.DType
	Device backend.Device // nil: the CPU
}

// NewLinear maps in features to out, with weight and bias drawn uniformly from
// ±1/√in.
func NewLinear(rng *random.Generator, in, out int, o LinearOptions) *Linear {
	make := makerOf(o.DType, o.Device)
	l := &Linear{Weight: make.param(out, in)}
	if !o.NoBias {
		l.Bias = make.param(out)
	}
	initAffine(rng, l.Weight, l.Bias)
	return l
}

// initAffine is PyTorch's default for linear and convolution layers,
// kaiming_uniform with a slope of √5: all that is ±1/√(fan in).
func initAffine(rng *random.Generator, w, b *tensor.Tensor) {
	in, _ := FanInFanOut(w)
	bound := 0.0
	if in > 0 {
		bound = 1 / math.Sqrt(float64(in))
	}
	Uniform(rng, w, -bound, bound)
	if b != nil {
		Uniform(rng, b, -bound, bound)
	}
}

// Forward maps x [..., in] to [..., out].
func (l *Linear) Forward(x *tensor.Tensor) *tensor.Tensor { // x [..., in]
	return tensor.Linear(x, l.Weight, l.Bias) // [..., out]
}

// Embedding is a table of vectors, looked up by number.
type Embedding struct {
	Weight *tensor.Tensor // [n, dim]

	padding *int
}

// EmbeddingOptions are the options of NewEmbedding.
type EmbeddingOptions struct {
	PaddingIndex *int // a row that starts as zeros and takes no gradient; nil for none
	DType        tensor.DType
	Device       backend.Device // nil: the CPU
}

// NewEmbedding has n vectors of dim numbers, drawn from the standard normal
// distribution.
func NewEmbedding(rng *random.Generator, n, dim int, o EmbeddingOptions) *Embedding {
	e := &Embedding{Weight: makerOf(o.DType, o.Device).param(n, dim)}
	Normal(rng, e.Weight, 0, 1)
	if o.PaddingIndex != nil {
		i := *o.PaddingIndex
		if i < 0 {
			i += n
		}
		if i < 0 || i >= n {
			tensor.Fail("embedding", "padding index %d is not in a table of %d", *o.PaddingIndex, n)
		}
		e.padding = &i
		assign(e.Weight, func(s *tensor.Scope) *tensor.Tensor {
			row := tensor.Arange(s, tensor.Int64, 0, float64(n), 1).EqScalar(float64(i))
			return e.Weight.Detach().MaskedFill(row.Unsqueeze(1), 0)
		})
	}
	return e
}

// Forward looks up index [...], of integers: [..., dim].
func (e *Embedding) Forward(index *tensor.Tensor) *tensor.Tensor {
	return tensor.Embedding(e.Weight, index, tensor.EmbeddingOptions{PaddingIndex: e.padding})
}

// Flatten makes one axis of all but the first.
type Flatten struct{}

// Forward maps x [N, ...] to [N, rest].
func (Flatten) Forward(x *tensor.Tensor) *tensor.Tensor { return x.Flatten(1, -1) }

// Identity returns its input.
type Identity struct{}

// Forward returns x.
func (Identity) Forward(x *tensor.Tensor) *tensor.Tensor { return x }
