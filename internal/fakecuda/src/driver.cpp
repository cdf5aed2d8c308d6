// driver.cpp: the driver's start, devices, contexts, and names of errors.
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>

#include "core.h"

#define NEED_INIT() NEED(initialized, NOT_INITIALIZED, "cuInit was not called")
#define NEED_DEVICE(d) NEED((d) >= 0 && (d) < settings.devices, INVALID_DEVICE, "device %d of %d", d, settings.devices)

static void setting(const char* variable, uint64_t& value) {
	if (const char* text = getenv(variable)) value = strtoull(text, nullptr, 10);
}

API cuInit(unsigned flags) {
	ENTER();
	NEED(flags == 0, INVALID_VALUE, "flags %u", flags);
	uint64_t devices = settings.devices;
	setting("FAKECUDA_DEVICES", devices);
	settings.devices = (int)std::min<uint64_t>(devices, 64);
	if (!settings.memory) settings.memory = 8ull << 30;
	setting("FAKECUDA_MEMORY", settings.memory);
	setting("FAKECUDA_SEED", settings.seed);
	if (!settings.devices) return NO_DEVICE;
	initialized = true;
	return OK;
}

API cuDriverGetVersion(int* out) {
	std::lock_guard<std::recursive_mutex> guard(lock);
	Counter::of(__func__).calls++;
	*out = 13000;
	return OK;
}

API cuDeviceGetCount(int* out) {
	ENTER();
	NEED_INIT();
	*out = settings.devices;
	return OK;
}
API cuDeviceGet(CUdevice* out, int i) {
	ENTER();
	NEED_INIT();
	NEED_DEVICE(i);
	*out = i;
	return OK;
}
API cuDeviceGetName(char* out, int size, CUdevice d) {
	ENTER();
	NEED_INIT();
	NEED_DEVICE(d);
	NEED(out && size > 0, INVALID_VALUE, "no room");
	snprintf(out, size, "Fake GPU");
	return OK;
}
API cuDeviceGetUuid_v2(char* out, CUdevice d) {
	ENTER();
	NEED_INIT();
	NEED_DEVICE(d);
	memset(out, 0, 16);
	out[15] = (char)d;
	return OK;
}
API cuDeviceGetPCIBusId(char* out, int size, CUdevice d) {
	ENTER();
	NEED_INIT();
	NEED_DEVICE(d);
	snprintf(out, size, "0000:%02X:00.0", d + 1);
	return OK;
}
API cuDeviceTotalMem_v2(size_t* out, CUdevice d) {
	ENTER();
	NEED_INIT();
	NEED_DEVICE(d);
	*out = settings.memory;
	return OK;
}
API cuDeviceGetAttribute(int* out, int attribute, CUdevice d) {
	ENTER();
	NEED_INIT();
	NEED_DEVICE(d);
	static const std::map<int, int> values = {
		{1, 1024}, {2, 1024}, {3, 1024}, {4, 64}, {5, 0x7fffffff}, {6, 65535}, {7, 65535},  // blocks and grids
		{8, 48 << 10}, {9, 64 << 10}, {10, 32}, {12, 65536}, {13, 1980000}, {14, 512},
		{16, 132}, {18, 0}, {19, 1}, {20, 0}, {31, 1}, {33, 1}, {36, 2619000}, {37, 5120}, {38, 50 << 20}, {39, 2048}, {40, 3}, {41, 1},
		{78, 1}, {79, 1}, {80, 1}, {81, 228 << 10}, {82, 65536}, {83, 1}, {84, 0}, {95, 1}, {97, 227 << 10}, {106, 32}, {111, 1 << 10},
		{115, 1}, {120, 1},
	};
	switch (attribute) {
	case 75: *out = settings.major; return OK;
	case 76: *out = settings.minor; return OK;
	case 33: *out = d + 1; return OK;
	}
	auto it = values.find(attribute);
	NEED(attribute > 0 && attribute < 200, INVALID_VALUE, "attribute %d", attribute);
	*out = it == values.end() ? 0 : it->second;
	return OK;
}

// ---- contexts: the primary one of each device, as the libraries use it

API cuDevicePrimaryCtxRetain(CUcontext* out, CUdevice d) {
	ENTER();
	NEED_INIT();
	NEED_DEVICE(d);
	while ((int)primaries.size() <= d) {
		primaries.emplace_back(new CUctx_st);
		primaries.back()->device = (int)primaries.size() - 1;
	}
	primaries[d]->references++;
	*out = primaries[d].get();
	return OK;
}
API cuDevicePrimaryCtxRelease_v2(CUdevice d) {
	ENTER();
	NEED_INIT();
	NEED_DEVICE(d);
	NEED((int)primaries.size() > d && primaries[d]->references > 0, INVALID_CONTEXT, "the context is not retained");
	primaries[d]->references--;
	return OK;
}
API cuCtxSetCurrent(CUcontext context) {
	ENTER();
	NEED_INIT();
	bool known = !context;
	for (auto& p : primaries) known |= p.get() == context && p->references > 0;
	NEED(known, INVALID_CONTEXT, "%p is no live context", (void*)context);
	current = context;
	return OK;
}
API cuCtxGetCurrent(CUcontext* out) {
	ENTER();
	NEED_INIT();
	*out = current;
	return OK;
}
API cuCtxGetDevice(CUdevice* out) {
	ENTER();
	NEED_CONTEXT();
	*out = current->device;
	return OK;
}

