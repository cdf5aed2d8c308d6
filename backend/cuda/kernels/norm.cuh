// Normalisation over any axes, out = (x - mean)·rstd·weight + bias, and its
// gradients. Some axes number the results, the others the elements of each; a thread
// takes N neighbours of one or of the other, which are the lanes of a vector.
#pragma once
#include "line.cuh"

// Arrays of one slot have the same strides.
enum Slot {
    X,
    Y,      // out, or the gradient of out
    STAT,   // mean and variance
    AFFINE, // weight and bias, or their gradients
    SLOTS
};

struct NormArgs {
    View results[SLOTS], elements[SLOTS]; // x, out or g, mean, weight or bias
    Dims kept, reduced;
    void *to;                // out or dx
    const void *weight, *bias; // or null
    void *variance, *dweight, *dbias;
    void *partial;           // where chunks > 1
    void *sums;              // of each group, or null
    f64 eps;
    i64 count;               // elements of a group
    u32 size;                // results
    u32 length;              // elements of a result, in vectors where these are its lanes
    u32 chunk, chunks;       // of which a block takes so many; its parts
    u32 group;               // threads of a result, or neighbouring results of a block
    u32 wide;                // 1: vectors
    u32 same;                // bit k: slot k has one value for all lanes of a vector
    u32 fixed;               // bit k: and for all elements of a result
    u32 as_y;                // 1: to lies as y, 0: as x
    u32 weighted;            // 1: sums have the factor weight
};

constexpr int WIDTH = 16 / sizeof(T);
using A = Acc<T>;

template <class S> DEVICE S *typed(void *p) { return static_cast<S *>(p); }
template <class S> DEVICE const S *typed(const void *p) { return static_cast<const S *>(p); }

// raw is a vector, or one value N times.
template <int N, class S> DEVICE Vec<S, N> raw(const S *p, bool same) {
    if (N > 1 && !same) return load<N>(p);
    Vec<S, N> v;
    S one = *p;
#pragma unroll
    for (int j = 0; j < N; j++) v[j] = one;
    return v;
}

template <int N, class S> DEVICE Vec<A, N> widened(const Vec<S, N> &v) {
    Vec<A, N> r;
#pragma unroll
    for (int j = 0; j < N; j++) r[j] = to<A>(v[j]);
    return r;
}

// Affine is weight and bias at an offset of their slot: 1 and 0 where there are none.
template <int N> struct Affine {
    Vec<A, N> weight, bias;
    DEVICE Affine(const NormArgs &args, i64 at) {
        bool same = args.same >> AFFINE & 1;
#pragma unroll
        for (int j = 0; j < N; j++) {
            weight[j] = 1;
            bias[j] = 0;
        }
        if (args.weight) weight = widened(raw<N>(typed<U>(args.weight) + at, same));
        if (args.bias) bias = widened(raw<N>(typed<U>(args.bias) + at, same));
    }
};

DEVICE A inverse(const NormArgs &args, A variance) { return math::rsqrt(variance + static_cast<A>(args.eps)); }

// Statistics are mean and 1/√(variance+eps) at an offset of their slot.
template <int N> struct Statistics {
    Vec<A, N> mean, rstd;
    DEVICE Statistics(const NormArgs &args, i64 at) {
        bool same = args.same >> STAT & 1;
        mean = raw<N>(typed<A>(args.results[STAT].data) + at, same);
        rstd = raw<N>(typed<A>(args.variance) + at, same);
#pragma unroll
        for (int j = 0; j < N; j++) rstd[j] = inverse(args, rstd[j]);
    }
};

// Pair is two sums: of g and g·x̂, or of deviations and their squares.
struct Pair {
    A first, second;
};
struct AddPairs {
    DEVICE Pair operator()(Pair x, Pair y) const { return {x.first + y.first, x.second + y.second}; }
};
