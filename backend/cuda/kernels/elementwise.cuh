// The loop of every elementwise kernel, and what its functions are made of.
//
// VARIANT says how the arrays lie.
//
//   FLAT      all are contiguous, or one element for all
//   ROWS      so are rows, of a multiple of N elements
//   STRIDED   anyhow
//
// FLAT and ROWS take N neighbours at a time, by accesses of 16 bytes.
#pragma once
#include "common.cuh"

#define FLAT 0
#define ROWS 1
#define STRIDED 2

// ElementwiseArgs are those of a kernel of so many views: out, the operands and,
// where the function is ordered, a view without memory whose offsets from data on
// are the elements' numbers in row-major order.
template <int VIEWS> struct ElementwiseArgs {
    ErrorWord *error;
    u32 op;
    u32 fixed;     // bit k: view k stays where it is along the innermost axis
    Params params; // of the function; the scalar for a view whose data is null
    i64 size;      // elements
    i64 groups;    // whole groups of N
    Dims dims;     // of groups in ROWS, of elements in STRIDED
    View view[VIEWS];
};

// None stands for an operand that the function does not have.
struct None {};

// scalar is a, or n for integers: what C's scalar operand or first parameter is.
template <class C> DEVICE C scalar(const Scalars &s) {
    if constexpr (is_float<C>) return to<C>(s.a);
    else return s.n;
}

template <class C> DEVICE C second_scalar(const Scalars &s) {
    if constexpr (is_float<C>) return to<C>(s.b);
    else return s.m;
}

template <class A> DEVICE constexpr int largest() { return sizeof(A); }
template <class A, class B, class... C> DEVICE constexpr int largest() {
    return largest<choose<(sizeof(A) > sizeof(B)), A, B>, C...>();
}

// Elementwise is one thread of a kernel that stores f(x, y, z, i) for every element.
//
//   F::In       the type in which operands reach f
//   F::fixed    whether an operand may be one element for all (of a row)
//   F::scalars  whether an operand may be a scalar
//   F::ordered  whether f looks at i, the element's number
template <class Out, class X, class Y, class Z, class F> struct Elementwise {
    using C = typename F::In;
    static constexpr int inputs = !same<X, None> + !same<Y, None> + !same<Z, None>;
    static constexpr int VIEWS = 1 + inputs + F::ordered;
    static constexpr int N = VARIANT == STRIDED ? 1 : 16 / largest<Out, X, Y, Z>();
    // Groups under way. Double precision needs the registers.
    static constexpr int UNROLL = N < 8 && largest<Out, X, Y, Z>() < 8 ? 2 : 1;

    const ElementwiseArgs<VIEWS> &args;
    const F f;
    C constant = C();

    DEVICE bool fixed(int k) const { return F::fixed && args.fixed >> k & 1; }

    DEVICE void place(i64 i, i64 *at) const {
#pragma unroll
        for (int k = 0; k < VIEWS; k++) at[k] = fixed(k) ? 0 : i;
    }

    // find sets at[k] to where group g of view k starts.
    DEVICE void find(i64 g, i64 *at) const {
        if (VARIANT == FLAT) place(g * N, at);
        else locate(args.dims, u32(g), args.view, at);
    }

    template <class T, int M> DEVICE void fetch(Vec<T, M> &v, int k, i64 at) const {
        if constexpr (!same<T, None>) {
            const T *p = static_cast<const T *>(args.view[k].data);
            if (F::scalars && !p) return;
            if (M == 1 || fixed(k)) v[0] = p[at];
            else v = load<M>(p + at);
        }
    }

    template <class T, int M> DEVICE auto value(const Vec<T, M> &v, int k, int i) const {
        if constexpr (same<T, None>) {
            return None();
        } else {
            C first = to<C>(v[0]), own = to<C>(v[i]); // an index that is no constant would take memory
            if (F::scalars && !args.view[k].data) return constant;
            return fixed(k) ? first : own;
        }
    }

    // Group is what a thread has under way of one group of M elements.
    template <int M> struct Group {
        i64 at[VIEWS > 4 ? VIEWS : 4];
        Vec<X, M> x;
        Vec<Y, M> y;
        Vec<Z, M> z;
    };

    template <int M> DEVICE void begin(Group<M> &g) const {
        fetch(g.x, 1, g.at[1]);
        fetch(g.y, 2, g.at[2]);
        fetch(g.z, 3, g.at[3]);
    }

    template <int M> DEVICE void end(const Group<M> &g) const {
        u64 number = 0;
        if (F::ordered) number = reinterpret_cast<u64>(args.view[VIEWS - 1].data) + u64(g.at[VIEWS - 1]);
        Vec<Out, M> out;
#pragma unroll
        for (int i = 0; i < M; i++) {
            // The first number is a multiple of M: said so, its words are drawn once.
            out[i] = to<Out>(f(value(g.x, 1, i), value(g.y, 2, i), value(g.z, 3, i), number | u64(i)));
        }
        store(static_cast<Out *>(args.view[0].data) + g.at[0], out);
    }

    DEVICE void run() const {
        const i64 thread = i64(blockIdx.x) * THREADS + threadIdx.x, step = i64(gridDim.x) * THREADS;
        for (i64 first = thread; first < args.groups; first += UNROLL * step) {
            Group<N> group[UNROLL];
#pragma unroll
            for (int u = 0; u < UNROLL; u++) {
                if (first + u * step < args.groups) {
                    find(first + u * step, group[u].at);
                    begin(group[u]);
                }
            }
#pragma unroll
            for (int u = 0; u < UNROLL; u++) {
                if (first + u * step < args.groups) end(group[u]);
            }
        }
        if (VARIANT != FLAT) return;
        i64 rest = args.groups * N + thread;
        if (rest < args.size) {
            Group<1> one;
            place(rest, one.at);
            begin(one);
            end(one);
        }
    }
};

