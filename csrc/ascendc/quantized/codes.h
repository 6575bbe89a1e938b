// The vector cores' part of the joins of the int16 inverse: from the sums of the cube to codes.
//
//     V = fl(fl(65536 high + 256 middle) + low)
//     T:    code(fl(V to_grid)), in int8 limbs                        -> workspace
//     X21:  code(fl(V to_x)), or the number fl(V wide)                -> X
//           the codes in int8 limbs, if a join is to come             -> workspace
//
// A part is 4,096 entries, whole blocks row by row. Two sets of buffers take turns, so that a part
// is loaded while the one before is computed.
#pragma once

#include "vector.h"

namespace neumann_tril {

constexpr int32_t kPart = 4096;

// Byte offsets in the Unified Buffer, behind the constants of the seeds.
struct QuantCodeBuffers {
    static constexpr uint32_t kWords = 17 * 1024 + 512;        // codes or numbers, of either set
    static constexpr uint32_t kSums = kWords + 2 * 2 * kPart;  // of either set
    static constexpr uint32_t kSetBytes = 3 * 4 * kPart;
    static constexpr uint32_t kEnd = kSums + 2 * kSetBytes;
};

template <int32_t C>
class QuantCodeStage : private QuantVector<C, 2> {
  public:
    __aicore__ inline QuantCodeStage(const QuantTask& task, GM_ADDR x, GM_ADDR workspace,
                                     GM_ADDR constants, const Chunks& chunks)
        : Base(task, x, workspace, constants, chunks) {
        for (int32_t j = 0; j < rounds_; ++j) {
            for (int32_t join = 0; join < JoinsOf(C); ++join) {
                parts_ += 2 * ((Entries(j, join) + kPart - 1) / kPart);
            }
        }
    }

    // All joins of rounds first .. end - 1.
    __aicore__ inline void Run(int32_t first, int32_t end) {
        const bool idle = UnitsOf(first) == 0;
        if (!idle) {  // the seeds have used the buffers
            AscendC::SetFlag<AscendC::HardEvent::V_MTE2>(EVENT_ID4);
            AscendC::WaitFlag<AscendC::HardEvent::V_MTE2>(EVENT_ID4);
        }
        for (int32_t step = 0; step < 2 * JoinsOf(C); ++step) {
            for (int32_t j = first; j < end; ++j) {
                Round(j, step / 2, step % 2 == 0);
            }
        }
        if (!idle) {
            AscendC::SetFlag<AscendC::HardEvent::MTE3_V>(EVENT_ID4);
            AscendC::WaitFlag<AscendC::HardEvent::MTE3_V>(EVENT_ID4);
        }
    }

  private:
    using Base = QuantVector<C, 2>;
    using Base::Clamp, Base::CopyResult, Base::FirstMatrix, Base::InRing, Base::PlaceOf,
        Base::Smaller, Base::SplitLimbs, Base::UnitsOf;
    using Base::constants_, Base::groups_, Base::rounds_, Base::task_, Base::x16_;
    using Buffers = QuantCodeBuffers;

    template <typename U>
    __aicore__ inline AscendC::LocalTensor<U> Words() const {
        return Base::template Ub<U>(Buffers::kWords + set_ * 2 * kPart, kPart);
    }
    // The three sums; then V, its scaled values (and int8 limbs), limbs.
    __aicore__ inline AscendC::LocalTensor<float> Sum(int32_t which) const {
        return Base::template Ub<float>(Buffers::kSums + set_ * Buffers::kSetBytes,
                                        3 * kPart)[which * kPart];
    }
    __aicore__ inline static int32_t Side(int32_t join) { return kLeafRows << join; }
    // Entries of the joins of a matrix.
    __aicore__ inline static int32_t OfMatrix(int32_t join) { return C * Side(join) / 2; }

    __aicore__ inline int32_t Entries(int32_t j, int32_t join) const {
        return UnitsOf(j) * (kUnitRows / C) * OfMatrix(join);
    }

    __aicore__ inline void Round(int32_t j, int32_t join, bool left) {
        const bool operand = left || join + 1 < JoinsOf(C);
        const int32_t entries = Entries(j, join);
        AscendC::CrossCoreWaitFlag(kSumsReady);
        for (int32_t first = 0; first < entries; first += kPart) {
            LoadSums(j, first, Smaller(kPart, entries - first));
            AddSums();
            if (!left && task_.x_dtype == NT_FLOAT16) {
                StoreNumbers(j, join, first);
            }
            if (operand || task_.x_dtype == NT_INT16) {
                Code(j, join, first, left ? kToGrid : kToX);
            }
            if (!left && task_.x_dtype == NT_INT16) {
                StoreResult(j, join, first);
            }
            if (operand) {
                StoreBlocks(j, first);
            }
            if (done_ + 2 < parts_) {
                AscendC::SetFlag<AscendC::HardEvent::MTE3_MTE2>(set_);
            }
            set_ = ++done_ % 2;
        }
        if (operand) {
            AscendC::CrossCoreSetFlag<0x2, PIPE_MTE3>(kReady);
        }
    }

