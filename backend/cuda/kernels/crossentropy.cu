// The cross entropy of rows of logits with a label each, and its gradient. A block
// or a warp serves a row.
#include "line.cuh"

enum Variant { FORWARD, BACKWARD };

struct CrossEntropyArgs {
    void *x, *dx;
    const i64 *labels;
    void *loss, *lse, *g;
    ErrorWord *error;
    i64 x_row, x_step, dx_row, dx_step; // x_step and dx_step of vectors where wide
    i64 label_step, loss_step, lse_step, g_step;
    i64 ignore;
    f64 smoothing;
    u32 rows, classes; // classes: elements
    u32 length, group; // length: vectors where wide
    u32 wide, op;
};

constexpr int WIDTH = 16 / sizeof(T);
using A = Acc<T>;

// label_of is a row's label, -1 for one that does not count.
DEVICE i64 label_of(const CrossEntropyArgs &args, u32 row, bool tell) {
    i64 label = args.labels[row * args.label_step];
    if (label == args.ignore) return -1;
    if (label < 0 || label >= args.classes) {
        if (tell) report(args.error, INDEX_OUT_OF_RANGE, args.op, label, args.classes);
        return -1;
    }
    return label;
}

template <int N> DEVICE void forward(const CrossEntropyArgs &args, u32 row, u32 lane, bool is_row) {
    const T *data = static_cast<const T *>(args.x) + (is_row ? row * args.x_row : 0);
    Peak<A> peak;
    A total = 0;
    for (u32 i = lane; is_row && i < args.length; i += args.group) {
        Vec<T, N> v = load<N>(data + i * args.x_step);
        peak.take(v);
        if (args.smoothing != 0) {
#pragma unroll
            for (int j = 0; j < N; j++) total += to<A>(v[j]);
        }
    }
    peak = group_reduce(peak, args.group, JoinPeaks());
    if (args.smoothing != 0) total = group_reduce(total, args.group, Plus());
    if (!is_row || lane != 0) return;
    i64 label = label_of(args, row, true);
    A log = math::log(peak.sum), loss = 0;
    if (label >= 0) {
        A picked = to<A>(data[args.wide ? label : label * args.x_step]), smoothing = static_cast<A>(args.smoothing);
        // From the largest logit, beside which a sum would round the logarithm away.
        loss = peak.top - picked + log;
        if (args.smoothing != 0) loss = (1 - smoothing) * loss + smoothing * (peak.top - total / static_cast<A>(args.classes) + log);
    }
    static_cast<A *>(args.loss)[row * args.loss_step] = loss;
    static_cast<A *>(args.lse)[row * args.lse_step] = peak.top + log;
}

template <int N> DEVICE void backward(const CrossEntropyArgs &args, u32 row, u32 lane) {
    const T *x = static_cast<const T *>(args.x) + row * args.x_row;
    T *dx = static_cast<T *>(args.dx) + row * args.dx_row;
    i64 label = label_of(args, row, false);
    A g = static_cast<const A *>(args.g)[row * args.g_step], lse = static_cast<const A *>(args.lse)[row * args.lse_step];
    A even = static_cast<A>(args.smoothing / args.classes), one = static_cast<A>(1 - args.smoothing);
#pragma unroll 4
    for (u32 i = lane; i < args.length; i += args.group) {
        Vec<T, N> v = load<N>(x + i * args.x_step), r;
#pragma unroll
        for (int j = 0; j < N; j++) {
            A p = math::exp(to<A>(v[j]) - lse) - even;
            if (i64(i) * N + j == label) p -= one;
            r[j] = to<T>(label < 0 ? A(0) : p * g);
        }
        store(dx + i * args.dx_step, r);
    }
}

#ifndef DESCENT_HOST
// Left to itself, ptxas spills a few registers to fit more blocks.
#undef THREADS
#define THREADS 256, 2 // of a block; blocks at once
#endif
KERNEL(CrossEntropyArgs) {
    u32 row = blockIdx.x * (blockDim.x / args.group) + threadIdx.x / args.group, lane = threadIdx.x % args.group;
    bool is_row = row < args.rows;
    if constexpr (VARIANT == FORWARD) {
        if (args.wide) {
            forward<WIDTH>(args, row, lane, is_row);
        } else {
            forward<1>(args, row, lane, is_row);
        }
    } else if (is_row) {
        if (args.wide) {
            backward<WIDTH>(args, row, lane);
        } else {
            backward<1>(args, row, lane);
        }
    }
}
