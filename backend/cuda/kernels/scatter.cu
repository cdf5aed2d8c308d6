// Scatters. Of the axes that are not indexed, some make lines, which have indices
// of their own, the others columns, on which the index is broadcast: what competes
// for an element of out stands on one line and in one column.
//
// SERIAL goes through short lines in order. For long ones the indices of each line
// have been sorted, stably, so that what falls to one element follows each other in
// order. Then LAST stores the last of each. To add, a thread of SUM takes a run of
// the sorted indices and adds up what falls to each element; the sums that the ends
// of runs cut are left in parts, which JOIN adds up in order.
#include "fold.cuh"

enum Variant { SERIAL, LAST, SUM, JOIN };

struct ScatterArgs {
    View lines[3];      // src, out, index over the lines
    View columns[2];    // src and out over the columns
    Dims line, column;  // columns in vectors where wide
    i64 stride[3];      // along the axis
    i64 length, size;   // of the axis in src and index, in out
    const i64 *sorted, *order; // [line][length]: the indices in order, and their places
    void *parts;        // [2][line][run][column]: of the elements that runs begin with, end with
    u32 run, runs;      // indices of a run; runs of a line
    u32 width;          // columns of a block, a power of 2
    u32 wide;           // whether columns are vectors
    ErrorWord *error;
    u32 op;
    u32 unused;
};

struct ScatterAssign {
    using Partial = T;
    static DEVICE T join(T, T x) { return x; }
};

struct ScatterAdd {
    using Partial = Compute<T>;
    static DEVICE Partial join(Partial held, Partial x) { return held + x; }
};

using Partial = OP::Partial;

// Place is what a thread works at: N columns of a run of a line.
template <int N> struct Place {
    const ScatterArgs &args;
    u32 line, run, column;
    const i64 *sorted, *order;

    DEVICE Place(const ScatterArgs &args) : args(args) {
        u32 number = blockIdx.x * (THREADS / args.width) + threadIdx.x / args.width;
        line = number / args.runs;
        run = number % args.runs;
        column = blockIdx.y * args.width + threadIdx.x % args.width;
        sorted = args.sorted + line * args.length;
        order = args.order + line * args.length;
    }
    // array is where the thread's columns of src (0) or out (1) begin.
    DEVICE T *array(int k) const {
        i64 at[3], within[2];
        locate(args.line, line, args.lines, at);
        locate(args.column, column, args.columns, within);
        return global(static_cast<T *>(args.lines[k].data) + at[k] + within[k]);
    }
    DEVICE const i64 *index() const {
        i64 at[3];
        locate(args.line, line, args.lines, at);
        return global(static_cast<const i64 *>(args.lines[2].data) + at[2]);
    }
    DEVICE bool inside() const { return line < args.line.size && column < args.column.size; }
    DEVICE i64 begin() const { return i64(run) * args.run; }
    DEVICE i64 end() const { return args.length - begin() < args.run ? args.length : begin() + args.run; }
    DEVICE Vec<T, N> row(const T *src, i64 i) const { return load<N>(src + i * args.stride[0]); }
    DEVICE bool good(i64 target) const { return u64(target) < u64(args.size); }

    // joined says whether the sorted index at i, a border of runs, equals the one before.
    DEVICE bool joined(i64 i) const { return i > 0 && i < args.length && sorted[i - 1] == sorted[i]; }

    // part is that of a run's first (0) or last (1) element.
    DEVICE Partial *part(u32 which, u32 run) const {
        i64 runs = i64(args.line.size) * args.runs;
        return static_cast<Partial *>(args.parts) + ((which * runs + line * args.runs + run) * args.column.size + column) * N;
    }

    template <class X> DEVICE void put(i64 target, const Vec<X, N> &x) const {
        if (!good(target)) {
            report(args.error, INDEX_OUT_OF_RANGE, args.op, target, args.size);
            return;
        }
        T *p = array(1) + target * args.stride[1];
        Vec<T, N> v = load<N>(p);
#pragma unroll
        for (int i = 0; i < N; i++) v[i] = to<T>(OP::join(to<Partial>(v[i]), to<Partial>(x[i])));
        store(p, v);
    }
};

template <int N> DEVICE void serial(const ScatterArgs &args) {
    Place<N> p(args);
    if (!p.inside()) return;
    const T *src = p.array(0);
    const i64 *index = p.index();
#pragma unroll 1
    for (i64 i = 0; i < args.length; i++) p.put(index[i * args.stride[2]], p.row(src, i));
}

// last: runs are of one index.
template <int N> DEVICE void last(const ScatterArgs &args) {
    Place<N> p(args);
    if (p.inside() && !p.joined(p.run + 1)) p.put(p.sorted[p.run], p.row(p.array(0), p.order[p.run]));
}

template <int N> DEVICE void sum(const ScatterArgs &args) {
    constexpr int AHEAD = 4; // rows under way
    Place<N> p(args);
    if (!p.inside()) return;
    i64 begin = p.begin(), end = p.end(), target = p.sorted[begin];
    bool cut = p.joined(begin);
    const T *src = p.array(0);
    Vec<Partial, N> acc = {};
    for (i64 first = begin; first < end; first += AHEAD) {
        Vec<T, N> rows[AHEAD];
#pragma unroll
        for (int j = 0; j < AHEAD; j++) {
            if (first + j < end) rows[j] = p.row(src, p.order[first + j]);
        }
#pragma unroll
        for (int j = 0; j < AHEAD; j++) {
            if (first + j >= end) break;
            i64 next = p.sorted[first + j];
            if (next != target) {
                if (cut) {
                    store(p.part(0, p.run), acc);
                } else {
                    p.put(target, acc);
                }
                cut = false;
                target = next;
                acc = {};
            }
#pragma unroll
            for (int i = 0; i < N; i++) acc[i] = OP::join(acc[i], to<Partial>(rows[j][i]));
        }
    }
    if (cut || p.joined(end)) {
        store(p.part(!cut, p.run), acc);
    } else {
        p.put(target, acc);
    }
}

template <int N> DEVICE void join(const ScatterArgs &args) {
    Place<N> p(args);
    if (!p.inside()) return;
    i64 begin = p.begin(), end = p.end(), target = p.sorted[end - 1];
    bool elsewhere = p.joined(begin) && p.sorted[begin] == target; // begins in a run before
    if (elsewhere || !p.joined(end)) return;
    Vec<Partial, N> acc = load<N>(p.part(1, p.run));
    const Partial *next = p.part(0, p.run + 1);
    do {
        Vec<Partial, N> x = load<N>(next);
#pragma unroll
        for (int i = 0; i < N; i++) acc[i] = OP::join(acc[i], x[i]);
        next += i64(args.column.size) * N;
        end = args.length - end < args.run ? args.length : end + args.run;
    } while (p.sorted[end - 1] == target && p.joined(end));
    p.put(target, acc);
}

template <int N> DEVICE void scatter(const ScatterArgs &args) {
    if constexpr (VARIANT == SERIAL) {
        serial<N>(args);
    } else if constexpr (VARIANT == LAST) {
        last<N>(args);
    } else if constexpr (VARIANT == SUM) {
        sum<N>(args);
    } else {
        join<N>(args);
    }
}

KERNEL(ScatterArgs) {
    if (args.wide) {
        scatter<LANES<T, Partial>>(args);
    } else {
        scatter<1>(args);
    }
}
