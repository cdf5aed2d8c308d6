package null_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/backend/null"
)

// bench makes arrays on a device and ends the test where it cannot.
type bench struct {
	*testing.T
	backend.Device
}

func (b bench) array(d backend.DType, shape ...int) backend.Array {
	b.Helper()
	a := backend.Array{DType: d, Shape: shape, Strides: make([]int, len(shape))}
	n := 1
	for i := len(shape) - 1; i >= 0; i-- {
		a.Strides[i] = n
		n *= shape[i]
	}
	var err error
	if a.Buf, err = b.Alloc(n * d.Size()); err != nil {
		b.Fatal(err)
	}
	return a
}

func (b bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// transposed is a with its two axes exchanged.
func transposed(a backend.Array) backend.Array {
	a.Shape, a.Strides = []int{a.Shape[1], a.Shape[0]}, []int{a.Strides[1], a.Strides[0]}
	return a
}

func TestBrokenCallsAreErrorsThatNameTheArray(t *testing.T) {
	d := null.New()
	b := bench{t, d}
	f := func(shape ...int) backend.Array { return b.array(backend.Float32, shape...) }
	shifted := f(2, 3)
	shifted.Offset = 1
	rows := f(4, 3)
	later := rows
	later.Offset, later.Shape = 3, []int{3, 3}
	rows.Shape = []int{3, 3}
	broadcast := f(1, 3)
	broadcast.Shape, broadcast.Strides = []int{2, 3}, []int{0, 1}
	freed := f(2, 3)
	freed.Buf.Free()
	other := bench{t, null.New()}.array(backend.Float32, 2, 3)
	i64 := func(shape ...int) backend.Array { return b.array(backend.Int64, shape...) }
	scalar := backend.Array{}
	none := backend.Params{}

	for _, c := range []struct {
		want string
		err  error
	}{
		{"x has the shape [3], not [2 3]", d.Unary(backend.Exp, f(2, 3), f(3), none)},
		{"out is float32, not bool", d.Unary(backend.IsNaN, f(2), f(2), none)},
		{"out is float32, not bool", d.Binary(backend.Eq, f(2), f(2), f(2), none)},
		{"y is int64, not float32", d.Binary(backend.Add, f(2), f(2), i64(2), none)},
		{"the operands are int64", d.Binary(backend.Div, i64(2), i64(2), i64(2), none)},
		{"2 of 2 operands are scalars", d.Binary(backend.Add, f(2), scalar, scalar, none)},
		{"needs 28 bytes of a buffer of 24", d.Unary(backend.Neg, f(2, 3), shifted, none)},
		{"out is not dense", d.Unary(backend.Neg, broadcast, f(2, 3), none)},
		{"out overlaps an input", d.Unary(backend.Neg, rows, later, none)},
		{"out overlaps itself", d.Copy(broadcast, f(2, 3), false)},
		{"x is used after Free", d.Unary(backend.Neg, f(2, 3), freed, none)},
		{"x is a buffer of another device", d.Unary(backend.Neg, f(2, 3), other, none)},
		{"Slot needs 48 bytes", d.Unary(backend.Neg, f(2), f(2), backend.Params{Slot: f(2).Buf})},
		{"out has the shape [2 2], which does not reduce [2 3]", d.Reduce(backend.Sum, f(2, 2), f(2, 3))},
		{"out is int32, not int64", d.Reduce(backend.Sum, b.array(backend.Int32, 1), b.array(backend.Int32, 3))},
		{"nothing to choose from", d.Reduce(backend.Max, f(1), f(0))},
		{"axis 2 of an array with 2 axes", d.Scan(backend.CumSum, f(2, 3), scalar, f(2, 3), 2)},
		{"the first 4 of 3", d.Sort(f(2, 4), scalar, f(2, 3), 1, false)},
		{"index is float32, not int64", d.Gather(f(2), f(2), f(2), 0)},
		{"index has the shape [3 1], which does not lie in [2 3]", d.Gather(f(3, 1), f(2, 3), i64(3, 1), 1)},
		{"index has the shape [3], not [2]", d.Scatter(backend.ScatterAdd, f(4), i64(3), f(2), 0)},
		{"shapes: [2 3] by [2 3] into [2 3]", d.MatMul(f(2, 3), f(2, 3), f(2, 3), backend.Epilogue{})},
		{"Bias has the shape [2], not [4]", d.MatMul(f(2, 4), f(2, 3), f(3, 4), backend.Epilogue{Bias: f(2)})},
		{"activation is Tanh", d.MatMul(f(2, 4), f(2, 3), f(3, 4), backend.Epilogue{Act: backend.Tanh})},
		{"an axis of 5 is 5, not 3", d.Conv(backend.ConvForward, f(1, 2, 5, 5), f(1, 2, 5, 5), f(2, 2, 3, 3),
			backend.ConvParams{Stride: [2]int{1, 1}, Dilation: [2]int{1, 1}, Groups: 1}, backend.Epilogue{})},
		{"idx has no buffer", d.Pool(backend.MaxPool, f(1, 1, 2, 2), scalar, f(1, 1, 4, 4),
			backend.PoolParams{Kernel: [2]int{2, 2}, Stride: [2]int{2, 2}, Dilation: [2]int{1, 1}})},
		{"mean has the shape [1 2], which does not reduce [2 3]", d.Norm(f(2, 3), f(1, 2), f(1, 2), f(2, 3), scalar, scalar, 0)},
		{"y has a buffer", d.Softmax(backend.Softmax, f(2), f(2), f(2), 0)},
		{"a gradient has the strides", d.OptimizerStep(backend.SGD, []backend.Array{f(3, 2)},
			[]backend.Array{transposed(f(2, 3))}, [][]backend.Array{nil}, backend.OptimizerParams{Step: 1})},
		{"SGD with momentum 0.9 and 0 state arrays", d.OptimizerStep(backend.SGD, []backend.Array{f(3)},
			[]backend.Array{f(3)}, [][]backend.Array{nil}, backend.OptimizerParams{Step: 1, Momentum: 0.9})},
		{"dst needs 9 bytes of a buffer of 8", d.Upload(f(2).Buf, make([]byte, 9))},
	} {
		if c.err == nil {
			t.Errorf("no error where it should say: %s", c.want)
		} else if !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("error %q, which does not say: %s", c.err, c.want)
		}
	}
}

