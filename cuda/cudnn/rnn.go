package cudnn

import (
	"fmt"

	"github.com/descent-ml/descent/cuda/internal/dl"
)

// RNNAlgo says how a recurrent layer runs. The persistent ones keep the weights on chip, and have limits of size.
type RNNAlgo int32

const (
	RNNAlgoStandard            RNNAlgo = 0 // CUDNN_RNN_ALGO_STANDARD
	RNNAlgoPersistStatic       RNNAlgo = 1 // CUDNN_RNN_ALGO_PERSIST_STATIC
	RNNAlgoPersistDynamic      RNNAlgo = 2 // CUDNN_RNN_ALGO_PERSIST_DYNAMIC
	RNNAlgoPersistStaticSmallH RNNAlgo = 3 // CUDNN_RNN_ALGO_PERSIST_STATIC_SMALL_H
)

// ForwardMode says whether a backward pass will follow.
type ForwardMode int32

const (
	ForwardInference ForwardMode = 0 // CUDNN_FWD_MODE_INFERENCE
	ForwardTraining  ForwardMode = 1 // CUDNN_FWD_MODE_TRAINING
)

// RNNMode is the cell of a recurrent layer.
type RNNMode int32

const (
	RNNReLU RNNMode = 0 // CUDNN_RNN_RELU
	RNNTanh RNNMode = 1 // CUDNN_RNN_TANH
	LSTM    RNNMode = 2 // CUDNN_LSTM
	GRU     RNNMode = 3 // CUDNN_GRU
)

// RNNBiasMode says where a cell has biases. PyTorch has RNNDoubleBias.
type RNNBiasMode int32

const (
	RNNNoBias              RNNBiasMode = 0 // CUDNN_RNN_NO_BIAS
	RNNSingleInputBias     RNNBiasMode = 1 // CUDNN_RNN_SINGLE_INP_BIAS
	RNNDoubleBias          RNNBiasMode = 2 // CUDNN_RNN_DOUBLE_BIAS
	RNNSingleRecurrentBias RNNBiasMode = 3 // CUDNN_RNN_SINGLE_REC_BIAS
)

// DirectionMode says whether a second layer reads the sequence backwards.
type DirectionMode int32

const (
	Unidirectional DirectionMode = 0 // CUDNN_UNIDIRECTIONAL
	Bidirectional  DirectionMode = 1 // CUDNN_BIDIRECTIONAL
)

// RNNInputMode says whether the first layer has a matrix for its input.
type RNNInputMode int32

const (
	LinearInput RNNInputMode = 0 // CUDNN_LINEAR_INPUT
	SkipInput   RNNInputMode = 1 // CUDNN_SKIP_INPUT
)

// RNNDataLayout is the order of the elements of a batch of sequences.
type RNNDataLayout int32

const (
	RNNSeqMajorUnpacked   RNNDataLayout = 0 // CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_UNPACKED
	RNNSeqMajorPacked     RNNDataLayout = 1 // CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_PACKED
	RNNBatchMajorUnpacked RNNDataLayout = 2 // CUDNN_RNN_DATA_LAYOUT_BATCH_MAJOR_UNPACKED
)

// MathType says whether tensor cores may be used, and with which conversions.
type MathType int32

const (
	DefaultMath                 MathType = 0 // CUDNN_DEFAULT_MATH
	TensorOpMath                MathType = 1 // CUDNN_TENSOR_OP_MATH
	TensorOpMathAllowConversion MathType = 2 // CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION
	FMAMath                     MathType = 3 // CUDNN_FMA_MATH
)

// wgradMode says what happens to the gradients of weights; cuDNN has only adding.
type wgradMode int32

const (
	wgradAdd wgradMode = 0 // CUDNN_WGRAD_MODE_ADD
)

// auxPaddedIO lets the outputs of padded positions stand.
const auxPaddedIO = 1 // CUDNN_RNN_PADDED_IO_ENABLED

