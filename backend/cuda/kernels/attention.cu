// Attention by fused multiply-adds: float32, float64, and the half types where
// attention_tensor.cu does not serve. VARIANT is how many features tiles have room for.
//
// A block's threads are 16 by 16. Thread (y, x) has rows y·RM to y·RM+RM-1 of a tile
// of scores and its columns x, x+16, …; of sums over its columns the same rows and
// vectors x, x+16, … Shared rows are a vector longer than what they hold, so that 16
// threads who read one vector each of 16 rows find them in different banks.
#include "attention.cuh"

using A = Acc<T>;
constexpr int E = VARIANT;
constexpr int N = 16 / sizeof(A);   // a vector
constexpr int PITCH = E + N;        // of rows of features
constexpr int PARTS = E / (16 * N); // vectors of a row that a thread sums

// fetch brings rows of an array to shared memory, and zeros where it has none.
template <int ROWS> DEVICE void fetch(A *to_rows, const T *from, i64 row, u32 rows, u32 features) {
    constexpr int WIDE = 16 / sizeof(T), CHUNKS = E / WIDE;
    for (u32 i = threadIdx.x; i < ROWS * CHUNKS; i += THREADS) {
        u32 r = i / CHUNKS, e = i % CHUNKS * WIDE;
        Vec<A, WIDE> wide = {};
        if (r < rows) {
            Vec<T, WIDE> v = load_part<WIDE>(from + r * row + e, i32(features - e));
#pragma unroll
            for (int j = 0; j < WIDE; j++) wide[j] = to<A>(v[j]);
        }
        store(to_rows + r * PITCH + e, wide);
    }
}

// dots makes s the products of rows of x with rows of y.
template <int RM, int RN> DEVICE void dots(A (&s)[RM][RN], const A *x, const A *y, u32 features) {
    x += threadIdx.x / 16 * RM * PITCH;
    y += threadIdx.x % 16 * PITCH;
#pragma unroll
    for (int i = 0; i < RM; i++) {
#pragma unroll
        for (int j = 0; j < RN; j++) s[i][j] = 0;
    }
#pragma unroll 1
    for (u32 e = 0; e < features; e += N) {
        Vec<A, N> row[RM];
#pragma unroll
        for (int i = 0; i < RM; i++) row[i] = load<N>(x + i * PITCH + e);
#pragma unroll
        for (int j = 0; j < RN; j++) {
            Vec<A, N> column = load<N>(y + j * 16 * PITCH + e);
#pragma unroll
            for (int i = 0; i < RM; i++) {
#pragma unroll
                for (int n = 0; n < N; n++) s[i][j] += row[i][n] * column[n];
            }
        }
    }
}

// Sums are a thread's part of rows of features.
template <int RM> struct Sums {
    Vec<A, N> at[RM][PARTS];

    DEVICE Sums() {
#pragma unroll
        for (int i = 0; i < RM; i++) {
#pragma unroll
            for (int c = 0; c < PARTS; c++) at[i][c] = {};
        }
    }
    DEVICE void scale(int i, A factor) {
#pragma unroll
        for (int c = 0; c < PARTS; c++) {
#pragma unroll
            for (int n = 0; n < N; n++) at[i][c][n] *= factor;
        }
    }
    // add adds the rows of y, weighted by s. Its rows pass through w, which the 16
    // threads of a row have to themselves.
    template <int RN> DEVICE void add(const A (&s)[RM][RN], A *w, const A *y) {
        constexpr int COLS = 16 * RN, LINE = COLS + N;
        w += threadIdx.x / 16 * RM * LINE;
        __syncwarp(); // readers of what was there
#pragma unroll
        for (int i = 0; i < RM; i++) {
#pragma unroll
            for (int j = 0; j < RN; j++) w[i * LINE + threadIdx.x % 16 + 16 * j] = s[i][j];
        }
        __syncwarp();
        y += threadIdx.x % 16 * N;
#pragma unroll 1
        for (int k = 0; k < COLS; k += N) {
            Vec<A, N> weight[RM];
#pragma unroll
            for (int i = 0; i < RM; i++) weight[i] = load<N>(w + i * LINE + k);
#pragma unroll
            for (int m = 0; m < N; m++) {
#pragma unroll
                for (int c = 0; c < PARTS; c++) {
                    Vec<A, N> v = load<N>(y + (k + m) * PITCH + c * 16 * N);
#pragma unroll
                    for (int i = 0; i < RM; i++) {
#pragma unroll
                        for (int n = 0; n < N; n++) at[i][c][n] += weight[i][m] * v[n];
                    }
                }
            }
        }
    }
    // write puts factor times row i to where row begins.
    DEVICE void write(int i, A factor, T *row, u32 features) const {
#pragma unroll
        for (int c = 0; c < PARTS; c++) {
            u32 e = (threadIdx.x % 16 + 16 * c) * N;
            Vec<T, N> v;
#pragma unroll
            for (int n = 0; n < N; n++) v[n] = to<T>(at[i][c][n] * factor);
            store_part(row + e, v, i32(features - e));
        }
    }
};

