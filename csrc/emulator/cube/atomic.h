// Atomic operations on the way to global memory, a setting of the core.
#pragma once

#include "cube/operands.h"

namespace emulator {

struct AtomicState {
    Atomic operation = Atomic::kNone;
    DType type = DType::F32;
};

// SetAtomicAdd, SetAtomicMax, SetAtomicMin; `name` is the function's, for messages.
void set_atomic(Atomic operation, DType type, const char* name, Site site);
// SetAtomicType: the operation stays.
void set_atomic_type(DType type, Site site);
void disable_dma_atomic();

// What becomes of stores to global memory; fails if elements of another type are stored.
Atomic atomic_of_stores(DType stored, Site site);
// to[i] = to[i] (operation) from[i]; sums are rounded once to nearest even, integers wrap. A NaN on
// either side of a maximum or minimum is its result (assumed).
void combine_elements(Atomic operation, DType type, uint8_t* to, const uint8_t* from,
                      uint64_t bytes);

// The runs `sources` of a local buffer go to, or combine with, the runs `targets` of global memory.
void store_runs(Instruction& copy, const View& to, const Region& targets, const View& from,
                const Region& sources, DType type);

}  // namespace emulator
