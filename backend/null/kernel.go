package null

import (
	"github.com/descent-ml/descent/backend"
)

func (d *Device) Copy(out, x backend.Array, accumulate bool) error {
	c := d.check("Copy", nil)
	c.array("out", out)
	c.operand("x", x, x.DType, out.Shape)
	c.disjoint(out, x, true)
	if c.err == nil {
		c.that(!selfOverlap(out), "out overlaps itself: shape %v, strides %v", out.Shape, out.Strides)
	}
	return c.err
}

func (d *Device) Generate(op backend.GenerateOp, out backend.Array, p backend.Params) error {
	c := d.check("Generate", op)
	c.that(op < backend.NumGenerate, "no such op")
	c.result("out", out, out.DType, out.Shape)
	c.params(p)
	switch {
	case op == backend.Uniform || op == backend.Normal:
		c.that(out.DType.IsFloat(), "out is %s", out.DType)
	case op == backend.Bernoulli && p.Slot == nil:
		c.that(p.A >= 0 && p.A <= 1, "probability %g", p.A)
	case op == backend.RandInt && p.Slot == nil:
		c.that(p.N < p.M, "no integer in [%d, %d)", p.N, p.M)
	}
	return c.err
}

func (d *Device) Unary(op backend.UnaryOp, out, x backend.Array, p backend.Params) error {
	c := d.check("Unary", op)
	c.that(op < backend.NumUnary, "no such op")
	outType := x.DType
	if op >= backend.Not && op <= backend.IsFinite {
		outType = backend.Bool
	}
	if op == backend.Dropout {
		c.that(p.Slot != nil || p.A >= 0 && p.A <= 1, "probability %g", p.A)
	}
	c.elementwise(out, outType, x.DType, p, x)
	return c.err
}

func (d *Device) Binary(op backend.BinaryOp, out, x, y backend.Array, p backend.Params) error {
	c := d.check("Binary", op)
	c.that(op < backend.NumBinary, "no such op")
	in := dtype(x, y)
	outType := in
	switch {
	case op >= backend.Eq && op <= backend.LogicalXor:
		outType = backend.Bool
	case op == backend.Div:
		c.that(in.IsFloat(), "the operands are %s", in)
	}
	c.elementwise(out, outType, in, p, x, y)
	return c.err
}

func (d *Device) Ternary(op backend.TernaryOp, out, x, y, z backend.Array, p backend.Params) error {
	c := d.check("Ternary", op)
	c.that(op < backend.NumTernary, "no such op")
	if op == backend.Where {
		c.operand("x", x, backend.Bool, out.Shape)
		c.disjoint(out, x, true)
		c.elementwise(out, out.DType, out.DType, p, y, z)
	} else {
		c.elementwise(out, out.DType, out.DType, p, x, y, z)
	}
	return c.err
}

func (d *Device) Reduce(op backend.ReduceOp, out, x backend.Array) error {
	c := d.check("Reduce", op)
	c.that(op < backend.NumReduce, "no such op")
	outType := x.DType
	switch op {
	case backend.ArgMax, backend.ArgMin:
		outType = backend.Int64
	case backend.All, backend.Any:
		outType = backend.Bool
	case backend.Sum:
		if !x.DType.IsFloat() {
			outType = backend.Int64
		}
	case backend.Mean:
		c.that(x.DType.IsFloat(), "x is %s", x.DType)
	}
	c.array("x", x)
	c.result("out", out, outType, out.Shape)
	c.reduced("out", out, x.Shape)
	c.disjoint(out, x, true)
	switch op {
	case backend.Max, backend.Min, backend.ArgMax, backend.ArgMin:
		c.that(x.Size() > 0 || out.Size() == 0, "x has the shape %v: nothing to choose from", x.Shape)
	}
	return c.err
}

// reduced holds a's axes to be those of shape, or 1.
func (c *check) reduced(name string, a backend.Array, shape []int) {
	ok := len(a.Shape) == len(shape)
	for i := 0; ok && i < len(shape); i++ {
		ok = a.Shape[i] == 1 || a.Shape[i] == shape[i]
	}
	c.that(ok, "%s has the shape %v, which does not reduce %v", name, a.Shape, shape)
}

