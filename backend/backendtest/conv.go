package backendtest

import (
	"math"

	"github.com/descent-ml/descent/backend"
)

// convCase is a convolution: x is [n, c, h, w], the weight [f, c/groups, kh, kw].
type convCase struct {
	n, c, h, w, f, kh, kw int
	p                     backend.ConvParams
}

func conv(stride, padding, dilation [2]int, groups int) backend.ConvParams {
	return backend.ConvParams{Stride: stride, Padding: padding, Dilation: dilation, Groups: groups}
}

var convCases = []convCase{
	{1, 1, 5, 5, 1, 3, 3, conv([2]int{1, 1}, [2]int{0, 0}, [2]int{1, 1}, 1)},
	{2, 3, 7, 6, 4, 3, 3, conv([2]int{1, 1}, [2]int{1, 1}, [2]int{1, 1}, 1)},
	{2, 5, 4, 7, 3, 1, 1, conv([2]int{1, 1}, [2]int{0, 0}, [2]int{1, 1}, 1)},
	{2, 4, 8, 9, 5, 3, 3, conv([2]int{2, 2}, [2]int{1, 1}, [2]int{1, 1}, 1)},
	{1, 4, 7, 7, 6, 1, 1, conv([2]int{2, 2}, [2]int{0, 0}, [2]int{1, 1}, 1)},
	{1, 2, 9, 11, 3, 3, 5, conv([2]int{2, 1}, [2]int{0, 2}, [2]int{1, 2}, 1)},
	{2, 3, 10, 9, 2, 3, 2, conv([2]int{1, 3}, [2]int{2, 1}, [2]int{3, 1}, 1)},
	{2, 6, 6, 6, 6, 3, 3, conv([2]int{1, 1}, [2]int{1, 1}, [2]int{1, 1}, 6)},   // depthwise
	{1, 3, 8, 5, 6, 3, 3, conv([2]int{2, 2}, [2]int{1, 1}, [2]int{1, 1}, 3)},   // depthwise, two filters each
	{2, 4, 5, 6, 6, 3, 3, conv([2]int{1, 1}, [2]int{1, 1}, [2]int{2, 2}, 2)},   // groups with dilation
	{1, 2, 8, 8, 2, 2, 2, conv([2]int{3, 3}, [2]int{0, 0}, [2]int{1, 1}, 1)},   // pixels that no window sees
	{1, 3, 17, 15, 8, 7, 7, conv([2]int{2, 2}, [2]int{3, 3}, [2]int{1, 1}, 1)}, // a ResNet's stem
	{3, 2, 1, 9, 4, 1, 4, conv([2]int{1, 1}, [2]int{0, 3}, [2]int{1, 1}, 1)},
	{1, 1, 2, 2, 1, 3, 3, conv([2]int{1, 1}, [2]int{2, 2}, [2]int{1, 1}, 1)}, // smaller than its kernel
	{0, 2, 4, 4, 3, 3, 3, conv([2]int{1, 1}, [2]int{1, 1}, [2]int{1, 1}, 1)},
	{2, 16, 20, 20, 24, 3, 3, conv([2]int{1, 1}, [2]int{1, 1}, [2]int{1, 1}, 1)},
}

// window is the number of places of a window along an axis.
func window(n, kernel, stride, padding, dilation int) int {
	return (n+2*padding-dilation*(kernel-1)-1)/stride + 1
}

func (c convCase) shapes() (x, w, y []int) {
	oh := window(c.h, c.kh, c.p.Stride[0], c.p.Padding[0], c.p.Dilation[0])
	ow := window(c.w, c.kw, c.p.Stride[1], c.p.Padding[1], c.p.Dilation[1])
	return []int{c.n, c.c, c.h, c.w}, []int{c.f, c.c / c.p.Groups, c.kh, c.kw}, []int{c.n, c.f, oh, ow}
}

// products calls f with the row-major places of each y += x·w of the convolution.
func (c convCase) products(f func(x, w, y int)) {
	_, _, ys := c.shapes()
	perGroup := c.f / c.p.Groups
	for y := range c.n * c.f * ys[2] * ys[3] {
		ow, oh, filter, n := y%ys[3], y/ys[3]%ys[2], y/(ys[3]*ys[2])%c.f, y/(ys[3]*ys[2]*c.f)
		for ci := range c.c / c.p.Groups {
			channel := filter/perGroup*(c.c/c.p.Groups) + ci
			for kh := range c.kh {
				for kw := range c.kw {
					h := oh*c.p.Stride[0] - c.p.Padding[0] + kh*c.p.Dilation[0]
					w := ow*c.p.Stride[1] - c.p.Padding[1] + kw*c.p.Dilation[1]
					if h >= 0 && h < c.h && w >= 0 && w < c.w {
						f(((n*c.c+channel)*c.h+h)*c.w+w, ((filter*(c.c/c.p.Groups)+ci)*c.kh+kh)*c.kw+kw, y)
					}
				}
			}
		}
	}
}

