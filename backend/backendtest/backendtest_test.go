package backendtest

import (
	"encoding/binary"
	"math"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cpu"
	"github.com/descent-ml/descent/backend/null"
)

// The null device holds the suite itself to the contract.
func TestNullPassesInShapesAndFreesAll(t *testing.T) {
	d := null.New()
	RunShapes(t, d)
	if live := d.MemoryStats().Live; live != 0 {
		t.Errorf("the suite leaves %d bytes", live)
	}
}

// A recorder forwards each call as it is.
func TestRecordedDevicePasses(t *testing.T) {
	r := null.Record(cpu.New(cpu.Options{}))
	b := (&suite{dev: r, values: true, denied: map[string][]string{}}).bench(t)
	for _, family := range []func(*bench){testMemory, testInt64, testSlots, testScan, testPool, testNorm, testOptimizer, testConcurrency} {
		family(b)
		b.free()
		r.Reset()
	}
}

// faults are what a device may get wrong, where the suite looks for it and a word
// of what it says.
var faults = []struct{ name, where, says string }{
	{"inexact sum", "Binary/Add", "wrong"},
	{"half truncated", "Unary/Exp", "bfloat16"},
	{"half truncated, no reference", "Unary/Exp", "bfloat16"},
	{"writes beyond out", "Unary/Neg", "outside of its output"},
	{"strides ignored", "Unary/Abs", "wrong"},
	{"in place is read late", "Binary/Sub", "wrong"},
	{"unsupported after writing", "Reduce/Sum", "answers ErrUnsupported after it wrote"},
	{"supports nothing", "Unary/Tan", "is supported in no dtype"},
	{"maximum drops NaN", "Binary/Maximum", "want NaN"},
	{"slot ignored", "Slots", "with a slot"},
	{"int64 through float64", "Int64", "int64"},
	{"last maximum", "Reduce/ArgMax", "int64"},
	{"accumulate ignored", "Copy", "accumulating"},
	{"counter off by one", "Generate/Uniform", "Uniform"},
	{"not descending", "Sort", "Sort"},
	{"bad index ignored", "Gather", "want an IndexError"},
	{"bias ignored", "MatMul", "MatMul"},
	{"wrong axis", "Softmax/Softmax", "wrong"},
	{"nesterov ignored", "Optimizer", "OptimizerStep SGD"},
	{"dilation ignored", "Conv/ConvForward", "ConvForward"},
	{"padding counted", "Pool/AvgPool", "AvgPool"},
	{"reduce reference missing", "Reduce", "add a line to reduceRefs"},
	{"buffers leak", "Memory/Stats", "live"},
	{"buffer reused at once", "Memory/FreeIsInStreamOrder", "freed behind it"},
}

// faulty is the CPU with one fault.
type faulty struct {
	*cpu.Device
	fault string
	late  func() // what the device puts off until it must
}

func (d *faulty) is(fault string) bool { return strings.HasPrefix(d.fault, fault) }

// spoil changes the bytes of an array behind the device's back.
func (d *faulty) spoil(a backend.Array, f func(raw []byte)) {
	raw := make([]byte, a.Buf.Bytes())
	d.Device.Download(raw, a.Buf)
	f(raw)
	d.Upload(a.Buf, raw)
}

func (d *faulty) Download(dst []byte, src backend.Buffer) error {
	if d.late != nil {
		d.late()
		d.late = nil
	}
	return d.Device.Download(dst, src)
}

func (d *faulty) Unary(op backend.UnaryOp, out, x backend.Array, p backend.Params) error {
	switch {
	case d.is("buffer reused at once") && op == backend.Neg:
		d.late = func() { d.Device.Unary(op, out, x, p) }
		return nil
	case d.is("slot ignored"):
		p.Slot = nil
	case d.is("strides ignored") && op == backend.Abs && len(x.Shape) == 2:
		x.Strides = []int{x.Shape[1], 1}
		if (x.Offset+x.Size())*x.DType.Size() > x.Buf.Bytes() {
			x.Strides = []int{0, 0}
		}
	case d.is("supports nothing"):
		return backend.ErrUnsupported
	}
	err := d.Device.Unary(op, out, x, p)
	switch {
	case d.is("half truncated") && op == backend.Exp && x.DType == backend.BFloat16:
		d.spoil(out, func(raw []byte) { // one unit too small
			for i := out.Offset; i < out.Offset+out.Size(); i++ {
				if v := binary.LittleEndian.Uint16(raw[2*i:]); v > 1 && v < 0x7f80 {
					binary.LittleEndian.PutUint16(raw[2*i:], v-1)
				}
			}
		})
	case d.is("writes beyond out") && op == backend.Neg && out.Size() > 10:
		d.spoil(out, func(raw []byte) { raw[(out.Offset+out.Size())*out.DType.Size()] = 1 })
	}
	return err
}

