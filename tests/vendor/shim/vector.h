// What the instructions of a vector core have in common.
#pragma once

#include <cstring>

#include "words.h"

namespace vendor {

template <typename T>
AscendC::LocalTensor<T> ub(uint64_t address, Site site) {
    return local<T>(TPosition::VECCALC, address, site);
}

// The number of iterations; ignored where elements are counted.
constexpr int64_t repeats(uint64_t word) { return static_cast<int64_t>(field(word, 56, 8)); }

// Strides of two sources and a destination: blocks, then iterations, 8 bits each.
inline AscendC::BinaryRepeatParams binary(uint64_t word) {
    return {field(word, 0, 8),  field(word, 8, 8),  field(word, 16, 8),
            field(word, 24, 8), field(word, 32, 8), field(word, 40, 8)};
}

// Strides between iterations have 12 bits; the upper 4 of the destination's lie apart.
constexpr uint64_t dst_repeat(uint64_t word) {
    return field(word, 32, 8) | field(word, 52, 4) << 8;
}
constexpr uint64_t src_repeat(uint64_t word) { return field(word, 40, 12); }

// Strides of one source and a destination.
inline AscendC::UnaryRepeatParams unary(uint64_t word) {
    return {field(word, 0, 16), field(word, 16, 16), dst_repeat(word), src_repeat(word)};
}

// A scalar as the library passes it: half and bfloat16_t as bits, integers in 64 bits.
template <typename T, typename Argument>
T value_of(Argument argument) {
    T value;
    static_assert(sizeof(T) <= sizeof(Argument));
    std::memcpy(&value, &argument, sizeof(T));
    return value;
}

}  // namespace vendor
