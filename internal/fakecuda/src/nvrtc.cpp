// nvrtc.cpp: the fake libnvrtc.so.13. A program is compiled into a small library for the host (compile.cpp), and its
// "cubin" is text that names the library (image.h).
#include <cstring>
#include <mutex>
#include <set>

#include "../fake.h"
#include "program.h"

#define API extern "C" __attribute__((visibility("default")))

static std::mutex lock;
static std::set<Program*>& programs() {
	static auto* s = new std::set<Program*>;
	return *s;
}
static Program* find(void* p) {
	std::lock_guard<std::mutex> guard(lock);
	return programs().count((Program*)p) ? (Program*)p : nullptr;
}

#define ENTER()                                             \
	if (int code = fakecuda_enter(__func__)) return code
#define FIND()                                              \
	Program* p = find(program);                             \
	if (!p) return fakecuda_error(INVALID_PROGRAM, "%s: %p is no live program", __func__, program)

API const char* nvrtcGetErrorString(int code) {
	static const char* const names[] = {
		"NVRTC_SUCCESS", "NVRTC_ERROR_OUT_OF_MEMORY", "NVRTC_ERROR_PROGRAM_CREATION_FAILURE", "NVRTC_ERROR_INVALID_INPUT", "NVRTC_ERROR_INVALID_PROGRAM",
		"NVRTC_ERROR_INVALID_OPTION", "NVRTC_ERROR_COMPILATION", "NVRTC_ERROR_BUILTIN_OPERATION_FAILURE",
	};
	return code >= 0 && code < 8 ? names[code] : "NVRTC_ERROR unknown";
}

API int nvrtcVersion(int* major, int* minor) {
	ENTER();
	*major = 13;
	*minor = 0;
	return SUCCESS;
}
API int nvrtcGetNumSupportedArchs(int* n) {
	ENTER();
	*n = sizeof archs / sizeof *archs;
	return SUCCESS;
}
API int nvrtcGetSupportedArchs(int* out) {
	ENTER();
	memcpy(out, archs, sizeof archs);
	return SUCCESS;
}

API int nvrtcCreateProgram(void** out, const char* source, const char* name, int n, const char* const* headers, const char* const* names) {
	ENTER();
	if (!out || !source || n < 0 || (n && (!headers || !names))) return fakecuda_error(INVALID_INPUT, "nvrtcCreateProgram: missing argument");
	auto* p = new Program;
	p->source = source;
	p->name = name ? name : "";
	for (int i = 0; i < n; i++) p->headers[names[i]] = headers[i];
	std::lock_guard<std::mutex> guard(lock);
	programs().insert(p);
	*out = p;
	return SUCCESS;
}
API int nvrtcDestroyProgram(void** program) {
	ENTER();
	std::lock_guard<std::mutex> guard(lock);
	if (!program || !programs().erase((Program*)*program)) return fakecuda_error(INVALID_PROGRAM, "nvrtcDestroyProgram: no live program");
	delete (Program*)*program;
	*program = nullptr;
	return SUCCESS;
}
API int nvrtcCompileProgram(void* program, int n, const char* const* options) {
	ENTER();
	FIND();
	return compile(*p, std::vector<std::string>(options, options + n));
}
API int nvrtcGetCUBINSize(void* program, size_t* size) {
	ENTER();
	FIND();
	*size = p->portable ? 0 : p->image.size();  // a virtual architecture gives PTX only
	return SUCCESS;
}
API int nvrtcGetCUBIN(void* program, char* out) {
	ENTER();
	FIND();
	if (p->image.empty() || p->portable) return INVALID_PROGRAM;
	memcpy(out, p->image.data(), p->image.size());
	return SUCCESS;
}
API int nvrtcGetPTXSize(void* program, size_t* size) {
	ENTER();
	FIND();
	*size = p->image.size();
	return SUCCESS;
}
API int nvrtcGetPTX(void* program, char* out) {
	ENTER();
	FIND();
	if (p->image.empty()) return INVALID_PROGRAM;
	memcpy(out, p->image.data(), p->image.size());
	return SUCCESS;
}
API int nvrtcGetProgramLogSize(void* program, size_t* size) {
	ENTER();
	FIND();
	*size = p->log.size() + 1;
	return SUCCESS;
}
API int nvrtcGetProgramLog(void* program, char* out) {
	ENTER();
	FIND();
	memcpy(out, p->log.c_str(), p->log.size() + 1);
	return SUCCESS;
}
API int nvrtcAddNameExpression(void* program, const char*) {
	ENTER();
	FIND();
	return SUCCESS;
}
API int nvrtcGetLoweredName(void* program, const char* name, const char** out) {
	ENTER();
	FIND();
	*out = name;
	return SUCCESS;
}

// fakecuda_precompile is precompile for the Go package.
API int fakecuda_precompile(int n, const char* const* names, const char* const* sources, int headers, const char* const* header_names, const char* const* header_texts,
                            int options, const char* const* option) {
	std::vector<Program> all(n);
	for (int i = 0; i < n; i++) {
		all[i].name = names[i];
		all[i].source = sources[i];
		for (int h = 0; h < headers; h++) all[i].headers[header_names[h]] = header_texts[h];
	}
	return precompile(all, std::vector<std::string>(option, option + options));
}
