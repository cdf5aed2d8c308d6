package cpu

import (
	"fmt"
	"math"
	"testing"

	"github.com/descent-ml/descent/backend"
)

// What PyTorch 2.15 gives on the CPU for these operands, as its own console
// prints it, where Go, C and Python differ.
func TestEdgesAreAsInPyTorch(t *testing.T) {
	d, nan, inf := device, math.NaN(), math.Inf(1)
	f, i, u := backend.Float32, backend.Int64, backend.Uint8
	for _, c := range []struct {
		op    backend.BinaryOp
		dtype backend.DType
		x, y  []float64
		want  []float64
	}{
		{backend.Remainder, f, []float64{-7, 7, -7, 7, 5, nan}, []float64{3, -3, -3, inf, 0, 1}, []float64{2, -2, -1, 7, nan, nan}},
		{backend.Fmod, f, []float64{-7, 7, -7, 7, 5}, []float64{3, -3, -3, inf, 0}, []float64{-1, 1, -1, 7, nan}},
		{backend.Remainder, i, []float64{-7, 7, -7, 6}, []float64{3, -3, -3, 3}, []float64{2, -2, -1, 0}},
		{backend.Fmod, i, []float64{-7, 7, -7, 6}, []float64{3, -3, -3, 3}, []float64{-1, 1, -1, 0}},
		{backend.FloorDiv, i, []float64{-7, 7, -7, 6}, []float64{3, -3, -3, 3}, []float64{-3, -3, 2, 2}},
		{backend.TruncDiv, i, []float64{-7, 7, -7, 6}, []float64{3, -3, -3, 3}, []float64{-2, -2, 2, 2}},
		{backend.FloorDiv, f, []float64{6, 1, -1, 1, -1}, []float64{0.1, 0.1, 3, 0, 0}, []float64{59, 9, -1, inf, -inf}},
		{backend.TruncDiv, f, []float64{0.9, -7}, []float64{0.3, 2}, []float64{2, -3}},
		{backend.Pow, i, []float64{0, 1, -1, 2, 3}, []float64{-1, -1, -3, -1, 4}, []float64{0, 1, -1, 0, 81}},
		{backend.Pow, f, []float64{0, -8, 1, -1, 2}, []float64{0, 1. / 3, nan, inf, -1}, []float64{1, nan, 1, 1, 0.5}},
		{backend.Maximum, f, []float64{nan, 1, 2}, []float64{1, nan, 3}, []float64{nan, nan, 3}},
		{backend.Minimum, f, []float64{nan, 1, 2}, []float64{1, nan, 3}, []float64{nan, nan, 2}},
		{backend.Sub, u, []float64{1, 0}, []float64{2, 255}, []float64{255, 1}},
		{backend.ReLUGrad, f, []float64{1, 1, 1}, []float64{nan, 1, 0}, []float64{1, 1, 0}},
		{backend.Add, backend.Bool, []float64{0, 1, 1}, []float64{0, 0, 1}, []float64{0, 1, 1}},
	} {
		x, y, out := empty(t, d, c.dtype, len(c.x)), empty(t, d, c.dtype, len(c.x)), empty(t, d, c.dtype, len(c.x))
		check(t, d.Copy(x, array(t, d, backend.Float64, c.x, len(c.x)), false))
		check(t, d.Copy(y, array(t, d, backend.Float64, c.y, len(c.y)), false))
		check(t, d.Binary(c.op, out, x, y, backend.Params{}))
		near(t, fmt.Sprintf("%v of %v", c.op, c.dtype), values(t, d, out), c.want, 0)
	}
	for _, c := range []struct {
		op      backend.UnaryOp
		p       backend.Scalars
		x, want []float64
	}{
		{backend.Sign, backend.Scalars{}, []float64{nan, -2, 0}, []float64{0, -1, 0}},
		{backend.Round, backend.Scalars{}, []float64{0.5, 1.5, 2.5, -0.5}, []float64{0, 2, 2, 0}},
		{backend.ReLU, backend.Scalars{}, []float64{nan, -1, 2}, []float64{nan, 0, 2}},
		{backend.Clamp, backend.Scalars{A: 0, B: 1}, []float64{nan, -1, 2}, []float64{nan, 0, 1}},
		{backend.Clamp, backend.Scalars{A: 5, B: 2}, []float64{3}, []float64{2}},
		{backend.Rsqrt, backend.Scalars{}, []float64{0, -1, 4}, []float64{inf, nan, 0.5}},
		{backend.Softplus, backend.Scalars{A: 1, B: 20}, []float64{nan, -2000, 2000}, []float64{nan, 0, 2000}},
		{backend.LogSigmoid, backend.Scalars{}, []float64{-1000, 1000}, []float64{-1000, 0}},
		{backend.Mish, backend.Scalars{}, []float64{1000, 0}, []float64{1000, 0}},
	} {
		for _, dtype := range floatTypes {
			x, out := empty(t, d, dtype, len(c.x)), empty(t, d, dtype, len(c.x))
			check(t, d.Copy(x, array(t, d, backend.Float64, c.x, len(c.x)), false))
			check(t, d.Unary(c.op, out, x, backend.Params{Scalars: c.p}))
			near(t, fmt.Sprintf("%v of %v", c.op, dtype), values(t, d, out), c.want, 0)
		}
	}
}

func TestIntegerDivisionByZeroIsAnError(t *testing.T) {
	d := device
	x := array(t, d, backend.Int32, []int32{4, 5, 6}, 3)
	y := array(t, d, backend.Int32, []int32{1, 0, 2}, 3)
	scalar := backend.Array{DType: backend.Int32, Shape: []int{3}, Strides: []int{0}}
	for _, op := range []backend.BinaryOp{backend.FloorDiv, backend.TruncDiv, backend.Remainder, backend.Fmod} {
		if d.Binary(op, x, x, y, backend.Params{}) == nil {
			t.Errorf("%v by an array with 0 passes", op)
		}
		if d.Binary(op, x, x, scalar, backend.Params{}) == nil {
			t.Errorf("%v by the scalar 0 passes", op)
		}
	}
	near(t, "the array after refused divisions", values(t, d, x), []float64{4, 5, 6}, 0)
	if d.Binary(backend.Pow, x, x, scalar, backend.Params{Scalars: backend.Scalars{N: -1}}) == nil {
		t.Error("an integer to the power -1 passes")
	}
}
