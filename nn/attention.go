package nn

import (
	"math"
	"slices"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/tensor"
)

// MultiHeadAttention lets each query look at all keys, several times at once:
// Vaswani et al., "Attention is all you need" (2017).
type MultiHeadAttention struct {
	Mode
	InProjWeight *tensor.Tensor // [3·embed, embed]: of queries, keys, values; or nil, and
	QProjWeight  *tensor.Tensor // [embed, embed]
	KProjWeight  *tensor.Tensor // [embed, KDim]
	VProjWeight  *tensor.Tensor // [embed, VDim]
	InProjBias   *tensor.Tensor // [3·embed], or nil
	BiasK        *tensor.Tensor // [1, 1, embed], a further key, or nil
	BiasV        *tensor.Tensor // [1, 1, embed], its value, or nil
	OutProj      *Linear

	embed, heads int
	options      MultiHeadAttentionOptions
}

// MultiHeadAttentionOptions are the options of NewMultiHeadAttention.
type MultiHeadAttentionOptions struct {
	KDim, VDim  int     // features of keys and values; 0 is embed
	Dropout     float64 // of attention weights
	NoBias      bool
	AddBiasKV   bool // add a learned key and value
	AddZeroAttn bool // add a key and value of zeros
	BatchFirst  bool // tensors are [N, L, ...] instead of [L, N, ...]
	DType       tensor.DType
	Device      backend.Device // nil: the CPU
}

// NewMultiHeadAttention splits embed features over heads. Projections are drawn
// as XavierUniform does, and biases are zeros.
func NewMultiHeadAttention(rng *random.Generator, embed, heads int, o MultiHeadAttentionOptions) *MultiHeadAttention {
	if heads <= 0 || embed%heads != 0 {
		tensor.Fail("attention", "%d features do not split over %d heads", embed, heads)
	}
	checkProbability("attention", o.Dropout)
	make := makerOf(o.DType, o.Device)
	a := &MultiHeadAttention{embed: embed, heads: heads, options: o}
	kdim, vdim := orDefault(o.KDim, embed), orDefault(o.VDim, embed)
	if kdim == embed && vdim == embed {
		a.InProjWeight = make.param(3*embed, embed)
		XavierUniform(rng, a.InProjWeight, 1)
	} else {
		a.QProjWeight, a.KProjWeight, a.VProjWeight = make.param(embed, embed), make.param(embed, kdim), make.param(embed, vdim)
		for _, w := range []*tensor.Tensor{a.QProjWeight, a.KProjWeight, a.VProjWeight} {
			XavierUniform(rng, w, 1)
		}
	}
	a.OutProj = NewLinear(rng, embed, embed, LinearOptions{NoBias: o.NoBias, DType: o.DType, Device: o.Device})
	if !o.NoBias {
		a.InProjBias = make.param(3 * embed)
		Zeros(a.OutProj.Bias)
	}
	if o.AddBiasKV {
		a.BiasK, a.BiasV = make.param(1, 1, embed), make.param(1, 1, embed)
		XavierNormal(rng, a.BiasK, 1)
		XavierNormal(rng, a.BiasV, 1)
	}
	return a
}

// AttentionOptions say what queries may look at and what is returned.
type AttentionOptions struct {
	// Mask is [L, S] or [N·heads, L, S]: of Bool, true where a query must not look
	// at a key (as in torch.nn.MultiheadAttention; tensor.ScaledDotProductAttention
	// takes the opposite); of floats, added to the scores.
	Mask *tensor.Tensor
	// KeyPaddingMask is [N, S], or [S] for one sequence: of Bool, true for keys that
	// no query must look at; of floats, added to the scores.
	KeyPaddingMask *tensor.Tensor
	// Causal lets query i look at keys 0 to i only.
	Causal bool
	// Weights asks for the attention weights, averaged over heads; EachHead for
	// those of each. PyTorch returns them by default, although a fused kernel has none.
	Weights, EachHead bool
}

