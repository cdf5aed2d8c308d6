package backendtest

import (
	"fmt"
	"math"
	"slices"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/random"
)

// scalars serve every op: a legal slope, alpha, pair of bounds, beta and threshold.
var scalars = backend.Params{Scalars: backend.Scalars{A: 0.5, B: 2, N: -2, M: 5, Key: 11, Counter: 5}}

// ab are the two scalars as a kernel of dtype d reads them.
func ab(d backend.DType, p backend.Params) (a, b float64) {
	if d.IsFloat() {
		return p.A, p.B
	}
	return float64(p.N), float64(p.M)
}

// shapes and layouts of elementwise arrays: out, then its operands in turn.
var elementwiseCases = []struct {
	shape   []int
	out     layout
	x, y, z layout
}{
	{[]int{}, contiguous, contiguous, offset, contiguous},
	{[]int{0}, contiguous, contiguous, contiguous, contiguous},
	{[]int{2, 0, 3}, contiguous, transposed, gapped, contiguous},
	{[]int{1}, offset, contiguous, oddUnits, repeatAll},
	{[]int{13}, offset, contiguous, offset, gapped},
	{[]int{67}, contiguous, offset, gapped, contiguous},
	{[]int{421}, contiguous, contiguous, contiguous, contiguous},
	{[]int{3, 5}, transposed, contiguous, transposed, repeatLast},
	{[]int{5, 7}, contiguous, repeatFirst, repeatLast, contiguous},
	{[]int{9, 8}, contiguous, contiguous, repeatAll, repeatFirst},
	{[]int{1, 5, 1}, oddUnits, oddUnits, contiguous, transposed},
	{[]int{4, 1, 6}, contiguous, gapped, oddUnits, oddUnits},
	{[]int{2, 3, 4, 5}, channelsLast, channelsLast, channelsLast, channelsLast},
	{[]int{3, 4, 2, 5}, channelsLast, contiguous, repeatFirst, gapped},
	{[]int{2, 2, 3, 2, 3, 2}, transposed, gapped, contiguous, repeatLast},
}

// large has more elements than one thread takes.
var large = []int{263, 250}

// dyadic are numbers that every float type represents and whose quotients are
// whole or far from it, so that no rounding moves a floor.
func (b *bench) dyadic(n int) []float64 {
	vals := make([]float64, n)
	for i := range vals {
		vals[i] = float64(b.rng.IntN(513)-256) / 64
	}
	return vals
}

var inf, nan = math.Inf(1), math.NaN()

// operands are values for the inputs of an elementwise op of dtype d; each has its
// own length, so that cycling through them makes many pairs. divisor leaves out 0
// for integers, small keeps to exponents.
func (b *bench) operands(d backend.DType, divisor, small bool) (x, y []float64) {
	switch {
	case d.IsFloat():
		x = append(b.dyadic(60), 0, math.Copysign(0, -1), 1, -1, 0.5, -0.5, 1.5, 2.5, inf, -inf, nan, 10, -10, 0x1p-10, 100)
		y = append(b.dyadic(40), 0, 1, -1, 2, 0.5, inf, -inf, nan, -0x1p-10, 3)
		return x, y
	case d == backend.Bool:
		return []float64{0, 1, 1, 0, 1}, pickVals(divisor, []float64{1}, []float64{1, 0, 1})
	case small:
		x, y = []float64{0, 1, 2, 3, -1, -2, -3}, []float64{0, 1, 2, 3, 4}
	case divisor:
		x, y = []float64{0, 1, 2, 5, 7, 11, 9, -1, -2, -3, -7, -11}, []float64{1, 2, 3, 7, 5, -1, -2, -3, -7}
	default:
		x, y = []float64{0, 1, 2, 5, 7, 11, 9, -1, -2, -3, -7, -11}, []float64{1, 2, 0, 7, 5, -1, -2, -3, -7}
	}
	if d == backend.Uint8 {
		negative := func(v float64) bool { return v < 0 }
		x, y = slices.DeleteFunc(x, negative), slices.DeleteFunc(y, negative)
	}
	return x, y
}

