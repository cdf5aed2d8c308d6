// memory.cpp: device memory, pinned host memory, copies and fills.
//
// A device pointer is a real address, so that kernels use it as it is. Each allocation ends at a page that may not be
// touched and starts after one; freed pages may not be touched either, and their addresses are not given out again soon.
// In count-only mode addresses are given out without memory behind them.
#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>

#include "core.h"

static const size_t page = 4096, alignment = 256;
static const uint8_t canary = 0xa5, garbage = 0xff;

static std::map<uintptr_t, Allocation> device_memory, pinned;  // by base
static std::map<uintptr_t, Allocation> ragged;                 // those of device_memory with canaries
static int64_t used[64];
static uintptr_t arena, arena_end, arena_next;

static const Allocation* holder(const std::map<uintptr_t, Allocation>& m, uintptr_t address) {
	auto it = m.upper_bound(address);
	if (it == m.begin()) return nullptr;
	--it;
	return address - it->second.base < it->second.bytes ? &it->second : nullptr;
}
const Allocation* find_device(uintptr_t address) { return holder(device_memory, address); }
const Allocation* find_pinned(uintptr_t address) { return holder(pinned, address); }

void live_memory(int64_t& allocations, int64_t& bytes, int64_t& host) {
	allocations = device_memory.size();
	bytes = 0;
	for (int64_t u : used) bytes += u;
	host = 0;
	for (auto& p : pinned) host += p.second.bytes;
}

std::string describe(uintptr_t address) {
	char text[160];
	if (address < 1 << 16) return "close to the null pointer";
	auto it = device_memory.upper_bound(address);
	if (it != device_memory.begin()) {
		auto before = std::prev(it);
		uintptr_t past = address - before->first - before->second.bytes;
		if (past < 1 << 20) {
			snprintf(text, sizeof text, "%lu bytes past the end of an allocation of %lu bytes", past, before->second.bytes);
			return text;
		}
	}
	if (it != device_memory.end() && it->first - address < 1 << 20) {
		snprintf(text, sizeof text, "%lu bytes before an allocation of %lu bytes", it->first - address, it->second.bytes);
		return text;
	}
	if (address >= arena && address < arena_next) return "in device memory that was freed";
	return "which is no device memory";
}

bool device_range(const char* what, uintptr_t address, size_t bytes, int device) {
	if (bytes == 0) return true;
	const Allocation* a = find_device(address);
	if (!a) {
		fprintf(stderr, "fakecuda: %s: %#lx is %s\n", what, address, describe(address).c_str());
		return false;
	}
	if (bytes > a->base + a->bytes - address) {
		fprintf(stderr, "fakecuda: %s: %zu bytes at offset %lu of an allocation of %lu bytes\n", what, bytes, address - a->base, a->bytes);
		return false;
	}
	if (a->device != device) {
		fprintf(stderr, "fakecuda: %s: memory of device %d used on device %d\n", what, a->device, device);
		return false;
	}
	return true;
}

static bool canaries_of(const Allocation& a, const char* after) {
	const uint8_t *start = (uint8_t*)a.map, *base = (uint8_t*)a.base, *end = start + a.map_bytes;
	for (const uint8_t* p = start; p < base; p++)
		if (*p != canary) {
			fprintf(stderr, "fakecuda: %s: %ld bytes before an allocation of %lu bytes were written to\n", after, base - p, a.bytes);
			return false;
		}
	for (const uint8_t* p = base + a.bytes; p < end; p++)
		if (*p != canary) {
			fprintf(stderr, "fakecuda: %s: a write %ld bytes past the end of an allocation of %lu bytes\n", after, p - base - a.bytes, a.bytes);
			return false;
		}
	return true;
}

bool check_canaries(const char* after) {
	if (settings.counting) return true;
	for (auto& a : ragged)
		if (!canaries_of(a.second, after)) return false;
	return true;
}

static uintptr_t round_up(uintptr_t n, uintptr_t to) { return (n + to - 1) / to * to; }

static bool reserve_arena() {
	if (arena) return true;
	for (uintptr_t size = 1ull << 43; size >= 1ull << 36; size >>= 1) {
		void* p = mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (p != MAP_FAILED) {
			arena = arena_next = (uintptr_t)p;
			arena_end = arena + size;
			return true;
		}
	}
	return false;
}