    __aicore__ inline void LoadSums(int32_t j, int32_t first, int32_t count) const {
        constexpr int32_t kAt = SeedBytes(2) + CodeBytes(C, 2) + 2 * kRoundBlocks;
        AscendC::GlobalTensor<int32_t> from = InRing(j)[kAt].template ReinterpretCast<int32_t>();
        if (done_ >= 2) {
            AscendC::WaitFlag<AscendC::HardEvent::MTE3_MTE2>(set_);
        }
        AscendC::DataCopy(Sum(0).template ReinterpretCast<int32_t>(), from[first],
                          AscendC::DataCopyParams{3, static_cast<uint16_t>(count / 8),
                                                  static_cast<uint16_t>((kRoundBlocks - count) / 8),
                                                  static_cast<uint16_t>((kPart - count) / 8)});
        AscendC::SetFlag<AscendC::HardEvent::MTE2_V>(4 + set_);
        AscendC::WaitFlag<AscendC::HardEvent::MTE2_V>(4 + set_);
    }

    __aicore__ inline void AddSums() const {
        AscendC::Cast(Sum(0), Sum(0).template ReinterpretCast<int32_t>(),
                      AscendC::RoundMode::CAST_RINT, 3 * kPart);
        AscendC::PipeBarrier<PIPE_V>();
        AscendC::Muls(Sum(0), Sum(0), 65536.0f, kPart);
        AscendC::Muls(Sum(1), Sum(1), 256.0f, kPart);
        AscendC::PipeBarrier<PIPE_V>();
        AscendC::Add(Sum(0), Sum(0), Sum(1), kPart);
        AscendC::PipeBarrier<PIPE_V>();
        AscendC::Add(Sum(0), Sum(0), Sum(2), kPart);
        AscendC::PipeBarrier<PIPE_V>();
    }

    // V times a constant of the join, matrix by matrix.
    __aicore__ inline void Scale(int32_t j, int32_t join, int32_t first, int32_t which) const {
        const int32_t entries = groups_ == 1 ? kPart : OfMatrix(join);
        for (int32_t at = 0; at < kPart; at += entries) {
            const int64_t group = constants_.Group(FirstMatrix(j) + (first + at) / OfMatrix(join));
            AscendC::Muls(Sum(1)[at], Sum(0)[at], constants_.OfJoin(group, join, which), entries);
        }
        AscendC::PipeBarrier<PIPE_V>();
    }

    __aicore__ inline void Code(int32_t j, int32_t join, int32_t first, int32_t which) const {
        Scale(j, join, first, which);
        AscendC::Cast(Words<int16_t>(), Sum(1), AscendC::RoundMode::CAST_RINT, kPart);
        AscendC::PipeBarrier<PIPE_V>();
        Clamp(Words<int16_t>(), kPart);
    }

    __aicore__ inline void StoreNumbers(int32_t j, int32_t join, int32_t first) const {
        Scale(j, join, first, kWide);
        AscendC::Mins(Sum(1), Sum(1), 65504.0f, kPart);
        AscendC::PipeBarrier<PIPE_V>();
        AscendC::Maxs(Sum(1), Sum(1), -65504.0f, kPart);
        AscendC::PipeBarrier<PIPE_V>();
        AscendC::Cast(Words<half>(), Sum(1), AscendC::RoundMode::CAST_RINT, kPart);
        StoreResult(j, join, first);
        AscendC::SetFlag<AscendC::HardEvent::MTE3_V>(EVENT_ID3);
        AscendC::WaitFlag<AscendC::HardEvent::MTE3_V>(EVENT_ID3);
    }

    // The words, row by row of each block, to X21 of the result.
    __aicore__ inline void StoreResult(int32_t j, int32_t join, int32_t first) const {
        const int32_t side = Side(join), pairs = C / (2 * side);
        AscendC::SetFlag<AscendC::HardEvent::V_MTE3>(set_);
        AscendC::WaitFlag<AscendC::HardEvent::V_MTE3>(set_);
        for (int32_t at = 0; at < kPart; at += side * side) {
            const int32_t block = (first + at) / (side * side);
            const int32_t column = block % pairs * 2 * side, row = column + side;
            const Place place = PlaceOf(j, block / pairs);
            const int32_t exist = Smaller(side, place.valid - row);
            if (exist > 0) {
                CopyResult(x16_, place.x + row * task_.x_row_stride + column, Words<uint16_t>()[at],
                           exist, side, 0);
            }
        }
    }

    // The words in int8 limbs.
    __aicore__ inline void StoreBlocks(int32_t j, int32_t first) const {
        const auto limbs = Sum(2).template ReinterpretCast<half>();
        const auto codes = Sum(1).template ReinterpretCast<int8_t>();
        SplitLimbs(limbs, kPart, Words<int16_t>(), kPart);
        AscendC::Cast(codes, limbs, AscendC::RoundMode::CAST_RINT, 2 * kPart);
        AscendC::SetFlag<AscendC::HardEvent::V_MTE3>(2 + set_);
        AscendC::WaitFlag<AscendC::HardEvent::V_MTE3>(2 + set_);
        AscendC::DataCopy(InRing(j)[SeedBytes(2) + CodeBytes(C, 2) + first], codes,
                          AscendC::DataCopyParams{2, kPart / 32, 0, (kRoundBlocks - kPart) / 32});
    }

    int32_t parts_ = 0, done_ = 0;  // of all rounds
    int32_t set_ = 0;
};

}  // namespace neumann_tril
