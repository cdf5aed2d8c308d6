package cpu

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/descent-ml/descent/backend"
	streams "github.com/descent-ml/descent/random"
)

// lines calls f for each line of a row-major array along axis: element j of the
// line is at first + j·stride.
func lines(shape []int, axis int, f func(first, stride, n int)) {
	stride, outer := 1, 1
	for i, d := range shape {
		if i < axis {
			outer *= d
		} else if i > axis {
			stride *= d
		}
	}
	for o := range outer {
		for s := range stride {
			f(o*stride*shape[axis]+s, stride, shape[axis])
		}
	}
}

func TestScanRunsAlongAnyAxis(t *testing.T) {
	d, rng := device, rand.New(rand.NewPCG(9, 10))
	for _, dtype := range allTypes[:9] {
		for axis, shape := range [][]int{{1300}, {3, 4}, {2, 3, 5}} {
			x := restride(t, d, rng, randomArray(t, d, rng, dtype, shape...))
			outType := dtype
			if !dtype.IsFloat() {
				outType = backend.Int64
			}
			out := restride(t, d, rng, empty(t, d, outType, shape...))
			check(t, d.Scan(backend.CumSum, out, backend.Array{}, x, axis))
			want := values(t, d, x)
			lines(shape, axis, func(first, stride, n int) {
				for j := 1; j < n; j++ {
					want[first+j*stride] += want[first+(j-1)*stride]
				}
			})
			near(t, dtype.String(), values(t, d, out), want, tolerance(outType))
		}
	}
}

func TestSortIsStableWithNaNLast(t *testing.T) {
	d, rng := device, rand.New(rand.NewPCG(11, 12))
	for _, dtype := range allTypes {
		for _, c := range []struct {
			shape []int
			axis  int
			k     int
		}{{[]int{300}, 0, 300}, {[]int{4, 50}, 1, 50}, {[]int{40, 3}, 0, 40}, {[]int{4, 90}, 1, 5}, {[]int{7, 3}, 0, 0}} {
			for _, descending := range []bool{false, true} {
				x := randomArray(t, d, rng, backend.Int8, c.shape...)
				f := empty(t, d, dtype, c.shape...)
				check(t, d.Copy(f, x, false))
				if dtype.IsFloat() {
					// 4/0, 0/0: infinities and NaN among the numbers.
					check(t, d.Binary(backend.Div, f, f, f, backend.Params{}))
					g := empty(t, d, dtype, c.shape...)
					check(t, d.Copy(g, x, false))
					check(t, d.Binary(backend.Mul, f, f, g, backend.Params{}))
				}
				f = restride(t, d, rng, f)
				outShape := slices.Clone(c.shape)
				outShape[c.axis] = c.k
				out := restride(t, d, rng, empty(t, d, dtype, outShape...))
				idx := restride(t, d, rng, empty(t, d, backend.Int64, outShape...))
				check(t, d.Sort(out, idx, f, c.axis, descending))
				v := values(t, d, f)
				var want, wantAt []float64
				want, wantAt = make([]float64, out.Size()), make([]float64, out.Size())
				var firsts [][2]int
				lines(outShape, c.axis, func(first, stride, n int) { firsts = append(firsts, [2]int{first, stride}) })
				l := 0
				lines(c.shape, c.axis, func(first, stride, n int) {
					at := make([]int, n)
					for i := range at {
						at[i] = i
					}
					slices.SortStableFunc(at, func(a, b int) int {
						x, y := v[first+a*stride], v[first+b*stride]
						c := 0
						switch {
						case x != x || y != y:
							c = cmp.Compare(bit(x != x), bit(y != y))
						default:
							c = cmp.Compare(x, y)
						}
						if descending {
							return -c
						}
						return c
					})
					for j := range c.k {
						want[firsts[l][0]+j*firsts[l][1]] = v[first+at[j]*stride]
						wantAt[firsts[l][0]+j*firsts[l][1]] = float64(at[j])
					}
					l++
				})
				name := fmt.Sprintf("%v %v k=%d descending=%v", dtype, c.shape, c.k, descending)
				near(t, name, values(t, d, out), want, 0)
				near(t, name+" positions", values(t, d, idx), wantAt, 0)
				if c.k > 0 {
					check(t, d.Sort(backend.Array{}, idx, f, c.axis, descending))
					near(t, name+" positions alone", values(t, d, idx), wantAt, 0)
				}
			}
		}
	}
}

