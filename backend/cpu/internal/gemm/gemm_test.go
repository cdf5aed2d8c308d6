package gemm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/descent-ml/descent/backend/cpu/internal/parallel"
)

// eachKernel runs the test once for every kernel of this machine.
func eachKernel[T Float](t *testing.T, f func(t *testing.T)) {
	e := engineOf[T]()
	old := e.kernel
	t.Cleanup(func() { e.kernel = old })
	kernels := kernels32()
	if _, ok := any(T(0)).(float64); ok {
		kernels = kernels64()
	}
	for _, k := range kernels {
		e.kernel = k
		t.Run(fmt.Sprintf("%T/%s", T(0), k.name), f)
	}
}

func withThreads(t testing.TB, n int) {
	old := parallel.Threads()
	parallel.SetThreads(n)
	t.Cleanup(func() { parallel.SetThreads(old) })
}

// A layout says how a test matrix lies in memory.
type layout int

const (
	rowMajor layout = iota
	colMajor
	padded   // row-major, rows apart
	both     // no unit stride
	reversed // negative strides
	sameRow  // row stride 0, operands only
	sameCol
)

// random returns a rows×cols matrix with elements in [-1, 1).
func random[T Float](rng *rand.Rand, rows, cols int, l layout) Matrix[T] {
	var m Matrix[T]
	switch l {
	case rowMajor:
		m.RowStride, m.ColStride = cols, 1
	case colMajor:
		m.RowStride, m.ColStride = 1, rows
	case padded:
		m.RowStride, m.ColStride = cols+5, 1
	case both:
		m.RowStride, m.ColStride = 3*cols+2, 3
	case reversed:
		m.RowStride, m.ColStride = -cols, -1
	case sameRow:
		m.ColStride = 1
	case sameCol:
		m.RowStride = 1
	}
	reach := max(rows-1, 0)*abs(m.RowStride) + max(cols-1, 0)*abs(m.ColStride)
	if l == reversed {
		m.Offset = reach
	}
	m.Offset += 3
	m.Data = make([]T, reach+7)
	for i := range m.Data {
		m.Data[i] = T(rng.Float64()*2 - 1)
	}
	return m
}

func abs(x int) int { return max(x, -x) }

func at[T Float](m Matrix[T], i, j int) *T { return &m.Data[m.Offset+i*m.RowStride+j*m.ColStride] }

// dense returns the elements of a matrix in row-major order.
//
//go:norace
func dense[T Float](m Matrix[T], rows, cols int) []float64 {
	d := make([]float64, 0, rows*cols)
	for i := range rows {
		for j := range cols {
			d = append(d, float64(*at(m, i, j)))
		}
	}
	return d
}

// reference computes C in float64, and for each element the sum of its absolute terms, which scales the error allowed.
//
//go:norace
func reference[T Float](m, n, k int, a, b, c Matrix[T], ep Epilogue[T]) (value, scale []float64) {
	value, scale = make([]float64, m*n), make([]float64, m*n)
	da, db, dc := dense(a, m, k), dense(b, k, n), dense(c, m, n)
	for i := range m {
		v, s := value[i*n:(i+1)*n], scale[i*n:(i+1)*n]
		for p := range k {
			x := da[i*k+p]
			for j, y := range db[p*n : (p+1)*n] {
				v[j] += x * y
				s[j] += math.Abs(x * y)
			}
		}
		for j := range v {
			if ep.Accumulate {
				v[j] += dc[i*n+j]
				s[j] += math.Abs(dc[i*n+j])
			}
			if ep.Bias != nil {
				v[j] += float64(ep.Bias[j])
				s[j] += math.Abs(float64(ep.Bias[j]))
			}
			if ep.ReLU {
				v[j] = max(v[j], 0)
			}
		}
	}
	return value, scale
}

