package random

import (
	"math"
	"slices"
	"testing"
)

var normalStream = Stream{Key: 20260101, Counter: 3}

// edges are words at which the exponent, the fold at √½ or the quarter changes, and their neighbours.
func edges() []uint64 {
	var e []uint64
	for shift := range 64 {
		for _, at := range []uint64{1 << 63, 0xB504F333F9DE6485, 3 << 61, 5 << 61, 7 << 61, 9 << 60, math.MaxUint64} {
			for near := range uint64(5) {
				e = append(e, at>>shift+near-2)
			}
		}
	}
	random := make([]uint64, 20000)
	Uint64s(normalStream, 0, random)
	return append(e, random...)
}

// checkRelative fails unless got is within a relative error of want.
func checkRelative(t *testing.T, what string, word uint64, got, want, bound float64) {
	t.Helper()
	if err := math.Abs(got-want) / math.Abs(want); !(err <= bound) {
		t.Fatalf("%s of word %#x is %v, want %v: relative error %.3g, allowed %.3g", what, word, got, want, err, bound)
	}
}

func TestLogarithmAgreesWithMath(t *testing.T) {
	for _, n := range edges() {
		n |= 1
		// Near 1 the logarithm is taken of the distance to 1, which float64 holds to the full.
		want := -math.Log(float64(n) * 0x1p-64)
		if n >= 1<<63 {
			want = -math.Log1p(-float64(-n) * 0x1p-64)
		}
		checkRelative(t, "negLog64", n, negLog64(n), want, 1e-15)

		n32 := uint32(n>>32) | 1
		checkRelative(t, "negLog32", uint64(n32), float64(negLog32(n32)), -math.Log(float64(n32)*0x1p-32), 2e-7)
	}
}

func TestSineAndCosineAgreeWithMath(t *testing.T) {
	// The reference works within an eighth of a turn too: sine and cosine of a distance known to full precision.
	reference := func(w uint64, bits int) (sin, cos float64) {
		quarters := (w + 1<<(bits-3)) >> (bits - 2)
		distance := int64(w - quarters<<(bits-2)) // in units of 2^-bits of a turn
		sin, cos = math.Sincos((float64(distance) + 0.5) * math.Ldexp(2*math.Pi, -bits))
		for range quarters {
			sin, cos = cos, -sin
		}
		return sin, cos
	}
	for _, w := range edges() {
		sin, cos := sinCos64(w)
		wantSin, wantCos := reference(w, 64)
		checkRelative(t, "sin64", w, sin, wantSin, 1e-15)
		checkRelative(t, "cos64", w, cos, wantCos, 1e-15)

		w >>= 32
		sin32, cos32 := sinCos32(uint32(w))
		wantSin, wantCos = reference(w, 32)
		checkRelative(t, "sin32", w, float64(sin32), wantSin, 2e-7)
		checkRelative(t, "cos32", w, float64(cos32), wantCos, 2e-7)
	}
}

func TestNormalIsBoxMullerOfItsWords(t *testing.T) {
	const n = 1000
	words, longs := make([]uint32, n), make([]uint64, n)
	Uint32s(normalStream, 0, words)
	Uint64s(normalStream, 0, longs)
	x32, x64 := make([]float32, n), make([]float64, n)
	Normal32(normalStream, 0, x32)
	Normal64(normalStream, 0, x64)
	near := func(got, want, bound float64) bool { return math.Abs(got-want) <= bound }
	for i := 0; i < n; i += 2 {
		r := math.Sqrt(-2 * math.Log(float64(words[i]|1)*0x1p-32))
		sin, cos := math.Sincos(2 * math.Pi * (float64(words[i+1]) + 0.5) * 0x1p-32)
		if !near(float64(x32[i]), r*cos, 2e-6) || !near(float64(x32[i+1]), r*sin, 2e-6) {
			t.Fatalf("Normal32: pair %d is %v %v, want %v %v", i/2, x32[i], x32[i+1], r*cos, r*sin)
		}
		r = math.Sqrt(-2 * math.Log(float64(longs[i]|1)*0x1p-64))
		sin, cos = math.Sincos(2 * math.Pi * float64(longs[i+1]) * 0x1p-64)
		if !near(x64[i], r*cos, 1e-13) || !near(x64[i+1], r*sin, 1e-13) {
			t.Fatalf("Normal64: pair %d is %v %v, want %v %v", i/2, x64[i], x64[i+1], r*cos, r*sin)
		}
	}
}

