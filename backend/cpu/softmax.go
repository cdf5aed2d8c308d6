package cpu

import (
	"math"
	"unsafe"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cpu/internal/parallel"
	"github.com/descent-ml/descent/backend/cpu/internal/vec"
)

// softmaxKernel computes a line from x and, in the backward ops, the output y.
// dst may be one of them; tmp is memory for one line more.
type softmaxKernel[C compute] func(dst, x, y, tmp []C)

var softmaxes = [...]struct {
	f32 softmaxKernel[float32]
	f64 softmaxKernel[float64]
}{
	backend.Softmax:            {softmax32, softmax64},
	backend.LogSoftmax:         {logSoftmax32, logSoftmax64},
	backend.SoftmaxBackward:    {softmaxGrad32, softmaxGrad64},
	backend.LogSoftmaxBackward: {logSoftmaxGrad32, logSoftmaxGrad64},
}

// Softmax computes softmax along axis, its logarithm, or their gradients.
func (d *Device) Softmax(op backend.SoftmaxOp, out, x, y backend.Array, axis int) error {
	if g := d.capturing(); g != nil {
		return g.softmax(op, out, x, y, axis)
	}
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
		var work [4][]C
		if n <= blockLen {
			buf := c.get()
			defer c.put(buf)
			for i := range work {
				work[i] = buf[i][:n]
			}
		} else {
			memory := make([]C, len(work)*n)
			for i := range work {
				work[i] = memory[i*n:][:n]
			}
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
			f(rows[0], rows[1], rows[2], work[3])
			if o := &s.ops[0]; !straight[0] {
				c.store[o.dtype](unsafe.Add(o.ptr, s.offset(o, &at)*o.dtype.Size()), strides[0], rows[0])
			}
			s.advance(&at, 1)
		}
	})
	return nil
}

func softmax32(dst, x, _, _ []float32) {
	sum := vec.ExpSum(dst, x, vec.MaxOf(x))
	vec.MulScalar(dst, dst, 1/sum)
}

func softmax64(dst, x, _, _ []float64) {
	shift := rowOf(maximum[float64], math.Inf(-1))(x)
	for i, v := range x {
		dst[i] = math.Exp(v - shift)
	}
	sum := sum64(dst)
	for i := range dst {
		dst[i] /= sum
	}
}

func logSoftmax32(dst, x, _, tmp []float32) {
	shift := vec.MaxOf(x)
	sum := vec.ExpSum(tmp, x, shift)
	// Two steps: the sum of both would round the logarithm away beside a large shift.
	vec.AddScalar(dst, x, -shift)
	vec.AddScalar(dst, dst, -float32(math.Log(float64(sum))))
}

func logSoftmax64(dst, x, _, _ []float64) {
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

func softmaxGrad32(dst, g, y, tmp []float32) {
	vec.AddScalar(tmp, g, -vec.Dot(g, y))
	vec.Mul(dst, tmp, y)
}

func softmaxGrad64(dst, g, y, _ []float64) {
	dot := dot64(g, y)
	for i, v := range g {
		dst[i] = (v - dot) * y[i]
	}
}

func logSoftmaxGrad32(dst, g, y, tmp []float32) {
	vec.Exp(tmp, y)
	vec.Axpy(dst, g, -vec.Sum(g), tmp)
}

func logSoftmaxGrad64(dst, g, y, _ []float64) {
	sum := sum64(g)
	for i, v := range g {
		dst[i] = v - math.Exp(y[i])*sum
	}
}