func pickVals(ok bool, yes, no []float64) []float64 {
	if ok {
		return yes
	}
	return no
}

// wide is the dtype in which an op without a reference is checked.
func wide(d backend.DType) backend.DType {
	if d.IsFloat() {
		return backend.Float64
	}
	return backend.Int64
}

// defined makes want what got must be. Where an integer result is none (a root, a
// division by 0) or no truth value, nothing is promised and got stands.
func (b *bench) defined(d backend.DType, got, want []float64) []float64 {
	if d.IsFloat() || !b.values {
		return want
	}
	want = slices.Clone(want)
	for i, w := range want {
		if w != math.Trunc(w) || math.IsInf(w, 0) || d == backend.Bool && w != 0 && w != 1 {
			want[i] = got[i]
		}
	}
	return want
}

func unaryOut(op backend.UnaryOp, d backend.DType) backend.DType {
	if op >= backend.Not && op <= backend.IsFinite {
		return backend.Bool
	}
	return d
}

// unaryWant is what op makes of x: by its reference, or else as the device itself
// says in float64 (int64 for integers) and contiguous.
func (b *bench) unaryWant(op backend.UnaryOp, x array, p backend.Params) (want []float64, ok bool) {
	if !b.values {
		return nil, true
	}
	d, vals := x.DType, x.values()
	if op == backend.Dropout {
		return dropOut(d, vals, p), true
	}
	if ref := unaryRefs[op]; ref != nil {
		a, c := ab(d, p)
		for i, v := range vals {
			vals[i] = ref(v, a, c)
		}
		return vals, true
	}
	in := b.array(wide(d), x.Shape, contiguous, append(vals, 0))
	out := b.output(unaryOut(op, wide(d)), x.Shape, contiguous)
	ok = b.ran("Unary "+op.String(), wide(d), b.dev.Unary(op, out.Array, in.Array, p), out)
	return b.read(op.String(), out), ok
}

// dropOut is what Dropout makes of vals, by package random.
func dropOut(d backend.DType, vals []float64, p backend.Params) []float64 {
	drop := make([]uint8, len(vals))
	random.Bernoulli(random.Stream{Key: p.Key, Counter: p.Counter}, 0, p.A, drop)
	for i := range vals {
		if vals[i] *= p.B; drop[i] != 0 {
			vals[i] = 0
		}
	}
	return vals
}

func testUnary(b *bench) {
	for op := range backend.NumUnary {
		b.sub(op.String(), func(b *bench) {
			b.dtypes("Unary "+op.String(), func(d backend.DType) bool { return b.unary(op, d) })
		})
	}
}

func (b *bench) unary(op backend.UnaryOp, d backend.DType) (ran bool) {
	vals, _ := b.operands(d, false, false)
	check := func(out, x array) bool {
		defer b.free()
		call := describe("Unary "+op.String(), out, x)
		want, ok := b.unaryWant(op, x, scalars)
		if !ok || !b.ran("Unary "+op.String(), d, b.dev.Unary(op, out.Array, x.Array, scalars), out) {
			return false
		}
		got := b.read(call, out)
		b.close(call, d, got, b.defined(out.DType, got, want), nil)
		return true
	}
	for _, c := range elementwiseCases {
		if !check(b.output(unaryOut(op, d), c.shape, c.out), b.array(d, c.shape, c.x, vals)) {
			return false
		}
	}
	if unaryOut(op, d) == d {
		for _, l := range denseLayouts { // in place
			x := b.array(d, []int{3, 1, 11}, l, vals)
			check(x, x)
		}
	}
	if d == backend.Float32 && (!racing || op%8 == 0) || op == backend.Neg && !racing {
		check(b.output(unaryOut(op, d), large, contiguous), b.array(d, large, contiguous, append(b.random(d, -4, 4, 1000), vals...)))
	}
	if op == backend.Neg {
		check(b.output(unaryOut(op, d), large, contiguous), b.array(d, large, transposed, vals))
	}
	return true
}

