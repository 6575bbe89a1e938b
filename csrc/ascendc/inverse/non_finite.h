// Chunks of A that are not finite: their result is made NaN by the vector cores.
//
// The cube is not relied on to carry infinities and NaN: documents disagree on whether Fixpipe
// keeps them on its way to 16 bits. The vector cores see all of A:
//
//     vector cores:  every image: sums = sums + 0 N, NaN for good if N is not finite
//                    after the last round: exponents of the sums -> workspace; tell the cube
//     cube core:     when all is issued, look at both; let the vector cores go on: at once if all
//                    was finite, after its last store if not
//     vector core:   if its sums are not finite: look at the exponents of each chunk again, and
//                    overwrite the results of those that are not finite
//
// So finite input costs a look at each image, and no wait: the cube is busy longer than that.
#pragma once

#include "../core/ring.h"
#include "images.h"
#include "result.h"

namespace neumann_tril {

// Cross-core flags.
constexpr int32_t kSeen = 10;    // vector cores to cube: what they saw is in the workspace
constexpr int32_t kSettled = 7;  // cube to vector cores: results may be overwritten, if need be

// The bits of an exponent; all of them set: infinity or NaN.
template <typename T>
constexpr uint16_t kExponent = 0;
template <>
constexpr uint16_t kExponent<half> = 0x7C00;
template <>
constexpr uint16_t kExponent<bfloat16_t> = 0x7F80;

// Whether one of 16 exponents is that of no finite number. They are read four at a time: adding
// the lowest bit of an exponent to each carries into its sign where all bits are set.
template <typename T, class Words>
__aicore__ inline bool IsAnyNonFinite(const Words& exponents) {
    constexpr uint64_t kEach = 0x0001000100010001;
    uint64_t carries = 0;
    for (int32_t i = 0; i < 4; ++i) {
        carries |= static_cast<uint64_t>(exponents.GetValue(i)) + kEach * (0x8000 - kExponent<T>);
    }
    return (carries & kEach * 0x8000) != 0;
}

// The cube's part, when all of its stores are issued.
template <typename T>
__aicore__ inline void SettleCube(const AscendC::GlobalTensor<T>& workspace) {
    AscendC::CrossCoreWaitFlag(kSeen);
    bool non_finite = false;
    for (int32_t side = 0; side < 2; ++side) {
        AscendC::GlobalTensor<int64_t> seen;
        seen.SetGlobalBuffer((__gm__ int64_t*)workspace[SeenAt(side)].GetPhyAddr());
        AscendC::DataCacheCleanAndInvalid<int64_t, AscendC::CacheLine::SINGLE_CACHE_LINE,
                                          AscendC::DcciDst::CACHELINE_OUT>(seen);
        non_finite = IsAnyNonFinite<half>(seen) || non_finite;
    }
    if (non_finite) {
        AscendC::CrossCoreSetFlag<0x2, PIPE_FIX>(kSettled);
    } else {
        AscendC::CrossCoreSetFlag<0x2, PIPE_MTE2>(kSettled);
    }
}

// The vector cores' part.
//
// In the rounds a sum of 0 N is kept, in half: NaN is all that it can become. Numbers of bfloat16
// that are infinite or NaN are so as half, too; so are those from 2^121 on, at which a second look
// is wasted.
template <typename T, int32_t C>
class NonFinite {
  public:
    static constexpr int32_t kColumn = kUnitRows * 16;        // words of a column of an image
    static constexpr int32_t kColumns = C < 64 ? C / 16 : 3;  // that are summed side by side
    static constexpr int32_t kSums = kColumns * kColumn;
    static constexpr int32_t kNans = 2 * C;  // words of a row of float32
    static constexpr int32_t kWords = 16 + kSums + kNans;

    // `memory`: kWords words.
    __aicore__ inline explicit NonFinite(const AscendC::LocalTensor<uint16_t>& memory)
        : exponent_(memory),
          sums_(memory[16].template ReinterpretCast<half>()),
          nans_(memory[16 + kSums]) {}

