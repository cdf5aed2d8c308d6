// Element types and a matrix product for the fake cuBLASLt and cuDNN.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

namespace fake {

enum class Type { f64, f32, f16, bf16 };

inline int64_t size_of(Type t) { return t == Type::f64 ? 8 : t == Type::f32 ? 4 : 2; }

inline float from_bits(uint32_t u) {
    float f;
    std::memcpy(&f, &u, 4);
    return f;
}

inline uint32_t bits(float f) {
    uint32_t u;
    std::memcpy(&u, &f, 4);
    return u;
}

inline float half_to_float(uint16_t h) {
    uint32_t sign = uint32_t(h & 0x8000) << 16, rest = h & 0x7fff;
    if (rest >= 0x7c00) return from_bits(sign | 0x7f800000 | (rest & 0x3ff) << 13);
    if (rest < 0x400) {  // zero or subnormal: rest units of 2^-24
        float f = float(rest) * 0x1p-24f;
        return sign ? -f : f;
    }
    return from_bits(sign | ((rest << 13) + (112u << 23)));
}

inline uint16_t float_to_half(float f) {
    uint32_t u = bits(f), sign = u >> 16 & 0x8000, a = u & 0x7fffffff;
    if (a > 0x7f800000) return sign | 0x7e00;
    if (a >= 0x477ff000) return sign | 0x7c00;  // rounds to 2^16 or more
    if (a < 0x38800000) {                       // subnormal: the addition rounds at 2^-24
        float g = from_bits(a) + 0.5f;
        return sign | (bits(g) - bits(0.5f));
    }
    return sign | ((a - (112u << 23) + 0xfff + (a >> 13 & 1)) >> 13);
}

inline float bfloat_to_float(uint16_t b) { return from_bits(uint32_t(b) << 16); }

inline uint16_t float_to_bfloat(float f) {
    uint32_t u = bits(f);
    if ((u & 0x7fffffff) > 0x7f800000) return u >> 16 | 0x40;
    return (u + 0x7fff + (u >> 16 & 1)) >> 16;
}

// to_tf32 rounds to the 10 bits of fraction that a tensor core sees.
inline float to_tf32(float f) {
    uint32_t u = bits(f);
    if ((u & 0x7f800000) == 0x7f800000) return f;
    return from_bits((u + 0xfff + (u >> 13 & 1)) & ~0x1fffu);
}

inline double load(Type t, const void* p, int64_t i) {
    switch (t) {
        case Type::f64: return static_cast<const double*>(p)[i];
        case Type::f32: return static_cast<const float*>(p)[i];
        case Type::f16: return half_to_float(static_cast<const uint16_t*>(p)[i]);
        default: return bfloat_to_float(static_cast<const uint16_t*>(p)[i]);
    }
}

inline void store(Type t, void* p, int64_t i, double v) {
    switch (t) {
        case Type::f64: static_cast<double*>(p)[i] = v; break;
        case Type::f32: static_cast<float*>(p)[i] = float(v); break;
        case Type::f16: static_cast<uint16_t*>(p)[i] = float_to_half(float(v)); break;
        default: static_cast<uint16_t*>(p)[i] = float_to_bfloat(float(v));
    }
}

// gather writes n elements of p, stride apart, to out, step apart.
template <class T>
void gather(Type t, const void* p, int64_t at, int64_t stride, int64_t n, T* out, int64_t step) {
    switch (t) {
        case Type::f64:
            for (int64_t i = 0; i < n; i++) out[i * step] = T(static_cast<const double*>(p)[at + i * stride]);
            break;
        case Type::f32:
            for (int64_t i = 0; i < n; i++) out[i * step] = T(static_cast<const float*>(p)[at + i * stride]);
            break;
        case Type::f16:
            for (int64_t i = 0; i < n; i++) out[i * step] = T(half_to_float(static_cast<const uint16_t*>(p)[at + i * stride]));
            break;
        default:
            for (int64_t i = 0; i < n; i++) out[i * step] = T(bfloat_to_float(static_cast<const uint16_t*>(p)[at + i * stride]));
    }
}

constexpr int64_t kRows = 6, kDepth = 4096;
template <class T>
constexpr int64_t kCols = 64 / sizeof(T);  // two AVX2 vectors

// tile adds a, packed as depth by kRows, times b, packed as depth by kCols, to acc.
template <class T>
inline __attribute__((always_inline)) void tile_body(int64_t depth, const T* a, const T* b, T* acc) {
    typedef T vec __attribute__((vector_size(32), aligned(sizeof(T))));
    constexpr int64_t lanes = 32 / sizeof(T);
    vec s[kRows][2];
#pragma GCC unroll 8
    for (int i = 0; i < kRows; i++)
#pragma GCC unroll 2
        for (int j = 0; j < 2; j++) s[i][j] = *reinterpret_cast<const vec*>(acc + i * kCols<T> + j * lanes);
    for (int64_t p = 0; p < depth; p++, a += kRows, b += kCols<T>) {
        vec b0 = *reinterpret_cast<const vec*>(b), b1 = *reinterpret_cast<const vec*>(b + lanes);
#pragma GCC unroll 8
        for (int i = 0; i < kRows; i++) {
            s[i][0] += a[i] * b0;
            s[i][1] += a[i] * b1;
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < kRows; i++)
#pragma GCC unroll 2
        for (int j = 0; j < 2; j++) *reinterpret_cast<vec*>(acc + i * kCols<T> + j * lanes) = s[i][j];
}

#ifdef __x86_64__
template <class T>
__attribute__((target("avx2,fma"))) void tile_fma(int64_t depth, const T* a, const T* b, T* acc) {
    tile_body(depth, a, b, acc);
}

template <class T>
void tile(int64_t depth, const T* a, const T* b, T* acc) {
    static const bool fma = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    fma ? tile_fma(depth, a, b, acc) : tile_body(depth, a, b, acc);
}
#else
template <class T>
void tile(int64_t depth, const T* a, const T* b, T* acc) {
    tile_body(depth, a, b, acc);
}
#endif

// multiply calls put(i, j, sum) for each element of the m by n product of two
// matrices of depth k. left(first, count, out, step) writes the rows first to
// first+count as out[depth * step + row], right the columns likewise. Sums run along k
// in order, in blocks of kDepth.
template <class T, class Left, class Right, class Put>
void multiply(int64_t m, int64_t n, int64_t k, const Left& left, const Right& right, const Put& put) {
    constexpr int64_t nc = kCols<T>;
    std::vector<T> rows((m + kRows - 1) / kRows * kRows * k), panel(k * nc);
    for (int64_t i = 0; i < m; i += kRows) left(i, std::min(kRows, m - i), rows.data() + i * k, kRows);
    for (int64_t j = 0; j < n; j += nc) {
        int64_t width = std::min(nc, n - j);
        if (width < nc) std::fill(panel.begin(), panel.end(), T(0));
        right(j, width, panel.data(), nc);
        for (int64_t i = 0; i < m; i += kRows) {
            T sum[kRows * nc] = {}, part[kRows * nc];
            for (int64_t p = 0; p < k; p += kDepth) {
                std::fill(part, part + kRows * nc, T(0));
                tile(std::min(kDepth, k - p), rows.data() + i * k + p * kRows, panel.data() + p * nc, part);
                for (int64_t e = 0; e < kRows * nc; e++) sum[e] += part[e];
            }
            for (int64_t r = 0; r < std::min(kRows, m - i); r++)
                for (int64_t c = 0; c < width; c++) put(i + r, j + c, sum[r * nc + c]);
        }
    }
}

}  // namespace fake
