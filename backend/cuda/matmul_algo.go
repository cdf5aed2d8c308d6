package cuda

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/cuda/cublaslt"
)

// productKey is all that cuBLASLt's choice of an algorithm depends on, for
// D = A·B [m, n] with k inner elements and dense columns.
type productKey struct {
	in, out                   backend.DType
	bias, relu                bool
	alignA, alignB            uint8 // bytes, at most tensorAlignment
	alignD, alignBias         uint8
	m, n, k                   int
	a, b                      matrixView
	ldd                       int
	count                     int // of the batch
	strideA, strideB, strideD int
}

// product is one call of cuBLASLt.
type product struct {
	key              productKey
	a, b, d, bias    uint64
	relu, accumulate bool
}

// algorithm is how a product is done; without one err says why.
type algorithm struct {
	desc      cublaslt.MatmulDesc
	a, b, d   cublaslt.MatrixLayout
	algo      cublaslt.Algo
	workspace uint64
	err       error

	mu sync.Mutex // of desc, which the bias's address is set in
}

// matmulState is what a device keeps for products.
type matmulState struct {
	algorithms atomic.Pointer[map[productKey]*algorithm] // read without a lock

	matmulMu     sync.Mutex
	matmulOpened bool
	matmulErr    error // why there is no cuBLASLt
	cublas       *cublaslt.Library
	cublasHandle cublaslt.Handle
}

// scales are the factors of a product and of what D held, by its number.
var scales = struct {
	single [2]float32
	double [2]float64
}{[2]float32{0, 1}, [2]float64{0, 1}}

func scale(t backend.DType, i int) unsafe.Pointer {
	if t == backend.Float64 {
		return unsafe.Pointer(&scales.double[i])
	}
	return unsafe.Pointer(&scales.single[i])
}

// alignment is that of an address, in bytes, as far as it matters.
func alignment(address uint64) uint8 {
	if address%tensorAlignment == 0 {
		return tensorAlignment
	}
	return uint8(address & -address)
}

// issue puts a product on the caller's stream.
func (d *Device) issue(p *product) error {
	k := &p.key
	k.alignA, k.alignB, k.alignD, k.alignBias = alignment(p.a), alignment(p.b), alignment(p.d), alignment(p.bias)
	a, err := d.algorithm(p)
	if err != nil {
		return err
	}
	workspace, err := d.scratch(int(a.workspace))
	if err != nil {
		return err
	}
	err = d.ctx.Bind()
	if err == nil {
		err = d.run(a, p, workspace.addr())
		d.ctx.Unbind()
	}
	workspace.free()
	if err != nil || d.options.Blocking {
		return d.launched("MatMul", err)
	}
	return nil
}

func (d *Device) run(a *algorithm, p *product, workspace uint64) error {
	defer d.relaxed()()
	if p.key.bias {
		a.mu.Lock()
		defer a.mu.Unlock()
		if err := cublaslt.SetDesc(a.desc, cublaslt.DescBiasPointer, p.bias); err != nil {
			return err
		}
	}
	beta := 0
	if p.accumulate {
		beta = 1
	}
	m := cublaslt.Operands{A: p.a, B: p.b, C: p.d, D: p.d}
	return d.cublasHandle.Matmul(a.desc, scale(p.key.in, 1), scale(p.key.in, beta), a.a, a.b, a.d, a.d, m, &a.algo, workspace, a.workspace, d.stream().Handle())
}

// openCuBLAS finds the library at the first call. The caller holds matmulMu.
func (d *Device) openCuBLAS() error {
	if !d.matmulOpened {
		d.matmulOpened = true
		d.matmulErr = d.bound(func() (err error) {
			if d.cublas, err = cublaslt.Open(); err == nil {
				d.cublasHandle, err = d.cublas.NewHandle()
			}
			return err
		})
	}
	return d.matmulErr
}

