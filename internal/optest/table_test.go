package optest

import (
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"testing"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/tensor"
)

// T is what the ops in the table take and give.
type T = tensor.Tensor

// Row is one op with its inputs; see the package comment.
type Row struct {
	name  string
	op    any
	torch string
	in    []Input

	each     bool    // elementwise: integers, special values, empty tensors
	ints     bool    // integers and bool are tried in place of the float inputs
	tol      float64 // multiplies the tolerances, 0 for 1
	noGrad   string  // why no gradient is asked for
	noCheck  string  // why central differences do not apply (PyTorch's gradients still do)
	noSecond string  // why there is no second gradient
	noHalf   string  // why values in half precision are far off, or do not exist
	noNull   string  // why the null device cannot run it (the result's shape depends on data)
	extra    int     // bytes a result holds beyond its elements, being a view of more
	nan      string  // why results and gradients at NaN inputs differ from PyTorch's
	special  string  // why special values differ from PyTorch's; "-" where they make no sense
}

var table = map[string][]Row{}

// rows adds a topic to the table.
func rows(topic string, r ...Row) bool {
	table[topic] = append(table[topic], r...)
	return true
}

func TestNamesInATopicAreUnique(t *testing.T) {
	for topic, list := range table {
		seen := map[string]bool{}
		for _, r := range list {
			if seen[r.name] {
				t.Errorf("%s has two rows called %s", topic, r.name)
			}
			seen[r.name] = true
		}
	}
}

func (r *Row) call(x []*T) []*T {
	switch op := r.op.(type) {
	case func(x *T) *T:
		return []*T{op(x[0])}
	case func(x, y *T) *T:
		return []*T{op(x[0], x[1])}
	case func(x, y, z *T) *T:
		return []*T{op(x[0], x[1], x[2])}
	case func(x *T) (*T, *T):
		a, b := op(x[0])
		return []*T{a, b}
	case func(x []*T) *T:
		return []*T{op(x)}
	case func(x ...*T) *T:
		return []*T{op(x...)}
	case func(x []*T) []*T:
		return op(x)
	}
	panic(fmt.Sprintf("optest: %s: Row.call takes no %T", r.name, r.op))
}

// Input says what one input of a row is like.
type Input struct {
	Shape  []int
	lo, hi float64
	kind   backend.DType // Float64 stands for the float dtype under test
	given  []float64
	fixed  bool
}

func in(x ...Input) []Input { return x }

func f(shape ...int) Input {
	return Input{Shape: append([]int{}, shape...), lo: -2, hi: 2, kind: tensor.Float64}
}

func ints(lo, hi int, shape ...int) Input {
	return Input{Shape: append([]int{}, shape...), lo: float64(lo), hi: float64(hi), kind: tensor.Int64, fixed: true}
}

func bools(shape ...int) Input {
	return Input{Shape: append([]int{}, shape...), lo: 0, hi: 2, kind: tensor.Bool, fixed: true}
}

func (i Input) between(lo, hi float64) Input { i.lo, i.hi = lo, hi; return i }
func (i Input) of(v ...float64) Input        { i.given = v; return i }
func (i Input) constant() Input              { i.fixed = true; return i }

func (i Input) float() bool { return i.kind == tensor.Float64 }

func size(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// values are the numbers of input k of r. Those of a float are distinct and have
// eight significant bits, so that every float dtype has them exactly.
func (r *Row) values(k int) []float64 {
	i := r.in[k]
	h := fnv.New64a()
	fmt.Fprint(h, r.name, k)
	g := random.New(h.Sum64())
	v := make([]float64, size(i.Shape))
	seen := map[float64]bool{}
	for j := range v {
		for try := 0; ; try++ {
			u := float64(g.Uint64()>>11) / (1 << 53)
			x := i.lo + u*(i.hi-i.lo)
			if !i.float() {
				v[j] = math.Floor(x)
				break
			}
			v[j] = short(x)
			if !seen[v[j]] || try > 100 {
				seen[v[j]] = true
				break
			}
		}
	}
	copy(v, i.given)
	return v
}

// short rounds x to eight significant bits.
func short(x float64) float64 {
	m, e := math.Frexp(x)
	return math.Ldexp(math.Round(m*256)/256, e)
}

// specials replace the inputs of an elementwise row with n inputs: with one,
// the values; with two, all pairs; with more, pairs and a shifted copy.
func specials(n int) [][]float64 {
	v := []float64{0, 1, -1, 0.5, -0.5, 2, -2, 3, -3, 6, 20.5, -100, math.Inf(1), math.Inf(-1), math.NaN()}
	if n == 1 {
		return [][]float64{v}
	}
	v = append([]float64{}, 0, 1, -1, 0.5, 2, -2, 3, math.Inf(1), math.Inf(-1), math.NaN())
	out := make([][]float64, n)
	for i, a := range v {
		for j, b := range v {
			for k := range out {
				switch k {
				case 0:
					out[k] = append(out[k], a)
				case 1:
					out[k] = append(out[k], b)
				default:
					out[k] = append(out[k], v[(i+3*j+k)%len(v)])
				}
			}
		}
	}
	return out
}

// in dtype dt a float input becomes a tensor of dt.
func (i Input) dtype(dt backend.DType) backend.DType {
	if i.float() {
		return dt
	}
	return i.kind
}

// fit makes values that dt can hold of those of a float.
func fit(v []float64, dt backend.DType) []float64 {
	if dt.IsFloat() {
		return v
	}
	v = slices.Clone(v)
	for j, x := range v {
		x = math.Round(2 * x)
		switch dt {
		case tensor.Uint8:
			x = math.Abs(x)
		case tensor.Bool:
			x = float64(int(math.Abs(x)) % 2)
		}
		v[j] = x
	}
	return v
}

// seed is the gradient of output k, which golden.py makes likewise; it has no zeros.
func seed(k, n int) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = float64(2*((i*7+k*5+3)%16)-15) / 16
	}
	return v
}

// makeTensor puts values into a tensor of dt at p.
func makeTensor(p tensor.Place, dt backend.DType, v []float64, shape []int) *T {
	shape = append([]int{}, shape...) // nil would be [len(v)]
	switch dt {
	case tensor.Float64:
		return tensor.Of(p, v, shape...)
	case tensor.Bool:
		b := make([]bool, len(v))
		for i, x := range v {
			b[i] = x != 0
		}
		return tensor.Of(p, b, shape...)
	case tensor.Int64:
		b := make([]int64, len(v))
		for i, x := range v {
			b[i] = int64(x)
		}
		return tensor.Of(p, b, shape...)
	}
	t := tensor.Of(p, v, shape...)
	return t.To(dt)
}

// inputs makes r's inputs in dt at p; with grad those that take one are tracked.
func (r *Row) inputs(p tensor.Place, dt backend.DType, grad bool) []*T {
	x := make([]*T, len(r.in))
	for k, i := range r.in {
		v := r.values(k)
		if i.float() {
			v = fit(v, dt)
		}
		x[k] = makeTensor(p, i.dtype(dt), v, i.Shape)
		if grad && r.tracked(k) {
			x[k] = x[k].Detach().RequireGrad()
		}
	}
	return x
}

func (r *Row) tracked(k int) bool { return r.noGrad == "" && r.in[k].float() && !r.in[k].fixed }
