package cpu

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/descent-ml/descent/backend"
)

func TestResultsDoNotDependOnTheThreads(t *testing.T) {
	d, rng := device, rand.New(rand.NewPCG(27, 28))
	f32 := backend.Float32
	array := func(shape ...int) backend.Array { return randomArray(t, d, rng, f32, shape...) }
	x, w, y := array(6, 9, 30, 31), array(12, 9, 3, 3), array(6, 12, 15, 16)
	conv := backend.ConvParams{Stride: [2]int{2, 2}, Padding: [2]int{1, 1}, Dilation: [2]int{1, 1}, Groups: 1}
	pool := backend.PoolParams{Kernel: [2]int{3, 3}, Stride: [2]int{2, 2}, Padding: [2]int{1, 1}, Dilation: [2]int{1, 1}}
	a, b := array(130, 700), array(700, 90)
	index := empty(t, d, backend.Int64, 4000, 60)
	check(t, d.Generate(backend.RandInt, index, backend.Params{Scalars: backend.Scalars{M: 50}}))
	index.Strides = []int{1, 0}
	rows := array(4000, 60)
	gamma := array(1, 9, 1, 1)
	var none backend.Epilogue
	// Each case writes out, which holds the same numbers before.
	for name, c := range map[string]struct {
		shape []int
		run   func(out backend.Array) error
	}{
		"add":         {[]int{4000, 60}, func(out backend.Array) error { return d.Binary(backend.Add, out, rows, rows, backend.Params{}) }},
		"exp":         {[]int{4000, 60}, func(out backend.Array) error { return d.Unary(backend.Exp, out, rows, backend.Params{}) }},
		"softmax":     {[]int{4000, 60}, func(out backend.Array) error { return d.Softmax(backend.Softmax, out, rows, backend.Array{}, 0) }},
		"matmul":      {[]int{130, 90}, func(out backend.Array) error { return d.MatMul(out, a, b, none) }},
		"scatter add": {[]int{50, 60}, func(out backend.Array) error { return d.Scatter(backend.ScatterAdd, out, index, rows, 0) }},
		"conv":        {y.Shape, func(out backend.Array) error { return d.Conv(backend.ConvForward, out, x, w, conv, none) }},
		"conv input":  {x.Shape, func(out backend.Array) error { return d.Conv(backend.ConvBackwardInput, out, y, w, conv, none) }},
		"conv weight": {w.Shape, func(out backend.Array) error { return d.Conv(backend.ConvBackwardWeight, out, y, x, conv, none) }},
		"average pool": {[]int{6, 9, 15, 16}, func(out backend.Array) error {
			return d.Pool(backend.AvgPool, out, backend.Array{}, x, pool)
		}},
		"norm gradient": {x.Shape, func(out backend.Array) error {
			mean, variance := empty(t, d, f32, 1, 9, 1, 1), empty(t, d, f32, 1, 9, 1, 1)
			wide := expand(gamma, x.Shape)
			if err := d.Norm(out, mean, variance, x, wide, wide, 1e-5); err != nil {
				return err
			}
			return d.NormBackward(out, backend.Array{}, backend.Array{}, out, x, mean, variance, wide, 1e-5)
		}},
		"adam": {[]int{200, 300}, func(out backend.Array) error {
			state := []backend.Array{empty(t, d, f32, 200, 300), empty(t, d, f32, 200, 300)}
			for _, s := range state {
				if err := d.Generate(backend.Fill, s, backend.Params{}); err != nil {
					return err
				}
			}
			return d.OptimizerStep(backend.Adam, []backend.Array{out}, []backend.Array{out}, [][]backend.Array{state},
				backend.OptimizerParams{LR: 0.1, Beta1: 0.9, Beta2: 0.99, Eps: 1e-8, Step: 3})
		}},
	} {
		start := array(c.shape...)
		one, many := withThreads(func() []byte {
			out := empty(t, d, f32, c.shape...)
			check(t, d.Copy(out, start, false))
			check(t, c.run(out))
			return contents(t, d, out)
		})
		if !bytes.Equal(one, many) {
			t.Errorf("%s depends on the threads", name)
		}
	}
}
