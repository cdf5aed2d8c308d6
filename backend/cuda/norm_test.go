package cuda

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cpu"
	"github.com/descent-ml/descent/internal/fakecuda"
)

// norms is a device, and the CPU, which computes the same in float64.
type norms struct {
	*testing.T
	cuda *Device
	cpu  *cpu.Device
	rng  *rand.Rand
	bufs []backend.Buffer
}

func newNorms(t *testing.T) *norms {
	n := &norms{T: t, cuda: testDevice(t, Options{}), cpu: cpu.New(cpu.Options{}), rng: rand.New(rand.NewPCG(3, 4))}
	t.Cleanup(func() {
		for _, b := range n.bufs {
			b.Free()
		}
	})
	return n
}

// paired is an array of the device and its float64 twin, which is row-major.
type paired struct{ cuda, cpu backend.Array }

func (n *norms) alloc(d backend.Device, dtype backend.DType, shape, strides []int) backend.Array {
	n.Helper()
	last := 1
	for i, s := range strides {
		last += max(0, shape[i]-1) * s
	}
	b, err := d.Alloc(last * dtype.Size())
	must(n, err)
	must(n, d.Upload(b, make([]byte, last*dtype.Size())))
	n.bufs = append(n.bufs, b)
	return backend.Array{Buf: b, DType: dtype, Shape: shape, Strides: strides}
}

// inOrder are the strides of a dense array whose axes lie in memory as order lists
// them, the outermost first; nil is row-major.
func inOrder(shape, order []int) []int {
	strides, size := make([]int, len(shape)), 1
	for i := len(shape) - 1; i >= 0; i-- {
		axis := i
		if order != nil {
			axis = order[i]
		}
		strides[axis] = size
		size *= shape[axis]
	}
	return strides
}

// array has values around a centre; strides of 0 repeat.
func (n *norms) array(dtype backend.DType, shape, strides []int, centre float64) paired {
	n.Helper()
	host := n.alloc(n.cpu, dtype, shape, strides)
	dense := backend.Array{DType: backend.Float64, Shape: []int{host.Buf.Bytes() / dtype.Size()}, Strides: []int{1}}
	dense = n.alloc(n.cpu, backend.Float64, dense.Shape, dense.Strides)
	values := make([]byte, 0, dense.Buf.Bytes())
	for range dense.Size() {
		v := math.Float64bits(centre + 2*n.rng.Float64() - 1)
		for i := range 8 {
			values = append(values, byte(v>>(8*i)))
		}
	}
	must(n, n.cpu.Upload(dense.Buf, values))
	all := host
	all.Shape, all.Strides = dense.Shape, dense.Strides
	must(n, n.cpu.Copy(all, dense, false))
	p := n.empty(dtype, shape, strides)
	raw := make([]byte, host.Buf.Bytes())
	must(n, n.cpu.Download(raw, host.Buf))
	must(n, n.cuda.Upload(p.cuda.Buf, raw))
	must(n, n.cpu.Copy(p.cpu, host, false))
	return p
}

func (n *norms) empty(dtype backend.DType, shape, strides []int) paired {
	n.Helper()
	return paired{n.alloc(n.cuda, dtype, shape, strides), n.alloc(n.cpu, backend.Float64, shape, inOrder(shape, nil))}
}

// close fails unless the device's values are the CPU's within a part of the scale that
// the dtype and the sums of so many elements allow.
func (n *norms) close(p paired, scale float64, what string) {
	n.Helper()
	if p.cuda.Buf == nil {
		return
	}
	raw := make([]byte, p.cuda.Buf.Bytes())
	must(n, n.cuda.Download(raw, p.cuda.Buf))
	host := n.alloc(n.cpu, p.cuda.DType, p.cuda.Shape, p.cuda.Strides)
	must(n, n.cpu.Upload(host.Buf, raw))
	got := n.alloc(n.cpu, backend.Float64, p.cuda.Shape, p.cpu.Strides)
	must(n, n.cpu.Copy(got, host, false))
	a, b := make([]byte, got.Buf.Bytes()), make([]byte, got.Buf.Bytes())
	must(n, n.cpu.Download(a, got.Buf))
	must(n, n.cpu.Download(b, p.cpu.Buf))
	part := map[backend.DType]float64{backend.Float64: 1e-13, backend.Float32: 1e-5, backend.Float16: 2e-3, backend.BFloat16: 1e-2}[p.cuda.DType]
	xs, ys := elements[float64](a), elements[float64](b)
	for i := range xs {
		if !(math.Abs(xs[i]-ys[i]) <= part*(scale+math.Abs(ys[i]))) {
			n.Errorf("%s: element %d is %g, on the CPU in float64 %g", what, i, xs[i], ys[i])
			return
		}
	}
}

