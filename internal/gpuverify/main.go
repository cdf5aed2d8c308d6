//go:build unix

// Command gpuverify holds Descent to its tests, and to PyTorch's speed, on a machine
// that has a GPU and no Go. scripts/gpu-verify packs it with the programs it runs,
// scripts/gpu-run unpacks and starts it there, from the root of the repository.
//
// Its parts run in stages, those of one stage at once. Each has a limit of its own
// and the whole a budget; what fails or is cut off does not stop the rest. It writes
//
//	log.txt        what every part printed
//	run.md         the table and the measurements, for GPU.md
//	device-X.json  the GPU as cuDNN describes it, for cuda/cudnn/testdata
//
// and ends with the table. The exit status is 1 if a part failed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("gpuverify: ")
	r := &runner{stdout: os.Stdout}
	flag.StringVar(&r.bin, "bin", "", "`folder` of the programs")
	flag.StringVar(&r.out, "out", "out/gpu", "`folder` for results")
	flag.StringVar(&r.root, "root", ".", "the repository")
	flag.StringVar(&r.device, "device", "cuda:0", "`device` to verify")
	flag.StringVar(&r.python, "python", "python3", "Python with PyTorch")
	flag.DurationVar(&r.budget, "budget", 8*time.Minute, "time for everything")
	flag.BoolVar(&r.tiny, "tiny", false, "small sizes for the fake driver")
	only := flag.String("only", "", "comma-separated parts")
	properties := flag.String("properties", "", "write the device's properties to a `folder`, and nothing else")
	flag.Parse()
	if *properties != "" {
		if err := writeProperties(r.device, *properties); err != nil {
			log.Fatal(err)
		}
		return
	}
	for _, name := range strings.FieldsFunc(*only, func(c rune) bool { return c == ',' }) {
		if !slices.ContainsFunc(parts, func(p part) bool { return p.name == name }) {
			log.Fatalf("there is no part %q", name)
		}
		r.only = append(r.only, name)
	}
	ok, err := r.run(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	if !ok {
		os.Exit(1)
	}
}

// part is one program that is run.
type part struct {
	name  string
	stage int
	limit time.Duration
	// command is what runs, in the repository's root or in dir; skip says why nothing does.
	command func(r *runner) (c command, skip string)
	keys    *regexp.Regexp             // lines of the output with key numbers, the first group or all
	judge   func(output string) error  // beside the exit status
	sum     func(output string) string // key numbers that are counted
	page    bool                       // its standard output belongs to run.md
}

// command is a program with its arguments.
type command struct {
	dir  string
	args []string
	env  []string
}

// result is how a part ended.
type result struct {
	part
	state   string // ok, failed, skipped
	seconds float64
	keys    []string
	stdout  string
}

// runner runs the parts.
type runner struct {
	bin, out, root, device, python string

	budget time.Duration
	tiny   bool
	only   []string
	stdout io.Writer

	mu      sync.Mutex
	log     *os.File
	results []result
}

// reserve is kept for writing the results.
const reserve = 5 * time.Second

func (r *runner) run(ctx context.Context) (ok bool, err error) {
	for _, folder := range []*string{&r.bin, &r.out, &r.root} {
		if *folder, err = filepath.Abs(*folder); err != nil {
			return false, err
		}
	}
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return false, err
	}
	if r.log, err = os.Create(filepath.Join(r.out, "log.txt")); err != nil {
		return false, err
	}
	defer r.log.Close()
	ctx, cancel := context.WithTimeout(ctx, r.budget-reserve)
	defer cancel()
	start := time.Now()
	for stage := 0; ; stage++ {
		var wait sync.WaitGroup
		more := false
		for _, p := range parts {
			more = more || p.stage >= stage
			if p.stage == stage && (len(r.only) == 0 || slices.Contains(r.only, p.name)) {
				wait.Go(func() { r.part(ctx, p) })
			}
		}
		wait.Wait()
		if !more {
			break
		}
		if stage == 0 && len(r.results) > 0 && r.results[0].state == "failed" {
			fmt.Fprintln(r.stdout, "The device does not work; what doctor said:\n"+r.results[0].stdout)
			break
		}
	}
	place := func(a result) int { return slices.IndexFunc(parts, func(p part) bool { return p.name == a.name }) }
	slices.SortFunc(r.results, func(a, b result) int { return place(a) - place(b) })
	table := r.table()
	fmt.Fprintf(r.stdout, "\n%s\n%.0f seconds in all; the parts' output is in %s\n", table, time.Since(start).Seconds(), r.log.Name())
	page := "## " + r.commit() + "\n\n" + table
	ok = len(r.results) > 0
	for _, p := range r.results {
		ok = ok && p.state != "failed"
		if p.page && p.stdout != "" {
			page += "\n### " + p.name + "\n\n" + withoutResults(p.stdout)
		}
	}
	return ok, os.WriteFile(filepath.Join(r.out, "run.md"), []byte(page), 0o644)
}

