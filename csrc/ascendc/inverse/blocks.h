// Products of lower triangular blocks on the diagonal of a unit, in two shapes.
//
// An image in L1 is a unit of 128 rows (8 rows of fractals) by C columns, fractals column by
// column. Its diagonal blocks of one size are multiplied side by side, each with one Mmad over all
// of K, so that a sum is rounded once. The two shapes hide how operands lie in L0A, L0B and L0C:
//     DiagonalBlocks   blocks of 16, 32 or 64, dense
//     LowerHalves      one block of 128 as 64 + 64: its upper right quarter is never touched
// L0 operands a and b, accumulator c; `identity`: the constants in L0A and L0B.
#pragma once

#include "../core/layout.h"
#include "../core/tiles.h"
#include "neumann_tril.h"

namespace neumann_tril {

constexpr uint16_t kUnitFractals = kUnitRows / 16;  // fractals in a column of an image

// The identities that the cube multiplies by. Seven fractals, 0 0 0 I 0 0 0, hold every column of
// up to four fractals of an identity, and every row of an operand in L0B. For blocks of 128 L0B
// holds all of an identity of 64 x 64, in which they are fractals 2 to 8.
template <typename T, bool Whole>
struct Identities {
    AscendC::LocalTensor<T> left, right;  // in L0A, in L0B

    static constexpr uint32_t kPattern = 7 * kFractal;
    static constexpr uint32_t kElements = Whole ? 16 * kFractal : kPattern;

    // Column (in L0B also row) j of an identity.
    __aicore__ inline AscendC::LocalTensor<T> Left(uint16_t j) const {
        return left[(3 - j) * kFractal];
    }
    __aicore__ inline AscendC::LocalTensor<T> Right(uint16_t j) const {
        return right[((Whole ? 5 : 3) - j) * kFractal];
    }

    // From an image of the identity of 64 x 64 in L1.
    __aicore__ inline void Load(const AscendC::LocalTensor<T>& image) const {
        LoadLeft(left, image[2 * kFractal], 7, 7, 1);
        if constexpr (Whole) {
            LoadRight(right, image, 4, 4, 4);
        } else {
            LoadRight(right, image[2 * kFractal], 7, 7, 1);
        }
    }
};

// L0C to L1, rounded to T.
template <typename T>
__aicore__ inline void StoreFractals(const AscendC::LocalTensor<T>& image,
                                     const AscendC::LocalTensor<float>& c, uint16_t rows,
                                     uint16_t columns, uint16_t image_rows,
                                     uint16_t accumulator_rows) {
    StoreTiles(image, c, CubeCast<T>::value, kNoScale, rows, columns, image_rows, accumulator_rows);
}

template <typename T>
__aicore__ inline void StoreFractals(const AscendC::LocalTensor<T>& image,
                                     const AscendC::LocalTensor<float>& c, uint16_t rows,
                                     uint16_t columns, uint16_t image_rows) {
    StoreFractals(image, c, rows, columns, image_rows, rows);
}
// The lower triangle, fractal by fractal, of a dense block.
template <typename T>
__aicore__ inline void StoreLowerColumns(const AscendC::LocalTensor<T>& image,
                                         const AscendC::LocalTensor<float>& c, uint16_t side) {
    for (uint16_t j = 0; j < side; ++j) {
        StoreFractals(image[(j * kUnitFractals + j) * kFractal], c[(j * side + j) * kFractal],
                      (side - j) * 16, 16, kUnitRows, side * 16);
    }
}

// Where the rows of results go: row-major, in the dtype of X.
class ResultWriter {
  public:
    __aicore__ inline ResultWriter(GM_ADDR x, int32_t dtype, int64_t row_stride)
        : dtype_(dtype), row_stride_(row_stride) {
        half_.SetGlobalBuffer((__gm__ half*)x);
        bfloat16_.SetGlobalBuffer((__gm__ bfloat16_t*)x);
        float_.SetGlobalBuffer((__gm__ float*)x);
    }

    // The block at (row, column) of the matrix at `place`; rows that do not exist are left out.
    __aicore__ inline void Store(const Place& place, int32_t row, int32_t column,
                                 const AscendC::LocalTensor<float>& c, uint16_t rows,
                                 uint16_t columns) const {
        const int32_t exist = place.valid - row;
        if (exist <= 0) {
            return;
        }
        const uint16_t stored = exist < rows ? static_cast<uint16_t>(exist) : rows;
        const int64_t offset = place.x + row * row_stride_ + column;
        if (dtype_ == NT_FLOAT32) {
            StoreAs(float_[offset], c, rows, stored, columns);
        } else if (dtype_ == NT_FLOAT16) {
            StoreAs(half_[offset], c, rows, stored, columns);
        } else {
            StoreAs(bfloat16_[offset], c, rows, stored, columns);
        }
    }

