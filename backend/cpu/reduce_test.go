package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cpu/internal/parallel"
)

// naiveReduce folds the elements of each result in row-major order.
func naiveReduce(op backend.ReduceOp, x []float64, shape, outShape []int) []float64 {
	n := 1
	for _, d := range outShape {
		n *= d
	}
	groups := make([][]float64, n)
	for i, v := range x {
		at, stride, rest := 0, 1, i
		for a := len(shape) - 1; a >= 0; a-- {
			if outShape[a] == shape[a] {
				at += rest % shape[a] * stride
				stride *= shape[a]
			}
			rest /= shape[a]
		}
		groups[at] = append(groups[at], v)
	}
	out := make([]float64, n)
	for i, g := range groups {
		switch op {
		case backend.Sum, backend.Mean:
			for _, v := range g {
				out[i] += v
			}
			if op == backend.Mean {
				out[i] /= float64(len(g))
			}
		case backend.Prod:
			out[i] = 1
			for _, v := range g {
				out[i] *= v
			}
		case backend.Max:
			out[i] = slices.Max(g)
		case backend.Min:
			out[i] = slices.Min(g)
		case backend.ArgMax:
			out[i] = float64(slices.Index(g, slices.Max(g)))
		case backend.ArgMin:
			out[i] = float64(slices.Index(g, slices.Min(g)))
		case backend.All:
			out[i] = float64(bit(!slices.Contains(g, 0)))
		case backend.Any:
			out[i] = float64(bit(slices.ContainsFunc(g, func(v float64) bool { return v != 0 })))
		}
	}
	return out
}

// signsAndTwos has exact products: ones, some of them negative, and a few twos.
func signsAndTwos(t *testing.T, d *Device, rng *rand.Rand, dtype backend.DType, shape ...int) backend.Array {
	x := empty(t, d, backend.Float64, shape...)
	v := make([]float64, x.Size())
	for i := range v {
		v[i] = 1
		if dtype != backend.Uint8 {
			v[i] -= float64(2 * rng.IntN(2))
		}
	}
	for range 10 {
		v[rng.IntN(len(v))] = 2
	}
	check(t, d.Upload(x.Buf, bytesOf(v)))
	out := empty(t, d, dtype, shape...)
	check(t, d.Copy(out, x, false))
	return out
}

func reduceType(op backend.ReduceOp, t backend.DType) backend.DType {
	switch {
	case op == backend.All || op == backend.Any:
		return backend.Bool
	case op == backend.ArgMax || op == backend.ArgMin:
		return backend.Int64
	case !t.IsFloat() && (op == backend.Sum || op == backend.Prod):
		return backend.Int64
	}
	return t
}

func TestReduceOverAnyAxes(t *testing.T) {
	d, rng := device, rand.New(rand.NewPCG(5, 6))
	small := [][]int{{}, {1}, {9}, {3, 5}, {3, 700}, {700, 3}, {2, 3, 4, 5}, {4, 130, 6}}
	large := [][]int{{40000}, {300, 130}, {2, 70, 90, 3}, {3, 20000}, {20000, 3}} // several tasks
	for op := range backend.NumReduce {
		for _, dtype := range allTypes {
			if op == backend.Mean && !dtype.IsFloat() {
				continue
			}
			shapes := small
			if dtype == backend.Float32 {
				shapes = append(slices.Clone(small), large...)
			}
			for _, shape := range shapes {
				outShape := slices.Clone(shape)
				for i := range shape {
					if rng.IntN(2) == 0 {
						outShape[i] = 1
					}
				}
				x := randomArray(t, d, rng, dtype, shape...)
				if op == backend.Prod && dtype != backend.Bool {
					x = signsAndTwos(t, d, rng, dtype, shape...)
				}
				x = restride(t, d, rng, x)
				out := empty(t, d, reduceType(op, dtype), outShape...)
				check(t, d.Reduce(op, out, x))
				want := naiveReduce(op, values(t, d, x), shape, outShape)
				near(t, fmt.Sprintf("%v of %v %v to %v", op, dtype, shape, outShape), values(t, d, out), want, 20*tolerance(out.DType))
			}
		}
	}
}

