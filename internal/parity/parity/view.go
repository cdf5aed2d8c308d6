package main

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/descent-ml/descent/tensor"
)

var dtypes = map[string]tensor.DType{}

func init() {
	for _, dt := range []tensor.DType{
		tensor.Float64, tensor.Float32, tensor.Float16, tensor.BFloat16,
		tensor.Int64, tensor.Int32, tensor.Int16, tensor.Int8, tensor.Uint8, tensor.Bool,
	} {
		dtypes[dt.String()] = dt
	}
}

// make builds the tensor that w describes, with its strides.
func (w wireTensor) make(p tensor.Place, body []byte) (*tensor.Tensor, error) {
	dt, ok := dtypes[w.DType]
	if !ok {
		return nil, fmt.Errorf("no dtype %q", w.DType)
	}
	if w.At < 0 || w.Size < 0 || w.At > len(body)-w.Size {
		return nil, fmt.Errorf("a tensor of %d bytes at %d in a body of %d", w.Size, w.At, len(body))
	}
	raw := body[w.At : w.At+w.Size]
	if w.Stride == nil || w.Size == 0 {
		return tensor.FromBytes(p, dt, raw, w.Shape...)
	}
	return strided(p, dt, raw, w.Shape, w.Stride)
}

// strided makes a tensor whose element i is raw's at sum(i*stride), as views of
// one contiguous tensor, so that it has these strides. Axes of size 1 may end
// up with others, which says nothing.
//
// The axes that move, from the largest stride to the smallest, are a slice of a
// row-major array: axis k of that array has stride(k-1)/stride(k) places, of
// which the view takes the first size(k). The rest of what a view can be is a
// permutation and repeated axes.
func strided(p tensor.Place, dt tensor.DType, raw []byte, shape, stride []int) (*tensor.Tensor, error) {
	if len(shape) != len(stride) {
		return nil, fmt.Errorf("shape %v with strides %v", shape, stride)
	}
	var moving []int
	for i := range shape {
		if shape[i] > 1 && stride[i] > 0 {
			moving = append(moving, i)
		}
	}
	slices.SortStableFunc(moving, func(a, b int) int { return cmp.Compare(stride[b], stride[a]) })

	// The row-major array, its last axis of one place being the stride of the
	// innermost moving axis.
	var base []int
	for k, axis := range moving {
		if k == 0 {
			base = append(base, shape[axis])
			continue
		}
		outer := stride[moving[k-1]]
		if outer%stride[axis] != 0 || outer/stride[axis] < shape[axis] {
			return nil, fmt.Errorf("shape %v with strides %v is not built of slices", shape, stride)
		}
		base = append(base, outer/stride[axis])
	}
	inner := 1
	if len(moving) > 0 {
		inner = stride[moving[len(moving)-1]]
	}
	base = append(base, inner)
	full := dt.Size()
	for _, n := range base {
		full *= n
	}
	if full < len(raw) || full > 16*len(raw)+1<<20 {
		return nil, fmt.Errorf("shape %v with strides %v over %d bytes", shape, stride, len(raw))
	}
	t, err := tensor.FromBytes(p, dt, append(slices.Clone(raw), make([]byte, full-len(raw))...), base...)
	if err != nil {
		return nil, err
	}
	t = t.Select(-1, 0)
	for k, axis := range moving {
		t = t.Narrow(k, 0, shape[axis])
	}

	// From the order of strides back to that of the axes, and the others in
	// between: sizes of one are expanded from one.
	order := make([]int, len(moving))
	byAxis := slices.Clone(moving)
	slices.Sort(byAxis)
	for i, axis := range byAxis {
		order[i] = slices.Index(moving, axis)
	}
	t = t.Permute(order...)
	for axis := range shape {
		if !slices.Contains(moving, axis) {
			t = t.Unsqueeze(axis)
		}
	}
	return t.Expand(shape...), nil
}
