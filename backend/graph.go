package backend

import (
	"encoding/binary"
	"math"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// Graph is a sequence of device calls that is issued as one.
type Graph interface {
	// Launch issues it, in the order of the device. It does not wait.
	Launch() error
	// Calls lists what it consists of.
	Calls() []GraphCall
	// Free gives up the graph and the memory that its calls allocated, in stream order.
	Free()
}

// GraphCall is one call of a graph: what must be the same if another capture of
// the same function may take its place.
type GraphCall struct {
	Name   string // "Binary Add"
	Shape  string // of the output
	Params any    // comparable; what stands in a slot is left out
	Line   string // file:line of the code that asked for it, outside of this module
}

// GraphDevice captures calls in a graph.
type GraphDevice interface {
	// Capture runs fn once and returns a graph that does again what fn asked of the
	// device, from this goroutine. Memory that fn allocates lasts as long as the
	// graph, and what fn frees of other memory is kept as long, too. An Upload in fn
	// happens once and is no part of the graph; its memory keeps the value. Download
	// and Sync in fn are errors. Calls from other goroutines go on as usual, before or after.
	//
	// If fn fails the graph is given up, and what fn asked for may or may not have run.
	Capture(fn func() error) (Graph, error)
}

// NewGraphCall describes a call for Calls.
func NewGraphCall(name string, shape []int, params any) GraphCall {
	switch p := params.(type) {
	case Params:
		if p.Slot != nil {
			p.Scalars = Scalars{}
			name += " (slot)"
		}
		params = p.Scalars
	case OptimizerParams:
		if p.Slot != nil {
			p.LR, p.Step, p.Slot = 0, 0, nil
			name += " (slot)"
		}
		p.SlotIndex = 0
		params = p
	}
	text := make([]byte, 0, 32)
	for i, n := range shape {
		if i > 0 {
			text = append(text, ' ')
		}
		text = strconv.AppendInt(text, int64(n), 10)
	}
	return GraphCall{Name: name, Shape: "[" + string(text) + "]", Params: params, Line: UserLine()}
}

// AppendScalars appends s in the layout of a slot.
func AppendScalars(b []byte, s Scalars) []byte {
	le := binary.LittleEndian
	b = le.AppendUint64(b, math.Float64bits(s.A))
	b = le.AppendUint64(b, math.Float64bits(s.B))
	b = le.AppendUint64(b, uint64(s.N))
	b = le.AppendUint64(b, uint64(s.M))
	b = le.AppendUint64(b, s.Key)
	return le.AppendUint64(b, s.Counter)
}

const modulePath = "github.com/descent-ml/descent/"

// UserLine is the innermost caller outside of this module, or in one of its tests
// or examples, as folder/file:line.
func UserLine() string {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for {
		f, more := frames.Next()
		user := !strings.HasPrefix(f.Function, modulePath) && !strings.HasPrefix(f.Function, "runtime.") ||
			strings.HasSuffix(f.File, "_test.go") || strings.HasPrefix(f.Function, modulePath+"examples/")
		if user && f.File != "" {
			return filepath.Base(filepath.Dir(f.File)) + "/" + filepath.Base(f.File) + ":" + strconv.Itoa(f.Line)
		}
		if !more {
			return ""
		}
	}
}
