package cuda

import (
	"syscall"
	"testing"
	"time"

	"github.com/descent-ml/descent/backend"
)

// calls are ops as a model asks for them, by name. All arrays are float32.
func calls(t testing.TB, d *Device) map[string]func() error {
	array := func(shape ...int) backend.Array {
		a := backend.Array{Shape: shape, Strides: make([]int, len(shape))}
		n := 1
		for i := len(shape) - 1; i >= 0; i-- {
			a.Strides[i] = n
			n *= shape[i]
		}
		var err error
		a.Buf, err = d.Alloc(4 * n)
		must(t, err)
		t.Cleanup(a.Buf.Free)
		return a
	}
	x, y, z := array(64, 128), array(64, 128), array(64, 128)
	row := array(1, 128)
	wide := row
	wide.Shape, wide.Strides = []int{64, 128}, []int{0, 1}
	turned := array(128, 64)
	turned.Shape, turned.Strides = []int{64, 128}, []int{1, 64}
	sum := array(64, 1)
	w, out := array(128, 32), array(64, 32)
	return map[string]func() error{
		"Alloc and Free": func() error {
			b, err := d.Alloc(4 * 64 * 128)
			if err == nil {
				b.Free()
			}
			return err
		},
		"Unary":     func() error { return d.Unary(backend.GELU, z, x, backend.Params{}) },
		"Binary":    func() error { return d.Binary(backend.Add, z, x, y, backend.Params{}) },
		"Broadcast": func() error { return d.Binary(backend.Add, z, x, wide, backend.Params{}) },
		"Scalar": func() error {
			return d.Binary(backend.Mul, z, x, backend.Array{}, backend.Params{Scalars: backend.Scalars{A: 2}})
		},
		"Where":     func() error { return d.Ternary(backend.Addcmul, z, x, y, x, backend.Params{}) },
		"Copy":      func() error { return d.Copy(z, x, false) },
		"Transpose": func() error { return d.Copy(z, turned, false) },
		"Fill":      func() error { return d.Generate(backend.Fill, z, backend.Params{}) },
		"Reduce":    func() error { return d.Reduce(backend.Sum, sum, x) },
		"Softmax":   func() error { return d.Softmax(backend.Softmax, z, x, backend.Array{}, 1) },
		"MatMul":    func() error { return d.MatMul(out, x, w, backend.Epilogue{}) },
	}
}

func TestOpsAllocateNothingOfGos(t *testing.T) {
	countOnly(t)
	d := testDevice(t, Options{})
	for name, call := range calls(t, d) {
		must(t, call())
		limit := 0.0
		if name == "Alloc and Free" {
			limit = 1 // the buffer
		}
		if n := testing.AllocsPerRun(100, func() { call() }); n > limit {
			t.Errorf("%s makes %v allocations", name, n)
		}
	}
}

// BenchmarkOp measures the host's work for an op, with that of the fake driver: its
// time, and the time of processors, which says more on a machine that is shared.
func BenchmarkOp(b *testing.B) {
	countOnly(b)
	d := testDevice(b, Options{})
	for name, call := range calls(b, d) {
		b.Run(name, func(b *testing.B) {
			must(b, call())
			begin := processorTime(b)
			for b.Loop() {
				call()
			}
			b.ReportMetric(float64(processorTime(b)-begin)/float64(b.N), "cpu-ns/op")
		})
	}
}

func processorTime(t testing.TB) time.Duration {
	var u syscall.Rusage
	must(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
