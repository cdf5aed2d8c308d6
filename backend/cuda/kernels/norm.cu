// Norm and NormBackward where several blocks share a result, or neighbouring threads
// have neighbouring results, as in batch norm: NormMoments or NormSums of each
// result, whose parts FINISH joins, and a pass that uses them, NormScale or
// NormGradient. What is added to what depends on shapes and strides alone.
#include "norm.cuh"

enum Variant {
    ROWS,    // a group of threads takes a result's elements
    COLUMNS, // neighbouring threads take neighbouring results
    FINISH
};

// Operands are what a thread reads for a vector.
template <int N> struct Operands {
    Vec<T, N> x, g;
    A mean, variance; // where they are not fixed
    i64 to, affine;   // offsets
};

template <class Op, int N> DEVICE Operands<N> fetch(const NormArgs &args, const i64 *base, u32 i) {
    Operands<N> v;
    i64 at[SLOTS];
    locate(args.reduced, i, args.elements, at);
#pragma unroll
    for (int k = 0; k < SLOTS; k++) at[k] += base[k];
    v.x = load<N>(typed<T>(args.results[X].data) + at[X]);
    if constexpr (Op::backward) v.g = raw<N>(typed<T>(args.results[Y].data) + at[Y], args.same >> Y & 1);
    if constexpr (Op::backward && Op::reduces) {
        if (!(args.fixed >> STAT & 1)) {
            v.mean = typed<A>(args.results[STAT].data)[at[STAT]];
            v.variance = typed<A>(args.variance)[at[STAT]];
        }
    }
    v.to = args.as_y ? at[Y] : at[X];
    v.affine = at[AFFINE];
    return v;
}

// Moments are those of n values: their mean, to which low is the rest that rounding
// took, and the sum of the squares about it. Without low the squares of values far
// from 0 would be about a wrong mean.
struct Moments {
    A n, mean, low, squares;
};

// NormMoments writes mean and variance.
template <int N> struct NormMoments {
    static constexpr bool reduces = true, backward = false;
    using Partial = Moments;
    A n;
    Vec<A, N> mean, low, squares;

    DEVICE void begin(const NormArgs &, const i64 *, u32) {}
    DEVICE void end(const NormArgs &, const i64 *) {}
    DEVICE NormMoments() : n(0) {
#pragma unroll
        for (int j = 0; j < N; j++) mean[j] = low[j] = squares[j] = 0;
    }
    static DEVICE Moments identity() { return {0, 0, 0, 0}; }
    // portion is how much of n + m values m are, where n > 0.
    static DEVICE A portion(A n, A m) {
        if constexpr (same<A, f64>) { // a division takes more registers than two of Newton's steps
            f64 sum = n + m, r = math::quotient(1.0f, static_cast<f32>(sum));
            r *= 2 - sum * r;
            r *= 2 - sum * r;
            return n > 0 ? m * r : 0;
        } else {
            return n > 0 ? math::quotient(m, n + m) : 0;
        }
    }
    // join is that of Chan, Golub and LeVeque, "Algorithms for computing the sample
    // variance", 1983; part is portion(a.n, b.n).
    static DEVICE Moments join(Moments a, Moments b, A part) {
        if (a.n == 0) return b;
        A d = (b.mean - a.mean) + (b.low - a.low), step = a.low + d * part, mean = a.mean + step;
        return {a.n + b.n, mean, step - (mean - a.mean), a.squares + b.squares + d * d * (a.n * part)};
    }
    static DEVICE Moments join(Moments a, Moments b) { return join(a, b, portion(a.n, b.n)); }
    template <int COUNT> DEVICE void take(const NormArgs &, const Operands<N> (&v)[COUNT]) {
        constexpr A each = A(1) / COUNT;
        A part = portion(n, COUNT);
#pragma unroll
        for (int j = 0; j < N; j++) {
            A sum = 0, rest = 0, square = 0;
#pragma unroll
            for (int i = 0; i < COUNT; i++) sum += to<A>(v[i].x[j]);
            A m = sum * each;
#pragma unroll
            for (int i = 0; i < COUNT; i++) {
                A d = to<A>(v[i].x[j]) - m;
                rest += d;
                square += d * d;
            }
            Moments joined = join(lane(j), {COUNT, m, rest * each, square - rest * rest * each}, part);
            mean[j] = joined.mean;
            low[j] = joined.low;
            squares[j] = joined.squares;
        }
        n += COUNT;
    }
    DEVICE Moments lane(int j) const { return {n, mean[j], low[j], squares[j]}; }
    static DEVICE void write(const NormArgs &args, const i64 *at, u32, Moments m) {
        typed<A>(args.results[STAT].data)[at[STAT]] = m.mean + m.low;
        typed<A>(args.variance)[at[STAT]] = m.squares / static_cast<A>(args.count);
    }
};

