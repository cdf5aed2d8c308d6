package cudnn

import "github.com/descent-ml/descent/cuda/internal/dl"

// CTCGradMode says what becomes of gradients beyond the end of a sequence.
type CTCGradMode int32

const (
	CTCZeroOOBGradients CTCGradMode = 0 // CUDNN_CTC_ZERO_OOB_GRADIENTS
	CTCSkipOOBGradients CTCGradMode = 1 // CUDNN_CTC_SKIP_OOB_GRADIENTS
)

// LossNormalization says whether the input of the loss still needs a softmax.
type LossNormalization int32

const (
	LossNormalizationNone    LossNormalization = 0 // CUDNN_LOSS_NORMALIZATION_NONE
	LossNormalizationSoftmax LossNormalization = 1 // CUDNN_LOSS_NORMALIZATION_SOFTMAX
)

// CTCLossAlgo is how the loss is computed.
type CTCLossAlgo int32

const (
	CTCLossAlgoDeterministic    CTCLossAlgo = 0 // CUDNN_CTC_LOSS_ALGO_DETERMINISTIC
	CTCLossAlgoNonDeterministic CTCLossAlgo = 1 // CUDNN_CTC_LOSS_ALGO_NON_DETERMINISTIC
)

type ctcFunctions struct {
	createCTC  dl.Func `sym:"cudnnCreateCTCLossDescriptor"`
	destroyCTC dl.Func `sym:"cudnnDestroyCTCLossDescriptor"`
	setCTC     dl.Func `sym:"cudnnSetCTCLossDescriptor_v9"`
	workspace  dl.Func `sym:"cudnnGetCTCLossWorkspaceSize_v8"`
	loss       dl.Func `sym:"cudnnCTCLoss_v8"`
}

// CTCConfig describes a CTC loss.
type CTCConfig struct {
	Type           DataType // Float32
	Normalization  LossNormalization
	Grad           CTCGradMode
	MaxLabelLength int
}

// CTC is a connectionist temporal classification loss. Label 0 is the blank.
type CTC struct {
	lib *Library
	p   uintptr
}

// NewCTC makes the descriptor of a loss. The caller destroys it.
func (l *Library) NewCTC(c CTCConfig) (CTC, error) {
	d := CTC{lib: l}
	if err := l.do(&l.ctc.createCTC, dl.Ptr(&d.p)); err != nil {
		return CTC{}, err
	}
	err := l.do(&l.ctc.setCTC, dl.Int(d.p), dl.Int(c.Type), dl.Int(c.Normalization), dl.Int(c.Grad), dl.Int(c.MaxLabelLength))
	if err != nil {
		d.Destroy()
		return CTC{}, err
	}
	return d, nil
}

// Destroy frees the descriptor.
func (c CTC) Destroy() {
	if c.p != 0 {
		dl.Call(c.lib.ctc.destroyCTC.Addr, dl.Int(c.p))
	}
}

// CTCPass holds what a loss works on. Addresses are on the device.
type CTCPass struct {
	Algo             CTCLossAlgo
	Probs, Gradients NdTensor // (time, batch, alphabet); Gradients may be zero if they are not wanted

	ProbsData     uint64
	Labels        uint64 // int32, one sequence after another
	LabelLengths  uint64 // int32, one a sequence
	InputLengths  uint64 // int32, one a sequence
	Costs         uint64 // result: one a sequence
	GradientsData uint64 // result; 0: not wanted
	Workspace     uint64
	WorkspaceSize uint64
}

// WorkspaceSize returns how many bytes Loss needs.
func (c CTC) WorkspaceSize(h Handle, p *CTCPass) (uint64, error) {
	var n uint64
	err := c.lib.do(&c.lib.ctc.workspace, h.arg(), dl.Int(p.Algo), dl.Int(c.p), dl.Int(p.Probs.p), dl.Int(p.Gradients.p), dl.Ptr(&n))
	return n, err
}

// Loss computes costs and gradients. The lengths are read on the device, so that it can be captured in a graph.
func (c CTC) Loss(h Handle, p *CTCPass) error {
	return c.lib.do(&c.lib.ctc.loss, h.arg(), dl.Int(p.Algo), dl.Int(c.p), dl.Int(p.Probs.p), dl.Int(p.ProbsData),
		dl.Int(p.Labels), dl.Int(p.LabelLengths), dl.Int(p.InputLengths), dl.Int(p.Costs),
		dl.Int(p.Gradients.p), dl.Int(p.GradientsData), dl.Int(p.WorkspaceSize), dl.Int(p.Workspace))
}
