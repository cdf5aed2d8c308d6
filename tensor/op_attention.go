package tensor

import (
	"math"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/random"
)

// AttentionOptions are those of ScaledDotProductAttention.
type AttentionOptions struct {
	// Mask is broadcast to [..., L, S]: of Bool, true where a query may look at a
	// key; of floats, added to the scores.
	Mask *Tensor
	// Causal lets query i look at keys 0 to i; not beside Mask.
	Causal bool
	// Scale multiplies the scores; zero is 1/√E.
	Scale float64
	// Dropout is the probability of dropping a weight, drawn from the scope's
	// generator; layers leave it out in eval mode.
	Dropout float64
	// GroupedQueries lets groups of query heads share a head of keys and values:
	// the axis before the last two of q is a multiple of theirs.
	GroupedQueries bool
}

// ScaledDotProductAttention is softmax(q·kᵀ·Scale + mask)·v for q [..., L, E], k
// [..., S, E] and v [..., S, D]: [..., L, D]. A query that may look at no key
// gets zeros.
func ScaledDotProductAttention(q, k, v *Tensor, o AttentionOptions) *Tensor {
	const op = "scaled_dot_product_attention"
	attend := func(in []*Tensor) *Tensor { return ScaledDotProductAttention(in[0], in[1], in[2], o) }
	if y := lower(op, attend, q, k, v); y != nil {
		return y
	}
	s := placeAll(op, q, k, v)
	if o.Mask != nil {
		s = joinScopes(op, s, place2(op, q, o.Mask))
	}
	if q.Dim() < 2 || k.Dim() < 2 || v.Dim() < 2 || q.Size(-1) != k.Size(-1) || k.Size(-2) != v.Size(-2) {
		Fail(op, "queries %v, keys %v, values %v: [..., L, E], [..., S, E], [..., S, D] are needed", q.Shape(), k.Shape(), v.Shape())
	}
	if dt := q.DType(); !dt.IsFloat() || dt != k.DType() || dt != v.DType() {
		Fail(op, "queries %v, keys %v, values %v: one floating-point dtype is needed", q.DType(), k.DType(), v.DType())
	}
	if o.Causal && o.Mask != nil {
		Fail(op, "Causal and Mask are both given")
	}
	scale := o.Scale
	if scale == 0 {
		scale = 1 / math.Sqrt(float64(q.Size(-1)))
	}
	var g *random.Generator
	if s != nil {
		g = s.Rand()
	}
	return composed(func(in []*Tensor) *Tensor {
		q, k, v, mask := in[0], in[1], in[2], in[3]
		if mask == nil && o.Dropout == 0 {
			if y := attentionFused(op, q, k, v, backend.AttentionParams{Scale: scale, Causal: o.Causal}, o.GroupedQueries); y != nil {
				return y
			}
		}
		if o.GroupedQueries {
			k, v = shareHeads(op, q, k), shareHeads(op, q, v)
		}
		// q is scaled, not the scores: it is the smaller one.
		scores := q.MulScalar(scale).MatMul(k.Transpose(-2, -1))
		var blind *Tensor // queries that may look at no key, whose softmax would be 0/0
		switch {
		case o.Causal:
			scores = scores.MaskedFill(causalMask(scores), math.Inf(-1))
		case mask != nil:
			if mask.DType() == Bool {
				scores = scores.MaskedFill(mask.LogicalNot(), math.Inf(-1))
			} else {
				scores = scores.Add(mask)
			}
			blind = compose(scores.scope, func(in []*Tensor) *Tensor {
				return in[0].AMaxKeep(-1).EqScalar(math.Inf(-1))
			}, scores)
			scores = scores.MaskedFill(blind, 0)
		}
		weights := scores.Softmax(-1)
		if blind != nil {
			weights = weights.MaskedFill(blind, 0)
		}
		if o.Dropout != 0 {
			weights = weights.Dropout(o.Dropout, g)
		}
		return weights.MatMul(v)
	}, q, k, v, o.Mask)
}

// causalMask is true where a key comes after the query.
func causalMask(scores *Tensor) *Tensor {
	return compose(scores.scope, func(in []*Tensor) *Tensor {
		p, queries, keys := in[0].Place(), float64(scores.Size(-2)), float64(scores.Size(-1))
		return Arange(p, Int64, 0, keys, 1).Gt(Arange(p, Int64, 0, queries, 1).Unsqueeze(1))
	}, scores)
}

// shareHeads repeats each head of t for a group of q's.
func shareHeads(op string, q, t *Tensor) *Tensor {
	if q.Dim() < 3 || t.Dim() < 3 || t.Size(-3) == 0 || q.Size(-3)%t.Size(-3) != 0 {
		Fail(op, "the heads of queries %v are no multiple of those of %v", q.Shape(), t.Shape())
	}
	return t.RepeatInterleave(-3, q.Size(-3)/t.Size(-3))
}
