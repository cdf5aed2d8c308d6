package cpu

import (
	"unsafe"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cpu/internal/vec"
)

// SumSquares adds up the squares of all elements of xs, in float64. Each piece has
// a sum of its own, so that the result does not depend on the threads.
func (d *Device) SumSquares(out backend.Array, xs []backend.Array) error {
	if g := d.capturing(); g != nil {
		return g.sumSquares(out, xs)
	}
	for i := range xs {
		if t := xs[i].DType; !t.IsFloat() {
			return unsupported("SumSquares", t)
		}
	}
	sums := make([]float64, len(piecesOf(xs)))
	eachPiece(xs, func(i int, q piece) { sums[i] = pieceSquares(&xs[q.array], q.lo, q.hi) })
	total := 0.0
	for _, s := range sums {
		total += s
	}
	*(*float64)(element(&out, 0)) = total
	return nil
}

func pieceSquares(x *backend.Array, lo, hi int) float64 {
	if x.DType == backend.Float64 {
		return squares(unsafe.Slice((*float64)(element(x, lo)), hi-lo))
	}
	buf := codec32.get()
	defer codec32.put(buf)
	total := 0.0
	for ; lo < hi; lo += blockLen {
		n := min(blockLen, hi-lo)
		v := buf[0][:n]
		if x.DType == backend.Float32 {
			v = unsafe.Slice((*float32)(element(x, lo)), n)
		} else {
			codec32.load[x.DType](v, element(x, lo), 1)
		}
		s := float64(vec.Dot(v, v))
		if !(s >= 1e-24 && s <= 1e30) { // beside what float32 holds well
			s = squares(v)
		}
		total += s
	}
	return total
}

func squares[T float32 | float64](x []T) float64 {
	var s [4]float64
	for len(x) >= 4 {
		for j := range s {
			s[j] += float64(x[j]) * float64(x[j])
		}
		x = x[4:]
	}
	for _, v := range x {
		s[0] += float64(v) * float64(v)
	}
	return s[0] + s[1] + (s[2] + s[3])
}
