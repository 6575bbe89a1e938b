// The cube's part of the int16 inverse: the products of the joins, on two int8 limbs.
//
// Sums do not fit Fixpipe's rounding to 8 bits, so they go to the vector cores and come back as
// codes. A round of either vector core is a step of all its units; several rounds are in flight:
//
//     for every few rounds:
//         for h = 16, 32 .. C/2, on all pairs of neighbours:
//             for each round:  sums of T = -A21 X11  -> workspace     (codes of -A: no sign here)
//             for each round:  sums of X21 = X22 T   -> workspace
//
// The seeds, and X21 as it grows, stay in L1 for all units in flight.
#pragma once

#include "joins.h"
#include "layout.h"

namespace neumann_tril {

template <int32_t C>
class QuantSumStage {
  public:
    __aicore__ inline QuantSumStage(const QuantTask& task, GM_ADDR workspace)
        : share_(task.chunks.units, AscendC::GetBlockIdx(), AscendC::GetBlockNum()),
          steps_(share_.count * 2 * JoinsOf(C)) {
        workspace_.SetGlobalBuffer((__gm__ int8_t*)workspace +
                                   AscendC::GetBlockIdx() * QuantWorkspacePerCore(C, 2));
    }

    __aicore__ inline void Run() {
        for (int32_t s = 0; s < kStreams; ++s) {
            AscendC::SetFlag<AscendC::HardEvent::FIX_MTE1>(s);
        }
        const AscendC::InitConstValueParams<uint16_t> zeros{1, kEndL1 / 32, 0, 0};
        AscendC::Fill(L1(0, kEndL1).template ReinterpretCast<uint16_t>(), zeros);
        AscendC::PipeBarrier<PIPE_MTE2>();
        const int32_t rounds = share_.Rounds();
        for (int32_t first = 0; first < rounds; first += RoundsHeld(2)) {
            const int32_t end = first + RoundsHeld(2) < rounds ? first + RoundsHeld(2) : rounds;
            for (int32_t step = 0; step < 2 * JoinsOf(C); ++step) {
                for (int32_t j = first; j < end; ++j) {
                    Round(j, step / 2, step % 2 == 0);
                }
            }
        }
        for (int32_t s = 0; s < kStreams; ++s) {
            AscendC::WaitFlag<AscendC::HardEvent::FIX_MTE1>(s);
        }
    }

  private:
    using Join = Joins<C, 2>;
    static constexpr int32_t kMatrices = kUnitRows / C;
    static constexpr int32_t kStreams = 2;                              // units in L0
    static constexpr int32_t kInputs = 4;                               // operands of units in L1
    static constexpr int32_t kUnits = RoundsHeld(2) * 2 * kRoundUnits;  // in flight

    // L1: D, V and the X21 of joins of 32 rows of each unit; A21 or T of each input
    static constexpr uint32_t kD = 0;
    static constexpr uint32_t kV = kD + 2 * Join::kPitch;
    static constexpr uint32_t kX32 = kV + 2 * Join::kPitch;
    static constexpr uint32_t kUnitBytes = kX32 + 2 * Join::kPitch32;
    static constexpr uint32_t kInputL1 = kUnits * kUnitBytes;
    static constexpr uint32_t kInputBytes = 2 * Join::kPitch;
    static constexpr uint32_t kEndL1 = kInputL1 + kInputs * kInputBytes;
    static_assert(kEndL1 <= 512 * 1024 - 256, "L1 is too small");
    static_assert(kStreams * Join::kOperand <= 64 * 1024, "L0A and L0B are too small");
    static_assert(kStreams * 3 * Join::kSum * 4 <= 128 * 1024, "L0C is too small");

    __aicore__ inline Codes L1(uint32_t offset, uint32_t count) const {
        return Codes(AscendC::TPosition::A1, offset, count);
    }
    __aicore__ inline Codes Unit(int32_t unit, uint32_t part) const {
        return L1(unit % kUnits * kUnitBytes + part, kUnitBytes - part);
    }