func testConv(b *bench) {
	dev, ok := b.dev.(backend.ConvDevice)
	if !ok {
		b.Log("no ConvDevice")
		return
	}
	dev.ChannelsLast()
	for op := backend.ConvForward; op <= backend.ConvBackwardWeight; op++ {
		b.sub(op.String(), func(b *bench) {
			b.floats("Conv "+op.String(), func(d backend.DType) bool { return b.conv(dev, op, d) })
		})
	}
}

// floats is dtypes without the integers.
func (b *bench) floats(call string, f func(d backend.DType) bool) {
	b.Helper()
	b.dtypes(call, func(d backend.DType) bool { return d.IsFloat() && f(d) })
}

func (b *bench) conv(dev backend.ConvDevice, op backend.ConvOp, d backend.DType) (ran bool) {
	layouts := []layout{channelsLast, contiguous, gapped, transposed}
	for number, c := range convCases {
		xs, ws, ys := c.shapes()
		for i := range 8 {
			if op == backend.ConvBackwardWeight && i&1 == 1 || number > 1 && (i+number)%3 > 0 {
				continue // no bias there; some epilogues elsewhere
			}
			if number == len(convCases)-1 && (d != backend.Float32 || i > 3) {
				continue
			}
			pick := func(k int) layout { return layouts[(k+i+number)%len(layouts)] }
			dense := []layout{channelsLast, contiguous}[(i+number/3)%2]
			vals := b.random(d, -1, 1, 1009)
			made := map[bool]func(shape []int, k int) array{
				true:  func(shape []int, _ int) array { return b.array(d, shape, dense, vals[7:]) },
				false: func(shape []int, k int) array { return b.array(d, shape, pick(k), vals[k:]) },
			}
			x := made[op == backend.ConvBackwardInput](xs, 0)
			w := made[op == backend.ConvBackwardWeight](ws, 1)
			y := made[op == backend.ConvForward](ys, 2)
			out, p, q := y, x, w
			switch op {
			case backend.ConvBackwardInput:
				out, p, q = x, y, w
			case backend.ConvBackwardWeight:
				out, p, q = w, y, x
			}
			e, bias := b.epilogue(i, d, out.Shape[1], vals)
			call := describe("Conv "+op.String(), out, p, q)
			if !b.ran("Conv "+op.String(), d, dev.Conv(op, out.Array, p.Array, q.Array, c.p, e), out) {
				return ran
			}
			ran = true
			if got := b.read(call, out); b.values {
				want, sums := make([]float64, len(got)), make([]float64, len(got))
				xv, wv, yv := x.values(), w.values(), y.values()
				c.products(func(xi, wi, yi int) {
					at, v := yi, xv[xi]*wv[wi]
					switch op {
					case backend.ConvBackwardInput:
						at, v = xi, yv[yi]*wv[wi]
					case backend.ConvBackwardWeight:
						at, v = wi, yv[yi]*xv[xi]
					}
					want[at] += v
					sums[at] += math.Abs(v)
				})
				plane := out.Shape[2] * out.Shape[3]
				finish(e, want, sums, out.values(), bias, func(i int) int { return i / plane % out.Shape[1] })
				b.close(call, d, got, want, sums)
			}
			b.free()
		}
	}
	return ran
}

var poolCases = []struct {
	n, c, h, w int
	p          backend.PoolParams
}{
	{1, 1, 4, 4, backend.PoolParams{Kernel: [2]int{2, 2}, Stride: [2]int{2, 2}}},
	{2, 3, 7, 6, backend.PoolParams{Kernel: [2]int{2, 2}, Stride: [2]int{2, 2}}}, // a row that no window sees
	{2, 3, 7, 7, backend.PoolParams{Kernel: [2]int{3, 3}, Stride: [2]int{2, 2}, Padding: [2]int{1, 1}}},
	{1, 4, 6, 9, backend.PoolParams{Kernel: [2]int{3, 2}, Stride: [2]int{1, 2}, Padding: [2]int{1, 0}, CountIncludePad: true}},
	{1, 2, 8, 8, backend.PoolParams{Kernel: [2]int{3, 3}, Stride: [2]int{1, 1}, Divisor: 5}},
	{1, 2, 9, 7, backend.PoolParams{Kernel: [2]int{2, 3}, Stride: [2]int{2, 1}, Dilation: [2]int{3, 2}}},
	{2, 5, 5, 4, backend.PoolParams{Kernel: [2]int{5, 4}, Stride: [2]int{1, 1}}}, // global
	{0, 2, 4, 4, backend.PoolParams{Kernel: [2]int{2, 2}, Stride: [2]int{2, 2}}},
	{3, 24, 40, 32, backend.PoolParams{Kernel: [2]int{2, 2}, Stride: [2]int{2, 2}}},
}

func testPool(b *bench) {
	dev, ok := b.dev.(backend.PoolDevice)
	if !ok {
		b.Log("no PoolDevice")
		return
	}
	for op := backend.MaxPool; op <= backend.AvgPoolBackward; op++ {
		b.sub(op.String(), func(b *bench) {
			b.floats("Pool "+op.String(), func(d backend.DType) bool { return b.pool(dev, op, d) })
		})
	}
}

