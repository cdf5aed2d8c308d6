// Arrays made from nothing. A line is an op: its value for element number i,
// row-major, of the scalars s and the random stream r. C is float for the halves,
// i64 for integers and Bool.
//
//   EVERY     of every dtype
//   INDEXED   of every dtype, and depends on i
//   RANDOM    of floats, and depends on i
#include "elementwise.cuh"
#include "random.cuh"

#define FUNCTION(Name, ORDERED, ...)                                                                                   \
    struct Name {                                                                                                      \
        static constexpr bool ordered = ORDERED;                                                                       \
        template <class C> static DEVICE auto of(const Scalars &s, const Stream &r, u64 i) { return __VA_ARGS__; }     \
    };
#define EVERY(Name, ...) FUNCTION(Name, false, __VA_ARGS__)
#define INDEXED(Name, ...) FUNCTION(Name, true, __VA_ARGS__)
#define RANDOM INDEXED

namespace op {

template <class C> DEVICE auto arange(const Scalars &s, u64 i) {
    if constexpr (is_float<C>) return exact::add(s.a, exact::mul(f64(i), s.b));
    else return add(s.n, mul(i64(i), s.m));
}

// scaled is u·scale + shift, each operation rounded.
template <class C> DEVICE C scaled(C u, C scale, f64 shift) { return exact::add(exact::mul(u, scale), to<C>(shift)); }

template <class C> DEVICE auto integer(const Scalars &s, const Stream &r, u64 i) {
    i64 n = r.integer(i, s.n, s.m);
    if constexpr (is_float<C>) return f64(n);
    else return n;
}

EVERY(Fill, scalar<C>(s))
INDEXED(Arange, arange<C>(s, i))
RANDOM(Uniform, scaled(r.uniform(i, C()), exact::sub(to<C>(s.b), to<C>(s.a)), s.a))
RANDOM(Normal, scaled(r.normal(i, C()), to<C>(s.b), s.a))
INDEXED(Bernoulli, C(r.bernoulli(i, s.a)))
INDEXED(RandInt, integer<C>(s, r, i))
} // namespace op

struct Apply {
    using In = Compute<T>;
    static constexpr bool fixed = false, scalars = false, ordered = op::OP::ordered;
    Scalars s;

    DEVICE auto operator()(None, None, None, u64 i) const { return op::OP::of<In>(s, Stream{s.key, s.counter}, i); }
};

using Loop = Elementwise<T, None, None, None, Apply>;

KERNEL(ElementwiseArgs<Loop::VIEWS>) { Loop{args, Apply{args.params.read()}}.run(); }
