// nvrtc.cpp: the fake libnvrtc.so.13. A program is compiled by g++ with shim.h into a small shared library, and its
// "cubin" is text that names the library (image.h). Libraries are cached by a hash of all that goes into them.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <map>
#include <mutex>
#include <regex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "../fake.h"
#include "image.h"

extern char** environ;

#define API extern "C" __attribute__((visibility("default")))

enum {
	SUCCESS = 0,
	PROGRAM_CREATION_FAILURE = 2,
	INVALID_INPUT = 3,
	INVALID_PROGRAM = 4,
	INVALID_OPTION = 5,
	COMPILATION = 6,
};

namespace {

const int archs[] = {75, 80, 86, 87, 88, 89, 90, 100, 103, 110, 120, 121};

struct Program {
	std::string source, name, log, image;
	std::map<std::string, std::string> headers;
};

std::mutex lock;
std::set<Program*>& programs() {
	static auto* s = new std::set<Program*>;
	return *s;
}
Program* find(void* p) {
	std::lock_guard<std::mutex> guard(lock);
	return programs().count((Program*)p) ? (Program*)p : nullptr;
}

// ---- files

std::string library_folder() {
	Dl_info self;
	dladdr((void*)&archs, &self);
	std::string path = self.dli_fname;
	return path.substr(0, path.rfind('/'));
}

bool exists(const std::string& path) { return access(path.c_str(), R_OK) == 0; }

void make_folders(const std::string& path) {
	for (size_t i = 1; i <= path.size(); i++)
		if (i == path.size() || path[i] == '/') mkdir(path.substr(0, i).c_str(), 0777);
}

std::string read_file(const std::string& path) {
	std::string s;
	if (FILE* f = fopen(path.c_str(), "r")) {
		char b[8192];
		for (size_t n; (n = fread(b, 1, sizeof b, f)) > 0;) s.append(b, n);
		fclose(f);
	}
	return s;
}

bool write_file(const std::string& path, const std::string& text) {
	FILE* f = fopen(path.c_str(), "w");
	if (!f) return false;
	bool ok = fwrite(text.data(), 1, text.size(), f) == text.size();
	return fclose(f) == 0 && ok;
}

std::string cache_folder() {
	if (const char* p = getenv("FAKECUDA_CACHE")) return p;
	return library_folder() + "/kernels";
}

// ---- compiling

// entry_points finds the kernels of a program: extern "C" __global__ functions, and run where KERNEL is used, in the source
// and in what it includes.
void entry_points(const Program& p, const std::string& text, std::set<std::string>& seen, std::set<std::string>& names) {
	static const std::regex global("__global__[^;{}]*?(\\w+)\\s*\\("), include("(?:^|\n)[ \t]*#[ \t]*include[ \t]*[\"<]([^\">]+)[\">]"),
	    kernel("(?:^|\n)KERNEL[ \t]*\\("), attribute("__launch_bounds__\\s*\\([^()]*\\)"), define("(?:^|\n)[ \t]*#[ \t]*define(?:[^\n]*\\\\\n)*[^\n]*");
	const std::string plain = std::regex_replace(std::regex_replace(text, define, "\n"), attribute, "");
	for (std::sregex_iterator i(plain.begin(), plain.end(), global), end; i != end; ++i) names.insert((*i)[1]);
	if (std::regex_search(plain, kernel)) names.insert("run");
	for (std::sregex_iterator i(text.begin(), text.end(), include), end; i != end; ++i) {
		auto h = p.headers.find((*i)[1]);
		if (h != p.headers.end() && seen.insert(h->first).second) entry_points(p, h->second, seen, names);
	}
}

std::string unit(const Program& p) {
	std::set<std::string> seen, names;
	entry_points(p, p.source, seen, names);
	std::string name = p.name.empty() ? "program" : p.name;
	std::string s = "namespace {\n#line 1 \"" + name + "\"\n" + p.source + "\n}\n";
	s += "#ifndef THREADS\n#define THREADS 1024\n#endif\n#define FAKECUDA_LOCAL __attribute__((visibility(\"hidden\")))\n"
	     "extern \"C\" {\nextern char __bss_start[] FAKECUDA_LOCAL, _end[] FAKECUDA_LOCAL;\n";
	for (auto& n : names)
		s += "__attribute__((visibility(\"default\"))) extern const fakecuda_kernel fakecuda_kernel_" + n + " = {[](const char* p) { fakecuda::call(" + n +
		     ", p); }, fakecuda::bytes(" + n + "), THREADS, __bss_start, _end};\n";
	return s + "}\n";
}

// run_compiler returns its exit status, and what it wrote in log.
int run_compiler(const std::vector<std::string>& arguments, const std::string& output, std::string& log) {
	std::vector<char*> argv;
	for (auto& a : arguments) argv.push_back((char*)a.c_str());
	argv.push_back(nullptr);
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 2, output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
	posix_spawnattr_t attributes;
	posix_spawnattr_init(&attributes);
	sigset_t none;
	sigemptyset(&none);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	pid_t pid;
	int error = posix_spawnp(&pid, argv[0], &actions, &attributes, argv.data(), environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	if (error) {
		log = std::string("cannot start ") + argv[0] + ": " + strerror(error);
		return -1;
	}
	int status = -1;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
	log = read_file(output);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// parse_options splits options into the architecture and those that g++ needs; the name of a wrong one, or "".
std::string parse_options(const std::vector<std::string>& options, int& arch, std::vector<std::string>& passed) {
	static const char* const ignored[] = {
		"--std=", "-std=", "-default-device", "--device-as-default-execution-space", "--fmad=", "-fmad=", "--use_fast_math", "-use_fast_math",
		"--extra-device-vectorization", "-extra-device-vectorization", "-lineinfo", "--generate-line-info", "--restrict", "-restrict", "-w", "--disable-warnings",
		"--ftz=", "--prec-div=", "--prec-sqrt=", "-G", "--device-debug", "--ptxas-options", "-Xptxas", "--maxrregcount", "--diag-", "--Werror", "-Werror", "--minimal", "-minimal",
		"--dopt", "--device-int128", "-device-int128", "--no-source-include", "-no-source-include", "--no-cache", "--split-compile",
	};
	arch = 75;
	for (auto& o : options) {
		size_t at;
		if (o.compare(0, 18, "--gpu-architecture") == 0 || o.compare(0, 5, "-arch") == 0) {
			if ((at = o.find("=sm_")) == std::string::npos) return o;
			arch = atoi(o.c_str() + at + 4);
			bool known = false;
			for (int a : archs) known |= a == arch;
			if (!known) return o;
			continue;
		}
		if (o.compare(0, 2, "-D") == 0) {
			passed.push_back(o);
			continue;
		}
		bool known = false;
		for (const char* i : ignored) known |= o.compare(0, strlen(i), i) == 0;
		if (!known) return o;
	}
	return "";
}

int compile(Program& p, const std::vector<std::string>& options) {
	int arch;
	std::vector<std::string> defines;
	const std::string wrong = parse_options(options, arch, defines);
	if (!wrong.empty()) {
		p.log = "nvrtc: error: invalid value or option " + wrong + "\n";
		return INVALID_OPTION;
	}
	const char* chosen = getenv("FAKECUDA_CXX");
	const std::string compiler = chosen ? chosen : "g++";
	std::string headers;
	for (auto& h : p.headers) headers += h.first + '\0' + std::to_string(h.second.size()) + '\0' + h.second;
	const std::string text = unit(p), cache = cache_folder(), header_folder = cache + "/include-" + hash(headers + FAKECUDA_ABI);
	std::string key = text + '\0' + headers + '\0' + compiler + '\0' + FAKECUDA_ABI;
	for (auto& d : defines) key += '\0' + d;
	key = hash(key);
	const std::string library = cache + "/" + key + ".so";
	Image image;
	image.abi = FAKECUDA_ABI;
	image.arch = arch;
	image.path = library;
	image.name = p.name;
	for (char& c : image.name)
		if (c == '\n') c = ' ';
	p.image = image.text();
	p.log.clear();
	if (exists(library)) return SUCCESS;

	make_folders(cache);
	if (!exists(header_folder)) {  // written aside and renamed, for others compile the same at the same time
		static std::atomic<int> serial;
		const std::string aside = header_folder + "." + std::to_string(getpid()) + "." + std::to_string(serial++);
		make_folders(aside);
		bool ok = write_file(aside + "/math.h", "") && write_file(aside + "/string.h", "");  // shim.h declares what they would
		for (auto& h : p.headers) {
			if (h.first.find('/') != std::string::npos) make_folders(aside + "/" + h.first.substr(0, h.first.rfind('/')));
			ok = ok && write_file(aside + "/" + h.first, h.second);
		}
		if (!ok) {
			p.log = "cannot write " + aside + "\n";
			return COMPILATION;
		}
		rename(aside.c_str(), header_folder.c_str());
	}
	static std::atomic<int> serial;
	const std::string aside = cache + "/" + key + "." + std::to_string(getpid()) + "." + std::to_string(serial++);
	if (!write_file(aside + ".cpp", text)) {
		p.log = "cannot write " + aside + ".cpp\n";
		return COMPILATION;
	}
	std::vector<std::string> command = {
		compiler, "-x", "c++", "-std=c++17", "-O1", "-w", "-fPIC", "-shared", "-nostdlib", "-pipe", "-fvisibility=hidden", "-fno-exceptions", "-fno-rtti",
		"-fno-asynchronous-unwind-tables", "-fno-threadsafe-statics", "-ffp-contract=off", "-fno-math-errno", "-fwrapv", "-fno-strict-aliasing",
		"-fsanitize=bounds-strict,alignment,shift-exponent,integer-divide-by-zero", "-fno-sanitize-recover=all",
		"-DDESCENT_HOST", "-I", header_folder, "-include", library_folder() + "/shim.h",
	};
	command.insert(command.end(), defines.begin(), defines.end());
	command.insert(command.end(), {"-o", aside + ".so", aside + ".cpp", "-x", "none", library_folder() + "/libcuda.so.1", "-lm"});
	const int status = run_compiler(command, aside + ".log", p.log);
	unlink((aside + ".cpp").c_str());
	unlink((aside + ".log").c_str());
	if (status != 0) {
		unlink((aside + ".so").c_str());
		p.image.clear();
		if (p.log.empty()) p.log = compiler + " failed\n";
		return COMPILATION;
	}
	rename((aside + ".so").c_str(), library.c_str());
	return SUCCESS;
}

}  // namespace

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
	if (p->image.empty()) return INVALID_PROGRAM;
	*size = p->image.size();
	return SUCCESS;
}
API int nvrtcGetCUBIN(void* program, char* out) {
	ENTER();
	FIND();
	if (p->image.empty()) return INVALID_PROGRAM;
	memcpy(out, p->image.data(), p->image.size());
	return SUCCESS;
}
API int nvrtcGetPTXSize(void* program, size_t* size) { return nvrtcGetCUBINSize(program, size); }
API int nvrtcGetPTX(void* program, char* out) { return nvrtcGetCUBIN(program, out); }
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
