package cudnn

// DataType is the type of the elements of a tensor, or that of a computation.
type DataType int32

const (
	Float32     DataType = 0  // CUDNN_DATA_FLOAT
	Float64     DataType = 1  // CUDNN_DATA_DOUBLE
	Float16     DataType = 2  // CUDNN_DATA_HALF
	Int8        DataType = 3  // CUDNN_DATA_INT8
	Int32       DataType = 4  // CUDNN_DATA_INT32
	UInt8       DataType = 6  // CUDNN_DATA_UINT8
	BFloat16    DataType = 9  // CUDNN_DATA_BFLOAT16
	Int64       DataType = 10 // CUDNN_DATA_INT64
	Boolean     DataType = 11 // CUDNN_DATA_BOOLEAN
	FP8E4M3     DataType = 12 // CUDNN_DATA_FP8_E4M3
	FP8E5M2     DataType = 13 // CUDNN_DATA_FP8_E5M2
	FP8E8M0     DataType = 15 // CUDNN_DATA_FP8_E8M0
	FP4E2M1     DataType = 16 // CUDNN_DATA_FP4_E2M1
	Int4        DataType = 17 // CUDNN_DATA_INT4
	UInt4       DataType = 18 // CUDNN_DATA_UINT4
	UInt32      DataType = 19 // CUDNN_DATA_UINT32
	ByteBoolean DataType = 22 // CUDNN_DATA_BYTE_BOOLEAN
	FP8E5M3     DataType = 23 // CUDNN_DATA_FP8_E5M3
)

// HeurMode is a way to rank engines.
type HeurMode int32

const (
	HeurInstant  HeurMode = 0 // CUDNN_HEUR_MODE_INSTANT
	HeurB        HeurMode = 1 // CUDNN_HEUR_MODE_B
	HeurFallback HeurMode = 2 // CUDNN_HEUR_MODE_FALLBACK
	HeurA        HeurMode = 3 // CUDNN_HEUR_MODE_A
)

// NumericalNote says what an engine does to the numbers.
type NumericalNote int32

const (
	NoteTensorCore                NumericalNote = 0 // CUDNN_NUMERICAL_NOTE_TENSOR_CORE
	NoteDownConvertInputs         NumericalNote = 1 // CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS
	NoteReducedPrecisionReduction NumericalNote = 2 // CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION
	NoteFFT                       NumericalNote = 3 // CUDNN_NUMERICAL_NOTE_FFT
	NoteNondeterministic          NumericalNote = 4 // CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC
	NoteWinograd                  NumericalNote = 5 // CUDNN_NUMERICAL_NOTE_WINOGRAD
	NoteWinogradTile4x4           NumericalNote = 6 // CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4
	NoteWinogradTile6x6           NumericalNote = 7 // CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6
	NoteWinogradTile13x13         NumericalNote = 8 // CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13
	NoteStrictNaNProp             NumericalNote = 9 // CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP
)

// BehaviorNote says what an engine needs or does at run time.
type BehaviorNote int32

const (
	NoteRuntimeCompilation           BehaviorNote = 0 // CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION
	NoteRequiresFilterInt8x32Reorder BehaviorNote = 1 // CUDNN_BEHAVIOR_NOTE_REQUIRES_FILTER_INT8x32_REORDER
	NoteRequiresBiasInt8x32Reorder   BehaviorNote = 2 // CUDNN_BEHAVIOR_NOTE_REQUIRES_BIAS_INT8x32_REORDER
	NoteSupportsCUDAGraphNativeAPI   BehaviorNote = 3 // CUDNN_BEHAVIOR_NOTE_SUPPORTS_CUDA_GRAPH_NATIVE_API
	NoteCublasLtDependency           BehaviorNote = 4 // CUDNN_BEHAVIOR_NOTE_CUBLASLT_DEPENDENCY
)

// KnobType is a setting of an engine.
type KnobType int32

