// Attention by tensor cores, for half precision from sm_80 on. VARIANT is how many
// features tiles have room for.
//
// A warp has whole rows of a block's tile of scores, so that it needs no other warp's
// sums: scores go from its registers, rounded to T, into the second product. Tiles in
// shared memory are rows of pieces of 16 bytes; piece c of row r lies at c^(r mod 8),
// so that the same piece of 8 rows is in different banks.
#define THREADS 128
#include "attention.cuh"
#include "mma.cuh"

constexpr int E = VARIANT;
constexpr int WARPS = THREADS / 32;
constexpr int PIECES = E / 8; // of a row

DEVICE T *piece(T *tile, u32 row, u32 c) { return tile + row * E + (c ^ row % 8) * 8; }

// fetch begins to bring rows of an array to a tile, and zeros where it has none.
template <int ROWS> DEVICE void fetch(Copies &copies, T *tile, const T *from, i64 row, u32 rows, u32 features) {
    static_assert(ROWS * PIECES % THREADS == 0, "threads would be idle");
#pragma unroll
    for (u32 i = threadIdx.x; i < ROWS * PIECES; i += THREADS) {
        u32 r = i / PIECES, c = i % PIECES;
        i32 left = i32(features - 8 * c), valid = r >= rows || left <= 0 ? 0 : left < 8 ? left : 8;
        copies.start<16>(piece(tile, r, c), valid ? from + r * row + 8 * c : from, 2 * valid);
    }
}

// Lines are a warp's scores or sums: M times 16 rows, N times 8 columns, in fragments.
template <int M, int N> struct Lines {
    f32 at[M][N][4];

    DEVICE void clear() {
#pragma unroll
        for (int m = 0; m < M; m++) {
#pragma unroll
            for (int n = 0; n < N; n++) {
#pragma unroll
                for (int i = 0; i < 4; i++) at[m][n][i] = 0;
            }
        }
    }

    // each calls f with each element, and its row and column of those of the warp.
    template <class F> DEVICE void each(F f) {
        u32 lane = threadIdx.x % 32;
#pragma unroll
        for (int m = 0; m < M; m++) {
#pragma unroll
            for (int n = 0; n < N; n++) {
#pragma unroll
                for (int i = 0; i < 4; i++) f(at[m][n][i], 16 * m + lane / 4 + i / 2 * 8, 8 * n + lane % 4 * 2 + i % 2);
            }
        }
    }

    // products makes it those of the warp's rows of x with the rows of y.
    DEVICE void products(T *x, u32 row, T *y) {
        u32 lane = threadIdx.x % 32;
        clear();
#pragma unroll 4
        for (int e = 0; e < E / 16; e++) {
            u32 a[M][4];
#pragma unroll
            for (int m = 0; m < M; m++) load_matrices(a[m], piece(x, row + 16 * m + lane % 16, 2 * e + lane / 16));
#pragma unroll
            for (int n = 0; n < N; n += 2) {
                u32 b[4];
                load_matrices(b, piece(y, 8 * n + lane / 16 * 8 + lane % 8, 2 * e + lane / 8 % 2));
#pragma unroll
                for (int m = 0; m < M; m++) {
                    multiply<T>(at[m][n], a[m], b[0], b[1]);
                    multiply<T>(at[m][n + 1], a[m], b[2], b[3]);
                }
            }
        }
    }

    // add adds the rows of y, weighted by s.
    template <int K> DEVICE void add(const Lines<M, K> &s, T *y) {
        static_assert(N == PIECES, "of features");
        u32 lane = threadIdx.x % 32;
#pragma unroll
        for (int k = 0; k < K; k += 2) {
            u32 a[M][4];
#pragma unroll
            for (int m = 0; m < M; m++) {
#pragma unroll
                for (int i = 0; i < 4; i++) a[m][i] = pack<T>(s.at[m][k + i / 2][i % 2 * 2], s.at[m][k + i / 2][i % 2 * 2 + 1]);
            }
#pragma unroll
            for (int n = 0; n < N; n += 2) {
                u32 b[4];
                load_transposed(b, piece(y, 8 * k + lane % 16, n + lane / 16));
#pragma unroll
                for (int m = 0; m < M; m++) {
                    multiply<T>(at[m][n], a[m], b[0], b[1]);
                    multiply<T>(at[m][n + 1], a[m], b[2], b[3]);
                }
            }
        }
    }

    // write puts them to rows of an array, by way of the warp's rows of a tile.
    DEVICE void write(T *tile, u32 row, T *to_rows, i64 stride, u32 rows, u32 features) const {
        u32 lane = threadIdx.x % 32;
        __syncwarp(); // readers of what was there
#pragma unroll
        for (int m = 0; m < M; m++) {
#pragma unroll
            for (int n = 0; n < N; n++) {
#pragma unroll
                for (int i = 0; i < 2; i++) {
                    T *pair = piece(tile, row + 16 * m + 8 * i + lane / 4, n) + lane % 4 * 2;
                    *reinterpret_cast<u32 *>(pair) = pack<T>(at[m][n][2 * i], at[m][n][2 * i + 1]);
                }
            }
        }
        __syncwarp();
#pragma unroll
        for (u32 i = lane; i < 16 * M * PIECES; i += 32) {
            u32 r = row + i / PIECES, c = i % PIECES;
            if (r < rows) store_part(to_rows + r * stride + 8 * c, load<8>(piece(tile, r, c)), i32(features - 8 * c));
        }
    }
};

