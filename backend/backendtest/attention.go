package backendtest

import (
	"math"

	"github.com/descent-ml/descent/backend"
)

func testAttention(b *bench) {
	dev, ok := b.dev.(backend.AttentionDevice)
	if !ok {
		b.Log("no AttentionDevice")
		return
	}
	// Batch, heads of queries and of keys, queries, keys, features.
	for _, c := range []struct {
		name string
		size [6]int
	}{
		{"one of all", [6]int{1, 1, 1, 1, 1, 1}},
		{"small", [6]int{2, 2, 2, 5, 5, 8}},
		{"an odd head", [6]int{1, 3, 3, 7, 11, 5}},
		{"more queries than keys", [6]int{1, 2, 2, 9, 4, 16}},
		{"groups of heads", [6]int{2, 6, 2, 4, 6, 8}},
		{"one head of keys", [6]int{1, 4, 1, 3, 3, 32}},
		{"one query", [6]int{2, 2, 1, 1, 70, 64}},
		{"several tiles", [6]int{1, 2, 2, 130, 300, 64}},
		{"a large head", [6]int{1, 1, 1, 17, 70, 128}},
		{"no keys", [6]int{1, 2, 2, 3, 0, 4}},
		{"no queries", [6]int{1, 2, 2, 0, 3, 4}},
		{"an empty batch", [6]int{0, 2, 2, 3, 3, 4}},
	} {
		b.sub(c.name, func(b *bench) {
			large := c.size[3]*c.size[4] > 1000
			b.floats("Attention", func(d backend.DType) (ran bool) {
				for i, in := range []layout{contiguous, transposed, headsInside, gapped} {
					if large && i%2 == 1 {
						continue
					}
					for _, causal := range []bool{false, true} {
						p := backend.AttentionParams{Scale: 1 / math.Sqrt(float64(c.size[5])), Causal: causal}
						out := []layout{contiguous, headsInside, offset, transposed}[i]
						ran = b.attention(dev, d, c.size, p, in, out, 1) || ran
					}
				}
				// Scores beyond exp's range.
				if d == backend.Float32 || d == backend.Float64 {
					b.attention(dev, d, c.size, backend.AttentionParams{Scale: 0.5}, contiguous, contiguous, 40)
				}
				return ran
			})
		})
	}
}

// headsInside is the order batch, length, heads, features, in which a layer's
// projection leaves the heads.
var headsInside = dense("heads-inside", 0, func(rank int) []int {
	if rank != 4 {
		return rowMajor(rank)
	}
	return []int{0, 2, 1, 3}
})

func (b *bench) attention(dev backend.AttentionDevice, d backend.DType, size [6]int, p backend.AttentionParams, in, out layout, spread float64) bool {
	defer b.free()
	B, H, G, L, S, E := size[0], size[1], size[2], size[3], size[4], size[5]
	queries, keys, wide := []int{B, H, L, E}, []int{B, G, S, E}, statistics(d)
	q, g := b.array(d, queries, in, b.random(d, -2*spread, 2*spread, 997)), b.array(d, queries, in, b.random(d, -1, 1, 991))
	k, v := b.array(d, keys, in, b.random(d, -2, 2, 983)), b.array(d, keys, in, b.random(d, -2, 2, 977))
	o, lse := b.output(d, queries, out), b.output(wide, queries[:3], contiguous)
	call := describe("Attention", q, k)
	if !b.ran("Attention", d, dev.Attention(o.Array, lse.Array, q.Array, k.Array, v.Array, p), o, lse) {
		return false
	}
	got, gotLSE := b.read(call, o), b.read(call+" lse", lse)
	w := newAttended(d, size, p, q.values(), k.values(), v.values(), g.values())
	b.close(call, d, got, w.out, w.outSums)
	b.close(call+" lse", wide, gotLSE, w.lse, w.lseSums)

	// The backward kernel is given what the true forward makes.
	y, l := b.array(d, queries, contiguous, append(w.out, 0)), b.array(wide, queries[:3], offset, append(w.lse, 0))
	dq, dk, dv := b.output(d, queries, out), b.output(d, keys, out), b.output(d, keys, contiguous)
	if !b.ran("AttentionBackward", d, dev.AttentionBackward(dq.Array, dk.Array, dv.Array, g.Array, y.Array, l.Array, q.Array, k.Array, v.Array, p), dq, dk, dv) {
		return false
	}
	b.close(call+" dq", d, b.read(call+" dq", dq), w.dq, w.dqSums)
	b.close(call+" dk", d, b.read(call+" dk", dk), w.dk, w.dkSums)
	b.close(call+" dv", d, b.read(call+" dv", dv), w.dv, w.dvSums)
	return true
}