func TestGatherAndScatterAreAdjoint(t *testing.T) {
	d, rng := device, rand.New(rand.NewPCG(13, 14))
	for _, dtype := range allTypes {
		for range 20 {
			shape := []int{1 + rng.IntN(4), 1 + rng.IntN(30), 1 + rng.IntN(5)}
			axis := rng.IntN(3)
			outShape := slices.Clone(shape)
			outShape[axis] = rng.IntN(20)
			if rng.IntN(2) == 0 {
				outShape[(axis+1)%3] = 1 + rng.IntN(shape[(axis+1)%3])
			}
			index := empty(t, d, backend.Int64, outShape...)
			check(t, d.Generate(backend.RandInt, index, backend.Params{Scalars: backend.Scalars{M: int64(shape[axis]), Key: rng.Uint64()}}))
			if rng.IntN(2) == 0 { // one index for a row, as in index select
				for i := range index.Strides {
					if i != axis {
						index.Strides[i] = 0
					}
				}
			}
			x := restride(t, d, rng, randomArray(t, d, rng, dtype, shape...))
			out := restride(t, d, rng, empty(t, d, dtype, outShape...))
			check(t, d.Gather(out, x, index, axis))

			vx, vi := values(t, d, x), values(t, d, index)
			place := func(i int) int { // of element i of out in x
				at, stride := 0, 1
				for a := 2; a >= 0; a-- {
					c := i % outShape[a]
					i /= outShape[a]
					if a == axis {
						c = -1
					}
					if c >= 0 {
						at += c * stride
					}
					stride *= shape[a]
				}
				return at
			}
			strideAxis := 1
			for a := axis + 1; a < 3; a++ {
				strideAxis *= shape[a]
			}
			want := make([]float64, len(vi))
			for i := range want {
				want[i] = vx[place(i)+int(vi[i])*strideAxis]
			}
			near(t, fmt.Sprintf("gather %v %v axis %d", dtype, shape, axis), values(t, d, out), want, 0)

			for op := range backend.NumScatter {
				src := randomArray(t, d, rng, dtype, outShape...)
				if dtype == backend.Float16 || dtype == backend.BFloat16 { // sums of small integers are exact
					src = randomArray(t, d, rng, backend.Int8, outShape...)
					f := empty(t, d, dtype, outShape...)
					check(t, d.Copy(f, src, false))
					src = f
					check(t, d.Unary(backend.Round, x, x, backend.Params{}))
				}
				got := restride(t, d, rng, x)
				want := values(t, d, x)
				for i, v := range values(t, d, src) {
					at := place(i) + int(vi[i])*strideAxis
					if op == backend.ScatterAdd {
						v = wrap(dtype, v+want[at])
					}
					want[at] = v
				}
				check(t, d.Scatter(op, got, index, src, axis))
				near(t, fmt.Sprintf("scatter %d %v %v axis %d", op, dtype, shape, axis), values(t, d, got), want, 20*tolerance(dtype))
			}
		}
	}
}

func TestIndicesOutOfRangeAreErrors(t *testing.T) {
	d := device
	x := array(t, d, backend.Float32, []float32{1, 2, 3}, 3)
	for _, bad := range []int64{3, -1} {
		index := array(t, d, backend.Int64, []int64{0, bad}, 2)
		out := array(t, d, backend.Float32, []float32{0, 0}, 2)
		var e *backend.IndexError
		if err := d.Gather(out, x, index, 0); !errors.As(err, &e) || e.Index != bad || e.Size != 3 {
			t.Errorf("gather: %v", err)
		}
		if err := d.Scatter(backend.ScatterAdd, x, index, out, 0); !errors.As(err, &e) || e.Index != bad || e.Size != 3 {
			t.Errorf("scatter: %v", err)
		}
	}
	near(t, "x after a refused scatter", values(t, d, x), []float64{1, 2, 3}, 0)
}

