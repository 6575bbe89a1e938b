// The seed of a leaf by substitution, for every kind of kernel: a lane is a leaf.
//
// A leaf of L rows is L / 16 panels of 16 columns, in float: panel[row][16][lane]. An instruction
// does the same step for all leaves side by side. Right-looking, and in place, since the column
// that gives the factors is the one that is complete last: with F = A at first,
//
//     for k = 1 .. L - 2:   for all i > k, j < k:   F[i][j] = F[i][j] - F[i][k] * F[k][j]
//
// leaves -X below the diagonal, X = (I + A)^-1. Every entry sees the operations of row by row
// substitution in the same order: each product and each difference is rounded, k ascending. What
// lies outside a band of width w only enters what lies outside: it is cut off at the end.
//
// Eight lanes are a block of 32 bytes, so that one repeat serves eight entries of eight leaves: the
// factor by a block stride of zero, those of a row by a stride of all lanes.
#pragma once

#include "rows.h"

namespace neumann_tril {

// Sixteen columns of leaves; rows from the panel's first row on.
template <int32_t Lanes>
struct Panel {
    static constexpr uint8_t kEntry = Lanes / 8;  // blocks
    static constexpr uint8_t kRow = kLeafRows * kEntry;
    static constexpr int32_t kRowFloats = kLeafRows * Lanes;

    AscendC::LocalTensor<float> lanes;

    __aicore__ inline AscendC::LocalTensor<float> At(int32_t row, int32_t column) const {
        return lanes[row * kRowFloats + column * Lanes];
    }
};

template <int32_t Lanes>
class Substitution {
  public:
    static constexpr int32_t kGroups = Lanes / 8;  // of eight lanes
    // Rows of 64 floats that `products` must hold.
    static constexpr int32_t kProducts = Lanes == 8 ? 64 : Lanes / 8 * 16;

    __aicore__ inline explicit Substitution(const AscendC::LocalTensor<float>& products)
        : products_(products) {}

    // F[i][j] -= f[i] F[k][j] for `rows` rows below k of the panel and columns j < end, in the
    // first 8 `groups` lanes; `factors` are those of the row below k, in a panel's column.
    __aicore__ inline void Eliminate(const Panel<Lanes>& panel, int32_t k,
                                     const AscendC::LocalTensor<float>& factors, int32_t rows,
                                     int32_t end, int32_t groups = kGroups) const {
        const int32_t halves = end > 8 ? 2 : 1, at_once = kProducts / (groups * halves);
        for (int32_t first = 0; first < rows; first += at_once) {
            const int32_t n = Clamp(rows - first, at_once);
            const Shape shape = ShapeOf(n, groups);
            for (int32_t half = 0; half < halves; ++half) {
                Multiply(shape, panel, k, factors[first * kRowFloats], half, end);
            }
            AscendC::PipeBarrier<PIPE_V>();
            for (int32_t half = 0; half < halves; ++half) {
                Subtract(shape, panel, k + 1 + first, half, end);
            }
            AscendC::PipeBarrier<PIPE_V>();
        }
    }

    // All of a leaf of one panel, with a band of `band` entries below the diagonal.
    __aicore__ inline void Invert(const Panel<Lanes>& panel, int32_t band,
                                  int32_t groups = kGroups) const {
        for (int32_t k = 1; k + 1 < kLeafRows && band > 1; ++k) {
            Eliminate(panel, k, panel.At(k + 1, k), Clamp(band, kLeafRows - 1 - k), k, groups);
        }
        if (band + 1 < kLeafRows) {
            CutBand(panel, kLeafRows, band);
        }
    }

    // Zeros beyond the band, in a panel of `rows` rows that starts on the diagonal.
    __aicore__ inline static void CutBand(const Panel<Lanes>& panel, int32_t rows, int32_t band) {
        for (int32_t row = band + 1; row < Clamp(band + kLeafRows, rows); ++row) {
            AscendC::Duplicate<float>(panel.At(row, 0), 0.0f, (row - band) * Lanes);
        }
        const int32_t beyond = rows - band - kLeafRows;
        if (beyond > 0) {
            AscendC::Duplicate<float>(panel.At(band + kLeafRows, 0), 0.0f,
                                      beyond * Panel<Lanes>::kRowFloats);
        }
        AscendC::PipeBarrier<PIPE_V>();
    }

