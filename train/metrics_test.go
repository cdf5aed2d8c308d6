package train_test

import (
	"math"
	"strings"
	"testing"

	"github.com/descent-ml/descent/data"
	"github.com/descent-ml/descent/random"
	"github.com/descent-ml/descent/tensor"
	"github.com/descent-ml/descent/train"
)

func TestAccuracyAndTopKCountRowsByRank(t *testing.T) {
	s := tensor.NewScope(newDevice(t), tensor.ScopeOptions{})
	defer s.Close()
	rng := random.New(1)
	const n, c = 50, 7
	logits := tensor.RandN(s, rng, tensor.Float32, n, c).RequireGrad()
	labels := tensor.RandInt(s, rng, tensor.Int64, 0, c, n)
	x, y := tensor.Values[float32](logits), tensor.Values[int64](labels)
	for k := 1; k <= c; k++ {
		hits := 0
		for i := range n {
			row, above := x[i*c:(i+1)*c], 0
			for _, v := range row {
				if v > row[y[i]] {
					above++
				}
			}
			if above < k {
				hits++
			}
		}
		want := float64(float32(hits) / n)
		got := train.TopK(logits, labels, k)
		if math.Abs(got.Item()-want) > 1e-6 || got.RequiresGrad() || got.Dim() != 0 {
			t.Errorf("top %d: %v, want %v", k, got.Item(), want)
		}
		if acc := train.Accuracy(logits, labels); k == 1 && (math.Abs(acc.Item()-want) > 1e-6 || acc.RequiresGrad() || acc.Dim() != 0) {
			t.Errorf("accuracy %v, want %v", acc.Item(), want)
		}
	}
	caught(t, func() { train.Accuracy(logits, labels.Narrow(0, 0, 49)) })
	caught(t, func() { train.Accuracy(logits, labels.To(tensor.Float32)) })
	caught(t, func() { train.TopK(logits, labels, 8) })
	caught(t, func() { train.TopK(logits, labels, 0) })
}

// Eval weights each batch by its samples, so that the size of batches does not matter.
func TestEvalAveragesOverSamples(t *testing.T) {
	dev := newDevice(t)
	m := newMLP(dev, 1, 2, 8, 3, 0.5)
	samples := clusters(103, 1)
	fn := func(b data.Batch) (*tensor.Tensor, train.Metrics) {
		if mode := b.Scope().Mode(); mode.Train || !mode.NoGrad {
			t.Errorf("mode %+v", mode)
		}
		y := m.Forward(b.X)
		return y.Square().Mean(), train.Metrics{"accuracy": train.Accuracy(y, b.Y), "half": y.To(tensor.Float16).Abs().Mean()}
	}
	eval := func(batch, workers int) train.Values {
		before := live(dev)
		v, err := train.Eval(t.Context(), data.NewLoader(samples, data.Stack(2), dev, data.LoaderOptions{BatchSize: batch, Workers: workers}), fn)
		if err != nil {
			t.Fatal(err)
		}
		if live(dev) != before {
			t.Errorf("Eval leaves %d bytes", live(dev)-before)
		}
		return v
	}
	want := eval(103, 0)
	for _, batch := range []int{10, 1, 60} {
		got := eval(batch, 2)
		for name, tolerance := range map[string]float64{"loss": 1e-6, "accuracy": 1e-6, "half": 1e-2} {
			if math.Abs(got[name]-want[name]) > tolerance || len(got) != 3 {
				t.Errorf("batches of %d: %v, of all at once %v", batch, got, want)
			}
		}
	}
}

func TestEvalSaysWhatIsWrong(t *testing.T) {
	dev := newDevice(t)
	load := func(n int) *data.Loader[data.Batch] {
		return data.NewLoader(clusters(n, 1), data.Stack(2), dev, data.LoaderOptions{BatchSize: 2})
	}
	calls := 0
	for want, c := range map[string]struct {
		loader *data.Loader[data.Batch]
		fn     train.Func[data.Batch]
	}{
		"empty":   {load(0), nil},
		"no loss": {load(4), func(data.Batch) (*tensor.Tensor, train.Metrics) { return nil, nil }},
		`batch 0: tensor: metrics: "loss" has shape [2 2]`: {load(4), func(b data.Batch) (*tensor.Tensor, train.Metrics) { return b.X, nil }},
		"batch 1: tensor: metrics: 1 metrics": {load(4), func(b data.Batch) (*tensor.Tensor, train.Metrics) {
			if calls++; calls == 1 {
				return b.X.Mean(), nil
			}
			return b.X.Mean(), train.Metrics{"more": b.X.Mean()}
		}},
	} {
		if _, err := train.Eval(t.Context(), c.loader, c.fn); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want %q", err, want)
		}
	}
}
