// Package serialize saves models and whole training states, and loads them. The
// format is safetensors, under PyTorch's names, so that PyTorch opens what
// Descent wrote and the other way round.
package serialize

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/internal/atomicfile"
	"github.com/descent-ml/descent/nn"
	"github.com/descent-ml/descent/serialize/safetensors"
	"github.com/descent-ml/descent/tensor"
)

// Save writes the parameters and buffers of model (its state_dict) to a file,
// atomically: an earlier file stays as it was if anything fails. Equal models
// give equal bytes. metadata may be nil. It waits for the device.
func Save(path string, model any, metadata map[string]string) error {
	return atomicfile.Write(path, func(w io.Writer) error { return Write(w, model, metadata) })
}

// Write is Save to a writer.
func Write(w io.Writer, model any, metadata map[string]string) (err error) {
	defer tensor.Catch(&err)
	return safetensors.Write(w, withFormat(metadata), stateEntries(model))
}

// withFormat adds the key by which Python's libraries know whose tensors these are.
func withFormat(metadata map[string]string) map[string]string {
	out := map[string]string{"format": "pt"}
	for k, v := range metadata {
		out[k] = v
	}
	return out
}

func stateEntries(model any) []safetensors.Entry {
	var out []safetensors.Entry
	for name, t := range nn.State(model) {
		out = append(out, entry(name, t))
	}
	return out
}

var dtypes = map[tensor.DType]safetensors.DType{
	tensor.Float64: safetensors.F64, tensor.Float32: safetensors.F32,
	tensor.Float16: safetensors.F16, tensor.BFloat16: safetensors.BF16,
	tensor.Int64: safetensors.I64, tensor.Int32: safetensors.I32, tensor.Int16: safetensors.I16,
	tensor.Int8: safetensors.I8, tensor.Uint8: safetensors.U8, tensor.Bool: safetensors.Bool,
}

// entry streams t from its device when it is written.
func entry(name string, t *tensor.Tensor) safetensors.Entry {
	return safetensors.Entry{Name: name, DType: dtypes[t.DType()], Shape: t.Shape(), Data: tensorData{t}}
}

type tensorData struct{ t *tensor.Tensor }

func (d tensorData) WriteTo(w io.Writer) (n int64, err error) {
	defer tensor.Catch(&err)
	k, err := w.Write(d.t.Bytes())
	return int64(k), err
}

// LoadOptions are those of Load.
type LoadOptions struct {
	// Loose takes what fits by name and leaves the rest, as strict=False does.
	Loose bool
}

// MismatchError says what does not fit between a file and a model, as PyTorch's
// load_state_dict does.
type MismatchError struct {
	Path       string   // of the file, if it has one
	Missing    []string // the model has them, the file has not
	Unexpected []string // the file has them, the model has not
	Mismatched []string // with the two shapes or dtypes
}

func (e *MismatchError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "serialize: %s does not fit the model:", e.Path)
	for _, part := range []struct {
		what string
		keys []string
	}{{"missing", e.Missing}, {"unexpected", e.Unexpected}, {"mismatched", e.Mismatched}} {
		if len(part.keys) > 0 {
			fmt.Fprintf(&b, " %d %s (%s);", len(part.keys), part.what, shorten(part.keys))
		}
	}
	return strings.TrimSuffix(b.String(), ";")
}

func shorten(keys []string) string {
	const most = 20
	if len(keys) <= most {
		return strings.Join(keys, ", ")
	}
	return strings.Join(keys[:most], ", ") + fmt.Sprintf(" and %d more", len(keys)-most)
}

// Load reads a safetensors file, of PyTorch's or Descent's making, into the
// parameters and buffers of model, by name. Unless all names, shapes and dtypes
// fit, it changes nothing and returns a *MismatchError; floating-point types
// convert into each other. Tensors of a checkpoint that are not the model's do
// not count.
func Load(path string, model any, o LoadOptions) error {
	f, err := safetensors.OpenFile(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return load(f, path, model, o)
}

// Read is Load from a reader of size bytes.
func Read(r io.ReaderAt, size int64, model any, o LoadOptions) error {
	f, err := safetensors.Open(r, size)
	if err != nil {
		return err
	}
	return load(f, "the file", model, o)
}

func load(f *safetensors.File, path string, model any, o LoadOptions) error {
	apply, err := plan(f, path, model, o)
	if err != nil {
		return err
	}
	return apply()
}

// plan checks a file against a model and reads what fits; apply then assigns.
func plan(f *safetensors.File, path string, model any, o LoadOptions) (apply func() error, err error) {
	defer tensor.Catch(&err)
	targets := map[string]*tensor.Tensor{}
	var names []string
	for name, t := range nn.State(model) {
		targets[name] = t
		names = append(names, name)
	}
	e := &MismatchError{Path: path}
	values := map[string]*tensor.Tensor{}
	for _, name := range names {
		info, ok := f.Info(name)
		if !ok {
			e.Missing = append(e.Missing, name)
			continue
		}
		t := targets[name]
		dt, known := dtypeOf(info.DType)
		switch {
		case !slices.Equal(info.Shape, t.Shape()):
			e.Mismatched = append(e.Mismatched, fmt.Sprintf("%s: shape %v in the file, %v in the model", name, info.Shape, t.Shape()))
		case !known || dt != t.DType() && !(dt.IsFloat() && t.DType().IsFloat()):
			e.Mismatched = append(e.Mismatched, fmt.Sprintf("%s: %s in the file, %v in the model", name, info.DType, t.DType()))
		default:
			values[name] = nil
		}
	}
	for _, name := range f.Names() {
		if targets[name] == nil && !strings.HasPrefix(name, reserved) {
			e.Unexpected = append(e.Unexpected, name)
		}
	}
	if o.Loose {
		e.Missing, e.Unexpected = nil, nil
	}
	if len(e.Missing)+len(e.Unexpected)+len(e.Mismatched) > 0 {
		return nil, e
	}
	for name := range values {
		if values[name], err = read(f, name); err != nil {
			return nil, err
		}
	}
	return func() (err error) {
		defer tensor.Catch(&err)
		for _, name := range names {
			if v, t := values[name], targets[name]; v != nil {
				moved := v.ToDevice(t.Device())
				t.Assign(moved)
				if moved != v {
					moved.Release()
				}
				v.Release()
			}
		}
		return nil
	}, nil
}

// read reads one tensor to the CPU.
func read(f *safetensors.File, name string) (*tensor.Tensor, error) {
	info, _ := f.Info(name)
	dt, ok := dtypeOf(info.DType)
	if !ok {
		return nil, fmt.Errorf("serialize: tensor %q is of dtype %s, which Descent lacks", name, info.DType)
	}
	raw, err := f.ReadAll(name)
	if err != nil {
		return nil, err
	}
	host, err := backend.Open("cpu")
	if err != nil {
		return nil, err
	}
	return tensor.FromBytes(host, dt, raw, info.Shape...)
}

func dtypeOf(d safetensors.DType) (tensor.DType, bool) {
	for dt, name := range dtypes {
		if name == d {
			return dt, true
		}
	}
	return 0, false
}
