package train_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/data"
	"github.com/descent-ml/descent/nn"
	"github.com/descent-ml/descent/optim"
	"github.com/descent-ml/descent/tensor"
	"github.com/descent-ml/descent/train"
)

// trainer is all that a training has of state.
type trainer struct {
	model  *mlp
	opt    optim.Optimizer
	rate   *optim.Scheduler
	loader *data.Loader[data.Batch]
}

func newTrainer(dev backend.Device, seed uint64, o data.LoaderOptions) *trainer {
	tr := &trainer{model: newMLP(dev, seed, 2, 16, 3, 0.2)}
	tr.opt = optim.NewAdamW(nn.Params(tr.model), optim.AdamW{LR: 0.02})
	tr.rate = optim.NewScheduler(tr.opt, optim.CosineAnnealingLR(40, 1e-3))
	if o.BatchSize == 0 {
		o.BatchSize = 8
	}
	o.Shuffle, o.Seed = true, 5
	tr.loader = data.NewLoader(clusters(90, 1), data.Stack(2), dev, o)
	return tr
}

func (tr *trainer) loss(b data.Batch) (*tensor.Tensor, train.Metrics) {
	logits := tr.model.Forward(b.X)
	return nn.CrossEntropy(logits, b.Y), train.Metrics{"accuracy": train.Accuracy(logits, b.Y)}
}

func (tr *trainer) fit(ctx context.Context, o train.FitOptions[data.Batch]) (*train.History, error) {
	o.Schedule = tr.rate
	return train.Fit(ctx, tr.loader, tr.opt, tr.loss, o)
}

