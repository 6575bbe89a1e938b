// The image N = -(I + A) of a unit, cut to the lower triangle.
//
// An image is a unit as the cube wants it: fractals of 16 x 16, column by column. Only its lower
// triangle, fractal by fractal, is written and travels. Above the diagonal of A there may be
// anything: it is cut off on the bits.
#pragma once

#include "unit_rows.h"

namespace neumann_tril {

// The bits of a one.
template <typename T>
constexpr uint16_t kOne = 0;
template <>
constexpr uint16_t kOne<half> = 0x3C00;
template <>
constexpr uint16_t kOne<bfloat16_t> = 0x3F80;

// Copies the lower triangles, fractal by fractal, of the blocks of B rows on the diagonals of an
// image's matrices; the rest of the target is left alone. A row of a fractal is 32 bytes.
template <int32_t C, int32_t B, class Target, class Source>
__aicore__ inline void CopyLower(const Target& dst, const Source& src) {
    for (int32_t c = 0; c < C / 16; ++c) {
        const uint16_t rows = B - 16 * c % B;  // of the column within its block
        const uint16_t gap = C - rows;
        const uint32_t first = (c * kUnitRows + 16 * c) * 16;
        AscendC::DataCopy(dst[first], src[first],
                          AscendC::DataCopyParams{kUnitRows / C, rows, gap, gap});
    }
}

// Fills `count` lanes of 16 bits from lane `first` of one 32-byte block, `repeat` times.
__aicore__ inline void FillLanes(const AscendC::LocalTensor<uint16_t>& dst, uint16_t value,
                                 int32_t first, int32_t count, uint8_t repeat = 1,
                                 uint8_t repeat_stride = 8) {
    uint64_t mask[2] = {((uint64_t{1} << count) - 1) << first, 0};
    AscendC::Duplicate(dst, value, mask, repeat, 1, repeat_stride);
}

// The same `rows` rows of every matrix of a unit, in one column of an image: instructions of 128
// words in repeats, along the rows or from matrix to matrix, whichever takes fewer instructions.
template <int32_t C>
struct RowsOfAll {
    bool by_matrix;
    int32_t instructions, repeats;
    int32_t step;    // rows from one instruction to the next
    uint8_t stride;  // rows from one repeat to the next: in an image, blocks of 32 bytes

    // `whole`: all rows of the unit may be taken at once.
    __aicore__ constexpr RowsOfAll(int32_t rows, bool whole)
        : by_matrix(!whole && rows / 8 < kMatrices),
          instructions(whole       ? 1
                       : by_matrix ? rows / 8
                                   : kMatrices),
          repeats(whole       ? kUnitRows / 8
                  : by_matrix ? kMatrices
                              : rows / 8),
          step(by_matrix ? 8 : C),
          stride(by_matrix ? C : 8) {}

  private:
    static constexpr int32_t kMatrices = kUnitRows / C;
};

template <typename T, int32_t C>
class ImageOfA {
  public:
    static constexpr uint32_t kConstantBytes = 512 + 512 + 32;

    // `constants`: kConstantBytes; `scratch`: kScratch words, free while images are made.
    static constexpr int32_t kScratch = kImage<C> < 8192 ? kImage<C> : 8192;
    __aicore__ inline ImageOfA(const AscendC::LocalTensor<uint16_t>& constants,
                               const AscendC::LocalTensor<uint16_t>& scratch)
        : strict_(constants),
          minus_identity_(constants[256]),
          sign_(constants[512]),
          scratch_(scratch) {}

    __aicore__ inline void Prepare() const {
        AscendC::Duplicate<uint16_t>(strict_, 0, 512);
        AscendC::Duplicate<uint16_t>(sign_, 0x8000, 16);
        AscendC::PipeBarrier<PIPE_V>();
        for (int32_t r = 0; r < 16; ++r) {
            if (r > 0) {
                FillLanes(strict_[r * 16], 0xFFFF, 0, r);
            }
            FillLanes(minus_identity_[r * 16], kOne<T> | 0x8000, r, 1);
        }
    }

    // N from the rows of A, which are negated on the way.
    __aicore__ inline void Make(const AscendC::LocalTensor<uint16_t>& n,
                                const AscendC::LocalTensor<uint16_t>& rows) const {
        Negate(rows);
        Cut(n, rows);
        AscendC::PipeBarrier<PIPE_V>();
        for (int32_t c = 0; c < C / 16; ++c) {
            for (int32_t i = 0; i < kDiagonal.instructions; ++i) {
                const auto dst = n[(c * kUnitRows + 16 * c + i * kDiagonal.step) * 16];
                AscendC::Or(dst, dst, Half(minus_identity_, i), 128, kDiagonal.repeats,
                            AscendC::BinaryRepeatParams{1, 1, 1, kDiagonal.stride, kDiagonal.stride,
                                                        kHalves});
            }
        }
    }

  private:
    static constexpr int32_t kRowPitch = C / 16;  // blocks of 32 bytes from row to row of A