static int allocate(const char* call, CUdeviceptr* out, size_t bytes, int device) {
	if (bytes == 0) return complain(call, INVALID_VALUE, "0 bytes");
	const size_t tail = round_up(bytes, alignment), map_bytes = round_up(tail, page);
	if (used[device] + bytes > settings.memory) return OUT_OF_MEMORY;
	if (!reserve_arena()) return complain(call, OUT_OF_MEMORY, "no address space");
	if (arena_next + map_bytes + 2 * page > arena_end) {
		arena_next = arena;
		if (!device_memory.empty()) return complain(call, OUT_OF_MEMORY, "address space used up");
	}
	Allocation a;
	a.map = arena_next + page;
	a.map_bytes = map_bytes;
	a.base = a.map + map_bytes - tail;
	a.bytes = bytes;
	a.device = device;
	if (!settings.counting) {
		if (mprotect((void*)a.map, map_bytes, PROT_READ | PROT_WRITE)) return complain(call, OUT_OF_MEMORY, "the host has no memory left");
		memset((void*)a.map, canary, a.base - a.map);
		// Fresh memory of a GPU is not zero; past 64 MiB only its ends are filled, to spare the host.
		const size_t fill = bytes > 64 << 20 ? 1 << 20 : bytes;
		memset((void*)a.base, garbage, fill);
		memset((void*)(a.base + bytes - fill), garbage, fill);
		memset((void*)(a.base + bytes), canary, tail - bytes);
		if (map_bytes != bytes) ragged[a.base] = a;
	}
	arena_next = a.map + map_bytes;
	device_memory[a.base] = a;
	used[device] += bytes;
	int64_t total = 0;
	for (int64_t u : used) total += u;
	counts.peak = std::max(counts.peak, total);
	*out = a.base;
	return OK;
}

static int release(const char* call, CUdeviceptr address) {
	auto it = device_memory.find(address);
	if (it == device_memory.end()) return complain(call, INVALID_VALUE, "%#lx is %s", address, find_device(address) ? "inside an allocation, not its start" : describe(address).c_str());
	const Allocation a = it->second;
	bool whole = true;
	if (ragged.erase(a.base)) whole = canaries_of(a, call);
	if (!settings.counting) {
		madvise((void*)a.map, a.map_bytes, MADV_DONTNEED);
		mprotect((void*)a.map, a.map_bytes, PROT_NONE);
	}
	used[a.device] -= a.bytes;
	device_memory.erase(it);
	if (!whole) {
		lose(ILLEGAL_ADDRESS);
		return ILLEGAL_ADDRESS;
	}
	return OK;
}

API cuMemGetInfo_v2(size_t* free, size_t* total) {
	ENTER();
	NEED_CONTEXT();
	*total = settings.memory;
	*free = settings.memory - used[current->device];
	return OK;
}

API cuMemAlloc_v2(CUdeviceptr* out, size_t bytes) {
	ENTER();
	NEED_CONTEXT();
	NEED(out, INVALID_VALUE, "no place for the result");
	if (int code = unsafe_in_capture(__func__)) return code;
	return allocate(__func__, out, bytes, current->device);
}

API cuMemFree_v2(CUdeviceptr address) {
	ENTER();
	NEED_CONTEXT();
	if (address == 0) return OK;
	if (int code = unsafe_in_capture(__func__)) return code;
	flush_all();  // it waits for the device
	counts.syncs++;
	if (sticky) return sticky;
	return release(__func__, address);
}

API cuMemAllocAsync(CUdeviceptr* out, size_t bytes, CUstream handle) {
	ENTER();
	NEED_CONTEXT();
	Stream* s = stream_of(__func__, handle);
	if (!s) return INVALID_HANDLE;
	NEED(!s->capture, NOT_SUPPORTED, "the fake has no memory nodes");
	return allocate(__func__, out, bytes, current->device);
}

