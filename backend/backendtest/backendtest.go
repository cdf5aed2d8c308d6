// Package backendtest is the conformance suite of package backend: a new device's
// first test is
//
//	func TestContract(t *testing.T) { backendtest.Run(t, New()) }
//
// Run uploads arrays, runs kernels, downloads the results and compares them with
// plain loops in float64 that stand in this package, for every opcode, dtype and
// layout: empty and rank-0 arrays, transposed, offset, gapped and broadcast
// views, more elements than one thread takes. Every buffer has guard elements
// around its view that a kernel must leave alone.
//
// A kernel that answers ErrUnsupported must not have touched its output; it is
// counted, and the summary lists what the device lacks. An opcode that is
// supported in no dtype at all fails.
//
// A new elementwise opcode needs no line here: without a reference of its own it
// must agree, in each dtype and layout, with the device's own contiguous float64
// run. A new opcode of the other families fails until it has a line in its table.
package backendtest

import (
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/descent-ml/descent/backend"
)

// Run holds dev to the contract of package backend.
func Run(t *testing.T, dev backend.Device) { run(t, &suite{dev: dev, values: true}) }

// RunShapes makes the same calls and looks at no number: for a device without
// memory, such as package null's, which holds the calls to the contract instead.
func RunShapes(t *testing.T, dev backend.Device) { run(t, &suite{dev: dev}) }

type suite struct {
	dev    backend.Device
	values bool // compare results

	mu     sync.Mutex
	calls  int
	denied map[string][]string // what is not supported: calls by dtype
}

func run(t *testing.T, s *suite) {
	s.denied = map[string][]string{}
	for _, family := range []struct {
		name string
		test func(*bench)
	}{
		{"Memory", testMemory},
		{"Unary", testUnary},
		{"Binary", testBinary},
		{"Ternary", testTernary},
		{"Int64", testInt64},
		{"Slots", testSlots},
		{"Copy", testCopy},
		{"Generate", testGenerate},
		{"Reduce", testReduce},
		{"Scan", testScan},
		{"Sort", testSort},
		{"Gather", testGather},
		{"Scatter", testScatter},
		{"MatMul", testMatMul},
		{"Conv", testConv},
		{"Pool", testPool},
		{"Norm", testNorm},
		{"Softmax", testSoftmax},
		{"CrossEntropy", testCrossEntropy},
		{"Attention", testAttention},
		{"Optimizer", testOptimizer},
		{"Graph", testGraph},
		{"Concurrency", testConcurrency},
	} {
		(&bench{T: t, suite: s}).sub(family.name, family.test)
	}
	t.Log(s.summary())
}

func (s *suite) summary() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s: %d calls", s.dev, s.calls)
	// One line for all calls that lack the same dtypes.
	lines := map[string][]string{}
	for call, without := range s.denied {
		slices.Sort(without)
		key := strings.Join(slices.Compact(without), " ")
		lines[key] = append(lines[key], call)
	}
	for _, without := range slices.Sorted(maps.Keys(lines)) {
		fmt.Fprintf(&text, "\nnot supported: %s: %s", without, strings.Join(slices.Sorted(slices.Values(lines[without])), ", "))
	}
	return text.String()
}

// bench is one test on the device: it makes arrays, runs kernels and frees all it made.
type bench struct {
	*testing.T
	*suite
	bufs     []backend.Buffer
	rng      *rand.Rand
	failures int
}

// Errorf ends the test when it has failed often enough to be understood.
func (b *bench) Errorf(format string, args ...any) {
	b.Helper()
	b.T.Errorf(format, args...)
	if b.failures++; b.failures == 10 {
		b.Fatal("and so on")
	}
}

func (s *suite) bench(t *testing.T) *bench {
	h := fnv.New64a()
	h.Write([]byte(t.Name()[strings.Index(t.Name(), "/")+1:]))
	return &bench{T: t, suite: s, rng: rand.New(rand.NewPCG(h.Sum64(), 1))}
}

// sub runs a subtest.
func (b *bench) sub(name string, f func(*bench)) {
	b.Helper()
	b.Run(name, func(t *testing.T) {
		s := b.suite.bench(t)
		defer s.free()
		defer func() {
			if p := recover(); p != nil { // the other kernels may be well
				s.Errorf("panic: %v\n%s", p, debug.Stack())
			}
		}()
		f(s)
	})
}

func (b *bench) alloc(bytes int) backend.Buffer {
	buf, err := b.dev.Alloc(bytes)
	if err != nil {
		b.Helper()
		b.Fatalf("Alloc(%d): %v", bytes, err)
	}
	b.bufs = append(b.bufs, buf)
	return buf
}

func (b *bench) free() {
	for _, buf := range b.bufs {
		buf.Free()
	}
	b.bufs = b.bufs[:0]
}

// must ends the test on an error of a call that no device may refuse.
func (b *bench) must(err error) {
	if err != nil {
		b.Helper()
		b.Fatal(err)
	}
}

// ran reports whether a kernel ran. One that is not supported is noted, and must
// not have written to outs.
func (b *bench) ran(call string, d backend.DType, err error, outs ...array) bool {
	b.mu.Lock()
	b.calls++
	if err != nil && errors.Is(err, backend.ErrUnsupported) {
		b.denied[call] = append(b.denied[call], d.String())
	}
	b.mu.Unlock()
	if err == nil {
		return true
	}
	b.Helper()
	switch {
	case !errors.Is(err, backend.ErrUnsupported):
		b.Errorf("%s %s: %v", call, d, err)
	default:
		for _, out := range outs {
			if got := b.download(out); b.values && !slices.Equal(got, out.raw) {
				b.Errorf("%s %s answers ErrUnsupported after it wrote to its output", call, d)
			}
		}
	}
	return false
}

// dtypes runs f for each dtype, and fails if it ran in none.
func (b *bench) dtypes(call string, f func(d backend.DType) (ran bool)) {
	b.Helper()
	any := false
	for d := range backend.NumDTypes {
		any = f(d) || any
	}
	if !any && !b.Failed() {
		b.Errorf("%s is supported in no dtype", call)
	}
}