const (
	KnobSwizzle            KnobType = 1  // CUDNN_KNOB_TYPE_SWIZZLE
	KnobTileSize           KnobType = 2  // CUDNN_KNOB_TYPE_TILE_SIZE
	KnobEdge               KnobType = 4  // CUDNN_KNOB_TYPE_EDGE
	KnobMultiply           KnobType = 11 // CUDNN_KNOB_TYPE_MULTIPLY
	KnobSplitKBuf          KnobType = 12 // CUDNN_KNOB_TYPE_SPLIT_K_BUF
	KnobTileK              KnobType = 13 // CUDNN_KNOB_TYPE_TILEK
	KnobStages             KnobType = 14 // CUDNN_KNOB_TYPE_STAGES
	KnobReductionMode      KnobType = 15 // CUDNN_KNOB_TYPE_REDUCTION_MODE
	KnobSplitKSLC          KnobType = 17 // CUDNN_KNOB_TYPE_SPLIT_K_SLC
	KnobIdxMode            KnobType = 18 // CUDNN_KNOB_TYPE_IDX_MODE
	KnobSpecFilt           KnobType = 23 // CUDNN_KNOB_TYPE_SPECFILT
	KnobKernelConfig       KnobType = 24 // CUDNN_KNOB_TYPE_KERNEL_CFG
	KnobWorkspace          KnobType = 25 // CUDNN_KNOB_TYPE_WORKSPACE
	KnobTileCGAM           KnobType = 27 // CUDNN_KNOB_TYPE_TILE_CGA_M
	KnobTileCGAN           KnobType = 28 // CUDNN_KNOB_TYPE_TILE_CGA_N
	KnobBlockSize          KnobType = 29 // CUDNN_KNOB_TYPE_BLOCK_SIZE
	KnobOccupancy          KnobType = 30 // CUDNN_KNOB_TYPE_OCCUPANCY
	KnobArraySizePerThread KnobType = 31 // CUDNN_KNOB_TYPE_ARRAY_SIZE_PER_THREAD
	KnobSplitCols          KnobType = 33 // CUDNN_KNOB_TYPE_SPLIT_COLS
	KnobTileRows           KnobType = 34 // CUDNN_KNOB_TYPE_TILE_ROWS
	KnobTileCols           KnobType = 35 // CUDNN_KNOB_TYPE_TILE_COLS
	KnobLoadSize           KnobType = 36 // CUDNN_KNOB_TYPE_LOAD_SIZE
	KnobCTACount           KnobType = 37 // CUDNN_KNOB_TYPE_CTA_COUNT
	KnobStreamK            KnobType = 38 // CUDNN_KNOB_TYPE_STREAM_K
	KnobSplitPSLC          KnobType = 39 // CUDNN_KNOB_TYPE_SPLIT_P_SLC
	KnobTileM              KnobType = 40 // CUDNN_KNOB_TYPE_TILE_M
	KnobTileN              KnobType = 41 // CUDNN_KNOB_TYPE_TILE_N
	KnobWarpSpecConfig     KnobType = 42 // CUDNN_KNOB_TYPE_WARP_SPEC_CFG
	KnobSwapAB             KnobType = 43 // CUDNN_KNOB_TYPE_SWAP_AB
	KnobInputTMAEnable     KnobType = 44 // CUDNN_KNOB_TYPE_INPUT_TMA_ENABLE
	KnobOutputTMAEnable    KnobType = 45 // CUDNN_KNOB_TYPE_OUTPUT_TMA_ENABLE
)

// ConvolutionMode says whether the filter is mirrored. Deep learning means CrossCorrelation.
type ConvolutionMode int32

const (
	Convolution      ConvolutionMode = 0 // CUDNN_CONVOLUTION
	CrossCorrelation ConvolutionMode = 1 // CUDNN_CROSS_CORRELATION
)

// PointwiseMode is an operation that works on one element at a time.
type PointwiseMode int32