func TestLegalCallsPass(t *testing.T) {
	b := bench{t, null.New()}
	f := func(shape ...int) backend.Array { return b.array(backend.Float32, shape...) }
	x := f(4, 6)
	odd, even := x, x
	odd.Shape, odd.Strides, odd.Offset = []int{4, 3}, []int{6, 2}, 1
	even.Shape, even.Strides = []int{4, 3}, []int{6, 2}
	b.must(b.Unary(backend.Exp, x, x, backend.Params{}))
	b.must(b.Binary(backend.Mul, x, x, x, backend.Params{}))
	b.must(b.Binary(backend.Mul, x, backend.Array{}, x, backend.Params{}))
	b.must(b.Copy(odd, even, false))
	b.must(b.Unary(backend.Exp, f(4, 3), odd, backend.Params{}))
	b.must(b.Unary(backend.Neg, transposed(f(3, 4)), even, backend.Params{}))
	b.must(b.Unary(backend.Neg, f(), f(), backend.Params{}))
	b.must(b.Reduce(backend.Max, f(0, 1), f(0, 3)))
	b.must(b.MatMul(f(3, 3), f(3, 0), f(0, 3), backend.Epilogue{}))
}

func TestMemoryIsCountedAndFreedOnce(t *testing.T) {
	d := null.New()
	buf, err := d.Alloc(1 << 40)
	if err != nil {
		t.Fatal(err)
	}
	if s := d.MemoryStats(); s.Live != 1<<40 || s.Peak != 1<<40 {
		t.Errorf("after Alloc of 1 TiB: %+v", s)
	}
	buf.Free()
	if s := d.MemoryStats(); s.Live != 0 || s.Peak != 1<<40 {
		t.Errorf("after Free: %+v", s)
	}
	d.ResetPeak()
	if s := d.MemoryStats(); s.Peak != 0 {
		t.Errorf("after ResetPeak: %+v", s)
	}
	defer func() {
		if recover() == nil {
			t.Error("a second Free went unnoticed")
		}
	}()
	buf.Free()
}

