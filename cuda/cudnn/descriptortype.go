package cudnn

// DescriptorType is the kind of a backend descriptor.
type DescriptorType int32

const (
	PointwiseDescriptor                          DescriptorType = 0  // CUDNN_BACKEND_POINTWISE_DESCRIPTOR
	ConvolutionDescriptor                        DescriptorType = 1  // CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR
	EngineDescriptor                             DescriptorType = 2  // CUDNN_BACKEND_ENGINE_DESCRIPTOR
	EngineConfigDescriptor                       DescriptorType = 3  // CUDNN_BACKEND_ENGINECFG_DESCRIPTOR
	EngineHeurDescriptor                         DescriptorType = 4  // CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR
	ExecutionPlanDescriptor                      DescriptorType = 5  // CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR
	KnobChoiceDescriptor                         DescriptorType = 7  // CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR
	KnobInfoDescriptor                           DescriptorType = 8  // CUDNN_BACKEND_KNOB_INFO_DESCRIPTOR
	LayoutInfoDescriptor                         DescriptorType = 9  // CUDNN_BACKEND_LAYOUT_INFO_DESCRIPTOR
	OperationConvolutionForwardDescriptor        DescriptorType = 10 // CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR
	OperationConvolutionBackwardFilterDescriptor DescriptorType = 11 // CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR
	OperationConvolutionBackwardDataDescriptor   DescriptorType = 12 // CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR
	OperationPointwiseDescriptor                 DescriptorType = 13 // CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR
	OperationGenStatsDescriptor                  DescriptorType = 14 // CUDNN_BACKEND_OPERATION_GEN_STATS_DESCRIPTOR
	OperationGraphDescriptor                     DescriptorType = 15 // CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR
	VariantPackDescriptor                        DescriptorType = 16 // CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR
	TensorDescriptor                             DescriptorType = 17 // CUDNN_BACKEND_TENSOR_DESCRIPTOR
	MatmulDescriptor                             DescriptorType = 18 // CUDNN_BACKEND_MATMUL_DESCRIPTOR
	OperationMatmulDescriptor                    DescriptorType = 19 // CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR
	ReductionDescriptor                          DescriptorType = 21 // CUDNN_BACKEND_REDUCTION_DESCRIPTOR
	OperationReductionDescriptor                 DescriptorType = 22 // CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR
	ResampleDescriptor                           DescriptorType = 24 // CUDNN_BACKEND_RESAMPLE_DESCRIPTOR
	OperationResampleFwdDescriptor               DescriptorType = 25 // CUDNN_BACKEND_OPERATION_RESAMPLE_FWD_DESCRIPTOR
	OperationResampleBwdDescriptor               DescriptorType = 26 // CUDNN_BACKEND_OPERATION_RESAMPLE_BWD_DESCRIPTOR
	OperationNormForwardDescriptor               DescriptorType = 29 // CUDNN_BACKEND_OPERATION_NORM_FORWARD_DESCRIPTOR
	OperationNormBackwardDescriptor              DescriptorType = 30 // CUDNN_BACKEND_OPERATION_NORM_BACKWARD_DESCRIPTOR
	OperationReshapeDescriptor                   DescriptorType = 31 // CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR
	RNGDescriptor                                DescriptorType = 32 // CUDNN_BACKEND_RNG_DESCRIPTOR
	OperationRNGDescriptor                       DescriptorType = 33 // CUDNN_BACKEND_OPERATION_RNG_DESCRIPTOR
	KernelCacheDescriptor                        DescriptorType = 34 // CUDNN_BACKEND_KERNEL_CACHE_DESCRIPTOR
	DevicePropDescriptor                         DescriptorType = 38 // CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR
	OperationSDPAFwdDescriptor                   DescriptorType = 41 // CUDNN_BACKEND_OPERATION_SDPA_FWD_DESCRIPTOR
	OperationSDPABwdDescriptor                   DescriptorType = 43 // CUDNN_BACKEND_OPERATION_SDPA_BWD_DESCRIPTOR
	OperationDiagonalBandMaskDescriptor          DescriptorType = 44 // CUDNN_BACKEND_OPERATION_DIAGONAL_BAND_MASK_DESCRIPTOR
	OperationSoftmaxDescriptor                   DescriptorType = 45 // CUDNN_BACKEND_OPERATION_SOFTMAX_DESCRIPTOR
	OperationTransposeDescriptor                 DescriptorType = 46 // CUDNN_BACKEND_OPERATION_TRANSPOSE_DESCRIPTOR
	OperationSliceDescriptor                     DescriptorType = 47 // CUDNN_BACKEND_OPERATION_SLICE_DESCRIPTOR
)
