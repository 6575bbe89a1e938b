// The vector cores' second part: X diag(beta) of each chunk, rounded, and what is left of it; and X
// itself to memory, where it is wanted.
#pragma once

#include "parts.h"

namespace neumann_tril {

template <typename T>
class Writers {
  public:
    __aicore__ inline Writers(const RuleTask& task, GM_ADDR x, GM_ADDR workspace) : task_(task) {
        x_.SetGlobalBuffer((__gm__ float*)x);
        solved_.SetGlobalBuffer((__gm__ float*)(workspace + BatchWorkspace::kSolved));
        writers_.SetGlobalBuffer((__gm__ T*)(workspace + BatchWorkspace::kFactors));
    }

    // Of the chunks that are this vector core's: `owned` has a bit for each.
    __aicore__ inline void Form(const RuleBatch& batch, int32_t number, uint32_t owned) const {
        for (int32_t s = 0; s < 2; ++s) {
            AscendC::SetFlag<AscendC::HardEvent::V_MTE2>(s);
            AscendC::SetFlag<AscendC::HardEvent::MTE3_V>(s);
        }
        int32_t formed = 0;
        for (int32_t i = 0; i < batch.count; ++i) {
            if ((owned >> i & 1) != 0) {
                FormChunk(batch.of[i], i, ChunkMatrices<T>::Beta(number, i), formed++ % 2);
            }
        }
        for (int32_t s = 0; s < 2; ++s) {
            AscendC::WaitFlag<AscendC::HardEvent::V_MTE2>(s);
            AscendC::WaitFlag<AscendC::HardEvent::MTE3_V>(s);
        }
    }

  private:
    // Byte offsets in the Unified Buffer: X twice, its parts twice, scratch.
    static constexpr uint32_t kX = 0, kOut = kX + 2 * kSquare * 4;
    static constexpr uint32_t kScratch = kOut + 2 * 2 * kSquare * 2;

    __aicore__ inline void FormChunk(const RuleChunk& chunk, int32_t i, const Floats& beta,
                                     int32_t s) const {
        const Floats x = Ub<float>(kX + s * kSquare * 4, kSquare);
        const auto parts = Ub<T>(kOut + s * 2 * kSquare * 2, 2 * kSquare);
        AscendC::WaitFlag<AscendC::HardEvent::V_MTE2>(s);
        AscendC::DataCopy(x, solved_[i * kSquare], kSquare);
        AscendC::SetFlag<AscendC::HardEvent::MTE2_V>(s);
        AscendC::WaitFlag<AscendC::HardEvent::MTE2_V>(s);
        if (task_.x != 0) {
            StoreX(x, chunk, s);
        }
        ScaleColumns(x, x, beta);
        AscendC::WaitFlag<AscendC::HardEvent::MTE3_V>(s);
        Split(parts, x, Ub<float>(kScratch, kSquare));
        AscendC::SetFlag<AscendC::HardEvent::V_MTE2>(s);
        AscendC::SetFlag<AscendC::HardEvent::V_MTE3>(s);
        AscendC::WaitFlag<AscendC::HardEvent::V_MTE3>(s);
        AscendC::DataCopy(writers_[i * 2 * kSquare], parts, 2 * kSquare);
        AscendC::SetFlag<AscendC::HardEvent::MTE3_V>(s);
    }

    __aicore__ inline void StoreX(const Floats& x, const RuleChunk& chunk, int32_t s) const {
        if (chunk.tile > 0) {
            return;  // the same X
        }
        AscendC::SetFlag<AscendC::HardEvent::MTE2_MTE3>(s);
        AscendC::WaitFlag<AscendC::HardEvent::MTE2_MTE3>(s);
        CopyRowsOut(x_, ResultAt(task_, chunk, kRuleChunk), task_.value_heads * int64_t{kRuleChunk},
                    x, chunk.valid, kRuleChunk);
        AscendC::SetFlag<AscendC::HardEvent::MTE3_V>(2);
        AscendC::WaitFlag<AscendC::HardEvent::MTE3_V>(2);
    }

    const RuleTask& task_;
    AscendC::GlobalTensor<float> solved_, x_;
    AscendC::GlobalTensor<T> writers_;
};

}  // namespace neumann_tril