// launches counts those of f.
func (n *norms) launches(f func() error) int64 {
	n.Helper()
	before := fakecuda.Stats()
	must(n, f())
	after := fakecuda.Stats()
	if after.Syncs != before.Syncs {
		n.Error("it waits for the device")
	}
	return after.Calls["cuLaunchKernel"] - before.Calls["cuLaunchKernel"]
}

func TestNormTakesFewLaunchesInEveryLayout(t *testing.T) {
	n := newNorms(t)
	images := []int{0, 2, 3, 1}
	for _, c := range []struct {
		name                string
		dtype, affine       backend.DType
		shape, order        []int
		normalised, repeats []int // axes
		broadcast           []int // of the gradient
		forward, backward   int64 // launches
	}{
		{"layer norm", backend.Float32, backend.Float32, []int{400, 96}, nil, []int{1}, []int{0}, nil, 1, 3},
		{"layer norm of bfloat16 with float32 weights", backend.BFloat16, backend.Float32, []int{300, 264}, nil, []int{1}, []int{0}, nil, 1, 3},
		{"layer norm, its gradient a constant", backend.Float32, backend.Float32, []int{5, 64}, nil, []int{1}, []int{0}, []int{0, 1}, 1, 2},
		{"layer norm in float64", backend.Float64, backend.Float64, []int{33, 130}, nil, []int{1}, []int{0}, nil, 1, 2},
		{"rows longer than the registers of a block", backend.Float32, backend.Float32, []int{2, 9000}, nil, []int{1}, []int{0}, nil, 1, 2},
		{"a few long rows", backend.Float32, backend.Float32, []int{2, 20480}, nil, []int{1}, []int{0}, nil, 3, 4},
		{"group norm of long groups", backend.BFloat16, backend.BFloat16, []int{2, 1, 4, 10240}, nil, []int{2, 3}, []int{0, 3}, nil, 3, 5},
		{"group norm", backend.Float16, backend.Float16, []int{3, 2, 4, 64}, nil, []int{2, 3}, []int{0, 3}, nil, 1, 2},
		{"batch norm of rows", backend.Float32, backend.Float32, []int{300, 20}, nil, []int{0}, []int{0}, nil, 2, 2},
		{"batch norm, channels last", backend.Float32, backend.Float32, []int{8, 16, 16, 16}, images, []int{0, 2, 3}, []int{0, 2, 3}, nil, 3, 3},
		{"batch norm, channels last, bfloat16 with float32 weights", backend.BFloat16, backend.Float32, []int{8, 32, 16, 16}, images, []int{0, 2, 3}, []int{0, 2, 3}, nil, 3, 3},
		{"batch norm, channels last, an odd number", backend.BFloat16, backend.BFloat16, []int{4, 5, 6, 7}, images, []int{0, 2, 3}, []int{0, 2, 3}, nil, 2, 2},
		{"batch norm of planes", backend.BFloat16, backend.Float32, []int{8, 2, 128, 40}, nil, []int{0, 2, 3}, []int{0, 2, 3}, nil, 3, 3},
		{"batch norm of small planes", backend.Float32, backend.Float32, []int{4, 6, 7, 7}, nil, []int{0, 2, 3}, []int{0, 2, 3}, nil, 1, 2},
		{"batch norm of planes, its gradient repeated", backend.Float32, backend.Float32, []int{8, 2, 64, 40}, nil, []int{0, 2, 3}, []int{0, 2, 3}, []int{2, 3}, 3, 3},
		{"instance norm, channels last", backend.Float32, backend.Float32, []int{3, 8, 10, 10}, images, []int{2, 3}, []int{0, 2, 3}, nil, 2, 3},
	} {
		group, small, kept := slices.Clone(c.shape), slices.Clone(c.shape), inOrder(c.shape, nil)
		for _, axis := range c.normalised {
			group[axis] = 1
		}
		for _, axis := range c.repeats {
			small[axis] = 1
		}
		spread := func(a paired) paired { // to x's shape
			for _, p := range []*backend.Array{&a.cuda, &a.cpu} {
				p.Shape, p.Strides = c.shape, slices.Clone(p.Strides)
				for _, axis := range c.repeats {
					p.Strides[axis] = 0
				}
			}
			return a
		}
		strides, stat := inOrder(c.shape, c.order), statistics(c.dtype)
		x, out, dx := n.array(c.dtype, c.shape, strides, 0.5), n.empty(c.dtype, c.shape, strides), n.empty(c.dtype, c.shape, strides)
		mean, variance := n.empty(stat, group, inOrder(group, nil)), n.empty(stat, group, inOrder(group, nil))
		params := inOrder(small, nil)
		weight, bias := spread(n.array(c.affine, small, params, 1)), spread(n.array(c.affine, small, params, 0))
		dweight, dbias := n.empty(c.affine, small, params), n.empty(c.affine, small, params)
		copy(kept, strides)
		for _, axis := range c.broadcast {
			kept[axis] = 0
		}
		g := n.array(c.dtype, c.shape, kept, 0)
		const eps = 1e-3

		must(t, n.cpu.Norm(out.cpu, mean.cpu, variance.cpu, x.cpu, weight.cpu, bias.cpu, eps))
		got := n.launches(func() error {
			return n.cuda.Norm(out.cuda, mean.cuda, variance.cuda, x.cuda, weight.cuda, bias.cuda, eps)
		})
		if got != c.forward {
			t.Errorf("%s: %d launches, want %d", c.name, got, c.forward)
		}
		n.close(mean, 1, c.name+": mean")
		n.close(variance, 0, c.name+": variance")
		n.close(out, 1, c.name)

		must(t, n.cpu.NormBackward(dx.cpu, dweight.cpu, dbias.cpu, g.cpu, x.cpu, mean.cpu, variance.cpu, weight.cpu, eps))
		got = n.launches(func() error {
			return n.cuda.NormBackward(dx.cuda, dweight.cuda, dbias.cuda, g.cuda, x.cuda, mean.cuda, variance.cuda, weight.cuda, eps)
		})
		if got != c.backward {
			t.Errorf("%s: %d launches backward, want %d", c.name, got, c.backward)
		}
		repeated := float64(x.cpu.Size() / dweight.cpu.Size())
		n.close(dx, 4, c.name+": dx")
		n.close(dweight, repeated, c.name+": dweight")
		n.close(dbias, repeated, c.name+": dbias")

		var none paired // of each gradient alone
		for i, alone := range [3]paired{n.empty(c.dtype, c.shape, strides), n.empty(c.affine, small, params), n.empty(c.affine, small, params)} {
			to := [3]paired{none, none, none}
			to[i] = alone
			alone.cpu = [3]paired{dx, dweight, dbias}[i].cpu
			must(t, n.cuda.NormBackward(to[0].cuda, to[1].cuda, to[2].cuda, g.cuda, x.cuda, mean.cuda, variance.cuda, weight.cuda, eps))
			n.close(alone, []float64{4, repeated, repeated}[i], c.name+": "+[]string{"dx", "dweight", "dbias"}[i]+" alone")
		}
	}
}

