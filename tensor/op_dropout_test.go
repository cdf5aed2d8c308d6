package tensor

import (
	"fmt"
	"math"
	"testing"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/random"
)

func TestDropoutIsBernoullisMaskInEveryMemoryOrder(t *testing.T) {
	s := testScope(t, ScopeOptions{})
	for _, dt := range []DType{Float64, Float32, BFloat16, Float16} {
		x := normal(s, 1, 3, 5, 4, 2).To(dt)
		for name, in := range map[string]*Tensor{"contiguous": x, "channels last": x.ChannelsLast(), "transposed": x.Transpose(0, 3).Contiguous().Transpose(0, 3)} {
			mask := BernoulliMask(s, random.New(7), 0.3, 3, 5, 4, 2)
			want := x.MaskedFill(mask, 0).MulScalar(1 / 0.7)
			near(t, fmt.Sprint(name, " ", dt), in.Dropout(0.3, random.New(7)), want, 0)
		}
	}
}

func TestDropoutsGradientDropsTheSameElements(t *testing.T) {
	s := testScope(t, ScopeOptions{})
	x := normal(s, 1, 6, 5).RequireGrad()
	g := random.New(7)
	y := x.Dropout(0.4, g)
	mask := BernoulliMask(s, random.New(7), 0.4, 6, 5)
	factor := Ones(s, Float64, 6, 5).MaskedFill(mask, 0).MulScalar(1 / 0.6)
	// d/dx Σy³ = 3y²·factor, and again 6y·factor².
	first := GradWith(GradOptions{Create: true}, y.PowScalar(3).Sum(), x)[0]
	near(t, "the gradient", first, y.Square().MulScalar(3).Mul(factor), 1e-14)
	second := GradWith(GradOptions{}, first.Sum(), x)[0]
	near(t, "the second derivative", second, y.MulScalar(6).Mul(factor.Square()), 1e-14)
}

func TestDropoutDrawsAsManyNumbersAsItsMask(t *testing.T) {
	s := testScope(t, ScopeOptions{})
	g, h := random.New(3), random.New(3)
	Zeros(s, Float32, 5, 3).Dropout(0.5, g)
	BernoulliMask(s, h, 0.5, 5, 3)
	if g.State() != h.State() {
		t.Errorf("the generator stands at %v, not %v", g.State(), h.State())
	}
}

// plain hides the optional interfaces of a device.
type plain struct{ backend.Device }

func TestSumSquaresOnADeviceWithoutAKernel(t *testing.T) {
	fused := testScope(t, ScopeOptions{})
	composed := NewScope(plain{fused.Device()}, ScopeOptions{})
	defer composed.Close()
	sum := func(s *Scope, special float64) *Tensor {
		x := normal(s, 1, 40, 30)
		half := normal(s, 2, 7).To(Float16)
		return SumSquares(s, x, half, x.To(Float32).Transpose(0, 1).AddScalar(1), Full(s, Float32, special, 2), x.Narrow(1, 3, 4))
	}
	for _, special := range []float64{0, 1, 1e25, 1e-25} {
		near(t, fmt.Sprint("with ", special), sum(fused, special), Of(fused, []float64{sum(composed, special).Item()}, []int{}...), 1e-6)
	}
	for _, s := range []*Scope{fused, composed} {
		if v := sum(s, math.Inf(1)).Item(); !math.IsInf(v, 1) {
			t.Errorf("with an infinity the sum is %v", v)
		}
		if v := sum(s, math.NaN()).Item(); !math.IsNaN(v) {
			t.Errorf("with a NaN the sum is %v", v)
		}
	}
}