template <class F> DEVICE f32 reduce4(f32 x, F f) {
    x = f(x, shuffle_xor(x, 1));
    return f(x, shuffle_xor(x, 2));
}
// Higher passes over NaN, which makes the sum of the weights one anyway.
struct Higher {
    DEVICE f32 operator()(f32 x, f32 y) const { return fmaxf(x, y); }
};

DEVICE void attend(Attention, const AttentionArgs &args) {
    constexpr int M = 2, COLS = E == 64 ? 64 : 32, ROWS = 16 * M * WARPS;
    DYNAMIC_SHARED(T, shared);
    T *q = shared, *k = q + ROWS * E, *v = k + COLS * E;
    Task task(args.heads, args.tiles, ROWS);
    u32 i0 = task.first, warp = threadIdx.x / 32 * 16 * M, shared_head = task.head / args.group, features = args.features;
    Copies copies;
    auto fetch_other = [&](T *tile, const Heads &from, u32 k0) {
        fetch<COLS>(copies, tile, from.from<const T>(task.batch, shared_head, k0), from.row, args.keys - k0, features);
        copies.commit();
    };
    fetch<ROWS>(copies, q, args.q.from<const T>(task.batch, task.head, i0), args.q.row, args.queries - i0, features);
    fetch_other(k, args.k, 0);
    Lines<M, PIECES> out;
    out.clear();
    f32 top[M][2], sum[M][2];
#pragma unroll
    for (int m = 0; m < M; m++) {
#pragma unroll
        for (int h = 0; h < 2; h++) {
            top[m][h] = -infinity<f32>();
            sum[m][h] = 0;
        }
    }
    f32 sign = f32(args.sign), unit = f32(args.unit);
    u32 end = args.causal && i0 + ROWS < args.keys ? i0 + ROWS : args.keys;
    for (u32 k0 = 0; k0 < end; k0 += COLS) {
        copies.wait<0>();
        __syncthreads(); // k is there, and v no longer read
        fetch_other(v, args.v, k0);
        Lines<M, COLS / 8> s;
        s.products(q, warp, k);
        if (sign != 1) {
            s.each([&](f32 &x, u32, u32) { x *= sign; });
        }
        if (k0 + COLS > args.keys || (args.causal && k0 + COLS - 1 > i0 + warp)) {
            s.each([&](f32 &x, u32 row, u32 column) {
                u32 key = k0 + column;
                if (key >= args.keys || (args.causal && key > i0 + warp + row)) x = -infinity<f32>();
            });
        }
#pragma unroll
        for (int m = 0; m < M; m++) {
#pragma unroll
            for (int h = 0; h < 2; h++) {
                f32 high = top[m][h];
#pragma unroll
                for (int n = 0; n < COLS / 8; n++) high = fmaxf(high, fmaxf(s.at[m][n][2 * h], s.at[m][n][2 * h + 1]));
                high = reduce4(high, Higher());
                f32 from = high == -infinity<f32>() ? 0 : high * unit; // nothing yet: 0, and not exp(-Inf+Inf)
                f32 keep = fast_exp2(top[m][h] * unit - from), add = 0;
                top[m][h] = high;
#pragma unroll
                for (int n = 0; n < COLS / 8; n++) {
#pragma unroll
                    for (int i = 2 * h; i < 2 * h + 2; i++) {
                        s.at[m][n][i] = fast_exp2(s.at[m][n][i] * unit - from);
                        add += s.at[m][n][i];
                    }
                }
                sum[m][h] = sum[m][h] * keep + add;
#pragma unroll
                for (int n = 0; n < PIECES; n++) {
                    out.at[m][n][2 * h] *= keep;
                    out.at[m][n][2 * h + 1] *= keep;
                }
            }
        }
        copies.wait<0>();
        __syncthreads(); // v is there, and k no longer read
        if (k0 + COLS < end) fetch_other(k, args.k, k0 + COLS);
        out.add(s, v);
    }
    copies.wait<0>(); // of q, where there are no keys
    __syncthreads();
#pragma unroll
    for (int m = 0; m < M; m++) {
#pragma unroll
        for (int h = 0; h < 2; h++) {
            f32 total = reduce4(sum[m][h], Plus()), factor = total == 0 ? 1 : 1 / total;
#pragma unroll
            for (int n = 0; n < PIECES; n++) {
                out.at[m][n][2 * h] *= factor;
                out.at[m][n][2 * h + 1] *= factor;
            }
            u32 query = i0 + warp + 16 * m + 8 * h + threadIdx.x % 32 / 4;
            if (threadIdx.x % 4 == 0 && query < args.queries) {
                *args.lse.from<f32>(task.batch, task.head, query) = top[m][h] * f32(args.unit * LOG2) + math::log(total);
            }
        }
    }
    out.write(q, warp, args.out.from<T>(task.batch, task.head, i0), args.out.row, args.queries - i0, features);
}

