// Update rules of optimizers, for many parameters in one launch. VARIANT is the
// number of state arrays. The rules are those of torch.optim.SGD, Adam and AdamW.
#include "tensors.cuh"

constexpr int STATES = VARIANT, ENTRIES = 48;

struct OptimizerArgs {
    f64 lr, decay, momentum, dampening, beta1, beta2, eps;
    i64 step;
    const Scalars *slot; // of LR (a), a factor of the gradients (b), the step (n), a skip (m)
    u32 nesterov, maximize;
    Table<2 + 3, ENTRIES> table; // parameter, gradient, state
};

using A = Acc<T>;

// Rule has the scalars of a step.
struct Rule {
    A factor, decay, lr;
};

struct SGD : Rule {
    A momentum, mix, use_gradient, use_buffer;
    bool first;
    DEVICE SGD(const OptimizerArgs &a, f64 lr, f64 factor, i64 step) {
        *static_cast<Rule *>(this) = {static_cast<A>(factor), static_cast<A>(a.decay), static_cast<A>(lr)};
        first = step == 1;
        momentum = static_cast<A>(a.momentum);
        mix = first ? A(1) : static_cast<A>(1 - a.dampening);
        use_gradient = a.nesterov ? A(1) : A(0);
        use_buffer = a.nesterov ? momentum : A(1);
    }
    template <class State> DEVICE A update(A p, A g, State &s) const {
        g = factor * g + decay * p;
        if constexpr (STATES > 0) {
            A b = mix * g;
            if (!first) b += momentum * s[0];
            s[0] = b;
            g = use_gradient * g + use_buffer * b;
        }
        return p - lr * g;
    }
};

struct Adam : Rule {
    A couple, mix1, beta2, mix2, root, eps;
    DEVICE Adam(const OptimizerArgs &a, f64 lr, f64 factor, i64 step, bool decoupled = false) {
        f64 correction1 = 1 - pow(a.beta1, f64(step)), correction2 = 1 - pow(a.beta2, f64(step));
        *static_cast<Rule *>(this) = {static_cast<A>(factor), static_cast<A>(decoupled ? lr * a.decay : 0), static_cast<A>(lr / correction1)};
        couple = static_cast<A>(decoupled ? 0 : a.decay);
        mix1 = static_cast<A>(1 - a.beta1);
        beta2 = static_cast<A>(a.beta2);
        mix2 = static_cast<A>(1 - a.beta2);
        root = static_cast<A>(1 / ::sqrt(correction2));
        eps = static_cast<A>(a.eps);
    }
    template <class State> DEVICE A update(A p, A g, State &s) const {
        g = factor * g + couple * p;
        p -= decay * p;
        s[0] += mix1 * (g - s[0]);
        s[1] = beta2 * s[1] + mix2 * g * g;
        A second = s[1];
        if constexpr (STATES > 2) second = s[2] = Larger()(s[2], second);
        return p - lr * s[0] / (math::sqrt(second) * root + eps);
    }
};
struct AdamW : Adam {
    DEVICE AdamW(const OptimizerArgs &a, f64 lr, f64 factor, i64 step) : Adam(a, lr, factor, step, true) {}
};

template <int N> DEVICE void update(const OP &rule, void *const *data, i64 at) {
    T *p = static_cast<T *>(data[0]) + at;
    Vec<T, N> value = load<N>(p), g = load<N>(static_cast<const T *>(data[1]) + at), state[STATES + 1];
#pragma unroll
    for (int k = 0; k < STATES; k++) state[k] = load<N>(static_cast<const T *>(data[2 + k]) + at);
#pragma unroll
    for (int i = 0; i < N; i++) {
        A s[STATES + 1];
#pragma unroll
        for (int k = 0; k < STATES; k++) s[k] = to<A>(state[k][i]);
        value[i] = to<T>(rule.update(to<A>(value[i]), to<A>(g[i]), s));
#pragma unroll
        for (int k = 0; k < STATES; k++) state[k][i] = to<T>(s[k]);
    }
    store(p, value);
#pragma unroll
    for (int k = 0; k < STATES; k++) store(static_cast<T *>(data[2 + k]) + at, state[k]);
}

KERNEL(OptimizerArgs) {
    __shared__ Scalars scalars;
    if (threadIdx.x == 0) {
        scalars = Scalars{args.lr, 1, args.step, 0, 0, 0};
        if (args.slot) scalars = *args.slot;
        if (args.maximize) scalars.b = -scalars.b;
    }
    __syncthreads();
    if (scalars.m != 0) return;
    const OP rule(args, scalars.a, scalars.b, scalars.n);
    constexpr int WIDTH = 16 / sizeof(T);
    u32 entry = args.table.find(blockIdx.x);
    i64 begin = i64(blockIdx.x - args.table.chunks[entry]) * CHUNK, left = args.table.size[entry] - begin;
    u32 length = left < CHUNK ? left : CHUNK, vectors = args.table.aligned[entry] ? length / WIDTH : 0;
    void *const *data = args.table.data[entry];
#pragma unroll 2
    for (u32 i = threadIdx.x; i < vectors; i += THREADS) update<WIDTH>(rule, data, begin + i * WIDTH);
    for (u32 i = vectors * WIDTH + threadIdx.x; i < length; i += THREADS) update<1>(rule, data, begin + i);
}
