// Running sums, products and extremes along one axis; the other axes make lines.
// Where lines are long and few, blocks share them by chunks: with phase TOTALS a
// launch leaves the total of each chunk, PREFIXES turns them into what comes before
// each, and SCAN starts there.
#include "fold.cuh"
#include "scan.cuh"

enum Variant { ROWS, COLUMNS, PREFIXES };

enum Phase : u32 { SCAN, TOTALS };

struct ScanArgs {
    View lines[3];      // x, out, idx over the other axes
    Dims dims;
    i64 stride[3];      // along the axis
    void *carry;        // [line][chunk], where chunks > 1
    u32 length;         // of the axis
    u32 chunk, chunks;  // elements of a chunk
    u32 phase;
};

// As PyTorch on the CPU, running sums of floats are kept in float64.
template <class T> struct CumSum {
    using Partial = choose<is_float<T>, f64, i64>;
    static DEVICE Partial identity() { return 0; }
    static DEVICE Partial take(T x, i64) { return to<Partial>(x); }
    static DEVICE Partial join(Partial x, Partial y) { return x + y; }
    static DEVICE Partial value(Partial x) { return x; }
    static DEVICE void place(i64 *, Partial) {}
};

template <class T> struct CumProd : CumSum<T> {
    using Partial = typename CumSum<T>::Partial;
    static DEVICE Partial identity() { return 1; }
    static DEVICE Partial join(Partial x, Partial y) { return x * y; }
};

// CumMax keeps the later of x and y unless it is smaller. NaN stays for good.
template <class T> struct CumMax {
    using C = Compute<T>;
    using Partial = Found<C>;
    static DEVICE Partial identity() { return {0, -1}; }
    static DEVICE Partial take(T x, i64 at) { return {to<C>(x), at}; }
    static DEVICE Partial join(Partial x, Partial y) {
        bool takes = y.value >= x.value || y.value != y.value;
        return x.at < 0 || (y.at >= 0 && takes) ? y : x;
    }
    static DEVICE C value(Partial x) { return x.value; }
    static DEVICE void place(i64 *idx, Partial x) { *idx = x.at; }
};

template <class T> struct CumMin : CumMax<T> {
    using Partial = typename CumMax<T>::Partial;
    static DEVICE Partial join(Partial x, Partial y) {
        bool takes = y.value <= x.value || y.value != y.value;
        return x.at < 0 || (y.at >= 0 && takes) ? y : x;
    }
};

using Run = OP<T>;
using Partial = Run::Partial;

struct Line {
    const T *x;
    T *out;
    i64 *idx;
    const i64 (&stride)[3];

    DEVICE Line(const ScanArgs &args, u32 line) : stride(args.stride) {
        i64 at[3];
        locate(args.dims, line, args.lines, at);
        x = global(static_cast<const T *>(args.lines[0].data) + at[0]);
        out = static_cast<T *>(args.lines[1].data) + at[1];
        idx = static_cast<i64 *>(args.lines[2].data) + at[2];
    }
    DEVICE T element(u32 i) const { return x[i * stride[0]]; }
    DEVICE void put(u32 i, Partial p) const {
        out[i * stride[1]] = to<T>(Run::value(p));
        Run::place(idx + i * stride[2], p);
    }
    // put does so for N neighbours, the first n of them.
    template <int N> DEVICE void put(u32 i, const Partial (&p)[N], u32 n) const {
        if (n == N && stride[1] == 1 && reinterpret_cast<u64>(out + i) % 16 == 0) {
            Vec<T, N> v;
#pragma unroll
            for (int j = 0; j < N; j++) v[j] = to<T>(Run::value(p[j]));
            store(out + i, v);
#pragma unroll
            for (int j = 0; j < N; j++) Run::place(idx + (i + j) * stride[2], p[j]);
            return;
        }
#pragma unroll
        for (int j = 0; j < N; j++) {
            if (j < n) put(i + j, p[j]);
        }
    }
};

struct Join {
    DEVICE Partial operator()(Partial x, Partial y) const { return Run::join(x, y); }
};

