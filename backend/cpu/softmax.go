package cpu

import (
	"math"
	"unsafe"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cpu/internal/parallel"
	"github.com/descent-ml/descent/backend/cpu/internal/vec"
)

// softmaxKernel computes a line in place of x, from x and, in the backward
// ops, the output y.
type softmaxKernel[C compute] func(dst, x, y []C)

var softmaxes = [...]struct {
	f32 softmaxKernel[float32]
	f64 softmaxKernel[float64]
}{
	backend.Softmax: {
		f32: func(dst, x, _ []float32) { vec.MulScalar(dst, dst, 1/vec.ExpSum(dst, x, vec.MaxOf(x))) },
		f64: softmax64,
	},
	backend.LogSoftmax: {
		f32: func(dst, x, _ []float32) {
			shift := vec.MaxOf(x)
			vec.AddScalar(dst, x, -shift)
			vec.AddScalar(dst, dst, -float32(math.Log(float64(vec.SumExp(dst, 0)))))
		},
		f64: logSoftmax64,
	},
	backend.SoftmaxBackward: {
		f32: softmaxGrad32,
		f64: softmaxGrad64,
	},
	backend.LogSoftmaxBackward: {
		f32: logSoftmaxGrad32,
		f64: logSoftmaxGrad64,
	},
}

// Softmax computes softmax along axis, its logarithm, or their gradients.
func (d *Device) Softmax(op backend.SoftmaxOp, out, x, y backend.Array, axis int) error {
	k := &softmaxes[op]
	switch {
	case out.DType == backend.Float64:
		return softmax(d, &codec64, k.f64, &out, &x, &y, axis)
	case out.DType.IsFloat():
		return softmax(d, &codec32, k.f32, &out, &x, &y, axis)
	}
	return unsupported(op, out.DType)
}

func softmax[C compute](d *Device, c *codec[C], f softmaxKernel[C], out, x, y *backend.Array, axis int) error {
	if out.Size() == 0 {
		return nil
	}
	n := out.Shape[axis]
	var shape []int
	var strides [3]int
	var rest [3]backend.Array
	rest[0], strides[0] = line(out, axis, &shape)
	rest[1], strides[1] = line(x, axis, &shape)
	rest[2] = rest[1]
	if y.Buf != nil {
		rest[2], strides[2] = line(y, axis, &shape)
	}
	s := new(space)
	s.walk(&rest[0], &rest[1], &rest[2])
	inputs := 1
	if y.Buf != nil {
		inputs = 2
	}
	var straight [3]bool
	for i := range straight {
		straight[i] = s.ops[i].dtype == c.native && (strides[i] == 1 || n == 1)
	}
	parallel.For(s.size, max(1, grainSlow/n), func(lo, hi int) {
		var work [3][]C
		if !straight[0] || !straight[1] || inputs == 2 && !straight[2] {
			memory := make([]C, 3*n)
			work = [3][]C{memory[:n], memory[n : 2*n], memory[2*n:]}
		}
		at := s.at(lo)
		for ; lo < hi; lo++ {
			var rows [3][]C
			for i := range 1 + inputs {
				o := &s.ops[i]
				ptr := unsafe.Add(o.ptr, s.offset(o, &at)*o.dtype.Size())
				switch {
				case straight[i]:
					rows[i] = unsafe.Slice((*C)(ptr), n)
				default:
					rows[i] = work[i]
					if i > 0 {
						c.load[o.dtype](rows[i], ptr, strides[i])
					}
				}
			}
			f(rows[0], rows[1], rows[2])
			if o := &s.ops[0]; !straight[0] {
				c.store[o.dtype](unsafe.Add(o.ptr, s.offset(o, &at)*o.dtype.Size()), strides[0], rows[0])
			}
			s.advance(&at, 1)
		}
	})
	return nil
}

func softmax64(dst, x, _ []float64) {
	shift := rowOf(maximum[float64], math.Inf(-1))(x)
	for i, v := range x {
		dst[i] = math.Exp(v - shift)
	}
	sum := sum64(dst)
	for i := range dst {
		dst[i] /= sum
	}
}

func logSoftmax64(dst, x, _ []float64) {
	shift := rowOf(maximum[float64], math.Inf(-1))(x)
	sum := 0.0
	for _, v := range x {
		sum += math.Exp(v - shift)
	}
	log := math.Log(sum)
	for i, v := range x {
		dst[i] = v - shift - log
	}
}

func softmaxGrad64(dst, g, y []float64) {
	dot := 0.0
	for i, v := range g {
		dot += v * y[i]
	}
	for i, v := range g {
		dst[i] = (v - dot) * y[i]
	}
}

func logSoftmaxGrad64(dst, g, y []float64) {
	sum := sum64(g)
	for i, v := range g {
		dst[i] = v - math.Exp(y[i])*sum
	}
}

// The gradients below work in blocks, as dst may be g or y.

func softmaxGrad32(dst, g, y []float32) {
	dot := vec.Dot(g, y)
	var buf [blockLen]float32
	for len(dst) > 0 {
		n := min(len(dst), blockLen)
		vec.AddScalar(buf[:n], g[:n], -dot)
		vec.Mul(dst[:n], buf[:n], y[:n])
		dst, g, y = dst[n:], g[n:], y[n:]
	}
}

func logSoftmaxGrad32(dst, g, y []float32) {
	sum := vec.Sum(g)
	var buf [blockLen]float32
	for len(dst) > 0 {
		n := min(len(dst), blockLen)
		p := buf[:n]
		vec.Exp(p, y[:n])
		vec.MulScalar(p, p, sum)
		vec.Sub(dst[:n], g[:n], p)
		dst, g, y = dst[n:], g[n:], y[n:]
	}
}