func TestTheRegistryHasNull(t *testing.T) {
	for name, want := range map[string]string{"null": "null", "null:2": "null:2"} {
		d, err := backend.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if d.String() != want {
			t.Errorf("Open(%q) is %s", name, d)
		}
	}
}

// plain hides the optional interfaces.
type plain struct{ backend.Device }

func TestRecorderForwardsAndClaimsNothing(t *testing.T) {
	r := null.Record(plain{null.New()})
	b := bench{t, r}
	x := b.array(backend.Float32, 3)
	if err := r.Softmax(backend.Softmax, x, x, backend.Array{}, 0); !errors.Is(err, backend.ErrUnsupported) {
		t.Errorf("a softmax that the device lacks answers %v", err)
	}
	if r.ChannelsLast() || r.MemoryStats() != (backend.MemoryStats{}) {
		t.Error("the recorder claims what its device has not")
	}
	if err := r.Unary(backend.Exp, x, b.array(backend.Float32, 4), backend.Params{}); err == nil {
		t.Error("the device's error is lost")
	}
}

func TestRecorderListsAStep(t *testing.T) {
	r := null.Record(null.New())
	b := bench{t, r}
	x, w, bias := b.array(backend.Float32, 64, 784), b.array(backend.Float32, 10, 784), b.array(backend.Float32, 10)
	grad := b.array(backend.Float32, 10)
	r.Reset()

	y, loss := b.array(backend.Float32, 64, 10), b.array(backend.Float32, 1, 1)
	b.must(r.MatMul(y, x, transposed(w), backend.Epilogue{Bias: bias, Act: backend.ReLU}))
	row := bias
	row.Shape, row.Strides = y.Shape, []int{0, 1}
	b.must(r.Binary(backend.Add, y, y, row, backend.Params{}))
	b.must(r.Binary(backend.Mul, y, y, backend.Array{}, backend.Params{Scalars: backend.Scalars{A: 0.5}}))
	b.must(r.Reduce(backend.Mean, loss, y))
	b.must(r.Scan(backend.CumSum, y, backend.Array{}, y, 0))
	b.must(r.OptimizerStep(backend.SGD, []backend.Array{bias}, []backend.Array{grad}, [][]backend.Array{nil}, backend.OptimizerParams{LR: 0.1, Step: 1}))
	y.Shape[0] = 99 // the record keeps its own
	loss.Buf.Free()
	b.must(r.Download(make([]byte, 4), bias.Buf))

	const want = `   1  MatMul                    229.2 KiB  b1:f32[64 10] <- b2:f32[64 784], b3:f32[784 10] strides [1 784], b4:f32[10]  Act ReLU
   2  Binary Add                  5.0 KiB  b1:f32[64 10] <- b1:f32[64 10], b4:f32[64 10] strides [0 1]
   3  Binary Mul                  5.0 KiB  b1:f32[64 10] <- b1:f32[64 10], 0.5
   4  Reduce Mean                 2.5 KiB  b5:f32[1 1] <- b1:f32[64 10]
   5  Scan CumSum                 5.0 KiB  b1:f32[64 10] <- b1:f32[64 10]  Axis 0
   6  OptimizerStep SGD              80 B  b4:f32[10] <- b6:f32[10]  LR 0.1  Step 1
   7  Download                        4 B  <- b4:u8[4]

   2  Alloc                       2.5 KiB
   1  MatMul                    229.2 KiB
   2  Binary                     10.0 KiB
   1  Reduce                      2.5 KiB
   1  Scan                        5.0 KiB
   1  OptimizerStep                  80 B
   1  Free                            4 B
   1  Download                        4 B
   1  calls that wait for the device
`
	if got := r.Listing(); got != want {
		t.Errorf("the listing is\n%s\nnot\n%s", got, want)
	}
}
