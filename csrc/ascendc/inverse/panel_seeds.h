// The vector cores' part for leaves of any size, and for float32 operands: eight leaves are a
// round.
//
// Leaves are seeded sixteen columns, a panel, at a time; A comes a panel at a time, too, straight
// from global memory. For each round of its share a core
//
//     image      N = -(I + A) of every unit -> workspace                            images.h
//     for each panel J of the leaves:
//         F = A[16J.., J]                                                            panels.h
//         for k = 16J+1, .. within the band:  F[k+1.., :] -= A[k+1.., k] F[k, :]     core/seed.h
//         X0[.., J] = I - F, cut to the band -> workspace, and the result          result.h
//     announce   N and X0 to the cube core
//
// float32 operands are for plans without products: no image, the seed is the result.
#pragma once

#include "../core/ring.h"
#include "panels.h"

namespace neumann_tril {

template <typename T, int32_t C, int32_t L>
class PanelSeedStage {
  public:
    __aicore__ inline PanelSeedStage(const InverseTask& task, GM_ADDR a, GM_ADDR x,
                                     GM_ADDR workspace, const Chunks& chunks, const Share& share)
        : task_(task),
          chunks_(chunks),
          ring_(task.chunks.units, share, kRoundUnits),
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
                                       share.block * InverseWorkspace(C, L));
        }
    }

    // All rounds, and in the end what is not finite.
    __aicore__ inline void Run() {
        RunRounds();
        if constexpr (Buffers::kHasImages) {
            if (task_.cube != 0) {
                const UnitMemory memory{ImageBuffer<Buffers::kA>(0), ImageBuffer<Buffers::kF>(0),
                                        Ub<float>(Buffers::kFloats, UnitRows<T, C>::kSlice)};
                SettleResults(Watch(), ring_, side_, chunks_, workspace_, rows_, Images(), result_,
                              memory);
            }
        }
    }

    __aicore__ inline void RunRounds() {
        AscendC::Duplicate<uint16_t>(Ub<uint16_t>(Buffers::kZeros, ResultRows::kZeros), 0,
                                     ResultRows::kZeros);
        if constexpr (Buffers::kHasImages) {
            Images().Prepare();
            if (task_.cube != 0 && side_ == 0) {
                StoreIdentity<T, C>(workspace_, Ub<uint16_t>(Buffers::kF, kIdentity));
            }
            Watch().Prepare();
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
        for (int32_t unit = 0; result_.HasZeros() && unit < ring_.UnitsOf(j, side_); ++unit) {
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
    __aicore__ inline NonFinite<T, C> Watch() const {
        return NonFinite<T, C>(Ub<uint16_t>(Buffers::kNonFinite, NonFinite<T, C>::kWords));
    }
    __aicore__ inline AscendC::GlobalTensor<uint16_t> InRing(int32_t j, int32_t unit) const {
        const int32_t place = ring_.PlaceOf(ring_.First(j, side_) + unit);
        return workspace_[kImagesAt + place * 2 * kImage<C>];
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
            AscendC::PipeBarrier<PIPE_V>();
            Watch().Add(n);
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
