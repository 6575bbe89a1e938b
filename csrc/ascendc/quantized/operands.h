// What the vector cores give the cube in the workspace: the identity, the codes of A, the seeds.
#pragma once

#include "leaves.h"
#include "seeds.h"

namespace neumann_tril {

template <typename In, int32_t C, int32_t Limbs>
class Operands {
  public:
    using Buffers = QuantBuffers<In, C, Limbs>;

    // `slices` of A, in all.
    __aicore__ inline Operands(GM_ADDR workspace, const Constants& constants,
                               const Rounds<C, Limbs>& rounds, int32_t slices)
        : constants_(constants),
          rounds_(rounds),
          workspace_(workspace, AscendC::GetBlockIdx() / 2),
          slices_(slices) {}

    __aicore__ inline void Prepare() const {
        AscendC::Duplicate<uint16_t>(Ub<uint16_t>(Buffers::kPaddedAt, Buffers::kPadded), 0,
                                     Buffers::kPadded);
        if (Limbs == 1 && C > kLeafRows && rounds_.Side() == 0) {
            StoreIdentity();
        }
    }

    // The codes of a slice, which starts at row `row` of round j; with two limbs those of -A.
    __aicore__ inline void StoreCodesOfA(const AscendC::LocalTensor<In>& slice, int32_t j,
                                         int32_t row) {
        const auto codes = Ub<int16_t>(Buffers::kWordsAt, kEntries);
        Code(codes, slice, j, row);
        const auto limbs = Ub<half>(Buffers::kFAt, Limbs * kEntries);
        SplitLimbs<Limbs>(limbs, codes, kEntries);
        const int32_t set = coded_ % 2;
        const auto rows =
            Ub<int8_t>(Buffers::kCodesAt + set * Buffers::kCodeSetBytes, Limbs * kEntries);
        if (coded_ >= 2) {
            AscendC::WaitFlag<AscendC::HardEvent::MTE3_V>(set);
        }
        AscendC::Cast(rows, limbs, AscendC::RoundMode::CAST_RINT, Limbs * kEntries);
        AscendC::SetFlag<AscendC::HardEvent::V_MTE3>(set);
        AscendC::WaitFlag<AscendC::HardEvent::V_MTE3>(set);
        AscendC::DataCopy(
            workspace_.CodesOfA(PlaceInRing(j)) [row * C], rows,
            AscendC::DataCopyParams { Limbs, kEntries / 32, 0, (kCodes - kEntries) / 32 });
        if (coded_ + 2 < slices_) {
            AscendC::SetFlag<AscendC::HardEvent::MTE3_V>(set);
        }
        ++coded_;
    }

    // The codes of the seeds as fractals, from words; busy round j.
    __aicore__ inline void StoreSeeds(const AscendC::LocalTensor<int16_t>& codes, int32_t j) const {
        Split(codes);
        BeginFractals(j);
        for (int32_t limb = 0; limb < Limbs; ++limb) {
            for (int32_t first = 0; first < Buffers::kLanes; first += 16) {
                MakeFractals(limb, first);
            }
        }
        AscendC::SetFlag<AscendC::HardEvent::V_MTE3>(EVENT_ID2);
        AscendC::WaitFlag<AscendC::HardEvent::V_MTE3>(EVENT_ID2);
        AscendC::DataCopy(workspace_.Seeds(PlaceInRing(j)), Fractals(),
                          AscendC::DataCopyParams{1, Limbs * kSeeds / 32, 0, 0});
        EndFractals(j);
    }

    // C = 16, 8 bits: the same to rows of the result.
    __aicore__ inline void StoreRows(const AscendC::LocalTensor<int16_t>& codes, int32_t j,
                                     const AscendC::GlobalTensor<int8_t>& x, int64_t stride) const {
        Split(codes);
        BeginFractals(j);
        for (int32_t first = 0; first < Buffers::kLanes; first += 16) {
            MakeFractals(0, first);
            AscendC::SetFlag<AscendC::HardEvent::V_MTE3>(EVENT_ID2 + first / 16);
            AscendC::WaitFlag<AscendC::HardEvent::V_MTE3>(EVENT_ID2 + first / 16);
            for (int32_t leaf = first; leaf < first + 16; ++leaf) {
                const Place place = rounds_.PlaceOf(j, leaf);
                if (place.valid > 0) {
                    CopyRowsOut(x, place.x, stride, Fractals()[leaf * kCodeFractal], place.valid,
                                kLeafRows);
                }
            }
        }
        EndFractals(j);
    }

  private:
    static constexpr int32_t kEntries = Buffers::kSliceRows * C;  // of a slice
    static constexpr int32_t kSeeds = SeedBytes(C), kCodes = CodeBytes(C);