    __aicore__ inline void Prepare() const {
        AscendC::Duplicate<half>(sums_, static_cast<half>(0.0f), kSums);
        AscendC::PipeBarrier<PIPE_V>();
    }

    // The image N of a unit, in the rounds.
    __aicore__ inline void Add(const AscendC::LocalTensor<uint16_t>& n) const {
        const auto numbers = n.template ReinterpretCast<half>();
        for (int32_t c = 0; c < C / 16; ++c) {
            if (c > 0 && c % kColumns == 0) {
                AscendC::PipeBarrier<PIPE_V>();
            }
            const RowsOfAll<C> lower(C - 16 * c, c == 0);
            for (int32_t i = 0; i < lower.instructions; ++i) {
                const int32_t row = 16 * c + i * lower.step;
                AscendC::Axpy(sums_[(c % kColumns * kUnitRows + row) * 16],
                              numbers[(c * kUnitRows + row) * 16], static_cast<half>(0.0f), 128,
                              lower.repeats,
                              AscendC::UnaryRepeatParams{1, 1, lower.stride, lower.stride});
            }
        }
    }

    // After the last round: whether there is something to look for, which may be done now.
    __aicore__ inline bool Settle(int32_t side,
                                  const AscendC::GlobalTensor<uint16_t>& workspace) const {
        AscendC::Duplicate<uint16_t>(exponent_, kExponent<half>, 16);
        AscendC::PipeBarrier<PIPE_V>();
        const auto sums = sums_.template ReinterpretCast<uint16_t>();
        AscendC::And(sums, sums, exponent_, 128, kSums / 128,
                     AscendC::BinaryRepeatParams{1, 1, 0, 8, 8, 0});
        for (int32_t c = 1; c < kColumns; ++c) {
            AscendC::PipeBarrier<PIPE_V>();
            AscendC::Max(Largest(0), Largest(0), Largest(c * kUnitRows), kColumn);
        }
        Fold(0, kUnitRows);
        AscendC::SetFlag<AscendC::HardEvent::V_MTE3>(EVENT_ID3);
        AscendC::WaitFlag<AscendC::HardEvent::V_MTE3>(EVENT_ID3);
        AscendC::DataCopy(workspace[SeenAt(side)], sums, AscendC::DataCopyParams{1, 1, 0, 0});
        AscendC::CrossCoreSetFlag<0x2, PIPE_MTE3>(kSeen);
        const bool seen = IsAny<half>(0);
        AscendC::CrossCoreWaitFlag(kSettled);
        return seen;
    }

    // Before the first unit whose results are replaced.
    __aicore__ inline void PrepareReplacing() const {
        AscendC::Duplicate<uint16_t>(exponent_, kExponent<T>, 16);
        AscendC::Duplicate<uint16_t>(nans_, 0x7FFF, kNans);
    }

    // The results of those matrices of a unit that are not finite; N is the unit's image, and
    // `scratch` of its size.
    __aicore__ inline void Replace(const ResultRows& result, const UnitPlaces<C>& places,
                                   const AscendC::LocalTensor<uint16_t>& n,
                                   const AscendC::LocalTensor<uint16_t>& scratch) const {
        FindLargest(n, scratch);
        for (int32_t m = 0; m < kUnitRows / C; ++m) {
            Fold(m * C, C);
            if (IsAny<T>(m * C)) {
                result.StoreNans(places.of[m], nans_);
            }
        }
    }

  private:
    // The largest exponents, 16 for each row of a unit, where the sums were.
    __aicore__ inline AscendC::LocalTensor<int16_t> Largest(int32_t row) const {
        return sums_[row * 16].template ReinterpretCast<int16_t>();
    }

