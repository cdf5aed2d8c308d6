package tensor

import (
	"errors"
	"slices"

	"github.com/descent-ml/descent/backend"
)

// MaxPool2dOptions are those of MaxPool2d: [height, width].
type MaxPool2dOptions struct {
	Stride   [2]int // zero: the kernel's size
	Padding  [2]int // on each side, at most half of the kernel; never the maximum
	Dilation [2]int // zero: 1
	CeilMode bool   // a last window that is only partly inside counts too
}

// MaxPool2d is the largest element of each window of x [N, C, H, W] or [C, H, W];
// NaN is the largest. OH = (H + 2·Padding - Dilation·(KH-1) - 1)/Stride + 1,
// rounded down or up. The gradient goes to the first maximum of a window.
func MaxPool2d(x *Tensor, kernel [2]int, o MaxPool2dOptions) *Tensor {
	y, at := MaxPool2dWithIndices(x, kernel, o)
	if y.node == nil {
		free(at)
	}
	return y
}

// MaxPool2dWithIndices is MaxPool2d that also returns where the maxima are, as
// h·W + w in their plane, of dtype Int64.
func MaxPool2dWithIndices(x *Tensor, kernel [2]int, o MaxPool2dOptions) (y, indices *Tensor) {
	const op = "max_pool2d"
	p, out := poolParams(op, x, kernel, o.Stride, o.Padding, orOnes(o.Dilation), o.CeilMode)
	return onImages(x, func(x *Tensor) []*Tensor { return maxPool(op, x, out, &p, poolWindows(op, p, x, out)) })
}

// AdaptiveMaxPool2d divides x [N, C, H, W] or [C, H, W] into size [OH, OW]
// windows, which overlap where sizes do not divide, and returns their largest
// elements and where they are, as MaxPool2dWithIndices does.
func AdaptiveMaxPool2d(x *Tensor, size [2]int) (y, indices *Tensor) {
	const op = "adaptive_max_pool2d"
	p, windows := adaptive(op, x, size)
	return onImages(x, func(x *Tensor) []*Tensor { return maxPool(op, x, size, p, windows) })
}

// AvgPool2dOptions are those of AvgPool2d: [height, width].
type AvgPool2dOptions struct {
	Stride            [2]int // zero: the kernel's size
	Padding           [2]int // zeros on each side, at most half of the kernel
	CeilMode          bool   // a last window that is only partly inside counts too
	NoCountIncludePad bool   // divide by the number of elements without the padding
	Divisor           int    // divide by this instead, if not zero
}

// AvgPool2d is the mean of each window of x [N, C, H, W] or [C, H, W];
// OH = (H + 2·Padding - KH)/Stride + 1, rounded down or up.
func AvgPool2d(x *Tensor, kernel [2]int, o AvgPool2dOptions) *Tensor {
	const op = "avg_pool2d"
	p, out := poolParams(op, x, kernel, o.Stride, o.Padding, [2]int{1, 1}, o.CeilMode)
	p.CountIncludePad, p.Divisor = !o.NoCountIncludePad, o.Divisor
	y, _ := onImages(x, func(x *Tensor) []*Tensor {
		return []*Tensor{avgPool(op, x, out, &p, poolWindows(op, p, x, out))}
	})
	return y
}

// AdaptiveAvgPool2d is the mean of each of size [OH, OW] windows that x [N, C, H,
// W] or [C, H, W] is divided into; they overlap where sizes do not divide.
func AdaptiveAvgPool2d(x *Tensor, size [2]int) *Tensor {
	const op = "adaptive_avg_pool2d"
	p, windows := adaptive(op, x, size)
	y, _ := onImages(x, func(x *Tensor) []*Tensor { return []*Tensor{avgPool(op, x, size, p, windows)} })
	return y
}

