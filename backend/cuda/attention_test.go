package cuda

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cpu"
	"github.com/descent-ml/descent/internal/fakecuda"
)

// attentionCase is an attention and its gradients.
type attentionCase struct {
	batch, heads, keyHeads, queries, keys, features int
	params                                          backend.AttentionParams
}

// The arrays of a case.
const (
	theQ = iota
	theK
	theV
	theG
	theOut
	theLSE
	theDQ
	theDK
	theDV
	attentionArrays
)

var attentionNames = [attentionArrays]string{"q", "k", "v", "g", "out", "lse", "dq", "dk", "dv"}

// layout describes array i: row-major, or with unused elements around its rows.
func (c attentionCase) layout(i int, dtype backend.DType, stretched bool) (a backend.Array, bytes int) {
	a = backend.Array{DType: dtype, Shape: []int{c.batch, c.heads, c.queries, c.features}}
	switch i {
	case theK, theV, theDK, theDV:
		a.Shape = []int{c.batch, c.keyHeads, c.keys, c.features}
	case theLSE:
		a.Shape, a.DType = a.Shape[:3], statistics(dtype)
	}
	a.Strides = make([]int, len(a.Shape))
	n := 1
	for axis := len(a.Shape) - 1; axis >= 0; axis-- {
		a.Strides[axis] = n
		n *= a.Shape[axis]
		if stretched {
			n++
		}
	}
	if stretched {
		a.Offset = 1
	}
	return a, (n + 1) * a.DType.Size()
}

// run computes a case on dev, from the values of the inputs, and returns all values.
func (c attentionCase) run(t *testing.T, dev backend.AttentionDevice, dtype backend.DType, stretched bool, inputs [][]float64) (values [attentionArrays][]float64) {
	t.Helper()
	d := dev.(backend.Device)
	var a [attentionArrays]backend.Array
	for i := range a {
		array, bytes := c.layout(i, dtype, stretched)
		b, err := d.Alloc(bytes)
		must(t, err)
		defer b.Free()
		content := make([]byte, bytes)
		if i < len(inputs) {
			content = recoded(t, array, bytes, inputs[i])
		}
		must(t, d.Upload(b, content))
		array.Buf = b
		a[i] = array
	}
	must(t, dev.Attention(a[theOut], a[theLSE], a[theQ], a[theK], a[theV], c.params))
	must(t, dev.AttentionBackward(a[theDQ], a[theDK], a[theDV], a[theG], a[theOut], a[theLSE], a[theQ], a[theK], a[theV], c.params))
	for i := range a {
		content := make([]byte, a[i].Buf.Bytes())
		must(t, d.Download(content, a[i].Buf))
		values[i] = decoded(t, a[i], content)
	}
	return values
}

var host = cpu.New(cpu.Options{})

// onHost puts content into a host's buffer.
func onHost(t *testing.T, content []byte) backend.Buffer {
	t.Helper()
	b, err := host.Alloc(len(content))
	must(t, err)
	t.Cleanup(b.Free)
	must(t, host.Upload(b, content))
	return b
}

// rowsOf describes row-major values of a's shape.
func rowsOf(t *testing.T, a backend.Array, values []float64) backend.Array {
	bytes := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(values))), 8*len(values))
	return backend.Array{Buf: onHost(t, bytes), DType: backend.Float64, Shape: a.Shape, Strides: packedStrides(nil, a.Shape, false)}
}

// recoded is the content of an array like a with these values.
func recoded(t *testing.T, a backend.Array, bytes int, values []float64) []byte {
	t.Helper()
	a.Buf = onHost(t, make([]byte, bytes))
	must(t, host.Copy(a, rowsOf(t, a, values), false))
	content := make([]byte, bytes)
	must(t, host.Download(content, a.Buf))
	return content
}

// decoded are the values of a, whose buffer has this content.
func decoded(t *testing.T, a backend.Array, content []byte) []float64 {
	t.Helper()
	a.Buf = onHost(t, content)
	values := make([]float64, a.Size())
	to := rowsOf(t, a, values)
	must(t, host.Copy(to, a, false))
	must(t, host.Download(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(values))), 8*len(values)), to.Buf))
	return values
}

// inputs are q, k, v and g, of a normal distribution, as dtype holds them.
func (c attentionCase) inputs(t *testing.T, dtype backend.DType) (all [][]float64) {
	rng := rand.New(rand.NewPCG(1, uint64(c.features)))
	for i := theQ; i <= theG; i++ {
		a, bytes := c.layout(i, dtype, false)
		values := make([]float64, a.Size())
		for j := range values {
			values[j] = rng.NormFloat64()
		}
		all = append(all, decoded(t, a, recoded(t, a, bytes, values)))
	}
	return all
}

// awkwardAttentions have lengths about those of tiles, features that fill no piece
// of 16 bytes, and every sign of the scale.
var awkwardAttentions = []attentionCase{
	{1, 2, 1, 129, 65, 64, backend.AttentionParams{Scale: 0.125}},
	{1, 2, 2, 65, 129, 40, backend.AttentionParams{Scale: 0.2, Causal: true}},
	{2, 3, 1, 33, 31, 128, backend.AttentionParams{Scale: 0.1, Causal: true}},
	{1, 4, 2, 17, 97, 72, backend.AttentionParams{Scale: -0.3}},
	{2, 2, 2, 5, 34, 3, backend.AttentionParams{Scale: 0, Causal: true}},
	{1, 1, 1, 70, 2, 100, backend.AttentionParams{Scale: 0.5}},
}