    __aicore__ inline void FindLargest(const AscendC::LocalTensor<uint16_t>& n,
                                       const AscendC::LocalTensor<uint16_t>& scratch) const {
        AscendC::Duplicate<int16_t>(Largest(0), 0, kColumn);
        for (int32_t c = 0; c < C / 16; ++c) {
            const RowsOfAll<C> lower(C - 16 * c, c == 0);
            for (int32_t i = 0; i < lower.instructions; ++i) {
                const int32_t at = (c * kUnitRows + 16 * c + i * lower.step) * 16;
                AscendC::And(scratch[at], n[at], exponent_, 128, lower.repeats,
                             AscendC::BinaryRepeatParams{1, 1, 0, lower.stride, lower.stride, 0});
            }
        }
        const auto exponents = scratch.template ReinterpretCast<int16_t>();
        for (int32_t c = 0; c < C / 16; ++c) {
            AscendC::PipeBarrier<PIPE_V>();
            const RowsOfAll<C> lower(C - 16 * c, c == 0);
            for (int32_t i = 0; i < lower.instructions; ++i) {
                const int32_t row = 16 * c + i * lower.step;
                AscendC::Max(
                    Largest(row), Largest(row), exponents[(c * kUnitRows + row) * 16], 128,
                    lower.repeats,
                    AscendC::BinaryRepeatParams{1, 1, 1, lower.stride, lower.stride, lower.stride});
            }
        }
    }

    // The largest exponents of some rows to the first of them.
    __aicore__ inline void Fold(int32_t first, int32_t rows) const {
        const auto largest = Largest(first);
        for (int32_t n = rows * 16 / 2; n >= 16; n /= 2) {
            AscendC::PipeBarrier<PIPE_V>();
            AscendC::Max(largest, largest, largest[n], n);
        }
    }

    // Whether a row has the exponent of no finite number of type U.
    template <typename U>
    __aicore__ inline bool IsAny(int32_t row) const {
        AscendC::SetFlag<AscendC::HardEvent::V_S>(EVENT_ID0);
        AscendC::WaitFlag<AscendC::HardEvent::V_S>(EVENT_ID0);
        const bool any = IsAnyNonFinite<U>(Largest(row).template ReinterpretCast<int64_t>());
        AscendC::SetFlag<AscendC::HardEvent::S_V>(EVENT_ID0);
        AscendC::WaitFlag<AscendC::HardEvent::S_V>(EVENT_ID0);
        return any;
    }

    AscendC::LocalTensor<uint16_t> exponent_;  // a block
    AscendC::LocalTensor<half> sums_;
    AscendC::LocalTensor<uint16_t> nans_;
};

// Memory for a unit: A as rows, N, and what float32 input passes through.
struct UnitMemory {
    AscendC::LocalTensor<uint16_t> rows, n;
    AscendC::LocalTensor<float> floats;
};

// A vector core's end: results of chunks that are not finite, of all its rounds.
template <typename T, int32_t C>
__aicore__ inline void SettleResults(const NonFinite<T, C>& non_finite, const Ring& ring,
                                     int32_t side, const Chunks& chunks,
                                     const AscendC::GlobalTensor<uint16_t>& workspace,
                                     const UnitRows<T, C>& a, const ImageOfA<T, C>& images,
                                     const ResultRows& result, const UnitMemory& memory) {
    if (!non_finite.Settle(side, workspace)) {
        return;
    }
    non_finite.PrepareReplacing();
    for (int32_t j = 0; j < ring.Rounds(); ++j) {
        for (int32_t unit = 0; unit < ring.UnitsOf(j, side); ++unit) {
            const UnitPlaces<C> places(chunks, ring.InBatchOrder(ring.First(j, side) + unit), true);
            a.LoadNow(memory.rows, places, memory.floats);
            images.Make(memory.n, memory.rows);
            AscendC::PipeBarrier<PIPE_V>();
            non_finite.Replace(result, places, memory.n, memory.rows);
        }
    }
}

}  // namespace neumann_tril
