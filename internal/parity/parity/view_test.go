package main

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/descent-ml/descent/backend/cpu"
	"github.com/descent-ml/descent/tensor"
)

// Whatever views PyTorch can make of a contiguous tensor come out with the
// elements that their strides say, and with those strides.
func TestStridedTensorsKeepTheirElementsAndStrides(t *testing.T) {
	s := tensor.NewScope(cpu.New(cpu.Options{}), tensor.ScopeOptions{})
	defer s.Close()
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		shape, stride := randomView(r)
		extent := 1
		for i := range shape {
			extent += (shape[i] - 1) * stride[i]
		}
		raw := make([]byte, 0, 8*extent)
		for i := range extent {
			raw = binary.LittleEndian.AppendUint64(raw, uint64(i))
		}
		got, err := strided(s, tensor.Int64, raw, shape, stride)
		if err != nil {
			t.Fatalf("shape %v strides %v: %v", shape, stride, err)
		}
		want := []int64{0}
		for i := range shape {
			var next []int64
			for _, at := range want {
				for j := range shape[i] {
					next = append(next, at+int64(j*stride[i]))
				}
			}
			want = next
		}
		if v := tensor.Values[int64](got); !slices.Equal(v, want) || !slices.Equal(got.Shape(), shape) {
			t.Fatalf("shape %v strides %v: %v of shape %v", shape, stride, v, got.Shape())
		}
		for i := range shape {
			if shape[i] > 1 && got.Strides()[i] != stride[i] {
				t.Fatalf("shape %v strides %v: strides %v", shape, stride, got.Strides())
			}
		}
	}
}

// randomView takes slices of a row-major array, repeats axes and permutes them.
func randomView(r *rand.Rand) (shape, stride []int) {
	step := 1 + r.IntN(3)
	for range r.IntN(4) {
		n := 1 + r.IntN(4)
		shape, stride = append(shape, n), append(stride, step)
		step *= n + r.IntN(3)
		if r.IntN(4) == 0 {
			shape, stride = append(shape, 1+r.IntN(3)), append(stride, 0)
		}
	}
	r.Shuffle(len(shape), func(i, j int) {
		shape[i], shape[j] = shape[j], shape[i]
		stride[i], stride[j] = stride[j], stride[i]
	})
	return shape, stride
}

func TestBindGivesArgumentsTheirNames(t *testing.T) {
	o := operator{name: "f", parameters: "input, dim=None, keepdim=False, scale=1.5"}
	cases := []struct {
		positional []any
		keywords   map[string]any
		want       string
	}{
		{nil, nil, "map[dim:<nil> input:x keepdim:false scale:1.5]"},
		{[]any{int64(2)}, map[string]any{"keepdim": true}, "map[dim:2 input:x keepdim:true scale:1.5]"},
		{[]any{int64(2), true, 0.5}, map[string]any{"device": "cpu"}, "map[dim:2 input:x keepdim:true scale:0.5]"},
	}
	for _, c := range cases {
		if got := fmt.Sprint(o.bind(nil, "x", c.positional, c.keywords).values); got != c.want {
			t.Errorf("f(x, %v, %v): %s, want %s", c.positional, c.keywords, got, c.want)
		}
	}
	for _, wrong := range []func(){
		func() { o.bind(nil, "x", nil, map[string]any{"out": "y"}) },
		func() { o.bind(nil, "x", []any{nil, nil, nil, nil}, nil) },
	} {
		if f := stage("outputs", wrong); f == nil || f.Kind != "inexpressible" {
			t.Errorf("an argument that f does not have: %v", f)
		}
	}
}
