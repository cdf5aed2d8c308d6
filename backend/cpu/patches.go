package cpu

import (
	"unsafe"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cpu/internal/gemm"
)

// taps are the places along one axis that an output reads: output o reads the
// input at o·step+at+t·gap, t in [0, n).
type taps struct{ step, at, gap, n int }

// patches is the matrix of a convolution's windows, which is never stored
// whole: a row for each output pixel in the order n, h, w, a column for each
// tap and channel in the order kh, kw, c.
type patches[T gemm.Float] struct {
	data          []T // element (0, 0, 0, 0) first; channels lie together
	n, h, w       int // strides
	height, width int
	channels      int
	outH, outW    int
	th, tw        taps
}

func (q *patches[T]) columns() int { return q.th.n * q.tw.n * q.channels }

// pack writes the block of rows×cols that begins at (row, col) to dst, rows ld
// apart: a gemm.PackFunc.
func (q *patches[T]) pack(dst []T, ld, row, rows, col, cols int) {
	n, oh, ow := row/(q.outH*q.outW), row/q.outW%q.outH, row%q.outW
	narrow := col%q.channels+cols <= q.channels // all columns belong to one tap
	var offsets [64]int
	short := q.tw.n*q.channels <= 8 && cols <= len(offsets) // many taps, each with little to copy
	if short {
		q.offsets(offsets[:cols], col)
	}
	for rows > 0 {
		// The pixels of one line of the output.
		count := min(rows, q.outW-ow)
		switch {
		case narrow:
			q.packTap(dst, ld, n, oh, ow, count, col, cols)
		case short && q.inside(oh, &q.th, q.height):
			q.packShort(dst, ld, n, oh, ow, count, col, offsets[:cols])
		default:
			for i := range count {
				q.packPixel(dst[i*ld:][:cols], n, oh, ow+i, col)
			}
		}
		if rows -= count; rows == 0 {
			return
		}
		dst = dst[count*ld:]
		ow = 0
		if oh++; oh == q.outH {
			oh = 0
			n++
		}
	}
}

// inside reports whether all taps of output o lie in an input of that size.
func (q *patches[T]) inside(o int, t *taps, size int) bool {
	first := o*t.step + t.at
	return first >= 0 && first+(t.n-1)*t.gap < size
}

// offsets are where columns col, col+1, … lie from a pixel's first tap.
func (q *patches[T]) offsets(dst []int, col int) {
	for i := range dst {
		c, tap := (col+i)%q.channels, (col+i)/q.channels
		dst[i] = tap/q.tw.n*q.th.gap*q.h + tap%q.tw.n*q.tw.gap*q.w + c
	}
}

// packShort packs count pixels of a line whose taps are inside in h.
func (q *patches[T]) packShort(dst []T, ld, n, oh, ow, count, col int, offsets []int) {
	line := n*q.n + (oh*q.th.step+q.th.at)*q.h
	for i := range count {
		to := dst[i*ld:][:len(offsets)]
		if !q.inside(ow+i, &q.tw, q.width) {
			q.packPixel(to, n, oh, ow+i, col)
			continue
		}
		from := q.data[line+((ow+i)*q.tw.step+q.tw.at)*q.w:]
		for j, at := range offsets {
			to[j] = from[at]
		}
	}
}

// packTap packs count pixels of a line, of which all columns belong to one tap.
func (q *patches[T]) packTap(dst []T, ld, n, oh, ow, count, col, cols int) {
	tap := col / q.channels
	h := oh*q.th.step + q.th.at + tap/q.tw.n*q.th.gap
	w := ow*q.tw.step + q.tw.at + tap%q.tw.n*q.tw.gap
	at := n*q.n + h*q.h + w*q.w + col%q.channels
	for i := range count {
		to := dst[i*ld:][:cols]
		switch {
		case uint(h) >= uint(q.height) || uint(w) >= uint(q.width):
			clear(to)
		case cols == 16:
			*(*[16]T)(to) = [16]T(q.data[at:])
		default:
			copy(to, q.data[at:])
		}
		w += q.tw.step
		at += q.tw.step * q.w
	}
}

// packPixel packs the columns from col on of one pixel.
func (q *patches[T]) packPixel(dst []T, n, oh, ow, col int) {
	span := q.tw.n * q.channels // columns of one kh
	for len(dst) > 0 {
		t := col / span
		count := min((t+1)*span-col, len(dst))
		if h := oh*q.th.step + q.th.at + t*q.th.gap; uint(h) < uint(q.height) {
			q.row(dst[:count], q.data[n*q.n+h*q.h:], ow*q.tw.step+q.tw.at, col-t*span)
		} else {
			clear(dst[:count])
		}
		dst = dst[count:]
		col += count
	}
}

// row writes columns from, from+1, … of one kh, whose first tap is at w.
func (q *patches[T]) row(dst, src []T, w, from int) {
	c := q.channels
	if q.tw.gap == 1 && q.w == c {
		// All taps are one run of memory, cut where it leaves the input.
		lo := max(0, -w)*c - from
		hi := max(0, q.width-w)*c - from
		lo = min(max(lo, 0), len(dst))
		hi = max(min(hi, len(dst)), lo)
		clear(dst[:lo])
		copyShort(dst[lo:hi], src, w*c+from+lo)
		clear(dst[hi:])
		return
	}
	for len(dst) > 0 {
		t, first := from/c, from%c
		n := min(c-first, len(dst))
		if at := w + t*q.tw.gap; uint(at) < uint(q.width) {
			copyShort(dst[:n], src, at*q.w+first)
		} else {
			clear(dst[:n])
		}
		dst = dst[n:]
		from += n
	}
}