// closeMatMul gives back what products have of cuBLASLt.
func (d *Device) closeMatMul() error {
	d.matmulMu.Lock()
	defer d.matmulMu.Unlock()
	if table := d.algorithms.Swap(nil); table != nil {
		for _, a := range *table {
			a.destroy()
		}
	}
	if !d.matmulOpened || d.matmulErr != nil {
		return nil
	}
	d.matmulOpened = false
	return d.cublasHandle.Destroy()
}

func (a *algorithm) destroy() {
	a.desc.Destroy()
	a.a.Destroy()
	a.b.Destroy()
	a.d.Destroy()
}

// algorithm is how to do p, which cuBLASLt is asked the first time.
func (d *Device) algorithm(p *product) (*algorithm, error) {
	if table := d.algorithms.Load(); table != nil {
		if a := (*table)[p.key]; a != nil {
			return a, a.err
		}
	}
	return d.newAlgorithm(*p) // a copy, so that p stays on the stack
}

func (d *Device) newAlgorithm(p product) (*algorithm, error) {
	d.matmulMu.Lock()
	defer d.matmulMu.Unlock()
	if err := d.openCuBLAS(); err != nil {
		return nil, d.failed("MatMul", err)
	}
	table := d.algorithms.Load()
	if table != nil && (*table)[p.key] != nil {
		return (*table)[p.key], (*table)[p.key].err
	}
	a := &algorithm{}
	if err := d.bound(func() error { return d.choose(a, &p) }); err != nil {
		a.destroy()
		refused := errors.Is(err, cublaslt.ErrNotSupported) || errors.Is(err, cublaslt.ErrInvalidValue)
		if !refused || !p.key.bias && !p.key.relu {
			return nil, d.failed("MatMul", fmt.Errorf("%+v: %w", p.key, err))
		}
		a = &algorithm{err: errUnfused}
	}
	grown := map[productKey]*algorithm{}
	if table != nil {
		grown = maps.Clone(*table)
	}
	grown[p.key] = a
	d.algorithms.Store(&grown)
	return a, a.err
}

// workspaceLimit is what cuBLASLt may ask for: 32 MiB from Hopper on, as its
// documentation recommends.
func (d *Device) workspaceLimit() uint64 {
	if d.arch >= 90 {
		return 32 << 20
	}
	return 8 << 20
}

// choose describes a product to cuBLASLt and takes the algorithm that it ranks first,
// or the fastest of several.
func (d *Device) choose(a *algorithm, p *product) (err error) {
	k := &p.key
	if a.desc, err = d.describe(p); err != nil {
		return err
	}
	layout := func(t backend.DType, rows, cols int, v matrixView, stride int) (cublaslt.MatrixLayout, error) {
		if !v.columns {
			rows, cols = cols, rows
		}
		l, err := d.cublas.NewMatrixLayout(cublasTypes[t], uint64(rows), uint64(cols), int64(v.ld))
		if err == nil && k.count > 1 {
			err = l.SetBatch(int32(k.count), int64(stride))
		}
		return l, err
	}
	if a.a, err = layout(k.in, k.m, k.k, k.a, k.strideA); err != nil {
		return err
	}
	if a.b, err = layout(k.in, k.k, k.n, k.b, k.strideB); err != nil {
		return err
	}
	if a.d, err = layout(k.out, k.m, k.n, matrixView{k.ldd, true}, k.strideD); err != nil {
		return err
	}
	prefer, err := d.cublas.NewPreference(d.workspaceLimit())
	if err != nil {
		return err
	}
	defer prefer.Destroy()
	if err := prefer.SetAlignments(uint32(k.alignA), uint32(k.alignB), uint32(k.alignD), uint32(k.alignD)); err != nil {
		return err
	}
	if err := cublaslt.SetPreference(prefer, cublaslt.PreferReductions, d.reductions(k)); err != nil {
		return err
	}
	candidates := 1
	if d.options.Autotune && d.capturing() == nil {
		candidates = 8
	}
	found, err := d.cublasHandle.Heuristics(a.desc, a.a, a.b, a.d, a.d, prefer, candidates)
	if err != nil {
		return err
	}
	best := 0
	if len(found) > 1 {
		if best, err = d.fastestAlgorithm(a, *p, found); err != nil {
			return err
		}
	}
	a.algo, a.workspace = found[best].Algo, found[best].Workspace
	if log := d.options.Logger; log != nil {
		log.Debug("product", slog.String("device", d.name), slog.String("key", fmt.Sprintf("%+v", *k)), slog.Uint64("workspace", a.workspace), slog.Int("candidates", len(found)), slog.Int("chosen", best))
	}
	return nil
}

