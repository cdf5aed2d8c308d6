// What every kernel stands on: element types and their conversions, 16-byte
// accesses, strided views, scalars, the error word, reductions in a fixed order.
//
// A file is compiled once for each spec. Go defines OP, T, U, V, VARIANT and
// ARGS_BYTES and includes the .cu file, whose one kernel is declared by KERNEL.
// The host build (DESCENT_HOST) compiles the same source with a C++ compiler.
#pragma once

#ifndef THREADS
#define THREADS 256 // of a block, at most
#endif

#ifdef DESCENT_HOST
#define DEVICE inline
#define KERNEL(Args)                                                                                                   \
    static_assert(sizeof(Args) == ARGS_BYTES, "the arguments differ from Go's");                                       \
    extern "C" void run(const Args &args)
#else
#define DEVICE __device__ __forceinline__
#define KERNEL(Args)                                                                                                   \
    static_assert(sizeof(Args) == ARGS_BYTES, "the arguments differ from Go's");                                       \
    extern "C" __global__ void __launch_bounds__(THREADS) run(const __grid_constant__ Args args)
// DYNAMIC_SHARED(T, name) declares T *name, the launch's shared memory.
#define DYNAMIC_SHARED(Type, name)                                                                                     \
    extern __shared__ __align__(16) unsigned char dynamic_shared[];                                                    \
    Type *name = reinterpret_cast<Type *>(dynamic_shared)
#endif

// Element types.

using f64 = double;
using f32 = float;
using i64 = long long;
using i32 = int;
using i16 = short;
using i8 = signed char;
using u8 = unsigned char;
using u16 = unsigned short;
using u32 = unsigned int;
using u64 = unsigned long long;

struct f16 {
    u16 bits;
};
struct bf16 {
    u16 bits;
};
struct boolean {
    u8 bits; // 0 or 1
};

// T, U and V become names of types, so that templates may call theirs the same.
#ifdef T
using SpecT = T;
#undef T
using T = SpecT;
#endif
#ifdef U
using SpecU = U;
#undef U
using U = SpecU;
#endif
#ifdef V
using SpecV = V;
#undef V
using V = SpecV;
#endif

template <class A, class B> constexpr bool same = false;
template <class A> constexpr bool same<A, A> = true;
template <bool C, class A, class B> struct Choose {
    using type = A;
};
template <class A, class B> struct Choose<false, A, B> {
    using type = B;
};
template <bool C, class A, class B> using choose = typename Choose<C, A, B>::type;

template <class T> constexpr bool is_half = same<T, f16> || same<T, bf16>;
template <class T> constexpr bool is_float = is_half<T> || same<T, f32> || same<T, f64>;

// Acc<T> is what sums of T are made in; Compute<T> what elementwise functions
// compute in: every integer wraps around as the low bits of its i64.
template <class T> using Acc = choose<is_half<T>, f32, T>;
template <class T> using Compute = choose<is_float<T>, Acc<T>, i64>;

// bits<To>(x) is x's representation as a To.
template <class To, class From> DEVICE To bits(From x) {
    static_assert(sizeof(To) == sizeof(From), "sizes differ");
    To r;
    memcpy(&r, &x, sizeof r);
    return r;
}

// Conversions of the half types, which round to nearest even and keep NaN.

DEVICE f32 widen(bf16 h) { return bits<f32>(u32(h.bits) << 16); }

#ifndef DESCENT_HOST
DEVICE f32 widen(f16 h) {
    f32 r;
    asm("cvt.f32.f16 %0, %1;" : "=f"(r) : "h"(h.bits));
    return r;
}
DEVICE f16 to_f16(f32 x) {
    f16 r;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(r.bits) : "f"(x));
    return r;
}
#else
DEVICE f32 widen(f16 h) {
    u32 sign = u32(h.bits & 0x8000) << 16, exponent = h.bits >> 10 & 0x1F, fraction = h.bits & 0x3FF;
    if (exponent == 0) return bits<f32>(sign | bits<u32>(f32(fraction) * 0x1p-24f));
    if (exponent == 0x1F) return bits<f32>(sign | 0x7F800000 | fraction << 13);
    return bits<f32>(sign | (exponent + 112) << 23 | fraction << 13);
}
DEVICE f16 to_f16(f32 x) {
    u32 b = bits<u32>(x), sign = b >> 16 & 0x8000, a = b & 0x7FFFFFFF;
    if (a > 0x7F800000) return {u16(sign | 0x7E00 | (a >> 13 & 0x3FF))};
    if (a >= 0x477FF000) return {u16(sign | 0x7C00)}; // rounds to 2¹⁶ or more
    if (a < 0x38800000) return {u16(sign | (bits<u32>(bits<f32>(a) + 0.5f) - bits<u32>(0.5f)))}; // multiples of 2⁻²⁴
    return {u16(sign | (a - 0x38000000 + 0xFFF + (a >> 13 & 1)) >> 13)};
}
#endif

