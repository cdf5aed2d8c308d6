package cuda

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unsafe"

	"github.com/descent-ml/descent/cuda/internal/headers"
)

// A C program that includes the real cuda.h compiles only if our constants and structs are its own.
func TestConstantsAndLayoutsAreThoseOfCUDAH(t *testing.T) {
	wheels := headers.Wheels(t)
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("gcc is not installed (Debian, Ubuntu: sudo apt-get install gcc libc6-dev)")
	}

	var c strings.Builder
	c.WriteString("#include <stddef.h>\n#include <cuda.h>\n")
	equal := func(expression string, ours any) {
		fmt.Fprintf(&c, "_Static_assert((long long)(%s) == %d, \"ours is %d\");\n", expression, ours, ours)
	}

	// The results carry their names in comments.
	source, err := os.ReadFile("error.go")
	if err != nil {
		t.Fatal(err)
	}
	results := regexp.MustCompile(`Result = (\d+) +// (CUDA_\w+)`).FindAllStringSubmatch(string(source), -1)
	if len(results) < 50 {
		t.Fatalf("only %d results were found in error.go", len(results))
	}
	for _, r := range results {
		assert := fmt.Sprintf("_Static_assert(%s == %s, \"ours is %s\");\n", r[2], r[1], r[1])
		if r[2] == "CUDA_ERROR_CALL_REQUIRES_NEWER_DRIVER" { // CUDA 12 does not name it
			assert = "#if CUDA_VERSION >= 13000\n" + assert + "#endif\n"
		}
		c.WriteString(assert)
	}

	for name, a := range map[string]Attribute{
		"MAX_THREADS_PER_BLOCK":                MaxThreadsPerBlock,
		"MAX_GRID_DIM_X":                       MaxGridX,
		"MAX_GRID_DIM_Y":                       MaxGridY,
		"MAX_GRID_DIM_Z":                       MaxGridZ,
		"MAX_SHARED_MEMORY_PER_BLOCK":          MaxSharedMemoryPerBlock,
		"WARP_SIZE":                            WarpSize,
		"MAX_REGISTERS_PER_BLOCK":              MaxRegistersPerBlock,
		"CLOCK_RATE":                           ClockRate,
		"MULTIPROCESSOR_COUNT":                 MultiprocessorCount,
		"INTEGRATED":                           Integrated,
		"CONCURRENT_KERNELS":                   ConcurrentKernels,
		"ECC_ENABLED":                          ECCEnabled,
		"MEMORY_CLOCK_RATE":                    MemoryClockRate,
		"GLOBAL_MEMORY_BUS_WIDTH":              GlobalMemoryBusWidth,
		"L2_CACHE_SIZE":                        L2CacheSize,
		"MAX_THREADS_PER_MULTIPROCESSOR":       MaxThreadsPerMultiprocessor,
		"ASYNC_ENGINE_COUNT":                   AsyncEngineCount,
		"UNIFIED_ADDRESSING":                   UnifiedAddressing,
		"COMPUTE_CAPABILITY_MAJOR":             ComputeCapabilityMajor,
		"COMPUTE_CAPABILITY_MINOR":             ComputeCapabilityMinor,
		"MAX_SHARED_MEMORY_PER_MULTIPROCESSOR": MaxSharedPerMultiprocessor,
		"MAX_REGISTERS_PER_MULTIPROCESSOR":     MaxRegistersPerMultiproc,
		"COOPERATIVE_LAUNCH":                   CooperativeLaunch,
		"MAX_SHARED_MEMORY_PER_BLOCK_OPTIN":    MaxSharedPerBlockOptIn,
		"MAX_BLOCKS_PER_MULTIPROCESSOR":        MaxBlocksPerMultiprocessor,
		"MAX_PERSISTING_L2_CACHE_SIZE":         MaxPersistingL2CacheSize,
		"RESERVED_SHARED_MEMORY_PER_BLOCK":     ReservedSharedPerBlock,
		"MEMORY_POOLS_SUPPORTED":               MemoryPoolsSupported,
		"CLUSTER_LAUNCH":                       ClusterLaunch,
	} {
		equal("CU_DEVICE_ATTRIBUTE_"+name, a)
	}
	for name, a := range map[string]FunctionAttribute{
		"MAX_THREADS_PER_BLOCK":            FunctionMaxThreads,
		"SHARED_SIZE_BYTES":                FunctionSharedBytes,
		"CONST_SIZE_BYTES":                 FunctionConstantBytes,
		"LOCAL_SIZE_BYTES":                 FunctionLocalBytes,
		"NUM_REGS":                         FunctionRegisters,
		"PTX_VERSION":                      FunctionPTXVersion,
		"BINARY_VERSION":                   FunctionBinaryVersion,
		"MAX_DYNAMIC_SHARED_SIZE_BYTES":    FunctionMaxShared,
		"PREFERRED_SHARED_MEMORY_CARVEOUT": FunctionCarveout,
	} {
		equal("CU_FUNC_ATTRIBUTE_"+name, a)
	}
	for name, v := range map[string]int{
		"CU_MEMPOOL_ATTR_RELEASE_THRESHOLD":                     poolReleaseThreshold,
		"CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT":                  poolReserved,
		"CU_MEMPOOL_ATTR_USED_MEM_CURRENT":                      poolUsed,
		"CU_MEMHOSTALLOC_PORTABLE":                              hostPortable,
		"CU_MEMHOSTREGISTER_PORTABLE":                           hostPortable,
		"CU_STREAM_NON_BLOCKING":                                streamNonBlocking,
		"CU_STREAM_CAPTURE_MODE_THREAD_LOCAL":                   int(CaptureThreadLocal),
		"CU_EVENT_DISABLE_TIMING":                               eventDisableTiming,
		"CU_JIT_ERROR_LOG_BUFFER":                               jitErrorLog,
		"CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES":                    jitErrorLogSize,
		"CU_LAUNCH_PARAM_BUFFER_POINTER_AS_INT":                 paramBuffer,
		"CU_LAUNCH_PARAM_BUFFER_SIZE_AS_INT":                    paramSize,
		"CU_LAUNCH_PARAM_END_AS_INT":                            paramEnd,
		"CU_LAUNCH_ATTRIBUTE_COOPERATIVE":                       attributeCooperative,
		"CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION":                 attributeCluster,
		"CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION": attributeProgrammatic,
		"CU_GRAPH_DEBUG_DOT_FLAGS_VERBOSE":                      dotVerbose,
		"CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED":           2,
		"CU_GRAPH_EXEC_UPDATE_ERROR_ATTRIBUTES_CHANGED":         len(updateReasons) - 1,
	} {
		equal(name, v)
	}

	var config launchConfig
	equal("sizeof(CUlaunchConfig)", unsafe.Sizeof(config))
	equal("offsetof(CUlaunchConfig, blockDimX)", unsafe.Offsetof(config.block))
	equal("offsetof(CUlaunchConfig, sharedMemBytes)", unsafe.Offsetof(config.shared))
	equal("offsetof(CUlaunchConfig, hStream)", unsafe.Offsetof(config.stream))
	equal("offsetof(CUlaunchConfig, attrs)", unsafe.Offsetof(config.attributes))
	equal("offsetof(CUlaunchConfig, numAttrs)", unsafe.Offsetof(config.n))
	var attribute launchAttribute
	equal("sizeof(CUlaunchAttribute)", unsafe.Sizeof(attribute))
	equal("offsetof(CUlaunchAttribute, value)", unsafe.Offsetof(attribute.value))
	var update updateResult
	equal("sizeof(CUgraphExecUpdateResultInfo)", unsafe.Sizeof(update))
	equal("sizeof(CUdeviceptr)", unsafe.Sizeof(DevicePtr(0)))
	equal("sizeof(CUdevice)", unsafe.Sizeof(Device{}.handle))

	for _, include := range []string{"cu13/include", "cuda_runtime/include"} {
		t.Run(filepath.Dir(include), func(t *testing.T) {
			dir := filepath.Join(wheels, include)
			if _, err := os.Stat(filepath.Join(dir, "cuda.h")); err != nil {
				t.Skipf("%v: scripts/venv installs it", err)
			}
			cmd := exec.Command(gcc, "-fsyntax-only", "-x", "c", "-I", dir, "-")
			cmd.Stdin = strings.NewReader(c.String())
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
