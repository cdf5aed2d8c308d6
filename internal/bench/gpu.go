package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cuda"
	cu "github.com/descent-ml/descent/cuda"
	"github.com/descent-ml/descent/internal/peer"
)

// gpuChecks are what -check of a GPU can be. Each writes its part of a document, and
// lines "result: ..." with its key numbers to standard output; ok is false if a
// limit is missed.
var gpuChecks = map[string]func(g *gpu) (ok bool, err error){
	"speed":   (*gpu).speed,
	"curves":  (*gpu).curves,
	"memory":  (*gpu).memory,
	"flat":    (*gpu).flat,
	"waits":   (*gpu).waits,
	"kernels": (*gpu).kernels,
	"compile": (*gpu).compile,
}

// gpu is one check of a device against PyTorch.
type gpu struct {
	w      io.Writer // the document
	index  int
	sizes  sizes
	judged bool // limits count
	only   []string
	rounds int
	window time.Duration
	steps  int // of flat
}

// sizes are those of the workloads, on both sides.
type sizes struct {
	GEMM                  int // n of an n³ matrix product
	Rows, Columns         int // of the arrays of memory-bound ops
	Layers, Heads, Width  int // of GPT-2
	Vocabulary, Positions int
	Small                 int              // the batch of flat and waits
	Shapes, Curves        map[string][]int // of batches, when timed and for curves
	Classes               map[string]int
}

func fullSizes() sizes {
	return sizes{
		GEMM: 8192, Rows: 16384, Columns: 4096,
		Layers: 12, Heads: 12, Width: 768, Vocabulary: 50304, Positions: 1024, Small: 64,
		Shapes:  map[string][]int{"mnist": {128, 1, 28, 28}, "resnet18": {128, 3, 32, 32}, "resnet50": {256, 3, 224, 224}, "gpt2": {8, 1024}},
		Curves:  map[string][]int{"mnist": {128, 1, 28, 28}, "resnet18": {128, 3, 32, 32}, "resnet50": {16, 3, 224, 224}, "gpt2": {2, 256}},
		Classes: map[string]int{"mnist": 10, "resnet18": 10, "resnet50": 1000, "gpt2": 50304},
	}
}

// tinySizes run in seconds on the fake driver.
func tinySizes() sizes {
	small := map[string][]int{"mnist": {4, 1, 28, 28}, "resnet18": {4, 3, 16, 16}, "resnet50": {2, 3, 32, 32}, "gpt2": {2, 16}}
	return sizes{
		GEMM: 64, Rows: 32, Columns: 64,
		Layers: 2, Heads: 2, Width: 32, Vocabulary: 64, Positions: 16, Small: 2,
		Shapes: small, Curves: small,
		Classes: map[string]int{"mnist": 10, "resnet18": 10, "resnet50": 1000, "gpt2": 64},
	}
}

// open opens the device anew: what it counts begins at zero.
func (g *gpu) open(o cuda.Options) (*cuda.Device, error) { return cuda.New(g.index, o) }

// wants reports whether a workload was asked for.
func (g *gpu) wants(name string) bool {
	return len(g.only) == 0 || slices.Contains(g.only, name)
}

// result prints a key number.
func (g *gpu) result(format string, args ...any) { fmt.Printf("result: "+format+"\n", args...) }

// verdict marks a value that misses its limit, and clears ok.
func (g *gpu) verdict(holds bool, ok *bool) string {
	switch {
	case !g.judged:
		return " (not judged)"
	case holds:
		return ""
	}
	*ok = false
	return " **missed**"
}

// gpuIndex is the number in a device's name.
func gpuIndex(device string) (int, error) {
	index := 0
	if device != "cuda" {
		if _, err := fmt.Sscanf(device, "cuda:%d", &index); err != nil {
			return 0, fmt.Errorf("device %q; cpu, cuda or cuda:1 is needed", device)
		}
	}
	return index, nil
}

//go:embed gpu_peer.py
var gpuPeerSource string

// gpuPeer is the Python process with PyTorch.
type gpuPeer struct{ *peer.Process }