template <class F> DEVICE A reduce16(A x, F f) {
#pragma unroll
    for (int mask = 8; mask > 0; mask /= 2) x = f(x, shuffle_xor(x, mask));
    return x;
}

DEVICE void attend(Attention, const AttentionArgs &args) {
    constexpr int RM = 1024 / (sizeof(A) * E), RN = 16 / sizeof(A), ROWS = 16 * RM, COLS = 16 * RN;
    DYNAMIC_SHARED(A, shared);
    A *q = shared, *kv = q + ROWS * PITCH, *w = kv + COLS * PITCH;
    Task task(args.heads, args.tiles, ROWS);
    u32 i0 = task.first, y = threadIdx.x / 16 * RM, x = threadIdx.x % 16, shared_head = task.head / args.group;
    fetch<ROWS>(q, args.q.from<const T>(task.batch, task.head, i0), args.q.row, args.queries - i0, args.features);
    Sums<RM> out;
    A top[RM], sum[RM];
#pragma unroll
    for (int i = 0; i < RM; i++) {
        top[i] = -infinity<A>();
        sum[i] = 0;
    }
    A sign = A(args.sign), unit = A(args.unit);
    u32 end = args.causal && i0 + ROWS < args.keys ? i0 + ROWS : args.keys;
    for (u32 k0 = 0; k0 < end; k0 += COLS) {
        A s[RM][RN];
        __syncthreads(); // readers of kv
        fetch<COLS>(kv, args.k.from<const T>(task.batch, shared_head, k0), args.k.row, args.keys - k0, args.features);
        __syncthreads();
        dots(s, q, kv, args.features);
#pragma unroll
        for (int i = 0; i < RM; i++) {
            A high = top[i];
#pragma unroll
            for (int j = 0; j < RN; j++) {
                s[i][j] = sees(args, i0 + y + i, k0 + x + 16 * j) ? s[i][j] * sign : -infinity<A>();
                high = Larger()(s[i][j], high);
            }
            high = reduce16(high, Larger());
            A from = high == -infinity<A>() ? 0 : high * unit; // nothing yet: 0, and not exp(-Inf+Inf)
            A keep = math::exp2(top[i] * unit - from), add = 0;
            top[i] = high;
#pragma unroll
            for (int j = 0; j < RN; j++) {
                s[i][j] = math::exp2(s[i][j] * unit - from);
                add += s[i][j];
            }
            sum[i] = sum[i] * keep + reduce16(add, Plus());
            out.scale(i, keep);
        }
        __syncthreads(); // readers of kv
        fetch<COLS>(kv, args.v.from<const T>(task.batch, shared_head, k0), args.v.row, args.keys - k0, args.features);
        __syncthreads();
        out.add(s, w, kv);
    }
#pragma unroll
    for (int i = 0; i < RM; i++) {
        u32 query = i0 + y + i;
        if (query >= args.queries) continue;
        out.write(i, sum[i] == 0 ? A(1) : 1 / sum[i], args.out.from<T>(task.batch, task.head, query), args.features);
        if (x == 0) {
            *args.lse.from<A>(task.batch, task.head, query) = top[i] * A(args.unit * LOG2) + math::log(sum[i]);
        }
    }
}

