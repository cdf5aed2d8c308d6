package train

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/descent-ml/descent/data"
	"github.com/descent-ml/descent/optim"
	"github.com/descent-ml/descent/tensor"
)

// FitOptions are the options of Fit.
type FitOptions[B any] struct {
	// Epochs is the number of epochs in all, with those of earlier runs; 0 is 1.
	Epochs int
	// Validate is evaluated after each epoch.
	Validate *data.Loader[B]

	// Accumulate is the number of batches whose gradients are averaged for one
	// update; 0 is 1. A last group of an epoch may have fewer.
	Accumulate int
	// Capture replays steps instead of running fn in each, as Captured does, whose
	// conditions fn and BeforeStep must meet. Accumulate must be 1.
	Capture bool
	// BeforeStep runs between backward and the update: clipping. It must not wait
	// for the device, if steps are not to.
	BeforeStep func() error
	// Schedule takes a step after each update, EpochSchedule after each epoch.
	Schedule, EpochSchedule *optim.Scheduler

	// Checkpoint runs after every CheckpointEvery updates, if that is not 0, and
	// after each epoch; losses up to there have been read and are finite. The
	// loader's State tells the position.
	Checkpoint      func() error
	CheckpointEvery int

	// LogEvery is the number of batches after which losses and metrics are read
	// from the device; 0 is 50.
	LogEvery  int
	Callbacks []Callback

	// Progress gets a progress bar if it is a terminal, else a line now and then;
	// nil for neither.
	Progress io.Writer
	// Unit is what Progress calls samples, such as "images".
	Unit string
	// Logger gets a record for each Point and Epoch, if it is not nil.
	Logger *slog.Logger
}

// Fit trains by fn's loss from epoch 0 on: the loop of Step, with validation,
// progress and callbacks. After the loader's SetState it goes on from there: a
// training that a checkpoint has brought back, with the model, opt and schedules,
// continues as if it had not stopped, but that the means of its first epoch are
// over the rest of it.
//
// Steps do not wait for the device but every LogEvery batches, when losses are
// read; one that is NaN or infinite is an error that names its step. When ctx is
// canceled Fit finishes the update in work and returns ctx's error. The History is
// what was done, also with an error.
func Fit[B data.Sized](ctx context.Context, loader *data.Loader[B], opt optim.Optimizer, fn Func[B], o FitOptions[B]) (h *History, err error) {
	defer tensor.Catch(&err)
	if o.Epochs == 0 {
		o.Epochs = 1
	}
	if o.Accumulate == 0 {
		o.Accumulate = 1
	}
	if o.LogEvery == 0 {
		o.LogEvery = 50
	}
	if o.Unit == "" {
		o.Unit = "samples"
	}
	h = &History{}
	if o.Epochs < 0 || o.Accumulate < 0 || o.LogEvery < 0 || o.CheckpointEvery < 0 {
		tensor.Fail("fit", "Epochs %d, Accumulate %d, LogEvery %d or CheckpointEvery %d is negative", o.Epochs, o.Accumulate, o.LogEvery, o.CheckpointEvery)
	}
	if o.Capture && o.Accumulate > 1 {
		tensor.Fail("fit", "Capture with Accumulate %d", o.Accumulate)
	}
	if amp, ok := opt.(*AMP); ok {
		plain := fn
		fn = func(b B) (*tensor.Tensor, Metrics) {
			amp.Use(tensor.CommonScope(tensors(reflect.ValueOf(&b).Elem())...))
			return plain(b)
		}
	}
	f := &fit[B]{FitOptions: o, loader: loader, opt: opt, fn: fn, history: h,
		meter: &meter{window: o.LogEvery}, progress: newProgress(o.Progress)}
	defer f.meter.release()
	defer f.progress.close()
	if o.Capture {
		f.captured = Capture(opt, f.recorded, CaptureOptions{BeforeStep: o.BeforeStep})
		defer f.captured.Release()
	}
	first := 0
	if st, ok := loader.Resuming(); ok {
		first = st.Epoch
	}
	for epoch := first; epoch < o.Epochs; epoch++ {
		if ctx.Err() != nil {
			return h, context.Cause(ctx)
		}
		if err := f.run(ctx, epoch); err != nil {
			if errors.Is(err, ErrStop) {
				h.Stopped = true
				return h, nil
			}
			return h, err
		}
	}
	return h, nil
}

