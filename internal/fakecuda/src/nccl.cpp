// nccl.cpp: the fake libnccl.so.2, for one rank: every collective is a copy.
#include <cstdlib>
#include <cstring>
#include <new>
#include <set>

#include "../fake.h"

#define API extern "C" __attribute__((visibility("default"))) int
#define ENTER()                                             \
	if (int code = fakecuda_enter(__func__)) return code

enum { SUCCESS = 0, UNHANDLED_CUDA_ERROR = 1, INVALID_ARGUMENT = 4, INVALID_USAGE = 5 };

struct UniqueId {
	char bytes[128];
};
struct Comm {
	int rank, ranks;
};
static std::set<Comm*> comms;  // used by one thread at a time, as NCCL's
static const char magic[] = "fakecuda's unique id";

static size_t size_of(int type) {
	static const size_t sizes[] = {1, 1, 4, 4, 8, 8, 2, 4, 8, 2, 1, 1};  // ncclInt8 … ncclFloat8e5m2
	return type >= 0 && type < 12 ? sizes[type] : 0;
}

API ncclGetVersion(int* out) {
	ENTER();
	*out = 22800;
	return SUCCESS;
}
extern "C" __attribute__((visibility("default"))) const char* ncclGetErrorString(int code) {
	switch (code) {
	case 0: return "no error";
	case 1: return "unhandled cuda error (run with NCCL_DEBUG=INFO for details)";
	case 4: return "invalid argument";
	case 5: return "invalid usage";
	}
	return "unknown result code";
}
extern "C" __attribute__((visibility("default"))) const char* ncclGetLastError(Comm*) { return ""; }
API ncclGetUniqueId(UniqueId* out) {
	ENTER();
	if (!out) return INVALID_ARGUMENT;
	memset(out, 0, sizeof *out);
	strcpy(out->bytes, magic);
	return SUCCESS;
}
static int init(Comm** out, int ranks, const UniqueId& id, int rank) {
	if (fakecuda_context()) return UNHANDLED_CUDA_ERROR;
	if (!out || strcmp(id.bytes, magic)) return fakecuda_error(INVALID_ARGUMENT, "ncclCommInitRank: not a unique id");
	if (ranks != 1 || rank != 0) return fakecuda_error(INVALID_ARGUMENT, "ncclCommInitRank: rank %d of %d, the fake has one rank", rank, ranks);
	*out = new Comm{rank, ranks};
	comms.insert(*out);
	return SUCCESS;
}
API ncclCommInitRank(Comm** out, int ranks, UniqueId id, int rank) {
	ENTER();
	return init(out, ranks, id, rank);
}
API ncclCommInitRankConfig(Comm** out, int ranks, UniqueId id, int rank, void*) {
	ENTER();
	return init(out, ranks, id, rank);
}
API ncclCommInitRankScalable(Comm** out, int ranks, int rank, int ids, UniqueId* id, void*) {
	ENTER();
	if (ids != 1 || !id) return INVALID_ARGUMENT;
	return init(out, ranks, *id, rank);
}
API ncclCommInitAll(Comm** out, int n, const int*) {
	ENTER();
	if (n != 1) return fakecuda_error(INVALID_ARGUMENT, "ncclCommInitAll: %d devices, the fake has one rank", n);
	*out = new Comm{0, 1};
	comms.insert(*out);
	return SUCCESS;
}
static int finish(Comm* comm) {
	if (!comms.erase(comm)) return fakecuda_error(INVALID_ARGUMENT, "no live communicator");
	delete comm;
	return SUCCESS;
}
API ncclCommDestroy(Comm* comm) {
	ENTER();
	return finish(comm);
}
API ncclCommAbort(Comm* comm) {
	ENTER();
	return finish(comm);
}
API ncclCommFinalize(Comm* comm) {
	ENTER();
	return comms.count(comm) ? SUCCESS : INVALID_ARGUMENT;
}
API ncclCommCount(Comm* comm, int* out) {
	ENTER();
	if (!comms.count(comm)) return INVALID_ARGUMENT;
	*out = comm->ranks;
	return SUCCESS;
}
API ncclCommUserRank(Comm* comm, int* out) {
	ENTER();
	if (!comms.count(comm)) return INVALID_ARGUMENT;
	*out = comm->rank;
	return SUCCESS;
}
API ncclCommCuDevice(Comm* comm, int* out) {
	ENTER();
	if (!comms.count(comm)) return INVALID_ARGUMENT;
	*out = 0;
	return SUCCESS;
}
API ncclCommGetAsyncError(Comm* comm, int* out) {
	ENTER();
	if (!comms.count(comm)) return INVALID_ARGUMENT;
	*out = fakecuda_context() ? UNHANDLED_CUDA_ERROR : SUCCESS;
	return SUCCESS;
}
API ncclGroupStart() {
	ENTER();
	return SUCCESS;
}
API ncclGroupEnd() {
	ENTER();
	return SUCCESS;
}

