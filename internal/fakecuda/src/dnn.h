// The fake cuDNN's descriptors.
#pragma once

#include <cstdarg>
#include <cstring>
#include <map>
#include <vector>

#include "gemm.h"
#include "library.h"

namespace dnn {

using fake::Type;

enum Status {
    ok = 0,
    notInitialized = 1001,
    badParam = 2000,
    nullPointer = 2002,
    misaligned = 2003,
    notFinalized = 2004,
    outOfBound = 2005,
    sizeInsufficient = 2006,
    shapeMismatch = 2008,
    duplicated = 2009,
    wrongType = 2010,
    notSupported = 3000,
    unsupportedPattern = 3001,
    unsupportedType = 3003,
    unsupportedLayout = 3004,
    executionFailed = 5000,
    executionFailedDriver = 5001,
};

// Types of descriptors.
enum {
    pointwise = 0, convolution = 1, engine = 2, engineConfig = 3, heuristics = 4, plan = 5, convForward = 10, convFilter = 11, convData = 12,
    opPointwise = 13, graph = 15, variantPack = 16, tensor = 17, deviceProperties = 38,
};

// Types of attributes.
enum {
    tHandle = 0, tDataType = 1, tBool = 2, tInt64 = 3, tFloat = 4, tDouble = 5, tPointer = 6, tConvMode = 7, tHeurMode = 8, tNote = 11,
    tPointwiseMode = 14, tDescriptor = 15, tBehavior = 19, tInt32 = 23, tChar = 24,
};

struct Attribute {
    int type;
    int64_t count;
    std::vector<char> bytes;

    template <class T>
    T at(int64_t i = 0) const {
        T t;
        std::memcpy(&t, bytes.data() + i * sizeof(T), sizeof(T));
        return t;
    }
};

constexpr int maxDims = 4, maxSteps = 4;

// Tensor is a tensor descriptor's contents; data is filled in at an execution.
struct Tensor {
    int64_t uid, dims[maxDims], strides[maxDims], alignment;
    int rank;
    Type type;
    bool isVirtual;
    char* data;

    int64_t size() const {
        int64_t n = 1;
        for (int i = 0; i < rank; i++) n *= dims[i];
        return n;
    }
    int64_t bytes() const {
        int64_t last = 0;
        for (int i = 0; i < rank; i++) last += (dims[i] - 1) * strides[i];
        return (last + 1) * fake::size_of(type);
    }
    // packed reports whether the strides are exactly those of a dense tensor, row-major
    // or with the channels last.
    bool packed(bool channelsLast) const;
};

// Step is a pointwise operation on the result.
struct Step {
    int mode;
    bool hasOperand;
    Tensor operand;
    double scale, operandScale, low, high;
};

// Work is an operation graph that has been understood: a convolution and what is done
// to its result. It is a plain value, since a captured graph outlives the descriptors.
struct Work {
    int op;  // convForward, convFilter or convData
    Tensor x, w, y, out;
    int64_t stride[2], padding[2], dilation[2], groups;
    double alpha, beta;
    bool inDouble;
    int numSteps;
    Step steps[maxSteps];
    bool roundInputs, perturb;  // the engine's
    int64_t workspace;

    const Tensor& result() const { return op == convForward ? y : op == convFilter ? w : x; }
};

// run computes w.
void run(const Work& w);

}  // namespace dnn

// Descriptor is what a cudnnBackendDescriptor_t points at.
struct Descriptor {
    int type;
    bool finalized = false;
    std::map<int, dnn::Attribute> attributes;
    dnn::Work work{};           // of a graph that is understood, an engine, a configuration, a plan
    dnn::Status reason{};       // why the graph is not
    std::vector<int> engines;   // of heuristics
    int index = -1;             // of an engine or a configuration

    const dnn::Attribute* find(int name) const {
        auto i = attributes.find(name);
        return i == attributes.end() ? nullptr : &i->second;
    }
    Descriptor* ref(int name, int64_t i = 0) const {
        const dnn::Attribute* a = find(name);
        return a ? a->at<Descriptor*>(i) : nullptr;
    }
};

namespace dnn {

// Names of the attributes of a convolution operation.
struct Names {
    int alpha, beta, convolution, x, w, y;
};

Names names_of(int op);
bool element_type(int dataType, Type* type);
Tensor tensor_of(const Descriptor* d);

// understand finds out what a graph computes; it answers why not.
Status understand(const Descriptor* graph, Work* work);

// Engines: what each can do stands in supports, what its results lack in notes_of.
enum { hopeless = 0, tensorCore = 1, unordered = 2, winograd = 3, direct = 4, numEngines = 5 };

Status supports(const Work& k, int engine);
std::vector<int> notes_of(int engine);

}  // namespace dnn
