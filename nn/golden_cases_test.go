package nn_test

import (
	"maps"

	"github.com/descent-ml/descent/nn"
	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/tensor"
)

// goldenCases are the cases of testdata/golden.py, under its names.
func goldenCases() map[string]goldenCase {
	all := map[string]goldenCase{}
	for _, some := range []map[string]goldenCase{simpleCases(), convCases(), poolCases(), lossCases(), attentionCases(), normCases(), activationCases(), rnnCases()} {
		maps.Copy(all, some)
	}
	return all
}

var rng = random.New(7)

func simpleCases() map[string]goldenCase {
	return map[string]goldenCase{
		"linear":            layer(nn.NewLinear(rng, 5, 3, nn.LinearOptions{})),
		"linear no bias":    layer(nn.NewLinear(rng, 5, 3, nn.LinearOptions{NoBias: true})),
		"embedding":         layer(nn.NewEmbedding(rng, 7, 3, nn.EmbeddingOptions{})),
		"embedding padding": layer(nn.NewEmbedding(rng, 7, 3, nn.EmbeddingOptions{PaddingIndex: new(2)})),
		"flatten":           layer(nn.Flatten{}),
	}
}

func convCases() map[string]goldenCase {
	return map[string]goldenCase{
		"conv2d":           layer(nn.NewConv2d(rng, 3, 4, 3, nn.Conv2dOptions{})),
		"conv2d strided":   layer(nn.NewConv2d(rng, 4, 6, 3, nn.Conv2dOptions{Stride: 2, Padding: 1, Groups: 2, NoBias: true})),
		"conv2d depthwise": layer(nn.NewConv2d(rng, 3, 6, 3, nn.Conv2dOptions{Padding: 1, Groups: 3})),
		"conv2d rectangle": layer(nn.NewConv2d(rng, 2, 3, 0, nn.Conv2dOptions{
			KernelHW: [2]int{1, 3}, StrideHW: [2]int{2, 1}, PaddingHW: [2]int{0, 2}, DilationHW: [2]int{1, 2}})),
	}
}

func activationCases() map[string]goldenCase {
	return map[string]goldenCase{
		"relu":        layer(nn.ReLU{}),
		"relu6":       layer(nn.ReLU6{}),
		"tanh":        layer(nn.Tanh{}),
		"sigmoid":     layer(nn.Sigmoid{}),
		"logsigmoid":  layer(nn.LogSigmoid{}),
		"silu":        layer(nn.SiLU{}),
		"mish":        layer(nn.Mish{}),
		"gelu":        layer(nn.GELU{}),
		"gelu tanh":   layer(nn.GELU{Tanh: true}),
		"leaky relu":  layer(nn.LeakyReLU{}),
		"elu":         layer(nn.ELU{}),
		"softplus":    layer(nn.Softplus{}),
		"softmax":     layer(nn.Softmax{Axis: -1}),
		"log softmax": layer(nn.LogSoftmax{Axis: 1}),
	}
}

func rnnCases() map[string]goldenCase {
	lstm := func(l *nn.LSTM) goldenCase {
		return goldenCase{module: l, call: func(in []*tensor.Tensor) []*tensor.Tensor {
			in = append(in, nil, nil)
			y, h, c := l.Forward(in[0], in[1], in[2])
			return []*tensor.Tensor{y, h, c}
		}}
	}
	gru := func(l *nn.GRU) goldenCase {
		return goldenCase{module: l, call: func(in []*tensor.Tensor) []*tensor.Tensor {
			in = append(in, nil)
			y, h := l.Forward(in[0], in[1])
			return []*tensor.Tensor{y, h}
		}}
	}
	deep := nn.RNNOptions{Layers: 2, Bidirectional: true, BatchFirst: true, Dropout: 0.5}
	return map[string]goldenCase{
		"lstm":         lstm(nn.NewLSTM(rng, 3, 4, nn.RNNOptions{})),
		"lstm state":   lstm(nn.NewLSTM(rng, 3, 4, nn.RNNOptions{})),
		"lstm deep":    evaluated(lstm(nn.NewLSTM(rng, 3, 4, deep))),
		"lstm no bias": lstm(nn.NewLSTM(rng, 3, 4, nn.RNNOptions{NoBias: true})),
		"lstm single":  lstm(nn.NewLSTM(rng, 3, 4, nn.RNNOptions{Bidirectional: true})),
		"gru":          gru(nn.NewGRU(rng, 3, 4, nn.RNNOptions{})),
		"gru deep":     evaluated(gru(nn.NewGRU(rng, 3, 4, deep))),
		"gru no bias":  gru(nn.NewGRU(rng, 3, 4, nn.RNNOptions{NoBias: true})),
	}
}

