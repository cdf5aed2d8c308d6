package tensor

import (
	"cmp"
	"errors"
	"slices"

	"github.com/descent-ml/descent/backend"
)

// Conv2dOptions are those of a two-dimensional convolution: [height, width].
type Conv2dOptions struct {
	Stride   [2]int // zero: 1
	Padding  [2]int // zeros added on each side
	Dilation [2]int // zero: 1
	Groups   int    // zero: 1
	// Same chooses the padding, in place of Padding, so that the output has the
	// input's size; the stride must be 1. An odd number of zeros has one more at
	// the end.
	Same bool
}

// Conv2d is the cross-correlation of x [N, C, H, W] (or [C, H, W]) with w
// [F, C/Groups, KH, KW], plus b [F], which may be nil: [N, F, OH, OW] with
// OH = (H + 2·Padding - Dilation·(KH-1) - 1)/Stride + 1. All have one dtype.
func Conv2d(x, w, b *Tensor, o Conv2dOptions) *Tensor {
	const op = "conv2d"
	if y := lower(op, func(in []*Tensor) *Tensor { return Conv2d(in[0], in[1], in[2], o) }, x, w, b); y != nil {
		return y
	}
	p := o.params(op)
	placeConv(op, x, w, b)
	if w.Dim() != 4 || x.Dim() != 3 && x.Dim() != 4 {
		Fail(op, "input %v and weight %v: [N, C, H, W] or [C, H, W] and [F, C/groups, KH, KW] are needed", x.Shape(), w.Shape())
	}
	if x.Dim() == 3 {
		return Conv2d(x.Unsqueeze(0), w, b, o).Squeeze(0)
	}
	xs, ws := x.Shape(), w.Shape()
	if xs[1] != ws[1]*p.Groups || ws[0]%p.Groups != 0 {
		Fail(op, "input %v has %d channels, weight %v in %s takes %d and gives %d", xs, xs[1], ws, plural(p.Groups, "group"), ws[1]*p.Groups, ws[0])
	}
	checkBias(op, b, ws[0])
	if o.Same {
		if p.Stride != [2]int{1, 1} {
			Fail(op, "Same needs stride 1, not %v", p.Stride)
		}
		var odd [2]int
		for i := range odd {
			total := p.Dilation[i] * (ws[2+i] - 1)
			p.Padding[i], odd[i] = total/2, total%2
		}
		if odd != [2]int{} {
			wide := x.Pad([]int{0, odd[1], 0, odd[0]}, PadOptions{})
			o.Same, o.Padding = false, p.Padding
			y := Conv2d(wide, w, b, o)
			if y.node == nil {
				free(wide)
			}
			return y
		}
	}
	out := []int{xs[0], ws[0], 0, 0}
	for i := range 2 {
		room := xs[2+i] + 2*p.Padding[i] - p.Dilation[i]*(ws[2+i]-1) - 1
		if room < 0 || ws[2+i] < 1 {
			Fail(op, "kernel %v with dilation %v is larger than input %v with padding %v, or empty", ws[2:], p.Dilation, xs, p.Padding)
		}
		out[2+i] = room/p.Stride[i] + 1
	}
	return conv(op, backend.ConvForward, x, w, b, convShapes{out, xs, ws}, p)
}

func (o Conv2dOptions) params(op string) backend.ConvParams {
	p := backend.ConvParams{Stride: orOnes(o.Stride), Padding: o.Padding, Dilation: orOnes(o.Dilation), Groups: max(o.Groups, 1)}
	if o.Groups < 0 || min(p.Stride[0], p.Stride[1], p.Dilation[0], p.Dilation[1]) < 1 || min(p.Padding[0], p.Padding[1]) < 0 {
		Fail(op, "stride %v, padding %v, dilation %v or %d groups", p.Stride, p.Padding, p.Dilation, o.Groups)
	}
	return p
}

// orOnes is the default for what was left out.
func orOnes(v [2]int) [2]int {
	if v == [2]int{} {
		return [2]int{1, 1}
	}
	return v
}

// placeConv checks that x, w and b, which may be nil, go together.
func placeConv(op string, x, w, b *Tensor) {
	place2(op, x, w)
	if b != nil {
		placeAll(op, x, w, b)
	}
	if x.DType() != w.DType() || b != nil && x.DType() != b.DType() {
		Fail(op, "input %v, weight %v: one dtype is needed for all; To casts", x.DType(), w.DType())
	}
	if x.DType() == Bool {
		Fail(op, "there is no convolution of bool")
	}
}

func checkBias(op string, b *Tensor, n int) {
	if b != nil && (b.Dim() != 1 || b.Size(0) != n) {
		Fail(op, "bias %v: [%d] is needed", b.Shape(), n)
	}
}

// Conv1dOptions are those of Conv2dOptions for one axis.
type Conv1dOptions struct {
	Stride, Padding, Dilation, Groups int
	Same                              bool
}