// NormSums adds up g and g·x̂, with a factor weight or without one: the gradients of
// bias and weight, and what that of x needs.
template <int N> struct NormSums {
    static constexpr bool reduces = true, backward = true;
    using Partial = Pair;
    Vec<A, N> mean, first, second; // second lacks the factor rstd where that is fixed

    DEVICE NormSums() {
#pragma unroll
        for (int j = 0; j < N; j++) mean[j] = first[j] = second[j] = 0;
    }
    DEVICE void begin(const NormArgs &args, const i64 *base, u32) {
        if (args.fixed >> STAT & 1) mean = Statistics<N>(args, base[STAT]).mean;
    }
    DEVICE void end(const NormArgs &args, const i64 *base) {
        if (!(args.fixed >> STAT & 1)) return;
        Statistics<N> stat(args, base[STAT]);
#pragma unroll
        for (int j = 0; j < N; j++) second[j] *= stat.rstd[j];
    }
    static DEVICE Pair join(Pair a, Pair b) { return AddPairs()(a, b); }
    static DEVICE Pair identity() { return {0, 0}; }
    DEVICE void add(int j, A g, A hat) {
        first[j] += g;
        second[j] += g * hat;
    }
    template <int COUNT> DEVICE void take(const NormArgs &args, const Operands<N> (&v)[COUNT]) {
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            Vec<A, N> x = widened(v[i].x), g = widened(v[i].g);
            if (args.weighted) {
                Affine<N> affine(args, v[i].affine);
#pragma unroll
                for (int j = 0; j < N; j++) g[j] *= affine.weight[j];
            }
            if (args.fixed >> STAT & 1) {
#pragma unroll
                for (int j = 0; j < N; j++) add(j, g[j], x[j] - mean[j]);
            } else {
                A rstd = inverse(args, v[i].variance);
#pragma unroll
                for (int j = 0; j < N; j++) add(j, g[j], (x[j] - v[i].mean) * rstd);
            }
        }
    }
    DEVICE Pair lane(int j) const { return {first[j], second[j]}; }
    static DEVICE void write(const NormArgs &args, const i64 *at, u32 result, Pair p) {
        if (args.dbias) typed<U>(args.dbias)[at[AFFINE]] = to<U>(p.first);
        if (args.dweight) typed<U>(args.dweight)[at[AFFINE]] = to<U>(p.second);
        if (args.sums) typed<Pair>(args.sums)[result] = p;
    }
};

// NormScale writes out.
template <int N> struct NormScale {
    static constexpr bool reduces = false, backward = false;
    Vec<A, N> mean, rstd, bias; // rstd has the factor weight where that is fixed

    DEVICE void begin(const NormArgs &args, const i64 *base, u32) {
        Statistics<N> stat(args, base[STAT]);
        mean = stat.mean;
        rstd = stat.rstd;
        if (!(args.fixed >> AFFINE & 1)) return;
        Affine<N> affine(args, base[AFFINE]);
        bias = affine.bias;
#pragma unroll
        for (int j = 0; j < N; j++) rstd[j] *= affine.weight[j];
    }
    template <int COUNT> DEVICE void take(const NormArgs &args, const Operands<N> (&v)[COUNT]) {
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            Vec<T, N> r;
            if (args.fixed >> AFFINE & 1) {
#pragma unroll
                for (int j = 0; j < N; j++) r[j] = to<T>((to<A>(v[i].x[j]) - mean[j]) * rstd[j] + bias[j]);
            } else {
                Affine<N> affine(args, v[i].affine);
#pragma unroll
                for (int j = 0; j < N; j++) {
                    r[j] = to<T>((to<A>(v[i].x[j]) - mean[j]) * rstd[j] * affine.weight[j] + affine.bias[j]);
                }
            }
            store(typed<T>(args.to) + v[i].to, r);
        }
    }
};

