// The vector cores' part for leaves of any size, and for float32 operands: eight leaves are a
// round.
//
// Leaves are seeded sixteen columns, a panel, at a time; A comes a panel at a time, too, straight
// from global memory. For each round of its share a core
//
//     image      N = -(I + A) of every unit -> workspace                            images.h
//     for each panel J of the leaves:
//         F = A[16J.., J]
//         for k = 16J+1, .. within the band:  F[k+1.., :] -= A[k+1.., k] F[k, :]     core/seed.h
//         X0[.., J] = I - F, cut to the band -> workspace, and the result          result.h
//     announce   N and X0 to the cube core
//
// float32 operands are for plans without products: no image, the seed is the result.
#pragma once

#include "../core/ring.h"
#include "../core/transpose.h"
#include "images.h"
#include "result.h"

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
    static constexpr uint32_t kEnd = kWords + (kHasImages ? kBuffers * 2 * kSlice : 0);
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

    // Slices are whole: what lies before and behind in the same buffer is not waited for longer
    // than until the vector instructions that read it have been issued and finished.
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

template <typename T, int32_t C, int32_t L>
class PanelSeedStage {
  public:
    __aicore__ inline PanelSeedStage(const InverseTask& task, GM_ADDR a, GM_ADDR x,
                                     GM_ADDR workspace, const Chunks& chunks)
        : task_(task),
          chunks_(chunks),
          ring_(task.chunks.units, AscendC::GetBlockIdx() / 2, AscendC::GetBlockNum(), kRoundUnits,
                kBatchesHeld),
          side_(AscendC::GetSubBlockIdx()),
          band_(task.plan.bandwidth),
          panels_(task.chunks, a),
          result_(task, x, Ub<uint16_t>(Buffers::kZeros, ResultRows::kZeros)),
          f_{Ub<float>(Buffers::kF, Buffers::kPanelBytes / 4)},
          factors_{Ub<float>(Buffers::kA, Buffers::kPanelBytes / 4)},
          substitution_(Ub<float>(Buffers::kProducts, Substitution<8>::kProducts * 64)),
          rows_(task.chunks, a) {
        if (task.cube != 0) {
            workspace_.SetGlobalBuffer((__gm__ uint16_t*)workspace +
                                       AscendC::GetBlockIdx() / 2 * InverseWorkspace(C, L));
        }
    }

    __aicore__ inline void Run() {
        AscendC::Duplicate<uint16_t>(Ub<uint16_t>(Buffers::kZeros, ResultRows::kZeros), 0,
                                     ResultRows::kZeros);
        if constexpr (Buffers::kHasImages) {
            Images().Prepare();
            if (task_.cube != 0 && side_ == 0) {
                StoreIdentity<T, C>(workspace_, Ub<uint16_t>(Buffers::kF, kIdentity));
            }
        }
        for (int32_t j = 0; j < ring_.Rounds(); ++j) {
            if (task_.cube != 0) {
                ring_.WaitForPlaces(j);
            }
            if (ring_.UnitsOf(j, side_) > 0) {
                Round(j);
            }
            if (task_.cube != 0) {
                ring_.Announce();
            }
        }
    }

  private:
    using Buffers = PanelSeedBuffers<T, C, L>;
    static constexpr int32_t kLeavesPerMatrix = C / L;
    static constexpr int32_t kRoundUnits = 8 * L / kUnitRows;
    static_assert(sizeof(T) == 4 || kRoundUnits == RoundUnits(C, L),
                  "the cube counts other rounds");

    __aicore__ inline void Round(int32_t j) {
        if constexpr (Buffers::kHasImages) {
            if (task_.cube != 0) {
                StoreImages(j);
            }
        }
        LocateLeaves(j);
        for (int32_t column = 0; column < L; column += 16) {
            SeedPanel(column);
            StorePanel(j, column);
        }
        for (int32_t unit = 0; unit < ring_.UnitsOf(j, side_); ++unit) {
            const UnitPlaces<C> places(chunks_, UnitOf(j, unit), true);
            for (const Place& place : places.of) {
                result_.StoreZerosOf(place);
            }
        }
    }

    __aicore__ inline int64_t UnitOf(int32_t j, int32_t unit) const {
        return ring_.InBatchOrder(ring_.First(j, side_) + unit);
    }

    // --- images