// verify compares the result against the reference and checks that nothing between the elements of C changed.
func verify[T Float](t *testing.T, what string, m, n, k int, a, b, before, after Matrix[T], ep Epilogue[T]) {
	t.Helper()
	eps := 0x1p-24
	if _, ok := any(T(0)).(float64); ok {
		eps = 0x1p-53
	}
	rest := slices.Clone(after.Data)
	value, scale := reference(m, n, k, a, b, before, ep)
	for i := range m {
		for j := range n {
			got, want := float64(*at(after, i, j)), value[i*n+j]
			if tol := eps * float64(k+4) * scale[i*n+j]; !(math.Abs(got-want) <= tol) {
				t.Fatalf("%s: C[%d,%d] = %v, want %v ± %v", what, i, j, got, want, tol)
			}
			x := after.Offset + i*after.RowStride + j*after.ColStride
			rest[x] = before.Data[x]
		}
	}
	if !slices.Equal(rest, before.Data) {
		t.Fatalf("%s: an element outside C changed", what)
	}
}

func multiplyAndVerify[T Float](t *testing.T, rng *rand.Rand, m, n, k int, la, lb, lc layout, ep Epilogue[T]) {
	t.Helper()
	a, b, c := random[T](rng, m, k, la), random[T](rng, k, n, lb), random[T](rng, m, n, lc)
	before := c
	before.Data = slices.Clone(c.Data)
	if ep.Bias != nil {
		ep.Bias = random[T](rng, 1, n, rowMajor).Data[3 : 3+n]
	}
	multiply(problem[T]{m: m, n: n, k: k, a: operand[T]{Matrix: a}, b: operand[T]{Matrix: b}, c: c, ep: ep}, nil)
	what := fmt.Sprintf("%d×%d×%d layouts %d,%d,%d accumulate %v bias %v relu %v",
		m, k, n, la, lb, lc, ep.Accumulate, ep.Bias != nil, ep.ReLU)
	verify(t, what, m, n, k, a, b, before, c, ep)
}

func testShapes[T Float](t *testing.T) {
	eachKernel[T](t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(1, 2))
		sizes := []int{0, 1, 2, 5, 6, 11, 16, 17, 33}
		layouts := []layout{rowMajor, colMajor, padded, both, reversed, sameRow, sameCol}
		for _, m := range sizes {
			for _, n := range sizes {
				for _, k := range []int{0, 1, 8, 19} {
					ep := Epilogue[T]{Accumulate: rng.IntN(2) == 0, ReLU: rng.IntN(2) == 0}
					if rng.IntN(2) == 0 {
						ep.Bias = []T{}
					}
					multiplyAndVerify(t, rng, m, n, k, layouts[rng.IntN(7)], layouts[rng.IntN(7)], layouts[rng.IntN(5)], ep)
				}
			}
		}
		// Several blocks of k, of rows and of columns, several tiles, B shared or not, with every pair of layouts.
		for _, s := range [][3]int{{590, 5, 341}, {150, 530, 10}, {20, 40, 1000}, {160, 20, 401}, {7, 1100, 5}, {700, 4, 30}} {
			for _, la := range layouts[:5] {
				lb, lc := layouts[rng.IntN(7)], layouts[rng.IntN(5)]
				multiplyAndVerify(t, rng, s[0], s[1], s[2], la, lb, lc, Epilogue[T]{Accumulate: lb%2 == 0, Bias: []T{}})
			}
		}
	})
}

func TestFloat32MatchesTheReferenceForOddShapesAndStrides(t *testing.T) { testShapes[float32](t) }
func TestFloat64MatchesTheReferenceForOddShapesAndStrides(t *testing.T) { testShapes[float64](t) }

func TestBitsDoNotDependOnTheNumberOfThreads(t *testing.T) {
	eachKernel[float32](t, func(t *testing.T) {
		for _, s := range [][3]int{{64, 512, 784}, {64, 10, 256}, {1, 100, 3000}, {300, 1, 3000}, {301, 103, 325}, {784, 112, 30}, {33, 1200, 20}} {
			m, n, k := s[0], s[1], s[2]
			for _, lb := range []layout{rowMajor, colMajor} {
				for _, lc := range []layout{rowMajor, colMajor} {
					rng := rand.New(rand.NewPCG(3, 4))
					a, b, c := random[float32](rng, m, k, rowMajor), random[float32](rng, k, n, lb), random[float32](rng, m, n, lc)
					ep := Epilogue[float32]{Accumulate: true, Bias: make([]float32, n), ReLU: true}
					var first []float32
					for _, threads := range []int{1, 2, 3, 16} {
						withThreads(t, threads)
						y := c
						y.Data = slices.Clone(c.Data)
						Float32(m, n, k, a, b, y, ep)
						if first == nil {
							first = y.Data
						}
						for i := range first {
							if math.Float32bits(first[i]) != math.Float32bits(y.Data[i]) {
								t.Fatalf("%v B %d C %d: %d threads give %v at %d, one gives %v", s, lb, lc, threads, y.Data[i], i, first[i])
							}
						}
					}
				}
			}
		}
	})
}

