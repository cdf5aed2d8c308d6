package gemm

import (
	"fmt"

	"github.com/descent-ml/descent/backend/cpu/internal/parallel"
)

func multiply[T Float](p problem[T], batch []BatchDim) {
	count := 1
	for _, d := range batch {
		count *= d.Size
	}
	if p.m < 0 || p.n < 0 || p.k < 0 {
		panic(fmt.Sprintf("gemm: negative size %d×%d×%d", p.m, p.k, p.n))
	}
	if p.m == 0 || p.n == 0 || count == 0 {
		return
	}
	check("C", p.c, p.m, p.n, batch, func(d BatchDim) int { return d.C })
	if p.k > 0 && p.a.pack == nil {
		check("A", p.a.Matrix, p.m, p.k, batch, func(d BatchDim) int { return d.A })
	}
	if p.k > 0 && p.b.pack == nil {
		check("B", p.b.Matrix, p.k, p.n, batch, func(d BatchDim) int { return d.B })
	}
	if p.ep.Bias != nil && len(p.ep.Bias) != p.n {
		panic(fmt.Sprintf("gemm: bias has %d values, C has %d columns", len(p.ep.Bias), p.n))
	}
	parallel.For(count*p.m, 1, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			plain(p, batch, r/p.m, r%p.m)
		}
	})
}

// plain computes one row of one product.
func plain[T Float](p problem[T], batch []BatchDim, at, i int) {
	a, b, c := p.a, p.b, p.c
	for d := len(batch) - 1; d >= 0; d-- {
		x := at % batch[d].Size
		at /= batch[d].Size
		a.Offset += x * batch[d].A
		b.Offset += x * batch[d].B
		c.Offset += x * batch[d].C
	}
	if a.pack != nil {
		a.Data = make([]T, p.k)
		a.pack(a.Data, p.k, i, 1, 0, p.k)
		a.Offset, a.RowStride, a.ColStride = 0, 0, 1
	}
	if b.pack != nil {
		b.Data = make([]T, p.k*p.n)
		b.pack(b.Data, p.n, 0, p.k, 0, p.n)
		b.Offset, b.RowStride, b.ColStride = 0, p.n, 1
	}
	for j := range p.n {
		var s T
		for q := range p.k {
			s += a.Data[a.Offset+i*a.RowStride+q*a.ColStride] * b.Data[b.Offset+q*b.RowStride+j*b.ColStride]
		}
		y := &c.Data[c.Offset+i*c.RowStride+j*c.ColStride]
		if p.ep.Accumulate {
			s += *y
		}
		if p.ep.Bias != nil {
			s += p.ep.Bias[j]
		}
		if p.ep.ReLU && s < 0 {
			s = 0
		}
		*y = s
	}
}
