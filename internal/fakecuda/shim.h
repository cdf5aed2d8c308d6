// shim.h: CUDA C++ for the host. The fake NVRTC compiles every kernel with -DDESCENT_HOST -include shim.h; the threads of a
// block are fibres of the fake driver (src/shim.cpp). It offers what kernels may use and no more. No header is included, as
// under NVRTC, so that a kernel compiles in tens of milliseconds.
#pragma once

#define __global__
#define __device__
#define __host__
#define __constant__ static const
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(n) __attribute__((aligned(n)))
// All that a kernel's .bss holds is shared memory; it is poisoned before each block.
#define __shared__ static
// DYNAMIC_SHARED(T, name) declares T* name: the dynamic shared memory of the launch, aligned to 16 bytes.
#define DYNAMIC_SHARED(T, name) T* name = (T*)fakecuda_now.dynamic

typedef __SIZE_TYPE__ size_t;
extern "C" void* memcpy(void*, const void*, size_t);
extern "C" void* memset(void*, int, size_t);

struct uint3 { unsigned x, y, z; };
struct dim3 {
	unsigned x, y, z;
	constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

// What the running thread sees. The driver writes it at every switch.
struct fakecuda_thread {
	uint3 thread, block;
	dim3 block_dim, grid_dim;
	unsigned lane;
	char* dynamic;
};
// What the driver needs of a kernel; the fake NVRTC appends one for each entry point of a program.
struct fakecuda_kernel {
	void (*run)(const char* args);
	unsigned bytes;    // of the parameters
	unsigned threads;  // at most, in a block: THREADS or 1024
	char *shared, *shared_end;
};

extern "C" {
extern fakecuda_thread fakecuda_now;
// The number of threads whose predicate holds, once all threads of the block have come.
int fakecuda_barrier(int predicate, int line, const char* file);
// The lanes whose predicate holds, once all lanes of mask have come.
unsigned fakecuda_vote(unsigned mask, int predicate, int line, const char* file);
// The value that lane source brought, once all lanes of mask have come.
unsigned long long fakecuda_exchange(unsigned mask, unsigned long long value, unsigned source, int line, const char* file);
[[noreturn]] void fakecuda_trap(int line, const char* file);
}

#define threadIdx fakecuda_now.thread
#define blockIdx fakecuda_now.block
#define blockDim fakecuda_now.block_dim
#define gridDim fakecuda_now.grid_dim
#define warpSize 32

#define FAKECUDA_SITE int line = __builtin_LINE(), const char *file = __builtin_FILE()

inline void __syncthreads(FAKECUDA_SITE) { fakecuda_barrier(0, line, file); }
inline int __syncthreads_count(int p, FAKECUDA_SITE) { return fakecuda_barrier(p != 0, line, file); }
inline int __syncthreads_or(int p, FAKECUDA_SITE) { return fakecuda_barrier(p != 0, line, file) != 0; }
inline int __syncthreads_and(int p, FAKECUDA_SITE) { return fakecuda_barrier(p == 0, line, file) == 0; }
inline void __syncwarp(unsigned mask = ~0u, FAKECUDA_SITE) { fakecuda_vote(mask, 0, line, file); }
inline unsigned __ballot_sync(unsigned mask, int p, FAKECUDA_SITE) { return fakecuda_vote(mask, p != 0, line, file); }
inline int __any_sync(unsigned mask, int p, FAKECUDA_SITE) { return fakecuda_vote(mask, p != 0, line, file) != 0; }
inline int __all_sync(unsigned mask, int p, FAKECUDA_SITE) { return fakecuda_vote(mask, p == 0, line, file) == 0; }
inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __threadfence_system() {}
inline void __nanosleep(unsigned) {}
inline void __trap(FAKECUDA_SITE) { fakecuda_trap(line, file); }

template <class T>
inline T fakecuda_shuffle(unsigned mask, T value, unsigned source, int line, const char* file) {
	static_assert(sizeof(T) == 4 || sizeof(T) == 8, "shuffles move 4 or 8 bytes");
	unsigned long long bits = 0;
	__builtin_memcpy(&bits, &value, sizeof(T));
	bits = fakecuda_exchange(mask, bits, source, line, file);
	__builtin_memcpy(&value, &bits, sizeof(T));
	return value;
}
template <class T>
inline T __shfl_sync(unsigned mask, T v, int source, int width = 32, FAKECUDA_SITE) {
	unsigned first = fakecuda_now.lane & ~(width - 1);
	return fakecuda_shuffle(mask, v, first | (source & (width - 1)), line, file);
}
template <class T>
inline T __shfl_up_sync(unsigned mask, T v, unsigned delta, int width = 32, FAKECUDA_SITE) {
	unsigned lane = fakecuda_now.lane, inside = lane & (width - 1);
	return fakecuda_shuffle(mask, v, inside < delta ? lane : lane - delta, line, file);
}
template <class T>
inline T __shfl_down_sync(unsigned mask, T v, unsigned delta, int width = 32, FAKECUDA_SITE) {
	unsigned lane = fakecuda_now.lane, inside = lane & (width - 1);
	return fakecuda_shuffle(mask, v, inside + delta < (unsigned)width ? lane + delta : lane, line, file);
}
template <class T>
inline T __shfl_xor_sync(unsigned mask, T v, int bits, int width = 32, FAKECUDA_SITE) {
	unsigned lane = fakecuda_now.lane, source = lane ^ bits, end = (lane & ~(width - 1)) + width;
	return fakecuda_shuffle(mask, v, source < end ? source : lane, line, file);
}

// Atomics: fibres switch only where they wait, so plain code is atomic. The overloads are CUDA's.
#define FAKECUDA_ATOMIC(name, T, expression)  \
	inline T name(T* p, T v) {                \
		T old = *p;                           \
		*p = (expression);                    \
		return old;                           \
	}
#define FAKECUDA_ATOMIC_BITS(T)                               \
	FAKECUDA_ATOMIC(atomicAdd, T, old + v)                    \
	FAKECUDA_ATOMIC(atomicExch, T, v)                         \
	inline T atomicCAS(T* p, T compare, T v) {                \
		T old = *p;                                           \
		if (old == compare) *p = v;                           \
		return old;                                           \
	}
#define FAKECUDA_ATOMIC_LOGIC(T)                              \
	FAKECUDA_ATOMIC(atomicMax, T, old < v ? v : old)          \
	FAKECUDA_ATOMIC(atomicMin, T, v < old ? v : old)          \
	FAKECUDA_ATOMIC(atomicAnd, T, old & v)                    \
	FAKECUDA_ATOMIC(atomicOr, T, old | v)                     \
	FAKECUDA_ATOMIC(atomicXor, T, old ^ v)
FAKECUDA_ATOMIC_BITS(int)
FAKECUDA_ATOMIC_BITS(unsigned)
FAKECUDA_ATOMIC_BITS(unsigned long long)
FAKECUDA_ATOMIC_LOGIC(int)
FAKECUDA_ATOMIC_LOGIC(unsigned)
FAKECUDA_ATOMIC_LOGIC(unsigned long long)
FAKECUDA_ATOMIC(atomicMax, long long, old < v ? v : old)
FAKECUDA_ATOMIC(atomicMin, long long, v < old ? v : old)
FAKECUDA_ATOMIC(atomicSub, int, old - v)
FAKECUDA_ATOMIC(atomicSub, unsigned, old - v)
FAKECUDA_ATOMIC(atomicInc, unsigned, old >= v ? 0 : old + 1)
FAKECUDA_ATOMIC(atomicDec, unsigned, old == 0 || old > v ? v : old - 1)
FAKECUDA_ATOMIC(atomicAdd, float, old + v)
FAKECUDA_ATOMIC(atomicExch, float, v)
FAKECUDA_ATOMIC(atomicAdd, double, old + v)

template <class T> inline T __ldg(const T* p) { return *p; }
template <class T> inline T __ldca(const T* p) { return *p; }
template <class T> inline T __ldcg(const T* p) { return *p; }
template <class T> inline T __ldcs(const T* p) { return *p; }
template <class T> inline void __stcg(T* p, T v) { *p = v; }
template <class T> inline void __stcs(T* p, T v) { *p = v; }

// Vector types, with CUDA's alignments.
#define FAKECUDA_VECTOR(T, name, a2, a4)                                                               \
	struct name##1 { T x; };                                                                           \
	struct __align__(a2) name##2 { T x, y; };                                                          \
	struct __align__(a4) name##4 { T x, y, z, w; };                                                    \
	inline name##2 make_##name##2(T x, T y) { return {x, y}; }                                         \
	inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
FAKECUDA_VECTOR(signed char, char, 2, 4)
FAKECUDA_VECTOR(unsigned char, uchar, 2, 4)
FAKECUDA_VECTOR(short, short, 4, 8)
FAKECUDA_VECTOR(unsigned short, ushort, 4, 8)
FAKECUDA_VECTOR(int, int, 8, 16)
FAKECUDA_VECTOR(unsigned, uint, 8, 16)
FAKECUDA_VECTOR(long long, longlong, 16, 16)
FAKECUDA_VECTOR(unsigned long long, ulonglong, 16, 16)
FAKECUDA_VECTOR(float, float, 8, 16)
FAKECUDA_VECTOR(double, double, 16, 16)

// Mathematics of libm, in double and (with f) float, and CUDA's overloads of the plain names for float.
#define FAKECUDA_MATH1(name)            \
	extern "C" double name(double);     \
	extern "C" float name##f(float);    \
	inline float name(float x) { return name##f(x); }
#define FAKECUDA_MATH2(name)                    \
	extern "C" double name(double, double);     \
	extern "C" float name##f(float, float);     \
	inline float name(float x, float y) { return name##f(x, y); }
FAKECUDA_MATH1(acos) FAKECUDA_MATH1(acosh) FAKECUDA_MATH1(asin) FAKECUDA_MATH1(asinh) FAKECUDA_MATH1(atan)
FAKECUDA_MATH1(atanh) FAKECUDA_MATH1(cbrt) FAKECUDA_MATH1(ceil) FAKECUDA_MATH1(cos) FAKECUDA_MATH1(cosh)
FAKECUDA_MATH1(erf) FAKECUDA_MATH1(erfc) FAKECUDA_MATH1(exp) FAKECUDA_MATH1(exp2) FAKECUDA_MATH1(expm1)
FAKECUDA_MATH1(fabs) FAKECUDA_MATH1(floor) FAKECUDA_MATH1(lgamma) FAKECUDA_MATH1(log) FAKECUDA_MATH1(log10)
FAKECUDA_MATH1(log1p) FAKECUDA_MATH1(log2) FAKECUDA_MATH1(logb) FAKECUDA_MATH1(nearbyint) FAKECUDA_MATH1(rint)
FAKECUDA_MATH1(round) FAKECUDA_MATH1(sin) FAKECUDA_MATH1(sinh) FAKECUDA_MATH1(sqrt) FAKECUDA_MATH1(tan)
FAKECUDA_MATH1(tanh) FAKECUDA_MATH1(tgamma) FAKECUDA_MATH1(trunc) FAKECUDA_MATH1(exp10) FAKECUDA_MATH1(j0)
FAKECUDA_MATH1(j1) FAKECUDA_MATH2(atan2) FAKECUDA_MATH2(copysign) FAKECUDA_MATH2(fdim) FAKECUDA_MATH2(fmax)
FAKECUDA_MATH2(fmin) FAKECUDA_MATH2(fmod) FAKECUDA_MATH2(hypot) FAKECUDA_MATH2(nextafter) FAKECUDA_MATH2(pow)
FAKECUDA_MATH2(remainder)
extern "C" double fma(double, double, double);
extern "C" float fmaf(float, float, float);
extern "C" double ldexp(double, int);
extern "C" float ldexpf(float, int);
extern "C" double frexp(double, int*);
extern "C" float frexpf(float, int*);
extern "C" double modf(double, double*);
extern "C" float modff(float, float*);
extern "C" void sincos(double, double*, double*);
extern "C" void sincosf(float, float*, float*);
extern "C" long long llrint(double);
extern "C" long long llrintf(float);
extern "C" long long llround(double);
extern "C" long long llroundf(float);
extern "C" int abs(int);
inline float fma(float a, float b, float c) { return fmaf(a, b, c); }
inline float ldexp(float x, int e) { return ldexpf(x, e); }
inline long long llabs(long long x) { return x < 0 ? -x : x; }
inline long long abs(long long x) { return llabs(x); }
inline long abs(long x) { return x < 0 ? -x : x; }
inline float abs(float x) { return fabsf(x); }
inline double abs(double x) { return fabs(x); }
inline double rsqrt(double x) { return 1 / sqrt(x); }
inline float rsqrtf(float x) { return 1 / sqrtf(x); }
inline float rsqrt(float x) { return rsqrtf(x); }
inline double normcdf(double x) { return erfc(x * -0.70710678118654752440) * 0.5; }
inline float normcdff(float x) { return erfcf(x * -0.70710678118654752440f) * 0.5f; }
inline void sincospif(float x, float* s, float* c) { sincosf(x * 3.14159265358979323846f, s, c); }
inline void sincospi(double x, double* s, double* c) { sincos(x * 3.14159265358979323846, s, c); }
inline bool isnan(float x) { return __builtin_isnan(x); }
inline bool isnan(double x) { return __builtin_isnan(x); }
inline bool isinf(float x) { return __builtin_isinf(x); }
inline bool isinf(double x) { return __builtin_isinf(x); }
inline bool isfinite(float x) { return __builtin_isfinite(x); }
inline bool isfinite(double x) { return __builtin_isfinite(x); }
inline bool signbit(float x) { return __builtin_signbit(x); }
inline bool signbit(double x) { return __builtin_signbit(x); }
template <class T> inline T min(T a, T b) { return b < a ? b : a; }
template <class T> inline T max(T a, T b) { return a < b ? b : a; }
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }

// Intrinsics. The fast ones are exact here: tolerances against a GPU are a GPU's matter.
inline float __expf(float x) { return expf(x); }
inline float __exp10f(float x) { return exp10f(x); }
inline float __logf(float x) { return logf(x); }
inline float __log2f(float x) { return log2f(x); }
inline float __log10f(float x) { return log10f(x); }
inline float __sinf(float x) { return sinf(x); }
inline float __cosf(float x) { return cosf(x); }
inline float __tanf(float x) { return tanf(x); }
inline void __sincosf(float x, float* s, float* c) { sincosf(x, s, c); }
inline float __powf(float x, float y) { return powf(x, y); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __saturatef(float x) { return x > 0 ? (x < 1 ? x : 1) : 0; }
inline float __frcp_rn(float x) { return 1 / x; }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float __frsqrt_rn(float x) { return rsqrtf(x); }
inline float __fadd_rn(float x, float y) { return x + y; }
inline float __fsub_rn(float x, float y) { return x - y; }
inline float __fmul_rn(float x, float y) { return x * y; }
inline float __fdiv_rn(float x, float y) { return x / y; }
inline float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }
inline double __dadd_rn(double x, double y) { return x + y; }
inline double __dsub_rn(double x, double y) { return x - y; }
inline double __dmul_rn(double x, double y) { return x * y; }
inline double __ddiv_rn(double x, double y) { return x / y; }
inline double __dsqrt_rn(double x) { return sqrt(x); }
inline double __fma_rn(double x, double y, double z) { return fma(x, y, z); }

template <class To, class From>
inline To fakecuda_bits(From x) {
	To y;
	static_assert(sizeof(To) == sizeof(From), "");
	__builtin_memcpy(&y, &x, sizeof y);
	return y;
}
inline unsigned __float_as_uint(float x) { return fakecuda_bits<unsigned>(x); }
inline int __float_as_int(float x) { return fakecuda_bits<int>(x); }
inline float __uint_as_float(unsigned x) { return fakecuda_bits<float>(x); }
inline float __int_as_float(int x) { return fakecuda_bits<float>(x); }
inline long long __double_as_longlong(double x) { return fakecuda_bits<long long>(x); }
inline double __longlong_as_double(long long x) { return fakecuda_bits<double>(x); }
inline int __double2hiint(double x) { return (int)(__double_as_longlong(x) >> 32); }
inline int __double2loint(double x) { return (int)__double_as_longlong(x); }
inline double __hiloint2double(int hi, int lo) {
	return __longlong_as_double((long long)((unsigned long long)(unsigned)hi << 32 | (unsigned)lo));
}

// Conversions saturate and give 0 for NaN, as PTX's cvt does.
template <class To, class From>
inline To fakecuda_convert(From x) {
	const To low = (To)(-1) < 0 ? (To)((unsigned long long)1 << (8 * sizeof(To) - 1)) : 0, high = ~low;
	if (__builtin_isnan(x)) return sizeof(To) == 8 ? low | (low == 0 ? (To)1 << 63 : 0) : 0;
	if (x <= (From)low) return low;
	if (x >= (From)high) return high;
	return (To)x;
}
#define FAKECUDA_CONVERT(name, From, To, nearest, down, up, zero)                                   \
	inline To name##_rn(From x) { return fakecuda_convert<To>(nearest(x)); }                         \
	inline To name##_rd(From x) { return fakecuda_convert<To>(down(x)); }                            \
	inline To name##_ru(From x) { return fakecuda_convert<To>(up(x)); }                              \
	inline To name##_rz(From x) { return fakecuda_convert<To>(zero(x)); }
FAKECUDA_CONVERT(__float2int, float, int, rintf, floorf, ceilf, truncf)
FAKECUDA_CONVERT(__float2uint, float, unsigned, rintf, floorf, ceilf, truncf)
FAKECUDA_CONVERT(__float2ll, float, long long, rintf, floorf, ceilf, truncf)
FAKECUDA_CONVERT(__float2ull, float, unsigned long long, rintf, floorf, ceilf, truncf)
FAKECUDA_CONVERT(__double2int, double, int, rint, floor, ceil, trunc)
FAKECUDA_CONVERT(__double2uint, double, unsigned, rint, floor, ceil, trunc)
FAKECUDA_CONVERT(__double2ll, double, long long, rint, floor, ceil, trunc)
FAKECUDA_CONVERT(__double2ull, double, unsigned long long, rint, floor, ceil, trunc)
inline float __double2float_rn(double x) { return (float)x; }
inline float __int2float_rn(int x) { return (float)x; }
inline float __uint2float_rn(unsigned x) { return (float)x; }
inline float __ll2float_rn(long long x) { return (float)x; }
inline float __ull2float_rn(unsigned long long x) { return (float)x; }
inline double __ll2double_rn(long long x) { return (double)x; }
inline double __ull2double_rn(unsigned long long x) { return (double)x; }

inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((unsigned long long)a * b >> 32); }
inline int __mulhi(int a, int b) { return (int)((long long)a * b >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
	return (unsigned long long)((unsigned __int128)a * b >> 64);
}
inline long long __mul64hi(long long a, long long b) { return (long long)((__int128)a * b >> 64); }
inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll(x) : 64; }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline unsigned __brev(unsigned x) {
	unsigned y = 0;
	for (int i = 0; i < 32; i++) y |= (x >> i & 1) << (31 - i);
	return y;
}
inline unsigned long long __brevll(unsigned long long x) {
	return (unsigned long long)__brev((unsigned)x) << 32 | __brev((unsigned)(x >> 32));
}
inline unsigned __byte_perm(unsigned x, unsigned y, unsigned s) {
	unsigned long long both = (unsigned long long)y << 32 | x;
	unsigned r = 0;
	for (int i = 0; i < 4; i++) r |= (unsigned)(both >> (8 * (s >> (4 * i) & 7)) & 255) << (8 * i);
	return r;
}
inline unsigned __funnelshift_l(unsigned lo, unsigned hi, unsigned s) {
	return (unsigned)(((unsigned long long)hi << 32 | lo) << (s & 31) >> 32);
}
inline unsigned __funnelshift_r(unsigned lo, unsigned hi, unsigned s) {
	return (unsigned)(((unsigned long long)hi << 32 | lo) >> (s & 31));
}

// Parameters arrive packed, as in a launch's parameter buffer; unpacked by the kernel's signature.
namespace fakecuda {
template <class T> struct bare { typedef T type; };
template <class T> struct bare<const T> { typedef T type; };
template <class T> struct bare<T&> { typedef T type; };
template <class T> struct bare<const T&> { typedef T type; };
template <class... A> struct params {
	static constexpr size_t end(size_t at) { return at; }
	template <class F, class... X> static inline void call(F f, const char*, size_t, X&... x) { f(x...); }
};
template <class A, class... R> struct params<A, R...> {
	typedef typename bare<A>::type T;
	static constexpr size_t place(size_t at) { return (at + alignof(T) - 1) & ~(alignof(T) - 1); }
	static constexpr size_t end(size_t at) { return params<R...>::end(place(at) + sizeof(T)); }
	template <class F, class... X> static inline void call(F f, const char* p, size_t at, X&... x) {
		params<R...>::call(f, p, place(at) + sizeof(T), x..., *(T*)(p + place(at)));
	}
};
template <class... A> inline void call(void (*f)(A...), const char* p) { params<A...>::call(f, p, 0); }
template <class... A> constexpr size_t bytes(void (*)(A...)) { return params<A...>::end(0); }
}
