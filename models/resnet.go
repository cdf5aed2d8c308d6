// Package models has networks whose parameters carry the names of torchvision's
// and other PyTorch libraries', so that their checkpoints load. Each is one file
// to read, copy and change.
package models

import (
	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/nn"
	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/tensor"
)

// ResNet is the residual network of He et al., "Deep residual learning for image
// recognition" (2015), as torchvision has it: bottlenecks stride in their 3x3
// convolution ("v1.5").
type ResNet struct {
	Conv1                          *nn.Conv2d
	BN1                            *nn.BatchNorm2d
	Layer1, Layer2, Layer3, Layer4 nn.Sequential // of *BasicBlock or *Bottleneck
	FC                             *nn.Linear

	pool nn.Module
}

// Stem is the beginning of a ResNet.
type Stem uint8

const (
	ImageNet Stem = iota // 7x7 convolution and max-pool: an image of 224 becomes one of 56
	CIFAR                // 3x3 convolution: an image of 32 keeps its size
)

// ResNetOptions are the options of NewResNet18 and its like.
type ResNetOptions struct {
	Classes  int // 0 is 1000
	Channels int // of the image; 0 is 3
	Stem     Stem
	// ZeroInitResidual starts each block as the identity: the weights of its last
	// norm are 0 (Goyal et al., "Accurate, large minibatch SGD", 2017).
	ZeroInitResidual bool
	// Groups and GroupWidth widen bottlenecks: 32 and 4 are ResNeXt 32x4d, 1 and
	// 128 Wide ResNet. 0 is 1 and 64.
	Groups, GroupWidth int

	DType  tensor.DType
	Device backend.Device // nil: the CPU
}

// NewResNet18 has 11.7 million parameters, initialised as torchvision's.
func NewResNet18(rng *random.Generator, o ResNetOptions) *ResNet {
	return resNet{rng, o}.build(resNet.basicBlock, 1, 2, 2, 2, 2)
}

// NewResNet34 has 21.8 million parameters, initialised as torchvision's.
func NewResNet34(rng *random.Generator, o ResNetOptions) *ResNet {
	return resNet{rng, o}.build(resNet.basicBlock, 1, 3, 4, 6, 3)
}

// NewResNet50 has 25.6 million parameters, initialised as torchvision's.
func NewResNet50(rng *random.Generator, o ResNetOptions) *ResNet {
	return resNet{rng, o}.build(resNet.bottleneck, 4, 3, 4, 6, 3)
}

// NewResNet101 has 44.5 million parameters, initialised as torchvision's.
func NewResNet101(rng *random.Generator, o ResNetOptions) *ResNet {
	return resNet{rng, o}.build(resNet.bottleneck, 4, 3, 4, 23, 3)
}

// NewResNet152 has 60.2 million parameters, initialised as torchvision's.
func NewResNet152(rng *random.Generator, o ResNetOptions) *ResNet {
	return resNet{rng, o}.build(resNet.bottleneck, 4, 3, 8, 36, 3)
}

// Forward maps images [N, C, H, W] to logits [N, classes].
func (m *ResNet) Forward(x *tensor.Tensor) *tensor.Tensor {
	return nn.Sequential{
		m.Conv1, m.BN1, nn.ReLU{}, m.pool, // [N, 64, H/4, W/4], or H by W
		m.Layer1,
		m.Layer2,
		m.Layer3,
		m.Layer4,                  // an eighth of that, 512 or 2048 channels
		nn.Func(globalMean), m.FC, // [N, classes]
	}.Forward(x)
}

// globalMean averages over the pixels: [N, C, H, W] to [N, C].
func globalMean(x *tensor.Tensor) *tensor.Tensor { return x.Mean(2, 3) }

// BasicBlock is two 3x3 convolutions beside a shortcut.
type BasicBlock struct {
	Conv1      *nn.Conv2d
	BN1        *nn.BatchNorm2d
	Conv2      *nn.Conv2d
	BN2        *nn.BatchNorm2d
	Downsample nn.Sequential // fits the shortcut to the result; nil passes it on
}

// Forward maps x [N, in, H, W] to [N, width, H/stride, W/stride].
func (b *BasicBlock) Forward(x *tensor.Tensor) *tensor.Tensor {
	y := b.BN1.Forward(b.Conv1.Forward(x)).ReLU()
	y = b.BN2.Forward(b.Conv2.Forward(y))
	return y.Add(b.Downsample.Forward(x)).ReLU()
}