    __aicore__ inline void Round(int32_t j, int32_t join, bool left) {
        AscendC::CrossCoreWaitFlag(kReady);
        for (int32_t unit = Share::Unit(j, 0); unit < share_.count && unit < Share::Unit(j + 1, 0);
             ++unit) {
            Advance(unit, join, left);
        }
        AscendC::CrossCoreSetFlag<0x2, PIPE_FIX>(kSumsReady);
    }

    __aicore__ inline void Advance(int32_t unit, int32_t join, bool left) {
        const int32_t input = done_ % kInputs, s = done_ % kStreams;
        const auto operand = L1(kInputL1 + input * kInputBytes, kInputBytes);
        if (done_ >= kInputs) {
            AscendC::WaitFlag<AscendC::HardEvent::MTE1_MTE2>(input);
        }
        Fetch(unit, join, left, operand);
        AscendC::SetFlag<AscendC::HardEvent::MTE2_MTE1>(input);
        AscendC::WaitFlag<AscendC::HardEvent::MTE2_MTE1>(input);

        const typename Join::Operands operands{operand, Unit(unit, kD), Unit(unit, kV),
                                               Unit(unit, kX32), operand};
        const Join product{Codes(AscendC::TPosition::A2, s * Join::kOperand, Join::kOperand),
                           Codes(AscendC::TPosition::B2, s * Join::kOperand, Join::kOperand),
                           Sums(AscendC::TPosition::CO1, s * 3 * Join::kSum * 4, 3 * Join::kSum)};
        AscendC::WaitFlag<AscendC::HardEvent::FIX_MTE1>(s);
        left ? product.LoadLeft(join, operands) : product.LoadRight(join, operands);
        if (done_ + kInputs < steps_) {
            AscendC::SetFlag<AscendC::HardEvent::MTE1_MTE2>(input);
        }
        AscendC::SetFlag<AscendC::HardEvent::MTE1_M>(s);
        AscendC::WaitFlag<AscendC::HardEvent::MTE1_M>(s);
        left ? product.MultiplyLeft(join) : product.MultiplyRight(join);
        AscendC::SetFlag<AscendC::HardEvent::M_FIX>(s);
        AscendC::WaitFlag<AscendC::HardEvent::M_FIX>(s);
        StoreSums(unit, join, left, product.sum);
        AscendC::SetFlag<AscendC::HardEvent::FIX_MTE1>(s);
        ++done_;
    }

    // --- operands

    __aicore__ inline AscendC::GlobalTensor<int8_t> InRing(int32_t unit) const {
        const int32_t side = unit / kRoundUnits % 2;
        return workspace_[Share::InWorkspace<C, 2>(unit / (2 * kRoundUnits), side)];
    }
    // Entries of the blocks of a unit.
    __aicore__ inline static int32_t Entries(int32_t join) {
        return kUnitRows / 2 * (kLeafRows << join);
    }

    __aicore__ inline void Fetch(int32_t unit, int32_t join, bool left,
                                 const Codes& operand) const {
        if (!left) {
            FetchBlocks(operand, Join::kPitch, unit, join);
            return;
        }
        if (join == 0) {
            constexpr int32_t kSeedsOfUnit = kSeeds / kRoundUnits;
            AscendC::DataCopy(
                Unit(unit, kD), InRing(unit)[unit % kRoundUnits * kSeedsOfUnit],
                AscendC::DataCopyParams{2, kSeedsOfUnit / 32, (kSeeds - kSeedsOfUnit) / 32, 0});
        } else if (join == 1) {
            FetchBlocks(Unit(unit, kV), Join::kPitch, unit, 0);
        } else {
            FetchBlocks(Unit(unit, kX32), Join::kPitch32, unit, 1);
        }
        FetchA21(operand, unit, join);
    }

