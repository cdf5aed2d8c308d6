package backendtest

import (
	"math"

	"github.com/descent-ml/descent/backend"
)

var matmulCases = []struct {
	batch     []int
	m, n, k   int
	out, x, y layout
}{
	{nil, 1, 1, 1, contiguous, contiguous, contiguous},
	{nil, 3, 5, 7, contiguous, contiguous, contiguous},
	{nil, 3, 5, 7, transposed, transposed, contiguous},
	{nil, 17, 33, 19, offset, contiguous, transposed},
	{nil, 31, 1, 40, contiguous, gapped, offset},
	{nil, 1, 50, 13, contiguous, transposed, gapped},
	{nil, 8, 16, 0, contiguous, contiguous, contiguous},
	{nil, 0, 4, 3, contiguous, contiguous, contiguous},
	{nil, 4, 0, 3, contiguous, contiguous, contiguous},
	{[]int{3}, 5, 6, 4, contiguous, contiguous, transposed},
	{[]int{3}, 5, 6, 4, contiguous, repeatFirst, contiguous},
	{[]int{3}, 5, 6, 4, contiguous, contiguous, repeatFirst},
	{[]int{2, 3}, 4, 5, 6, contiguous, repeatFirst, channelsLast},
	{[]int{2, 3}, 7, 2, 9, channelsLast, channelsLast, gapped},
	{[]int{0}, 2, 2, 2, contiguous, contiguous, contiguous},
	{[]int{2, 1, 3}, 4, 3, 2, contiguous, oddUnits, contiguous},
	{nil, 6, 7, 5, contiguous, repeatFirst, repeatLast},
	{nil, 6, 7, 5, contiguous, repeatAll, repeatAll},
	{nil, 64, 64, 64, contiguous, contiguous, contiguous},
	{nil, 70, 100, 65, contiguous, transposed, transposed},
	{nil, 257, 129, 60, contiguous, contiguous, contiguous},
	{nil, 33, 50, 931, transposed, contiguous, transposed},
	{nil, 1, 1000, 784, contiguous, contiguous, transposed},
	{[]int{5}, 40, 30, 20, transposed, transposed, contiguous},
}

func testMatMul(b *bench) {
	b.dtypes("MatMul", func(d backend.DType) bool {
		vals := []float64{1, 2, 0, -1, 3, 1, -2}
		if d.IsFloat() {
			vals = b.random(d, -1, 1, 1009)
		} else if d == backend.Uint8 || d == backend.Bool {
			vals = []float64{1, 0, 2, 1, 0}
		}
		for number, c := range matmulCases {
			if c.m*c.n*c.k > 1<<20 && d != backend.Float32 {
				continue
			}
			for i := range 8 { // all epilogues
				if c.m*c.n*c.k > 1<<16 && i != 7 || d != backend.Float32 && i != 0 && i != 7 && i != number%8 {
					continue
				}
				shape := func(r, c int, batch []int) []int { return append(append([]int{}, batch...), r, c) }
				out := b.array(d, shape(c.m, c.n, c.batch), c.out, vals[3:])
				x, y := b.array(d, shape(c.m, c.k, c.batch), c.x, vals), b.array(d, shape(c.k, c.n, c.batch), c.y, vals[1:])
				e, bias := b.epilogue(i, d, c.n, vals)
				call := describe("MatMul", out, x, y)
				if !b.ran("MatMul", d, b.dev.MatMul(out.Array, x.Array, y.Array, e), out) {
					if i == 0 {
						return false
					}
					continue
				}
				if got := b.read(call, out); b.values {
					want, sums := multiply(x.values(), y.values(), c.m, c.n, c.k)
					finish(e, want, sums, out.values(), bias, func(i int) int { return i % c.n })
					b.close(call, d, got, b.defined(d, got, want), sums)
				}
				b.free()
			}
		}
		return true
	})
	b.sub("Specials", func(b *bench) {
		x := b.array(backend.Float32, []int{2, 3}, contiguous, []float64{0, 1, 1, nan, 0, 0})
		y := b.array(backend.Float32, []int{3, 2}, contiguous, []float64{inf, 1, 1, -inf, 2, 3})
		out := b.output(backend.Float32, []int{2, 2}, contiguous)
		b.must(b.dev.MatMul(out.Array, x.Array, y.Array, backend.Epilogue{}))
		b.exact("0·Inf, Inf and NaN in MatMul", backend.Float32, b.read("MatMul", out), []float64{nan, -inf, nan, nan})
	})
	b.sub("SameBitsEachTime", func(b *bench) {
		x := b.array(backend.Float32, []int{200, 300}, contiguous, b.random(backend.Float32, -1, 1, 997))
		y := b.array(backend.Float32, []int{300, 150}, transposed, b.random(backend.Float32, -1, 1, 991))
		var first []byte
		for range 5 {
			out := b.output(backend.Float32, []int{200, 150}, contiguous)
			b.must(b.dev.MatMul(out.Array, x.Array, y.Array, backend.Epilogue{}))
			if raw := b.download(out); first == nil {
				first = raw
			} else {
				equal(b, "MatMul, repeated", raw, first)
			}
		}
	})
}

// epilogue is the i-th of the 8 epilogues, over n channels.
func (b *bench) epilogue(i int, d backend.DType, n int, vals []float64) (e backend.Epilogue, bias []float64) {
	if i&1 == 1 {
		l := contiguous
		if n%2 == 1 {
			l = gapped
		}
		a := b.array(d, []int{n}, l, vals)
		e.Bias, bias = a.Array, a.values()
	}
	if i&2 == 2 {
		e.Act = backend.ReLU
	}
	e.Accumulate = i&4 == 4
	return e, bias
}

// multiply is the matrix product of row-major batches, and the magnitudes added.
func multiply(x, y []float64, m, n, k int) (out, sums []float64) {
	if k == 0 {
		return make([]float64, m*n), make([]float64, m*n)
	}
	for len(x) > 0 && len(y) > 0 {
		for i := range m {
			for j := range n {
				sum, magnitude := 0.0, 0.0
				for l := range k {
					v := x[i*k+l] * y[l*n+j]
					sum += v
					magnitude += math.Abs(v)
				}
				out, sums = append(out, sum), append(sums, magnitude)
			}
		}
		x, y = x[m*k:], y[k*n:]
	}
	return out, sums
}

// finish does to out what the epilogue asks; held is what the output held before.
func finish(e backend.Epilogue, out, sums, held, bias []float64, channel func(i int) int) {
	for i := range out {
		if bias != nil {
			out[i] += bias[channel(i)]
			sums[i] += math.Abs(bias[channel(i)])
		}
		if e.Act == backend.ReLU {
			out[i] = max(out[i], 0)
		}
		if e.Accumulate {
			out[i] += held[i]
			sums[i] += math.Abs(held[i])
		}
	}
}
