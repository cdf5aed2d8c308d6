// core.h: what the parts of the fake driver share. All state lies behind one lock, taken by ENTER.
#pragma once
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "../fake.h"

#define API extern "C" __attribute__((visibility("default"))) int

typedef int CUdevice;
typedef struct CUevent_st* CUevent;
typedef struct CUgraph_st* CUgraph;
typedef struct CUgraphExec_st* CUgraphExec;
typedef struct CUmod_st* CUmodule;
typedef struct CUfunc_st* CUfunction;

enum {
	OK = 0,
	INVALID_VALUE = 1,
	OUT_OF_MEMORY = 2,
	NOT_INITIALIZED = 3,
	NO_DEVICE = 100,
	INVALID_DEVICE = 101,
	INVALID_IMAGE = 200,
	INVALID_CONTEXT = 201,
	NO_BINARY_FOR_GPU = 209,
	ILLEGAL_STATE = 401,
	INVALID_HANDLE = 400,
	NOT_FOUND = 500,
	NOT_READY = 600,
	ILLEGAL_ADDRESS = 700,
	LAUNCH_OUT_OF_RESOURCES = 701,
	PEER_ACCESS_ALREADY_ENABLED = 704,
	LAUNCH_FAILED = 719,
	NOT_SUPPORTED = 801,
	CAPTURE_UNSUPPORTED = 900,
	CAPTURE_INVALIDATED = 901,
	CAPTURE_MERGE = 902,
	CAPTURE_UNMATCHED = 903,
	CAPTURE_UNJOINED = 904,
	CAPTURE_ISOLATION = 905,
	CAPTURE_IMPLICIT = 906,
	CAPTURED_EVENT = 907,
	CAPTURE_WRONG_THREAD = 908,
	GRAPH_EXEC_UPDATE_FAILURE = 910,
};

// The lock. Recursive, because work that runs calls back (fakecuda_valid).
extern std::recursive_mutex lock;

struct Counter {
	const char* name;
	int64_t calls = 0;
	Counter(const char* name);
	static Counter& of(const char* name);
	int begin();  // counts; returns the code to fail with: injected, or the sticky error
};

// ENTER starts a call of the driver: takes the lock, counts the call and fails it if asked to.
#define ENTER()                                          \
	std::lock_guard<std::recursive_mutex> guard(lock);   \
	static Counter& counter = Counter::of(__func__);     \
	if (int code = counter.begin()) return code

// NEED makes a call fail with a code and a message that begins with the call's name.
#define NEED(condition, code, ...) \
	if (!(condition)) return complain(__func__, code, __VA_ARGS__)

#define NEED_CONTEXT() \
	NEED(current && current->references > 0, INVALID_CONTEXT, "no context is current on this thread")

int complain(const char* call, int code, const char* format, ...) __attribute__((format(printf, 3, 4)));

// ---- settings and counts

struct Counts {
	int64_t host_to_device = 0, device_to_host = 0, device_to_device = 0, set = 0;  // bytes
	int64_t syncs = 0;          // calls that made the host wait for the device
	int64_t replayed = 0;       // kernel nodes of launched graphs
	int64_t copies = 0, sets = 0;
	int64_t peak = 0;           // bytes of device memory at once
};
struct Settings {
	bool counting = false;      // count-only
	bool eager = false;         // work runs when it is enqueued
	int devices = 1;
	int major = 9, minor = 0;
	uint64_t memory = 0;        // bytes of one device
	uint64_t seed = 1;
};
extern Counts counts;
extern Settings settings;
extern bool initialized;
extern int sticky;              // the error of a lost context, or 0
int injected(const char* call);
int64_t* launch_count(const std::string& kernel);  // lives for ever

void lose(int code);            // loses the context: every later call fails with code, queued work is dropped
bool loses(int code);           // whether a driver error of this code is sticky

// ---- handles: an index and a generation, so that a stale or foreign handle is told from a live one without a crash.

