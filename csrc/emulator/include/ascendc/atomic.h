// Atomic operations in global memory by what UB, L1 (dav-2201) and L0C store there.
#pragma once

#include "cube/atomic.h"

namespace AscendC {

template <typename T>
inline void SetAtomicAdd(emulator::Site site = emulator::Site::here()) {
    emulator::set_atomic(emulator::Atomic::kAdd, emulator::dtype_of<T>(), "SetAtomicAdd", site);
}
template <typename T>
inline void SetAtomicMax(emulator::Site site = emulator::Site::here()) {
    emulator::set_atomic(emulator::Atomic::kMax, emulator::dtype_of<T>(), "SetAtomicMax", site);
}
template <typename T>
inline void SetAtomicMin(emulator::Site site = emulator::Site::here()) {
    emulator::set_atomic(emulator::Atomic::kMin, emulator::dtype_of<T>(), "SetAtomicMin", site);
}
template <typename T>
inline void SetAtomicType(emulator::Site site = emulator::Site::here()) {
    emulator::set_atomic_type(emulator::dtype_of<T>(), site);
}
inline void DisableDmaAtomic() { emulator::disable_dma_atomic(); }
// The older name.
inline void SetAtomicNone() { DisableDmaAtomic(); }

}  // namespace AscendC
