package cpu

import (
	"math"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cpu/internal/gemm"
	"github.com/descent-ml/descent/backend/cpu/internal/parallel"
	"github.com/descent-ml/descent/backend/cpu/internal/vec"
)

// The kernels walk tiles of scores, attentionQueries by attentionKeys, and keep a
// running maximum and sum of exponentials for each query (Dao et al., "FlashAttention").
const (
	attentionQueries = 64
	attentionKeys    = 256
)

// Attention computes softmax(q·kᵀ·Scale)·v.
func (d *Device) Attention(out, lse, q, k, v backend.Array, p backend.AttentionParams) error {
	if g := d.capturing(); g != nil {
		return g.attention(out, lse, q, k, v, p)
	}
	switch t := q.DType; {
	case t == backend.Float64:
		attend(attention64, &out, &lse, &q, &k, &v, &p)
		return nil
	case t == backend.Float32:
		attend(attention32, &out, &lse, &q, &k, &v, &p)
		return nil
	case t.IsFloat():
		return d.inFloat32(func(a []backend.Array) error {
			return d.Attention(a[0], lse, a[1], a[2], a[3], p)
		}, []*backend.Array{&out}, &q, &k, &v)
	}
	return unsupported("Attention", q.DType)
}

// AttentionBackward computes the gradients of q, k and v.
func (d *Device) AttentionBackward(dq, dk, dv, g, out, lse, q, k, v backend.Array, p backend.AttentionParams) error {
	if c := d.capturing(); c != nil {
		return c.attentionBackward(dq, dk, dv, g, out, lse, q, k, v, p)
	}
	switch t := q.DType; {
	case t == backend.Float64:
		attendBackward(attention64, &dq, &dk, &dv, &g, &out, &lse, &q, &k, &v, &p)
		return nil
	case t == backend.Float32:
		attendBackward(attention32, &dq, &dk, &dv, &g, &out, &lse, &q, &k, &v, &p)
		return nil
	case t.IsFloat():
		return d.inFloat32(func(a []backend.Array) error {
			return d.AttentionBackward(a[0], a[1], a[2], a[3], a[4], lse, a[5], a[6], a[7], p)
		}, []*backend.Array{&dq, &dk, &dv}, &g, &out, &q, &k, &v)
	}
	return unsupported("AttentionBackward", q.DType)
}

// attention is what the kernels are made of, in a computing type.
type attention[C float32 | float64] struct {
	exponentials[C]
	multiply func(m, n, k int, a, b, c gemm.Matrix[C], e gemm.Epilogue[C])
	dot      func(x, y []C) C
}

var (
	attention32 = attention[float32]{exponentials32, gemm.Float32, vec.Dot}
	attention64 = attention[float64]{exponentials64, gemm.Float64, dot64}
)

func dot64(x, y []float64) float64 {
	sum := 0.0
	for i, v := range x {
		sum += v * y[i]
	}
	return sum
}

// product computes c = a·b, or adds it to c.
func (f *attention[C]) product(m, n, k int, a, b, c gemm.Matrix[C], add bool) {
	f.multiply(m, n, k, a, b, c, gemm.Epilogue[C]{Accumulate: add})
}

// heads is an array of [batch, heads, length, features].
type heads[C gemm.Float] struct {
	gemm.Matrix[C]
	batch, head int // strides
}

func headsOf[C float32 | float64](a *backend.Array) heads[C] {
	var o operand
	o.point(a)
	return heads[C]{matrix[C](a), a.Strides[0], a.Strides[1]}
}

// from is the matrix of a head from row i on.
func (h *heads[C]) from(batch, head, i int) gemm.Matrix[C] {
	m := h.Matrix
	m.Offset += batch*h.batch + head*h.head + i*m.RowStride
	return m
}

// work is a row-major matrix in memory of its own.
func work[C gemm.Float](rows, cols int) gemm.Matrix[C] {
	return gemm.Matrix[C]{Data: make([]C, rows*cols), RowStride: cols, ColStride: 1}
}