    // Zeros above the diagonal (and on it), where there may be anything: the upper right quarter,
    // then a row of both quarters on the diagonal at a time.
    __aicore__ inline static void CutUpper(const Panel<Lanes>& panel) {
        static_assert(Lanes == 8, "eight entries are a repeat");
        AscendC::Duplicate<float>(panel.At(0, 8), 0.0f, 64, 8, 1, kRow);
        for (int32_t row = 0; row < 8; ++row) {
            AscendC::Duplicate<float>(panel.At(row, row), 0.0f, (8 - row) * 8, 2, 1,
                                      8 * kRow + 8 * kEntry);
        }
    }

    __aicore__ inline static void SetDiagonal(const Panel<Lanes>& panel, float value) {
        AscendC::Duplicate<float>(panel.lanes, value, Lanes, kLeafRows, 1, kRow + kEntry);
        AscendC::PipeBarrier<PIPE_V>();
    }

    // F = 0 - F of `rows` rows, without negative zeros; `zeros`: a block.
    __aicore__ inline static void Negate(const Panel<Lanes>& panel, int32_t rows,
                                         const AscendC::LocalTensor<float>& zeros) {
        constexpr int32_t kRepeats = 128;
        for (int32_t at = 0; at < rows * Panel<Lanes>::kRowFloats; at += kRepeats * 64) {
            const int32_t n = Clamp(rows * Panel<Lanes>::kRowFloats / 64 - at / 64, kRepeats);
            AscendC::Sub(panel.lanes[at], zeros, panel.lanes[at], 64, n,
                         AscendC::BinaryRepeatParams{1, 0, 1, 8, 0, 8});
        }
        AscendC::PipeBarrier<PIPE_V>();
    }

  private:
    static constexpr uint8_t kEntry = Panel<Lanes>::kEntry;
    static constexpr uint8_t kRow = Panel<Lanes>::kRow;
    static constexpr int32_t kRowFloats = Panel<Lanes>::kRowFloats;

    // An instruction takes eight columns, of eight lanes in several rows, or of all lanes in a row:
    // the fewer the better.
    struct Shape {
        int32_t instructions, repeats;
        int32_t floats;  // from one instruction to the next
        uint8_t blocks;  // from one repeat to the next
        bool in_row;
    };
    __aicore__ inline static Shape ShapeOf(int32_t rows, int32_t groups) {
        return rows < groups ? Shape{rows, groups, kRowFloats, 1, true}
                             : Shape{groups, rows, 8, kRow, false};
    }
    // The floats of eight columns, of which those below `end` count.
    __aicore__ inline static uint64_t Floats(int32_t half, int32_t end) {
        return static_cast<uint64_t>(Clamp(end - half * 8, 8) * 8);
    }
    __aicore__ inline AscendC::LocalTensor<float> Products(const Shape& shape, int32_t half,
                                                           int32_t i) const {
        return products_[(half * shape.instructions + i) * shape.repeats * 64];
    }

    __aicore__ inline void Multiply(const Shape& shape, const Panel<Lanes>& panel, int32_t k,
                                    const AscendC::LocalTensor<float>& factors, int32_t half,
                                    int32_t end) const {
        const auto row = panel.At(k, half * 8);
        for (int32_t i = 0; i < shape.instructions; ++i) {
            const int32_t at = i * shape.floats;
            AscendC::Mul(Products(shape, half, i), factors[at], row[shape.in_row ? 0 : at],
                         Floats(half, end), shape.repeats,
                         AscendC::BinaryRepeatParams{1, 0, kEntry, 8, shape.blocks,
                                                     static_cast<uint8_t>(shape.in_row ? 1 : 0)});
        }
    }
    __aicore__ inline void Subtract(const Shape& shape, const Panel<Lanes>& panel, int32_t first,
                                    int32_t half, int32_t end) const {
        for (int32_t i = 0; i < shape.instructions; ++i) {
            const auto target = panel.At(first, half * 8)[i * shape.floats];
            AscendC::Sub(
                target, target, Products(shape, half, i), Floats(half, end), shape.repeats,
                AscendC::BinaryRepeatParams{kEntry, kEntry, 1, shape.blocks, shape.blocks, 8});
        }
    }

    AscendC::LocalTensor<float> products_;
};

}  // namespace neumann_tril