// onImages runs fn on x as [N, C, H, W].
func onImages(x *Tensor, fn func(x *Tensor) []*Tensor) (y, indices *Tensor) {
	batched := x.Dim() == 4
	if !batched {
		x = x.Unsqueeze(0)
	}
	images := fn(x)
	if batched {
		return images[0], append(images[:len(images):len(images)], nil)[1]
	}
	var outs [2]*Tensor
	for i, y := range images {
		outs[i] = y.Squeeze(0)
		if images[0].node == nil {
			y.release()
		}
	}
	return outs[0], outs[1]
}

// poolParams checks a pool's arguments and returns the output's height and width.
func poolParams(op string, x *Tensor, kernel, stride, padding, dilation [2]int, ceil bool) (p backend.PoolParams, out [2]int) {
	wantImages(op, x)
	if stride == [2]int{} {
		stride = kernel
	}
	p = backend.PoolParams{Kernel: kernel, Stride: stride, Padding: padding, Dilation: dilation}
	for i := range 2 {
		n, k, s, pad, d := x.Size(i-2), kernel[i], stride[i], padding[i], dilation[i]
		if k < 1 || s < 1 || d < 1 || pad < 0 {
			Fail(op, "kernel %v, stride %v, padding %v, dilation %v", kernel, stride, padding, dilation)
		}
		if 2*pad > (k-1)*d+1 {
			Fail(op, "padding %v is more than half of kernel %v", padding, kernel)
		}
		room := n + 2*pad - d*(k-1) - 1
		if room < 0 {
			Fail(op, "kernel %v with dilation %v is larger than input %v with padding %v", kernel, dilation, x.Shape(), padding)
		}
		out[i] = room/s + 1
		if ceil && room%s != 0 && out[i]*s < n+pad { // the window must start inside
			out[i]++
		}
	}
	return p, out
}

func wantImages(op string, x *Tensor) {
	x.use(op)
	if x.Dim() != 3 && x.Dim() != 4 || sizeOf(x.Shape()[x.Dim()-3:]) == 0 {
		Fail(op, "input %v: [N, C, H, W] or [C, H, W] is needed, of which only N may be 0", x.Shape())
	}
}

// windows are those of a pool along one axis: which elements of the input each
// has, and the factor that makes a sum along the axis a mean.
type windows struct {
	at    [][]int
	scale []float64
}

// poolWindows gives those of p along the height and the width of x.
func poolWindows(op string, p backend.PoolParams, x *Tensor, out [2]int) func() [2]windows {
	size := [2]int{x.Size(-2), x.Size(-1)}
	return func() (w [2]windows) {
		for i, n := range size {
			k, pad := p.Kernel[i], p.Padding[i]
			for o := range out[i] {
				var at []int
				start := o*p.Stride[i] - pad
				for j := range k {
					if e := start + j*p.Dilation[i]; e >= 0 && e < n {
						at = append(at, e)
					}
				}
				count := len(at)
				switch {
				case count == 0:
					Fail(op, "kernel %v with dilation %v sees only the padding %v at an edge of the input's %v", p.Kernel, p.Dilation, p.Padding, size)
				case p.Divisor != 0:
					count = [2]int{p.Divisor, 1}[i]
				case p.CountIncludePad:
					count = min(start+k, n+pad) - start
				}
				w[i].add(at, count)
			}
		}
		return w
	}
}

func (w *windows) add(at []int, count int) {
	w.at, w.scale = append(w.at, at), append(w.scale, 1/float64(count))
}

// adaptive checks the arguments of an adaptive pool, and returns its windows and,
// if they are all alike, the parameters of the pool that has them.
func adaptive(op string, x *Tensor, size [2]int) (*backend.PoolParams, func() [2]windows) {
	wantImages(op, x)
	p := &backend.PoolParams{Dilation: [2]int{1, 1}, CountIncludePad: true}
	from := [2]int{x.Size(-2), x.Size(-1)}
	for i, out := range size {
		if out < 0 {
			Fail(op, "output size %v is negative", size)
		}
		if n := from[i]; out > 0 && n%out == 0 && p != nil {
			p.Kernel[i], p.Stride[i] = n/out, n/out
		} else {
			p = nil
		}
	}
	return p, func() (w [2]windows) {
		for i, out := range size {
			n := from[i]
			for o := range out {
				var at []int
				for e := o * n / out; e < ((o+1)*n+out-1)/out; e++ {
					at = append(at, e)
				}
				w[i].add(at, len(at))
			}
		}
		return w
	}
}

