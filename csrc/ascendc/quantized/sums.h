// The cube's part of the int16 inverse: the products of the joins, on two int8 limbs.
//
// Sums do not fit Fixpipe's rounding to 8 bits, so they go to the vector cores and come back as
// codes (sum_codes.h). For each step of a batch, the rounds of both vector cores (schedule.h):
//
//     for each unit:  sums of T = -A21 X11, or of X21 = X22 T  -> workspace   (codes of -A: no
//     sign)
//
// The seeds, and X21 as it grows, stay in L1 for all units in flight.
#pragma once

#include "../core/pipeline.h"
#include "joins.h"
#include "rounds.h"
#include "schedule.h"

namespace neumann_tril {

// Cross-core flag: the sums of a step are in the workspace.
constexpr int32_t kSumsReady = 10;

template <int32_t C>
class SumStage {
  public:
    __aicore__ inline SumStage(const QuantTask& task, GM_ADDR workspace)
        : ring_(RingOf<C, 2>(task.chunks, AscendC::GetBlockIdx())),
          workspace_(workspace, AscendC::GetBlockIdx()),
          uses_(ring_.Count() * 2 * JoinsOf(C)) {}

    __aicore__ inline void Run() {
        const AscendC::InitConstValueParams<uint16_t> zeros{1, kEndL1 / 32, 0, 0};
        AscendC::Fill(L1(0, kEndL1).template ReinterpretCast<uint16_t>(), zeros);
        AscendC::PipeBarrier<PIPE_MTE2>();
        OpenStreams(kStreams);
        Steps<C>::Run(*this, ring_.Rounds());
        CloseStreams(kStreams);
    }

    __aicore__ inline void Step(int32_t j, int32_t step) {
        if (step == 0) {  // that of the vector cores
            return;
        }
        AscendC::CrossCoreWaitFlag(kReady);
        const int32_t end = ring_.First(j, 1) + ring_.UnitsOf(j, 1);
        for (int32_t unit = ring_.First(j, 0); unit < ring_.Count() && unit < end; ++unit) {
            Advance(unit, (step - 1) / 2, step % 2 != 0);
        }
        AscendC::CrossCoreSetFlag<0x2, PIPE_FIX>(kSumsReady);
    }

  private:
    using Products = Joins<C, 2>;
    static constexpr int32_t kMatrices = kUnitRows / C;
    static constexpr int32_t kStreams = 2;  // units in L0
    static constexpr int32_t kInputs = 4;   // operands of units in L1
    static constexpr int32_t kUnits = Steps<C>::kInFlight * 2 * QuantRoundUnits(C);

    // L1: D, V and the X21 of joins of 32 rows of each unit; A21 or T of each input
    static constexpr uint32_t kD = 0;
    static constexpr uint32_t kV = kD + 2 * Products::kPitch;
    static constexpr uint32_t kX32 = kV + 2 * Products::kPitch;
    static constexpr uint32_t kUnitBytes = kX32 + 2 * Products::kPitch32;
    static constexpr uint32_t kInputL1 = kUnits * kUnitBytes;
    static constexpr uint32_t kInputBytes = 2 * Products::kPitch;
    static constexpr uint32_t kEndL1 = kInputL1 + kInputs * kInputBytes;
    static_assert(kEndL1 <= 512 * 1024 - 256, "L1 is too small");
    static_assert(kStreams * Products::kOperand <= 64 * 1024, "L0A and L0B are too small");
    static_assert(kStreams * 3 * Products::kSum * 4 <= 128 * 1024, "L0C is too small");

    __aicore__ inline static Codes L1(uint32_t offset, uint32_t count) {
        return Codes(AscendC::TPosition::A1, offset, count);
    }
    __aicore__ inline Codes Unit(int32_t unit, uint32_t part) const {
        return L1(ring_.PlaceOf(unit) * kUnitBytes + part, kUnitBytes - part);
    }
    // Entries of the blocks of a unit.
    __aicore__ inline static int32_t Entries(int32_t join) {
        return kUnitRows / 2 * (kLeafRows << join);
    }

