package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/descent-ml/descent/backend/cpu"
	"github.com/descent-ml/descent/data/datasets"
	"github.com/descent-ml/descent/data/idx"
	mnistdata "github.com/descent-ml/descent/examples/mnist/data"
)

// asMain in the environment makes the test binary the program itself, for tests
// that need a process of their own.
const asMain = "DESCENT_TEST_MNIST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// mnist are the images that come along, read once.
var mnist = sync.OnceValues(func() (parts [2]*datasets.Images, err error) {
	parts[0], parts[1], err = datasets.MNIST(mnistdata.Files)
	return parts, err
})

// digits returns a folder with the first images of MNIST.
func digits(t *testing.T, training, test int) string {
	t.Helper()
	images, err := mnist()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	writeDigits(t, dir, "train", images[0], training)
	writeDigits(t, dir, "t10k", images[1], test)
	return dir
}

func writeDigits(t *testing.T, dir, part string, d *datasets.Images, n int) {
	t.Helper()
	for name, a := range map[string]*idx.Array{
		"-images-idx3-ubyte": {Dims: []int{n, d.Height, d.Width}, Data: d.Pixels[:n*d.Height*d.Width]},
		"-labels-idx1-ubyte": {Dims: []int{n}, Data: d.Labels[:n]},
	} {
		var file bytes.Buffer
		if err := idx.Write(&file, a); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, part+name), file.Bytes())
	}
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// small are the options of a training that takes a second or less.
func small(model, data string) options {
	return options{settings: settings{Model: model, Epochs: 2, Batch: 32, LR: 1e-3, Seed: 3}, device: "cpu", data: data}
}

// checkpointOf runs o to its end and returns the bytes of the checkpoint.
func checkpointOf(t *testing.T, o options) []byte {
	t.Helper()
	o.save = filepath.Join(t.TempDir(), "checkpoint")
	if err := run(t.Context(), io.Discard, o); err != nil {
		t.Fatal(err)
	}
	return read(t, o.save)
}

// threads sets the number of the kernels' goroutines for the rest of the test.
func threads(t *testing.T, n int) {
	cpu.New(cpu.Options{Threads: n})
	t.Cleanup(func() { cpu.New(cpu.Options{Threads: runtime.GOMAXPROCS(0)}) })
}

// stopAfter is a context that is canceled when its error has been asked for so many
// times, which a training does in every step.
type stopAfter struct {
	context.Context
	stop context.CancelFunc
	left atomic.Int32
}

func newStopAfter(t *testing.T, n int) *stopAfter {
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	c := &stopAfter{Context: ctx, stop: stop}
	c.left.Store(int32(n))
	return c
}

func (c *stopAfter) Err() error {
	if c.left.Add(-1) == 0 {
		c.stop()
	}
	return c.Context.Err()
}
