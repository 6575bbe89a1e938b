// A of a unit as rows in the Unified Buffer of a vector core.
#pragma once

#include "../core/rows.h"
#include "neumann_tril.h"
#include "task.h"

namespace neumann_tril {

// Where the matrices of a unit lie; nowhere if the core does not own it.
template <int32_t C>
struct UnitPlaces {
    static constexpr int32_t kMatrices = kUnitRows / C;
    Place of[kMatrices];

    __aicore__ inline UnitPlaces(const Chunks& chunks, int64_t unit, bool owned) {
        for (int32_t m = 0; m < kMatrices && owned; ++m) {
            of[m] = chunks.Locate(unit * kMatrices + m);
        }
    }
};

// Rows of A, in 16 bits, with zeros where there is none.
template <typename T, int32_t C>
class UnitRows {
  public:
    __aicore__ inline UnitRows(const ChunkTask& task, GM_ADDR a)
        : stride_(task.a_row_stride), wide_(task.a_dtype == NT_FLOAT32) {
        a16_.SetGlobalBuffer((__gm__ uint16_t*)a);
        a32_.SetGlobalBuffer((__gm__ float*)a);
    }

    // float32 input has to be rounded on its way.
    __aicore__ inline bool Wide() const { return wide_; }

    __aicore__ inline void Load(const AscendC::LocalTensor<uint16_t>& rows,
                                const UnitPlaces<C>& places) const {
        for (int32_t m = 0; m < UnitPlaces<C>::kMatrices; ++m) {
            LoadLower(rows[m * C * C], places.of[m]);
        }
    }

    // The same by way of `floats`, kSlice of them, which must not be in use.
    static constexpr int32_t kSlice = 4096;
    __aicore__ inline void LoadRounded(const AscendC::LocalTensor<uint16_t>& rows,
                                       const UnitPlaces<C>& places,
                                       const AscendC::LocalTensor<float>& floats) const {
        constexpr int32_t kRows = kSlice / C < C ? kSlice / C : C;
        for (int32_t row = 0; row < kUnitRows; row += kRows) {
            const Place& place = places.of[row / C];
            const int32_t valid = Clamp(place.valid - row % C, kRows);
            if (valid == 0) {
                continue;
            }
            AscendC::SetFlag<AscendC::HardEvent::V_MTE2>(EVENT_ID2);
            AscendC::WaitFlag<AscendC::HardEvent::V_MTE2>(EVENT_ID2);
            CopyRowsIn(floats, a32_, place.a + row % C * stride_, stride_, valid, C);
            AscendC::SetFlag<AscendC::HardEvent::MTE2_V>(EVENT_ID2);
            AscendC::WaitFlag<AscendC::HardEvent::MTE2_V>(EVENT_ID2);
            AscendC::Cast(rows[row * C].template ReinterpretCast<T>(), floats,
                          AscendC::RoundMode::CAST_RINT, valid * C);
        }
        AscendC::PipeBarrier<PIPE_V>();
    }

    // All of it at once, with zeros; to be used by the vector unit.
    __aicore__ inline void LoadNow(const AscendC::LocalTensor<uint16_t>& rows,
                                   const UnitPlaces<C>& places,
                                   const AscendC::LocalTensor<float>& floats) const {
        if (wide_) {
            LoadRounded(rows, places, floats);
        } else {
            AscendC::SetFlag<AscendC::HardEvent::V_MTE2>(EVENT_ID2);
            AscendC::WaitFlag<AscendC::HardEvent::V_MTE2>(EVENT_ID2);
            Load(rows, places);
            AscendC::SetFlag<AscendC::HardEvent::MTE2_V>(EVENT_ID2);
            AscendC::WaitFlag<AscendC::HardEvent::MTE2_V>(EVENT_ID2);
        }
        ClearMissing(rows, places);
    }

    __aicore__ inline void ClearMissing(const AscendC::LocalTensor<uint16_t>& rows,
                                        const UnitPlaces<C>& places) const {
        bool cleared = false;
        for (int32_t m = 0; m < UnitPlaces<C>::kMatrices; ++m) {
            const int32_t valid = places.of[m].valid;
            if (valid < C) {
                AscendC::Duplicate<uint16_t>(rows[(m * C + valid) * C], 0, (C - valid) * C);
                cleared = true;
            }
        }
        if (cleared) {
            AscendC::PipeBarrier<PIPE_V>();
        }
    }

  private:
    // Of the rows as much as the lower triangle needs, in lines of kLine columns: nothing else is
    // read, neither by the images nor by the seeds.
    static constexpr int32_t kLine = 64 < C ? 64 : C;
    __aicore__ inline void LoadLower(const AscendC::LocalTensor<uint16_t>& rows,
                                     const Place& place) const {
        for (int32_t row = 0; row < place.valid; row += kLine) {
            const int32_t columns = row + kLine;
            CopyRowsIn(rows[row * C], a16_, place.a + row * stride_, stride_,
                       Clamp(place.valid - row, kLine), columns, (C - columns) / 16);
        }
    }

    const int64_t stride_;
    const bool wide_;
    AscendC::GlobalTensor<uint16_t> a16_;
    AscendC::GlobalTensor<float> a32_;
};

}  // namespace neumann_tril
