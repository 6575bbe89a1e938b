// Panels of A, sixteen columns of eight leaves, from global memory to lanes; and the memory of the
// stage that works on them.
#pragma once

#include "../core/transpose.h"
#include "non_finite.h"

namespace neumann_tril {

// Byte offsets in the Unified Buffer.
template <typename T, int32_t C, int32_t L>
struct PanelSeedBuffers {
    static constexpr uint32_t kCapacity = 192 * 1024 - 256;
    static constexpr bool kHasImages = sizeof(T) == 2;
    static constexpr int32_t kSliceRows = L < 32 ? L : 32;  // of A on its way to lanes
    static constexpr int32_t kSlice = 8 * kSliceRows * 16;  // numbers of all leaves
    static constexpr uint32_t kPanelBytes = L * 16 * 8 * 4;
    // A panel of F and one of A; while images are made, two of N and the rows of A of two units.
    static constexpr uint32_t kImagesBytes = kHasImages ? 2 * kImage<C> * 2 : 0;
    static constexpr uint32_t kAreaBytes = kPanelBytes < kImagesBytes ? kImagesBytes : kPanelBytes;

    static constexpr uint32_t kConstants = 0;              // of the images
    static constexpr uint32_t kZeros = kConstants + 1088;  // of the result
    static constexpr uint32_t kProducts = kZeros + 2 * ResultRows::kZeros;
    static constexpr uint32_t kF = kProducts + Substitution<8>::kProducts * 256;
    static constexpr uint32_t kA = kF + kAreaBytes;
    static constexpr uint32_t kFloats = kA + kAreaBytes;  // slices
    static constexpr int32_t kBuffers = 2;                // of what comes from global memory
    static constexpr uint32_t kWords = kFloats + (kHasImages ? 1 : kBuffers) * 4 * kSlice;
    static constexpr uint32_t kNonFinite = kWords + (kHasImages ? kBuffers * 2 * kSlice : 0);
    static constexpr uint32_t kEnd = kNonFinite + (kHasImages ? 2 * NonFinite<half, C>::kWords : 0);
    static_assert(kEnd <= kCapacity, "the Unified Buffer is too small");
};

// A leaf's first row in A and in X, its place in its unit, and the rows that exist.
struct LeafPlace {
    int64_t a = 0, x = 0;
    int32_t rows = 0;
};

// Panels of A of eight leaves, in lanes.
template <typename T, int32_t C, int32_t L>
class PanelsOfA {
  public:
    __aicore__ inline PanelsOfA(const ChunkTask& task, GM_ADDR a)
        : stride_(task.a_row_stride), rounds_(sizeof(T) == 2 && task.a_dtype == NT_FLOAT32) {
        a16_.SetGlobalBuffer((__gm__ uint16_t*)a);
        a32_.SetGlobalBuffer((__gm__ float*)a);
    }

    // Rows first .. end - 1 (whole slices, at least) of columns `column` .. + 15 of the leaves.
    __aicore__ inline void Load(const Panel<8>& panel, const LeafPlace* leaves, int32_t first,
                                int32_t end, int32_t column) const {
        const int32_t slices = (end - first + kRows - 1) / kRows;
        Fetch(leaves, 0, first, column);
        for (int32_t t = 0; t < slices; ++t) {
            if (!rounds_ && t + 1 < slices) {
                Fetch(leaves, t + 1, first + (t + 1) * kRows, column);
            }
            AscendC::WaitFlag<AscendC::HardEvent::MTE2_V>(t % kBuffers);
            const int32_t row = first + t * kRows, rows = Clamp(L - row, kRows);
            ClearMissing(leaves, t, row, rows);
            const auto floats = ToFloats(t);
            AscendC::PipeBarrier<PIPE_V>();
            ToPanel(panel, row - first, floats, rows * 16, rows);
            AscendC::PipeBarrier<PIPE_V>();
            if (rounds_ && t + 1 < slices) {
                Fetch(leaves, t + 1, first + (t + 1) * kRows, column);
            }
        }
    }

  private:
    using Buffers = PanelSeedBuffers<T, C, L>;
    static constexpr int32_t kRows = Buffers::kSliceRows, kBuffers = Buffers::kBuffers;
    static constexpr bool kWords = Buffers::kHasImages;

    __aicore__ inline AscendC::LocalTensor<float> Floats(int32_t t) const {
        return Ub<float>(Buffers::kFloats + (kWords ? 0 : t % kBuffers * 4 * Buffers::kSlice),
                         Buffers::kSlice);
    }
    __aicore__ inline AscendC::LocalTensor<uint16_t> Words(int32_t t) const {
        return Ub<uint16_t>(Buffers::kWords + t % kBuffers * 2 * Buffers::kSlice, Buffers::kSlice);
    }
    __aicore__ inline bool InWords() const { return kWords && !rounds_; }

    // The buffer is free once the vector instructions issued so far have been executed.
    __aicore__ inline void Fetch(const LeafPlace* leaves, int32_t t, int32_t row,
                                 int32_t column) const {
        AscendC::SetFlag<AscendC::HardEvent::V_MTE2>(3 + t % kBuffers);
        AscendC::WaitFlag<AscendC::HardEvent::V_MTE2>(3 + t % kBuffers);
        const int32_t rows = Clamp(L - row, kRows);
        for (int32_t leaf = 0; leaf < 8; ++leaf) {
            const int32_t exist = Clamp(leaves[leaf].rows - row, rows);
            const int64_t offset = leaves[leaf].a + row * stride_ + column;
            if (exist > 0 && InWords()) {
                CopyRowsIn(Words(t)[leaf * rows * 16], a16_, offset, stride_, exist, 16);
            } else if (exist > 0) {
                CopyRowsIn(Floats(t)[leaf * rows * 16], a32_, offset, stride_, exist, 16);
            }
        }
        AscendC::SetFlag<AscendC::HardEvent::MTE2_V>(t % kBuffers);
    }

    __aicore__ inline void ClearMissing(const LeafPlace* leaves, int32_t t, int32_t row,
                                        int32_t rows) const {
        for (int32_t leaf = 0; leaf < 8; ++leaf) {
            const int32_t exist = Clamp(leaves[leaf].rows - row, rows);
            const int32_t at = (leaf * rows + exist) * 16, missing = (rows - exist) * 16;
            if (missing > 0 && InWords()) {
                AscendC::Duplicate<uint16_t>(Words(t)[at], 0, missing);
            } else if (missing > 0) {
                AscendC::Duplicate<float>(Floats(t)[at], 0.0f, missing);
            }
        }
    }

    __aicore__ inline AscendC::LocalTensor<float> ToFloats(int32_t t) const {
        const auto floats = Floats(t);
        if constexpr (kWords) {
            const auto words = Words(t).template ReinterpretCast<T>();
            AscendC::PipeBarrier<PIPE_V>();
            if (rounds_) {
                AscendC::Cast(words, floats, AscendC::RoundMode::CAST_RINT, Buffers::kSlice);
                AscendC::PipeBarrier<PIPE_V>();
            }
            AscendC::Cast(floats, words, AscendC::RoundMode::CAST_NONE, Buffers::kSlice);
        }
        return floats;
    }

    const int64_t stride_;
    const bool rounds_;
    AscendC::GlobalTensor<uint16_t> a16_;
    AscendC::GlobalTensor<float> a32_;
};

}  // namespace neumann_tril