func normCases() map[string]goldenCase {
	batch2d := func(o nn.BatchNormOptions) goldenCase { return layer(nn.NewBatchNorm2d(4, o)) }
	batch1d := func(o nn.BatchNormOptions) goldenCase { return layer(nn.NewBatchNorm1d(4, o)) }
	return map[string]goldenCase{
		"batchnorm2d":                batch2d(nn.BatchNormOptions{}),
		"batchnorm2d eval":           evaluated(batch2d(nn.BatchNormOptions{})),
		"batchnorm2d momentum":       batch2d(nn.BatchNormOptions{Eps: 1e-3, Momentum: new(0.3)}),
		"batchnorm2d cumulative":     batch2d(nn.BatchNormOptions{Cumulative: true}),
		"batchnorm2d still":          batch2d(nn.BatchNormOptions{Momentum: new(0.0)}),
		"batchnorm2d plain":          batch2d(nn.BatchNormOptions{NoAffine: true}),
		"batchnorm2d stateless eval": evaluated(batch2d(nn.BatchNormOptions{NoTracking: true})),
		"batchnorm1d":                batch1d(nn.BatchNormOptions{}),
		"batchnorm1d series":         batch1d(nn.BatchNormOptions{}),
		"batchnorm1d eval":           evaluated(batch1d(nn.BatchNormOptions{})),
		"layernorm":                  layer(nn.NewLayerNorm([]int{5}, nn.LayerNormOptions{})),
		"layernorm axes":             layer(nn.NewLayerNorm([]int{3, 5}, nn.LayerNormOptions{Eps: 1e-3})),
		"layernorm no bias":          layer(nn.NewLayerNorm([]int{5}, nn.LayerNormOptions{NoBias: true})),
		"layernorm plain":            layer(nn.NewLayerNorm([]int{5}, nn.LayerNormOptions{NoAffine: true})),
		"rmsnorm":                    layer(nn.NewRMSNorm([]int{5}, nn.RMSNormOptions{Eps: new(1e-3)})),
		"groupnorm":                  layer(nn.NewGroupNorm(2, 6, nn.GroupNormOptions{})),
	}
}

func poolCases() map[string]goldenCase {
	return map[string]goldenCase{
		"maxpool2d":             layer(nn.MaxPool2d{Kernel: 2}),
		"maxpool2d overlapping": layer(nn.MaxPool2d{Kernel: 3, Stride: 2, Padding: 1}),
		"maxpool2d rectangle": layer(nn.MaxPool2d{
			KernelHW: [2]int{3, 2}, StrideHW: [2]int{2, 1}, PaddingHW: [2]int{1, 0}, DilationHW: [2]int{1, 2}}),
		"maxpool2d ceil":      layer(nn.MaxPool2d{Kernel: 3, Stride: 2, CeilMode: true}),
		"avgpool2d":           layer(nn.AvgPool2d{Kernel: 2}),
		"avgpool2d padded":    layer(nn.AvgPool2d{Kernel: 3, Stride: 2, Padding: 1}),
		"avgpool2d uncounted": layer(nn.AvgPool2d{Kernel: 3, Stride: 2, Padding: 1, NoCountIncludePad: true}),
		"avgpool2d ceil":      layer(nn.AvgPool2d{Kernel: 3, Stride: 2, CeilMode: true}),
		"adaptive avg":        layer(nn.AdaptiveAvgPool2d{SizeHW: [2]int{3, 2}}),
		"adaptive avg one":    layer(nn.AdaptiveAvgPool2d{Size: 1}),
		"adaptive max":        layer(nn.AdaptiveMaxPool2d{SizeHW: [2]int{3, 2}}),
	}
}

