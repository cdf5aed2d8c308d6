package cpu

import (
	"math"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cpu/internal/parallel"
	"github.com/descent-ml/descent/backend/cpu/internal/vec"
)

// Pool pools the planes of [N, C, H, W], in any strides.
func (d *Device) Pool(op backend.PoolOp, out, idx, x backend.Array, p backend.PoolParams) error {
	if g := d.capturing(); g != nil {
		return g.pooling(op, out, idx, x, p)
	}
	if !out.DType.IsFloat() {
		return unsupported(op, out.DType)
	}
	if out.Size() == 0 {
		return nil
	}
	if out.DType == backend.Float64 {
		poolAll[float64](op, &out, &idx, &x, &p)
		return nil
	}
	if out.DType == backend.Float32 {
		poolAll[float32](op, &out, &idx, &x, &p)
		return nil
	}
	return d.inFloat32(func(c []backend.Array) error {
		poolAll[float32](op, &c[0], &idx, &c[1], &p)
		return nil
	}, []*backend.Array{&out}, &x)
}

// inFloat32 runs f on float32 copies of arrays of a half type: the outputs
// first, whose values are copied back, then the inputs. Arrays without Buf stay
// without.
func (d *Device) inFloat32(f func(arrays []backend.Array) error, outs []*backend.Array, ins ...*backend.Array) error {
	copies := make([]backend.Array, 0, len(outs)+len(ins))
	defer func() {
		for _, c := range copies {
			if c.Buf != nil {
				c.Buf.Free()
			}
		}
	}()
	for i, a := range append(outs, ins...) {
		if a.Buf == nil {
			copies = append(copies, *a)
			continue
		}
		c, err := d.emptyLike(a, backend.Float32)
		if err != nil {
			return err
		}
		copies = append(copies, c)
		if i >= len(outs) {
			if err := d.Copy(c, *a, false); err != nil {
				return err
			}
		}
	}
	if err := f(copies); err != nil {
		return err
	}
	for i, a := range outs {
		if a.Buf != nil {
			if err := d.Copy(*a, copies[i], false); err != nil {
				return err
			}
		}
	}
	return nil
}

// plane is what a pool sees of an array: its elements and their strides.
type planes[T float32 | float64 | int64] struct {
	data          []T
	n, c, h, w    int // strides
	batch, ch     int
	height, width int
}

func planesOf[T float32 | float64 | int64](a *backend.Array) planes[T] {
	if a.Buf == nil {
		return planes[T]{}
	}
	return planes[T]{
		data: whole[T](a)[a.Offset:],
		n:    a.Strides[0], c: a.Strides[1], h: a.Strides[2], w: a.Strides[3],
		batch: a.Shape[0], ch: a.Shape[1], height: a.Shape[2], width: a.Shape[3],
	}
}

// window is the part of a window along one axis that lies inside the input:
// taps [lo, hi), tap t at start+t·dilation.
func window(o, size, kernel, stride, padding, dilation int) (start, lo, hi int) {
	start = o*stride - padding
	if start < 0 {
		lo = (-start + dilation - 1) / dilation
	}
	hi = kernel
	if last := size - 1 - start; last < (kernel-1)*dilation {
		hi = (last + dilation) / dilation
	}
	return start, lo, max(lo, hi)
}

