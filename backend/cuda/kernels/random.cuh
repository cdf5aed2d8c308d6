// Package random on the device, to the bit: see its documentation and normal.go.
#pragma once
#include "common.cuh"

// Pair is two numbers of one kind.
template <class C> struct Pair {
    C even, odd;
};

// Stream is random.Stream. Its methods give the word, the long, … of an element.
struct Stream {
    u64 key, counter;

    struct Block {
        u32 word[4];
    };

    // block is Philox4x32-10: Salmon, Moraes, Dror and Shaw, "Parallel random
    // numbers: as easy as 1, 2, 3", SC'11.
    DEVICE Block block(u64 number) const {
        u64 c = counter + number;
        u32 c0 = u32(c), c1 = u32(c >> 32), c2 = 0, c3 = 0, k0 = u32(key), k1 = u32(key >> 32);
#pragma unroll
        for (int round = 0; round < 10; round++) {
            u64 p0 = u64(c0) * 0xD2511F53u, p1 = u64(c2) * 0xCD9E8D57u;
            c0 = u32(p1 >> 32) ^ c1 ^ k0;
            c2 = u32(p0 >> 32) ^ c3 ^ k1;
            c1 = u32(p1);
            c3 = u32(p0);
            k0 += 0x9E3779B9u;
            k1 += 0xBB67AE85u;
        }
        return {{c0, c1, c2, c3}};
    }

    static DEVICE u32 pick(const Block &b, u32 i) {
        return i & 2 ? (i & 1 ? b.word[3] : b.word[2]) : (i & 1 ? b.word[1] : b.word[0]);
    }

    DEVICE u32 word(u64 i) const { return pick(block(i / 4), u32(i) & 3); }

    DEVICE u64 longword(u64 i) const {
        Block b = block(i / 2);
        return i & 1 ? u64(b.word[3]) << 32 | b.word[2] : u64(b.word[1]) << 32 | b.word[0];
    }

    DEVICE bool bernoulli(u64 i, f64 probability) const {
        return u64(word(i)) < u64(math::rint(probability * 4294967296.0));
    }

    DEVICE f32 uniform(u64 i, f32) const { return f32(word(i) >> 8) * 5.9604644775390625e-8f; }
    DEVICE f64 uniform(u64 i, f64) const { return f64(longword(i) >> 11) * 1.1102230246251565e-16; }

    DEVICE i64 integer(u64 i, i64 lo, i64 hi) const {
        return i64(u64(lo) + math::multiply_high(longword(i), u64(hi) - u64(lo)));
    }

    DEVICE f32 normal(u64 i, f32) const;
    DEVICE f64 normal(u64 i, f64) const;
};

// Box and Muller's transform, each operation rounded.
namespace exact {

// polynomial is Horner's rule: its first argument is the highest coefficient.
template <class C> DEVICE C polynomial(C, C p) { return p; }
template <class C, class... More> DEVICE C polynomial(C z, C p, C next, More... more) {
    return polynomial(z, add(mul(z, p), next), more...);
}

// negative_log is -ln(n·2⁻³²), or of 2⁻⁶⁴, for n > 0.
DEVICE f32 negative_log(u32 n) {
    i32 shift = math::leading_zeros(n);
    n <<= shift;
    if (n < 0xB504F334u) n <<= 1, shift++; // √½·2³², rounded up
    f32 f = mul(f32(i32(n)), 2.3283064365386963e-10f), s = div(f, add(2.0f, f)), z = mul(s, s);
    f32 p = polynomial(z, f32(2.0 / 9), f32(2.0 / 7), f32(2.0 / 5), f32(2.0 / 3));
    return sub(mul(f32(shift), f32(0.693147180559945309417)), sub(f, mul(s, sub(f, mul(z, p)))));
}

DEVICE f64 negative_log(u64 n) {
    i32 shift = math::leading_zeros(n);
    n <<= shift;
    if (n < 0xB504F333F9DE6485u) n <<= 1, shift++;
    f64 f = mul(f64(i64(n)), 5.421010862427522e-20), s = div(f, add(2.0, f)), z = mul(s, s);
    f64 p = polynomial(z, 2.0 / 21, 2.0 / 19, 2.0 / 17, 2.0 / 15, 2.0 / 13, 2.0 / 11, 2.0 / 9, 2.0 / 7, 2.0 / 5, 2.0 / 3);
    return sub(mul(f64(shift), 0.693147180559945309417), sub(f, mul(s, sub(f, mul(z, p)))));
}

// cosine_sine are those of 2π(w+½)·2⁻³², or of 2⁻⁶⁴.
DEVICE Pair<f32> cosine_sine(u32 w) {
    f32 x = mul(f32(i32(w << 2 | 2)), f32(1.57079632679489661923 * 2.3283064365386963e-10)), z = mul(x, x);
    f32 p = polynomial(z, f32(1.0 / 362880), f32(-1.0 / 5040), f32(1.0 / 120), f32(-1.0 / 6));
    f32 sine = add(x, mul(x, mul(z, p)));
    p = polynomial(z, f32(1.0 / 40320), f32(-1.0 / 720), f32(1.0 / 24), f32(-1.0 / 2));
    f32 cosine = add(1.0f, mul(z, p));
    // Turn by the quarters: an odd number exchanges the two, and the signs follow.
    u32 quarters = (w + (1u << 29)) >> 30;
    if (quarters & 1) {
        f32 t = sine;
        sine = cosine;
        cosine = t;
    }
    return {(quarters + 1) & 2 ? -cosine : cosine, quarters & 2 ? -sine : sine};
}

DEVICE Pair<f64> cosine_sine(u64 w) {
    f64 x = mul(f64(i64(w << 2 | 2)), 1.57079632679489661923 * 5.421010862427522e-20), z = mul(x, x);
    f64 p = polynomial(z, 1.0 / 355687428096000, -1.0 / 1307674368000, 1.0 / 6227020800, -1.0 / 39916800, 1.0 / 362880,
                       -1.0 / 5040, 1.0 / 120, -1.0 / 6);
    f64 sine = add(x, mul(x, mul(z, p)));
    p = polynomial(z, 1.0 / 20922789888000, -1.0 / 87178291200, 1.0 / 479001600, -1.0 / 3628800, 1.0 / 40320, -1.0 / 720,
                   1.0 / 24, -1.0 / 2);
    f64 cosine = add(1.0, mul(z, p));
    u64 quarters = (w + (u64(1) << 61)) >> 62;
    if (quarters & 1) {
        f64 t = sine;
        sine = cosine;
        cosine = t;
    }
    return {(quarters + 1) & 2 ? -cosine : cosine, quarters & 2 ? -sine : sine};
}

// normals are two numbers of two words or longs.
template <class C, class W> DEVICE Pair<C> normals(W radius, W angle) {
    C r = sqrt(mul(C(2), negative_log(radius | W(1))));
    Pair<C> p = cosine_sine(angle);
    return {mul(r, p.even), mul(r, p.odd)};
}
} // namespace exact

DEVICE f32 Stream::normal(u64 i, f32) const {
    Block b = block(i / 4);
    u32 pair = u32(i) & 2;
    Pair<f32> p = exact::normals<f32>(pick(b, pair), pick(b, pair | 1));
    return i & 1 ? p.odd : p.even;
}

DEVICE f64 Stream::normal(u64 i, f64) const {
    u64 pair = i & ~u64(1);
    Pair<f64> p = exact::normals<f64>(longword(pair), longword(pair | 1));
    return i & 1 ? p.odd : p.even;
}
