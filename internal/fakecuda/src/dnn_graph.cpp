// The fake cuDNN's understanding of operation graphs, and its engines.
#include <cmath>

#include "dnn.h"

namespace dnn {

bool element_type(int t, Type* type) {
    switch (t) {
        case 0: *type = Type::f32; return true;
        case 1: *type = Type::f64; return true;
        case 2: *type = Type::f16; return true;
        case 9: *type = Type::bf16; return true;
    }
    return false;
}

static double scalar(const Attribute* a, double otherwise) {
    return !a ? otherwise : a->type == tDouble ? a->at<double>() : a->at<float>();
}

Tensor tensor_of(const Descriptor* d) {
    Tensor t{};
    const Attribute *dims = d->find(902), *strides = d->find(903), *isVirtual = d->find(907);
    t.rank = int(std::min<int64_t>(dims->count, maxDims));
    for (int i = 0; i < t.rank; i++) t.dims[i] = dims->at<int64_t>(i), t.strides[i] = strides->at<int64_t>(i);
    t.uid = d->find(906)->at<int64_t>();
    t.alignment = d->find(900)->at<int64_t>();
    t.isVirtual = isVirtual && isVirtual->at<bool>();
    element_type(d->find(901)->at<int>(), &t.type);
    return t;
}

Names names_of(int op) {
    if (op == convForward) return {700, 701, 702, 704, 703, 705};
    if (op == convData) return {706, 707, 708, 710, 709, 711};
    return {712, 713, 714, 716, 715, 717};
}

Status understand(const Descriptor* d, Work* work) {
    Work k{};
    std::vector<const Descriptor*> rest;
    const Descriptor* conv = nullptr;
    for (int64_t i = 0; i < d->find(801)->count; i++) {
        const Descriptor* op = d->ref(801, i);
        if (op->type == opPointwise)
            rest.push_back(op);
        else if ((op->type == convForward || op->type == convData || op->type == convFilter) && !conv)
            conv = op;
        else
            return unsupportedPattern;
    }
    if (!conv || rest.size() > maxSteps) return unsupportedPattern;
    Names n = names_of(conv->type);
    k.op = conv->type;
    k.x = tensor_of(conv->ref(n.x)), k.w = tensor_of(conv->ref(n.w)), k.y = tensor_of(conv->ref(n.y));
    k.alpha = scalar(conv->find(n.alpha), 1), k.beta = scalar(conv->find(n.beta), 0);
    const Descriptor* c = conv->ref(n.convolution);
    if (c->find(101)->at<int>() != 1) return unsupportedPattern;
    Type computed;
    if (!element_type(c->find(100)->at<int>(), &computed)) return unsupportedType;
    k.inDouble = computed == Type::f64;
    k.groups = k.x.dims[1] / k.w.dims[1];
    for (int i = 0; i < 2; i++) {
        k.dilation[i] = c->find(102)->at<int64_t>(i), k.stride[i] = c->find(103)->at<int64_t>(i), k.padding[i] = c->find(105)->at<int64_t>(i);
        if (c->find(104)->at<int64_t>(i) != k.padding[i]) return notSupported;
    }
    k.out = k.result();
    while (!rest.empty()) {  // follow the result through the pointwise operations
        size_t at = 0;
        while (at < rest.size() && tensor_of(rest[at]->ref(751)).uid != k.out.uid && !(rest[at]->find(752) && tensor_of(rest[at]->ref(752)).uid == k.out.uid)) at++;
        if (at == rest.size() || !k.out.isVirtual) return unsupportedPattern;
        const Descriptor *op = rest[at], *pw = op->ref(750);
        Step& s = k.steps[k.numSteps++];
        s = {};
        s.mode = pw->find(0)->at<int>();
        if (s.mode != 0 && s.mode != 1 && s.mode != 9 && s.mode != 21 && s.mode != 100) return unsupportedPattern;
        s.scale = scalar(op->find(754), 1);
        s.low = scalar(pw->find(3), 0), s.high = scalar(pw->find(4), INFINITY);
        if (op->find(752)) {
            if (tensor_of(op->ref(751)).uid != k.out.uid) return unsupportedPattern;
            s.hasOperand = true;
            s.operand = tensor_of(op->ref(752));
            s.operandScale = scalar(op->find(755), 1);
            if (s.operand.isVirtual) return unsupportedPattern;
        }
        k.out = tensor_of(op->ref(753));
        rest.erase(rest.begin() + at);
    }
    if (k.out.isVirtual || (k.numSteps > 0 && k.beta != 0)) return unsupportedPattern;
    for (Tensor* t : {&k.x, &k.w, &k.y, &k.out})
        for (int64_t size : t->dims)
            if (size < 1) return notSupported;
    const Tensor &a = k.op == convData ? k.y : k.x, &b = k.op == convFilter ? k.y : k.w;
    if (a.type != b.type || (a.type == Type::f64) != k.inDouble || (k.out.type == Type::f64) != k.inDouble) return unsupportedType;
    if (computed != Type::f64 && computed != Type::f32) return unsupportedType;
    *work = k;
    return ok;
}

std::vector<int> notes_of(int index) {
    switch (index) {
        case tensorCore: return {0};
        case unordered: return {4};
        case winograd: return {5, 6};
    }
    return {};
}

Status supports(const Work& k, int index) {
    bool last = true, first = true, aligned = true;
    auto look = [&](const Tensor& t) {
        if (t.isVirtual) return;
        last = last && t.packed(true), first = first && t.packed(false), aligned = aligned && t.alignment >= 16;
    };
    for (const Tensor* t : {&k.x, &k.w, &k.y, &k.out}) look(*t);
    bool twice = k.inDouble;
    switch (index) {
        case tensorCore:
            if (twice) return unsupportedType;
            return last && aligned ? ok : unsupportedLayout;
        case unordered:
            if (k.op == convForward || k.numSteps > 0) return unsupportedPattern;
            return (last || first) && !twice ? ok : unsupportedLayout;
        case winograd:
            if (k.op == convFilter || k.w.dims[2] != 3 || k.w.dims[3] != 3 || k.stride[0] != 1 || k.stride[1] != 1 || twice) return notSupported;
            return last || first ? ok : unsupportedLayout;
        case direct:
            if (twice && k.numSteps > 0) return unsupportedPattern;
            return first || (last && !twice) ? ok : unsupportedLayout;
    }
    return notSupported;
}


}  // namespace dnn