func (d *faulty) Binary(op backend.BinaryOp, out, x, y backend.Array, p backend.Params) error {
	switch {
	case d.is("in place is read late") && op == backend.Sub && out.Buf == y.Buf:
		d.Device.Copy(out, x, false)
	case d.is("int64 through float64") && op == backend.Add && x.DType == backend.Int64 && !x.IsScalar() && !y.IsScalar():
		var wide [3]backend.Array
		for i := range wide {
			wide[i] = out
			wide[i].DType, wide[i].Offset = backend.Float64, 0
			wide[i].Buf, _ = d.Alloc(8 * (out.Size() + out.Offset + 16))
			defer wide[i].Buf.Free()
		}
		d.Copy(wide[1], x, false)
		d.Copy(wide[2], y, false)
		d.Device.Binary(op, wide[0], wide[1], wide[2], p)
		return d.Copy(out, wide[0], false)
	}
	err := d.Device.Binary(op, out, x, y, p)
	switch {
	case d.is("inexact sum") && op == backend.Add && out.DType == backend.Float32 && err == nil:
		return d.Device.Binary(backend.Mul, out, out, backend.Array{}, backend.Params{Scalars: backend.Scalars{A: 1 + 1e-5}})
	case d.is("maximum drops NaN") && op == backend.Maximum && out.DType == backend.Float32 && err == nil:
		d.spoil(out, func(raw []byte) {
			for i := out.Offset; i < out.Offset+out.Size(); i++ {
				if math.IsNaN(codecs[out.DType].get(raw[4*i:])) {
					codecs[out.DType].put(raw[4*i:], 0)
				}
			}
		})
	}
	return err
}

func (d *faulty) Copy(out, x backend.Array, accumulate bool) error {
	return d.Device.Copy(out, x, accumulate && !d.is("accumulate ignored"))
}

func (d *faulty) Generate(op backend.GenerateOp, out backend.Array, p backend.Params) error {
	if d.is("counter off by one") {
		p.Counter++
	}
	return d.Device.Generate(op, out, p)
}

func (d *faulty) Reduce(op backend.ReduceOp, out, x backend.Array) error {
	switch {
	case d.is("unsupported after writing") && op == backend.Sum && x.DType == backend.Float16:
		d.Device.Reduce(op, out, x)
		return backend.ErrUnsupported
	case d.is("last maximum") && op == backend.ArgMax:
		op = backend.ArgMin
	}
	return d.Device.Reduce(op, out, x)
}

func (d *faulty) Sort(out, idx, x backend.Array, axis int, descending bool) error {
	return d.Device.Sort(out, idx, x, axis, descending && !d.is("not descending"))
}

func (d *faulty) Gather(out, x, index backend.Array, axis int) error {
	err := d.Device.Gather(out, x, index, axis)
	if d.is("bad index ignored") {
		return nil
	}
	return err
}

func (d *faulty) MatMul(out, x, y backend.Array, e backend.Epilogue) error {
	if d.is("bias ignored") {
		e.Bias = backend.Array{}
	}
	return d.Device.MatMul(out, x, y, e)
}

func (d *faulty) Softmax(op backend.SoftmaxOp, out, x, y backend.Array, axis int) error {
	if d.is("wrong axis") {
		axis = 0
	}
	return d.Device.Softmax(op, out, x, y, axis)
}

func (d *faulty) Conv(op backend.ConvOp, out, a, b backend.Array, p backend.ConvParams, e backend.Epilogue) error {
	if d.is("dilation ignored") {
		for i := range 2 { // the same shapes without dilation
			p.Padding[i] -= (p.Dilation[i] - 1) * (b.Shape[2+i] - 1) / 2
			p.Dilation[i] = 1
		}
	}
	return d.Device.Conv(op, out, a, b, p, e)
}

