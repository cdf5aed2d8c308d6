package cublaslt

// ComputeType says in what products are summed, and what may happen to inputs on the way.
type ComputeType int32

const (
	Compute16F         ComputeType = 64 // CUBLAS_COMPUTE_16F
	Compute16FPedantic ComputeType = 65 // CUBLAS_COMPUTE_16F_PEDANTIC
	Compute32F         ComputeType = 68 // CUBLAS_COMPUTE_32F
	Compute32FPedantic ComputeType = 69 // CUBLAS_COMPUTE_32F_PEDANTIC: no tensor cores
	Compute64F         ComputeType = 70 // CUBLAS_COMPUTE_64F
	Compute64FPedantic ComputeType = 71 // CUBLAS_COMPUTE_64F_PEDANTIC
	Compute32I         ComputeType = 72 // CUBLAS_COMPUTE_32I
	Compute32IPedantic ComputeType = 73 // CUBLAS_COMPUTE_32I_PEDANTIC
	Compute32FFast16F  ComputeType = 74 // CUBLAS_COMPUTE_32F_FAST_16F: float32 inputs are rounded to float16
	Compute32FFast16BF ComputeType = 75 // CUBLAS_COMPUTE_32F_FAST_16BF: float32 inputs are rounded to bfloat16
	Compute32FFastTF32 ComputeType = 77 // CUBLAS_COMPUTE_32F_FAST_TF32: float32 inputs are rounded to TF32
)

// DataType is the type of the elements of a matrix, or of alpha and beta.
type DataType int32

const (
	R32F    DataType = 0  // CUDA_R_32F
	R64F    DataType = 1  // CUDA_R_64F
	R16F    DataType = 2  // CUDA_R_16F
	R8I     DataType = 3  // CUDA_R_8I
	R32I    DataType = 10 // CUDA_R_32I
	R16BF   DataType = 14 // CUDA_R_16BF
	R8FE4M3 DataType = 28 // CUDA_R_8F_E4M3
	R8FE5M2 DataType = 29 // CUDA_R_8F_E5M2
)

// Operation says whether a matrix is transposed.
type Operation int32

const (
	None          Operation = 0 // CUBLAS_OP_N
	Transpose     Operation = 1 // CUBLAS_OP_T
	ConjTranspose Operation = 2 // CUBLAS_OP_C
)

// Order is the order of a matrix's elements.
type Order int32

const (
	OrderCol Order = 0 // CUBLASLT_ORDER_COL
	OrderRow Order = 1 // CUBLASLT_ORDER_ROW
)

// PointerMode says where alpha and beta are.
type PointerMode int32

const (
	PointerHost                PointerMode = 0 // CUBLASLT_POINTER_MODE_HOST
	PointerDevice              PointerMode = 1 // CUBLASLT_POINTER_MODE_DEVICE
	PointerDeviceVector        PointerMode = 2 // CUBLASLT_POINTER_MODE_DEVICE_VECTOR
	PointerAlphaVectorBetaZero PointerMode = 3 // CUBLASLT_POINTER_MODE_ALPHA_DEVICE_VECTOR_BETA_ZERO
	PointerAlphaVectorBetaHost PointerMode = 4 // CUBLASLT_POINTER_MODE_ALPHA_DEVICE_VECTOR_BETA_HOST
)

// Epilogue is what happens to the sums before they are stored. A bias is one element a row of D, column-major; Aux is a
// second matrix: the result before the activation, or, for ReLU, one bit an element.
type Epilogue int32

const (
	EpilogueDefault     Epilogue = 1   // CUBLASLT_EPILOGUE_DEFAULT
	EpilogueReLU        Epilogue = 2   // CUBLASLT_EPILOGUE_RELU
	EpilogueBias        Epilogue = 4   // CUBLASLT_EPILOGUE_BIAS
	EpilogueReLUBias    Epilogue = 6   // CUBLASLT_EPILOGUE_RELU_BIAS
	EpilogueGELU        Epilogue = 32  // CUBLASLT_EPILOGUE_GELU: the approximation by tanh
	EpilogueGELUBias    Epilogue = 36  // CUBLASLT_EPILOGUE_GELU_BIAS
	EpilogueReLUAux     Epilogue = 130 // CUBLASLT_EPILOGUE_RELU_AUX
	EpilogueReLUAuxBias Epilogue = 134 // CUBLASLT_EPILOGUE_RELU_AUX_BIAS
	EpilogueDReLU       Epilogue = 136 // CUBLASLT_EPILOGUE_DRELU: times the derivative, from Aux
	EpilogueDReLUBGrad  Epilogue = 152 // CUBLASLT_EPILOGUE_DRELU_BGRAD: and the bias's gradient
	EpilogueGELUAux     Epilogue = 160 // CUBLASLT_EPILOGUE_GELU_AUX
	EpilogueGELUAuxBias Epilogue = 164 // CUBLASLT_EPILOGUE_GELU_AUX_BIAS
	EpilogueDGELU       Epilogue = 192 // CUBLASLT_EPILOGUE_DGELU
	EpilogueDGELUBGrad  Epilogue = 208 // CUBLASLT_EPILOGUE_DGELU_BGRAD
	EpilogueBGradA      Epilogue = 256 // CUBLASLT_EPILOGUE_BGRADA: sums over A's inner dimension go to the bias
	EpilogueBGradB      Epilogue = 512 // CUBLASLT_EPILOGUE_BGRADB
)

// DescAttribute is an attribute of a [MatmulDesc]. Behind each stands the Go type of its value.
type DescAttribute int32

