// The vector cores' part where leaves have 16 rows: a unit is a round; two where C is 16.
//
// For each round of its share a core
//
//     load       A -> rows in the Unified Buffer, zero where there is none          unit_rows.h
//     transpose  the leaves -> lanes, cut to their strict lower part core/transpose.h image      N
//     = -(I + A)                                                       images.h seed       X0 =
//     band_w((I + A)^-1) of every leaf, in float                    core/seed.h deliver    N, and
//     X0 as fractals -> workspace, to the cube core               core/ring.h store      X0 where
//     it is the result, and zeros                               result.h
#pragma once

#include "../core/ring.h"
#include "../core/transpose.h"
#include "non_finite.h"

namespace neumann_tril {

// Byte offsets in the Unified Buffer.
template <int32_t C>
struct LeafSeedBuffers {
    static constexpr uint32_t kCapacity = 192 * 1024 - 256;
    static constexpr int32_t kUnits = RoundUnits(C, 16);
    // Leaves are transposed 16 at a time; without a second unit half of the lanes are not used.
    static constexpr int32_t kLanes = 16;
    static constexpr int32_t kWordCount = 256 * kLanes;  // of the leaves of a round
    static constexpr uint32_t kWordBytes = kWordCount * 2;
    static constexpr uint32_t kRoundBytes = kUnits * kImage<C> * 2;

    static constexpr uint32_t kConstants = 0;                            // of the images
    static constexpr uint32_t kZeros = kConstants + 1088;                // of the result
    static constexpr uint32_t kLower = kZeros + 2 * ResultRows::kZeros;  // [i][j][lane], 16 bits
    static constexpr uint32_t kWords = kLower + kWordBytes;              // [i][j][lane], 16 bits
    static constexpr uint32_t kProducts = kWords + kWordBytes;
    static constexpr uint32_t kF = kProducts + Substitution<kLanes>::kProducts * 256;
    static constexpr uint32_t kRows = kF + 2 * kWordBytes;  // A of a round, as rows of C
    // What goes to the cube: the seeds as fractals, and the images.
    static constexpr uint32_t kX0 = kRows + kRoundBytes;
    static constexpr uint32_t kN = kX0 + kWordBytes;
    static constexpr uint32_t kOutputBytes = kWordBytes + kRoundBytes;
    static constexpr int32_t kOutputBuffers =
        C == 128 ? 1 : 2;  // that of the next round would wait
    static constexpr uint32_t kNonFinite = kX0 + kOutputBuffers * kOutputBytes;
    static constexpr uint32_t kEnd = kNonFinite + 2 * NonFinite<half, C>::kWords;
    static_assert(kEnd <= kCapacity, "the Unified Buffer is too small");
    static_assert(kF - kWords >= 2 * kWordBytes, "float32 results take words and products");
};

template <typename T, int32_t C>
class LeafSeedStage {
  public:
    __aicore__ inline LeafSeedStage(const InverseTask& task, GM_ADDR a, GM_ADDR x,
                                    GM_ADDR workspace, const Chunks& chunks, const Share& share)
        : task_(task),
          chunks_(chunks),
          ring_(task.chunks.units, share, kUnits),
          side_(AscendC::GetSubBlockIdx()),
          a_(task.chunks, a),
          images_(Ub<uint16_t>(Buffers::kConstants, 528),
                  Ub<uint16_t>(Buffers::kF, ImageOfA<T, C>::kScratch)),
          result_(task, x, Ub<uint16_t>(Buffers::kZeros, ResultRows::kZeros)),
          non_finite_(Ub<uint16_t>(Buffers::kNonFinite, NonFinite<T, C>::kWords)),
          f_{Ub<float>(Buffers::kF, kWordCount)},
          substitution_(Ub<float>(Buffers::kProducts, Substitution<kLanes>::kProducts * 64)) {
        if (task.cube != 0) {
            workspace_.SetGlobalBuffer((__gm__ uint16_t*)workspace +
                                       share.block * InverseWorkspace(C, 16));
        }
    }