// gradients makes those of a tile of queries, or of keys and values.
template <bool KEYS> DEVICE void gradients(const AttentionArgs &args) {
    // Tiles that leave registers for the rest, and fit into Turing's 64 KiB.
    constexpr int BYTES = sizeof(A) * E;
    constexpr int RM = BYTES == 256 ? 4 : BYTES == 512 && KEYS ? 2 : 1;
    constexpr int RN = BYTES == 256 || (BYTES == 512 && !KEYS) ? 2 : 1;
    constexpr int ROWS = 16 * RM, COLS = 16 * RN;
    DYNAMIC_SHARED(A, shared);
    // Of the tile q and g, or k and v; of what it walks the others.
    A *own = shared, *own2 = own + ROWS * PITCH, *other = own2 + ROWS * PITCH, *other2 = other + COLS * PITCH, *w = other2 + COLS * PITCH;
    Task task(KEYS ? args.keyHeads : args.heads, args.tiles, ROWS);
    u32 r0 = task.first, y = threadIdx.x / 16 * RM, x = threadIdx.x % 16;
    u32 rows = KEYS ? args.keys : args.queries, columns = KEYS ? args.queries : args.keys;
    const Heads &a = KEYS ? args.k : args.q, &a2 = KEYS ? args.v : args.g, &b = KEYS ? args.q : args.k, &b2 = KEYS ? args.g : args.v;
    fetch<ROWS>(own, a.from<const T>(task.batch, task.head, r0), a.row, rows - r0, args.features);
    fetch<ROWS>(own2, a2.from<const T>(task.batch, task.head, r0), a2.row, rows - r0, args.features);
    Sums<RM> sums, sums2; // the gradient of q, or those of k and v
    A factor = A(args.sign * args.unit);
    u32 begin = KEYS && args.causal ? r0 / COLS * COLS : 0;
    u32 end = !KEYS && args.causal && r0 + ROWS < columns ? r0 + ROWS : columns;
    u32 heads = KEYS ? args.group : 1;
    for (u32 h = 0; h < heads; h++) {
        u32 head = KEYS ? task.head * args.group + h : task.head / args.group; // of b
        i64 of_head = i64(task.batch * args.heads + (KEYS ? head : task.head)) * args.queries;
        for (u32 c0 = begin; c0 < end; c0 += COLS) {
            __syncthreads(); // readers of the last tiles
            fetch<COLS>(other, b.from<const T>(task.batch, head, c0), b.row, columns - c0, args.features);
            fetch<COLS>(other2, b2.from<const T>(task.batch, head, c0), b2.row, columns - c0, args.features);
            __syncthreads();
            A p[RM][RN], ds[RM][RN];
            dots(p, own, other, args.features);
            dots(ds, own2, other2, args.features);
#pragma unroll
            for (int i = 0; i < RM; i++) {
#pragma unroll
                for (int j = 0; j < RN; j++) {
                    u32 row = r0 + y + i, column = c0 + x + 16 * j, query = KEYS ? column : row;
                    if (sees(args, query, KEYS ? row : column)) {
                        Vec<A, 2> of = load<2>(static_cast<const A *>(args.statistics) + (of_head + query) * 2);
                        p[i][j] = math::exp2(p[i][j] * factor - of[0]);
                        ds[i][j] = p[i][j] * (ds[i][j] - of[1]);
                    } else {
                        p[i][j] = ds[i][j] = 0;
                    }
                }
            }
            if constexpr (KEYS) sums2.add(p, w, other2);
            sums.add(ds, w, other);
        }
    }
    const Heads &to_sums = KEYS ? args.dk : args.dq;
#pragma unroll
    for (int i = 0; i < RM; i++) {
        u32 row = r0 + y + i;
        if (row >= rows) continue;
        sums.write(i, A(args.scale), to_sums.from<T>(task.batch, task.head, row), args.features);
        if constexpr (KEYS) sums2.write(i, A(1), args.dv.from<T>(task.batch, task.head, row), args.features);
    }
}

DEVICE void attend(AttentionQueries, const AttentionArgs &args) { gradients<false>(args); }
DEVICE void attend(AttentionKeys, const AttentionArgs &args) { gradients<true>(args); }

#ifndef DESCENT_HOST
// Left to itself, ptxas spills a few registers to fit more blocks.
#undef THREADS
#define THREADS 256, 2 // of a block; blocks at once
#endif
KERNEL(AttentionArgs) { attend(OP(), args); }
