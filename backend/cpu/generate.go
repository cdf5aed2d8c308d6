package cpu

import (
	"math"
	"unsafe"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cpu/internal/parallel"
	"github.com/descent-ml/descent/random"
)

const grainGenerate = 4 << 10 // a multiple of every generator's block

// generator fills dst with the elements from number i on, row-major.
type generator[C compute] func(dst []C, i int, p backend.Scalars)

var generators = [backend.NumGenerate]struct {
	f32 generator[float32]
	f64 generator[float64] // float64, and without f32 all floats
	i64 generator[int64]
}{
	backend.Fill:      {f32: fillFloat[float32], f64: fillFloat[float64], i64: fillInt},
	backend.Arange:    {f64: arangeFloat, i64: arangeInt},
	backend.Uniform:   {f32: uniform32, f64: uniform64},
	backend.Normal:    {f32: normal32, f64: normal64},
	backend.Bernoulli: {f32: bernoulli[float32], f64: bernoulli[float64], i64: bernoulli[int64]},
	backend.RandInt:   {f64: randIntFloat, i64: randInt},
}

// Generate fills out. Element i of a random op is element i of the stream,
// whatever the strides of out.
func (d *Device) Generate(op backend.GenerateOp, out backend.Array, p backend.Params) error {
	if g := d.capturing(); g != nil {
		return g.generate(op, out, p)
	}
	g := &generators[op]
	scalars := scalars(&p)
	if out.Size() == 0 {
		return nil
	}
	switch t := out.DType; {
	case t != backend.Float64 && t.IsFloat() && g.f32 != nil:
		generate(&out, &codec32, g.f32, scalars)
	case t.IsFloat() && g.f64 != nil:
		generate(&out, &codec64, g.f64, scalars)
	case !t.IsFloat() && g.i64 != nil:
		generate(&out, &codecInt, g.i64, scalars)
	default:
		return unsupported(op, t)
	}
	return nil
}

func generate[C compute](out *backend.Array, c *codec[C], g generator[C], p backend.Scalars) {
	var s space
	s.rowMajor(out)
	if s.size <= grainGenerate {
		generateRange(&s, c, g, p, 0, s.size)
		return
	}
	t := s
	parallel.For(t.size, grainGenerate, func(lo, hi int) { generateRange(&t, c, g, p, lo, hi) })
}

func generateRange[C compute](s *space, c *codec[C], g generator[C], p backend.Scalars, lo, hi int) {
	o := &s.ops[0]
	if direct(o, c, false) {
		g(unsafe.Slice((*C)(unsafe.Add(o.ptr, lo*o.dtype.Size())), hi-lo), lo, p)
		return
	}
	buf := c.get()
	defer c.put(buf)
	at := s.at(lo)
	for ; lo < hi; lo += blockLen {
		dst := buf[0][:min(blockLen, hi-lo)]
		g(dst, lo, p)
		scatter(s, o, c, at, dst)
		s.advance(&at, len(dst))
	}
}

func fillFloat[C float32 | float64](dst []C, _ int, p backend.Scalars) {
	if p.A == 0 && !math.Signbit(p.A) {
		clear(dst)
		return
	}
	fill(dst, C(p.A))
}

func fillInt(dst []int64, _ int, p backend.Scalars) { fill(dst, p.N) }

func arangeFloat(dst []float64, i int, p backend.Scalars) {
	for j := range dst {
		dst[j] = p.A + float64(float64(i+j)*p.B)
	}
}

func arangeInt(dst []int64, i int, p backend.Scalars) {
	for j := range dst {
		dst[j] = p.N + int64(i+j)*p.M
	}
}

func stream(p *backend.Scalars) random.Stream { return random.Stream{Key: p.Key, Counter: p.Counter} }

// The conversions below keep a product from being fused with the addition, so
// that every machine has the same bits.

func uniform32(dst []float32, i int, p backend.Scalars) {
	random.Uniform32(stream(&p), i, dst)
	lo, width := float32(p.A), float32(p.B)-float32(p.A)
	if lo == 0 && width == 1 {
		return
	}
	for j, u := range dst {
		dst[j] = float32(u*width) + lo
	}
}

func uniform64(dst []float64, i int, p backend.Scalars) {
	random.Uniform64(stream(&p), i, dst)
	width := p.B - p.A
	for j, u := range dst {
		dst[j] = float64(u*width) + p.A
	}
}

func normal32(dst []float32, i int, p backend.Scalars) {
	random.Normal32(stream(&p), i, dst)
	mean, deviation := float32(p.A), float32(p.B)
	for j, z := range dst {
		dst[j] = float32(z*deviation) + mean
	}
}

func normal64(dst []float64, i int, p backend.Scalars) {
	random.Normal64(stream(&p), i, dst)
	for j, z := range dst {
		dst[j] = float64(z*p.B) + p.A
	}
}

func bernoulli[C compute](dst []C, i int, p backend.Scalars) {
	var ones [256]uint8
	for len(dst) > 0 {
		n := min(len(dst), len(ones))
		random.Bernoulli(stream(&p), i, p.A, ones[:n])
		for j, b := range ones[:n] {
			dst[j] = C(b)
		}
		dst, i = dst[n:], i+n
	}
}

func randInt(dst []int64, i int, p backend.Scalars) {
	random.Ints64(stream(&p), i, p.N, p.M, dst)
}

func randIntFloat(dst []float64, i int, p backend.Scalars) {
	var ints [256]int64
	for len(dst) > 0 {
		n := min(len(dst), len(ints))
		random.Ints64(stream(&p), i, p.N, p.M, ints[:n])
		for j, v := range ints[:n] {
			dst[j] = float64(v)
		}
		dst, i = dst[n:], i+n
	}
}