// part runs p and notes how it ends.
func (r *runner) part(ctx context.Context, p part) {
	c, skip := p.command(r)
	if skip == "" && ctx.Err() != nil {
		skip = "the time was over"
	}
	if skip != "" {
		r.note(result{part: p, state: "skipped", keys: []string{skip}}, "")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, p.limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.args[0], c.args[1:]...)
	cmd.Dir = filepath.Join(r.root, c.dir)
	cmd.Env = append(os.Environ(), "DESCENT_PYTHON="+r.python, "PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1")
	if r.tiny { // PyTorch is on the CPU, and its threads wait for each other by spinning
		cmd.Env = append(cmd.Env, "OMP_NUM_THREADS=1")
	}
	cmd.Env = append(cmd.Env, c.env...)
	var stdout, all buffer
	cmd.Stdout, cmd.Stderr = io.MultiWriter(&stdout, &all), &all
	// What it started ends with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	start := time.Now()
	err := cmd.Run()
	e := result{part: p, state: "ok", seconds: time.Since(start).Seconds(), stdout: stdout.String()}
	output := all.String()
	if p.sum != nil {
		e.keys = append(e.keys, p.sum(output))
	}
	if p.keys != nil {
		for _, m := range p.keys.FindAllStringSubmatch(output, -1) {
			e.keys = append(e.keys, strings.TrimSpace(m[len(m)-1]))
		}
	}
	if err == nil && p.judge != nil {
		err = p.judge(output)
	}
	switch {
	case ctx.Err() != nil:
		e.state = "failed"
		e.keys = append([]string{fmt.Sprintf("cut off after %.0f s", e.seconds)}, e.keys...)
	case err != nil:
		e.state = "failed"
		e.keys = append([]string{err.Error()}, e.keys...)
	}
	r.note(e, fmt.Sprintf("%s\n%s", strings.Join(c.args, " "), output))
}

// note adds to the log, and tells that a part has ended.
func (r *runner) note(e result, output string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.results = append(r.results, e)
	fmt.Fprintf(r.log, "======== %s: %s after %.1f s\n%s\n", e.name, e.state, e.seconds, output)
	fmt.Fprintf(r.stdout, "%-10s %s, %.1f s\n", e.name, e.state, e.seconds)
}

func (r *runner) table() string {
	var b strings.Builder
	b.WriteString("| part | | seconds | key numbers |\n|---|---|---|---|\n")
	for _, e := range r.results {
		fmt.Fprintf(&b, "| %s | %s | %.1f | %s |\n", e.name, e.state, e.seconds, strings.ReplaceAll(strings.Join(e.keys, "; "), "|", "/"))
	}
	return b.String()
}

// commit is what scripts/gpu-verify wrote beside the programs.
func (r *runner) commit() string {
	raw, err := os.ReadFile(filepath.Join(r.bin, "commit"))
	if err != nil {
		return "an unknown commit"
	}
	return strings.TrimSpace(string(raw))
}

var resultLine = regexp.MustCompile(`(?m)^result: (.*)$`)

func withoutResults(text string) string {
	return regexp.MustCompile(`(?m)^result: .*\n`).ReplaceAllString(text, "")
}

// buffer keeps the beginning and the end of what is written to it: output without
// end must not take the machine's memory.
type buffer struct {
	mu         sync.Mutex
	head, tail []byte
	cut        bool
}

const half = 512 << 10

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := len(p)
	if room := half - len(b.head); room > 0 {
		take := min(room, n)
		b.head, p = append(b.head, p[:take]...), p[take:]
	}
	if b.tail = append(b.tail, p...); len(b.tail) > 2*half {
		b.tail, b.cut = append([]byte(nil), b.tail[len(b.tail)-half:]...), true
	}
	return n, nil
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cut {
		return string(b.head) + "\n[…]\n" + string(b.tail)
	}
	return string(b.head) + string(b.tail)
}

// program is the path of a program of the package; the error says how to make it.
func (r *runner) program(name string) string { return filepath.Join(r.bin, name) }

// find looks for a tool on the path and where CUDA's toolkit puts it.
func find(name string, folders ...string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, pattern := range folders {
		found, _ := filepath.Glob(filepath.Join(pattern, name))
		for _, path := range found {
			if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
				return path, nil
			}
		}
	}
	return "", errors.New(name + " is not on this machine")
}
