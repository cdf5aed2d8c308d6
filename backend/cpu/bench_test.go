package cpu

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/descent-ml/descent/backend"
)

var benchDevice = New(Options{})

func BenchmarkElementwise(b *testing.B) {
	d, rng := benchDevice, rand.New(rand.NewPCG(1, 1))
	for _, n := range []int{1, 1024, 262144} {
		x, y := randomArray(b, d, rng, backend.Float32, n), randomArray(b, d, rng, backend.Float32, n)
		out := empty(b, d, backend.Float32, n)
		scalar := backend.Array{DType: backend.Float32, Shape: []int{n}, Strides: []int{0}}
		run := func(name string, f func() error) {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := f(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		p := backend.Params{Scalars: backend.Scalars{A: 0.5}}
		run("Add", func() error { return d.Binary(backend.Add, out, x, y, backend.Params{}) })
		run("MulScalar", func() error { return d.Binary(backend.Mul, out, x, scalar, p) })
		run("ReLU", func() error { return d.Unary(backend.ReLU, out, x, backend.Params{}) })
		run("Exp", func() error { return d.Unary(backend.Exp, out, x, backend.Params{}) })
		run("Copy", func() error { return d.Copy(out, x, false) })
		total := empty(b, d, backend.Float32, 1)
		run("Sum", func() error { return d.Reduce(backend.Sum, total, x) })
		run("Fill", func() error { return d.Generate(backend.Fill, out, p) })
	}
	b.Run("AllocFree", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			buf, _ := d.Alloc(4096)
			buf.Free()
		}
	})
}

// The layers of a small convolutional network for MNIST, batch 64.
func BenchmarkMNIST(b *testing.B) {
	d, rng := benchDevice, rand.New(rand.NewPCG(1, 1))
	f32 := backend.Float32
	last := func(shape ...int) backend.Array {
		c := lastChannels(b, d, f32, shape)
		x := randomArray(b, d, rng, f32, shape...)
		check(b, d.Copy(c, x, false))
		return c
	}
	x1, w1, y1 := last(64, 1, 28, 28), randomArray(b, d, rng, f32, 32, 1, 3, 3), last(64, 32, 26, 26)
	w2, y2 := randomArray(b, d, rng, f32, 64, 32, 3, 3), last(64, 64, 24, 24)
	z := last(64, 64, 12, 12)
	idx := lastChannels(b, d, backend.Int64, []int{64, 64, 12, 12})
	bias := randomArray(b, d, rng, f32, 64)
	p := backend.ConvParams{Stride: [2]int{1, 1}, Dilation: [2]int{1, 1}, Groups: 1}
	pool := backend.PoolParams{Kernel: [2]int{2, 2}, Stride: [2]int{2, 2}, Dilation: [2]int{1, 1}}
	flat := randomArray(b, d, rng, f32, 64, 9216)
	h, fc, hb := empty(b, d, f32, 64, 128), randomArray(b, d, rng, f32, 128, 9216), randomArray(b, d, rng, f32, 128)
	transposed := func(a backend.Array) backend.Array {
		a.Shape = []int{a.Shape[1], a.Shape[0]}
		a.Strides = []int{a.Strides[1], a.Strides[0]}
		return a
	}
	nchw := z
	nchw.Shape = []int{64, 64 * 144}
	run := func(name string, flops float64, f func() error) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := f(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(flops*float64(b.N)/b.Elapsed().Seconds()/1e9, "GF/s")
		})
	}
	var none backend.Epilogue
	conv1, conv2 := 2.0*64*26*26*32*9, 2.0*64*24*24*64*32*9
	run("conv1", conv1, func() error {
		return d.Conv(backend.ConvForward, y1, x1, w1, p, backend.Epilogue{Bias: channelBias(bias, 32)})
	})
	run("conv1 weight", conv1, func() error { return d.Conv(backend.ConvBackwardWeight, w1, y1, x1, p, none) })
	run("conv2", conv2, func() error {
		return d.Conv(backend.ConvForward, y2, y1, w2, p, backend.Epilogue{Bias: bias, Act: backend.ReLU})
	})
	run("conv2 input", conv2, func() error { return d.Conv(backend.ConvBackwardInput, y1, y2, w2, p, none) })
	run("conv2 weight", conv2, func() error { return d.Conv(backend.ConvBackwardWeight, w2, y2, y1, p, none) })
	run("bias gradient", 0, func() error {
		return d.Reduce(backend.Sum, backend.Array{Buf: bias.Buf, DType: f32, Shape: []int{1, 64, 1, 1}, Strides: []int{64, 1, 1, 1}}, y2)
	})
	run("relu", 0, func() error { return d.Unary(backend.ReLU, y2, y2, backend.Params{}) })
	run("relu gradient", 0, func() error { return d.Binary(backend.ReLUGrad, y2, y2, y2, backend.Params{}) })
	run("max pool", 0, func() error { return d.Pool(backend.MaxPool, z, idx, y2, pool) })
	run("max pool gradient", 0, func() error { return d.Pool(backend.MaxPoolBackward, y2, idx, z, pool) })
	rows := flat
	rows.Shape = []int{64, 64, 12, 12}
	rows.Strides = []int{9216, 144, 12, 1}
	run("flatten", 0, func() error { return d.Copy(rows, z, false) })
	run("unflatten", 0, func() error { return d.Copy(z, rows, false) })
	full := 2.0 * 64 * 9216 * 128
	run("linear", full, func() error { return d.MatMul(h, flat, transposed(fc), backend.Epilogue{Bias: hb}) })
	run("linear weight", full, func() error { return d.MatMul(fc, transposed(h), flat, none) })
	run("linear input", full, func() error { return d.MatMul(flat, h, fc, none) })
	state := []backend.Array{randomArray(b, d, rng, f32, 128, 9216), randomArray(b, d, rng, f32, 128, 9216)}
	run("adam", 0, func() error {
		return d.OptimizerStep(backend.Adam, []backend.Array{fc}, []backend.Array{fc}, [][]backend.Array{state}, backend.OptimizerParams{LR: 1e-9, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Step: 1})
	})
}

func channelBias(a backend.Array, n int) backend.Array {
	a.Shape = []int{n}
	return a
}
