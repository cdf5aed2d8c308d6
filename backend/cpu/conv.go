package cpu

import (
	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cpu/internal/gemm"
)

// Convolution is implicit GEMM: the windows of the input are packed, block by
// block, for the kernel that multiplies matrices. With channels last in memory
// a window's row is one run.

// ChannelsLast reports that the results of Conv should have their channels last.
func (d *Device) ChannelsLast() bool { return true }

// Conv computes a convolution or one of its adjoints.
func (d *Device) Conv(op backend.ConvOp, out, a, b backend.Array, p backend.ConvParams, e backend.Epilogue) error {
	if g := d.capturing(); g != nil {
		return g.conv(op, out, a, b, p, e)
	}
	if !out.DType.IsFloat() || e.Act != backend.Identity && e.Act != backend.ReLU ||
		op == backend.ConvBackwardWeight && e.Bias.Buf != nil {
		return unsupported(op, out.DType)
	}
	if out.Size() == 0 {
		return nil
	}
	if t := out.DType; t == backend.Float16 || t == backend.BFloat16 || e.Accumulate {
		return d.convAside(op, &out, &a, &b, &p, &e)
	}
	if out.DType == backend.Float64 {
		return conv[float64](d, op, &out, &a, &b, &p, &e)
	}
	return conv[float32](d, op, &out, &a, &b, &p, &e)
}

// convAside computes to other memory, the half types in float32, and copies or
// adds the result to out.
func (d *Device) convAside(op backend.ConvOp, out, a, b *backend.Array, p *backend.ConvParams, e *backend.Epilogue) error {
	t := out.DType
	if t != backend.Float64 {
		t = backend.Float32
	}
	inner := *e
	inner.Accumulate = false
	result, err := d.emptyLike(out, t)
	if err != nil {
		return err
	}
	defer result.Buf.Free()
	if t == out.DType {
		if err := d.Conv(op, result, *a, *b, *p, inner); err != nil {
			return err
		}
		return d.Copy(*out, result, true)
	}
	return d.inFloat32(func(c []backend.Array) error {
		inner.Bias = c[2]
		if err := d.Conv(op, result, c[0], c[1], *p, inner); err != nil {
			return err
		}
		return d.Copy(*out, result, e.Accumulate)
	}, nil, a, b, &e.Bias)
}

func conv[T gemm.Float](d *Device, op backend.ConvOp, out, a, b *backend.Array, p *backend.ConvParams, e *backend.Epilogue) error {
	if op == backend.ConvBackwardWeight {
		if err := convBackwardWeight[T](d, out, a, b, p); err != nil || e.Act == backend.Identity {
			return err
		}
		return d.Unary(e.Act, *out, *out, backend.Params{})
	}
	ep := gemm.Epilogue[T]{ReLU: e.Act == backend.ReLU}
	if e.Bias.Buf != nil {
		bias, free, err := d.contiguous(&e.Bias)
		if err != nil {
			return err
		}
		defer free()
		ep.Bias = whole[T](&bias)[bias.Offset:][:out.Shape[1]]
	}
	if op == backend.ConvForward {
		return convForward(d, out, a, b, p, ep)
	}
	return convBackwardInput(d, out, a, b, p, ep)
}

// ofGroup is the epilogue of the n channels of group g.
func ofGroup[T gemm.Float](ep gemm.Epilogue[T], g, n int) gemm.Epilogue[T] {
	if ep.Bias != nil {
		ep.Bias = ep.Bias[g*n:][:n]
	}
	return ep
}

// forwardTaps are those of an axis in the forward direction.
func forwardTaps(p *backend.ConvParams, axis, kernel int) taps {
	return taps{step: p.Stride[axis], at: -p.Padding[axis], gap: p.Dilation[axis], n: kernel}
}

// windows are the patches of channels [first, first+n) of x, whose channels lie
// together.
func windows[T gemm.Float](x *backend.Array, first, n, outH, outW int, th, tw taps) *patches[T] {
	return &patches[T]{
		data: whole[T](x)[x.Offset+first*x.Strides[1]:],
		n:    x.Strides[0], h: x.Strides[2], w: x.Strides[3],
		height: x.Shape[2], width: x.Shape[3], channels: n,
		outH: outH, outW: outW, th: th, tw: tw,
	}
}