  private:
    template <typename U>
    __aicore__ inline void StoreAs(const AscendC::GlobalTensor<U>& dst,
                                   const AscendC::LocalTensor<float>& c, uint16_t rows,
                                   uint16_t stored, uint16_t columns) const {
        StoreRows(dst, c, CubeCast<U>::value, kNoScale, stored, columns,
                  static_cast<uint32_t>(row_stride_), rows);
    }

    const int32_t dtype_;
    const int64_t row_stride_;
    AscendC::GlobalTensor<half> half_;
    AscendC::GlobalTensor<bfloat16_t> bfloat16_;
    AscendC::GlobalTensor<float> float_;
};

template <typename T, int32_t C>
struct DiagonalBlocks {
    const uint16_t side;  // fractals: 1, 2 or 4

    __aicore__ inline uint16_t Count() const { return kUnitFractals / side; }
    __aicore__ inline uint16_t Size() const { return side * 16; }
    __aicore__ inline uint32_t Fractals() const { return side * side * kFractal; }
    // First element of block q in an image.
    __aicore__ inline uint32_t At(uint16_t q) const {
        const uint16_t column = q * side % (C / 16);
        return (column * kUnitFractals + q * side) * kFractal;
    }

    __aicore__ inline void LoadA(const AscendC::LocalTensor<T>& a,
                                 const AscendC::LocalTensor<T>& image) const {
        if (Size() == C) {
            LoadLeftStack(a, image, kUnitFractals, Count(), side);
            return;
        }
        for (uint16_t q = 0; q < Count(); ++q) {
            LoadLeft(a[q * Fractals()], image[At(q)], kUnitFractals, side, side);
        }
    }
    __aicore__ inline void LoadB(const AscendC::LocalTensor<T>& b,
                                 const AscendC::LocalTensor<T>& image) const {
        if (Size() == C) {
            LoadRightStack(b, image, kUnitFractals, Count(), side);
            return;
        }
        for (uint16_t q = 0; q < Count(); ++q) {
            LoadRight(b[q * Fractals()], image[At(q)], kUnitFractals, side, side);
        }
    }

    // C = I, a column of fractals at a time
    __aicore__ inline void SetIdentity(const AscendC::LocalTensor<float>& c,
                                       const Identities<T, C == 128>& identity) const {
        for (uint16_t q = 0; q < Count(); ++q) {
            for (uint16_t j = 0; j < side; ++j) {
                AscendC::Mmad(c[q * Fractals() + j * side * kFractal], identity.Left(j),
                              identity.Right(0), Product(Size(), 16, 16, false));
            }
        }
        AscendC::PipeBarrier<PIPE_M>();
    }
    // C = A, likewise
    __aicore__ inline void SetLeft(const AscendC::LocalTensor<float>& c,
                                   const AscendC::LocalTensor<T>& a,
                                   const Identities<T, C == 128>& identity) const {
        for (uint16_t q = 0; q < Count(); ++q) {
            for (uint16_t j = 0; j < side; ++j) {
                AscendC::Mmad(c[q * Fractals() + j * side * kFractal], a[q * Fractals()],
                              identity.Right(j), Product(Size(), 16, Size(), false));
            }
        }
        AscendC::PipeBarrier<PIPE_M>();
    }
    // C = C + A B after SetIdentity
    __aicore__ inline void AddToIdentity(const AscendC::LocalTensor<float>& c,
                                         const AscendC::LocalTensor<T>& a,
                                         const AscendC::LocalTensor<T>& b) const {
        Multiply(c, a, b, true);
    }
    // C = A B, or C + A B
    __aicore__ inline void Multiply(const AscendC::LocalTensor<float>& c,
                                    const AscendC::LocalTensor<T>& a,
                                    const AscendC::LocalTensor<T>& b, bool accumulate) const {
        for (uint16_t q = 0; q < Count(); ++q) {
            AscendC::Mmad(c[q * Fractals()], a[q * Fractals()], b[q * Fractals()],
                          Product(Size(), Size(), Size(), accumulate));
        }
    }

    __aicore__ inline void Store(const AscendC::LocalTensor<T>& image,
                                 const AscendC::LocalTensor<float>& c) const {
        for (uint16_t q = 0; q < Count(); ++q) {
            StoreFractals(image[At(q)], c[q * Fractals()], Size(), Size(), kUnitRows);
        }
    }
    // The same without the fractals above the diagonal, which are zero unless an entry of A is
    // not finite: what they hold then must not outlive the unit.
    __aicore__ inline void StoreLower(const AscendC::LocalTensor<T>& image,
                                      const AscendC::LocalTensor<float>& c) const {
        for (uint16_t q = 0; q < Count(); ++q) {
            StoreLowerColumns(image[At(q)], c[q * Fractals()], side);
        }
    }
    __aicore__ inline void StoreResult(const ResultWriter& writer, const Place* places,
                                       const AscendC::LocalTensor<float>& c) const {
        for (uint16_t q = 0; q < Count(); ++q) {
            const int32_t row = q * Size() % C;
            writer.Store(places[q * Size() / C], row, row, c[q * Fractals()], Size(), Size());
        }
    }
};

// L0A: the upper left 64 x 64; then the lower 64 x 128 as four rows of fractals.
// L0B: the left 128 x 64; then the lower right 64 x 64.
// L0C: the upper left 64 x 64; then the lower 64 x 128 as four rows of fractals.
template <typename T>
struct LowerHalves {
    static constexpr uint32_t kLower = 16 * kFractal;
    static constexpr uint32_t kRow = 8 * kFractal;
    static constexpr uint32_t kRight = 4 * kFractal;        // within a row
    static constexpr uint32_t kLowerRight = 32 * kFractal;  // within L0B