// Conv1d is Conv2d for x [N, C, L] or [C, L], w [F, C/Groups, K] and b [F] or nil.
func Conv1d(x, w, b *Tensor, o Conv1dOptions) *Tensor {
	const op = "conv1d"
	if y := lower(op, func(in []*Tensor) *Tensor { return Conv1d(in[0], in[1], in[2], o) }, x, w, b); y != nil {
		return y
	}
	placeConv(op, x, w, b)
	if w.Dim() != 3 || x.Dim() != 2 && x.Dim() != 3 {
		Fail(op, "input %v and weight %v: [N, C, L] or [C, L] and [F, C/groups, K] are needed", x.Shape(), w.Shape())
	}
	line := func(n, none int) [2]int { return [2]int{none, cmp.Or(n, none)} }
	y := Conv2d(x.Unsqueeze(-2), w.Unsqueeze(-2), b, Conv2dOptions{
		Stride: line(o.Stride, 1), Padding: line(o.Padding, 0), Dilation: line(o.Dilation, 1), Groups: o.Groups, Same: o.Same})
	return y.Squeeze(-2)
}

// ConvTranspose2dOptions are those of ConvTranspose2d.
type ConvTranspose2dOptions struct {
	Stride, Padding, OutputPadding, Dilation [2]int
	Groups                                   int
}

// ConvTranspose2d is the adjoint of Conv2d, often called a deconvolution: x
// [N, C, H, W] with w [C, F/Groups, KH, KW] and b [F] or nil to [N, F, OH, OW],
// OH = (H-1)·Stride - 2·Padding + Dilation·(KH-1) + OutputPadding + 1.
func ConvTranspose2d(x, w, b *Tensor, o ConvTranspose2dOptions) *Tensor {
	const op = "conv_transpose2d"
	if y := lower(op, func(in []*Tensor) *Tensor { return ConvTranspose2d(in[0], in[1], in[2], o) }, x, w, b); y != nil {
		return y
	}
	p := Conv2dOptions{Stride: o.Stride, Padding: o.Padding, Dilation: o.Dilation, Groups: o.Groups}.params(op)
	placeConv(op, x, w, b)
	if w.Dim() != 4 || x.Dim() != 3 && x.Dim() != 4 {
		Fail(op, "input %v and weight %v: [N, C, H, W] or [C, H, W] and [C, F/groups, KH, KW] are needed", x.Shape(), w.Shape())
	}
	if x.Dim() == 3 {
		return ConvTranspose2d(x.Unsqueeze(0), w, b, o).Squeeze(0)
	}
	xs, ws := x.Shape(), w.Shape()
	if xs[1] != ws[0] || ws[0]%p.Groups != 0 {
		Fail(op, "input %v has %d channels, weight %v in %s takes %d", xs, xs[1], ws, plural(p.Groups, "group"), ws[0])
	}
	out := []int{xs[0], ws[1] * p.Groups, 0, 0}
	checkBias(op, b, out[1])
	for i := range 2 {
		if extra := o.OutputPadding[i]; extra < 0 || extra >= max(p.Stride[i], p.Dilation[i]) {
			Fail(op, "output padding %v must be smaller than stride %v or dilation %v", o.OutputPadding, p.Stride, p.Dilation)
		}
		out[2+i] = (xs[2+i]-1)*p.Stride[i] - 2*p.Padding[i] + p.Dilation[i]*(ws[2+i]-1) + o.OutputPadding[i] + 1
		if out[2+i] < 1 || ws[2+i] < 1 {
			Fail(op, "input %v and kernel %v leave an output of size %v", xs, ws[2:], out[2:])
		}
	}
	y := conv(op, backend.ConvBackwardInput, x, w, nil, convShapes{xs, out, ws}, p)
	if b == nil {
		return y
	}
	z := y.Add(b.Reshape(-1, 1, 1))
	free(y)
	return z
}

// convShapes are those of output, input and weight, standing where ConvOp has the
// op that computes each.
type convShapes [3][]int

// convOperands says which two of the three a ConvOp computes its result from.
var convOperands = [3][2]backend.ConvOp{
	backend.ConvForward:        {backend.ConvBackwardInput, backend.ConvBackwardWeight},
	backend.ConvBackwardInput:  {backend.ConvForward, backend.ConvBackwardWeight},
	backend.ConvBackwardWeight: {backend.ConvForward, backend.ConvBackwardInput},
}

