// Elementwise functions of three arrays, one of which may be a scalar. A line is an
// op, as in unary.cu, of x, y and z.
//
//   FLOATS    of floats
//   NUMBERS   of floats and integers
//   CHOICES   of every dtype; x is Bool
#include "elementwise.cuh"

#define FUNCTION(Name, Condition, ...)                                                                                 \
    struct Name {                                                                                                      \
        using X = Condition;                                                                                           \
        template <class C> static DEVICE C of(C x, C y, C z, C a) { return __VA_ARGS__; }                              \
    };
#define FLOATS(Name, ...) FUNCTION(Name, T, __VA_ARGS__)
#define NUMBERS FLOATS
#define CHOICES(Name, ...) FUNCTION(Name, boolean, __VA_ARGS__)

namespace op {
CHOICES(Where, x != 0 ? y : z)
NUMBERS(Addcmul, add(x, mul(mul(a, y), z)))
FLOATS(Addcdiv, x + a * y / z)
FLOATS(Lerp, math::fabs(z) < C(0.5) ? x + z * (y - x) : y - (y - x) * (1 - z))
} // namespace op

struct Apply {
    using In = Compute<T>;
    static constexpr bool fixed = true, scalars = true, ordered = false;
    In a;

    DEVICE In operator()(In x, In y, In z, u64) const { return op::OP::of(x, y, z, a); }
};

using Loop = Elementwise<T, op::OP::X, T, T, Apply>;

KERNEL(ElementwiseArgs<Loop::VIEWS>) {
    Apply f{scalar<Compute<T>>(args.params.read())};
    Loop{args, f, f.a}.run();
}
