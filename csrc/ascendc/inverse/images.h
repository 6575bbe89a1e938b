// A of a unit as rows in the Unified Buffer, and its image N = -(I + A), cut to the lower triangle.
//
// An image is a unit as the cube wants it: fractals of 16 x 16, column by column. Only its lower
// triangle, fractal by fractal, is written and travels. Above the diagonal of A there may be
// anything: it is cut off on the bits.
#pragma once

#include "../core/rows.h"
#include "neumann_tril.h"
#include "task.h"

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

// The first `count` rows of a unit that a core owns; none if it does not.
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

// Fills `count` lanes of 16 bits from lane `first` of one 32-byte block, `repeat` times.
__aicore__ inline void FillLanes(const AscendC::LocalTensor<uint16_t>& dst, uint16_t value,
                                 int32_t first, int32_t count, uint8_t repeat = 1,
                                 uint8_t repeat_stride = 8) {
    uint64_t mask[2] = {((uint64_t{1} << count) - 1) << first, 0};
    AscendC::Duplicate(dst, value, mask, repeat, 1, repeat_stride);
}

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
        for (int32_t m = 0; m < kUnitRows / C; ++m) {
            for (int32_t c = 0; c < C / 16; ++c) {
                const auto block = n[(c * kUnitRows + m * C + 16 * c) * 16];
                AscendC::Or(block, block, minus_identity_, 128, 2,
                            AscendC::BinaryRepeatParams{1, 1, 1, 8, 8, 8});
            }
        }
    }

  private:
    static constexpr int32_t kRowPitch = C / 16;  // blocks from row to row of A

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
        for (int32_t m = 0; m < kUnitRows / C; ++m) {
            for (int32_t c = 0; c < C / 16; ++c) {
                const int32_t row = m * C + 16 * c;
                const auto dst = n[(c * kUnitRows + row) * 16];
                const auto src = rows[row * C + 16 * c];
                AscendC::And(dst, src, strict_, 128, 2,
                             AscendC::BinaryRepeatParams{1, kRowPitch, 1, 8, 8 * kRowPitch, 8});
                const int32_t below = C - 16 * (c + 1);
                if (below > 0) {
                    AscendC::Copy(dst[256], src[16 * C], 128, below / 8,
                                  AscendC::CopyRepeatParams{1, kRowPitch, 8, 8 * kRowPitch});
                }
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
