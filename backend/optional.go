package backend

// The interfaces below are optional: a device that has a fused kernel says so
// by implementing one, as io.WriterTo does, and package tensor composes the op
// otherwise. There is one for each measured win, and fewer than ten.

// ConvOp names one of the three convolutions, each the adjoint of the others.
type ConvOp uint8

const (
	ConvForward        ConvOp = iota // y = conv(x, w)
	ConvBackwardInput                // x = conv(y, w)
	ConvBackwardWeight               // w = conv(y, x)
)

// ConvParams are those of a two-dimensional convolution: [height, width].
type ConvParams struct {
	Stride, Padding, Dilation [2]int
	Groups                    int
}

// ConvDevice has two-dimensional convolution: x [N, C, H, W] with weight
// [F, C/Groups, KH, KW] to [N, F, OH, OW], in any strides.
type ConvDevice interface {
	Conv(op ConvOp, out, a, b Array, p ConvParams, e Epilogue) error
	// ChannelsLast reports whether out should be dense in the order N, H, W, C.
	ChannelsLast() bool
}

// PoolOp names a pooling kernel.
type PoolOp uint8

const (
	MaxPool         PoolOp = iota // out, idx from x
	AvgPool                       // out from x
	MaxPoolBackward               // out (x's gradient) from idx and x (the output's gradient)
	AvgPoolBackward               // out (x's gradient) from x (the output's gradient)
)

// PoolParams are those of a two-dimensional pool: [height, width].
type PoolParams struct {
	Kernel, Stride, Padding, Dilation [2]int
	CountIncludePad                   bool
	Divisor                           int // 0: the size of the window
}

// PoolDevice has max and average pooling of [N, C, H, W]. idx is Int64, the
// position h*W+w of the (first) maximum in its plane of the input.
type PoolDevice interface {
	Pool(op PoolOp, out, idx, x Array, p PoolParams) error
}

// NormDevice normalises x over the axes on which mean has size 1:
// out = (x-mean)/sqrt(variance+eps)*weight + bias. The variance is the biased
// one. weight and bias are broadcast to x's shape, or lack Buf. mean and
// variance are Float32 for half-precision x, else of x's dtype.
type NormDevice interface {
	Norm(out, mean, variance, x, weight, bias Array, eps float64) error
	// NormBackward writes the gradients that have a Buf. dweight and dbias are
	// dense views with size 1 on weight's broadcast axes.
	NormBackward(dx, dweight, dbias, g, x, mean, variance, weight Array, eps float64) error
}

// SoftmaxOp names a softmax kernel.
type SoftmaxOp uint8

const (
	Softmax            SoftmaxOp = iota // out from x
	LogSoftmax                          // out from x
	SoftmaxBackward                     // out from x (the output's gradient) and y (the output)
	LogSoftmaxBackward                  // likewise
)

// SoftmaxDevice has softmax along an axis and its gradients; y lacks Buf in the
// forward ops.
type SoftmaxDevice interface {
	Softmax(op SoftmaxOp, out, x, y Array, axis int) error
}

// OptimizerOp names an update rule, as PyTorch defines it.
type OptimizerOp uint8

const (
	SGD   OptimizerOp = iota // state: momentum buffer, or none without momentum
	Adam                     // state: exp_avg, exp_avg_sq and, with AMSGrad, max_exp_avg_sq
	AdamW                    // the same, with decoupled weight decay
)

// OptimizerParams are an update rule's scalars. With Slot the learning rate and
// the step are read from device memory when the kernel runs, as A and N; so are B,
// a factor for the gradients, and M: if it is not 0 nothing is updated.
type OptimizerParams struct {
	LR, WeightDecay     float64
	Momentum, Dampening float64
	Beta1, Beta2, Eps   float64
	Step                int64 // 1 at the first step
	Nesterov, Maximize  bool
	Slot                Buffer
	SlotIndex           int
}

// OptimizerDevice updates parameters in place, many in one call. grads[i] has
// params[i]'s shape and dtype, state[i] lists its state arrays; all are dense in
// the same order.
type OptimizerDevice interface {
	OptimizerStep(op OptimizerOp, params, grads []Array, state [][]Array, p OptimizerParams) error
	// SumSquares writes the sum of the squares of all elements of xs to out, one
	// Float64. It is no finite number if an element is none. xs are floats, dense.
	SumSquares(out Array, xs []Array) error
}

// AttentionParams are those of scaled dot-product attention.
type AttentionParams struct {
	Scale  float64
	Causal bool // query i looks at keys 0 to i
}

// AttentionDevice has softmax(q·kᵀ·Scale)·v for q [B, H, L, E], k [B, G, S, E]
// and v [B, G, S, E] in any strides, H being a multiple of G: a head of keys serves
// H/G heads of queries. It never stores the scores.
type AttentionDevice interface {
	// Attention writes out [B, H, L, E] and lse [B, H, L], the logarithm of the sum
	// of the exponentials of each query's scores, Float32 (Float64 for Float64). A
	// query without keys gets zeros and -Inf.
	Attention(out, lse, q, k, v Array, p AttentionParams) error
	// AttentionBackward writes the gradients of q, k and v for that of out, which is
	// g, in any strides.
	AttentionBackward(dq, dk, dv, g, out, lse, q, k, v Array, p AttentionParams) error
}

// CrossEntropyParams are those of a cross entropy with labels.
type CrossEntropyParams struct {
	Ignore    int64   // a label whose loss and gradient are 0
	Smoothing float64 // how much of the target is spread evenly over the classes
}

// CrossEntropyDevice has the cross entropy of logits x [N, C] with Int64 labels
// [N], in any strides. With z = lse - x, lse being the logarithm of the sum of a
// row's exponentials, it is (1-Smoothing)·z[label] + Smoothing·mean(z).
type CrossEntropyDevice interface {
	// CrossEntropy writes loss and lse [N], Float32 (Float64 for Float64). A label
	// that is neither Ignore nor in [0, C) is an IndexError.
	CrossEntropy(loss, lse, x, labels Array, p CrossEntropyParams) error
	// CrossEntropyBackward writes dx, the gradient of x, for g [N], that of loss, of
	// loss's dtype and in any strides: g·(exp(x-lse) - Smoothing/C - (1-Smoothing)·(label's 1)).
	CrossEntropyBackward(dx, g, lse, x, labels Array, p CrossEntropyParams) error
}

// MemoryStats are bytes of one device.
type MemoryStats struct {
	Live     int64 // handed out and not freed
	Peak     int64 // the most that was live since the last reset
	Reserved int64 // live, and kept for reuse
}

// MemoryDevice counts its memory.
type MemoryDevice interface {
	MemoryStats() MemoryStats
	ResetPeak()
	// EmptyCache gives back what is kept for reuse.
	EmptyCache()
}
