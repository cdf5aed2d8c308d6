// Pooling of [N, C, H, W] and its gradients. A thread makes one element of the
// output, or with channels last a vector of channels; gradients gather from the
// windows that cover a position, so that sums have a fixed order.
#include "fold.cuh"

struct Image {
    void *data;
    i64 n, c, h, w; // strides
};

struct PoolArgs {
    Image out, idx, x;
    u32 size;            // threads' work: elements of out, or vectors
    u32 channels_last;   // 1: channels are innermost
    u32 wide, unused;
    Dim channels, height, width;      // of out; channels in vectors where wide
    u32 in_height, in_width;          // of x
    i32 kernel[2], stride[2], padding[2], dilation[2];
    i32 include_pad, divisor;
};

constexpr int WIDTH = 16 / sizeof(T);
using A = Acc<T>;

// Place is what a thread makes.
struct Place {
    i64 n, c;
    i32 h, w;
};

DEVICE Place place(const PoolArgs &args, u32 i, int lanes) {
    Place p;
    if (args.channels_last) {
        u32 rest = args.channels.divide(i), row = args.width.divide(rest), n = args.height.divide(row);
        p = {n, i64(i - rest * args.channels.size) * lanes, i32(row - n * args.height.size), i32(rest - row * args.width.size)};
    } else {
        u32 row = args.width.divide(i), plane = args.height.divide(row), n = args.channels.divide(plane);
        p = {n, i64(plane - n * args.channels.size), i32(row - plane * args.height.size), i32(i - row * args.width.size)};
    }
    return p;
}

template <class S> DEVICE S *element(const Image &a, const Place &p, i32 h, i32 w) {
    return static_cast<S *>(a.data) + p.n * a.n + p.c * a.c + h * a.h + w * a.w;
}

// Span is the windows along one axis that cover a position, [lo, hi).
struct Span {
    i32 lo, hi;
    DEVICE Span(i32 at, i32 windows, i32 kernel, i32 stride, i32 padding, i32 dilation) {
        i32 first = at + padding - (kernel - 1) * dilation; // where a window that ends here starts
        lo = first <= 0 ? 0 : (first + stride - 1) / stride;
        hi = (at + padding) / stride + 1;
        if (hi > windows) hi = windows;
    }
};

// divisor is PyTorch's: where padding counts, windows still end at the padded edge.
DEVICE A divisor(const PoolArgs &args, i32 oh, i32 ow, i32 height, i32 width) {
    if (args.divisor) return static_cast<A>(args.divisor);
    i32 h = oh * args.stride[0] - args.padding[0], w = ow * args.stride[1] - args.padding[1], pad_h = 0, pad_w = 0;
    if (args.include_pad) {
        pad_h = args.padding[0];
        pad_w = args.padding[1];
    } else {
        if (h < 0) h = 0;
        if (w < 0) w = 0;
    }
    i32 h_end = oh * args.stride[0] - args.padding[0] + args.kernel[0], w_end = ow * args.stride[1] - args.padding[1] + args.kernel[1];
    if (h_end > height + pad_h) h_end = height + pad_h;
    if (w_end > width + pad_w) w_end = width + pad_w;
    i32 n = (h_end - h) * (w_end - w);
    return static_cast<A>(n < 1 ? 1 : n);
}

struct MaxPool {
    template <int N> static DEVICE void run(const PoolArgs &args, const Place &p) {
        i32 h0 = p.h * args.stride[0] - args.padding[0], w0 = p.w * args.stride[1] - args.padding[1];
        Vec<T, N> best;
        i32 at[N];
        bool first = true;
        i32 edge = (h0 < 0 ? 0 : h0) * args.in_width + (w0 < 0 ? 0 : w0);
#pragma unroll
        for (int j = 0; j < N; j++) {
            best[j] = to<T>(-infinity<A>());
            at[j] = edge;
        }
        for (i32 kh = 0; kh < args.kernel[0]; kh++) {
            i32 h = h0 + kh * args.dilation[0];
            if (h < 0 || h >= i32(args.in_height)) continue;
            for (i32 kw = 0; kw < args.kernel[1]; kw++) {
                i32 w = w0 + kw * args.dilation[1];
                if (w < 0 || w >= i32(args.in_width)) continue;
                Vec<T, N> v = load<N>(element<const T>(args.x, p, h, w));
#pragma unroll
                for (int j = 0; j < N; j++) {
                    A x = to<A>(v[j]);
                    if (first || x > to<A>(best[j]) || x != x) {
                        best[j] = v[j];
                        at[j] = h * args.in_width + w;
                    }
                }
                first = false;
            }
        }
        store(element<T>(args.out, p, p.h, p.w), best);
        if (args.idx.data) {
            Vec<i64, N> where;
#pragma unroll
            for (int j = 0; j < N; j++) where[j] = at[j];
            store(element<i64>(args.idx, p, p.h, p.w), where);
        }
    }
};