#if !defined(DESCENT_HOST) && __CUDA_ARCH__ >= 800
DEVICE bf16 to_bf16(f32 x) {
    bf16 r;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(r.bits) : "f"(x));
    return r;
}
#else
DEVICE bf16 to_bf16(f32 x) {
    u32 b = bits<u32>(x);
    if ((b & 0x7FFFFFFF) > 0x7F800000) return {u16(b >> 16 | 0x40)};
    return {u16((b + 0x7FFF + (b >> 16 & 1)) >> 16)};
}
#endif

DEVICE u8 widen(boolean b) { return b.bits; }
template <class T> DEVICE T widen(T x) { return x; }

// to<To>(x) casts: to integers toward zero, cut to their width; to boolean by
// testing for non-zero.
template <class To, class From> DEVICE To to(From x) {
    auto w = widen(x);
    if constexpr (same<To, From>) {
        return x;
    } else if constexpr (same<To, boolean>) {
        return {u8(w != 0)};
    } else if constexpr (same<To, f16>) {
        return to_f16(static_cast<f32>(w));
    } else if constexpr (same<To, bf16>) {
        return to_bf16(static_cast<f32>(w));
    } else if constexpr (!is_float<To> && is_float<From>) {
        return static_cast<To>(static_cast<i64>(w));
    } else {
        return static_cast<To>(w);
    }
}

// Accesses of N neighbouring elements, in pieces of 16 bytes where they are that
// long. The address must be aligned to min(16, N·sizeof(T)).

template <int BYTES> struct Raw;
template <> struct Raw<1> {
    u8 x;
};
template <> struct Raw<2> {
    u16 x;
};
template <> struct Raw<4> {
    u32 x;
};
template <> struct alignas(8) Raw<8> {
    u32 x, y;
};
template <> struct alignas(16) Raw<16> {
    u32 x, y, z, w;
};

template <class T, int N> struct Vec {
    T at[N];
    DEVICE T &operator[](int i) { return at[i]; }
    DEVICE const T &operator[](int i) const { return at[i]; }
};

template <int N, class T> DEVICE Vec<T, N> load(const T *p) {
    constexpr int whole = N * int(sizeof(T)), piece = whole < 16 ? whole : 16;
    Vec<T, N> v;
#pragma unroll
    for (int i = 0; i < whole / piece; i++) {
        Raw<piece> raw = reinterpret_cast<const Raw<piece> *>(p)[i];
        memcpy(reinterpret_cast<char *>(v.at) + i * piece, &raw, piece);
    }
    return v;
}

template <class T, int N> DEVICE void store(T *p, const Vec<T, N> &v) {
    constexpr int whole = N * int(sizeof(T)), piece = whole < 16 ? whole : 16;
#pragma unroll
    for (int i = 0; i < whole / piece; i++) {
        Raw<piece> raw;
        memcpy(&raw, reinterpret_cast<const char *>(v.at) + i * piece, piece);
        reinterpret_cast<Raw<piece> *>(p)[i] = raw;
    }
}

// Strided views. Axes are listed innermost first; Go has dropped those of size 1
// and merged what lies together; rank may be 0, and stride[0] is then 0.

constexpr int MAX_DIMS = 8;