    __aicore__ inline int32_t PlaceInRing(int32_t j) const {
        return rounds_.OfCore().PlaceOf(rounds_.FirstUnit(j));
    }

    // Two fractals; a row of halves is two blocks.
    __aicore__ inline void StoreIdentity() const {
        const auto identity = Ub<half>(Buffers::kWordsAt, kSquare);
        AscendC::Duplicate<half>(identity, static_cast<half>(0.0f), kSquare);
        AscendC::PipeBarrier<PIPE_V>();
        for (int32_t r = 0; r < 16; ++r) {
            uint64_t mask[2] = {uint64_t{1} << r, 0};
            AscendC::Duplicate(identity[r * 32], static_cast<half>(1.0f), mask, 2, 1, 33);
        }
        AscendC::PipeBarrier<PIPE_V>();
        const auto codes = Ub<int8_t>(Buffers::kSeedsAt, kSquare);
        AscendC::Cast(codes, identity, AscendC::RoundMode::CAST_RINT, kSquare);
        AscendC::SetFlag<AscendC::HardEvent::V_MTE3>(EVENT_ID2);
        AscendC::WaitFlag<AscendC::HardEvent::V_MTE3>(EVENT_ID2);
        AscendC::DataCopy(workspace_.Identity(), codes,
                          AscendC::DataCopyParams{1, kSquare / 32, 0, 0});
        AscendC::SetFlag<AscendC::HardEvent::MTE3_V>(EVENT_ID2);
        AscendC::WaitFlag<AscendC::HardEvent::MTE3_V>(EVENT_ID2);
    }

    __aicore__ inline void Code(const AscendC::LocalTensor<int16_t>& codes,
                                const AscendC::LocalTensor<In>& slice, int32_t j,
                                int32_t row) const {
        if constexpr (IsNumber<In>) {
            constexpr int32_t kPart = kEntries / Slices<In, C, Limbs>::kMatrices;
            const auto numbers = Ub<float>(Buffers::kFAt, kEntries);
            AscendC::Cast(numbers, slice, AscendC::RoundMode::CAST_NONE, kEntries);
            AscendC::PipeBarrier<PIPE_V>();
            for (int32_t m = 0; m < Slices<In, C, Limbs>::kMatrices; ++m) {
                const int64_t group = constants_.Group(rounds_.Matrix(j, row / C + m));
                AscendC::Muls(numbers[m * kPart], numbers[m * kPart],
                              constants_.Of(group, kAInverse), kPart);
            }
            AscendC::PipeBarrier<PIPE_V>();
            AscendC::Cast(codes, numbers, AscendC::RoundMode::CAST_RINT, kEntries);
        } else {
            AscendC::Mins(codes, slice, kLargestCode<Limbs>, kEntries);
        }
        AscendC::PipeBarrier<PIPE_V>();
        ClampCodes<Limbs>(codes, kEntries);
        if constexpr (Limbs == 2) {
            AscendC::Muls(codes, codes, static_cast<int16_t>(-1), kEntries);
            AscendC::PipeBarrier<PIPE_V>();
        }
    }

    __aicore__ inline static AscendC::LocalTensor<half> SeedLimbs() {
        return Ub<half>(Buffers::kFAt, Limbs * Buffers::kWords);
    }
    __aicore__ inline static void Split(const AscendC::LocalTensor<int16_t>& codes) {
        SplitLimbs<Limbs>(SeedLimbs(), codes, Buffers::kWords);
    }
    __aicore__ inline static AscendC::LocalTensor<int8_t> Fractals() {
        return Ub<int8_t>(Buffers::kSeedsAt, Limbs * kSeeds);
    }
    __aicore__ inline static void BeginFractals(int32_t j) {
        if (j > 0) {
            AscendC::WaitFlag<AscendC::HardEvent::MTE3_V>(EVENT_ID2);
        }
    }
    __aicore__ inline void EndFractals(int32_t j) const {
        if (j + 1 < rounds_.Busy()) {
            AscendC::SetFlag<AscendC::HardEvent::MTE3_V>(EVENT_ID2);
        }
    }
    // Of sixteen leaves.
    __aicore__ inline static void MakeFractals(int32_t limb, int32_t first) {
        const auto padded = Ub<half>(Buffers::kPaddedAt, Buffers::kPadded);
        Leaves<In, C, Limbs>::TransposeSixteen(padded, SeedLimbs()[limb * Buffers::kWords], first);
        AscendC::Cast(Fractals()[limb * kSeeds + first * kCodeFractal], padded,
                      AscendC::RoundMode::CAST_RINT, Buffers::kPadded);
    }

    const Constants& constants_;
    const Rounds<C, Limbs>& rounds_;
    const Workspace<C, Limbs> workspace_;
    const int32_t slices_;
    int32_t coded_ = 0;  // slices
};

}  // namespace neumann_tril