// copyShort copies len(dst) elements of src from index at on, of which there
// are often only three.
func copyShort[T any](dst, src []T, at int) {
	if len(dst) > 8 {
		copy(dst, src[at:])
		return
	}
	if len(dst) == 0 {
		return
	}
	src = src[at : at+len(dst)]
	for i := range dst {
		dst[i] = src[i]
	}
}

// channelsLast returns a itself if its channels lie together, else a copy; free
// gives the copy back. With pixels it must also be a matrix of pixels.
func (d *Device) channelsLast(a *backend.Array, asPixels bool) (last backend.Array, free func(), err error) {
	if a.Strides[1] == 1 || a.Shape[1] == 1 {
		if _, ok := pixelStride(a); ok || !asPixels {
			return *a, func() {}, nil
		}
	}
	last, err = d.empty(a.DType, []int{a.Shape[0], a.Shape[2], a.Shape[3], a.Shape[1]})
	if err != nil {
		return last, nil, err
	}
	s := last.Strides
	last.Shape, last.Strides = a.Shape, []int{s[0], s[3], s[1], s[2]}
	if err := d.Copy(last, *a, false); err != nil {
		last.Buf.Free()
		return last, nil, err
	}
	return last, last.Buf.Free, nil
}

// pixelStride is the distance between the pixels of [N, C, H, W], if they have one.
func pixelStride(a *backend.Array) (int, bool) {
	return oneStride([]int{a.Shape[0], a.Shape[2], a.Shape[3]}, []int{a.Strides[0], a.Strides[2], a.Strides[3]})
}

// pixels is [N, C, H, W] as a matrix of pixels by channels, if it is one.
func pixels[T gemm.Float](a *backend.Array) (m gemm.Matrix[T], ok bool) {
	stride, ok := pixelStride(a)
	return gemm.Matrix[T]{Data: whole[T](a), Offset: a.Offset, RowStride: stride, ColStride: a.Strides[1]}, ok
}

// oneStride is the stride of the elements in row-major order, if there is one.
func oneStride(shape, strides []int) (int, bool) {
	stride, n := 0, 1
	for i := len(shape) - 1; i >= 0; i-- {
		switch {
		case shape[i] == 1:
			continue
		case n == 1:
			stride = strides[i]
		case strides[i] != stride*n:
			return 0, false
		}
		n *= shape[i]
	}
	return stride, true
}

// channelsOf is the view of n channels from first on.
func channelsOf(a backend.Array, first, n int) backend.Array {
	a.Offset += first * a.Strides[1]
	a.Shape = []int{a.Shape[0], n, a.Shape[2], a.Shape[3]}
	return a
}

// materialRows is how many rows of patches are stored at a time for a type
// whose products take no pack function.
const materialRows = 1024

// times computes c = q·b, of m rows.
func (q *patches[T]) times(d *Device, m, n int, b, c gemm.Matrix[T], ep gemm.Epilogue[T]) error {
	k := q.columns()
	switch q := any(q).(type) {
	case *patches[float32]:
		b, c, ep := any(b).(gemm.Matrix[float32]), any(c).(gemm.Matrix[float32]), any(ep).(gemm.Epilogue[float32])
		gemm.Float32Packed(m, n, k, q.pack, b, c, ep)
		return nil
	case *patches[float64]:
		b, c, ep := any(b).(gemm.Matrix[float64]), any(c).(gemm.Matrix[float64]), any(ep).(gemm.Epilogue[float64])
		return q.stored(d, m, func(rows gemm.Matrix[float64], first, count int) {
			part := c
			part.Offset += first * c.RowStride
			gemm.Float64(count, n, k, rows, b, part, ep)
		})
	}
	panic("unreachable")
}

// transposedTimes computes c = aᵀ·q for a of rows×m, adding to c.
func (q *patches[T]) transposedTimes(d *Device, m, rows int, a, c gemm.Matrix[T]) error {
	n := q.columns()
	switch q := any(q).(type) {
	case *patches[float32]:
		a, c := any(a).(gemm.Matrix[float32]), any(c).(gemm.Matrix[float32])
		gemm.Float32PackedB(m, n, rows, a.T(), q.pack, c, gemm.Epilogue[float32]{Accumulate: true})
		return nil
	case *patches[float64]:
		a, c := any(a).(gemm.Matrix[float64]), any(c).(gemm.Matrix[float64])
		return q.stored(d, rows, func(block gemm.Matrix[float64], first, count int) {
			part := a
			part.Offset += first * a.RowStride
			gemm.Float64(m, n, count, part.T(), block, c, gemm.Epilogue[float64]{Accumulate: true})
		})
	}
	panic("unreachable")
}

// stored calls f with blocks of rows, one after the other.
func (q *patches[T]) stored(d *Device, rows int, f func(block gemm.Matrix[T], first, count int)) error {
	k := q.columns()
	buf, memory, err := scratch[T](d, materialRows*k)
	if err != nil {
		return err
	}
	defer memory.Free()
	for first := 0; first < rows; first += materialRows {
		count := min(materialRows, rows-first)
		q.pack(buf, k, first, count, 0, k)
		f(gemm.Matrix[T]{Data: buf, RowStride: k, ColStride: 1}, first, count)
	}
	return nil
}

// scratchMatrix is a row-major matrix in temporary memory.
func scratchMatrix[T gemm.Float](d *Device, t backend.DType, shape ...int) (backend.Array, gemm.Matrix[T], error) {
	a, err := d.empty(t, shape)
	if err != nil {
		return a, gemm.Matrix[T]{}, err
	}
	n := len(shape)
	buf := a.Buf.(*buffer)
	return a, gemm.Matrix[T]{Data: unsafe.Slice((*T)(buf.ptr), a.Size()), RowStride: a.Strides[n-2], ColStride: 1}, nil
}
