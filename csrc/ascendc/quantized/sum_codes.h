// The vector cores' part of the joins of the int16 inverse: from the sums of the cube to codes.
//
//     V = fl(fl(65536 high + 256 middle) + low)
//     T:    code(fl(V to_grid)), in int8 limbs                        -> workspace
//     X21:  code(fl(V to_x)), or the number fl(V wide)                -> X
//           the codes in int8 limbs, if a join is to come             -> workspace
//
// A part is kPart entries, whole blocks row by row or whole rows of one. Two sets of buffers take
// turns, so that a part is loaded while the one before is computed.
#pragma once

#include "buffers.h"
#include "codes.h"
#include "constants.h"
#include "neumann_tril.h"
#include "rounds.h"
#include "sums.h"

namespace neumann_tril {

template <typename In, int32_t C>
class SumCodeStage {
  public:
    __aicore__ inline SumCodeStage(const QuantTask& task, GM_ADDR x, GM_ADDR workspace,
                                   const Constants& constants, const Rounds<C, 2>& rounds)
        : task_(task.chunks),
          constants_(constants),
          rounds_(rounds),
          workspace_(workspace, AscendC::GetBlockIdx() / 2),
          parts_(PartsOf(rounds)) {
        x_.SetGlobalBuffer((__gm__ uint16_t*)x);
    }

    // T (left) or X21 of a join of round j.
    __aicore__ inline void Join(int32_t j, int32_t join, bool left) {
        const int32_t entries = rounds_.UnitsOf(j) * OfUnit(join);
        AscendC::CrossCoreWaitFlag(kSumsReady);
        for (int32_t first = 0; first < entries; first += kPart) {
            const Part part{j, join, left, first, Clamp(entries - first, kPart)};
            Load(part);
            Add(part.count);
            if (part_ >= 2) {
                AscendC::WaitFlag<AscendC::HardEvent::MTE3_V>(4 + Set());
            }
            Store(part);
            if (part_ + 2 < parts_) {
                AscendC::SetFlag<AscendC::HardEvent::MTE3_V>(4 + Set());
            }
            ++part_;
        }
        if (left || join + 1 < JoinsOf(C)) {
            rounds_.OfCore().Announce();
        }
    }

  private:
    using Buffers = QuantBuffers<In, C, 2>;

    // Entries first .. first + count - 1 of a step of a round.
    struct Part {
        int32_t j, join;
        bool left;
        int32_t first, count;
    };

    // --- buffers; those of a set for pipes to meet in, the others for the vector pipe alone

    __aicore__ inline int32_t Set() const { return part_ % 2; }
    // The three sums, `count` apart; the last becomes V.
    __aicore__ inline AscendC::LocalTensor<float> Sums() const {
        return Ub<float>(Buffers::kSumsAt + Set() * 3 * 4 * kPart, 3 * kPart);
    }
    // Codes or numbers for the result.
    template <typename U>
    __aicore__ inline AscendC::LocalTensor<U> Result() const {
        return Ub<U>(Buffers::kResultAt + Set() * 2 * kPart, kPart);
    }
    __aicore__ inline AscendC::LocalTensor<int8_t> Blocks() const {
        return Ub<int8_t>(Buffers::kBlocksAt + Set() * 2 * kPart, 2 * kPart);
    }
    __aicore__ inline static AscendC::LocalTensor<float> Scaled() {
        return Ub<float>(Buffers::kFAt, kPart);
    }
    __aicore__ inline static AscendC::LocalTensor<half> Limbs() {
        return Ub<half>(Buffers::kFAt + 4 * kPart, 2 * kPart);
    }

    // --- entries

    __aicore__ inline static int32_t Side(int32_t join) { return kLeafRows << join; }
    __aicore__ inline static int32_t OfMatrix(int32_t join) { return C * Side(join) / 2; }
    __aicore__ inline static int32_t OfUnit(int32_t join) { return kUnitRows / C * OfMatrix(join); }
    __aicore__ inline static int32_t PartsOf(const Rounds<C, 2>& rounds) {
        int32_t parts = 0;
        for (int32_t j = 0; j < rounds.Count(); ++j) {
            for (int32_t join = 0; join < JoinsOf(C); ++join) {
                parts += 2 * ((rounds.UnitsOf(j) * OfUnit(join) + kPart - 1) / kPart);
            }
        }
        return parts;
    }
    __aicore__ inline int32_t PlaceInRing(const Part& part) const {
        return rounds_.OfCore().PlaceOf(rounds_.FirstUnit(part.j));
    }

    // --- steps of a part

    __aicore__ inline void Load(const Part& part) const {
        constexpr int32_t kBlocks = Workspace<C, 2>::kBlocks;
        const auto count = static_cast<uint16_t>(part.count / 8);
        if (part_ >= 2) {
            AscendC::WaitFlag<AscendC::HardEvent::V_MTE2>(4 + Set());
        }
        AscendC::DataCopy(
            Sums().template ReinterpretCast<int32_t>(),
            workspace_.Sums(PlaceInRing(part), 0)[part.first],
            AscendC::DataCopyParams{3, count, static_cast<uint16_t>(kBlocks / 8 - count), 0});
        AscendC::SetFlag<AscendC::HardEvent::MTE2_V>(4 + Set());
        AscendC::WaitFlag<AscendC::HardEvent::MTE2_V>(4 + Set());
    }

