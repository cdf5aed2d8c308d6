package serialize

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/descent-ml/descent/internal/atomicfile"
	"github.com/descent-ml/descent/optim"
	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/serialize/safetensors"
	"github.com/descent-ml/descent/tensor"
)

// reserved begins the names of tensors that are not the model's; no field of a
// Go struct gives a name with a slash.
const reserved = "optimizer/"

const (
	metadataKey = "descent"
	version     = 1
)

// Checkpoint is a whole training state, in one file: what is nil is left out of
// it, and must be nil to load it again.
//
// The model's tensors stand under their own names beside the optimizer's, whose
// names begin with "optimizer/". PyTorch opens it so:
//
//	state = safetensors.torch.load_file(path)
//	model.load_state_dict({k: v for k, v in state.items() if "/" not in k})
type Checkpoint struct {
	Model      any
	Optimizer  optim.Optimizer
	Scheduler  *optim.Scheduler
	Generators map[string]*random.Generator
	// Values are saved as JSON and loaded into: pointers, or types with
	// MarshalJSON and UnmarshalJSON such as a loader, whose position this is.
	Values map[string]any
}

// header is what of a checkpoint is no tensor; it stands in the metadata.
type header struct {
	Version    int                        `json:"version"`
	Optimizer  *optimizerState            `json:"optimizer,omitempty"`
	Schedule   *int                       `json:"schedule,omitempty"`
	Generators map[string]string          `json:"generators,omitempty"`
	Values     map[string]json.RawMessage `json:"values,omitempty"`
}

type optimizerState struct {
	Steps  map[string]int64 `json:"steps"`
	Groups []groupState     `json:"groups"`
}

type groupState struct {
	LR          float64 `json:"lr"`
	WeightDecay float64 `json:"weight_decay"`
}

// Save writes c to a file, atomically; an earlier file stays as it was if
// anything fails. Equal states give equal bytes: keys are sorted and nothing
// tells the time.
func (c *Checkpoint) Save(path string) error {
	return atomicfile.Write(path, c.write)
}

func (c *Checkpoint) write(w io.Writer) (err error) {
	defer tensor.Catch(&err)
	h := header{Version: version, Generators: map[string]string{}, Values: map[string]json.RawMessage{}}
	entries := stateEntries(c.Model)
	if c.Optimizer != nil {
		h.Optimizer = &optimizerState{Steps: c.Optimizer.Steps()}
		for _, g := range c.Optimizer.Groups() {
			h.Optimizer.Groups = append(h.Optimizer.Groups, groupState{g.LR, g.WeightDecay})
		}
		for name, t := range c.Optimizer.State() {
			entries = append(entries, entry(reserved+name, t))
		}
	}
	if c.Scheduler != nil {
		h.Schedule = new(c.Scheduler.LastStep())
	}
	for name, g := range c.Generators {
		text, err := g.MarshalText()
		if err != nil {
			return fmt.Errorf("serialize: generator %s: %w", name, err)
		}
		h.Generators[name] = string(text)
	}
	for name, v := range c.Values {
		raw, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("serialize: value %s: %w", name, err)
		}
		h.Values[name] = raw
	}
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	return safetensors.Write(w, withFormat(map[string]string{metadataKey: string(text)}), entries)
}

// Load reads a checkpoint into the parts of c. It checks all of the file before
// it changes anything: a checkpoint of another architecture or optimizer is an
// error and leaves c as it was.
func (c *Checkpoint) Load(path string) (err error) {
	defer tensor.Catch(&err)
	f, err := safetensors.OpenFile(path)
	if err != nil {
		return err
	}
	defer f.Close()
	fail := func(format string, args ...any) error {
		return fmt.Errorf("serialize: checkpoint %s: "+format, append([]any{path}, args...)...)
	}
	text, ok := f.Metadata()[metadataKey]
	if !ok {
		return fail("it has no training state, only tensors: serialize.Load reads those")
	}
	var h header
	if err := json.Unmarshal([]byte(text), &h); err != nil {
		return fail("its training state is damaged: %w", err)
	}
	if h.Version != version {
		return fail("it has version %d of the training state, this program reads %d", h.Version, version)
	}
	assign, err := plan(f, path, c.Model, LoadOptions{})
	if err != nil {
		return err
	}
	if err := c.matches(&h); err != nil {
		return fail("%w", err)
	}
	generators := map[string]*random.Generator{}
	for name, text := range h.Generators {
		generators[name] = new(random.Generator)
		if err := generators[name].UnmarshalText([]byte(text)); err != nil {
			return fail("generator %s: %w", name, err)
		}
	}
	state := map[string]*tensor.Tensor{}
	for _, name := range f.Names() {
		if short, ok := strings.CutPrefix(name, reserved); ok {
			if state[short], err = read(f, name); err != nil {
				return err
			}
		}
	}
	restore, err := c.setValues(h.Values)
	if err != nil {
		return fail("%w", err)
	}
	if c.Optimizer != nil {
		if err := c.Optimizer.SetState(state, h.Optimizer.Steps); err != nil {
			restore()
			return fail("%w", err)
		}
	}
	for _, t := range state {
		t.Release()
	}
	if c.Scheduler != nil {
		if err := c.Scheduler.SetStep(*h.Schedule); err != nil {
			return fail("%w", err)
		}
	}
	if c.Optimizer != nil {
		for i, g := range c.Optimizer.Groups() {
			g.LR, g.WeightDecay = h.Optimizer.Groups[i].LR, h.Optimizer.Groups[i].WeightDecay
		}
	}
	for name, g := range generators {
		*c.Generators[name] = *g
	}
	return assign()
}

// matches checks that c and the file have the same parts.
func (c *Checkpoint) matches(h *header) error {
	for _, part := range []struct {
		name       string
		have, want bool
	}{{"an optimizer", h.Optimizer != nil, c.Optimizer != nil}, {"a schedule", h.Schedule != nil, c.Scheduler != nil}} {
		if part.have != part.want {
			return fmt.Errorf("the file has %s: %v, this program: %v", part.name, part.have, part.want)
		}
	}
	if h.Optimizer != nil && len(h.Optimizer.Groups) != len(c.Optimizer.Groups()) {
		return fmt.Errorf("the file has %d parameter groups, the optimizer %d", len(h.Optimizer.Groups), len(c.Optimizer.Groups()))
	}
	if h.Schedule != nil && *h.Schedule < 0 {
		return fmt.Errorf("its schedule is at step %d", *h.Schedule)
	}
	if have, want := keys(h.Generators), keys(c.Generators); !slices.Equal(have, want) {
		return fmt.Errorf("the file has generators %v, this program %v", have, want)
	}
	if have, want := keys(h.Values), keys(c.Values); !slices.Equal(have, want) {
		return fmt.Errorf("the file has values %v, this program %v", have, want)
	}
	return nil
}

func keys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// setValues decodes into c.Values; restore puts the old ones back, and so does
// an error.
func (c *Checkpoint) setValues(values map[string]json.RawMessage) (restore func(), err error) {
	before := map[string]json.RawMessage{}
	restore = func() {
		for name, raw := range before {
			_ = json.Unmarshal(raw, c.Values[name]) // it came from there
		}
	}
	for _, name := range keys(values) {
		raw, err := json.Marshal(c.Values[name])
		if err == nil {
			before[name] = raw
			err = json.Unmarshal(values[name], c.Values[name])
		}
		if err != nil {
			restore()
			return nil, fmt.Errorf("value %s: %w", name, err)
		}
	}
	return restore, nil
}