// Dim divides numbers below 2³¹ by size: n / size = (n·multiplier >> 32) + n >> shift.
struct Dim {
    u32 size, multiplier, shift;
    DEVICE u32 divide(u32 n) const {
#ifdef DESCENT_HOST
        return (u32(u64(n) * multiplier >> 32) + n) >> shift;
#else
        return (__umulhi(n, multiplier) + n) >> shift;
#endif
    }
};

struct Dims {
    u32 rank, size; // size: the product
    Dim dim[MAX_DIMS];
};

struct View {
    void *data;
    i64 stride[MAX_DIMS]; // in elements
};

// locate sets at[k] to the offset of element i in views[k], in elements.
template <int K> DEVICE void locate(const Dims &dims, u32 i, const View (&views)[K], i64 *at) {
    u32 last = dims.rank ? dims.rank - 1 : 0;
#pragma unroll
    for (int k = 0; k < K; k++) at[k] = 0;
#pragma unroll 1
    for (u32 d = 0; d < last; d++) {
        u32 rest = dims.dim[d].divide(i);
        i64 index = i - rest * dims.dim[d].size;
#pragma unroll
        for (int k = 0; k < K; k++) at[k] += index * views[k].stride[d];
        i = rest;
    }
#pragma unroll
    for (int k = 0; k < K; k++) at[k] += i64(i) * views[k].stride[last];
}

// Scalars of a kernel, as package backend's; in device memory where slot is set.

struct Scalars {
    f64 a, b;
    i64 n, m;
    u64 key, counter;
};

struct Params {
    Scalars value;
    const Scalars *slot;
    DEVICE Scalars read() const { return slot ? *slot : value; }
};

// The error word keeps the first error that the data shows.

enum ErrorCode : u32 { INDEX_OUT_OF_RANGE = 1, DIVISION_BY_ZERO = 2, NEGATIVE_EXPONENT = 3 };

struct ErrorWord {
    u32 code, op;
    i64 index, size;
};

DEVICE void report(ErrorWord *word, u32 code, u32 op, i64 index = 0, i64 size = 0) {
    if (atomicCAS(&word->code, 0u, code) != 0) return;
    word->op = op;
    word->index = index;
    word->size = size;
}

// Reductions, in an order that depends on nothing but the number of threads.

template <class T> DEVICE T shuffle_xor(T x, int mask) {
    constexpr int words = (sizeof(T) + 3) / 4;
    u32 raw[words] = {};
    memcpy(raw, &x, sizeof x);
#pragma unroll
    for (int i = 0; i < words; i++) raw[i] = __shfl_xor_sync(0xFFFFFFFFu, raw[i], mask);
    memcpy(&x, raw, sizeof x);
    return x;
}

// warp_reduce gives every lane of a whole warp the reduction of its values by f,
// which must commute.
template <class T, class F> DEVICE T warp_reduce(T x, F f) {
#pragma unroll
    for (int mask = 16; mask > 0; mask /= 2) x = f(x, shuffle_xor(x, mask));
    return x;
}

// block_reduce does so for a block of whole warps in one dimension.
template <class T, class F> DEVICE T block_reduce(T x, F f) {
    __shared__ T partial[32];
    x = warp_reduce(x, f);
    if (blockDim.x <= 32) return x;
    __syncthreads(); // of an earlier call
    if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = x;
    __syncthreads();
    x = partial[0];
    for (u32 i = 1; i < blockDim.x / 32; i++) x = f(x, partial[i]);
    return x;
}

struct Plus {
    template <class T> DEVICE T operator()(T x, T y) const { return x + y; }
};
// NaN if either is, like Go's max and min.
struct Larger {
    template <class T> DEVICE T operator()(T x, T y) const { return x > y || x != x ? x : y; }
};
struct Smaller {
    template <class T> DEVICE T operator()(T x, T y) const { return x < y || x != x ? x : y; }
};

