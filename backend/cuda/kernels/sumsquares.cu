// The sum of the squares of many arrays, in float64: each chunk's, and then all.
#include "tensors.cuh"

enum Variant { CHUNKS, FINISH };

struct SumSquaresArgs {
    f64 *partial, *out;
    i64 count; // FINISH: partial sums
    Table<1, 150> table;
};

KERNEL(SumSquaresArgs) {
    f64 sum = 0;
    if constexpr (VARIANT == CHUNKS) {
        constexpr int WIDTH = 16 / sizeof(T);
        u32 entry = args.table.find(blockIdx.x);
        i64 begin = i64(blockIdx.x - args.table.chunks[entry]) * CHUNK, left = args.table.size[entry] - begin;
        u32 length = left < CHUNK ? left : CHUNK, vectors = args.table.aligned[entry] ? length / WIDTH : 0;
        const T *x = static_cast<const T *>(args.table.data[entry][0]) + begin;
#pragma unroll 4
        for (u32 i = threadIdx.x; i < vectors; i += THREADS) {
            Vec<T, WIDTH> v = load<WIDTH>(x + i * WIDTH);
#pragma unroll
            for (int j = 0; j < WIDTH; j++) {
                f64 w = to<f64>(v[j]);
                sum += w * w;
            }
        }
        for (u32 i = vectors * WIDTH + threadIdx.x; i < length; i += THREADS) {
            f64 w = to<f64>(x[i]);
            sum += w * w;
        }
    } else {
        for (i64 i = threadIdx.x; i < args.count; i += THREADS) sum += args.partial[i];
    }
    sum = block_reduce(sum, Plus());
    if (threadIdx.x != 0) return;
    if constexpr (VARIANT == CHUNKS) {
        args.partial[args.table.first_chunk + blockIdx.x] = sum;
    } else {
        *args.out = sum;
    }
}