// checkpoint copies the state of tr into a new trainer, through JSON where a file
// would have it.
func (tr *trainer) checkpoint(t *testing.T, dev backend.Device, o data.LoaderOptions) *trainer {
	t.Helper()
	to := newTrainer(dev, 99, o)
	from := maps.Collect(nn.State(tr.model))
	for name, p := range nn.State(to.model) {
		p.Assign(from[name])
	}
	if err := to.opt.SetState(maps.Collect(tr.opt.State()), tr.opt.Steps()); err != nil {
		t.Fatal(err)
	}
	if err := to.rate.SetStep(tr.rate.LastStep()); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(tr.loader.State())
	if err != nil {
		t.Fatal(err)
	}
	var st data.State
	if err := json.Unmarshal(text, &st); err != nil {
		t.Fatal(err)
	}
	if err := to.loader.SetState(st); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestFitLearnsAndReturnsItsHistory(t *testing.T) {
	dev := newDevice(t)
	tr := newTrainer(dev, 1, data.LoaderOptions{Workers: 2})
	held := data.NewLoader(clusters(50, 2), data.Stack(2), dev, data.LoaderOptions{BatchSize: 16})
	var text, log bytes.Buffer
	h, err := tr.fit(t.Context(), train.FitOptions[data.Batch]{Epochs: 3, Validate: held, LogEvery: 5,
		Progress: &text, Unit: "points", Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Epochs) != 3 || h.Stopped {
		t.Fatalf("%d epochs, stopped %v", len(h.Epochs), h.Stopped)
	}
	first, last := h.Epochs[0], h.Epochs[2]
	if !(last.Train["loss"] < first.Train["loss"]) || last.Validation["accuracy"] < 0.9 {
		t.Errorf("from %+v to %+v", first, last)
	}
	if last.Step != 36 || last.Epoch != 2 || last.Samples != 90 || tr.rate.LastStep() != 36 {
		t.Errorf("the last epoch is %+v, the schedule at %d", last, tr.rate.LastStep())
	}
	v, err := train.Eval(t.Context(), held, tr.loss)
	if err != nil || !maps.Equal(v, last.Validation) {
		t.Errorf("Eval after Fit gives %v, %v; its last validation was %v", v, err, last.Validation)
	}
	var at []int
	sum, n := 0.0, 0
	for _, p := range h.Points {
		at = append(at, p.Batch)
		if p.Step != p.Epoch*12+p.Batch || p.Rate <= 0 {
			t.Errorf("point %+v", p)
		}
		if p.Epoch == 2 {
			points := map[int]int{5: 40, 10: 40, 12: 10}[p.Batch]
			sum, n = sum+p.Values["loss"]*float64(points), n+points
		}
	}
	if want := []int{5, 10, 12, 5, 10, 12, 5, 10, 12}; !slices.Equal(at, want) {
		t.Errorf("losses were read after batches %v, want %v", at, want)
	}
	if got := sum / float64(n); math.Abs(got-last.Train["loss"]) > 1e-12 {
		t.Errorf("the points' mean loss is %v, the epoch's %v", got, last.Train["loss"])
	}
	lines := strings.Split(strings.TrimSpace(text.String()), "\n")
	if len(lines) != 3 {
		t.Fatalf("Progress got %q", text.String())
	}
	want := fmt.Sprintf("epoch 3/3  loss %.4f accuracy %.4f  validation loss %.4f accuracy %.4f  ",
		last.Train["loss"], last.Train["accuracy"], v["loss"], v["accuracy"])
	if !strings.HasPrefix(lines[2], want) || !strings.Contains(lines[2], " points/s  ") {
		t.Errorf("the last line is %q, want %q …", lines[2], want)
	}
	if n := strings.Count(log.String(), "msg=epoch"); n != 3 {
		t.Errorf("the log has %d epochs:\n%s", n, &log)
	}
}

func TestFitIsTheSameForAnyWorkersAndLogging(t *testing.T) {
	dev := newDevice(t)
	var want map[string][]float32
	for _, workers := range []int{0, 1, 4} {
		for _, every := range []int{1, 7, 100} {
			tr := newTrainer(dev, 1, data.LoaderOptions{Workers: workers})
			if _, err := tr.fit(t.Context(), train.FitOptions[data.Batch]{Epochs: 2, LogEvery: every}); err != nil {
				t.Fatal(err)
			}
			if want == nil {
				want = bits(tr.model)
			} else if !same(bits(tr.model), want) {
				t.Errorf("%d workers, reading every %d: other parameters", workers, every)
			}
		}
	}
}

func TestFitWithCaptureIsTheSame(t *testing.T) {
	dev := newDevice(t)
	fit := func(capture bool) (map[string][]float32, train.Epoch) {
		tr := newTrainer(dev, 1, data.LoaderOptions{Workers: 1})
		h, err := tr.fit(t.Context(), train.FitOptions[data.Batch]{Epochs: 3, Capture: capture})
		if err != nil {
			t.Fatal(err)
		}
		return bits(tr.model), h.Epochs[2]
	}
	plain, pe := fit(false)
	captured, ce := fit(true)
	if !same(plain, captured) {
		t.Error("the parameters differ")
	}
	if !maps.Equal(pe.Train, ce.Train) || pe.Samples != ce.Samples || pe.Step != ce.Step {
		t.Errorf("the last epoch is %+v, captured %+v", pe, ce)
	}
}

func TestATrainingStoppedAnywhereGoesOnAsIfItHadNot(t *testing.T) {
	dev := newDevice(t)
	for _, accumulate := range []int{1, 5} {
		whole := newTrainer(dev, 1, data.LoaderOptions{})
		o := train.FitOptions[data.Batch]{Epochs: 3, Accumulate: accumulate}
		complete, err := whole.fit(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		steps := complete.Epochs[2].Step
		for stop := 1; stop <= steps; stop++ {
			tr := newTrainer(dev, 1, data.LoaderOptions{Workers: stop % 3})
			ctx, cancel := context.WithCancel(t.Context())
			part := o
			part.Callbacks = []train.Callback{{OnStep: func(e train.StepEvent) error {
				if e.Step != stop {
					return nil
				}
				if stop%2 == 0 { // by the user's hand
					cancel()
					return nil
				}
				return train.ErrStop
			}}}
			h, err := tr.fit(ctx, part)
			cancel()
			if stop%2 == 0 && err != context.Canceled || stop%2 == 1 && (err != nil || !h.Stopped) {
				t.Fatalf("stopped at %d: error %v, stopped %v", stop, err, h.Stopped)
			}
			if n := h.Points[len(h.Points)-1].Step; n != stop {
				t.Errorf("stopped at %d, the history ends at %d", stop, n)
			}
			again := tr.checkpoint(t, dev, data.LoaderOptions{Workers: (stop + 1) % 3})
			h, err = again.fit(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if !same(bits(again.model), bits(whole.model)) || again.loader.State().Epoch != 3 {
				t.Errorf("accumulating %d, stopped at %d of %d: other parameters; the loader is at %+v", accumulate, stop, steps, again.loader.State())
			}
			if last := h.Epochs[len(h.Epochs)-1]; last.Step != steps {
				t.Errorf("stopped at %d: the resumed run ends at step %d, not %d", stop, last.Step, steps)
			}
		}
	}
}

// The positions of loader and schedules fit together wherever Fit returns: here, at
// the last step of an epoch and in the validation after it.
func TestAnEpochsScheduleStepsOnceWhereverFitIsStopped(t *testing.T) {
	dev := newDevice(t)
	for _, where := range []string{"last step", "validation"} {
		run := func(tr *trainer, byEpoch *optim.Scheduler, ctx context.Context, cancel func()) (*train.History, error) {
			held := data.NewLoader(clusters(9, 2), data.Stack(2), dev, data.LoaderOptions{})
			return train.Fit(ctx, tr.loader, tr.opt, func(b data.Batch) (*tensor.Tensor, train.Metrics) {
				if !b.Scope().Mode().Train && where == "validation" {
					cancel()
				}
				return tr.loss(b)
			}, train.FitOptions[data.Batch]{Epochs: 3, Validate: held, EpochSchedule: byEpoch,
				Callbacks: []train.Callback{{OnStep: func(e train.StepEvent) error {
					if e.Step == 12 && where == "last step" {
						cancel()
					}
					return nil
				}}}})
		}
		half := optim.StepLR(1, 0.5)
		whole := newTrainer(dev, 1, data.LoaderOptions{})
		if _, err := run(whole, optim.NewScheduler(whole.opt, half), t.Context(), func() {}); err != nil {
			t.Fatal(err)
		}
		tr := newTrainer(dev, 1, data.LoaderOptions{})
		byEpoch := optim.NewScheduler(tr.opt, half)
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := run(tr, byEpoch, ctx, cancel); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		cancel()
		again := tr.checkpoint(t, dev, data.LoaderOptions{})
		resumed := optim.NewScheduler(again.opt, half)
		if err := resumed.SetStep(byEpoch.LastStep()); err != nil {
			t.Fatal(err)
		}
		if _, err := run(again, resumed, t.Context(), func() {}); err != nil {
			t.Fatal(err)
		}
		if resumed.LastStep() != 3 || !same(bits(again.model), bits(whole.model)) {
			t.Errorf("stopped in the %s: the schedule ends at %d, or the parameters differ", where, resumed.LastStep())
		}
	}
}

func TestAFinishedTrainingHasNothingLeft(t *testing.T) {
	dev := newDevice(t)
	tr := newTrainer(dev, 1, data.LoaderOptions{})
	o := train.FitOptions[data.Batch]{Epochs: 1}
	if _, err := tr.fit(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	again := tr.checkpoint(t, dev, data.LoaderOptions{})
	if h, err := again.fit(t.Context(), o); err != nil || len(h.Epochs) != 0 || !same(bits(again.model), bits(tr.model)) {
		t.Errorf("%d more epochs, %v", len(h.Epochs), err)
	}
	// The same loader serves another training from its beginning.
	other := newTrainer(dev, 1, data.LoaderOptions{})
	other.loader = tr.loader
	if h, err := other.fit(t.Context(), o); err != nil || len(h.Epochs) != 1 || !same(bits(other.model), bits(tr.model)) {
		t.Errorf("%d epochs, %v", len(h.Epochs), err)
	}
}

func TestAccumulatingFitMakesTheUpdatesOfLargerBatches(t *testing.T) {
	dev := newDevice(t)
	run := func(batch, accumulate int) (map[string][]float64, []int) {
		m := newMLP(dev, 1, 2, 16, 3, 0)
		nn.Cast(tensor.Float64, m)
		l := data.NewLoader(clusters(64, 1), data.Stack(2), dev, data.LoaderOptions{BatchSize: batch})
		var clipped []int
		step := 0
		_, err := train.Fit(t.Context(), l, sgd(m, 0.1), func(b data.Batch) (*tensor.Tensor, train.Metrics) {
			logits := m.Forward(b.X.To(tensor.Float64))
			return nn.CrossEntropy(logits, b.Y), nil
		}, train.FitOptions[data.Batch]{Epochs: 2, Accumulate: accumulate,
			BeforeStep: func() error { clipped = append(clipped, step); optim.ClipGradNorm(nn.Params(m), 0.3); return nil },
			Callbacks:  []train.Callback{{OnStep: func(e train.StepEvent) error { step = e.Step; return nil }}}})
		if err != nil {
			t.Fatal(err)
		}
		v := map[string][]float64{}
		for name, p := range nn.Params(m) {
			v[name] = tensor.Values[float64](p)
		}
		return v, clipped
	}
	want, stepsWant := run(16, 1)
	got, steps := run(4, 4)
	for name := range want {
		for i, w := range want[name] {
			if math.Abs(got[name][i]-w) > 1e-12 {
				t.Errorf("%s[%d] is %v, with larger batches %v", name, i, got[name][i], w)
			}
		}
	}
	if !slices.Equal(steps, stepsWant) || len(steps) != 8 {
		t.Errorf("before updates: %v and %v", steps, stepsWant)
	}
}

// A step by itself reads nothing back.
func TestFitWaitsForTheDeviceOnlyToLog(t *testing.T) {
	waits := 0
	dev := counting{newDevice(t), &waits}
	tr := newTrainer(dev, 1, data.LoaderOptions{})
	var at []int
	waits = 0
	if _, err := tr.fit(t.Context(), train.FitOptions[data.Batch]{Epochs: 2, LogEvery: 5,
		BeforeStep: func() error { optim.ClipGradNorm(nn.Params(tr.model), 1); return nil },
		Callbacks:  []train.Callback{{OnStep: func(train.StepEvent) error { at = append(at, waits); return nil }}}}); err != nil {
		t.Fatal(err)
	}
	// 12 batches an epoch: read after 5, 10 and 12.
	want := []int{0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4, 5, 5, 5}
	if !slices.Equal(at, want) || waits != 6 {
		t.Errorf("the device was waited for, after each step, %v and in all %d times, want %v and 6", at, waits, want)
	}
}

func TestFitLeavesNoMemoryBehind(t *testing.T) {
	dev := newDevice(t)
	tr := newTrainer(dev, 1, data.LoaderOptions{Workers: 2})
	var after []int64
	o := train.FitOptions[data.Batch]{Epochs: 2, Validate: tr.loader}
	for range 3 {
		if _, err := tr.fit(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		after = append(after, live(dev))
	}
	if after[1] != after[0] || after[2] != after[0] {
		t.Errorf("live after each Fit: %v", after)
	}
}

func TestABadLossIsNamedByItsStepAndNotSaved(t *testing.T) {
	dev := newDevice(t)
	for _, bad := range []float64{math.NaN(), math.Inf(-1)} {
		for _, accumulate := range []int{1, 2} {
			tr := newTrainer(dev, 1, data.LoaderOptions{})
			calls, saved := 0, 0
			_, err := train.Fit(t.Context(), tr.loader, tr.opt, func(b data.Batch) (*tensor.Tensor, train.Metrics) {
				loss, metrics := tr.loss(b)
				if calls++; calls == 12+7 {
					loss = loss.AddScalar(bad)
				}
				return loss, metrics
			}, train.FitOptions[data.Batch]{Epochs: 5, Accumulate: accumulate,
				Checkpoint: func() error { saved++; return nil }, CheckpointEvery: 3})
			want := fmt.Sprintf("train: the loss is %v at step %d (epoch 1, batch 7)", bad, map[int]int{1: 12 + 7, 2: 6 + 4}[accumulate])
			if err == nil || err.Error() != want {
				t.Errorf("got error %v, want %q", err, want)
			}
			if wantSaved := map[int]int{1: 4 + 1 + 2, 2: 2 + 1 + 1}[accumulate]; saved != wantSaved {
				t.Errorf("saved %d times, want %d", saved, wantSaved)
			}
		}
	}
}

func TestMistakesInALossNameTheStep(t *testing.T) {
	dev := newDevice(t)
	mine := errors.New("mine")
	for want, c := range map[string]struct {
		loss func(tr *trainer, b data.Batch, k int) (*tensor.Tensor, train.Metrics)
		o    train.FitOptions[data.Batch]
		is   error
	}{
		"step 3 (epoch 0, batch 3): tensor: linear": {loss: func(tr *trainer, b data.Batch, k int) (*tensor.Tensor, train.Metrics) {
			if k == 3 {
				b.X = b.X.T()
			}
			return tr.loss(b)
		}},
		"step 3 (epoch 0, batch 3): tensor: cross_entropy: label 3": {loss: func(tr *trainer, b data.Batch, k int) (*tensor.Tensor, train.Metrics) {
			if k == 3 {
				b.Y = b.Y.AddScalar(1) // a label out of range
			}
			return tr.loss(b)
		}},
		"step 3 (epoch 0, batch 3): tensor: train: the function returned no loss": {loss: func(tr *trainer, b data.Batch, k int) (*tensor.Tensor, train.Metrics) {
			if k == 3 {
				return nil, nil
			}
			return tr.loss(b)
		}},
		`step 2 (epoch 0, batch 2): tensor: metrics: "accuracy" is missing`: {loss: func(tr *trainer, b data.Batch, k int) (*tensor.Tensor, train.Metrics) {
			loss, metrics := tr.loss(b)
			if k == 2 {
				metrics = train.Metrics{"precision": metrics["accuracy"]}
			}
			return loss, metrics
		}},
		"step 1 (epoch 0, batch 1): mine": {o: train.FitOptions[data.Batch]{BeforeStep: func() error { return mine }}, is: mine},
		"checkpoint: mine":                {o: train.FitOptions[data.Batch]{Checkpoint: func() error { return mine }}, is: mine},
		"mine":                            {o: train.FitOptions[data.Batch]{Callbacks: []train.Callback{{OnEpoch: func(train.Epoch) error { return mine }}}}, is: mine},
		"tensor: scalar: mine": {o: train.FitOptions[data.Batch]{Callbacks: []train.Callback{{OnStep: func(train.StepEvent) error {
			tensor.Fail("scalar", "mine")
			return nil
		}}}}},
		"negative": {o: train.FitOptions[data.Batch]{Accumulate: -1}},
	} {
		tr := newTrainer(dev, 1, data.LoaderOptions{})
		k := 0
		h, err := train.Fit(t.Context(), tr.loader, tr.opt, func(b data.Batch) (*tensor.Tensor, train.Metrics) {
			k++
			if c.loss == nil {
				return tr.loss(b)
			}
			return c.loss(tr, b, k)
		}, c.o)
		if err == nil || !strings.Contains(err.Error(), want) || h == nil || c.is == nil && !isTensorError(err) || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("got error %v, want %q", err, want)
		}
	}
}

func TestErrorsOfTheDataReachTheCallerOfFit(t *testing.T) {
	dev := newDevice(t)
	tr := newTrainer(dev, 1, data.LoaderOptions{})
	tr.loader = data.NewLoader(data.Slice[data.Sample]{}, data.Stack(2), dev, data.LoaderOptions{})
	if _, err := tr.fit(t.Context(), train.FitOptions[data.Batch]{}); err == nil || !strings.Contains(err.Error(), "the dataset is empty") {
		t.Errorf("got error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	tr = newTrainer(dev, 1, data.LoaderOptions{})
	before := bits(tr.model)
	for _, accumulate := range []int{1, 3} {
		h, err := tr.fit(ctx, train.FitOptions[data.Batch]{Accumulate: accumulate})
		if err != context.Canceled || h == nil || !same(before, bits(tr.model)) {
			t.Errorf("got error %v", err)
		}
	}
}

func TestEarlyStopWaitsForPatienceEpochs(t *testing.T) {
	for _, c := range []struct {
		o      train.EarlyStopOptions
		values []float64
		stop   int // the epoch after which it stops, -1 for none
	}{
		{train.EarlyStopOptions{}, []float64{3, 2, 1, 1, 0}, 3},
		{train.EarlyStopOptions{Patience: 1}, []float64{3, 2, 2, 1, 1, 1.5}, 5},
		{train.EarlyStopOptions{Patience: 5}, []float64{3, 4, 4, 4}, -1},
		{train.EarlyStopOptions{MinDelta: 0.5}, []float64{3, 2, 1.6}, 2},
		{train.EarlyStopOptions{Metric: "accuracy", Higher: true}, []float64{0.5, 0.6, 0.7, 0.7}, 3},
		{train.EarlyStopOptions{Patience: 1}, []float64{3, math.NaN(), math.NaN()}, 2},
	} {
		name := c.o.Metric
		if name == "" {
			name = "loss"
		}
		callback := train.EarlyStop(c.o)
		stopped := -1
		for i, v := range c.values {
			err := callback.OnEpoch(train.Epoch{Train: train.Values{name: -v}, Validation: train.Values{name: v}})
			if err == nil {
				continue
			}
			if err != train.ErrStop {
				t.Fatal(err)
			}
			stopped = i
			break
		}
		if stopped != c.stop {
			t.Errorf("%+v: stopped after epoch %d, want %d", c, stopped, c.stop)
		}
	}
	caught(t, func() {
		_ = train.EarlyStop(train.EarlyStopOptions{Metric: "f1"}).OnEpoch(train.Epoch{Train: train.Values{"loss": 1}})
	})
}

func TestAZipOfLoadersFits(t *testing.T) {
	dev := newDevice(t)
	m := newMLP(dev, 1, 2, 8, 3, 0)
	a := data.NewLoader(clusters(30, 1), data.Stack(2), dev, data.LoaderOptions{BatchSize: 6})
	b := data.NewLoader(clusters(30, 2), data.Stack(2), dev, data.LoaderOptions{BatchSize: 6})
	type pair = data.Pair[data.Batch, data.Batch]
	h, err := train.Fit(t.Context(), data.Zip(a, b), sgd(m, 0.1), func(p pair) (*tensor.Tensor, train.Metrics) {
		return nn.MSE(m.Forward(p.First.X), m.Forward(p.Second.X)), nil
	}, train.FitOptions[pair]{EpochSchedule: nil})
	if err != nil || h.Epochs[0].Samples != 30 || h.Epochs[0].Step != 5 {
		t.Errorf("%+v, %v", h, err)
	}
}
