package tensor

import (
	"slices"
	"strconv"
	"unsafe"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/random"
)

// Element is a Go type whose slices become tensors and back.
type Element interface {
	float32 | float64 | int64 | int32 | int16 | int8 | uint8 | bool
}

// DTypeOf is the dtype of T.
func DTypeOf[T Element]() DType {
	var z T
	switch any(z).(type) {
	case float32:
		return Float32
	case float64:
		return Float64
	case int64:
		return Int64
	case int32:
		return Int32
	case int16:
		return Int16
	case int8:
		return Int8
	case uint8:
		return Uint8
	}
	return Bool
}

// bytesOf views the memory of v.
func bytesOf[T any](v []T) []byte {
	var z T
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), len(v)*int(unsafe.Sizeof(z)))
}

// checkShape refuses negative sizes and products that overflow, and returns the
// number of elements.
func checkShape(op string, shape []int) int {
	n, empty := 1, slices.Contains(shape, 0)
	for _, d := range shape {
		if d < 0 {
			Fail(op, "shape %v has a negative size", shape)
		}
		if !empty && d > maxElements/n {
			Fail(op, "shape %v is too large", shape)
		}
		n *= d
	}
	if empty {
		return 0
	}
	return n
}

const maxElements = 1 << 59 // so that no size in bytes overflows

// Of copies v to p as a tensor of the given shape (row-major), [len(v)] if none
// is given. Its dtype is T's.
func Of[T Element](p Place, v []T, shape ...int) *Tensor {
	if shape == nil {
		shape = []int{len(v)}
	}
	t, err := FromBytes(p, DTypeOf[T](), bytesOf(v), shape...)
	check("tensor", err)
	return t
}

// Scalar is a tensor of no axes that holds v.
func Scalar[T Element](p Place, v T) *Tensor { return Of(p, []T{v}, []int{}...) }

// FromBytes copies raw little-endian elements, row-major, to p; they must be
// exactly as many bytes as shape and dt need.
func FromBytes(p Place, dt DType, raw []byte, shape ...int) (t *Tensor, err error) {
	defer Catch(&err)
	const op = "tensor"
	dev, s := place(op, p)
	if n := checkShape(op, shape); len(raw) != n*dt.Size() {
		Fail(op, "%d bytes (%d elements of %v) for shape %v of %d", len(raw), len(raw)/dt.Size(), dt, shape, n)
	}
	t = empty(op, dev, s, dt, shape)
	return t, dev.Upload(t.blk.buf, raw)
}

// Bytes copies t to the host as raw little-endian elements, row-major. It waits
// for the device.
func (t *Tensor) Bytes() []byte {
	out := make([]byte, t.NumEl()*t.DType().Size())
	t.download(out)
	return out
}

func (t *Tensor) download(out []byte) {
	t.use("values")
	c := t
	if !t.IsContiguous() || t.arr.Offset != 0 || len(out) != t.blk.buf.Bytes() {
		c = t.untracked().clone("values")
		defer free(c)
	}
	check("values", t.dev.Download(out, c.blk.buf))
}

// untracked is a handle on t that owns nothing and has no history, for the
// length of a call.
func (t *Tensor) untracked() *Tensor {
	return &Tensor{arr: t.arr, dev: t.dev, blk: t.blk, scope: t.scope, borrowed: true}
}

// Values copies t to the host, row-major; T must be its dtype's Go type. Half
// precision comes as float32. It waits for the device.
func Values[T Element](t *Tensor) []T {
	t.use("values")
	dt := DTypeOf[T]()
	c := t
	if half := t.DType() == Float16 || t.DType() == BFloat16; half && dt == Float32 {
		c = t.untracked().To(Float32)
		defer free(c)
	} else if t.DType() != dt {
		Fail("values", "a tensor of %v has no values of %v; To casts it", t.DType(), dt)
	}
	out := make([]T, t.NumEl())
	c.download(bytesOf(out))
	return out
}

// Item returns the only element of t as a float64. It waits for the device.
func (t *Tensor) Item() float64 { return item[float64](t) }

// IntItem is Item for integers and bool, exact for every int64.
func (t *Tensor) IntItem() int64 { return item[int64](t) }

func item[T Element](t *Tensor) T {
	if t.use("item"); t.NumEl() != 1 {
		Fail("item", "a tensor of shape %v has %d elements", t.Shape(), t.NumEl())
	}
	c := t
	if dt := DTypeOf[T](); t.DType() != dt {
		c = t.untracked().To(dt)
		defer free(c)
	}
	return Values[T](c)[0]
}

// scalars says c in the way kernels of dt take it.
func scalars(dt DType, c float64) backend.Scalars {
	if dt.IsFloat() {
		return backend.Scalars{A: c}
	}
	return backend.Scalars{N: int64(c)}
}

func (t *Tensor) fill(op string, c float64) {
	check(op, t.dev.Generate(backend.Fill, t.arr, backend.Params{Scalars: scalars(t.DType(), c)}))
}

func full(op string, dev backend.Device, s *Scope, dt DType, shape []int, c float64) *Tensor {
	t := empty(op, dev, s, dt, shape)
	t.fill(op, c)
	return t
}

func generate(op string, code backend.GenerateOp, p Place, dt DType, shape []int, sc backend.Scalars) *Tensor {
	dev, s := place(op, p)
	checkShape(op, shape)
	t := empty(op, dev, s, dt, shape)
	check(op, dev.Generate(code, t.arr, backend.Params{Scalars: sc}))
	return t
}

// Full is a tensor filled with c.
func Full(p Place, dt DType, c float64, shape ...int) *Tensor {
	return generate("full", backend.Fill, p, dt, shape, scalars(dt, c))
}

