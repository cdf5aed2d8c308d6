package tensor

import (
	"errors"
	"math"
	"slices"

	"github.com/descent-ml/descent/backend"
)

// LayerNorm brings x to mean 0 and variance 1 over its last axes, whose sizes are
// shape, and then multiplies by w and adds b, of that shape; either may be nil.
// eps is added to the variance. Half precision is computed in float32.
func LayerNorm(x *Tensor, shape []int, w, b *Tensor, eps float64) *Tensor {
	const op = "layer_norm"
	axes := lastAxes(op, x, shape, w, b)
	return normalize(op, x, axes, leading(w, x.Dim()), leading(b, x.Dim()), eps, nil)
}

// RMSNorm divides x by the root of the mean of its squares over its last axes,
// whose sizes are shape, and multiplies by w, of that shape or nil. eps is added
// to the mean; nil is the distance from 1 to the next number of x's dtype.
func RMSNorm(x *Tensor, shape []int, w *Tensor, eps *float64) *Tensor {
	const op = "rms_norm"
	axes := lastAxes(op, x, shape, w)
	e := math.Ldexp(1, -map[DType]int{Float64: 52, Float32: 23, Float16: 10, BFloat16: 7}[x.DType()])
	if eps != nil {
		e = *eps
	}
	return composed(func(in []*Tensor) *Tensor {
		x, w := in[0], in[1]
		wide := x.To(statistics(x.DType()))
		y := wide.Mul(wide.Square().MeanKeep(axes...).AddScalar(e).Rsqrt())
		if w != nil {
			y = y.Mul(w)
		}
		return y.To(x.DType())
	}, x, w)
}

// lastAxes checks that x ends in shape, and that the weights have it.
func lastAxes(op string, x *Tensor, shape []int, weights ...*Tensor) []int {
	x.wantFloat(op)
	first := x.Dim() - len(shape)
	if len(shape) == 0 || first < 0 || !sameShape(x.Shape()[first:], shape) {
		Fail(op, "input %v does not end in the axes %v to normalize", x.Shape(), shape)
	}
	for _, w := range weights {
		if w != nil && !sameShape(w.Shape(), shape) {
			Fail(op, "a weight or bias of shape %v, where %v is normalized", w.Shape(), shape)
		}
	}
	axes := make([]int, len(shape))
	for i := range axes {
		axes[i] = first + i
	}
	return axes
}

// leading views w, which may be nil, with axes of size 1 in front.
func leading(w *Tensor, rank int) *Tensor {
	if w == nil {
		return nil
	}
	shape := slices.Repeat([]int{1}, rank-w.Dim())
	return w.Reshape(append(shape, w.Shape()...)...)
}

// channels views w [C], which may be nil, as [1, C, 1, 1, …].
func channels(op string, w *Tensor, x *Tensor) *Tensor {
	if w == nil {
		return nil
	}
	w.use(op)
	if w.Dim() != 1 || w.Size(0) != x.Size(1) {
		Fail(op, "a weight, bias or statistic of shape %v for input %v: [%d] is needed", w.Shape(), x.Shape(), x.Size(1))
	}
	shape := slices.Repeat([]int{1}, x.Dim())
	shape[1] = -1
	if w.NumEl() == 0 {
		shape[1] = 0
	}
	return w.Reshape(shape...)
}

// otherAxes are x's axes without its first, and second, as asked.
func otherAxes(x *Tensor, batch bool) []int {
	var axes []int
	for i := range x.Dim() {
		if i > 1 || i == 0 && batch {
			axes = append(axes, i)
		}
	}
	return axes
}

// BatchNorm normalizes each channel of x [N, C, …]: in training by the mean and
// variance over all other axes, otherwise by the running ones. Then it multiplies
// by w [C] and adds b [C]; either may be nil.
//
// In training, runningMean and runningVar [C], buffers or nil, move towards the
// batch's mean and (unbiased) variance by momentum, unless a checkpoint computes
// the batch again.
func BatchNorm(x, runningMean, runningVar, w, b *Tensor, training bool, momentum, eps float64) *Tensor {
	const op = "batch_norm"
	x.wantFloat(op)
	if x.Dim() < 2 {
		Fail(op, "input %v: [N, C, …] is needed", x.Shape())
	}
	wc, bc := channels(op, w, x), channels(op, b, x)
	mc, vc := channels(op, runningMean, x), channels(op, runningVar, x)
	if !training {
		if mc == nil || vc == nil {
			Fail(op, "without running statistics it works in training mode only")
		}
		return affineNorm(x, mc, vc, wc, bc, eps)
	}
	axes := otherAxes(x, true)
	n := countOf(x, axes)
	if n == 1 {
		Fail(op, "expected more than 1 value per channel when training, got input %v", x.Shape())
	}
	return normalize(op, x, axes, wc, bc, eps, func(mean, variance *Tensor) {
		if x.scope == nil || !x.scope.Replaying() {
			track(op, runningMean, mean, momentum, 1)
			track(op, runningVar, variance, momentum, float64(n)/float64(n-1))
		}
	})
}

