package main

import (
	"fmt"
	"math"
	"runtime"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cuda"
	"github.com/descent-ml/descent/internal/section"
	"github.com/descent-ml/descent/optim"
	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/tensor"
)

// rival is one of PyTorch's variants with the least throughput, ours over its, that
// is asked for.
type rival struct {
	variant string
	limit   float64
}

// contest is a workload of the GPU benchmark.
type contest struct {
	name, title string
	rivals      []rival
	bytes       float64 // that a memory-bound op moves, 0 for others
	flops       float64 // of the matrix product
	setup       func(dev backend.Device) (fn func(n int) error, release func())
}

// shareLimit is the least share of a copy's bandwidth for a memory-bound op.
const shareLimit = 0.85

func (g *gpu) contests() []contest {
	z := g.sizes
	n := float64(z.Rows) * float64(z.Columns)
	rng := random.New(0)
	list := []contest{{"gemm", fmt.Sprintf("bf16 matrix product, %d³", z.GEMM), []rival{{"eager", 0.98}}, 0, 2 * math.Pow(float64(z.GEMM), 3),
		func(dev backend.Device) (func(int) error, func()) {
			a := tensor.RandN(dev, rng, tensor.BFloat16, z.GEMM, z.GEMM)
			b := tensor.RandN(dev, rng, tensor.BFloat16, z.GEMM, z.GEMM)
			return each(dev, func(s *tensor.Scope) { s.Use(a).MatMul(b) }), func() { a.Release(); b.Release() }
		}}}
	list = append(list, contest{"copy", "copy on the device", []rival{{"eager", 0}}, 4 * n, 0, func(dev backend.Device) (func(int) error, func()) {
		x := tensor.RandN(dev, rng, tensor.BFloat16, z.Rows, z.Columns)
		out := tensor.Buffer(tensor.Zeros(dev, tensor.BFloat16, z.Rows, z.Columns))
		return each(dev, func(*tensor.Scope) { out.Assign(x) }), func() { x.Release(); out.Release() }
	}})
	bound := func(name, title string, arrays float64, op func(x, y, w *tensor.Tensor)) {
		list = append(list, contest{name, title, []rival{{"eager", 0}}, arrays * 2 * n, 0, func(dev backend.Device) (func(int) error, func()) {
			x := tensor.RandN(dev, rng, tensor.BFloat16, z.Rows, z.Columns)
			y := tensor.RandN(dev, rng, tensor.BFloat16, z.Rows, z.Columns)
			w := tensor.RandN(dev, rng, tensor.BFloat16, z.Columns)
			return each(dev, func(s *tensor.Scope) { op(s.Use(x), y, w) }), func() { x.Release(); y.Release(); w.Release() }
		}})
	}
	bound("add", "add, bf16", 3, func(x, y, _ *tensor.Tensor) { x.Add(y) })
	bound("gelu", "GELU, bf16", 2, func(x, _, _ *tensor.Tensor) { x.GELU() })
	bound("layer_norm", "layer norm, bf16", 2, func(x, _, w *tensor.Tensor) { tensor.LayerNorm(x, []int{z.Columns}, w, w, 1e-5) })
	bound("softmax", "softmax, bf16", 2, func(x, _, _ *tensor.Tensor) { x.Softmax(1) })
	list = append(list, contest{"adamw", "AdamW, float32", []rival{{"eager", 0}}, 7 * 4 * n, 0, func(dev backend.Device) (func(int) error, func()) {
		ps := map[string]*tensor.Tensor{}
		s := tensor.NewScope(dev, tensor.ScopeOptions{})
		var loss *tensor.Tensor
		for i := range 16 {
			p := tensor.Parameter(tensor.RandN(dev, rng, tensor.Float32, z.Rows/16, z.Columns))
			ps[fmt.Sprint("p", i)] = p
			part := s.Use(p).Square().Mean()
			if loss == nil {
				loss = part
			} else {
				loss = loss.Add(part)
			}
		}
		loss.Backward()
		s.Close()
		opt := optim.NewAdamW(func(yield func(string, *tensor.Tensor) bool) {
			for i := range 16 {
				if name := fmt.Sprint("p", i); !yield(name, ps[name]) {
					return
				}
			}
		}, optim.AdamW{})
		return each(dev, func(*tensor.Scope) { opt.Step() }), func() {
			for _, p := range ps {
				p.Release()
			}
		}
	}})
	trainings := []struct {
		name   string
		rivals []rival
	}{
		{"mnist", []rival{{"eager", 2}}},
		{"resnet18", []rival{{"eager", 2}}},
		{"resnet50", []rival{{"eager", 1}, {"compile", 0.95}}},
		{"gpt2", []rival{{"eager", 1}, {"compile", 0.95}}},
	}
	// What has a limit comes first.
	for _, capture := range []bool{true, false} {
		for _, c := range trainings {
			l := lessonOf(c.name)
			title, rivals := l.title+", captured", c.rivals
			if !capture {
				title, rivals = l.title+", dispatched", []rival{{"eager", 0}}
			}
			list = append(list, contest{l.name, title, rivals, 0, 0, func(dev backend.Device) (func(int) error, func()) {
				p := l.begin(dev, z, l.mixedOf(), true, capture)
				batch, free := l.batch(z, z.Shapes[l.name], 0).resident(dev)
				return func(n int) error {
					for range n {
						if err := p.learn(batch, nil); err != nil {
							return err
						}
					}
					return nil
				}, func() { p.release(); free() }
			}})
		}
	}
	return list
}