    // All rounds, and in the end what is not finite.
    __aicore__ inline void Run() {
        RunRounds();
        if (task_.cube != 0) {
            const UnitMemory memory{Rows(0), N(0, 0),
                                    Ub<float>(Buffers::kF, UnitRows<T, C>::kSlice)};
            SettleResults(non_finite_, ring_, side_, chunks_, workspace_, a_, images_, result_,
                          memory);
        }
    }

    __aicore__ inline void RunRounds() {
        if (!a_.Wide()) {
            Load(0);
        }
        PrepareConstants();
        for (int32_t j = 0; j < ring_.Rounds(); ++j) {
            if (ring_.UnitsOf(j, side_) > 0) {
                Prepare(j);
            } else {
                Deliver(j);
            }
        }
    }

  private:
    using Buffers = LeafSeedBuffers<C>;
    static constexpr int32_t kUnits = Buffers::kUnits, kLanes = Buffers::kLanes;
    static constexpr int32_t kWordCount = Buffers::kWordCount;
    static constexpr int32_t kOutputBuffers = Buffers::kOutputBuffers;
    static constexpr int32_t kLeavesPerUnit = kUnitRows / 16;

    __aicore__ inline static AscendC::LocalTensor<uint16_t> Rows(int32_t unit) {
        return Ub<uint16_t>(Buffers::kRows, kUnits * kImage<C>)[unit * kImage<C>];
    }
    __aicore__ inline static AscendC::LocalTensor<uint16_t> X0(int32_t j) {
        return Ub<uint16_t>(Buffers::kX0 + j % kOutputBuffers * Buffers::kOutputBytes, kWordCount);
    }
    __aicore__ inline static AscendC::LocalTensor<uint16_t> N(int32_t j, int32_t unit) {
        return Ub<uint16_t>(Buffers::kN + j % kOutputBuffers * Buffers::kOutputBytes,
                            kUnits * kImage<C>)[unit * kImage<C>];
    }
    template <typename U>
    __aicore__ inline AscendC::LocalTensor<U> Words(uint32_t offset) const {
        return Ub<U>(offset, kWordCount);
    }
    // Unit of round j.
    __aicore__ inline UnitPlaces<C> PlacesOf(int32_t j, int32_t unit) const {
        return UnitPlaces<C>(chunks_, ring_.InBatchOrder(ring_.First(j, side_) + unit),
                             unit < ring_.UnitsOf(j, side_));
    }

    __aicore__ inline void PrepareConstants() const {
        AscendC::Duplicate<uint16_t>(Ub<uint16_t>(Buffers::kZeros, ResultRows::kZeros), 0,
                                     ResultRows::kZeros);
        const auto lower = Words<uint16_t>(Buffers::kLower);
        AscendC::Duplicate<uint16_t>(lower, 0, kWordCount);
        AscendC::PipeBarrier<PIPE_V>();
        for (int32_t i = 1; i < kLeafRows; ++i) {
            AscendC::Duplicate<uint16_t>(lower[i * kLeafRows * kLanes], 0xFFFF, i * kLanes);
        }
        images_.Prepare();
        if (task_.cube != 0 && side_ == 0) {
            StoreIdentity<T, C>(workspace_, Ub<uint16_t>(Buffers::kF, kIdentity));
        }
    }

    __aicore__ inline void Load(int32_t j) const {
        const int32_t units = ring_.UnitsOf(j, side_);
        if (units == 0) {
            return;
        }
        if (j > 0) {
            AscendC::WaitFlag<AscendC::HardEvent::V_MTE2>(EVENT_ID0);
        }
        for (int32_t unit = 0; unit < units; ++unit) {
            a_.Load(Rows(unit), PlacesOf(j, unit));
        }
        AscendC::SetFlag<AscendC::HardEvent::MTE2_V>(EVENT_ID0);
    }

