// Atomic accumulation in global memory by what UB, L1 (dav-2201) and L0C store there.
#pragma once

#include "cube/atomic.h"

namespace AscendC {

template <typename T>
inline void SetAtomicAdd(emulator::Site site = emulator::Site::here()) {
    emulator::set_atomic_add(emulator::dtype_of<T>(), site);
}
inline void DisableDmaAtomic() { emulator::disable_dma_atomic(); }
// The older name.
inline void SetAtomicNone() { DisableDmaAtomic(); }

}  // namespace AscendC