// each runs op in a scope of its own each time.
func each(dev backend.Device, op func(s *tensor.Scope)) func(n int) error {
	return func(n int) (err error) {
		defer tensor.Catch(&err)
		for range n {
			s := tensor.NewScope(dev, tensor.ScopeOptions{NoGrad: true})
			op(s)
			s.Close()
		}
		return nil
	}
}

// speed times all contests, ours and PyTorch's variants in turn.
func (g *gpu) speed() (ok bool, err error) {
	p, about, err := g.startPeer()
	if err != nil {
		return false, err
	}
	if err := g.machine(about); err != nil {
		return false, err
	}
	fmt.Fprintln(g.w, "Medians; a ratio is throughput, Descent/PyTorch. A memory-bound op's share is its bandwidth by that of the faster of the two plain copies.")
	fmt.Fprintln(g.w)
	fmt.Fprintln(g.w, "| workload | Descent | | PyTorch | | ratio | limit |\n|---|---|---|---|---|---|---|")
	ok = true
	copies := math.NaN() // bytes a second
	for _, c := range g.contests() {
		if !g.wants(c.name) {
			continue
		}
		if err := g.contest(c, p, &copies, &ok); err != nil {
			return false, fmt.Errorf("%s: %w", c.title, err)
		}
	}
	return ok, p.Close()
}

func (g *gpu) contest(c contest, p gpuPeer, copies *float64, ok *bool) (err error) {
	defer tensor.Catch(&err)
	dev, err := g.open(cuda.Options{Autotune: true})
	if err != nil {
		return err
	}
	defer func() {
		if e := dev.Close(); err == nil {
			err = e
		}
	}()
	fn, release := c.setup(dev)
	defer release()
	var ours []float64
	theirs := map[string][]float64{}
	missing := map[string]string{}
	once := 0.0
	for range g.rounds {
		runtime.GC()
		t, err := timeDevice(dev, fn, &once, g.window)
		if err != nil {
			return err
		}
		ours = append(ours, t)
		for _, r := range c.rivals {
			if missing[r.variant] != "" {
				continue
			}
			a, err := p.ask(question{Do: "time", Name: c.name, Variant: r.variant, Seconds: g.window.Seconds()})
			if err != nil {
				return err
			}
			if missing[r.variant] = a.Missing; a.Missing == "" {
				theirs[r.variant] = append(theirs[r.variant], a.Seconds)
			}
		}
	}
	if _, err := p.ask(question{Do: "drop", Name: c.name}); err != nil {
		return err
	}
	us := median(ours)
	lo, hi := quartiles(ours)
	if c.name == "copy" {
		*copies = c.bytes / us
		if len(theirs["eager"]) > 0 {
			*copies = max(*copies, c.bytes/median(theirs["eager"]))
		}
	}
	for i, r := range c.rivals {
		if missing[r.variant] != "" {
			fmt.Fprintf(g.w, "| %s | %s | | %s: %s | | | ≥ %.2f |\n", c.title, section.Duration(us), r.variant, missing[r.variant], r.limit)
			g.result("%s: PyTorch %s is missing", c.title, r.variant)
			*ok = *ok && !g.judged
			continue
		}
		them := median(theirs[r.variant])
		ratio, limit := them/us, ""
		ourRate, theirRate := c.rate(us, *copies), c.rate(them, *copies)
		if r.limit > 0 {
			limit = fmt.Sprintf("≥ %.2f", r.limit) + g.verdict(ratio >= r.limit, ok)
		}
		if share := c.bytes / us / *copies; c.bytes > 0 && c.name != "copy" {
			limit = fmt.Sprintf("share ≥ %.2f", shareLimit) + g.verdict(share >= shareLimit, ok)
		}
		if i == 0 {
			ourRate = fmt.Sprintf("%s (%s to %s)", ourRate, section.Duration(lo), section.Duration(hi))
		}
		fmt.Fprintf(g.w, "| %s | %s | %s | %s %s | %s | %.3f | %s |\n", c.title, section.Duration(us), ourRate, r.variant, section.Duration(them), theirRate, ratio, limit)
		g.result("%s %.2fx %s%s", c.title, ratio, r.variant, brackets(c.rate(us, *copies)))
	}
	return nil
}

// rate is what a time means: operations, or bytes and their share of a copy's.
func (c contest) rate(seconds, copies float64) string {
	switch {
	case c.flops > 0:
		return fmt.Sprintf("%.4g TFLOP/s", c.flops/seconds/1e12)
	case c.name == "copy" || c.bytes > 0 && math.IsNaN(copies):
		return fmt.Sprintf("%.4g TB/s", c.bytes/seconds/1e12)
	case c.bytes > 0:
		return fmt.Sprintf("%.4g TB/s, %.0f%%", c.bytes/seconds/1e12, 100*c.bytes/seconds/copies)
	}
	return ""
}

func brackets(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}