// Zeros is a tensor of zeros.
func Zeros(p Place, dt DType, shape ...int) *Tensor { return Full(p, dt, 0, shape...) }

// Ones is a tensor of ones.
func Ones(p Place, dt DType, shape ...int) *Tensor { return Full(p, dt, 1, shape...) }

// ZerosLike is a tensor of zeros with x's shape, dtype, place and memory order.
func ZerosLike(x *Tensor) *Tensor { return FullLike(x, 0) }

// OnesLike is a tensor of ones with x's shape, dtype, place and memory order.
func OnesLike(x *Tensor) *Tensor { return FullLike(x, 1) }

// FullLike is a tensor filled with c with x's shape, dtype, place and memory order.
func FullLike(x *Tensor, c float64) *Tensor {
	x.use("full_like")
	t := emptyLike("full_like", x.scope, x.DType(), x)
	t.fill("full_like", c)
	return t
}

// stream reserves the random numbers of one kernel that makes n elements.
func stream(op string, g *random.Generator, n int) backend.Scalars {
	if g == nil {
		Fail(op, "there is no generator: pass random.New(seed), or open the scope with Rand")
	}
	s := g.Reserve(n)
	return backend.Scalars{Key: s.Key, Counter: s.Counter}
}

func randomly(op string, code backend.GenerateOp, p Place, g *random.Generator, dt DType, shape []int, sc backend.Scalars) *Tensor {
	st := stream(op, g, checkShape(op, shape))
	sc.Key, sc.Counter = st.Key, st.Counter
	dev, s := place(op, p)
	t := empty(op, dev, s, dt, shape)
	check(op, dev.Generate(code, t.arr, s.random(op, sc)))
	return t
}

// Rand is uniform in [0, 1). The bits depend on the generator alone, not on the device.
func Rand(p Place, g *random.Generator, dt DType, shape ...int) *Tensor {
	return Uniform(p, g, dt, 0, 1, shape...)
}

// Uniform is uniform in [lo, hi).
func Uniform(p Place, g *random.Generator, dt DType, lo, hi float64, shape ...int) *Tensor {
	return randomly("uniform", backend.Uniform, p, g, dt, shape, backend.Scalars{A: lo, B: hi})
}

// RandN is normal with mean 0 and standard deviation 1.
func RandN(p Place, g *random.Generator, dt DType, shape ...int) *Tensor {
	return Normal(p, g, dt, 0, 1, shape...)
}

// Normal is normal with the given mean and standard deviation.
func Normal(p Place, g *random.Generator, dt DType, mean, std float64, shape ...int) *Tensor {
	return randomly("normal", backend.Normal, p, g, dt, shape, backend.Scalars{A: mean, B: std})
}

// BernoulliMask is true with probability q, of dtype Bool.
func BernoulliMask(p Place, g *random.Generator, q float64, shape ...int) *Tensor {
	if !(q >= 0 && q <= 1) {
		Fail("bernoulli", "%v is no probability", q)
	}
	return randomly("bernoulli", backend.Bernoulli, p, g, Bool, shape, backend.Scalars{A: q})
}

// RandInt is uniform over the integers lo to hi-1.
func RandInt(p Place, g *random.Generator, dt DType, lo, hi int64, shape ...int) *Tensor {
	if lo >= hi {
		Fail("randint", "the range [%d, %d) is empty", lo, hi)
	}
	return randomly("randint", backend.RandInt, p, g, dt, shape, backend.Scalars{N: lo, M: hi})
}

// RandPerm is a random order of 0 to n-1, of dtype Int64.
func RandPerm(p Place, g *random.Generator, n int) *Tensor {
	if n < 0 {
		Fail("randperm", "n is %d", n)
	}
	if g == nil {
		stream("randperm", g, n)
	}
	v := make([]int64, n)
	for i, j := range g.Permutation(n) {
		v[i] = int64(j)
	}
	return Of(p, v)
}

// Arange counts from start to end, excluded, by step.
func Arange(p Place, dt DType, start, end, step float64) *Tensor {
	const op = "arange"
	n := rangeLen(op, start, end, step)
	sc := backend.Scalars{A: start, B: step, N: int64(start), M: int64(step)}
	return generate(op, backend.Arange, p, dt, []int{n}, sc)
}

func rangeLen(op string, start, end, step float64) int {
	if step == 0 || (end-start)/step < 0 || !((end-start)/step < maxElements) {
		Fail(op, "there is no range from %v to %v by %v", start, end, step)
	}
	n := int((end - start) / step)
	for start+float64(n)*step != end && (start+float64(n)*step < end) == (step > 0) {
		n++
	}
	return n
}

// Linspace has n values from start to end, both included.
func Linspace(p Place, dt DType, start, end float64, n int) *Tensor {
	const op = "linspace"
	if n < 0 {
		Fail(op, "n is %d", n)
	}
	v := make([]float64, n)
	for i := range v { // symmetric, as PyTorch computes it
		if step := (end - start) / float64(n-1); i < n/2 {
			v[i] = start + step*float64(i)
		} else {
			v[i] = end - step*float64(n-1-i)
		}
	}
	if n == 1 {
		v[0] = start
	}
	t := Of(p, v)
	out := t.To(dt)
	if out != t {
		free(t)
	}
	return out
}

// Eye is the n by m identity matrix.
func Eye(p Place, dt DType, n, m int) *Tensor {
	t := Zeros(p, dt, n, m)
	if k := min(n, m); k > 0 {
		d := t.arr
		d.Shape, d.Strides = []int{k}, []int{m + 1}
		one := full("eye", t.dev, t.scope, dt, []int{k}, 1)
		check("eye", t.dev.Copy(d, one.arr, false))
		free(one)
	}
	return t
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}