// rows: a block runs along a chunk of a line, each thread taking N neighbours.
DEVICE void rows(const ScanArgs &args) {
    constexpr int N = sizeof(T) < 2 ? 8 : 16 / sizeof(T);
    u32 number = blockIdx.x / args.chunks, chunk = blockIdx.x % args.chunks;
    Line line(args, number);
    u32 begin = chunk * args.chunk, end = args.length - begin < args.chunk ? args.length : begin + args.chunk;
    Partial carry = Run::identity();
    if (args.phase == SCAN && args.chunks > 1) carry = static_cast<Partial *>(args.carry)[blockIdx.x];
    bool vectors = args.stride[0] == 1 && reinterpret_cast<u64>(line.x + begin) % 16 == 0;
    for (u32 tile = begin; tile < end; tile += blockDim.x * N) {
        u32 first = tile + threadIdx.x * N, n = first < end ? (end - first < N ? end - first : N) : 0;
        Vec<T, N> v = {};
        if (vectors && n == N) {
            v = load<N>(line.x + first);
        } else {
#pragma unroll
            for (int i = 0; i < N; i++) {
                if (i < n) v[i] = line.element(first + i);
            }
        }
        Partial run[N];
#pragma unroll
        for (int i = 0; i < N; i++) {
            run[i] = i < n ? Run::take(v[i], first + i) : Run::identity();
            if (i > 0) run[i] = i < n ? Run::join(run[i - 1], run[i]) : run[i - 1];
        }
        Partial whole, before = block_scan(run[N - 1], Run::identity(), whole, Join());
        if (args.phase == SCAN) {
            before = Run::join(carry, before);
#pragma unroll
            for (int i = 0; i < N; i++) run[i] = Run::join(before, run[i]);
            line.put(first, run, n);
        }
        carry = Run::join(carry, whole);
    }
    if (args.phase == TOTALS && threadIdx.x == 0) static_cast<Partial *>(args.carry)[blockIdx.x] = carry;
}

// columns: a thread runs along a chunk of a line; neighbours have neighbouring lines.
DEVICE void columns(const ScanArgs &args) {
    constexpr int N = 8; // loads under way
    u32 thread = blockIdx.x * blockDim.x + threadIdx.x;
    u32 number = thread % args.dims.size, chunk = thread / args.dims.size;
    if (chunk >= args.chunks) return;
    Line line(args, number);
    u32 begin = chunk * args.chunk, end = args.length - begin < args.chunk ? args.length : begin + args.chunk;
    Partial *total = static_cast<Partial *>(args.carry) + i64(number) * args.chunks + chunk;
    Partial carry = args.phase == SCAN && args.chunks > 1 ? *total : Run::identity();
    for (u32 first = begin; first < end; first += N) {
        T v[N];
#pragma unroll
        for (int i = 0; i < N; i++) {
            if (first + i < end) v[i] = line.element(first + i);
        }
#pragma unroll
        for (int i = 0; i < N; i++) {
            if (first + i >= end) break;
            carry = Run::join(carry, Run::take(v[i], first + i));
            if (args.phase == SCAN) line.put(first + i, carry);
        }
    }
    if (args.phase == TOTALS) *total = carry;
}

// prefixes: a block runs along the totals of a line.
DEVICE void prefixes(const ScanArgs &args) {
    Partial *totals = static_cast<Partial *>(args.carry) + i64(blockIdx.x) * args.chunks;
    Partial carry = Run::identity();
    for (u32 first = 0; first < args.chunks; first += blockDim.x) {
        u32 i = first + threadIdx.x;
        Partial whole, before = block_scan(i < args.chunks ? totals[i] : Run::identity(), Run::identity(), whole, Join());
        if (i < args.chunks) totals[i] = Run::join(carry, before);
        carry = Run::join(carry, whole);
    }
}

KERNEL(ScanArgs) {
    if constexpr (VARIANT == ROWS) {
        rows(args);
    } else if constexpr (VARIANT == COLUMNS) {
        columns(args);
    } else {
        prefixes(args);
    }
}
