//go:build unix

package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The stages: the first must hold for the others to make sense; what only has to be
// right runs at once; what is timed or takes much memory runs alone.
var parts = []part{
	{name: "doctor", stage: 0, limit: 40 * time.Second, sum: crosses,
		command: func(r *runner) (command, string) {
			budget := "3s"
			if r.tiny {
				budget = "1ms"
			}
			return command{args: []string{r.program("descent"), "doctor", "-device", r.device, "-budget", budget}}, ""
		}},
	{name: "properties", stage: 1, limit: 20 * time.Second, keys: regexp.MustCompile(`wrote (.*)`),
		command: func(r *runner) (command, string) {
			return command{args: []string{r.program("gpuverify"), "-device", r.device, "-properties", r.out}}, ""
		}},
	bench("kernels", 1, 100*time.Second),
	bench("compile", 2, 120*time.Second),
	goTest("contract", "backend/cuda", "cuda.test", 120*time.Second, func(*runner) string { return "^TestGPU" }),
	goTest("ops", "internal/optest", "optest.test", 120*time.Second, func(r *runner) string {
		if r.tiny {
			return "^TestOpsOnCUDA$/^softmax$"
		}
		return "^TestOpsOnCUDA$"
	}),
	goTest("training", "backend/cuda", "cuda.test", 120*time.Second, func(*runner) string { return "^TestMNIST$" }),
	{name: "parity", stage: 2, limit: 120 * time.Second, keys: regexp.MustCompile(`(?m)^\d+ passed, \d+ failed$`),
		command: func(r *runner) (command, string) {
			ops := paritySample
			if r.tiny {
				ops = "^tril$"
			}
			return command{args: []string{r.python, "internal/parity/opinfo.py", "--dtypes", "float32", "--ops", ops, "--", r.program("parity"), "-device", r.device}}, ""
		}},
	sanitizer("memcheck", `^TestOpsOnCUDA$/./^(exp|where|softmax|cross_entropy|layer_norm|sum_axis|cumsum|sort|scatter_add|max_pool2d|conv2d|matmul|attention_causal)$`),
	sanitizer("racecheck", `^TestOpsOnCUDA$/./^(softmax|cross_entropy|layer_norm|sum_axis|cumsum|sort|attention_causal)$`),
	bench("speed", 3, 200*time.Second),
	bench("curves", 4, 90*time.Second),
	bench("memory", 5, 60*time.Second),
	bench("waits", 6, 30*time.Second),
	bench("flat", 7, 60*time.Second),
	profile,
}

// paritySample are the names of OpInfo whose samples are walked: some of each family.
const paritySample = `^(add|div|exp|where|clamp|sum|amax|std|argmax|cumsum|sort|topk|gather|scatter_add|index_select|index_add|matmul|bmm|cat|permute|` +
	`nn\.functional\.(linear|conv2d|embedding|gelu|softmax|layer_norm|batch_norm|cross_entropy|max_pool2d|scaled_dot_product_attention))$`

// bench is one check of internal/bench.
func bench(check string, stage int, limit time.Duration) part {
	return part{name: check, stage: stage, limit: limit, keys: resultLine, page: true, command: func(r *runner) (command, string) {
		args := []string{r.program("bench"), "-device", r.device, "-check", check, "-rounds", "7", "-window", "300ms"}
		if r.tiny {
			args = append(args, "-tiny", "-rounds", "1", "-window", "1ms", "-steps", "60")
			switch check {
			case "curves", "memory":
				args = append(args, "-only", "gpt2")
			case "speed":
				args = append(args, "-only", "gemm,copy,softmax")
			case "compile":
				return command{}, "PyTorch compiles for a GPU"
			}
		}
		return command{args: args}, ""
	}}
}