// row is row i of a scratch matrix.
func row[C gemm.Float](m *gemm.Matrix[C], i, n int) []C { return m.Data[i*m.RowStride:][:n] }

// visible is how many of n keys from number k0 on query i may look at.
func visible(p *backend.AttentionParams, i, k0, n int) int {
	if p.Causal {
		n = max(0, min(n, i-k0+1))
	}
	return n
}

func attend[C float32 | float64](f attention[C], out, lse, q, k, v *backend.Array, p *backend.AttentionParams) {
	H, L, E, S := q.Shape[1], q.Shape[2], q.Shape[3], k.Shape[2]
	if out.Size() == 0 && lse.Size() == 0 {
		return
	}
	group := H / k.Shape[1]
	qs, ks, vs, outs := headsOf[C](q), headsOf[C](k), headsOf[C](v), headsOf[C](out)
	blocks := (L-1)/attentionQueries + 1
	parallel.For(q.Shape[0]*H*blocks, 1, func(lo, hi int) {
		scores, acc := work[C](attentionQueries, min(attentionKeys, S)), work[C](attentionQueries, E)
		var top, sum [attentionQueries]C
		for task := lo; task < hi; task++ {
			i0, head, batch := task%blocks*attentionQueries, task/blocks%H, task/blocks/H
			rows := min(attentionQueries, L-i0)
			clear(acc.Data)
			for i := range rows {
				top[i], sum[i] = C(math.Inf(-1)), 0
			}
			keys := visible(p, i0+rows-1, 0, S)
			for k0 := 0; k0 < keys; k0 += attentionKeys {
				n := min(attentionKeys, keys-k0)
				kt := ks.from(batch, head/group, k0).T()
				f.product(rows, n, E, qs.from(batch, head, i0), kt, scores, false)
				for i := range rows {
					s := row(&scores, i, n)
					seen := s[:visible(p, i0+i, k0, n)]
					clear(s[len(seen):])
					f.scale(seen, seen, C(p.Scale))
					was := top[i]
					top[i] = max(was, f.max(seen))
					if math.IsInf(float64(top[i]), -1) { // nothing yet: 0, and not exp(-Inf+Inf)
						clear(seen)
						continue
					}
					keep := C(math.Exp(float64(was - top[i])))
					sum[i] = sum[i]*keep + f.expSum(seen, seen, top[i])
					if keep != 1 {
						a := row(&acc, i, E)
						f.scale(a, a, keep)
					}
				}
				f.product(rows, E, n, scores, vs.from(batch, head/group, k0), acc, true)
			}
			to := outs.from(batch, head, i0)
			for i := range rows {
				a := row(&acc, i, E)
				if sum[i] != 0 {
					f.scale(a, a, 1/sum[i])
				}
				put(&to, i, a)
				at := backend.Array{Buf: lse.Buf, DType: lse.DType, Offset: lse.Offset + batch*lse.Strides[0] + head*lse.Strides[1] + (i0+i)*lse.Strides[2]}
				*(*C)(element(&at, 0)) = top[i] + C(math.Log(float64(sum[i])))
			}
		}
	})
}

// put writes v to row i of m.
func put[C gemm.Float](m *gemm.Matrix[C], i int, v []C) {
	at := m.Offset + i*m.RowStride
	for j, x := range v {
		m.Data[at+j*m.ColStride] = x
	}
}

// get reads row i of m, into buf if it must.
func get[C gemm.Float](m *gemm.Matrix[C], i, n int, buf []C) []C {
	at := m.Offset + i*m.RowStride
	if m.ColStride == 1 {
		return m.Data[at:][:n]
	}
	for j := range n {
		buf[j] = m.Data[at+j*m.ColStride]
	}
	return buf[:n]
}

