//go:build unix

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/descent-ml/descent/internal/fakecuda"
)

// TestTheRunnerOnTheFakeGPU builds what scripts/gpu-verify packs and runs it with
// tiny sizes, PyTorch being on the CPU: on the day there is a GPU, it works. The walk
// over OpInfo is left to make parity-cuda.
func TestTheRunnerOnTheFakeGPU(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds and runs four programs: not with -short")
	}
	python := os.Getenv("DESCENT_PYTHON")
	if python == "" {
		t.Skip("PyTorch is needed: run make test, or set DESCENT_PYTHON to the Python that scripts/venv prints")
	}
	fakecuda.Libraries(t)
	bin, out := t.TempDir(), t.TempDir()
	for _, args := range [][]string{
		{"build", "-o", bin + "/", "./cmd/descent", "./internal/bench", "./internal/gpuverify"},
		{"test", "-c", "-o", filepath.Join(bin, "optest.test"), "./internal/optest"},
	} {
		cmd := exec.Command("go", args...)
		cmd.Dir = "../.."
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go %v: %v\n%s", args, err, text)
		}
	}
	var screen bytes.Buffer
	r := &runner{bin: bin, out: out, root: "../..", device: "cuda:0", python: python, budget: 4 * time.Minute, tiny: true, stdout: &screen,
		only: []string{"doctor", "properties", "kernels", "compile", "ops", "memcheck", "curves", "speed", "memory", "waits", "flat"}}
	ok, err := r.run(t.Context())
	t.Logf("%s", screen.String())
	if err != nil {
		t.Fatal(err)
	}
	logged, err := os.ReadFile(filepath.Join(out, "log.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if !ok {
		t.Fatalf("a part failed:\n%s", logged)
	}
	page, err := os.ReadFile(filepath.Join(out, "run.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`\| doctor \| ok \| [\d.]+ \| \d+ well, 0 missing or wrong \|`,
		`\| compile \| skipped \|`,
		`\| ops \| ok \| [\d.]+ \| [1-9]\d* passed, 0 failed, 0 skipped \|`,
		`\| gpt2, batch \[2 16\] \| 4\.\d+, 4\.\d+ \| 0 \|`,
		`\| softmax, bf16 \|`,
		`\| 60 \| captured \| (\d+) to \d+ bytes`,
	} {
		if !regexp.MustCompile(want).Match(page) {
			t.Errorf("run.md has nothing like %s", want)
		}
	}
	if strings.Contains(string(page), "result: ") {
		t.Error("run.md has the lines for the table")
	}
	if t.Failed() {
		t.Logf("%s", page)
	}
}

// shell is a part that runs a command.
func shell(name string, stage int, text string) part {
	return part{name: name, stage: stage, limit: time.Second, keys: resultLine, page: true,
		command: func(*runner) (command, string) { return command{args: []string{"sh", "-c", text}}, "" }}
}

// with runs other parts in place of the real ones.
func with(t *testing.T, budget time.Duration, list ...part) (ok bool, table map[string]result) {
	t.Helper()
	saved := parts
	parts = list
	defer func() { parts = saved }()
	r := &runner{out: t.TempDir(), bin: t.TempDir(), root: ".", budget: budget, stdout: &bytes.Buffer{}}
	ok, err := r.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	table = map[string]result{}
	for _, e := range r.results {
		table[e.name] = e
	}
	return ok, table
}

func TestAFailureStopsNoOtherPart(t *testing.T) {
	ok, table := with(t, time.Minute, shell("first", 0, "echo result: 1"), shell("bad", 1, "echo result: 2; exit 3"), shell("last", 2, "echo result: 3"))
	if ok {
		t.Error("a run with a failure is well")
	}
	for name, want := range map[string]string{"first": "ok 1", "bad": "failed exit status 3,2", "last": "ok 3"} {
		if got := table[name].state + " " + strings.Join(table[name].keys, ","); got != want {
			t.Errorf("%s: %q, not %q", name, got, want)
		}
	}
}

func TestAPartThatHangsIsCutOffWithItsChildren(t *testing.T) {
	begin := time.Now()
	ok, table := with(t, time.Minute, shell("hangs", 0, "echo result: begun; sleep 60 & wait"))
	if e := table["hangs"]; ok || e.state != "failed" || !strings.HasPrefix(e.keys[0], "cut off after 1") || e.keys[1] != "begun" {
		t.Errorf("it ended as %+v", e)
	}
	if time.Since(begin) > 10*time.Second {
		t.Error("its child was waited for")
	}
}

func TestADeviceThatDoesNotWorkEndsTheRun(t *testing.T) {
	if ok, table := with(t, time.Minute, shell("doctor", 0, "exit 1"), shell("next", 1, "exit 0")); ok || len(table) != 1 {
		t.Errorf("parts ran: %v", table)
	}
}

func TestWhatHasNoTimeIsSkipped(t *testing.T) {
	ok, table := with(t, reserve+100*time.Millisecond, shell("long", 1, "sleep 5"), shell("late", 2, "exit 0"))
	if ok || table["long"].state != "failed" || table["late"].state != "skipped" {
		t.Errorf("they ended as %+v", table)
	}
}

func TestRunningNoTestIsAFailure(t *testing.T) {
	if ranTests("testing: warning: no tests to run\nPASS\n") == nil {
		t.Error("it passes")
	}
	if got := testCounts("=== RUN   A\n--- PASS: A (0.0s)\n    --- FAIL: A/b (0.0s)\n    --- SKIP: A/c\n"); got != "1 passed, 1 failed, 1 skipped" {
		t.Errorf("counted %s", got)
	}
}

func TestWaitsInAProfile(t *testing.T) {
	const head = ` Time (%)  Total Time (ns)  Num Calls  Avg (ns)   Med (ns)  Min (ns)  Max (ns)  StdDev (ns)      Name
     60.0       10,500,000      9,000    1,166.0    1,000.0       900    30,000        400.0  cuLaunchKernel
`
	const wait = "     20.0        3,500,000        %  17,500.0   17,000.0     1,000   300,000      5,000.0  cuStreamSynchronize\n"
	if err := fewWaits(head + strings.Replace(wait, "%", "12", 1)); err != nil {
		t.Error(err)
	}
	if fewWaits(head+strings.Replace(wait, "%", "1,200", 1)) == nil || fewWaits("no table") == nil {
		t.Error("1,200 waits, or no table, pass")
	}
}

func TestSlug(t *testing.T) {
	for name, want := range map[string]string{"NVIDIA H100 80GB HBM3": "h100", "NVIDIA H200": "h200", "NVIDIA GeForce RTX 4090": "rtx4090", "Tesla T4": "t4", "Fake GPU": "fakegpu"} {
		if got := slug(name); got != want {
			t.Errorf("%s is %s, not %s", name, got, want)
		}
	}
}
