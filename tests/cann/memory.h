// Memory of the emulator's, with random numbers or without.
#pragma once

#include <cstring>
#include <vector>

#include "core/launch.h"
#include "register/op_def_registry.h"

// Memory the kernels may touch, 512-byte aligned, as long as this lives.
class Memory {
  public:
    Memory(size_t bytes, bool given) : bytes_(bytes), data_(bytes + 512, 0xCB) {
        const auto address = reinterpret_cast<uintptr_t>(data_.data());
        start_ = data_.data() + (512 - address % 512) % 512;
        if (bytes > 0) emulator_register_memory(start_, bytes, given, given);
    }
    ~Memory() {
        if (bytes_ > 0) emulator_unregister_memory(start_);
    }
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;
    uint8_t* get() const { return start_; }
    size_t bytes() const { return bytes_; }

  private:
    size_t bytes_;
    std::vector<uint8_t> data_;
    uint8_t* start_;
};

inline size_t ItemSize(ge::DataType dtype) { return dtype == ge::DT_FLOAT ? 4 : 2; }

// Numbers of -1/8 to 1/8 in the dtype: the same bits for every call, whatever they are.
inline void FillRandomly(const Memory& memory, ge::DataType dtype) {
    uint32_t state = 7;
    for (size_t n = 0; n < memory.bytes() / ItemSize(dtype); ++n) {
        state = state * 1664525u + 1013904223u;
        const float value = (static_cast<float>(state >> 8) / (1 << 24) - 0.5f) / 4;
        uint32_t bits;
        std::memcpy(&bits, &value, sizeof(bits));
        if (dtype == ge::DT_FLOAT) {
            std::memcpy(memory.get() + 4 * n, &bits, 4);
            continue;
        }
        // bfloat16 is the upper half of float32; float16 has sign, exponent, mantissa moved.
        const uint32_t exponent = bits >> 23 & 255;
        uint32_t half = exponent < 113 ? 0 : (exponent - 112) << 10 | (bits >> 13 & 1023);
        half |= bits >> 16 & 0x8000;
        const auto word = static_cast<uint16_t>(dtype == ge::DT_BF16 ? bits >> 16 : half);
        std::memcpy(memory.get() + 2 * n, &word, 2);
    }
}
