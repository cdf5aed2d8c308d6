// Elementwise functions of one array. A line is an op: which dtypes it has, its
// opcode's name, and its value for x, computed in C: float for the halves, i64 for
// integers and Bool. a and b are the scalars. Go reads the lines: a new op needs
// no more than one.
//
//   FLOATS    of floats
//   NUMBERS   of floats and integers
//   EVERY     of floats, integers and Bool
//   TESTS     of these, and the result is Bool
//   RANDOM    of floats; chosen is the draw of the random stream (probability A)
#include "elementwise.cuh"
#include "random.cuh"

#define FUNCTION(Name, ORDERED, ...)                                                                                   \
    struct Name {                                                                                                      \
        static constexpr bool ordered = ORDERED;                                                                       \
        template <class C> static DEVICE auto of(C x, C a, C b, bool chosen) { return __VA_ARGS__; }                   \
    };
#define FLOATS(Name, ...) FUNCTION(Name, false, __VA_ARGS__)
#define NUMBERS FLOATS
#define EVERY FLOATS
#define TESTS FLOATS
#define RANDOM(Name, ...) FUNCTION(Name, true, __VA_ARGS__)

namespace math::op {

NUMBERS(Neg, neg(x))
NUMBERS(Abs, magnitude(x))
EVERY(Sign, C((x > 0) - (x < 0)))
NUMBERS(Square, mul(x, x))
FLOATS(Reciprocal, 1 / x)
FLOATS(Sqrt, sqrt(x))
FLOATS(Rsqrt, rsqrt(x))
FLOATS(Exp, exp(x))
FLOATS(Exp2, exp2(x))
FLOATS(Expm1, expm1(x))
FLOATS(Log, log(x))
FLOATS(Log2, log2(x))
FLOATS(Log10, log10(x))
FLOATS(Log1p, log1p(x))
FLOATS(Sin, sin(x))
FLOATS(Cos, cos(x))
FLOATS(Tan, tan(x))
FLOATS(Asin, asin(x))
FLOATS(Acos, acos(x))
FLOATS(Atan, atan(x))
FLOATS(Sinh, sinh(x))
FLOATS(Cosh, cosh(x))
FLOATS(Asinh, asinh(x))
FLOATS(Acosh, acosh(x))
FLOATS(Atanh, atanh(x))
FLOATS(Tanh, tanh(x))
FLOATS(Sigmoid, sigmoid(x))
FLOATS(LogSigmoid, smaller(x, C(0)) - log1p(exp(-fabs(x))))
FLOATS(Erf, erf(x))
FLOATS(Erfc, erfc(x))
NUMBERS(ReLU, larger(x, C(0)))
FLOATS(LeakyReLU, x > 0 ? x : x * a)
FLOATS(ELU, x > 0 ? x : a * expm1(x))
FLOATS(GELU, gelu(x))
FLOATS(GELUTanh, x * sigmoid(gelu_inner(x)))
FLOATS(SiLU, x * sigmoid(x))
FLOATS(Softplus, x * a > b ? x : log1p(exp(x * a)) / a)
FLOATS(Mish, x * tanh_softplus(x))
NUMBERS(Hardtanh, smaller(larger(x, a), b))
NUMBERS(Clamp, smaller(larger(x, a), b))
RANDOM(Dropout, chosen ? C(0) : x * b)
NUMBERS(Floor, floor(x))
NUMBERS(Ceil, ceil(x))
NUMBERS(Round, rint(x))
NUMBERS(Trunc, trunc(x))
TESTS(Not, x == 0)
TESTS(IsNaN, x != x)
TESTS(IsInf, x == x && x - x != 0)
TESTS(IsFinite, x - x == 0)
} // namespace math::op

namespace op = math::op;

struct Apply {
    using In = Compute<T>;
    static constexpr bool fixed = false, scalars = false, ordered = op::OP::ordered;
    In a, b;
    f64 probability;
    Stream stream;

    DEVICE auto operator()(In x, None, None, u64 i) const {
        return op::OP::of(x, a, b, ordered && stream.bernoulli(i, probability));
    }
};

using Out = choose<same<decltype(op::OP::of(Compute<T>(), Compute<T>(), Compute<T>(), false)), bool>, boolean, T>;
using Loop = Elementwise<Out, T, None, None, Apply>;

KERNEL(ElementwiseArgs<Loop::VIEWS>) {
    Scalars s = args.params.read();
    Apply f{scalar<Compute<T>>(s), second_scalar<Compute<T>>(s), s.a, {s.key, s.counter}};
    Loop{args, f}.run();
}
