package nn

import "github.com/descent-ml/descent/tensor"

// The losses of this file are means over all elements, or over all labels. Those
// of package tensor have PyTorch's options: sums, no reduction, weights.

// CrossEntropy is the mean of -log softmax(logits) at the labels. logits are
// [N, C], or [N, C, d1, ...]; target has integers in [0, C) of the shape without
// C, of which -100 does not count, or probabilities of logits' shape.
func CrossEntropy(logits, target *tensor.Tensor) *tensor.Tensor {
	return CrossEntropyWith(logits, target, CrossEntropyOptions{})
}

// CrossEntropyOptions are label smoothing, a label to ignore, weights of the
// classes, and the reduction.
type CrossEntropyOptions = tensor.CrossEntropyOptions

// CrossEntropyWith is CrossEntropy with options.
func CrossEntropyWith(logits, target *tensor.Tensor, o CrossEntropyOptions) *tensor.Tensor {
	return tensor.CrossEntropy(logits, target, o)
}

// NLL is CrossEntropy for logits that went through LogSoftmax already.
func NLL(logp, target *tensor.Tensor) *tensor.Tensor {
	return tensor.NLLLoss(logp, target, tensor.NLLLossOptions{})
}

// MSE is the mean of (x - target)².
func MSE(x, target *tensor.Tensor) *tensor.Tensor {
	return tensor.MSELoss(x, target, tensor.ReductionMean)
}

// L1 is the mean of |x - target|.
func L1(x, target *tensor.Tensor) *tensor.Tensor {
	return tensor.L1Loss(x, target, tensor.ReductionMean)
}

// BCEWithLogits is the mean binary cross entropy of the probabilities sigmoid(x)
// and target, of x's shape.
func BCEWithLogits(x, target *tensor.Tensor) *tensor.Tensor {
	return tensor.BCEWithLogits(x, target, tensor.BCEOptions{})
}