API cuMemFreeAsync(CUdeviceptr address, CUstream handle) {
	ENTER();
	NEED_CONTEXT();
	Stream* s = stream_of(__func__, handle);
	if (!s) return INVALID_HANDLE;
	NEED(device_memory.count(address), INVALID_VALUE, "%#lx is not the start of an allocation", address);
	if (settings.counting) return release(__func__, address);
	auto work = std::make_shared<Work>();
	work->label = "free";
	work->run = [address] { release("cuMemFreeAsync", address); };
	return submit(__func__, s, work);
}

API cuMemHostAlloc(void** out, size_t bytes, unsigned flags) {
	ENTER();
	NEED_CONTEXT();
	NEED(out && bytes, INVALID_VALUE, "0 bytes or no place for the result");
	NEED(flags < 8, INVALID_VALUE, "flags %u", flags);
	if (int code = unsafe_in_capture(__func__)) return code;
	Allocation a;
	a.map_bytes = round_up(bytes, page) + 2 * page;
	void* p = mmap(nullptr, a.map_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED) return OUT_OF_MEMORY;
	mprotect((char*)p + page, a.map_bytes - 2 * page, PROT_READ | PROT_WRITE);
	a.map = (uintptr_t)p;
	a.base = a.map + page;
	a.bytes = bytes;
	a.device = -1;
	pinned[a.base] = a;
	*out = (void*)a.base;
	return OK;
}

API cuMemFreeHost(void* p) {
	ENTER();
	NEED_CONTEXT();
	if (int code = unsafe_in_capture(__func__)) return code;
	auto it = pinned.find((uintptr_t)p);
	NEED(it != pinned.end() && it->second.device == -1, INVALID_VALUE, "%p is not the start of pinned memory", p);
	flush_all();
	munmap((void*)it->second.map, it->second.map_bytes);
	pinned.erase(it);
	return sticky;
}

API cuMemHostRegister_v2(void* p, size_t bytes, unsigned flags) {
	ENTER();
	NEED_CONTEXT();
	NEED(p && bytes && flags < 16, INVALID_VALUE, "%p, %zu bytes, flags %u", p, bytes, flags);
	NEED(!find_pinned((uintptr_t)p), 712, "already pinned");
	pinned[(uintptr_t)p] = {(uintptr_t)p, bytes, 0, 0, -2};
	return OK;
}

API cuMemHostUnregister(void* p) {
	ENTER();
	NEED_CONTEXT();
	auto it = pinned.find((uintptr_t)p);
	NEED(it != pinned.end() && it->second.device == -2, 713, "not registered");
	flush_all();
	pinned.erase(it);
	return OK;
}

// ---- copies

static bool is_pinned(const void* p, size_t bytes) {
	const Allocation* a = find_pinned((uintptr_t)p);
	return a && (uintptr_t)p + bytes <= a->base + a->bytes;
}

static WorkPtr copy_work(const char* label, void* dst, const void* src, size_t bytes) {
	auto work = std::make_shared<Work>();
	work->kind = Work::copy;
	work->label = label;
	work->run = [=] { memmove(dst, src, bytes); };
	return work;
}

API cuMemcpyHtoDAsync_v2(CUdeviceptr dst, const void* src, size_t bytes, CUstream handle) {
	ENTER();
	NEED_CONTEXT();
	Stream* s = stream_of(__func__, handle);
	if (!s) return INVALID_HANDLE;
	NEED(device_range(__func__, dst, bytes, current->device), INVALID_VALUE, "wrong destination");
	NEED(src || !bytes, INVALID_VALUE, "no source");
	const bool staged = !is_pinned(src, bytes);
	if (s->capture && staged) {
		spoil(s->capture.get());
		return complain(__func__, CAPTURE_UNSUPPORTED, "a copy from memory that is not pinned, while capturing");
	}
	counts.host_to_device += bytes;
	counts.copies++;
	if (settings.counting && !s->capture) return OK;
	if (!staged) return submit(__func__, s, copy_work("upload", (void*)dst, src, bytes));
	// Memory that is not pinned is read before the call returns.
	std::shared_ptr<void> copy(malloc(bytes + 1), free);
	memcpy(copy.get(), src, bytes);
	WorkPtr work = copy_work("upload", (void*)dst, copy.get(), bytes);
	auto run = work->run;
	work->run = [copy, run] { run(); };
	return submit(__func__, s, work);
}