type rnnFunctions struct {
	createTensor  dl.Func `sym:"cudnnCreateTensorDescriptor"`
	destroyTensor dl.Func `sym:"cudnnDestroyTensorDescriptor"`
	setTensorNd   dl.Func `sym:"cudnnSetTensorNdDescriptor"`
	getTensorNd   dl.Func `sym:"cudnnGetTensorNdDescriptor"`

	createDropout    dl.Func `sym:"cudnnCreateDropoutDescriptor"`
	destroyDropout   dl.Func `sym:"cudnnDestroyDropoutDescriptor"`
	setDropout       dl.Func `sym:"cudnnSetDropoutDescriptor"`
	dropoutStateSize dl.Func `sym:"cudnnDropoutGetStatesSize"`

	createRNN  dl.Func `sym:"cudnnCreateRNNDescriptor"`
	destroyRNN dl.Func `sym:"cudnnDestroyRNNDescriptor"`
	setRNN     dl.Func `sym:"cudnnSetRNNDescriptor_v8"`
	clip       dl.Func `sym:"cudnnRNNSetClip_v9"`

	createData  dl.Func `sym:"cudnnCreateRNNDataDescriptor"`
	destroyData dl.Func `sym:"cudnnDestroyRNNDataDescriptor"`
	setData     dl.Func `sym:"cudnnSetRNNDataDescriptor"`

	tempSpace    dl.Func `sym:"cudnnGetRNNTempSpaceSizes"`
	weightSpace  dl.Func `sym:"cudnnGetRNNWeightSpaceSize"`
	weightParams dl.Func `sym:"cudnnGetRNNWeightParams"`

	forward         dl.Func `sym:"cudnnRNNForward"`
	backwardData    dl.Func `sym:"cudnnRNNBackwardData_v8"`
	backwardWeights dl.Func `sym:"cudnnRNNBackwardWeights_v8"`
}

// NdTensor is the tensor descriptor of the calls outside the graph API.
type NdTensor struct {
	lib *Library
	p   uintptr
}

// NewNdTensor describes a tensor of 3 to 8 dimensions. Without strides it is row-major. The caller destroys it.
func (l *Library) NewNdTensor(t DataType, dims, strides []int32) (NdTensor, error) {
	if strides == nil {
		strides = make([]int32, len(dims))
		n := int32(1)
		for i := len(dims) - 1; i >= 0; i-- {
			strides[i] = n
			n *= dims[i]
		}
	}
	if len(dims) == 0 || len(strides) != len(dims) {
		return NdTensor{}, fmt.Errorf("cudnn: tensor with dimensions %v and strides %v", dims, strides)
	}
	n := NdTensor{lib: l}
	if err := l.do(&l.rnn.createTensor, dl.Ptr(&n.p)); err != nil {
		return NdTensor{}, err
	}
	if err := l.do(&l.rnn.setTensorNd, dl.Int(n.p), dl.Int(t), dl.Int(len(dims)), dl.Ptr(&dims[0]), dl.Ptr(&strides[0])); err != nil {
		n.Destroy()
		return NdTensor{}, err
	}
	return n, nil
}

// dims returns the dimensions, up to four.
func (n NdTensor) dims() ([]int32, error) {
	var t DataType
	var rank int32
	var dims, strides [4]int32
	err := n.lib.do(&n.lib.rnn.getTensorNd, dl.Int(n.p), dl.Int(len(dims)), dl.Ptr(&t), dl.Ptr(&rank), dl.Ptr(&dims[0]), dl.Ptr(&strides[0]))
	return dims[:min(max(rank, 0), 4)], err
}

// Destroy frees the descriptor.
func (n NdTensor) Destroy() {
	if n.p != 0 {
		dl.Call(n.lib.rnn.destroyTensor.Addr, dl.Int(n.p))
	}
}

// Dropout is what recurrent layers need to drop activations between each other.
type Dropout struct {
	lib *Library
	p   uintptr
}

// DropoutStateSize returns how many bytes of device memory the states of a [Dropout] take.
func (h Handle) DropoutStateSize() (uint64, error) {
	var n uint64
	err := h.lib.do(&h.lib.rnn.dropoutStateSize, h.arg(), dl.Ptr(&n))
	return n, err
}

// NewDropout fills the states, size bytes of device memory that must live as long, from the seed. p is the probability of
// dropping. The caller destroys it.
func (h Handle) NewDropout(p float32, states, size, seed uint64) (Dropout, error) {
	d := Dropout{lib: h.lib}
	if err := h.lib.do(&h.lib.rnn.createDropout, dl.Ptr(&d.p)); err != nil {
		return Dropout{}, err
	}
	err := h.lib.doFloat(&h.lib.rnn.setDropout, []dl.Float{dl.Float32(p)}, dl.Int(d.p), h.arg(), dl.Int(states), dl.Int(size), dl.Int(seed))
	if err != nil {
		d.Destroy()
		return Dropout{}, err
	}
	return d, nil
}

// Destroy frees the descriptor.
func (d Dropout) Destroy() {
	if d.p != 0 {
		dl.Call(d.lib.rnn.destroyDropout.Addr, dl.Int(d.p))
	}
}

