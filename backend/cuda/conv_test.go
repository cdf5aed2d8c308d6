package cuda

import (
	"errors"
	"strings"
	"testing"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/cuda/cudnn"
	"github.com/descent-ml/descent/internal/fakecuda"
)

var plain = backend.ConvParams{Stride: [2]int{1, 1}, Padding: [2]int{1, 1}, Dilation: [2]int{1, 1}, Groups: 1}

// images is place for dense [N, C, H, W] with the channels last or in rows.
func (d *Device) images(t testing.TB, channelsLast bool, seed uint64, shape ...int) *placed {
	t.Helper()
	return d.place(t, shape, packedStrides(nil, shape, channelsLast), 0, seed)
}

// convolved is the reference of a 3x3 convolution with padding 1: out, by what the
// other two hold.
func convolved(op backend.ConvOp, x, w, y *placed) []float32 {
	sums := make([]float64, [...]*placed{y, x, w}[op].Size())
	n, c, h, wd, f := x.Shape[0], x.Shape[1], x.Shape[2], x.Shape[3], w.Shape[0]
	for yi := range y.Size() {
		ow, oh, filter, image := yi%wd, yi/wd%h, yi/(wd*h)%f, yi/(wd*h*f)
		for wi := range c * 9 {
			i, j := oh+wi/3%3-1, ow+wi%3-1
			if i < 0 || i >= h || j < 0 || j >= wd || image >= n {
				continue
			}
			xi, wi := ((image*c+wi/9)*h+i)*wd+j, filter*c*9+wi
			switch op {
			case backend.ConvForward:
				sums[yi] += float64(x.values[xi]) * float64(w.values[wi])
			case backend.ConvBackwardInput:
				sums[xi] += float64(y.values[yi]) * float64(w.values[wi])
			default:
				sums[wi] += float64(y.values[yi]) * float64(x.values[xi])
			}
		}
	}
	out := make([]float32, len(sums))
	for i, s := range sums {
		out[i] = float32(s)
	}
	return out
}

func TestConvolutionsOfChannelsLastAreOneLaunch(t *testing.T) {
	d := testDevice(t, Options{Deterministic: true})
	for op := backend.ConvForward; op <= backend.ConvBackwardWeight; op++ {
		x, w, y := d.images(t, true, 1, 2, 8, 6, 5), d.images(t, true, 2, 4, 8, 3, 3), d.images(t, true, 3, 2, 4, 6, 5)
		all := [...][3]*placed{backend.ConvForward: {y, x, w}, backend.ConvBackwardInput: {x, y, w}, backend.ConvBackwardWeight: {w, y, x}}[op]
		want := convolved(op, x, w, y)
		made := launchesOf(d, t, func() error {
			return d.Conv(op, all[0].Array, all[1].Array, all[2].Array, plain, backend.Epilogue{})
		})
		if len(made) != 1 {
			t.Errorf("%v takes the kernels %v", op, made)
		}
		agree(t, op.String(), all[0].now(t, d), want)
	}
}

func TestBiasAndReLUAreFusedIntoTheConvolution(t *testing.T) {
	d := testDevice(t, Options{})
	x, w, y, bias := d.images(t, true, 1, 2, 8, 4, 4), d.images(t, true, 2, 4, 8, 3, 3), d.images(t, true, 3, 2, 4, 4, 4), d.rows(t, 4, 4)
	want := convolved(backend.ConvForward, x, w, y)
	for i := range want {
		want[i] = max(0, want[i]+bias.values[i/16%4])
	}
	made := launchesOf(d, t, func() error {
		return d.Conv(backend.ConvForward, y.Array, x.Array, w.Array, plain, backend.Epilogue{Bias: bias.Array, Act: backend.ReLU})
	})
	if len(made) != 1 {
		t.Errorf("it takes the kernels %v", made)
	}
	agree(t, "ConvForward", y.now(t, d), want)
}

