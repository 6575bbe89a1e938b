// Printing from a kernel; each line names the core it comes from.
#pragma once

#include <cstdio>

#include "ascendc/tensor.h"
#include "vector/call.h"

namespace AscendC {

template <typename... Arguments>
void printf(const char* format, Arguments... arguments) {
    if (const emulator::Core* core = emulator::current_core_or_null()) {
        std::printf("[%s] ", core->text().c_str());
    }
    if constexpr (sizeof...(Arguments) == 0) {
        std::fputs(format, stdout);
    } else {
        std::printf(format, arguments...);
    }
}
template <typename... Arguments>
void PRINTF(const char* format, Arguments... arguments) {
    AscendC::printf(format, arguments...);
}

// The first `count` elements of a tensor; `number` tells calls apart.
template <template <typename> class Tensor, typename T>
void DumpTensor(const Tensor<T>& tensor, uint32_t number, uint32_t count,
                emulator::Site site = emulator::Site::here()) {
    AscendC::printf("DumpTensor %u, %s, %u elements\n", number, emulator::type_name<T>(), count);
    for (uint32_t i = 0; i < count; ++i) {
        const double value = static_cast<double>(emulator::widen(tensor.GetValue(i, site)));
        std::printf("%g%s", value, i % 16 == 15 || i + 1 == count ? "\n" : " ");
    }
}

inline void assert_in_kernel(bool condition, const char* text, emulator::Site site) {
    if (!condition) emulator::fail(site, "assertion failed: %s", text);
}

}  // namespace AscendC

#define ascendc_assert(condition, ...) \
    ::AscendC::assert_in_kernel((condition), #condition, ::emulator::Site::here())