    __aicore__ inline void Prepare(int32_t j) const {
        TakeRows(j);
        TransposeLeaves();
        if (task_.cube != 0) {
            MakeImages(j);
        }
        if (!a_.Wide() && ring_.UnitsOf(j + 1, side_) > 0) {
            AscendC::SetFlag<AscendC::HardEvent::V_MTE2>(EVENT_ID0);
            Load(j + 1);
        }
        Seed(ring_.UnitsOf(j, side_));
        if (task_.cube != 0) {
            RoundSeeds(X0(j));
        }
        Deliver(j);
        StoreResult(j);
    }

    __aicore__ inline void TakeRows(int32_t j) const {
        if (!a_.Wide()) {
            AscendC::WaitFlag<AscendC::HardEvent::MTE2_V>(EVENT_ID0);
        }
        for (int32_t unit = 0; unit < kUnits; ++unit) {
            const UnitPlaces<C> places = PlacesOf(j, unit);
            if (a_.Wide()) {
                a_.LoadRounded(Rows(unit), places, Ub<float>(Buffers::kF, UnitRows<T, C>::kSlice));
            }
            a_.ClearMissing(Rows(unit), places);
        }
    }

    __aicore__ inline void TransposeLeaves() const {
        LeafAddresses leaves;
        for (int32_t leaf = 0; leaf < kLanes; ++leaf) {
            const int32_t row = leaf % kLeavesPerUnit * 16;
            leaves.rows[leaf] = Address(Rows(leaf / kLeavesPerUnit % kUnits)[row * C + row % C]);
        }
        const auto words = Words<uint16_t>(Buffers::kWords);
        ToLanes<kLanes>(words, leaves, C / 16);
        AscendC::PipeBarrier<PIPE_V>();
        AscendC::And(words, words, Words<uint16_t>(Buffers::kLower), kWordCount);
        AscendC::PipeBarrier<PIPE_V>();
    }

    __aicore__ inline void MakeImages(int32_t j) const {
        if (j >= kOutputBuffers) {
            AscendC::WaitFlag<AscendC::HardEvent::MTE3_V>(j % kOutputBuffers);
        }
        for (int32_t unit = 0; unit < ring_.UnitsOf(j, side_); ++unit) {
            images_.Make(N(j, unit), Rows(unit));
        }
    }

    __aicore__ inline void Seed(int32_t units) const {
        AscendC::Cast(f_.lanes, Words<T>(Buffers::kWords), AscendC::RoundMode::CAST_NONE,
                      kWordCount);
        AscendC::PipeBarrier<PIPE_V>();
        substitution_.Invert(f_, task_.plan.bandwidth, units * kLeavesPerUnit / 8);
        substitution_.Negate(f_, kLeafRows, Ub<float>(Buffers::kZeros, 8));
        substitution_.SetDiagonal(f_, 1.0f);
    }

    // The seeds as the words of the cube's operands, leaf by leaf.
    __aicore__ inline void RoundSeeds(const AscendC::LocalTensor<uint16_t>& fractals) const {
        const auto words = Words<uint16_t>(Buffers::kWords);
        AscendC::Cast(words.template ReinterpretCast<T>(), f_.lanes, AscendC::RoundMode::CAST_RINT,
                      kWordCount);
        AscendC::PipeBarrier<PIPE_V>();
        FromLanes<kLanes>(LeafFractals(fractals), 1, words);
    }
    __aicore__ inline static LeafAddresses LeafFractals(
        const AscendC::LocalTensor<uint16_t>& fractals) {
        LeafAddresses leaves;
        for (int32_t leaf = 0; leaf < kLanes; ++leaf) {
            leaves.rows[leaf] = Address(fractals[leaf * 256]);
        }
        return leaves;
    }

    // When they are complete, so that the cube does not wait for it.
    __aicore__ inline void LookAtImages(int32_t j) const {
        for (int32_t unit = 0; unit < ring_.UnitsOf(j, side_); ++unit) {
            if (unit > 0) {
                AscendC::PipeBarrier<PIPE_V>();
            }
            non_finite_.Add(N(j, unit));
        }
    }