    __aicore__ inline void LoadA(const AscendC::LocalTensor<T>& a,
                                 const AscendC::LocalTensor<T>& image) const {
        LoadLeft(a, image, kUnitFractals, 4, 4);
        LoadLeftRows(a[kLower], image[4 * kFractal], kUnitFractals, 4, 8);
    }
    __aicore__ inline void LoadB(const AscendC::LocalTensor<T>& b,
                                 const AscendC::LocalTensor<T>& image) const {
        LoadRight(b, image, kUnitFractals, 8, 4);
        LoadRight(b[kLowerRight], image[(4 * kUnitFractals + 4) * kFractal], kUnitFractals, 4, 4);
    }

    __aicore__ inline void SetIdentity(const AscendC::LocalTensor<float>& c,
                                       const Identities<T, true>& identity) const {
        for (uint16_t j = 0; j < 4; ++j) {
            AscendC::Mmad(c[j * 4 * kFractal], identity.Left(j), identity.Right(0),
                          Product(64, 16, 16, false));
            AscendC::Mmad(c[kLower + j * kRow + kRight], identity.Left(0), identity.Right(j),
                          Product(16, 64, 16, false));
        }
        AscendC::PipeBarrier<PIPE_M>();
    }
    __aicore__ inline void SetLeft(const AscendC::LocalTensor<float>& c,
                                   const AscendC::LocalTensor<T>& a,
                                   const Identities<T, true>& identity) const {
        AscendC::Mmad(c, a, identity.right, Product(64, 64, 64, false));
        for (uint16_t r = 0; r < 4; ++r) {
            const uint32_t row = kLower + r * kRow;
            AscendC::Mmad(c[row], a[row], identity.right, Product(16, 64, 64, false));
            AscendC::Mmad(c[row + kRight], a[row + kRight], identity.right,
                          Product(16, 64, 64, false));
        }
        AscendC::PipeBarrier<PIPE_M>();
    }
    __aicore__ inline void AddToIdentity(const AscendC::LocalTensor<float>& c,
                                         const AscendC::LocalTensor<T>& a,
                                         const AscendC::LocalTensor<T>& b) const {
        MultiplyQuarters(c, a, b, true, false);
    }
    __aicore__ inline void Multiply(const AscendC::LocalTensor<float>& c,
                                    const AscendC::LocalTensor<T>& a,
                                    const AscendC::LocalTensor<T>& b, bool accumulate) const {
        MultiplyQuarters(c, a, b, accumulate, accumulate);
    }

    __aicore__ inline void Store(const AscendC::LocalTensor<T>& image,
                                 const AscendC::LocalTensor<float>& c) const {
        StoreFractals(image, c, 64, 64, kUnitRows);
        for (uint16_t r = 0; r < 4; ++r) {
            StoreFractals(image[(4 + r) * kFractal], c[kLower + r * kRow], 16, 128, kUnitRows);
        }
    }
    __aicore__ inline void StoreLower(const AscendC::LocalTensor<T>& image,
                                      const AscendC::LocalTensor<float>& c) const {
        StoreLowerColumns(image, c, 4);
        for (uint16_t r = 0; r < 4; ++r) {
            StoreFractals(image[(4 + r) * kFractal], c[kLower + r * kRow], 16, 80 + r * 16,
                          kUnitRows);
        }
    }
    __aicore__ inline void StoreResult(const ResultWriter& writer, const Place* places,
                                       const AscendC::LocalTensor<float>& c) const {
        writer.Store(places[0], 0, 0, c, 64, 64);
        for (uint16_t r = 0; r < 4; ++r) {
            writer.Store(places[0], 64 + r * 16, 0, c[kLower + r * kRow], 16, 128);
        }
    }

  private:
    __aicore__ inline void MultiplyQuarters(const AscendC::LocalTensor<float>& c,
                                            const AscendC::LocalTensor<T>& a,
                                            const AscendC::LocalTensor<T>& b, bool add_to_diagonal,
                                            bool add_to_lower) const {
        AscendC::Mmad(c, a, b, Product(64, 64, 64, add_to_diagonal));
        for (uint16_t r = 0; r < 4; ++r) {
            const uint32_t row = kLower + r * kRow;
            AscendC::Mmad(c[row], a[row], b, Product(16, 64, 128, add_to_lower));
            AscendC::Mmad(c[row + kRight], a[row + kRight], b[kLowerRight],
                          Product(16, 64, 64, add_to_diagonal));
        }
    }
};

}  // namespace neumann_tril
