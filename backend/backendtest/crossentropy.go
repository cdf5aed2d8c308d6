package backendtest

import (
	"errors"
	"math"

	"github.com/descent-ml/descent/backend"
)

func testCrossEntropy(b *bench) {
	dev, ok := b.dev.(backend.CrossEntropyDevice)
	if !ok {
		b.Log("no CrossEntropyDevice")
		return
	}
	cases := []struct {
		rows, classes int
		p             backend.CrossEntropyParams
	}{
		{1, 1, backend.CrossEntropyParams{Ignore: -100}},
		{7, 10, backend.CrossEntropyParams{Ignore: -100}},
		{7, 10, backend.CrossEntropyParams{Ignore: 3}},
		{64, 5, backend.CrossEntropyParams{Ignore: -1, Smoothing: 0.1}},
		{5, 33, backend.CrossEntropyParams{Ignore: 32, Smoothing: 1}},
		{3, 1021, backend.CrossEntropyParams{Ignore: 7, Smoothing: 0.3}},
		{0, 4, backend.CrossEntropyParams{}},
		{500, 130, backend.CrossEntropyParams{Ignore: 5}},
		{2, 50257, backend.CrossEntropyParams{Ignore: -100}},
	}
	b.floats("CrossEntropy", func(d backend.DType) (ran bool) {
		for i, c := range cases {
			for j, in := range []layout{contiguous, transposed, gapped} {
				if i > 6 && (j > 0 || d == backend.Float64 || d == backend.Float16) {
					continue
				}
				out := []layout{contiguous, transposed, offset}[(i+j)%3]
				ran = b.crossEntropy(dev, d, c.rows, c.classes, c.p, in, out, b.random(d, -4, 4, 997)) || ran
			}
		}
		// Beyond exp's range, and classes that are ruled out.
		for _, vals := range [][]float64{{1000, 999, 1001, 998}, {-1000, -1000, -999}, {1, 2, -inf, 3, 4}} {
			b.crossEntropy(dev, d, 6, 5, cases[1].p, contiguous, contiguous, vals)
		}
		return ran
	})
	b.badLabel(dev)
}

func (b *bench) crossEntropy(dev backend.CrossEntropyDevice, d backend.DType, n, classes int, p backend.CrossEntropyParams, in, out layout, vals []float64) bool {
	defer b.free()
	wide := statistics(d)
	x := b.array(d, []int{n, classes}, in, vals)
	targets := make([]int64, max(n, 1))
	for i := range targets {
		targets[i] = b.rng.Int64N(int64(classes))
		switch {
		case i%5 == 4:
			targets[i] = p.Ignore
		case len(vals) == classes && math.IsInf(vals[targets[i]], -1):
			targets[i] = 0
		}
	}
	labels := b.ints([]int{n}, gapped, targets)
	loss, lse := b.output(wide, []int{n}, contiguous), b.output(wide, []int{n}, offset)
	call := describe("CrossEntropy", x)
	if !b.ran("CrossEntropy", d, dev.CrossEntropy(loss.Array, lse.Array, x.Array, labels.Array, p), loss, lse) {
		return false
	}
	gotLoss, gotLSE := b.read(call, loss), b.read(call+" lse", lse)
	g := b.array(wide, []int{n}, gapped, b.random(wide, -1, 1, 97))
	if n == 7 { // the gradient of a mean
		g = b.array(wide, []int{n}, repeatAll, []float64{0.25})
	}
	// The backward kernel is given the true lse.
	var want, wantLSE, grads, sums, lossSums []float64
	logits, gs := x.values(), g.values()
	for i := range n {
		row := logits[i*classes : (i+1)*classes]
		top, sum := math.Inf(-1), 0.0
		for _, v := range row {
			top = max(top, v)
		}
		for _, v := range row {
			sum += math.Exp(v - top)
		}
		l := top + math.Log(sum)
		wantLSE = append(wantLSE, l)
		used, loss, magnitude := targets[i] != p.Ignore, 0.0, 0.0
		for j, v := range row {
			share := p.Smoothing / float64(classes)
			if int64(j) == targets[i] {
				share += 1 - p.Smoothing
			}
			grad, s := 0.0, 0.0
			if used {
				grad = gs[i] * (math.Exp(v-l) - share)
				s = math.Abs(gs[i]) * (math.Exp(v-l)*(1+math.Abs(v)+math.Abs(l)) + share)
				if share != 0 {
					loss += share * (l - v)
					magnitude += share * (math.Abs(l) + math.Abs(v))
				}
			}
			grads, sums = append(grads, grad), append(sums, s)
		}
		want, lossSums = append(want, loss), append(lossSums, magnitude)
	}
	if b.values {
		b.close(call, wide, gotLoss, want, lossSums)
		b.close(call+" lse", wide, gotLSE, wantLSE, nil)
	}
	given := b.array(wide, []int{n}, offset, append(wantLSE, 0))
	dx := b.output(d, x.Shape, out)
	if !b.ran("CrossEntropyBackward", d, dev.CrossEntropyBackward(dx.Array, g.Array, given.Array, x.Array, labels.Array, p), dx) {
		return false
	}
	b.close(call+" backward", d, b.read(call+" backward", dx), grads, sums)
	return true
}

// badLabel holds a label out of range to be an IndexError, at once or by the next
// Sync, once.
func (b *bench) badLabel(dev backend.CrossEntropyDevice) {
	if !b.values {
		return
	}
	for _, bad := range []int64{4, -1, 1 << 40, -1 << 63} {
		x, labels := b.array(backend.Float32, []int{3, 4}, contiguous, []float64{1, 2}), b.ints([]int{3}, contiguous, []int64{0, bad, -100})
		loss, lse := b.output(backend.Float32, []int{3}, contiguous), b.output(backend.Float32, []int{3}, contiguous)
		err := dev.CrossEntropy(loss.Array, lse.Array, x.Array, labels.Array, backend.CrossEntropyParams{Ignore: -100})
		if errors.Is(err, backend.ErrUnsupported) {
			return
		}
		if err == nil {
			err = b.dev.Sync()
		}
		if wrong := (*backend.IndexError)(nil); !errors.As(err, &wrong) || wrong.Index != bad || wrong.Size != 4 {
			b.Errorf("CrossEntropy with the label %d of 4 classes: %v, want an IndexError", bad, err)
		}
		b.must(b.dev.Sync())
		b.free()
	}
}
