// Package train has what stands between a model and a trained model: Step, the
// update by one loss; Fit, the whole loop with progress, validation and callbacks;
// Eval; and Steps, scopes for batches made by hand.
//
// All of it returns mistakes that tensor ops panic about, *tensor.Error, as errors.
package train

import (
	"context"
	"fmt"
	"iter"
	"math"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/optim"
	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/tensor"
)

// Keep lists results that are still used after a Step.
type Keep = []*tensor.Tensor

// Step updates opt's parameters by the gradients of a loss, a scalar:
//
//	var loss *tensor.Tensor
//	err := train.Step(opt, func() (*tensor.Tensor, train.Keep) {
//		logits := model.Forward(b.X)
//		loss = nn.CrossEntropy(logits, b.Y)
//		return loss, train.Keep{logits}
//	})
//
// It clears their gradients, runs fn, backward, and opt.Step. What fn computes for
// the loss is freed on the way, as soon as the gradients need it no more, but for
// the loss and the tensors to keep: memory peaks lower than in the same loop with
// Backward. Step does not wait for the device.
//
// On an error the parameters are as they were, unless the optimizer made it.
func Step(opt optim.Optimizer, fn func() (loss *tensor.Tensor, keep Keep)) (err error) {
	defer tensor.Catch(&err)
	opt.ZeroGrad()
	if err := Accumulate(1, fn); err != nil {
		return err
	}
	opt.Step()
	return nil
}

// Accumulate is Step without the optimizer: it adds weight times the gradients of
// the loss to those that the parameters have. Two halves of a batch, in two
// iterations,
//
//	train.Accumulate(0.5, fn)
//
// and then opt.Step and opt.ZeroGrad, make the step of the whole batch, if the loss
// is a mean and the model does not look at the batch as a whole, as a batch norm does.
func Accumulate(weight float64, fn func() (loss *tensor.Tensor, keep Keep)) (err error) {
	defer tensor.Catch(&err)
	loss, keep := fn()
	if loss == nil {
		tensor.Fail("train", "the function returned no loss")
	}
	if weight != 1 {
		keep = append(keep[:len(keep):len(keep)], loss)
		loss = loss.MulScalar(weight)
	}
	loss.BackwardSpend(keep...)
	return nil
}

// Finite makes a loss that is NaN or infinite an error before it reaches the
// gradients: train.Step(opt, train.Finite(fn)). It waits for the device.
func Finite(fn func() (loss *tensor.Tensor, keep Keep)) func() (loss *tensor.Tensor, keep Keep) {
	return func() (*tensor.Tensor, Keep) {
		loss, keep := fn()
		if loss != nil {
			if v := loss.Item(); !finite(v) {
				tensor.Fail("train", "the loss is %v", v)
			}
		}
		return loss, keep
	}
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// StepsOptions are the options of Steps.
type StepsOptions struct {
	Seed  uint64 // of the scopes' generators, with the number of the step
	First int    // the number of the first step, after others in an earlier run
}

// Steps opens a scope in training mode for each of n steps, for batches that are
// made by hand in it, and closes it when the loop's body ends, however it does:
//
//	for s, err := range train.Steps(ctx, dev, 1000, train.StepsOptions{Seed: 1}) {
//		if err != nil {
//			return err
//		}
//		x := tensor.RandN(s, s.Rand(), tensor.Float32, 64, 100)
//
// If ctx is canceled, its error is the last element.
func Steps(ctx context.Context, dev backend.Device, n int, o StepsOptions) iter.Seq2[*tensor.Scope, error] {
	step := func(k int, yield func(*tensor.Scope, error) bool) bool {
		s := tensor.NewScope(dev, tensor.ScopeOptions{Train: true, Rand: random.Derive(o.Seed, uint64(k))})
		defer s.Close()
		return yield(s, nil)
	}
	return func(yield func(*tensor.Scope, error) bool) {
		if n < 0 || o.First < 0 {
			yield(nil, fmt.Errorf("train: there are no %d steps from step %d on", n, o.First))
			return
		}
		for k := o.First; k < o.First+n; k++ {
			if ctx.Err() != nil {
				yield(nil, context.Cause(ctx))
				return
			}
			if !step(k, yield) {
				return
			}
		}
	}
}
