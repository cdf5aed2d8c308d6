package vec

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// elementwise lists every function whose result is taken element by element, over three operands.
func elementwise() map[string]func(dst, x, y, z []float32) {
	fs := map[string]func(dst, x, y, z []float32){
		"Add": func(d, x, y, z []float32) { Add(d, x, y) }, "Sub": func(d, x, y, z []float32) { Sub(d, x, y) },
		"Mul": func(d, x, y, z []float32) { Mul(d, x, y) }, "Div": func(d, x, y, z []float32) { Div(d, x, y) },
		"Max": func(d, x, y, z []float32) { Max(d, x, y) }, "Min": func(d, x, y, z []float32) { Min(d, x, y) },
		"ReLUGrad":   func(d, x, y, z []float32) { ReLUGrad(d, x, y) },
		"AddScalar":  func(d, x, y, z []float32) { AddScalar(d, x, 1.25) },
		"RSubScalar": func(d, x, y, z []float32) { RSubScalar(d, x, 1.25) },
		"MulScalar":  func(d, x, y, z []float32) { MulScalar(d, x, 1.25) },
		"DivScalar":  func(d, x, y, z []float32) { DivScalar(d, x, 1.3) },
		"RDivScalar": func(d, x, y, z []float32) { RDivScalar(d, x, 1.3) },
		"MaxScalar":  func(d, x, y, z []float32) { MaxScalar(d, x, 0.5) },
		"MinScalar":  func(d, x, y, z []float32) { MinScalar(d, x, 0.5) },
		"Axpy":       func(d, x, y, z []float32) { Axpy(d, x, 1.3, y) },
		"MulAdd":     func(d, x, y, z []float32) { MulAdd(d, x, y, z) },
		"ExpSum":     func(d, x, y, z []float32) { ExpSum(d, x, 1.5) },
		"SGD": func(d, x, y, z []float32) {
			copy(d, x)
			SGD{LR: 0.1, Momentum: 0.9, WeightDecay: 0.01, Nesterov: true, Factor: 1}.Step(d, y, clone(z))
		},
		"Adam": func(d, x, y, z []float32) {
			copy(d, x)
			Adam{LR: 0.1, Beta1: 0.9, Beta2: 0.99, Eps: 1e-8, Step: 3, Factor: 1}.Update(d, y, clone(z), squares(z), squares(y))
		},
	}
	for _, fn := range functions {
		fs[fn.name] = func(d, x, y, z []float32) { fn.f(d, x) }
	}
	return fs
}

func clone(x []float32) []float32 { return append([]float32(nil), x...) }

func squares(x []float32) []float32 {
	y := clone(x)
	Mul(y, x, x)
	return y
}

func normals(rng *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.NormFloat64() * 3)
	}
	return x
}

func sameBits(x, y float32) bool {
	return math.Float32bits(x) == math.Float32bits(y) || x != x && y != y
}

func TestAnElementDependsOnNeitherItsPlaceNorTheLength(t *testing.T) {
	bothPaths(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(3, 4))
		const n = 83
		x, y, z := normals(rng, n), normals(rng, n), normals(rng, n)
		for name, f := range elementwise() {
			whole := make([]float32, n)
			f(whole, x, y, z)
			for lo := range 20 {
				for hi := lo; hi <= n; hi++ {
					const guard = 12345.5
					got := make([]float32, hi-lo+1)
					got[hi-lo] = guard
					f(got[:hi-lo], x[lo:hi], y[lo:hi], z[lo:hi])
					for i := lo; i < hi; i++ {
						if !sameBits(got[i-lo], whole[i]) {
							t.Fatalf("%s: element %d is %v in [%d:%d], %v in the whole", name, i, got[i-lo], lo, hi, whole[i])
						}
					}
					if got[hi-lo] != guard {
						t.Fatalf("%s: wrote past the end of [%d:%d]", name, lo, hi)
					}
				}
			}
		}
	})
}

func TestDestinationMayBeAnOperand(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	const n = 77
	x, y, z := normals(rng, n), normals(rng, n), normals(rng, n)
	for name, f := range elementwise() {
		want := make([]float32, n)
		f(want, x, y, z)
		for operand := range 3 {
			if name == "SGD" || name == "Adam" {
				break
			}
			v := [][]float32{clone(x), clone(y), clone(z)}
			f(v[operand], v[0], v[1], v[2])
			for i := range want {
				if !sameBits(v[operand][i], want[i]) {
					t.Fatalf("%s into operand %d: element %d is %v, want %v", name, operand, i, v[operand][i], want[i])
				}
			}
		}
	}
}

