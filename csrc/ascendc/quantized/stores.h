// Where the sums of the int8 inverse go: as codes to L1, and to the result, as codes or numbers.
//
// Fixpipe scales a sum, rounds it to nearest even and saturates it, codes to -128 .. 127.
#pragma once

#include "constants.h"
#include "joins.h"
#include "neumann_tril.h"

namespace neumann_tril {

// Of a join, what Fixpipe is told: for T, whose minus is in its scale, for X21, for it as numbers.
enum ScaleOf { kOfT, kOfX, kOfNumbers };
// 32 bits of float, of which Fixpipe uses 1 + 8 + 10; bit 46: the codes are signed.
constexpr uint64_t kSignedCodes = uint64_t{1} << 46;
constexpr uint64_t kMinus = uint64_t{1} << 31;
constexpr uint64_t kUnitScale = 0x3F800000;

// The matrices of a unit in flight: their places and scales.
template <int32_t C>
class UnitMatrices {
  public:
    static constexpr int32_t kCount = kUnitRows / C;

    Place place[kCount];

    __aicore__ inline void Locate(const Chunks& chunks, const Constants& constants, int64_t first) {
        for (int32_t m = 0; m < kCount; ++m) {
            place[m] = chunks.Locate(first + m);
            group_[m] = constants.Group(first + m);
        }
    }
    __aicore__ inline void LoadScales(const Constants& constants) {
        for (int32_t m = 0; m < kCount; ++m) {
            for (int32_t join = 0; join < JoinsOf(C); ++join) {
                const int64_t group = group_[m];
                uint64_t* const scales = scales_[m][join];
                scales[kOfT] = (constants.BitsOfJoin(group, join, kToGrid) ^ kMinus) | kSignedCodes;
                scales[kOfX] = constants.BitsOfJoin(group, join, kToX) | kSignedCodes;
                scales[kOfNumbers] = constants.BitsOfJoin(group, join, kWide);
            }
        }
    }

    __aicore__ inline uint64_t Scale(int32_t m, int32_t join, ScaleOf which) const {
        return scales_[m][join][which];
    }
    // The first matrix behind m of another group.
    __aicore__ inline int32_t EndOfGroup(int32_t m) const {
        int32_t end = m + 1;
        while (end < kCount && group_[end] == group_[m]) {
            ++end;
        }
        return end;
    }

  private:
    int64_t group_[kCount] = {};
    uint64_t scales_[kCount][JoinsOf(C)][3];
};

template <int32_t C>
class SumStores {
  public:
    __aicore__ inline SumStores(const ChunkTask& task, GM_ADDR x) : task_(task) {
        codes_.SetGlobalBuffer((__gm__ int8_t*)x);
        numbers_.SetGlobalBuffer((__gm__ half*)x);
    }

    __aicore__ inline bool WantsCodes() const { return task_.x_dtype == NT_INT8; }

    // `rows` x `columns` of sums for each matrix to squares in L1; matrices of one group at once.
    __aicore__ inline void Code(const Codes& target, const Sums& sums,
                                const UnitMatrices<C>& matrices, int32_t join, ScaleOf which,
                                uint16_t rows, int32_t columns) const {
        for (int32_t m = 0; m < UnitMatrices<C>::kCount;) {
            const int32_t end = matrices.EndOfGroup(m);
            StoreTiles(target[m * columns * 32], sums[m * columns * rows], QuantMode_t::REQ8,
                       matrices.Scale(m, join, which), rows,
                       static_cast<uint16_t>((end - m) * columns),
                       static_cast<uint16_t>(rows < 32 ? 32 : rows), rows);
            m = end;
        }
    }

    // A block at (row, column) of matrix m of the result, if that is numbers.
    __aicore__ inline void StoreNumbers(const UnitMatrices<C>& matrices, int32_t join, int32_t m,
                                        int32_t row, int32_t column, const Sums& sums,
                                        uint16_t rows, uint16_t columns) const {
        if (!WantsCodes()) {
            Store(numbers_, QuantMode_t::DEQF16, matrices.Scale(m, join, kOfNumbers),
                  matrices.place[m], row, column, sums, rows, columns);
        }
    }
    // Whole rows of codes.
    __aicore__ inline void StoreStrip(const Place& place, int32_t row, const Sums& sums) const {
        Store(codes_, QuantMode_t::REQ8, kUnitScale | kSignedCodes, place, row, 0, sums, 32, C);
    }

  private:
    // Rows that do not exist are left out.
    template <typename U>
    __aicore__ inline void Store(const AscendC::GlobalTensor<U>& x, QuantMode_t mode,
                                 uint64_t scale, const Place& place, int32_t row, int32_t column,
                                 const Sums& sums, uint16_t rows, uint16_t columns) const {
        const auto exist = static_cast<uint16_t>(Clamp(place.valid - row, rows));
        if (exist > 0) {
            StoreRows(x[place.x + row * task_.x_row_stride + column], sums, mode, scale, exist,
                      columns, static_cast<uint32_t>(task_.x_row_stride), rows);
        }
    }

    const ChunkTask& task_;
    AscendC::GlobalTensor<int8_t> codes_;
    AscendC::GlobalTensor<half> numbers_;
};

}  // namespace neumann_tril
