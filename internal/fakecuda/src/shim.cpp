// shim.cpp runs kernels: the threads of a block are fibres, and a thread gives way only where it waits. A fibre whose
// thread ends goes on with the next thread, so that a kernel without barriers costs a plain call per thread.
//
// It is unkind on purpose: blocks, warps and lanes go in an order drawn from a seed, shared memory is NaN at the start of
// each block, and what CUDA leaves undefined at barriers and shuffles is an error that names the thread and the line.
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <cstdio>

#include "core.h"
#include "fibre.h"

struct uint3 { unsigned x, y, z; };
// The same as in shim.h.
struct fakecuda_thread {
	uint3 thread, block, block_dim, grid_dim;
	unsigned lane;
	char* dynamic;
};
struct fakecuda_kernel {
	void (*run)(const char* args);
	unsigned bytes, threads;
	char *shared, *shared_end;
};

#define SHIM extern "C" __attribute__((visibility("default")))
SHIM fakecuda_thread fakecuda_now;
fakecuda_thread fakecuda_now;

namespace {

const size_t page = 4096, stack_bytes = 64 << 10, dynamic_bytes = 256 << 10, guard_bytes = 64;
const uint8_t poison = 0xff, canary = 0xa5;

enum State : uint8_t { fresh, ready, running, in_barrier, in_vote, in_exchange, ended };
const char* const waits_in[] = {"", "", "", "__syncthreads", "a vote or __syncwarp", "a shuffle", ""};

struct Thread {
	void* fibre;  // where it goes on
	uint64_t value;  // of an exchange or vote: what it brings, then what it gets
	const char* file;  // where it waits
	int line;
	uint32_t mask;  // the lanes it waits for
	uint8_t source;
	State state;
};

// Group is a warp operation that some of its lanes have come to.
struct Group {
	uint32_t mask, arrived;
	State state;
	int line;
	const char* file;
};
struct Warp {
	uint32_t lanes, ended;  // lanes: those that exist
	int groups;
	Group group[32];
};

struct Scheduler {
	const fakecuda_kernel* kernel;
	const char *args, *name;
	unsigned threads;
	Thread thread[1024];
	Warp warp[32];
	uint16_t order[1024];  // in which fresh threads start
	uint16_t ready[1024];  // a ring
	unsigned started, ready_head, ready_count, alive;
	unsigned waiting, holding, first;  // in the barrier; holding: whose predicate holds; first: who came first
	unsigned now;  // the running thread
	void* main;  // the scheduler's own stack
	int failure;
	bool lifo, breadth;
	uint64_t random;
	std::vector<char*> stacks;
	std::vector<int> free_stacks;
	int next_stack;
	char* dynamic_end;
} S;

volatile bool in_kernel;
thread_local bool my_kernel __attribute__((tls_model("initial-exec")));

uint64_t draw() {  // xorshift64*
	S.random ^= S.random >> 12;
	S.random ^= S.random << 25;
	S.random ^= S.random >> 27;
	return S.random * 0x2545f4914f6cdd1dull >> 16;
}

std::string where(const char* file, int line) {
	const char* base = file ? strrchr(file, '/') : nullptr;
	return std::string(base ? base + 1 : file ? file : "?") + ":" + std::to_string(line);
}

std::string who(unsigned i) {
	const uint3 &d = fakecuda_now.block_dim, &b = fakecuda_now.block;
	char text[128];
	snprintf(text, sizeof text, "thread (%u,%u,%u) of block (%u,%u,%u)", i % d.x, i / d.x % d.y, i / d.x / d.y, b.x, b.y, b.z);
	return text;
}

void report(const std::string& message) { fprintf(stderr, "fakecuda: kernel %s: %s\n", S.name, message.c_str()); }

// fail leaves the kernel for good, from a fibre.
[[noreturn]] void fail(const std::string& message, int code = LAUNCH_FAILED) {
	report(message);
	S.failure = code;
	void* gone;
	fibre_switch(&gone, S.main);
	__builtin_trap();
}

void enter(unsigned i) {
	const uint3& d = fakecuda_now.block_dim;
	S.now = i;
	S.thread[i].state = running;
	if (d.x == S.threads) fakecuda_now.thread.x = i;
	else fakecuda_now.thread = {i % d.x, i / d.x % d.y, i / d.x / d.y};
	fakecuda_now.lane = i & 31;
}

void wake(unsigned i) {
	S.thread[i].state = ready;
	S.ready[(S.ready_head + S.ready_count++) & 1023] = i;
}

// wait has the running thread give way until it is woken.
void wait(State state) {
	Thread& t = S.thread[S.now];
	t.state = state;
	fibre_switch(&t.fibre, S.main);
}

// fibre_main runs fresh threads until there are none; each may wait in between.
void fibre_main() {
	const int stack = S.next_stack;
	while (S.started < S.threads) {
		enter(S.order[S.started++]);
		S.kernel->run(S.args);
		S.thread[S.now].state = ended;
		S.warp[S.now / 32].ended |= 1u << (S.now & 31);
		S.alive--;
	}
	S.free_stacks.push_back(stack);
	void* gone;
	fibre_switch(&gone, S.main);
	__builtin_trap();
}

void* new_fibre() {
	if (S.free_stacks.empty()) {
		char* p = (char*)mmap(nullptr, page + stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (p == MAP_FAILED) abort();
		mprotect(p, page, PROT_NONE);
		S.free_stacks.push_back(S.stacks.size());
		S.stacks.push_back(p);
	}
	int i = S.next_stack = S.free_stacks.back();
	S.free_stacks.pop_back();
	// Tops differ by cache lines: page-aligned ones would all fall into the same sets of the cache.
	return fibre_new(S.stacks[i] + page + stack_bytes - 64 * (i % 48), fibre_main);
}

// draw_order shuffles the warps and, within each, the lanes (a rotation, forwards or backwards).
void draw_order() {
	unsigned warps = (S.threads + 31) / 32, at = 0;
	uint16_t warp[32];
	for (unsigned w = 0; w < warps; w++) {
		unsigned j = draw() % (w + 1);
		warp[w] = warp[j];
		warp[j] = w;
	}
	for (unsigned w = 0; w < warps; w++) {
		unsigned first = warp[w] * 32, lanes = std::min(32u, S.threads - first), turn = draw() % lanes;
		bool back = draw() & 1;
		for (unsigned l = 0; l < lanes; l++) {
			unsigned lane = turn + l < lanes ? turn + l : turn + l - lanes;
			S.order[at++] = first + (back ? lanes - 1 - lane : lane);
		}
	}
}

// deadlock reports who waits for whom when no thread can go on.
void deadlock() {
	unsigned waiter = 0, other = 0;
	for (unsigned i = 0; i < S.threads; i++)
		if (S.thread[i].state != ended) waiter = i;
	const Thread& w = S.thread[waiter];
	for (unsigned i = 0; i < S.threads; i++) {
		const Thread& t = S.thread[i];
		bool same = t.state == w.state && t.line == w.line && t.file == w.file && t.mask == w.mask;
		if (!same && (w.state == in_barrier || i / 32 == waiter / 32)) other = i;
	}
	const Thread& o = S.thread[other];
	report(who(waiter) + " waits in " + waits_in[w.state] + " at " + where(w.file, w.line) + " for ever: " + who(other) +
	       (o.state == ended ? " has ended" : std::string(" waits in ") + waits_in[o.state] + " at " + where(o.file, o.line)));
	S.failure = LAUNCH_FAILED;
}

void run_block() {
	draw_order();
	S.started = S.ready_head = S.ready_count = S.waiting = S.holding = 0;
	S.alive = S.threads;
	uint64_t bits = draw();
	S.lifo = bits & 1;
	S.breadth = bits & 2;  // start all threads first, or run each warp as far as it goes
	for (unsigned i = 0; i < S.threads; i++) S.thread[i].state = fresh;
	for (unsigned i = 0; i < S.threads; i += 32) {
		Warp& w = S.warp[i / 32];
		w.lanes = S.threads - i >= 32 ? ~0u : (1u << (S.threads - i)) - 1;
		w.ended = w.groups = 0;
	}
	while (S.alive && !S.failure) {
		bool start = S.started < S.threads;
		if (S.ready_count && !(S.breadth && start)) {
			S.ready_count--;
			unsigned i = S.lifo ? S.ready[(S.ready_head + S.ready_count) & 1023] : S.ready[S.ready_head++ & 1023];
			enter(i);
			fibre_switch(&S.main, S.thread[i].fibre);
		} else if (start) {
			fibre_switch(&S.main, new_fibre());
		} else {
			deadlock();
		}
	}
}

// ---- signals: a wild access ends the kernel instead of the process

struct sigaction previous[NSIG];
char landing_stack[16 << 10] __attribute__((aligned(64)));
int fault_signal;
uintptr_t fault_address;

void landing() {
	char text[64];
	switch (fault_signal) {
	case SIGFPE:
		fail(who(S.now) + " divides an integer by zero");
	case SIGILL:
		fail(who(S.now) + " came to an invalid instruction", ILLEGAL_ADDRESS);
	}
	for (char* stack : S.stacks)
		if (fault_address - (uintptr_t)stack < page) fail(who(S.now) + " overflows its stack");
	snprintf(text, sizeof text, "%#lx", (unsigned long)fault_address);
	if (fault_address - (uintptr_t)S.dynamic_end < page) fail(who(S.now) + " runs over the end of its dynamic shared memory", ILLEGAL_ADDRESS);
	fail(who(S.now) + " touches address " + text + ", " + describe(fault_address), ILLEGAL_ADDRESS);
}

void on_signal(int signal, siginfo_t* info, void* context) {
	if (my_kernel && in_kernel) {
		fault_signal = signal;
		fault_address = (uintptr_t)info->si_addr;
		greg_t* r = ((ucontext_t*)context)->uc_mcontext.gregs;
		r[REG_RIP] = (greg_t)landing;
		r[REG_RSP] = (greg_t)(landing_stack + sizeof landing_stack - 8);
		return;
	}
	const struct sigaction& p = previous[signal];
	if (p.sa_flags & SA_SIGINFO && p.sa_sigaction) {
		p.sa_sigaction(signal, info, context);
	} else if (p.sa_handler != SIG_IGN && p.sa_handler != SIG_DFL) {
		p.sa_handler(signal);
	} else {
		sigaction(signal, &p, nullptr);  // the instruction runs again and meets the default
	}
}

}  // namespace

void seed_kernels() { S.random = settings.seed * 0x9e3779b97f4a7c15ull | 1; }

namespace {

void prepare() {
	static bool prepared;
	if (prepared) return;
	prepared = true;
	struct sigaction action = {};
	action.sa_sigaction = on_signal;
	action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
	sigfillset(&action.sa_mask);
	for (int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) sigaction(signal, &action, &previous[signal]);
	char* p = (char*)mmap(nullptr, dynamic_bytes + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED) abort();
	S.dynamic_end = p + dynamic_bytes;
	mprotect(S.dynamic_end, page, PROT_NONE);
	seed_kernels();
}

bool intact(const char* p, size_t n) {
	for (size_t i = 0; i < n; i++)
		if ((uint8_t)p[i] != canary) return false;
	return true;
}

// ---- warp operations

// meet has the running thread come to an operation of the lanes in mask. True: it is the last, and all others wait.
bool meet(State state, uint32_t mask, int line, const char* file) {
	Thread& me = S.thread[S.now];
	me.mask = mask;
	me.line = line;
	me.file = file;
	Warp& w = S.warp[S.now / 32];
	const uint32_t bit = 1u << (S.now & 31);
	if (!(mask & bit)) fail(who(S.now) + " is not in the mask of " + waits_in[state] + " at " + where(file, line));
	if (uint32_t gone = mask & w.ended)
		fail(who((S.now & ~31u) + __builtin_ctz(gone)) + " has ended, but is in the mask of " + waits_in[state] + " at " + where(file, line));
	int i = 0;
	for (; i < w.groups; i++) {
		const Group& g = w.group[i];
		if (g.mask == mask && g.state == state && g.line == line && g.file == file) break;
		if (g.mask & mask)
			fail(who((S.now & ~31u) + __builtin_ctz(g.arrived)) + " waits in " + waits_in[g.state] + " at " + where(g.file, g.line) + " while " + who(S.now) +
			     " comes to " + waits_in[state] + " at " + where(file, line) + (g.mask == mask ? "" : ", with another mask"));
	}
	Group& g = w.group[i];
	if (i == w.groups) {
		g = {mask, 0, state, line, file};
		w.groups++;
	}
	g.arrived |= bit;
	if (g.arrived != (mask & w.lanes)) return false;
	g = w.group[--w.groups];
	return true;
}

// release wakes the other lanes of a completed operation.
void release(uint32_t mask) {
	const unsigned first = S.now & ~31u;
	for (uint32_t left = mask & S.warp[S.now / 32].lanes & ~(1u << (S.now & 31)); left; left &= left - 1) wake(first + __builtin_ctz(left));
}

}  // namespace

SHIM int fakecuda_barrier(int predicate, int line, const char* file) {
	Thread& me = S.thread[S.now];
	if (S.waiting == 0) {
		S.first = S.now;
	} else if (const Thread& t = S.thread[S.first]; t.line != line || t.file != file) {
		fail(who(S.first) + " waits in __syncthreads at " + where(t.file, t.line) + ", " + who(S.now) + " comes to another one at " + where(file, line));
	}
	me.line = line;
	me.file = file;
	S.waiting++;
	S.holding += predicate;
	if (S.waiting < S.threads) {
		wait(in_barrier);
		return (int)me.value;
	}
	int result = S.holding;
	S.waiting = S.holding = 0;
	for (unsigned i = 0; i < S.threads; i++) {
		S.thread[i].value = result;
		if (i != S.now) wake(i);
	}
	return result;
}

SHIM unsigned fakecuda_vote(unsigned mask, int predicate, int line, const char* file) {
	Thread& me = S.thread[S.now];
	me.value = predicate;
	if (!meet(in_vote, mask, line, file)) {
		wait(in_vote);
		return (unsigned)me.value;
	}
	const unsigned first = S.now & ~31u, lanes = std::min(32u, S.threads - first);
	uint32_t ballot = 0;
	for (unsigned l = 0; l < lanes; l++)
		if (mask >> l & 1 && S.thread[first + l].value) ballot |= 1u << l;
	for (unsigned l = 0; l < lanes; l++)
		if (mask >> l & 1) S.thread[first + l].value = ballot;
	release(mask);
	return ballot;
}

SHIM unsigned long long fakecuda_exchange(unsigned mask, unsigned long long value, unsigned source, int line, const char* file) {
	Thread& me = S.thread[S.now];
	const unsigned first = S.now & ~31u, lanes = std::min(32u, S.threads - first);
	if (source >= lanes || !(mask >> source & 1))
		fail(who(S.now) + " shuffles from lane " + std::to_string(source) + ", which does not take part, at " + where(file, line));
	me.value = value;
	me.source = source;
	if (!meet(in_exchange, mask, line, file)) {
		wait(in_exchange);
		return me.value;
	}
	uint64_t brought[32];
	for (unsigned l = 0; l < lanes; l++) brought[l] = S.thread[first + l].value;
	for (unsigned l = 0; l < lanes; l++)
		if (mask >> l & 1) S.thread[first + l].value = brought[S.thread[first + l].source];
	release(mask);
	return me.value;
}

SHIM void fakecuda_trap(int line, const char* file) { fail(who(S.now) + " calls __trap at " + where(file, line)); }

// The checks of -fsanitize, which call these; the first field of each is where: file, line, column.
struct Site {
	const char* file;
	uint32_t line, column;
};
SHIM void __ubsan_handle_out_of_bounds_abort(Site* s, void* index) {
	fail(who(S.now) + " uses index " + std::to_string((long)index) + " outside an array at " + where(s->file, s->line), ILLEGAL_ADDRESS);
}
SHIM void __ubsan_handle_type_mismatch_v1_abort(Site* s, void* pointer) {
	char text[64];
	snprintf(text, sizeof text, "%p", pointer);
	fail(who(S.now) + " uses misaligned address " + text + " at " + where(s->file, s->line), 716);
}
SHIM void __ubsan_handle_shift_out_of_bounds_abort(Site* s, void*, void*) {
	fail(who(S.now) + " shifts by more bits than there are at " + where(s->file, s->line));
}
SHIM void __ubsan_handle_divrem_overflow_abort(Site* s, void*, void*) {
	fail(who(S.now) + " divides an integer by zero at " + where(s->file, s->line));
}

unsigned kernel_bytes(const fakecuda_kernel* k) { return k->bytes; }
unsigned kernel_threads(const fakecuda_kernel* k) { return k->threads; }
unsigned kernel_shared(const fakecuda_kernel* k) { return k->shared_end - k->shared; }

int run_kernel(const char* name, const fakecuda_kernel* kernel, const void* args, const unsigned grid[3],
               const unsigned block[3], unsigned dynamic) {
	prepare();
	S.kernel = kernel;
	S.args = (const char*)args;
	S.name = name;
	S.threads = block[0] * block[1] * block[2];
	S.failure = 0;
	fakecuda_now.block_dim = {block[0], block[1], block[2]};
	fakecuda_now.grid_dim = {grid[0], grid[1], grid[2]};
	fakecuda_now.thread = {0, 0, 0};
	const size_t dynamic_room = (dynamic + 15) & ~15u;
	fakecuda_now.dynamic = S.dynamic_end - dynamic_room;
	char* head = fakecuda_now.dynamic - guard_bytes;
	memset(head, canary, guard_bytes);
	char* const tail = kernel->shared_end;
	const size_t tail_bytes = std::min<size_t>(guard_bytes * 4, kernel->shared == tail ? 0 : -(uintptr_t)tail & (page - 1));
	memset(tail, canary, tail_bytes);

	// Blocks in the order i*step + start modulo their number, where step shares no factor with it.
	const uint64_t blocks = (uint64_t)grid[0] * grid[1] * grid[2];
	uint64_t step = draw() % blocks | 1, start = draw() % blocks;
	while (std::__gcd(step, blocks) != 1) step += 2;
	my_kernel = in_kernel = true;
	for (uint64_t n = 0, i = start; n < blocks && !S.failure; n++, i = (i + step) % blocks) {
		fakecuda_now.block = {unsigned(i % grid[0]), unsigned(i / grid[0] % grid[1]), unsigned(i / grid[0] / grid[1])};
		memset(kernel->shared, poison, kernel->shared_end - kernel->shared);
		memset(fakecuda_now.dynamic, poison, dynamic_room);
		run_block();
		if (S.failure) break;
		if (!intact(tail, tail_bytes) || !intact(head, guard_bytes)) {
			report("a thread of block (" + std::to_string(fakecuda_now.block.x) + "," + std::to_string(fakecuda_now.block.y) + "," +
			       std::to_string(fakecuda_now.block.z) + ") wrote outside its shared memory");
			S.failure = ILLEGAL_ADDRESS;
		}
	}
	my_kernel = in_kernel = false;
	if (S.failure) {  // the fibres that wait are given up, their stacks are not
		S.free_stacks.clear();
		for (size_t i = 0; i < S.stacks.size(); i++) S.free_stacks.push_back(i);
	}
	return S.failure;
}