// random are n numbers in [lo, hi) as d holds them.
func (b *bench) random(d backend.DType, lo, hi float64, n int) []float64 {
	vals := make([]float64, n)
	for i := range vals {
		vals[i] = round(d, lo+(hi-lo)*b.rng.Float64())
	}
	return vals
}

func binaryOut(op backend.BinaryOp, d backend.DType) backend.DType {
	if op >= backend.Eq && op <= backend.LogicalXor {
		return backend.Bool
	}
	return d
}

// binaryOperands are values that op promises something for.
func (b *bench) binaryOperands(op backend.BinaryOp, d backend.DType) (x, y []float64) {
	divides := op >= backend.FloorDiv && op <= backend.Fmod || op > backend.HardtanhGrad
	x, y = b.operands(d, divides, op == backend.Pow)
	if d.IsFloat() && op >= backend.ReLUGrad && op <= backend.HardtanhGrad {
		y = slices.DeleteFunc(y, func(v float64) bool { return math.IsInf(v, 0) || math.IsNaN(v) })
	}
	return x, y
}

func (b *bench) binaryWant(op backend.BinaryOp, x, y array, p backend.Params) (want []float64, ok bool) {
	if !b.values {
		return nil, true
	}
	d, vals, others := x.DType, x.values(), y.values()
	if ref := binaryRefs[op]; ref != nil {
		a, c := ab(d, p)
		for i, v := range vals {
			vals[i] = ref(v, others[i], a, c)
		}
		return vals, true
	}
	wx := b.array(wide(d), x.Shape, contiguous, append(vals, 0))
	wy := b.array(wide(d), x.Shape, contiguous, append(others, 0))
	out := b.output(binaryOut(op, wide(d)), x.Shape, contiguous)
	ok = b.ran("Binary "+op.String(), wide(d), b.dev.Binary(op, out.Array, wx.Array, wy.Array, p), out)
	return b.read(op.String(), out), ok
}

func testBinary(b *bench) {
	for op := range backend.NumBinary {
		b.sub(op.String(), func(b *bench) {
			b.dtypes("Binary "+op.String(), func(d backend.DType) bool {
				if op == backend.Div && !d.IsFloat() {
					return false // the contract has none
				}
				return b.binary(op, d)
			})
		})
	}
}

func (b *bench) binary(op backend.BinaryOp, d backend.DType) (ran bool) {
	xs, ys := b.binaryOperands(op, d)
	name, outType := "Binary "+op.String(), binaryOut(op, d)
	// x or y may be passed as a scalar: the array then repeats its value.
	check := func(out, x, y array, passX, passY backend.Array, p backend.Params) bool {
		defer b.free()
		call := describe(name, out, x, y)
		want, ok := b.binaryWant(op, x, y, p)
		if !ok || !b.ran(name, d, b.dev.Binary(op, out.Array, passX, passY, p), out) {
			return false
		}
		got := b.read(call, out)
		b.close(call, d, got, b.defined(outType, got, want), nil)
		return true
	}
	arrays := func(out, x, y array) bool { return check(out, x, y, x.Array, y.Array, scalars) }
	for _, c := range elementwiseCases {
		if !arrays(b.output(outType, c.shape, c.out), b.array(d, c.shape, c.x, xs), b.array(d, c.shape, c.y, ys)) {
			return false
		}
	}
	if outType == d {
		for _, l := range denseLayouts { // in place
			shape := []int{3, 1, 11}
			x := b.array(d, shape, l, xs)
			arrays(x, x, b.array(d, shape, contiguous, ys))
			y := b.array(d, shape, l, ys)
			arrays(y, b.array(d, shape, gapped, xs), y)
			both := b.array(d, shape, l, ys)
			arrays(both, both, both)
		}
	}
	if op < backend.ReLUGrad || op > backend.HardtanhGrad { // their scalars are parameters
		for _, c := range elementwiseCases {
			v := ys[b.rng.IntN(len(ys))]
			if math.IsNaN(v) {
				v = 1
			}
			p := backend.Params{Scalars: backend.Scalars{A: v}}
			if !d.IsFloat() {
				p = backend.Params{Scalars: backend.Scalars{A: nan, N: int64(v)}}
			}
			constant := func() array { return b.array(d, c.shape, contiguous, []float64{v}) }
			x := b.array(d, c.shape, c.x, xs)
			check(b.output(outType, c.shape, c.out), x, constant(), x.Array, backend.Array{DType: d}, p)
			y := b.array(d, c.shape, c.y, ys)
			check(b.output(outType, c.shape, c.out), constant(), y, backend.Array{DType: d}, y.Array, p)
		}
	}
	if d == backend.Float32 && (!racing || op%8 == 0) || op == backend.Add && (d == backend.BFloat16 || d == backend.Int32) {
		rx, ry := append(b.random(d, -4, 4, 1009), xs...), append(b.random(d, 0, 4, 997), ys...)
		arrays(b.output(outType, large, contiguous), b.array(d, large, contiguous, rx), b.array(d, large, contiguous, ry))
	}
	if op == backend.Add && d.IsFloat() {
		arrays(b.output(outType, large, contiguous), b.array(d, large, transposed, xs), b.array(d, large, repeatFirst, ys))
		arrays(b.output(outType, large, transposed), b.array(d, large, repeatLast, xs), b.array(d, large, gapped, ys))
	}
	return true
}