func (b *bench) pool(dev backend.PoolDevice, op backend.PoolOp, d backend.DType) (ran bool) {
	layouts := []layout{channelsLast, contiguous, gapped, transposed}
	for number, c := range poolCases {
		for i, l := range layouts {
			if number == len(poolCases)-1 && (d != backend.Float32 || i > 1) {
				continue
			}
			p := c.p
			p.Dilation = [2]int{max(p.Dilation[0], 1), max(p.Dilation[1], 1)}
			if op == backend.AvgPool || op == backend.AvgPoolBackward {
				if p.Dilation != [2]int{1, 1} {
					continue
				}
			}
			oh := window(c.h, p.Kernel[0], p.Stride[0], p.Padding[0], p.Dilation[0])
			ow := window(c.w, p.Kernel[1], p.Stride[1], p.Padding[1], p.Dilation[1])
			large, small := []int{c.n, c.c, c.h, c.w}, []int{c.n, c.c, oh, ow}
			dense := []layout{channelsLast, contiguous}[(i+number/2)%2]
			vals := append(b.dyadic(200), -100)
			if op == backend.MaxPool && number < 3 {
				vals[20] = nan
			}
			image := b.array(d, large, l, vals)
			wins := poolWindows(image.values(), large, small, p)

			call := "Pool " + op.String()
			var want, sums []float64
			var out array
			switch op {
			case backend.MaxPool, backend.AvgPool:
				out = b.output(d, small, dense)
				idx := none
				if op == backend.MaxPool {
					idx = b.output(backend.Int64, small, dense)
				}
				if !b.ran(call, d, dev.Pool(op, out.Array, idx.Array, image.Array, p), out) {
					return ran
				}
				var places []float64
				for _, win := range wins {
					want, sums = append(want, win.average), append(sums, win.magnitude)
					if op == backend.MaxPool {
						want[len(want)-1] = win.largest
					}
					places = append(places, float64(win.place))
				}
				if op == backend.MaxPool {
					equal(b, call+" idx", b.read(call, idx), places)
				}
			default:
				g, idx := b.array(d, small, l, b.dyadic(111)), none
				out = b.output(d, large, dense)
				if op == backend.MaxPoolBackward {
					var places []int64
					for _, win := range wins {
						places = append(places, int64(win.place))
					}
					idx = b.ints(small, []layout{contiguous, channelsLast}[i%2], append(places, 0)[:max(len(places), 1)])
				}
				if !b.ran(call, d, dev.Pool(op, out.Array, idx.Array, g.Array, p), out) {
					return ran
				}
				want, sums = make([]float64, out.Size()), make([]float64, out.Size())
				for j, gv := range g.values() {
					plane := j / (oh * ow) * (c.h * c.w)
					if op == backend.MaxPoolBackward {
						want[plane+wins[j].place] += gv
						sums[plane+wins[j].place] += math.Abs(gv)
						continue
					}
					for _, at := range wins[j].seen {
						want[plane+at] += gv / wins[j].divisor
						sums[plane+at] += math.Abs(gv / wins[j].divisor)
					}
				}
			}
			ran = true
			b.close(describe(call, out), d, b.read(call, out), want, sums)
			b.free()
		}
	}
	return ran
}

// poolWindow is what a window of a pool sees: the places in its plane, their
// largest value and its place, their average and what that is divided by.
type poolWindow struct {
	seen                                 []int
	place                                int
	largest, average, magnitude, divisor float64
}

func poolWindows(x []float64, large, small []int, p backend.PoolParams) []poolWindow {
	h, w, oh, ow := large[2], large[3], small[2], small[3]
	wins := make([]poolWindow, large[0]*large[1]*oh*ow)
	for i := range wins {
		win := &wins[i]
		plane := x[i/(oh*ow)*(h*w):]
		sum := 0.0
		for k := range p.Kernel[0] * p.Kernel[1] {
			r := i/ow%oh*p.Stride[0] - p.Padding[0] + k/p.Kernel[1]*p.Dilation[0]
			c := i%ow*p.Stride[1] - p.Padding[1] + k%p.Kernel[1]*p.Dilation[1]
			if r < 0 || r >= h || c < 0 || c >= w {
				continue
			}
			at := r*w + c
			if v := plane[at]; len(win.seen) == 0 || v > win.largest || math.IsNaN(v) {
				win.largest, win.place = v, at
			}
			win.seen = append(win.seen, at)
			sum += plane[at]
			win.magnitude += math.Abs(plane[at])
		}
		win.divisor = float64(len(win.seen))
		if p.CountIncludePad {
			win.divisor = float64(p.Kernel[0] * p.Kernel[1])
		}
		if p.Divisor != 0 {
			win.divisor = float64(p.Divisor)
		}
		win.average = sum / win.divisor
		win.magnitude /= win.divisor
	}
	return wins
}