    // A block of 16 x 16 on the diagonal, of every matrix. An instruction takes half of it, or all.
    static constexpr RowsOfAll<C> kDiagonal = RowsOfAll<C>(16, false);
    static constexpr uint8_t kHalves = kDiagonal.by_matrix ? 0 : 8;
    __aicore__ inline static AscendC::LocalTensor<uint16_t> Half(
        const AscendC::LocalTensor<uint16_t>& block, int32_t i) {
        return block[kDiagonal.by_matrix ? i * 128 : 0];
    }

    // Rows of 128 columns are read to the middle in the upper half of a matrix.
    __aicore__ inline void Negate(const AscendC::LocalTensor<uint16_t>& rows) const {
        if constexpr (C == 128) {
            Negate(rows, 64, 64);
            Negate(rows[64 * C], 128, 64);
        } else {
            Negate(rows, 128, C);
        }
        AscendC::PipeBarrier<PIPE_V>();
    }

    // The first `lanes` words of `repeats` times 128.
    __aicore__ inline void Negate(const AscendC::LocalTensor<uint16_t>& rows, uint64_t lanes,
                                  uint8_t repeats) const {
        if constexpr (kOne<T> == kOne<half>) {
            const auto numbers = rows.template ReinterpretCast<half>();
            AscendC::Muls(numbers, numbers, static_cast<half>(-1.0f), lanes, repeats,
                          AscendC::UnaryRepeatParams{1, 1, 8, 8});
        } else {
            FlipSigns(rows, lanes, repeats);
        }
    }

    // bfloat16 has no arithmetic: (a | s) - (a & s), which cannot overflow.
    __aicore__ inline void FlipSigns(const AscendC::LocalTensor<uint16_t>& rows, uint64_t lanes,
                                     uint8_t repeats) const {
        const AscendC::BinaryRepeatParams with_block{1, 1, 0, 8, 8, 0};
        AscendC::And(scratch_, rows, sign_, lanes, repeats, with_block);
        AscendC::Or(rows, rows, sign_, lanes, repeats, with_block);
        AscendC::PipeBarrier<PIPE_V>();
        const auto numbers = rows.template ReinterpretCast<int16_t>();
        AscendC::Sub(numbers, numbers, scratch_.template ReinterpretCast<int16_t>(), lanes, repeats,
                     AscendC::BinaryRepeatParams{1, 1, 1, 8, 8, 8});
    }

    __aicore__ inline void Cut(const AscendC::LocalTensor<uint16_t>& n,
                               const AscendC::LocalTensor<uint16_t>& rows) const {
        for (int32_t c = 0; c < C / 16; ++c) {
            for (int32_t i = 0; i < kDiagonal.instructions; ++i) {
                const int32_t row = 16 * c + i * kDiagonal.step;
                AscendC::And(n[(c * kUnitRows + row) * 16], rows[row * C + 16 * c],
                             Half(strict_, i), 128, kDiagonal.repeats,
                             AscendC::BinaryRepeatParams{1, kRowPitch, 1, kDiagonal.stride,
                                                         kDiagonal.stride * kRowPitch, kHalves});
            }
            const RowsOfAll<C> below(C - 16 * (c + 1), false);
            for (int32_t i = 0; c + 1 < C / 16 && i < below.instructions; ++i) {
                const int32_t row = 16 * (c + 1) + i * below.step;
                AscendC::Copy(
                    n[(c * kUnitRows + row) * 16], rows[row * C + 16 * c], 128, below.repeats,
                    AscendC::CopyRepeatParams{1, kRowPitch, below.stride,
                                              static_cast<uint16_t>(below.stride * kRowPitch)});
            }
        }
    }

    AscendC::LocalTensor<uint16_t> strict_, minus_identity_, sign_, scratch_;
};

// The identity that the cube multiplies by, once for a core.
template <typename T, int32_t C>
__aicore__ inline void StoreIdentity(const AscendC::GlobalTensor<uint16_t>& workspace,
                                     const AscendC::LocalTensor<uint16_t>& identity) {
    AscendC::Duplicate<uint16_t>(identity, 0, kIdentityUsed<C>);
    AscendC::PipeBarrier<PIPE_V>();
    for (int32_t r = 0; r < 16; ++r) {
        FillLanes(identity[r * 16], kOne<T>, r, 1, C < 64 ? 2 : 4, 5 * 16);
    }
    AscendC::SetFlag<AscendC::HardEvent::V_MTE3>(EVENT_ID2);
    AscendC::WaitFlag<AscendC::HardEvent::V_MTE3>(EVENT_ID2);
    AscendC::DataCopy(workspace, identity, AscendC::DataCopyParams{1, kIdentityUsed<C> / 16, 0, 0});
    AscendC::SetFlag<AscendC::HardEvent::MTE3_V>(EVENT_ID2);
    AscendC::WaitFlag<AscendC::HardEvent::MTE3_V>(EVENT_ID2);
}

}  // namespace neumann_tril
