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

template <typename T>
T load_element(const emulator::View& view, uint64_t index) {
    T value;
    __builtin_memcpy(&value, view.data(index * sizeof(T)), sizeof(T));
    return value;
}

// The first `count` elements of a tensor; `number` tells calls apart.
template <template <typename> class Tensor, typename T>
void DumpTensor(const Tensor<T>& tensor, uint32_t number, uint32_t count,
                emulator::Site site = emulator::Site::here()) {
    AscendC::printf("DumpTensor %u, %s, %u elements\n", number, emulator::type_name<T>(), count);
    for (uint32_t i = 0; i < count; ++i) {
        // Looks past the checks: printing orders nothing.
        T element;
        if constexpr (std::is_same_v<Tensor<T>, GlobalTensor<T>>) {
            element = load_element<T>(emulator::view_of(tensor.operand(), "tensor", site), i);
        } else {
            element = load_element<T>(emulator::view_of(tensor.operand(), 0, "tensor", site), i);
        }
        const double value = static_cast<double>(emulator::widen(element));
        std::printf("%g%s", value, i % 16 == 15 || i + 1 == count ? "\n" : " ");
    }
}

inline void assert_in_kernel(bool condition, const char* text, emulator::Site site) {
    if (!condition) emulator::fail(site, "assertion failed: %s", text);
}

}  // namespace AscendC

#define ascendc_assert(condition, ...) \
    ::AscendC::assert_in_kernel((condition), #condition, ::emulator::Site::here())