// attendBackward computes, with P the weights and D the sum of g·out for each query,
// dv = Pᵀ·g and with dS = Scale·P·(g·vᵀ - D): dq = dS·k, dk = dSᵀ·q. A task has a head
// of keys and all that looks at it, so that no two add to one place.
func attendBackward[C float32 | float64](f attention[C], dq, dk, dv, g, out, lse, q, k, v *backend.Array, p *backend.AttentionParams) {
	H, L, E, G, S := q.Shape[1], q.Shape[2], q.Shape[3], k.Shape[1], k.Shape[2]
	if q.Shape[0] == 0 || G == 0 || E == 0 {
		return
	}
	group := H / G
	qs, ks, vs, gs, outs := headsOf[C](q), headsOf[C](k), headsOf[C](v), headsOf[C](g), headsOf[C](out)
	dqs, dks, dvs := headsOf[C](dq), headsOf[C](dk), headsOf[C](dv)
	logs := *lse
	logs.Shape, logs.Strides = append(append([]int{}, lse.Shape...), 1), append(append([]int{}, lse.Strides...), 1)
	lses := headsOf[C](&logs)
	parallel.Tasks(q.Shape[0]*G, func(task int) {
		batch, kv := task/G, task%G
		rows, cols := min(attentionQueries, L), min(attentionKeys, S)
		weights, ds := work[C](rows, cols), work[C](rows, cols)
		sumQ, sumK, sumV := work[C](group*L, E), work[C](cols, E), work[C](cols, E)
		buf, buf2 := make([]C, E), make([]C, E)
		dots := make([]C, group*L)
		for h := range group {
			gh, oh := gs.from(batch, kv*group+h, 0), outs.from(batch, kv*group+h, 0)
			for i := range L {
				dots[h*L+i] = f.dot(get(&gh, i, E, buf), get(&oh, i, E, buf2))
			}
		}
		for k0 := 0; k0 < S; k0 += attentionKeys {
			n := min(attentionKeys, S-k0)
			clear(sumK.Data)
			clear(sumV.Data)
			first := 0
			if p.Causal {
				first = k0 / attentionQueries * attentionQueries
			}
			kb, vb := ks.from(batch, kv, k0), vs.from(batch, kv, k0)
			for h := range group {
				head := kv*group + h
				for i0 := first; i0 < L; i0 += attentionQueries {
					rows := min(attentionQueries, L-i0)
					qb, gb, lb := qs.from(batch, head, i0), gs.from(batch, head, i0), lses.from(batch, head, i0)
					f.product(rows, n, E, qb, kb.T(), weights, false)
					f.product(rows, n, E, gb, vb.T(), ds, false)
					for i := range rows {
						w, s := row(&weights, i, n), row(&ds, i, n)
						l := lb.Data[lb.Offset+i*lb.RowStride]
						seen := visible(p, i0+i, k0, n)
						if math.IsInf(float64(l), -1) {
							seen = 0
						}
						clear(w[seen:])
						clear(s[seen:])
						w, s = w[:seen], s[:seen]
						f.scale(w, w, C(p.Scale))
						f.expSum(w, w, l)
						dot, scale := dots[h*L+i0+i], C(p.Scale)
						for j, x := range s {
							s[j] = w[j] * (x - dot) * scale
						}
					}
					f.product(n, E, rows, weights.T(), gb, sumV, true)
					f.product(n, E, rows, ds.T(), qb, sumK, true)
					to := sumQ
					to.Offset = (h*L + i0) * E
					f.product(rows, E, n, ds, kb, to, true)
				}
			}
			toK, toV := dks.from(batch, kv, k0), dvs.from(batch, kv, k0)
			for i := range n {
				put(&toK, i, row(&sumK, i, E))
				put(&toV, i, row(&sumV, i, E))
			}
		}
		for h := range group {
			to := dqs.from(batch, kv*group+h, 0)
			for i := range L {
				put(&to, i, row(&sumQ, h*L+i, E))
			}
		}
	})
}
