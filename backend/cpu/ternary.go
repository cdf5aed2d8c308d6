package cpu

import (
	"math"

	"github.com/descent-ml/descent/backend"
)

// Ternary computes out = op(x, y, z).
func (d *Device) Ternary(op backend.TernaryOp, out, x, y, z backend.Array, p backend.Params) error {
	if g := d.capturing(); g != nil {
		return g.ternary(op, out, x, y, z, p)
	}
	return ternary[op].run(op, &p, &out, &x, &y, &z)
}

var ternary = [backend.NumTernary]entry{
	backend.Where:   {f32: where[float32], f64: where[float64], i64: where[int64], bools: true},
	backend.Addcmul: {f64: each3p(addcmul), i64: each3p(addcmulInt)},
	backend.Addcdiv: {f64: each3p(addcdiv)},
	backend.Lerp:    {f64: each3p(lerp)},
}

// where reads the condition in the type of the values.
func where[C compute](dst []C, in [3][]C, _ backend.Scalars) {
	y, z := in[1][:len(dst)], in[2][:len(dst)]
	for i, c := range in[0][:len(dst)] {
		v := z[i]
		if c != 0 {
			v = y[i]
		}
		dst[i] = v
	}
}

func addcmul(x, y, z float64, p backend.Scalars) float64 { return x + p.A*y*z }
func addcmulInt(x, y, z int64, p backend.Scalars) int64  { return x + p.N*y*z }
func addcdiv(x, y, z float64, p backend.Scalars) float64 { return x + p.A*y/z }

func lerp(x, y, z float64, _ backend.Scalars) float64 {
	if math.Abs(z) < 0.5 {
		return x + z*(y-x)
	}
	return y - (y-x)*(1-z)
}