func TestReductionsOfNothing(t *testing.T) {
	d := device
	x := empty(t, d, backend.Float32, 3, 0)
	for op, want := range map[backend.ReduceOp]float64{backend.Sum: 0, backend.Mean: math.NaN(), backend.Prod: 1, backend.All: 1, backend.Any: 0} {
		out := empty(t, d, reduceType(op, backend.Float32), 3, 1)
		check(t, d.Reduce(op, out, x))
		near(t, op.String(), values(t, d, out), []float64{want, want, want}, 0)
	}
}

func TestReduceWithNaN(t *testing.T) {
	d, nan := device, math.NaN()
	for _, dtype := range floatTypes {
		x := empty(t, d, dtype, 2, 3)
		check(t, d.Copy(x, array(t, d, backend.Float64, []float64{1, nan, 3, 5, 4, 5}, 2, 3), false))
		for op, want := range map[backend.ReduceOp][]float64{
			backend.Max: {nan, 5}, backend.Min: {nan, 4}, backend.ArgMax: {1, 0}, backend.ArgMin: {1, 1},
			backend.Any: {1, 1}, backend.All: {1, 1}, backend.Sum: {nan, 14},
		} {
			out := empty(t, d, reduceType(op, dtype), 2, 1)
			check(t, d.Reduce(op, out, x))
			near(t, op.String(), values(t, d, out), want, 0)
		}
	}
}

// A float32 sum of many equal terms stays accurate, whichever way it runs.
func TestSumsAreAccurate(t *testing.T) {
	d := device
	const n = 1 << 20
	for _, layout := range []struct {
		shape, out, strides []int
	}{
		{[]int{n}, []int{1}, []int{1}},
		{[]int{n, 2}, []int{1, 2}, []int{2, 1}},
		{[]int{n, 8}, []int{1, 8}, []int{8, 1}},
		{[]int{2, n}, []int{2, 1}, []int{1, 2}},
	} {
		x := empty(t, d, backend.Float32, layout.shape...)
		check(t, d.Generate(backend.Fill, x, backend.Params{Scalars: backend.Scalars{A: 0.1}}))
		x.Strides = layout.strides
		out := empty(t, d, backend.Float32, layout.out...)
		check(t, d.Reduce(backend.Sum, out, x))
		for _, v := range values(t, d, out) {
			if want := n * float64(float32(0.1)); math.Abs(v-want) > 1e-6*want {
				t.Errorf("sum of %v: %v, want %v", layout.shape, v, want)
			}
		}
	}
}

// withThreads runs f with one and with several threads and returns what it
// made.
func withThreads[T any](f func() T) (one, many T) {
	before := parallel.Threads()
	defer parallel.SetThreads(before)
	parallel.SetThreads(1)
	one = f()
	parallel.SetThreads(5)
	many = f()
	return one, many
}

func contents(t testing.TB, d *Device, a backend.Array) []byte {
	t.Helper()
	b := make([]byte, a.Size()*a.DType.Size())
	check(t, d.Download(b, a.Buf))
	return b
}

func TestReductionsHaveTheSameBitsForAnyNumberOfThreads(t *testing.T) {
	d, rng := device, rand.New(rand.NewPCG(7, 8))
	for _, c := range []struct{ shape, out []int }{
		{[]int{300000}, []int{1}}, {[]int{5000, 40}, []int{1, 40}}, {[]int{40, 5000}, []int{40, 1}}, {[]int{8, 30, 40, 50}, []int{1, 30, 1, 1}},
	} {
		x := randomArray(t, d, rng, backend.Float32, c.shape...)
		one, many := withThreads(func() []byte {
			out := empty(t, d, backend.Float32, c.out...)
			check(t, d.Reduce(backend.Sum, out, x))
			return contents(t, d, out)
		})
		if !slices.Equal(one, many) {
			t.Errorf("sum of %v to %v depends on the threads", c.shape, c.out)
		}
	}
}
