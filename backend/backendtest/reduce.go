package backendtest

import (
	"math"
	"slices"
	"strings"

	"github.com/descent-ml/descent/backend"
)

// reduceRefs fold the elements of one result, given in row-major order, and say
// what magnitude was added up on the way. A line that is missing here fails.
var reduceRefs = map[backend.ReduceOp]func(x []float64) (want, sum float64){
	backend.Sum:  total,
	backend.Mean: func(x []float64) (float64, float64) { s, m := total(x); n := float64(len(x)); return s / n, m / n },
	backend.Prod: func(x []float64) (float64, float64) {
		p := 1.0
		for _, v := range x {
			p *= v
		}
		return p, math.Abs(p) * float64(len(x)) / 10 // a rounding each
	},
	backend.Max:    func(x []float64) (float64, float64) { return slices.MaxFunc(x, byMax), 0 },
	backend.Min:    func(x []float64) (float64, float64) { return slices.MinFunc(x, byMin), 0 },
	backend.ArgMax: func(x []float64) (float64, float64) { return float64(best(x, byMax)), 0 },
	backend.ArgMin: func(x []float64) (float64, float64) { return float64(best(x, reverse(byMin))), 0 },
	backend.All: func(x []float64) (float64, float64) {
		return truth(!slices.Contains(x, 0)), 0
	},
	backend.Any: func(x []float64) (float64, float64) {
		return truth(slices.ContainsFunc(x, func(v float64) bool { return v != 0 })), 0
	},
}

// total is x's sum and that of its magnitudes, by Neumaier's summation.
func total(x []float64) (sum, magnitude float64) {
	lost := 0.0
	for _, v := range x {
		t := sum + v
		if math.Abs(sum) >= math.Abs(v) {
			lost += (sum - t) + v
		} else {
			lost += (v - t) + sum
		}
		sum = t
		magnitude += math.Abs(v)
	}
	if math.IsNaN(lost) || math.IsInf(sum, 0) {
		return sum, 0
	}
	return sum + lost, magnitude
}

// byMax orders NaN as the largest, byMin as the smallest.
func byMax(a, b float64) int {
	switch {
	case math.IsNaN(a) && math.IsNaN(b):
		return 0
	case math.IsNaN(a):
		return 1
	case math.IsNaN(b):
		return -1
	default:
		return compare(a, b)
	}
}

func byMin(a, b float64) int {
	if math.IsNaN(a) != math.IsNaN(b) {
		return -byMax(a, b)
	}
	return byMax(a, b)
}

func compare(a, b float64) int { return int(truth(a > b) - truth(a < b)) }

func reverse(f func(a, b float64) int) func(a, b float64) int {
	return func(a, b float64) int { return f(b, a) }
}

// best is the first place of the largest element.
func best(x []float64, cmp func(a, b float64) int) int {
	at := 0
	for i, v := range x {
		if cmp(v, x[at]) > 0 {
			at = i
		}
	}
	return at
}

func reduceOut(op backend.ReduceOp, d backend.DType) backend.DType {
	switch op {
	case backend.Sum:
		if !d.IsFloat() {
			return backend.Int64
		}
	case backend.ArgMax, backend.ArgMin:
		return backend.Int64
	case backend.All, backend.Any:
		return backend.Bool
	}
	return d
}

// reduced is shape with size 1 on the axes of the set.
func reduced(shape []int, set uint) []int {
	shape = slices.Clone(shape)
	for axis := range shape {
		if set>>axis&1 == 1 {
			shape[axis] = 1
		}
	}
	return shape
}

// groups are the values of x, row-major, that each element of out is made of.
func groups(x []float64, shape, out []int) [][]float64 {
	place := array{Array: backend.Array{Shape: shape, Strides: make([]int, len(shape))}}
	n := 1
	for axis := len(shape) - 1; axis >= 0; axis-- {
		if out[axis] != 1 {
			place.Strides[axis] = n
		}
		n *= out[axis]
	}
	g, i := make([][]float64, n), 0
	place.visit(func(at int) {
		g[at] = append(g[at], x[i])
		i++
	})
	return g
}

func testReduce(b *bench) {
	for op := range backend.NumReduce {
		if reduceRefs[op] == nil {
			b.Errorf("Reduce %s: add a line to reduceRefs", op)
			continue
		}
		b.sub(op.String(), func(b *bench) {
			b.dtypes("Reduce "+op.String(), func(d backend.DType) bool {
				if op == backend.Mean && !d.IsFloat() {
					return false
				}
				return b.reduceCases(op, d)
			})
		})
	}
	b.sub("SameBitsEachTime", func(b *bench) {
		x := b.array(backend.Float32, []int{300001}, contiguous, b.random(backend.Float32, -1, 1, 300001))
		var first []byte
		for range 5 {
			out := b.output(backend.Float32, []int{1}, contiguous)
			b.must(b.dev.Reduce(backend.Sum, out.Array, x.Array))
			if raw := b.download(out); first == nil {
				first = raw
			} else {
				equal(b, "a sum, repeated", raw, first)
			}
		}
	})
}

