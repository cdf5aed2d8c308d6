// Command gpt trains a small GPT-2 on the letters of a book that it carries with it,
// Newton's Opticks, and lets it write on.
//
//	go run ./examples/gpt
//	go run ./examples/gpt -epochs 10 -prompt "The Rays of Light" -temperature 0.5
//	go run ./examples/gpt -device cuda -dtype bfloat16 -capture -layers 12 -heads 12 -width 768 -context 256
//
// Ctrl-C ends the training and goes on to the writing.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"

	"github.com/descent-ml/descent/backend"
	_ "github.com/descent-ml/descent/backend/cpu"
	_ "github.com/descent-ml/descent/backend/cuda"
	"github.com/descent-ml/descent/data"
	"github.com/descent-ml/descent/models"
	"github.com/descent-ml/descent/nn"
	"github.com/descent-ml/descent/optim"
	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/serialize"
	"github.com/descent-ml/descent/tensor"
	"github.com/descent-ml/descent/train"
)

// opticks is the first part of Book One of Isaac Newton's Opticks, the fourth edition
// (London 1730), without its figures and italics.
//
//go:embed opticks.txt
var opticks string

type options struct {
	layers, heads, width, context   int
	epochs, batch, workers          int
	lr, dropout, clip               float64
	seed                            uint64
	device, dtype, text, load, save string
	capture                         bool
	prompt                          string
	tokens, top                     int
	temperature                     float64
}

func main() {
	var o options
	flag.IntVar(&o.layers, "layers", 3, "blocks of the network")
	flag.IntVar(&o.heads, "heads", 4, "attention heads in a block")
	flag.IntVar(&o.width, "width", 96, "features of a letter")
	flag.IntVar(&o.context, "context", 64, "letters that the network looks at")
	flag.IntVar(&o.epochs, "epochs", 4, "passes over the text")
	flag.IntVar(&o.batch, "batch", 16, "pieces of text in a step")
	flag.IntVar(&o.workers, "workers", 1, "goroutines that prepare batches; they do not change the result")
	flag.Float64Var(&o.lr, "lr", 3e-3, "the highest learning rate; it is reached in a tenth of the training and falls along a cosine")
	flag.Float64Var(&o.dropout, "dropout", 0, "`probability` of dropping a feature")
	flag.Float64Var(&o.clip, "clip", 1, "the largest norm of the gradients; 0 leaves them")
	flag.Uint64Var(&o.seed, "seed", 0, "of the weights, the order of the text, dropout and the writing")
	flag.StringVar(&o.device, "device", "cpu", "`device` to train on: cpu, cuda or cuda:1")
	flag.StringVar(&o.dtype, "dtype", "float32", "`type` of products: float32, bfloat16, or float16 with a loss scale")
	flag.BoolVar(&o.capture, "capture", false, "replay steps, as one CUDA graph on a GPU")
	flag.StringVar(&o.text, "text", "", "`file` to learn instead of Newton's Opticks")
	flag.StringVar(&o.load, "load", "", "`file` of a trained network of the same size to begin with")
	flag.StringVar(&o.save, "save", "", "`file` for the trained network")
	flag.StringVar(&o.prompt, "prompt", "The Rays ", "what the writing begins with")
	flag.IntVar(&o.tokens, "tokens", 300, "letters to write")
	flag.IntVar(&o.top, "top", 0, "draw each letter among so many of the most probable ones; 0 is all")
	flag.Float64Var(&o.temperature, "temperature", 0.7, "how boldly to draw; 0 takes the most probable letter")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "gpt: there is no argument %q, only flags\n", flag.Arg(0))
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	if err := run(ctx, os.Stdout, o); err != nil {
		fmt.Fprintln(os.Stderr, "gpt:", err)
		os.Exit(1)
	}
}

// run trains and writes, and prints to out what the user sees of it.
func run(ctx context.Context, out io.Writer, o options) (err error) {
	defer tensor.Catch(&err) // of sizes that make no network
	text := opticks
	if o.text != "" {
		raw, err := os.ReadFile(o.text)
		if err != nil {
			return err
		}
		text = string(raw)
	}
	held := len(text) / 10 // for validation
	switch {
	case o.epochs < 0 || o.batch < 1 || o.context < 1 || o.tokens < 0 || !(o.lr > 0):
		return fmt.Errorf("%d epochs in batches of %d pieces of %d letters at rate %g, and %d letters to write: none of them makes sense below 1, and only epochs and tokens may be 0",
			o.epochs, o.batch, o.context, o.lr, o.tokens)
	case held <= o.context:
		return fmt.Errorf("a text of %d letters is too short for pieces of %d", len(text), o.context)
	case o.prompt == "":
		return errors.New("the prompt is empty")
	}
	dev, err := backend.Open(o.device)
	if err != nil {
		return err
	}
	model := models.NewGPT2(random.New(o.seed), models.GPT2Options{Vocabulary: 256, Positions: o.context,
		Layers: o.layers, Heads: o.heads, Width: o.width, Dropout: &o.dropout, Device: dev})
	if o.load != "" {
		if err := serialize.Load(o.load, model, serialize.LoadOptions{}); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "%d parameters on %v; %d letters to train with, %d to validate\n", nn.Count(model), dev, len(text)-held, held)
	if o.epochs > 0 {
		err := o.train(ctx, out, dev, model, text[:len(text)-held], text[len(text)-held:])
		if err != nil && err != context.Cause(ctx) {
			return err
		}
	}
	if o.save != "" {
		if err := serialize.Save(o.save, model, nil); err != nil {
			return err
		}
	}
	return o.write(out, model)
}

