// fake.h: what the fake driver (libcuda.so.1) offers to the other fake libraries, and to Go through dlsym.
//
// C++ sources of the fakes lie in src/, because go refuses .cpp files beside .go files without cgo. build.go lists which
// files make which library; every library is linked against the fake libcuda.so.1, so these functions need no dlsym.
#pragma once
#include <stddef.h>
#include <stdint.h>

typedef struct CUctx_st* CUcontext;
typedef struct CUstream_st* CUstream;
typedef uint64_t CUdeviceptr;

#pragma GCC visibility push(default)
extern "C" {

// fakecuda_enter begins a library's call: it counts the call under this name and returns what the call must fail with: a
// code that a test asked for with Fail, or 0. Every exported function of a fake starts with it, so
//   if (int code = fakecuda_enter("cublasLtCreate")) return code;
int fakecuda_enter(const char* call);

// fakecuda_count and fakecuda_inject are its two halves. fakecuda_launched counts a kernel launch of that name made by a
// library (a matmul, a convolution); call it once an enqueue succeeded.
void fakecuda_count(const char* call);
int fakecuda_inject(const char* call);
void fakecuda_launched(const char* kernel);

// fakecuda_context returns 0 if a context is current on this thread and in good health, else a CUresult
// (201 no context, or the sticky error of a lost device).
int fakecuda_context(void);

// fakecuda_stream returns 0 if this is a live stream of the current context (NULL, the legacy stream, included).
int fakecuda_stream(CUstream stream);

// fakecuda_valid returns 1 if [address, address+bytes) lies inside one live allocation of the current device, else 0 after
// a message on stderr. Zero bytes are always valid. Works in count-only mode too.
int fakecuda_valid(CUdeviceptr address, size_t bytes);

// fakecuda_enqueue has fn(arg) run in stream order, or records it as a node if the stream is capturing, to be run at every
// launch of the graph. It may run at once, at a later synchronisation, many times or never (count-only mode). arg is NULL
// or comes from malloc and belongs to the driver from this call on, also when it fails: it frees it after the last run.
// Nothing that arg refers to may be the caller's host memory: copy it (alpha, beta, shapes) into arg.
// Returns a CUresult: no context, wrong stream, sticky error.
int fakecuda_enqueue(CUstream stream, void (*fn)(void* arg), void* arg);

// fakecuda_fail is for an fn that finds something wrong while it runs: the message goes to stderr and the context is lost
// with this code (719 launch failed, 700 illegal address), as after a kernel that crashed.
void fakecuda_fail(int code, const char* message);

// fakecuda_error writes "fakecuda: " and a printf-style message to stderr and returns code: for strict argument checks.
int fakecuda_error(int code, const char* format, ...) __attribute__((format(printf, 2, 3)));

// fakecuda_counting returns 1 in count-only mode: device memory is not backed then, nothing may read or write it.
int fakecuda_counting(void);
}
#pragma GCC visibility pop