// The functions below stand in the lines of the .cu files. Integers wrap around.

template <class C> DEVICE C add(C x, C y) {
    if constexpr (same<C, i64>) return i64(u64(x) + u64(y));
    else return x + y;
}
template <class C> DEVICE C sub(C x, C y) {
    if constexpr (same<C, i64>) return i64(u64(x) - u64(y));
    else return x - y;
}
template <class C> DEVICE C mul(C x, C y) {
    if constexpr (same<C, i64>) return i64(u64(x) * u64(y));
    else return x * y;
}
template <class C> DEVICE C neg(C x) {
    if constexpr (same<C, i64>) return i64(-u64(x));
    else return -x;
}
template <class C> DEVICE C magnitude(C x) {
    if constexpr (same<C, i64>) return x < 0 ? neg(x) : x;
    else return math::fabs(x);
}
namespace math {
DEVICE i64 floor(i64 x) { return x; }
DEVICE i64 ceil(i64 x) { return x; }
DEVICE i64 rint(i64 x) { return x; }
DEVICE i64 trunc(i64 x) { return x; }
} // namespace math

// larger and smaller are NaN if either operand is.
template <class C> DEVICE C larger(C x, C y) { return Larger()(x, y); }
template <class C> DEVICE C smaller(C x, C y) { return Smaller()(x, y); }

// normal_cdf is Φ(x), and density φ(x)·√2π. In float Φ(-|x|) is e^(-x²/2) times a
// polynomial of t = 1/(1 + 0.36|x|), of the least relative error, 9e-7, for |x| up to
// 14: it costs a third of erfc.
DEVICE f32 normal_cdf(f32 x, f32 &density) {
    f32 t = math::quotient(1.0f, 1 + 0.36f * math::fabs(x));
    f32 p = 0.047056209f;
    p = p * t - 0.17976443f;
    p = p * t + 0.18095368f;
    p = p * t + 0.026549548f;
    p = p * t + 0.13971919f;
    p = p * t + 0.14177247f;
    p = p * t + 0.14371304f;
    density = math::power_of_2(x * (x * -0.72134752f)); // log2(e)/2
    f32 tail = density * (p * t);
    return x > 0 ? 1 - tail : tail;
}
DEVICE f64 normal_cdf(f64 x, f64 &density) {
    density = math::exp(-0.5 * x * x);
    return 0.5 * math::erfc(x * -0.70710678118654752440);
}
template <class C> DEVICE C gelu(C x) {
    C density;
    return x * normal_cdf(x, density);
}
template <class C> DEVICE C gelu_slope(C x) {
    C density, below = normal_cdf(x, density);
    return below + x * (density * C(0.39894228040143267794)); // 1/√2π
}

// gelu_inner(x) is 2u for GELU's approximation x·(1 + tanh u)/2, which so is
// x·σ(2u): Hendrycks and Gimpel, "Gaussian error linear units".
template <class C> DEVICE C gelu_inner(C x) { return C(1.59576912160573071176) * (x + C(0.044715) * x * x * x); }
template <class C> DEVICE C gelu_tanh_slope(C x) {
    C rest, s = math::sigmoid(gelu_inner(x), rest);
    C t = x * (s * rest);
    if (t == 0) return s; // where x² may be too large
    return s + t * (C(1.59576912160573071176) * (1 + C(0.134145) * x * x));
}

// tanh_softplus is tanh(ln(1+eˣ)) = ((1+eˣ)² - 1)/((1+eˣ)² + 1).
template <class C> DEVICE C tanh_softplus(C x) {
    C e = math::exp(-math::fabs(x)), tail = x >= 0 ? 1 + 2 * e : e * (e + 2);
    return tail / (tail + 2 * (x >= 0 ? e * e : C(1)));
}
