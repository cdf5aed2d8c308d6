// module.cpp: modules, functions and launches.
#include <dlfcn.h>

#include <cstdlib>

#include "core.h"
#include "image.h"

#ifndef FAKECUDA_ABI
#define FAKECUDA_ABI "none"  // build.go defines it: the hash of shim.h and the driver's sources
#endif

unsigned kernel_bytes(const fakecuda_kernel*);
unsigned kernel_threads(const fakecuda_kernel*);
unsigned kernel_shared(const fakecuda_kernel*);

struct Module {
	CUcontext context;
	std::shared_ptr<void> library;
	Image image;
	std::map<std::string, CUfunction> functions;
};
struct Function {
	CUcontext context;
	std::shared_ptr<void> library;
	const fakecuda_kernel* kernel;
	std::string label;
	int arch, dynamic;  // dynamic: bytes allowed
	int64_t* launches;
};
static Table<Module, 5> modules;
static Table<Function, 6> functions;
static const int shared_limit = 48 << 10, shared_optin = 227 << 10;

int64_t live_modules() { return modules.live; }

static int load(const char* call, CUmodule* out, const void* data, std::string& log) {
	NEED_CONTEXT();
	if (!out || !data) return complain(call, INVALID_VALUE, "no image, or no place for the result");
	if (int code = unsafe_in_capture(call)) return code;
	std::unique_ptr<Module> m(new Module);
	m->context = current;
	if (!m->image.parse((const char*)data)) {
		log = "not an image of the fake NVRTC";
		return complain(call, INVALID_IMAGE, "%s", log.c_str());
	}
	const int device = 10 * settings.major + settings.minor;
	const bool fits = m->image.portable || m->image.arch / 10 == settings.major;
	if (!fits || m->image.arch > device) {
		log = "the image is for sm_" + std::to_string(m->image.arch);
		return complain(call, NO_BINARY_FOR_GPU, "%s", log.c_str());
	}
	if (m->image.abi != FAKECUDA_ABI) {
		log = "the image was compiled for another version of the fake";
		return complain(call, NO_BINARY_FOR_GPU, "%s", log.c_str());
	}
	void* library = dlopen(m->image.path.c_str(), RTLD_NOW | RTLD_LOCAL);
	if (!library) {
		log = dlerror();
		return complain(call, INVALID_IMAGE, "%s", log.c_str());
	}
	m->library.reset(library, dlclose);
	*out = (CUmodule)modules.add(std::move(m));
	return OK;
}

API cuModuleLoadData(CUmodule* out, const void* data) {
	ENTER();
	std::string log;
	return load(__func__, out, data, log);
}

API cuModuleLoadDataEx(CUmodule* out, const void* data, unsigned n, int* options, void** values) {
	ENTER();
	std::string log;
	const int code = load(__func__, out, data, log);
	char* buffer = nullptr;
	size_t size = 0;
	for (unsigned i = 0; i < n; i++) {
		if (options[i] == 5) buffer = (char*)values[i];
		if (options[i] == 6) size = (size_t)values[i] & 0xffffffff;
	}
	if (buffer && size) snprintf(buffer, size, "%s", log.c_str());
	return code;
}

API cuModuleUnload(CUmodule handle) {
	ENTER();
	NEED_CONTEXT();
	if (int code = unsafe_in_capture(__func__)) return code;
	NEED(modules.find(handle), INVALID_HANDLE, "%p is no live module", (void*)handle);
	flush_all();
	for (auto& f : modules.find(handle)->functions) functions.remove(f.second);
	modules.remove(handle);
	return OK;
}

API cuModuleGetFunction(CUfunction* out, CUmodule handle, const char* name) {
	ENTER();
	NEED_CONTEXT();
	Module* m = modules.find(handle);
	NEED(m, INVALID_HANDLE, "%p is no live module", (void*)handle);
	NEED(out && name, INVALID_VALUE, "no name, or no place for the result");
	auto& f = m->functions[name];
	if (!f) {
		auto kernel = (const fakecuda_kernel*)dlsym(m->library.get(), (std::string("fakecuda_kernel_") + name + m->image.suffix).c_str());
		if (!kernel) {
			m->functions.erase(name);
			return complain(__func__, NOT_FOUND, "no kernel %s in %s", name, m->image.name.c_str());
		}
		std::string label = strcmp(name, "run") || m->image.name.empty() ? name : m->image.name;
		f = (CUfunction)functions.add(std::unique_ptr<Function>(new Function{m->context, m->library, kernel, label, m->image.arch, shared_limit, launch_count(label)}));
	}
	*out = f;
	return OK;
}

API cuModuleGetGlobal_v2(CUdeviceptr*, size_t*, CUmodule handle, const char* name) {
	ENTER();
	NEED_CONTEXT();
	NEED(modules.find(handle), INVALID_HANDLE, "%p is no live module", (void*)handle);
	return complain(__func__, NOT_FOUND, "no variable %s: the fake has none", name);
}

API cuFuncGetAttribute(int* out, int attribute, CUfunction handle) {
	ENTER();
	NEED_CONTEXT();
	Function* f = functions.find(handle);
	NEED(f, INVALID_HANDLE, "%p is no live function", (void*)handle);
	switch (attribute) {
	case 0: *out = kernel_threads(f->kernel); break;
	case 1: *out = kernel_shared(f->kernel); break;
	case 4: *out = 32; break;
	case 5: case 6: *out = f->arch; break;
	case 8: *out = f->dynamic; break;
	case 9: *out = -1; break;
	default: *out = 0;
	}
	return OK;
}