func (o options) train(ctx context.Context, out io.Writer, dev backend.Device, model *models.GPT2, text, held string) error {
	load := func(text string, shift bool) *data.Loader[data.Batch] {
		return data.NewLoader(pieces(text, o.context), collate(text, o.context, shift), dev,
			data.LoaderOptions{BatchSize: o.batch, Shuffle: shift, DropLast: shift, Seed: o.seed, Workers: o.workers})
	}
	loader := load(text, true)
	if loader.Len() == 0 {
		return fmt.Errorf("a text of %d letters has fewer than %d pieces of %d, a batch", len(text), o.batch, o.context)
	}
	var opt optim.Optimizer = optim.NewAdamW(nn.Params(model), optim.AdamW{LR: o.lr, Betas: [2]float64{0.9, 0.95}, WeightDecay: new(0.1)})
	fit := train.FitOptions[data.Batch]{Epochs: o.epochs, Validate: load(held, false), Capture: o.capture, Progress: out, Unit: "pieces"}
	if o.clip > 0 && o.dtype == "float32" {
		fit.BeforeStep = func() error {
			optim.ClipGradNorm(nn.Params(model), o.clip)
			return nil
		}
	}
	switch o.dtype {
	case "float32":
	case "bfloat16":
		opt = train.NewAMP(opt, train.AMPOptions{DType: tensor.BFloat16, ClipNorm: o.clip})
	case "float16":
		opt = train.NewAMP(opt, train.AMPOptions{DType: tensor.Float16, ClipNorm: o.clip})
	default:
		return fmt.Errorf("unknown type %q: float32, bfloat16 and float16 are there", o.dtype)
	}
	steps := o.epochs * loader.Len()
	fit.Schedule = optim.NewScheduler(opt, optim.WarmUp(steps/10, 0.1, optim.CosineAnnealingLR(steps-steps/10, 0)))
	_, err := train.Fit(ctx, loader, opt, func(b data.Batch) (*tensor.Tensor, train.Metrics) {
		loss := nn.CrossEntropy(model.Forward(b.X).Flatten(0, 1), b.Y.Flatten(0, 1))
		return loss, train.Metrics{"bits": loss.DivScalar(math.Ln2)} // for a letter
	}, fit)
	return err
}

// pieces are where the pieces of a text begin.
func pieces(text string, length int) data.Dataset[int] {
	n := (len(text) - 1) / length
	return data.Func(n, func(i int) (int, error) { return i * length, nil })
}

// collate makes a batch of letters and of those that follow each. With shift a piece
// begins up to its length later, at random: no two epochs have the same pieces.
func collate(text string, length int, shift bool) func(p tensor.Place, starts []int) (data.Batch, error) {
	return func(p tensor.Place, starts []int) (data.Batch, error) {
		x, y := make([]uint8, 0, len(starts)*length), make([]uint8, 0, len(starts)*length)
		for _, start := range starts {
			if shift {
				start += int(p.(*tensor.Scope).Rand().Uint64() % uint64(length))
				start = min(start, len(text)-1-length)
			}
			x, y = append(x, text[start:start+length]...), append(y, text[start+1:start+1+length]...)
		}
		shape := []int{len(starts), length}
		return data.Batch{X: tensor.Of(p, x, shape...).To(tensor.Int64), Y: tensor.Of(p, y, shape...).To(tensor.Int64)}, nil
	}
}

// write lets the model go on after the prompt.
func (o options) write(out io.Writer, model *models.GPT2) error {
	prompt := make([]int64, len(o.prompt))
	for i := range prompt {
		prompt[i] = int64(o.prompt[i])
	}
	text := []byte(o.prompt)
	if o.tokens > 0 {
		g := models.GenerateOptions{Temperature: o.temperature, TopK: o.top, Rand: random.Derive(o.seed, 1)}
		for token := range model.Generate(prompt, g) {
			if text = append(text, byte(token)); len(text) == len(o.prompt)+o.tokens {
				break
			}
		}
	}
	_, err := fmt.Fprintf(out, "\n%s\n", text)
	return err
}