func TestOtherLayoutsAreCopiedToChannelsLast(t *testing.T) {
	d := testDevice(t, Options{})
	x := d.place(t, []int{2, 8, 6, 5}, []int{1000, 100, 12, 2}, 3, 1)
	w, y := d.images(t, false, 2, 4, 8, 3, 3), d.images(t, false, 3, 2, 4, 6, 5)
	want := convolved(backend.ConvForward, x, w, y)
	made := launchesOf(d, t, func() error {
		return d.Conv(backend.ConvForward, y.Array, x.Array, w.Array, plain, backend.Epilogue{})
	})
	copies := int64(0)
	for _, n := range made {
		copies += n
	}
	if made["conv_forward"] != 1 || copies != 4 {
		t.Errorf("kernels %v: want three copies and one convolution", made)
	}
	agree(t, "ConvForward", y.now(t, d), want)
}

// A view's address need not suit a plan.
func TestAnImageAtAnOddAddress(t *testing.T) {
	d := testDevice(t, Options{})
	shape := []int{1, 8, 4, 4}
	x := d.place(t, shape, packedStrides(nil, shape, true), 1, 1)
	w, y := d.images(t, true, 2, 4, 8, 3, 3), d.images(t, true, 3, 1, 4, 4, 4)
	want := convolved(backend.ConvForward, x, w, y)
	must(t, d.Conv(backend.ConvForward, y.Array, x.Array, w.Array, plain, backend.Epilogue{}))
	agree(t, "ConvForward", y.now(t, d), want)
}

// cuDNN has no engine for float64 with the channels last here, and none that adds a
// bias: the plan is for rows, and the epilogue is done after it.
func TestFormsThatCuDNNRefusesAreDoneOtherwise(t *testing.T) {
	d := testDevice(t, Options{})
	shape := []int{1, 8, 4, 4}
	var arrays []backend.Array
	for _, a := range []struct {
		shape  []int
		values float64
	}{{[]int{1, 4, 4, 4}, 9}, {shape, 2}, {[]int{4, 8, 1, 1}, 3}, {[]int{4}, -5}} {
		b := backend.Array{DType: backend.Float64, Shape: a.shape, Strides: packedStrides(nil, a.shape, len(a.shape) == 4)}
		buf, err := d.Alloc(8 * b.Size())
		must(t, err)
		t.Cleanup(buf.Free)
		b.Buf = buf
		must(t, d.Generate(backend.Fill, b, backend.Params{Scalars: backend.Scalars{A: a.values}}))
		arrays = append(arrays, b)
	}
	p := plain
	p.Padding = [2]int{}
	must(t, d.Conv(backend.ConvForward, arrays[0], arrays[1], arrays[2], p, backend.Epilogue{Bias: arrays[3], Act: backend.ReLU}))
	got, err := d.temporary(backend.Float32, arrays[0].Shape, false)
	must(t, err)
	defer got.free()
	must(t, d.Copy(got.Array, arrays[0], false))
	for i, v := range d.values(t, &got.buf) {
		if v != 8*2*3-5 {
			t.Errorf("element %d is %v, want %d", i, v, 8*2*3-5)
		}
	}
	for key, plan := range *d.convPlans.Load() {
		if plan.channelsLast || plan.fused {
			t.Errorf("%+v has the plan %+v", key, plan)
		}
	}
}

func TestAPlanIsMadeOnceForAKindOfConvolution(t *testing.T) {
	d := testDevice(t, Options{})
	x, w, y := d.images(t, true, 1, 2, 8, 4, 4), d.images(t, true, 2, 4, 8, 3, 3), d.images(t, true, 3, 2, 4, 4, 4)
	run := func() error {
		return d.Conv(backend.ConvForward, y.Array, x.Array, w.Array, plain, backend.Epilogue{})
	}
	must(t, run())
	fakecuda.Reset()
	must(t, run())
	calls := fakecuda.Stats().Calls
	if calls["cudnnBackendExecute"] != 1 || calls["cudnnBackendCreateDescriptor"] != 1 || calls["cudnnBackendFinalize"] != 1 {
		t.Errorf("a known convolution makes the calls %v", calls)
	}
}