func TestShortOperandsPanic(t *testing.T) {
	long, short := make([]float32, 9), make([]float32, 8)
	for name, f := range map[string]func(){
		"unary": func() { Exp(long, short) }, "binary x": func() { Add(long, short, long) }, "binary y": func() { Add(long, long, short) },
		"scalar": func() { AddScalar(long, short, 1) }, "MulAdd": func() { MulAdd(long, long, long, short) },
		"Axpy": func() { Axpy(long, long, 1, short) }, "Dot": func() { Dot(long, short) }, "ExpSum": func() { ExpSum(long, short, 0) },
		"SGD":  func() { SGD{Momentum: 1}.Step(long, long, short) },
		"Adam": func() { Adam{Step: 1}.Update(long, long, long, long, short) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

func TestBinaryFunctionsAndTheirSpecialValues(t *testing.T) {
	bothPaths(t, func(t *testing.T) {
		special := []float32{0, float32(math.Copysign(0, -1)), 1, -1, 2.5, inf, -inf, nan, 1e-45, 3e38, -7}
		var x, y []float32
		for _, a := range special {
			for _, b := range special {
				x, y = append(x, a), append(y, b)
			}
		}
		maxOf := func(a, b float32) float32 { return max(a, b) }
		minOf := func(a, b float32) float32 { return min(a, b) }
		for _, fn := range []struct {
			name string
			vec  func(dst, x, y []float32)
			sca  func(dst, x []float32, s float32)
			ref  func(a, b float32) float32
		}{
			{"Add", Add, AddScalar, func(a, b float32) float32 { return a + b }},
			{"Sub", Sub, nil, func(a, b float32) float32 { return a - b }},
			{"RSub", nil, RSubScalar, func(a, b float32) float32 { return b - a }},
			{"Mul", Mul, MulScalar, func(a, b float32) float32 { return a * b }},
			{"Div", Div, DivScalar, func(a, b float32) float32 { return a / b }},
			{"RDiv", nil, RDivScalar, func(a, b float32) float32 { return b / a }},
			{"Max", Max, MaxScalar, maxOf},
			{"Min", Min, MinScalar, minOf},
			{"ReLUGrad", ReLUGrad, nil, func(g, y float32) float32 {
				if y <= 0 {
					return 0
				}
				return g
			}},
		} {
			got := make([]float32, len(x))
			check := func(call string, i int, v float32) {
				// == and not bits: which zero is the larger is left open.
				if want := fn.ref(x[i], y[i]); v != want && !(v != v && want != want) {
					t.Errorf("%s(%v, %v) = %v, want %v", call, x[i], y[i], v, want)
				}
			}
			if fn.vec != nil {
				fn.vec(got, x, y)
				for i, v := range got {
					check(fn.name, i, v)
				}
			}
			if fn.sca != nil {
				for i := range x {
					var one [1]float32
					fn.sca(one[:], x[i:i+1], y[i])
					check(fn.name+"Scalar", i, one[0])
				}
			}
		}
	})
}

func TestReLUKeepsNaN(t *testing.T) {
	bothPaths(t, func(t *testing.T) {
		y := make([]float32, 4)
		ReLU(y, []float32{nan, -inf, inf, -3})
		if y[0] == y[0] || y[1] != 0 || y[2] != inf || y[3] != 0 {
			t.Fatal(y)
		}
	})
}

func TestReductionsAgainstFloat64(t *testing.T) {
	bothPaths(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(7, 8))
		lengths := []int{1000, 1023, 1024, 1025, 2049, 5000, 100000}
		for n := range 150 {
			lengths = append(lengths, n)
		}
		for _, n := range lengths {
			x, y := normals(rng, n), normals(rng, n)
			var sum, abs, dot, absDot, es float64
			hi, lo := math.Inf(-1), math.Inf(1)
			for i, v := range x {
				v, w := float64(v), float64(y[i])
				sum, abs, dot, absDot, es = sum+v, abs+math.Abs(v), dot+v*w, absDot+math.Abs(v*w), es+math.Exp(v-2)
				hi, lo = max(hi, v), min(lo, v)
			}
			near := func(name string, got float32, want, scale float64) {
				t.Helper()
				if !(math.Abs(float64(got)-want) <= 0x1p-24*24*scale) {
					t.Fatalf("%s of %d elements: %v, want %v", name, n, got, want)
				}
			}
			near("Sum", Sum(x), sum, abs)
			near("Dot", Dot(x, y), dot, absDot)
			e := make([]float32, n)
			near("ExpSum", ExpSum(e, x, 2), es, es)
			if float64(MaxOf(x)) != hi || float64(MinOf(x)) != lo {
				t.Fatalf("extremes of %d elements: %v and %v, want %v and %v", n, MaxOf(x), MinOf(x), hi, lo)
			}
			if n > 0 {
				x[rng.IntN(n)] = nan
				if a, b := MaxOf(x), MinOf(x); a == a || b == b {
					t.Fatalf("extremes of %d elements with a NaN: %v and %v", n, a, b)
				}
			}
		}
	})
}

func TestExpSumOfMinusInfinity(t *testing.T) {
	bothPaths(t, func(t *testing.T) {
		y := make([]float32, 3)
		if s := ExpSum(y, []float32{-inf, 0, -inf}, 0); s != 1 || y[0] != 0 || y[1] != 1 || y[2] != 0 {
			t.Fatal(s, y)
		}
	})
}

func BenchmarkFunctions(b *testing.B) {
	for _, n := range []int{1024, 16384} {
		rng := rand.New(rand.NewPCG(1, 2))
		x, y, z, dst := normals(rng, n), normals(rng, n), normals(rng, n), make([]float32, n)
		run := func(name string, f func()) {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				for b.Loop() {
					f()
				}
				b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds()/1e9, "Gelem/s")
			})
		}
		for _, fn := range functions {
			run(fn.name, func() { fn.f(dst, x) })
		}
		run("Add", func() { Add(dst, x, y) })
		run("Div", func() { Div(dst, x, y) })
		run("Max", func() { Max(dst, x, y) })
		run("MulScalar", func() { MulScalar(dst, x, 2) })
		run("Axpy", func() { Axpy(dst, dst, 1e-9, y) })
		run("MulAdd", func() { MulAdd(dst, x, y, z) })
		run("ReLUGrad", func() { ReLUGrad(dst, x, y) })
		run("Sum", func() { Sum(x) })
		run("Dot", func() { Dot(x, y) })
		run("MaxOf", func() { MaxOf(x) })
		run("ExpSum", func() { ExpSum(dst, x, 8) })
		m, v := make([]float32, n), make([]float32, n)
		run("SGD", func() { SGD{LR: 1e-6, Momentum: 0.9, Factor: 1}.Step(z, x, m) })
		run("Adam", func() {
			Adam{LR: 1e-6, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Step: 10, Factor: 1}.Update(z, x, m, v, nil)
		})
	}
}
