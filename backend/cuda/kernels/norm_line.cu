// Norm and NormBackward where a warp or a block has a result's elements in its
// registers, or reads them again: one kernel.
#include "norm.cuh"

// Row is a thread's part of a result: its vectors every group-th from lane on.
template <int N> struct Row {
    const NormArgs &args;
    u32 lane, length;
    i64 base[SLOTS];

    DEVICE explicit Row(const NormArgs &args) : args(args), base{} {
        u32 result = blockIdx.x * (blockDim.x / args.group) + threadIdx.x / args.group;
        lane = threadIdx.x % args.group;
        length = result < args.size ? args.length : 0;
        if (length > 0) locate(args.kept, result, args.results, base);
    }
    // at is vector i's offset in each slot.
    DEVICE void locate_vector(u32 i, i64 (&at)[SLOTS]) const {
        locate(args.reduced, i, args.elements, at);
#pragma unroll
        for (int k = 0; k < SLOTS; k++) at[k] += base[k];
    }
    // kept calls f with the number of each of the first KEPT vectors; each with those
    // that follow too, for which k is KEPT.
    template <class F> DEVICE void kept(F f) const {
#pragma unroll
        for (int k = 0; k < KEPT; k++) {
            u32 i = lane + k * args.group;
            if (i < length) f(i, k);
        }
    }
    template <class F> DEVICE void each(F f) const {
        kept(f);
        for (u32 i = lane + KEPT * args.group; i < length; i += args.group) f(i, KEPT);
    }
    DEVICE Vec<T, N> x(u32 i) const {
        i64 at[SLOTS];
        locate_vector(i, at);
        return load<N>(typed<T>(args.results[X].data) + at[X]);
    }
    DEVICE Vec<T, N> g(u32 i) const {
        i64 at[SLOTS];
        locate_vector(i, at);
        return raw<N>(typed<T>(args.results[Y].data) + at[Y], args.same >> Y & 1);
    }
};

struct Norm {
    template <int N> static DEVICE void run(const NormArgs &args) {
        Row<N> row(args);
        Vec<T, N> kept[KEPT];
        row.kept([&](u32 i, int k) { kept[k] = row.x(i); });
        auto values = [&](u32 i, int k) { return widened(k < KEPT ? kept[k] : row.x(i)); };
        A sum = 0, n = static_cast<A>(args.count);
        row.each([&](u32 i, int k) {
            Vec<A, N> x = values(i, k);
#pragma unroll
            for (int j = 0; j < N; j++) sum += x[j];
        });
        A mean = group_reduce(sum, args.group, Plus()) / n;
        Pair about = {0, 0}; // the mean, which they correct
        row.each([&](u32 i, int k) {
            Vec<A, N> x = values(i, k);
#pragma unroll
            for (int j = 0; j < N; j++) {
                A d = x[j] - mean;
                about.first += d;
                about.second += d * d;
            }
        });
        about = group_reduce(about, args.group, AddPairs());
        A shift = about.first / n, variance = about.second / n - shift * shift;
        mean += shift;
        if (variance < 0) variance = 0;
        A rstd = inverse(args, variance);
        if (row.length > 0 && row.lane == 0) {
            typed<A>(args.results[STAT].data)[row.base[STAT]] = mean;
            typed<A>(args.variance)[row.base[STAT]] = variance;
        }
        row.each([&](u32 i, int k) {
            Vec<A, N> x = values(i, k);
            i64 at[SLOTS];
            row.locate_vector(i, at);
            Affine<N> affine(args, at[AFFINE]);
            Vec<T, N> r;
#pragma unroll
            for (int j = 0; j < N; j++) r[j] = to<T>((x[j] - mean) * rstd * affine.weight[j] + affine.bias[j]);
            store(typed<T>(args.to) + at[Y], r);
        });
    }
};

struct NormBackward {
    struct First {
        static constexpr bool again = false;
    };
    struct Second {
        static constexpr bool again = true;
    };
    template <int N> static DEVICE void run(const NormArgs &args) {
        Row<N> row(args);
        Vec<T, N> xs[KEPT], gs[KEPT];
        row.kept([&](u32 i, int k) {
            xs[k] = row.x(i);
            gs[k] = row.g(i);
        });
        A mean = 0, rstd = 0;
        if (row.length > 0) {
            mean = typed<A>(args.results[STAT].data)[row.base[STAT]];
            rstd = inverse(args, typed<A>(args.variance)[row.base[STAT]]);
        }
        // f is called with where a vector lies, x̂ and g·weight, which take the place of x
        // and g where no rounding is lost.
        auto each = [&](auto pass, auto f) {
            row.each([&](u32 i, int k) {
                i64 at[SLOTS];
                row.locate_vector(i, at);
                Vec<A, N> hat = widened(k < KEPT ? xs[k] : row.x(i)), g = widened(k < KEPT ? gs[k] : row.g(i));
                if (!(same<T, A> && decltype(pass)::again && k < KEPT)) {
                    Affine<N> affine(args, at[AFFINE]);
#pragma unroll
                    for (int j = 0; j < N; j++) {
                        hat[j] = (hat[j] - mean) * rstd;
                        g[j] *= affine.weight[j];
                    }
                }
                if constexpr (same<T, A>) {
                    if (k < KEPT) {
                        xs[k] = hat;
                        gs[k] = g;
                    }
                }
                f(at, hat, g);
            });
        };
        Pair sums = {0, 0};
        each(First(), [&](const i64 *, const Vec<A, N> &hat, const Vec<A, N> &g) {
#pragma unroll
            for (int j = 0; j < N; j++) {
                sums.first += g[j];
                sums.second += g[j] * hat[j];
            }
        });
        sums = group_reduce(sums, args.group, AddPairs());
        A n = static_cast<A>(args.count), mean_g = sums.first / n, mean_t = sums.second / n;
        each(Second(), [&](const i64 *at, const Vec<A, N> &hat, const Vec<A, N> &g) {
            Vec<T, N> r;
#pragma unroll
            for (int j = 0; j < N; j++) r[j] = to<T>((g[j] - mean_g - hat[j] * mean_t) * rstd);
            store(typed<T>(args.to) + (args.as_y ? at[Y] : at[X]), r);
        });
    }
};

KERNEL(NormArgs) {
    if (args.wide) {
        OP::run<WIDTH>(args);
    } else {
        OP::run<1>(args);
    }
}
