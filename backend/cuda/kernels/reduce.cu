// Reductions of any axes of x. The axes that are kept give the results, those that
// are reduced the elements of each. Several blocks may share a result's elements:
// they leave partial results, [chunk][result], which FINISH joins. What is added to
// what depends on shapes and strides alone.
#include "fold.cuh"

enum Variant { ROWS, COLUMNS, FINISH };

enum Access : u32 {
    STRAIGHT, // the elements of a result follow each other: vectors, once aligned
    WIDE,     // axes are counted in vectors, which are aligned
    SINGLE,   // one element at a time
};

struct ReduceArgs {
    View results[2]; // x and out over the kept axes; FINISH: partial and out
    View elements[1]; // x over the reduced axes
    Dims kept, reduced;
    void *partial;      // where chunks > 1
    i64 length, count;  // elements (vectors where WIDE) of a result; Mean's divisor
    i64 neighbour;      // COLUMNS: the stride of out within a vector
    u32 chunk, chunks;  // elements (vectors where WIDE) of a block; FINISH: partial results
    u32 group;          // ROWS: threads of a result, else columns of a block; a power of 2
    u32 access;
};

using Fold = OP<T>;
using Partial = Fold::Partial;

constexpr int WIDTH = LANES<T, Partial>;

template <int N> struct Partials {
    Partial at[N];
    DEVICE Partials() {
#pragma unroll
        for (int i = 0; i < N; i++) at[i] = Fold::identity();
    }
    // take folds in elements that are numbered from number on, in steps.
    DEVICE void take(const Vec<T, N> &v, i64 number, i64 step) {
#pragma unroll
        for (int i = 0; i < N; i++) at[i] = Fold::join(at[i], Fold::take(v[i], number + i * step));
    }
    DEVICE void take(T x, i64 number) { at[0] = Fold::join(at[0], Fold::take(x, number)); }
    DEVICE Partial joined() const {
        Partial level[N];
#pragma unroll
        for (int i = 0; i < N; i++) level[i] = at[i];
#pragma unroll
        for (int half = N / 2; half > 0; half /= 2) {
#pragma unroll
            for (int i = 0; i < half; i++) level[i] = Fold::join(level[i], level[i + half]);
        }
        return level[0];
    }
};

// each calls take(fetch(i), i) for i = first, first + step and so on below end; several
// fetches are under way at a time.
template <class Fetch, class Take> DEVICE void each(u32 first, u32 end, u32 step, Fetch fetch, Take take) {
    constexpr u32 AHEAD = 4;
    u32 i = first;
    for (; i + (AHEAD - 1) * step < end; i += AHEAD * step) {
        decltype(fetch(i)) v[AHEAD];
#pragma unroll
        for (u32 j = 0; j < AHEAD; j++) v[j] = fetch(i + j * step);
#pragma unroll
        for (u32 j = 0; j < AHEAD; j++) take(v[j], i + j * step);
    }
    for (; i < end; i += step) take(fetch(i), i);
}

DEVICE void keep(const ReduceArgs &args, u32 result, Partial x) {
    if (args.chunks > 1) {
        static_cast<Partial *>(args.partial)[i64(blockIdx.y) * args.kept.size + result] = x;
        return;
    }
    i64 at[2];
    locate(args.kept, result, args.results, at);
    static_cast<U *>(args.results[1].data)[at[1]] = to<U>(Fold::finish(x, args.count));
}

// chunk_length is how many of a result's elements the block takes, from begin on.
DEVICE u32 chunk_length(const ReduceArgs &args, i64 begin) {
    return args.length - begin < args.chunk ? args.length - begin : args.chunk;
}

// ROWS: a group of threads folds a chunk of one result's elements.

template <int N> DEVICE Partial fold_strided(const ReduceArgs &args, const T *x, u32 begin, u32 length, u32 lane) {
    Partials<N> acc;
    auto fetch = [&](u32 i) {
        i64 at[1];
        locate(args.reduced, i, args.elements, at);
        return load<N>(x + at[0]);
    };
    each(begin + lane, begin + length, args.group, fetch, [&](const Vec<T, N> &v, u32 i) { acc.take(v, i64(i) * N, 1); });
    return acc.joined();
}

DEVICE Partial fold_straight(const ReduceArgs &args, const T *x, i64 begin, u32 length, u32 lane) {
    Partials<WIDTH> acc;
    x += begin;
    u32 head = (WIDTH - u32(reinterpret_cast<u64>(x) / sizeof(T)) % WIDTH) % WIDTH;
    if (head > length) head = length;
    u32 vectors = (length - head) / WIDTH, tail = head + vectors * WIDTH;
    for (u32 i = lane; i < head; i += args.group) acc.take(x[i], begin + i);
    each(lane, vectors, args.group, [&](u32 i) { return load<WIDTH>(x + head + i * WIDTH); },
         [&](const Vec<T, WIDTH> &v, u32 i) { acc.take(v, begin + head + i * WIDTH, 1); });
    for (u32 i = tail + lane; i < length; i += args.group) acc.take(x[i], begin + i);
    return acc.joined();
}

