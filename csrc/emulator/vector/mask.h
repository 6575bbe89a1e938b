// Functions that set registers of a vector core: masks, saturation, padding.
#pragma once

#include "vector/call.h"
#include "vector/params.h"

namespace AscendC {

using emulator::Site;

inline void SetMaskNorm() { emulator::vector_state().counter_mode = false; }
inline void SetMaskCount() { emulator::vector_state().counter_mode = true; }
inline void ResetMask() { emulator::vector_state().mask = {~0ull, ~0ull}; }

// Mask bits (normal mode), or in maskLow the number of elements (counter mode).
template <typename T, MaskMode mode = MaskMode::NORMAL>
void SetVectorMask(const uint64_t maskHigh, const uint64_t maskLow) {
    emulator::vector_state().mask = {maskLow, maskHigh};
}
// The number of leading elements of an iteration (normal mode) or of the instruction.
template <typename T, MaskMode mode = MaskMode::NORMAL>
void SetVectorMask(int32_t len) {
    emulator::VectorState& state = emulator::vector_state();
    if (mode == MaskMode::COUNTER) {
        state.mask = {static_cast<uint64_t>(len), 0};
    } else {
        state.mask = emulator::Lanes::first(static_cast<uint64_t>(len));
    }
}

// FLOAT off: infinity and NaN stay what they are in half and bfloat16_t results (CTRL[48] = 1).
// CAST off: an integer that Cast cannot represent loses its upper bits (CTRL[59] = 1).
template <SaturationMode mode>
void SetSaturationFlag(bool enableSat) {
    if (mode == SaturationMode::FLOAT) {
        emulator::current_core().saturate = enableSat;
    } else {
        emulator::vector_state().cut_integers = !enableSat;
    }
}
template <SaturationMode mode>
bool GetSaturationFlag() {
    return mode == SaturationMode::FLOAT ? emulator::current_core().saturate
                                         : !emulator::vector_state().cut_integers;
}
template <int8_t startBit, int8_t endBit>
void SetCtrlSpr(int64_t value, Site site = Site::here()) {
    if (startBit != 48 || endBit != 48) {
        emulator::fail(site, "SetCtrlSpr: the emulator models CTRL[48] only");
    }
    SetSaturationFlag<SaturationMode::FLOAT>(value == 0);
}
template <int8_t startBit, int8_t endBit>
int64_t GetCtrlSpr(Site site = Site::here()) {
    if (startBit != 48 || endBit != 48) {
        emulator::fail(site, "GetCtrlSpr: the emulator models CTRL[48] only");
    }
    return GetSaturationFlag<SaturationMode::FLOAT>() ? 0 : 1;
}

// What DataCopyPad fills with when isPad is false.
template <typename T, TPosition position = TPosition::MAX>
void SetPadValue(T paddingValue) {
    emulator::VectorState& state = emulator::vector_state();
    state.pad_value = 0;
    std::memcpy(&state.pad_value, &paddingValue, sizeof(T));
    state.pad_value_set = true;
}

}  // namespace AscendC
