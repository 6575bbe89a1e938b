// The leaves of a round: from the rows of A to lanes, and from lanes to rows of 32 words, of which
// a leaf of 16 columns is the left or the right half.
#pragma once

#include "../core/transpose.h"
#include "slices.h"

namespace neumann_tril {

template <typename In, int32_t C, int32_t Limbs>
class Leaves {
  public:
    using Buffers = QuantBuffers<In, C, Limbs>;
    using Word = LeafWord<In>;

    __aicore__ inline void Prepare() const {
        AscendC::Duplicate<uint16_t>(Rows<uint16_t>(), 0, 2 * kWords);
        AscendC::Duplicate<uint16_t>(Lower(), 0, kWords);
        AscendC::PipeBarrier<PIPE_V>();
        for (int32_t i = 1; i < kLeafRows; ++i) {
            AscendC::Duplicate<uint16_t>(Lower()[i * kLeafRows * kLanes], 0xFFFF, i * kLanes);
        }
    }

    // Rows of all leaves, and where leaf l starts in them.
    template <typename U>
    __aicore__ inline static AscendC::LocalTensor<U> Rows() {
        return Ub<U>(Buffers::kLeavesAt, 2 * kWords);
    }
    __aicore__ inline static int32_t At(int32_t leaf) { return leaf * kLeafRows * 32 + Half(leaf); }
    // [i][k][leaf]
    template <typename U>
    __aicore__ inline static AscendC::LocalTensor<U> Words() {
        return Ub<U>(Buffers::kWordsAt, kWords);
    }

    // The columns of the leaves in a slice, from row `row` of the round on.
    __aicore__ inline void Gather(const AscendC::LocalTensor<In>& slice, int32_t row) const {
        if constexpr (sizeof(In) == 1) {
            CastRows(slice, row);
        } else {
            CopyLeaves(slice.template ReinterpretCast<uint16_t>(), row);
        }
    }

    // The strict lower parts to words.
    __aicore__ inline void Transpose() const {
        for (int32_t first = 0; first < kLanes; first += 16) {
            ToLanes<kLanes>(Words<Word>()[first], SixteenOf(Rows<Word>(), first, first), 2);
        }
        AscendC::PipeBarrier<PIPE_V>();
        AscendC::And(Words<uint16_t>(), Words<uint16_t>(), Lower(), kWords);
        AscendC::PipeBarrier<PIPE_V>();
    }
    // Words to rows.
    __aicore__ inline void TransposeBack() const {
        for (int32_t first = 0; first < kLanes; first += 16) {
            FromLanes<kLanes>(SixteenOf(Rows<half>(), first, first), 2, Words<half>()[first]);
        }
    }
    // Sixteen leaves to rows of their own.
    __aicore__ inline static void TransposeSixteen(const AscendC::LocalTensor<half>& rows,
                                                   const AscendC::LocalTensor<half>& words,
                                                   int32_t first) {
        FromLanes<kLanes>(SixteenOf(rows, first, 0), 2, words[first]);
        AscendC::PipeBarrier<PIPE_V>();
    }

  private:
    static constexpr int32_t kLanes = Buffers::kLanes, kWords = Buffers::kWords;
    static constexpr int32_t kSliceRows = Buffers::kSliceRows;
    static constexpr int32_t kPitch = Slices<In, C, Limbs>::kPitch;

    // Leaves of even number take the left half; all do where a matrix is a leaf.
    __aicore__ inline static int32_t Half(int32_t leaf) { return C > 16 ? leaf % 2 * 16 : 0; }
    __aicore__ inline static AscendC::LocalTensor<uint16_t> Lower() {
        return Ub<uint16_t>(Buffers::kLowerAt, kWords);
    }
    // Leaves `first` .. `first` + 15, which lie in rows from those of leaf `from` on.
    template <typename U>
    __aicore__ inline static LeafAddresses SixteenOf(const AscendC::LocalTensor<U>& rows,
                                                     int32_t first, int32_t from) {
        LeafAddresses leaves;
        for (int32_t i = 0; i < 16; ++i) {
            leaves.rows[i] = Address(rows[(from + i) * kLeafRows * 32 + Half(first + i)]);
        }
        return leaves;
    }

    // A block of int8 is 32 columns, two leaves.
    __aicore__ inline void CastRows(const AscendC::LocalTensor<In>& slice, int32_t row) const {
        constexpr int32_t kRows = C > 16 ? 32 : kSliceRows;  // that share 32 columns
        for (int32_t r = 0; r < kSliceRows; r += kRows) {
            const auto columns = slice[r * kPitch * 32 + (row + r) % C / 32 * 32];
            AscendC::Cast(Rows<Word>()[(row + r) * 32], columns, AscendC::RoundMode::CAST_NONE, 128,
                          kRows / 4, AscendC::UnaryRepeatParams{1, kPitch, 8, 4 * kPitch});
        }
    }
    __aicore__ inline void CopyLeaves(const AscendC::LocalTensor<uint16_t>& slice,
                                      int32_t row) const {
        for (int32_t r = 0; r < kSliceRows; r += kLeafRows) {
            AscendC::Copy(Rows<uint16_t>()[At((row + r) / kLeafRows)], slice[r * C + (row + r) % C],
                          128, 2, AscendC::CopyRepeatParams{2, kPitch, 16, 8 * kPitch});
        }
    }
};

}  // namespace neumann_tril
