// A fake libcublasLt.so.13: the matrix product with its epilogues, on the CPU, as
// work of a fake stream. It refuses what the real one refuses, and more: an algorithm
// serves only the problem that it was asked for, and a workspace is scribbled over.
#include <cmath>
#include <cstdio>

#include "gemm.h"
#include "library.h"

using fake::Type;

namespace {

enum Status { ok = 0, notInitialized = 1, allocFailed = 3, invalidValue = 7, executionFailed = 13, notSupported = 15 };

enum { r32f = 0, r64f = 1, r16f = 2, r16bf = 14 };
enum { compute32f = 68, compute32fPedantic = 69, compute64f = 70, compute64fPedantic = 71, computeFastTF32 = 77 };

// Bits of an epilogue.
enum { relu = 2, bias = 4, drelu = 8, bgrad = 16, gelu = 32, dgelu = 64, aux = 128, bgradA = 256, bgradB = 512 };
constexpr uint32_t epilogues[] = {1, relu, bias, relu | bias, relu | aux, relu | bias | aux, gelu, gelu | bias, gelu | aux,
    gelu | bias | aux, drelu | aux, drelu | aux | bgrad, dgelu | aux, dgelu | aux | bgrad, bgradA, bgradB};

struct Handle {
    uint64_t magic;
};

struct Desc {
    uint64_t magic;
    int32_t compute, scale, pointerMode = 0, transA = 0, transB = 0, transC = 0, fill = 0, smCount = 0;
    uint32_t epilogue = 1;
    int32_t auxType = -1, biasType = -1;
    void *biasPointer = nullptr, *auxPointer = nullptr;
    int64_t biasStride = 0, auxLD = 0, auxStride = 0;
    int8_t fastAccumulation = 0;
};

struct Layout {
    uint64_t magic;
    uint32_t type;
    int32_t order = 0, batch = 1;
    uint64_t rows, cols;
    int64_t ld, stride = 0;
};

struct Preference {
    uint64_t magic;
    uint32_t search = 0, reductions = ~0u;
    uint64_t workspace = 0;
    uint32_t alignment[4] = {256, 256, 256, 256};
    float waves = 0;
    uint64_t implementations = ~0ull;
};

// Algorithm is what the 64 opaque bytes hold.
struct Algorithm {
    uint64_t magic, problem, workspace;
    uint32_t alignment[4], biasAlignment;
    int32_t id;
    uint64_t unused[2];
};
static_assert(sizeof(Algorithm) == 64, "cublasLtMatmulAlgo_t");

struct Result {
    Algorithm algorithm;
    uint64_t workspace;
    int32_t state;
    float waves;
    int32_t reserved[4];
};
static_assert(sizeof(Result) == 96, "cublasLtMatmulHeuristicResult_t");

constexpr uint64_t handleMagic = 0xb1a5000000000001, descMagic = 0xb1a5000000000002, layoutMagic = 0xb1a5000000000003,
                   preferenceMagic = 0xb1a5000000000004, algorithmMagic = 0xb1a5000000000005;

template <class T>
bool is(const T* p, uint64_t magic) {
    return p && p->magic == magic;
}

// refuse says why on stderr, unless it is an answer rather than misuse.
Status refuse(const char* call, Status s, const char* why) { return s == notSupported ? s : Status(fakecuda_error(s, "%s: %s", call, why)); }

template <class T>
Status destroy(T* p, uint64_t magic, const char* call) {
    if (int code = fakecuda_enter(call)) return Status(code);
    if (!is(p, magic)) return refuse(call, invalidValue, "not such an object, or destroyed before");
    p->magic = 0;
    delete p;
    return ok;
}

// Field is where an attribute stands.
struct Field {
    void* at;
    size_t size;
};

template <class T>
Field field(T& t) {
    return {&t, sizeof t};
}

Field find(Desc* d, int attribute) {
    switch (attribute) {
        case 0: return field(d->compute);
        case 1: return field(d->scale);
        case 2: return field(d->pointerMode);
        case 3: return field(d->transA);
        case 4: return field(d->transB);
        case 5: return field(d->transC);
        case 6: return field(d->fill);
        case 7: return field(d->epilogue);
        case 8: return field(d->biasPointer);
        case 10: return field(d->biasStride);
        case 11: return field(d->auxPointer);
        case 12: return field(d->auxLD);
        case 13: return field(d->auxStride);
        case 15: return field(d->smCount);
        case 22: return field(d->auxType);
        case 25: return field(d->fastAccumulation);
        case 26: return field(d->biasType);
    }
    return {};
}

Field find(Layout* l, int attribute) {
    switch (attribute) {
        case 0: return field(l->type);
        case 1: return field(l->order);
        case 2: return field(l->rows);
        case 3: return field(l->cols);
        case 4: return field(l->ld);
        case 5: return field(l->batch);
        case 6: return field(l->stride);
    }
    return {};
}

Field find(Preference* p, int attribute) {
    switch (attribute) {
        case 0: return field(p->search);
        case 1: return field(p->workspace);
        case 3: return field(p->reductions);
        case 5: case 6: case 7: case 8: return field(p->alignment[attribute - 5]);
        case 9: return field(p->waves);
        case 12: return field(p->implementations);
    }
    return {};
}

template <class T>
Status set(T* p, uint64_t magic, int attribute, const void* buf, size_t size, const char* call) {
    if (int code = fakecuda_enter(call)) return Status(code);
    if (!is(p, magic) || !buf) return invalidValue;
    Field f = find(p, attribute);
    if (!f.at || f.size != size) return Status(fakecuda_error(invalidValue, "%s: attribute %d of %zu bytes", call, attribute, size));
    std::memcpy(f.at, buf, size);
    return ok;
}

template <class T>
Status get(T* p, uint64_t magic, int attribute, void* buf, size_t size, size_t* written, const char* call) {
    if (int code = fakecuda_enter(call)) return Status(code);
    if (!is(p, magic)) return invalidValue;
    Field f = find(p, attribute);
    if (!f.at || (!buf && !written) || (size != 0 && size < f.size)) return invalidValue;
    if (buf && size) std::memcpy(buf, f.at, f.size);
    if (written) *written = f.size;
    return ok;
}

bool type_of(int32_t r, Type* t) {
    switch (r) {
        case r32f: *t = Type::f32; return true;
        case r64f: *t = Type::f64; return true;
        case r16f: *t = Type::f16; return true;
        case r16bf: *t = Type::bf16; return true;
    }
    return false;
}

// Operand is a matrix in memory: element (i, j) of batch b stands at
// b·batch + i·row + j·col.
struct Operand {
    Type type;
    int64_t rows, cols, row, col, batch, ld, count;

