package nn

import (
	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/tensor"
)

// Conv2d is a two-dimensional convolution (a cross-correlation, as everywhere in
// deep learning).
type Conv2d struct {
	Weight *tensor.Tensor // [out, in/groups, kernel height, kernel width]
	Bias   *tensor.Tensor // [out], or nil

	options tensor.Conv2dOptions
}

// Conv2dOptions are the options of NewConv2d. A field that ends in HW is [height,
// width] and stands in place of the one without, for what is not square:
//
//	nn.NewConv2d(rng, 3, 64, 0, nn.Conv2dOptions{KernelHW: [2]int{1, 7}, PaddingHW: [2]int{0, 3}})
type Conv2dOptions struct {
	Stride   int // 0 is 1
	Padding  int // zeros on each side
	Dilation int // 0 is 1
	Groups   int // 0 is 1

	KernelHW, StrideHW, PaddingHW, DilationHW [2]int

	Same   bool // pad so that the output has the input's size
	NoBias bool
	DType  tensor.DType
	Device backend.Device // nil: the CPU
}

// NewConv2d maps in channels to out with a square kernel. Weight and bias are
// drawn uniformly from ±1/√(in/groups·kernel²).
func NewConv2d(rng *random.Generator, in, out, kernel int, o Conv2dOptions) *Conv2d {
	groups := orDefault(o.Groups, 1)
	if groups < 0 || in%groups != 0 || out%groups != 0 {
		tensor.Fail("conv2d", "%d channels to %d in %d groups", in, out, groups)
	}
	make := makerOf(o.DType, o.Device)
	size := square(kernel, o.KernelHW)
	c := &Conv2d{
		Weight: make.param(out, in/groups, size[0], size[1]),
		options: tensor.Conv2dOptions{
			Stride:   square(o.Stride, o.StrideHW),
			Padding:  square(o.Padding, o.PaddingHW),
			Dilation: square(o.Dilation, o.DilationHW),
			Groups:   groups,
			Same:     o.Same,
		},
	}
	if !o.NoBias {
		c.Bias = make.param(out)
	}
	initAffine(rng, c.Weight, c.Bias)
	return c
}

// square is hw, or n by n if that is not given.
func square(n int, hw [2]int) [2]int {
	if hw == [2]int{} {
		return [2]int{n, n}
	}
	return hw
}

// Forward maps x [N, in, H, W] to [N, out, OH, OW], where
// OH = (H + 2·Padding - Dilation·(kernel-1) - 1)/Stride + 1.
func (c *Conv2d) Forward(x *tensor.Tensor) *tensor.Tensor {
	return tensor.Conv2d(x, c.Weight, c.Bias, c.options)
}