// NormGradient writes dx = rstd·(g·weight - mean(g·weight) - x̂·mean(g·weight·x̂)).
template <int N> struct NormGradient {
    static constexpr bool reduces = false, backward = true;
    Vec<A, N> mean, factor, slope, shift; // dx = g·factor - (x - mean)·slope - shift

    DEVICE void begin(const NormArgs &args, const i64 *base, u32 result) {
        Statistics<N> stat(args, base[STAT]);
        A part = 1 / static_cast<A>(args.count);
#pragma unroll
        for (int j = 0; j < N; j++) {
            A rstd = stat.rstd[j];
            Pair sums = typed<Pair>(args.sums)[result + (args.same >> STAT & 1 ? 0 : j)];
            mean[j] = stat.mean[j];
            factor[j] = rstd;
            slope[j] = rstd * rstd * (sums.second * part);
            shift[j] = rstd * (sums.first * part);
        }
        if (!(args.fixed >> AFFINE & 1)) return;
        Affine<N> affine(args, base[AFFINE]);
#pragma unroll
        for (int j = 0; j < N; j++) {
            factor[j] *= affine.weight[j];
            if (args.weighted) continue;
            slope[j] *= affine.weight[j];
            shift[j] *= affine.weight[j];
        }
    }
    template <int COUNT> DEVICE void take(const NormArgs &args, const Operands<N> (&v)[COUNT]) {
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            Vec<A, N> x = widened(v[i].x), g = widened(v[i].g);
            if (!(args.fixed >> AFFINE & 1)) {
                Affine<N> affine(args, v[i].affine);
#pragma unroll
                for (int j = 0; j < N; j++) g[j] *= affine.weight[j];
            }
            Vec<T, N> r;
#pragma unroll
            for (int j = 0; j < N; j++) r[j] = to<T>(g[j] * factor[j] - (x[j] - mean[j]) * slope[j] - shift[j]);
            store(typed<T>(args.to) + v[i].to, r);
        }
    }
};

// walk has op take the block's elements of a result, first, first + step and so on;
// several reads are under way at a time. result is that of the first lane.
template <class Op, int N> DEVICE void walk(const NormArgs &args, Op &op, const i64 *base, u32 result, u32 first, u32 step) {
    constexpr u32 AHEAD = Op::backward ? 2 : 4;
    u32 begin = blockIdx.y * args.chunk, end = args.length - begin < args.chunk ? args.length : begin + args.chunk;
    op.begin(args, base, result);
    u32 i = begin + first;
    for (; i + (AHEAD - 1) * step < end; i += AHEAD * step) {
        Operands<N> v[AHEAD];
#pragma unroll
        for (u32 j = 0; j < AHEAD; j++) v[j] = fetch<Op, N>(args, base, i + j * step);
        op.take(args, v);
    }
    for (; i < end; i += step) {
        Operands<N> v[1] = {fetch<Op, N>(args, base, i)};
        op.take(args, v);
    }
    if constexpr (Op::reduces) op.end(args, base);
}

template <class Op> DEVICE void keep(const NormArgs &args, const i64 *at, u32 result, typename Op::Partial p) {
    if (args.chunks > 1) {
        typed<typename Op::Partial>(args.partial)[i64(blockIdx.y) * args.size + result] = p;
    } else {
        Op::write(args, at, result, p);
    }
}

