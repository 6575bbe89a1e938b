// What the build of a custom operator gives its device sources: tiling data, tiling keys.
#pragma once

#include <cstring>

#include "ascendc/qualifiers.h"
#include "core/machine.h"

// A build compiles such a source once for each key, with TILING_KEY_VAR defined as the key.
#define TILING_KEY_IS(key) (TILING_KEY_VAR == (key))

// The core's own copy of the tiling data in global memory.
#define GET_TILING_DATA_WITH_STRUCT(type, name, address) \
    const type name = emulator::tiling_data<type>(address)

namespace emulator {

template <typename T>
T tiling_data(const void* address, Site site = Site::here()) {
    if (address == nullptr) fail(site, "GET_TILING_DATA: the address is nullptr");
    T data;
    std::memcpy(&data, address, sizeof(T));
    return data;
}

}  // namespace emulator

namespace AscendC {

struct AscendCUtils {
    // 1: infinity and NaN stay what they are in half and bfloat16_t results; 0: they saturate.
    static void SetOverflow(uint64_t mode) { emulator::current_core().saturate = mode != 1; }
};

}  // namespace AscendC
