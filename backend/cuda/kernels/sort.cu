// Stable sorts of the lines along one axis. Elements become keys, unsigned numbers
// in the order that is wanted, with their positions.
//
// SMALL sorts whole lines in shared memory, by a bitonic network; the position makes
// keys unequal, so the order is the stable one. Longer lines are sorted by radix,
// least digit first: KEYS makes the keys; then for each digit COUNT counts it in
// every tile, OFFSETS turns counts into places and MOVE moves what is in a tile to
// them in order; EMIT fetches the elements.
#include "global.cuh"
#include "scan.cuh"

enum Variant { SMALL, KEYS, COUNT, OFFSETS, MOVE, EMIT };

struct SortArgs {
    View lines[3];      // x, out, idx over the other axes; out and idx may lack data
    Dims dims;
    i64 stride[3];      // along the axis
    void *keys, *moved; // [line][length]: what is sorted, where MOVE puts it
    u32 *from, *to;     // the positions of keys and moved
    u32 *counts;        // [line][digit][tile]
    u32 *totals;        // [line][digit]
    u32 length, first;  // elements of a line; how many of the order are wanted
    u32 tiles;          // of a line
    u32 shift;          // to the digit in hand
    u32 bits;           // SMALL: a line is padded to 2^bits elements
    u32 descending;
};

constexpr u32 DIGITS = 256, TILE = 2048, PER_THREAD = TILE / THREADS;
static_assert(THREADS == DIGITS, "a thread has a digit");

template <int BYTES> struct Unsigned;
template <> struct Unsigned<1> {
    using type = u8;
};
template <> struct Unsigned<2> {
    using type = u16;
};
template <> struct Unsigned<4> {
    using type = u32;
};
template <> struct Unsigned<8> {
    using type = u64;
};
using Key = Unsigned<sizeof(T)>::type;

// key_of has x's place in the order: NaN last or, descending, first; -0 is 0.
DEVICE Key key_of(T x, u32 descending) {
    constexpr Key sign = Key(Key(1) << (8 * sizeof(T) - 1));
    Key key = bits<Key>(x);
    if constexpr (is_float<T>) {
        auto value = widen(x);
        if (value != value) {
            key = Key(~Key(0));
        } else if (value == 0) {
            key = sign;
        } else {
            key = key & sign ? Key(~key) : Key(key | sign);
        }
    } else if constexpr (!same<T, u8> && !same<T, boolean>) {
        key ^= sign;
    }
    return descending ? Key(~key) : key;
}

struct Line {
    const T *x;
    T *out;
    i64 *idx;
    const i64 (&stride)[3];

    DEVICE Line(const SortArgs &args, u32 line) : stride(args.stride) {
        i64 at[3];
        locate(args.dims, line, args.lines, at);
        x = global(static_cast<const T *>(args.lines[0].data) + at[0]);
        out = args.lines[1].data ? static_cast<T *>(args.lines[1].data) + at[1] : nullptr;
        idx = args.lines[2].data ? static_cast<i64 *>(args.lines[2].data) + at[2] : nullptr;
    }
    DEVICE T element(u32 i) const { return x[i * stride[0]]; }
    // put says that the element at the position from is the i-th.
    DEVICE void put(u32 i, u32 from) const {
        if (out) out[i * stride[1]] = element(from);
        if (idx) idx[i * stride[2]] = from;
    }
};

// Items are keys with their positions, which come to bear where keys are equal.
struct Short {
    u64 both;
    DEVICE u32 at() const { return u32(both); }
    DEVICE bool before(const Short &y) const { return both < y.both; }
};
struct Long {
    u64 key;
    u32 place;
    DEVICE u32 at() const { return place; }
    DEVICE bool before(const Long &y) const { return key < y.key || (key == y.key && place < y.place); }
};
DEVICE Long item(u64 key, u32 at) { return {key, at}; }
DEVICE Short item(u32 key, u32 at) { return {u64(key) << 32 | at}; }
DEVICE Short item(u16 key, u32 at) { return item(u32(key), at); }
DEVICE Short item(u8 key, u32 at) { return item(u32(key), at); }

DEVICE void small(const SortArgs &args) {
    using Item = choose<sizeof(Key) == 8, Long, Short>;
    DYNAMIC_SHARED(Item, items); // the lines of the block, padded
    u32 padded = 1u << args.bits, lines = TILE / padded < args.dims.size ? TILE / padded : args.dims.size;
    u32 first = blockIdx.x * lines, total = lines * padded;
    for (u32 i = threadIdx.x; i < total; i += blockDim.x) {
        u32 line = first + (i >> args.bits), place = i & (padded - 1);
        Key key = Key(~Key(0));
        if (line < args.dims.size && place < args.length) key = key_of(Line(args, line).element(place), args.descending);
        items[i] = item(key, place);
    }
    __syncthreads();
    for (u32 run = 2; run <= padded; run *= 2) {
        for (u32 gap = run / 2; gap > 0; gap /= 2) {
            for (u32 pair = threadIdx.x; pair < total / 2; pair += blockDim.x) {
                u32 low = 2 * (pair & ~(gap - 1)) | (pair & (gap - 1)), high = low + gap;
                bool up = run == padded || (low & run) == 0;
                Item a = items[low], b = items[high];
                if (b.before(a) == up) {
                    items[low] = b;
                    items[high] = a;
                }
            }
            __syncthreads();
        }
    }
    for (u32 i = threadIdx.x; i < lines * args.first; i += blockDim.x) {
        u32 line = first + i / args.first, place = i % args.first;
        if (line < args.dims.size) Line(args, line).put(place, items[(i / args.first << args.bits) + place].at());
    }
}

