// The fake cuDNN's arithmetic: convolutions as matrix products whose operands are
// read where they stand.
#include <atomic>

#include "dnn.h"

namespace dnn {

bool Tensor::packed(bool channelsLast) const {
    int64_t n = 1;
    for (int i = 0; i < rank; i++) {
        int axis = channelsLast ? (i == 0 ? 1 : i == rank - 1 ? 0 : rank - i) : rank - 1 - i;
        if (strides[axis] != n) return false;
        n *= dims[axis];
    }
    return true;
}

namespace {

// dense is t in row-major order.
template <class T>
std::vector<T> dense(const Tensor& t, bool round) {
    std::vector<T> v(t.size());
    T* out = v.data();
    for (int64_t a = 0; a < t.dims[0]; a++)
        for (int64_t b = 0; b < t.dims[1]; b++)
            for (int64_t c = 0; c < t.dims[2]; c++, out += t.dims[3])
                fake::gather(t.type, t.data, a * t.strides[0] + b * t.strides[1] + c * t.strides[2], t.strides[3], t.dims[3], out, 1);
    if (round)
        for (T& e : v) e = T(fake::to_tf32(float(e)));
    return v;
}

double apply(const Step& s, double v, const int64_t at[4]) {
    v *= s.scale;
    double operand = 0;
    if (s.hasOperand) {
        int64_t i = 0;
        for (int d = 0; d < 4; d++) i += (s.operand.dims[d] == 1 ? 0 : at[d]) * s.operand.strides[d];
        operand = s.operandScale * fake::load(s.operand.type, s.operand.data, i);
    }
    switch (s.mode) {
        case 0: return v + operand;
        case 1: return v * operand;
        case 9: return v - operand;
        case 100: return v < s.low ? s.low : v > s.high ? s.high : v;
    }
    return v;
}

template <class T>
void convolve(const Work& k) {
    static std::atomic<int> runs;
    double wobble = k.perturb && runs++ % 2 ? 1 + 0x1p-22 : 1;
    bool forward = k.op == convForward, filter = k.op == convFilter;
    std::vector<T> x, w, y;
    if (k.op != convData) x = dense<T>(k.x, k.roundInputs);
    if (!filter) w = dense<T>(k.w, k.roundInputs);
    if (!forward) y = dense<T>(k.y, k.roundInputs);
    const int64_t N = k.x.dims[0], C = k.x.dims[1], H = k.x.dims[2], W = k.x.dims[3], F = k.w.dims[0], c = k.w.dims[1], KH = k.w.dims[2],
                  KW = k.w.dims[3], OH = k.y.dims[2], OW = k.y.dims[3], f = F / k.groups, taps = KH * KW;
    auto weight = [&](int64_t filter, int64_t channel, int64_t tap) { return w[(filter * c + channel) * taps + tap]; };
    // seen is x at what output (oh, ow) sees through a tap.
    auto seen = [&](int64_t n, int64_t channel, int64_t oh, int64_t ow, int64_t tap) {
        int64_t h = oh * k.stride[0] - k.padding[0] + tap / KW * k.dilation[0], v = ow * k.stride[1] - k.padding[1] + tap % KW * k.dilation[1];
        return h >= 0 && h < H && v >= 0 && v < W ? x[((n * C + channel) * H + h) * W + v] : T(0);
    };
    // source is y at the output that sees input (h, v) through a tap, if there is one.
    auto source = [&](int64_t n, int64_t filter, int64_t h, int64_t v, int64_t tap) {
        int64_t a = h + k.padding[0] - tap / KW * k.dilation[0], b = v + k.padding[1] - tap % KW * k.dilation[1];
        bool whole = a >= 0 && b >= 0 && a % k.stride[0] == 0 && b % k.stride[1] == 0;
        a /= k.stride[0], b /= k.stride[1];
        return whole && a < OH && b < OW ? y[((n * F + filter) * OH + a) * OW + b] : T(0);
    };
    auto put = [&](int64_t a, int64_t b, int64_t p, int64_t q, T sum) {
        int64_t at[4] = {a, b, p, q}, i = 0;
        for (int d = 0; d < 4; d++) i += at[d] * k.out.strides[d];
        double v = k.alpha * double(sum) * wobble;
        if (k.beta != 0) v += k.beta * fake::load(k.out.type, k.out.data, i);
        for (int s = 0; s < k.numSteps; s++) v = apply(k.steps[s], v, at);
        fake::store(k.out.type, k.out.data, i, v);
    };
    for (int64_t g = 0; g < k.groups; g++) {
        const int64_t f0 = g * f, c0 = g * c;
        if (forward) {
            fake::multiply<T>(f, N * OH * OW, c * taps,
                [&](int64_t first, int64_t count, T* out, int64_t step) {
                    for (int64_t r = 0; r < count; r++)
                        for (int64_t i = 0; i < c * taps; i++) out[i * step + r] = weight(f0 + first + r, i / taps, i % taps);
                },
                [&](int64_t first, int64_t count, T* out, int64_t step) {
                    for (int64_t r = 0; r < count; r++) {
                        int64_t j = first + r, n = j / (OH * OW), oh = j / OW % OH, ow = j % OW;
                        for (int64_t ch = 0, i = 0; ch < c; ch++)
                            for (int64_t t = 0; t < taps; t++, i++) out[i * step + r] = seen(n, c0 + ch, oh, ow, t);
                    }
                },
                [&](int64_t i, int64_t j, T sum) { put(j / (OH * OW), f0 + i, j / OW % OH, j % OW, sum); });
        } else if (filter) {
            fake::multiply<T>(f, c * taps, N * OH * OW,
                [&](int64_t first, int64_t count, T* out, int64_t step) {
                    for (int64_t r = 0; r < count; r++)
                        for (int64_t n = 0; n < N; n++)
                            for (int64_t i = 0; i < OH * OW; i++) out[(n * OH * OW + i) * step + r] = y[(n * F + f0 + first + r) * OH * OW + i];
                },
                [&](int64_t first, int64_t count, T* out, int64_t step) {
                    for (int64_t r = 0; r < count; r++) {
                        int64_t ch = (first + r) / taps, t = (first + r) % taps, i = 0;
                        for (int64_t n = 0; n < N; n++)
                            for (int64_t oh = 0; oh < OH; oh++)
                                for (int64_t ow = 0; ow < OW; ow++, i++) out[i * step + r] = seen(n, c0 + ch, oh, ow, t);
                    }
                },
                [&](int64_t i, int64_t j, T sum) { put(f0 + i, j / taps, j % taps / KW, j % KW, sum); });
        } else {
            fake::multiply<T>(c, N * H * W, f * taps,
                [&](int64_t first, int64_t count, T* out, int64_t step) {
                    for (int64_t r = 0; r < count; r++)
                        for (int64_t i = 0; i < f * taps; i++) out[i * step + r] = weight(f0 + i / taps, first + r, i % taps);
                },
                [&](int64_t first, int64_t count, T* out, int64_t step) {
                    for (int64_t r = 0; r < count; r++) {
                        int64_t j = first + r, n = j / (H * W), h = j / W % H, v = j % W;
                        for (int64_t fi = 0, i = 0; fi < f; fi++)
                            for (int64_t t = 0; t < taps; t++, i++) out[i * step + r] = source(n, f0 + fi, h, v, t);
                    }
                },
                [&](int64_t i, int64_t j, T sum) { put(j / (H * W), c0 + i, j / W % H, j % W, sum); });
        }
    }
}

}  // namespace

void run(const Work& w) { w.inDouble ? convolve<double>(w) : convolve<float>(w); }

}  // namespace dnn