API cuMemcpyDtoHAsync_v2(void* dst, CUdeviceptr src, size_t bytes, CUstream handle) {
	ENTER();
	NEED_CONTEXT();
	Stream* s = stream_of(__func__, handle);
	if (!s) return INVALID_HANDLE;
	NEED(device_range(__func__, src, bytes, current->device), INVALID_VALUE, "wrong source");
	NEED(dst || !bytes, INVALID_VALUE, "no destination");
	const bool direct = is_pinned(dst, bytes);
	if (s->capture && !direct) {
		spoil(s->capture.get());
		return complain(__func__, CAPTURE_UNSUPPORTED, "a copy to memory that is not pinned, while capturing");
	}
	counts.device_to_host += bytes;
	counts.copies++;
	if (!direct) counts.syncs++;
	if (settings.counting && !s->capture) {
		memset(dst, 0, bytes);
		return OK;
	}
	if (int code = submit(__func__, s, copy_work("download", dst, (void*)src, bytes))) return code;
	if (!direct) flush(s);  // into memory that is not pinned the copy is over when the call returns
	return sticky;
}

API cuMemcpyDtoDAsync_v2(CUdeviceptr dst, CUdeviceptr src, size_t bytes, CUstream handle) {
	ENTER();
	NEED_CONTEXT();
	Stream* s = stream_of(__func__, handle);
	if (!s) return INVALID_HANDLE;
	NEED(device_range(__func__, dst, bytes, current->device), INVALID_VALUE, "wrong destination");
	NEED(device_range(__func__, src, bytes, current->device), INVALID_VALUE, "wrong source");
	NEED(!bytes || dst + bytes <= src || src + bytes <= dst, INVALID_VALUE, "source and destination overlap");
	counts.device_to_device += bytes;
	counts.copies++;
	if (settings.counting && !s->capture) return OK;
	return submit(__func__, s, copy_work("copy", (void*)dst, (void*)src, bytes));
}

API cuMemcpyPeerAsync(CUdeviceptr dst, CUcontext to, CUdeviceptr src, CUcontext from, size_t bytes, CUstream handle) {
	ENTER();
	NEED_CONTEXT();
	Stream* s = stream_of(__func__, handle);
	if (!s) return INVALID_HANDLE;
	NEED(to && from && to->references > 0 && from->references > 0, INVALID_CONTEXT, "wrong context");
	NEED(device_range(__func__, dst, bytes, to->device) && device_range(__func__, src, bytes, from->device), INVALID_VALUE, "wrong range");
	counts.device_to_device += bytes;
	counts.copies++;
	if (settings.counting && !s->capture) return OK;
	return submit(__func__, s, copy_work("peer copy", (void*)dst, (void*)src, bytes));
}

template <class T>
static int set(const char* call, CUdeviceptr dst, T value, size_t count, CUstream handle) {
	NEED_CONTEXT();
	Stream* s = stream_of(call, handle);
	if (!s) return INVALID_HANDLE;
	if (dst % sizeof(T)) return complain(call, INVALID_VALUE, "misaligned");
	if (count > SIZE_MAX / sizeof(T) || !device_range(call, dst, count * sizeof(T), current->device)) return complain(call, INVALID_VALUE, "wrong range");
	counts.set += count * sizeof(T);
	counts.sets++;
	if (settings.counting && !s->capture) return OK;
	auto work = std::make_shared<Work>();
	work->kind = Work::set;
	work->label = "set";
	work->run = [=] {
		for (size_t i = 0; i < count; i++) ((T*)dst)[i] = value;
	};
	return submit(call, s, work);
}
API cuMemsetD8Async(CUdeviceptr dst, uint8_t value, size_t count, CUstream s) {
	ENTER();
	return set(__func__, dst, value, count, s);
}
API cuMemsetD16Async(CUdeviceptr dst, uint16_t value, size_t count, CUstream s) {
	ENTER();
	return set(__func__, dst, value, count, s);
}
API cuMemsetD32Async(CUdeviceptr dst, uint32_t value, size_t count, CUstream s) {
	ENTER();
	return set(__func__, dst, value, count, s);
}
