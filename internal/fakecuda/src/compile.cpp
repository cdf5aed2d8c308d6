// compile.cpp compiles programs by g++ with shim.h in front. A library may hold many programs, each in a namespace of its
// own; the cache has a small file for each program that names its library.
//
// Shared memory is the static variables of a program. g++ cannot put those of templates into a section, so the assembly
// in between is edited: each program's zeroed variables go into a section of its own.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <regex>
#include <set>
#include <thread>
#include <unordered_map>

#include "image.h"
#include "program.h"

extern char** environ;

const int archs[12] = {75, 80, 86, 87, 88, 89, 90, 100, 103, 110, 120, 121};

namespace {

typedef std::string string;
typedef std::vector<string> strings;
typedef std::map<string, string> Headers;

const size_t batch = 24;  // programs to a run of the compiler

// ---- files

string library_folder() {
	Dl_info self;
	dladdr((const void*)&archs, &self);
	string path = self.dli_fname;
	return path.substr(0, path.rfind('/'));
}

string cache_folder() {
	const char* p = getenv("FAKECUDA_CACHE");
	return p ? p : library_folder() + "/kernels";
}

bool exists(const string& path) { return access(path.c_str(), R_OK) == 0; }

void make_folders(const string& path) {
	for (size_t i = 1; i <= path.size(); i++)
		if (i == path.size() || path[i] == '/') mkdir(path.substr(0, i).c_str(), 0777);
}

string read_file(const string& path) {
	string s;
	if (FILE* f = fopen(path.c_str(), "r")) {
		char b[8192];
		for (size_t n; (n = fread(b, 1, sizeof b, f)) > 0;) s.append(b, n);
		fclose(f);
	}
	return s;
}

bool write_file(const string& path, const string& text) {
	FILE* f = fopen(path.c_str(), "w");
	if (!f) return false;
	const bool ok = fwrite(text.data(), 1, text.size(), f) == text.size();
	return fclose(f) == 0 && ok;
}

// aside is a name that nobody else writes to, to be renamed to path.
string aside(const string& path) {
	static std::atomic<int> serial;
	return path + "." + std::to_string(getpid()) + "." + std::to_string(serial++);
}

// ---- looking into programs

struct Scan {
	std::set<string> kernels, includes, macros;
};

// scan finds the kernels (extern "C" __global__ functions, and run where KERNEL is used), includes and macros of a text.
const Scan& scan(const string& text) {
	static std::mutex lock;
	static auto* known = new std::unordered_map<string, Scan>;
	std::lock_guard<std::mutex> guard(lock);
	auto found = known->find(text);
	if (found != known->end()) return found->second;
	static const std::regex define("(?:^|\n)[ \t]*#[ \t]*define[ \t]+(\\w+)(?:[^\n]*\\\\\n)*[^\n]*"), bounds("__launch_bounds__\\s*\\([^()]*\\)"),
	    global("__global__[^;{}]*?(\\w+)\\s*\\("), kernel("(?:^|\n)KERNEL[ \t]*\\("), include("(?:^|\n)[ \t]*#[ \t]*include[ \t]*[\"<]([^\">]+)[\">]");
	Scan s;
	auto all = [](const string& t, const std::regex& r, std::set<string>& into) {
		for (std::sregex_iterator i(t.begin(), t.end(), r), end; i != end; ++i) into.insert((*i)[1]);
	};
	all(text, define, s.macros);
	all(text, include, s.includes);
	const string plain = std::regex_replace(std::regex_replace(text, define, "\n"), bounds, "");
	all(plain, global, s.kernels);
	if (std::regex_search(plain, kernel)) s.kernels.insert("run");
	return known->emplace(text, s).first->second;
}

// Reach is what a program is made of: its kernels, and the headers that it can include.
struct Reach {
	std::set<string> kernels;
	Headers headers;
};
void reach(const Headers& headers, const string& text, Reach& r) {
	const Scan& s = scan(text);
	r.kernels.insert(s.kernels.begin(), s.kernels.end());
	for (auto& name : s.includes) {
		auto h = headers.find(name);
		if (h != headers.end() && r.headers.insert(*h).second) reach(headers, h->second, r);
	}
}

string packed(const Headers& headers) {
	string s = FAKECUDA_ABI;
	for (auto& h : headers) s += '\0' + h.first + '\0' + std::to_string(h.second.size()) + '\0' + h.second;
	return s;
}

// Options are those of a compilation that matter here.
struct Options {
	int arch = 75;
	bool portable = false;
	strings defines;
	string wrong;  // the first that is unknown
};
Options parse(const strings& options) {
	static const char* const ignored[] = {
		"--std=", "-std=", "-default-device", "--device-as-default-execution-space", "--fmad=", "-fmad=", "--use_fast_math", "-use_fast_math",
		"--extra-device-vectorization", "-extra-device-vectorization", "-lineinfo", "--generate-line-info", "--restrict", "-restrict", "-w", "--disable-warnings",
		"--ftz=", "--prec-div=", "--prec-sqrt=", "-G", "--device-debug", "--ptxas-options", "-Xptxas", "--maxrregcount", "--diag-", "-diag-", "--Werror", "-Werror",
		"--minimal", "-minimal", "--dopt", "--device-int128", "-device-int128", "--no-source-include", "-no-source-include", "--no-cache", "--split-compile",
	};
	auto starts = [](const string& s, const char* prefix) { return s.compare(0, strlen(prefix), prefix) == 0; };
	Options r;
	for (auto& o : options) {
		if (starts(o, "--gpu-architecture=") || starts(o, "-arch=")) {
			const string value = o.substr(o.find('=') + 1);
			r.portable = starts(value, "compute_");
			r.arch = r.portable ? atoi(value.c_str() + 8) : starts(value, "sm_") ? atoi(value.c_str() + 3) : 0;
			if (!std::count(std::begin(archs), std::end(archs), r.arch)) r.wrong = o;
		} else if (starts(o, "-D")) {
			r.defines.push_back(o);
		} else if (std::none_of(std::begin(ignored), std::end(ignored), [&](const char* i) { return starts(o, i); })) {
			r.wrong = o;
		}
	}
	return r;
}

string compiler() {
	const char* c = getenv("FAKECUDA_CXX");
	return c ? c : "g++";
}

// entry is the cache's file for a program: "PATH\nSUFFIX\n", the library and what ends the names of its kernels there.
string entry(const Program& p, const Reach& r, const Options& o) {
	string key = packed(r.headers) + '\0' + p.name + '\0' + p.source + '\0' + compiler();
	for (auto& d : o.defines) key += '\0' + d;
	return cache_folder() + "/" + hash(key) + ".entry";
}

bool read_entry(const string& path, Image& image) {
	const string text = read_file(path);
	const size_t line = text.find('\n');
	if (line == string::npos || text.back() != '\n') return false;
	image.path = text.substr(0, line);
	image.suffix = text.substr(line + 1, text.size() - line - 2);
	return exists(image.path);
}

// ---- compiling

string tag(size_t i) { return "fakecuda_ns_" + std::to_string(i) + "_"; }

// unit is the translation unit of programs. Before each, all macros of the headers are undefined, and the guards that
// stand in for #pragma once, so that each includes its headers anew.
string unit(const std::vector<const Program*>& programs, const std::vector<Reach>& reached, const Headers& headers, const strings& defines) {
	// -DNAME=VALUE becomes a line in each program, for it must not reach shim.h.
	string define;
	for (auto& d : defines) {
		const size_t equals = d.find('=');
		define += "#define " + d.substr(2, equals - 2) + " " + (equals == string::npos ? "1" : d.substr(equals + 1)) + "\n";
	}
	std::set<string> macros = scan(define).macros;
	for (auto& h : headers) macros.insert(scan(h.second).macros.begin(), scan(h.second).macros.end());
	for (auto* p : programs) macros.insert(scan(p->source).macros.begin(), scan(p->source).macros.end());
	for (auto& m : scan(read_file(library_folder() + "/shim.h")).macros) macros.erase(m);
	string undefine;
	for (auto& m : macros) undefine += "#undef " + m + "\n";
	for (size_t i = 0; i < headers.size(); i++) undefine += "#undef FAKECUDA_ONCE_" + std::to_string(i) + "\n";

	string s = "#define FAKECUDA_LOCAL __attribute__((visibility(\"hidden\"), weak))\n#define FAKECUDA_KERNEL __attribute__((visibility(\"default\")))\n";
	for (size_t i = 0; i < programs.size(); i++) {
		const string n = std::to_string(i), suffix = programs.size() > 1 ? "_" + tag(i) : "";
		if (i > 0) s += undefine;
		if (!suffix.empty()) s += "#define run run" + suffix + "\n";
		s += define;
		s += "namespace " + tag(i) + " {\nnamespace {\n#line 1 \"" + (programs[i]->name.empty() ? "program" : programs[i]->name) + "\"\n" + programs[i]->source + "\n}\n";
		s += "#ifndef THREADS\n#define THREADS 1024\n#endif\nextern \"C\" {\nextern char __start_shared_" + n + "[] FAKECUDA_LOCAL, __stop_shared_" + n + "[] FAKECUDA_LOCAL;\n";
		for (auto& k : reached[i].kernels) {
			s += "FAKECUDA_KERNEL extern const fakecuda_kernel fakecuda_kernel_" + k + suffix + " = {[](const char* p) { ::fakecuda::call(" + k + ", p); }, ::fakecuda::bytes(" + k +
			     "), THREADS, __start_shared_" + n + ", __stop_shared_" + n + "};\n";
		}
		s += "}\n}\n";
		if (!suffix.empty()) s += "#undef run\n";
	}
	return s;
}

// guarded replaces #pragma once by a guard that unit can undefine.
string guarded(const string& text, size_t i) {
	const string pragma = "#pragma once";
	const size_t at = text.find("\n" + pragma) + 1;
	if (at == 0 && text.compare(0, pragma.size(), pragma) != 0) return text;
	const string guard = "FAKECUDA_ONCE_" + std::to_string(i);
	string rest = text;
	rest.replace(at, pragma.size(), "");
	return "#ifndef " + guard + "\n#define " + guard + "\n#line 1\n" + rest + "\n#endif\n";
}

// header_folder writes headers to a folder named by their hash, once.
string header_folder(const Headers& headers) {
	const string folder = cache_folder() + "/include-" + hash(packed(headers));
	if (exists(folder)) return folder;
	const string temporary = aside(folder);
	make_folders(temporary);
	bool ok = write_file(temporary + "/math.h", "") && write_file(temporary + "/string.h", "");  // shim.h declares what they would
	size_t i = 0;
	for (auto& h : headers) {
		if (h.first.find('/') != string::npos) make_folders(temporary + "/" + h.first.substr(0, h.first.rfind('/')));
		ok = ok && write_file(temporary + "/" + h.first, guarded(h.second, i++));
	}
	if (!ok) return "";
	rename(temporary.c_str(), folder.c_str());  // another may have been faster
	return folder;
}

// run returns the exit status of a command, and appends what it writes on stderr to log.
int run(const strings& command, const string& output, string& log) {
	std::vector<char*> argv;
	for (auto& a : command) argv.push_back((char*)a.c_str());
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
	const int error = posix_spawnp(&pid, argv[0], &actions, &attributes, argv.data(), environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	if (error) {
		log += string("cannot start ") + argv[0] + ": " + strerror(error) + "\n";
		return -1;
	}
	int status = -1;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
	log += read_file(output);
	unlink(output.c_str());
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// sectioned moves the zeroed variables of each program from .bss to the section shared_N.
string sectioned(const string& assembly) {
	string out;
	out.reserve(assembly.size() + 4096);
	const string common = "\t.comm\t", mark = "fakecuda_ns_";
	for (size_t at = 0; at < assembly.size();) {
		size_t end = assembly.find('\n', at);
		if (end == string::npos) end = assembly.size();
		if (assembly.compare(at, common.size(), common) != 0) {
			out.append(assembly, at, end - at + 1);
		} else {
			const string line = assembly.substr(at + common.size(), end - at - common.size());
			const size_t size = line.find(','), align = line.find(',', size + 1), m = line.find(mark);
			const string name = line.substr(0, size), n = m < size ? std::to_string(atoi(line.c_str() + m + mark.size())) : "0";
			out += "\t.pushsection shared_" + n + ",\"aw\",@nobits\n\t.balign " + line.substr(align + 1) + "\n" + name + ":\n\t.zero " + line.substr(size + 1, align - size - 1) + "\n\t.popsection\n";
		}
		at = end + 1;
	}
	return out;
}

// build compiles programs into one library and writes their entries; an nvrtcResult.
int build(const std::vector<const Program*>& programs, const std::vector<Reach>& reached, const Options& o, string& log) {
	Headers headers;
	for (auto& r : reached) headers.insert(r.headers.begin(), r.headers.end());
	make_folders(cache_folder());
	const string folder = header_folder(headers), text = unit(programs, reached, headers, o.defines);
	string library = cache_folder() + "/" + hash(packed(headers) + text + compiler());
	const string temporary = aside(library);
	if (folder.empty() || !write_file(temporary + ".cpp", text)) {
		log = "cannot write to " + cache_folder() + "\n";
		return COMPILATION;
	}
	library += ".so";
	strings command = {
		compiler(), "-S", "-x", "c++", "-std=c++17", "-O1", "-w", "-fPIC", "-fvisibility=hidden", "-fno-exceptions", "-fno-rtti", "-fno-asynchronous-unwind-tables",
		"-fno-threadsafe-statics", "-ffp-contract=off", "-fno-math-errno", "-fwrapv", "-fno-strict-aliasing",
		"-fsanitize=bounds-strict,alignment,shift-exponent,integer-divide-by-zero", "-fno-sanitize-recover=all",
		"-DDESCENT_HOST", "-I", folder, "-include", library_folder() + "/shim.h",
	};
	command.insert(command.end(), {"-o", temporary + ".s", temporary + ".cpp"});
	int status = run(command, temporary + ".log", log);
	if (status == 0) {
		status = !write_file(temporary + ".s", sectioned(read_file(temporary + ".s")));
		if (status == 0)
			status = run({compiler(), "-shared", "-nostdlib", "-o", temporary + ".so", temporary + ".s", library_folder() + "/libcuda.so.1", "-lm"}, temporary + ".log", log);
	}
	unlink((temporary + ".cpp").c_str());
	unlink((temporary + ".s").c_str());
	if (status != 0 || rename((temporary + ".so").c_str(), library.c_str()) != 0) {
		unlink((temporary + ".so").c_str());
		if (log.empty()) log = compiler() + " failed\n";
		return COMPILATION;
	}
	for (size_t i = 0; i < programs.size(); i++) {
		const string path = entry(*programs[i], reached[i], o), written = aside(path);
		write_file(written, library + "\n" + (programs.size() > 1 ? "_" + tag(i) : "") + "\n");
		rename(written.c_str(), path.c_str());
	}
	return SUCCESS;
}

}  // namespace

int compile(Program& p, const std::vector<std::string>& options) {
	const Options o = parse(options);
	p.log.clear();
	p.image.clear();
	p.portable = o.portable;
	if (!o.wrong.empty()) {
		p.log = "nvrtc: error: invalid value or option " + o.wrong + "\n";
		return INVALID_OPTION;
	}
	Reach r;
	reach(p.headers, p.source, r);
	Image image;
	const string path = entry(p, r, o);
	if (!read_entry(path, image)) {
		if (int code = build({&p}, {r}, o, p.log)) return code;
		if (!read_entry(path, image)) {
			p.log = "cannot write " + path + "\n";
			return COMPILATION;
		}
	}
	image.abi = FAKECUDA_ABI;
	image.arch = o.arch;
	image.portable = o.portable;
	image.name = p.name;
	std::replace(image.name.begin(), image.name.end(), '\n', ' ');
	p.image = image.text();
	return SUCCESS;
}

int precompile(const std::vector<Program>& programs, const std::vector<std::string>& options) {
	const Options o = parse(options);
	if (!o.wrong.empty()) return INVALID_OPTION;
	make_folders(cache_folder());
	// One process at a time: another one that wants the same finds it done.
	const int file = open((cache_folder() + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (file >= 0) flock(file, LOCK_EX);
	std::vector<const Program*> missing;
	std::vector<Reach> reached;
	for (auto& p : programs) {
		Reach r;
		Image image;
		reach(p.headers, p.source, r);
		if (r.kernels != std::set<string>{"run"} || read_entry(entry(p, r, o), image)) continue;
		missing.push_back(&p);
		reached.push_back(r);
	}
	std::atomic<size_t> next{0};
	auto work = [&] {
		for (size_t from; (from = next.fetch_add(batch)) < missing.size();) {
			const size_t to = std::min(from + batch, missing.size());
			string log;
			build({missing.begin() + from, missing.begin() + to}, {reached.begin() + from, reached.begin() + to}, o, log);
			if (!log.empty() && getenv("FAKECUDA_VERBOSE")) fprintf(stderr, "fakecuda: %s\n", log.c_str());
		}
	};
	std::vector<std::thread> threads;
	for (unsigned i = 1; i < std::max(1u, std::thread::hardware_concurrency()); i++) threads.emplace_back(work);
	work();
	for (auto& t : threads) t.join();
	if (file >= 0) close(file);
	return SUCCESS;
}