// RNNConfig describes a stack of recurrent layers.
type RNNConfig struct {
	Algo      RNNAlgo
	Cell      RNNMode
	Bias      RNNBiasMode
	Direction DirectionMode
	Input     RNNInputMode
	Type      DataType // of the data and the weights
	Compute   DataType // Float32 for halves
	Math      MathType

	InputSize, HiddenSize int
	ProjectionSize        int // of an LSTM's recurrent state; 0: HiddenSize
	Layers                int
	Dropout               Dropout // between layers; the zero value: none
	PaddedIO              bool    // sequences are padded in memory: the unpacked layouts
}

// RNN is a stack of recurrent layers.
type RNN struct {
	lib *Library
	p   uintptr
}

// NewRNN makes the descriptor of recurrent layers. The caller destroys it.
func (l *Library) NewRNN(c RNNConfig) (RNN, error) {
	if c.ProjectionSize == 0 {
		c.ProjectionSize = c.HiddenSize
	}
	flags := 0
	if c.PaddedIO {
		flags = auxPaddedIO
	}
	r := RNN{lib: l}
	if err := l.do(&l.rnn.createRNN, dl.Ptr(&r.p)); err != nil {
		return RNN{}, err
	}
	err := l.do(&l.rnn.setRNN, dl.Int(r.p), dl.Int(c.Algo), dl.Int(c.Cell), dl.Int(c.Bias), dl.Int(c.Direction), dl.Int(c.Input),
		dl.Int(c.Type), dl.Int(c.Compute), dl.Int(c.Math), dl.Int(c.InputSize), dl.Int(c.HiddenSize), dl.Int(c.ProjectionSize),
		dl.Int(c.Layers), dl.Int(c.Dropout.p), dl.Int(flags))
	if err != nil {
		r.Destroy()
		return RNN{}, err
	}
	return r, nil
}

// Clip bounds the cell state of an LSTM.
func (r RNN) Clip(low, high float64) error {
	const minmax = 1
	return r.lib.doFloat(&r.lib.rnn.clip, []dl.Float{dl.Float64(low), dl.Float64(high)}, dl.Int(r.p), dl.Int(minmax))
}

// Destroy frees the descriptor.
func (r RNN) Destroy() {
	if r.p != 0 {
		dl.Call(r.lib.rnn.destroyRNN.Addr, dl.Int(r.p))
	}
}

// WeightSize returns how many bytes all weights and biases take.
func (r RNN) WeightSize(h Handle) (uint64, error) {
	var n uint64
	err := r.lib.do(&r.lib.rnn.weightSpace, h.arg(), dl.Int(r.p), dl.Ptr(&n))
	return n, err
}

// SpaceSizes returns how many bytes of workspace a pass takes, and of reserve, which the forward pass in training fills for
// the backward ones.
func (r RNN) SpaceSizes(h Handle, mode ForwardMode, x RNNData) (workspace, reserve uint64, err error) {
	err = r.lib.do(&r.lib.rnn.tempSpace, h.arg(), dl.Int(r.p), dl.Int(mode), dl.Int(x.p), dl.Ptr(&workspace), dl.Ptr(&reserve))
	return workspace, reserve, err
}

// WeightParam is one matrix or one bias within the weights.
type WeightParam struct {
	Address uint64  // 0: the cell has none
	Dims    []int32 // 1, rows, columns
}

// WeightParams finds the matrix and the bias of one linear layer within the weights at an address. pseudoLayer is the
// layer, or 2·layer + direction if there are two directions. linear numbers the layers of a cell: those of the input
// first, then as many recurrent ones. An LSTM has input, forget, cell and output, a GRU reset, update and new, an LSTM
// with projection a ninth.
func (r RNN) WeightParams(h Handle, pseudoLayer, linear int, weights, size uint64) (matrix, bias WeightParam, err error) {
	var desc [2]NdTensor
	for i := range desc {
		desc[i].lib = r.lib
		if err := r.lib.do(&r.lib.rnn.createTensor, dl.Ptr(&desc[i].p)); err != nil {
			return WeightParam{}, WeightParam{}, err
		}
		defer desc[i].Destroy()
	}
	err = r.lib.do(&r.lib.rnn.weightParams, h.arg(), dl.Int(r.p), dl.Int(pseudoLayer), dl.Int(size), dl.Int(weights), dl.Int(linear),
		dl.Int(desc[0].p), dl.Ptr(&matrix.Address), dl.Int(desc[1].p), dl.Ptr(&bias.Address))
	for i, w := range []*WeightParam{&matrix, &bias} {
		if err == nil && w.Address != 0 {
			w.Dims, err = desc[i].dims()
		}
	}
	return matrix, bias, err
}

