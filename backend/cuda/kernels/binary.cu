// Elementwise functions of two arrays, one of which may be a scalar. A line is an
// op, as in unary.cu, of x and y.
//
//   FLOATS    of floats
//   NUMBERS   of floats and integers
//   DIVIDES   of these; an integer divided by zero is an error
//   EVERY     of floats, integers and Bool
//   BITS      of integers and Bool
//   TESTS     of every dtype, and the result is Bool
#include "elementwise.cuh"

#define FUNCTION(Name, DIVIDES, ...)                                                                                   \
    struct Name {                                                                                                      \
        static constexpr bool divides = DIVIDES;                                                                       \
        template <class C> static DEVICE auto of(C x, C y, C a, C b) { return __VA_ARGS__; }                           \
    };
#define FLOATS(Name, ...) FUNCTION(Name, false, __VA_ARGS__)
#define NUMBERS FLOATS
#define EVERY FLOATS
#define BITS FLOATS
#define TESTS FLOATS
#define DIVIDES(Name, ...) FUNCTION(Name, true, __VA_ARGS__)

namespace math {

// Integer divisors are never 0 here, and the least integer by -1 wraps around.
DEVICE i64 trunc_divide(i64 x, i64 y) { return y == -1 ? neg(x) : x / y; }
DEVICE i64 fmod(i64 x, i64 y) { return y == -1 ? 0 : x % y; }
template <class C> DEVICE C trunc_divide(C x, C y) { return trunc(x / y); }

// pow of integers is 0 for a negative exponent unless the base is 1 or -1.
DEVICE i64 pow(i64 x, i64 n) {
    if (n < 0) return x == 1 ? 1 : x == -1 ? (n % 2 ? -1 : 1) : 0;
    i64 r = 1;
    for (; n > 0; n >>= 1, x = mul(x, x)) {
        if (n & 1) r = mul(r, x);
    }
    return r;
}


// remainder has the sign of y, as Python's %.
template <class C> DEVICE C remainder(C x, C y) {
    C r = fmod(x, y);
    return r != 0 && (r < 0) != (y < 0) ? r + y : r;
}

// floor_divide agrees with remainder even where x/y rounds to an integer:
// CPython's float_floor_div.
template <class C> DEVICE C floor_divide(C x, C y) {
    C r = fmod(x, y);
    if constexpr (same<C, i64>) {
        return trunc_divide(x, y) - (r != 0 && (r < 0) != (y < 0));
    } else {
        if (y == 0) return x / y;
        C q = (x - r) / y;
        if (r != 0 && (r < 0) != (y < 0)) q -= 1;
        if (q == 0) return copysign(C(0), x / y);
        C whole = floor(q);
        return q - whole > C(0.5) ? whole + 1 : whole;
    }
}

template <class C> DEVICE C silu_slope(C x) {
    C rest, s = sigmoid(x, rest);
    return s * (1 + x * rest);
}

namespace op {

EVERY(Add, add(x, y))
NUMBERS(Sub, sub(x, y))
EVERY(Mul, mul(x, y))
FLOATS(Div, x / y)
DIVIDES(FloorDiv, floor_divide(x, y))
DIVIDES(TruncDiv, trunc_divide(x, y))
DIVIDES(Remainder, remainder(x, y))
DIVIDES(Fmod, fmod(x, y))
NUMBERS(Pow, pow(x, y))
EVERY(Maximum, larger(x, y))
EVERY(Minimum, smaller(x, y))
FLOATS(Atan2, atan2(x, y))
FLOATS(SiLUMul, y * (x * sigmoid(x)))
BITS(BitAnd, x & y)
BITS(BitOr, x | y)
BITS(BitXor, x ^ y)
TESTS(Eq, x == y)
TESTS(Ne, x != y)
TESTS(Lt, x < y)
TESTS(Le, x <= y)
TESTS(Gt, x > y)
TESTS(Ge, x >= y)
TESTS(LogicalAnd, x != 0 && y != 0)
TESTS(LogicalOr, x != 0 || y != 0)
TESTS(LogicalXor, (x != 0) != (y != 0))
// Gradients: x is that of the output.
FLOATS(ReLUGrad, y <= 0 ? C(0) : x)
FLOATS(LeakyReLUGrad, y > 0 ? x : x * a)
FLOATS(ELUGrad, y <= 0 ? x * a * exp(y) : x)
FLOATS(TanhGrad, x * (1 - y * y))
FLOATS(SigmoidGrad, x * y * (1 - y))
FLOATS(GELUGrad, x * gelu_slope(y))
FLOATS(GELUTanhGrad, x * gelu_tanh_slope(y))
FLOATS(SiLUGrad, x * silu_slope(y))
FLOATS(SoftplusGrad, y * a > b ? x : x * sigmoid(y * a))
FLOATS(HardtanhGrad, y <= a || y >= b ? C(0) : x)
} // namespace op
} // namespace math

namespace op = math::op;

struct Apply {
    using In = Compute<T>;
    static constexpr bool fixed = true, scalars = true, ordered = false;
    In a, b;
    ErrorWord *error;
    u32 op;

    DEVICE auto operator()(In x, In y, None, u64) const {
        if constexpr (op::OP::divides && !is_float<T>) {
            if (y == 0) {
                report(error, DIVISION_BY_ZERO, op);
                y = 1;
            }
        }
        return op::OP::of(x, y, a, b);
    }
};

using Out = choose<same<decltype(op::OP::of(Compute<T>(), Compute<T>(), Compute<T>(), Compute<T>())), bool>, boolean, T>;
using Loop = Elementwise<Out, T, T, None, Apply>;

KERNEL(ElementwiseArgs<Loop::VIEWS>) {
    Scalars s = args.params.read();
    Apply f{scalar<Compute<T>>(s), second_scalar<Compute<T>>(s), args.error, args.op};
    Loop{args, f, f.a}.run();
}
