// Copies between arrays that are contiguous along different axes, in squares that
// are turned in shared memory. T stands for all types of its size.
#include "common.cuh"

struct TransposeArgs {
    u32 width, height;     // of the axes along which out and x are contiguous
    i64 out_row, x_column; // strides in elements: of out along height, of x along width
    Dims dims;             // the other axes
    View view[2];          // out and x, along these
};

constexpr u32 TILE = sizeof(T) < 4 ? 64 : 32, LANES = 32, LINES = THREADS / LANES;

KERNEL(TransposeArgs) {
    __shared__ T tile[TILE][TILE + 4 / sizeof(T) + (sizeof(T) > 4)];
    u32 across = (args.width + TILE - 1) / TILE, down = (args.height + TILE - 1) / TILE;
    u32 column = blockIdx.x % across * TILE, row = blockIdx.x / across % down * TILE;
    i64 at[2];
    locate(args.dims, blockIdx.x / across / down, args.view, at);
    T *out = static_cast<T *>(args.view[0].data) + at[0];
    const T *x = static_cast<const T *>(args.view[1].data) + at[1];
    u32 lane = threadIdx.x % LANES, line = threadIdx.x / LANES;
#pragma unroll
    for (u32 i = line; i < TILE; i += LINES) {
#pragma unroll
        for (u32 j = lane; j < TILE; j += LANES) {
            if (column + i < args.width && row + j < args.height) tile[i][j] = x[(column + i) * args.x_column + row + j];
        }
    }
    __syncthreads();
#pragma unroll
    for (u32 i = line; i < TILE; i += LINES) {
#pragma unroll
        for (u32 j = lane; j < TILE; j += LANES) {
            if (row + i < args.height && column + j < args.width) out[(row + i) * args.out_row + column + j] = tile[j][i];
        }
    }
}