func TestMatMulOfEveryTypeAndLayout(t *testing.T) {
	d, rng := device, rand.New(rand.NewPCG(15, 16))
	for _, dtype := range allTypes[:9] {
		for range 12 {
			b1, b2, m, n, k := 1+rng.IntN(3), 1+rng.IntN(3), 1+rng.IntN(20), 1+rng.IntN(20), rng.IntN(20)
			x := restride(t, d, rng, randomArray(t, d, rng, dtype, b1, b2, m, k))
			y := restride(t, d, rng, randomArray(t, d, rng, dtype, b1, b2, k, n))
			if rng.IntN(2) == 0 {
				x.Strides[0] = 0
			}
			if rng.IntN(2) == 0 {
				y.Strides[1] = 0
			}
			bias := randomArray(t, d, rng, dtype, n)
			out := restride(t, d, rng, randomArray(t, d, rng, dtype, b1, b2, m, n))
			e := backend.Epilogue{Accumulate: rng.IntN(2) == 0}
			if rng.IntN(2) == 0 {
				e.Act = backend.ReLU
			}
			if rng.IntN(2) == 0 {
				e.Bias = bias
			}
			vx, vy, vb, vo := values(t, d, x), values(t, d, y), values(t, d, bias), values(t, d, out)
			want := make([]float64, len(vo))
			for i := range want {
				batch, r, c := i/(m*n), i/n%m, i%n
				s := 0.0
				for q := range k {
					s += vx[(batch*m+r)*k+q] * vy[(batch*k+q)*n+c]
				}
				if e.Bias.Buf != nil {
					s += vb[c]
				}
				if e.Act == backend.ReLU {
					s = max(s, 0)
				}
				if e.Accumulate {
					s += vo[i]
				}
				want[i] = wrap(dtype, s)
			}
			check(t, d.MatMul(out, x, y, e))
			tol := 50 * tolerance(dtype)
			near(t, fmt.Sprintf("%v %dx%d of %dx%dx%d %+v", dtype, b1, b2, m, k, n, e.Accumulate), values(t, d, out), want, tol)
		}
	}
}

// What Generate writes is the stream of package random, for any layout and any
// number of threads.
func TestGenerateFollowsTheStream(t *testing.T) {
	d, rng := device, rand.New(rand.NewPCG(17, 18))
	const n = 10007
	p := backend.Params{Scalars: backend.Scalars{A: 0, B: 1, N: -3, M: 9, Key: 5, Counter: 7}}
	s := streams.Stream{Key: 5, Counter: 7}
	u32, z32, u64, z64, ints := make([]float32, n), make([]float32, n), make([]float64, n), make([]float64, n), make([]int64, n)
	streams.Uniform32(s, 0, u32)
	streams.Normal32(s, 0, z32)
	streams.Uniform64(s, 0, u64)
	streams.Normal64(s, 0, z64)
	streams.Ints64(s, 0, -3, 9, ints)
	floats := func(v []float32) []float64 {
		w := make([]float64, len(v))
		for i := range v {
			w[i] = float64(v[i])
		}
		return w
	}
	asFloat := make([]float64, n)
	for i, v := range ints {
		asFloat[i] = float64(v)
	}
	for _, c := range []struct {
		op    backend.GenerateOp
		dtype backend.DType
		want  []float64
	}{
		{backend.Uniform, backend.Float32, floats(u32)}, {backend.Uniform, backend.Float64, u64}, {backend.Uniform, backend.BFloat16, floats(u32)},
		{backend.Normal, backend.Float32, floats(z32)}, {backend.Normal, backend.Float64, z64},
		{backend.RandInt, backend.Int64, asFloat}, {backend.RandInt, backend.Int8, asFloat}, {backend.RandInt, backend.Float32, asFloat},
	} {
		one, many := withThreads(func() []float64 {
			out := restride(t, d, rng, empty(t, d, c.dtype, n))
			check(t, d.Generate(c.op, out, p))
			return values(t, d, out)
		})
		name := fmt.Sprintf("%v of %v", c.op, c.dtype)
		near(t, name, one, c.want, tolerance(c.dtype)*bit64(c.dtype == backend.BFloat16))
		near(t, name+" with threads", many, one, 0)
	}
	p.A = 0.3
	out := empty(t, d, backend.Bool, n)
	check(t, d.Generate(backend.Bernoulli, out, p))
	ones := make([]uint8, n)
	streams.Bernoulli(s, 0, 0.3, ones)
	for i, v := range values(t, d, out) {
		if v != float64(ones[i]) {
			t.Fatalf("Bernoulli element %d is %v", i, v)
		}
	}
}

func bit64(b bool) float64 { return float64(bit(b)) }

func TestArangeAndFill(t *testing.T) {
	d := device
	for _, dtype := range allTypes[:9] {
		out := empty(t, d, dtype, 4)
		p := backend.Params{Scalars: backend.Scalars{A: 1, B: 2, N: 1, M: 2}}
		check(t, d.Generate(backend.Arange, out, p))
		near(t, dtype.String(), values(t, d, out), []float64{1, 3, 5, 7}, 0)
		check(t, d.Generate(backend.Fill, out, p))
		near(t, dtype.String(), values(t, d, out), []float64{1, 1, 1, 1}, 0)
	}
	out := empty(t, d, backend.Float16, 2)
	check(t, d.Generate(backend.Fill, out, backend.Params{Scalars: backend.Scalars{A: math.NaN()}}))
	near(t, "NaN", values(t, d, out), []float64{math.NaN(), math.NaN()}, 0)
}