func convForward[T gemm.Float](d *Device, y, x, w *backend.Array, p *backend.ConvParams, ep gemm.Epilogue[T]) error {
	x2, free, err := d.channelsLast(x, false)
	if err != nil {
		return err
	}
	defer free()
	kh, kw := w.Shape[2], w.Shape[3]
	perGroup, features := w.Shape[1], w.Shape[0]/p.Groups
	for g := range p.Groups {
		wg := *w
		wg.Offset += g * features * w.Strides[0]
		wg.Shape = []int{features, perGroup, kh, kw}
		yg := channelsOf(*y, g*features, features)
		q := windows[T](&x2, g*perGroup, perGroup, y.Shape[2], y.Shape[3], forwardTaps(p, 0, kh), forwardTaps(p, 1, kw))
		if err := convolve(d, &yg, q, &wg, 1, 0, ofGroup(ep, g, features)); err != nil {
			return err
		}
	}
	return nil
}

// convolve computes y = q times the weight: w's axis `from` is the channels of
// q, axis `to` those of y.
func convolve[T gemm.Float](d *Device, y *backend.Array, q *patches[T], w *backend.Array, from, to int, ep gemm.Epilogue[T]) error {
	n, rows := y.Shape[1], y.Shape[0]*y.Shape[2]*y.Shape[3]
	b, free, err := weightMatrix[T](d, w, from, to)
	if err != nil {
		return err
	}
	defer free()
	if c, ok := pixels[T](y); ok {
		return q.times(d, rows, n, b, c, ep)
	}
	result, c, err := scratchMatrix[T](d, y.DType, rows, n)
	if err != nil {
		return err
	}
	defer result.Buf.Free()
	if err := q.times(d, rows, n, b, c, ep); err != nil {
		return err
	}
	h, wd := y.Shape[2], y.Shape[3]
	result.Shape, result.Strides = y.Shape, []int{h * wd * n, 1, wd * n, n}
	return d.Copy(*y, result, false)
}

// weightMatrix is a weight as a matrix of (kh, kw, axis from) by axis to: its
// own memory if the rows have one stride there, else a copy.
func weightMatrix[T gemm.Float](d *Device, w *backend.Array, from, to int) (gemm.Matrix[T], func(), error) {
	rows := *w
	rows.Shape = []int{w.Shape[2], w.Shape[3], w.Shape[from]}
	rows.Strides = []int{w.Strides[2], w.Strides[3], w.Strides[from]}
	if stride, ok := oneStride(rows.Shape, rows.Strides); ok {
		return gemm.Matrix[T]{Data: whole[T](w), Offset: w.Offset, RowStride: stride, ColStride: w.Strides[to]}, func() {}, nil
	}
	m, n := rows.Size(), w.Shape[to]
	c, matrix, err := scratchMatrix[T](d, w.DType, m, n)
	if err != nil {
		return matrix, nil, err
	}
	c.Shape = append(rows.Shape, n)
	c.Strides = []int{rows.Shape[1] * rows.Shape[2] * n, rows.Shape[2] * n, n, 1}
	rows.Shape, rows.Strides = c.Shape, append(rows.Strides, w.Strides[to])
	if err := d.Copy(c, rows, false); err != nil {
		c.Buf.Free()
		return matrix, nil, err
	}
	return matrix, c.Buf.Free, nil
}

// phase is the part of an axis of the input whose positions have one remainder
// by the stride: position first+j·stride gets its gradient from the outputs
// that taps name, by the weights kernel0, kernel0+kernelStep, ….
type phase struct {
	first, count        int
	taps                taps
	kernel0, kernelStep int
}

// phases splits the backward pass of one axis. Output o with tap k reads input
// o·stride-padding+k·dilation; so input i is read by (i+padding-k·dilation)/stride
// where that is whole. The taps are in falling order of k, rising order of o.
func phases(p *backend.ConvParams, axis, kernel, size int) []phase {
	stride, padding, dilation := p.Stride[axis], p.Padding[axis], p.Dilation[axis]
	var all []phase
	for first := range min(stride, size) {
		f := phase{first: first, count: (size - first + stride - 1) / stride}
		f.taps.step = 1
		last := 0
		for k := kernel - 1; k >= 0; k-- {
			if (first+padding-k*dilation)%stride != 0 {
				continue
			}
			at := (first + padding - k*dilation) / stride
			switch f.taps.n {
			case 0:
				f.kernel0, f.taps.at = k, at
			case 1:
				f.kernelStep, f.taps.gap = k-last, at-f.taps.at
			}
			last = k
			f.taps.n++
		}
		if f.taps.n == 1 {
			f.taps.gap = 1
		}
		all = append(all, f)
	}
	return all
}

