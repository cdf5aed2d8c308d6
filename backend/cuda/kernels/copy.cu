// Copies of U to T: OP is Copy, or Accumulate, which adds to what out holds.
#include "elementwise.cuh"

struct Copy {
    using In = U;
    static constexpr bool fixed = true, scalars = false, ordered = false;
    using Loop = Elementwise<T, U, None, None, Copy>;
    DEVICE T operator()(U x, None, None, u64) const { return to<T>(x); }
};

// Accumulate has out as an operand too.
struct Accumulate {
    using In = Compute<T>;
    static constexpr bool fixed = true, scalars = false, ordered = false;
    using Loop = Elementwise<T, T, U, None, Accumulate>;
    DEVICE In operator()(In x, In y, None, u64) const { return add(x, y); }
};

KERNEL(ElementwiseArgs<OP::Loop::VIEWS>) { OP::Loop{args, OP()}.run(); }