// conv runs one of the three convolutions. A convolution <y, x*w> is linear in
// each of the three, so the gradient of either operand is the convolution that
// computes it, with the result's gradient in the result's place.
func conv(op string, code backend.ConvOp, a, b, bias *Tensor, shapes convShapes, p backend.ConvParams) *Tensor {
	y := convFused(op, code, a, b, bias, shapes[code], p)
	if y == nil {
		y = compose(place2(op, a, b), func(in []*Tensor) *Tensor {
			return convByTaps(op, code, in[0], in[1], in[2], shapes, p)
		}, a, b, bias)
	}
	grad := func(i int) formula {
		of := convOperands[code][i]
		return func(b *Back, g *Tensor) *Tensor {
			var t [3]*Tensor
			t[code], t[convOperands[code][1-i]] = g, b.In(1-i)
			from := convOperands[of]
			return conv("conv2d_backward", of, t[from[0]], t[from[1]], nil, shapes, p)
		}
	}
	if bias == nil {
		return record(op, y, []*Tensor{a, b}, grad(0), grad(1))
	}
	return record(op, y, []*Tensor{a, b, bias}, grad(0), grad(1),
		func(b *Back, g *Tensor) *Tensor { return g.Sum(0, 2, 3) })
}

// convFused asks the device, and returns nil if it has no kernel.
func convFused(op string, code backend.ConvOp, a, b, bias *Tensor, shape []int, p backend.ConvParams) *Tensor {
	d, ok := a.dev.(backend.ConvDevice)
	if !ok || a.NumEl() == 0 || b.NumEl() == 0 {
		return nil
	}
	var y *Tensor
	if s := place2(op, a, b); d.ChannelsLast() && code != backend.ConvBackwardWeight {
		y = emptyOrdered(op, a.dev, s, a.DType(), shape, []int{0, 2, 3, 1})
	} else {
		y = empty(op, a.dev, s, a.DType(), shape)
	}
	var e backend.Epilogue
	if bias != nil {
		e.Bias = bias.arr
	}
	err := d.Conv(code, y.arr, a.arr, b.arr, p, e)
	if errors.Is(err, backend.ErrUnsupported) {
		free(y)
		return nil
	}
	check(op, err)
	return y
}

// convByTaps computes a convolution as a sum over the places of the kernel, each
// a product of matrices.
func convByTaps(op string, code backend.ConvOp, a, b, bias *Tensor, shapes convShapes, p backend.ConvParams) *Tensor {
	if dt := a.DType(); dt == Float16 || dt == BFloat16 { // rounded once, as a kernel does
		if bias != nil {
			bias = bias.To(Float32)
		}
		return convByTaps(op, code, a.To(Float32), b.To(Float32), bias, shapes, p).To(dt)
	}
	var t [3]*Tensor
	t[convOperands[code][0]], t[convOperands[code][1]] = a, b
	y, x, w := t[backend.ConvForward], t[backend.ConvBackwardInput], t[backend.ConvBackwardWeight]
	ys, xs, ws := shapes[0], shapes[1], shapes[2]
	n, g, c, f, plane := xs[0], p.Groups, ws[1], ws[0]/p.Groups, ys[2]*ys[3]
	pad := []int{p.Padding[1], p.Padding[1], p.Padding[0], p.Padding[0]}
	if x != nil {
		x = x.Pad(pad, PadOptions{})
	}
	if y != nil {
		y = y.Reshape(n, g, f, plane)
	}

	out := slices.Clone(shapes[code])
	if code == backend.ConvBackwardInput {
		out[2], out[3] = out[2]+2*p.Padding[0], out[3]+2*p.Padding[1]
	}
	sum := full(op, a.dev, a.scope, a.DType(), out, 0)
	for i := range ws[2] {
		for j := range ws[3] {
			// What the tap (i, j) of the kernel sees of the padded input, and its weights.
			seen := func(x *Tensor) *Tensor {
				for axis, k := range [2]int{i, j} {
					start := k * p.Dilation[axis]
					x = x.Slice(2+axis, start, start+(ys[2+axis]-1)*p.Stride[axis]+1, p.Stride[axis])
				}
				return x
			}
			tap := func(w *Tensor) *Tensor { return w.Select(3, j).Select(2, i) }
			var part *Tensor // of sum
			product := compose(a.scope, func(in []*Tensor) *Tensor {
				y, x, w := in[0], in[1], in[2]
				switch code {
				case backend.ConvForward:
					part = sum
					return tap(w).Reshape(g, f, c).MatMul(seen(x).Reshape(n, g, c, plane)).Reshape(ys...)
				case backend.ConvBackwardInput:
					part = seen(sum)
					return tap(w).Reshape(g, f, c).Transpose(1, 2).MatMul(y).Reshape(part.Shape()...)
				default:
					part = tap(sum)
					rows := seen(x).Reshape(n, g, c, plane).Permute(1, 0, 3, 2).Reshape(g, n*plane, c)
					return y.Permute(1, 2, 0, 3).Reshape(g, f, n*plane).MatMul(rows).Reshape(g*f, c)
				}
			}, y, x, w)
			check(op, a.dev.Copy(part.arr, product.arr, true))
			free(product)
		}
	}
	if code == backend.ConvBackwardInput {
		for i := range pad {
			pad[i] = -pad[i]
		}
		return sum.Pad(pad, PadOptions{})
	}
	if bias != nil {
		return sum.Add(bias.Reshape(-1, 1, 1))
	}
	return sum
}