func (g *gpu) startPeer() (p gpuPeer, about string, err error) {
	python := os.Getenv("DESCENT_PYTHON")
	if python == "" {
		python = "python3"
	}
	raw, err := json.Marshal(g.sizes)
	if err != nil {
		return p, "", err
	}
	var a struct {
		Torch, Device, CUDA string
		CuDNN               int
	}
	if p.Process, err = peer.Start(python, gpuPeerSource, &a, string(raw)); err != nil {
		return p, "", err
	}
	return p, fmt.Sprintf("PyTorch %s, CUDA %s, cuDNN %d, %s", a.Torch, a.CUDA, a.CuDNN, a.Device), nil
}

// question is what gpu_peer.py is asked.
type question struct {
	Do      string  `json:"do"`
	Name    string  `json:"name"`
	Variant string  `json:"variant,omitempty"`
	Seconds float64 `json:"seconds,omitempty"`
	Folder  string  `json:"folder,omitempty"`
	Shape   []int   `json:"shape,omitempty"`
	Batches int     `json:"batches,omitempty"`
	Steps   int     `json:"steps,omitempty"`
}

// answer is what it says; Missing tells why there is none.
type answer struct {
	Seconds          float64
	Bytes            int64
	Float32, Float64 []float64
	Missing          string
}

func (p gpuPeer) ask(q question) (a answer, err error) {
	raw, err := json.Marshal(q)
	if err != nil {
		return a, err
	}
	return a, p.Ask(string(raw), &a)
}

// machine describes the device and its driver, as the first line of a document.
func (g *gpu) machine(about string) error {
	driver, err := cu.Open()
	if err != nil {
		return err
	}
	gpus, err := driver.Devices()
	if err != nil {
		return err
	}
	if g.index >= len(gpus) {
		return fmt.Errorf("there is no GPU of number %d", g.index)
	}
	major, minor := gpus[g.index].Capability()
	text := fmt.Sprintf("%s, compute capability %d.%d, driver for CUDA %s; %s", gpus[g.index].Name(), major, minor, cu.FormatVersion(driver.Version()), runtime.Version())
	if about != "" {
		text += "; " + about
	}
	fmt.Fprintf(g.w, "Machine: %s.\n\n", text)
	if !g.judged {
		fmt.Fprintf(g.w, "Sizes are tiny, whatever a row says: no time means anything.\n\n")
	}
	return nil
}

// timeDevice returns the seconds of one iteration of fn over about a window; the
// device is waited for at its beginning and at its end, as gpu_peer.py does.
func timeDevice(dev backend.Device, fn func(n int) error, once *float64, window time.Duration) (float64, error) {
	if *once == 0 {
		if err := fn(6); err != nil { // a captured step is recorded by the fourth
			return 0, err
		}
		if err := dev.Sync(); err != nil {
			return 0, err
		}
		*once = window.Seconds()
		taken, err := timeDevice(dev, fn, once, 0)
		if err != nil {
			return 0, err
		}
		*once = taken
	}
	n := max(1, int(window.Seconds() / *once))
	if err := dev.Sync(); err != nil {
		return 0, err
	}
	start := time.Now()
	if err := fn(n); err != nil {
		return 0, err
	}
	if err := dev.Sync(); err != nil {
		return 0, err
	}
	*once = time.Since(start).Seconds() / float64(n)
	return *once, nil
}

// compile has PyTorch compile its steps into the folder where it keeps them: the
// benchmark then finds them.
func (g *gpu) compile() (bool, error) {
	p, _, err := g.startPeer()
	if err != nil {
		return false, err
	}
	for _, name := range []string{"resnet50", "gpt2"} {
		if !g.wants(name) {
			continue
		}
		start := time.Now()
		a, err := p.ask(question{Do: "time", Name: name, Variant: "compile", Seconds: 0.01})
		if err != nil {
			return false, err
		}
		if a.Missing != "" {
			g.result("%s: %s", name, a.Missing)
			continue
		}
		g.result("%s %.0f s", name, time.Since(start).Seconds())
		if _, err := p.ask(question{Do: "drop", Name: name}); err != nil {
			return false, err
		}
	}
	return true, p.Close()
}

// list splits what a flag lists with commas.
func list(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' })
}
