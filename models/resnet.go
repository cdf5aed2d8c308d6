// Package models has networks whose parameters carry the names of torchvision's
// and other PyTorch libraries', so that their checkpoints load. Each is one file
// to read, copy and change.
package models

import (
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
}

// NewResNet18 has 11.7 million parameters, initialised as torchvision's.
func NewResNet18(rng *random.Generator, o ResNetOptions) *ResNet {
	return newResNet(rng, newBasicBlock, 1, [4]int{2, 2, 2, 2}, o)
}

// NewResNet34 has 21.8 million parameters, initialised as torchvision's.
func NewResNet34(rng *random.Generator, o ResNetOptions) *ResNet {
	return newResNet(rng, newBasicBlock, 1, [4]int{3, 4, 6, 3}, o)
}

// NewResNet50 has 25.6 million parameters, initialised as torchvision's.
func NewResNet50(rng *random.Generator, o ResNetOptions) *ResNet {
	return newResNet(rng, newBottleneck, 4, [4]int{3, 4, 6, 3}, o)
}

// NewResNet101 has 44.5 million parameters, initialised as torchvision's.
func NewResNet101(rng *random.Generator, o ResNetOptions) *ResNet {
	return newResNet(rng, newBottleneck, 4, [4]int{3, 4, 23, 3}, o)
}

// NewResNet152 has 60.2 million parameters, initialised as torchvision's.
func NewResNet152(rng *random.Generator, o ResNetOptions) *ResNet {
	return newResNet(rng, newBottleneck, 4, [4]int{3, 8, 36, 3}, o)
}

// newResNet stacks as many blocks as given in each of four stages. A block of
// width w has expansion·w channels.
func newResNet(rng *random.Generator, block newBlock, expansion int, blocks [4]int, o ResNetOptions) *ResNet {
	in := 64
	stage := func(width, n, stride int) nn.Sequential {
		var s nn.Sequential
		for range n {
			s = append(s, block(rng, in, width, stride, o))
			in, stride = expansion*width, 1
		}
		return s
	}
	m := &ResNet{
		BN1:    nn.NewBatchNorm2d(64, nn.BatchNormOptions{}),
		Layer1: stage(64, blocks[0], 1),
		Layer2: stage(128, blocks[1], 2),
		Layer3: stage(256, blocks[2], 2),
		Layer4: stage(512, blocks[3], 2),
		FC:     nn.NewLinear(rng, in, or(o.Classes, 1000), nn.LinearOptions{}),
	}
	switch channels := or(o.Channels, 3); o.Stem {
	case CIFAR:
		m.Conv1, m.pool = conv(rng, channels, 64, 3, 1, 1), nn.Identity{}
	default:
		m.Conv1, m.pool = conv(rng, channels, 64, 7, 2, 1), nn.MaxPool2d{Kernel: 3, Stride: 2, Padding: 1}
	}
	return m
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

// newBlock makes a residual block from in channels to a width.
type newBlock func(rng *random.Generator, in, width, stride int, o ResNetOptions) nn.Module

// BasicBlock is two 3x3 convolutions beside a shortcut.
type BasicBlock struct {
	Conv1      *nn.Conv2d
	BN1        *nn.BatchNorm2d
	Conv2      *nn.Conv2d
	BN2        *nn.BatchNorm2d
	Downsample nn.Sequential // what the shortcut needs to fit; or nil
}

func newBasicBlock(rng *random.Generator, in, width, stride int, o ResNetOptions) nn.Module {
	b := &BasicBlock{
		Conv1:      conv(rng, in, width, 3, stride, 1),
		BN1:        nn.NewBatchNorm2d(width, nn.BatchNormOptions{}),
		Conv2:      conv(rng, width, width, 3, 1, 1),
		BN2:        nn.NewBatchNorm2d(width, nn.BatchNormOptions{}),
		Downsample: shortcut(rng, in, width, stride),
	}
	if o.ZeroInitResidual {
		nn.Zeros(b.BN2.Weight)
	}
	return b
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
	Downsample nn.Sequential // what the shortcut needs to fit; or nil
}

func newBottleneck(rng *random.Generator, in, width, stride int, o ResNetOptions) nn.Module {
	groups := or(o.Groups, 1)
	inner, out := width*or(o.GroupWidth, 64)/64*groups, 4*width
	b := &Bottleneck{
		Conv1:      conv(rng, in, inner, 1, 1, 1),
		BN1:        nn.NewBatchNorm2d(inner, nn.BatchNormOptions{}),
		Conv2:      conv(rng, inner, inner, 3, stride, groups),
		BN2:        nn.NewBatchNorm2d(inner, nn.BatchNormOptions{}),
		Conv3:      conv(rng, inner, out, 1, 1, 1),
		BN3:        nn.NewBatchNorm2d(out, nn.BatchNormOptions{}),
		Downsample: shortcut(rng, in, out, stride),
	}
	if o.ZeroInitResidual {
		nn.Zeros(b.BN3.Weight)
	}
	return b
}

// Forward maps x [N, in, H, W] to [N, 4·width, H/stride, W/stride].
func (b *Bottleneck) Forward(x *tensor.Tensor) *tensor.Tensor {
	y := b.BN1.Forward(b.Conv1.Forward(x)).ReLU()
	y = b.BN2.Forward(b.Conv2.Forward(y)).ReLU()
	y = b.BN3.Forward(b.Conv3.Forward(y))
	return y.Add(b.Downsample.Forward(x)).ReLU()
}

// shortcut is nil, which passes everything on, where the shapes fit.
func shortcut(rng *random.Generator, in, out, stride int) nn.Sequential {
	if stride == 1 && in == out {
		return nil
	}
	return nn.Sequential{conv(rng, in, out, 1, stride, 1), nn.NewBatchNorm2d(out, nn.BatchNormOptions{})}
}

// conv keeps the size of an image, but for the stride.
func conv(rng *random.Generator, in, out, kernel, stride, groups int) *nn.Conv2d {
	c := nn.NewConv2d(rng, in, out, kernel, nn.Conv2dOptions{Stride: stride, Padding: kernel / 2, Groups: groups, NoBias: true})
	nn.KaimingNormal(rng, c.Weight, nn.Kaiming{FanOut: true})
	return c
}

func or(v, otherwise int) int {
	if v == 0 {
		return otherwise
	}
	return v
}
