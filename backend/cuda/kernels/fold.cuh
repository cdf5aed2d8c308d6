// Folds: what reductions do with the elements, one struct an opcode. join must be
// associative and commute, but for rounding.
#pragma once
#include "global.cuh"

DEVICE constexpr int smaller(int x, int y) { return x < y ? x : y; }

// LANES is how many elements a thread takes at a time that keeps a partial result of
// each: 16 bytes of elements, or 32 of results, and 8 at most, to stay in registers.
template <class T, class Partial>
constexpr int LANES = smaller(8, smaller(16 / sizeof(T), 32 / sizeof(Partial)));

template <class T> DEVICE T infinity() {
    if constexpr (same<T, f64>) {
        return bits<f64>(0x7FF0000000000000ull);
    } else {
        return bits<f32>(0x7F800000u);
    }
}

// least is what every T is at least as large as, most what none exceeds.
template <class T> DEVICE T least() {
    if constexpr (is_float<T>) {
        return -infinity<T>();
    } else {
        return T(-1) > 0 ? T(0) : T(T(1) << (8 * sizeof(T) - 1));
    }
}
template <class T> DEVICE T most() {
    if constexpr (is_float<T>) {
        return infinity<T>();
    } else {
        return T(~least<T>());
    }
}

template <class T> struct Sum {
    using Partial = Compute<T>;
    static DEVICE Partial identity() { return 0; }
    static DEVICE Partial take(T x, i64) { return to<Partial>(x); }
    static DEVICE Partial join(Partial x, Partial y) { return x + y; }
    static DEVICE Partial finish(Partial x, i64) { return x; }
};

template <class T> struct Mean : Sum<T> {
    using Partial = Compute<T>;
    static DEVICE Partial finish(Partial x, i64 count) { return x / static_cast<Partial>(count); }
};

template <class T> struct Prod : Sum<T> {
    using Partial = Compute<T>;
    static DEVICE Partial identity() { return 1; }
    static DEVICE Partial join(Partial x, Partial y) { return x * y; }
};

// Max and Min keep the elements as they are, but in whole registers.
template <class T> struct Max : Sum<T> {
    using Partial = choose<is_float<T>, Acc<T>, choose<sizeof(T) == 8, i64, i32>>;
    static DEVICE Partial identity() { return least<Partial>(); }
    static DEVICE Partial take(T x, i64) { return widen(x); }
    static DEVICE Partial join(Partial x, Partial y) { return Larger()(x, y); }
    static DEVICE Partial finish(Partial x, i64) { return x; }
};

template <class T> struct Min : Max<T> {
    using Partial = typename Max<T>::Partial;
    static DEVICE Partial identity() { return most<Partial>(); }
    static DEVICE Partial join(Partial x, Partial y) { return Smaller()(x, y); }
};

template <class T> struct All : Sum<T> {
    using Partial = u32;
    static DEVICE Partial identity() { return 1; }
    static DEVICE Partial take(T x, i64) { return widen(x) != 0; }
    static DEVICE Partial join(Partial x, Partial y) { return x & y; }
    static DEVICE Partial finish(Partial x, i64) { return x; }
};

template <class T> struct Any : All<T> {
    using Partial = u32;
    static DEVICE Partial identity() { return 0; }
    static DEVICE Partial join(Partial x, Partial y) { return x | y; }
};

// Found is an element and its place, -1 for none.
template <class C> struct Found {
    C value;
    i64 at;
};

// ArgMax finds the first of the largest, or of the NaN if there are any.
template <class T> struct ArgMax {
    using C = Compute<T>;
    using Partial = Found<C>;
    static DEVICE Partial identity() { return {0, -1}; }
    static DEVICE Partial take(T x, i64 at) { return {to<C>(x), at}; }
    template <class F> static DEVICE Partial better(Partial x, Partial y, F beats) {
        if (x.at < 0 || y.at < 0) return x.at < 0 ? y : x;
        bool xs = beats(x.value, y.value) || (x.value != x.value && y.value == y.value);
        bool ys = beats(y.value, x.value) || (y.value != y.value && x.value == x.value);
        return xs || (!ys && x.at < y.at) ? x : y;
    }
    struct Greater {
        DEVICE bool operator()(C x, C y) const { return x > y; }
    };
    struct Less {
        DEVICE bool operator()(C x, C y) const { return x < y; }
    };
    static DEVICE Partial join(Partial x, Partial y) { return better(x, y, Greater()); }
    static DEVICE i64 finish(Partial x, i64) { return x.at; }
};

template <class T> struct ArgMin : ArgMax<T> {
    using Partial = typename ArgMax<T>::Partial;
    static DEVICE Partial join(Partial x, Partial y) { return ArgMax<T>::better(x, y, typename ArgMax<T>::Less()); }
};