// Block is a tile of a line, as a radix sort's kernels take one each.
struct Block {
    u32 line, tile, begin, end; // places in the line
    i64 base;                   // of the line among keys
    DEVICE Block(const SortArgs &args) {
        line = blockIdx.x / args.tiles;
        tile = blockIdx.x % args.tiles;
        begin = tile * TILE;
        end = args.length - begin < TILE ? args.length : begin + TILE;
        base = i64(line) * args.length;
    }
};

DEVICE void keys(const SortArgs &args) {
    Block b(args);
    Line line(args, b.line);
    for (u32 i = b.begin + threadIdx.x; i < b.end; i += THREADS) {
        static_cast<Key *>(args.keys)[b.base + i] = key_of(line.element(i), args.descending);
        args.from[b.base + i] = i;
    }
}

DEVICE void emit(const SortArgs &args) {
    Block b(args);
    Line line(args, b.line);
    for (u32 i = b.begin + threadIdx.x; i < b.end && i < args.first; i += THREADS) line.put(i, args.from[b.base + i]);
}

DEVICE u32 digit_of(Key key, u32 shift) { return u32(key >> shift) % DIGITS; }

DEVICE void count(const SortArgs &args) {
    __shared__ u32 counts[DIGITS];
    Block b(args);
    const Key *keys = static_cast<const Key *>(args.keys) + b.base;
    counts[threadIdx.x] = 0;
    __syncthreads();
    for (u32 i = b.begin + threadIdx.x; i < b.end; i += THREADS) atomicAdd(&counts[digit_of(keys[i], args.shift)], 1u);
    __syncthreads();
    args.counts[(i64(b.line) * DIGITS + threadIdx.x) * args.tiles + b.tile] = counts[threadIdx.x];
}

// offsets: a block turns a digit's counts into the numbers of those before each tile.
DEVICE void offsets(const SortArgs &args) {
    u32 *counts = args.counts + i64(blockIdx.x) * args.tiles, carry = 0;
    for (u32 first = 0; first < args.tiles; first += THREADS) {
        u32 i = first + threadIdx.x, whole;
        u32 before = block_scan(i < args.tiles ? counts[i] : 0u, 0u, whole, Plus());
        if (i < args.tiles) counts[i] = carry + before;
        carry += whole;
    }
    if (threadIdx.x == 0) args.totals[blockIdx.x] = carry;
}

DEVICE void move(const SortArgs &args) {
    __shared__ u32 warps[THREADS / 32][DIGITS]; // of each digit in each warp; then those in warps before
    __shared__ u32 starts[DIGITS];              // of the digits in the sorted tile
    __shared__ u32 targets[DIGITS];             // what takes a place there to the line
    __shared__ Key keys[TILE];
    __shared__ u32 from[TILE];
    Block b(args);
    u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32, count = b.end - b.begin;
    for (u32 i = threadIdx.x; i < THREADS / 32 * DIGITS; i += THREADS) (&warps[0][0])[i] = 0;
    __syncthreads();

    // A warp takes neighbours; what lies beyond the end counts as the last digit.
    Key key[PER_THREAD];
    u32 position[PER_THREAD], rank[PER_THREAD];
#pragma unroll
    for (u32 r = 0; r < PER_THREAD; r++) {
        u32 i = (warp * PER_THREAD + r) * 32 + lane;
        key[r] = i < count ? static_cast<const Key *>(args.keys)[b.base + b.begin + i] : Key(~Key(0));
        position[r] = i < count ? args.from[b.base + b.begin + i] : 0;
    }
#pragma unroll
    for (u32 r = 0; r < PER_THREAD; r++) {
        u32 digit = digit_of(key[r], args.shift), peers = 0xFFFFFFFFu;
#pragma unroll
        for (int bit = 0; bit < 8; bit++) {
            u32 ones = __ballot_sync(0xFFFFFFFFu, digit >> bit & 1);
            peers &= digit >> bit & 1 ? ones : ~ones;
        }
        u32 lower = peers & ((1u << lane) - 1), seen = warps[warp][digit];
        rank[r] = seen + __popc(lower);
        __syncwarp();
        if (lower == 0) warps[warp][digit] = seen + __popc(peers);
        __syncwarp();
    }
    __syncthreads();

    u32 digit = threadIdx.x, sum = 0, whole;
    for (u32 w = 0; w < THREADS / 32; w++) {
        u32 n = warps[w][digit];
        warps[w][digit] = sum;
        sum += n;
    }
    u32 start = block_scan(sum, 0u, whole, Plus());
    u32 before = block_scan(args.totals[i64(b.line) * DIGITS + digit], 0u, whole, Plus());
    starts[digit] = start;
    targets[digit] = before + args.counts[(i64(b.line) * DIGITS + digit) * args.tiles + b.tile] - start;
    __syncthreads();

#pragma unroll
    for (u32 r = 0; r < PER_THREAD; r++) {
        u32 digit = digit_of(key[r], args.shift), place = starts[digit] + warps[warp][digit] + rank[r];
        keys[place] = key[r];
        from[place] = position[r];
    }
    __syncthreads();
    for (u32 i = threadIdx.x; i < count; i += THREADS) {
        i64 target = b.base + u32(targets[digit_of(keys[i], args.shift)] + i);
        static_cast<Key *>(args.moved)[target] = keys[i];
        args.to[target] = from[i];
    }
}

KERNEL(SortArgs) {
    if constexpr (VARIANT == SMALL) {
        small(args);
    } else if constexpr (VARIANT == KEYS) {
        keys(args);
    } else if constexpr (VARIANT == COUNT) {
        count(args);
    } else if constexpr (VARIANT == OFFSETS) {
        offsets(args);
    } else if constexpr (VARIANT == MOVE) {
        move(args);
    } else {
        emit(args);
    }
}