func (d *faulty) Pool(op backend.PoolOp, out, idx, x backend.Array, p backend.PoolParams) error {
	p.CountIncludePad = p.CountIncludePad || d.is("padding counted")
	return d.Device.Pool(op, out, idx, x, p)
}

func (d *faulty) OptimizerStep(op backend.OptimizerOp, params, grads []backend.Array, state [][]backend.Array, p backend.OptimizerParams) error {
	p.Nesterov = p.Nesterov && !d.is("nesterov ignored")
	return d.Device.OptimizerStep(op, params, grads, state, p)
}

func (d *faulty) Alloc(bytes int) (backend.Buffer, error) {
	if d.is("buffers leak") {
		d.Device.Alloc(64)
	}
	return d.Device.Alloc(bytes)
}

// TestOneFault runs the suite on the device with the fault that the environment
// names; TestTheSuiteFindsFaults starts it, since a test cannot expect one to fail.
func TestOneFault(t *testing.T) {
	fault := os.Getenv("BACKENDTEST_FAULT")
	if fault == "" {
		return
	}
	switch {
	case strings.HasSuffix(fault, "no reference"):
		clear(unaryRefs)
	case fault == "reduce reference missing":
		delete(reduceRefs, backend.Any)
	}
	Run(t, &faulty{Device: cpu.New(cpu.Options{}), fault: fault})
}

func TestTheSuiteFindsFaults(t *testing.T) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			c := exec.Command(os.Args[0], "-test.run=^TestOneFault$/^"+strings.ReplaceAll(f.where, "/", "$/^")+"$")
			c.Env = append(os.Environ(), "BACKENDTEST_FAULT="+f.name)
			out, err := c.CombinedOutput()
			if err == nil {
				t.Errorf("%s passes a device with the fault", f.where)
			} else if !strings.Contains(string(out), f.says) {
				t.Errorf("%s does not say %q:\n%s", f.where, f.says, out)
			}
		})
	}
}

// Without references the ops are held against the device's own float64 run.
func TestOpsWithoutAReferenceAreCovered(t *testing.T) {
	s := &suite{dev: cpu.New(cpu.Options{}), values: true, denied: map[string][]string{}}
	b := s.bench(t)
	defer b.free()
	unary, binary, ternary := unaryRefs[backend.Exp], binaryRefs[backend.FloorDiv], ternaryRefs[backend.Addcmul]
	delete(unaryRefs, backend.Exp)
	delete(binaryRefs, backend.FloorDiv)
	delete(ternaryRefs, backend.Addcmul)
	defer func() {
		unaryRefs[backend.Exp], binaryRefs[backend.FloorDiv], ternaryRefs[backend.Addcmul] = unary, binary, ternary
	}()
	for d := range backend.NumDTypes {
		ran := []bool{b.unary(backend.Exp, d), b.binary(backend.FloorDiv, d), b.ternary(backend.Addcmul, d)}
		if d.IsFloat() && slices.Contains(ran, false) {
			t.Errorf("%s: ran %v", d, ran)
		}
	}
}

// All the numbers of the half types come back from their bits, and what lies
// between two of them goes to the nearer one, or to the even one.
func TestHalvesAreRoundedToNearestEven(t *testing.T) {
	for d, finite := range map[backend.DType]uint16{backend.Float16: 0x7bff, backend.BFloat16: 0x7f7f} {
		raw := make([]byte, 2)
		value := func(bits uint16) float64 {
			binary.LittleEndian.PutUint16(raw, bits)
			return codecs[d].get(raw)
		}
		for bits := range finite {
			lo, hi := value(bits), value(bits+1)
			codecs[d].put(raw, lo)
			if got := binary.LittleEndian.Uint16(raw); got != bits {
				t.Fatalf("%s: %#x is %g, which is %#x", d, bits, lo, got)
			}
			even := lo
			if bits%2 == 1 {
				even = hi
			}
			middle := lo + (hi-lo)/2
			for x, want := range map[float64]float64{
				middle: even, math.Nextafter(middle, lo): lo, math.Nextafter(middle, hi): hi, -middle: -even,
			} {
				if got := round(d, x); got != want {
					t.Fatalf("%s: %g is rounded to %g, not %g", d, x, got, want)
				}
			}
		}
		if got := round(d, value(finite)*1.01); !math.IsInf(got, 1) {
			t.Errorf("%s: beyond the largest number comes %g", d, got)
		}
	}
}
