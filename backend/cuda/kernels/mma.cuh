// What tensor cores need: products of small matrices of half precision by a warp,
// loads of these from shared memory, and copies to it that the threads do not wait
// for. Each has a twin for the host, unkinder than a GPU. It needs sm_80.
//
// A fragment is a warp's part of a matrix. Lane 4·r+c has of A (16 by 16) rows r and
// r+8, columns 2c, 2c+1 and 8 more; of B (16 by 8) column r, rows as A's columns; of
// the sums (16 by 8) rows r and r+8, columns 2c and 2c+1.
#pragma once
#include "common.cuh"

#ifndef DESCENT_HOST

DEVICE u32 shared_address(const void *p) {
    u32 address;
    asm("{ .reg .u64 wide; cvta.to.shared.u64 wide, %1; cvt.u32.u64 %0, wide; }" : "=r"(address) : "l"(p));
    return address;
}

// load_matrices loads four 8 by 8 matrices of halves; lane 8·i+j points to row j of
// matrix i. A lane gets of each what it has of A. Transposed, it gets columns.
DEVICE void load_matrices(u32 (&r)[4], const void *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
}
DEVICE void load_transposed(u32 (&r)[4], const void *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
}

// multiply adds a·b to c. T says what the halves are.
template <class T> DEVICE void multiply(f32 (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
    if constexpr (same<T, bf16>) {
        asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
            : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
            : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
    } else {
        asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
            : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
            : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
    }
}

// pack is two numbers as halves, the first in the low bits.
template <class T> DEVICE u32 pack(f32 low, f32 high) {
    u32 r;
    if constexpr (same<T, bf16>) {
        asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
    } else {
        asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
    }
    return r;
}

// fast_exp2 is 2ˣ within two units of the last place, and 0 where that is denormal.
DEVICE f32 fast_exp2(f32 x) {
    f32 r;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
    return r;
}

// Copies are a thread's copies from global to shared memory, in groups.
struct Copies {
    // start begins to copy valid bytes, at most BYTES, and zeros up to BYTES.
    template <int BYTES> DEVICE void start(void *to, const void *from, u32 valid) {
        if constexpr (BYTES == 16) {
            asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(valid) : "memory");
        } else {
            asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(shared_address(to)), "l"(from), "n"(BYTES), "r"(valid) : "memory");
        }
    }
    // commit ends a group.
    DEVICE void commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
    // wait waits for all but the last groups. Other threads see the copies after a barrier.
    template <int LAST> DEVICE void wait() { asm volatile("cp.async.wait_group %0;" ::"n"(LAST) : "memory"); }
};

#else

// of_warp has what each lane of the warp brings, until it is called again.
template <class S> DEVICE const S *of_warp(const S &x) {
    __shared__ S of[THREADS / 32][32];
    S *mine = of[threadIdx.x / 32];
    __syncwarp(); // readers of what was there
    mine[threadIdx.x % 32] = x;
    __syncwarp();
    return mine;
}

DEVICE void load_matrices(u32 (&r)[4], const void *row) {
    const u32 *const *rows = of_warp(static_cast<const u32 *>(row));
    for (u32 i = 0; i < 4; i++) r[i] = rows[8 * i + threadIdx.x % 32 / 4][threadIdx.x % 4];
}
DEVICE void load_transposed(u32 (&r)[4], const void *row) {
    const u16 *const *rows = of_warp(static_cast<const u16 *>(row));
    for (u32 i = 0; i < 4; i++) {
        u32 first = 8 * i + 2 * (threadIdx.x % 4), column = threadIdx.x % 32 / 4;
        r[i] = rows[first][column] | u32(rows[first + 1][column]) << 16;
    }
}

template <class T> struct Fragments {
    f32 a[8], b[4]; // in the order of the registers
    DEVICE void unpack(f32 *to, u32 halves) {
        to[0] = widen(T{u16(halves)});
        to[1] = widen(T{u16(halves >> 16)});
    }
};

template <class T> DEVICE void multiply(f32 (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
    Fragments<T> mine;
    for (int i = 0; i < 4; i++) mine.unpack(mine.a + 2 * i, a[i]);
    mine.unpack(mine.b, b0);
    mine.unpack(mine.b + 2, b1);
    const Fragments<T> *of = of_warp(mine);
    u32 row = threadIdx.x % 32 / 4 * 4, column = threadIdx.x % 4 * 8; // their first lanes
    for (u32 pair = 0; pair < 4; pair++) {
        for (u32 k = 0; k < 4; k++) {
            f32 top = of[row + pair].a[k % 2 + k / 2 * 4], bottom = of[row + pair].a[k % 2 + k / 2 * 4 + 2];
            f32 left = of[column + pair].b[k], right = of[column + 4 + pair].b[k];
            c[0] += top * left;
            c[1] += top * right;
            c[2] += bottom * left;
            c[3] += bottom * right;
        }
    }
}

template <class T> DEVICE u32 pack(f32 low, f32 high) { return to<T>(low).bits | u32(to<T>(high).bits) << 16; }

DEVICE f32 fast_exp2(f32 x) { return exp2f(x); }

// Copies spoils a target at once and copies as late as it may, so that who reads too
// early or too late finds NaN or what was there.
struct Copies {
    struct Copy {
        void *to;
        const void *from;
        u32 bytes, valid;
    } copies[128];
    u32 ends[8], count = 0, groups = 0;

    template <int BYTES> DEVICE void start(void *to, const void *from, u32 valid) {
        if (count == 128 || u64(to) % BYTES || u64(from) % BYTES) __trap();
        memset(to, 0xFF, BYTES);
        copies[count++] = {to, from, BYTES, valid};
    }
    DEVICE void commit() {
        if (groups == 8) __trap();
        ends[groups++] = count;
    }
    template <int LAST> DEVICE void wait() {
        u32 done = 0;
        while (groups > LAST) {
            for (u32 end = ends[0]; done < end; done++) {
                memset(copies[done].to, 0, copies[done].bytes);
                if (copies[done].valid) memcpy(copies[done].to, copies[done].from, copies[done].valid);
            }
            for (u32 i = 1; i < groups; i++) ends[i - 1] = ends[i];
            groups--;
        }
        for (u32 i = done; i < count; i++) copies[i - done] = copies[i];
        for (u32 i = 0; i < groups; i++) ends[i] -= done;
        count -= done;
    }
};

#endif
