package doctor

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/cpu"
	"github.com/descent-ml/descent/models"
	"github.com/descent-ml/descent/nn"
	"github.com/descent-ml/descent/optim"
	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/tensor"
	"github.com/descent-ml/descent/train"
)

// test is one check of a device against the CPU's float64; seconds is its share of
// the time for what may take any.
type test struct {
	name string
	run  func(t *tester) (detail string, err error)
}

var tests = []test{
	{"memory", (*tester).memory},
	{"elementwise", (*tester).elementwise},
	{"reductions", (*tester).reductions},
	{"matmul", (*tester).matmul},
	{"half types", (*tester).halves},
	{"convolution", (*tester).convolution},
	{"random", (*tester).random},
	{"bad index", (*tester).badIndex},
	{"training", (*tester).training},
}

// tester runs the tests of one device.
type tester struct {
	dev, ref backend.Device
	until    time.Time // for the timing in work
}

// selfTest runs the tests, and times where there is time left.
func selfTest(ctx context.Context, p *page, dev backend.Device, budget time.Duration) bool {
	t := &tester{dev: dev, ref: cpu.New(cpu.Options{})}
	well := true
	share := budget / time.Duration(len(tests)+2)
	for _, c := range tests {
		if ctx.Err() != nil {
			return false
		}
		t.until = time.Now().Add(share)
		detail, err := c.guarded(t)
		if err != nil {
			detail, well = err.Error(), false
		}
		p.mark(err == nil, c.name, "%s", detail)
	}
	return well
}

func (c test) guarded(t *tester) (detail string, err error) {
	defer tensor.Catch(&err)
	return c.run(t)
}

// scope opens a scope on the device.
func (t *tester) scope() *tensor.Scope {
	return tensor.NewScope(t.dev, tensor.ScopeOptions{Train: true, Rand: random.New(1)})
}

// against compares fn in float32 on the device with fn in float64 on the CPU, over
// inputs of the given shapes, by the norm of the difference.
func (t *tester) against(limit float64, fn func(x ...*tensor.Tensor) *tensor.Tensor, shapes ...[]int) (float64, error) {
	on := func(dev backend.Device, dt tensor.DType) []float64 {
		s := tensor.NewScope(dev, tensor.ScopeOptions{NoGrad: true})
		defer s.Close()
		g := random.New(7)
		var xs []*tensor.Tensor
		for _, shape := range shapes {
			x := tensor.RandN(t.ref, g, tensor.Float32, shape...)
			defer x.Release()
			xs = append(xs, s.Use(x.ToDevice(dev)).To(dt))
		}
		return tensor.Values[float64](fn(xs...).To(tensor.Float64))
	}
	got, want := on(t.dev, tensor.Float32), on(t.ref, tensor.Float64)
	var diff, norm float64
	for i, w := range want {
		diff += (got[i] - w) * (got[i] - w)
		norm += w * w
	}
	e := math.Sqrt(diff / norm)
	if !(e <= limit) {
		return e, fmt.Errorf("differs from the CPU by %.2g of the result's norm, more than %.0g", e, limit)
	}
	return e, nil
}

// rate runs fn until the time is over, and returns how many seconds it takes.
func (t *tester) rate(fn func()) (seconds float64, err error) {
	fn()
	if err := t.dev.Sync(); err != nil {
		return 0, err
	}
	best := math.Inf(1)
	for n := 1; time.Now().Before(t.until) || math.IsInf(best, 1); n = min(2*n, 64) {
		start := time.Now()
		for range n {
			fn()
		}
		if err := t.dev.Sync(); err != nil {
			return 0, err
		}
		best = min(best, time.Since(start).Seconds()/float64(n))
	}
	return best, nil
}

func (t *tester) memory() (string, error) {
	const n = 16 << 20
	src := make([]byte, n)
	for i := range src {
		src[i] = byte(i * 7 >> 3)
	}
	x, err := t.dev.Alloc(n)
	if err != nil {
		return "", err
	}
	defer x.Free()
	y, err := t.dev.Alloc(n)
	if err != nil {
		return "", err
	}
	defer y.Free()
	start := time.Now()
	if err := t.dev.Upload(x, src); err != nil {
		return "", err
	}
	array := func(b backend.Buffer) backend.Array {
		return backend.Array{Buf: b, DType: backend.Float32, Shape: []int{n / 4}, Strides: []int{1}}
	}
	if err := t.dev.Copy(array(y), array(x), false); err != nil {
		return "", err
	}
	back := make([]byte, n)
	if err := t.dev.Download(back, y); err != nil {
		return "", err
	}
	round := time.Since(start).Seconds()
	for i := range src {
		if back[i] != src[i] {
			return "", fmt.Errorf("byte %d came back as %d, not %d", i, back[i], src[i])
		}
	}
	var failed error
	seconds, err := t.rate(func() { failed = errors.Join(failed, t.dev.Copy(array(y), array(x), false)) })
	if err := errors.Join(failed, err); err != nil {
		return "", err
	}
	return fmt.Sprintf("16 MiB there and back in %.1f ms; copies at %.1f GB/s, read and written", 1e3*round, 2*n/seconds/1e9), nil
}

