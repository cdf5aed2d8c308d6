package cuda

import "github.com/descent-ml/descent/cuda/internal/dl"

// api is the driver's table of functions. The names carry their versions: a driver keeps the old ones, so that a new
// toolkit's changes to cuda.h do not reach us. Optional functions came after CUDA 12.0, or may be left out.
type api struct {
	init           dl.Func `sym:"cuInit"`
	getErrorName   dl.Func `sym:"cuGetErrorName"`
	getErrorString dl.Func `sym:"cuGetErrorString"`
	profilerStart  dl.Func `sym:"cuProfilerStart,optional"`
	profilerStop   dl.Func `sym:"cuProfilerStop,optional"`

	deviceGetCount      dl.Func `sym:"cuDeviceGetCount"`
	deviceGet           dl.Func `sym:"cuDeviceGet"`
	deviceGetName       dl.Func `sym:"cuDeviceGetName"`
	deviceGetAttribute  dl.Func `sym:"cuDeviceGetAttribute"`
	deviceTotalMem      dl.Func `sym:"cuDeviceTotalMem_v2"`
	deviceGetPCIBusID   dl.Func `sym:"cuDeviceGetPCIBusId,optional"`
	deviceCanAccessPeer dl.Func `sym:"cuDeviceCanAccessPeer,optional"`

	primaryCtxRetain          dl.Func `sym:"cuDevicePrimaryCtxRetain"`
	ctxSetCurrent             dl.Func `sym:"cuCtxSetCurrent"`
	ctxSynchronize            dl.Func `sym:"cuCtxSynchronize"`
	ctxEnablePeerAccess       dl.Func `sym:"cuCtxEnablePeerAccess,optional"`
	ctxGetStreamPriorityRange dl.Func `sym:"cuCtxGetStreamPriorityRange,optional"`

	memGetInfo        dl.Func `sym:"cuMemGetInfo_v2"`
	memAlloc          dl.Func `sym:"cuMemAlloc_v2"`
	memFree           dl.Func `sym:"cuMemFree_v2"`
	memAllocAsync     dl.Func `sym:"cuMemAllocAsync,optional"`
	memFreeAsync      dl.Func `sym:"cuMemFreeAsync,optional"`
	memHostAlloc      dl.Func `sym:"cuMemHostAlloc"`
	memFreeHost       dl.Func `sym:"cuMemFreeHost"`
	memHostRegister   dl.Func `sym:"cuMemHostRegister_v2,optional"`
	memHostUnregister dl.Func `sym:"cuMemHostUnregister,optional"`
	memcpyHtoD        dl.Func `sym:"cuMemcpyHtoDAsync_v2"`
	memcpyDtoH        dl.Func `sym:"cuMemcpyDtoHAsync_v2"`
	memcpyDtoD        dl.Func `sym:"cuMemcpyDtoDAsync_v2"`
	memcpyPeer        dl.Func `sym:"cuMemcpyPeerAsync,optional"`
	memset8           dl.Func `sym:"cuMemsetD8Async"`
	memset16          dl.Func `sym:"cuMemsetD16Async"`
	memset32          dl.Func `sym:"cuMemsetD32Async"`
	deviceGetPool     dl.Func `sym:"cuDeviceGetDefaultMemPool,optional"`
	memPoolSetAttr    dl.Func `sym:"cuMemPoolSetAttribute,optional"`
	memPoolGetAttr    dl.Func `sym:"cuMemPoolGetAttribute,optional"`
	memPoolTrim       dl.Func `sym:"cuMemPoolTrimTo,optional"`

	streamCreate       dl.Func `sym:"cuStreamCreateWithPriority"`
	streamDestroy      dl.Func `sym:"cuStreamDestroy_v2"`
	streamSynchronize  dl.Func `sym:"cuStreamSynchronize"`
	streamQuery        dl.Func `sym:"cuStreamQuery"`
	streamWaitEvent    dl.Func `sym:"cuStreamWaitEvent"`
	streamBeginCapture dl.Func `sym:"cuStreamBeginCapture_v2"`
	streamEndCapture   dl.Func `sym:"cuStreamEndCapture"`
	streamIsCapturing  dl.Func `sym:"cuStreamIsCapturing"`
	threadCaptureMode  dl.Func `sym:"cuThreadExchangeStreamCaptureMode"`

	eventCreate      dl.Func `sym:"cuEventCreate"`
	eventDestroy     dl.Func `sym:"cuEventDestroy_v2"`
	eventRecord      dl.Func `sym:"cuEventRecord"`
	eventQuery       dl.Func `sym:"cuEventQuery"`
	eventSynchronize dl.Func `sym:"cuEventSynchronize"`
	eventElapsedTime dl.Func `sym:"cuEventElapsedTime"`

	moduleLoadData    dl.Func `sym:"cuModuleLoadDataEx"`
	moduleUnload      dl.Func `sym:"cuModuleUnload"`
	moduleGetFunction dl.Func `sym:"cuModuleGetFunction"`
	moduleGetGlobal   dl.Func `sym:"cuModuleGetGlobal_v2,optional"`

	funcSetAttribute dl.Func `sym:"cuFuncSetAttribute"`
	funcGetAttribute dl.Func `sym:"cuFuncGetAttribute"`
	occupancy        dl.Func `sym:"cuOccupancyMaxActiveBlocksPerMultiprocessor,optional"`
	launchKernel     dl.Func `sym:"cuLaunchKernel"`
	launchKernelEx   dl.Func `sym:"cuLaunchKernelEx,optional"`

	graphInstantiate   dl.Func `sym:"cuGraphInstantiateWithFlags"`
	graphDestroy       dl.Func `sym:"cuGraphDestroy"`
	graphGetNodes      dl.Func `sym:"cuGraphGetNodes,optional"`
	graphDebugDotPrint dl.Func `sym:"cuGraphDebugDotPrint,optional"`
	graphLaunch        dl.Func `sym:"cuGraphLaunch"`
	graphUpload        dl.Func `sym:"cuGraphUpload,optional"`
	graphExecUpdate    dl.Func `sym:"cuGraphExecUpdate_v2,optional"`
	graphExecDestroy   dl.Func `sym:"cuGraphExecDestroy"`
}
