package nn

import "github.com/descent-ml/descent/tensor"

// The pools of this file have no parameters; they are written as literals,
// nn.MaxPool2d{Kernel: 2}. A field that ends in HW is [height, width] and stands
// in place of the one without.

// MaxPool2d takes the maximum of each window of an image.
type MaxPool2d struct {
	Kernel   int
	Stride   int // 0 is the kernel's size
	Padding  int
	Dilation int // 0 is 1

	KernelHW, StrideHW, PaddingHW, DilationHW [2]int

	CeilMode bool // count windows that begin inside but end outside
}

// Forward maps x [N, C, H, W] to [N, C, OH, OW], where
// OH = (H + 2·Padding - Dilation·(Kernel-1) - 1)/Stride + 1.
func (m MaxPool2d) Forward(x *tensor.Tensor) *tensor.Tensor {
	return tensor.MaxPool2d(x, square(m.Kernel, m.KernelHW), tensor.MaxPool2dOptions{
		Stride:   square(m.Stride, m.StrideHW),
		Padding:  square(m.Padding, m.PaddingHW),
		Dilation: square(m.Dilation, m.DilationHW),
		CeilMode: m.CeilMode,
	})
}

// AvgPool2d takes the mean of each window of an image.
type AvgPool2d struct {
	Kernel  int
	Stride  int // 0 is the kernel's size
	Padding int

	KernelHW, StrideHW, PaddingHW [2]int

	CeilMode          bool // count windows that begin inside but end outside
	NoCountIncludePad bool // divide by the number of elements without the padding
	Divisor           int  // divide by this instead, if not 0
}

// Forward maps x [N, C, H, W] to [N, C, OH, OW], where
// OH = (H + 2·Padding - Kernel)/Stride + 1.
func (m AvgPool2d) Forward(x *tensor.Tensor) *tensor.Tensor {
	return tensor.AvgPool2d(x, square(m.Kernel, m.KernelHW), tensor.AvgPool2dOptions{
		Stride:            square(m.Stride, m.StrideHW),
		Padding:           square(m.Padding, m.PaddingHW),
		CeilMode:          m.CeilMode,
		NoCountIncludePad: m.NoCountIncludePad,
		Divisor:           m.Divisor,
	})
}

// AdaptiveAvgPool2d takes means over as many windows as make an output of its
// size; of size 1 it is the global mean.
type AdaptiveAvgPool2d struct {
	Size   int
	SizeHW [2]int
}

// Forward maps x [N, C, H, W] to [N, C, size, size].
func (m AdaptiveAvgPool2d) Forward(x *tensor.Tensor) *tensor.Tensor {
	return tensor.AdaptiveAvgPool2d(x, square(m.Size, m.SizeHW))
}

// AdaptiveMaxPool2d takes maxima over as many windows as make an output of its
// size; of size 1 it is the global maximum.
type AdaptiveMaxPool2d struct {
	Size   int
	SizeHW [2]int
}

// Forward maps x [N, C, H, W] to [N, C, size, size].
func (m AdaptiveMaxPool2d) Forward(x *tensor.Tensor) *tensor.Tensor {
	y, _ := tensor.AdaptiveMaxPool2d(x, square(m.Size, m.SizeHW))
	return y
}