template <class T, uint64_t kind>
class Table {
	struct Slot {
		std::unique_ptr<T> object;
		uint64_t generation = 1;
	};
	std::vector<Slot> slots;
	std::vector<size_t> empty;

public:
	size_t live = 0;
	void* add(std::unique_ptr<T> object) {
		if (empty.empty()) {
			empty.push_back(slots.size());
			slots.emplace_back();
		}
		size_t i = empty.back();
		empty.pop_back();
		slots[i].object = std::move(object);
		live++;
		return (void*)(1ull << 46 | kind << 42 | (slots[i].generation & 0x3ffff) << 24 | i);
	}
	T* find(const void* handle) {
		uint64_t h = (uint64_t)handle, i = h & 0xffffff;
		if (h >> 42 != (1ull << 4 | kind) || i >= slots.size()) return nullptr;
		if ((slots[i].generation & 0x3ffff) != (h >> 24 & 0x3ffff)) return nullptr;
		return slots[i].object.get();
	}
	std::unique_ptr<T> remove(void* handle) {
		if (!find(handle)) return nullptr;
		Slot& s = slots[(uint64_t)handle & 0xffffff];
		s.generation++;
		live--;
		empty.push_back((uint64_t)handle & 0xffffff);
		return std::move(s.object);
	}
	template <class F> void each(F f) {
		for (auto& s : slots)
			if (s.object) f(*s.object);
	}
};

struct CUctx_st {
	int device;
	int references = 0;
};
extern thread_local CUcontext current;
extern std::vector<std::unique_ptr<CUctx_st>> primaries;

// ---- memory

struct Allocation {
	uintptr_t base, bytes;
	uintptr_t map, map_bytes;  // the pages; what lies before base and after base+bytes holds canaries
	int device;
};
// find returns the live allocation that holds the address, or null.
const Allocation* find_device(uintptr_t address);
const Allocation* find_pinned(uintptr_t address);
// device_range checks that a range lies in one live allocation of the device, and says what is wrong on stderr.
bool device_range(const char* what, uintptr_t address, size_t bytes, int device);
bool check_canaries(const char* after);  // of every allocation: false, and a message, if one was overwritten
void live_memory(int64_t& allocations, int64_t& bytes, int64_t& pinned);
std::string describe(uintptr_t address); // an address in terms of live allocations

// ---- work

struct Work {
	enum Kind { kernel, copy, set, host, empty } kind = empty;
	std::string label;
	std::function<void()> run;
};
typedef std::shared_ptr<Work> WorkPtr;

// A Record is one recording of an event: done once its stream has come so far.
struct Stream;
struct Record {
	Stream* stream = nullptr;
	bool done = false;
	int64_t nanoseconds = 0;
};
struct Capture;
struct Stream {
	CUcontext context;
	unsigned flags;
	struct Item {
		WorkPtr work;
		std::shared_ptr<Record> wait, record;
	};
	std::vector<Item> queue;
	size_t head = 0;
	bool running = false;
	std::shared_ptr<Capture> capture;
	std::vector<int> last;  // while capturing: the nodes that the next one depends on
	bool pending() const { return head < queue.size(); }
};
struct Event {
	CUcontext context;
	bool timing;
	std::shared_ptr<Record> record;
	std::weak_ptr<Capture> capture;  // recorded in this capture
	bool captured = false;
	std::vector<int> nodes;
};
extern Table<Stream, 1> streams;
extern Table<Event, 2> events;

// stream_of finds the stream of a call on the current context (legacy stream for null); null after a message.
Stream* stream_of(const char* call, CUstream handle);
// submit enqueues work, or records it into the stream's capture.
int submit(const char* call, Stream* stream, WorkPtr work);
void flush(Stream* stream, const Record* until = nullptr);
void flush_all();
void drop_all();

// unsafe returns the error of a call that must not be made while this or another thread captures, or 0. It spoils the
// capture, as the driver does.
int unsafe_in_capture(const char* call);
int record_in_capture(const char* call, Stream* stream, WorkPtr work);
int wait_in_capture(const char* call, Stream* stream, Event* event);
void spoil(Capture* capture);
int64_t live_graphs();
int64_t live_modules();

// ---- kernels (shim.cpp)

struct fakecuda_kernel;
void seed_kernels();  // from the settings
// run_kernel runs all blocks of a launch and returns 0, or a CUresult after a message on stderr.
int run_kernel(const char* name, const fakecuda_kernel* kernel, const void* args, const unsigned grid[3],
               const unsigned block[3], unsigned dynamic);