template <class Op, int N> DEVICE void rows(const NormArgs &args) {
    u32 lane = threadIdx.x % args.group, result = blockIdx.x * (blockDim.x / args.group) + threadIdx.x / args.group;
    i64 base[SLOTS];
    Op op;
    if (result < args.size) {
        locate(args.kept, result, args.results, base);
        walk<Op, N>(args, op, base, result, lane, args.group);
    }
    if constexpr (Op::reduces) {
        typename Op::Partial p = op.lane(0);
#pragma unroll
        for (int j = 1; j < N; j++) p = Op::join(p, op.lane(j));
        p = group_reduce(p, args.group, [](typename Op::Partial a, typename Op::Partial b) { return Op::join(a, b); });
        if (result >= args.size || lane > 0) return;
        locate(args.kept, result, args.results, base); // again, as registers are dear
        keep<Op>(args, base, result, p);
    }
}

// join_layers joins the partial results of the threads width apart into those of the
// first.
template <class Op, int N> DEVICE void join_layers(typename Op::Partial (&p)[N], u32 width) {
    __shared__ typename Op::Partial upper[N][THREADS / 2];
    u32 layer = threadIdx.x / width;
    for (u32 half = blockDim.x / width / 2; half > 0; half /= 2) {
        if (layer >= half && layer < 2 * half) {
#pragma unroll
            for (int j = 0; j < N; j++) upper[j][threadIdx.x - half * width] = p[j];
        }
        __syncthreads();
        if (layer < half) {
#pragma unroll
            for (int j = 0; j < N; j++) p[j] = Op::join(p[j], upper[j][threadIdx.x]);
        }
        __syncthreads();
    }
}

template <class Op, int N> DEVICE void columns(const NormArgs &args) {
    u32 width = args.group, layer = threadIdx.x / width, column = blockIdx.x * width + threadIdx.x % width;
    bool inside = column < args.kept.size;
    i64 base[SLOTS];
    Op op;
    if (inside) {
        locate(args.kept, column, args.results, base);
        walk<Op, N>(args, op, base, column * N, layer, blockDim.x / width);
    }
    if constexpr (Op::reduces) {
        typename Op::Partial p[N];
#pragma unroll
        for (int j = 0; j < N; j++) p[j] = op.lane(j);
        join_layers<Op, N>(p, width);
        if (!inside || layer > 0) return;
        locate(args.kept, column, args.results, base); // again, as registers are dear
#pragma unroll
        for (int j = 0; j < N; j++) {
            keep<Op>(args, base, column * N + j, p[j]);
            base[STAT]++; // neighbours, where there are several
            base[AFFINE]++;
        }
    }
}

template <class Op> DEVICE void finish(const NormArgs &args) {
    if constexpr (Op::reduces) {
        u32 width = args.group, layer = threadIdx.x / width, result = blockIdx.x * width + threadIdx.x % width;
        typename Op::Partial p[1] = {Op::identity()};
        if (result < args.size) {
            const auto *parts = typed<typename Op::Partial>(args.partial) + result;
#pragma unroll 4
            for (u32 i = layer; i < args.chunks; i += blockDim.x / width) p[0] = Op::join(p[0], parts[i64(i) * args.size]);
        }
        join_layers<Op, 1>(p, width);
        if (result >= args.size || layer > 0) return;
        i64 at[SLOTS];
        locate(args.kept, result, args.results, at);
        Op::write(args, at, result, p[0]);
    }
}

template <template <int> class Op, int N, int variant> DEVICE void norm(const NormArgs &args) {
    if constexpr (variant == ROWS) {
        rows<Op<N>, N>(args);
    } else {
        columns<Op<N>, N>(args);
    }
}

template <template <int> class Op, int variant> DEVICE void norm(const NormArgs &args) {
    if constexpr (variant == FINISH) {
        finish<Op<1>>(args);
    } else if (args.wide) {
        norm<Op, WIDTH, variant>(args);
    } else {
        norm<Op, 1, variant>(args);
    }
}

KERNEL(NormArgs) { norm<OP, VARIANT>(args); }
