package backendtest

import (
	"math"
	"strings"

	"github.com/descent-ml/descent/backend"
)

// normCases have size 1 in mean on the axes that are normalised, and list the axes
// on which weight and bias are broadcast.
var normCases = []struct {
	name      string
	x, mean   []int
	broadcast []int
}{
	{"batch norm of rows", []int{9, 5}, []int{1, 5}, []int{0}},
	{"batch norm of images", []int{4, 6, 5, 3}, []int{1, 6, 1, 1}, []int{0, 2, 3}},
	{"layer norm", []int{4, 5, 23}, []int{4, 5, 1}, []int{0, 1}},
	{"layer norm over two axes", []int{3, 4, 5}, []int{3, 1, 1}, []int{0}},
	{"group norm", []int{3, 2, 4, 5, 2}, []int{3, 2, 1, 1, 1}, []int{0, 3, 4}},
	{"instance norm", []int{2, 3, 4, 4}, []int{2, 3, 1, 1}, []int{0, 2, 3}},
	{"large batch norm", []int{8, 10, 30, 28}, []int{1, 10, 1, 1}, []int{0, 2, 3}},
	{"large layer norm", []int{300, 257}, []int{300, 1}, []int{0}},
	{"an empty batch", []int{0, 4, 6}, []int{0, 4, 1}, []int{0, 1}},
}

// repeated is row-major with strides of 0 on those axes.
func repeated(axes []int) layout {
	return broadcast("repeated", func(axis, _ int) bool {
		for _, a := range axes {
			if a == axis {
				return true
			}
		}
		return false
	})
}

func statistics(d backend.DType) backend.DType {
	if d == backend.Float64 {
		return d
	}
	return backend.Float32
}

// spread is v, one value for each group, at the places of the group's elements.
func spread(v []float64, shape, group []int) []float64 {
	place := array{Array: backend.Array{Shape: shape, Strides: make([]int, len(shape))}}
	n := 1
	for axis := len(shape) - 1; axis >= 0; axis-- {
		if group[axis] != 1 {
			place.Strides[axis] = n
		}
		n *= group[axis]
	}
	var out []float64
	place.visit(func(at int) { out = append(out, v[at]) })
	return out
}

// totals are the sum and the magnitudes of each group of x.
func totals(x []float64, shape, group []int) (sum, magnitude []float64) {
	for _, g := range groups(x, shape, group) {
		s, m := total(g)
		sum, magnitude = append(sum, s), append(magnitude, m)
	}
	return sum, magnitude
}

// zip is f of each element.
func zip(f func(v ...float64) float64, xs ...[]float64) []float64 {
	out := make([]float64, len(xs[0]))
	v := make([]float64, len(xs))
	for i := range out {
		for j := range xs {
			v[j] = xs[j][i]
		}
		out[i] = f(v...)
	}
	return out
}

func testNorm(b *bench) {
	dev, ok := b.dev.(backend.NormDevice)
	if !ok {
		b.Log("no NormDevice")
		return
	}
	b.floats("Norm", func(d backend.DType) bool {
		ran := false
		for i, c := range normCases {
			for j, l := range []layout{contiguous, channelsLast, transposed} {
				if strings.HasPrefix(c.name, "large") && (j > 0 || d != backend.Float32) {
					continue
				}
				vals := b.random(d, -2, 3, 997)
				ran = b.norm(dev, d, c.x, c.mean, c.broadcast, l, denseLayouts[(i+j)%4], vals, j != 1) || ran
			}
		}
		if d == backend.Float32 || d == backend.Float64 { // a variance that a difference of squares loses
			b.norm(dev, d, []int{64, 100}, []int{64, 1}, []int{0}, contiguous, contiguous, b.random(d, 999, 1001, 997), true)
			b.norm(dev, d, []int{100, 64}, []int{1, 64}, []int{0}, contiguous, contiguous, b.random(d, 999, 1001, 997), true)
		}
		return ran
	})
	b.floats("NormBackward", func(d backend.DType) bool {
		ran := false
		for i, c := range normCases {
			for j, l := range []layout{contiguous, channelsLast, transposed, gapped} {
				if strings.HasPrefix(c.name, "large") && (j > 0 || d != backend.Float32) {
					continue
				}
				ran = b.normBackward(dev, d, c.x, c.mean, c.broadcast, l, denseLayouts[(i+j)%4], j) || ran
			}
		}
		return ran
	})
}

const eps = 1e-3