struct Copy {
	void* to;
	const void* from;
	size_t bytes;
};
static int collective(const char* call, const void* from, void* to, size_t count, int type, Comm* comm, CUstream stream) {
	const size_t size = size_of(type);
	if (!comms.count(comm)) return fakecuda_error(INVALID_ARGUMENT, "%s: no live communicator", call);
	if (!size) return fakecuda_error(INVALID_ARGUMENT, "%s: data type %d", call, type);
	if (!fakecuda_valid((CUdeviceptr)from, count * size) || !fakecuda_valid((CUdeviceptr)to, count * size)) return fakecuda_error(INVALID_ARGUMENT, "%s: wrong range", call);
	auto* copy = (Copy*)malloc(sizeof(Copy));
	*copy = {to, from, count * size};
	auto run = [](void* p) {
		auto* c = (Copy*)p;
		if (c->to != c->from) memmove(c->to, c->from, c->bytes);
	};
	if (fakecuda_enqueue(stream, run, copy)) return UNHANDLED_CUDA_ERROR;
	fakecuda_launched(call);
	return SUCCESS;
}
static bool known_op(int op) { return op >= 0 && op < 5; }

API ncclAllReduce(const void* from, void* to, size_t n, int type, int op, Comm* comm, CUstream stream) {
	ENTER();
	if (!known_op(op)) return INVALID_ARGUMENT;
	return collective(__func__, from, to, n, type, comm, stream);
}
API ncclReduceScatter(const void* from, void* to, size_t n, int type, int op, Comm* comm, CUstream stream) {
	ENTER();
	if (!known_op(op)) return INVALID_ARGUMENT;
	return collective(__func__, from, to, n, type, comm, stream);
}
API ncclReduce(const void* from, void* to, size_t n, int type, int op, int root, Comm* comm, CUstream stream) {
	ENTER();
	if (!known_op(op) || root != 0) return INVALID_ARGUMENT;
	return collective(__func__, from, to, n, type, comm, stream);
}
API ncclAllGather(const void* from, void* to, size_t n, int type, Comm* comm, CUstream stream) {
	ENTER();
	return collective(__func__, from, to, n, type, comm, stream);
}
API ncclBroadcast(const void* from, void* to, size_t n, int type, int root, Comm* comm, CUstream stream) {
	ENTER();
	if (root != 0) return INVALID_ARGUMENT;
	return collective(__func__, from, to, n, type, comm, stream);
}
API ncclSend(const void*, size_t, int, int, Comm*, CUstream) {
	ENTER();
	return fakecuda_error(INVALID_USAGE, "ncclSend: the fake has one rank");
}
API ncclRecv(void*, size_t, int, int, Comm*, CUstream) {
	ENTER();
	return fakecuda_error(INVALID_USAGE, "ncclRecv: the fake has one rank");
}
