// What the vector cores' parts of the quantised inverse share: their rounds, codes and limbs, and
// the way to the result.
#pragma once

#include "layout.h"
#include "neumann_tril.h"

namespace neumann_tril {

template <int32_t C, int32_t Limbs>
class QuantVector {
  protected:
    static constexpr int16_t kLargest = Limbs == 1 ? 127 : 32639;  // code of A

    __aicore__ inline QuantVector(const QuantTask& task, GM_ADDR x, GM_ADDR workspace,
                                  GM_ADDR constants, const Chunks& chunks)
        : task_(task.chunks),
          chunks_(chunks),
          constants_(constants, task),
          groups_(task.groups),
          share_(task.chunks.units, AscendC::GetBlockIdx() / 2, AscendC::GetBlockNum()),
          rounds_(share_.Rounds()),
          side_(AscendC::GetSubBlockIdx()) {
        x8_.SetGlobalBuffer((__gm__ int8_t*)x);
        x16_.SetGlobalBuffer((__gm__ uint16_t*)x);
        workspace_.SetGlobalBuffer((__gm__ int8_t*)workspace +
                                   AscendC::GetBlockIdx() / 2 * QuantWorkspacePerCore(C, Limbs));
    }

    __aicore__ inline static int32_t Smaller(int32_t a, int32_t b) { return a < b ? a : b; }
    template <typename U>
    __aicore__ inline static AscendC::LocalTensor<U> Ub(uint32_t offset, uint32_t count) {
        return AscendC::LocalTensor<U>(AscendC::TPosition::VECCALC, offset, count);
    }

    // --- rounds of this core

    __aicore__ inline int32_t UnitsOf(int32_t j) const {
        const int32_t units = share_.count - Share::Unit(j, side_);
        return units < 0 ? 0 : Smaller(units, kRoundUnits);
    }
    __aicore__ inline int64_t FirstMatrix(int32_t j) const {
        return (share_.first + Share::Unit(j, side_)) * (kUnitRows / C);
    }
    // Matrix m of a round.
    __aicore__ inline Place PlaceOf(int32_t j, int32_t m) const {
        return m < UnitsOf(j) * (kUnitRows / C) ? chunks_.Locate(FirstMatrix(j) + m) : Place{};
    }
    __aicore__ inline AscendC::GlobalTensor<int8_t> InRing(int32_t j) const {
        return workspace_[Share::InWorkspace<C, Limbs>(j, side_)];
    }

    // --- codes

    __aicore__ inline static void Clamp(const AscendC::LocalTensor<int16_t>& codes, int32_t count) {
        AscendC::Maxs(codes, codes, static_cast<int16_t>(-kLargest), count);
        AscendC::PipeBarrier<PIPE_V>();
        if (Limbs == 2) {  // one limb saturates on its way to int8
            AscendC::Mins(codes, codes, kLargest, count);
            AscendC::PipeBarrier<PIPE_V>();
        }
    }

    // Codes to limbs, `pitch` apart: codes = 256 limb 0 + limb 1. One limb may replace the codes.
    __aicore__ inline static void SplitLimbs(const AscendC::LocalTensor<half>& limbs, int32_t pitch,
                                             const AscendC::LocalTensor<int16_t>& codes,
                                             int32_t count) {
        if constexpr (Limbs == 1) {
            AscendC::Cast(limbs, codes, AscendC::RoundMode::CAST_RINT, count);
        } else {
            const auto high = limbs.template ReinterpretCast<int16_t>();
            const auto low = limbs[pitch].template ReinterpretCast<int16_t>();
            AscendC::Adds(high, codes, static_cast<int16_t>(128), count);
            AscendC::PipeBarrier<PIPE_V>();
            AscendC::ShiftRight(high, high, static_cast<int16_t>(8), count);
            AscendC::PipeBarrier<PIPE_V>();
            AscendC::Muls(low, high, static_cast<int16_t>(256), count);
            AscendC::PipeBarrier<PIPE_V>();
            AscendC::Sub(low, codes, low, count);
            AscendC::Cast(limbs, high, AscendC::RoundMode::CAST_RINT, count);
            AscendC::PipeBarrier<PIPE_V>();
            AscendC::Cast(limbs[pitch], low, AscendC::RoundMode::CAST_RINT, count);
        }
        AscendC::PipeBarrier<PIPE_V>();
    }

    // --- the result

    // Rows of the result; `gap` blocks between rows in the Unified Buffer.
    template <typename U>
    __aicore__ inline void CopyResult(const AscendC::GlobalTensor<U>& dst, int64_t offset,
                                      const AscendC::LocalTensor<U>& src, int32_t rows,
                                      int32_t columns, uint32_t gap) const {
        const uint32_t bytes = columns * sizeof(U);
        const int64_t dst_gap = (task_.x_row_stride - columns) * static_cast<int64_t>(sizeof(U));
        if (dst_gap <= 0xFFFFFFFFLL) {
            const AscendC::DataCopyExtParams all{static_cast<uint16_t>(rows), bytes, gap,
                                                 static_cast<uint32_t>(dst_gap), 0};
            AscendC::DataCopyPad(dst[offset], src, all);
            return;
        }
        const uint32_t pitch = ((bytes + 31) / 32 + gap) * 32 / sizeof(U);
        for (int32_t r = 0; r < rows; ++r) {
            AscendC::DataCopyPad(dst[offset + r * task_.x_row_stride], src[r * pitch],
                                 AscendC::DataCopyExtParams{1, bytes, 0, 0, 0});
        }
    }

    const ChunkTask& task_;
    const Chunks& chunks_;
    const Constants constants_;
    const int32_t groups_;
    const Share share_;
    const int32_t rounds_, side_;
    AscendC::GlobalTensor<int8_t> x8_, workspace_;
    AscendC::GlobalTensor<uint16_t> x16_;
};

}  // namespace neumann_tril