// attended is the attention of [B, H, L, E] to [B, G, S, E] and its gradients, by
// the definition, and what rounding may cost: an error in a score, which is that of
// a sum of products, is one of its weight in proportion. The gradients are those for
// out as d holds it. Weights may be rounded to d, too.
type attended struct {
	out, lse, dq, dk, dv                     []float64
	outSums, lseSums, dqSums, dkSums, dvSums []float64
}

func newAttended(d backend.DType, size [6]int, p backend.AttentionParams, q, k, v, g []float64) *attended {
	B, H, G, L, S, E := size[0], size[1], size[2], size[3], size[4], size[5]
	a := &attended{}
	rounding := 0.0
	if d == backend.Float16 || d == backend.BFloat16 {
		rounding = tolerance[d].rel / tolerance[d].sum
	}
	for _, s := range []*[]float64{&a.out, &a.dq, &a.outSums, &a.dqSums} {
		*s = make([]float64, len(q))
	}
	for _, s := range []*[]float64{&a.dk, &a.dv, &a.dkSums, &a.dvSums} {
		*s = make([]float64, len(k))
	}
	for bh := range B * H {
		kv := (bh/H*G + bh%H/(H/G)) * S * E
		for i := range L {
			at := (bh*L + i) * E
			qi, gi := q[at:at+E], g[at:at+E]
			n := S
			if p.Causal {
				n = min(S, i+1)
			}
			scores, rough := make([]float64, n), 1.0
			top := math.Inf(-1)
			for j := range scores {
				magnitude := 0.0
				for e, x := range qi {
					scores[j] += p.Scale * x * k[kv+j*E+e]
					magnitude += math.Abs(p.Scale * x * k[kv+j*E+e])
				}
				top, rough = max(top, scores[j]), max(rough, 4*magnitude)
			}
			sum := 0.0
			for _, s := range scores {
				sum += math.Exp(s - top)
			}
			lse := top + math.Log(sum)
			if n == 0 {
				lse = math.Inf(-1)
			}
			a.lse, a.lseSums = append(a.lse, lse), append(a.lseSums, rough)
			rough += rounding
			for j, s := range scores {
				w := math.Exp(s - lse)
				for e := range E {
					a.out[at+e] += w * v[kv+j*E+e]
					a.outSums[at+e] += rough * w * math.Abs(v[kv+j*E+e])
				}
			}
			dot, dotSum := 0.0, 0.0
			for e, x := range gi {
				y := x * round(d, a.out[at+e])
				dot += y
				dotSum += math.Abs(y)
			}
			for j, s := range scores {
				w, dw, dwSum := math.Exp(s-lse), 0.0, 0.0
				for e, x := range gi {
					dw += x * v[kv+j*E+e]
					dwSum += math.Abs(x * v[kv+j*E+e])
					a.dv[kv+j*E+e] += w * x
					a.dvSums[kv+j*E+e] += rough * w * math.Abs(x)
				}
				ds, dsSum := p.Scale*w*(dw-dot), p.Scale*w*rough*(dwSum+dotSum)
				for e, x := range qi {
					a.dq[at+e] += ds * k[kv+j*E+e]
					a.dqSums[at+e] += dsSum * math.Abs(k[kv+j*E+e])
					a.dk[kv+j*E+e] += ds * x
					a.dkSums[kv+j*E+e] += dsSum * math.Abs(x)
				}
			}
		}
	}
	return a
}
