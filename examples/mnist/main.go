// Command mnist trains a network on the MNIST digits, which it carries with it.
//
//	go run ./examples/mnist
//	go run ./examples/mnist -model mlp -epochs 5 -save mlp.safetensors -plot curves.png
//
// Ctrl-C saves a checkpoint and prints the command that goes on from it, to the
// same bits as without the stop.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/descent-ml/descent/backend"
	_ "github.com/descent-ml/descent/backend/cpu"
	_ "github.com/descent-ml/descent/backend/cuda"
	"github.com/descent-ml/descent/data"
	"github.com/descent-ml/descent/data/datasets"
	mnistdata "github.com/descent-ml/descent/examples/mnist/data"
	"github.com/descent-ml/descent/models"
	"github.com/descent-ml/descent/nn"
	"github.com/descent-ml/descent/optim"
	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/serialize"
	"github.com/descent-ml/descent/tensor"
	"github.com/descent-ml/descent/train"
)

// settings are the flags that a training is a function of; a checkpoint has them.
type settings struct {
	Model  string  `json:"model"`
	Epochs int     `json:"epochs"`
	Batch  int     `json:"batch"`
	LR     float64 `json:"lr"`
	Seed   uint64  `json:"seed"`
}

func (s settings) String() string {
	return fmt.Sprintf("-model %s -epochs %d -batch %d -lr %g -seed %d", s.Model, s.Epochs, s.Batch, s.LR, s.Seed)
}

type options struct {
	settings
	device, data, save, resume, plot string
	workers                          int
	capture                          bool
}

func main() {
	var o options
	flag.StringVar(&o.Model, "model", "cnn", "`network`: cnn or mlp")
	flag.IntVar(&o.Epochs, "epochs", 3, "passes over the 60,000 training images")
	flag.IntVar(&o.Batch, "batch", 32, "images in a step")
	flag.Float64Var(&o.LR, "lr", 1e-3, "the highest learning rate; it is reached in a tenth of the training and falls along a cosine")
	flag.Uint64Var(&o.Seed, "seed", 0, "of the weights, the order of the images, and dropout")
	flag.StringVar(&o.device, "device", "cpu", "`device` to train on: cpu, cuda, cuda:1")
	flag.BoolVar(&o.capture, "capture", false, "record a step and replay it; it does not change the result")
	flag.StringVar(&o.data, "data", "", "`folder` of the four IDX files, instead of those that come along (Fashion-MNIST's fit too)")
	flag.StringVar(&o.save, "save", "", "`file` for the trained network and the state of the training")
	flag.StringVar(&o.resume, "resume", "", "`file` to go on from, with the flags it was made with")
	flag.StringVar(&o.plot, "plot", "", "PNG `file` for the curves of loss and accuracy")
	flag.IntVar(&o.workers, "workers", 1, "goroutines that prepare batches; they do not change the result")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "mnist: there is no argument %q, only flags\n", flag.Arg(0))
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	if err := run(ctx, os.Stdout, o); err != nil {
		fmt.Fprintln(os.Stderr, "mnist:", err)
		os.Exit(1)
	}
}

