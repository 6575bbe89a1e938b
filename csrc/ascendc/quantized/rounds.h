// Which matrices are in a round, and where the workspace holds what of it.
#pragma once

#include "../core/ring.h"
#include "task.h"

namespace neumann_tril {

// The ring of core `block`.
template <int32_t C, int32_t Limbs>
__aicore__ inline Ring RingOf(const ChunkTask& task, int64_t block) {
    return Ring(task.units, Share{block, AscendC::GetBlockNum(), QuantBatchesHeld(Limbs)},
                QuantRoundUnits(C));
}

// The rounds of a vector core.
template <int32_t C, int32_t Limbs>
class Rounds {
  public:
    static constexpr int32_t kMatrices = QuantRoundRows(C) / C;

    __aicore__ inline Rounds(const Chunks& chunks)
        : ring_(RingOf<C, Limbs>(chunks.task, AscendC::GetBlockIdx() / 2)),
          side_(AscendC::GetSubBlockIdx()),
          chunks_(chunks) {}

    __aicore__ inline const Ring& OfCore() const { return ring_; }
    __aicore__ inline int32_t Side() const { return side_; }
    __aicore__ inline int32_t Count() const { return ring_.Rounds(); }
    __aicore__ inline int32_t FirstUnit(int32_t j) const { return ring_.First(j, side_); }
    __aicore__ inline int32_t UnitsOf(int32_t j) const { return ring_.UnitsOf(j, side_); }
    __aicore__ inline bool IsEmpty(int32_t j) const { return UnitsOf(j) == 0; }
    // Rounds with units; the others come behind them.
    __aicore__ inline int32_t Busy() const {
        const int32_t last = Count() - 1;
        return last >= 0 && IsEmpty(last) ? last : last + 1;
    }

    // Matrix m of round j.
    __aicore__ inline int64_t Matrix(int32_t j, int32_t m) const {
        return ring_.InBatchOrder(FirstUnit(j)) * (kUnitRows / C) + m;
    }
    __aicore__ inline Place PlaceOf(int32_t j, int32_t m) const {
        return m < UnitsOf(j) * (kUnitRows / C) ? chunks_.Locate(Matrix(j, m)) : Place{};
    }

  private:
    const Ring ring_;
    const int32_t side_;
    const Chunks& chunks_;
};

// Of core `block`. A place is that of a unit, as the ring counts them.
template <int32_t C, int32_t Limbs>
class Workspace {
  public:
    static constexpr int32_t kUnits = QuantRoundUnits(C);
    static constexpr int32_t kSeeds = SeedBytes(C), kCodes = CodeBytes(C);
    static constexpr int32_t kBlocks = RoundBlocks(C);  // entries, of a limb or a sum

    __aicore__ inline Workspace(GM_ADDR workspace, int64_t block) {
        const auto start = (__gm__ int8_t*)workspace + block * QuantWorkspacePerCore(C, Limbs);
        bytes_.SetGlobalBuffer(start);
        sums_.SetGlobalBuffer((__gm__ int32_t*)(start + kSquare + kSumsAt));
    }

    __aicore__ inline AscendC::GlobalTensor<int8_t> Identity() const { return bytes_; }
    // The seeds of a unit; kSeeds from limb to limb.
    __aicore__ inline AscendC::GlobalTensor<int8_t> Seeds(int32_t place) const {
        return bytes_[kSquare + Round(place) + place % kUnits * (kSeeds / kUnits)];
    }
    // The codes of a unit of A; kCodes from limb to limb.
    __aicore__ inline AscendC::GlobalTensor<int8_t> CodesOfA(int32_t place) const {
        return bytes_[kSquare + Round(place) + Limbs * kSeeds + place % kUnits * (kCodes / kUnits)];
    }
    // The blocks of a join, and their sums, of a unit that has `entries`; kBlocks from limb to
    // limb, and from sum to sum.
    __aicore__ inline AscendC::GlobalTensor<int8_t> Blocks(int32_t place, int32_t entries) const {
        return bytes_[kSquare + Round(place) + kBlocksAt + place % kUnits * entries];
    }
    __aicore__ inline AscendC::GlobalTensor<int32_t> Sums(int32_t place, int32_t entries) const {
        return sums_[Round(place) / 4 + place % kUnits * entries];
    }

  private:
    static constexpr int32_t kBlocksAt = Limbs * (kSeeds + kCodes);
    static constexpr int32_t kSumsAt = kBlocksAt + Limbs * kBlocks;

    __aicore__ inline static int32_t Round(int32_t place) {
        return place / kUnits * QuantRoundBytes(C, Limbs);
    }

    AscendC::GlobalTensor<int8_t> bytes_;
    AscendC::GlobalTensor<int32_t> sums_;
};

}  // namespace neumann_tril
