// Command bench times Descent and PyTorch alternately, in one run, and prints the
// ratio of medians of each workload beside its limit. It exits with 1 if a limit
// is passed.
//
//	make bench       the table of times
//	make accuracy    what examples/mnist reaches
//	make gpu-verify  builds it for a GPU machine, where scripts/gpu-run runs
//	                 bench -device cuda:0 -check speed|curves|memory|flat|waits
//
// PyTorch is given its best of several configurations, and as many threads. The
// first two write their part of BENCH.md.
package main

import (
	_ "embed"
	"flag"
	"fmt"
	"io"
	"log"
	"maps"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/descent-ml/descent/internal/peer"
	"github.com/descent-ml/descent/internal/section"
)

//go:embed peer.py
var peerSource string

// timing is what peer.py answers: the seconds of one iteration, nothing if there is
// no such variant.
type timing struct{ Seconds *float64 }

// own times fn for about a window.
func own(fn func(n int), window time.Duration) float64 {
	n, start := 0, time.Now()
	for per := 1; time.Since(start) < window; per = min(per*2, 4096) {
		fn(per)
		n += per
	}
	return time.Since(start).Seconds() / float64(n)
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// quartiles is the spread that is printed with a median.
func quartiles(v []float64) (lo, hi float64) {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/4], v[len(v)*3/4]
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("bench: ")
	rounds := flag.Int("rounds", 15, "alternations of each workload")
	window := flag.Duration("window", 150*time.Millisecond, "length of one measurement")
	only := flag.String("only", "", "comma-separated workloads")
	accuracy := flag.Bool("accuracy", false, "train examples/mnist instead")
	logs := flag.String("logs", "out/accuracy", "`folder` where -accuracy keeps what finished trainings printed")
	out := flag.String("out", "", "file with a section that is replaced")
	device := flag.String("device", "cpu", "`device` to measure")
	check := flag.String("check", "speed", "what to measure on a GPU: "+strings.Join(slices.Sorted(maps.Keys(gpuChecks)), ", "))
	steps := flag.Int("steps", 10_000, "steps of -check flat")
	tiny := flag.Bool("tiny", false, "sizes for the fake driver, whose times mean nothing: no limit counts")
	flag.Parse()
	var table strings.Builder
	w := io.MultiWriter(os.Stdout, &table)
	name, run := "speed", func() (bool, error) { return speeds(w, *rounds, *window, *only) }
	if *accuracy {
		name, run = "accuracy", func() (bool, error) { return accuracies(w, *logs) }
	}
	if *device != "cpu" {
		measure := gpuChecks[*check]
		index, err := gpuIndex(*device)
		if measure == nil {
			err = fmt.Errorf("there is no check %q", *check)
		}
		if err != nil {
			log.Fatal(err)
		}
		g := &gpu{w: w, index: index, sizes: fullSizes(), judged: !*tiny, only: list(*only), rounds: *rounds, window: *window, steps: *steps}
		if *tiny {
			g.sizes = tinySizes()
		}
		name, run = "gpu-"+*check, func() (bool, error) { return measure(g) }
	}
	ok, err := run()
	if err == nil && *out != "" {
		err = section.Replace(*out, name, table.String())
	}
	if err != nil {
		log.Fatal(err)
	}
	if !ok {
		log.Fatal("a limit is missed")
	}
}

// speeds writes the table of times; ok is false if a ratio is over its limit.
func speeds(w io.Writer, rounds int, window time.Duration, only string) (ok bool, err error) {
	python := os.Getenv("DESCENT_PYTHON")
	if python == "" {
		return false, fmt.Errorf("set DESCENT_PYTHON to a Python with PyTorch, or run make bench")
	}
	threads := runtime.GOMAXPROCS(0)
	var about struct {
		Torch, Capability string
		Threads           int
	}
	p, err := peer.Start(python, peerSource, &about, strconv.Itoa(threads))
	if err != nil {
		return false, err
	}
	fmt.Fprintf(w, "Machine: %s, %d threads; %s; PyTorch %s, %d threads, %s.\n\n", cpuName(), threads, runtime.Version(), about.Torch, about.Threads, about.Capability)
	fmt.Fprintf(w, "| workload | Descent | PyTorch, best | ratio of medians | limit |\n|---|---|---|---|---|\n")
	ok = true
	for _, c := range workloads() {
		if only != "" && !slices.Contains(strings.Split(only, ","), c.name) {
			continue
		}
		fn := c.setup()
		fn(3)
		var ours []float64
		theirs := map[int][]float64{}
		for range rounds {
			// The other side's threads go to sleep before the clock starts.
			time.Sleep(20 * time.Millisecond)
			runtime.GC()
			ours = append(ours, own(fn, window))
			time.Sleep(20 * time.Millisecond)
			for v := 0; ; v++ {
				var t timing
				if err := p.Ask(fmt.Sprintf("%s %d %g", c.name, v, window.Seconds()), &t); err != nil {
					return false, err
				}
				if t.Seconds == nil {
					break
				}
				theirs[v] = append(theirs[v], *t.Seconds)
			}
		}
		best := math.Inf(1)
		for _, v := range theirs {
			best = min(best, median(v))
		}
		lo, hi := quartiles(ours)
		ratio := median(ours) / best
		verdict := ""
		if ratio > c.limit {
			verdict, ok = " **missed**", false
		}
		fmt.Fprintf(w, "| %s | %s (%s to %s) | %s | %.2f | %.1f%s |\n", c.title, section.Duration(median(ours)), section.Duration(lo), section.Duration(hi), section.Duration(best), ratio, c.limit, verdict)
	}
	return ok, p.Close()
}

// cpuName is the processor as Linux names it.
func cpuName() string {
	raw, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(raw)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
