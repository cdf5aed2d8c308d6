// Attention without stored scores (Dao, "FlashAttention-2", 2023): what its kernels
// share. With P the weights of the keys and D the sum of g·out for each query,
//
//	out = P·v    dv = Pᵀ·g    dS = P·(g·vᵀ - D)    dq = scale·dS·k    dk = scale·dSᵀ·q
//
// A block has a tile of queries and walks the keys, or the other way round, so that
// every sum has one order and no two blocks add to one place.
#pragma once
#include "fold.cuh"

// Heads is an array [batch, heads, length, features] whose last axis is contiguous
// and whose rows begin at multiples of 16 bytes.
struct Heads {
    void *data;
    i64 batch, head, row; // strides in elements
    template <class S> DEVICE S *from(u32 b, u32 h, u32 i) const {
        return static_cast<S *>(data) + b * batch + h * head + i * row;
    }
};

struct AttentionArgs {
    Heads q, k, v, out, g, dq, dk, dv;
    Heads lse;            // [batch, heads, queries]
    void *statistics;     // of each query: lse·log2(e), and D
    f64 scale, unit, sign; // sign·unit = scale·log2(e), unit > 0
    u32 heads, keyHeads;
    u32 group;            // heads of queries that share a head of keys
    u32 queries, keys, features, causal;
    u32 tiles;            // in a head, of queries or keys
    u32 rows, unused;     // rows: queries in all
};

constexpr f64 LOG2E = 1.4426950408889634, LOG2 = 0.6931471805599453;

// The ops: the forward one, the gradient of queries, those of keys and values.
struct Attention {};
struct AttentionQueries {};
struct AttentionKeys {};

// Task is what a block does. The last tiles come first: with causal they see most.
struct Task {
    u32 batch, head, first; // first: query or key of the tile
    DEVICE Task(u32 heads, u32 tiles, u32 length) {
        u32 rest = blockIdx.x / tiles;
        first = (tiles - 1 - blockIdx.x % tiles) * length;
        batch = rest / heads;
        head = rest % heads;
    }
};

// sees reports whether query and key are there and the one looks at the other.
DEVICE bool sees(const AttentionArgs &args, u32 query, u32 key) {
    return query < args.queries && key < args.keys && (!args.causal || key <= query);
}

// load_part is the first n of N elements, and zeros; store_part writes as many.
template <int N, class S> DEVICE Vec<S, N> load_part(const S *p, i32 n) {
    if (n >= N) return load<N>(p);
    Vec<S, N> v = {};
#pragma unroll
    for (int i = 0; i < N; i++) {
        if (i < n) v[i] = p[i];
    }
    return v;
}
template <class S, int N> DEVICE void store_part(S *p, const Vec<S, N> &v, i32 n) {
    if (n >= N) {
        store(p, v);
        return;
    }
#pragma unroll
    for (int i = 0; i < N; i++) {
        if (i < n) p[i] = v[i];
    }
}
