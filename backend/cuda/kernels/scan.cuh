// Running totals over the threads of a block.
#pragma once
#include "common.cuh"

template <class P> DEVICE P shuffle_up(P x, int lanes) {
    constexpr int words = (sizeof(P) + 3) / 4;
    u32 raw[words] = {};
    memcpy(raw, &x, sizeof x);
#pragma unroll
    for (int i = 0; i < words; i++) raw[i] = __shfl_up_sync(0xFFFFFFFFu, raw[i], lanes);
    memcpy(&x, raw, sizeof x);
    return x;
}

// block_scan joins the values of the threads before this one, and in total those of
// all. join need not commute. The block is one of whole warps in one dimension.
template <class P, class F> DEVICE P block_scan(P x, P identity, P &total, F join) {
    __shared__ P warps[32];
    u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    P sum = x;
#pragma unroll
    for (int step = 1; step < 32; step *= 2) {
        P before = shuffle_up(sum, step);
        if (lane >= step) sum = join(before, sum);
    }
    __syncthreads(); // of an earlier call
    if (lane == 31) warps[warp] = sum;
    __syncthreads();
    P before = identity;
    total = identity;
#pragma unroll 1
    for (u32 i = 0; i < blockDim.x / 32; i++) {
        if (i == warp) before = total;
        total = join(total, warps[i]);
    }
    P inside = shuffle_up(sum, 1);
    return lane == 0 ? before : join(before, inside);
}