func (b *bench) norm(dev backend.NormDevice, d backend.DType, shape, group, repeat []int, in, out layout, vals []float64, affine bool) bool {
	defer b.free()
	x, o := b.array(d, shape, in, vals), b.output(d, shape, out)
	mean, variance := b.output(statistics(d), group, contiguous), b.output(statistics(d), group, contiguous)
	weight, bias := none, none
	ones := make([]float64, x.Size())
	for i := range ones {
		ones[i] = 1
	}
	w, bs := ones, make([]float64, x.Size())
	if affine {
		weight, bias = b.array(d, shape, repeated(repeat), b.dyadic(31)), b.array(d, shape, repeated(repeat), b.dyadic(29))
		w, bs = weight.values(), bias.values()
	}
	call := describe("Norm", o, x)
	if !b.ran("Norm", d, dev.Norm(o.Array, mean.Array, variance.Array, x.Array, weight.Array, bias.Array, eps), o, mean, variance) {
		return false
	}
	gotOut, gotMean, gotVariance := b.read(call, o), b.read(call+" mean", mean), b.read(call+" variance", variance)
	if !b.values || x.Size() == 0 {
		return true
	}
	v := x.values()
	n := float64(len(v) / mean.Size())
	by := func(f func(sum float64) float64, v []float64) []float64 {
		return zip(func(v ...float64) float64 { return f(v[0]) }, v)
	}
	perElement := func(sum float64) float64 { return sum / n }
	sum, magnitude := totals(v, shape, group)
	m := by(perElement, sum)
	magnitude = by(perElement, magnitude)
	b.close(call+" mean", mean.DType, gotMean, m, magnitude)
	deviation := zip(func(v ...float64) float64 { return v[0] - v[1] }, v, spread(m, shape, group))
	squares, _ := totals(by(func(x float64) float64 { return x * x }, deviation), shape, group)
	vr := by(perElement, squares)
	// The mean's own rounding is squared in the variance.
	b.close(call+" variance", mean.DType, gotVariance, vr, by(func(x float64) float64 { return 30 * x }, vr))
	scale := by(func(v float64) float64 { return 1 / math.Sqrt(v+eps) }, spread(vr, shape, group))
	want := zip(func(v ...float64) float64 { return v[0]*v[1]*v[2] + v[3] }, deviation, scale, w, bs)
	sums := zip(func(v ...float64) float64 {
		return (math.Abs(v[0])+math.Abs(v[1])+30*math.Abs(v[5]))*v[2]*math.Abs(v[3]) + math.Abs(v[4])
	}, v, spread(magnitude, shape, group), scale, w, bs, deviation)
	b.close(call, d, gotOut, want, sums)
	return true
}

func (b *bench) normBackward(dev backend.NormDevice, d backend.DType, shape, group, repeat []int, in, out layout, variant int) bool {
	defer b.free()
	x, g := b.array(d, shape, in, b.random(d, -2, 3, 997)), b.array(d, shape, contiguous, b.random(d, -1, 1, 991))
	mean := b.array(statistics(d), group, contiguous, b.random(statistics(d), 0.4, 0.6, 101))
	variance := b.array(statistics(d), group, contiguous, b.random(statistics(d), 1, 3, 103))
	weight := b.array(d, shape, repeated(repeat), b.dyadic(31))
	w := weight.values()
	small := append([]int{}, shape...)
	for _, axis := range repeat {
		small[axis] = 1
	}
	dx, dweight, dbias := b.output(d, shape, out), b.output(d, small, contiguous), b.output(d, small, contiguous)
	outs := []array{dx, dweight, dbias}
	switch variant {
	case 1: // frozen affine parameters, and none
		dweight, dbias, weight, outs = none, none, none, outs[:1]
		for i := range w {
			w[i] = 1
		}
	case 2: // the input's gradient is not wanted
		dx, outs = none, outs[1:]
	}
	call := describe("NormBackward", x)
	if !b.ran("NormBackward", d, dev.NormBackward(dx.Array, dweight.Array, dbias.Array, g.Array, x.Array, mean.Array, variance.Array, weight.Array, eps), outs...) {
		return false
	}
	var got [3][]float64
	for i, a := range []array{dx, dweight, dbias} {
		if !a.IsScalar() {
			got[i] = b.read(call, a)
		}
	}
	if !b.values || x.Size() == 0 {
		return true
	}
	rstd := zip(func(v ...float64) float64 { return 1 / math.Sqrt(v[0]+eps) }, spread(variance.values(), shape, group))
	hat := zip(func(v ...float64) float64 { return (v[0] - v[1]) * v[2] }, x.values(), spread(mean.values(), shape, group), rstd)
	mul := func(v ...float64) float64 { return v[0] * v[1] }
	if dbias.Buf != nil {
		want, sums := totals(g.values(), shape, small)
		b.close(call+" dbias", d, got[2], want, sums)
	}
	if dweight.Buf != nil {
		want, sums := totals(zip(mul, g.values(), hat), shape, small)
		b.close(call+" dweight", d, got[1], want, sums)
	}
	if dx.Buf != nil {
		gw := zip(mul, g.values(), w)
		n := float64(x.Size() / mean.Size())
		sum, magnitude := totals(gw, shape, group)
		sumHat, magnitudeHat := totals(zip(mul, gw, hat), shape, group)
		at := func(v []float64) []float64 { return spread(v, shape, group) }
		want := zip(func(v ...float64) float64 { return v[0] * (v[1] - v[2]/n - v[3]*v[4]/n) }, rstd, gw, at(sum), hat, at(sumHat))
		sums := zip(func(v ...float64) float64 {
			return v[0] * (math.Abs(v[1]) + v[2]/n + math.Abs(v[3])*v[4]/n)
		}, rstd, gw, at(magnitude), hat, at(magnitudeHat))
		b.close(call+" dx", d, got[0], want, sums)
	}
	return true
}

