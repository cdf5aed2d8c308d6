package nn

import (
	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/tensor"
)

// BatchNorm is what BatchNorm1d and BatchNorm2d share: Ioffe and Szegedy, "Batch
// normalization" (2015).
//
// In training each channel is normalized by the mean and the variance of the
// batch, and the running statistics move towards these. Otherwise, or after Eval
// in training too, it is normalized by the running statistics, which stay.
type BatchNorm struct {
	Mode
	Weight            *tensor.Tensor // [C], or nil
	Bias              *tensor.Tensor // [C], or nil
	RunningMean       *tensor.Tensor // [C], or nil
	RunningVar        *tensor.Tensor // [C], unbiased, or nil
	NumBatchesTracked *tensor.Tensor // int64, or nil

	eps, momentum float64
	cumulative    bool
}

// BatchNormOptions are the options of NewBatchNorm1d and NewBatchNorm2d.
type BatchNormOptions struct {
	Eps      float64  // added to the variance; 0 is 1e-5
	Momentum *float64 // the weight of a new batch in the running statistics; nil is 0.1
	// Cumulative averages all batches alike, PyTorch's momentum=None. It waits for
	// the device in each training step.
	Cumulative bool
	NoAffine   bool // no weight and bias
	NoTracking bool // no running statistics: the batch's serve in eval mode too
	DType      tensor.DType
	Device     backend.Device // nil: the CPU
}

func newBatchNorm(channels int, o BatchNormOptions) BatchNorm {
	make := makerOf(o.DType, o.Device)
	b := BatchNorm{eps: orDefault(o.Eps, 1e-5), momentum: 0.1, cumulative: o.Cumulative}
	if o.Momentum != nil {
		b.momentum = *o.Momentum
	}
	if !o.NoAffine {
		b.Weight, b.Bias = make.filled(1, channels), make.param(channels)
	}
	if !o.NoTracking {
		b.RunningMean, b.RunningVar = make.buffer(o.DType, 0, channels), make.buffer(o.DType, 1, channels)
		b.NumBatchesTracked = make.buffer(tensor.Int64, 0)
	}
	return b
}

// normalize is the forward pass of a layer of that name.
func (b *BatchNorm) normalize(x *tensor.Tensor, layer string) *tensor.Tensor {
	if b.RunningMean == nil {
		return tensor.BatchNorm(x, nil, nil, b.Weight, b.Bias, true, 0, b.eps)
	}
	training, x := b.Training(x, layer)
	momentum := b.momentum
	if training && !x.Scope().Replaying() {
		assign(b.NumBatchesTracked, func(s *tensor.Scope) *tensor.Tensor {
			return s.Use(b.NumBatchesTracked).AddScalar(1)
		})
		if b.cumulative {
			momentum = 1 / b.NumBatchesTracked.Item()
		}
	}
	return tensor.BatchNorm(x, b.RunningMean, b.RunningVar, b.Weight, b.Bias, training, momentum, b.eps)
}

// BatchNorm1d normalizes the channels of vectors or sequences.
type BatchNorm1d struct{ BatchNorm }

// NewBatchNorm1d has weights of 1 and biases of 0.
func NewBatchNorm1d(channels int, o BatchNormOptions) *BatchNorm1d {
	return &BatchNorm1d{newBatchNorm(channels, o)}
}

// Forward normalizes x [N, C] or [N, C, L].
func (b *BatchNorm1d) Forward(x *tensor.Tensor) *tensor.Tensor {
	if x.Dim() != 2 && x.Dim() != 3 {
		tensor.Fail("batch_norm", "an input of shape %v to BatchNorm1d: [N, C] or [N, C, L] is needed", x.Shape())
	}
	return b.normalize(x, "BatchNorm1d")
}

// BatchNorm2d normalizes the channels of images.
type BatchNorm2d struct{ BatchNorm }

// NewBatchNorm2d has weights of 1 and biases of 0.
func NewBatchNorm2d(channels int, o BatchNormOptions) *BatchNorm2d {
	return &BatchNorm2d{newBatchNorm(channels, o)}
}