func (b *bench) reduce(op backend.ReduceOp, d backend.DType, shape []int, set uint, in, out layout, vals []float64) bool {
	defer b.free()
	o, x := b.output(reduceOut(op, d), reduced(shape, set), out), b.array(d, shape, in, vals)
	call := describe("Reduce "+op.String()+" into", o, x)
	if !b.ran("Reduce "+op.String(), d, b.dev.Reduce(op, o.Array, x.Array), o) {
		return false
	}
	got := b.read(call, o)
	if !b.values {
		return true
	}
	var want, sums []float64
	for _, g := range groups(x.values(), shape, o.Shape) {
		w, s := reduceRefs[op](g)
		want, sums = append(want, w), append(sums, s)
	}
	b.close(call, o.DType, got, b.defined(o.DType, got, want), sums)
	return true
}

func (b *bench) reduceCases(op backend.ReduceOp, d backend.DType) (ran bool) {
	ties := []float64{1, 2, 2, 0, 1, 2, 0, 0, 1, 2, 1}
	sets := [][]float64{ties, {1}, {0, 0, 0, 1, 0}}
	if d.IsFloat() {
		sets = append(sets, b.dyadic(120), []float64{1, nan, 2, -1, 0.5, 3, nan, -2}, []float64{1, inf, -3, 2, 5}, []float64{-inf, 2, 1, -inf, 3, 4, 2})
	} else if d != backend.Bool && d != backend.Uint8 {
		sets = append(sets, []float64{-1, 2, -2, 1, 1, -1, 1, 2, -1, 1, 1, 1, -1})
	}
	if op == backend.Prod { // no overflow
		sets = [][]float64{append(slices.Repeat([]float64{1}, 30), 2), {1, 1, 1, 1, 1, 1, 0}}
		if d.IsFloat() {
			sets = append(sets, b.random(d, 0.8, 1.25, 120), []float64{1, nan, 0.5}, []float64{-1, inf, 0.5})
		}
	}
	layouts := []layout{contiguous, offset, transposed, channelsLast, gapped, repeatFirst, repeatLast, repeatAll, oddUnits}
	for i, vals := range sets {
		for _, in := range layouts {
			if op == backend.Prod && !d.IsFloat() && i == 0 && strings.HasPrefix(in.name, "repeat") {
				continue // 2 again and again
			}
			for _, shape := range [][]int{{}, {1}, {37}, {7, 67}, {67, 7}, {3, 1, 5}, {2, 3, 4, 5}} {
				for set := range uint(1) << len(shape) {
					if (i > 0 || d != backend.Float32) && len(shape) > 1 && b.rng.IntN(10) > 0 {
						continue // a sample will do
					}
					out := denseLayouts[b.rng.IntN(len(denseLayouts))]
					if !b.reduce(op, d, shape, set, in, out, vals) {
						return false
					}
				}
			}
		}
	}
	chooses := op >= backend.Max && op <= backend.ArgMin
	for _, shape := range [][]int{{0}, {2, 0, 3}, {0, 4}} {
		for set := range uint(1) << len(shape) {
			if n := (backend.Array{Shape: reduced(shape, set)}).Size(); n == 0 || !chooses {
				b.reduce(op, d, shape, set, contiguous, contiguous, ties)
			}
		}
	}
	if d == backend.Float32 && (!racing || op%3 == 0) || op == backend.Sum && !racing && (d == backend.Float64 || d == backend.BFloat16 || d == backend.Int32) {
		vals := b.random(d, 0.999, 1.001, 50021)
		if op == backend.Sum || op == backend.Mean {
			vals = b.random(d, -1, 3, 50021)
		}
		for _, c := range []struct {
			shape []int
			set   uint
			in    layout
		}{
			{[]int{70001}, 1, contiguous}, {[]int{3, 25001}, 2, contiguous}, {[]int{25001, 3}, 1, contiguous},
			{[]int{25001, 3}, 2, transposed}, {[]int{41, 43, 47}, 5, contiguous}, {[]int{41, 43, 47}, 2, transposed},
		} {
			b.reduce(op, d, c.shape, c.set, c.in, contiguous, vals)
		}
	}
	return true
}