    // V = 256 (256 high + middle) + low. A factor of 256 is exact: every sum is rounded once.
    __aicore__ inline void Add(int32_t count) const {
        const auto high = Sums(), middle = high[count], low = high[2 * count];
        AscendC::Cast(high, high.template ReinterpretCast<int32_t>(), AscendC::RoundMode::CAST_RINT,
                      3 * count);
        AscendC::PipeBarrier<PIPE_V>();
        AscendC::Axpy(middle, high, 256.0f, count);
        AscendC::PipeBarrier<PIPE_V>();
        AscendC::Axpy(low, middle, 256.0f, count);
        AscendC::PipeBarrier<PIPE_V>();
    }

    __aicore__ inline void Store(const Part& part) const {
        const bool operand = part.left || part.join + 1 < JoinsOf(C);
        const bool codes = task_.x_dtype == NT_INT16;
        if (!part.left && !codes) {
            MakeNumbers(part);
        }
        const auto words =
            part.left || !codes ? Ub<int16_t>(Buffers::kWordsAt, kPart) : Result<int16_t>();
        if (operand || codes) {
            Scale(part, part.left ? kToGrid : kToX);
            AscendC::Cast(words, Scaled(), AscendC::RoundMode::CAST_RINT, part.count);
            AscendC::PipeBarrier<PIPE_V>();
            ClampCodes<2>(words, part.count);
        }
        if (part_ + 2 < parts_) {
            AscendC::SetFlag<AscendC::HardEvent::V_MTE2>(4 + Set());
        }
        if (!part.left) {
            StoreResult(part);
        }
        if (operand) {
            StoreLimbs(part, words);
        }
    }

    // V times a constant of the join, matrix by matrix.
    __aicore__ inline void Scale(const Part& part, int32_t which) const {
        const bool shared = constants_.Groups() == 1 || OfMatrix(part.join) > part.count;
        const int32_t count = shared ? part.count : OfMatrix(part.join);
        const auto v = Sums()[2 * part.count];
        for (int32_t at = 0; at < part.count; at += count) {
            const int32_t m = (part.first + at) / OfMatrix(part.join);
            const int64_t group = constants_.Group(rounds_.Matrix(part.j, m));
            AscendC::Muls(Scaled()[at], v[at], constants_.OfJoin(group, part.join, which), count);
        }
        AscendC::PipeBarrier<PIPE_V>();
    }

    __aicore__ inline void MakeNumbers(const Part& part) const {
        Scale(part, kWide);
        AscendC::Mins(Scaled(), Scaled(), 65504.0f, part.count);
        AscendC::PipeBarrier<PIPE_V>();
        AscendC::Maxs(Scaled(), Scaled(), -65504.0f, part.count);
        AscendC::PipeBarrier<PIPE_V>();
        AscendC::Cast(Result<half>(), Scaled(), AscendC::RoundMode::CAST_RINT, part.count);
    }

    // Row by row of each block, to X21 of the result.
    __aicore__ inline void StoreResult(const Part& part) const {
        const int32_t side = Side(part.join), pairs = C / (2 * side);
        const int32_t rows = side * side < kPart ? side : kPart / side;  // of a block in a part
        AscendC::SetFlag<AscendC::HardEvent::V_MTE3>(4 + Set());
        AscendC::WaitFlag<AscendC::HardEvent::V_MTE3>(4 + Set());
        for (int32_t at = 0; at < part.count; at += rows * side) {
            const int32_t block = (part.first + at) / (side * side);
            const int32_t column = block % pairs * 2 * side;
            const int32_t row = column + side + (part.first + at) / side % side;
            const Place place = rounds_.PlaceOf(part.j, block / pairs);
            const int32_t exist = Clamp(place.valid - row, rows);
            if (exist > 0) {
                CopyRowsOut(x_, place.x + row * task_.x_row_stride + column, task_.x_row_stride,
                            Result<uint16_t>()[at], exist, side);
            }
        }
    }

    __aicore__ inline void StoreLimbs(const Part& part,
                                      const AscendC::LocalTensor<int16_t>& codes) const {
        constexpr int32_t kBlocks = Workspace<C, 2>::kBlocks;
        const auto count = static_cast<uint16_t>(part.count / 32);
        SplitLimbs<2>(Limbs(), codes, part.count);
        AscendC::Cast(Blocks(), Limbs(), AscendC::RoundMode::CAST_RINT, 2 * part.count);
        AscendC::SetFlag<AscendC::HardEvent::V_MTE3>(6 + Set());
        AscendC::WaitFlag<AscendC::HardEvent::V_MTE3>(6 + Set());
        AscendC::DataCopy(
            workspace_.Blocks(PlaceInRing(part), 0)[part.first], Blocks(),
            AscendC::DataCopyParams{2, count, 0, static_cast<uint16_t>(kBlocks / 32 - count)});
    }

    const ChunkTask& task_;
    const Constants& constants_;
    const Rounds<C, 2>& rounds_;
    const Workspace<C, 2> workspace_;
    const int32_t parts_;  // of all steps of all rounds
    int32_t part_ = 0;
    AscendC::GlobalTensor<uint16_t> x_;
};

}  // namespace neumann_tril