// run trains and tests, and writes to out what the user sees of it.
func run(ctx context.Context, out io.Writer, o options) error {
	if o.Epochs < 1 || o.Batch < 1 || o.workers < 0 || !(o.LR > 0) {
		return fmt.Errorf("%v with %d workers makes no training", o.settings, o.workers)
	}
	for _, path := range []string{o.save, o.plot} { // not after all the work
		if info, err := os.Stat(filepath.Dir(path)); err != nil {
			return fmt.Errorf("there is no folder for %s: %w", path, err)
		} else if !info.IsDir() {
			return fmt.Errorf("there is no folder for %s: %s is a file", path, filepath.Dir(path))
		}
	}
	dev, err := backend.Open(o.device)
	if err != nil {
		return err
	}
	var files fs.FS = mnistdata.Files
	if o.data != "" {
		files = os.DirFS(o.data)
	}
	training, test, err := datasets.MNIST(files)
	if err != nil {
		return err
	}
	model, err := newModel(o.Model, random.New(o.Seed))
	if err != nil {
		return err
	}
	nn.To(dev, model)

	loader := data.NewLoader(training, shifted(training), dev,
		data.LoaderOptions{BatchSize: o.Batch, Shuffle: true, Seed: o.Seed, Workers: o.workers})
	testLoader := data.NewLoader(test, test.Collate, dev, data.LoaderOptions{BatchSize: 250, Workers: o.workers})
	opt := optim.NewAdamW(nn.Params(model), optim.AdamW{LR: o.LR})
	steps := o.Epochs * loader.Len()
	schedule := optim.NewScheduler(opt, optim.WarmUp(steps/10, 0.1, optim.CosineAnnealingLR(steps-steps/10, 0)))

	checkpoint := func(path string) error {
		position := loader.State()
		c := serialize.Checkpoint{Model: model, Optimizer: opt, Scheduler: schedule,
			Values: map[string]any{"settings": &o.settings, "loader": &position}}
		return c.Save(path)
	}
	if o.resume != "" {
		var made settings
		var position data.State
		c := serialize.Checkpoint{Model: model, Optimizer: opt, Scheduler: schedule,
			Values: map[string]any{"settings": &made, "loader": &position}}
		if err := c.Load(o.resume); err != nil {
			return err
		}
		if made != o.settings {
			return fmt.Errorf("%s was made with %v, not with %v", o.resume, made, o.settings)
		}
		if err := loader.SetState(position); err != nil {
			return fmt.Errorf("%s: %w", o.resume, err)
		}
	}

	fmt.Fprintf(out, "%s of %d parameters on %v, %d threads; %d images to train with, %d to test\n",
		o.Model, nn.Count(model), dev, runtime.GOMAXPROCS(0), training.Len(), test.Len())
	loss := func(b data.Batch) (*tensor.Tensor, train.Metrics) {
		logits := model.Forward(b.X)
		return nn.CrossEntropy(logits, b.Y), train.Metrics{"accuracy": train.Accuracy(logits, b.Y)}
	}
	history, err := train.Fit(ctx, loader, opt, loss, train.FitOptions[data.Batch]{
		Epochs: o.Epochs, Validate: testLoader, Schedule: schedule, Capture: o.capture,
		Progress: out, Unit: "images",
	})
	if err != nil {
		if err == context.Cause(ctx) { // and no other error with it
			return interrupted(out, o, checkpoint)
		}
		return err
	}
	if o.save != "" {
		if err := checkpoint(o.save); err != nil {
			return err
		}
	}
	if o.plot != "" {
		if err := plotHistory(o.plot, history, loader.Len()); err != nil {
			return err
		}
	}
	result, err := train.Eval(ctx, testLoader, loss)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "test accuracy %.2f%%\n", 100*result["accuracy"])
	return nil
}

// shifted is the collate function of d with each image moved at random, by a pixel
// at most in each direction: a network that has seen a digit here knows it there.
func shifted(d *datasets.Images) func(p tensor.Place, samples []datasets.Image) (data.Batch, error) {
	return func(p tensor.Place, samples []datasets.Image) (data.Batch, error) {
		rng := p.(*tensor.Scope).Rand()
		for i := range samples {
			n := rng.Uint64() % 9
			samples[i].Pixels = shift(samples[i].Pixels, d.Width, int(n%3)-1, int(n/3)-1)
		}
		return d.Collate(p, samples)
	}
}

// shift moves an image by dx and dy; what comes in is black.
func shift(pixels []uint8, width, dx, dy int) []uint8 {
	out := make([]uint8, len(pixels))
	for y := range len(pixels) / width {
		for x := range width {
			if fx, fy := x-dx, y-dy; fx >= 0 && fx < width && fy >= 0 && fy < len(pixels)/width {
				out[y*width+x] = pixels[fy*width+fx]
			}
		}
	}
	return out
}

func newModel(name string, rng *random.Generator) (nn.Module, error) {
	switch name {
	case "cnn":
		return models.NewMNISTCNN(rng), nil
	case "mlp":
		return models.NewMNISTMLP(rng), nil
	}
	return nil, fmt.Errorf("unknown model %q: cnn and mlp are there", name)
}

// interrupted saves what Ctrl-C stopped and tells how to go on.
func interrupted(out io.Writer, o options, checkpoint func(path string) error) error {
	path := o.save
	if path == "" {
		path = "mnist-" + o.Model + ".safetensors"
	}
	if err := checkpoint(path); err != nil {
		return err
	}
	again := []string{"go run ./examples/mnist", o.settings.String()}
	for _, f := range []struct{ name, value string }{{"device", o.device}, {"data", o.data}, {"save", o.save}, {"plot", o.plot}} {
		if f.value != "" && (f.name != "device" || f.value != "cpu") {
			again = append(again, "-"+f.name, f.value)
		}
	}
	fmt.Fprintf(out, "\nstopped; the checkpoint is %s. To go on:\n  %s -resume %s\n", path, strings.Join(again, " "), path)
	return nil
}