func TestNormalsAreFiniteAndReachFarTails(t *testing.T) {
	far32, far64 := 0.0, 0.0
	for _, radius := range []uint64{0, 1, 2, 1 << 32, math.MaxUint64 - 1, math.MaxUint64} {
		for _, angle := range edges() {
			a32, b32 := normals32(uint32(radius>>32), uint32(angle>>32))
			a64, b64 := normals64(radius, angle)
			for _, x := range []float64{float64(a32), float64(b32), a64, b64} {
				if x == 0 || math.IsNaN(x) || math.Abs(x) > 9.42 {
					t.Fatalf("radius %#x, angle %#x: got %v", radius, angle, x)
				}
			}
			far32 = max(far32, math.Abs(float64(a32)), math.Abs(float64(b32)))
			far64 = max(far64, math.Abs(a64), math.Abs(b64))
		}
	}
	if far32 < 6.66 || far32 > 6.67 || far64 < 9.41 {
		t.Errorf("the farthest values are %v (float32) and %v (float64), want about 6.66 and 9.42", far32, far64)
	}
}

// widened draws n numbers of either type, as float64.
func widened(s Stream, n int) map[string][]float64 {
	x32, x, x64 := make([]float32, n), make([]float64, n), make([]float64, n)
	Normal32(s, 0, x32)
	Normal64(s, 0, x64)
	for i := range x {
		x[i] = float64(x32[i])
	}
	return map[string][]float64{"Normal32": x, "Normal64": x64}
}

func normalCDF(x float64) float64 { return math.Erfc(-x/math.Sqrt2) / 2 }

func TestNormalsPassKolmogorovSmirnov(t *testing.T) {
	const n = 50_000
	for seed := range uint64(4) {
		for name, x := range widened(Stream{Key: seed}, n) {
			slices.Sort(x)
			distance := 0.0
			for i, v := range x {
				f := normalCDF(v)
				distance = max(distance, f-float64(i)/n, float64(i+1)/n-f)
			}
			// P(√n·D > 1.95) = 0.001 for a true normal.
			if d := distance * math.Sqrt(n); d > 1.95 {
				t.Errorf("%s, seed %d: √n·D is %.3f", name, seed, d)
			}
		}
	}
}

func TestNormalsHaveTheMomentsOfANormal(t *testing.T) {
	const n = 1 << 20
	for name, x := range widened(normalStream, n) {
		var moment [5]float64
		pair, next := 0.0, 0.0 // products within a pair, and of neighbours in different pairs
		for i, v := range x {
			p := 1.0
			for k := range moment {
				moment[k] += p / n
				p *= v
			}
			if i%2 == 0 {
				pair += v * x[i+1] / (n / 2)
			} else if i+1 < n {
				next += v * x[i+1] / (n / 2)
			}
		}
		for _, c := range []struct {
			what                string
			got, want, variance float64 // variance of one sample's contribution, under the normal law
		}{
			{"mean", moment[1], 0, 1},
			{"second moment", moment[2], 1, 2},
			{"third moment", moment[3], 0, 15},
			{"fourth moment", moment[4], 3, 96},
			{"product within a pair", pair, 0, 2},
			{"product of neighbouring pairs", next, 0, 2},
		} {
			if z := (c.got - c.want) / math.Sqrt(c.variance/n); math.Abs(z) > 4 {
				t.Errorf("%s: %s is %v, %.1f standard errors from %v", name, c.what, c.got, z, c.want)
			}
		}
	}
}

func TestNormalsHaveTheTailsOfANormal(t *testing.T) {
	const n, piece = 1 << 21, 1 << 12
	x32, x64 := make([]float32, piece), make([]float64, piece)
	sigmas := [...]float64{3, 4, 4.5}
	var count32, count64 [len(sigmas)]int
	for offset := 0; offset < n; offset += piece {
		Normal32(normalStream, offset, x32)
		Normal64(normalStream, offset, x64)
		for i := range piece {
			for k := 0; k < len(sigmas) && math.Abs(float64(x32[i])) > sigmas[k]; k++ {
				count32[k]++
			}
			for k := 0; k < len(sigmas) && math.Abs(x64[i]) > sigmas[k]; k++ {
				count64[k]++
			}
		}
	}
	for k, sigma := range sigmas {
		want := n * 2 * normalCDF(-sigma)
		for name, count := range map[string]int{"Normal32": count32[k], "Normal64": count64[k]} {
			if math.Abs(float64(count)-want) > 4*math.Sqrt(want) {
				t.Errorf("%s: %d of %d beyond %v, want about %.1f", name, count, n, sigma, want)
			}
		}
	}
}