func (t *tester) elementwise() (string, error) {
	e, err := t.against(1e-5, func(x ...*tensor.Tensor) *tensor.Tensor {
		return x[0].Mul(x[1]).GELU().Add(x[2].Tanh().Exp()).Sub(x[0].Square().AddScalar(1).Log())
	}, []int{300, 257}, []int{257}, []int{300, 1})
	return fmt.Sprintf("products, activations, broadcasting: within %.1g", e), err
}

func (t *tester) reductions() (string, error) {
	e, err := t.against(1e-5, func(x ...*tensor.Tensor) *tensor.Tensor {
		a := x[0].Softmax(-1).Sum(0)
		b := tensor.LayerNorm(x[0], []int{257}, nil, nil, 1e-5).Square().Mean(0)
		return a.Add(b)
	}, []int{300, 257})
	return fmt.Sprintf("softmax, layer norm, sums: within %.1g", e), err
}

func (t *tester) matmul() (string, error) {
	e, err := t.against(1e-5, func(x ...*tensor.Tensor) *tensor.Tensor { return x[0].MatMul(x[1].T()) }, []int{129, 255}, []int{65, 255})
	if err != nil {
		return "", err
	}
	n := 1024
	s := t.scope()
	defer s.Close()
	x := tensor.RandN(s, random.New(2), tensor.Float32, n, n)
	seconds, err := t.rate(func() {
		inner := s.Child(s.Mode())
		inner.Use(x).MatMul(x)
		inner.Close()
	})
	return fmt.Sprintf("within %.1g; float32 of %d³ at %.0f GFLOP/s", e, n, 2*float64(n)*float64(n)*float64(n)/seconds/1e9), err
}

func (t *tester) halves() (string, error) {
	worst := 0.0
	for _, dt := range []tensor.DType{tensor.BFloat16, tensor.Float16} {
		e, err := t.against(1e-2, func(x ...*tensor.Tensor) *tensor.Tensor {
			if x[0].DType() == tensor.Float32 {
				return x[0].To(dt).MatMul(x[1].To(dt)).To(tensor.Float32)
			}
			return x[0].MatMul(x[1])
		}, []int{64, 96}, []int{96, 40})
		if err != nil {
			return "", fmt.Errorf("%v: %w", dt, err)
		}
		worst = max(worst, e)
	}
	return fmt.Sprintf("products of bfloat16 and float16: within %.1g", worst), nil
}

func (t *tester) convolution() (string, error) {
	e, err := t.against(1e-5, func(x ...*tensor.Tensor) *tensor.Tensor {
		return tensor.MaxPool2d(tensor.Conv2d(x[0], x[1], x[2], tensor.Conv2dOptions{Padding: [2]int{1, 1}}).ReLU(), [2]int{2, 2}, tensor.MaxPool2dOptions{})
	}, []int{4, 8, 14, 14}, []int{16, 8, 3, 3}, []int{16})
	return fmt.Sprintf("3×3 with bias, ReLU and a pool: within %.1g", e), err
}

func (t *tester) random() (string, error) {
	draw := func(dev backend.Device) []float32 {
		x := tensor.RandN(dev, random.New(3), tensor.Float32, 10_001)
		defer x.Release()
		return tensor.Values[float32](x)
	}
	got, want := draw(t.dev), draw(t.ref)
	for i := range want {
		if got[i] != want[i] {
			return "", fmt.Errorf("normal number %d is %v, on the CPU %v", i, got[i], want[i])
		}
	}
	return "normal numbers have the CPU's bits", nil
}

func (t *tester) badIndex() (string, error) {
	var index *backend.IndexError
	err := func() (err error) {
		defer tensor.Catch(&err)
		s := t.scope()
		defer s.Close()
		x := tensor.Zeros(s, tensor.Float32, 10, 3)
		tensor.Values[float32](x.IndexSelect(0, tensor.Of(s, []int64{1, 10})))
		return nil
	}()
	if !errors.As(err, &index) {
		return "", fmt.Errorf("index 10 of an axis of size 10 gave %v, not an error that names it", err)
	}
	return "reported: " + index.Error(), nil
}

// training trains the MNIST network on noise that it can learn by heart.
func (t *tester) training() (string, error) {
	m := models.NewMNISTCNN(random.New(1))
	nn.To(t.dev, m)
	defer nn.Release(m)
	opt := optim.NewAdamW(nn.Params(m), optim.AdamW{LR: 2e-3})
	s := t.scope()
	defer s.Close()
	x := tensor.RandN(s, random.New(4), tensor.Float32, 32, 1, 28, 28)
	y := tensor.RandInt(s, random.New(5), tensor.Int64, 0, 10, 32)
	var first, last float64
	var failed error
	seconds, err := t.rate(func() {
		for k := range 5 {
			inner := s.Child(s.Mode())
			var loss *tensor.Tensor
			err := train.Step(opt, func() (*tensor.Tensor, train.Keep) {
				loss = nn.CrossEntropy(m.Forward(inner.Use(x)), y)
				return loss, nil
			})
			failed = errors.Join(failed, err)
			if err == nil && (first == 0 || k == 4) {
				if last = loss.Item(); first == 0 {
					first = last
				}
			}
			inner.Close()
		}
	})
	if err := errors.Join(failed, err); err != nil {
		return "", err
	}
	if !(last < first) {
		return "", fmt.Errorf("the loss went from %.3f to %.3f", first, last)
	}
	return fmt.Sprintf("MNIST's convolutional network: loss from %.2f to %.2f, %.2f ms a step of 32 images", first, last, 1e3*seconds/5), nil
}
