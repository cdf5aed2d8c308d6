package tensor_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/descent-ml/descent/backend/cpu"
	"github.com/descent-ml/descent/tensor"
)

// eager is what a line of a model costs: 1,024 float32 elements in a scope that
// records. A parameter makes it record.
func eager(b *testing.B, op func(x, p *tensor.Tensor) *tensor.Tensor) {
	dev := cpu.New(cpu.Options{})
	p := tensor.Parameter(tensor.Ones(dev, tensor.Float32, 1024))
	b.ReportAllocs()
	for b.Loop() {
		s := tensor.NewScope(dev, tensor.ScopeOptions{})
		x := tensor.Ones(s, tensor.Float32, 1024).RequireGrad()
		for range 100 {
			op(x, p)
		}
		s.Close()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/call")
}

func BenchmarkEagerAdd(b *testing.B) { eager(b, (*tensor.Tensor).Add) }
func BenchmarkEagerMul(b *testing.B) { eager(b, (*tensor.Tensor).Mul) }
func BenchmarkEagerReLU(b *testing.B) {
	eager(b, func(x, _ *tensor.Tensor) *tensor.Tensor { return x.ReLU() })
}

func message(t *testing.T, fn func()) string {
	t.Helper()
	err := func() (err error) {
		defer tensor.Catch(&err)
		fn()
		return nil
	}()
	var te *tensor.Error
	if !errors.As(err, &te) {
		t.Fatalf("no *tensor.Error but %v", err)
	}
	return te.Error()
}

func TestMisuseNamesOpShapesAndDTypes(t *testing.T) {
	dev := cpu.New(cpu.Options{})
	f := tensor.Ones(dev, tensor.Float32, 2, 3)
	g := tensor.Ones(dev, tensor.Float32, 4)
	i := tensor.Ones(dev, tensor.Int64, 2, 3)
	b := tensor.Ones(dev, tensor.Bool, 2, 3)
	other := tensor.Ones(cpu.New(cpu.Options{}), tensor.Float32, 2, 3)
	for _, c := range []struct {
		want string
		fn   func()
	}{
		{"add: shapes [2 3] and [4]", func() { f.Add(g) }},
		{"add: its operands are on cpu and cpu", func() { f.Add(other) }},
		{"add: an operand is nil", func() { f.Add(nil) }},
		{"sub: bool", func() { b.Sub(f) }},
		{"neg: bool", func() { b.Neg() }},
		{"bitwise_and: it is for integers and bool, not float32", func() { i.BitAnd(f) }},
		{"where: the mask is int64", func() { tensor.Where(i, f, f) }},
		{"where: shapes [2 3] and [4]", func() { tensor.Where(b, f, g) }},
		{"masked_fill: int64 cannot hold 0.5", func() { i.MaskedFill(b, 0.5) }},
		{"addcdiv: int64 has no true division", func() { i.Addcdiv(i, i, 1) }},
		{"clamp: both bounds are nil", func() { f.ClampTensor(nil, nil) }},
		{"remainder: ZeroDivisionError", func() { i.RemainderScalar(0) }},
		{"floor_divide: ZeroDivisionError", func() { i.FloorDiv(tensor.ZerosLike(i)) }},
		{"pow: integers to negative integer powers", func() { i.PowScalar(-1) }},
		{"relu", func() { b.ReLU() }},
	} {
		if got := message(t, c.fn); !strings.Contains(got, c.want) {
			t.Errorf("%q does not say %q", got, c.want)
		}
	}
}

// The side of Where that was not taken gets gradient 0, though it is NaN.
func TestWhereGivesNoGradientToTheOtherSide(t *testing.T) {
	s := tensor.NewScope(cpu.New(cpu.Options{}), tensor.ScopeOptions{})
	defer s.Close()
	x := tensor.Of(s, []float64{-1, 1, 4}).RequireGrad()
	y := tensor.Of(s, []float64{2, 2, 2}).RequireGrad()
	tensor.Where(x.GtScalar(0), x.Log(), y).Sum().Backward()
	if got := tensor.Values[float64](x.Grad()); got[0] != 0 || got[1] != 1 || got[2] != 0.25 {
		t.Errorf("gradient of x is %v", got)
	}
	if got := tensor.Values[float64](y.Grad()); got[0] != 1 || got[1] != 0 || got[2] != 0 {
		t.Errorf("gradient of y is %v", got)
	}
}

// A tensor equals the constant it was filled with, though its dtype rounds it.
func TestComparisonRoundsTheScalar(t *testing.T) {
	dev := cpu.New(cpu.Options{})
	for _, dt := range []tensor.DType{tensor.Float64, tensor.Float32, tensor.Float16, tensor.BFloat16} {
		for _, c := range []float64{0, 0.1, -1.0 / 3, 1000.3, 65519, 3e-7, -1e-30, 1e6, math.Inf(-1)} {
			x := tensor.Full(dev, dt, c, 40)
			if n := x.EqScalar(c).Sum().IntItem(); n != 40 {
				t.Errorf("%d of 40 elements of %v(%v) equal %v", n, dt, c, c)
			}
			if n := x.LtScalar(c).LogicalOr(x.GtScalar(c)).Sum().IntItem(); n != 0 {
				t.Errorf("%d of 40 elements of %v(%v) differ from %v", n, dt, c, c)
			}
		}
	}
	if x := tensor.Full(dev, tensor.Float16, math.NaN(), 1); x.EqScalar(math.NaN()).Sum().IntItem() != 0 {
		t.Error("NaN equals NaN")
	}
}