    __aicore__ inline ImageOfA<T, C> Images() const {
        return ImageOfA<T, C>(Ub<uint16_t>(Buffers::kConstants, 528),
                              Ub<uint16_t>(Buffers::kFloats, ImageOfA<T, C>::kScratch));
    }
    __aicore__ inline AscendC::GlobalTensor<uint16_t> InRing(int32_t j, int32_t unit) const {
        const int32_t place = ring_.PlaceOf(ring_.First(j, side_) + unit);
        return workspace_[kIdentity + place * 2 * kImage<C>];
    }

    template <int32_t Offset>
    __aicore__ inline static AscendC::LocalTensor<uint16_t> ImageBuffer(int32_t unit) {
        return Ub<uint16_t>(Offset, 2 * kImage<C>)[unit % 2 * kImage<C>];
    }

    __aicore__ inline void StoreImages(int32_t j) const {
        const int32_t units = ring_.UnitsOf(j, side_);
        LoadRows(j, 0);
        for (int32_t unit = 0; unit < units; ++unit) {
            if (unit + 1 < units) {
                LoadRows(j, unit + 1);
            }
            const auto rows = ImageBuffer<Buffers::kA>(unit), n = ImageBuffer<Buffers::kF>(unit);
            const UnitPlaces<C> places(chunks_, UnitOf(j, unit), true);
            AscendC::WaitFlag<AscendC::HardEvent::MTE2_V>(unit % 2);
            if (unit >= 2) {
                AscendC::WaitFlag<AscendC::HardEvent::MTE3_V>(unit % 2);
            }
            rows_.ClearMissing(rows, places);
            Images().Make(n, rows);
            AscendC::SetFlag<AscendC::HardEvent::V_MTE3>(unit % 2);
            AscendC::WaitFlag<AscendC::HardEvent::V_MTE3>(unit % 2);
            CopyLower<C, C>(InRing(j, unit), n);
            AscendC::SetFlag<AscendC::HardEvent::MTE3_V>(unit % 2);
        }
        for (int32_t unit = units < 2 ? 0 : units - 2; unit < units; ++unit) {
            AscendC::WaitFlag<AscendC::HardEvent::MTE3_V>(unit % 2);
        }
    }
    __aicore__ inline void LoadRows(int32_t j, int32_t unit) const {
        const auto rows = ImageBuffer<Buffers::kA>(unit);
        const UnitPlaces<C> places(chunks_, UnitOf(j, unit), true);
        if (rows_.Wide()) {
            rows_.LoadRounded(rows, places, Ub<float>(Buffers::kFloats, UnitRows<T, C>::kSlice));
        } else {
            AscendC::SetFlag<AscendC::HardEvent::V_MTE2>(unit % 2);
            AscendC::WaitFlag<AscendC::HardEvent::V_MTE2>(unit % 2);
            rows_.Load(rows, places);
        }
        AscendC::SetFlag<AscendC::HardEvent::MTE2_V>(unit % 2);
    }

    // --- seeds

    __aicore__ inline void LocateLeaves(int32_t j) {
        const int64_t first = UnitOf(j, 0) * (kUnitRows / L);
        const int32_t owned = ring_.UnitsOf(j, side_) * kUnitRows / L;
        for (int32_t leaf = 0; leaf < 8; ++leaf) {
            leaves_[leaf] = LeafPlace{};
            if (leaf < owned) {
                const int64_t number = first + leaf;
                const Place place = chunks_.Locate(number / kLeavesPerMatrix);
                const int32_t corner = static_cast<int32_t>(number % kLeavesPerMatrix) * L;
                leaves_[leaf].a = place.a + corner * (task_.chunks.a_row_stride + 1);
                leaves_[leaf].x = place.x + corner * (task_.chunks.x_row_stride + 1);
                leaves_[leaf].rows = Clamp(place.valid - corner, L);
            }
        }
    }

    // The last row that column k reaches, and in which columns up to `column` + 15 have an entry
    // within the band.
    __aicore__ inline int32_t LastRow(int32_t k, int32_t column) const {
        const int32_t row = (k < column + 15 ? k : column + 15) + band_;
        return row < L - 1 ? row : L - 1;
    }

