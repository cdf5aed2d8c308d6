package cuda

import (
	"slices"
	"unsafe"

	"github.com/descent-ml/descent/backend"
)

// The slots of norm.cuh: arrays of one slot have the same strides.
const (
	normX      = iota
	normY      // out, or its gradient
	normStat   // mean and variance
	normAffine // weight and bias, or their gradients
	normSlots
)

// normArgs mirrors NormArgs of norm.cuh.
type normArgs struct {
	results, elements    [normSlots]view
	kept, reduced        dims
	to, weight, bias     uint64
	variance, dweight    uint64
	dbias, partial, sums uint64
	eps                  float64
	count                int64
	size, length         uint32
	chunk, chunks        uint32
	group, wide          uint32
	same, fixed          uint32
	asY, weighted        uint32
}

const (
	normRows = iota
	normColumns
	normFinish
)

const (
	normThreads = 256
	// normKept is how many vectors of a row the threads of a block keep.
	normKept = 4 * normThreads
)

func normSpec(op string, t, u backend.DType, variant uint8) spec {
	file := "norm.cu"
	if op == "Norm" || op == "NormBackward" {
		file = "norm_line.cu"
	}
	return spec{file: file, op: op, t: t, u: u, v: u, variant: variant}
}

func init() {
	catalogue = append(catalogue, func(yield func(spec, uintptr) bool) {
		for _, t := range floats {
			for _, u := range slices.Compact([]backend.DType{t, statistics(t)}) {
				for _, k := range []struct {
					op       string
					variants uint8
				}{{"Norm", 1}, {"NormBackward", 1}, {"NormMoments", 3}, {"NormSums", 3}, {"NormScale", 2}, {"NormGradient", 2}} {
					for variant := range k.variants {
						if (u == t || k.op != "NormMoments") && !yield(normSpec(k.op, t, u, variant), unsafe.Sizeof(normArgs{})) {
							return
						}
					}
				}
			}
		}
	})
}

// statistics is the dtype of the mean and variance of x's dtype.
func statistics(x backend.DType) backend.DType {
	if x == backend.Float64 {
		return x
	}
	return backend.Float32
}

// Norm normalises x over the axes on which mean has size 1: in one kernel where a
// block takes a group, else in two or three.
func (d *Device) Norm(out, mean, variance, x, weight, bias backend.Array, eps float64) error {
	note(d, "Norm", noOp, out, eps)
	affine, same := either(&weight, &bias)
	var c norm
	if !c.init(d, &x, &out, &mean, &variance, affine) || !same {
		return unsupported("Norm", x.DType)
	}
	if x.Size() == 0 {
		return nil
	}
	a := &c.args
	a.to, a.asY, a.weight, a.bias, a.eps = addr(out), 1, addr(weight), addr(bias), eps
	if err := c.over(sharedAxes(&mean, &x), &x, &out, &mean, affine); err != nil {
		return err
	}
	a.count = int64(c.elements.size)
	if c.byLine() {
		return c.line("Norm")
	}
	defer c.free()
	if err := c.reduce("NormMoments", false); err != nil {
		return err
	}
	return c.pass("NormScale")
}

// NormBackward writes the gradients that have a Buf: dx in one kernel where a block
// takes a group, else in two or three; dweight and dbias on the way where they have a
// value for each group, else in one or two kernels more.
func (d *Device) NormBackward(dx, dweight, dbias, g, x, mean, variance, weight backend.Array, eps float64) error {
	note(d, "NormBackward", noOp, x, eps)
	affine, same := either(&dweight, &dbias)
	if affine.Buf == nil {
		affine = &weight
	}
	var c norm
	if !c.init(d, &x, &g, &mean, &variance, affine) || dx.Buf != nil && dx.DType != x.DType || weight.Buf != nil && weight.DType != c.u || dbias.Buf != nil && dbias.DType != c.u {
		return unsupported("NormBackward", x.DType)
	}
	c.args.eps = eps
	if dx.Buf != nil && x.Size() > 0 {
		if !alike(&dx, &x) && !alike(&dx, &g) { // one of which gives dx's strides
			buf, err := d.Alloc(x.Size() * x.DType.Size())
			if err != nil {
				return err
			}
			defer buf.Free()
			from := g
			g.Buf, g.Offset, g.Strides = buf, 0, dx.Strides
			if err := d.Copy(g, from, false); err != nil {
				return err
			}
		}
		done, err := c.gradient(&dx, &dweight, &dbias, &g, &x, &mean, &weight, same)
		if err != nil || done {
			return err
		}
	}
	if same {
		return c.parameters(&dweight, &dbias, &g, &x, &mean)
	}
	var none backend.Array
	if err := c.parameters(&dweight, &none, &g, &x, &mean); err != nil {
		return err
	}
	return c.parameters(&none, &dbias, &g, &x, &mean)
}

// gradient makes dx. It reports whether dweight and dbias are done too, for which
// their strides must be the same.
func (c *norm) gradient(dx, dweight, dbias, g, x, mean, weight *backend.Array, same bool) (done bool, err error) {
	a, kept := &c.args, sharedAxes(mean, x)
	a.to, a.asY, a.weight = addr(*dx), bit(!alike(dx, x)), addr(*weight)
	if err := c.over(kept, x, g, mean, weight); err != nil {
		return false, err
	}
	a.count = int64(c.elements.size)
	if c.byLine() {
		return false, c.line("NormBackward")
	}
	defer c.free()
	a.weighted = bit(!c.elements.constant(normAffine))
	grads, _ := either(dweight, dbias)
	done = same && grads.Buf != nil && a.weighted == 0 && sharedAxes(grads, x) == kept
	if done {
		a.dweight, a.dbias = addr(*dweight), addr(*dbias)
		if err := c.over(kept, x, g, mean, grads); err != nil {
			return false, err
		}
	}
	if err := c.reduce("NormSums", true); err != nil {
		return false, err
	}
	if done { // the order of the results is x's still
		if err := c.over(kept, x, g, mean, weight); err != nil {
			return false, err
		}
	}
	return done, c.pass("NormGradient")
}

// parameters makes dweight and dbias, which have the same strides; either or both may
// lack Buf.
func (c *norm) parameters(dweight, dbias, g, x, mean *backend.Array) error {
	grads, _ := either(dweight, dbias)
	if grads.Buf == nil || grads.Size() == 0 {
		return nil
	}
	a := &c.args
	a.dweight, a.dbias, a.sums, a.weighted = addr(*dweight), addr(*dbias), 0, 0
	if err := c.over(sharedAxes(grads, x), x, g, mean, grads); err != nil {
		return err
	}
	defer c.free()
	return c.reduce("NormSums", false)
}
