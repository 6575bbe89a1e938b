// Atomic addition on the way to global memory, a setting of the core.
#pragma once

#include "cube/operands.h"

namespace emulator {

struct AtomicState {
    bool add = false;
    DType type = DType::F32;
};

void set_atomic_add(DType type, Site site);
void disable_dma_atomic();

// Whether what the core stores to global memory is added; fails if elements of another type are.
bool stores_add(DType stored, Site site);
// to[i] += from[i], rounded once to nearest even; integers wrap.
void add_elements(DType type, uint8_t* to, const uint8_t* from, uint64_t bytes);

// The runs `sources` of a local buffer go to the runs `targets` of global memory, or are added.
void store_runs(Instruction& copy, const View& to, const Region& targets, const View& from,
                const Region& sources, DType type);

}  // namespace emulator