    // The blocks that the vector cores made of the sums of a join: squares, below 32 rows their
    // lower halves.
    __aicore__ inline void FetchBlocks(const Codes& target, int32_t pitch, int32_t unit,
                                       int32_t join) const {
        const int32_t side = kLeafRows << join, place = unit % kRoundUnits * Entries(join);
        for (int32_t limb = 0; limb < 2; ++limb) {
            const auto blocks =
                InRing(unit)[SeedBytes(2) + CodeBytes(C, 2) + limb * kRoundBlocks + place];
            FetchMatrices(target[limb * pitch + (join == 0 ? kCodeFractal : 0)], blocks, side,
                          Entries(join) / (side * side), side, side * side,
                          join == 0 ? kSquare : side * side);
        }
    }

    __aicore__ inline void FetchA21(const Codes& target, int32_t unit, int32_t join) const {
        const int32_t side = kLeafRows << join, pairs = C / (2 * side);
        const int32_t block = join == 0 ? kCodeFractal : side * side;
        for (int32_t limb = 0; limb < 2; ++limb) {
            const auto codes = InRing(unit)[SeedBytes(2) + limb * CodeBytes(C, 1) +
                                            unit % kRoundUnits * kUnitRows * C + side * C];
            for (int32_t m = 0; m < kMatrices; ++m) {
                FetchMatrices(target[limb * Join::PitchOfA(join) + m * pairs * block],
                              codes[m * C * C], side, pairs, C, 2 * side * (C + 1), block);
            }
        }
    }

    // `count` blocks of side x side to fractals column by column.
    __aicore__ inline void FetchMatrices(const Codes& target,
                                         const AscendC::GlobalTensor<int8_t>& source, int32_t side,
                                         int32_t count, int32_t row, int32_t pitch,
                                         int32_t target_pitch) const {
        AscendC::Nd2NzParams params;
        params.ndNum = static_cast<uint16_t>(count);
        params.nValue = static_cast<uint16_t>(side);
        params.dValue = static_cast<uint16_t>(side);
        params.srcNdMatrixStride = static_cast<uint16_t>(pitch);
        params.srcDValue = static_cast<uint16_t>(row);
        params.dstNzC0Stride = static_cast<uint16_t>(side);
        params.dstNzNStride = 1;
        params.dstNzMatrixStride = static_cast<uint16_t>(target_pitch);
        AscendC::DataCopy(target, source, params);
    }

    // --- sums

    // Blocks row by row.
    __aicore__ inline void StoreSums(int32_t unit, int32_t join, bool left,
                                     const Sums& sums) const {
        const int32_t side = kLeafRows << join;
        // As they lie in L0C: of 16 x 32; of 32 x 32; of 64 x 64; of two halves of 32 x 64.
        const int32_t rows = join == 2 && !left ? 32 : side;
        const int32_t pitch = join == 0 ? kCodeFractal : rows * side;
        const int32_t at = SeedBytes(2) + CodeBytes(C, 2) + 2 * kRoundBlocks;
        AscendC::GlobalTensor<int32_t> target =
            InRing(unit)[at].template ReinterpretCast<int32_t>();
        for (int32_t which = 0; which < 3; ++which) {
            for (int32_t i = 0; i < Entries(join) / (rows * side); ++i) {
                FixpipeToGlobal params;
                params.nSize = static_cast<uint16_t>(side);
                params.mSize = static_cast<uint16_t>(rows);
                params.srcStride = static_cast<uint16_t>(rows);
                params.dstStride = static_cast<uint32_t>(side);
                params.quantPre = QuantMode_t::NoQuant;
                SetSingleMatrix(params);
                AscendC::Fixpipe<int32_t, int32_t, AscendC::CFG_ROW_MAJOR>(
                    target[which * kRoundBlocks + unit % kRoundUnits * Entries(join) +
                           i * rows * side],
                    sums[which * Join::kSum + i * pitch], params);
            }
        }
    }

    const Share share_;
    const int32_t steps_;
    int32_t done_ = 0;  // steps
    AscendC::GlobalTensor<int8_t> workspace_;
};

}  // namespace neumann_tril
