package headers

import (
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"unsafe"

	"github.com/descent-ml/descent/cuda"
	"github.com/descent-ml/descent/cuda/cublaslt"
	"github.com/descent-ml/descent/cuda/cudnn"
	"github.com/descent-ml/descent/cuda/nccl"
	"github.com/descent-ml/descent/internal/fakecuda"
)

// The bindings drive the fake libraries here, and not beside the tests with the real ones: a process can have only one
// library of a name.

// gpu is a fake device with a stream.
type gpu struct {
	t testing.TB
	c *cuda.Context
	s cuda.Stream
}

func newGPU(t testing.TB) *gpu {
	t.Helper()
	fakecuda.Libraries(t)
	driver, err := cuda.Open()
	if err != nil {
		t.Fatal(err)
	}
	devices, err := driver.Devices()
	if err != nil {
		t.Fatal(err)
	}
	c, err := devices[0].Primary()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Bind(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Unbind)
	s, err := c.NewStream(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Destroy() })
	return &gpu{t, c, s}
}

// floats puts values on the device.
func (g *gpu) floats(values []float32) uint64 {
	g.t.Helper()
	n := uint64(len(values)) * 4
	p, err := g.c.Alloc(n)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { g.c.Free(p) })
	if err := g.c.CopyToDevice(p, unsafe.Pointer(&values[0]), n, g.s); err != nil {
		g.t.Fatal(err)
	}
	if err := g.s.Synchronize(); err != nil {
		g.t.Fatal(err)
	}
	return uint64(p)
}

func (g *gpu) read(p uint64, n int) []float32 {
	g.t.Helper()
	values := make([]float32, n)
	if err := g.c.CopyToHost(unsafe.Pointer(&values[0]), cuda.DevicePtr(p), uint64(n)*4, g.s); err != nil {
		g.t.Fatal(err)
	}
	if err := g.s.Synchronize(); err != nil {
		g.t.Fatal(err)
	}
	return values
}

func random(n int) []float32 {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	values := make([]float32, n)
	for i := range values {
		values[i] = r.Float32()*2 - 1
	}
	return values
}

func near(t *testing.T, got, want []float32) {
	t.Helper()
	for i := range want {
		if math.Abs(float64(got[i]-want[i])) > 1e-5 {
			t.Fatalf("element %d is %g, want %g", i, got[i], want[i])
		}
	}
}