// fit is one call of Fit.
type fit[B data.Sized] struct {
	FitOptions[B]
	loader   *data.Loader[B]
	opt      optim.Optimizer
	fn       Func[B]
	captured *Captured[B] // nil without Capture
	names    []string     // of the metrics that it keeps
	history  *History
	meter    *meter
	progress progress

	// The epoch so far.
	epoch, step, batch int // as in StepEvent
	inGroup, group     int // batches of the current update so far, and in all
	total              mean
	samples            int
	start, lastLog     time.Time
}

// run trains for an epoch or the rest of one, and validates.
func (f *fit[B]) run(ctx context.Context, epoch int) error {
	f.epoch, f.batch = epoch, 0
	left := f.loader.Len()
	if st, ok := f.loader.Resuming(); ok {
		f.batch, left = st.Batch, f.loader.Left()
	}
	f.step = f.stepAt(f.batch)
	f.inGroup, f.total, f.samples = 0, mean{}, 0
	f.start = time.Now()
	f.lastLog = f.start
	f.progress.begin(fmt.Sprintf("epoch %d/%d", epoch+1, f.Epochs), f.batch, f.batch+left)

	err := f.train(ctx)
	took := time.Since(f.start)
	if err == nil && f.EpochSchedule != nil { // at once: the loader is in the next epoch
		f.EpochSchedule.Step()
	}
	switch logErr := f.log(); {
	case logErr != nil && err != nil:
		return errors.Join(logErr, err)
	case logErr != nil:
		return logErr
	case err != nil:
		return err
	}
	e := Epoch{Epoch: epoch, Step: f.step, Train: f.total.values(f.meter.names), Samples: f.samples, Time: took}
	if f.Validate != nil {
		if e.Validation, err = Eval(ctx, f.Validate, f.fn); err != nil {
			return err
		}
	}
	f.history.Epochs = append(f.history.Epochs, e)
	f.progress.end(e.line(f.Unit))
	if f.Logger != nil {
		f.Logger.Info("epoch", "epoch", e.Epoch, "step", e.Step, "train", e.Train, "validation", e.Validation, "time", e.Time)
	}
	if err := f.checkpoint(); err != nil {
		return err
	}
	for _, c := range f.Callbacks {
		if c.OnEpoch != nil {
			if err := c.OnEpoch(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// stepAt is the number of updates with that of a batch of this epoch.
func (f *fit[B]) stepAt(batch int) int {
	updates := func(batches int) int { return (batches + f.Accumulate - 1) / f.Accumulate }
	return f.epoch*updates(f.loader.Len()) + updates(batch)
}

func (f *fit[B]) train(ctx context.Context) error {
	whole := ctx // of an update that must not be cut in two
	if f.Accumulate > 1 {
		whole = context.WithoutCancel(ctx)
	}
	for b, err := range f.loader.Batches(whole, f.epoch) {
		if err != nil {
			return err
		}
		f.batch++
		f.step = f.stepAt(f.batch)
		e := StepEvent{Step: f.step, Epoch: f.epoch, Batch: f.batch}
		if e.Loss, e.Metrics, err = f.one(b); err != nil {
			return fmt.Errorf("train: step %d (epoch %d, batch %d): %w", f.step, f.epoch, f.batch, err)
		}
		f.progress.step()
		if f.meter.full() {
			if err := f.log(); err != nil {
				return err
			}
		}
		if f.inGroup == 0 {
			if err := f.after(e); err != nil {
				return err
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
		}
	}
	return nil
}

// one trains on one batch; f.inGroup is then 0 if the update is made.
func (f *fit[B]) one(b B) (loss *tensor.Tensor, metrics Metrics, err error) {
	defer tensor.Catch(&err)
	if f.captured != nil {
		return f.replay(b)
	}
	if f.inGroup == 0 {
		f.group = min(f.Accumulate, 1+f.loader.Left())
		f.opt.ZeroGrad()
	}
	err = Accumulate(1/float64(f.group), func() (*tensor.Tensor, Keep) {
		loss, metrics = f.fn(b)
		var keep Keep
		for _, m := range metrics {
			keep = append(keep, m)
		}
		return loss, keep
	})
	if err != nil {
		return nil, nil, err
	}
	f.meter.add(b.Len(), loss, metrics)
	f.samples += b.Len()
	if f.inGroup++; f.inGroup == f.group {
		f.inGroup = 0
		err = f.update()
	}
	return loss, metrics, err
}

// recorded is fn as a captured step has it.
func (f *fit[B]) recorded(b B) (*tensor.Tensor, Keep) {
	loss, metrics := f.fn(b)
	f.names = slices.Sorted(maps.Keys(metrics))
	var keep Keep
	for _, name := range f.names {
		keep = append(keep, metrics[name])
	}
	return loss, keep
}

// replay is one with Capture.
func (f *fit[B]) replay(b B) (loss *tensor.Tensor, metrics Metrics, err error) {
	loss, keep, err := f.captured.Step(b)
	if err != nil {
		return nil, nil, err
	}
	metrics = Metrics{}
	for i, name := range f.names {
		metrics[name] = keep[i]
	}
	f.meter.add(b.Len(), loss, metrics)
	f.samples += b.Len()
	if f.Schedule != nil {
		f.Schedule.Step()
	}
	return loss, metrics, nil
}

func (f *fit[B]) update() error {
	if f.BeforeStep != nil {
		if err := f.BeforeStep(); err != nil {
			return err
		}
	}
	f.opt.Step()
	if f.Schedule != nil {
		f.Schedule.Step()
	}
	return nil
}

// after runs what the user wants after an update.
func (f *fit[B]) after(e StepEvent) error {
	if f.CheckpointEvery > 0 && f.step%f.CheckpointEvery == 0 {
		if err := f.checkpoint(); err != nil {
			return err
		}
	}
	for _, c := range f.Callbacks {
		if c.OnStep != nil {
			if err := c.OnStep(e); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *fit[B]) checkpoint() error {
	if f.Checkpoint == nil {
		return nil
	}
	if err := f.log(); err != nil { // never save what a bad loss has spoilt
		return err
	}
	if err := f.Checkpoint(); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return nil
}

// log reads what the meter has gathered.
func (f *fit[B]) log() error {
	rows, size := f.meter.read()
	if len(rows) == 0 {
		return nil
	}
	var recent mean
	for i, row := range rows {
		if batch := f.batch - len(rows) + i + 1; !finite(row[0]) {
			return fmt.Errorf("train: the loss is %v at step %d (epoch %d, batch %d)", row[0], f.stepAt(batch), f.epoch, batch)
		}
		recent.add(row, size[i])
		f.total.add(row, size[i])
	}
	now := time.Now()
	p := Point{Step: f.step, Epoch: f.epoch, Batch: f.batch, Values: recent.values(f.meter.names),
		LR: f.opt.Groups()[0].LR, Rate: recent.weight / now.Sub(f.lastLog).Seconds()}
	f.lastLog = now
	f.history.Points = append(f.history.Points, p)
	f.progress.note(p.line(f.Unit))
	if f.Logger != nil {
		f.Logger.Info("train", "step", p.Step, "epoch", p.Epoch, "batch", p.Batch, "values", p.Values, "lr", p.LR, "rate", p.Rate)
	}
	for _, c := range f.Callbacks {
		if c.OnLog != nil {
			if err := c.OnLog(p); err != nil {
				return err
			}
		}
	}
	return nil
}