API cuFuncSetAttribute(CUfunction handle, int attribute, int value) {
	ENTER();
	NEED_CONTEXT();
	Function* f = functions.find(handle);
	NEED(f, INVALID_HANDLE, "%p is no live function", (void*)handle);
	NEED(attribute == 8 || attribute == 9, INVALID_VALUE, "attribute %d cannot be set", attribute);
	if (attribute == 9) return OK;
	const int most = shared_optin - (int)kernel_shared(f->kernel);
	NEED(value >= 0 && value <= most, INVALID_VALUE, "%d bytes of dynamic shared memory, at most %d", value, most);
	f->dynamic = value;
	return OK;
}

API cuOccupancyMaxActiveBlocksPerMultiprocessor(int* out, CUfunction handle, int threads, size_t dynamic) {
	ENTER();
	NEED_CONTEXT();
	Function* f = functions.find(handle);
	NEED(f, INVALID_HANDLE, "%p is no live function", (void*)handle);
	NEED(threads > 0 && threads <= 1024, INVALID_VALUE, "%d threads", threads);
	size_t shared = kernel_shared(f->kernel) + dynamic + 1024;
	*out = (int)std::min<size_t>({32, (size_t)2048 / ((threads + 31) / 32 * 32), (size_t)(228 << 10) / shared});
	return OK;
}

static int launch(const char* call, CUfunction handle, const unsigned grid[3], const unsigned block[3], unsigned dynamic,
                  CUstream stream, void** params, void** extra) {
	NEED_CONTEXT();
	Function* f = functions.find(handle);
	if (!f) return complain(call, INVALID_HANDLE, "%p is no live function", (void*)handle);
	const char* name = f->label.c_str();
	if (f->context != current) return complain(call, INVALID_HANDLE, "%s belongs to another context", name);
	Stream* s = stream_of(call, stream);
	if (!s) return INVALID_HANDLE;
	const uint64_t threads = (uint64_t)block[0] * block[1] * block[2], blocks = (uint64_t)grid[0] * grid[1] * grid[2];
	if (!threads || !blocks || grid[0] > 0x7fffffff || grid[1] > 65535 || grid[2] > 65535)
		return complain(call, INVALID_VALUE, "%s: a grid of %u x %u x %u blocks of %u x %u x %u threads", name, grid[0], grid[1], grid[2], block[0], block[1], block[2]);
	if (block[0] > 1024 || block[1] > 1024 || block[2] > 64 || threads > kernel_threads(f->kernel))
		return complain(call, threads > 1024 ? INVALID_VALUE : LAUNCH_OUT_OF_RESOURCES, "%s: %u x %u x %u threads, compiled for %u at most", name, block[0], block[1], block[2], kernel_threads(f->kernel));
	if (dynamic > (unsigned)f->dynamic)
		return complain(call, INVALID_VALUE, "%s: %u bytes of dynamic shared memory, %d allowed", name, dynamic, f->dynamic);
	if (kernel_shared(f->kernel) > (unsigned)shared_limit)
		return complain(call, INVALID_IMAGE, "%s: %u bytes of static shared memory", name, kernel_shared(f->kernel));
	const void* args = nullptr;
	size_t size = 0;
	const unsigned bytes = kernel_bytes(f->kernel);
	if (params && extra) return complain(call, INVALID_VALUE, "%s: both kernelParams and extra", name);
	if (params) return complain(call, NOT_SUPPORTED, "%s: the fake takes parameters by extra only", name);
	for (int i = 0; extra && extra[i]; i += 2) {
		if (extra[i] == (void*)1) args = extra[i + 1];
		else if (extra[i] == (void*)2) size = *(size_t*)extra[i + 1];
		else return complain(call, INVALID_VALUE, "%s: extra[%d] is %p", name, i, extra[i]);
	}
	if (size != bytes && size != ((bytes + 7) & ~7u))
		return complain(call, INVALID_VALUE, "%s: %zu bytes of parameters, %u declared", name, size, bytes);
	if (size && !args) return complain(call, INVALID_VALUE, "%s: no parameters", name);
	++*f->launches;
	if (settings.counting && !s->capture) return OK;

	auto work = std::make_shared<Work>();
	work->kind = Work::kernel;
	work->label = f->label;
	std::shared_ptr<void> copy(aligned_alloc(64, (size + 64) & ~(size_t)63), free);
	if (size) memcpy(copy.get(), args, size);
	std::shared_ptr<void> library = f->library;
	const fakecuda_kernel* kernel = f->kernel;
	const unsigned g[3] = {grid[0], grid[1], grid[2]}, b[3] = {block[0], block[1], block[2]};
	Work* self = work.get();
	work->run = [=] {
		(void)library;  // stays loaded while this work lives
		const char* label = self->label.c_str();
		int code = injected("kernel");
		if (code) complain(label, code, "fails as asked");
		else code = run_kernel(label, kernel, copy.get(), g, b, dynamic);
		if (!code && !check_canaries(label)) code = ILLEGAL_ADDRESS;
		if (code) lose(code);
	};
	return submit(call, s, work);
}

API cuLaunchKernel(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared,
                   CUstream stream, void** params, void** extra) {
	ENTER();
	const unsigned grid[3] = {gx, gy, gz}, block[3] = {bx, by, bz};
	return launch(__func__, f, grid, block, shared, stream, params, extra);
}

struct LaunchConfig {
	unsigned grid[3], block[3], shared;
	CUstream stream;
	const void* attributes;
	unsigned n;
};
API cuLaunchKernelEx(const LaunchConfig* c, CUfunction f, void** params, void** extra) {
	ENTER();
	NEED(c, INVALID_VALUE, "no configuration");
	return launch(__func__, f, c->grid, c->block, c->shared, c->stream, params, extra);
}
