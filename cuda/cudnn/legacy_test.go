package cudnn

import (
	"slices"
	"testing"
)

// The calls outside the graph API, as far as they go without a GPU: descriptors. It shows that names and the order of
// arguments are right, not that a layer runs.
func TestRecurrentLayersCanBeDescribed(t *testing.T) {
	l := realLibrary(t)
	for _, c := range []RNNConfig{
		{Cell: LSTM, Bias: RNNDoubleBias, Type: Float32, Compute: Float32, InputSize: 16, HiddenSize: 32, Layers: 2, PaddedIO: true},
		{Cell: LSTM, Bias: RNNDoubleBias, Type: Float16, Compute: Float32, Math: TensorOpMath, InputSize: 16, HiddenSize: 32, ProjectionSize: 8, Layers: 1, PaddedIO: true},
		{Cell: GRU, Bias: RNNDoubleBias, Direction: Bidirectional, Type: BFloat16, Compute: Float32, Math: TensorOpMath, InputSize: 16, HiddenSize: 32, Layers: 3},
		{Cell: RNNTanh, Bias: RNNNoBias, Input: SkipInput, Type: Float32, Compute: Float32, Math: FMAMath, InputSize: 32, HiddenSize: 32, Layers: 1},
	} {
		r, err := l.NewRNN(c)
		if err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		if c.Cell == LSTM && c.ProjectionSize == 0 {
			if err := r.Clip(-1.5, 2.5); err != nil {
				t.Error(err)
			}
			// The numbers went through registers of their own.
			get := struct {
				mode      int32
				low, high float64
			}{}
			if err := clipOf(r, &get.mode, &get.low, &get.high); err != nil || get.low != -1.5 || get.high != 2.5 || get.mode != 1 {
				t.Errorf("Clip(-1.5, 2.5) became %+v, %v", get, err)
			}
		}
		r.Destroy()
	}

	for name, c := range map[string]RNNConfig{
		"no cell of number 9":      {Cell: 9, Bias: RNNDoubleBias, Type: Float32, Compute: Float32, InputSize: 16, HiddenSize: 32, Layers: 1},
		"no layers":                {Cell: LSTM, Bias: RNNDoubleBias, Type: Float32, Compute: Float32, InputSize: 16, HiddenSize: 32},
		"projection in a GRU":      {Cell: GRU, Bias: RNNDoubleBias, Type: Float32, Compute: Float32, InputSize: 16, HiddenSize: 32, ProjectionSize: 8, Layers: 1},
		"projection that enlarges": {Cell: LSTM, Bias: RNNDoubleBias, Type: Float32, Compute: Float32, InputSize: 16, HiddenSize: 32, ProjectionSize: 64, Layers: 1},
	} {
		if r, err := l.NewRNN(c); err == nil {
			r.Destroy()
			t.Errorf("%s: no error", name)
		}
	}
}

func TestSequencesCanBeDescribed(t *testing.T) {
	l := realLibrary(t)
	for _, layout := range []RNNDataLayout{RNNSeqMajorUnpacked, RNNSeqMajorPacked, RNNBatchMajorUnpacked} {
		d, err := l.NewRNNData(Float32, layout, 10, 16, []int32{10, 7, 7, 1})
		if err != nil {
			t.Errorf("layout %d: %v", layout, err)
			continue
		}
		d.Destroy()
	}
	for name, lengths := range map[string][]int32{"none": nil, "longer than the longest": {11}, "of negative length": {-1}} {
		if d, err := l.NewRNNData(Float32, RNNSeqMajorUnpacked, 10, 16, lengths); err == nil {
			d.Destroy()
			t.Errorf("sequences %s: no error", name)
		}
	}
}

func TestTensorsOfTheOlderCallsKeepTheirDimensions(t *testing.T) {
	l := realLibrary(t)
	n, err := l.NewNdTensor(Float32, []int32{2, 3, 5}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Destroy()
	if dims, err := n.dims(); err != nil || !slices.Equal(dims, []int32{2, 3, 5}) {
		t.Errorf("dimensions %v, %v", dims, err)
	}
	if _, err := l.NewNdTensor(Float32, nil, nil); err == nil {
		t.Error("a tensor without dimensions")
	}
	if _, err := l.NewNdTensor(Float32, []int32{2, 3, 5}, []int32{1}); err == nil {
		t.Error("a tensor with one stride of three")
	}
}

func TestCTCLossCanBeDescribed(t *testing.T) {
	l := realLibrary(t)
	c, err := l.NewCTC(CTCConfig{Type: Float32, Normalization: LossNormalizationSoftmax, Grad: CTCZeroOOBGradients, MaxLabelLength: 100})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Destroy()
	probs, err := l.NewNdTensor(Float32, []int32{50, 4, 28}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer probs.Destroy()
	defer func() {
		if r := recover(); r == nil {
			t.Error("cuDNN was called without a handle")
		}
	}()
	if c, err := l.NewCTC(CTCConfig{Type: Int8}); err == nil {
		c.Destroy()
		t.Error("a loss of int8")
	}
	c.WorkspaceSize(Handle{}, &CTCPass{Probs: probs, Gradients: probs})
}