// track moves a running statistic towards a new one times scale.
func track(op string, running, now *Tensor, momentum, scale float64) {
	if running == nil {
		return
	}
	to := compose(now.scope, func(in []*Tensor) *Tensor {
		to := in[0].Reshape(-1).To(running.DType())
		if scale != 1 {
			to = to.MulScalar(scale)
		}
		return to
	}, now)
	running.Mutate(op, func(dev backend.Device, r backend.Array) error {
		weight := backend.Array{DType: r.DType, Shape: r.Shape, Strides: make([]int, len(r.Shape))}
		return dev.Ternary(backend.Lerp, r, r, to.arr, weight, backend.Params{Scalars: scalars(r.DType, momentum)})
	})
	free(to)
}

// affineNorm is (x-mean)/sqrt(variance+eps)*w + b with given statistics.
func affineNorm(x, mean, variance, w, b *Tensor, eps float64) *Tensor {
	dt := statistics(x.DType())
	return composed(func(in []*Tensor) *Tensor {
		for i, t := range in {
			if t != nil {
				in[i] = t.To(dt)
			}
		}
		x, mean, variance, w, b := in[0], in[1], in[2], in[3], in[4]
		scale := variance.AddScalar(eps).Rsqrt()
		if w != nil {
			scale = scale.Mul(w)
		}
		shift := mean.Mul(scale).Neg()
		if b != nil {
			shift = shift.Add(b)
		}
		return shift.Addcmul(x, scale, 1)
	}, x, mean, variance, w, b).To(x.DType())
}

// GroupNorm normalizes each of the given number of groups of channels of x
// [N, C, …] over its channels and all axes after them, then multiplies by w [C]
// and adds b [C]; either may be nil.
func GroupNorm(x *Tensor, groups int, w, b *Tensor, eps float64) *Tensor {
	const op = "group_norm"
	x.wantFloat(op)
	if x.Dim() < 2 || groups < 1 || x.Size(1)%groups != 0 || sizeOf(x.Shape()[1:]) == 0 {
		Fail(op, "input %v: [N, C, …] with a multiple of %d channels is needed, of which only N may be 0", x.Shape(), groups)
	}
	n, c := x.Size(0), x.Size(1)/groups
	plane := sizeOf(x.Shape()[2:])
	if n*c*plane == 1 {
		Fail(op, "expected more than 1 value per channel when training, got input %v in %s", x.Shape(), plural(groups, "group"))
	}
	affine := func(w *Tensor) *Tensor {
		if w = channels(op, w, x); w != nil {
			w = w.Reshape(1, groups, c, 1)
		}
		return w
	}
	y := normalize(op, x.Reshape(n, groups, c, plane), []int{2, 3}, affine(w), affine(b), eps, nil)
	return y.Reshape(x.Shape()...)
}

// InstanceNorm normalizes each channel of each image of x [N, C, …] over the axes
// after them, then multiplies by w [C] and adds b [C]; either may be nil.
func InstanceNorm(x, w, b *Tensor, eps float64) *Tensor {
	const op = "instance_norm"
	x.wantFloat(op)
	if x.Dim() < 3 {
		Fail(op, "input %v: [N, C, …] with at least one more axis is needed", x.Shape())
	}
	axes := otherAxes(x, false)
	if countOf(x, axes) == 1 {
		Fail(op, "expected more than 1 spatial element when training, got input %v", x.Shape())
	}
	return normalize(op, x, axes, channels(op, w, x), channels(op, b, x), eps, nil)
}

// statistics is the dtype in which x's mean and variance are computed.
func statistics(dt DType) DType {
	if dt == Float64 {
		return dt
	}
	return Float32
}

