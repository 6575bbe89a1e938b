// The products of the joins of a unit (128 rows), on int8 codes or on codes in two int8 limbs.
//
//     X21 = -X22 (A21 X11)    for all pairs of neighbouring blocks of 16, 32, 64 rows
//
// Fractals of int8 are 16 x 32, so matrices are made of squares of 32 x 32, two fractals one below
// the other, and every product has k = 32. On the diagonal X = D + V, with D the seeds and V the
// [0 0; X21 0] of the first join: two products into one sum. Where a square is narrower than 32,
// zeros fill it: A21 is [A21 0], X22 is [0 X22], and T = A21 X11 lies in the lower half of a
// square.
//
// With limbs, P = 256 Ph + Pl, there are three sums: Ph Qh, Ph Ql + Pl Qh, Pl Ql.
#pragma once

#include "../core/chunk_task.h"
#include "../core/tiles.h"
#include "task.h"

namespace neumann_tril {

using Codes = AscendC::LocalTensor<int8_t>;
using Sums = AscendC::LocalTensor<int32_t>;

template <int32_t C, int32_t Limbs>
class Joins {
  public:
    static constexpr int32_t kSquares = kUnitRows / 32, kPairs = kSquares / 2;
    // From limb to limb: of D, V and T; of the X21 of joins of 32 rows; of the A21 of each join.
    static constexpr int32_t kPitch = kSquares * kSquare;
    static constexpr int32_t kPitch32 = kPairs * kSquare;
    __aicore__ inline static constexpr int32_t PitchOfA(int32_t level) {
        return level == 2 ? 4 * kSquare : 2 * kSquare;
    }
    // Each limb of an operand in L0A or L0B, and each of the sums.
    static constexpr int32_t kOperand = 14 * kSquare;
    static constexpr int32_t kLimb = kOperand / 2;
    static constexpr int32_t kSum = C == 128 ? 4 * kSquare : 2 * kSquare;

    // A unit in L1.
    struct Operands {
        Codes a21, d, v, x32, t;
    };
    // A stream in L0A, L0B and L0C.
    Codes a, b;
    Sums sum;

    // T = A21 X11
    __aicore__ inline void LoadLeft(int32_t level, const Operands& unit) const {
        if (level == 0) {
            Left(0, unit.a21, PitchOfA(0), kSquares, 1);
            Right(0, unit.d, kPitch, kSquares, 1);
        } else if (level == 1) {
            Left(0, unit.a21, PitchOfA(1), 2 * kPairs, 1);
            Right(0, unit.d, kPitch, kPairs, 2);
            Right(kPairs, unit.v, kPitch, kPairs, 2);
        } else {
            Left(0, unit.a21, PitchOfA(2), 8, 1);
            Right(0, unit.d, kPitch, 2, 1);
            Right(2, unit.v, kPitch, 2, 1);
            Right(4, unit.x32, kPitch32, 1, 1);
        }
    }
    __aicore__ inline void MultiplyLeft(int32_t level) const {
        if (level == 0) {
            MultiplySquares16();
        } else if (level == 1) {
            Block blocks[2] = {{0, 0, 0, 32, 32}, {1, 1, 1, 32, 32}};
            Multiply(blocks, 2, false);
            blocks[0].b = 2;
            blocks[1].b = 3;
            Add(blocks, 2);
        } else {
            // X11 = [D0+V0 0; W0 D1+V1], and A21 in two columns of 64 x 32.
            Block blocks[2] = {{0, 0, 0, 64, 32}, {2, 2, 1, 64, 32}};
            Multiply(blocks, 2, false);
            blocks[0].b = 2;
            blocks[1].b = 3;
            Add(blocks, 2);
            const Block corner[1] = {{0, 2, 4, 64, 32}};
            Add(corner, 1);
        }
    }

