// What the vector cores store of the result themselves: the leaves, 16 bits wide, and zeros.
#pragma once

#include "leaves.h"
#include "neumann_tril.h"
#include "seeds.h"

namespace neumann_tril {

template <typename In, int32_t C, int32_t Limbs>
class LeafResult {
  public:
    using Buffers = QuantBuffers<In, C, Limbs>;

    __aicore__ inline LeafResult(const ChunkTask& task, GM_ADDR x, const Rounds<C, Limbs>& rounds,
                                 const Leaves<In, C, Limbs>& leaves)
        : task_(task), rounds_(rounds), leaves_(leaves) {
        x_.SetGlobalBuffer((__gm__ uint16_t*)x);
    }

    __aicore__ inline void Prepare() const {
        AscendC::Duplicate<uint16_t>(Zeros(), 0, Buffers::kZeros);
    }

    // The rows of the leaves may be overwritten.
    __aicore__ inline static void Begin(int32_t j) {
        if (j > 0) {
            AscendC::WaitFlag<AscendC::HardEvent::MTE3_V>(EVENT_ID3);
        }
    }

    // -F of busy round j, as float16; words are overwritten.
    __aicore__ inline void StoreNumbers(const AscendC::LocalTensor<float>& f, int32_t j) const {
        constexpr int32_t kWords = Buffers::kWords;
        const auto numbers = leaves_.template Words<half>();
        AscendC::Cast(numbers, f, AscendC::RoundMode::CAST_RINT, kWords);
        AscendC::PipeBarrier<PIPE_V>();
        AscendC::Mins(numbers, numbers, static_cast<half>(65504.0f), kWords);
        AscendC::PipeBarrier<PIPE_V>();
        AscendC::Maxs(numbers, numbers, static_cast<half>(-65504.0f), kWords);
        AscendC::PipeBarrier<PIPE_V>();
        AscendC::Muls(numbers, numbers, static_cast<half>(-1.0f), kWords);
        AscendC::PipeBarrier<PIPE_V>();
        AscendC::Adds(numbers, numbers, static_cast<half>(0.0f), kWords);  // no negative zeros
        AscendC::PipeBarrier<PIPE_V>();
        StoreWords(j);
    }

    // The words of busy round j.
    __aicore__ inline void StoreWords(int32_t j) const {
        leaves_.TransposeBack();
        AscendC::SetFlag<AscendC::HardEvent::V_MTE3>(EVENT_ID3);
        AscendC::WaitFlag<AscendC::HardEvent::V_MTE3>(EVENT_ID3);
        constexpr int32_t kOfMatrix = C / kLeafRows;
        for (int32_t leaf = 0; leaf < Buffers::kLanes; ++leaf) {
            const int32_t corner = leaf % kOfMatrix * kLeafRows;
            const Place place = rounds_.PlaceOf(j, leaf / kOfMatrix);
            const int32_t rows = Clamp(place.valid - corner, kLeafRows);
            if (rows > 0) {
                CopyRowsOut(x_, place.x + corner * (task_.x_row_stride + 1), task_.x_row_stride,
                            leaves_.template Rows<uint16_t>()[leaves_.At(leaf)], rows, kLeafRows,
                            1);
            }
        }
        for (int32_t m = 0; m < Rounds<C, Limbs>::kMatrices; ++m) {
            StoreZeros(x_, rounds_.PlaceOf(j, m), task_.x_row_stride, C, kLeafRows, Zeros(),
                       Buffers::kZeros);
        }
    }

    // No more is stored of busy round j.
    __aicore__ inline void End(int32_t j) const {
        if (j + 1 < rounds_.Busy()) {
            AscendC::SetFlag<AscendC::HardEvent::MTE3_V>(EVENT_ID3);
        }
    }

  private:
    __aicore__ inline static AscendC::LocalTensor<uint16_t> Zeros() {
        return Ub<uint16_t>(Buffers::kZerosAt, Buffers::kZeros);
    }

    const ChunkTask& task_;
    const Rounds<C, Limbs>& rounds_;
    const Leaves<In, C, Limbs>& leaves_;
    AscendC::GlobalTensor<uint16_t> x_;
};

}  // namespace neumann_tril