// Statistic is what the gradients need of a query: lse·log2(e), and D.
struct alignas(8) Statistic {
    f32 lse, d;
};

// gradients makes those of a tile of queries, or of keys and values.
template <bool KEYS> DEVICE void gradients(const AttentionArgs &args) {
    constexpr int M = E == 64 ? 2 : 1, ROWS = 16 * M * WARPS, COLS = 32;
    // Of the tile q and g, or k and v; of what it walks the others, twice: one pair
    // is on its way while the other is in use.
    DYNAMIC_SHARED(T, shared);
    T *own = shared, *own2 = own + ROWS * E, *others = own2 + ROWS * E;
    Statistic *queries = reinterpret_cast<Statistic *>(others + 4 * COLS * E);
    Task task(KEYS ? args.keyHeads : args.heads, args.tiles, ROWS);
    u32 r0 = task.first, warp = threadIdx.x / 32 * 16 * M, features = args.features, lane = threadIdx.x % 32;
    u32 rows = KEYS ? args.keys : args.queries, columns = KEYS ? args.queries : args.keys;
    const Heads &a = KEYS ? args.k : args.q, &a2 = KEYS ? args.v : args.g, &b = KEYS ? args.q : args.k, &b2 = KEYS ? args.g : args.v;
    const Statistic *statistics = static_cast<const Statistic *>(args.statistics);
    // The tiles that it walks, those of all its heads in one row.
    u32 begin = KEYS && args.causal ? r0 / COLS : 0;
    u32 end = ((!KEYS && args.causal && r0 + ROWS < columns ? r0 + ROWS : columns) + COLS - 1) / COLS;
    u32 tiles = end > begin ? end - begin : 0, steps = KEYS ? tiles * args.group : tiles;
    Copies copies;
    auto fetch_step = [&](u32 step) {
        u32 head = KEYS ? task.head * args.group + step / tiles : task.head / args.group;
        u32 c0 = (begin + step % tiles) * COLS;
        T *other = others + step % 2 * (2 * COLS * E);
        fetch<COLS>(copies, other, b.from<const T>(task.batch, head, c0), b.row, columns - c0, features);
        fetch<COLS>(copies, other + COLS * E, b2.from<const T>(task.batch, head, c0), b2.row, columns - c0, features);
        if (KEYS && threadIdx.x < COLS) {
            u32 query = c0 + threadIdx.x;
            const Statistic *from = statistics + i64(task.batch * args.heads + head) * args.queries;
            copies.start<8>(queries + step % 2 * COLS + threadIdx.x, query < columns ? from + query : from, query < columns ? 8 : 0);
        }
        copies.commit();
    };
    fetch<ROWS>(copies, own, a.from<const T>(task.batch, task.head, r0), a.row, rows - r0, features);
    fetch<ROWS>(copies, own2, a2.from<const T>(task.batch, task.head, r0), a2.row, rows - r0, features);
    copies.commit();
    if (steps > 0) fetch_step(0);
    Statistic of_row[M][2];
    if constexpr (!KEYS) {
#pragma unroll
        for (int m = 0; m < M; m++) {
#pragma unroll
            for (int h = 0; h < 2; h++) {
                u32 query = r0 + warp + 16 * m + 8 * h + lane / 4;
                of_row[m][h] = {infinity<f32>(), 0};
                if (query < rows) of_row[m][h] = statistics[i64(task.batch * args.heads + task.head) * rows + query];
            }
        }
    }
    Lines<M, PIECES> sums, sums2; // the gradient of q, or those of k and v
    sums.clear();
    sums2.clear();
    f32 factor = f32(args.sign * args.unit);
    for (u32 step = 0; step < steps; step++) {
        copies.wait<0>();
        __syncthreads(); // the tiles of this step are there, those of the last no longer read
        if (step + 1 < steps) fetch_step(step + 1);
        u32 c0 = (begin + step % tiles) * COLS;
        T *other = others + step % 2 * (2 * COLS * E), *other2 = other + COLS * E;
        const Statistic *of_column = queries + step % 2 * COLS;
        Lines<M, COLS / 8> p, ds;
        p.products(own, warp, other);
        ds.products(own2, warp, other2);
#pragma unroll
        for (int m = 0; m < M; m++) {
#pragma unroll
            for (int n = 0; n < COLS / 8; n++) {
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    Statistic of = KEYS ? of_column[8 * n + lane % 4 * 2 + i % 2] : of_row[m][i / 2];
                    p.at[m][n][i] = fast_exp2(p.at[m][n][i] * factor - of.lse);
                    ds.at[m][n][i] = p.at[m][n][i] * (ds.at[m][n][i] - of.d);
                }
            }
        }
        u32 first = r0 + warp, last = c0 + COLS - 1;
        if (last >= columns || (args.causal && (KEYS ? first + 16 * M - 1 > c0 : last > first))) {
#pragma unroll
            for (int m = 0; m < M; m++) {
#pragma unroll
                for (int n = 0; n < COLS / 8; n++) {
#pragma unroll
                    for (int i = 0; i < 4; i++) {
                        u32 row = first + 16 * m + lane / 4 + i / 2 * 8, column = c0 + 8 * n + lane % 4 * 2 + i % 2;
                        if (!sees(args, KEYS ? column : row, KEYS ? row : column)) p.at[m][n][i] = ds.at[m][n][i] = 0;
                    }
                }
            }
        }
        if constexpr (KEYS) sums2.add(p, other2);
        sums.add(ds, other);
    }
    copies.wait<0>(); // of the tile, where there is nothing to walk
    __syncthreads();
    f32 scale = f32(args.scale);
    sums.each([&](f32 &x, u32, u32) { x *= scale; });
    const Heads &to_sums = KEYS ? args.dk : args.dq;
    sums.write(own, warp, to_sums.from<T>(task.batch, task.head, r0), to_sums.row, rows - r0, features);
    if constexpr (KEYS) sums2.write(own2, warp, args.dv.from<T>(task.batch, task.head, r0), args.dv.row, rows - r0, features);
}

DEVICE void attend(AttentionQueries, const AttentionArgs &args) { gradients<false>(args); }
DEVICE void attend(AttentionKeys, const AttentionArgs &args) { gradients<true>(args); }

#if defined(DESCENT_HOST) || __CUDA_ARCH__ >= 800
KERNEL(AttentionArgs) { attend(OP(), args); }
#else
KERNEL(AttentionArgs) { __trap(); } // attention.cu serves
#endif