func TestBatchEqualsProductsOneByOne(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	// A [3, 5, m, k], B [3, 1, k, n] or shared, C [5, 3, m, n]: a batch in an order of its own.
	for _, s := range [][3]int{{4, 6, 5}, {33, 17, 40}, {64, 64, 32}} {
		m, n, k := s[0], s[1], s[2]
		for _, shared := range []int{0, 1} {
			batch := []BatchDim{{3, 5 * m * k, (1 - shared) * k * n, m * n}, {5, m * k, 0, 3 * m * n}}
			a := random[float32](rng, 15*m, k, rowMajor)
			b := random[float32](rng, 3*k, n, rowMajor)
			c := random[float32](rng, 15*m, n, rowMajor)
			got, want := c, c
			got.Data, want.Data = slices.Clone(c.Data), slices.Clone(c.Data)
			ep := Epilogue[float32]{Accumulate: true}
			Float32Batch(batch, m, n, k, a, b, got, ep)
			for x := range 3 {
				for y := range 5 {
					ai, bi, ci := a, b, want
					ai.Offset += x*batch[0].A + y*batch[1].A
					bi.Offset += x*batch[0].B + y*batch[1].B
					ci.Offset += x*batch[0].C + y*batch[1].C
					Float32(m, n, k, ai, bi, ci, ep)
				}
			}
			if !slices.Equal(got.Data, want.Data) {
				t.Fatalf("%v shared %d: the batch differs from its products", s, shared)
			}
		}
	}
}

func TestBatchThatFoldsIntoRows(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	const batch, m, n, k = 7, 5, 20, 30
	a, b, c := random[float32](rng, batch*m, k, rowMajor), random[float32](rng, k, n, colMajor), random[float32](rng, batch*m, n, rowMajor)
	before := c
	before.Data = slices.Clone(c.Data)
	Float32Batch([]BatchDim{{batch, m * k, 0, m * n}}, m, n, k, a, b, c, Epilogue[float32]{})
	verify(t, "folded batch", batch*m, n, k, a, b, before, c, Epilogue[float32]{})
}

func TestPackFuncsStandForAnOperand(t *testing.T) {
	packer := func(x Matrix[float32]) PackFunc[float32] {
		return func(dst []float32, ld, row, rows, col, cols int) {
			for r := range rows {
				for c := range cols {
					dst[r*ld+c] = *at(x, row+r, col+c)
				}
			}
		}
	}
	eachKernel[float32](t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(9, 10))
		for _, s := range [][3]int{{1, 1, 1}, {13, 10, 27}, {200, 64, 376}, {64, 100, 700}, {600, 33, 330}} {
			m, n, k := s[0], s[1], s[2]
			a, b, c := random[float32](rng, m, k, rowMajor), random[float32](rng, k, n, rowMajor), random[float32](rng, m, n, padded)
			before := c
			before.Data = slices.Clone(c.Data)
			ep := Epilogue[float32]{ReLU: true}
			Float32Packed(m, n, k, packer(a), b, c, ep)
			verify(t, fmt.Sprint("packA ", s), m, n, k, a, b, before, c, ep)
			copy(c.Data, before.Data)
			Float32PackedB(m, n, k, a, packer(b), c, ep)
			verify(t, fmt.Sprint("packB ", s), m, n, k, a, b, before, c, ep)
		}
	})
}

