// A, a slice of rows after another, loaded ahead: zero where there are no rows, and for NaN.
#pragma once

#include "../core/rows.h"
#include "buffers.h"
#include "rounds.h"

namespace neumann_tril {

template <typename In, int32_t C, int32_t Limbs>
class Slices {
  public:
    using Buffers = QuantBuffers<In, C, Limbs>;
    static constexpr int32_t kRows = Buffers::kSliceRows;
    static constexpr int32_t kPerRound = QuantRoundRows(C) / kRows;
    static constexpr int32_t kMatrices = kRows < C ? 1 : kRows / C;
    static constexpr int32_t kRowsOfMatrix = kRows / kMatrices;  // in a slice
    static constexpr int32_t kPitch = Buffers::kRowBytes / 32;   // blocks from row to row

    __aicore__ inline Slices(const ChunkTask& task, GM_ADDR a, const Rounds<C, Limbs>& rounds)
        : stride_(task.a_row_stride), rounds_(rounds), count_(CountOf(rounds)) {
        a_.SetGlobalBuffer((__gm__ In*)a);
    }

    // Of round j, and of all rounds.
    __aicore__ inline int32_t CountOf(int32_t j) const {
        return rounds_.UnitsOf(j) * (kUnitRows / kRows);
    }
    __aicore__ inline int32_t Count() const { return count_; }

    __aicore__ inline void Start() {
        for (int32_t i = 0; i < kBuffers; ++i) {
            LoadNext();
        }
    }

    // The next slice, which is that of round j from row `row` on.
    __aicore__ inline AscendC::LocalTensor<In> Take(int32_t j, int32_t row) const {
        const auto slice = Slice(taken_);
        AscendC::WaitFlag<AscendC::HardEvent::MTE2_V>(taken_ % kBuffers);
        ClearMissingRows(slice.template ReinterpretCast<uint16_t>(), j, row);
        RemoveNans(slice);
        return slice;
    }
    // Its use is over.
    __aicore__ inline void Release() {
        if (taken_ + kBuffers < count_) {
            AscendC::SetFlag<AscendC::HardEvent::V_MTE2>(taken_ % kBuffers);
        }
        ++taken_;
        LoadNext();
    }

  private:
    static constexpr int32_t kBuffers = Buffers::kSlices;

    __aicore__ inline static int32_t CountOf(const Rounds<C, Limbs>& rounds) {
        int32_t units = 0;
        for (int32_t j = 0; j < rounds.Count(); ++j) {
            units += rounds.UnitsOf(j);
        }
        return units * (kUnitRows / kRows);
    }
    __aicore__ inline AscendC::LocalTensor<In> Slice(int32_t n) const {
        return Ub<In>(Buffers::kSlicesAt + n % kBuffers * Buffers::kSliceBytes,
                      Buffers::kSliceBytes / sizeof(In));
    }
    // Rows that exist of matrix m of a slice.
    __aicore__ inline static int32_t Exist(const Place& place, int32_t row) {
        return Clamp(place.valid - row % C, kRowsOfMatrix);
    }

    __aicore__ inline void LoadNext() {
        if (loaded_ == count_) {
            return;
        }
        if (loaded_ >= kBuffers) {
            AscendC::WaitFlag<AscendC::HardEvent::V_MTE2>(loaded_ % kBuffers);
        }
        // All rounds before the last are whole.
        const int32_t j = loaded_ / kPerRound, row = loaded_ % kPerRound * kRows;
        for (int32_t m = 0; m < kMatrices; ++m) {
            const Place place = rounds_.PlaceOf(j, row / C + m);
            const int32_t rows = Exist(place, row);
            if (rows > 0) {
                CopyRowsIn(Slice(loaded_)[m * C * Buffers::kRowBytes / sizeof(In)], a_,
                           place.a + row % C * stride_, stride_, rows, C);
            }
        }
        AscendC::SetFlag<AscendC::HardEvent::MTE2_V>(loaded_ % kBuffers);
        ++loaded_;
    }

    __aicore__ inline void ClearMissingRows(const AscendC::LocalTensor<uint16_t>& slice, int32_t j,
                                            int32_t row) const {
        constexpr int32_t kWordsOfRow = kPitch * 16;
        bool cleared = false;
        for (int32_t m = 0; m < kMatrices; ++m) {
            const int32_t rows = Exist(rounds_.PlaceOf(j, row / C + m), row);
            if (rows < kRowsOfMatrix) {
                AscendC::Duplicate<uint16_t>(slice[(m * C + rows) * kWordsOfRow], 0,
                                             (kRowsOfMatrix - rows) * kWordsOfRow);
                cleared = true;
            }
        }
        if (cleared) {
            AscendC::PipeBarrier<PIPE_V>();
        }
    }

    __aicore__ inline void RemoveNans(const AscendC::LocalTensor<In>& slice) const {
        if constexpr (IsNumber<In>) {
            const auto equal = Ub<uint8_t>(Buffers::kBitsAt, 1024);
            AscendC::Compare(equal, slice, slice, AscendC::CMPMODE::EQ, kRows * C);
            AscendC::PipeBarrier<PIPE_V>();
            AscendC::Select(slice, equal, slice, static_cast<half>(0.0f),
                            AscendC::SELMODE::VSEL_TENSOR_SCALAR_MODE, kRows * C);
            AscendC::PipeBarrier<PIPE_V>();
        }
    }

    const int64_t stride_;
    const Rounds<C, Limbs>& rounds_;
    const int32_t count_;
    AscendC::GlobalTensor<In> a_;
    int32_t loaded_ = 0, taken_ = 0;
};

}  // namespace neumann_tril
