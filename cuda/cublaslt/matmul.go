package cublaslt

import (
	"fmt"
	"unsafe"

	"github.com/descent-ml/descent/cuda/internal/dl"
)

// MatmulDesc describes the product D = epilogue(alpha·op(A)·op(B) + beta·C).
type MatmulDesc struct {
	lib *Library
	p   uintptr
}

// NewMatmulDesc makes a description; scale is the type of alpha and beta. The caller destroys it.
func (l *Library) NewMatmulDesc(compute ComputeType, scale DataType) (MatmulDesc, error) {
	d := MatmulDesc{lib: l}
	err := l.do(&l.api.descCreate, dl.Ptr(&d.p), dl.Int(compute), dl.Int(scale))
	return d, err
}

// SetTranspose says which operands are transposed.
func (d MatmulDesc) SetTranspose(a, b Operation) error {
	if err := SetDesc(d, DescTransA, a); err != nil {
		return err
	}
	return SetDesc(d, DescTransB, b)
}

// SetDesc sets an attribute of a description. It allocates nothing: addresses may change from product to product.
func SetDesc[V Value](d MatmulDesc, name DescAttribute, v V) error {
	return set(d.lib, &d.lib.api.descSet, d.p, name, v)
}

// GetDesc returns an attribute of a description.
func GetDesc[V Value](d MatmulDesc, name DescAttribute) (V, error) {
	return get[V](d.lib, &d.lib.api.descGet, d.p, name)
}

// Destroy frees the description.
func (d MatmulDesc) Destroy() {
	if d.p != 0 {
		dl.Call(d.lib.api.descDestroy.Addr, dl.Int(d.p))
	}
}

// MatrixLayout describes a matrix, or a batch of them.
type MatrixLayout struct {
	lib *Library
	p   uintptr
}

// NewMatrixLayout describes a matrix, column-major unless LayoutOrder is set. ld is the distance between columns (rows
// if row-major) in elements. The caller destroys it.
func (l *Library) NewMatrixLayout(t DataType, rows, cols uint64, ld int64) (MatrixLayout, error) {
	m := MatrixLayout{lib: l}
	err := l.do(&l.api.layoutCreate, dl.Ptr(&m.p), dl.Int(t), dl.Int(rows), dl.Int(cols), dl.Int(ld))
	return m, err
}

// SetBatch makes it a batch of count matrices, stride elements apart. A stride of 0 repeats one matrix.
func (m MatrixLayout) SetBatch(count int32, stride int64) error {
	if err := SetLayout(m, LayoutBatchCount, count); err != nil {
		return err
	}
	return SetLayout(m, LayoutBatchStride, stride)
}

// SetLayout sets an attribute of a layout.
func SetLayout[V Value](m MatrixLayout, name LayoutAttribute, v V) error {
	return set(m.lib, &m.lib.api.layoutSet, m.p, name, v)
}

// GetLayout returns an attribute of a layout.
func GetLayout[V Value](m MatrixLayout, name LayoutAttribute) (V, error) {
	return get[V](m.lib, &m.lib.api.layoutGet, m.p, name)
}

// Destroy frees the layout.
func (m MatrixLayout) Destroy() {
	if m.p != 0 {
		dl.Call(m.lib.api.layoutDestroy.Addr, dl.Int(m.p))
	}
}

// Preference narrows the heuristic's choice.
type Preference struct {
	lib *Library
	p   uintptr
}

// NewPreference makes a preference for algorithms that need at most so many bytes of workspace. The caller destroys it.
func (l *Library) NewPreference(workspace uint64) (Preference, error) {
	p := Preference{lib: l}
	if err := l.do(&l.api.prefCreate, dl.Ptr(&p.p)); err != nil {
		return Preference{}, err
	}
	if err := SetPreference(p, PreferMaxWorkspace, workspace); err != nil {
		p.Destroy()
		return Preference{}, err
	}
	return p, nil
}

// SetAlignments promises the alignment in bytes of each matrix's address, which is 256 otherwise.
func (p Preference) SetAlignments(a, b, c, d uint32) error {
	for i, bytes := range []uint32{a, b, c, d} {
		if err := SetPreference(p, PreferAlignmentA+PreferenceAttribute(i), bytes); err != nil {
			return err
		}
	}
	return nil
}

// SetPreference sets an attribute of a preference.
func SetPreference[V Value](p Preference, name PreferenceAttribute, v V) error {
	return set(p.lib, &p.lib.api.prefSet, p.p, name, v)
}

// GetPreference returns an attribute of a preference.
func GetPreference[V Value](p Preference, name PreferenceAttribute) (V, error) {
	return get[V](p.lib, &p.lib.api.prefGet, p.p, name)
}

// Destroy frees the preference.
func (p Preference) Destroy() {
	if p.p != 0 {
		dl.Call(p.lib.api.prefDestroy.Addr, dl.Int(p.p))
	}
}

// Algo is cublasLtMatmulAlgo_t: one way to compute one kind of product on one kind of device, opaque.
type Algo struct {
	Data [8]uint64 // data
}

// Heuristic is cublasLtMatmulHeuristicResult_t.
type Heuristic struct {
	Algo      Algo     // algo
	Workspace uint64   // workspaceSize: bytes that the product needs
	State     Status   // state: Success, or the algorithm will not do
	Waves     float32  // wavesCount: how full the device is; 1 is full
	_         [4]int32 // reserved
}

// Heuristics asks for up to n algorithms for a product, the best first. The error is ErrNotSupported if there is none.
func (h Handle) Heuristics(d MatmulDesc, a, b, c, dst MatrixLayout, p Preference, n int) ([]Heuristic, error) {
	if n < 1 {
		return nil, fmt.Errorf("cublaslt: %d algorithms asked for", n)
	}
	results := make([]Heuristic, n)
	var got int32
	err := h.lib.do(&h.lib.api.heuristic, dl.Int(h.p), dl.Int(d.p), dl.Int(a.p), dl.Int(b.p), dl.Int(c.p), dl.Int(dst.p),
		dl.Int(p.p), dl.Int(n), dl.Ptr(&results[0]), dl.Ptr(&got))
	if err != nil {
		return nil, err
	}
	usable := results[:0]
	for _, r := range results[:min(int(got), n)] {
		if r.State == Success {
			usable = append(usable, r)
		}
	}
	if len(usable) == 0 {
		return nil, h.lib.fail(h.lib.api.heuristic.Name, ErrNotSupported)
	}
	return usable, nil
}

// Operands are the addresses of a product's matrices on the device. C may be D.
type Operands struct {
	A, B, C, D uint64
}

// Matmul puts a product on a stream (a CUstream). alpha and beta point to one element of the description's scale type each,
// on the host unless its pointer mode says otherwise; they are read during the call. It allocates nothing.
func (h Handle) Matmul(d MatmulDesc, alpha, beta unsafe.Pointer, la, lb, lc, ld MatrixLayout, m Operands, algo *Algo, workspace, size uint64, stream uintptr) error {
	return h.lib.do(&h.lib.api.matmul, dl.Int(h.p), dl.Int(d.p),
		dl.Addr(alpha), dl.Int(m.A), dl.Int(la.p), dl.Int(m.B), dl.Int(lb.p),
		dl.Addr(beta), dl.Int(m.C), dl.Int(lc.p), dl.Int(m.D), dl.Int(ld.p),
		dl.Ptr(algo), dl.Int(workspace), dl.Int(size), dl.Int(stream))
}
