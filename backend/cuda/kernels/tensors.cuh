// Many arrays of one kernel: a table that Go fills, in the arguments. A block works
// on one chunk of one array.
#pragma once
#include "common.cuh"

constexpr u32 CHUNK = 16384; // elements

template <int POINTERS, int ENTRIES> struct Table {
    u32 entries, first_chunk;  // first_chunk: those of earlier launches
    u32 chunks[ENTRIES + 1];   // chunks of the arrays before each
    u32 aligned[ENTRIES];      // 1: all its pointers are multiples of 16
    i64 size[ENTRIES];         // elements
    void *data[ENTRIES][POINTERS];

    // find is the array that a block works on.
    DEVICE u32 find(u32 block) const {
        u32 lo = 0, hi = entries; // chunks[lo] <= block < chunks[hi]
        while (hi - lo > 1) {
            u32 middle = (lo + hi) / 2;
            if (chunks[middle] <= block) {
                lo = middle;
            } else {
                hi = middle;
            }
        }
        return lo;
    }
};
