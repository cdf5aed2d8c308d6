package tensor

import (
	"cmp"
	"errors"
	"math"
	"slices"

	"github.com/descent-ml/descent/backend"
)

// attentionFused asks the device for attention that never stores the scores. It
// returns nil for what the device has no kernel for.
func attentionFused(op string, q, k, v *Tensor, p backend.AttentionParams, grouped bool) *Tensor {
	d, ok := q.dev.(backend.AttentionDevice)
	if !ok || q.NumEl() == 0 || k.NumEl() == 0 || !attendable(q, k, v, grouped) {
		return nil
	}
	y := attendHeads(op, d, fourAxes(q), fourAxes(k), fourAxes(v), p)
	if y == nil {
		return nil
	}
	return y.Reshape(q.Shape()...)
}

// attendable reports whether q, k and v need no broadcasting.
func attendable(q, k, v *Tensor, grouped bool) bool {
	if !sameShape(k.Shape(), v.Shape()) || q.Dim() != k.Dim() {
		return false
	}
	batch, heads := max(0, q.Dim()-3), max(0, q.Dim()-2)
	if grouped {
		return q.Dim() > 2 && sameShape(q.Shape()[:batch], k.Shape()[:batch]) && q.Size(batch)%k.Size(batch) == 0
	}
	return sameShape(q.Shape()[:heads], k.Shape()[:heads])
}

// fourAxes is x [..., L, E] as [B, H, L, E].
func fourAxes(x *Tensor) *Tensor {
	for x.Dim() < 4 {
		x = x.Unsqueeze(0)
	}
	return x.Flatten(0, x.Dim()-4)
}

// attendHeads computes attention of [B, H, L, E], or nil.
func attendHeads(op string, d backend.AttentionDevice, q, k, v *Tensor, p backend.AttentionParams) *Tensor {
	s := placeAll(op, q, k, v)
	y := emptyOrdered(op, q.dev, s, q.DType(), q.Shape(), strideOrder(q))
	lse := empty(op, q.dev, s, statistics(q.DType()), q.Shape()[:3])
	err := d.Attention(y.arr, lse.arr, q.arr, k.arr, v.arr, p)
	if errors.Is(err, backend.ErrUnsupported) {
		free(y, lse)
		return nil
	}
	check(op, err)
	recordJoint(op, []*Tensor{y, lse}, []*Tensor{q, k, v}, func(b *Back, gs []*Tensor) []*Tensor {
		if gs[0] == nil {
			return nil
		}
		return attentionGrad(op+"_backward", b, gs[0], p)
	})
	free(lse)
	return y
}

// strideOrder lists x's axes from the largest stride to the smallest: results in
// that order lie as the heads of a projection do, and merge again without a copy.
func strideOrder(x *Tensor) []int {
	axes := make([]int, x.Dim())
	for i := range axes {
		axes[i] = i
	}
	slices.SortStableFunc(axes, func(i, j int) int { return cmp.Compare(x.arr.Strides[j], x.arr.Strides[i]) })
	return axes
}

func attentionGrad(op string, b *Back, g *Tensor, p backend.AttentionParams) []*Tensor {
	q, k, v := b.In(0), b.In(1), b.In(2)
	if d, ok := q.dev.(backend.AttentionDevice); ok && !b.Recording() {
		y, lse := b.Out(0), b.Out(1)
		s := placeAll(op, q, k, v)
		like := func(x *Tensor) *Tensor { return emptyOrdered(op, x.dev, s, x.DType(), x.Shape(), strideOrder(x)) }
		dq, dk, dv := like(q), like(k), like(v)
		err := d.AttentionBackward(dq.arr, dk.arr, dv.arr, g.arr, y.arr, lse.arr, q.arr, k.arr, v.arr, p)
		if !errors.Is(err, backend.ErrUnsupported) {
			check(op, err)
			return []*Tensor{dq, dk, dv}
		}
		free(dq, dk, dv)
	}
	// With P the weights and dP = g·vᵀ: dv = Pᵀ·g and, with dS = P·(dP - Σ dP·P), dq = dS·k and dk = dSᵀ·q.
	group := q.Size(1) / k.Size(1)
	shared := k
	if group > 1 {
		shared, v = k.RepeatInterleave(1, group), v.RepeatInterleave(1, group)
	}
	scores := q.MulScalar(p.Scale).MatMul(shared.Transpose(-2, -1))
	if p.Causal {
		scores = scores.MaskedFill(causalMask(scores), math.Inf(-1))
	}
	weights := scores.Softmax(-1)
	dw := g.MatMul(v.Transpose(-2, -1)).Mul(weights)
	ds := dw.Sub(weights.Mul(dw.SumKeep(-1))).MulScalar(p.Scale)
	each := func(x *Tensor) *Tensor { // undoes the sharing
		if group > 1 {
			x = x.Reshape(x.Size(0), -1, group, x.Size(2), x.Size(3)).Sum(2)
		}
		return x
	}
	return []*Tensor{ds.MatMul(shared), each(ds.Transpose(-2, -1).MatMul(q)), each(weights.Transpose(-2, -1).MatMul(g))}
}
