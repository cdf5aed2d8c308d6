// What the gradients of attention need of each query.
#include "attention.cuh"

constexpr u32 LANES_OF_ROW = 8;

KERNEL(AttentionArgs) {
    using A = Acc<T>;
    constexpr int N = 16 / sizeof(T);
    u32 row = (blockIdx.x * THREADS + threadIdx.x) / LANES_OF_ROW, lane = threadIdx.x % LANES_OF_ROW;
    bool there = row < args.rows;
    u32 i = row % args.queries, rest = row / args.queries, head = rest % args.heads, batch = rest / args.heads;
    A sum = 0;
    if (there) {
        const T *g = args.g.from<const T>(batch, head, i), *out = args.out.from<const T>(batch, head, i);
        for (u32 e = lane * N; e < args.features; e += LANES_OF_ROW * N) {
            Vec<T, N> x = load_part<N>(g + e, i32(args.features - e)), y = load_part<N>(out + e, i32(args.features - e));
#pragma unroll
            for (int j = 0; j < N; j++) sum += to<A>(x[j]) * to<A>(y[j]);
        }
    }
#pragma unroll
    for (int mask = LANES_OF_ROW / 2; mask > 0; mask /= 2) sum += shuffle_xor(sum, mask);
    if (!there || lane != 0) return;
    A lse = *args.lse.from<const A>(batch, head, i);
    // Without keys no weight is more than 0.
    Vec<A, 2> v = {{lse == -infinity<A>() ? infinity<A>() : lse * A(LOG2E), sum}};
    store(static_cast<A *>(args.statistics) + i64(row) * 2, v);
}
