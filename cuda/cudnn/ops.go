package cudnn

// Conv says how a filter moves over images. In all three operations the tensors are x (N, C, H, W), w (K, C/groups, R, S)
// and y (N, K, P, Q), with one to three spatial dimensions; the number of groups follows from their channels.
type Conv struct {
	Compute  DataType // of the sums: Float32 for halves
	Pad      []int64  // before each spatial dimension; its length is their number
	PadAfter []int64  // nil: as Pad
	Stride   []int64  // nil: ones
	Dilation []int64  // nil: ones
	Mirror   bool     // the filter, as a convolution in mathematics does; deep learning does not
}

// ConvForward adds y = x * w.
func (g *Graph) ConvForward(c Conv, x, w, y Descriptor) {
	g.Op("ConvForward", OperationConvolutionForwardDescriptor,
		Set(AttrOperationConvolutionForwardConvDesc, g.convolution("ConvForward", c)),
		Set(AttrOperationConvolutionForwardX, x),
		Set(AttrOperationConvolutionForwardW, w),
		Set(AttrOperationConvolutionForwardY, y),
		factor(c.Compute, AttrOperationConvolutionForwardAlpha, 1),
		factor(c.Compute, AttrOperationConvolutionForwardBeta, 0))
}

// ConvBackwardData adds dx, the gradient of x, from that of y.
func (g *Graph) ConvBackwardData(c Conv, dy, w, dx Descriptor) {
	g.Op("ConvBackwardData", OperationConvolutionBackwardDataDescriptor,
		Set(AttrOperationConvolutionBwdDataConvDesc, g.convolution("ConvBackwardData", c)),
		Set(AttrOperationConvolutionBwdDataDY, dy),
		Set(AttrOperationConvolutionBwdDataW, w),
		Set(AttrOperationConvolutionBwdDataDX, dx),
		factor(c.Compute, AttrOperationConvolutionBwdDataAlpha, 1),
		factor(c.Compute, AttrOperationConvolutionBwdDataBeta, 0))
}

// ConvBackwardFilter adds dw, the gradient of w, from that of y.
func (g *Graph) ConvBackwardFilter(c Conv, x, dy, dw Descriptor) {
	g.Op("ConvBackwardFilter", OperationConvolutionBackwardFilterDescriptor,
		Set(AttrOperationConvolutionBwdFilterConvDesc, g.convolution("ConvBackwardFilter", c)),
		Set(AttrOperationConvolutionBwdFilterX, x),
		Set(AttrOperationConvolutionBwdFilterDY, dy),
		Set(AttrOperationConvolutionBwdFilterDW, dw),
		factor(c.Compute, AttrOperationConvolutionBwdFilterAlpha, 1),
		factor(c.Compute, AttrOperationConvolutionBwdFilterBeta, 0))
}

func (g *Graph) convolution(name string, c Conv) Descriptor {
	mode, dims := CrossCorrelation, len(c.Pad)
	if c.Mirror {
		mode = Convolution
	}
	if c.PadAfter == nil {
		c.PadAfter = c.Pad
	}
	return g.make(name, ConvolutionDescriptor,
		Set(AttrConvolutionCompType, c.Compute),
		Set(AttrConvolutionConvMode, mode),
		Set(AttrConvolutionSpatialDims, int64(dims)),
		Set(AttrConvolutionPrePaddings, c.Pad...),
		Set(AttrConvolutionPostPaddings, c.PadAfter...),
		Set(AttrConvolutionFilterStrides, orOnes(c.Stride, dims)...),
		Set(AttrConvolutionDilations, orOnes(c.Dilation, dims)...))
}

func orOnes(v []int64, n int) []int64 {
	if v != nil {
		return v
	}
	v = make([]int64, n)
	for i := range v {
		v[i] = 1
	}
	return v
}

// factor sets alpha or beta, which are doubles where the computation is in doubles.
func factor(compute DataType, name Attribute, v float32) Setting {
	if compute == Float64 {
		return Set(name, float64(v))
	}
	return Set(name, v)
}

// given sets an operand unless it is the zero Descriptor.
func given(name Attribute, d Descriptor) Setting {
	if d == (Descriptor{}) {
		return func(Descriptor) error { return nil }
	}
	return Set(name, d)
}

// Pointwise works element by element; operands are broadcast. Which of them an operation has follows from its mode.
type Pointwise struct {
	Mode    PointwiseMode
	Compute DataType

	X, B, Y   Descriptor // Y = Mode(X) or Mode(X, B)
	Condition Descriptor // BinarySelect: Y = Condition ? X : B
	DY, DX    Descriptor // modes that end in Bwd: DX = DY times the derivative at X

	Axis     int64     // GenIndex: the dimension whose index is written
	Settings []Setting // more attributes of the mode: clips, slopes, alpha, beta
}

// Pointwise adds an operation on elements.
func (g *Graph) Pointwise(p Pointwise) {
	settings := append([]Setting{Set(AttrPointwiseMode, p.Mode), Set(AttrPointwiseMathPrec, p.Compute)}, p.Settings...)
	if p.Mode == GenIndex {
		settings = append(settings, Set(AttrPointwiseAxis, p.Axis))
	}
	g.Op("Pointwise", OperationPointwiseDescriptor,
		Set(AttrOperationPointwisePWDescriptor, g.make("Pointwise", PointwiseDescriptor, settings...)),
		given(AttrOperationPointwiseXDesc, p.X),
		given(AttrOperationPointwiseBDesc, p.B),
		given(AttrOperationPointwiseTDesc, p.Condition),
		given(AttrOperationPointwiseYDesc, p.Y),
		given(AttrOperationPointwiseDYDesc, p.DY),
		given(AttrOperationPointwiseDXDesc, p.DX))
}

