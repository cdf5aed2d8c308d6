package optim

import (
	"math"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/tensor"
)

// SGD are the options of NewSGD; the zero value of each field is PyTorch's default.
type SGD struct {
	LR          float64 // 0 is 1e-3
	Momentum    float64
	Dampening   float64
	WeightDecay float64
	Nesterov    bool
	Maximize    bool
	Groups      []GroupOptions // further groups
}

// NewSGD is stochastic gradient descent with momentum as in Sutskever et al.
// 2013 (torch.optim.SGD).
func NewSGD(params Params, o SGD) Optimizer {
	if o.Nesterov && (o.Momentum <= 0 || o.Dampening != 0) {
		tensor.Fail("sgd", "Nesterov momentum needs a momentum and no dampening")
	}
	var slots []string
	if o.Momentum != 0 {
		slots = []string{"momentum_buffer"}
	}
	p := backend.OptimizerParams{LR: orDefault(o.LR, 1e-3), Momentum: o.Momentum, Dampening: o.Dampening,
		WeightDecay: o.WeightDecay, Nesterov: o.Nesterov, Maximize: o.Maximize}
	return newRule(backend.SGD, p, slots, params, o.Groups)
}

// Adam are the options of NewAdam; the zero value of each field is PyTorch's default.
type Adam struct {
	LR          float64    // 0 is 1e-3
	Betas       [2]float64 // both 0 are 0.9 and 0.999
	Eps         float64    // 0 is 1e-8
	WeightDecay float64    // added to the gradient; AdamW decouples it
	AMSGrad     bool
	Maximize    bool
	Groups      []GroupOptions // further groups
}

// NewAdam is Adam (Kingma and Ba 2014; torch.optim.Adam).
func NewAdam(params Params, o Adam) Optimizer {
	return newAdam(backend.Adam, params, o, o.WeightDecay)
}

// AdamW are the options of NewAdamW; the zero value of each field is PyTorch's
// default.
type AdamW struct {
	LR          float64    // 0 is 1e-3
	Betas       [2]float64 // both 0 are 0.9 and 0.999
	Eps         float64    // 0 is 1e-8
	WeightDecay *float64   // nil is 0.01
	AMSGrad     bool
	Maximize    bool
	Groups      []GroupOptions // further groups
}

// NewAdamW is Adam with decoupled weight decay (Loshchilov and Hutter 2017;
// torch.optim.AdamW).
func NewAdamW(params Params, o AdamW) Optimizer {
	decay := 0.01
	if o.WeightDecay != nil {
		decay = *o.WeightDecay
	}
	a := Adam{LR: o.LR, Betas: o.Betas, Eps: o.Eps, AMSGrad: o.AMSGrad, Maximize: o.Maximize, Groups: o.Groups}
	return newAdam(backend.AdamW, params, a, decay)
}

func newAdam(op backend.OptimizerOp, params Params, o Adam, decay float64) Optimizer {
	if o.Betas == [2]float64{} {
		o.Betas = [2]float64{0.9, 0.999}
	}
	for _, b := range o.Betas {
		if b < 0 || b >= 1 {
			tensor.Fail("adam", "betas %v are not in [0, 1)", o.Betas)
		}
	}
	slots := []string{"exp_avg", "exp_avg_sq"}
	if o.AMSGrad {
		slots = append(slots, "max_exp_avg_sq")
	}
	p := backend.OptimizerParams{LR: orDefault(o.LR, 1e-3), Beta1: o.Betas[0], Beta2: o.Betas[1],
		Eps: orDefault(o.Eps, 1e-8), WeightDecay: decay, Maximize: o.Maximize}
	return newRule(op, p, slots, params, o.Groups)
}

func orDefault(v, or float64) float64 {
	if v == 0 {
		return or
	}
	return v
}

// compose updates p in tensor ops: the definition of the rules, after PyTorch's
// single-tensor implementations. The gradient is multiplied by factor.
func (r *rule) compose(p *tensor.Tensor, o backend.OptimizerParams, factor float64) {
	s := tensor.NewScope(p.Device(), tensor.ScopeOptions{NoGrad: true})
	defer s.Close()
	g, w, st := s.Use(p.Grad()), s.Use(p.Detach()), r.state[p].slots
	if o.Maximize {
		factor = -factor
	}
	if factor != 1 {
		g = g.MulScalar(factor)
	}
	if r.op == backend.AdamW {
		w = w.MulScalar(1 - o.LR*o.WeightDecay)
	} else if o.WeightDecay != 0 {
		g = g.Add(w.MulScalar(o.WeightDecay))
	}
	if r.op == backend.SGD {
		if o.Momentum != 0 {
			m := g
			if o.Step > 1 {
				m = s.Use(st[0]).MulScalar(o.Momentum).Add(g.MulScalar(1 - o.Dampening))
			}
			st[0].Assign(m)
			if o.Nesterov {
				g = g.Add(m.MulScalar(o.Momentum))
			} else {
				g = m
			}
		}
		p.Assign(w.Sub(g.MulScalar(o.LR)))
		return
	}
	m, v := s.Use(st[0]), s.Use(st[1])
	m = m.Add(g.Sub(m).MulScalar(1 - o.Beta1))
	v = v.MulScalar(o.Beta2).Add(g.Square().MulScalar(1 - o.Beta2))
	st[0].Assign(m)
	st[1].Assign(v)
	if len(st) > 2 { // AMSGrad
		v = s.Use(st[2]).Maximum(v)
		st[2].Assign(v)
	}
	c1 := 1 - math.Pow(o.Beta1, float64(o.Step))
	c2 := 1 - math.Pow(o.Beta2, float64(o.Step))
	denom := v.Sqrt().DivScalar(math.Sqrt(c2)).AddScalar(o.Eps)
	p.Assign(w.Sub(m.Div(denom).MulScalar(o.LR / c1)))
}
