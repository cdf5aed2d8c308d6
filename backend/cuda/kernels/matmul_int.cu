// Products of integer matrices, which cuBLASLt does not have for all types: one thread
// for each element, in 64 bits, of which the result keeps the low ones.
#include "common.cuh"

struct MatMulArgs {
    View views[4]; // over out's elements: out, the row of x, the column of y, bias or nothing
    Dims dims;
    i64 k, x_step, y_step;
    u32 relu, accumulate;
};

KERNEL(MatMulArgs) {
    u32 i = blockIdx.x * THREADS + threadIdx.x;
    if (i >= args.dims.size) return;
    i64 at[4];
    locate(args.dims, i, args.views, at);
    const T *x = static_cast<const T *>(args.views[1].data) + at[1];
    const T *y = static_cast<const T *>(args.views[2].data) + at[2];
    T *out = static_cast<T *>(args.views[0].data) + at[0];
    u64 sum = args.views[3].data ? u64(i64(static_cast<const T *>(args.views[3].data)[at[3]])) : 0;
    for (i64 l = 0; l < args.k; l++) sum += u64(i64(x[l * args.x_step])) * u64(i64(y[l * args.y_step]));
    if (args.relu && i64(sum) < 0) sum = 0;
    if (args.accumulate) sum += u64(i64(*out));
    *out = T(sum);
}
