// Softmax along an axis, its logarithm, and their gradients. A group of threads
// serves a line: neighbouring threads take neighbouring elements of a line, or,
// with a group of one, neighbouring lines.
#include "line.cuh"

struct SoftmaxArgs {
    View lines[3]; // out, x and y over the other axes
    Dims kept;
    i64 step[3]; // along the axis, of vectors where wide
    u32 length, group;
    u32 wide, unused;
};

constexpr int WIDTH = 16 / sizeof(T);
using A = Acc<T>;

// forward ops: Softmax, LogSoftmax.
struct Softmax {
    static constexpr bool backward = false;
    Peak<A> peak;
    template <int N> DEVICE void take(const Vec<T, N> &x) { peak.take(x); }
    DEVICE void join(u32 group) {
        peak = group_reduce(peak, group, JoinPeaks());
        peak.sum = 1 / peak.sum;
    }
    DEVICE A result(A x) const { return math::exp(x - peak.top) * peak.sum; }
};
struct LogSoftmax : Softmax {
    DEVICE void join(u32 group) {
        peak = group_reduce(peak, group, JoinPeaks());
        peak.sum = math::log(peak.sum);
    }
    // Two steps: the sum of both would round the logarithm away beside a large top.
    DEVICE A result(A x) const { return x - peak.top - peak.sum; }
};

// backward ops, of the output's gradient g and the output y.
struct SoftmaxBackward {
    static constexpr bool backward = true;
    A sum = 0;
    DEVICE void take(A g, A y) { sum += g * y; }
    DEVICE void join(u32 group) { sum = group_reduce(sum, group, Plus()); }
    DEVICE A result(A g, A y) const { return (g - sum) * y; }
};
struct LogSoftmaxBackward : SoftmaxBackward {
    DEVICE void take(A g, A) { sum += g; }
    DEVICE A result(A g, A y) const { return g - math::exp(y) * sum; }
};

template <class Op, int N> DEVICE void softmax(const SoftmaxArgs &args) {
    u32 group = args.group, result = blockIdx.x * (blockDim.x / group) + threadIdx.x / group;
    u32 lane = threadIdx.x % group, length = result < args.kept.size ? args.length : 0;
    i64 at[3] = {};
    if (length > 0) locate(args.kept, result, args.lines, at);
    T *out = static_cast<T *>(args.lines[0].data) + at[0];
    Line<T, N> x = {static_cast<const T *>(args.lines[1].data) + at[1], args.step[1], lane, group, length, {}};
    Op op;
    if constexpr (Op::backward) {
        const T *y = static_cast<const T *>(args.lines[2].data) + at[2];
        Vec<T, N> ys[KEPT];
        x.read([&](const Vec<T, N> &g, u32 i, int k) {
            Vec<T, N> v = load<N>(y + i * args.step[2]);
            if (k < KEPT) ys[k] = v;
#pragma unroll
            for (int j = 0; j < N; j++) op.take(to<A>(g[j]), to<A>(v[j]));
        });
        op.join(group);
        x.each([&](const Vec<T, N> &g, u32 i, int k) {
            Vec<T, N> v = k < KEPT ? ys[k] : load<N>(y + i * args.step[2]), r;
#pragma unroll
            for (int j = 0; j < N; j++) r[j] = to<T>(op.result(to<A>(g[j]), to<A>(v[j])));
            store(out + i * args.step[0], r);
        });
    } else {
        x.read([&](const Vec<T, N> &v, u32, int) { op.take(v); });
        op.join(group);
        x.each([&](const Vec<T, N> &v, u32 i, int) {
            Vec<T, N> r;
#pragma unroll
            for (int j = 0; j < N; j++) r[j] = to<T>(op.result(to<A>(v[j])));
            store(out + i * args.step[0], r);
        });
    }
}

#ifndef DESCENT_HOST
// Left to itself, ptxas spills a few registers to fit more blocks.
#undef THREADS
#define THREADS 256, 2 // of a block; blocks at once
#endif
KERNEL(SoftmaxArgs) {
    if (args.wide) {
        softmax<OP, WIDTH>(args);
    } else {
        softmax<OP, 1>(args);
    }
}