func (b *bench) ternaryWant(op backend.TernaryOp, x, y, z array, p backend.Params) (want, sums []float64, ok bool) {
	if !b.values {
		return nil, nil, true
	}
	ys, zs := y.values(), z.values()
	want, sums = x.values(), make([]float64, len(ys))
	if ref := ternaryRefs[op]; ref != nil {
		a, _ := ab(y.DType, p)
		for i, v := range want {
			want[i], sums[i] = ref(v, ys[i], zs[i], a)
		}
		return want, sums, true
	}
	w := wide(y.DType)
	in := func(vals []float64) backend.Array { return b.array(w, x.Shape, contiguous, append(vals, 0)).Array }
	out := b.output(w, x.Shape, contiguous)
	ok = b.ran("Ternary "+op.String(), w, b.dev.Ternary(op, out.Array, in(want), in(ys), in(zs), p), out)
	for i := range sums {
		sums[i] = math.Abs(want[i]) + math.Abs(ys[i]) + math.Abs(zs[i])
	}
	return b.read(op.String(), out), sums, ok
}

func testTernary(b *bench) {
	for op := range backend.NumTernary {
		b.sub(op.String(), func(b *bench) {
			b.dtypes("Ternary "+op.String(), func(d backend.DType) bool { return b.ternary(op, d) })
		})
	}
}

func (b *bench) ternary(op backend.TernaryOp, d backend.DType) (ran bool) {
	xType := d
	if op == backend.Where {
		xType = backend.Bool
	}
	xs, _ := b.operands(xType, false, false)
	ys, zs := b.operands(d, op == backend.Addcdiv, false)
	name := "Ternary " + op.String()
	check := func(out, x, y, z array, passY, passZ backend.Array, p backend.Params) bool {
		defer b.free()
		call := describe(name, out, x, y, z)
		want, sums, ok := b.ternaryWant(op, x, y, z, p)
		if !ok || !b.ran(name, d, b.dev.Ternary(op, out.Array, x.Array, passY, passZ, p), out) {
			return false
		}
		got := b.read(call, out)
		b.close(call, d, got, b.defined(d, got, want), sums)
		return true
	}
	arrays := func(out, x, y, z array) bool { return check(out, x, y, z, y.Array, z.Array, scalars) }
	for _, c := range elementwiseCases {
		x, y, z := b.array(xType, c.shape, c.x, xs), b.array(d, c.shape, c.y, ys), b.array(d, c.shape, c.z, zs)
		if !arrays(b.output(d, c.shape, c.out), x, y, z) {
			return false
		}
	}
	for _, l := range denseLayouts {
		shape := []int{3, 1, 11}
		x, y, z := b.array(xType, shape, l, xs), b.array(d, shape, l, ys), b.array(d, shape, l, zs)
		switch b.rng.IntN(3) {
		case 0:
			arrays(y, x, y, z)
		case 1:
			arrays(z, x, y, z)
		default:
			if xType == d {
				arrays(x, x, y, z)
			} else {
				arrays(y, x, y, y)
			}
		}
	}
	if op == backend.Where { // y or z as a scalar
		p := backend.Params{Scalars: backend.Scalars{A: 3, N: 1}}
		v, _ := ab(d, p)
		for _, c := range elementwiseCases {
			constant := func() array { return b.array(d, c.shape, contiguous, []float64{v}) }
			x, y := b.array(xType, c.shape, c.x, xs), b.array(d, c.shape, c.y, ys)
			check(b.output(d, c.shape, c.out), x, constant(), y, backend.Array{DType: d}, y.Array, p)
			x, y = b.array(xType, c.shape, c.x, xs), b.array(d, c.shape, c.y, ys)
			check(b.output(d, c.shape, c.out), x, y, constant(), y.Array, backend.Array{DType: d}, p)
		}
	}
	if d == backend.Float32 || d == backend.Int8 {
		arrays(b.output(d, large, contiguous), b.array(xType, large, contiguous, xs), b.array(d, large, transposed, ys), b.array(d, large, repeatFirst, zs))
	}
	return true
}