    // X0[.., column .. column + 15] of all leaves.
    __aicore__ inline void SeedPanel(int32_t column) const {
        const int32_t last = LastRow(column + 15, column);
        panels_.Load(f_, leaves_, column, last + 1, column);
        for (int32_t k = column + 1; k < last; ++k) {
            const int32_t own = k - column, inside = k % 16;
            if (own >= 16 && inside == 0) {
                panels_.Load(factors_, leaves_, k, LastRow(k + 15, column) + 1, k);
            }
            const int32_t rows = LastRow(k, column) - k;
            const auto factors = own < 16 ? f_.At(own + 1, own) : factors_.At(inside + 1, inside);
            substitution_.Eliminate(f_, own, factors, rows, own < 16 ? own : 16);
        }
        substitution_.CutUpper(f_);
        substitution_.CutBand(f_, L - column, band_);
        substitution_.Negate(f_, L - column, Ub<float>(Buffers::kZeros, 8));
        substitution_.SetDiagonal(f_, 1.0f);
    }

    // --- a panel of the seed

    __aicore__ inline void StorePanel(int32_t j, int32_t column) const {
        const int32_t rows = L - column;
        const auto floats = Ub<float>(Buffers::kA, Buffers::kPanelBytes / 4);
        FromPanel(floats, rows * 16, f_, 0, rows);
        AscendC::PipeBarrier<PIPE_V>();
        if constexpr (Buffers::kHasImages) {
            if (task_.cube != 0) {
                Deliver(j, column, floats);
            }
        }
        if (task_.result_seeds == 0) {
            return;
        }
        const auto words = Ub<uint16_t>(Buffers::kF, 8 * rows * 16);
        if (!result_.Wide()) {
            result_.Round(words, floats, 8 * rows * 16);
        }
        AscendC::SetFlag<AscendC::HardEvent::V_MTE3>(EVENT_ID1);
        AscendC::WaitFlag<AscendC::HardEvent::V_MTE3>(EVENT_ID1);
        for (int32_t leaf = 0; leaf < 8; ++leaf) {
            const int32_t exist = Clamp(leaves_[leaf].rows - column, rows);
            const int64_t offset = leaves_[leaf].x + column * (task_.chunks.x_row_stride + 1);
            if (exist > 0) {
                result_.Wide() ? result_.Store(offset, floats[leaf * rows * 16], exist)
                               : result_.Store(offset, words[leaf * rows * 16], exist);
            }
        }
        AscendC::SetFlag<AscendC::HardEvent::MTE3_V>(EVENT_ID1);
        AscendC::WaitFlag<AscendC::HardEvent::MTE3_V>(EVENT_ID1);
    }

    // To the images X0 of the round.
    __aicore__ inline void Deliver(int32_t j, int32_t column,
                                   const AscendC::LocalTensor<float>& floats) const {
        const int32_t rows = L - column;
        const auto words = Ub<uint16_t>(Buffers::kF, 8 * rows * 16);
        AscendC::Cast(words.template ReinterpretCast<T>(), floats, AscendC::RoundMode::CAST_RINT,
                      8 * rows * 16);
        AscendC::SetFlag<AscendC::HardEvent::V_MTE3>(EVENT_ID0);
        AscendC::WaitFlag<AscendC::HardEvent::V_MTE3>(EVENT_ID0);
        for (int32_t leaf = 0; leaf < 8; ++leaf) {
            const int32_t row = leaf * L;  // of the round
            if (row / kUnitRows < ring_.UnitsOf(j, side_)) {
                const int32_t image_column = row % C + column, in_unit = row % kUnitRows + column;
                const auto image = InRing(j, row / kUnitRows)[kImage<C>];
                AscendC::DataCopy(image[(image_column / 16 * kUnitRows + in_unit) * 16],
                                  words[leaf * rows * 16],
                                  AscendC::DataCopyParams{1, static_cast<uint16_t>(rows), 0, 0});
            }
        }
        AscendC::SetFlag<AscendC::HardEvent::MTE3_V>(EVENT_ID0);
        AscendC::WaitFlag<AscendC::HardEvent::MTE3_V>(EVENT_ID0);
    }

    const InverseTask& task_;
    const Chunks& chunks_;
    const Ring ring_;
    const int32_t side_, band_;
    const PanelsOfA<T, C, L> panels_;
    const ResultRows result_;
    const Panel<8> f_, factors_;
    const Substitution<8> substitution_;
    const UnitRows<T, C> rows_;
    AscendC::GlobalTensor<uint16_t> workspace_;
    LeafPlace leaves_[8];
};

}  // namespace neumann_tril