func TestNormOfValuesFarFromZero(t *testing.T) {
	n := newNorms(t)
	for _, c := range []struct {
		name         string
		shape, group []int
	}{
		{"a row of a block", []int{3, 3000}, []int{3, 1}},
		{"a row of many blocks", []int{1, 20480}, []int{1, 1}},
		{"columns", []int{3000, 8}, []int{1, 8}},
		{"columns, one at a time", []int{3000, 3}, []int{1, 3}},
	} {
		strides, stat := inOrder(c.shape, nil), inOrder(c.group, nil)
		x, out := n.array(backend.Float32, c.shape, strides, 5000), n.empty(backend.Float32, c.shape, strides)
		mean, variance := n.empty(backend.Float32, c.group, stat), n.empty(backend.Float32, c.group, stat)
		var none backend.Array
		must(t, n.cpu.Norm(out.cpu, mean.cpu, variance.cpu, x.cpu, none, none, 0))
		must(t, n.cuda.Norm(out.cuda, mean.cuda, variance.cuda, x.cuda, none, none, 0))
		n.close(mean, 0, c.name+": mean")
		n.close(variance, 0, c.name+": variance")
	}
}

func TestNormGradientsOfParametersThatLieDifferently(t *testing.T) {
	n := newNorms(t)
	shape, group, small, order := []int{6, 4, 8}, []int{6, 1, 1}, []int{1, 4, 8}, []int{0, 2, 1}
	strides := inOrder(shape, nil)
	x, g := n.array(backend.Float32, shape, strides, 0), n.array(backend.Float32, shape, strides, 0)
	mean, variance := n.array(backend.Float32, group, inOrder(group, nil), 0), n.array(backend.Float32, group, inOrder(group, nil), 3)
	dx := n.empty(backend.Float32, shape, inOrder(shape, []int{1, 0, 2}))
	dweight, dbias := n.empty(backend.Float32, small, inOrder(small, nil)), n.empty(backend.Float32, small, inOrder(small, order))
	var none backend.Array
	must(t, n.cpu.NormBackward(dx.cpu, dweight.cpu, dbias.cpu, g.cpu, x.cpu, mean.cpu, variance.cpu, none, 1e-5))
	must(t, n.cuda.NormBackward(dx.cuda, dweight.cuda, dbias.cuda, g.cuda, x.cuda, mean.cuda, variance.cuda, none, 1e-5))
	n.close(dx, 4, "dx")
	n.close(dweight, 6, "dweight")
	n.close(dbias, 6, "dbias")
}