// testInt64 holds 64-bit integers to be computed as such and not through floats.
func testInt64(b *bench) {
	const big = 1<<53 + 1
	xs := []int64{big, -big, math.MaxInt64, math.MinInt64 + 1, big + 2, 7, -7}
	ys := []int64{3, -3, big, -big, 2}
	n := len(xs) * len(ys)
	compare := func(f func(x, y int64) bool) func(x, y int64) int64 {
		return func(x, y int64) int64 { return int64(truth(f(x, y))) }
	}
	for op, f := range map[backend.BinaryOp]func(x, y int64) int64{
		backend.Add:      func(x, y int64) int64 { return x + y },
		backend.Sub:      func(x, y int64) int64 { return x - y },
		backend.Mul:      func(x, y int64) int64 { return x * y },
		backend.TruncDiv: func(x, y int64) int64 { return x / y },
		backend.Fmod:     func(x, y int64) int64 { return x % y },
		backend.FloorDiv: func(x, y int64) int64 {
			if x%y != 0 && (x < 0) != (y < 0) {
				return x/y - 1
			}
			return x / y
		},
		backend.Maximum: func(x, y int64) int64 { return max(x, y) },
		backend.BitXor:  func(x, y int64) int64 { return x ^ y },
		backend.Eq:      compare(func(x, y int64) bool { return x == y }),
		backend.Lt:      compare(func(x, y int64) bool { return x < y }),
	} {
		x, y := b.ints([]int{n}, contiguous, xs), b.ints([]int{n}, contiguous, ys)
		out := b.output(binaryOut(op, backend.Int64), []int{n}, contiguous)
		call := "Binary " + op.String()
		if !b.ran(call, backend.Int64, b.dev.Binary(op, out.Array, x.Array, y.Array, backend.Params{}), out) {
			continue
		}
		got, want := make([]int64, n), make([]int64, n)
		if out.DType == backend.Bool {
			for i, v := range b.read(call, out) {
				got[i] = int64(v)
			}
		} else {
			got = b.readInts(call, out)
		}
		for i := range want {
			want[i] = f(xs[i%len(xs)], ys[i%len(ys)])
		}
		equal(b, call+" int64", got, want)
	}

	x, out := b.ints([]int{len(xs)}, contiguous, xs), b.output(backend.Int64, []int{len(xs)}, contiguous)
	p := backend.Params{Scalars: backend.Scalars{N: math.MinInt64, M: math.MaxInt64}}
	if b.ran("Unary Clamp", backend.Int64, b.dev.Unary(backend.Clamp, out.Array, x.Array, p), out) {
		equal(b, "Unary Clamp int64 without bounds", b.readInts("Unary Clamp", out), xs)
	}
	sum, product := int64(0), int64(1)
	for _, v := range xs {
		sum, product = sum+v, product*v
	}
	for op, want := range map[backend.ReduceOp]int64{backend.Sum: sum, backend.Prod: product, backend.Max: slices.Max(xs), backend.Min: slices.Min(xs)} {
		out := b.output(backend.Int64, []int{1}, contiguous)
		if b.ran("Reduce "+op.String(), backend.Int64, b.dev.Reduce(op, out.Array, x.Array), out) {
			equal(b, fmt.Sprintf("Reduce %s int64", op), b.readInts("Reduce", out), []int64{want})
		}
	}
}