func lossCases() map[string]goldenCase {
	two := func(loss func(x, y *tensor.Tensor) *tensor.Tensor) goldenCase {
		return function(func(in []*tensor.Tensor) *tensor.Tensor { return loss(in[0], in[1]) })
	}
	crossEntropy := func(o nn.CrossEntropyOptions) goldenCase {
		return function(func(in []*tensor.Tensor) *tensor.Tensor {
			if len(in) > 2 {
				o.Weight = in[2]
			}
			return nn.CrossEntropyWith(in[0], in[1], o)
		})
	}
	return map[string]goldenCase{
		"cross entropy":        two(nn.CrossEntropy),
		"cross entropy ignore": two(nn.CrossEntropy),
		"cross entropy soft":   two(nn.CrossEntropy),
		"cross entropy smooth": crossEntropy(nn.CrossEntropyOptions{LabelSmoothing: 0.1}),
		"cross entropy sum":    crossEntropy(nn.CrossEntropyOptions{Reduction: tensor.ReductionSum, IgnoreIndex: new(int64(1))}),
		"cross entropy none":   crossEntropy(nn.CrossEntropyOptions{Reduction: tensor.ReductionNone}),
		"nll":                  two(nn.NLL),
		"nll weight": function(func(in []*tensor.Tensor) *tensor.Tensor {
			return tensor.NLLLoss(in[0], in[1], tensor.NLLLossOptions{Weight: in[2]})
		}),
		"mse": two(nn.MSE),
		"l1":  two(nn.L1),
		"bce": two(nn.BCEWithLogits),
		"bce weight": function(func(in []*tensor.Tensor) *tensor.Tensor {
			return tensor.BCEWithLogits(in[0], in[1], tensor.BCEOptions{PosWeight: in[2]})
		}),
	}
}

func attentionCases() map[string]goldenCase {
	// with calls the layer with the inputs after q, k and v where set puts them.
	with := func(o nn.MultiHeadAttentionOptions, weights bool, set ...func(o *nn.AttentionOptions, m *tensor.Tensor)) goldenCase {
		a := nn.NewMultiHeadAttention(rng, 6, 2, o)
		return goldenCase{module: a, call: func(in []*tensor.Tensor) []*tensor.Tensor {
			o := nn.AttentionOptions{Weights: weights}
			for i, set := range set {
				set(&o, in[3+i])
			}
			y, w := a.Forward(in[0], in[1], in[2], o)
			if w == nil {
				return []*tensor.Tensor{y}
			}
			return []*tensor.Tensor{y, w}
		}}
	}
	type options = nn.MultiHeadAttentionOptions
	mask := func(o *nn.AttentionOptions, m *tensor.Tensor) { o.Mask = m }
	padding := func(o *nn.AttentionOptions, m *tensor.Tensor) { o.KeyPaddingMask = m }
	causal := nn.NewMultiHeadAttention(rng, 6, 2, options{BatchFirst: true})
	return map[string]goldenCase{
		"attention":             with(options{}, false),
		"attention weights":     with(options{BatchFirst: true}, true),
		"attention masks":       with(options{BatchFirst: true}, true, mask, padding),
		"attention bias":        with(options{BatchFirst: true, NoBias: true}, false, mask),
		"attention bias each":   with(options{BatchFirst: true}, false, mask),
		"attention other sizes": with(options{KDim: 3, VDim: 4}, true),
		"attention extra":       with(options{AddBiasKV: true, AddZeroAttn: true, BatchFirst: true}, true, mask, padding),
		"attention single":      with(options{}, true),
		"attention causal": {module: causal, call: func(in []*tensor.Tensor) []*tensor.Tensor {
			y, _ := causal.Forward(in[0], in[0], in[0], nn.AttentionOptions{Causal: true})
			return []*tensor.Tensor{y}
		}},
	}
}