func TestConvDoesNotAllocate(t *testing.T) {
	countOnly(t)
	d := testDevice(t, Options{})
	x, w, y, bias := d.images(t, true, 1, 2, 8, 4, 4), d.images(t, true, 2, 4, 8, 3, 3), d.images(t, true, 3, 2, 4, 4, 4), d.rows(t, 4, 4)
	inRows := d.images(t, false, 2, 4, 8, 3, 3)
	for name, f := range map[string]func() error{
		"bias and ReLU": func() error {
			return d.Conv(backend.ConvForward, y.Array, x.Array, w.Array, plain, backend.Epilogue{Bias: bias.Array, Act: backend.ReLU})
		},
		"a weight in rows": func() error {
			return d.Conv(backend.ConvBackwardInput, x.Array, y.Array, inRows.Array, plain, backend.Epilogue{})
		},
		"its gradient": func() error {
			return d.Conv(backend.ConvBackwardWeight, inRows.Array, y.Array, x.Array, plain, backend.Epilogue{})
		},
	} {
		must(t, f())
		if n := testing.AllocsPerRun(100, func() { must(t, f()) }); n != 0 {
			t.Errorf("%s: %g allocations", name, n)
		}
	}
}

// The fake's first engines round their inputs as tensor cores do.
func TestFloat32ConvolutionsAreExactUnlessTF32IsAllowed(t *testing.T) {
	for _, tf32 := range []bool{false, true} {
		d := testDevice(t, Options{TF32: tf32})
		x, w, y := d.images(t, true, 1, 1, 1, 1, 1), d.images(t, true, 2, 1, 1, 1, 1), d.images(t, true, 3, 1, 1, 1, 1)
		fine := float32(1 + 0x1p-20)
		must(t, d.Upload(x.Buf, bytesOf([]float32{fine})))
		must(t, d.Upload(w.Buf, bytesOf([]float32{1})))
		p := plain
		p.Padding = [2]int{}
		must(t, d.Conv(backend.ConvForward, y.Array, x.Array, w.Array, p, backend.Epilogue{}))
		want := fine
		if tf32 {
			want = 1
		}
		if got := y.now(t, d); got[0] != want {
			t.Errorf("TF32 %v: %v, want %v", tf32, got[0], want)
		}
	}
}

// The fake has an engine for gradients whose results differ from run to run, and says so.
func TestDeterministicRulesOutEnginesThatAreNot(t *testing.T) {
	for _, deterministic := range []bool{false, true} {
		d := testDevice(t, Options{Deterministic: deterministic})
		x, w, y := d.images(t, true, 1, 2, 8, 6, 6), d.images(t, true, 2, 4, 8, 3, 3), d.images(t, true, 3, 2, 4, 6, 6)
		differ := false
		var first []float32
		for range 4 {
			must(t, d.Conv(backend.ConvBackwardWeight, w.Array, y.Array, x.Array, plain, backend.Epilogue{}))
			got := append([]float32(nil), w.now(t, d)...)
			if first == nil {
				first = got
			}
			differ = differ || !same(got, first)
		}
		if differ == deterministic {
			t.Errorf("deterministic %v: results differ: %v", deterministic, differ)
		}
	}
}

func TestAutotuneTriesSeveralPlans(t *testing.T) {
	d := testDevice(t, Options{Autotune: true, TF32: true})
	x, w, y := d.images(t, true, 1, 2, 8, 6, 6), d.images(t, true, 2, 4, 8, 3, 3), d.images(t, true, 3, 2, 4, 6, 6)
	want := convolved(backend.ConvForward, x, w, y)
	run := func() error {
		return d.Conv(backend.ConvForward, y.Array, x.Array, w.Array, plain, backend.Epilogue{Accumulate: true})
	}
	for i := range want {
		want[i] += y.values[i]
	}
	first := launchesOf(d, t, run)
	agree(t, "ConvForward", y.now(t, d), want)
	again := launchesOf(d, t, run)
	if first["conv_forward"] < 9 || again["conv_forward"] != 1 {
		t.Errorf("%d convolutions the first time, %d later", first["conv_forward"], again["conv_forward"])
	}
}

