package tensor

import (
	"encoding/json"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/descent-ml/descent/backend/cpu"
	"github.com/descent-ml/descent/backend/null"
)

// dtypeNamed is the dtype with PyTorch's name.
func dtypeNamed(t *testing.T, name string) DType {
	for dt := DType(0); dt <= Bool; dt++ {
		if dt.String() == name {
			return dt
		}
	}
	t.Fatalf("no dtype %s", name)
	return 0
}

func TestStringPrintsAsPyTorch(t *testing.T) {
	text, err := os.ReadFile("testdata/print.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		DType        string
		Shape        []int
		Grad         bool
		Values, Text string
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	dev := cpu.New(cpu.Options{})
	for i, c := range cases {
		s := NewScope(dev, ScopeOptions{})
		dt := dtypeNamed(t, c.DType)
		var x *Tensor
		if words := strings.Fields(c.Values); dt.IsFloat() {
			v := make([]float64, len(words))
			for i, w := range words {
				if v[i], err = strconv.ParseFloat(w, 64); err != nil {
					t.Fatal(err)
				}
			}
			x = Of(s, v, slices.Clone(c.Shape)...).To(dt)
		} else {
			v := make([]int64, len(words))
			for i, w := range words {
				if v[i], err = strconv.ParseInt(w, 10, 64); err != nil {
					t.Fatal(err)
				}
			}
			x = Of(s, v, slices.Clone(c.Shape)...).To(dt)
		}
		if c.Grad {
			x.RequireGrad()
		}
		before := s.Bytes()
		if got := x.String(); got != c.Text {
			t.Errorf("case %d, %v%v:\n%s\nPyTorch prints\n%s", i, dt, c.Shape, got, c.Text)
		}
		if after := s.Bytes(); after != before {
			t.Errorf("case %d: printing leaves %d bytes in the scope", i, after-before)
		}
		s.Close()
	}
}

func TestStringOfATensorThatCannotBeRead(t *testing.T) {
	dev := cpu.New(cpu.Options{})
	s := NewScope(dev, ScopeOptions{})
	x := Ones(s, Float32, 2, 3)
	y := x.Detach().RequireGrad().MulScalar(2)
	if got := y.Detach().String(); !strings.HasPrefix(got, "tensor([[2., 2., 2.],\n") {
		t.Errorf("%s", got)
	}
	if got, want := y.String(), "grad_fn=<mul>)"; !strings.HasSuffix(got, want) {
		t.Errorf("%s does not end with %s", got, want)
	}
	s.Close()
	if got := x.String(); !strings.Contains(got, "after its scope closed") || !strings.Contains(got, "size=(2, 3)") {
		t.Errorf("after Close: %s", got)
	}
	if got := (*Tensor)(nil).String(); got != "tensor(nil)" {
		t.Errorf("nil: %s", got)
	}
	if got := Zeros(null.New(), Int32, 1).String(); !strings.HasSuffix(got, ", device='null', dtype=torch.int32)") {
		t.Errorf("on another device: %s", got)
	}
}
