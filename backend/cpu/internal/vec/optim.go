package vec

import "math"

// SGD holds the scalars of one step of torch.optim.SGD.
type SGD struct {
	LR, Momentum, Dampening, WeightDecay float64
	Factor                               float64 // of the gradient; -1 maximizes
	Nesterov                             bool
	First                                bool // the first step: the momentum buffer becomes the gradient
}

// sgdScalars are the factors of one step, in float32. With useGrad and useBuf, the gradient that is applied is
// useGrad·g + useBuf·buf.
type sgdScalars struct {
	factor, decay, momentum, mix, useGrad, useBuf, lr float32
}

var fastSGD func(p, dp, buf *float32, n int, c *sgdScalars)

// Step updates the parameters p by the gradient g, in the order of operations of torch.optim.SGD:
//
//	g = Factor·g + WeightDecay·p
//	buf = g if First, else Momentum·buf + (1-Dampening)·g
//	g = g + Momentum·buf if Nesterov, else buf
//	p -= LR·g
//
// buf is the momentum buffer. Without momentum it is not touched and may be nil; on the first step it is not read.
func (s SGD) Step(p, g, buf []float32) {
	g = g[:len(p)]
	if len(p) == 0 {
		return
	}
	c := sgdScalars{factor: float32(s.Factor), decay: float32(s.WeightDecay), momentum: float32(s.Momentum), lr: float32(s.LR)}
	var first *float32
	if s.Momentum != 0 {
		buf = buf[:len(p)]
		first = &buf[0]
		c.mix, c.useBuf = float32(1-s.Dampening), 1
		if s.Nesterov {
			c.useGrad, c.useBuf = 1, c.momentum
		}
		if s.First {
			clear(buf)
			c.mix = 1
		}
	}
	if fastSGD != nil {
		fastSGD(&p[0], &g[0], first, len(p), &c)
		return
	}
	for i, d := range g {
		d = c.factor*d + c.decay*p[i]
		if s.Momentum != 0 {
			buf[i] = c.momentum*buf[i] + c.mix*d
			d = c.useGrad*d + c.useBuf*buf[i]
		}
		p[i] -= c.lr * d
	}
}

// Adam holds the scalars of one step of torch.optim.Adam, or of AdamW if Decoupled.
type Adam struct {
	LR, Beta1, Beta2, Eps, WeightDecay float64
	Factor                             float64 // of the gradient; -1 maximizes
	Step                               int     // counts from 1
	Decoupled                          bool
}

// adamScalars are the factors of one step, in float32.
type adamScalars struct {
	factor, couple, decay float32 // g = factor·g + couple·p; p -= decay·p
	mix1                  float32 // m = (m or g) + mix1·(g-m)
	fromGrad              uint32  // all ones if it is g
	beta2, mix2           float32
	step, root, eps       float32
}

var fastAdam func(p, dp, m, v, vmax *float32, n int, c *adamScalars)

// Update updates the parameters p, the averages m of the gradient and v of its square, and, if it is not nil, the
// largest v so far (AMSGrad), in the order of operations of torch.optim.Adam and AdamW with fused=True:
//
//	g = Factor·g;  p -= LR·WeightDecay·p if Decoupled, else g += WeightDecay·p
//	m = lerp(m, g, 1-Beta1);  v = Beta2·v + (1-Beta2)·g·g;  vmax = max(vmax, v)
//	p -= LR/(1-Beta1^Step)·m / (√v/√(1-Beta2^Step) + Eps), with vmax for v if there is one
//
// The scalars are computed in float64 and rounded once.
func (s Adam) Update(p, g, m, v, vmax []float32) {
	n := len(p)
	g, m, v = g[:n], m[:n], v[:n]
	if n == 0 {
		return
	}
	var largest *float32
	if vmax != nil {
		vmax = vmax[:n]
		largest = &vmax[0]
	}
	c := s.scalars()
	if fastAdam != nil {
		fastAdam(&p[0], &g[0], &m[0], &v[0], largest, n, &c)
		return
	}
	for i, d := range g {
		d = c.factor*d + c.couple*p[i]
		w := p[i] - c.decay*p[i]
		base := m[i]
		if c.fromGrad != 0 {
			base = d
		}
		m[i] = base + c.mix1*(d-m[i])
		v[i] = c.beta2*v[i] + c.mix2*d*d
		b := v[i]
		if vmax != nil {
			b = max(vmax[i], b)
			vmax[i] = b
		}
		p[i] = w - c.step*m[i]/(float32(math.Sqrt(float64(b)))/c.root+c.eps)
	}
}

func (s Adam) scalars() adamScalars {
	c := adamScalars{
		factor: float32(s.Factor),
		mix1:   float32(1 - s.Beta1),
		beta2:  float32(s.Beta2),
		mix2:   float32(1 - s.Beta2),
		step:   float32(s.LR / (1 - math.Pow(s.Beta1, float64(s.Step)))),
		root:   float32(math.Sqrt(1 - math.Pow(s.Beta2, float64(s.Step)))),
		eps:    float32(s.Eps),
	}
	if s.Decoupled {
		c.decay = float32(s.LR * s.WeightDecay)
	} else {
		c.couple = float32(s.WeightDecay)
	}
	if c.mix1 >= 0.5 { // torch.lerp starts from the nearer end
		c.mix1, c.fromGrad = c.mix1-1, math.MaxUint32
	}
	return c
}