// scanRefs run along one line; idx is nil for an op with one output. A line that is
// missing here fails.
var scanRefs = map[backend.ScanOp]func(x []float64) (want, sums, idx []float64){
	backend.CumSum: func(x []float64) (want, sums, idx []float64) {
		sum, magnitude := 0.0, 0.0
		for i, v := range x {
			sum += v
			magnitude += math.Abs(v) * (1 + float64(i)/300) // a running sum rounds each time
			want, sums = append(want, sum), append(sums, magnitude)
		}
		return want, sums, nil
	},
	backend.CumMax: runningPick(func(acc, v float64) bool { return v >= acc }),
	backend.CumMin: runningPick(func(acc, v float64) bool { return v <= acc }),
	backend.CumProd: func(x []float64) (want, sums, idx []float64) {
		p := 1.0
		for i, v := range x {
			p *= v
			want, sums = append(want, p), append(sums, math.Abs(p)*float64(i+1)/10)
		}
		return want, sums, nil
	},
}

// runningPick keeps the last value that takes over from the one before, as NaN does.
func runningPick(takes func(acc, v float64) bool) func(x []float64) (want, sums, idx []float64) {
	return func(x []float64) (want, sums, idx []float64) {
		best := 0
		for i, v := range x {
			if v != v || takes(x[best], v) {
				best = i
			}
			want, sums, idx = append(want, x[best]), append(sums, 0), append(idx, float64(best))
		}
		return want, sums, idx
	}
}

func testScan(b *bench) {
	for op := range backend.NumScan {
		ref := scanRefs[op]
		if ref == nil {
			b.Errorf("Scan %s: add a line to scanRefs", op)
			continue
		}
		b.sub(op.String(), func(b *bench) {
			b.dtypes("Scan "+op.String(), func(d backend.DType) bool { return b.scan(op, d, ref) })
		})
	}
}

// lines calls f with the values along axis of each line of x, row-major, and puts
// what it returns in the same places.
func lines(x []float64, shape []int, axis int, f func(line []float64) []float64) []float64 {
	out, inner := make([]float64, len(x)), 1
	for _, n := range shape[axis+1:] {
		inner *= n
	}
	n := shape[axis]
	for first := range x {
		if first/inner%n != 0 {
			continue
		}
		line := make([]float64, n)
		for i := range line {
			line[i] = x[first+i*inner]
		}
		for i, v := range f(line) {
			out[first+i*inner] = v
		}
	}
	return out
}

func (b *bench) scan(op backend.ScanOp, d backend.DType, ref func([]float64) (want, sums, idx []float64)) (ran bool) {
	_, _, withIdx := ref([]float64{1})
	vals := []float64{1, 1, 2, 1, 0, 1, 3, 1, 1, 1, 1}
	if op == backend.CumProd {
		vals = []float64{1, 2, 1, 1, 1, 1, 1}
	}
	if d.IsFloat() {
		vals = append(b.random(d, 0.8, 1.25, 50), vals...)
	}
	check := func(shape []int, axis int, in, out layout, vals []float64) bool {
		defer b.free()
		o, idx, x := b.output(d, shape, out), none, b.array(d, shape, in, vals)
		if withIdx != nil {
			idx = b.output(backend.Int64, shape, out)
		}
		call := describe("Scan "+op.String(), o, x)
		if !b.ran("Scan "+op.String(), d, b.dev.Scan(op, o.Array, idx.Array, x.Array, axis), o) {
			return false
		}
		got := b.read(call, o)
		if !b.values {
			return true
		}
		of := func(part int) []float64 {
			return lines(x.values(), shape, axis, func(line []float64) []float64 {
				want, sums, idx := ref(line)
				return [][]float64{want, sums, idx}[part]
			})
		}
		b.close(call, d, got, b.defined(d, got, of(0)), of(1))
		if withIdx != nil {
			equal(b, call+" idx", b.read(call, idx), of(2))
		}
		return true
	}
	for _, shape := range [][]int{{1}, {37}, {5, 7}, {3, 1, 4}, {2, 3, 4, 5}, {0}, {2, 0, 3}} {
		for axis := range shape {
			for _, in := range []layout{contiguous, transposed, channelsLast, gapped, repeatFirst, repeatLast} {
				if !check(shape, axis, in, denseLayouts[b.rng.IntN(len(denseLayouts))], vals) {
					return false
				}
			}
		}
	}
	if d.IsFloat() {
		for _, special := range [][]float64{{1, nan, 2, 3}, {1, inf, -1, 2}, {2, -inf, inf, 1, 1}} {
			check([]int{3, 9}, 1, contiguous, contiguous, special)
		}
	}
	if d == backend.Float32 || d == backend.Int64 {
		long := []float64{1, 1, 1}
		if d == backend.Float32 {
			long = b.random(d, 0.9995, 1.0005, 997)
		}
		check([]int{2, 1201}, 1, contiguous, contiguous, long)
		check([]int{1201, 60}, 0, contiguous, contiguous, long)
	}
	return true
}