// describe is p without its layouts.
func (d *Device) describe(p *product) (cublaslt.MatmulDesc, error) {
	k := &p.key
	compute, factor := cublaslt.Compute32F, cublaslt.R32F
	switch {
	case k.in == backend.Float64:
		compute, factor = cublaslt.Compute64F, cublaslt.R64F
	case k.in == backend.Float32 && d.options.TF32:
		compute = cublaslt.Compute32FFastTF32
	}
	desc, err := d.cublas.NewMatmulDesc(compute, factor)
	if err != nil {
		return desc, err
	}
	operation := func(v matrixView) cublaslt.Operation {
		if v.columns {
			return cublaslt.None
		}
		return cublaslt.Transpose
	}
	if err := desc.SetTranspose(operation(k.a), operation(k.b)); err != nil {
		return desc, err
	}
	epilogue := cublaslt.EpilogueDefault
	switch {
	case k.bias && k.relu:
		epilogue = cublaslt.EpilogueReLUBias
	case k.bias:
		epilogue = cublaslt.EpilogueBias
	case k.relu:
		epilogue = cublaslt.EpilogueReLU
	}
	if err := cublaslt.SetDesc(desc, cublaslt.DescEpilogue, epilogue); err != nil || !k.bias {
		return desc, err
	}
	if err := cublaslt.SetDesc(desc, cublaslt.DescBiasDataType, cublasTypes[k.out]); err != nil {
		return desc, err
	}
	return desc, cublaslt.SetDesc(desc, cublaslt.DescBiasPointer, p.bias) // the heuristics look at its alignment
}

// reductions are the ways in which parts of k may be summed: not in half precision
// and, for the same bits in every run, not in an order of chance.
func (d *Device) reductions(k *productKey) cublaslt.ReductionScheme {
	r := cublaslt.ReductionComputeType
	if k.out.Size() > 2 {
		r |= cublaslt.ReductionOutputType
		if !d.options.Deterministic {
			r |= cublaslt.ReductionInPlace // in the output's type too
		}
	}
	return r
}

// fastestAlgorithm times algorithms, which write to a temporary.
func (d *Device) fastestAlgorithm(a *algorithm, p product, found []cublaslt.Heuristic) (int, error) {
	k := &p.key
	extent := (k.count-1)*k.strideD + (k.n-1)*k.ldd + k.m
	out, err := d.scratch(extent * k.out.Size())
	if err != nil {
		return 0, err
	}
	defer out.free()
	p.d, p.accumulate = out.addr(), false
	most := uint64(0)
	for _, f := range found {
		most = max(most, f.Workspace)
	}
	workspace, err := d.scratch(int(most))
	if err != nil {
		return 0, err
	}
	defer workspace.free()
	times, err := d.race(len(found), func(i int) error {
		a.algo, a.workspace = found[i].Algo, found[i].Workspace
		return d.run(a, &p, workspace.addr())
	})
	return fastest(times), err
}

// fastest is the index of the least time.
func fastest(times []time.Duration) int {
	best := 0
	for i, t := range times {
		if t < times[best] {
			best = i
		}
	}
	return best
}
