package cudnn

// Attribute names one attribute of a backend descriptor. The hundreds say which kind of descriptor it belongs to.
//
// Values are only ever appended within cuDNN 9; an older library answers an unknown one with StatusNotSupported or
// StatusBadParam.
type Attribute int32

const (
	AttrPointwiseMode               Attribute = 0 // CUDNN_ATTR_POINTWISE_MODE
	AttrPointwiseMathPrec           Attribute = 1 // CUDNN_ATTR_POINTWISE_MATH_PREC
	AttrPointwiseReLULowerClip      Attribute = 3 // CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP
	AttrPointwiseReLUUpperClip      Attribute = 4 // CUDNN_ATTR_POINTWISE_RELU_UPPER_CLIP
	AttrPointwiseReLULowerClipSlope Attribute = 5 // CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP_SLOPE
	AttrPointwiseELUAlpha           Attribute = 6 // CUDNN_ATTR_POINTWISE_ELU_ALPHA
	AttrPointwiseSoftplusBeta       Attribute = 7 // CUDNN_ATTR_POINTWISE_SOFTPLUS_BETA
	AttrPointwiseSwishBeta          Attribute = 8 // CUDNN_ATTR_POINTWISE_SWISH_BETA
	AttrPointwiseAxis               Attribute = 9 // CUDNN_ATTR_POINTWISE_AXIS

	AttrConvolutionCompType      Attribute = 100 // CUDNN_ATTR_CONVOLUTION_COMP_TYPE
	AttrConvolutionConvMode      Attribute = 101 // CUDNN_ATTR_CONVOLUTION_CONV_MODE
	AttrConvolutionDilations     Attribute = 102 // CUDNN_ATTR_CONVOLUTION_DILATIONS
	AttrConvolutionFilterStrides Attribute = 103 // CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES
	AttrConvolutionPostPaddings  Attribute = 104 // CUDNN_ATTR_CONVOLUTION_POST_PADDINGS
	AttrConvolutionPrePaddings   Attribute = 105 // CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS
	AttrConvolutionSpatialDims   Attribute = 106 // CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS

	AttrEngineHeurMode           Attribute = 200 // CUDNN_ATTR_ENGINEHEUR_MODE
	AttrEngineHeurOperationGraph Attribute = 201 // CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH
	AttrEngineHeurResults        Attribute = 202 // CUDNN_ATTR_ENGINEHEUR_RESULTS
	AttrEngineHeurSMCountTarget  Attribute = 203 // CUDNN_ATTR_ENGINEHEUR_SM_COUNT_TARGET
	AttrEngineHeurDeviceProp     Attribute = 204 // CUDNN_ATTR_ENGINEHEUR_DEVICEPROP

	AttrEngineConfigEngine           Attribute = 300 // CUDNN_ATTR_ENGINECFG_ENGINE
	AttrEngineConfigKnobChoices      Attribute = 302 // CUDNN_ATTR_ENGINECFG_KNOB_CHOICES
	AttrEngineConfigWorkspaceSize    Attribute = 303 // CUDNN_ATTR_ENGINECFG_WORKSPACE_SIZE
	AttrEngineConfigSharedMemoryUsed Attribute = 304 // CUDNN_ATTR_ENGINECFG_SHARED_MEMORY_USED

	AttrExecutionPlanHandle             Attribute = 400 // CUDNN_ATTR_EXECUTION_PLAN_HANDLE
	AttrExecutionPlanEngineConfig       Attribute = 401 // CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG
	AttrExecutionPlanWorkspaceSize      Attribute = 402 // CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE
	AttrExecutionPlanJSONRepresentation Attribute = 405 // CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION
	AttrExecutionPlanKernelCache        Attribute = 406 // CUDNN_ATTR_EXECUTION_PLAN_KERNEL_CACHE
	AttrExecutionPlanDeviceProp         Attribute = 407 // CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP

	AttrKnobChoiceKnobType  Attribute = 600 // CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE
	AttrKnobChoiceKnobValue Attribute = 601 // CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE

	AttrOperationConvolutionForwardAlpha    Attribute = 700 // CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA
	AttrOperationConvolutionForwardBeta     Attribute = 701 // CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA
	AttrOperationConvolutionForwardConvDesc Attribute = 702 // CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC
	AttrOperationConvolutionForwardW        Attribute = 703 // CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W
	AttrOperationConvolutionForwardX        Attribute = 704 // CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X
	AttrOperationConvolutionForwardY        Attribute = 705 // CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y

	AttrOperationConvolutionBwdDataAlpha    Attribute = 706 // CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA
	AttrOperationConvolutionBwdDataBeta     Attribute = 707 // CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA
	AttrOperationConvolutionBwdDataConvDesc Attribute = 708 // CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC
	AttrOperationConvolutionBwdDataW        Attribute = 709 // CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W
	AttrOperationConvolutionBwdDataDX       Attribute = 710 // CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX
	AttrOperationConvolutionBwdDataDY       Attribute = 711 // CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY

	AttrOperationConvolutionBwdFilterAlpha    Attribute = 712 // CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA
	AttrOperationConvolutionBwdFilterBeta     Attribute = 713 // CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA
	AttrOperationConvolutionBwdFilterConvDesc Attribute = 714 // CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC
	AttrOperationConvolutionBwdFilterDW       Attribute = 715 // CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW
	AttrOperationConvolutionBwdFilterX        Attribute = 716 // CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X
	AttrOperationConvolutionBwdFilterDY       Attribute = 717 // CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY

	AttrOperationPointwisePWDescriptor Attribute = 750 // CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR
	AttrOperationPointwiseXDesc        Attribute = 751 // CUDNN_ATTR_OPERATION_POINTWISE_XDESC
	AttrOperationPointwiseBDesc        Attribute = 752 // CUDNN_ATTR_OPERATION_POINTWISE_BDESC
	AttrOperationPointwiseYDesc        Attribute = 753 // CUDNN_ATTR_OPERATION_POINTWISE_YDESC
	AttrOperationPointwiseAlpha1       Attribute = 754 // CUDNN_ATTR_OPERATION_POINTWISE_ALPHA1
	AttrOperationPointwiseAlpha2       Attribute = 755 // CUDNN_ATTR_OPERATION_POINTWISE_ALPHA2
	AttrOperationPointwiseDXDesc       Attribute = 756 // CUDNN_ATTR_OPERATION_POINTWISE_DXDESC
	AttrOperationPointwiseDYDesc       Attribute = 757 // CUDNN_ATTR_OPERATION_POINTWISE_DYDESC
	AttrOperationPointwiseTDesc        Attribute = 758 // CUDNN_ATTR_OPERATION_POINTWISE_TDESC

	AttrOperationGenStatsMode      Attribute = 770 // CUDNN_ATTR_OPERATION_GENSTATS_MODE
	AttrOperationGenStatsMathPrec  Attribute = 771 // CUDNN_ATTR_OPERATION_GENSTATS_MATH_PREC
	AttrOperationGenStatsXDesc     Attribute = 772 // CUDNN_ATTR_OPERATION_GENSTATS_XDESC
	AttrOperationGenStatsSumDesc   Attribute = 773 // CUDNN_ATTR_OPERATION_GENSTATS_SUMDESC
	AttrOperationGenStatsSqSumDesc Attribute = 774 // CUDNN_ATTR_OPERATION_GENSTATS_SQSUMDESC

	AttrOperationGraphHandle                 Attribute = 800 // CUDNN_ATTR_OPERATIONGRAPH_HANDLE
	AttrOperationGraphOps                    Attribute = 801 // CUDNN_ATTR_OPERATIONGRAPH_OPS
	AttrOperationGraphEngineGlobalCount      Attribute = 802 // CUDNN_ATTR_OPERATIONGRAPH_ENGINE_GLOBAL_COUNT
	AttrOperationGraphIsDynamicShapeEnabled  Attribute = 803 // CUDNN_ATTR_OPERATIONGRAPH_IS_DYNAMIC_SHAPE_ENABLED
	AttrOperationGraphIsSameTopology         Attribute = 804 // CUDNN_ATTR_OPERATIONGRAPH_IS_SAME_TOPOLOGY
	AttrOperationGraphIsOverrideShapeEnabled Attribute = 805 // CUDNN_ATTR_OPERATIONGRAPH_IS_OVERRIDE_SHAPE_ENABLED
	AttrOperationGraphMode                   Attribute = 806 // CUDNN_ATTR_OPERATIONGRAPH_MODE

	AttrTensorByteAlignment          Attribute = 900 // CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT
	AttrTensorDataType               Attribute = 901 // CUDNN_ATTR_TENSOR_DATA_TYPE
	AttrTensorDimensions             Attribute = 902 // CUDNN_ATTR_TENSOR_DIMENSIONS
	AttrTensorStrides                Attribute = 903 // CUDNN_ATTR_TENSOR_STRIDES
	AttrTensorVectorCount            Attribute = 904 // CUDNN_ATTR_TENSOR_VECTOR_COUNT
	AttrTensorVectorizedDimension    Attribute = 905 // CUDNN_ATTR_TENSOR_VECTORIZED_DIMENSION
	AttrTensorUniqueID               Attribute = 906 // CUDNN_ATTR_TENSOR_UNIQUE_ID
	AttrTensorIsVirtual              Attribute = 907 // CUDNN_ATTR_TENSOR_IS_VIRTUAL
	AttrTensorIsByValue              Attribute = 908 // CUDNN_ATTR_TENSOR_IS_BY_VALUE
	AttrTensorReorderingMode         Attribute = 909 // CUDNN_ATTR_TENSOR_REORDERING_MODE
	AttrTensorConstantValue          Attribute = 910 // CUDNN_ATTR_TENSOR_CONSTANT_VALUE
	AttrTensorRaggedOffsetDesc       Attribute = 913 // CUDNN_ATTR_TENSOR_RAGGED_OFFSET_DESC
	AttrTensorRaggedOffsetMultiplier Attribute = 914 // CUDNN_ATTR_TENSOR_RAGGED_OFFSET_MULTIPLIER

	AttrVariantPackUniqueIDs         Attribute = 1000 // CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS
	AttrVariantPackDataPointers      Attribute = 1001 // CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS
	AttrVariantPackWorkspace         Attribute = 1003 // CUDNN_ATTR_VARIANT_PACK_WORKSPACE
	AttrVariantPackOverrideUniqueIDs Attribute = 1010 // CUDNN_ATTR_VARIANT_PACK_OVERRIDE_UNIQUE_IDS
	AttrVariantPackOverrideShapes    Attribute = 1011 // CUDNN_ATTR_VARIANT_PACK_OVERRIDE_SHAPES
	AttrVariantPackOverrideStrides   Attribute = 1012 // CUDNN_ATTR_VARIANT_PACK_OVERRIDE_STRIDES

	AttrLayoutInfoTensorUID Attribute = 1100 // CUDNN_ATTR_LAYOUT_INFO_TENSOR_UID
	AttrLayoutInfoTypes     Attribute = 1101 // CUDNN_ATTR_LAYOUT_INFO_TYPES

	AttrKnobInfoType         Attribute = 1200 // CUDNN_ATTR_KNOB_INFO_TYPE
	AttrKnobInfoMaximumValue Attribute = 1201 // CUDNN_ATTR_KNOB_INFO_MAXIMUM_VALUE
	AttrKnobInfoMinimumValue Attribute = 1202 // CUDNN_ATTR_KNOB_INFO_MINIMUM_VALUE
	AttrKnobInfoStride       Attribute = 1203 // CUDNN_ATTR_KNOB_INFO_STRIDE

	AttrEngineOperationGraph            Attribute = 1300 // CUDNN_ATTR_ENGINE_OPERATION_GRAPH
	AttrEngineGlobalIndex               Attribute = 1301 // CUDNN_ATTR_ENGINE_GLOBAL_INDEX
	AttrEngineKnobInfo                  Attribute = 1302 // CUDNN_ATTR_ENGINE_KNOB_INFO
	AttrEngineNumericalNote             Attribute = 1303 // CUDNN_ATTR_ENGINE_NUMERICAL_NOTE
	AttrEngineLayoutInfo                Attribute = 1304 // CUDNN_ATTR_ENGINE_LAYOUT_INFO
	AttrEngineBehaviorNote              Attribute = 1305 // CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE
	AttrEngineSMCountTarget             Attribute = 1306 // CUDNN_ATTR_ENGINE_SM_COUNT_TARGET
	AttrEngineDeviceProp                Attribute = 1307 // CUDNN_ATTR_ENGINE_DEVICEPROP
	AttrEngineDisableClusterCooperative Attribute = 1308 // CUDNN_ATTR_ENGINE_DISABLE_CLUSTER_COOPERATIVE

	AttrMatmulCompType     Attribute = 1500 // CUDNN_ATTR_MATMUL_COMP_TYPE
	AttrMatmulPaddingValue Attribute = 1503 // CUDNN_ATTR_MATMUL_PADDING_VALUE

	AttrOperationMatmulADesc             Attribute = 1520 // CUDNN_ATTR_OPERATION_MATMUL_ADESC
	AttrOperationMatmulBDesc             Attribute = 1521 // CUDNN_ATTR_OPERATION_MATMUL_BDESC
	AttrOperationMatmulCDesc             Attribute = 1522 // CUDNN_ATTR_OPERATION_MATMUL_CDESC
	AttrOperationMatmulDesc              Attribute = 1523 // CUDNN_ATTR_OPERATION_MATMUL_DESC
	AttrOperationMatmulGemmMOverrideDesc Attribute = 1525 // CUDNN_ATTR_OPERATION_MATMUL_GEMM_M_OVERRIDE_DESC
	AttrOperationMatmulGemmNOverrideDesc Attribute = 1526 // CUDNN_ATTR_OPERATION_MATMUL_GEMM_N_OVERRIDE_DESC
	AttrOperationMatmulGemmKOverrideDesc Attribute = 1527 // CUDNN_ATTR_OPERATION_MATMUL_GEMM_K_OVERRIDE_DESC

	AttrReductionOperator        Attribute = 1600 // CUDNN_ATTR_REDUCTION_OPERATOR
	AttrReductionCompType        Attribute = 1601 // CUDNN_ATTR_REDUCTION_COMP_TYPE
	AttrReductionIsDeterministic Attribute = 1602 // CUDNN_ATTR_REDUCTION_IS_DETERMINISTIC

	AttrOperationReductionXDesc           Attribute = 1610 // CUDNN_ATTR_OPERATION_REDUCTION_XDESC
	AttrOperationReductionYDesc           Attribute = 1611 // CUDNN_ATTR_OPERATION_REDUCTION_YDESC
	AttrOperationReductionDesc            Attribute = 1612 // CUDNN_ATTR_OPERATION_REDUCTION_DESC
	AttrOperationReductionGroupOffsetDesc Attribute = 1613 // CUDNN_ATTR_OPERATION_REDUCTION_GROUP_OFFSET_DESC

	AttrResampleMode           Attribute = 1700 // CUDNN_ATTR_RESAMPLE_MODE
	AttrResampleCompType       Attribute = 1701 // CUDNN_ATTR_RESAMPLE_COMP_TYPE
	AttrResampleSpatialDims    Attribute = 1702 // CUDNN_ATTR_RESAMPLE_SPATIAL_DIMS
	AttrResamplePostPaddings   Attribute = 1703 // CUDNN_ATTR_RESAMPLE_POST_PADDINGS
	AttrResamplePrePaddings    Attribute = 1704 // CUDNN_ATTR_RESAMPLE_PRE_PADDINGS
	AttrResampleStrides        Attribute = 1705 // CUDNN_ATTR_RESAMPLE_STRIDES
	AttrResampleWindowDims     Attribute = 1706 // CUDNN_ATTR_RESAMPLE_WINDOW_DIMS
	AttrResampleNaNPropagation Attribute = 1707 // CUDNN_ATTR_RESAMPLE_NAN_PROPAGATION
	AttrResamplePaddingMode    Attribute = 1708 // CUDNN_ATTR_RESAMPLE_PADDING_MODE

	AttrOperationResampleFwdXDesc   Attribute = 1710 // CUDNN_ATTR_OPERATION_RESAMPLE_FWD_XDESC
	AttrOperationResampleFwdYDesc   Attribute = 1711 // CUDNN_ATTR_OPERATION_RESAMPLE_FWD_YDESC
	AttrOperationResampleFwdIdxDesc Attribute = 1712 // CUDNN_ATTR_OPERATION_RESAMPLE_FWD_IDXDESC
	AttrOperationResampleFwdDesc    Attribute = 1716 // CUDNN_ATTR_OPERATION_RESAMPLE_FWD_DESC

	AttrOperationResampleBwdDXDesc  Attribute = 1720 // CUDNN_ATTR_OPERATION_RESAMPLE_BWD_DXDESC
	AttrOperationResampleBwdDYDesc  Attribute = 1721 // CUDNN_ATTR_OPERATION_RESAMPLE_BWD_DYDESC
	AttrOperationResampleBwdIdxDesc Attribute = 1722 // CUDNN_ATTR_OPERATION_RESAMPLE_BWD_IDXDESC
	AttrOperationResampleBwdDesc    Attribute = 1725 // CUDNN_ATTR_OPERATION_RESAMPLE_BWD_DESC
	AttrOperationResampleBwdXDesc   Attribute = 1726 // CUDNN_ATTR_OPERATION_RESAMPLE_BWD_XDESC
	AttrOperationResampleBwdYDesc   Attribute = 1727 // CUDNN_ATTR_OPERATION_RESAMPLE_BWD_YDESC

	AttrOperationNormFwdMode                  Attribute = 2000 // CUDNN_ATTR_OPERATION_NORM_FWD_MODE
	AttrOperationNormFwdPhase                 Attribute = 2001 // CUDNN_ATTR_OPERATION_NORM_FWD_PHASE
	AttrOperationNormFwdXDesc                 Attribute = 2002 // CUDNN_ATTR_OPERATION_NORM_FWD_XDESC
	AttrOperationNormFwdMeanDesc              Attribute = 2003 // CUDNN_ATTR_OPERATION_NORM_FWD_MEAN_DESC
	AttrOperationNormFwdInvVarianceDesc       Attribute = 2004 // CUDNN_ATTR_OPERATION_NORM_FWD_INV_VARIANCE_DESC
	AttrOperationNormFwdScaleDesc             Attribute = 2005 // CUDNN_ATTR_OPERATION_NORM_FWD_SCALE_DESC
	AttrOperationNormFwdBiasDesc              Attribute = 2006 // CUDNN_ATTR_OPERATION_NORM_FWD_BIAS_DESC
	AttrOperationNormFwdEpsilonDesc           Attribute = 2007 // CUDNN_ATTR_OPERATION_NORM_FWD_EPSILON_DESC
	AttrOperationNormFwdExpAvgFactorDesc      Attribute = 2008 // CUDNN_ATTR_OPERATION_NORM_FWD_EXP_AVG_FACTOR_DESC
	AttrOperationNormFwdInputRunningMeanDesc  Attribute = 2009 // CUDNN_ATTR_OPERATION_NORM_FWD_INPUT_RUNNING_MEAN_DESC
	AttrOperationNormFwdInputRunningVarDesc   Attribute = 2010 // CUDNN_ATTR_OPERATION_NORM_FWD_INPUT_RUNNING_VAR_DESC
	AttrOperationNormFwdOutputRunningMeanDesc Attribute = 2011 // CUDNN_ATTR_OPERATION_NORM_FWD_OUTPUT_RUNNING_MEAN_DESC
	AttrOperationNormFwdOutputRunningVarDesc  Attribute = 2012 // CUDNN_ATTR_OPERATION_NORM_FWD_OUTPUT_RUNNING_VAR_DESC
	AttrOperationNormFwdYDesc                 Attribute = 2013 // CUDNN_ATTR_OPERATION_NORM_FWD_YDESC
	AttrOperationNormFwdPeerStatDescs         Attribute = 2014 // CUDNN_ATTR_OPERATION_NORM_FWD_PEER_STAT_DESCS

	AttrOperationNormBwdMode            Attribute = 2100 // CUDNN_ATTR_OPERATION_NORM_BWD_MODE
	AttrOperationNormBwdXDesc           Attribute = 2101 // CUDNN_ATTR_OPERATION_NORM_BWD_XDESC
	AttrOperationNormBwdMeanDesc        Attribute = 2102 // CUDNN_ATTR_OPERATION_NORM_BWD_MEAN_DESC
	AttrOperationNormBwdInvVarianceDesc Attribute = 2103 // CUDNN_ATTR_OPERATION_NORM_BWD_INV_VARIANCE_DESC
	AttrOperationNormBwdDYDesc          Attribute = 2104 // CUDNN_ATTR_OPERATION_NORM_BWD_DYDESC
	AttrOperationNormBwdScaleDesc       Attribute = 2105 // CUDNN_ATTR_OPERATION_NORM_BWD_SCALE_DESC
	AttrOperationNormBwdEpsilonDesc     Attribute = 2106 // CUDNN_ATTR_OPERATION_NORM_BWD_EPSILON_DESC
	AttrOperationNormBwdDScaleDesc      Attribute = 2107 // CUDNN_ATTR_OPERATION_NORM_BWD_DSCALE_DESC
	AttrOperationNormBwdDBiasDesc       Attribute = 2108 // CUDNN_ATTR_OPERATION_NORM_BWD_DBIAS_DESC
	AttrOperationNormBwdDXDesc          Attribute = 2109 // CUDNN_ATTR_OPERATION_NORM_BWD_DXDESC
	AttrOperationNormBwdPeerStatDescs   Attribute = 2110 // CUDNN_ATTR_OPERATION_NORM_BWD_PEER_STAT_DESCS

	AttrOperationReshapeXDesc Attribute = 2200 // CUDNN_ATTR_OPERATION_RESHAPE_XDESC
	AttrOperationReshapeYDesc Attribute = 2201 // CUDNN_ATTR_OPERATION_RESHAPE_YDESC
	AttrOperationReshapeMode  Attribute = 2202 // CUDNN_ATTR_OPERATION_RESHAPE_MODE

	AttrOperationTransposeXDesc       Attribute = 3200 // CUDNN_ATTR_OPERATION_TRANSPOSE_XDESC
	AttrOperationTransposeYDesc       Attribute = 3201 // CUDNN_ATTR_OPERATION_TRANSPOSE_YDESC
	AttrOperationTransposePermutation Attribute = 3202 // CUDNN_ATTR_OPERATION_TRANSPOSE_PERMUTATION

	AttrOperationSliceXDesc        Attribute = 3300 // CUDNN_ATTR_OPERATION_SLICE_XDESC
	AttrOperationSliceYDesc        Attribute = 3301 // CUDNN_ATTR_OPERATION_SLICE_YDESC
	AttrOperationSliceStartIndices Attribute = 3302 // CUDNN_ATTR_OPERATION_SLICE_START_INDICES
	AttrOperationSliceLimitIndices Attribute = 3303 // CUDNN_ATTR_OPERATION_SLICE_LIMIT_INDICES
	AttrOperationSliceStrides      Attribute = 3304 // CUDNN_ATTR_OPERATION_SLICE_STRIDES

	AttrRNGDistribution                Attribute = 2300 // CUDNN_ATTR_RNG_DISTRIBUTION
	AttrRNGNormalDistMean              Attribute = 2301 // CUDNN_ATTR_RNG_NORMAL_DIST_MEAN
	AttrRNGNormalDistStandardDeviation Attribute = 2302 // CUDNN_ATTR_RNG_NORMAL_DIST_STANDARD_DEVIATION
	AttrRNGUniformDistMaximum          Attribute = 2303 // CUDNN_ATTR_RNG_UNIFORM_DIST_MAXIMUM
	AttrRNGUniformDistMinimum          Attribute = 2304 // CUDNN_ATTR_RNG_UNIFORM_DIST_MINIMUM
	AttrRNGBernoulliDistProbability    Attribute = 2305 // CUDNN_ATTR_RNG_BERNOULLI_DIST_PROBABILITY

	AttrOperationRNGYDesc      Attribute = 2310 // CUDNN_ATTR_OPERATION_RNG_YDESC
	AttrOperationRNGSeed       Attribute = 2311 // CUDNN_ATTR_OPERATION_RNG_SEED
	AttrOperationRNGDesc       Attribute = 2312 // CUDNN_ATTR_OPERATION_RNG_DESC
	AttrOperationRNGOffsetDesc Attribute = 2313 // CUDNN_ATTR_OPERATION_RNG_OFFSET_DESC

	AttrKernelCacheOperationGraph             Attribute = 2400 // CUDNN_ATTR_KERNEL_CACHE_OPERATION_GRAPH
	AttrKernelCacheIsEngineConfigKernelCached Attribute = 2401 // CUDNN_ATTR_KERNEL_CACHE_IS_ENGINECFG_KERNEL_CACHED
	AttrKernelCacheJSONRepresentation         Attribute = 2402 // CUDNN_ATTR_KERNEL_CACHE_JSON_REPRESENTATION

	AttrDevicePropDeviceID           Attribute = 2700 // CUDNN_ATTR_DEVICEPROP_DEVICE_ID
	AttrDevicePropHandle             Attribute = 2701 // CUDNN_ATTR_DEVICEPROP_HANDLE
	AttrDevicePropJSONRepresentation Attribute = 2702 // CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION

	AttrOperationSDPAFwdQDesc              Attribute = 2800 // CUDNN_ATTR_OPERATION_SDPA_FWD_QDESC
	AttrOperationSDPAFwdKDesc              Attribute = 2801 // CUDNN_ATTR_OPERATION_SDPA_FWD_KDESC
	AttrOperationSDPAFwdVDesc              Attribute = 2802 // CUDNN_ATTR_OPERATION_SDPA_FWD_VDESC
	AttrOperationSDPAFwdODesc              Attribute = 2803 // CUDNN_ATTR_OPERATION_SDPA_FWD_ODESC
	AttrOperationSDPAFwdStatsDesc          Attribute = 2804 // CUDNN_ATTR_OPERATION_SDPA_FWD_STATSDESC
	AttrOperationSDPAFwdScaleDesc          Attribute = 2805 // CUDNN_ATTR_OPERATION_SDPA_FWD_SCALEDESC
	AttrOperationSDPAFwdBlockMaskDesc      Attribute = 2806 // CUDNN_ATTR_OPERATION_SDPA_FWD_BLOCK_MASK_DESC
	AttrOperationSDPAFwdPageTableKDesc     Attribute = 2807 // CUDNN_ATTR_OPERATION_SDPA_FWD_PAGE_TABLE_KDESC
	AttrOperationSDPAFwdPageTableVDesc     Attribute = 2808 // CUDNN_ATTR_OPERATION_SDPA_FWD_PAGE_TABLE_VDESC
	AttrOperationSDPAFwdSeqLenQDesc        Attribute = 2809 // CUDNN_ATTR_OPERATION_SDPA_FWD_SEQ_LEN_QDESC
	AttrOperationSDPAFwdSeqLenKVDesc       Attribute = 2810 // CUDNN_ATTR_OPERATION_SDPA_FWD_SEQ_LEN_KVDESC
	AttrOperationSDPAFwdSubgraph           Attribute = 2811 // CUDNN_ATTR_OPERATION_SDPA_FWD_SUBGRAPH
	AttrOperationSDPAFwdSubgraphInputUID   Attribute = 2812 // CUDNN_ATTR_OPERATION_SDPA_FWD_SUBGRAPH_INPUT_UID
	AttrOperationSDPAFwdSubgraphOutputUID  Attribute = 2813 // CUDNN_ATTR_OPERATION_SDPA_FWD_SUBGRAPH_OUTPUT_UID
	AttrOperationSDPAFwdSoftmaxDesc        Attribute = 2814 // CUDNN_ATTR_OPERATION_SDPA_FWD_SOFTMAX_DESC
	AttrOperationSDPAFwdDropoutSeedDesc    Attribute = 2815 // CUDNN_ATTR_OPERATION_SDPA_FWD_DROPOUT_SEED_DESC
	AttrOperationSDPAFwdDropoutOffsetDesc  Attribute = 2816 // CUDNN_ATTR_OPERATION_SDPA_FWD_DROPOUT_OFFSET_DESC
	AttrOperationSDPAFwdDropoutRNGDumpDesc Attribute = 2817 // CUDNN_ATTR_OPERATION_SDPA_FWD_DROPOUT_RNG_DUMP_DESC
	AttrOperationSDPAFwdDropoutProbability Attribute = 2818 // CUDNN_ATTR_OPERATION_SDPA_FWD_DROPOUT_PROBABILITY
	AttrOperationSDPAFwdUnfuseFMA          Attribute = 2819 // CUDNN_ATTR_OPERATION_SDPA_FWD_UNFUSE_FMA
	AttrOperationSDPAFwdCuSeqLenQDesc      Attribute = 2820 // CUDNN_ATTR_OPERATION_SDPA_FWD_CU_SEQ_LEN_QDESC
	AttrOperationSDPAFwdCuSeqLenKVDesc     Attribute = 2821 // CUDNN_ATTR_OPERATION_SDPA_FWD_CU_SEQ_LEN_KVDESC
	AttrOperationSDPAFwdDescaleQDesc       Attribute = 2822 // CUDNN_ATTR_OPERATION_SDPA_FWD_DESCALE_QDESC
	AttrOperationSDPAFwdDescaleKDesc       Attribute = 2823 // CUDNN_ATTR_OPERATION_SDPA_FWD_DESCALE_KDESC
	AttrOperationSDPAFwdDescaleVDesc       Attribute = 2824 // CUDNN_ATTR_OPERATION_SDPA_FWD_DESCALE_VDESC
	AttrOperationSDPAFwdDescaleSDesc       Attribute = 2825 // CUDNN_ATTR_OPERATION_SDPA_FWD_DESCALE_SDESC
	AttrOperationSDPAFwdScaleSDesc         Attribute = 2826 // CUDNN_ATTR_OPERATION_SDPA_FWD_SCALE_SDESC
	AttrOperationSDPAFwdScaleODesc         Attribute = 2827 // CUDNN_ATTR_OPERATION_SDPA_FWD_SCALE_ODESC
	AttrOperationSDPAFwdAmaxSDesc          Attribute = 2828 // CUDNN_ATTR_OPERATION_SDPA_FWD_AMAX_SDESC
	AttrOperationSDPAFwdAmaxODesc          Attribute = 2829 // CUDNN_ATTR_OPERATION_SDPA_FWD_AMAX_ODESC
	AttrOperationSDPABwdQDesc              Attribute = 2851 // CUDNN_ATTR_OPERATION_SDPA_BWD_QDESC
	AttrOperationSDPABwdKDesc              Attribute = 2852 // CUDNN_ATTR_OPERATION_SDPA_BWD_KDESC
	AttrOperationSDPABwdVDesc              Attribute = 2853 // CUDNN_ATTR_OPERATION_SDPA_BWD_VDESC
	AttrOperationSDPABwdODesc              Attribute = 2854 // CUDNN_ATTR_OPERATION_SDPA_BWD_ODESC
	AttrOperationSDPABwdStatsDesc          Attribute = 2855 // CUDNN_ATTR_OPERATION_SDPA_BWD_STATSDESC
	AttrOperationSDPABwdScaleDesc          Attribute = 2856 // CUDNN_ATTR_OPERATION_SDPA_BWD_SCALEDESC
	AttrOperationSDPABwdSeqLenQDesc        Attribute = 2857 // CUDNN_ATTR_OPERATION_SDPA_BWD_SEQ_LEN_QDESC
	AttrOperationSDPABwdSeqLenKVDesc       Attribute = 2858 // CUDNN_ATTR_OPERATION_SDPA_BWD_SEQ_LEN_KVDESC
	AttrOperationSDPABwdDQDesc             Attribute = 2859 // CUDNN_ATTR_OPERATION_SDPA_BWD_DQDESC
	AttrOperationSDPABwdDKDesc             Attribute = 2860 // CUDNN_ATTR_OPERATION_SDPA_BWD_DKDESC
	AttrOperationSDPABwdDVDesc             Attribute = 2861 // CUDNN_ATTR_OPERATION_SDPA_BWD_DVDESC
	AttrOperationSDPABwdDODesc             Attribute = 2862 // CUDNN_ATTR_OPERATION_SDPA_BWD_DODDESC
	AttrOperationSDPABwdSinkDesc           Attribute = 2863 // CUDNN_ATTR_OPERATION_SDPA_BWD_SINK_DESC
	AttrOperationSDPABwdDSinkDesc          Attribute = 2864 // CUDNN_ATTR_OPERATION_SDPA_BWD_DSINK_DESC
	AttrOperationSDPABwdMaxTotalSeqLenQ    Attribute = 2865 // CUDNN_ATTR_OPERATION_SDPA_BWD_MAX_TOTAL_SEQ_LEN_Q
	AttrOperationSDPABwdMaxTotalSeqLenKV   Attribute = 2866 // CUDNN_ATTR_OPERATION_SDPA_BWD_MAX_TOTAL_SEQ_LEN_KV
	AttrOperationSDPABwdSubgraph           Attribute = 2867 // CUDNN_ATTR_OPERATION_SDPA_BWD_SUBGRAPH
	AttrOperationSDPABwdSubgraphInputUID   Attribute = 2868 // CUDNN_ATTR_OPERATION_SDPA_BWD_SUBGRAPH_INPUT_UID
	AttrOperationSDPABwdSubgraphOutputUID  Attribute = 2869 // CUDNN_ATTR_OPERATION_SDPA_BWD_SUBGRAPH_OUTPUT_UID

	AttrOperationDiagonalBandMaskXDesc               Attribute = 3000 // CUDNN_ATTR_OPERATION_DIAGONAL_BAND_MASK_XDESC
	AttrOperationDiagonalBandMaskSeqLenKVDesc        Attribute = 3001 // CUDNN_ATTR_OPERATION_DIAGONAL_BAND_MASK_SEQ_LEN_KVDESC
	AttrOperationDiagonalBandMaskSeqLenQDesc         Attribute = 3002 // CUDNN_ATTR_OPERATION_DIAGONAL_BAND_MASK_SEQ_LEN_QDESC
	AttrOperationDiagonalBandMaskLeftBoundDesc       Attribute = 3003 // CUDNN_ATTR_OPERATION_DIAGONAL_BAND_MASK_LEFT_BOUND_DESC
	AttrOperationDiagonalBandMaskShiftRightBoundDesc Attribute = 3004 // CUDNN_ATTR_OPERATION_DIAGONAL_BAND_MASK_SHIFT_RIGHT_BOUND_DESC
	AttrOperationDiagonalBandMaskBDesc               Attribute = 3005 // CUDNN_ATTR_OPERATION_DIAGONAL_BAND_MASK_BDESC
	AttrOperationDiagonalBandMaskYDesc               Attribute = 3006 // CUDNN_ATTR_OPERATION_DIAGONAL_BAND_MASK_YDESC
	AttrOperationDiagonalBandMaskComparisonMode      Attribute = 3007 // CUDNN_ATTR_OPERATION_DIAGONAL_BAND_MASK_COMPARISON_MODE
	AttrOperationDiagonalBandMaskCuSeqLenKVDesc      Attribute = 3008 // CUDNN_ATTR_OPERATION_DIAGONAL_BAND_MASK_CU_SEQ_LEN_KVDESC
	AttrOperationDiagonalBandMaskCuSeqLenQDesc       Attribute = 3009 // CUDNN_ATTR_OPERATION_DIAGONAL_BAND_MASK_CU_SEQ_LEN_QDESC

	AttrOperationSoftmaxXDesc      Attribute = 3100 // CUDNN_ATTR_OPERATION_SOFTMAX_XDESC
	AttrOperationSoftmaxYDesc      Attribute = 3101 // CUDNN_ATTR_OPERATION_SOFTMAX_YDESC
	AttrOperationSoftmaxStatsDesc  Attribute = 3102 // CUDNN_ATTR_OPERATION_SOFTMAX_STATS_DESC
	AttrOperationSoftmaxMaxDesc    Attribute = 3103 // CUDNN_ATTR_OPERATION_SOFTMAX_MAX_DESC
	AttrOperationSoftmaxSumExpDesc Attribute = 3104 // CUDNN_ATTR_OPERATION_SOFTMAX_SUM_EXP_DESC
	AttrOperationSoftmaxSinkDesc   Attribute = 3105 // CUDNN_ATTR_OPERATION_SOFTMAX_SINK_DESC
)
