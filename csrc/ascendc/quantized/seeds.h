// The seeds of a round: from the words of A, numbers or codes, to F = -X, and to the codes of X.
#pragma once

#include "../core/seed.h"
#include "buffers.h"
#include "codes.h"
#include "constants.h"
#include "rounds.h"

namespace neumann_tril {

template <typename In, int32_t C, int32_t Limbs>
class Seeds {
  public:
    using Buffers = QuantBuffers<In, C, Limbs>;

    __aicore__ inline Seeds(const Constants& constants, const Rounds<C, Limbs>& rounds)
        : constants_(constants),
          rounds_(rounds),
          f_{Ub<float>(Buffers::kFAt, kWords)},
          substitution_(Ub<float>(Buffers::kProductsAt, Substitution<kLanes>::kProducts * 64)) {}

    __aicore__ inline const AscendC::LocalTensor<float>& F() const { return f_.lanes; }

    // Of round j: the scale of A and -n, in a lane for each leaf.
    __aicore__ inline void SetScales(int32_t j) {
        const bool shared = constants_.Groups() == 1;
        if (shared && j > 0) {
            return;
        }
        coarse_ = false;
        for (int32_t m = 0; m < (shared ? 1 : Rounds<C, Limbs>::kMatrices); ++m) {
            const int64_t group = constants_.Group(rounds_.Matrix(j, m));
            const float scale = constants_.Of(group, kAScale);
            coarse_ = coarse_ || scale > 1.0f;
            FillLanes(Buffers::kScalesAt, scale, m, shared);
            FillLanes(Buffers::kOnesAt, -constants_.Of(group, kXOne), m, shared);
        }
    }

    // F = -X, with its diagonal; all of A within -128 .. 128.
    __aicore__ inline void Invert(const AscendC::LocalTensor<LeafWord<In>>& words) const {
        AscendC::Cast(F(), words, AscendC::RoundMode::CAST_NONE, kWords);
        AscendC::PipeBarrier<PIPE_V>();
        if (!IsNumber<In>) {
            Scale(Buffers::kScalesAt);
        }
        if (IsNumber<In> || coarse_) {
            AscendC::Mins(F(), F(), 128.0f, kWords);
            AscendC::PipeBarrier<PIPE_V>();
            AscendC::Maxs(F(), F(), -128.0f, kWords);
            AscendC::PipeBarrier<PIPE_V>();
        }
        substitution_.Invert(f_, kLeafRows - 1);
        substitution_.SetDiagonal(f_, -1.0f);
    }

    // The codes of X; F is not needed any more.
    __aicore__ inline void Code(const AscendC::LocalTensor<int16_t>& codes) const {
        Scale(Buffers::kOnesAt);
        AscendC::Cast(codes, F(), AscendC::RoundMode::CAST_RINT, kWords);
        AscendC::PipeBarrier<PIPE_V>();
        if constexpr (Limbs == 2) {
            ClampCodes<Limbs>(codes, kWords);
        }
    }

  private:
    static constexpr int32_t kLanes = Buffers::kLanes, kWords = Buffers::kWords;

    // The lanes of matrix m, or all, in every group of kLanes of a repeat.
    __aicore__ inline static void FillLanes(uint32_t at, float value, int32_t m, bool all) {
        constexpr int32_t kLeaves = C / kLeafRows;
        uint64_t lanes = 0;
        for (int32_t first = 0; first < 64; first += kLanes) {
            lanes |= ((uint64_t{1} << kLeaves) - 1) << (first + m * kLeaves);
        }
        uint64_t mask[2] = {all ? ~uint64_t{0} : lanes, 0};
        AscendC::Duplicate<float>(Ub<float>(at, 64), value, mask, 1, 1, 8);
    }

    __aicore__ inline void Scale(uint32_t factors) const {
        constexpr int32_t kRepeats = 128;
        for (int32_t first = 0; first < kWords; first += kRepeats * 64) {
            AscendC::Mul(F()[first], F()[first], Ub<float>(factors, 64), 64,
                         Clamp((kWords - first) / 64, kRepeats),
                         AscendC::BinaryRepeatParams{1, 1, 1, 8, 8, 0});
        }
        AscendC::PipeBarrier<PIPE_V>();
    }

    const Constants& constants_;
    const Rounds<C, Limbs>& rounds_;
    const Panel<kLanes> f_;
    const Substitution<kLanes> substitution_;
    bool coarse_ = false;  // a code may stand for a number beyond 128
};

}  // namespace neumann_tril
