// What the fake libraries share beside fake.h.
#pragma once

#include <cstdlib>
#include <new>
#include <type_traits>

#include "fake.h"

namespace fake {

// enqueue has f() run in the order of the stream. f is copied to C memory, which is
// freed as such: it may hold plain values only.
template <class F>
int enqueue(void* stream, const F& f) {
    static_assert(std::is_trivially_copyable<F>::value && std::is_trivially_destructible<F>::value, "plain values only");
    void* arg = std::malloc(sizeof(F));
    if (!arg) return 2;
    new (arg) F(f);
    return fakecuda_enqueue(static_cast<CUstream>(stream), [](void* p) { (*static_cast<F*>(p))(); }, arg);
}

inline bool valid(const void* p, int64_t bytes) {
    return p && bytes >= 0 && fakecuda_valid(reinterpret_cast<CUdeviceptr>(p), size_t(bytes)) != 0;
}

}  // namespace fake