func TestWithoutCuDNNConvolutionsAreUnsupported(t *testing.T) {
	d := testDevice(t, Options{})
	x, w, y := d.images(t, true, 1, 1, 8, 4, 4), d.images(t, true, 2, 4, 8, 3, 3), d.images(t, true, 3, 1, 4, 4, 4)
	fakecuda.Fail("cudnnCreate", 1, int(cudnn.StatusNotInitialized))
	for range 2 {
		err := d.Conv(backend.ConvForward, y.Array, x.Array, w.Array, plain, backend.Epilogue{})
		if !errors.Is(err, backend.ErrUnsupported) || !errors.Is(err, cudnn.StatusNotInitialized) || !strings.Contains(err.Error(), "cudnnCreate") {
			t.Errorf("without cuDNN: %v", err)
		}
	}
}

func TestAFailureOfCuDNNsIsNoUnsupportedConvolution(t *testing.T) {
	d := testDevice(t, Options{})
	x, w, y := d.images(t, true, 1, 1, 8, 4, 4), d.images(t, true, 2, 4, 8, 3, 3), d.images(t, true, 3, 1, 4, 4, 4)
	run := func(p backend.ConvParams) error {
		return d.Conv(backend.ConvForward, y.Array, x.Array, w.Array, p, backend.Epilogue{})
	}
	for _, c := range []struct {
		call string
		nth  int
	}{{"cudnnBackendFinalize", 1}, {"cudnnBackendSetAttribute", 3}, {"cudnnBackendExecute", 1}} {
		fakecuda.Fail(c.call, c.nth, int(cudnn.StatusInternalError))
		err := run(plain)
		if errors.Is(err, backend.ErrUnsupported) || !errors.Is(err, cudnn.StatusInternalError) || !strings.Contains(err.Error(), "cuda:0: ConvForward: ") {
			t.Errorf("%s fails: %v", c.call, err)
		}
		must(t, run(plain))
		must(t, d.closeConv())
	}
	w.Shape = []int{3, 8, 3, 3} // y has 4 channels
	if err := run(plain); errors.Is(err, backend.ErrUnsupported) || !errors.Is(err, cudnn.StatusBadParam) {
		t.Errorf("shapes that do not fit: %v", err)
	}
}

func TestAConvolutionIsCaptured(t *testing.T) {
	d := testDevice(t, Options{Autotune: true})
	x, w, y := d.images(t, true, 1, 2, 8, 4, 4), d.images(t, false, 2, 4, 8, 3, 3), d.images(t, true, 3, 2, 4, 4, 4)
	g, err := d.Capture(func() error {
		return d.Conv(backend.ConvForward, y.Array, x.Array, w.Array, plain, backend.Epilogue{})
	})
	must(t, err)
	defer g.Free()
	want := convolved(backend.ConvForward, x, w, y)
	agree(t, "ConvForward", y.now(t, d), want)
	fresh := dyadics(len(w.memory), 9)
	must(t, d.Upload(w.Buf, bytesOf(fresh)))
	must(t, d.Conv(backend.ConvForward, y.Array, x.Array, w.Array, plain, backend.Epilogue{})) // the handle's stream is another one
	must(t, d.Generate(backend.Fill, y.Array, backend.Params{}))
	must(t, g.Launch())
	w.now(t, d)
	want = convolved(backend.ConvForward, x, w, y)
	agree(t, "after new weights", y.now(t, d), want)
}

func BenchmarkConvHostTime(b *testing.B) {
	countOnly(b)
	d := testDevice(b, Options{})
	x, w, y := d.images(b, true, 1, 8, 64, 14, 14), d.images(b, true, 2, 64, 64, 3, 3), d.images(b, true, 3, 8, 64, 14, 14)
	b.ReportAllocs()
	for b.Loop() {
		if err := d.Conv(backend.ConvForward, y.Array, x.Array, w.Array, plain, backend.Epilogue{}); err != nil {
			b.Fatal(err)
		}
	}
}