func TestNormRefusesWhatItHasNoKernelFor(t *testing.T) {
	n := newNorms(t)
	shape, group := []int{4, 2, 6}, []int{4, 1, 1}
	strides, stat := inOrder(shape, nil), inOrder(group, nil)
	x, out := n.array(backend.Float32, shape, strides, 0).cuda, n.empty(backend.Float32, shape, strides).cuda
	mean, variance := n.empty(backend.Float32, group, stat).cuda, n.empty(backend.Float32, group, stat).cuda
	weight, bias := n.array(backend.Float32, shape, []int{0, 6, 1}, 0).cuda, n.array(backend.Float32, shape, []int{0, 1, 2}, 0).cuda
	half := n.array(backend.Float16, shape, []int{0, 6, 1}, 0).cuda
	int64s := x
	int64s.DType = backend.Int64
	deep := x
	deep.Shape, deep.Strides = append(shape, 1, 1, 1, 1, 1, 1), append(strides, 1, 1, 1, 1, 1, 1)
	before := fakecuda.Stats().Calls["cuLaunchKernel"]
	for name, err := range map[string]error{
		"weight and bias that lie differently": n.cuda.Norm(out, mean, variance, x, weight, bias, 1e-5),
		"weights of another half":              n.cuda.Norm(out, mean, variance, x, half, half, 1e-5),
		"integers":                             n.cuda.Norm(int64s, mean, variance, int64s, backend.Array{}, backend.Array{}, 1e-5),
		"nine axes":                            n.cuda.Norm(deep, mean, variance, deep, backend.Array{}, backend.Array{}, 1e-5),
		"a gradient of another dtype":          n.cuda.NormBackward(half, backend.Array{}, backend.Array{}, x, x, mean, variance, weight, 1e-5),
	} {
		if !errors.Is(err, backend.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := fakecuda.Stats().Calls["cuLaunchKernel"]; n != before {
		t.Errorf("%d kernels were launched", n-before)
	}
}

func TestNormIsTheSameInAnyOrderOfThreads(t *testing.T) {
	n := newNorms(t)
	t.Cleanup(func() { fakecuda.Seed(0) })
	for _, c := range []struct{ shape, group, small, order []int }{
		{[]int{8, 16, 16, 16}, []int{1, 16, 1, 1}, []int{1, 16, 1, 1}, []int{0, 2, 3, 1}},
		{[]int{8, 2, 64, 40}, []int{1, 2, 1, 1}, []int{1, 2, 1, 1}, nil},
		{[]int{400, 96}, []int{400, 1}, []int{1, 96}, nil},
	} {
		strides := inOrder(c.shape, c.order)
		x, g, dx, out := n.array(backend.Float32, c.shape, strides, 0), n.array(backend.Float32, c.shape, strides, 0), n.empty(backend.Float32, c.shape, strides), n.empty(backend.Float32, c.shape, strides)
		m, v := n.empty(backend.Float32, c.group, inOrder(c.group, nil)), n.empty(backend.Float32, c.group, inOrder(c.group, nil))
		dw, db := n.empty(backend.Float32, c.small, inOrder(c.small, nil)), n.empty(backend.Float32, c.small, inOrder(c.small, nil))
		var none backend.Array
		var first []byte
		for seed := range int64(3) {
			fakecuda.Seed(seed)
			must(t, n.cuda.Norm(out.cuda, m.cuda, v.cuda, x.cuda, none, none, 1e-5))
			must(t, n.cuda.NormBackward(dx.cuda, dw.cuda, db.cuda, g.cuda, x.cuda, m.cuda, v.cuda, none, 1e-5))
			var all []byte
			for _, a := range []paired{m, v, out, dx, dw, db} {
				raw := make([]byte, a.cuda.Buf.Bytes())
				must(t, n.cuda.Download(raw, a.cuda.Buf))
				all = append(all, raw...)
			}
			if first == nil {
				first = all
			} else if !slices.Equal(first, all) {
				t.Errorf("%v: other bytes in another order of threads", c.shape)
			}
		}
	}
}