// normalize brings x to mean 0 and variance 1 over axes, multiplies by w and adds
// b, which have x's rank or are nil. It shows the mean and the (biased) variance,
// which keep the axes with size 1, to use, which may be nil.
func normalize(op string, x *Tensor, axes []int, w, b *Tensor, eps float64, use func(mean, variance *Tensor)) *Tensor {
	in := []*Tensor{x}
	weight, bias := 0, 0 // where they stand in in, 0 for nowhere
	if w != nil {
		weight, in = len(in), append(in, w)
	}
	if b != nil {
		bias, in = len(in), append(in, b)
	}
	placeAll(op, in...)
	for _, t := range in[1:] {
		if t.DType() != x.DType() && t.DType() != statistics(x.DType()) {
			Fail(op, "input %v and weights %v: one dtype is needed; To casts", x.DType(), t.DType())
		}
	}
	outs := normFused(op, x, w, b, axes, eps)
	if outs == nil {
		outs = Within(ScopeOptions{NoGrad: true}, in, func(in []*Tensor) []*Tensor {
			xhat, _, mean, variance := standardize(in[0], axes, eps)
			if w != nil {
				xhat = xhat.Mul(in[weight])
			}
			if b != nil {
				xhat = xhat.Add(in[bias])
			}
			return []*Tensor{xhat.To(x.DType()), mean, variance}
		})
	}
	recordJoint(op, outs, in, func(b *Back, gs []*Tensor) []*Tensor {
		if gs[0] == nil {
			return nil
		}
		return normGrad(op+"_backward", b, gs[0], weight, bias, axes, eps)
	})
	if use != nil {
		use(outs[1], outs[2])
	}
	free(outs[1:]...)
	return outs[0]
}

// standardize is (x-mean)/sqrt(variance+eps), in the dtype of the statistics.
func standardize(x *Tensor, axes []int, eps float64) (xhat, rstd, mean, variance *Tensor) {
	wide := x.To(statistics(x.DType()))
	mean = wide.MeanKeep(axes...)
	d := wide.Sub(mean)
	variance = d.Square().MeanKeep(axes...)
	rstd = variance.AddScalar(eps).Rsqrt()
	return d.Mul(rstd), rstd, mean, variance
}

// normFused asks the device, and returns nil if it has no kernel.
func normFused(op string, x, w, b *Tensor, axes []int, eps float64) []*Tensor {
	d, ok := x.dev.(backend.NormDevice)
	if !ok || x.NumEl() == 0 {
		return nil
	}
	s := x.scope
	var affine [2]backend.Array
	for i, t := range []*Tensor{w, b} {
		if t != nil {
			s = joinScopes(op, s, t.scope)
			affine[i] = expandArray(t.arr, x.Shape())
		}
	}
	kept := slices.Clone(x.Shape())
	for _, a := range axes {
		kept[a] = 1
	}
	y := emptyLike(op, s, x.DType(), x)
	mean := empty(op, x.dev, s, statistics(x.DType()), kept)
	variance := empty(op, x.dev, s, mean.DType(), kept)
	err := d.Norm(y.arr, mean.arr, variance.arr, x.arr, affine[0], affine[1], eps)
	if errors.Is(err, backend.ErrUnsupported) {
		free(y, mean, variance)
		return nil
	}
	check(op, err)
	return []*Tensor{y, mean, variance}
}

// normGrad is the gradient of normalize.
func normGrad(op string, b *Back, g *Tensor, weight, bias int, axes []int, eps float64) []*Tensor {
	if !b.Recording() {
		if gs := normGradFused(op, b, g, weight, bias, eps); gs != nil {
			return gs
		}
	}
	x := b.In(0)
	xhat, rstd, _, _ := standardize(x, axes, eps)
	gs := make([]*Tensor, len(b.n.in))
	g = g.To(xhat.DType())
	if bias > 0 {
		gs[bias] = g
	}
	if weight > 0 {
		gs[weight] = g.Mul(xhat)
		g = g.Mul(b.In(weight))
	}
	if b.Wants(0) {
		d := g.Sub(g.MeanKeep(axes...)).Sub(xhat.Mul(g.Mul(xhat).MeanKeep(axes...)))
		gs[0] = d.Mul(rstd)
	}
	return gs
}

func normGradFused(op string, b *Back, g *Tensor, weight, bias int, eps float64) []*Tensor {
	x, mean, variance := b.In(0), b.Out(1), b.Out(2)
	d, ok := x.dev.(backend.NormDevice)
	if !ok || x.NumEl() == 0 {
		return nil
	}
	gs := make([]*Tensor, len(b.n.in))
	var arrays [3]backend.Array
	var w backend.Array
	for i, at := range []int{0, weight, bias} {
		if (i == 0 || at > 0) && b.Wants(at) {
			gs[at] = emptyLike(op, g.scope, b.n.in[at].DType(), b.n.in[at])
			arrays[i] = gs[at].arr
		}
	}
	if weight > 0 {
		w = expandArray(b.In(weight).arr, x.Shape())
	}
	err := d.NormBackward(arrays[0], arrays[1], arrays[2], g.arr, x.arr, mean.arr, variance.arr, w, eps)
	if errors.Is(err, backend.ErrUnsupported) {
		return nil
	}
	check(op, err)
	return gs
}
