// What the cube's part of the int8 inverse reads of a unit, brought to L1: the codes of the seeds,
// D, and the blocks A21 of all joins, straight from A where that is codes.
#pragma once

#include "../core/pipeline.h"
#include "joins.h"
#include "neumann_tril.h"
#include "rounds.h"

namespace neumann_tril {

template <int32_t C>
class UnitInputs {
  public:
    static constexpr int32_t kBuffers = 6;  // units in L1
    static constexpr int32_t kSquares = Joins<C, 1>::kSquares;
    static constexpr uint32_t kA16 = 0;
    static constexpr uint32_t kA32 = kA16 + kSquares * kCodeFractal;
    static constexpr uint32_t kA64 = kA32 + (C > 32 ? kSquares / 2 * kSquare : 0);
    static constexpr uint32_t kD = kA64 + (C > 64 ? 4 * kSquare : 0);
    static constexpr uint32_t kUnitBytes = kD + kSquares * kSquare;
    static constexpr uint32_t kBytes = kBuffers * kUnitBytes;

    // `l1`: kBytes in L1, zeros.
    __aicore__ inline UnitInputs(const Chunks& chunks, const Ring& ring, GM_ADDR a,
                                 GM_ADDR workspace, const Codes& l1)
        : chunks_(chunks), ring_(ring), workspace_(workspace, AscendC::GetBlockIdx()), l1_(l1) {
        a_.SetGlobalBuffer((__gm__ int8_t*)a);
    }

    __aicore__ inline Codes D(int32_t unit) const { return At(unit, kD); }
    // Of a join, block after block.
    __aicore__ inline Codes A21(int32_t unit, int32_t join) const {
        constexpr uint32_t kParts[] = {kA16, kA32, kA64};
        return At(unit, kParts[join]);
    }

    __aicore__ inline void FetchIdentity(const Codes& identity) const {
        AscendC::DataCopy(identity, workspace_.Identity(),
                          AscendC::DataCopyParams{1, kSquare / 32, 0, 0});
    }

    __aicore__ inline void Fetch(int32_t unit) const {
        constexpr int32_t kSeeds = kUnitRows / kLeafRows * kCodeFractal;
        const int32_t place = ring_.PlaceOf(unit);
        AscendC::DataCopy(D(unit), workspace_.Seeds(place),
                          AscendC::DataCopyParams{1, kSeeds / 32, 0, 0});
        const ChunkTask& task = chunks_.task;
        for (int32_t m = 0; m < kUnitRows / C; ++m) {
            const Place matrix = chunks_.Locate(ring_.InBatchOrder(unit) * (kUnitRows / C) + m);
            if (task.a_dtype == NT_INT8) {
                FetchBlocks(unit, m, a_[matrix.a], task.a_row_stride, matrix.valid);
            } else {
                FetchBlocks(unit, m, workspace_.CodesOfA(place)[m * C * C], C, C);
            }
        }
    }

  private:
    __aicore__ inline Codes At(int32_t unit, uint32_t part) const {
        return l1_[unit % kBuffers * kUnitBytes + part];
    }

    __aicore__ inline void FetchBlocks(int32_t unit, int32_t m,
                                       const AscendC::GlobalTensor<int8_t>& a, int64_t stride,
                                       int32_t valid) const {
        for (int32_t join = 0; join < JoinsOf(C); ++join) {
            const int32_t side = kLeafRows << join, pairs = C / (2 * side);
            const int32_t block = join == 0 ? kCodeFractal : side * side;
            for (int32_t p = 0; p < pairs; ++p) {
                const int32_t column = 2 * p * side, row = column + side;
                const int32_t rows = Clamp(valid - row, side);
                if (rows > 0) {
                    FetchBlock(A21(unit, join)[(m * pairs + p) * block], a[row * stride + column],
                               stride, rows, side);
                }
            }
        }
    }

    // Rows of `side` columns to fractals column by column. Rows that do not exist keep what they
    // hold: codes of another unit, which only rows that do not exist either depend on.
    __aicore__ inline static void FetchBlock(const Codes& block,
                                             const AscendC::GlobalTensor<int8_t>& a, int64_t stride,
                                             int32_t rows, int32_t side) {
        if (stride > 0 && stride <= 65535) {
            FetchTiles(block, a, 1, rows, side, static_cast<uint16_t>(stride), 0, side, 0);
            return;
        }
        for (int32_t r = 0; r < rows; ++r) {
            FetchTiles(block[r * 32], a[r * stride], 1, 1, side, static_cast<uint16_t>(side), 0,
                       side, 0);
        }
    }

    const Chunks& chunks_;
    const Ring& ring_;
    const Workspace<C, 1> workspace_;
    const Codes l1_;
    AscendC::GlobalTensor<int8_t> a_;
};

}  // namespace neumann_tril