// attentionTolerance is relative to the largest value. Half precision rounds weights too.
var attentionTolerance = map[backend.DType]float64{backend.Float64: 1e-13, backend.Float32: 1e-5, backend.Float16: 2e-3, backend.BFloat16: 1.6e-2}

// attentionDevice is one whose choice of kernels tests may change by setting arch.
func attentionDevice(t *testing.T) *Device {
	d := testDevice(t, Options{})
	_, err := d.openCompiler()
	must(t, err)
	return d
}

func TestAttentionOfAwkwardSizesIsTheCPUs(t *testing.T) {
	d := attentionDevice(t)
	for _, arch := range []int{75, 90} {
		for dtype, tolerance := range attentionTolerance {
			if arch == 75 && dtype.Size() > 2 {
				continue // the same kernels as for sm_90
			}
			for i, c := range awkwardAttentions {
				t.Run(fmt.Sprintf("sm_%d/%v/%d", arch, dtype, i), func(t *testing.T) {
					d.arch = arch // whose kernels are chosen
					in := c.inputs(t, dtype)
					want := c.run(t, host, backend.Float64, false, in)
					got := c.run(t, d, dtype, i%2 == 1, in)
					for k := theOut; k < attentionArrays; k++ {
						top := 0.0
						for _, x := range want[k] {
							top = max(top, math.Abs(x))
						}
						for j, x := range got[k] {
							if !(math.Abs(x-want[k][j]) <= tolerance*top) {
								t.Fatalf("%s[%d] = %v, want %v, within %v of %v", attentionNames[k], j, x, want[k][j], tolerance, top)
							}
						}
					}
				})
			}
		}
	}
}

func TestAttentionHasTheSameBitsInAnyOrderOfThreads(t *testing.T) {
	d := testDevice(t, Options{})
	t.Cleanup(func() { fakecuda.Seed(1) })
	c := attentionCase{1, 4, 2, 70, 70, 64, backend.AttentionParams{Scale: 0.125, Causal: true}}
	for _, dtype := range []backend.DType{backend.Float32, backend.BFloat16} {
		in := c.inputs(t, dtype)
		var first [attentionArrays][]float64
		for seed := range int64(3) {
			fakecuda.Seed(seed + 1)
			got := c.run(t, d, dtype, false, in)
			if seed == 0 {
				first = got
			}
			for k, values := range got {
				if !slices.Equal(values, first[k]) {
					t.Errorf("%v: %s differs with seed %d", dtype, attentionNames[k], seed+1)
				}
			}
		}
	}
}

// What AttentionBackward would refuse, Attention refuses.
func TestAttentionRefusesWhatHasNoKernel(t *testing.T) {
	d := attentionDevice(t)
	try := func(features int, dtype backend.DType) error {
		c := attentionCase{1, 1, 1, 2, 2, features, backend.AttentionParams{Scale: 1}}
		var a [attentionArrays]backend.Array
		for i := range a {
			array, bytes := c.layout(i, dtype, false)
			b, err := d.Alloc(bytes)
			must(t, err)
			defer b.Free()
			array.Buf = b
			a[i] = array
		}
		forward := d.Attention(a[theOut], a[theLSE], a[theQ], a[theK], a[theV], c.params)
		backward := d.AttentionBackward(a[theDQ], a[theDK], a[theDV], a[theG], a[theOut], a[theLSE], a[theQ], a[theK], a[theV], c.params)
		if (forward == nil) != (backward == nil) {
			t.Errorf("%d features of %v: forward %v, backward %v", features, dtype, forward, backward)
		}
		return forward
	}
	for _, refused := range []struct {
		features int
		dtype    backend.DType
		shared   int
	}{{129, backend.BFloat16, 227 << 10}, {8, backend.Int32, 227 << 10}, {128, backend.Float64, 64 << 10}} {
		d.sharedPerBlock = refused.shared
		if err := try(refused.features, refused.dtype); !errors.Is(err, backend.ErrUnsupported) {
			t.Errorf("%+v: %v, want ErrUnsupported", refused, err)
		}
	}
	// Turing's 64 KiB are enough for all else.
	d.arch, d.sharedPerBlock = 75, 64<<10
	for _, dtype := range floats {
		for _, features := range []int{64, 128} {
			if dtype == backend.Float64 && features == 128 {
				continue
			}
			must(t, try(features, dtype))
		}
	}
}

func TestAttentionAllocatesNothingInGo(t *testing.T) {
	countOnly(t)
	d := testDevice(t, Options{})
	c := attentionCase{1, 2, 2, 64, 64, 64, backend.AttentionParams{Scale: 0.125}}
	var a [attentionArrays]backend.Array
	for i := range a {
		array, bytes := c.layout(i, backend.BFloat16, false)
		b, err := d.Alloc(bytes)
		must(t, err)
		defer b.Free()
		array.Buf = b
		a[i] = array
	}
	step := func() {
		must(t, d.Attention(a[theOut], a[theLSE], a[theQ], a[theK], a[theV], c.params))
		must(t, d.AttentionBackward(a[theDQ], a[theDK], a[theDV], a[theG], a[theOut], a[theLSE], a[theQ], a[theK], a[theV], c.params))
	}
	step()
	limit := 0.0
	if raced {
		limit = 8 // launches: the race detector lets pools lose what they hold
	}
	if n := testing.AllocsPerRun(20, step); n > limit {
		t.Errorf("%v allocations", n)
	}
}
