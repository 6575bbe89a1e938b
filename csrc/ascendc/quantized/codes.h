// Codes, 16 bits wide, and their int8 limbs: code = 256 limb 0 + limb 1, or limb 0 alone.
#pragma once

#include "../core/rows.h"
#include "task.h"

namespace neumann_tril {

template <int32_t Limbs>
constexpr int16_t kLargestCode = Limbs == 1 ? 127 : 32639;  // of A

// To -kLargestCode .. kLargestCode; a single limb saturates from above on its way to int8.
template <int32_t Limbs>
__aicore__ inline void ClampCodes(const AscendC::LocalTensor<int16_t>& codes, int32_t count) {
    AscendC::Maxs(codes, codes, static_cast<int16_t>(-kLargestCode<Limbs>), count);
    AscendC::PipeBarrier<PIPE_V>();
    if constexpr (Limbs == 2) {
        AscendC::Mins(codes, codes, kLargestCode<Limbs>, count);
        AscendC::PipeBarrier<PIPE_V>();
    }
}

// Limbs as half, `count` apart: what becomes int8. A single limb may replace the codes.
template <int32_t Limbs>
__aicore__ inline void SplitLimbs(const AscendC::LocalTensor<half>& limbs,
                                  const AscendC::LocalTensor<int16_t>& codes, int32_t count) {
    if constexpr (Limbs == 1) {
        AscendC::Cast(limbs, codes, AscendC::RoundMode::CAST_RINT, count);
    } else {
        const auto high = limbs.template ReinterpretCast<int16_t>(), low = high[count];
        AscendC::Adds(high, codes, static_cast<int16_t>(128), count);
        AscendC::ShiftLeft(low, codes, static_cast<int16_t>(8), count);
        AscendC::PipeBarrier<PIPE_V>();
        AscendC::ShiftRight(high, high, static_cast<int16_t>(8), 2 * count);
        AscendC::PipeBarrier<PIPE_V>();
        AscendC::Cast(limbs, high, AscendC::RoundMode::CAST_RINT, 2 * count);
    }
    AscendC::PipeBarrier<PIPE_V>();
}

}  // namespace neumann_tril
