package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// tiny is a training of a second.
func tiny() options {
	return options{layers: 1, heads: 2, width: 32, context: 16, epochs: 1, batch: 8, lr: 1e-2, clip: 1, device: "cpu", dtype: "float32",
		prompt: "The ", tokens: 20, temperature: 0.5}
}

func mustRun(t *testing.T, o options) string {
	t.Helper()
	var out bytes.Buffer
	if err := run(context.Background(), &out, o); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	return out.String()
}

// book is a file with a sentence many times.
func book(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "book.txt")
	if err := os.WriteFile(path, []byte(strings.Repeat("The Rays of Light are refracted. ", 120)), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestItLearnsASentenceByHeart(t *testing.T) {
	for _, dtype := range []string{"float32", "bfloat16", "float16"} {
		o := tiny()
		o.text, o.epochs, o.dtype, o.temperature, o.tokens = book(t), 8, dtype, 0, 60
		out := mustRun(t, o)
		if want := "The Rays of Light are refracted. The Rays of Light are refracte"; !strings.Contains(out, want) {
			t.Errorf("%s: it writes %s", dtype, out)
		}
	}
}

func TestTheBookThatComesAlongIsLearnt(t *testing.T) {
	o := tiny()
	o.context = 32
	out := mustRun(t, o)
	bits := regexp.MustCompile(`epoch 1/1 .* validation loss [0-9.]+ bits ([0-9.]+)`).FindStringSubmatch(out)
	if bits == nil {
		t.Fatalf("no bits for a letter of the validation:\n%s", out)
	}
	if v, err := strconv.ParseFloat(bits[1], 64); err != nil || !(v > 1 && v < 4) { // 8 know nothing, 4.3 or so know how frequent each letter is
		t.Errorf("after an epoch a letter takes %v bits (%v)", v, err)
	}
}

// writing is what is printed after the training, whose times differ.
func writing(out string) string { return out[strings.LastIndex(out, "\n\n"):] }

func TestTheWritingIsAFunctionOfTheFlags(t *testing.T) {
	o := tiny()
	o.text, o.epochs, o.dropout = book(t), 2, 0.1
	first := writing(mustRun(t, o))
	for name, change := range map[string]func(*options){
		"workers": func(o *options) { o.workers = 2 },
		"capture": func(o *options) { o.capture = true },
	} {
		p := o
		if change(&p); writing(mustRun(t, p)) != first {
			t.Errorf("with %s it writes something else", name)
		}
	}
	o.seed = 1
	if writing(mustRun(t, o)) == first {
		t.Error("with another seed it writes the same")
	}
}

func TestASavedNetworkWritesOn(t *testing.T) {
	o := tiny()
	o.text, o.save = book(t), filepath.Join(t.TempDir(), "gpt.safetensors")
	first := writing(mustRun(t, o))
	o.load, o.save, o.epochs, o.seed = o.save, "", 0, 0
	if got := writing(mustRun(t, o)); got != first {
		t.Errorf("it writes %q, the one that was trained %q", got, first)
	}
}

func TestBadInputIsSaid(t *testing.T) {
	short := filepath.Join(t.TempDir(), "short.txt")
	if err := os.WriteFile(short, []byte("Fiat lux. And there was light."), 0o644); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*options){
		"too short":         func(o *options) { o.text = short },
		"no such file":      func(o *options) { o.text = short + ".not" },
		"unknown type":      func(o *options) { o.dtype = "int8" },
		"makes sense":       func(o *options) { o.context = 0 },
		"does not split":    func(o *options) { o.heads = 3 },
		"prompt is empty":   func(o *options) { o.prompt = "" },
		"tpu":               func(o *options) { o.device = "tpu" },
		"no probability":    func(o *options) { o.dropout = 2 },
		"not fit the model": func(o *options) { o.load = saved(t) },
	} {
		o := tiny()
		change(&o)
		if err := run(context.Background(), &bytes.Buffer{}, o); err == nil || !strings.Contains(strings.ToLower(fmt.Sprint(err)), want) {
			t.Errorf("%q is not said: %v", want, err)
		}
	}
}

// saved is the file of a network of another size.
func saved(t *testing.T) string {
	o := tiny()
	o.width, o.epochs, o.save = 16, 0, filepath.Join(t.TempDir(), "gpt.safetensors")
	mustRun(t, o)
	return o.save
}

func TestCtrlCGoesOnToTheWriting(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var out bytes.Buffer
	o := tiny()
	o.text = book(t)
	if err := run(ctx, &out, o); err != nil || !strings.Contains(out.String(), "\n\nThe ") {
		t.Errorf("%v: %s", err, out.String())
	}
}
