package tensor

import (
	"errors"

	"github.com/descent-ml/descent/backend"
)

// crossEntropyFused asks the device for the cross entropy with labels, which reads
// the logits twice and stores no probabilities. It returns nil for what the device
// has no kernel for, and where the logits would have to be copied for it.
func crossEntropyFused(op string, logits, target *Tensor, axis int, o CrossEntropyOptions) *Tensor {
	d, ok := logits.dev.(backend.CrossEntropyDevice)
	if !ok || o.Weight != nil || logits.NumEl() == 0 || !viewsAsRows(logits, axis) {
		return nil
	}
	wantLabels(op, logits, target, axis)
	p := backend.CrossEntropyParams{Ignore: ignored(o.IgnoreIndex), Smoothing: o.LabelSmoothing}
	label := target.Reshape(-1).To(Int64)
	loss := crossEntropyRows(op, d, asRows(logits, axis), label, p)
	if loss == nil {
		return nil
	}
	switch o.Reduction {
	case ReductionNone:
		loss = loss.Reshape(target.Shape()...)
	case ReductionMean:
		loss = loss.Sum().Div(label.NeScalar(float64(p.Ignore)).Sum().To(loss.DType()))
	default:
		loss = loss.Sum()
	}
	if logits.scope.casting() != nil {
		return loss
	}
	return loss.To(logits.DType())
}

// viewsAsRows reports whether asRows needs no copy.
func viewsAsRows(x *Tensor, axis int) bool {
	a := x.arr
	if a.Shape, a.Strides = classesLast(a.Shape, axis), classesLast(a.Strides, axis); len(a.Shape) < 2 {
		return true
	}
	_, ok := reshapeStrides(a, []int{a.Size() / x.Size(axis), x.Size(axis)})
	return ok
}

// asRows views x as a matrix with the classes of axis in its rows.
func asRows(x *Tensor, axis int) *Tensor {
	axes := make([]int, x.Dim())
	for i := range axes {
		axes[i] = i
	}
	return x.Permute(classesLast(axes, axis)...).Reshape(-1, x.Size(axis))
}

// classesLast moves the item of axis to the end.
func classesLast(v []int, axis int) []int {
	out := make([]int, 0, len(v))
	out = append(append(out, v[:axis]...), v[axis+1:]...)
	return append(out, v[axis])
}

// crossEntropyRows is the loss of each row of x [N, C] with labels [N] of Int64.
func crossEntropyRows(op string, d backend.CrossEntropyDevice, x, label *Tensor, p backend.CrossEntropyParams) *Tensor {
	s := place2(op, x, label)
	loss := empty(op, x.dev, s, statistics(x.DType()), label.Shape())
	lse := empty(op, x.dev, s, loss.DType(), label.Shape())
	err := d.CrossEntropy(loss.arr, lse.arr, x.arr, label.arr, p)
	if errors.Is(err, backend.ErrUnsupported) {
		free(loss, lse)
		return nil
	}
	checkLabels(op, label, err)
	recordJoint(op, []*Tensor{loss, lse}, []*Tensor{x, label}, func(b *Back, gs []*Tensor) []*Tensor {
		if gs[0] == nil {
			return nil
		}
		return []*Tensor{crossEntropyGrad(op+"_backward", b, gs[0], p)}
	})
	free(lse)
	return loss
}

func crossEntropyGrad(op string, b *Back, g *Tensor, p backend.CrossEntropyParams) *Tensor {
	x, label := b.In(0), b.In(1)
	if d, ok := x.dev.(backend.CrossEntropyDevice); ok && !b.Recording() {
		dx := emptyLike(op, x.scope, x.DType(), x)
		err := d.CrossEntropyBackward(dx.arr, g.arr, b.Out(1).arr, x.arr, label.arr, p)
		if !errors.Is(err, backend.ErrUnsupported) {
			check(op, err)
			return dx
		}
		free(dx)
	}
	// g·(softmax(x) - Smoothing/C - (1-Smoothing)·(the label's 1)), 0 where a label is ignored.
	ignored := label.EqScalar(float64(p.Ignore))
	classes := x.Size(1)
	hot := Arange(x.Place(), Int64, 0, float64(classes), 1).Eq(label.Unsqueeze(1))
	target := hot.To(g.DType()).MulScalar(1 - p.Smoothing).AddScalar(p.Smoothing / float64(classes))
	g = g.MaskedFill(ignored, 0).Unsqueeze(1)
	return x.To(g.DType()).Softmax(1).Sub(target).Mul(g)
}