    // X21 = X22 T
    __aicore__ inline void LoadRight(int32_t level, const Operands& unit) const {
        if (level == 0) {
            Left(0, unit.d[kCodeFractal], kPitch, kSquares, 2);
            Right(0, unit.t, kPitch, kSquares, 1);
        } else if (level == 1) {
            for (int32_t p = 0; p < kPairs; ++p) {
                const int32_t lower = (2 * p + 1) * kSquare;
                Left(p, unit.d[lower], kPitch, 2, 1);
                Left(kPairs + p, unit.v[lower], kPitch, 2, 1);
            }
            Right(0, unit.t, kPitch, kPairs, 1);
        } else {
            Left(0, unit.d[2 * kSquare], kPitch, 4, 1);
            Left(2, unit.v[2 * kSquare], kPitch, 4, 1);
            Left(4, unit.x32[kSquare], kPitch32, 2, 1);
            // The upper 32 rows of T, then the lower.
            Right(0, unit.t, kPitch, 2, 2);
            Right(2, unit.t[kSquare], kPitch, 2, 2);
        }
    }
    __aicore__ inline void MultiplyRight(int32_t level) const {
        if (level == 0) {
            MultiplySquares16();
        } else if (level == 1) {
            Block blocks[2] = {{0, 0, 0, 32, 32}, {1, 1, 1, 32, 32}};
            Multiply(blocks, 2, false);
            blocks[0].a = 2;
            blocks[1].a = 3;
            Add(blocks, 2);
        } else {
            // X22 = [D2+V2 0; W1 D3+V3], in rows of 32.
            Block blocks[2] = {{0, 0, 0, 32, 64}, {2, 1, 2, 32, 64}};
            Multiply(blocks, 2, false);
            blocks[0].a = 2;
            blocks[1].a = 3;
            Add(blocks, 2);
            const Block corner[1] = {{2, 4, 0, 32, 64}};
            Add(corner, 1);
        }
    }

    __aicore__ inline static void Product32(const Sums& c, const Codes& left, const Codes& right,
                                            uint16_t m, uint16_t n, bool accumulate) {
        AscendC::Mmad(c, left, right, Product(m, n, 32, accumulate));
    }
    // Two products into the same place do not wait for each other below ten fractals.
    __aicore__ inline static void Settle() { AscendC::PipeBarrier<PIPE_M>(); }

  private:
    // sum += a b; places in squares, of a column of 64 x 32 too.
    struct Block {
        int32_t c, a, b;
        uint16_t m, n;
    };

    // `count` fractals of a left, squares of a right operand to square `to`, from every limb.
    __aicore__ inline void Left(int32_t to, const Codes& from, int32_t pitch, uint16_t count,
                                uint16_t stride) const {
        for (int32_t limb = 0; limb < Limbs; ++limb) {
            LoadCodes(a[limb * kLimb + to * kSquare], from[limb * pitch], count, stride);
        }
    }
    __aicore__ inline void Right(int32_t to, const Codes& from, int32_t pitch, uint16_t count,
                                 uint16_t stride) const {
        for (int32_t limb = 0; limb < Limbs; ++limb) {
            LoadCodeSquares(b[limb * kLimb + to * kSquare], from[limb * pitch], count, stride);
        }
    }

    // Joins of 16 rows: the pairs are the squares on the diagonal, all sums are 16 x 32.
    __aicore__ inline void MultiplySquares16() const {
        for (int32_t limb = 0; limb < Limbs; ++limb) {
            for (int32_t other = 0; other < Limbs; ++other) {
                if (limb > other) {
                    Settle();
                }
                for (int32_t q = 0; q < kSquares; ++q) {
                    Product32(sum[(limb + other) * kSum + q * kCodeFractal],
                              a[limb * kLimb + q * kCodeFractal], b[other * kLimb + q * kSquare],
                              16, 32, limb > other);
                }
            }
        }
    }

    __aicore__ inline void Multiply(const Block* blocks, int32_t count, bool accumulate) const {
        for (int32_t limb = 0; limb < Limbs; ++limb) {
            for (int32_t other = 0; other < Limbs; ++other) {
                if (limb > other) {
                    Settle();
                }
                for (int32_t i = 0; i < count; ++i) {
                    const Block& block = blocks[i];
                    Product32(sum[(limb + other) * kSum + block.c * kSquare],
                              a[limb * kLimb + block.a * kSquare],
                              b[other * kLimb + block.b * kSquare], block.m, block.n,
                              accumulate || limb > other);
                }
            }
        }
    }
    __aicore__ inline void Add(const Block* blocks, int32_t count) const {
        Settle();
        Multiply(blocks, count, true);
    }
};

}  // namespace neumann_tril