const (
	Add               PointwiseMode = 0   // CUDNN_POINTWISE_ADD
	AddSquare         PointwiseMode = 5   // CUDNN_POINTWISE_ADD_SQUARE
	Div               PointwiseMode = 6   // CUDNN_POINTWISE_DIV
	Max               PointwiseMode = 3   // CUDNN_POINTWISE_MAX
	Min               PointwiseMode = 2   // CUDNN_POINTWISE_MIN
	Mod               PointwiseMode = 7   // CUDNN_POINTWISE_MOD
	Mul               PointwiseMode = 1   // CUDNN_POINTWISE_MUL
	Pow               PointwiseMode = 8   // CUDNN_POINTWISE_POW
	Sub               PointwiseMode = 9   // CUDNN_POINTWISE_SUB
	Abs               PointwiseMode = 10  // CUDNN_POINTWISE_ABS
	Ceil              PointwiseMode = 11  // CUDNN_POINTWISE_CEIL
	Cos               PointwiseMode = 12  // CUDNN_POINTWISE_COS
	Exp               PointwiseMode = 13  // CUDNN_POINTWISE_EXP
	Floor             PointwiseMode = 14  // CUDNN_POINTWISE_FLOOR
	Log               PointwiseMode = 15  // CUDNN_POINTWISE_LOG
	Neg               PointwiseMode = 16  // CUDNN_POINTWISE_NEG
	RSqrt             PointwiseMode = 17  // CUDNN_POINTWISE_RSQRT
	Sin               PointwiseMode = 18  // CUDNN_POINTWISE_SIN
	Sqrt              PointwiseMode = 4   // CUDNN_POINTWISE_SQRT
	Tan               PointwiseMode = 19  // CUDNN_POINTWISE_TAN
	Erf               PointwiseMode = 20  // CUDNN_POINTWISE_ERF
	Identity          PointwiseMode = 21  // CUDNN_POINTWISE_IDENTITY
	Reciprocal        PointwiseMode = 22  // CUDNN_POINTWISE_RECIPROCAL
	Atan2             PointwiseMode = 23  // CUDNN_POINTWISE_ATAN2
	ReLUFwd           PointwiseMode = 100 // CUDNN_POINTWISE_RELU_FWD
	TanhFwd           PointwiseMode = 101 // CUDNN_POINTWISE_TANH_FWD
	SigmoidFwd        PointwiseMode = 102 // CUDNN_POINTWISE_SIGMOID_FWD
	ELUFwd            PointwiseMode = 103 // CUDNN_POINTWISE_ELU_FWD
	GELUFwd           PointwiseMode = 104 // CUDNN_POINTWISE_GELU_FWD
	SoftplusFwd       PointwiseMode = 105 // CUDNN_POINTWISE_SOFTPLUS_FWD
	SwishFwd          PointwiseMode = 106 // CUDNN_POINTWISE_SWISH_FWD
	GELUApproxTanhFwd PointwiseMode = 107 // CUDNN_POINTWISE_GELU_APPROX_TANH_FWD
	ReLUBwd           PointwiseMode = 200 // CUDNN_POINTWISE_RELU_BWD
	TanhBwd           PointwiseMode = 201 // CUDNN_POINTWISE_TANH_BWD
	SigmoidBwd        PointwiseMode = 202 // CUDNN_POINTWISE_SIGMOID_BWD
	ELUBwd            PointwiseMode = 203 // CUDNN_POINTWISE_ELU_BWD
	GELUBwd           PointwiseMode = 204 // CUDNN_POINTWISE_GELU_BWD
	SoftplusBwd       PointwiseMode = 205 // CUDNN_POINTWISE_SOFTPLUS_BWD
	SwishBwd          PointwiseMode = 206 // CUDNN_POINTWISE_SWISH_BWD
	GELUApproxTanhBwd PointwiseMode = 207 // CUDNN_POINTWISE_GELU_APPROX_TANH_BWD
	CmpEq             PointwiseMode = 300 // CUDNN_POINTWISE_CMP_EQ
	CmpNe             PointwiseMode = 301 // CUDNN_POINTWISE_CMP_NEQ
	CmpGt             PointwiseMode = 302 // CUDNN_POINTWISE_CMP_GT
	CmpGe             PointwiseMode = 303 // CUDNN_POINTWISE_CMP_GE
	CmpLt             PointwiseMode = 304 // CUDNN_POINTWISE_CMP_LT
	CmpLe             PointwiseMode = 305 // CUDNN_POINTWISE_CMP_LE
	LogicalAnd        PointwiseMode = 400 // CUDNN_POINTWISE_LOGICAL_AND
	LogicalOr         PointwiseMode = 401 // CUDNN_POINTWISE_LOGICAL_OR
	LogicalNot        PointwiseMode = 402 // CUDNN_POINTWISE_LOGICAL_NOT
	GenIndex          PointwiseMode = 501 // CUDNN_POINTWISE_GEN_INDEX
	BinarySelect      PointwiseMode = 601 // CUDNN_POINTWISE_BINARY_SELECT
)