API cuDeviceCanAccessPeer(int* out, CUdevice a, CUdevice b) {
	ENTER();
	NEED_INIT();
	NEED_DEVICE(a);
	NEED_DEVICE(b);
	*out = a != b;
	return OK;
}
API cuCtxEnablePeerAccess(CUcontext peer, unsigned flags) {
	ENTER();
	NEED_CONTEXT();
	NEED(peer && flags == 0, INVALID_VALUE, "no peer, or flags %u", flags);
	static std::map<std::pair<CUcontext, CUcontext>, bool> enabled;
	bool& e = enabled[{current, peer}];
	if (e) return PEER_ACCESS_ALREADY_ENABLED;
	e = true;
	return OK;
}

// ---- memory pools: one a device, which keeps nothing

API cuDeviceGetDefaultMemPool(void** out, CUdevice d) {
	ENTER();
	NEED_INIT();
	NEED_DEVICE(d);
	*out = (void*)(uintptr_t)(d + 1);
	return OK;
}
API cuMemPoolSetAttribute(void* pool, int, void*) {
	ENTER();
	NEED((uintptr_t)pool - 1 < (uintptr_t)settings.devices, INVALID_VALUE, "%p is no pool", pool);
	return OK;
}
API cuMemPoolGetAttribute(void* pool, int, void* value) {
	ENTER();
	NEED((uintptr_t)pool - 1 < (uintptr_t)settings.devices, INVALID_VALUE, "%p is no pool", pool);
	*(uint64_t*)value = 0;
	return OK;
}
API cuMemPoolTrimTo(void* pool, size_t) {
	ENTER();
	NEED((uintptr_t)pool - 1 < (uintptr_t)settings.devices, INVALID_VALUE, "%p is no pool", pool);
	return OK;
}

API cuProfilerStart() {
	ENTER();
	return OK;
}
API cuProfilerStop() {
	ENTER();
	return OK;
}

// ---- names

struct ErrorText {
	int code;
	const char *name, *text;
};
static const ErrorText texts[] = {
	{0, "CUDA_SUCCESS", "no error"},
	{1, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
	{2, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
	{3, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
	{100, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
	{101, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
	{200, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
	{201, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
	{209, "CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image is available for execution on the device"},
	{214, "CUDA_ERROR_ECC_UNCORRECTABLE", "uncorrectable ECC error encountered"},
	{218, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed"},
	{400, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
	{401, "CUDA_ERROR_ILLEGAL_STATE", "the operation cannot be performed in the present state"},
	{500, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
	{600, "CUDA_ERROR_NOT_READY", "device not ready"},
	{700, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
	{701, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "too many resources requested for launch"},
	{702, "CUDA_ERROR_LAUNCH_TIMEOUT", "the launch timed out and was terminated"},
	{704, "CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED", "peer access is already enabled"},
	{710, "CUDA_ERROR_ASSERT", "device-side assert triggered"},
	{712, "CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED", "part or all of the requested memory range is already mapped"},
	{713, "CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED", "pointer does not correspond to a registered memory region"},
	{714, "CUDA_ERROR_HARDWARE_STACK_ERROR", "hardware stack error"},
	{715, "CUDA_ERROR_ILLEGAL_INSTRUCTION", "an illegal instruction was encountered"},
	{716, "CUDA_ERROR_MISALIGNED_ADDRESS", "misaligned address"},
	{717, "CUDA_ERROR_INVALID_ADDRESS_SPACE", "operation not supported on global/shared address space"},
	{718, "CUDA_ERROR_INVALID_PC", "invalid program counter"},
	{719, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
	{801, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
	{900, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "operation not permitted when stream is capturing"},
	{901, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "operation failed due to a previous error during capture"},
	{902, "CUDA_ERROR_STREAM_CAPTURE_MERGE", "operation would result in a merge of separate capture sequences"},
	{903, "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED", "capture was not ended in the same stream as it began"},
	{904, "CUDA_ERROR_STREAM_CAPTURE_UNJOINED", "capturing stream has unjoined work"},
	{905, "CUDA_ERROR_STREAM_CAPTURE_ISOLATION", "dependency created on uncaptured work in another stream"},
	{906, "CUDA_ERROR_STREAM_CAPTURE_IMPLICIT", "operation would make the legacy stream depend on a capturing blocking stream"},
	{907, "CUDA_ERROR_CAPTURED_EVENT", "operation not permitted on an event last recorded in a capturing stream"},
	{908, "CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD", "attempt to terminate a thread-local capture sequence from another thread"},
	{910, "CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE", "the graph update was not performed because it included changes which violated constraints specific to instantiated graph update"},
	{999, "CUDA_ERROR_UNKNOWN", "unknown error"},
};
static const ErrorText* find_text(int code) {
	for (auto& t : texts)
		if (t.code == code) return &t;
	return nullptr;
}
API cuGetErrorName(int code, const char** out) {
	const ErrorText* t = find_text(code);
	*out = t ? t->name : nullptr;
	return t ? OK : INVALID_VALUE;
}
API cuGetErrorString(int code, const char** out) {
	const ErrorText* t = find_text(code);
	*out = t ? t->text : nullptr;
	return t ? OK : INVALID_VALUE;
}

API cuGetProcAddress_v2(const char* name, void** out, int, uint64_t, int* status) {
	ENTER();
	NEED(name && out, INVALID_VALUE, "no name, or no place for the result");
	Dl_info self;
	dladdr((void*)cuInit, &self);
	void* library = dlopen(self.dli_fname, RTLD_NOW | RTLD_NOLOAD);
	*out = nullptr;
	for (const char* version : {"_v3", "_v2", ""})
		if (!*out) *out = dlsym(library, (std::string(name) + version).c_str());
	if (status) *status = *out ? 0 : 1;
	return *out ? OK : NOT_FOUND;
}
