package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/descent-ml/descent/tensor"
)

// The protocol is described at the top of ../wire.py.
const version = 1

// Frames come from our own parent, but a stray byte must not look like memory
// exhausted.
const (
	maxHeader = 64 << 20
	maxBody   = 4 << 30
)

type request struct {
	ID         int
	Do         string
	Op         string
	Input      any
	Args       []any
	Kwargs     map[string]any
	Tensors    []wireTensor
	Wrt        []int
	Cotangents []*int
	Second     []*int
}

type wireTensor struct {
	DType  string `json:"dtype"`
	Shape  []int  `json:"shape"`
	Stride []int  `json:"stride,omitempty"`
	At     int    `json:"at"`
	Size   int    `json:"size"`
}

type reply struct {
	ID      int           `json:"id"`
	Version int           `json:"version,omitempty"`
	Ops     []string      `json:"ops,omitempty"`
	Outputs []*wireTensor `json:"outputs,omitempty"`
	Grads   []*wireTensor `json:"grads,omitempty"`
	Second  []*wireTensor `json:"second,omitempty"`
	Error   *failure      `json:"error,omitempty"`

	body []byte
}

type failure struct {
	Stage string `json:"stage"`
	Kind  string `json:"kind"`
	Text  string `json:"text"`
}

// readFrame returns io.EOF where the stream ends between two frames.
func readFrame(r io.Reader) (request, []byte, error) {
	var q request
	var lengths [12]byte
	if _, err := io.ReadFull(r, lengths[:]); err != nil {
		return q, nil, err
	}
	h, b := binary.LittleEndian.Uint32(lengths[:]), binary.LittleEndian.Uint64(lengths[4:])
	if h > maxHeader || b > maxBody {
		return q, nil, fmt.Errorf("a frame of %d + %d bytes", h, b)
	}
	frame := make([]byte, uint64(h)+b)
	if _, err := io.ReadFull(r, frame); err != nil {
		return q, nil, fmt.Errorf("inside a frame: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(frame[:h]))
	d.UseNumber() // 3 is an int and 3.0 a float
	if err := d.Decode(&q); err != nil {
		return q, nil, fmt.Errorf("a frame's header: %w", err)
	}
	return q, frame[h:], nil
}

func (r *reply) write(w io.Writer) error {
	header, err := json.Marshal(r)
	if err != nil {
		return err
	}
	lengths := binary.LittleEndian.AppendUint32(nil, uint32(len(header)))
	lengths = binary.LittleEndian.AppendUint64(lengths, uint64(len(r.body)))
	for _, part := range [][]byte{lengths, header, r.body} {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// put appends tensors to the body; a nil is a gradient of zero.
func (r *reply) put(ts []*tensor.Tensor) []*wireTensor {
	described := make([]*wireTensor, len(ts))
	for i, t := range ts {
		if t == nil {
			continue
		}
		raw := t.Bytes()
		described[i] = &wireTensor{DType: t.DType().String(), Shape: append([]int{}, t.Shape()...), At: len(r.body), Size: len(raw)}
		r.body = append(r.body, raw...)
	}
	return described
}

// Values of the protocol that have no Go type of their own. A value is one of
// nil, bool, string, int64, float64, []any, *tensor.Tensor or these.
type (
	dtypeName string
	ellipsis  struct{}
	slicing   struct{ start, stop, step any }
	python    string // what only Python knows
)

// value decodes what encoding/json made of a value.
func value(v any, tensors []*tensor.Tensor) (any, error) {
	switch v := v.(type) {
	case nil, bool, string:
		return v, nil
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			return v.Float64()
		}
		return v.Int64()
	case []any:
		list := make([]any, len(v))
		for i, x := range v {
			var err error
			if list[i], err = value(x, tensors); err != nil {
				return nil, err
			}
		}
		return list, nil
	case map[string]any:
		if len(v) == 1 {
			for kind, x := range v {
				return tagged(kind, x, tensors)
			}
		}
	}
	return nil, fmt.Errorf("not a value: %v", v)
}

func tagged(kind string, x any, tensors []*tensor.Tensor) (any, error) {
	x, err := value(x, tensors)
	if err != nil {
		return nil, err
	}
	text, _ := x.(string)
	switch kind {
	case "tensor":
		if i, ok := x.(int64); ok && i >= 0 && i < int64(len(tensors)) {
			return tensors[i], nil
		}
	case "float":
		switch text {
		case "inf":
			return math.Inf(1), nil
		case "-inf":
			return math.Inf(-1), nil
		case "nan":
			return math.NaN(), nil
		}
	case "dtype":
		return dtypeName(text), nil
	case "python":
		return python(text), nil
	case "ellipsis":
		return ellipsis{}, nil
	case "slice":
		if s, ok := x.([]any); ok && len(s) == 3 {
			return slicing{s[0], s[1], s[2]}, nil
		}
	}
	return nil, fmt.Errorf("not a value: {%q: %v}", kind, x)
}
