package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cuda"
	"github.com/descent-ml/descent/data"
	"github.com/descent-ml/descent/internal/section"
	"github.com/descent-ml/descent/models"
	"github.com/descent-ml/descent/nn"
	"github.com/descent-ml/descent/optim"
	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/serialize"
	"github.com/descent-ml/descent/tensor"
	"github.com/descent-ml/descent/train"
)

const (
	curveSteps   = 20
	curveBatches = 4
)

// kernels compiles every kernel for the device, into the folder that keeps them.
func (g *gpu) kernels() (bool, error) {
	dev, err := g.open(cuda.Options{})
	if err != nil {
		return false, err
	}
	var some []backend.DType
	if !g.judged {
		some = []backend.DType{backend.Int16}
	}
	start := time.Now()
	if err := dev.Warmup(some...); err != nil {
		return false, err
	}
	g.result("all kernels compiled in %.1f s on %d threads", time.Since(start).Seconds(), runtime.GOMAXPROCS(0))
	return true, dev.Close()
}

// curves trains from the same weights and batches in float32, and compares the
// losses with PyTorch's. Rounding grows with each step, so the measure is how far
// PyTorch's float32 is from its float64; more than a percent is never well.
func (g *gpu) curves() (ok bool, err error) {
	defer tensor.Catch(&err)
	p, about, err := g.startPeer()
	if err != nil {
		return false, err
	}
	if err := g.machine(about); err != nil {
		return false, err
	}
	fmt.Fprintf(g.w, "Losses of the first %d steps in float32 (TF32 off), from the same weights and batches: the largest relative difference.\n\n", curveSteps)
	fmt.Fprintln(g.w, "| training | first and last loss | captured to eager | to PyTorch | to PyTorch's float64 | PyTorch to its float64 | limit |\n|---|---|---|---|---|---|---|")
	ok = true
	for _, l := range lessons {
		if !g.wants(l.name) {
			continue
		}
		if err := g.curve(l, p, &ok); err != nil {
			return false, fmt.Errorf("%s: %w", l.name, err)
		}
	}
	return ok, p.Close()
}

func (g *gpu) curve(l lesson, p gpuPeer, ok *bool) error {
	folder, err := os.MkdirTemp("", "descent-curve")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	shape, err := l.shape(g.sizes, g.sizes.Curves)
	if err != nil {
		return err
	}
	if err := serialize.Save(filepath.Join(folder, "model.safetensors"), l.model(g.sizes, false), nil); err != nil {
		return err
	}
	batches := make([]host, curveBatches)
	for k := range batches {
		batches[k] = l.batch(g.sizes, shape, k)
		if err := batches[k].write(folder, k); err != nil {
			return err
		}
	}
	var losses [2][]float64 // eager, captured
	for i, capture := range []bool{false, true} {
		if losses[i], err = g.train(l, batches, capture); err != nil {
			return err
		}
	}
	a, err := p.ask(question{Do: "curve", Name: l.name, Folder: folder, Shape: shape, Batches: curveBatches, Steps: curveSteps})
	if err != nil {
		return err
	}
	if len(a.Float32) != curveSteps || len(a.Float64) != curveSteps {
		return fmt.Errorf("PyTorch answers %d and %d losses", len(a.Float32), len(a.Float64))
	}
	between := apart(losses[0], losses[1])
	to32, to64, theirs := apart(losses[0], a.Float32), apart(losses[0], a.Float64), apart(a.Float32, a.Float64)
	limit := min(max(1e-4, 10*theirs), 1e-2)
	// Only a real GPU's curves are judged to be a limit, but wrong ones are wrong anywhere.
	mark := ""
	if !(min(to32, to64) <= limit) || between != 0 {
		mark, *ok = " **missed**", false
	}
	fmt.Fprintf(g.w, "| %s, batch %v | %.4f, %.4f | %.2g | %.2g | %.2g | %.2g | to either ≤ %.2g, captured = eager%s |\n", l.name, shape,
		losses[0][0], losses[0][curveSteps-1], between, to32, to64, theirs, limit, mark)
	g.result("%s to PyTorch %.1e, to float64 %.1e (PyTorch %.1e)", l.name, to32, to64, theirs)
	return nil
}