func testSoftmax(b *bench) {
	dev, ok := b.dev.(backend.SoftmaxDevice)
	if !ok {
		b.Log("no SoftmaxDevice")
		return
	}
	for op := backend.Softmax; op <= backend.LogSoftmaxBackward; op++ {
		b.sub(op.String(), func(b *bench) {
			b.floats("Softmax "+op.String(), func(d backend.DType) bool { return b.softmax(dev, op, d) })
		})
	}
}

// softmax of one line: y is the output that a backward op is given.
func softmaxLine(op backend.SoftmaxOp, x, y []float64) (want, sums []float64) {
	top, dot, magnitude := math.Inf(-1), 0.0, 0.0
	for i, v := range x {
		top = max(top, v)
		switch op {
		case backend.SoftmaxBackward:
			dot += v * y[i]
			magnitude += math.Abs(v * y[i])
		case backend.LogSoftmaxBackward:
			dot += v
			magnitude += math.Abs(v)
		}
	}
	if op <= backend.LogSoftmax {
		for _, v := range x {
			dot += math.Exp(v - top)
		}
	}
	for i, v := range x {
		var w, s float64
		switch op {
		case backend.Softmax:
			w = math.Exp(v-top) / dot
			s = w
		case backend.LogSoftmax:
			w = v - top - math.Log(dot)
			s = math.Abs(v) + math.Abs(top)
		case backend.SoftmaxBackward:
			w = y[i] * (v - dot)
			s = math.Abs(y[i]) * (math.Abs(v) + magnitude)
		case backend.LogSoftmaxBackward:
			w = v - math.Exp(y[i])*dot
			s = math.Abs(v) + math.Exp(y[i])*magnitude
		}
		if math.IsInf(s, 0) || math.IsNaN(s) {
			s = 0
		}
		want, sums = append(want, w), append(sums, s)
	}
	return want, sums
}

func (b *bench) softmax(dev backend.SoftmaxDevice, op backend.SoftmaxOp, d backend.DType) (ran bool) {
	backward := op == backend.SoftmaxBackward || op == backend.LogSoftmaxBackward
	plain := b.random(d, -4, 4, 499)
	sets := [][]float64{plain}
	if !backward { // beyond exp's range, masked, and nothing but masked
		sets = append(sets, []float64{1000, 999, -1000, 998}, []float64{1, -inf, 2, 3, -inf}, []float64{-inf})
	}
	for _, vals := range sets {
		for i, shape := range [][]int{{1}, {7}, {5, 10}, {10, 5}, {2, 3, 4, 5}, {3, 1, 4}, {0, 4}, {300, 250}, {3, 5003}} {
			if i > 6 && (d != backend.Float32 || len(vals) < 100) {
				continue
			}
			for axis := range shape {
				for j, in := range []layout{contiguous, transposed, channelsLast, gapped, repeatFirst} {
					if i > 6 && j > 0 {
						continue
					}
					x, y, out := b.array(d, shape, in, vals), none, b.output(d, shape, denseLayouts[(i+j)%len(denseLayouts)])
					if j == 1 {
						out = x // in place
					}
					if backward {
						y = b.array(d, shape, []layout{contiguous, transposed}[j%2], b.random(d, 0.01, 0.5, 301))
						if op == backend.LogSoftmaxBackward {
							y = b.array(d, shape, []layout{contiguous, transposed}[j%2], b.random(d, -4, -0.1, 301))
						}
					}
					call := describe("Softmax "+op.String(), out, x)
					if !b.ran("Softmax "+op.String(), d, dev.Softmax(op, out.Array, x.Array, y.Array, axis), out) {
						return ran
					}
					ran = true
					if got := b.read(call, out); b.values {
						ys := x.values()
						if backward {
							ys = y.values()
						}
						want, sums := softmaxLines(op, x.values(), ys, shape, axis)
						b.close(call, d, got, want, sums)
					}
					b.free()
				}
			}
		}
	}
	return ran
}

// softmaxLines is softmaxLine of each line along axis.
func softmaxLines(op backend.SoftmaxOp, x, y []float64, shape []int, axis int) (want, sums []float64) {
	var ys, magnitudes [][]float64
	lines(y, shape, axis, func(line []float64) []float64 {
		ys = append(ys, line)
		return nil
	})
	next := func(list *[][]float64) []float64 {
		line := (*list)[0]
		*list = (*list)[1:]
		return line
	}
	want = lines(x, shape, axis, func(line []float64) []float64 {
		w, s := softmaxLine(op, line, next(&ys))
		magnitudes = append(magnitudes, s)
		return w
	})
	sums = lines(x, shape, axis, func([]float64) []float64 { return next(&magnitudes) })
	return want, sums
}