func (d *Device) Scan(op backend.ScanOp, out, idx, x backend.Array, axis int) error {
	c := d.check("Scan", op)
	c.that(op < backend.NumScan, "no such op")
	c.array("x", x)
	c.axis(axis, x)
	c.result("out", out, x.DType, x.Shape)
	c.disjoint(out, x, true)
	if !op.HasIndex() {
		c.that(idx.IsScalar(), "idx has a buffer")
	} else {
		c.result("idx", idx, backend.Int64, x.Shape)
		c.disjoint(idx, x, false)
		c.disjoint(idx, out, false)
	}
	return c.err
}

func (d *Device) Sort(out, idx, x backend.Array, axis int, descending bool) error {
	c := d.check("Sort", nil)
	c.array("x", x)
	c.axis(axis, x)
	c.that(!out.IsScalar() || !idx.IsScalar(), "neither out nor idx")
	if c.err != nil {
		return c.err
	}
	first := out
	if out.IsScalar() {
		first = idx
	}
	c.within("out", first, x.Shape, axis)
	if c.err == nil {
		c.that(first.Shape[axis] <= x.Shape[axis], "the first %d of %d", first.Shape[axis], x.Shape[axis])
	}
	for i := range first.Shape {
		c.that(i == axis || first.Shape[i] == x.Shape[i], "out has the shape %v of %v", first.Shape, x.Shape)
	}
	if !out.IsScalar() {
		c.result("out", out, x.DType, out.Shape)
		c.disjoint(out, x, true)
	}
	if !idx.IsScalar() {
		c.result("idx", idx, backend.Int64, first.Shape)
		c.disjoint(idx, x, false)
		c.disjoint(idx, out, false)
	}
	return c.err
}

// within holds a to be no larger than shape but along axis.
func (c *check) within(name string, a backend.Array, shape []int, axis int) {
	ok := len(a.Shape) == len(shape)
	for i := 0; ok && i < len(shape); i++ {
		ok = i == axis || a.Shape[i] <= shape[i]
	}
	c.that(ok, "%s has the shape %v, which does not lie in %v", name, a.Shape, shape)
}

func (d *Device) Gather(out, x, index backend.Array, axis int) error {
	c := d.check("Gather", nil)
	c.array("x", x)
	c.axis(axis, x)
	c.operand("index", index, backend.Int64, out.Shape)
	c.within("index", index, x.Shape, axis)
	c.result("out", out, x.DType, out.Shape)
	c.disjoint(out, x, false)
	c.disjoint(out, index, false)
	return c.err
}

func (d *Device) Scatter(op backend.ScatterOp, out, index, src backend.Array, axis int) error {
	c := d.check("Scatter", op)
	c.that(op < backend.NumScatter, "no such op")
	c.result("out", out, out.DType, out.Shape)
	c.axis(axis, out)
	c.operand("src", src, out.DType, src.Shape)
	c.operand("index", index, backend.Int64, src.Shape)
	c.within("index", index, out.Shape, axis)
	c.disjoint(out, src, false)
	c.disjoint(out, index, false)
	return c.err
}

func (d *Device) MatMul(out, x, y backend.Array, e backend.Epilogue) error {
	c := d.check("MatMul", nil)
	c.array("x", x)
	c.array("y", y)
	r := len(x.Shape)
	c.that(r >= 2 && len(y.Shape) == r && len(out.Shape) == r, "axes: %d by %d into %d", r, len(y.Shape), len(out.Shape))
	if c.err != nil {
		return c.err
	}
	ok := x.Shape[r-1] == y.Shape[r-2] && out.Shape[r-2] == x.Shape[r-2] && out.Shape[r-1] == y.Shape[r-1]
	for i := range r - 2 {
		ok = ok && x.Shape[i] == y.Shape[i] && out.Shape[i] == x.Shape[i]
	}
	c.that(ok, "shapes: %v by %v into %v", x.Shape, y.Shape, out.Shape)
	c.is("y", y, x.DType, y.Shape)
	c.result("out", out, x.DType, out.Shape)
	c.disjoint(out, x, false)
	c.disjoint(out, y, false)
	c.epilogue(e, out, r-1)
	return c.err
}

// epilogue holds e to fit out, whose axis channel the bias runs along.
func (c *check) epilogue(e backend.Epilogue, out backend.Array, channel int) {
	if c.err != nil {
		return
	}
	c.that(e.Act == backend.Identity || e.Act == backend.ReLU, "the epilogue's activation is %s", e.Act)
	if !e.Bias.IsScalar() {
		c.operand("Bias", e.Bias, out.DType, []int{out.Shape[channel]})
		c.disjoint(out, e.Bias, false)
	}
}