// goTest is a test binary, run where its package lies, for its testdata.
func goTest(name, dir, binary string, limit time.Duration, run func(r *runner) string) part {
	return part{name: name, stage: 2, limit: limit, sum: testCounts, judge: ranTests, command: func(r *runner) (command, string) {
		return command{dir: dir, args: []string{r.program(binary), "-test.v", "-test.timeout", limit.String(), "-test.run", run(r)}, env: []string{"DESCENT_GPU=" + r.device}}, ""
	}}
}

// sanitizer is NVIDIA's tool over some rows of the op table.
func sanitizer(tool, run string) part {
	return part{name: tool, stage: 2, limit: 120 * time.Second, sum: testCounts, judge: ranTests, keys: regexp.MustCompile(`(?:ERROR|RACECHECK) SUMMARY: .*`),
		command: func(r *runner) (command, string) {
			path, err := find("compute-sanitizer", "/usr/local/cuda*/bin", "/usr/local/cuda*/compute-sanitizer", "/opt/nvidia/*", "/opt/nvidia/*/*")
			if err != nil {
				return command{}, err.Error()
			}
			return command{dir: "internal/optest", env: []string{"DESCENT_GPU=" + r.device}, args: []string{path, "--tool", tool, "--error-exitcode", "9",
				"--print-limit", "20", r.program("optest.test"), "-test.v", "-test.run", run}}, ""
		}}
}

// profileSteps are those of the profiled run, which has as many again to warm up.
const profileSteps = 200

// profile counts the host's waits with Nsight Systems: there must be fewer than steps.
var profile = part{name: "nsys", stage: 8, limit: 60 * time.Second, judge: fewWaits,
	command: func(r *runner) (command, string) {
		path, err := find("nsys", "/usr/local/cuda*/bin", "/opt/nvidia/nsight-systems/*/bin", "/opt/nvidia/nsight-systems-cli/*/bin")
		if err != nil {
			return command{}, err.Error() + "; the part waits shows the same by the clock"
		}
		return command{args: []string{path, "profile", "--trace", "cuda", "--stats", "true", "--force-overwrite", "true", "--output", r.program("profile"),
			r.program("bench"), "-device", r.device, "-check", "flat", "-steps", strconv.Itoa(profileSteps)}}, ""
	}}

// waitLine is a line of nsys's table of API calls: percent, time, number of calls, …, name.
var waitLine = regexp.MustCompile(`(?m)^\s*[\d.]+\s+[\d,]+\s+([\d,]+)\s.*\b(cu\w*Synchronize)\w*\s*$`)

func fewWaits(output string) error {
	waits := 0
	lines := waitLine.FindAllStringSubmatch(output, -1)
	for _, m := range lines {
		n, err := strconv.Atoi(strings.ReplaceAll(m[1], ",", ""))
		if err != nil {
			return err
		}
		waits += n
	}
	switch {
	case !strings.Contains(output, "cuLaunchKernel"):
		return fmt.Errorf("nsys made no table of the calls")
	case waits >= profileSteps:
		return fmt.Errorf("%d waits in two trainings of %d steps", waits, profileSteps)
	}
	return nil
}

var testLine = regexp.MustCompile(`(?m)^\s*--- (PASS|FAIL|SKIP): `)

// testCounts counts the tests in what -test.v printed, those with subtests included.
func testCounts(output string) string {
	n := map[string]int{}
	for _, m := range testLine.FindAllStringSubmatch(output, -1) {
		n[m[1]]++
	}
	return fmt.Sprintf("%d passed, %d failed, %d skipped", n["PASS"], n["FAIL"], n["SKIP"])
}

// ranTests is an error if no test ran: a run of nothing proves nothing.
func ranTests(output string) error {
	if !strings.Contains(output, "--- PASS: ") {
		return fmt.Errorf("no test ran")
	}
	return nil
}

// crosses counts what doctor marks as missing or wrong.
func crosses(output string) string {
	return fmt.Sprintf("%d well, %d missing or wrong", strings.Count(output, "✓"), strings.Count(output, "✗"))
}