// testSlots holds kernels to read their scalars from a slot and not from the call.
func testSlots(b *bench) {
	shape := []int{37}
	wrong := backend.Scalars{A: nan, B: nan, N: 99, M: 100, Key: 1, Counter: 1}
	same := func(name string, s backend.Scalars, d backend.DType, run func(out array, p backend.Params) error) {
		direct, slotted := b.output(d, shape, contiguous), b.output(d, shape, contiguous)
		slot := b.alloc(3 * backend.ScalarsBytes)
		b.must(b.dev.Upload(slot, slices.Concat(backend.AppendScalars(nil, wrong), backend.AppendScalars(nil, wrong), backend.AppendScalars(nil, s))))
		if b.ran(name, d, run(direct, backend.Params{Scalars: s}), direct) &&
			b.ran(name+" with a slot", d, run(slotted, backend.Params{Scalars: wrong, Slot: slot, SlotIndex: 2}), slotted) {
			equal(b, name+" with a slot", b.download(slotted), b.download(direct))
		}
	}
	for _, d := range []backend.DType{backend.Float32, backend.Float64, backend.BFloat16, backend.Int64, backend.Int32} {
		vals := b.dyadic(37)
		if !d.IsFloat() {
			vals = []float64{1, 2, 3, 4, 5, 6, 7}
		}
		x, y := b.array(d, shape, contiguous, vals), b.array(d, shape, offset, vals)
		cond := b.array(backend.Bool, shape, contiguous, []float64{0, 1, 1})
		for _, op := range []backend.UnaryOp{backend.LeakyReLU, backend.ELU, backend.Softplus, backend.Hardtanh, backend.Clamp, backend.Dropout} {
			same("Unary "+op.String(), scalars.Scalars, d, func(out array, p backend.Params) error {
				return b.dev.Unary(op, out.Array, x.Array, p)
			})
		}
		for _, op := range []backend.BinaryOp{backend.LeakyReLUGrad, backend.SoftplusGrad, backend.HardtanhGrad} {
			same("Binary "+op.String(), scalars.Scalars, d, func(out array, p backend.Params) error {
				return b.dev.Binary(op, out.Array, x.Array, y.Array, p)
			})
		}
		for _, op := range []backend.BinaryOp{backend.Add, backend.Sub, backend.Mul} {
			same("Binary "+op.String()+" by a scalar", scalars.Scalars, d, func(out array, p backend.Params) error {
				return b.dev.Binary(op, out.Array, x.Array, backend.Array{DType: d}, p)
			})
		}
		same("Ternary Where with a scalar", scalars.Scalars, d, func(out array, p backend.Params) error {
			return b.dev.Ternary(backend.Where, out.Array, cond.Array, x.Array, backend.Array{DType: d}, p)
		})
		same("Ternary Addcmul", scalars.Scalars, d, func(out array, p backend.Params) error {
			return b.dev.Ternary(backend.Addcmul, out.Array, x.Array, y.Array, y.Array, p)
		})
		for op := range backend.NumGenerate {
			s := backend.Scalars{A: 0.25, B: 0.75, N: 3, M: 9, Key: 11, Counter: 5}
			if !d.IsFloat() && (op == backend.Uniform || op == backend.Normal) || d.IsFloat() && op == backend.RandInt {
				continue
			}
			same("Generate "+op.String(), s, d, func(out array, p backend.Params) error { return b.dev.Generate(op, out.Array, p) })
		}
		b.free()
	}
}
