package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

// accuracies trains each network of examples/mnist for three epochs from three
// seeds, as a newcomer would, and writes what they reach; ok is false if one stays
// below its floor.
func accuracies(w io.Writer) (ok bool, err error) {
	dir, err := os.MkdirTemp("", "descent-accuracy")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "mnist")
	if out, err := exec.Command("go", "build", "-o", program, "./examples/mnist").CombinedOutput(); err != nil {
		return false, fmt.Errorf("%w: %s", err, out)
	}
	last := regexp.MustCompile(`test accuracy ([0-9.]+)%\s*$`)
	fmt.Fprintf(w, "| command | last line | floor | time |\n|---|---|---|---|\n")
	ok = true
	for _, model := range []struct {
		name  string
		floor float64
	}{{"mlp", 97.5}, {"cnn", 99.0}} {
		for seed := range 3 {
			start := time.Now()
			cmd := exec.Command(program, "-model", model.name, "-epochs", "3", "-seed", strconv.Itoa(seed))
			cmd.Stderr = os.Stderr
			out, err := cmd.Output()
			if err != nil {
				return false, err
			}
			m := last.FindSubmatch(out)
			if m == nil {
				return false, fmt.Errorf("%s ended without an accuracy", model.name)
			}
			reached, err := strconv.ParseFloat(string(m[1]), 64)
			if err != nil {
				return false, err
			}
			ok = ok && reached >= model.floor
			fmt.Fprintf(w, "| `go run ./examples/mnist -model %s -epochs 3 -seed %d` | test accuracy %s%% | %.1f%% | %.0f s |\n",
				model.name, seed, m[1], model.floor, time.Since(start).Seconds())
		}
	}
	return ok, nil
}
