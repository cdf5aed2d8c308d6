package cuda

import (
	"errors"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cpu"
	cu "github.com/descent-ml/descent/cuda"
	"github.com/descent-ml/descent/internal/fakecuda"
	"github.com/descent-ml/descent/nn"
	"github.com/descent-ml/descent/optim"
	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/tensor"
	"github.com/descent-ml/descent/train"
)

type examples struct{ X, Y *tensor.Tensor }

// trainer trains a perceptron with dropout: batch examples of width numbers, as many
// hidden units.
type trainer struct {
	width, batch int

	model nn.Sequential
	opt   optim.Optimizer
	step  *train.Captured[examples]
	dev   backend.Device
}

func newTrainer(dev backend.Device, width, batch int) *trainer {
	rng := random.New(1)
	m := nn.Sequential{
		nn.NewLinear(rng, width, width, nn.LinearOptions{}), nn.Func((*tensor.Tensor).GELU), nn.NewDropout(0.1),
		nn.NewLinear(rng, width, 5, nn.LinearOptions{}),
	}
	nn.To(dev, m)
	tr := &trainer{width: width, batch: batch, model: m, opt: optim.NewAdamW(nn.Params(m), optim.AdamW{LR: 1e-2}), dev: dev}
	tr.step = train.Capture(tr.opt, tr.loss, train.CaptureOptions{})
	return tr
}

func (tr *trainer) release() {
	tr.step.Release()
	nn.Release(tr.model)
}

func (tr *trainer) loss(b examples) (*tensor.Tensor, train.Keep) {
	return nn.CrossEntropy(tr.model.Forward(b.X), b.Y), nil
}

// run makes n steps and returns the first error. It reads nothing back.
func (tr *trainer) run(t testing.TB, n int, capture bool) error {
	for s, err := range train.Steps(t.Context(), tr.dev, n, train.StepsOptions{Seed: 3}) {
		if err != nil {
			return err
		}
		if err := tr.one(s, capture); err != nil {
			return err
		}
	}
	return nil
}

func (tr *trainer) one(s *tensor.Scope, capture bool) (err error) {
	defer tensor.Catch(&err)
	x := make([]float32, tr.batch*tr.width)
	y := make([]int64, tr.batch)
	for i := range x {
		x[i] = float32(i%7) / 7
	}
	for i := range y {
		y[i] = int64(i % 5)
	}
	b := examples{tensor.Of(s, x, tr.batch, tr.width), tensor.Of(s, y, tr.batch)}
	if capture {
		_, _, err = tr.step.Step(b)
		return err
	}
	return train.Step(tr.opt, func() (*tensor.Tensor, train.Keep) { return tr.loss(b) })
}