// poolAll shares the images, and without channels last the channels, among
// threads. Within a task everything is in a fixed order.
func poolAll[T float32 | float64](op backend.PoolOp, out, idx, x *backend.Array, p *backend.PoolParams) {
	dst, src, at := planesOf[T](out), planesOf[T](x), planesOf[int64](idx)
	small := &dst // the side with one element a window
	if op == backend.MaxPoolBackward || op == backend.AvgPoolBackward {
		small = &src
	}
	channels := 1 // of a task
	if small.c == 1 {
		channels = dst.ch
	}
	groups := dst.ch / channels
	work := small.height * small.width * channels * p.Kernel[0] * p.Kernel[1]
	parallel.For(dst.batch*groups, max(1, grainSlow/max(1, work)), func(lo, hi int) {
		best := make([]T, channels)
		for i := lo; i < hi; i++ {
			n, c := i/groups, i%groups*channels
			switch op {
			case backend.MaxPool:
				maxPool(&dst, &at, &src, n, c, best, p)
			case backend.AvgPool:
				avgPool(&dst, &src, n, c, best, p)
			case backend.MaxPoolBackward:
				maxPoolBackward(&dst, &at, &src, n, c, channels)
			case backend.AvgPoolBackward:
				avgPoolBackward(&dst, &src, n, c, channels, p)
			}
		}
	})
}

// maxPool pools channels c, c+1, … of image n. NaN wins, as in PyTorch.
func maxPool[T float32 | float64](out *planes[T], idx *planes[int64], x *planes[T], n, c int, best []T, p *backend.PoolParams) {
	at := make([]int32, len(best))
	for oh := range out.height {
		h0, hLo, hHi := window(oh, x.height, p.Kernel[0], p.Stride[0], p.Padding[0], p.Dilation[0])
		for ow := range out.width {
			w0, wLo, wHi := window(ow, x.width, p.Kernel[1], p.Stride[1], p.Padding[1], p.Dilation[1])
			first := true
			for kh := hLo; kh < hHi; kh++ {
				h := h0 + kh*p.Dilation[0]
				for kw := wLo; kw < wHi; kw++ {
					w := w0 + kw*p.Dilation[1]
					pos := int32(h*x.width + w)
					from := x.data[n*x.n+c*x.c+h*x.h+w*x.w:]
					if first {
						first = false
						read(best, from, x.c)
						fill(at, pos)
					} else {
						takeLarger(best, at, from, x.c, pos)
					}
				}
			}
			if first { // a window in the padding
				fill(best, T(math.Inf(-1)))
				fill(at, int32((h0+hLo*p.Dilation[0])*x.width+w0+wLo*p.Dilation[1]))
			}
			write(out.data[n*out.n+c*out.c+oh*out.h+ow*out.w:], out.c, best)
			if idx.data != nil {
				write(idx.data[n*idx.n+c*idx.c+oh*idx.h+ow*idx.w:], idx.c, at)
			}
		}
	}
}

// read loads elements that are stride apart, write stores them.
func read[T float32 | float64](dst, src []T, stride int) {
	if stride == 1 {
		copy(dst, src)
		return
	}
	for i := range dst {
		dst[i] = src[i*stride]
	}
}

func write[T, S float32 | float64 | int64 | int32](dst []T, stride int, src []S) {
	if stride == 1 {
		dst = dst[:len(src)]
		for i, v := range src {
			dst[i] = T(v)
		}
		return
	}
	for i, v := range src {
		dst[i*stride] = T(v)
	}
}

// takeLarger puts x, of that stride, and pos where x is larger than best or NaN.
func takeLarger[T float32 | float64](best []T, at []int32, x []T, stride int, pos int32) {
	if b, ok := any(best).([]float32); ok && stride == 1 {
		takeLarger32(b, at, any(x).([]float32), pos)
		return
	}
	for i := range best {
		if v := x[i*stride]; v > best[i] || v != v {
			best[i], at[i] = v, pos
		}
	}
}

// takeLarger32 chooses positions without branches, which on real data go either
// way, and values with vectors.
func takeLarger32(best []float32, at []int32, x []float32, pos int32) {
	x, at = x[:len(best)], at[:len(best)]
	for i, v := range x {
		p := at[i]
		if v > best[i] {
			p = pos
		}
		if v != v {
			p = pos
		}
		at[i] = p
	}
	vec.Max(best, best, x)
}

