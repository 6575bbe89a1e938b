// What every instruction of the tile library has in common: operands are numbers, the rest are
// words whose fields lie where the library puts them.
#pragma once

#include "kernel_operator.h"

namespace vendor {

using AscendC::GlobalTensor;
using AscendC::LocalTensor;
using AscendC::TPosition;
using emulator::Site;

// Bits [low, low + width) of a word.
constexpr uint64_t field(uint64_t word, unsigned low, unsigned width) {
    return word >> low & ((uint64_t{1} << width) - 1);
}

// A pointer into a local buffer, as the tensor from there to the end of that buffer.
template <typename T>
LocalTensor<T> local(TPosition position, uint64_t address, Site site) {
    const emulator::Buffer buffer = emulator::buffer_of(position, site);
    const emulator::Core& core = emulator::current_core();
    if (!core.has(buffer)) {
        emulator::fail(site, "this core has no %s", emulator::buffer_name(buffer));
    }
    const uint64_t size = core.memory(buffer).size();
    if (address >= size) {
        emulator::fail(site, "address %llu lies outside of %s",
                       static_cast<unsigned long long>(address), emulator::buffer_name(buffer));
    }
    return {position, static_cast<uint32_t>(address),
            static_cast<uint32_t>((size - address) / sizeof(T))};
}

template <typename T>
GlobalTensor<T> global(uint64_t address) {
    GlobalTensor<T> tensor;
    tensor.SetGlobalBuffer(reinterpret_cast<T*>(address));
    return tensor;
}

// The memories by their number in the library's pointer types.
inline TPosition position_of(uint32_t space, Site site) {
    switch (space) {
        case 2:
            return TPosition::A1;
        case 6:
            return TPosition::VECCALC;
        default:
            emulator::fail(site, "the scalar unit has no access to address space %u", space);
    }
}

}  // namespace vendor