// Bottleneck is a 3x3 convolution between two of 1x1, beside a shortcut.
type Bottleneck struct {
	Conv1      *nn.Conv2d
	BN1        *nn.BatchNorm2d
	Conv2      *nn.Conv2d
	BN2        *nn.BatchNorm2d
	Conv3      *nn.Conv2d
	BN3        *nn.BatchNorm2d
	Downsample nn.Sequential // fits the shortcut to the result; nil passes it on
}

// Forward maps x [N, in, H, W] to [N, 4·width, H/stride, W/stride].
func (b *Bottleneck) Forward(x *tensor.Tensor) *tensor.Tensor {
	y := b.BN1.Forward(b.Conv1.Forward(x)).ReLU()
	y = b.BN2.Forward(b.Conv2.Forward(y)).ReLU()
	y = b.BN3.Forward(b.Conv3.Forward(y))
	return y.Add(b.Downsample.Forward(x)).ReLU()
}

// resNet builds a ResNet.
type resNet struct {
	rng *random.Generator
	ResNetOptions
}

// build stacks as many blocks as given in each of four stages. A block of width w
// has expansion·w channels.
func (r resNet) build(block func(r resNet, in, width, stride int) nn.Module, expansion int, blocks ...int) *ResNet {
	m := &ResNet{BN1: r.norm(64)}
	if channels := or(r.Channels, 3); r.Stem == CIFAR {
		m.Conv1, m.pool = r.conv(channels, 64, 3, 1, 1), nn.Identity{}
	} else {
		m.Conv1, m.pool = r.conv(channels, 64, 7, 2, 1), nn.MaxPool2d{Kernel: 3, Stride: 2, Padding: 1}
	}
	in := 64
	for i, stage := range []*nn.Sequential{&m.Layer1, &m.Layer2, &m.Layer3, &m.Layer4} {
		width, stride := 64<<i, min(i+1, 2)
		for range blocks[i] {
			*stage = append(*stage, block(r, in, width, stride))
			in, stride = expansion*width, 1
		}
	}
	m.FC = nn.NewLinear(r.rng, in, or(r.Classes, 1000), nn.LinearOptions{DType: r.DType, Device: r.Device})
	return m
}

func (r resNet) basicBlock(in, width, stride int) nn.Module {
	b := &BasicBlock{
		Conv1:      r.conv(in, width, 3, stride, 1),
		BN1:        r.norm(width),
		Conv2:      r.conv(width, width, 3, 1, 1),
		BN2:        r.norm(width),
		Downsample: r.downsample(in, width, stride),
	}
	if r.ZeroInitResidual {
		nn.Zeros(b.BN2.Weight)
	}
	return b
}

func (r resNet) bottleneck(in, width, stride int) nn.Module {
	groups := or(r.Groups, 1)
	inner, out := width*or(r.GroupWidth, 64)/64*groups, 4*width
	b := &Bottleneck{
		Conv1:      r.conv(in, inner, 1, 1, 1),
		BN1:        r.norm(inner),
		Conv2:      r.conv(inner, inner, 3, stride, groups),
		BN2:        r.norm(inner),
		Conv3:      r.conv(inner, out, 1, 1, 1),
		BN3:        r.norm(out),
		Downsample: r.downsample(in, out, stride),
	}
	if r.ZeroInitResidual {
		nn.Zeros(b.BN3.Weight)
	}
	return b
}

func (r resNet) downsample(in, out, stride int) nn.Sequential {
	if stride == 1 && in == out {
		return nil
	}
	return nn.Sequential{r.conv(in, out, 1, stride, 1), r.norm(out)}
}

// conv keeps the size of an image, but for the stride.
func (r resNet) conv(in, out, kernel, stride, groups int) *nn.Conv2d {
	c := nn.NewConv2d(r.rng, in, out, kernel, nn.Conv2dOptions{
		Stride: stride, Padding: kernel / 2, Groups: groups, NoBias: true, DType: r.DType, Device: r.Device})
	nn.KaimingNormal(r.rng, c.Weight, nn.Kaiming{FanOut: true})
	return c
}

func (r resNet) norm(channels int) *nn.BatchNorm2d {
	return nn.NewBatchNorm2d(channels, nn.BatchNormOptions{DType: r.DType, Device: r.Device})
}

func or(v, otherwise int) int {
	if v == 0 {
		return otherwise
	}
	return v
}