    int64_t extent() const {  // bytes
        return ((count - 1) * batch + (rows - 1) * row + (cols - 1) * col + 1) * fake::size_of(type);
    }
};

struct Problem {
    Desc desc;
    Operand a, b, c, d;
    int64_t m, n, k;
    Type biasType, auxType;
    bool tf32, inDouble;
    uint64_t hash;
};

bool operand(const Layout* l, bool transposed, Operand* o) {
    if (!type_of(l->type, &o->type) || l->rows == 0 || l->cols == 0 || l->batch < 1 || l->stride < 0) return false;
    if (l->order != 0 && l->order != 1) return false;
    int64_t rows = l->rows, cols = l->cols;
    if (l->ld < (l->order == 0 ? rows : cols)) return false;
    *o = {o->type, rows, cols, l->order == 0 ? 1 : l->ld, l->order == 0 ? l->ld : 1, l->stride, l->ld, l->batch};
    if (transposed) {
        std::swap(o->rows, o->cols);
        std::swap(o->row, o->col);
    }
    return true;
}

// resolve checks a problem as the heuristics do.
Status resolve(const char* call, const Desc* desc, const Layout* a, const Layout* b, const Layout* c, const Layout* d, Problem* p) {
    if (!is(desc, descMagic)) return refuse(call, invalidValue, "no such descriptor");
    for (const Layout* l : {a, b, c, d})
        if (!is(l, layoutMagic)) return refuse(call, invalidValue, "no such layout");
    p->desc = *desc;
    for (int32_t t : {desc->transA, desc->transB})
        if (t != 0 && t != 1) return refuse(call, notSupported, "an operand that is neither plain nor transposed");
    if (desc->transC != 0 || (desc->fill != 0 && desc->fill != 2) || desc->pointerMode > 1) return refuse(call, notSupported, "mode of C, fill or pointers");
    if (!operand(a, desc->transA, &p->a) || !operand(b, desc->transB, &p->b) || !operand(c, false, &p->c) || !operand(d, false, &p->d))
        return refuse(call, invalidValue, "type, sizes, order, leading dimension or batch of a layout");
    p->m = p->a.rows, p->k = p->a.cols, p->n = p->b.cols;
    if (p->b.rows != p->k || p->c.rows != p->m || p->c.cols != p->n || p->d.rows != p->m || p->d.cols != p->n)
        return refuse(call, invalidValue, "sizes of the matrices do not fit");
    if (p->a.count != p->d.count || p->b.count != p->d.count || p->c.count != p->d.count) return refuse(call, invalidValue, "batch counts differ");
    if (p->d.count > 1) {  // matrices of D may not overlap
        int64_t outer = d->order == 0 ? p->n : p->m, inner = d->order == 0 ? p->m : p->n, batch = p->d.batch, last = batch * (p->d.count - 1);
        bool apart = batch >= (outer - 1) * d->ld + inner, side = batch >= inner && last + inner <= d->ld;
        if (!apart && !side)
            return refuse(call, invalidValue, "matrices of D overlap");
    }

    p->inDouble = desc->compute == compute64f || desc->compute == compute64fPedantic;
    p->tf32 = desc->compute == computeFastTF32;
    bool half = p->a.type == Type::f16 || p->a.type == Type::bf16;
    bool types = p->a.type == p->b.type && p->c.type == p->d.type;
    if (p->inDouble)
        types = types && p->a.type == Type::f64 && p->d.type == Type::f64 && desc->scale == r64f;
    else if (desc->compute == compute32f || desc->compute == compute32fPedantic || p->tf32)
        types = types && desc->scale == r32f && p->a.type != Type::f64 && (p->d.type == p->a.type || (half && p->d.type == Type::f32)) && !(p->tf32 && half);
    else
        types = false;
    if (!types) return refuse(call, notSupported, "types of operands, scale and computation");

    uint32_t e = desc->epilogue;
    if (std::find(std::begin(epilogues), std::end(epilogues), e) == std::end(epilogues)) return refuse(call, notSupported, "epilogue");
    if (e != 1 && (d->order != 0 || p->inDouble)) return refuse(call, notSupported, "an epilogue needs a column-major D, and no doubles");
    p->biasType = p->auxType = p->d.type;
    if (desc->biasType != -1 && (!type_of(desc->biasType, &p->biasType) || p->biasType != p->d.type)) return refuse(call, notSupported, "type of the bias");
    if (desc->auxType != -1 && (!type_of(desc->auxType, &p->auxType) || p->auxType != p->d.type)) return refuse(call, notSupported, "type of the auxiliary matrix");
    if (e & aux) {
        int64_t unit = e & (relu | drelu) ? 128 : 8;
        if (desc->auxLD < p->m || desc->auxLD % unit || desc->auxStride % unit) return refuse(call, invalidValue, "leading dimension of the auxiliary matrix");
    }

    uint64_t h = 14695981039346656037ull;
    auto mix = [&](int64_t v) { h = (h ^ uint64_t(v)) * 1099511628211ull; };
    for (int64_t v : {p->m, p->n, p->k, int64_t(desc->compute), int64_t(desc->transA), int64_t(desc->transB), int64_t(e), desc->auxLD}) mix(v);
    for (const Operand* o : {&p->a, &p->b, &p->c, &p->d})
        for (int64_t v : {int64_t(o->type), o->row, o->col, o->batch, o->count}) mix(v);
    p->hash = h;
    return ok;
}

uint32_t alignment_of(uint64_t v) { return v == 0 ? 256 : std::min<uint64_t>(256, v & -v); }

// propose is the i-th algorithm for p; false if there is none such.
bool propose(const Problem& p, const Preference& pref, int i, Algorithm* a) {
    const Operand* o[] = {&p.a, &p.b, &p.c, &p.d};
    *a = {algorithmMagic, p.hash, 0, {}, uint32_t(fake::size_of(p.biasType)), i, {}};
    for (int j = 0; j < 4; j++) {
        uint32_t width = alignment_of(uint64_t(o[j]->ld * fake::size_of(o[j]->type)));
        if (o[j]->count > 1) width = std::min(width, alignment_of(uint64_t(o[j]->batch * fake::size_of(o[j]->type))));
        a->alignment[j] = std::min({16u, pref.alignment[j], width});
        if (pref.alignment[j] < fake::size_of(o[j]->type)) return false;
    }
    if (p.desc.epilogue & bias) a->biasAlignment = std::min(16u, alignment_of(reinterpret_cast<uint64_t>(p.desc.biasPointer)));
    if (i == 0) {  // the fast one splits k
        a->workspace = std::min<uint64_t>((uint64_t(p.m) * p.n * 4 + 255) / 256 * 256, 1 << 18);
        return a->workspace <= pref.workspace;
    }
    if (i == 1) return true;
    // A third works for any alignment.
    for (int j = 0; j < 4; j++) a->alignment[j] = uint32_t(fake::size_of(o[j]->type));
    a->biasAlignment = uint32_t(fake::size_of(p.biasType));
    return i == 2;
}

double gelu_of(double x) { return 0.5 * x * (1 + std::tanh(0.7978845608028654 * (x + 0.044715 * x * x * x))); }

double gelu_slope(double x) {
    double t = std::tanh(0.7978845608028654 * (x + 0.044715 * x * x * x));
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * 0.7978845608028654 * (1 + 3 * 0.044715 * x * x);
}

template <class T>
void compute(const Problem& p, double alpha, double beta, const char* a, const char* b, const char* c, char* d) {
    uint32_t e = p.desc.epilogue;
    std::vector<double> gradient(e & (bgrad | bgradA) ? p.m : e & bgradB ? p.n : 0);
    auto reader = [&](const Operand& o, const char* base, int64_t outer, int64_t inner) {
        return [&o, &p, base, outer, inner](int64_t first, int64_t count, T* out, int64_t step) {
            for (int64_t r = 0; r < count; r++) {
                fake::gather(o.type, base, (first + r) * outer, inner, p.k, out + r, step);
                if (p.tf32)
                    for (int64_t q = 0; q < p.k; q++) out[r + q * step] = T(fake::to_tf32(float(out[r + q * step])));
            }
        };
    };
    for (int64_t at = 0; at < p.d.count; at++) {
        auto base = [&](const char* x, const Operand& o) { return x + at * o.batch * fake::size_of(o.type); };
        const char *ab = base(a, p.a), *bb = base(b, p.b), *cb = c ? base(c, p.c) : nullptr;
        char* db = const_cast<char*>(base(d, p.d));
        char* auxb = static_cast<char*>(p.desc.auxPointer);
        if (e & aux) auxb += e & (relu | drelu) ? at * p.desc.auxStride / 8 : at * p.desc.auxStride * fake::size_of(p.auxType);
        char* biasb = static_cast<char*>(p.desc.biasPointer);
        if (biasb) biasb += at * p.desc.biasStride * fake::size_of(p.biasType);
        fake::multiply<T>(p.m, p.n, p.k, reader(p.a, ab, p.a.row, p.a.col), reader(p.b, bb, p.b.col, p.b.row), [&](int64_t i, int64_t j, T sum) {
            double v = alpha * double(sum);
            if (beta != 0) v += beta * fake::load(p.c.type, cb, i * p.c.row + j * p.c.col);
            if (e & bias) v += fake::load(p.biasType, biasb, i);
            if (e & aux && e & relu) {
                int64_t bit = i + j * p.desc.auxLD;
                uint8_t& byte = reinterpret_cast<uint8_t*>(auxb)[bit / 8];
                byte = uint8_t((byte & ~(1 << bit % 8)) | (v > 0) << bit % 8);
            } else if (e & aux && e & gelu) {
                fake::store(p.auxType, auxb, i + j * p.desc.auxLD, v);
            }
            if (e & relu) v = v < 0 ? 0 : v;
            if (e & gelu) v = gelu_of(v);
            if (e & drelu) {
                int64_t bit = i + j * p.desc.auxLD;
                if (!(reinterpret_cast<uint8_t*>(auxb)[bit / 8] >> bit % 8 & 1)) v = 0;
            }
            if (e & dgelu) v *= gelu_slope(fake::load(p.auxType, auxb, i + j * p.desc.auxLD));
            if (e & bgrad) gradient[i] += v;
            fake::store(p.d.type, db, i * p.d.row + j * p.d.col, v);
        });
        if (e & (bgradA | bgradB)) {
            const Operand& o = e & bgradA ? p.a : p.b;
            const char* from = e & bgradA ? ab : bb;
            int64_t outer = e & bgradA ? o.row : o.col, inner = e & bgradA ? o.col : o.row;
            for (size_t i = 0; i < gradient.size(); i++) {
                gradient[i] = 0;
                for (int64_t q = 0; q < p.k; q++) gradient[i] += fake::load(o.type, from, int64_t(i) * outer + q * inner);
            }
        }
        for (size_t i = 0; i < gradient.size(); i++) fake::store(p.biasType, biasb, int64_t(i), gradient[i]);
        std::fill(gradient.begin(), gradient.end(), 0);
    }
}

bool overlap(const void* a, int64_t n, const void* b, int64_t m) {
    auto x = reinterpret_cast<uintptr_t>(a), y = reinterpret_cast<uintptr_t>(b);
    return x < y + m && y < x + n;
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

Status cublasLtCreate(Handle** h) {
    if (int code = fakecuda_enter("cublasLtCreate")) return Status(code);
    if (!h) return invalidValue;
    if (fakecuda_context()) return refuse("cublasLtCreate", notInitialized, "no current context");
    *h = new Handle{handleMagic};
    return ok;
}

Status cublasLtDestroy(Handle* h) { return destroy(h, handleMagic, "cublasLtDestroy"); }

size_t cublasLtGetVersion() { return 130401; }
size_t cublasLtGetCudartVersion() { return 13020; }

const char* cublasLtGetStatusName(int s) {
    switch (s) {
        case 0: return "CUBLAS_STATUS_SUCCESS";
        case 1: return "CUBLAS_STATUS_NOT_INITIALIZED";
        case 3: return "CUBLAS_STATUS_ALLOC_FAILED";
        case 7: return "CUBLAS_STATUS_INVALID_VALUE";
        case 8: return "CUBLAS_STATUS_ARCH_MISMATCH";
        case 11: return "CUBLAS_STATUS_MAPPING_ERROR";
        case 13: return "CUBLAS_STATUS_EXECUTION_FAILED";
        case 14: return "CUBLAS_STATUS_INTERNAL_ERROR";
        case 15: return "CUBLAS_STATUS_NOT_SUPPORTED";
        case 16: return "CUBLAS_STATUS_LICENSE_ERROR";
    }
    return "CUBLAS_STATUS_UNKNOWN";
}

const char* cublasLtGetStatusString(int s) { return cublasLtGetStatusName(s); }

Status cublasLtMatmulDescCreate(Desc** d, int32_t compute, int32_t scale) {
    if (int code = fakecuda_enter("cublasLtMatmulDescCreate")) return Status(code);
    if (!d) return invalidValue;
    *d = new Desc{};
    (*d)->magic = descMagic, (*d)->compute = compute, (*d)->scale = scale;
    return ok;
}

Status cublasLtMatmulDescDestroy(Desc* d) { return destroy(d, descMagic, "cublasLtMatmulDescDestroy"); }

Status cublasLtMatmulDescSetAttribute(Desc* d, int attribute, const void* buf, size_t size) {
    return set(d, descMagic, attribute, buf, size, "cublasLtMatmulDescSetAttribute");
}

Status cublasLtMatmulDescGetAttribute(Desc* d, int attribute, void* buf, size_t size, size_t* written) {
    return get(d, descMagic, attribute, buf, size, written, "cublasLtMatmulDescGetAttribute");
}

Status cublasLtMatrixLayoutCreate(Layout** l, uint32_t type, uint64_t rows, uint64_t cols, int64_t ld) {
    if (int code = fakecuda_enter("cublasLtMatrixLayoutCreate")) return Status(code);
    if (!l) return invalidValue;
    *l = new Layout{};
    (*l)->magic = layoutMagic, (*l)->type = type, (*l)->rows = rows, (*l)->cols = cols, (*l)->ld = ld;
    return ok;
}

Status cublasLtMatrixLayoutDestroy(Layout* l) { return destroy(l, layoutMagic, "cublasLtMatrixLayoutDestroy"); }

Status cublasLtMatrixLayoutSetAttribute(Layout* l, int attribute, const void* buf, size_t size) {
    return set(l, layoutMagic, attribute, buf, size, "cublasLtMatrixLayoutSetAttribute");
}

Status cublasLtMatrixLayoutGetAttribute(Layout* l, int attribute, void* buf, size_t size, size_t* written) {
    return get(l, layoutMagic, attribute, buf, size, written, "cublasLtMatrixLayoutGetAttribute");
}

Status cublasLtMatmulPreferenceCreate(Preference** p) {
    if (int code = fakecuda_enter("cublasLtMatmulPreferenceCreate")) return Status(code);
    if (!p) return invalidValue;
    *p = new Preference{};
    (*p)->magic = preferenceMagic;
    return ok;
}

Status cublasLtMatmulPreferenceDestroy(Preference* p) { return destroy(p, preferenceMagic, "cublasLtMatmulPreferenceDestroy"); }

Status cublasLtMatmulPreferenceSetAttribute(Preference* p, int attribute, const void* buf, size_t size) {
    return set(p, preferenceMagic, attribute, buf, size, "cublasLtMatmulPreferenceSetAttribute");
}

Status cublasLtMatmulPreferenceGetAttribute(Preference* p, int attribute, void* buf, size_t size, size_t* written) {
    return get(p, preferenceMagic, attribute, buf, size, written, "cublasLtMatmulPreferenceGetAttribute");
}

Status cublasLtMatmulAlgoGetHeuristic(Handle* h, Desc* desc, Layout* a, Layout* b, Layout* c, Layout* d, Preference* pref, int want,
    Result* results, int* got) {
    const char* call = "cublasLtMatmulAlgoGetHeuristic";
    if (int code = fakecuda_enter(call)) return Status(code);
    if (!is(h, handleMagic)) return refuse(call, notInitialized, "no handle");
    if (!is(pref, preferenceMagic) || want < 1 || !results || !got) return refuse(call, invalidValue, "preference, or room for results");
    *got = 0;
    Problem p;
    if (Status s = resolve(call, desc, a, b, c, d, &p)) return s;
    for (int i = 0; i < 3 && *got < want; i++) {
        Result& r = results[*got];
        std::memset(&r, 0, sizeof r);
        if (!propose(p, *pref, i, &r.algorithm)) continue;
        r.workspace = r.algorithm.workspace;
        r.waves = float(p.m) * float(p.n) / (128 * 128 * 132);
        ++*got;
    }
    return *got > 0 ? ok : refuse(call, notSupported, "no algorithm for these alignments");
}

Status cublasLtMatmulAlgoCheck(Handle* h, Desc* desc, Layout* a, Layout* b, Layout* c, Layout* d, const Algorithm* algorithm, Result* result) {
    const char* call = "cublasLtMatmulAlgoCheck";
    if (int code = fakecuda_enter(call)) return Status(code);
    Problem p;
    if (!is(h, handleMagic) || !result) return invalidValue;
    if (Status s = resolve(call, desc, a, b, c, d, &p)) return s;
    if (!is(algorithm, algorithmMagic) || algorithm->problem != p.hash) return refuse(call, notSupported, "algorithm of another problem");
    std::memset(result, 0, sizeof *result);
    result->algorithm = *algorithm;
    result->workspace = algorithm->workspace;
    return ok;
}

Status cublasLtMatmul(Handle* h, Desc* desc, const void* alpha, const void* A, Layout* a, const void* B, Layout* b, const void* beta,
    const void* C, Layout* c, void* D, Layout* d, const Algorithm* algorithm, void* workspace, size_t workspaceSize, void* stream) {
    const char* call = "cublasLtMatmul";
    if (int code = fakecuda_enter(call)) return Status(code);
    if (!is(h, handleMagic) || fakecuda_context()) return refuse(call, notInitialized, "no handle, or no current context");
    Problem p;
    if (Status s = resolve(call, desc, a, b, c, d, &p)) return s;
    Algorithm own;
    if (!algorithm) {
        Preference pref{};
        pref.workspace = workspaceSize;
        propose(p, pref, 2, &own);
        algorithm = &own;
    }
    if (!is(algorithm, algorithmMagic) || algorithm->problem != p.hash) return refuse(call, invalidValue, "algorithm of another problem");
    if (!alpha || !beta || !D) return refuse(call, invalidValue, "no alpha, beta or D");

    double scales[2] = {};
    if (desc->pointerMode == 0)
        for (int i = 0; i < 2; i++) scales[i] = p.inDouble ? *static_cast<const double*>(i ? beta : alpha) : *static_cast<const float*>(i ? beta : alpha);
    bool readsC = desc->pointerMode == 1 || scales[1] != 0;
    if (!readsC) C = nullptr;

    const void* pointers[] = {A, B, readsC ? C : D, D};
    const Operand* operands[] = {&p.a, &p.b, readsC ? &p.c : &p.d, &p.d};
    for (int i = 0; i < 4; i++) {
        if (!fake::valid(pointers[i], operands[i]->extent())) {
            return Status(fakecuda_error(executionFailed, "%s: matrix %c at %p of %lld bytes is not in one live block", call, "ABCD"[i], pointers[i], (long long)operands[i]->extent()));
        }
        if (reinterpret_cast<uintptr_t>(pointers[i]) % algorithm->alignment[i]) {
            return Status(fakecuda_error(notSupported, "%s: matrix %c at %p: the algorithm wants it aligned to %u bytes", call, "ABCD"[i], pointers[i], algorithm->alignment[i]));
        }
    }
    for (int i = 0; i < 2; i++)
        if (overlap(pointers[i], operands[i]->extent(), D, p.d.extent())) return refuse(call, invalidValue, "D overlaps an operand");
    if (readsC && C != D && overlap(C, p.c.extent(), D, p.d.extent())) return refuse(call, invalidValue, "D overlaps C in part");
    if (readsC && C == D && (p.c.row != p.d.row || p.c.col != p.d.col || p.c.batch != p.d.batch)) return refuse(call, invalidValue, "C in place has another layout");

    uint32_t e = desc->epilogue;
    if (e & (bias | bgrad | bgradA | bgradB)) {
        int64_t n = ((e & bgradB ? p.n : p.m) + (p.d.count - 1) * desc->biasStride) * fake::size_of(p.biasType);
        if (!fake::valid(desc->biasPointer, n)) return refuse(call, executionFailed, "the bias is not in one live block");
        if (reinterpret_cast<uintptr_t>(desc->biasPointer) % (e & bias ? algorithm->biasAlignment : fake::size_of(p.biasType)))
            return Status(fakecuda_error(notSupported, "%s: the bias is less aligned than the one the algorithm was chosen for", call));
    }
    if (e & aux) {
        int64_t n = ((p.n - 1) * desc->auxLD + p.m) + (p.d.count - 1) * desc->auxStride;
        n = e & (relu | drelu) ? (n + 7) / 8 : n * fake::size_of(p.auxType);
        if (!fake::valid(desc->auxPointer, n) || reinterpret_cast<uintptr_t>(desc->auxPointer) % 16) return refuse(call, executionFailed, "the auxiliary matrix is not in one live block, or not aligned");
    }
    if (workspaceSize < algorithm->workspace) return refuse(call, invalidValue, "the workspace is too small");
    size_t scratch = algorithm->workspace;
    if (scratch) {
        if (!fake::valid(workspace, workspaceSize) || reinterpret_cast<uintptr_t>(workspace) % 16) return refuse(call, executionFailed, "the workspace is not in one live block, or not aligned");
        for (int i = 0; i < 4; i++)
            if (overlap(pointers[i], operands[i]->extent(), workspace, workspaceSize)) return refuse(call, invalidValue, "the workspace overlaps a matrix");
    }

    int code = fake::enqueue(stream, [=] {
        if (scratch) std::memset(workspace, 0xff, scratch);
        double x = scales[0], y = scales[1];
        if (p.desc.pointerMode == 1) {
            x = p.inDouble ? *static_cast<const double*>(alpha) : *static_cast<const float*>(alpha);
            y = p.inDouble ? *static_cast<const double*>(beta) : *static_cast<const float*>(beta);
        }
        auto run = p.inDouble ? compute<double> : compute<float>;
        run(p, x, y, static_cast<const char*>(A), static_cast<const char*>(B), static_cast<const char*>(C), static_cast<char*>(D));
    });
    if (code) return executionFailed;
    fakecuda_launched("matmul");
    return ok;
}

}  // extern "C"