DEVICE void rows(const ReduceArgs &args) {
    __shared__ Partial warps[THREADS / 32];
    u32 lane = threadIdx.x % args.group, result = blockIdx.x * (blockDim.x / args.group) + threadIdx.x / args.group;
    Partial acc = Fold::identity();
    if (result < args.kept.size) {
        i64 at[2];
        locate(args.kept, result, args.results, at);
        const T *x = global(static_cast<const T *>(args.results[0].data) + at[0]);
        i64 begin = i64(blockIdx.y) * args.chunk;
        u32 length = chunk_length(args, begin);
        if (args.access == STRAIGHT) {
            acc = fold_straight(args, x, begin, length, lane);
        } else if (args.access == WIDE) {
            acc = fold_strided<WIDTH>(args, x, begin, length, lane);
        } else {
            acc = fold_strided<1>(args, x, begin, length, lane);
        }
    }
    for (u32 mask = (args.group < 32 ? args.group : 32) / 2; mask > 0; mask /= 2) {
        acc = Fold::join(acc, shuffle_xor(acc, mask));
    }
    if (args.group > 32) { // the block
        if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = acc;
        __syncthreads();
        for (u32 i = 1; i < blockDim.x / 32; i++) acc = Fold::join(acc, warps[i]);
    }
    if (result < args.kept.size && lane == 0) keep(args, result, acc);
}

// COLUMNS: neighbouring threads fold neighbouring results, the layers of the block
// every so many elements; then the layers are joined.

template <int N> DEVICE void join_layers(Partials<N> &acc, u32 width) {
    __shared__ Partial upper[N][THREADS / 2];
    u32 layer = threadIdx.x / width;
    for (u32 half = blockDim.x / width / 2; half > 0; half /= 2) {
        if (layer >= half && layer < 2 * half) {
#pragma unroll
            for (int i = 0; i < N; i++) upper[i][threadIdx.x - half * width] = acc.at[i];
        }
        __syncthreads();
        if (layer < half) {
#pragma unroll
            for (int i = 0; i < N; i++) acc.at[i] = Fold::join(acc.at[i], upper[i][threadIdx.x]);
        }
        __syncthreads();
    }
}

template <int N> DEVICE void columns(const ReduceArgs &args) {
    u32 width = args.group, layers = blockDim.x / width, layer = threadIdx.x / width;
    u32 column = blockIdx.x * width + threadIdx.x % width;
    i64 at[2];
    Partials<N> acc;
    if (column < args.kept.size) {
        locate(args.kept, column, args.results, at);
        const T *x = global(static_cast<const T *>(args.results[0].data) + at[0]);
        u32 begin = blockIdx.y * args.chunk, length = chunk_length(args, begin);
        auto fetch = [&](u32 i) {
            i64 offset[1];
            locate(args.reduced, i, args.elements, offset);
            return load<N>(x + offset[0]);
        };
        each(begin + layer, begin + length, layers, fetch, [&](const Vec<T, N> &v, u32 i) { acc.take(v, i, 0); });
    }
    join_layers(acc, width);
    if (column >= args.kept.size || layer > 0) return;
    if (args.chunks > 1) {
        Vec<Partial, N> v;
#pragma unroll
        for (int i = 0; i < N; i++) v[i] = acc.at[i];
        store(static_cast<Partial *>(args.partial) + (i64(blockIdx.y) * args.kept.size + column) * N, v);
        return;
    }
    locate(args.kept, column, args.results, at);
#pragma unroll
    for (int i = 0; i < N; i++) {
        static_cast<U *>(args.results[1].data)[at[1] + i * args.neighbour] = to<U>(Fold::finish(acc.at[i], args.count));
    }
}

DEVICE void finish(const ReduceArgs &args) {
    u32 width = args.group, layers = blockDim.x / width, layer = threadIdx.x / width;
    u32 result = blockIdx.x * width + threadIdx.x % width;
    Partials<1> acc;
    if (result < args.kept.size) {
        const Partial *x = static_cast<const Partial *>(args.partial) + result;
        each(layer, args.chunks, layers, [&](u32 i) { return x[i64(i) * args.kept.size]; },
             [&](const Partial &p, u32) { acc.at[0] = Fold::join(acc.at[0], p); });
    }
    join_layers(acc, width);
    if (result >= args.kept.size || layer > 0) return;
    i64 at[2];
    locate(args.kept, result, args.results, at);
    static_cast<U *>(args.results[1].data)[at[1]] = to<U>(Fold::finish(acc.at[0], args.count));
}

KERNEL(ReduceArgs) {
    if constexpr (VARIANT == ROWS) {
        rows(args);
    } else if constexpr (VARIANT == FINISH) {
        finish(args);
    } else if (args.access == WIDE) {
        columns<WIDTH>(args);
    } else {
        columns<1>(args);
    }
}