// table lists windows as rows of one length, short ones filled up with their
// first element, and says which elements are such filling.
func table(at [][]int) (index []int64, filling []bool, length int) {
	for _, w := range at {
		length = max(length, len(w))
	}
	for _, w := range at {
		for j := range length {
			if j < len(w) {
				index = append(index, int64(w[j]))
			} else {
				index = append(index, int64(w[0]))
			}
			filling = append(filling, j >= len(w))
		}
	}
	return index, filling, length
}

// maxPool pools by the device's kernel for p, if p is not nil and there is one,
// and otherwise by looking up every window.
func maxPool(op string, x *Tensor, out [2]int, p *backend.PoolParams, windows func() [2]windows) []*Tensor {
	shape := []int{x.Size(0), x.Size(1), out[0], out[1]}
	outs := make([]*Tensor, 2)
	if x.DType() == Bool {
		Fail(op, "there is no maximum of bool")
	}
	outs[0], outs[1] = poolFused(op, backend.MaxPool, x, nil, shape, orderOf(x), p)
	if outs[0] == nil {
		outs = Within(ScopeOptions{NoGrad: true}, []*Tensor{x}, func(in []*Tensor) []*Tensor {
			y, at := maxWindows(in[0], windows())
			return []*Tensor{y.Reshape(shape...), at.Reshape(shape...)}
		})
	}
	recordJoint(op, outs, []*Tensor{x}, func(b *Back, gs []*Tensor) []*Tensor {
		op, x, at, g := op+"_backward", b.In(0), b.Out(1), gs[0]
		if g == nil {
			return nil
		}
		if !b.Recording() {
			if dx, _ := poolFused(op, backend.MaxPoolBackward, g, at, x.Shape(), orderOf(x), p); dx != nil {
				return []*Tensor{dx}
			}
		}
		planes, n := x.Size(0)*x.Size(1), x.Size(2)*x.Size(3)
		rows := []int{planes, out[0] * out[1]}
		dx := gatherBackward(g.Reshape(rows...), at.Reshape(rows...), 1, []int{planes, n})
		return []*Tensor{dx.Reshape(x.Shape()...)}
	})
	return outs
}

// maxWindows looks up the elements of all windows at once; the results are
// [N·C, OH·OW].
func maxWindows(x *Tensor, w [2]windows) (y, at *Tensor) {
	width := x.Size(3)
	var windows [][]int // of the plane
	for _, rows := range w[0].at {
		for _, columns := range w[1].at {
			var one []int
			for _, r := range rows {
				for _, c := range columns {
					one = append(one, r*width+c)
				}
			}
			windows = append(windows, one)
		}
	}
	index, _, length := table(windows)
	planes, n := x.Size(0)*x.Size(1), len(windows)
	x = x.Reshape(planes, x.Size(2)*width)
	where := Of(x.Place(), index, n, length)
	if n == 0 {
		return Zeros(x.Place(), x.DType(), planes, 0), Zeros(x.Place(), Int64, planes, 0)
	}
	which := x.IndexSelect(1, where.Reshape(-1)).Reshape(planes, n, length).ArgMax(-1)
	at = where.Expand(planes, n, length).Gather(2, which.Unsqueeze(-1)).Squeeze(-1)
	return x.Gather(1, at), at
}