// Forward normalizes x [N, C, H, W].
func (b *BatchNorm2d) Forward(x *tensor.Tensor) *tensor.Tensor {
	if x.Dim() != 4 {
		tensor.Fail("batch_norm", "an input of shape %v to BatchNorm2d: [N, C, H, W] is needed", x.Shape())
	}
	return b.normalize(x, "BatchNorm2d")
}

// LayerNorm normalizes over the last axes: Ba, Kiros and Hinton, "Layer
// normalization" (2016).
type LayerNorm struct {
	Weight *tensor.Tensor // of the normalized shape, or nil
	Bias   *tensor.Tensor // of the normalized shape, or nil

	shape []int
	eps   float64
}

// LayerNormOptions are the options of NewLayerNorm.
type LayerNormOptions struct {
	Eps      float64 // added to the variance; 0 is 1e-5
	NoAffine bool    // no weight and bias
	NoBias   bool
	DType    tensor.DType
	Device   backend.Device // nil: the CPU
}

// NewLayerNorm normalizes over the last axes of that shape, with weights of 1 and
// biases of 0.
func NewLayerNorm(shape []int, o LayerNormOptions) *LayerNorm {
	make := makerOf(o.DType, o.Device)
	l := &LayerNorm{shape: append([]int{}, shape...), eps: orDefault(o.Eps, 1e-5)}
	if !o.NoAffine {
		l.Weight = make.filled(1, shape...)
		if !o.NoBias {
			l.Bias = make.param(shape...)
		}
	}
	return l
}

// Forward normalizes x [..., shape].
func (l *LayerNorm) Forward(x *tensor.Tensor) *tensor.Tensor {
	return tensor.LayerNorm(x, l.shape, l.Weight, l.Bias, l.eps)
}

// RMSNorm divides by the root of the mean square over the last axes: Zhang and
// Sennrich, "Root mean square layer normalization" (2019).
type RMSNorm struct {
	Weight *tensor.Tensor // of the normalized shape, or nil

	shape []int
	eps   *float64
}

// RMSNormOptions are the options of NewRMSNorm.
type RMSNormOptions struct {
	Eps      *float64 // added to the mean square; nil is the dtype's distance from 1 to the next number
	NoAffine bool     // no weight
	DType    tensor.DType
	Device   backend.Device // nil: the CPU
}

// NewRMSNorm normalizes over the last axes of that shape, with weights of 1.
func NewRMSNorm(shape []int, o RMSNormOptions) *RMSNorm {
	r := &RMSNorm{shape: append([]int{}, shape...), eps: o.Eps}
	if !o.NoAffine {
		r.Weight = makerOf(o.DType, o.Device).filled(1, shape...)
	}
	return r
}

// Forward normalizes x [..., shape].
func (r *RMSNorm) Forward(x *tensor.Tensor) *tensor.Tensor {
	return tensor.RMSNorm(x, r.shape, r.Weight, r.eps)
}

// GroupNorm normalizes each group of channels of each image: Wu and He, "Group
// normalization" (2018).
type GroupNorm struct {
	Weight *tensor.Tensor // [C], or nil
	Bias   *tensor.Tensor // [C], or nil

	groups int
	eps    float64
}

// GroupNormOptions are the options of NewGroupNorm.
type GroupNormOptions struct {
	Eps      float64 // added to the variance; 0 is 1e-5
	NoAffine bool    // no weight and bias
	DType    tensor.DType
	Device   backend.Device // nil: the CPU
}

// NewGroupNorm normalizes channels in groups, with weights of 1 and biases of 0.
func NewGroupNorm(groups, channels int, o GroupNormOptions) *GroupNorm {
	if groups <= 0 || channels%groups != 0 {
		tensor.Fail("group_norm", "%d channels in %d groups", channels, groups)
	}
	g := &GroupNorm{groups: groups, eps: orDefault(o.Eps, 1e-5)}
	if !o.NoAffine {
		make := makerOf(o.DType, o.Device)
		g.Weight, g.Bias = make.filled(1, channels), make.param(channels)
	}
	return g
}

// Forward normalizes x [N, C, ...].
func (g *GroupNorm) Forward(x *tensor.Tensor) *tensor.Tensor {
	return tensor.GroupNorm(x, g.groups, g.Weight, g.Bias, g.eps)
}