// allocatesNothing runs a hot call that must not allocate.
func allocatesNothing(t *testing.T, name string, call func() error) {
	t.Helper()
	if n := testing.AllocsPerRun(20, func() {
		if err := call(); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%s: %g allocations", name, n)
	}
}

func TestMatmulThroughTheBindingIsAMatrixProduct(t *testing.T) {
	g := newGPU(t)
	l, err := cublaslt.Open()
	if err != nil {
		t.Fatal(err)
	}
	h, err := l.NewHandle()
	if err != nil {
		t.Fatal(err)
	}
	defer h.Destroy()
	const m, k, n = 7, 5, 3
	d, err := l.NewMatmulDesc(cublaslt.Compute32F, cublaslt.R32F)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Destroy()
	layout := func(rows, cols uint64) cublaslt.MatrixLayout {
		l, err := l.NewMatrixLayout(cublaslt.R32F, rows, cols, int64(rows))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(l.Destroy)
		return l
	}
	la, lb, lc := layout(m, k), layout(k, n), layout(m, n)
	p, err := l.NewPreference(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Destroy()
	algos, err := h.Heuristics(d, la, lb, lc, lc, p, 4)
	if err != nil {
		t.Fatal(err)
	}
	a, b, c := random(m*k), random(k*n), random(m*n)
	operands := cublaslt.Operands{A: g.floats(a), B: g.floats(b), C: g.floats(c), D: g.floats(make([]float32, m*n))}
	workspace := g.floats(make([]float32, 1<<18))
	alpha, beta := float32(2), float32(-1)
	multiply := func() error {
		return h.Matmul(d, unsafe.Pointer(&alpha), unsafe.Pointer(&beta), la, lb, lc, lc, operands, &algos[0].Algo, workspace, 1<<20, g.s.Handle())
	}
	if err := multiply(); err != nil {
		t.Fatal(err)
	}
	want := make([]float32, m*n)
	for i := range m {
		for j := range n {
			for x := range k {
				want[i+j*m] += alpha * a[i+x*m] * b[x+j*k]
			}
			want[i+j*m] += beta * c[i+j*m]
		}
	}
	near(t, g.read(operands.D, m*n), want)
	allocatesNothing(t, "Matmul", multiply)
}

func TestPlanThroughTheBindingIsAConvolution(t *testing.T) {
	g := newGPU(t)
	l, err := cudnn.Open()
	if err != nil {
		t.Fatal(err)
	}
	h, err := l.NewHandle()
	if err != nil {
		t.Fatal(err)
	}
	defer h.Destroy()
	if err := h.SetStream(g.s.Handle()); err != nil {
		t.Fatal(err)
	}
	const channels, filters, size = 3, 4, 6
	graph := l.NewGraph(h)
	x := graph.Tensor(cudnn.Tensor{UID: 'x', Type: cudnn.Float32, Dims: []int64{1, channels, size, size}})
	w := graph.Tensor(cudnn.Tensor{UID: 'w', Type: cudnn.Float32, Dims: []int64{filters, channels, 3, 3}})
	y := graph.Tensor(cudnn.Tensor{UID: 'y', Type: cudnn.Float32, Dims: []int64{1, filters, size, size}})
	graph.ConvForward(cudnn.Conv{Compute: cudnn.Float32, Pad: []int64{1, 1}}, x, w, y)
	plan, err := graph.Plan(cudnn.Search{Exclude: []cudnn.NumericalNote{cudnn.NoteTensorCore, cudnn.NoteDownConvertInputs, cudnn.NoteWinograd}})
	graph.Destroy()
	if err != nil {
		t.Fatal(err)
	}
	defer plan.Destroy()
	image, filter := random(channels*size*size), random(filters*channels*9)
	uids := []int64{'x', 'w', 'y'}
	addresses := []uint64{g.floats(image), g.floats(filter), g.floats(make([]float32, filters*size*size))}
	workspace := g.floats(make([]float32, plan.Workspace/4+1))
	convolve := func() error { return plan.Execute(h, uids, addresses, workspace) }
	if err := convolve(); err != nil {
		t.Fatal(err)
	}
	want := make([]float32, filters*size*size)
	for f := range filters {
		for i := range size {
			for j := range size {
				for c := range channels {
					for r := range 3 {
						for s := range 3 {
							if p, q := i+r-1, j+s-1; p >= 0 && p < size && q >= 0 && q < size {
								want[(f*size+i)*size+j] += image[(c*size+p)*size+q] * filter[((f*channels+c)*3+r)*3+s]
							}
						}
					}
				}
			}
		}
	}
	near(t, g.read(addresses[2], len(want)), want)
	allocatesNothing(t, "Execute", convolve)

	pack, err := l.NewPack(uids, addresses, workspace)
	if err != nil {
		t.Fatal(err)
	}
	defer pack.Destroy()
	allocatesNothing(t, "ExecutePack", func() error { return plan.ExecutePack(h, pack) })
}

func TestOneRankReducesToItsOwnElements(t *testing.T) {
	g := newGPU(t)
	l, err := nccl.Open()
	if err != nil {
		t.Fatal(err)
	}
	id, err := l.UniqueID()
	if err != nil {
		t.Fatal(err)
	}
	c, err := l.Init(id, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	if ranks, rank, device, err := c.Ranks(); ranks != 1 || rank != 0 || device != 0 || err != nil {
		t.Errorf("rank %d of %d on device %d, %v", rank, ranks, device, err)
	}
	values := random(100)
	send, recv := g.floats(values), g.floats(make([]float32, 100))
	reduce := func() error { return c.AllReduce(send, recv, 100, nccl.Float32, nccl.Sum, g.s.Handle()) }
	if err := l.Group(reduce); err != nil {
		t.Fatal(err)
	}
	near(t, g.read(recv, 100), values)
	allocatesNothing(t, "AllReduce", reduce)
	if err := c.AsyncError(); err != nil {
		t.Error(err)
	}
	if err := c.Destroy(); err != nil {
		t.Error(err)
	}
}

func TestAFunctionThatALibraryLacksIsNamed(t *testing.T) {
	newGPU(t)
	l, err := cudnn.Open()
	if err != nil {
		t.Fatal(err)
	}
	// The fake has no recurrent layers.
	_, err = l.NewRNN(cudnn.RNNConfig{Cell: cudnn.LSTM, InputSize: 8, HiddenSize: 8, Layers: 1})
	if !errors.Is(err, cudnn.StatusNotSupported) || !strings.Contains(err.Error(), "cudnnCreateRNNDescriptor") {
		t.Errorf("an LSTM of the fake: %v", err)
	}
}