// collected waits until the collector has freed all memory.
func (d *Device) collected(t *testing.T) {
	t.Helper()
	for range 100 {
		if d.MemoryStats().Live == 0 {
			return
		}
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
	t.Errorf("%d bytes are live and nobody has them", d.MemoryStats().Live)
}

func TestAStepDoesNotWait(t *testing.T) {
	countOnly(t)
	for name, capture := range map[string]bool{"Eager": false, "Captured": true} {
		t.Run(name, func(t *testing.T) {
			d := testDevice(t, Options{})
			tr := newTrainer(d, 12, 8)
			defer tr.release()
			must(t, tr.run(t, 5, capture)) // and compile, allocate, capture
			before, live := fakecuda.Stats(), d.MemoryStats().Live
			const steps = 20
			must(t, tr.run(t, steps, capture))
			after := fakecuda.Stats()
			if n := after.Syncs - before.Syncs; n != 0 {
				t.Errorf("%d steps wait %d times", steps, n)
			}
			if n := after.DeviceToHost - before.DeviceToHost; n != 0 {
				t.Errorf("%d steps read %d bytes back", steps, n)
			}
			if n := after.Calls["cuMemAlloc_v2"] - before.Calls["cuMemAlloc_v2"]; n != 0 {
				t.Errorf("%d steps ask the driver for memory %d times", steps, n)
			}
			if n := d.MemoryStats().Live; n != live {
				t.Errorf("%d bytes are live after %d steps, %d before", n, steps, live)
			}
			calls := map[string]int64{}
			for _, name := range slices.Sorted(maps.Keys(after.Calls)) {
				if n := after.Calls[name] - before.Calls[name]; n > 0 {
					calls[name] = n / steps
				}
			}
			t.Logf("calls of a step: %v", calls)
		})
	}
}

// TestMemoryThatRunsOutInAStep has it run out in one place after the other: the error
// names owners, and with more memory training goes on.
func TestMemoryThatRunsOutInAStep(t *testing.T) {
	countOnly(t)
	for name, capture := range map[string]bool{"Eager": false, "Captured": true} {
		t.Run(name, func(t *testing.T) {
			d := testDevice(t, Options{})
			tr := newTrainer(d, 1024, 4096) // tensors of 4 and 16 MiB
			must(t, tr.run(t, 1, false))    // the optimizer's state
			d.EmptyCache()
			failed := 0
			for limit := d.MemoryStats().Reserved; ; limit += 24 << 20 {
				d.mem.limit = limit
				err := tr.run(t, 3, capture)
				if err == nil {
					break
				}
				if !errors.Is(err, backend.ErrOutOfMemory) || !strings.Contains(err.Error(), "bytes live") {
					t.Fatalf("with %d bytes: %v", limit, err)
				}
				failed++
			}
			if failed < 3 {
				t.Errorf("memory ran out %d times", failed)
			}
			tr.release()
			d.collected(t)
		})
	}
}

// TestCallsThatFailInAStep has calls of the libraries fail once: that step is an
// error, and the next one is none.
func TestCallsThatFailInAStep(t *testing.T) {
	countOnly(t)
	for name, capture := range map[string]bool{"Eager": false, "Captured": true} {
		t.Run(name, func(t *testing.T) {
			d := testDevice(t, Options{})
			tr := newTrainer(d, 12, 8)
			defer tr.release()
			must(t, tr.run(t, 5, capture))
			for call, code := range map[string]cu.Result{
				"cuLaunchKernel":       cu.ErrInvalidValue,
				"cuMemcpyHtoDAsync_v2": cu.ErrInvalidValue,
				"cuMemcpyDtoDAsync_v2": cu.ErrInvalidValue,
				"cuGraphLaunch":        cu.ErrInvalidValue,
				"cublasLtMatmul":       13,
			} {
				for _, nth := range []int{1, 2, 5} {
					before := fakecuda.Stats().Calls[call]
					fakecuda.Fail(call, nth, int(code))
					err := tr.run(t, 1, capture)
					if struck := fakecuda.Stats().Calls[call]-before >= int64(nth); struck != (err != nil) {
						t.Errorf("call %d of %s fails: %t; the step's error is %v", nth, call, struck, err)
					}
					fakecuda.Reset()
					must(t, tr.run(t, 2, capture))
				}
			}
		})
	}
}

func TestADeviceThatIsLostInAStep(t *testing.T) {
	d := testDevice(t, Options{})
	tr := newTrainer(d, 12, 8)
	must(t, tr.run(t, 1, false))
	must(t, d.Sync())
	fakecuda.Fail("kernel", 4, int(cu.ErrIllegalAddress))
	err := tr.run(t, 1, false)
	if err == nil {
		err = d.Sync()
	}
	if !errors.Is(err, cu.ErrIllegalAddress) || !strings.Contains(err.Error(), "lost") {
		t.Fatalf("a kernel crashed in a step: %v", err)
	}
	if again := tr.run(t, 1, false); !errors.Is(again, cu.ErrIllegalAddress) {
		t.Errorf("the next step of a lost device: %v", again)
	}
	tr.release()
	d.collected(t)
	onCPU := newTrainer(cpu.New(cpu.Options{}), 12, 8)
	defer onCPU.release()
	must(t, onCPU.run(t, 2, false))
}