// train returns the losses of the first steps.
func (g *gpu) train(l lesson, batches []host, capture bool) ([]float64, error) {
	// Some of cuDNN's algorithms add in another order each time.
	dev, err := g.open(cuda.Options{Deterministic: true})
	if err != nil {
		return nil, err
	}
	p := l.begin(dev, g.sizes, nil, false, capture)
	var losses []float64
	for k := range curveSteps {
		err := p.learn(batches[k%len(batches)].in, func(loss *tensor.Tensor) { losses = append(losses, loss.Item()) })
		if err != nil {
			return nil, err
		}
	}
	p.release()
	return losses, dev.Close()
}

func (b host) in(s *tensor.Scope) data.Batch { return b.at(s) }

// write puts the batch into files that gpu_peer.py reads.
func (b host) write(folder string, k int) error {
	for name, v := range map[string]any{"x": any(b.images), "y": b.labels} {
		if name == "x" && b.tokens != nil {
			v = b.tokens
		}
		f, err := os.Create(filepath.Join(folder, fmt.Sprint(name, k)))
		if err != nil {
			return err
		}
		if err := binary.Write(f, binary.LittleEndian, v); err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}

// apart is the largest relative difference of two curves; NaN if one has a NaN.
func apart(a, b []float64) float64 {
	d := 0.0
	for i := range a {
		e := math.Abs(a[i]-b[i]) / math.Abs(b[i])
		if d = max(d, e); math.IsNaN(e) {
			return e
		}
	}
	return d
}

// memory compares the peak of a training step, under train.Step, with PyTorch's.
func (g *gpu) memory() (ok bool, err error) {
	defer tensor.Catch(&err)
	p, about, err := g.startPeer()
	if err != nil {
		return false, err
	}
	if err := g.machine(about); err != nil {
		return false, err
	}
	fmt.Fprintln(g.w, "| training step | Descent's peak | PyTorch's | ratio | limit |\n|---|---|---|---|---|")
	ok = true
	for _, l := range lessons {
		if !g.wants(l.name) {
			continue
		}
		dev, err := g.open(cuda.Options{})
		if err != nil {
			return false, err
		}
		u := l.begin(dev, g.sizes, l.mixedOf(), true, false)
		batch, free := l.batch(g.sizes, g.sizes.Shapes[l.name], 0).resident(dev)
		for k := range 6 {
			if k == 3 {
				dev.ResetPeak()
			}
			if err := u.learn(batch, nil); err != nil {
				return false, fmt.Errorf("%s: %w", l.name, err)
			}
		}
		ours := dev.MemoryStats().Peak
		u.release()
		free()
		if err := dev.Close(); err != nil {
			return false, err
		}
		a, err := p.ask(question{Do: "peak", Name: l.name})
		if err != nil {
			return false, err
		}
		if _, err := p.ask(question{Do: "drop", Name: l.name}); err != nil {
			return false, err
		}
		const mb = 1 << 20
		if a.Missing != "" {
			fmt.Fprintf(g.w, "| %s | %.1f MiB | %s | | ≤ 1.10 |\n", l.title, float64(ours)/mb, a.Missing)
			g.result("%s %.1f MiB", l.name, float64(ours)/mb)
			ok = ok && !g.judged
			continue
		}
		ratio := float64(ours) / float64(a.Bytes)
		fmt.Fprintf(g.w, "| %s | %.1f MiB | %.1f MiB | %.3f | ≤ 1.10%s |\n", l.title, float64(ours)/mb, float64(a.Bytes)/mb, ratio, g.verdict(ratio <= 1.1, &ok))
		g.result("%s %.2fx PyTorch's memory", l.name, ratio)
	}
	return ok, p.Close()
}

// flat trains a small model for long, with mixed precision, a loss scale and
// clipping: the memory after the last step is that after the first ones.
func (g *gpu) flat() (ok bool, err error) {
	defer tensor.Catch(&err)
	if err := g.machine(""); err != nil {
		return false, err
	}
	fmt.Fprintln(g.w, "| steps | mode | live | peak | reserved | heap of the host | seconds |\n|---|---|---|---|---|---|---|")
	ok = true
	for _, capture := range []bool{false, true} {
		mode := "eager"
		if capture {
			mode = "captured"
		}
		dev, err := g.open(cuda.Options{})
		if err != nil {
			return false, err
		}
		p, batch := g.small(dev, capture)
		heap := func() float64 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return float64(m.HeapInuse) / (1 << 20)
		}
		var early backend.MemoryStats
		var earlyHeap float64
		start := time.Now()
		for k := range g.steps {
			if k == g.steps/10 {
				dev.ResetPeak()
			}
			if k == g.steps/5 {
				early, earlyHeap = dev.MemoryStats(), heap()
			}
			if err := p.learn(batch, nil); err != nil {
				return false, fmt.Errorf("step %d: %w", k, err)
			}
		}
		if err := dev.Sync(); err != nil {
			return false, err
		}
		seconds, late, lateHeap := time.Since(start).Seconds(), dev.MemoryStats(), heap()
		mark := ""
		if late != early || lateHeap > earlyHeap+8 {
			mark, ok = " **grew**", false
		}
		fmt.Fprintf(g.w, "| %d | %s | %d to %d bytes | %d to %d | %d to %d | %.1f to %.1f MiB%s | %.1f |\n", g.steps, mode,
			early.Live, late.Live, early.Peak, late.Peak, early.Reserved, late.Reserved, earlyHeap, lateHeap, mark, seconds)
		g.result("%s %d steps: live %d to %d bytes, heap %.1f to %.1f MiB%s", mode, g.steps, early.Live, late.Live, earlyHeap, lateHeap, mark)
		p.release()
		if err := dev.Close(); err != nil {
			return false, err
		}
	}
	return ok, nil
}

