package models

import (
	"iter"
	"slices"
	"strings"

	"github.com/descent-ml/descent/nn"
	"github.com/descent-ml/descent/serialize"
	"github.com/descent-ml/descent/serialize/safetensors"
)

// Load reads a safetensors file of Hugging Face's GPT-2: what save_pretrained writes,
// or gpt2, gpt2-medium, gpt2-large and gpt2-xl of its hub, whose names lack
// "transformer." and which hold the attention's masks. The head's weight, which is
// that of the embedding, does not count. Unless all the others fit, it changes
// nothing and returns a *serialize.MismatchError.
func (m *GPT2) Load(path string) error {
	f, err := safetensors.OpenFile(path)
	if err != nil {
		return err
	}
	names := f.Names()
	f.Close()
	body := gpt2Body{m: m, prefix: "transformer"}
	if slices.Contains(names, "wte.weight") {
		body.prefix = ""
	}
	e := &serialize.MismatchError{Path: path}
	var wanted []string
	for name := range nn.State(body) {
		if wanted = append(wanted, name); !slices.Contains(names, name) {
			e.Missing = append(e.Missing, name)
		}
	}
	for _, name := range names {
		mask := strings.HasSuffix(name, ".attn.bias") || strings.HasSuffix(name, ".attn.masked_bias")
		if !mask && name != "lm_head.weight" && !slices.Contains(wanted, name) {
			e.Unexpected = append(e.Unexpected, name)
		}
	}
	if len(e.Missing)+len(e.Unexpected) > 0 {
		return e
	}
	return serialize.Load(path, body, serialize.LoadOptions{Loose: true})
}

// gpt2Body is a GPT2 without its head, under the names of a file.
type gpt2Body struct {
	m      *GPT2
	prefix string
}

// Parts implements nn.Parter.
func (b gpt2Body) Parts() iter.Seq2[string, any] {
	return func(yield func(string, any) bool) { yield(b.prefix, b.m.Transformer) }
}