func convBackwardInput[T gemm.Float](d *Device, dx, dy, w *backend.Array, p *backend.ConvParams, ep gemm.Epilogue[T]) error {
	g2, free, err := d.channelsLast(dy, false)
	if err != nil {
		return err
	}
	defer free()
	perGroup, features := w.Shape[1], w.Shape[0]/p.Groups
	for g := range p.Groups {
		for _, h := range phases(p, 0, w.Shape[2], dx.Shape[2]) {
			for _, v := range phases(p, 1, w.Shape[3], dx.Shape[3]) {
				part := channelsOf(*dx, g*perGroup, perGroup)
				part.Offset += h.first*dx.Strides[2] + v.first*dx.Strides[3]
				part.Shape[2], part.Shape[3] = h.count, v.count
				part.Strides = []int{dx.Strides[0], dx.Strides[1], dx.Strides[2] * p.Stride[0], dx.Strides[3] * p.Stride[1]}
				if h.taps.n == 0 || v.taps.n == 0 {
					fillPixels(&part, ofGroup(ep, g, perGroup))
					continue
				}
				wg := *w
				wg.Offset += g*features*w.Strides[0] + h.kernel0*w.Strides[2] + v.kernel0*w.Strides[3]
				wg.Shape = []int{features, perGroup, h.taps.n, v.taps.n}
				wg.Strides = []int{w.Strides[0], w.Strides[1], h.kernelStep * w.Strides[2], v.kernelStep * w.Strides[3]}
				q := windows[T](&g2, g*features, features, h.count, v.count, h.taps, v.taps)
				if err := convolve(d, &part, q, &wg, 0, 1, ofGroup(ep, g, perGroup)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// fillPixels sets pixels that no product reaches.
func fillPixels[T gemm.Float](a *backend.Array, ep gemm.Epilogue[T]) {
	p := planesOf[T](a)
	for n := range p.batch {
		for h := range p.height {
			for w := range p.width {
				for c := range p.ch {
					var v T
					if ep.Bias != nil {
						v = ep.Bias[c]
					}
					if ep.ReLU {
						v = max(v, 0)
					}
					p.data[n*p.n+c*p.c+h*p.h+w*p.w] = v
				}
			}
		}
	}
}

func convBackwardWeight[T gemm.Float](d *Device, dw, dy, x *backend.Array, p *backend.ConvParams) error {
	x2, freeX, err := d.channelsLast(x, false)
	if err != nil {
		return err
	}
	defer freeX()
	g2, freeG, err := d.channelsLast(dy, true)
	if err != nil {
		return err
	}
	defer freeG()
	kh, kw := dw.Shape[2], dw.Shape[3]
	perGroup, features := dw.Shape[1], dw.Shape[0]/p.Groups
	rows := dy.Shape[0] * dy.Shape[2] * dy.Shape[3]
	result, c, err := scratchMatrix[T](d, dw.DType, features, kh*kw*perGroup)
	if err != nil {
		return err
	}
	defer result.Buf.Free()
	result.Strides = []int{kh * kw * perGroup, 1, kw * perGroup, perGroup}
	for g := range p.Groups {
		gradient := channelsOf(g2, g*features, features)
		a, _ := pixels[T](&gradient)
		q := windows[T](&x2, g*perGroup, perGroup, dy.Shape[2], dy.Shape[3], forwardTaps(p, 0, kh), forwardTaps(p, 1, kw))
		clear(c.Data)
		if err := q.transposedTimes(d, features, rows, a, c); err != nil {
			return err
		}
		part := *dw
		part.Offset += g * features * dw.Strides[0]
		part.Shape = []int{features, perGroup, kh, kw}
		result.Shape = part.Shape
		if err := d.Copy(part, result, false); err != nil {
			return err
		}
	}
	return nil
}