struct AvgPool {
    template <int N> static DEVICE void run(const PoolArgs &args, const Place &p) {
        i32 h0 = p.h * args.stride[0] - args.padding[0], w0 = p.w * args.stride[1] - args.padding[1];
        A sum[N] = {};
        for (i32 h = h0 < 0 ? 0 : h0; h < h0 + args.kernel[0] && h < i32(args.in_height); h++) {
            for (i32 w = w0 < 0 ? 0 : w0; w < w0 + args.kernel[1] && w < i32(args.in_width); w++) {
                Vec<T, N> v = load<N>(element<const T>(args.x, p, h, w));
#pragma unroll
                for (int j = 0; j < N; j++) sum[j] += to<A>(v[j]);
            }
        }
        A by = divisor(args, p.h, p.w, args.in_height, args.in_width);
        Vec<T, N> r;
#pragma unroll
        for (int j = 0; j < N; j++) r[j] = to<T>(sum[j] / by);
        store(element<T>(args.out, p, p.h, p.w), r);
    }
};

// In the backward ops x is the gradient of the windows, and out that of the input.

struct MaxPoolBackward {
    template <int N> static DEVICE void run(const PoolArgs &args, const Place &p) {
        Span hs(p.h, args.in_height, args.kernel[0], args.stride[0], args.padding[0], args.dilation[0]);
        Span ws(p.w, args.in_width, args.kernel[1], args.stride[1], args.padding[1], args.dilation[1]);
        i64 here = i64(p.h) * args.width.size + p.w;
        A sum[N] = {};
        for (i32 oh = hs.lo; oh < hs.hi; oh++) {
            for (i32 ow = ws.lo; ow < ws.hi; ow++) {
                Vec<i64, N> where = load<N>(element<const i64>(args.idx, p, oh, ow));
                Vec<T, N> g = load<N>(element<const T>(args.x, p, oh, ow));
#pragma unroll
                for (int j = 0; j < N; j++) {
                    if (where[j] == here) sum[j] += to<A>(g[j]);
                }
            }
        }
        Vec<T, N> r;
#pragma unroll
        for (int j = 0; j < N; j++) r[j] = to<T>(sum[j]);
        store(element<T>(args.out, p, p.h, p.w), r);
    }
};

struct AvgPoolBackward {
    template <int N> static DEVICE void run(const PoolArgs &args, const Place &p) {
        Span hs(p.h, args.in_height, args.kernel[0], args.stride[0], args.padding[0], 1);
        Span ws(p.w, args.in_width, args.kernel[1], args.stride[1], args.padding[1], 1);
        A sum[N] = {};
        for (i32 oh = hs.lo; oh < hs.hi; oh++) {
            for (i32 ow = ws.lo; ow < ws.hi; ow++) {
                Vec<T, N> g = load<N>(element<const T>(args.x, p, oh, ow));
                A by = divisor(args, oh, ow, args.height.size, args.width.size);
#pragma unroll
                for (int j = 0; j < N; j++) sum[j] += to<A>(g[j]) / by;
            }
        }
        Vec<T, N> r;
#pragma unroll
        for (int j = 0; j < N; j++) r[j] = to<T>(sum[j]);
        store(element<T>(args.out, p, p.h, p.w), r);
    }
};

KERNEL(PoolArgs) {
    for (u32 i = blockIdx.x * THREADS + threadIdx.x; i < args.size; i += gridDim.x * THREADS) {
        if (args.wide) {
            OP::run<WIDTH>(args, place(args, i, WIDTH));
        } else {
            OP::run<1>(args, place(args, i, 1));
        }
    }
}