// Forward lets the queries q [L, N, embed] look at the keys k [S, N, KDim] with
// values v [S, N, VDim] ([N, L, ...] with BatchFirst, or one sequence without N):
// out is of q's shape. weights is nil, or [N, L, S], or [N, heads, L, S]. A query
// that may look at no key finds zeros.
func (a *MultiHeadAttention) Forward(q, k, v *tensor.Tensor, o AttentionOptions) (out, weights *tensor.Tensor) {
	single := q.Dim() == 2
	if !slices.Contains([]int{2, 3}, q.Dim()) || k.Dim() != q.Dim() || v.Dim() != q.Dim() {
		tensor.Fail("attention", "queries %v, keys %v, values %v: all must be [L, N, features], or [L, features]", q.Shape(), k.Shape(), v.Shape())
	}
	q, k, v = a.project(q, k, v) // [N, heads, L, embed/heads]
	if k.Size(2) != v.Size(2) || k.Size(0) != q.Size(0) || v.Size(0) != q.Size(0) {
		tensor.Fail("attention", "a batch of %d by %d queries, %d by %d keys, %d by %d values", q.Size(0), q.Size(2), k.Size(0), k.Size(2), v.Size(0), v.Size(2))
	}
	length := k.Size(2)
	k, v = a.extend(k, v)
	mask := a.mask(q, length, k.Size(2), o)
	training := false
	if a.options.Dropout > 0 {
		training, q = a.Training(q, "MultiHeadAttention")
	}
	if o.Weights || o.EachHead {
		weights = attentionWeights(q, k, mask)
		if training {
			weights = a.dropout(weights, "MultiHeadAttention", a.options.Dropout)
		}
		out = weights.MatMul(v)
		if !o.EachHead {
			weights = weights.Mean(1)
		}
		if single {
			weights = weights.Squeeze(0)
		}
	} else {
		s := tensor.AttentionOptions{Mask: mask}
		if training {
			s.Dropout = a.options.Dropout
		}
		out = tensor.ScaledDotProductAttention(q, k, v, s)
	}
	order := []int{2, 0, 1, 3} // to [L, N, heads, embed/heads]
	if a.options.BatchFirst && !single {
		order = []int{0, 2, 1, 3}
	}
	out = a.OutProj.Forward(out.Permute(order...).Flatten(2, 3))
	if single {
		out = out.Squeeze(1)
	}
	return out, weights
}

// project maps queries, keys and values to [N, heads, L, embed/heads].
func (a *MultiHeadAttention) project(q, k, v *tensor.Tensor) (_, _, _ *tensor.Tensor) {
	if a.InProjWeight != nil && q == k && k == v {
		all := tensor.Linear(q, a.InProjWeight, a.InProjBias)
		return a.split(all.Narrow(-1, 0, a.embed)), a.split(all.Narrow(-1, a.embed, a.embed)), a.split(all.Narrow(-1, 2*a.embed, a.embed))
	}
	weights := []*tensor.Tensor{a.QProjWeight, a.KProjWeight, a.VProjWeight}
	out := []*tensor.Tensor{q, k, v}
	for i, x := range out {
		w, b := weights[i], a.InProjBias
		if a.InProjWeight != nil {
			w = a.InProjWeight.Narrow(0, i*a.embed, a.embed)
		}
		if b != nil {
			b = b.Narrow(0, i*a.embed, a.embed)
		}
		out[i] = a.split(tensor.Linear(x, w, b))
	}
	return out[0], out[1], out[2]
}

// split turns [L, N, embed] into [N, heads, L, embed/heads].
func (a *MultiHeadAttention) split(x *tensor.Tensor) *tensor.Tensor {
	if x.Dim() == 2 {
		x = x.Unsqueeze(1)
	} else if a.options.BatchFirst {
		x = x.Transpose(0, 1)
	}
	return x.Reshape(x.Size(0), x.Size(1), a.heads, a.embed/a.heads).Permute(1, 2, 0, 3)
}