// divisor is PyTorch's: with padding counted, windows still end at the padded
// edge.
func (w averager) divisor(oh, ow, inside int) int {
	p := w.PoolParams
	if p.Divisor != 0 {
		return p.Divisor
	}
	if !p.CountIncludePad {
		return max(1, inside)
	}
	h := min(oh*p.Stride[0]-p.Padding[0]+p.Kernel[0], w.height+p.Padding[0]) - (oh*p.Stride[0] - p.Padding[0])
	v := min(ow*p.Stride[1]-p.Padding[1]+p.Kernel[1], w.width+p.Padding[1]) - (ow*p.Stride[1] - p.Padding[1])
	return h * v
}

// averager knows the input's size.
type averager struct {
	*backend.PoolParams
	height, width int
}

func avgPool[T float32 | float64](out, x *planes[T], n, c int, sum []T, p *backend.PoolParams) {
	a := averager{p, x.height, x.width}
	for oh := range out.height {
		h0, hLo, hHi := window(oh, x.height, p.Kernel[0], p.Stride[0], p.Padding[0], 1)
		for ow := range out.width {
			w0, wLo, wHi := window(ow, x.width, p.Kernel[1], p.Stride[1], p.Padding[1], 1)
			clear(sum)
			for h := h0 + hLo; h < h0+hHi; h++ {
				for w := w0 + wLo; w < w0+wHi; w++ {
					from := x.data[n*x.n+c*x.c+h*x.h+w*x.w:]
					for i := range sum {
						sum[i] += from[i*x.c]
					}
				}
			}
			by := T(a.divisor(oh, ow, (hHi-hLo)*(wHi-wLo)))
			to := n*out.n + c*out.c + oh*out.h + ow*out.w
			for i, v := range sum {
				out.data[to+i*out.c] = v / by
			}
		}
	}
}

func (p *planes[T]) zero(n, c, channels int) {
	for h := range p.height {
		for w := range p.width {
			to := n*p.n + c*p.c + h*p.h + w*p.w
			if p.c == 1 {
				clear(p.data[to : to+channels])
				continue
			}
			for i := range channels {
				p.data[to+i*p.c] = 0
			}
		}
	}
}

func maxPoolBackward[T float32 | float64](dx *planes[T], idx *planes[int64], g *planes[T], n, c, channels int) {
	dx.zero(n, c, channels)
	for oh := range g.height {
		for ow := range g.width {
			from := n*g.n + c*g.c + oh*g.h + ow*g.w
			where := n*idx.n + c*idx.c + oh*idx.h + ow*idx.w
			for i := range channels {
				at := int(idx.data[where+i*idx.c])
				to := n*dx.n + (c+i)*dx.c
				if dx.h == dx.w*dx.width {
					to += at * dx.w
				} else {
					to += at/dx.width*dx.h + at%dx.width*dx.w
				}
				dx.data[to] += g.data[from+i*g.c]
			}
		}
	}
}

func avgPoolBackward[T float32 | float64](dx, g *planes[T], n, c, channels int, p *backend.PoolParams) {
	dx.zero(n, c, channels)
	a := averager{p, dx.height, dx.width}
	for oh := range g.height {
		h0, hLo, hHi := window(oh, dx.height, p.Kernel[0], p.Stride[0], p.Padding[0], 1)
		for ow := range g.width {
			w0, wLo, wHi := window(ow, dx.width, p.Kernel[1], p.Stride[1], p.Padding[1], 1)
			by := T(a.divisor(oh, ow, (hHi-hLo)*(wHi-wLo)))
			from := g.data[n*g.n+c*g.c+oh*g.h+ow*g.w:]
			for h := h0 + hLo; h < h0+hHi; h++ {
				for w := w0 + wLo; w < w0+wHi; w++ {
					to := dx.data[n*dx.n+c*dx.c+h*dx.h+w*dx.w:]
					for i := range channels {
						to[i*dx.c] += from[i*g.c] / by
					}
				}
			}
		}
	}
}
