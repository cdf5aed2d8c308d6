package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/descent-ml/descent/data"
	"github.com/descent-ml/descent/serialize/safetensors"
)

// sizes are the training images of a test: a few batches, the last incomplete.
func sizes() map[string]int {
	if raced {
		return map[string]int{"mlp": 200, "cnn": 70}
	}
	return map[string]int{"mlp": 300, "cnn": 150}
}

func TestTheSeedAloneDecidesTheBitsOfTheCheckpoint(t *testing.T) {
	for model, n := range sizes() {
		t.Run(model, func(t *testing.T) {
			o := small(model, digits(t, n, 40))
			o.Batch = 16
			threads(t, 1)
			want := checkpointOf(t, o)
			for _, c := range []struct{ threads, workers int }{{1, 0}, {2, 1}, {4, 4}, {1, 4}, {4, 0}} {
				cpuThreads, p := c.threads, o
				p.workers = c.workers
				threads(t, cpuThreads)
				if !bytes.Equal(checkpointOf(t, p), want) {
					t.Errorf("%d threads and %d workers made another checkpoint than 1 thread without workers", c.threads, c.workers)
				}
			}
			o.Seed++
			if bytes.Equal(checkpointOf(t, o), want) {
				t.Error("another seed made the same checkpoint")
			}
		})
	}
}

func TestAStoppedTrainingGoesOnToTheSameCheckpoint(t *testing.T) {
	for model, n := range sizes() {
		// Without workers the context is asked for every sample, too.
		for workers, asks := range map[int]int{0: 80, 2: 7} {
			t.Run(fmt.Sprintf("%s/%d workers", model, workers), func(t *testing.T) {
				o := small(model, digits(t, n, 40))
				o.Batch = 16
				want := checkpointOf(t, o)

				o.workers = workers
				o.save = filepath.Join(t.TempDir(), "checkpoint")
				var out strings.Builder
				if err := run(newStopAfter(t, asks), &out, o); err != nil {
					t.Fatal(err)
				}
				at := position(t, o.save)
				batches := (n + o.Batch - 1) / o.Batch
				if at.Epoch >= o.Epochs || at.Batch == 0 || at.Batch >= batches {
					t.Fatalf("stopped at batch %d of %d in epoch %d, which is not in the middle", at.Batch, batches, at.Epoch)
				}
				if again := resumeFlags(t, out.String()); again[len(again)-1] != o.save {
					t.Errorf("it goes on with %q, not from %s", again, o.save)
				}

				o.resume, o.workers = o.save, 2-workers
				threads(t, 1)
				out.Reset()
				if err := run(t.Context(), &out, o); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(read(t, o.save), want) {
					t.Errorf("the training that stopped at epoch %d, batch %d ended with another checkpoint", at.Epoch, at.Batch)
				}
				if !strings.Contains(out.String(), "test accuracy") {
					t.Errorf("no accuracy in %q", &out)
				}
			})
		}
	}
}

// position is the loader's in a checkpoint.
func position(t *testing.T, path string) data.State {
	t.Helper()
	f, err := safetensors.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var h struct {
		Values struct {
			Loader data.State `json:"loader"`
		} `json:"values"`
	}
	if err := json.Unmarshal([]byte(f.Metadata()["descent"]), &h); err != nil {
		t.Fatal(err)
	}
	return h.Values.Loader
}

// resumeFlags are those of the command that an interrupted training prints.
func resumeFlags(t *testing.T, output string) []string {
	t.Helper()
	_, command, ok := strings.Cut(output, "To go on:\n  go run ./examples/mnist ")
	if !ok {
		t.Fatalf("no command to go on with in %q", output)
	}
	return strings.Fields(command)
}
