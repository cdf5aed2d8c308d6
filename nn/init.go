package nn

import (
	"math"

	"gonum.org/v1/gonum/mat"

	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/tensor"
)

// The functions of this file give a parameter (or buffer) new values, as those of
// torch.nn.init. They may be called on any layer's parameters before training:
//
//	nn.KaimingNormal(rng, conv.Weight, nn.Kaiming{FanOut: true})

// Uniform draws p from [lo, hi).
func Uniform(rng *random.Generator, p *tensor.Tensor, lo, hi float64) {
	assign(p, func(s *tensor.Scope) *tensor.Tensor {
		return tensor.Uniform(s, rng, p.DType(), lo, hi, p.Shape()...)
	})
}

// Normal draws p from the normal distribution.
func Normal(rng *random.Generator, p *tensor.Tensor, mean, std float64) {
	assign(p, func(s *tensor.Scope) *tensor.Tensor {
		return tensor.Normal(s, rng, p.DType(), mean, std, p.Shape()...)
	})
}

// TruncNormal draws p from the normal distribution cut to [lo, hi], by inverting
// its distribution function.
func TruncNormal(rng *random.Generator, p *tensor.Tensor, mean, std, lo, hi float64) {
	if !(lo < hi && std > 0) {
		tensor.Fail("trunc_normal", "bounds [%v, %v] and standard deviation %v", lo, hi, std)
	}
	below := func(x float64) float64 { return math.Erf((x - mean) / (std * math.Sqrt2)) }
	assign(p, func(s *tensor.Scope) *tensor.Tensor {
		v := tensor.Values[float64](tensor.Uniform(s, rng, tensor.Float64, below(lo), below(hi), p.Shape()...))
		for i, u := range v {
			v[i] = min(max(mean+std*math.Sqrt2*math.Erfinv(u), lo), hi)
		}
		return tensor.Of(s, v, shapeOf(p)...)
	})
}

// Constant fills p with c.
func Constant(p *tensor.Tensor, c float64) {
	assign(p, func(s *tensor.Scope) *tensor.Tensor { return tensor.Full(s, p.DType(), c, p.Shape()...) })
}

// Zeros fills p with zeros.
func Zeros(p *tensor.Tensor) { Constant(p, 0) }

// Ones fills p with ones.
func Ones(p *tensor.Tensor) { Constant(p, 1) }

// Nonlinearity names what follows a layer, for CalculateGain.
type Nonlinearity uint8

const (
	AfterLeakyReLU Nonlinearity = iota // with a slope; ReLU if that is 0
	AfterLinear                        // nothing, sigmoid, a convolution
	AfterTanh
	AfterSELU
)

// CalculateGain is the factor by which weights before a nonlinearity are drawn
// larger, so that variances are kept. slope is that of LeakyReLU for negative
// inputs.
func CalculateGain(n Nonlinearity, slope float64) float64 {
	switch n {
	case AfterLinear:
		return 1
	case AfterTanh:
		return 5. / 3
	case AfterSELU:
		return 3. / 4
	}
	return math.Sqrt(2 / (1 + slope*slope))
}

// FanInFanOut counts the inputs of one output of a weight [out, in, kernel...]
// and the outputs that one input goes to.
func FanInFanOut(w *tensor.Tensor) (in, out int) {
	shape := w.Shape()
	if len(shape) < 2 {
		tensor.Fail("init", "a weight of shape %v has no fan in and out: it needs two axes", shape)
	}
	field := 1
	for _, n := range shape[2:] {
		field *= n
	}
	return shape[1] * field, shape[0] * field
}

// Kaiming are the options of KaimingUniform and KaimingNormal. The zero value
// keeps the variance of what goes forward, before ReLU.
type Kaiming struct {
	FanOut       bool         // keep the variance of gradients instead
	Nonlinearity Nonlinearity // what follows
	Slope        float64      // of AfterLeakyReLU; PyTorch's a
}

func (o Kaiming) std(w *tensor.Tensor) float64 {
	fan, out := FanInFanOut(w)
	if o.FanOut {
		fan = out
	}
	if fan == 0 {
		return 0 // w is empty
	}
	return CalculateGain(o.Nonlinearity, o.Slope) / math.Sqrt(float64(fan))
}

// KaimingUniform draws a weight uniformly as He et al. do ("Delving deep into
// rectifiers", 2015).
func KaimingUniform(rng *random.Generator, w *tensor.Tensor, o Kaiming) {
	bound := math.Sqrt(3) * o.std(w)
	Uniform(rng, w, -bound, bound)
}

// KaimingNormal draws a weight from the normal distribution as He et al. do
// ("Delving deep into rectifiers", 2015).
func KaimingNormal(rng *random.Generator, w *tensor.Tensor, o Kaiming) {
	Normal(rng, w, 0, o.std(w))
}

// XavierUniform draws a weight uniformly as Glorot and Bengio do ("Understanding
// the difficulty of training deep feedforward neural networks", 2010). PyTorch's
// default gain is 1; see CalculateGain.
func XavierUniform(rng *random.Generator, w *tensor.Tensor, gain float64) {
	bound := math.Sqrt(3) * xavierStd(w, gain)
	Uniform(rng, w, -bound, bound)
}

// XavierNormal is XavierUniform with the normal distribution.
func XavierNormal(rng *random.Generator, w *tensor.Tensor, gain float64) {
	Normal(rng, w, 0, xavierStd(w, gain))
}

func xavierStd(w *tensor.Tensor, gain float64) float64 {
	in, out := FanInFanOut(w)
	if in+out == 0 {
		return 0 // w is empty
	}
	return gain * math.Sqrt(2/float64(in+out))
}

// Orthogonal makes the rows of a weight [rows, rest...], taken for a matrix,
// orthogonal to each other and of norm gain; its columns, if it has fewer of
// those (Saxe et al., "Exact solutions to the nonlinear dynamics of learning in
// deep linear neural networks", 2013). All such matrices are equally likely.
func Orthogonal(rng *random.Generator, w *tensor.Tensor, gain float64) {
	if w.Dim() < 2 {
		tensor.Fail("orthogonal", "a weight of shape %v is no matrix", w.Shape())
	}
	rows := w.Size(0)
	if w.NumEl() == 0 {
		return
	}
	cols := w.NumEl() / rows
	long, short := max(rows, cols), min(rows, cols)
	assign(w, func(s *tensor.Scope) *tensor.Tensor {
		v := tensor.Values[float64](tensor.RandN(s, rng, tensor.Float64, long, short))
		var qr mat.QR
		qr.Factorize(mat.NewDense(long, short, v))
		var q, r mat.Dense
		qr.QTo(&q)
		qr.RTo(&r)
		out := make([]float64, rows*cols)
		for i := range long {
			for j := range short {
				x := gain * q.At(i, j) * math.Copysign(1, r.At(j, j))
				if rows >= cols {
					out[i*cols+j] = x
				} else {
					out[j*cols+i] = x
				}
			}
		}
		return tensor.Of(s, out, shapeOf(w)...)
	})
}

// assign gives p the values that make computes in a scope of its own.
func assign(p *tensor.Tensor, make func(s *tensor.Scope) *tensor.Tensor) {
	s := tensor.NewScope(p.Device(), tensor.ScopeOptions{NoGrad: true})
	defer s.Close()
	p.Assign(make(s))
}

// shapeOf is p's shape for tensor.Of, to which no shape at all means a vector.
func shapeOf(p *tensor.Tensor) []int { return append([]int{}, p.Shape()...) }
