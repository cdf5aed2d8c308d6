// state.cpp: counts, faults on demand, settings, and the functions of fake.h that are not about work.
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <unordered_map>

#include "core.h"

std::recursive_mutex lock;
Counts counts;
Settings settings;
bool initialized;
int sticky;
thread_local CUcontext current;
std::vector<std::unique_ptr<CUctx_st>> primaries;

static std::unordered_map<std::string, std::unique_ptr<Counter>>& counters() {
	static auto* m = new std::unordered_map<std::string, std::unique_ptr<Counter>>;
	return *m;
}
static std::map<std::string, int64_t> launches;

struct Fault {
	std::string call;
	int left;  // calls until it strikes
	int code;
};
static std::vector<Fault> faults;

Counter::Counter(const char* name) : name(strdup(name)) {}

int64_t* launch_count(const std::string& kernel) { return &launches[kernel]; }

// named is Counter::of for names that are mostly the same pointers.
static Counter& named(const char* name) {
	static std::unordered_map<const char*, Counter*> by_pointer;
	Counter*& c = by_pointer[name];
	if (!c || strcmp(c->name, name)) c = &Counter::of(name);
	return *c;
}

Counter& Counter::of(const char* name) {
	auto& c = counters()[name];
	if (!c) c.reset(new Counter(name));
	return *c;
}

int Counter::begin() {
	calls++;
	if (!faults.empty())
		if (int code = injected(name)) {
			fprintf(stderr, "fakecuda: %s fails with %d as asked\n", name, code);
			if (loses(code)) lose(code);
			return code;
		}
	return sticky;
}

int injected(const char* call) {
	for (size_t i = 0; i < faults.size(); i++)
		if (faults[i].call == call && --faults[i].left == 0) {
			int code = faults[i].code;
			faults.erase(faults.begin() + i);
			return code;
		}
	return 0;
}

bool loses(int code) {
	switch (code) {
	case 214: case 700: case 702: case 710: case 714: case 715: case 716: case 717: case 718: case 719:
		return true;
	}
	return false;
}

void lose(int code) {
	if (!sticky) sticky = code;
	drop_all();
}

int complain(const char* call, int code, const char* format, ...) {
	char text[1024];
	va_list list;
	va_start(list, format);
	vsnprintf(text, sizeof text, format, list);
	va_end(list);
	fprintf(stderr, "fakecuda: %s: %s (error %d)\n", call, text, code);
	return code;
}

int fakecuda_error(int code, const char* format, ...) {
	char text[1024];
	va_list list;
	va_start(list, format);
	vsnprintf(text, sizeof text, format, list);
	va_end(list);
	fprintf(stderr, "fakecuda: %s (error %d)\n", text, code);
	return code;
}

int fakecuda_enter(const char* call) {
	std::lock_guard<std::recursive_mutex> guard(lock);
	named(call).calls++;
	return faults.empty() ? 0 : injected(call);
}
void fakecuda_count(const char* call) {
	std::lock_guard<std::recursive_mutex> guard(lock);
	named(call).calls++;
}
int fakecuda_inject(const char* call) {
	std::lock_guard<std::recursive_mutex> guard(lock);
	return faults.empty() ? 0 : injected(call);
}
void fakecuda_launched(const char* kernel) {
	std::lock_guard<std::recursive_mutex> guard(lock);
	launches[kernel]++;
}
int fakecuda_context() {
	std::lock_guard<std::recursive_mutex> guard(lock);
	if (sticky) return sticky;
	return current && current->references > 0 ? OK : INVALID_CONTEXT;
}
int fakecuda_stream(CUstream handle) {
	std::lock_guard<std::recursive_mutex> guard(lock);
	if (int code = fakecuda_context()) return code;
	return stream_of(__func__, handle) ? OK : INVALID_HANDLE;
}
int fakecuda_valid(CUdeviceptr address, size_t bytes) {
	std::lock_guard<std::recursive_mutex> guard(lock);
	return device_range("a device pointer", address, bytes, current ? current->device : 0);
}
int fakecuda_enqueue(CUstream handle, void (*fn)(void*), void* arg) {
	std::lock_guard<std::recursive_mutex> guard(lock);
	std::shared_ptr<void> owned(arg, free);
	if (int code = fakecuda_context()) return complain(__func__, code, "no usable context on this thread");
	Stream* stream = stream_of(__func__, handle);
	if (!stream) return INVALID_HANDLE;
	auto work = std::make_shared<Work>();
	work->kind = Work::host;
	work->label = "library";
	work->run = [owned, fn] { fn(owned.get()); };
	return submit(__func__, stream, work);
}
void fakecuda_fail(int code, const char* message) {
	std::lock_guard<std::recursive_mutex> guard(lock);
	fprintf(stderr, "fakecuda: %s\n", message);
	lose(code);
}
int fakecuda_counting() { return settings.counting; }

// ---- for the Go package: settings by name, and all counts as text, one "name value" a line.

extern "C" {
#pragma GCC visibility push(default)

int fakecuda_configure(const char* name, int64_t value) {
	std::lock_guard<std::recursive_mutex> guard(lock);
	std::string n = name;
	if (n == "counting") {
		int64_t allocations, bytes, pinned;
		live_memory(allocations, bytes, pinned);
		if (allocations && settings.counting != bool(value)) return fakecuda_error(ILLEGAL_STATE, "device memory is allocated");
		settings.counting = value;
	}
	else if (n == "eager") settings.eager = value;
	else if (n == "devices") settings.devices = value;
	else if (n == "memory") settings.memory = value;
	else if (n == "major") settings.major = value;
	else if (n == "minor") settings.minor = value;
	else if (n == "seed") settings.seed = value, seed_kernels();
	else return fakecuda_error(INVALID_VALUE, "no setting %s", name);
	return OK;
}

void fakecuda_fault(const char* call, int nth, int code) {
	std::lock_guard<std::recursive_mutex> guard(lock);
	faults.push_back({call, nth < 1 ? 1 : nth, code});
}

void fakecuda_reset() {
	std::lock_guard<std::recursive_mutex> guard(lock);
	drop_all();
	faults.clear();
	for (auto& l : launches) l.second = 0;  // functions point at these
	counts = Counts{};
	sticky = 0;
	for (auto& c : counters()) c.second->calls = 0;
}

// The text lives until the next call.
const char* fakecuda_stats() {
	std::lock_guard<std::recursive_mutex> guard(lock);
	static std::string text;
	text.clear();
	auto line = [](const char* kind, const std::string& name, int64_t value) {
		text += std::string(kind) + "\t" + name + "\t" + std::to_string(value) + "\n";
	};
	for (auto& c : counters())
		if (c.second->calls) line("call", c.first, c.second->calls);
	for (auto& l : launches)
		if (l.second) line("launch", l.first, l.second);
	line("count", "hostToDevice", counts.host_to_device);
	line("count", "deviceToHost", counts.device_to_host);
	line("count", "deviceToDevice", counts.device_to_device);
	line("count", "set", counts.set);
	line("count", "copies", counts.copies);
	line("count", "sets", counts.sets);
	line("count", "syncs", counts.syncs);
	line("count", "replayed", counts.replayed);
	line("count", "peak", counts.peak);
	int64_t allocations, bytes, pinned;
	live_memory(allocations, bytes, pinned);
	line("live", "allocations", allocations);
	line("live", "bytes", bytes);
	line("live", "pinned", pinned);
	line("live", "streams", streams.live);
	line("live", "events", events.live);
	line("live", "graphs", live_graphs());
	line("live", "modules", live_modules());
	return text.c_str();
}
#pragma GCC visibility pop
}
