package backendtest

import (
	"math"
	"slices"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/random"
)

// copyValues are numbers of from that a cast to a narrower type defines. Those of
// the floats are float32's, whichever way a device takes from float64 to a half.
func (b *bench) copyValues(from, to backend.DType) []float64 {
	vals := b.dyadic(40)
	switch {
	case from.IsFloat() && (to.IsFloat() || to == backend.Bool):
		vals = append(vals, b.random(backend.Float32, -1e3, 1e3, 30)...)
		vals = append(vals, 0, inf, -inf, nan,
			1+0x1p-11, 1+0x3p-11, 1+0x1p-8, 1+0x3p-8, // ties of the halves
			65519, 65520, 0x1p-14, 0x1.8p-24, 0x1p-25, 0x1.8p-25, 1e-7, 0x1.fffffep127, 0x1p-133)
	case !from.IsFloat():
		vals = []float64{0, 1, -1, 2, 100, -100, 200, 300, -300, 2049, 2051, 40000, 70000, 1<<24 + 1, 1<<24 + 3, 1<<31 + 5, 1<<40 + 1}
	}
	if from.IsFloat() && to == backend.Uint8 {
		for i := range vals {
			vals[i] = math.Abs(vals[i])
		}
	}
	return vals
}

func testCopy(b *bench) {
	b.dtypes("Copy", func(from backend.DType) bool {
		ran := false
		for to := range backend.NumDTypes {
			vals := b.copyValues(from, to)
			check := func(out, x array) {
				defer b.free()
				call := describe("Copy "+from.String()+" to", out, x)
				if b.ran("Copy to "+to.String(), from, b.dev.Copy(out.Array, x.Array, false), out) {
					ran = true
					b.exact(call, to, b.read(call, out), x.values())
				}
			}
			for _, c := range elementwiseCases {
				check(b.output(to, c.shape, c.out), b.array(from, c.shape, c.x, vals))
				check(b.output(to, c.shape, gapped), b.array(from, c.shape, c.y, vals))
			}
			if from == backend.Float32 {
				check(b.output(to, large, contiguous), b.array(from, large, transposed, vals))
				check(b.output(to, large, gapped), b.array(from, large, contiguous, vals))
			}
			if to != backend.Bool {
				b.accumulate(from, to)
			}
		}
		return ran
	})
	b.copyInOneBuffer()
}

// exact compares got with want as d holds it.
func (b *bench) exact(call string, d backend.DType, got, want []float64) {
	b.Helper()
	want = slices.Clone(want)
	for i, w := range want {
		if want[i] = round(d, w); math.IsNaN(want[i]) && i < len(got) && math.IsNaN(got[i]) {
			want[i], got[i] = 0, 0
		}
	}
	equal(b, call+" "+d.String(), got, want)
}

func (b *bench) accumulate(from, to backend.DType) {
	vals, held := b.dyadic(50), b.dyadic(41)
	if from == backend.Bool {
		vals = []float64{0, 1, 1}
	}
	if !from.IsFloat() || !to.IsFloat() { // small whole numbers
		for i := range vals {
			vals[i] = math.Abs(math.Trunc(vals[i] * 4))
		}
		for i := range held {
			held[i] = math.Abs(math.Trunc(held[i] * 4))
		}
	}
	for _, c := range elementwiseCases {
		for _, l := range []layout{c.out, gapped} {
			out, x := b.array(to, c.shape, l, held), b.array(from, c.shape, c.x, vals)
			call := describe("Copy accumulating "+from.String()+" into", out, x)
			if b.ran("Copy accumulating into "+to.String(), from, b.dev.Copy(out.Array, x.Array, true), out) {
				want := out.values()
				for i, v := range x.values() {
					want[i] += v
				}
				b.exact(call, to, b.read(call, out), want)
			}
			b.free()
		}
	}
}

// copyInOneBuffer copies between disjoint views of one buffer.
func (b *bench) copyInOneBuffer() {
	whole := b.array(backend.Float32, []int{6, 10}, contiguous, b.dyadic(60))
	want := whole.values()
	left, right := whole.like(0, []int{6, 5}, []int{10, 1}), whole.like(5, []int{6, 5}, []int{10, 1})
	b.must(b.dev.Copy(left.Array, right.Array, false))
	for i := range want {
		if i%10 < 5 {
			want[i] = want[i+5]
		}
	}
	equal(b, "Copy between halves of a buffer", b.read("Copy", whole), want)
	b.free()
}

