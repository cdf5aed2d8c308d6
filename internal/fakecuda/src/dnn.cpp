// A fake libcudnn.so.9: the backend descriptors of convolutions with pointwise
// operations on their results, run on the CPU as work of a fake stream. What an
// attribute must be, and what finalising twice or reading too early answers, is as in
// cuDNN 9.26. Its engines are made for tests: the first that the heuristics name never
// builds a plan, some are imprecise or differ from run to run and say so in their
// notes, and none takes tensors that are neither row-major nor channels-last.
#include <mutex>
#include <set>
#include <string>

#include "dnn.h"

using namespace dnn;

struct Handle {
    uint64_t magic;
    void* stream;
};

namespace {

constexpr uint64_t handleMagic = 0xd22000000000001;

std::mutex mutex;  // of the set of live descriptors
std::set<Descriptor*> live;
thread_local std::string lastError;

Status fail(Status s, const char* format, ...) __attribute__((format(printf, 2, 3)));
Status fail(Status s, const char* format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    lastError = text;
    if (s >= notSupported && s < 4000) return s;  // an answer, no misuse
    return Status(fakecuda_error(s, "cudnn: %s", text));
}

bool alive(Descriptor* d) {
    std::lock_guard<std::mutex> lock(mutex);
    return live.count(d) > 0;
}

// Rule is what an attribute of a descriptor must be. Types without rules take
// anything: they are only stored.
struct Rule {
    int descriptor, name, type;
    int64_t least, most;  // elements; least 0: optional
};

constexpr int tScalar = -1;  // a float or a double

const Rule rules[] = {
    {pointwise, 0, tPointwiseMode, 1, 1},
    {pointwise, 1, tDataType, 1, 1},
    {pointwise, 3, tScalar, 0, 1},
    {pointwise, 4, tScalar, 0, 1},
    {pointwise, 5, tScalar, 0, 1},
    {convolution, 100, tDataType, 1, 1},
    {convolution, 101, tConvMode, 1, 1},
    {convolution, 102, tInt64, 1, 8},
    {convolution, 103, tInt64, 1, 8},
    {convolution, 104, tInt64, 1, 8},
    {convolution, 105, tInt64, 1, 8},
    {convolution, 106, tInt64, 1, 1},
    {engine, 1300, tDescriptor, 1, 1},
    {engine, 1301, tInt64, 1, 1},
    {engineConfig, 300, tDescriptor, 1, 1},
    {engineConfig, 302, tDescriptor, 0, 64},
    {heuristics, 200, tHeurMode, 1, 1},
    {heuristics, 201, tDescriptor, 1, 1},
    {heuristics, 203, tInt32, 0, 1},
    {heuristics, 204, tDescriptor, 0, 1},
    {plan, 400, tHandle, 0, 1},
    {plan, 401, tDescriptor, 1, 1},
    {plan, 407, tDescriptor, 0, 1},
    {convForward, 700, tScalar, 1, 1},
    {convForward, 701, tScalar, 1, 1},
    {convForward, 702, tDescriptor, 1, 1},
    {convForward, 703, tDescriptor, 1, 1},
    {convForward, 704, tDescriptor, 1, 1},
    {convForward, 705, tDescriptor, 1, 1},
    {convData, 706, tScalar, 1, 1},
    {convData, 707, tScalar, 1, 1},
    {convData, 708, tDescriptor, 1, 1},
    {convData, 709, tDescriptor, 1, 1},
    {convData, 710, tDescriptor, 1, 1},
    {convData, 711, tDescriptor, 1, 1},
    {convFilter, 712, tScalar, 1, 1},
    {convFilter, 713, tScalar, 1, 1},
    {convFilter, 714, tDescriptor, 1, 1},
    {convFilter, 715, tDescriptor, 1, 1},
    {convFilter, 716, tDescriptor, 1, 1},
    {convFilter, 717, tDescriptor, 1, 1},
    {opPointwise, 750, tDescriptor, 1, 1},
    {opPointwise, 751, tDescriptor, 1, 1},
    {opPointwise, 752, tDescriptor, 0, 1},
    {opPointwise, 753, tDescriptor, 1, 1},
    {opPointwise, 754, tScalar, 0, 1},
    {opPointwise, 755, tScalar, 0, 1},
    {graph, 800, tHandle, 0, 1},
    {graph, 801, tDescriptor, 1, 64},
    {variantPack, 1000, tInt64, 1, 64},
    {variantPack, 1001, tPointer, 1, 64},
    {variantPack, 1003, tPointer, 0, 1},
    {tensor, 900, tInt64, 1, 1},
    {tensor, 901, tDataType, 1, 1},
    {tensor, 902, tInt64, 1, 8},
    {tensor, 903, tInt64, 1, 8},
    {tensor, 906, tInt64, 1, 1},
    {tensor, 907, tBool, 0, 1},
    {tensor, 908, tBool, 0, 1},
};

size_t element(int type) {
    switch (type) {
        case tBool: case tChar: return 1;
        case tHandle: case tInt64: case tDouble: case tPointer: case tDescriptor: case 26: return 8;
    }
    return 4;
}

Status finalize_tensor(Descriptor* d) {
    Type t;
    int64_t rank = d->find(902)->count, alignment = d->find(900)->at<int64_t>();
    if (d->find(903)->count != rank) return fail(badParam, "a tensor has %lld sizes and %lld strides", (long long)rank, (long long)d->find(903)->count);
    int64_t size = element_type(d->find(901)->at<int>(), &t) ? fake::size_of(t) : 1;
    if (alignment <= 0 || alignment % size) return fail(badParam, "alignment %lld of a tensor whose elements have %lld bytes", (long long)alignment, (long long)size);
    return ok;
}

Status finalize_convolution(Descriptor* d) {
    int64_t spatial = d->find(106)->at<int64_t>();
    for (int name : {102, 103, 104, 105}) {
        const Attribute* a = d->find(name);
        if (a->count != spatial) return fail(badParam, "attribute %d of a convolution has %lld elements for %lld axes", name, (long long)a->count, (long long)spatial);
        for (int64_t i = 0; i < spatial; i++)
            if (a->at<int64_t>(i) < (name <= 103 ? 1 : 0)) return fail(badParam, "attribute %d of a convolution is %lld", name, (long long)a->at<int64_t>(i));
    }
    return ok;
}

Status finalize_operation(Descriptor* d) {
    Names n = names_of(d->type);
    Tensor x = tensor_of(d->ref(n.x)), w = tensor_of(d->ref(n.w)), y = tensor_of(d->ref(n.y));
    const Descriptor* c = d->ref(n.convolution);
    int64_t spatial = c->find(106)->at<int64_t>();
    if (spatial != 2 || x.rank != 4 || w.rank != 4 || y.rank != 4) return fail(notSupported, "a convolution that is not two-dimensional");
    if (w.dims[1] == 0 || x.dims[1] == 0 || x.dims[1] % w.dims[1]) return fail(badParam, "input of %lld channels, filter of %lld", (long long)x.dims[1], (long long)w.dims[1]);
    int64_t groups = x.dims[1] / w.dims[1];
    if (w.dims[0] % groups || y.dims[1] != w.dims[0] || y.dims[0] != x.dims[0]) return fail(badParam, "channels or batch of a convolution do not fit");
    for (int i = 0; i < 2; i++) {
        int64_t pads = c->find(104)->at<int64_t>(i) + c->find(105)->at<int64_t>(i), dilation = c->find(102)->at<int64_t>(i), stride = c->find(103)->at<int64_t>(i);
        int64_t room = x.dims[2 + i] + pads - dilation * (w.dims[2 + i] - 1) - 1;
        if (room < 0 || room / stride + 1 != y.dims[2 + i]) return fail(badParam, "axis %d of a convolution: output %lld", 2 + i, (long long)y.dims[2 + i]);
    }
    return ok;
}

Status finalize_pointwise(Descriptor* d) {
    Tensor x = tensor_of(d->ref(751)), y = tensor_of(d->ref(753));
    int mode = d->ref(750)->find(0)->at<int>();
    bool two = mode < 10 || mode == 23;
    if (two != (d->find(752) != nullptr)) return fail(badParam, "pointwise mode %d and its operands", mode);
    if (x.rank != y.rank) return fail(badParam, "ranks of a pointwise operation");
    Tensor b = two ? tensor_of(d->ref(752)) : x;
    for (int i = 0; i < y.rank; i++)
        for (int64_t n : {x.dims[i], b.dims[i]})
            if (n != y.dims[i] && n != 1) return fail(badParam, "sizes of a pointwise operation");
    return ok;
}

Status finalize_graph(Descriptor* d) {
    std::map<int64_t, Descriptor*> seen;
    for (int64_t i = 0; i < d->find(801)->count; i++)
        for (auto& named : d->ref(801, i)->attributes)
            if (named.second.type == tDescriptor && named.second.at<Descriptor*>()->type == tensor) {
                Descriptor* t = named.second.at<Descriptor*>();
                Descriptor*& first = seen[t->find(906)->at<int64_t>()];
                if (first && first != t) return fail(duplicated, "two tensors have the unique id %lld", (long long)t->find(906)->at<int64_t>());
                first = t;
            }
    d->reason = understand(d, &d->work);
    return ok;
}

Status finalize_heuristics(Descriptor* d) {
    Descriptor* g = d->ref(201);
    if (g->reason) return fail(g->reason, "no engine for this graph");
    int mode = d->find(200)->at<int>();
    if (mode < 0 || mode > 3) return fail(badParam, "heuristics mode %d", mode);
    d->work = g->work;
    if (mode == 1 || mode == 3) {  // B or A
        d->engines = {hopeless};
        for (int i : {tensorCore, unordered, winograd})
            if (supports(g->work, i) == ok) d->engines.push_back(i);
    } else if (supports(g->work, direct) == ok) {
        d->engines = {direct};
    }
    return ok;
}

Status finalize_plan(Descriptor* d) {
    if (fakecuda_context()) return fail(executionFailedDriver, "no current context");
    auto* h = d->find(400) ? d->find(400)->at<Handle*>() : nullptr;
    if (!h || h->magic != handleMagic) return fail(nullPointer, "a plan needs a handle");
    Descriptor* config = d->ref(401);
    d->work = config->work, d->index = config->index;
    Work& k = d->work;
    if (config->index == hopeless) return fail(notSupported, "engine 0 never builds a plan");
    if (Status s = supports(k, config->index)) return fail(s, "engine %d does not take this graph", config->index);
    bool singles = (k.op == convData ? k.y : k.x).type == Type::f32;
    k.roundInputs = (config->index == tensorCore || config->index == winograd) && singles;
    k.perturb = config->index == unordered;
    k.workspace = config->index == direct ? 0 : config->index == tensorCore ? 4096 : 1 << 16;
    return ok;
}

Status finalize_engine(Descriptor* d) {
    if (d->ref(1300)->reason) return fail(d->ref(1300)->reason, "no engine for this graph");
    d->work = d->ref(1300)->work, d->index = int(d->find(1301)->at<int64_t>());
    return d->index >= 0 && d->index < numEngines ? ok : fail(badParam, "engine %d", d->index);
}

Status finalize_pack(Descriptor* d) {
    if (d->find(1000)->count != d->find(1001)->count) return fail(badParam, "%lld ids and %lld pointers", (long long)d->find(1000)->count, (long long)d->find(1001)->count);
    return ok;
}

Status finalize(Descriptor* d) {
    for (const Rule& r : rules)
        if (r.descriptor == d->type && r.least > 0 && !d->find(r.name)) return fail(badParam, "attribute %d of a descriptor of type %d is missing", r.name, r.descriptor);
    for (auto& named : d->attributes)
        for (int64_t i = 0; named.second.type == tDescriptor && i < named.second.count; i++) {
            auto* other = named.second.at<Descriptor*>(i);
            if (!alive(other) || !other->finalized) return fail(notFinalized, "attribute %d is a descriptor that is not finalised, or destroyed", named.first);
        }
    switch (d->type) {
        case tensor: return finalize_tensor(d);
        case convolution: return finalize_convolution(d);
        case convForward: case convData: case convFilter: return finalize_operation(d);
        case opPointwise: return finalize_pointwise(d);
        case graph: return finalize_graph(d);
        case heuristics: return finalize_heuristics(d);
        case engine: return finalize_engine(d);
        case engineConfig: d->work = d->ref(300)->work, d->index = d->ref(300)->index; return ok;
        case plan: return finalize_plan(d);
        case variantPack: return finalize_pack(d);
    }
    return ok;
}

// give copies n elements out, as far as asked for.
template <class T>
Status give(const std::vector<T>& values, int64_t asked, int64_t* got, void* out) {
    if (got) *got = int64_t(values.size());
    if (out) std::memcpy(out, values.data(), sizeof(T) * std::min<size_t>(values.size(), size_t(asked)));
    return ok;
}

bool overlap(const Tensor& a, const Tensor& b) { return a.data < b.data + b.bytes() && b.data < a.data + a.bytes(); }

Status execute(Handle* h, Descriptor* p, Descriptor* pack) {
    Work k = p->work;
    std::map<int64_t, char*> pointers;
    for (int64_t i = 0; i < pack->find(1000)->count; i++) pointers[pack->find(1000)->at<int64_t>(i)] = pack->find(1001)->at<char*>(i);
    std::vector<Tensor*> all = {&k.x, &k.w, &k.y, &k.out};
    for (int i = 0; i < k.numSteps; i++)
        if (k.steps[i].hasOperand) all.push_back(&k.steps[i].operand);
    for (Tensor* t : all) {
        if (t->isVirtual) continue;
        auto at = pointers.find(t->uid);
        if (at == pointers.end() || !at->second) return fail(badParam, "no pointer for tensor %lld", (long long)t->uid);
        t->data = at->second;
        if (reinterpret_cast<uintptr_t>(t->data) % t->alignment) return fail(misaligned, "tensor %lld at %p is not aligned to %lld", (long long)t->uid, (void*)t->data, (long long)t->alignment);
        if (!fake::valid(t->data, t->bytes())) return fail(executionFailedDriver, "tensor %lld at %p of %lld bytes is not in one live block", (long long)t->uid, (void*)t->data, (long long)t->bytes());
        if (t->uid != k.out.uid && k.out.data && overlap(*t, k.out)) return fail(badParam, "the output overlaps tensor %lld", (long long)t->uid);
    }
    for (Tensor* t : {&k.x, &k.w, &k.y})
        if (!t->isVirtual && t->uid != k.out.uid && overlap(*t, k.out)) return fail(badParam, "the output overlaps tensor %lld", (long long)t->uid);
    char* workspace = pack->find(1003) ? pack->find(1003)->at<char*>() : nullptr;
    if (k.workspace > 0 && !fake::valid(workspace, k.workspace)) return fail(executionFailedDriver, "a workspace of %lld bytes is not in one live block", (long long)k.workspace);
    int code = fake::enqueue(h->stream, [k, workspace] {
        if (k.workspace > 0) std::memset(workspace, 0xff, size_t(k.workspace));
        run(k);
    });
    if (code) return fail(executionFailedDriver, "CUDA error %d", code);
    fakecuda_launched(k.op == convForward ? "conv_forward" : k.op == convData ? "conv_backward_data" : "conv_backward_filter");
    return ok;
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

size_t cudnnGetVersion() { return 92600; }
size_t cudnnGetCudartVersion() { return 13020; }
size_t cudnnGetMaxDeviceVersion() { return 1210; }

Status cudnnGetProperty(int which, int* value) {
    const int parts[] = {9, 26, 0};
    if (which < 0 || which > 2 || !value) return badParam;
    *value = parts[which];
    return ok;
}

const char* cudnnGetErrorString(int s) {
    switch (s) {
        case ok: return "CUDNN_STATUS_SUCCESS";
        case notInitialized: return "CUDNN_STATUS_NOT_INITIALIZED";
        case badParam: return "CUDNN_STATUS_BAD_PARAM";
        case nullPointer: return "CUDNN_STATUS_BAD_PARAM_NULL_POINTER";
        case misaligned: return "CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER";
        case notFinalized: return "CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED";
        case outOfBound: return "CUDNN_STATUS_BAD_PARAM_OUT_OF_BOUND";
        case sizeInsufficient: return "CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT";
        case shapeMismatch: return "CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH";
        case duplicated: return "CUDNN_STATUS_BAD_PARAM_DUPLICATED_ENTRIES";
        case wrongType: return "CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE";
        case notSupported: return "CUDNN_STATUS_NOT_SUPPORTED";
        case unsupportedPattern: return "CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN";
        case unsupportedType: return "CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE";
        case unsupportedLayout: return "CUDNN_STATUS_NOT_SUPPORTED_LAYOUT";
        case executionFailed: return "CUDNN_STATUS_EXECUTION_FAILED";
        case executionFailedDriver: return "CUDNN_STATUS_EXECUTION_FAILED_CUDA_DRIVER";
    }
    return "CUDNN_UNKNOWN_STATUS";
}

void cudnnGetLastErrorString(char* text, size_t room) {
    if (room == 0) return;
    size_t n = std::min(room - 1, lastError.size());
    std::memcpy(text, lastError.data(), n);
    text[n] = 0;
}

Status cudnnGraphVersionCheck() { return ok; }

Status cudnnCreate(Handle** h) {
    if (int code = fakecuda_enter("cudnnCreate")) return Status(code);
    if (!h) return fail(nullPointer, "no place for the handle");
    if (fakecuda_context()) return fail(notInitialized, "no current context");
    *h = new Handle{handleMagic, nullptr};
    return ok;
}

Status cudnnDestroy(Handle* h) {
    if (int code = fakecuda_enter("cudnnDestroy")) return Status(code);
    if (!h || h->magic != handleMagic) return fail(badParam, "no handle, or destroyed before");
    h->magic = 0;
    delete h;
    return ok;
}

Status cudnnSetStream(Handle* h, void* stream) {
    if (int code = fakecuda_enter("cudnnSetStream")) return Status(code);
    if (!h || h->magic != handleMagic) return fail(badParam, "no handle");
    if (fakecuda_stream(static_cast<CUstream>(stream))) return fail(badParam, "no such stream");
    h->stream = stream;
    return ok;
}

Status cudnnGetStream(Handle* h, void** stream) {
    if (int code = fakecuda_enter("cudnnGetStream")) return Status(code);
    if (!h || h->magic != handleMagic || !stream) return fail(badParam, "no handle");
    *stream = h->stream;
    return ok;
}

Status cudnnBackendCreateDescriptor(int type, Descriptor** d) {
    if (int code = fakecuda_enter("cudnnBackendCreateDescriptor")) return Status(code);
    if (!d) return fail(nullPointer, "no place for the descriptor");
    if (type < 0 || type > 50) return fail(notSupported, "descriptor type %d", type);
    *d = new Descriptor;
    (*d)->type = type;
    std::lock_guard<std::mutex> lock(mutex);
    live.insert(*d);
    return ok;
}

Status cudnnBackendDestroyDescriptor(Descriptor* d) {
    if (int code = fakecuda_enter("cudnnBackendDestroyDescriptor")) return Status(code);
    {
        std::lock_guard<std::mutex> lock(mutex);
        if (!live.erase(d)) return fail(badParam, "no descriptor, or destroyed before");
    }
    delete d;
    return ok;
}

Status cudnnBackendSetAttribute(Descriptor* d, int name, int type, int64_t count, const void* values) {
    if (int code = fakecuda_enter("cudnnBackendSetAttribute")) return Status(code);
    if (!alive(d) || (!values && count > 0)) return fail(nullPointer, "no descriptor, or no values");
    if (d->finalized) return fail(badParam, "attribute %d of a descriptor that is finalised", name);
    bool ruled = false, found = false;
    for (const Rule& r : rules) {
        ruled = ruled || r.descriptor == d->type;
        if (r.descriptor != d->type || r.name != name) continue;
        found = true;
        if (r.type == tScalar ? type != tFloat && type != tDouble : type != r.type) return fail(wrongType, "attribute %d has type %d, not %d", name, r.type, type);
        if (count < r.least || count > r.most) return fail(badParam, "attribute %d has %lld elements", name, (long long)count);
    }
    if (ruled && !found) return fail(notSupported, "a descriptor of type %d has no attribute %d", d->type, name);
    auto* bytes = static_cast<const char*>(values);
    d->attributes[name] = Attribute{type, count, std::vector<char>(bytes, bytes + count * element(type))};
    return ok;
}

Status cudnnBackendGetAttribute(Descriptor* d, int name, int type, int64_t asked, int64_t* got, void* out) {
    if (int code = fakecuda_enter("cudnnBackendGetAttribute")) return Status(code);
    if (!alive(d)) return fail(nullPointer, "no descriptor");
    if (!d->finalized) return fail(notInitialized, "attribute %d of a descriptor that is not finalised", name);
    if (d->type == heuristics && name == 202) {
        if (type != tDescriptor) return fail(wrongType, "results of heuristics");
        if (got) *got = int64_t(d->engines.size());
        if (!out) return ok;
        int64_t n = std::min<int64_t>(asked, int64_t(d->engines.size()));
        for (int64_t i = 0; i < n; i++) {
            Descriptor* c = static_cast<Descriptor**>(out)[i];
            if (!alive(c) || c->type != engineConfig || c->finalized) return fail(badParam, "result %lld is no fresh engine configuration", (long long)i);
            c->work = d->work, c->index = d->engines[i], c->finalized = true;
        }
        if (got) *got = n;
        return ok;
    }
    if (d->type == engineConfig && name == 300) {
        if (got) *got = 1;
        if (!out) return ok;
        Descriptor* e = asked > 0 ? static_cast<Descriptor**>(out)[0] : nullptr;
        if (!alive(e) || e->type != engine || e->finalized) return fail(badParam, "no fresh engine descriptor");
        e->work = d->work, e->index = d->index, e->finalized = true;
        return ok;
    }
    if (d->type == engine && name == 1301) return give<int64_t>({d->index}, asked, got, out);
    if (d->type == engine && name == 1303) return give<int>(notes_of(d->index), asked, got, out);
    if (d->type == engine && name == 1305) return give<int>(d->index == tensorCore ? std::vector<int>{0} : std::vector<int>{}, asked, got, out);
    if (d->type == plan && name == 402) return give<int64_t>({d->work.workspace}, asked, got, out);
    if ((d->type == plan && name == 405) || (d->type == deviceProperties && name == 2702)) {
        std::string json = d->type == plan ? "{\"engineId\":" + std::to_string(d->index) + "}" : "{\"name\":\"fake\"}";
        return give<char>(std::vector<char>(json.c_str(), json.c_str() + json.size() + 1), asked, got, out);
    }
    const Attribute* a = d->find(name);
    if (!a) return fail(notSupported, "a descriptor of type %d has no attribute %d to read", d->type, name);
    if (a->type != type) return fail(wrongType, "attribute %d has type %d, not %d", name, a->type, type);
    if (got) *got = a->count;
    if (out) std::memcpy(out, a->bytes.data(), size_t(std::min(asked, a->count)) * element(type));
    return ok;
}

Status cudnnBackendFinalize(Descriptor* d) {
    if (int code = fakecuda_enter("cudnnBackendFinalize")) return Status(code);
    if (!alive(d)) return fail(nullPointer, "no descriptor");
    if (d->finalized) return fail(badParam, "a descriptor of type %d is finalised twice", d->type);
    Status s = finalize(d);
    d->finalized = s == ok;
    return s;
}

Status cudnnBackendExecute(Handle* h, Descriptor* p, Descriptor* pack) {
    if (int code = fakecuda_enter("cudnnBackendExecute")) return Status(code);
    if (!h || h->magic != handleMagic) return fail(badParam, "no handle");
    if (fakecuda_context()) return fail(executionFailedDriver, "no current context");
    if (!alive(p) || !alive(pack) || p->type != plan || pack->type != variantPack || !p->finalized || !pack->finalized)
        return fail(notFinalized, "a plan and a variant pack are needed, both finalised");
    return execute(h, p, pack);
}

}  // extern "C"
