package vec

import "math"

// SGD holds the scalars of one step of torch.optim.SGD.
type SGD struct {
	LR, Momentum, Dampening, WeightDecay float32
	Nesterov, Maximize                   bool
	First                                bool // the first step: the momentum buffer is set to the gradient
}

// Step updates the parameters p by the gradient g, in the order of operations of torch.optim.SGD:
//
//	g = -g if Maximize;  g += WeightDecay·p
//	buf = g if First, else Momentum·buf + (1-Dampening)·g
//	g = g + Momentum·buf if Nesterov, else buf
//	p -= LR·g
//
// buf is the momentum buffer; it is neither read nor written when Momentum is 0 and may then be nil.
func (s SGD) Step(p, g, buf []float32) {
	g = g[:len(p)]
	if s.Momentum != 0 {
		buf = buf[:len(p)]
	}
	for i, d := range g {
		if s.Maximize {
			d = -d
		}
		if s.WeightDecay != 0 {
			d += s.WeightDecay * p[i]
		}
		if s.Momentum != 0 {
			b := d
			if !s.First {
				b = s.Momentum*buf[i] + (1-s.Dampening)*d
			}
			buf[i] = b
			if s.Nesterov {
				d += s.Momentum * b
			} else {
				d = b
			}
		}
		p[i] -= s.LR * d
	}
}

// Adam holds the scalars of one step of torch.optim.Adam, or of AdamW if Decoupled.
type Adam struct {
	LR, Beta1, Beta2, Eps, WeightDecay float64
	Step                               int // counts from 1
	Decoupled, Maximize                bool
}

// Update updates the parameters p, the averages m of the gradient and v of its square, and vmax if it is not nil
// (AMSGrad), in the order of operations of torch.optim.Adam with fused=True:
//
//	g = -g if Maximize;  p -= LR·WeightDecay·p if Decoupled, else g += WeightDecay·p
//	m += (1-Beta1)·(g-m);  v = Beta2·v + (1-Beta2)·g·g;  vmax = max(vmax, v)
//	p -= LR/(1-Beta1^Step)·m / (√vmax/√(1-Beta2^Step) + Eps)
//
// The scalars are computed in float64 and rounded once, as PyTorch does.
func (s Adam) Update(p, g, m, v, vmax []float32) {
	c := s.scalars()
	n := len(p)
	g, m, v = g[:n], m[:n], v[:n]
	if vmax != nil {
		vmax = vmax[:n]
	}
	for i, d := range g {
		w := p[i]
		d *= c.sign
		if s.Decoupled {
			w -= c.decay * w
		} else {
			d += c.decay * w
		}
		a := m[i] + c.mix1*(d-m[i])
		if c.mix1 >= 0.5 { // torch.lerp
			a = d + (c.mix1-1)*(d-m[i])
		}
		b := c.beta2*v[i] + c.mix2*d*d
		m[i], v[i] = a, b
		if vmax != nil {
			b = max(vmax[i], b)
			vmax[i] = b
		}
		p[i] = w - c.step*a/(float32(math.Sqrt(float64(b)))/c.root+c.eps)
	}
}

type adamScalars struct {
	mix1, beta2, mix2, step, root, eps, decay, sign float32
}

func (s Adam) scalars() adamScalars {
	c := adamScalars{
		mix1:  float32(1 - s.Beta1),
		beta2: float32(s.Beta2),
		mix2:  float32(1 - s.Beta2),
		step:  float32(s.LR / (1 - math.Pow(s.Beta1, float64(s.Step)))),
		root:  float32(math.Sqrt(1 - math.Pow(s.Beta2, float64(s.Step)))),
		eps:   float32(s.Eps),
		decay: float32(s.WeightDecay),
		sign:  1,
	}
	if s.Decoupled {
		c.decay = float32(s.LR * s.WeightDecay)
	}
	if s.Maximize {
		c.sign = -1
	}
	return c
}
