package data

import (
	"fmt"

	"github.com/descent-ml/descent/tensor"
)

// Batch is the ready-made batch: inputs and targets, samples along axis 0.
type Batch struct{ X, Y *tensor.Tensor }

// Scope is the scope of the batch's tensors.
func (b Batch) Scope() *tensor.Scope { return b.X.Scope() }

// Len is the number of samples.
func (b Batch) Len() int { return b.X.Size(0) }

// Sized is a batch that knows its number of samples, by which averages over
// several batches are weighted. Batch types of your own need this one method for
// package train's Fit and Eval.
type Sized interface{ Len() int }

// Sample is a ready-made sample: numbers, row-major, and a class.
type Sample struct {
	X []float32
	Y int64
}

// Stack returns a collate function that makes a Batch of samples whose X have the
// given shape: X is Float32 [N, shape...], Y is Int64 [N].
func Stack(shape ...int) func(p tensor.Place, samples []Sample) (Batch, error) {
	size := 1
	for _, d := range shape {
		size *= d
	}
	return func(p tensor.Place, samples []Sample) (Batch, error) {
		x := make([]float32, 0, len(samples)*size)
		y := make([]int64, len(samples))
		for i, s := range samples {
			if len(s.X) != size {
				return Batch{}, fmt.Errorf("sample %d of the batch has %d numbers, shape %v has %d", i, len(s.X), shape, size)
			}
			x, y[i] = append(x, s.X...), s.Y
		}
		return Batch{
			X: tensor.Of(p, x, append([]int{len(samples)}, shape...)...),
			Y: tensor.Of(p, y),
		}, nil
	}
}