// RNNData describes a batch of sequences.
type RNNData struct {
	lib *Library
	p   uintptr
}

// NewRNNData describes a batch of len(lengths) sequences of vectors. Their lengths are on the host, and copied; packed
// layouts want them in descending order. The caller destroys it.
func (l *Library) NewRNNData(t DataType, layout RNNDataLayout, maxLength, vectorSize int, lengths []int32) (RNNData, error) {
	if len(lengths) == 0 {
		return RNNData{}, fmt.Errorf("cudnn: a batch without sequences")
	}
	d := RNNData{lib: l}
	if err := l.do(&l.rnn.createData, dl.Ptr(&d.p)); err != nil {
		return RNNData{}, err
	}
	err := l.do(&l.rnn.setData, dl.Int(d.p), dl.Int(t), dl.Int(layout), dl.Int(maxLength), dl.Int(len(lengths)), dl.Int(vectorSize),
		dl.Ptr(&lengths[0]), dl.Arg{})
	if err != nil {
		d.Destroy()
		return RNNData{}, err
	}
	return d, nil
}

// Destroy frees the descriptor.
func (d RNNData) Destroy() {
	if d.p != 0 {
		dl.Call(d.lib.rnn.destroyData.Addr, dl.Int(d.p))
	}
}

// RNNPass holds what the passes over a batch work on. Addresses are on the device; optional ones may be 0: an initial state
// is then zero, and a final state or gradient is not written. A pass uses the fields that its method names.
type RNNPass struct {
	X, Y RNNData
	H, C NdTensor // (layers·directions, batch, projection size) and (…, hidden size); C for an LSTM only

	Lengths                    uint64 // int32 lengths of the sequences; 0: those of X
	XData, YData               uint64
	HX, HY, CX, CY             uint64 // initial and final states
	DX, DY, DHX, DHY, DCX, DCY uint64 // gradients of all these
	Weights, DWeights          uint64
	WeightSize                 uint64
	Workspace, WorkspaceSize   uint64
	Reserve, ReserveSize       uint64
}

// Forward reads XData, HX, CX and Weights, writes YData, HY and CY, and in training Reserve.
func (r RNN) Forward(h Handle, mode ForwardMode, p *RNNPass) error {
	return r.lib.do(&r.lib.rnn.forward, h.arg(), dl.Int(r.p), dl.Int(mode), dl.Int(p.Lengths),
		dl.Int(p.X.p), dl.Int(p.XData), dl.Int(p.Y.p), dl.Int(p.YData),
		dl.Int(p.H.p), dl.Int(p.HX), dl.Int(p.HY), dl.Int(p.C.p), dl.Int(p.CX), dl.Int(p.CY),
		dl.Int(p.WeightSize), dl.Int(p.Weights), dl.Int(p.WorkspaceSize), dl.Int(p.Workspace), dl.Int(p.ReserveSize), dl.Int(p.Reserve))
}

// BackwardData reads YData, DY, HX, DHY, CX, DCY, Weights and Reserve, and writes DX, DHX, DCX and Reserve.
func (r RNN) BackwardData(h Handle, p *RNNPass) error {
	return r.lib.do(&r.lib.rnn.backwardData, h.arg(), dl.Int(r.p), dl.Int(p.Lengths),
		dl.Int(p.Y.p), dl.Int(p.YData), dl.Int(p.DY), dl.Int(p.X.p), dl.Int(p.DX),
		dl.Int(p.H.p), dl.Int(p.HX), dl.Int(p.DHY), dl.Int(p.DHX), dl.Int(p.C.p), dl.Int(p.CX), dl.Int(p.DCY), dl.Int(p.DCX),
		dl.Int(p.WeightSize), dl.Int(p.Weights), dl.Int(p.WorkspaceSize), dl.Int(p.Workspace), dl.Int(p.ReserveSize), dl.Int(p.Reserve))
}

// BackwardWeights reads XData, HX, YData and Reserve, as BackwardData left it, and adds to DWeights.
func (r RNN) BackwardWeights(h Handle, p *RNNPass) error {
	return r.lib.do(&r.lib.rnn.backwardWeights, h.arg(), dl.Int(r.p), dl.Int(wgradAdd), dl.Int(p.Lengths),
		dl.Int(p.X.p), dl.Int(p.XData), dl.Int(p.H.p), dl.Int(p.HX), dl.Int(p.Y.p), dl.Int(p.YData),
		dl.Int(p.WeightSize), dl.Int(p.DWeights), dl.Int(p.WorkspaceSize), dl.Int(p.Workspace), dl.Int(p.ReserveSize), dl.Int(p.Reserve))
}