// ReduceOp is what a reduction does with the elements.
type ReduceOp int32

const (
	ReduceAdd        ReduceOp = 0 // CUDNN_REDUCE_TENSOR_ADD
	ReduceMul        ReduceOp = 1 // CUDNN_REDUCE_TENSOR_MUL
	ReduceMin        ReduceOp = 2 // CUDNN_REDUCE_TENSOR_MIN
	ReduceMax        ReduceOp = 3 // CUDNN_REDUCE_TENSOR_MAX
	ReduceAmax       ReduceOp = 4 // CUDNN_REDUCE_TENSOR_AMAX
	ReduceAvg        ReduceOp = 5 // CUDNN_REDUCE_TENSOR_AVG
	ReduceNorm1      ReduceOp = 6 // CUDNN_REDUCE_TENSOR_NORM1
	ReduceNorm2      ReduceOp = 7 // CUDNN_REDUCE_TENSOR_NORM2
	ReduceMulNoZeros ReduceOp = 8 // CUDNN_REDUCE_TENSOR_MUL_NO_ZEROS
)

// NormMode is the kind of a normalisation.
type NormMode int32

const (
	LayerNorm    NormMode = 0 // CUDNN_LAYER_NORM
	InstanceNorm NormMode = 1 // CUDNN_INSTANCE_NORM
	BatchNorm    NormMode = 2 // CUDNN_BATCH_NORM
	GroupNorm    NormMode = 3 // CUDNN_GROUP_NORM
	RMSNorm      NormMode = 4 // CUDNN_RMS_NORM
	AdaLayerNorm NormMode = 5 // CUDNN_ADA_LAYER_NORM
)

// NormPhase says whether statistics are computed or given.
type NormPhase int32

const (
	NormInference NormPhase = 0 // CUDNN_NORM_FWD_INFERENCE
	NormTraining  NormPhase = 1 // CUDNN_NORM_FWD_TRAINING
)

// ResampleMode is the kind of a pooling or of an interpolation.
type ResampleMode int32

const (
	ResampleNearest               ResampleMode = 0 // CUDNN_RESAMPLE_NEAREST
	ResampleBilinear              ResampleMode = 1 // CUDNN_RESAMPLE_BILINEAR
	ResampleAvgPoolIncludePadding ResampleMode = 2 // CUDNN_RESAMPLE_AVGPOOL_INCLUDE_PADDING
	ResampleAvgPoolExcludePadding ResampleMode = 4 // CUDNN_RESAMPLE_AVGPOOL_EXCLUDE_PADDING
	ResampleMaxPool               ResampleMode = 3 // CUDNN_RESAMPLE_MAXPOOL
)

// PaddingMode says what stands beyond the edge in a resampling.
type PaddingMode int32

const (
	ZeroPad    PaddingMode = 0 // CUDNN_ZERO_PAD
	NegInfPad  PaddingMode = 1 // CUDNN_NEG_INF_PAD
	EdgeValPad PaddingMode = 2 // CUDNN_EDGE_VAL_PAD
)

// RNGDistribution is what a random tensor is drawn from.
type RNGDistribution int32

const (
	Bernoulli RNGDistribution = 0 // CUDNN_RNG_DISTRIBUTION_BERNOULLI
	Uniform   RNGDistribution = 1 // CUDNN_RNG_DISTRIBUTION_UNIFORM
	Normal    RNGDistribution = 2 // CUDNN_RNG_DISTRIBUTION_NORMAL
)

// ReshapeMode says how a reshape orders elements.
type ReshapeMode int32

const (
	ReshapeViewOnly ReshapeMode = 0 // CUDNN_RESHAPE_VIEW_ONLY
	ReshapeLogical  ReshapeMode = 1 // CUDNN_RESHAPE_LOGICAL
)

// TensorReordering is a packing of int8 or scale tensors.
type TensorReordering int32

const (
	ReorderNone     TensorReordering = 0 // CUDNN_TENSOR_REORDERING_NONE
	ReorderInt8x32  TensorReordering = 1 // CUDNN_TENSOR_REORDERING_INT8x32
	ReorderF16x16   TensorReordering = 2 // CUDNN_TENSOR_REORDERING_F16x16
	ReorderF8x128x4 TensorReordering = 3 // CUDNN_TENSOR_REORDERING_F8_128x4
)
