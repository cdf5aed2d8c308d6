package cublaslt

import (
	"errors"
	"testing"

	"github.com/descent-ml/descent/cuda/internal/headers"
)

func realLibrary(t testing.TB) *Library {
	t.Helper()
	headers.Libraries(t)
	l, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestVersionOfTheRealLibrary(t *testing.T) {
	l := realLibrary(t)
	if v := l.Version(); v < 120000 || l.CUDAVersion() < 12000 {
		t.Errorf("version %d for CUDA %d", v, l.CUDAVersion())
	}
	t.Logf("cuBLASLt %d for CUDA %d at %s", l.Version(), l.CUDAVersion(), l.Path())
}

func TestHandleWithoutGPUIsAClearError(t *testing.T) {
	l := realLibrary(t)
	h, err := l.NewHandle()
	if err == nil {
		h.Destroy()
		t.Skip("a GPU is here")
	}
	var e *Error
	if !errors.Is(err, ErrNotInitialized) || !errors.As(err, &e) || e.Call != "cublasLtCreate" || e.Detail == "" {
		t.Errorf("NewHandle without a GPU: %v", err)
	}
	t.Log(err)
}

// The real library keeps what it is given: attribute numbers and sizes are right. It does not say that a product runs.
func TestDescriptorsOfTheRealLibraryKeepTheirAttributes(t *testing.T) {
	l := realLibrary(t)
	for _, compute := range []ComputeType{Compute16F, Compute32F, Compute32FPedantic, Compute64F, Compute32I, Compute32FFast16F, Compute32FFast16BF, Compute32FFastTF32} {
		d, err := l.NewMatmulDesc(compute, R32F)
		if err != nil {
			t.Fatal(err)
		}
		kept(t, "compute type", compute, func() (ComputeType, error) { return GetDesc[ComputeType](d, DescComputeType) })
		d.Destroy()
	}

	d, err := l.NewMatmulDesc(Compute32F, R32F)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Destroy()
	if err := d.SetTranspose(Transpose, None); err != nil {
		t.Error(err)
	}
	kept(t, "transA", Transpose, func() (Operation, error) { return GetDesc[Operation](d, DescTransA) })
	kept(t, "transB", None, func() (Operation, error) { return GetDesc[Operation](d, DescTransB) })
	for _, e := range []Epilogue{EpilogueDefault, EpilogueReLU, EpilogueBias, EpilogueReLUBias, EpilogueGELU, EpilogueGELUBias,
		EpilogueReLUAux, EpilogueReLUAuxBias, EpilogueDReLU, EpilogueDReLUBGrad, EpilogueGELUAux, EpilogueGELUAuxBias,
		EpilogueDGELU, EpilogueDGELUBGrad, EpilogueBGradA, EpilogueBGradB} {
		keptDesc(t, d, DescEpilogue, e)
	}
	for _, m := range []PointerMode{PointerHost, PointerDevice, PointerDeviceVector, PointerAlphaVectorBetaZero, PointerAlphaVectorBetaHost} {
		keptDesc(t, d, DescPointerMode, m)
	}
	for _, name := range []DescAttribute{DescBiasPointer, DescAuxPointer, DescAScalePointer, DescBScalePointer, DescCScalePointer,
		DescDScalePointer, DescAmaxDPointer, DescAuxScalePointer, DescAuxAmaxPointer} {
		keptDesc(t, d, name, uint64(0x7f0000000100)+uint64(name))
	}
	for _, name := range []DescAttribute{DescBiasBatchStride, DescAuxLD, DescAuxBatchStride, DescAlphaVectorStride} {
		keptDesc(t, d, name, int64(1)<<40+int64(name))
	}
	keptDesc(t, d, DescSMCountTarget, int32(66))
	keptDesc(t, d, DescBiasDataType, R16BF)
	keptDesc(t, d, DescAuxDataType, R16BF)
	keptDesc(t, d, DescScaleType, R32F)

	m, err := l.NewMatrixLayout(R16BF, 768, 1<<33, 1024)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Destroy()
	kept(t, "type", R16BF, func() (DataType, error) { return GetLayout[DataType](m, LayoutType) })
	kept(t, "rows", 768, func() (uint64, error) { return GetLayout[uint64](m, LayoutRows) })
	kept(t, "columns", 1<<33, func() (uint64, error) { return GetLayout[uint64](m, LayoutCols) })
	kept(t, "leading dimension", 1024, func() (int64, error) { return GetLayout[int64](m, LayoutLD) })
	if err := m.SetBatch(12, 1<<40); err != nil {
		t.Error(err)
	}
	kept(t, "batch count", 12, func() (int32, error) { return GetLayout[int32](m, LayoutBatchCount) })
	kept(t, "batch stride", 1<<40, func() (int64, error) { return GetLayout[int64](m, LayoutBatchStride) })
	if err := SetLayout(m, LayoutOrder, OrderRow); err != nil {
		t.Error(err)
	}
	kept(t, "order", OrderRow, func() (Order, error) { return GetLayout[Order](m, LayoutOrder) })

	p, err := l.NewPreference(32 << 20)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Destroy()
	kept(t, "workspace", 32<<20, func() (uint64, error) { return GetPreference[uint64](p, PreferMaxWorkspace) })
	if err := p.SetAlignments(16, 32, 64, 128); err != nil {
		t.Error(err)
	}
	for i, want := range []uint32{16, 32, 64, 128} {
		kept(t, "alignment", want, func() (uint32, error) {
			return GetPreference[uint32](p, PreferAlignmentA+PreferenceAttribute(i))
		})
	}
	for _, r := range []ReductionScheme{ReductionNone, ReductionComputeType | ReductionOutputType, ReductionMask} {
		if err := SetPreference(p, PreferReductions, r); err != nil {
			t.Error(err)
		}
		kept(t, "reductions", r, func() (ReductionScheme, error) { return GetPreference[ReductionScheme](p, PreferReductions) })
	}
}

func keptDesc[V Value](t *testing.T, d MatmulDesc, name DescAttribute, v V) {
	t.Helper()
	if err := SetDesc(d, name, v); err != nil {
		t.Error(err)
		return
	}
	got, err := GetDesc[V](d, name)
	if err != nil || got != v {
		t.Errorf("attribute %d: set %d, got %d, %v", name, v, got, err)
	}
}

func kept[V Value](t *testing.T, name string, want V, get func() (V, error)) {
	t.Helper()
	if got, err := get(); err != nil || got != want {
		t.Errorf("%s: %d, %v; want %d", name, got, err, want)
	}
}

func TestAWrongAttributeIsNamed(t *testing.T) {
	l := realLibrary(t)
	d, err := l.NewMatmulDesc(Compute32F, R32F)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Destroy()
	err = SetDesc(d, 999, int32(1))
	if !errors.Is(err, ErrInvalidValue) {
		t.Errorf("attribute 999: %v", err)
	}
	if err := SetDesc(d, DescBiasPointer, int32(1)); !errors.Is(err, ErrInvalidValue) {
		t.Errorf("a pointer of four bytes: %v", err)
	}
	t.Log(err)
}

func TestSettingAnAttributeDoesNotAllocate(t *testing.T) {
	l := realLibrary(t)
	d, err := l.NewMatmulDesc(Compute32F, R32F)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Destroy()
	n := testing.AllocsPerRun(100, func() {
		if err := SetDesc(d, DescBiasPointer, uint64(4096)); err != nil {
			t.Error(err)
		}
	})
	if n != 0 {
		t.Errorf("%g allocations", n)
	}
}

func BenchmarkSetDesc(b *testing.B) {
	l := realLibrary(b)
	d, err := l.NewMatmulDesc(Compute32F, R32F)
	if err != nil {
		b.Fatal(err)
	}
	defer d.Destroy()
	b.ReportAllocs()
	for b.Loop() {
		SetDesc(d, DescBiasPointer, uint64(4096))
	}
}