// small is a training whose steps have all that could wait: float16 with a loss
// scale, clipping, and an upload of the batch.
func (g *gpu) small(dev backend.Device, capture bool) (*pupil, func(s *tensor.Scope) data.Batch) {
	l := lesson{"mnist", "MNIST MLP", true, func(sizes, bool) nn.Module { return models.NewMNISTMLP(random.New(1)) },
		func(m nn.Module) optim.Optimizer { return adamW(m) }}
	p := l.begin(dev, g.sizes, &train.AMPOptions{DType: tensor.Float16, ClipNorm: 1}, true, capture)
	return p, l.batch(g.sizes, []int{g.sizes.Small, 1, 28, 28}, 0).in
}

// waits puts work of a known length before a training step and sees whether the step
// comes back while the device is still at it: a step that waited for the device
// would not.
func (g *gpu) waits() (ok bool, err error) {
	defer tensor.Catch(&err)
	if err := g.machine(""); err != nil {
		return false, err
	}
	fmt.Fprintln(g.w, "A step with float16, a loss scale, clipping and the upload of its batch, put behind matrix products that keep the device busy.")
	fmt.Fprintln(g.w)
	fmt.Fprintln(g.w, "| mode | the products take | the step returns after | all is done after |\n|---|---|---|---|")
	ok = true
	for _, capture := range []bool{false, true} {
		mode := "eager"
		if capture {
			mode = "captured"
		}
		dev, err := g.open(cuda.Options{})
		if err != nil {
			return false, err
		}
		n := g.sizes.GEMM
		a := tensor.RandN(dev, random.New(1), tensor.BFloat16, n, n)
		busy := each(dev, func(s *tensor.Scope) { s.Use(a).MatMul(a) })
		p, batch := g.small(dev, capture)
		for range 8 {
			if err := p.learn(batch, nil); err != nil {
				return false, err
			}
		}
		once := 0.0
		if _, err := timeDevice(dev, busy, &once, g.window); err != nil {
			return false, err
		}
		count := max(8, int(0.4/once))
		if !g.judged {
			count = 8
		}
		runtime.GC()
		if err := dev.Sync(); err != nil {
			return false, err
		}
		start := time.Now()
		if err := busy(count); err != nil {
			return false, err
		}
		queued := time.Since(start).Seconds()
		if err := p.learn(batch, nil); err != nil {
			return false, err
		}
		back := time.Since(start).Seconds()
		if err := dev.Sync(); err != nil {
			return false, err
		}
		done := time.Since(start).Seconds()
		work := once * float64(count)
		mark := g.verdict(back < work/2, &ok)
		fmt.Fprintf(g.w, "| %s | %s | %s, queueing included (%s)%s | %s |\n", mode, section.Duration(work), section.Duration(back), section.Duration(queued), mark, section.Duration(done))
		g.result("%s step back after %s of %s%s", mode, section.Duration(back), section.Duration(work), mark)
		p.release()
		a.Release()
		if err := dev.Close(); err != nil {
			return false, err
		}
	}
	return ok, nil
}