    __aicore__ inline void Deliver(int32_t j) const {
        if (task_.cube == 0) {
            return;
        }
        const int32_t units = ring_.UnitsOf(j, side_);
        if (units > 0) {
            AscendC::SetFlag<AscendC::HardEvent::V_MTE3>(j % kOutputBuffers);
        }
        if (j == 0) {
            non_finite_.Prepare();
        }
        LookAtImages(j);
        ring_.WaitForPlaces(j);
        if (units > 0) {
            AscendC::WaitFlag<AscendC::HardEvent::V_MTE3>(j % kOutputBuffers);
        }
        for (int32_t unit = 0; unit < units; ++unit) {
            const int32_t place = ring_.PlaceOf(ring_.First(j, side_) + unit);
            const auto images = workspace_[kImagesAt + place * 2 * kImage<C>];
            CopyLower<C, C>(images, N(j, unit));
            constexpr int32_t kFractals = kLeavesPerUnit * 256;
            AscendC::DataCopy(images[kImage<C>], X0(j)[unit * kFractals],
                              AscendC::DataCopyParams{1, kFractals / 16, 0, 0});
        }
        if (ring_.UnitsOf(j + kOutputBuffers, side_) > 0) {
            AscendC::SetFlag<AscendC::HardEvent::MTE3_V>(j % kOutputBuffers);
        }
        ring_.Announce();
    }

    __aicore__ inline void StoreResult(int32_t j) const {
        if (task_.result_seeds != 0) {
            StoreSeeds(j);
        }
        for (int32_t unit = 0; result_.HasZeros() && unit < ring_.UnitsOf(j, side_); ++unit) {
            const UnitPlaces<C> places = PlacesOf(j, unit);
            for (const Place& place : places.of) {
                result_.StoreZerosOf(place);
            }
        }
    }

    __aicore__ inline void StoreSeeds(int32_t j) const {
        const auto floats = Ub<float>(Buffers::kWords, kWordCount);
        const auto words = Words<uint16_t>(Buffers::kProducts);
        if (result_.Wide()) {
            for (int32_t group = 0; group < kLanes / 8; ++group) {
                FromPanel(floats[group * 8 * 256], 256, f_, group, kLeafRows);
            }
        } else {
            result_.Round(Words<uint16_t>(Buffers::kWords), f_.lanes, kWordCount);
            FromLanes<kLanes>(LeafFractals(words), 1, Words<uint16_t>(Buffers::kWords));
        }
        AscendC::SetFlag<AscendC::HardEvent::V_MTE3>(EVENT_ID2);
        AscendC::WaitFlag<AscendC::HardEvent::V_MTE3>(EVENT_ID2);
        for (int32_t unit = 0; unit < ring_.UnitsOf(j, side_); ++unit) {
            const UnitPlaces<C> places = PlacesOf(j, unit);
            for (int32_t row = 0; row < kUnitRows; row += kLeafRows) {
                const Place& place = places.of[row / C];
                const int32_t corner = row % C, leaf = unit * kLeavesPerUnit + row / kLeafRows;
                const int32_t rows = Clamp(place.valid - corner, kLeafRows);
                const int64_t offset = place.x + corner * (task_.chunks.x_row_stride + 1);
                if (rows > 0) {
                    result_.Wide() ? result_.Store(offset, floats[leaf * 256], rows)
                                   : result_.Store(offset, words[leaf * 256], rows);
                }
            }
        }
        AscendC::SetFlag<AscendC::HardEvent::MTE3_V>(EVENT_ID2);
        AscendC::WaitFlag<AscendC::HardEvent::MTE3_V>(EVENT_ID2);
    }

    const InverseTask& task_;
    const Chunks& chunks_;
    const Ring ring_;
    const int32_t side_;
    const UnitRows<T, C> a_;
    const ImageOfA<T, C> images_;
    const ResultRows result_;
    const NonFinite<T, C> non_finite_;
    const Panel<kLanes> f_;
    const Substitution<kLanes> substitution_;
    AscendC::GlobalTensor<uint16_t> workspace_;
};

}  // namespace neumann_tril
