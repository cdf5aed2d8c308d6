// Gathers move elements and look at none, so they are told apart by size alone; Go
// calls several neighbours one element of up to 16 bytes where they share an index.
#include "global.cuh"

struct GatherArgs {
    View views[3]; // out, x standing still along the axis, index
    Dims dims;
    i64 stride;    // of x along the axis
    i64 length;    // of that axis
    ErrorWord *error;
    u32 op;
    u32 unused;
};

#if VARIANT == 16
using Element = Raw<16>;
#else
using Element = T;
#endif

KERNEL(GatherArgs) {
    constexpr u32 N = 4; // elements of a thread, whose loads are under way together
    i64 at[N][3], index[N];
    bool good[N];
    Element v[N];
#pragma unroll
    for (u32 j = 0; j < N; j++) {
        u32 i = (blockIdx.x * N + j) * THREADS + threadIdx.x;
        if ((good[j] = i < args.dims.size)) {
            locate(args.dims, i, args.views, at[j]);
            index[j] = *global(static_cast<const i64 *>(args.views[2].data) + at[j][2]);
        }
    }
#pragma unroll
    for (u32 j = 0; j < N; j++) {
        if (good[j] && u64(index[j]) >= u64(args.length)) {
            report(args.error, INDEX_OUT_OF_RANGE, args.op, index[j], args.length);
            good[j] = false;
        }
        if (good[j]) v[j] = *global(static_cast<const Element *>(args.views[1].data) + at[j][1] + index[j] * args.stride);
    }
#pragma unroll
    for (u32 j = 0; j < N; j++) {
        if (good[j]) static_cast<Element *>(args.views[0].data)[at[j][0]] = v[j];
    }
}