func TestNaNAndInfinityPassThrough(t *testing.T) {
	eachKernel[float32](t, func(t *testing.T) {
		nan, inf := float32(math.NaN()), float32(math.Inf(1))
		m := func(v ...float32) Matrix[float32] { return Matrix[float32]{Data: v, RowStride: 1, ColStride: 1} }
		for _, c := range []struct{ a, b, want float32 }{{nan, 1, nan}, {0, inf, nan}, {inf, 2, inf}, {-1, inf, 0}} {
			y := m(7)
			Float32(1, 1, 1, m(c.a), m(c.b), y, Epilogue[float32]{ReLU: true})
			if g := y.Data[0]; g != c.want && !(g != g && c.want != c.want) {
				t.Errorf("relu(%v·%v) = %v, want %v", c.a, c.b, g, c.want)
			}
		}
	})
}

func TestViewsOutsideTheirDataPanic(t *testing.T) {
	ok := Matrix[float32]{Data: make([]float32, 12), RowStride: 4, ColStride: 1}
	short := Matrix[float32]{Data: make([]float32, 11), RowStride: 4, ColStride: 1}
	negative := Matrix[float32]{Data: make([]float32, 12), Offset: 7, RowStride: -4, ColStride: 1}
	for name, f := range map[string]func(){
		"short A": func() {
			Float32(3, 4, 4, short, Matrix[float32]{Data: make([]float32, 16), RowStride: 4, ColStride: 1}, ok, Epilogue[float32]{})
		},
		"short C":        func() { Float32(3, 4, 0, ok, ok, short, Epilogue[float32]{}) },
		"before element": func() { Float32(3, 4, 1, negative, ok, ok, Epilogue[float32]{}) },
		"bias":           func() { Float32(3, 4, 0, ok, ok, ok, Epilogue[float32]{Bias: make([]float32, 3)}) },
		"size":           func() { Float32(-1, 4, 0, ok, ok, ok, Epilogue[float32]{}) },
		"batch":          func() { Float32Batch([]BatchDim{{2, 0, 0, 1}}, 3, 4, 0, ok, ok, ok, Epilogue[float32]{}) },
	} {
		func() {
			defer func() {
				if s, _ := recover().(string); s == "" {
					t.Errorf("%s: no panic with a message", name)
				}
			}()
			f()
		}()
	}
}

func TestCallsDoNotAllocate(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, n := range []int{8, 100} {
		a, b, c := random[float32](rng, n, n, rowMajor), random[float32](rng, n, n, colMajor), random[float32](rng, n, n, rowMajor)
		if got := testing.AllocsPerRun(50, func() { Float32(n, n, n, a, b, c, Epilogue[float32]{}) }); got >= 1 && !raceEnabled {
			t.Errorf("n = %d: %v allocations a call", n, got)
		}
	}
}

func BenchmarkFloat32(b *testing.B) {
	for _, s := range []struct {
		m, k, n int
		lay     string // of A and B: n row-major, t column-major
	}{
		{8, 8, 8, "nn"}, {64, 64, 64, "nn"}, {128, 128, 128, "nn"}, {256, 256, 256, "nn"}, {512, 512, 512, "nn"},
		{1024, 1024, 1024, "nn"}, {2048, 2048, 2048, "nn"}, {1024, 1024, 1024, "nt"}, {1024, 1024, 1024, "tn"},
		{64, 784, 512, "nn"}, {128, 784, 512, "nn"}, {64, 512, 256, "nn"}, {64, 256, 10, "nn"}, {784, 64, 512, "tn"}, {64, 512, 784, "nn"},
		{64, 784, 512, "nt"}, {64, 512, 256, "nt"}, {64, 256, 10, "nt"}, {1, 784, 512, "nt"}, {1, 512, 784, "nn"},
	} {
		b.Run(fmt.Sprintf("%dx%dx%d%s", s.m, s.k, s.n, s.lay), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 2))
			lay := map[byte]layout{'n': rowMajor, 't': colMajor}
			x, y := random[float32](rng, s.m, s.k, lay[s.lay[0]]), random[float32](rng, s.k, s.n, lay[s.lay[1]])
			z := random[float32](rng, s.m, s.n, rowMajor)
			for b.Loop() {
				Float32(s.m, s.n, s.k, x, y, z, Epilogue[float32]{})
			}
			b.ReportMetric(2*float64(s.m*s.k*s.n)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
		})
	}
}
