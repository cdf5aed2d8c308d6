package vec

import (
	"math"
	"math/rand/v2"
	"testing"
)

var (
	nan = float32(math.NaN())
	inf = float32(math.Inf(1))
)

// bothPaths runs the test with the kernels of this machine and again in plain Go.
func bothPaths(t *testing.T, f func(t *testing.T)) {
	t.Run("machine", func(t *testing.T) { f(t) })
	if exp.fast != nil {
		t.Run("plain", func(t *testing.T) {
			defer withoutAssembly()()
			f(t)
		})
	}
}

// withoutAssembly takes the assembly away and returns what brings it back.
func withoutAssembly() (restore func()) {
	var undo []func()
	for _, k := range []*unary{&exp, &log, &tanh, &sigmoid, &silu, &erf, &gelu, &geluTanh, &sqrt, &rsqrt, &abs, &neg, &relu} {
		old := k.fast
		k.fast = nil
		undo = append(undo, func() { k.fast = old })
	}
	for _, k := range []*binary{&add, &sub, &mul, &div, &maximum, &minimum, &reluGrad} {
		old := k.fast
		k.fast = nil
		undo = append(undo, func() { k.fast = old })
	}
	for _, k := range []*scalar{&addScalar, &rsubScalar, &mulScalar, &divScalar, &rdivScalar, &maxScalar, &minScalar} {
		old := k.fast
		k.fast = nil
		undo = append(undo, func() { k.fast = old })
	}
	a, b, c, d, e, f, g, h, i := fastAxpy, fastMulAdd, fastSum, fastDot, fastMax, fastMin, fastExpSum, fastSGD, fastAdam
	fastAxpy, fastMulAdd, fastSum, fastDot, fastMax, fastMin, fastExpSum, fastSGD, fastAdam = nil, nil, nil, nil, nil, nil, nil, nil, nil
	return func() {
		fastAxpy, fastMulAdd, fastSum, fastDot, fastMax, fastMin, fastExpSum, fastSGD, fastAdam = a, b, c, d, e, f, g, h, i
		for _, u := range undo {
			u()
		}
	}
}

// ulp is the distance from |x|, taken as a float32, to the next float32; that of the smallest normal number below it.
func ulp(x float64) float64 {
	x = math.Abs(x)
	if x < 0x1p-126 {
		return 0x1p-149
	}
	_, e := math.Frexp(x)
	return math.Ldexp(1, e-24)
}

// functions lists the unary functions with their meaning in float64 and the error each may have: in units of the last
// place of the result, or, for those that cancel, of the argument.
var functions = []struct {
	name    string
	f       func(dst, x []float32)
	ref     func(float64) float64
	maxULP  float64
	ofInput bool
}{
	{"Exp", Exp, math.Exp, 1.01, false},
	{"Log", Log, math.Log, 1, false},
	{"Tanh", Tanh, math.Tanh, 1.7, false},
	{"Sigmoid", Sigmoid, func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }, 2.4, false},
	{"SiLU", SiLU, func(x float64) float64 { return x / (1 + math.Exp(-x)) }, 2.4, false},
	{"Erf", Erf, math.Erf, 1.1, false},
	{"GELU", GELU, func(x float64) float64 { return x / 2 * math.Erfc(-x/math.Sqrt2) }, 2, true},
	{"GELUTanh", GELUTanh, func(x float64) float64 {
		return x / (1 + math.Exp(-2*math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
	}, 3, true},
	{"Sqrt", Sqrt, math.Sqrt, 0.5, false},
	{"Rsqrt", Rsqrt, func(x float64) float64 { return 1 / math.Sqrt(x) }, 1.5, false},
	{"Abs", Abs, math.Abs, 0, false},
	{"Neg", Neg, func(x float64) float64 { return -x }, 0, false},
	{"ReLU", ReLU, func(x float64) float64 { return max(x, 0) }, 0, false},
}

// sweep covers the float32 numbers evenly by their bits, and more densely by value in [-12, 12].
func sweep() []float32 {
	var x []float32
	for b := uint64(0); b < 1<<32; b += 20011 {
		x = append(x, math.Float32frombits(uint32(b)))
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 100000 {
		x = append(x, float32(rng.Float64()*24-12))
	}
	return x
}

func TestUnaryFunctionsAreWithinTheirBoundEverywhere(t *testing.T) {
	bothPaths(t, func(t *testing.T) {
		x := sweep()
		y := make([]float32, len(x))
		for _, fn := range functions {
			fn.f(y, x)
			worst, at := 0.0, float32(0)
			for i, v := range x {
				got, want := float64(y[i]), fn.ref(float64(v))
				switch {
				case want != want:
					if got == got {
						t.Fatalf("%s(%v) = %v, want NaN", fn.name, v, got)
					}
					continue
				case math.IsInf(float64(float32(want)), 0) || math.IsInf(got, 0):
					// Near the largest float32 either side of the rounding boundary is right.
					if got != float64(float32(want)) && !(math.Abs(want) > math.MaxFloat32*(1-1e-6)) {
						t.Fatalf("%s(%v) = %v, want %v", fn.name, v, got, want)
					}
					continue
				}
				unit := ulp(want)
				if fn.ofInput {
					unit = ulp(float64(v))
				}
				e := math.Abs(got-want) / unit
				if (fn.name == "Sigmoid" || fn.name == "SiLU") && v < -88.72 && got == 0 {
					e = 0 // e^-x overflows, as in PyTorch
				}
				if e > worst {
					worst, at = e, v
				}
			}
			t.Logf("%-9s max error %.4f units in the last place, at %v", fn.name, worst, at)
			if !(worst <= fn.maxULP) {
				t.Errorf("%s: error %.4f units at %v, allowed %v", fn.name, worst, at, fn.maxULP)
			}
		}
	})
}
