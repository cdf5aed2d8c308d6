// Where pointers point.
#pragma once
#include "common.cuh"

// global tells the compiler that p points to global memory. For sm_100 and later it
// does not see that of a pointer in a kernel's arguments, and takes generic loads.
template <class P> DEVICE P *global(P *p) {
#ifndef DESCENT_HOST
    __builtin_assume(__isGlobal(p));
#endif
    return p;
}