    __aicore__ inline void Advance(int32_t unit, int32_t join, bool left) {
        const auto input = L1(kInputL1 + used_ % kInputs * kInputBytes, kInputBytes);
        BeginArrival(used_, kInputs);
        left ? FetchLeft(unit, join, input) : FetchBlocks(input, Products::kPitch, unit, join);
        Arrived(used_, kInputs);
        AwaitArrival(used_, kInputs);

        const int32_t s = used_ % kStreams;
        Turn turn;
        turn.stream = s;
        const typename Products::Operands operands{input, Unit(unit, kD), Unit(unit, kV),
                                                   Unit(unit, kX32), input};
        const Products products{
            Codes(AscendC::TPosition::A2, s * Products::kOperand, Products::kOperand),
            Codes(AscendC::TPosition::B2, s * Products::kOperand, Products::kOperand),
            Sums(AscendC::TPosition::CO1, s * 3 * Products::kSum * 4, 3 * Products::kSum)};
        BeginLoads(turn);
        left ? products.LoadLeft(join, operands) : products.LoadRight(join, operands);
        EndUse(used_++, kInputs, uses_);
        LoadsDone(turn);
        left ? products.MultiplyLeft(join) : products.MultiplyRight(join);
        ProductsDone(turn);
        Store(unit, join, left, products.sum);
        StoresDone(turn);
    }

    // --- operands

    __aicore__ inline void FetchLeft(int32_t unit, int32_t join, const Codes& a21) const {
        if (join == 0) {
            constexpr int32_t kSeeds = SeedBytes(C), kOfUnit = kSeeds / QuantRoundUnits(C);
            AscendC::DataCopy(Unit(unit, kD), workspace_.Seeds(ring_.PlaceOf(unit)),
                              AscendC::DataCopyParams{2, kOfUnit / 32, (kSeeds - kOfUnit) / 32, 0});
        } else if (join == 1) {
            FetchBlocks(Unit(unit, kV), Products::kPitch, unit, 0);
        } else {
            FetchBlocks(Unit(unit, kX32), Products::kPitch32, unit, 1);
        }
        FetchA21(a21, unit, join);
    }

    // The blocks that the vector cores made of the sums of a join: squares, below 32 rows their
    // lower halves.
    __aicore__ inline void FetchBlocks(const Codes& target, int32_t pitch, int32_t unit,
                                       int32_t join) const {
        const int32_t side = kLeafRows << join, entries = side * side;
        const auto blocks = workspace_.Blocks(ring_.PlaceOf(unit), Entries(join));
        for (int32_t limb = 0; limb < 2; ++limb) {
            FetchTiles(target[limb * pitch + (join == 0 ? kCodeFractal : 0)],
                       blocks[limb * Workspace<C, 2>::kBlocks], Entries(join) / entries, side, side,
                       static_cast<uint16_t>(side), entries, side, join == 0 ? kSquare : entries);
        }
    }

    __aicore__ inline void FetchA21(const Codes& target, int32_t unit, int32_t join) const {
        const int32_t side = kLeafRows << join, pairs = C / (2 * side);
        const int32_t block = join == 0 ? kCodeFractal : side * side;
        const auto codes = workspace_.CodesOfA(ring_.PlaceOf(unit))[side * C];
        for (int32_t limb = 0; limb < 2; ++limb) {
            for (int32_t m = 0; m < kMatrices; ++m) {
                FetchTiles(target[limb * Products::PitchOfA(join) + m * pairs * block],
                           codes[limb * CodeBytes(C) + m * C * C], pairs, side, side, C,
                           2 * side * (C + 1), side, block);
            }
        }
    }

    // --- sums, block after block, row by row

    __aicore__ inline void Store(int32_t unit, int32_t join, bool left, const Sums& sums) const {
        const int32_t side = kLeafRows << join;
        // As they lie in L0C: of 16 x 32; of 32 x 32; of 64 x 64; of two halves of 32 x 64.
        const int32_t rows = join == 2 && !left ? 32 : side;
        const int32_t pitch = join == 0 ? kCodeFractal : rows * side;
        const auto target = workspace_.Sums(ring_.PlaceOf(unit), Entries(join));
        for (int32_t which = 0; which < 3; ++which) {
            StoreBlocks(target[which * Workspace<C, 2>::kBlocks], sums[which * Products::kSum],
                        static_cast<uint16_t>(Entries(join) / (rows * side)),
                        static_cast<uint16_t>(rows), static_cast<uint16_t>(side),
                        static_cast<uint16_t>(pitch / 256));
        }
    }

    const Ring ring_;
    const Workspace<C, 2> workspace_;
    const int32_t uses_;  // of the inputs
    int32_t used_ = 0;
};

}  // namespace neumann_tril