// Reduction reduces every dimension that is 1 in Y and larger in X.
type Reduction struct {
	Op            ReduceOp
	Compute       DataType
	Deterministic bool // cuDNN 9.11 and later; an error before
	X, Y          Descriptor
}

// Reduction adds a reduction.
func (g *Graph) Reduction(r Reduction) {
	settings := []Setting{Set(AttrReductionOperator, r.Op), Set(AttrReductionCompType, r.Compute)}
	if r.Deterministic {
		settings = append(settings, Set(AttrReductionIsDeterministic, true))
	}
	g.Op("Reduction", OperationReductionDescriptor,
		Set(AttrOperationReductionDesc, g.make("Reduction", ReductionDescriptor, settings...)),
		Set(AttrOperationReductionXDesc, r.X),
		Set(AttrOperationReductionYDesc, r.Y))
}

// Matmul adds c = a·b for matrices in the last two dimensions: (batch…, M, K)·(batch…, K, N). A transposed operand is
// told by its strides.
func (g *Graph) Matmul(compute DataType, a, b, c Descriptor) {
	g.Op("Matmul", OperationMatmulDescriptor,
		Set(AttrOperationMatmulDesc, g.make("Matmul", MatmulDescriptor, Set(AttrMatmulCompType, compute))),
		Set(AttrOperationMatmulADesc, a),
		Set(AttrOperationMatmulBDesc, b),
		Set(AttrOperationMatmulCDesc, c))
}

// Reshape adds y, the elements of x with other dimensions or strides.
func (g *Graph) Reshape(x, y Descriptor) {
	g.Op("Reshape", OperationReshapeDescriptor,
		Set(AttrOperationReshapeXDesc, x),
		Set(AttrOperationReshapeYDesc, y))
}

// NormForward normalises X, of shape (N, C, …): (X - mean)·invstd·Scale + Bias. Scale, Bias and statistics have X's rank,
// with 1 where they are broadcast.
//
// Mean and InvVariance, which is 1/sqrt(variance + Epsilon), are results in training and inputs in inference. The running
// statistics are optional; Next… = (1 - Momentum)·Running… + Momentum·batch, in a memory of its own or the same. Epsilon
// and Momentum are tensors of one element by value.
type NormForward struct {
	Mode                            NormMode
	Phase                           NormPhase
	X, Scale, Bias, Epsilon, Y      Descriptor
	Mean, InvVariance               Descriptor
	RunningMean, RunningVariance    Descriptor
	NextRunningMean, NextRunningVar Descriptor
	Momentum                        Descriptor
}

// NormForward adds a normalisation.
func (g *Graph) NormForward(n NormForward) {
	g.Op("NormForward", OperationNormForwardDescriptor,
		Set(AttrOperationNormFwdMode, n.Mode),
		Set(AttrOperationNormFwdPhase, n.Phase),
		Set(AttrOperationNormFwdXDesc, n.X),
		given(AttrOperationNormFwdMeanDesc, n.Mean),
		given(AttrOperationNormFwdInvVarianceDesc, n.InvVariance),
		given(AttrOperationNormFwdScaleDesc, n.Scale),
		given(AttrOperationNormFwdBiasDesc, n.Bias),
		given(AttrOperationNormFwdEpsilonDesc, n.Epsilon),
		given(AttrOperationNormFwdExpAvgFactorDesc, n.Momentum),
		given(AttrOperationNormFwdInputRunningMeanDesc, n.RunningMean),
		given(AttrOperationNormFwdInputRunningVarDesc, n.RunningVariance),
		given(AttrOperationNormFwdOutputRunningMeanDesc, n.NextRunningMean),
		given(AttrOperationNormFwdOutputRunningVarDesc, n.NextRunningVar),
		Set(AttrOperationNormFwdYDesc, n.Y))
}

// NormBackward takes the gradient DY of a normalisation's result to those of its input, scale and bias.
type NormBackward struct {
	Mode                  NormMode
	X, DY, Scale, Epsilon Descriptor
	Mean, InvVariance     Descriptor // as the forward pass in training wrote them
	DX, DScale, DBias     Descriptor
}

// NormBackward adds the gradient of a normalisation.
func (g *Graph) NormBackward(n NormBackward) {
	g.Op("NormBackward", OperationNormBackwardDescriptor,
		Set(AttrOperationNormBwdMode, n.Mode),
		Set(AttrOperationNormBwdXDesc, n.X),
		given(AttrOperationNormBwdMeanDesc, n.Mean),
		given(AttrOperationNormBwdInvVarianceDesc, n.InvVariance),
		Set(AttrOperationNormBwdDYDesc, n.DY),
		given(AttrOperationNormBwdScaleDesc, n.Scale),
		given(AttrOperationNormBwdEpsilonDesc, n.Epsilon),
		given(AttrOperationNormBwdDScaleDesc, n.DScale),
		given(AttrOperationNormBwdDBiasDesc, n.DBias),
		Set(AttrOperationNormBwdDXDesc, n.DX))
}