// extend adds the keys and values that are no part of the input.
func (a *MultiHeadAttention) extend(k, v *tensor.Tensor) (_, _ *tensor.Tensor) {
	row := []int{k.Size(0), a.heads, 1, a.embed / a.heads}
	if a.BiasK != nil {
		k = tensor.Cat([]*tensor.Tensor{k, a.BiasK.Reshape(1, a.heads, 1, -1).Expand(row...)}, 2)
		v = tensor.Cat([]*tensor.Tensor{v, a.BiasV.Reshape(1, a.heads, 1, -1).Expand(row...)}, 2)
	}
	if a.options.AddZeroAttn {
		zero := tensor.Zeros(k.Place(), k.DType(), row...)
		k, v = tensor.Cat([]*tensor.Tensor{k, zero}, 2), tensor.Cat([]*tensor.Tensor{v, zero}, 2)
	}
	return k, v
}

// mask joins the masks of o to one that broadcasts to [N, heads, L, total], as
// ScaledDotProductAttention takes it; nil if there is none. Keys from length on
// were added and are seen by all.
func (a *MultiHeadAttention) mask(q *tensor.Tensor, length, total int, o AttentionOptions) *tensor.Tensor {
	n, queries := q.Size(0), q.Size(2)
	var masks []*tensor.Tensor
	if m := o.Mask; m != nil {
		switch {
		case slices.Equal(m.Shape(), []int{n * a.heads, queries, length}):
			m = m.Reshape(n, a.heads, queries, length)
		case !slices.Equal(m.Shape(), []int{queries, length}):
			tensor.Fail("attention", "a mask of shape %v: [%d, %d] or [%d, %d, %d] is needed", m.Shape(), queries, length, n*a.heads, queries, length)
		}
		masks = append(masks, m)
	}
	if m := o.KeyPaddingMask; m != nil {
		if !slices.Equal(m.Shape(), []int{n, length}) && !(n == 1 && slices.Equal(m.Shape(), []int{length})) {
			tensor.Fail("attention", "a key padding mask of shape %v: [%d, %d] is needed", m.Shape(), n, length)
		}
		masks = append(masks, m.Reshape(n, 1, 1, length))
	}
	if o.Causal {
		key := tensor.Arange(q.Place(), tensor.Int64, 0, float64(length), 1)
		query := tensor.Arange(q.Place(), tensor.Int64, 0, float64(queries), 1)
		masks = append(masks, key.Gt(query.Unsqueeze(1)))
	}
	var hidden, bias *tensor.Tensor
	for _, m := range masks {
		switch {
		case m.DType().IsFloat() && bias == nil:
			bias = m
		case m.DType().IsFloat():
			bias = bias.Add(m)
		case hidden == nil:
			hidden = m
		default:
			hidden = hidden.LogicalOr(m)
		}
	}
	joined := bias
	switch {
	case bias != nil && hidden != nil:
		shape := tensor.BroadcastShapes(bias.Shape(), hidden.Shape())
		joined = bias.Expand(shape...).MaskedFill(hidden, math.Inf(-1))
	case hidden != nil:
		joined = hidden.LogicalNot()
	}
	if joined == nil || total == length {
		return joined
	}
	shape := append([]int{}, joined.Shape()...)
	shape[len(shape)-1] = total - length
	seen := tensor.Zeros(q.Place(), joined.DType(), shape...)
	if joined.DType() == tensor.Bool {
		seen = tensor.Ones(q.Place(), tensor.Bool, shape...)
	}
	return tensor.Cat([]*tensor.Tensor{joined, seen}, -1)
}

// attentionWeights are those that ScaledDotProductAttention has inside.
func attentionWeights(q, k, mask *tensor.Tensor) *tensor.Tensor {
	scores := q.MulScalar(1 / math.Sqrt(float64(q.Size(-1)))).MatMul(k.Transpose(-2, -1))
	if mask == nil {
		return scores.Softmax(-1)
	}
	if mask.DType() == tensor.Bool {
		scores = scores.MaskedFill(mask.LogicalNot(), math.Inf(-1))
	} else {
		scores = scores.Add(mask)
	}
	blind := scores.Detach().AMaxKeep(-1).EqScalar(math.Inf(-1)) // whose softmax would be 0/0
	return scores.MaskedFill(blind, 0).Softmax(-1).MaskedFill(blind, 0)
}