// math has the functions of float and double under one name.
namespace math {
#define MATH1(name)                                                                                                    \
    DEVICE f32 name(f32 x) { return ::name##f(x); }                                                                    \
    DEVICE f64 name(f64 x) { return ::name(x); }
#define MATH2(name)                                                                                                    \
    DEVICE f32 name(f32 x, f32 y) { return ::name##f(x, y); }                                                          \
    DEVICE f64 name(f64 x, f64 y) { return ::name(x, y); }
MATH1(fabs) MATH1(sqrt) MATH1(exp) MATH1(exp2) MATH1(expm1) MATH1(log) MATH1(log2) MATH1(log10) MATH1(log1p)
MATH1(sin) MATH1(cos) MATH1(tan) MATH1(asin) MATH1(acos) MATH1(atan) MATH1(sinh) MATH1(cosh) MATH1(tanh)
MATH1(asinh) MATH1(acosh) MATH1(atanh) MATH1(erf) MATH1(erfc) MATH1(floor) MATH1(ceil) MATH1(rint) MATH1(trunc)
MATH2(fmod) MATH2(pow) MATH2(atan2) MATH2(copysign)
#ifdef DESCENT_HOST
template <class T> DEVICE T rsqrt(T x) { return 1 / sqrt(x); }
#else
MATH1(rsqrt)
#endif
#undef MATH1
#undef MATH2

DEVICE i32 leading_zeros(u32 x) { // of x != 0
#ifdef DESCENT_HOST
    return __builtin_clz(x);
#else
    return __clz(i32(x));
#endif
}
DEVICE i32 leading_zeros(u64 x) {
#ifdef DESCENT_HOST
    return __builtin_clzll(x);
#else
    return __clzll(i64(x));
#endif
}
DEVICE u64 multiply_high(u64 x, u64 y) {
#ifdef DESCENT_HOST
    return u64((unsigned __int128)(x) * y >> 64);
#else
    return __umul64hi(x, y);
#endif
}

// quotient is x / y within two units of the last place, for y in [2⁻¹²⁶, 2¹²⁶] or ∞.
DEVICE f64 quotient(f64 x, f64 y) { return x / y; }
DEVICE f32 quotient(f32 x, f32 y) {
#ifdef DESCENT_HOST
    return x / y;
#else
    f32 r;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(y));
    return x * r;
#endif
}

// power_of_2 is 2ˣ within four units of the last place, or 0 below 2⁻¹²⁶.
DEVICE f32 power_of_2(f32 x) {
#ifdef DESCENT_HOST
    return ::exp2f(x);
#else
    f32 r;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
    return r;
#endif
}

// sigmoid is 1/(1+e⁻ˣ), and complement 1 less that; neither cancels nor overflows.
template <class C> DEVICE C sigmoid(C x) {
    C e = exp(-fabs(x));
    return quotient(x >= 0 ? C(1) : e, 1 + e);
}
template <class C> DEVICE C sigmoid(C x, C &complement) {
    C e = exp(-fabs(x)), d = quotient(C(1), 1 + e);
    complement = x >= 0 ? e * d : d;
    return x >= 0 ? d : e * d;
}
} // namespace math

// exact has arithmetic that rounds each result and is never fused.
namespace exact {
#ifdef DESCENT_HOST
template <class T> DEVICE T add(T x, T y) { return x + y; }
template <class T> DEVICE T sub(T x, T y) { return x - y; }
template <class T> DEVICE T mul(T x, T y) { return x * y; }
template <class T> DEVICE T div(T x, T y) { return x / y; }
DEVICE f32 sqrt(f32 x) { return ::sqrtf(x); }
DEVICE f64 sqrt(f64 x) { return ::sqrt(x); }
#else
DEVICE f32 add(f32 x, f32 y) { return __fadd_rn(x, y); }
DEVICE f64 add(f64 x, f64 y) { return __dadd_rn(x, y); }
DEVICE f32 sub(f32 x, f32 y) { return __fsub_rn(x, y); }
DEVICE f64 sub(f64 x, f64 y) { return __dsub_rn(x, y); }
DEVICE f32 mul(f32 x, f32 y) { return __fmul_rn(x, y); }
DEVICE f64 mul(f64 x, f64 y) { return __dmul_rn(x, y); }
DEVICE f32 div(f32 x, f32 y) { return __fdiv_rn(x, y); }
DEVICE f64 div(f64 x, f64 y) { return __ddiv_rn(x, y); }
DEVICE f32 sqrt(f32 x) { return __fsqrt_rn(x); }
DEVICE f64 sqrt(f64 x) { return __dsqrt_rn(x); }
#endif
} // namespace exact
