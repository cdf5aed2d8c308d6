// A line of an array, which a group of threads reads once where it fits their
// registers and again where it does not.
#pragma once
#include "fold.cuh"

constexpr int KEPT = 4; // vectors of a line that a thread keeps

// Peak is the sum of exp(x - top) over values up to top.
template <class A> struct Peak {
    A top = -infinity<A>(), sum = 0;

    template <class T, int N> DEVICE void take(const Vec<T, N> &v) {
        A high = top;
#pragma unroll
        for (int i = 0; i < N; i++) high = Larger()(to<A>(v[i]), high);
        if (high == -infinity<A>()) return;
        sum *= math::exp(top - high);
#pragma unroll
        for (int i = 0; i < N; i++) sum += math::exp(to<A>(v[i]) - high);
        top = high;
    }
};
struct JoinPeaks {
    template <class A> DEVICE Peak<A> operator()(Peak<A> x, Peak<A> y) const {
        Peak<A> p;
        p.top = Larger()(x.top, y.top);
        p.sum = x.sum + y.sum;
        if (p.top != -infinity<A>()) p.sum = x.sum * math::exp(x.top - p.top) + y.sum * math::exp(y.top - p.top);
        return p;
    }
};

// group_reduce gives the threads of a group, a power of 2 up to a warp or the
// block, the reduction of their values. All threads of the block call it.
template <class S, class F> DEVICE S group_reduce(S x, u32 group, F f) {
    if (group > 32) return block_reduce(x, f);
    for (u32 mask = group / 2; mask > 0; mask /= 2) x = f(x, shuffle_xor(x, mask));
    return x;
}

// Line is a thread's part of a line: vectors of N elements, every group-th from
// lane on, the first KEPT of them in registers.
template <class T, int N> struct Line {
    const T *data;
    i64 step; // between vectors
    u32 lane, group, length;
    Vec<T, N> kept[KEPT];

    // read calls f with each vector, its number, and k below KEPT for the first ones,
    // which it keeps.
    template <class F> DEVICE void read(F f) {
#pragma unroll
        for (int k = 0; k < KEPT; k++) {
            u32 i = lane + k * group;
            if (i < length) {
                kept[k] = load<N>(data + i * step);
                f(kept[k], i, k);
            }
        }
        for (u32 i = lane + KEPT * group; i < length; i += group) f(load<N>(data + i * step), i, KEPT);
    }
    // each calls f likewise, once read has been called.
    template <class F> DEVICE void each(F f) {
#pragma unroll
        for (int k = 0; k < KEPT; k++) {
            u32 i = lane + k * group;
            if (i < length) f(kept[k], i, k);
        }
        for (u32 i = lane + KEPT * group; i < length; i += group) f(load<N>(data + i * step), i, KEPT);
    }
};
