package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBadInputIsAClearErrorAndSparesTheCheckpoint: every mistake is an error that
// says what is wrong and where, and a checkpoint of an earlier training stays.
func TestBadInputIsAClearErrorAndSparesTheCheckpoint(t *testing.T) {
	good := digits(t, 100, 20)
	folder := t.TempDir()
	earlier := filepath.Join(folder, "mlp.safetensors")
	o := small("mlp", good)
	o.save = earlier
	if err := run(t.Context(), io.Discard, o); err != nil {
		t.Fatal(err)
	}
	checkpoint := read(t, earlier)

	// damaged is a copy of the images with one file changed.
	damaged := func(name string, change func([]byte) []byte) func(*options) {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(good)); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		write(t, path, change(read(t, path)))
		return func(o *options) { o.data = dir }
	}
	empty := t.TempDir()
	for _, part := range []string{"train", "t10k"} {
		write(t, filepath.Join(empty, part+"-images-idx3-ubyte"), []byte{0, 0, 8, 3, 0, 0, 0, 0, 0, 0, 0, 28, 0, 0, 0, 28})
		write(t, filepath.Join(empty, part+"-labels-idx1-ubyte"), []byte{0, 0, 8, 1, 0, 0, 0, 0})
	}
	broken := filepath.Join(folder, "broken.safetensors")
	write(t, broken, checkpoint[:len(checkpoint)/2])
	text := filepath.Join(folder, "notes.txt")
	write(t, text, []byte("no checkpoint"))

	for name, c := range map[string]struct {
		change func(*options)
		says   []string
	}{
		"unknown device":     {func(o *options) { o.device = "tpu" }, []string{`unknown device "tpu"`, "cpu"}},
		"no such cpu":        {func(o *options) { o.device = "cpu:7" }, []string{"cpu:7"}},
		"unknown model":      {func(o *options) { o.Model = "vit" }, []string{`unknown model "vit"`, "cnn", "mlp"}},
		"no epochs":          {func(o *options) { o.Epochs = 0 }, []string{"-epochs 0"}},
		"no batch":           {func(o *options) { o.Batch = -1 }, []string{"-batch -1"}},
		"negative rate":      {func(o *options) { o.LR = -1 }, []string{"-lr -1"}},
		"missing folder":     {func(o *options) { o.data = filepath.Join(folder, "nowhere") }, []string{"train-images-idx3-ubyte", "not exist"}},
		"empty folder":       {func(o *options) { o.data = t.TempDir() }, []string{"train-images-idx3-ubyte", "not exist"}},
		"empty dataset":      {func(o *options) { o.data = empty }, []string{"train-images-idx3-ubyte", "no images"}},
		"truncated images":   {damaged("t10k-images-idx3-ubyte", func(b []byte) []byte { return b[:len(b)-5] }), []string{"t10k-images-idx3-ubyte", "after 15675 of 15680 bytes"}},
		"trailing bytes":     {damaged("train-images-idx3-ubyte", func(b []byte) []byte { return append(b, 0) }), []string{"train-images-idx3-ubyte", "more follows"}},
		"another magic":      {damaged("train-labels-idx1-ubyte", func(b []byte) []byte { b[0] = 1; return b }), []string{"train-labels-idx1-ubyte", "magic number"}},
		"label out of range": {damaged("train-labels-idx1-ubyte", func(b []byte) []byte { b[8+37] = 10; return b }), []string{"train-labels-idx1-ubyte", "label 37 is 10"}},
		"NaN loss":           {func(o *options) { o.LR = 1e30 }, []string{"the loss is ", " at step "}},
		"save nowhere":       {func(o *options) { o.save = filepath.Join(folder, "no", "file") }, []string{"folder", filepath.Join("no", "file")}},
		"plot nowhere":       {func(o *options) { o.plot = filepath.Join(folder, "no", "file.png") }, []string{"folder", "file.png"}},
		"save below a file":  {func(o *options) { o.save = filepath.Join(earlier, "file") }, []string{"folder", earlier}},

		"resume from nothing":       {func(o *options) { o.resume = filepath.Join(folder, "none") }, []string{filepath.Join(folder, "none")}},
		"resume from half a file":   {func(o *options) { o.resume = broken }, []string{"broken.safetensors"}},
		"resume from a text":        {func(o *options) { o.resume = text }, []string{"notes.txt"}},
		"resume with other flags":   {func(o *options) { o.resume = earlier; o.Batch = 16 }, []string{earlier, "made with", "-batch 32", "-batch 16"}},
		"resume with another model": {func(o *options) { o.resume = earlier; o.Model = "cnn" }, []string{earlier, "missing", "conv1.weight", "unexpected", "fc3.weight", "mismatched", "fc1.weight"}},
		"resume with other images":  {func(o *options) { o.resume = earlier; o.data = "" }, []string{earlier, "100 samples", "60000"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := small("mlp", good)
			o.save = earlier
			c.change(&o)
			var out strings.Builder
			err := run(t.Context(), &out, o)
			if err == nil {
				t.Fatalf("no error; it printed %q", &out)
			}
			for _, part := range c.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error lacks %q: %v", part, err)
				}
			}
			if strings.Contains(out.String(), "accuracy 9") || strings.Contains(out.String(), "test accuracy") {
				t.Errorf("it printed %q", &out)
			}
			if !bytes.Equal(read(t, earlier), checkpoint) {
				t.Error("the earlier checkpoint has changed")
			}
		})
	}
}

// A loss that is NaN when Ctrl-C comes must not be saved as a training to resume.
func TestCtrlCSavesNoCheckpointOfABadLoss(t *testing.T) {
	o := small("mlp", digits(t, 300, 20))
	o.LR, o.workers, o.save = 1e30, 1, filepath.Join(t.TempDir(), "checkpoint")
	write(t, o.save, []byte("earlier"))
	err := run(newStopAfter(t, 14), io.Discard, o)
	if err == nil || !strings.Contains(err.Error(), "the loss is ") || !strings.Contains(err.Error(), "canceled") {
		t.Errorf("the error is %v", err)
	}
	if string(read(t, o.save)) != "earlier" {
		t.Error("it has saved what the loss had spoilt")
	}
}
