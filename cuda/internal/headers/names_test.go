package headers

// driverNames are C names of package cuda that its comments do not have. "-" is not in cuda.h.
var driverNames = map[string]string{
	"MinVersion": "-",

	"MaxThreadsPerBlock":          "CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK",
	"MaxGridX":                    "CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X",
	"MaxGridY":                    "CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y",
	"MaxGridZ":                    "CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z",
	"MaxSharedMemoryPerBlock":     "CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK",
	"WarpSize":                    "CU_DEVICE_ATTRIBUTE_WARP_SIZE",
	"MaxRegistersPerBlock":        "CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK",
	"ClockRate":                   "CU_DEVICE_ATTRIBUTE_CLOCK_RATE",
	"MultiprocessorCount":         "CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT",
	"Integrated":                  "CU_DEVICE_ATTRIBUTE_INTEGRATED",
	"ConcurrentKernels":           "CU_DEVICE_ATTRIBUTE_CONCURRENT_KERNELS",
	"ECCEnabled":                  "CU_DEVICE_ATTRIBUTE_ECC_ENABLED",
	"MemoryClockRate":             "CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE",
	"GlobalMemoryBusWidth":        "CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH",
	"L2CacheSize":                 "CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE",
	"MaxThreadsPerMultiprocessor": "CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR",
	"AsyncEngineCount":            "CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT",
	"UnifiedAddressing":           "CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING",
	"ComputeCapabilityMajor":      "CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR",
	"ComputeCapabilityMinor":      "CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR",
	"MaxSharedPerMultiprocessor":  "CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR",
	"MaxRegistersPerMultiproc":    "CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR",
	"CooperativeLaunch":           "CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH",
	"MaxSharedPerBlockOptIn":      "CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN",
	"MaxBlocksPerMultiprocessor":  "CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR",
	"MaxPersistingL2CacheSize":    "CU_DEVICE_ATTRIBUTE_MAX_PERSISTING_L2_CACHE_SIZE",
	"ReservedSharedPerBlock":      "CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK",
	"MemoryPoolsSupported":        "CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED",
	"ClusterLaunch":               "CU_DEVICE_ATTRIBUTE_CLUSTER_LAUNCH",

	"poolReleaseThreshold": "CU_MEMPOOL_ATTR_RELEASE_THRESHOLD",
	"poolReserved":         "CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT",
	"poolUsed":             "CU_MEMPOOL_ATTR_USED_MEM_CURRENT",

	"FunctionMaxThreads":    "CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK",
	"FunctionSharedBytes":   "CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES",
	"FunctionConstantBytes": "CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES",
	"FunctionLocalBytes":    "CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES",
	"FunctionRegisters":     "CU_FUNC_ATTRIBUTE_NUM_REGS",
	"FunctionPTXVersion":    "CU_FUNC_ATTRIBUTE_PTX_VERSION",
	"FunctionBinaryVersion": "CU_FUNC_ATTRIBUTE_BINARY_VERSION",
	"FunctionMaxShared":     "CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES",
	"FunctionCarveout":      "CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT",

	"paramBuffer": "CU_LAUNCH_PARAM_BUFFER_POINTER",
	"paramSize":   "CU_LAUNCH_PARAM_BUFFER_SIZE",

	// A struct, and its fields in order.
	"updateResult":  "CUgraphExecUpdateResultInfo",
	"updateResult.": "result errorNode errorFromNode",
}

// nvrtcNames are the same for package nvrtc.
var nvrtcNames = map[string]string{
	"Success":            "NVRTC_SUCCESS",
	"ErrOutOfMemory":     "NVRTC_ERROR_OUT_OF_MEMORY",
	"ErrProgramCreation": "NVRTC_ERROR_PROGRAM_CREATION_FAILURE",
	"ErrInvalidInput":    "NVRTC_ERROR_INVALID_INPUT",
	"ErrInvalidProgram":  "NVRTC_ERROR_INVALID_PROGRAM",
	"ErrInvalidOption":   "NVRTC_ERROR_INVALID_OPTION",
	"ErrCompilation":     "NVRTC_ERROR_COMPILATION",
	"ErrBuiltin":         "NVRTC_ERROR_BUILTIN_OPERATION_FAILURE",
	"ErrInternal":        "NVRTC_ERROR_INTERNAL_ERROR",
}