const (
	DescComputeType       DescAttribute = 0  // CUBLASLT_MATMUL_DESC_COMPUTE_TYPE: ComputeType
	DescScaleType         DescAttribute = 1  // CUBLASLT_MATMUL_DESC_SCALE_TYPE: DataType
	DescPointerMode       DescAttribute = 2  // CUBLASLT_MATMUL_DESC_POINTER_MODE: PointerMode
	DescTransA            DescAttribute = 3  // CUBLASLT_MATMUL_DESC_TRANSA: Operation
	DescTransB            DescAttribute = 4  // CUBLASLT_MATMUL_DESC_TRANSB: Operation
	DescTransC            DescAttribute = 5  // CUBLASLT_MATMUL_DESC_TRANSC: Operation
	DescEpilogue          DescAttribute = 7  // CUBLASLT_MATMUL_DESC_EPILOGUE: Epilogue
	DescBiasPointer       DescAttribute = 8  // CUBLASLT_MATMUL_DESC_BIAS_POINTER: uint64, an address on the device
	DescBiasBatchStride   DescAttribute = 10 // CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE: int64, in elements
	DescAuxPointer        DescAttribute = 11 // CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER: uint64
	DescAuxLD             DescAttribute = 12 // CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD: int64
	DescAuxBatchStride    DescAttribute = 13 // CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_BATCH_STRIDE: int64
	DescAlphaVectorStride DescAttribute = 14 // CUBLASLT_MATMUL_DESC_ALPHA_VECTOR_BATCH_STRIDE: int64
	DescSMCountTarget     DescAttribute = 15 // CUBLASLT_MATMUL_DESC_SM_COUNT_TARGET: int32
	DescAScalePointer     DescAttribute = 17 // CUBLASLT_MATMUL_DESC_A_SCALE_POINTER: uint64
	DescBScalePointer     DescAttribute = 18 // CUBLASLT_MATMUL_DESC_B_SCALE_POINTER: uint64
	DescCScalePointer     DescAttribute = 19 // CUBLASLT_MATMUL_DESC_C_SCALE_POINTER: uint64
	DescDScalePointer     DescAttribute = 20 // CUBLASLT_MATMUL_DESC_D_SCALE_POINTER: uint64
	DescAmaxDPointer      DescAttribute = 21 // CUBLASLT_MATMUL_DESC_AMAX_D_POINTER: uint64
	DescAuxDataType       DescAttribute = 22 // CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_DATA_TYPE: DataType
	DescAuxScalePointer   DescAttribute = 23 // CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_SCALE_POINTER: uint64
	DescAuxAmaxPointer    DescAttribute = 24 // CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_AMAX_POINTER: uint64
	DescBiasDataType      DescAttribute = 26 // CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE: DataType
)

// LayoutAttribute is an attribute of a [MatrixLayout].
type LayoutAttribute int32

const (
	LayoutType        LayoutAttribute = 0 // CUBLASLT_MATRIX_LAYOUT_TYPE: DataType
	LayoutOrder       LayoutAttribute = 1 // CUBLASLT_MATRIX_LAYOUT_ORDER: Order
	LayoutRows        LayoutAttribute = 2 // CUBLASLT_MATRIX_LAYOUT_ROWS: uint64
	LayoutCols        LayoutAttribute = 3 // CUBLASLT_MATRIX_LAYOUT_COLS: uint64
	LayoutLD          LayoutAttribute = 4 // CUBLASLT_MATRIX_LAYOUT_LD: int64
	LayoutBatchCount  LayoutAttribute = 5 // CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT: int32
	LayoutBatchStride LayoutAttribute = 6 // CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET: int64, in elements
)

// PreferenceAttribute is an attribute of a [Preference].
type PreferenceAttribute int32

const (
	PreferSearchMode     PreferenceAttribute = 0  // CUBLASLT_MATMUL_PREF_SEARCH_MODE: SearchMode
	PreferMaxWorkspace   PreferenceAttribute = 1  // CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES: uint64
	PreferReductions     PreferenceAttribute = 3  // CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK: ReductionScheme
	PreferAlignmentA     PreferenceAttribute = 5  // CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES: uint32
	PreferAlignmentB     PreferenceAttribute = 6  // CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES: uint32
	PreferAlignmentC     PreferenceAttribute = 7  // CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES: uint32
	PreferAlignmentD     PreferenceAttribute = 8  // CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES: uint32
	PreferMaxWaves       PreferenceAttribute = 9  // CUBLASLT_MATMUL_PREF_MAX_WAVES_COUNT: uint32, the bits of a float32
	PreferImplementation PreferenceAttribute = 12 // CUBLASLT_MATMUL_PREF_IMPL_MASK: uint64
)

// SearchMode says which algorithms the heuristic looks at.
type SearchMode int32

const (
	SearchBestFit SearchMode = 0 // CUBLASLT_SEARCH_BEST_FIT
)

// ReductionScheme is a set of ways to add the parts of a product that is split over its inner dimension.
type ReductionScheme uint32

const (
	ReductionNone        ReductionScheme = 0 // CUBLASLT_REDUCTION_SCHEME_NONE
	ReductionInPlace     ReductionScheme = 1 // CUBLASLT_REDUCTION_SCHEME_INPLACE: in the order of arrival
	ReductionComputeType ReductionScheme = 2 // CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE
	ReductionOutputType  ReductionScheme = 4 // CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE
	ReductionMask        ReductionScheme = 7 // CUBLASLT_REDUCTION_SCHEME_MASK
)