// generateRefs are the first n elements of an op in row-major order, as package
// random defines them; nil where an op does not exist in a dtype. A line that is
// missing here fails.
var generateRefs = map[backend.GenerateOp]func(d backend.DType, s backend.Scalars, n int) []float64{
	backend.Fill: func(d backend.DType, s backend.Scalars, n int) []float64 {
		a, _ := ab(d, backend.Params{Scalars: s})
		return slices.Repeat([]float64{a}, n)
	},
	backend.Arange: func(d backend.DType, s backend.Scalars, n int) []float64 {
		start, step := ab(d, backend.Params{Scalars: s})
		vals := make([]float64, n)
		for i := range vals {
			vals[i] = start + float64(float64(i)*step)
		}
		return vals
	},
	backend.Uniform: func(d backend.DType, s backend.Scalars, n int) []float64 {
		width := s.B - s.A
		if d != backend.Float64 {
			width = float64(float32(s.B) - float32(s.A))
		}
		return sampled(d, s, n, random.Uniform32, random.Uniform64, s.A, width)
	},
	backend.Normal: func(d backend.DType, s backend.Scalars, n int) []float64 {
		return sampled(d, s, n, random.Normal32, random.Normal64, s.A, s.B)
	},
	backend.Bernoulli: func(d backend.DType, s backend.Scalars, n int) []float64 {
		return widen(fill(n, s, func(st random.Stream, dst []uint8) { random.Bernoulli(st, 0, s.A, dst) }))
	},
	backend.RandInt: func(d backend.DType, s backend.Scalars, n int) []float64 {
		if d == backend.Bool {
			return nil
		}
		return widen(fill(n, s, func(st random.Stream, dst []int64) { random.Ints64(st, 0, s.N, s.M, dst) }))
	},
}

func fill[T any](n int, s backend.Scalars, f func(random.Stream, []T)) []T {
	dst := make([]T, n)
	f(random.Stream{Key: s.Key, Counter: s.Counter}, dst)
	return dst
}

func widen[T uint8 | int64 | float32](vals []T) []float64 {
	wide := make([]float64, len(vals))
	for i, v := range vals {
		wide[i] = float64(v)
	}
	return wide
}

// sampled is shift + scale·u of a stream in the dtype that d is computed in, each
// operation rounded.
func sampled(d backend.DType, s backend.Scalars, n int, f32 func(random.Stream, int, []float32), f64 func(random.Stream, int, []float64), shift, scale float64) []float64 {
	switch {
	case !d.IsFloat():
		return nil
	case d == backend.Float64:
		vals := fill(n, s, func(st random.Stream, dst []float64) { f64(st, 0, dst) })
		for i, u := range vals {
			vals[i] = shift + float64(scale*u)
		}
		return vals
	default:
		vals := fill(n, s, func(st random.Stream, dst []float32) { f32(st, 0, dst) })
		for i, u := range vals {
			vals[i] = float32(shift) + float32(float32(scale)*u) // rounded between: no fused multiply-add
		}
		return widen(vals)
	}
}

func testGenerate(b *bench) {
	for op := range backend.NumGenerate {
		ref := generateRefs[op]
		if ref == nil {
			b.Errorf("Generate %s: add a line to generateRefs", op)
			continue
		}
		b.sub(op.String(), func(b *bench) {
			b.dtypes("Generate "+op.String(), func(d backend.DType) bool { return b.generate(op, d, ref) })
		})
	}
}

func (b *bench) generate(op backend.GenerateOp, d backend.DType, ref func(backend.DType, backend.Scalars, int) []float64) (ran bool) {
	check := func(shape []int, l layout, s backend.Scalars) bool {
		defer b.free()
		out := b.output(d, shape, l)
		want := ref(d, s, out.Size())
		if want == nil && out.Size() > 0 {
			return false // there is no such op
		}
		if !b.ran("Generate "+op.String(), d, b.dev.Generate(op, out.Array, backend.Params{Scalars: s}), out) {
			return false
		}
		call := describe("Generate "+op.String(), out)
		if got := b.read(call, out); op == backend.Arange {
			b.close(call, d, got, want, nil)
		} else {
			b.exact(call, d, got, want)
		}
		return true
	}
	unit := backend.Scalars{A: 0, B: 1, N: 1, M: 2, Key: 0x0123456789abcdef, Counter: 1 << 40}
	other := backend.Scalars{A: 0.3, B: 1.7, N: 3, M: 100, Key: 7, Counter: math.MaxUint64 - 3} // whose blocks wrap
	for _, s := range []backend.Scalars{unit, other} {
		if !check([]int{}, contiguous, s) {
			return false
		}
		check([]int{0}, contiguous, s)
		check([]int{1}, offset, s)
		check([]int{7}, contiguous, s)
		check([]int{5, 9}, transposed, s)
		check([]int{2, 3, 4, 5}, channelsLast, s)
	}
	if d == backend.Float32 || d == backend.Float64 || d == backend.Int64 {
		check([]int{70003}, contiguous, other)
	}
	return true
}
