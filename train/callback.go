package train

import (
	"errors"
	"math"
	"time"

	"github.com/descent-ml/descent/tensor"
)

// ErrStop, returned by a callback, ends Fit without an error.
var ErrStop = errors.New("train: stop")

// Callback is called by Fit; fields may be nil. An error ends the training, and
// Fit returns it.
type Callback struct {
	// OnStep runs after each update, in the batch's scope.
	OnStep func(StepEvent) error
	// OnLog runs when losses have been read, every LogEvery batches.
	OnLog func(Point) error
	// OnEpoch runs after each epoch and its validation.
	OnEpoch func(Epoch) error
}

// StepEvent is one update. Its tensors are those of the last batch of it; they are
// valid during the call, and reading them waits for the device.
type StepEvent struct {
	Step, Epoch, Batch int // updates so far; the epoch, from 0; batches of it so far
	Loss               *tensor.Tensor
	Metrics            Metrics
}

// Point is the training over the last few batches.
type Point struct {
	Step, Epoch, Batch int // as in StepEvent
	Values             Values
	LR                 float64 // of the optimizer's first group
	Rate               float64 // samples per second
}

// Epoch is the training over one epoch, or what was left of it.
type Epoch struct {
	Epoch, Step int // from 0; updates so far
	// Train are the means over the epoch, while the parameters changed.
	Train Values
	// Validation are the means with those at its end; nil without a loader for it.
	Validation Values
	Samples    int
	Time       time.Duration // without validation
}

// History is what Fit did: curves to plot.
type History struct {
	Points  []Point
	Epochs  []Epoch
	Stopped bool // by ErrStop
}

// EarlyStopOptions are the options of EarlyStop.
type EarlyStopOptions struct {
	Metric   string  // "" is "loss"
	Higher   bool    // more of it is better
	Patience int     // epochs without improvement that are tolerated
	MinDelta float64 // the least change that is an improvement
}

// EarlyStop stops when a metric, of the validation if there is one, has not
// improved for more than Patience epochs. It remembers one training.
func EarlyStop(o EarlyStopOptions) Callback {
	if o.Metric == "" {
		o.Metric = "loss"
	}
	best, waited := math.Inf(1), 0
	return Callback{OnEpoch: func(e Epoch) error {
		values := e.Validation
		if values == nil {
			values = e.Train
		}
		v, ok := values[o.Metric]
		if !ok {
			tensor.Fail("early stop", "there is no metric %q, only %v", o.Metric, values.names())
		}
		if o.Higher {
			v = -v
		}
		if v < best-o.MinDelta {
			best, waited = v, 0
			return nil
		}
		if waited++; waited > o.Patience {
			return ErrStop
		}
		return nil
	}}
}