// poolFused asks the device for a pool or its gradient, of the given shape and
// order in memory, and returns nil if there is no p or no kernel. at is for the
// gradient of maxima.
func poolFused(op string, code backend.PoolOp, x, at *Tensor, shape, order []int, p *backend.PoolParams) (y, idx *Tensor) {
	d, ok := x.dev.(backend.PoolDevice)
	if !ok || p == nil || x.NumEl() == 0 {
		return nil, nil
	}
	y = emptyOrdered(op, x.dev, x.scope, x.DType(), shape, order)
	var ia backend.Array
	switch code {
	case backend.MaxPool:
		idx = emptyLike(op, x.scope, Int64, y)
		ia = idx.arr
	case backend.MaxPoolBackward:
		ia = at.arr
	}
	err := d.Pool(code, y.arr, ia, x.arr, *p)
	if errors.Is(err, backend.ErrUnsupported) {
		free(y)
		if idx != nil {
			free(idx)
		}
		return nil, nil
	}
	check(op, err)
	return y, idx
}

// avgPool is maxPool for means.
func avgPool(op string, x *Tensor, out [2]int, p *backend.PoolParams, windows func() [2]windows) *Tensor {
	x.wantFloat(op)
	shape := []int{x.Size(0), x.Size(1), out[0], out[1]}
	order := orderOf(x)
	y, _ := poolFused(op, backend.AvgPool, x, nil, shape, order, p)
	if y == nil {
		y = compose(x.scope, func(in []*Tensor) *Tensor {
			w := windows()
			return avgAlong(avgAlong(in[0], 3, w[1]), 2, w[0])
		}, x)
	}
	in := x.Shape()
	return linear(op, y, x, func(g *Tensor) *Tensor { return avgPoolBackward(op, g, in, order, p, windows) })
}

// avgPoolBackward is the adjoint of avgPool, for an input of the given shape.
func avgPoolBackward(op string, g *Tensor, shape, order []int, p *backend.PoolParams, windows func() [2]windows) *Tensor {
	y, _ := poolFused(op+"_backward", backend.AvgPoolBackward, g, nil, shape, order, p)
	if y == nil {
		y = compose(g.scope, func(in []*Tensor) *Tensor {
			w := windows()
			return spreadAlong(spreadAlong(in[0], 3, w[1], shape[3]), 2, w[0], shape[2])
		}, g)
	}
	out := [2]int{g.Size(2), g.Size(3)}
	return linear(op+"_backward", y, g, func(gg *Tensor) *Tensor { return avgPool(op, gg, out, p, windows) })
}

// avgAlong adds up windows along one axis and scales them.
func avgAlong(x *Tensor, axis int, w windows) *Tensor {
	index, filling, length := table(w.at)
	v := x.IndexSelect(axis, Of(x.Place(), index)).Reshape(slices.Replace(slices.Clone(x.Shape()), axis, axis+1, len(w.at), length)...)
	if slices.Contains(filling, true) {
		v = v.MaskedFill(alongAxis(Of(x.Place(), filling, len(w.at), length), 5, axis), 0)
	}
	return v.Sum(axis + 1).Mul(alongAxis(Of(x.Place(), w.scale).To(x.DType()), 4, axis))
}

// spreadAlong is the adjoint of avgAlong for an axis of size n.
func spreadAlong(g *Tensor, axis int, w windows, n int) *Tensor {
	index, filling, length := table(w.at)
	shape := slices.Insert(slices.Clone(g.Shape()), axis+1, length)
	v := g.Mul(alongAxis(Of(g.Place(), w.scale).To(g.DType()), 4, axis)).Unsqueeze(axis + 1).Expand(shape...)
	if slices.Contains(filling, true) {
		v = v.MaskedFill(alongAxis(Of(g.Place(), filling, len(w.at), length), 5, axis), 0)
	}
	flat, whole := slices.Clone(g.Shape()), slices.Clone(g.Shape())
	flat[axis], whole[axis] = len(index), n
	return Zeros(g.Place(), g.DType(), whole...).IndexAdd(axis, Of(g.Place(), index), v.Reshape(flat...), 1)
}

// alongAxis views t as a tensor of the given rank whose axes from axis on are t's.
func alongAxis(t *Tensor, rank, axis int) *Tensor {
	shape := slices.Repeat([]int{1}, rank)
	copy(shape[axis:], t.Shape())
	return t.Reshape(shape...)
}
