// Command count counts what a training step asks of a GPU, without one: on the fake
// driver, which runs nothing, it counts calls, kernels, bytes and waits, and times
// the host. Beside it stand the operators that PyTorch dispatches for the same step.
//
//	make count
//
// It writes its part of GPU.md.
package main

import (
	_ "embed"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cuda"
	"github.com/descent-ml/descent/data"
	"github.com/descent-ml/descent/internal/fakecuda"
	"github.com/descent-ml/descent/internal/peer"
	"github.com/descent-ml/descent/internal/section"
	"github.com/descent-ml/descent/optim"
	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/tensor"
	"github.com/descent-ml/descent/train"
)

//go:embed count.py
var peerSource string

func main() {
	log.SetFlags(0)
	log.SetPrefix("count: ")
	out := flag.String("out", "", "file with a section that is replaced")
	steps := flag.Int("steps", 20, "steps that are timed")
	only := flag.String("only", "", "the one workload")
	flag.Parse()
	var table strings.Builder
	err := count(io.MultiWriter(os.Stdout, &table), *steps, *only)
	if err == nil && *out != "" {
		err = section.Replace(*out, "counts", table.String())
	}
	if err != nil {
		log.Fatal(err)
	}
}

// peerOps asks PyTorch how many operators each step dispatches.
func peerOps() (version string, ops map[string]int, err error) {
	python := os.Getenv("DESCENT_PYTHON")
	if python == "" {
		return "", nil, fmt.Errorf("set DESCENT_PYTHON to a Python with PyTorch, or run make count")
	}
	text, err := peer.Command(python, peerSource).Output()
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", python, err)
	}
	var answer struct {
		Torch string
		Ops   map[string]int
	}
	err = json.Unmarshal(text, &answer)
	return answer.Torch, answer.Ops, err
}

func count(w io.Writer, steps int, only string) error {
	version, theirs, err := peerOps()
	if err != nil {
		return err
	}
	folder, err := fakecuda.Folder()
	if err != nil {
		return err
	}
	os.Setenv("DESCENT_CUDA_PATH", folder)
	if err := fakecuda.Load(); err != nil {
		return err
	}
	fakecuda.Memory(1 << 38)
	fakecuda.Mode(fakecuda.CountOnly)
	fmt.Fprintf(w, "Counted on the fake driver by `make count`; %s; host times on %d threads of a machine without a GPU, of a driver whose calls do nothing. PyTorch %s's operators: those that its profiler sees dispatched for the step on the CPU, those that contain no other, without views and allocations, with the fused AdamW.\n\n",
		runtime.Version(), runtime.GOMAXPROCS(0), version)
	fmt.Fprintln(w, "| step | mode | kernels | library calls | copies and fills | driver calls | waits | MB to the device | host time | per kernel | PyTorch's operators |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|---|---|---|")
	for _, c := range workloads {
		if only != "" && only != c.name {
			continue
		}
		for _, captured := range []bool{false, true} {
			r, err := c.measure(captured, steps)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			mode, ops := "eager", fmt.Sprint(theirs[c.name])
			if captured {
				mode, ops = "captured", ""
			}
			fmt.Fprintf(w, "| %s | %s | %d | %d | %d | %d | %d | %.2f | %s | %s | %s |\n", c.title, mode, r.kernels, r.libraries, r.copies, r.calls, r.waits,
				float64(r.bytes)/1e6, section.Duration(r.host), section.Duration(r.host/float64(max(1, r.kernels+r.libraries))), ops)
		}
	}
	return nil
}

// counted is one step.
type counted struct {
	kernels, libraries, copies, calls, waits, bytes int64
	host                                            float64 // seconds, median
}

func (c workload) measure(captured bool, steps int) (r counted, err error) {
	defer tensor.Catch(&err)
	dev, err := cuda.New(0, cuda.Options{})
	if err != nil {
		return r, err
	}
	defer dev.Close()
	opt, fn, batch := c.setup(dev)
	step := train.Capture(opt, fn, train.CaptureOptions{})
	defer step.Release()
	var start time.Time
	one := func(k int) error {
		s := tensor.NewScope(dev, tensor.ScopeOptions{Train: true, Rand: random.Derive(1, uint64(k))})
		defer s.Close()
		b := batch(s) // the loader's, in another goroutine
		fakecuda.Reset()
		start = time.Now()
		if captured {
			_, _, err := step.Step(b)
			return err
		}
		return train.Step(opt, func() (*tensor.Tensor, train.Keep) {
			loss, _ := fn(b)
			return loss, nil
		})
	}
	for k := range 6 { // kernels are compiled, plans built, and the step captured
		if err := one(k); err != nil {
			return r, err
		}
	}
	times := make([]float64, steps)
	var stats fakecuda.Counts
	for i := range times {
		runtime.GC()
		if err := one(6 + i); err != nil {
			return r, err
		}
		times[i] = time.Since(start).Seconds()
		stats = fakecuda.Stats()
	}
	slices.Sort(times)
	r.host = times[len(times)/2]
	for name, n := range stats.Calls {
		r.calls += n
		switch name {
		case "cublasLtMatmul", "cudnnBackendExecute":
			r.libraries += n
		}
	}
	for _, n := range stats.Launches {
		r.kernels += n
	}
	r.kernels += stats.Replayed
	r.copies = stats.Copies + stats.Sets
	r.waits, r.bytes = stats.Syncs, stats.HostToDevice
	return r, nil
}

type stepFunc = func(b data.Batch) (*tensor.Tensor, train.Keep)

// workload is a training step; count.py has the same under its name.
type workload struct {
	name, title string
	setup       func(dev backend.Device) (optim.Optimizer, stepFunc, func(s *tensor.Scope) data.Batch)
}
