package cpu

import (
	"math"
	"sync/atomic"
	"unsafe"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cpu/internal/parallel"
	"github.com/descent-ml/descent/backend/cpu/internal/vec"
)

// exponentials are what softmax needs, in a computing type.
type exponentials[C float32 | float64] struct {
	max    func(x []C) C
	expSum func(dst, x []C, shift C) C // dst = exp(x-shift), and its sum
	scale  func(dst, x []C, s C)
}

var (
	exponentials32 = exponentials[float32]{vec.MaxOf, vec.ExpSum, vec.MulScalar}
	exponentials64 = exponentials[float64]{rowOf(maximum[float64], math.Inf(-1)), expSum64, mulScalar64}
)

func expSum64(dst, x []float64, shift float64) float64 {
	for i, v := range x {
		dst[i] = math.Exp(v - shift)
	}
	return sum64(dst)
}

func mulScalar64(dst, x []float64, s float64) {
	for i, v := range x {
		dst[i] = v * s
	}
}

// CrossEntropy computes the loss of each row of logits.
func (d *Device) CrossEntropy(loss, lse, x, labels backend.Array, p backend.CrossEntropyParams) error {
	if g := d.capturing(); g != nil {
		return g.crossEntropy(loss, lse, x, labels, p)
	}
	switch {
	case x.DType == backend.Float64:
		return crossEntropy(&codec64, &exponentials64, &loss, &lse, &x, &labels, &p)
	case x.DType.IsFloat():
		return crossEntropy(&codec32, &exponentials32, &loss, &lse, &x, &labels, &p)
	}
	return unsupported("CrossEntropy", x.DType)
}

// CrossEntropyBackward computes the gradient of each row of logits.
func (d *Device) CrossEntropyBackward(dx, g, lse, x, labels backend.Array, p backend.CrossEntropyParams) error {
	if c := d.capturing(); c != nil {
		return c.crossEntropyBackward(dx, g, lse, x, labels, p)
	}
	switch {
	case x.DType == backend.Float64:
		return crossEntropyGrad(&codec64, &exponentials64, &dx, &g, &lse, &x, &labels, &p)
	case x.DType.IsFloat():
		return crossEntropyGrad(&codec32, &exponentials32, &dx, &g, &lse, &x, &labels, &p)
	}
	return unsupported("CrossEntropyBackward", x.DType)
}

func crossEntropy[C float32 | float64](c *codec[C], f *exponentials[C], loss, lse, x, labels *backend.Array, p *backend.CrossEntropyParams) error {
	losses, lses, logits, targets := rowsOf(loss), rowsOf(lse), rowsOf(x), rowsOf(labels)
	return eachLabel(x, targets, p, func(i, label, classes int) {
		buf := c.get()
		defer c.put(buf)
		row := logits.row(i)
		shift := C(math.Inf(-1))
		eachBlock(&row, c, &buf[0], func(_ int, v []C) { shift = max(shift, f.max(v)) })
		sum, total, picked := 0.0, 0.0, 0.0
		eachBlock(&row, c, &buf[0], func(at int, v []C) {
			sum += float64(f.expSum(buf[1][:len(v)], v, shift))
			if p.Smoothing != 0 {
				for _, u := range v {
					total += float64(u)
				}
			}
			if at <= label && label < at+len(v) {
				picked = float64(v[label-at])
			}
		})
		log := math.Log(sum)
		l := 0.0
		if label >= 0 {
			// From the largest logit, beside which a sum would round the logarithm away.
			if l = float64(shift) - picked + log; p.Smoothing != 0 {
				l = (1-p.Smoothing)*l + p.Smoothing*(float64(shift)-total/float64(classes)+log)
			}
		}
		*(*C)(losses.row(i).ptr) = C(l)
		*(*C)(lses.row(i).ptr) = C(float64(shift) + log)
	})
}

func crossEntropyGrad[C float32 | float64](c *codec[C], f *exponentials[C], dx, g, lse, x, labels *backend.Array, p *backend.CrossEntropyParams) error {
	grads, gs, lses, logits, targets := rowsOf(dx), rowsOf(g), rowsOf(lse), rowsOf(x), rowsOf(labels)
	return eachLabel(x, targets, p, func(i, label, classes int) {
		buf := c.get()
		defer c.put(buf)
		scale, shift := *(*C)(gs.row(i).ptr), *(*C)(lses.row(i).ptr)
		even, one := C(p.Smoothing/float64(classes)), C(1-p.Smoothing)
		row, to := logits.row(i), grads.row(i)
		direct := isPlain(&to, c)
		eachBlock(&row, c, &buf[0], func(at int, v []C) {
			dst := buf[1][:len(v)]
			if direct {
				dst = unsafe.Slice((*C)(to.at(at)), len(v))
			}
			if label < 0 {
				clear(dst)
			} else {
				f.expSum(dst, v, shift)
				if even != 0 {
					for j := range dst {
						dst[j] -= even
					}
				}
				if at <= label && label < at+len(v) {
					dst[label-at] -= one
				}
				f.scale(dst, dst, scale)
			}
			if !direct {
				c.store[to.dtype](to.at(at), to.stride, dst)
			}
		})
	})
}

// eachLabel calls f for each row of logits x with its label, -1 for one that is to
// be ignored, and the number of classes.
func eachLabel(x *backend.Array, labels rows, p *backend.CrossEntropyParams, f func(i, label, classes int)) error {
	classes := x.Shape[1]
	var failed atomic.Pointer[backend.IndexError]
	parallel.For(x.Shape[0], max(1, grainSlow/max(1, classes)), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			label := *(*int64)(labels.row(i).ptr)
			switch {
			case label == p.Ignore:
				label = -1
			case label < 0 || label >= int64(classes):
				failed.CompareAndSwap(nil, &backend.IndexError{Index: label, Size: classes})
				label = -1
			}
			f(i, int(label), classes)
		}
	})
	if e := failed.Load(); e != nil {
		return e
	}
	return nil
}

// rows are those of a matrix, or the elements of a vector.
type rows struct {
	operand
	step, stride, n int // between rows; of a row
}

func rowsOf(a *backend.Array) rows {
	r := rows{step: a.Strides[0], stride: 1, n: 1}
	if len(a.Shape) > 1 {
		r.stride, r.n = a.Strides[1], a.Shape[1]
	}
	r.point(a)
	return r
}

func (r *rows) row(i int) strip {
	return strip{unsafe.Add(r.ptr, i*r.step*r.dtype.Size()), r.dtype, r.stride, r.n}
}

// strip is n evenly spaced elements.
type strip struct {
	ptr       unsafe.Pointer
	dtype     backend.DType
	stride, n int
}

func (s *strip) at(i int) unsafe.Pointer { return unsafe.Add(s.ptr, i*s.stride*s.dtype.Size()) }

// isPlain reports whether s is a slice of c's type as it is.
func isPlain[C compute](s *strip, c *codec[C]) bool {
	return s.dtype == c.native && (s.stride == 1 || s.n == 1)
}

// eachBlock calls f with s's elements from number at on, a block at a time; buf has
// room for those that must be converted.
func eachBlock[C compute](s *strip, c *codec[C], buf *[blockLen]C, f func(at int, v []C)) {
	for at := 0; at < s.n; at += blockLen {
		v := buf[:min(blockLen, s.n-at)]
		if isPlain(s, c) {
			v = unsafe.Slice((*C)(s.at(at)), len(v))
		} else {
			c.load[s.dtype](v, s.at(at), s.stride)
		}
		f(at, v)
	}
}
