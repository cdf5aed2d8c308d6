package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// accuracies trains each network of examples/mnist for three epochs from three
// seeds, as a newcomer would, and writes what they reach; ok is false if one stays
// below its floor. What a training printed is kept in logs, so that a run that was
// interrupted goes on.
func accuracies(w io.Writer, logs string) (ok bool, err error) {
	if err := os.MkdirAll(logs, 0o755); err != nil {
		return false, err
	}
	last := regexp.MustCompile(`test accuracy ([0-9.]+)%\s*$`)
	fmt.Fprintf(w, "| command | last line | floor |\n|---|---|---|\n")
	ok = true
	for _, model := range []struct {
		name  string
		floor float64
	}{{"mlp", 97.5}, {"cnn", 99.0}} {
		for seed := range 3 {
			log := filepath.Join(logs, fmt.Sprintf("%s-%d.log", model.name, seed))
			args := []string{"run", "./examples/mnist", "-model", model.name, "-epochs", "3", "-seed", strconv.Itoa(seed)}
			out, err := os.ReadFile(log)
			if err != nil {
				cmd := exec.Command("go", args...)
				cmd.Stderr = os.Stderr
				if out, err = cmd.Output(); err != nil {
					return false, err
				}
				if err := os.WriteFile(log, out, 0o644); err != nil {
					return false, err
				}
			}
			m := last.FindSubmatch(out)
			if m == nil {
				return false, fmt.Errorf("%s ends without an accuracy", log)
			}
			reached, err := strconv.ParseFloat(string(m[1]), 64)
			if err != nil {
				return false, err
			}
			ok = ok && reached >= model.floor
			fmt.Fprintf(w, "| `go %s` | test accuracy %s%% | %.1f%% |\n", strings.Join(args, " "), m[1], model.floor)
		}
	}
	return ok, nil
}
