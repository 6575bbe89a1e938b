// What a vector core makes of the gates of a chunk: its decays, and the factors of its rows.
//
// A row of 64 floats has a number for each token; `Spread` repeats each number through a block of
// its own, so that one repeat of an instruction takes it as the factor of a row. With g clamped
// from below at kReset, whose exponential is zero:
//
//     c_i = g_0 + ... + g_i, by doubling the distance: c_i = c_i + c_(i-1), c_i + c_(i-2), ...
//     L_ij = exp(min(c_i - c_j, 0))        what is above the diagonal is cut off later
//     G_i = exp(c_i),  G = exp(c_63),  e_i = exp(c_63 - c_i)
#pragma once

#include "../core/rows.h"
#include "neumann_tril.h"
#include "walk.h"

namespace neumann_tril {

constexpr float kReset = -104.0f;
constexpr float kNormEpsilon = 1e-6f;  // of FLA and transformers

using Floats = AscendC::LocalTensor<float>;

// One number for each token, from a column of global memory.
class TokenColumn {
  public:
    static constexpr int32_t kWords = kRuleChunk * 16;  // of the buffer that it arrives in

    __aicore__ inline TokenColumn(GM_ADDR numbers, int32_t dtype, const TokenStrides& strides)
        : dtype_(dtype), strides_(strides) {
        words_.SetGlobalBuffer((__gm__ uint16_t*)numbers);
        floats_.SetGlobalBuffer((__gm__ float*)numbers);
    }

    __aicore__ inline bool Exists() const { return dtype_ != kNoGates; }

    // Each to a block of its own, the rest of which is zero.
    __aicore__ inline void Load(const AscendC::LocalTensor<uint16_t>& arrived,
                                const RuleChunk& chunk) const {
        const int64_t first = TokenAt(strides_, chunk, chunk.value_head);
        if (dtype_ == NT_FLOAT32) {
            LoadNumbers(arrived.ReinterpretCast<float>(), floats_, first, chunk.valid);
        } else if (Exists()) {
            LoadNumbers(arrived, words_, first, chunk.valid);
        }
    }

    // To a row, with zeros behind the last token; `floats`: kWords floats, not in use.
    __aicore__ inline void ToRow(const Floats& row, const AscendC::LocalTensor<uint16_t>& arrived,
                                 const Floats& floats, int32_t valid) const {
        if (!Exists()) {
            AscendC::Duplicate<float>(row, 0.0f, kRuleChunk);
            return;
        }
        if (valid < kRuleChunk) {
            AscendC::Duplicate<uint16_t>(arrived[valid * 16], 0, (kRuleChunk - valid) * 16);
            AscendC::PipeBarrier<PIPE_V>();
        }
        if (dtype_ == NT_FLOAT32) {
            AscendC::BlockReduceSum(row, arrived.ReinterpretCast<float>(), 8, 64, 1, 1, 8);
        } else {
            if (dtype_ == NT_FLOAT16) {
                AscendC::Cast(floats, arrived.ReinterpretCast<half>(),
                              AscendC::RoundMode::CAST_NONE, kWords);
            } else {
                AscendC::Cast(floats, arrived.ReinterpretCast<bfloat16_t>(),
                              AscendC::RoundMode::CAST_NONE, kWords);
            }
            AscendC::PipeBarrier<PIPE_V>();
            AscendC::BlockReduceSum(row, floats, 8, 64, 1, 2, 16);
        }
        AscendC::PipeBarrier<PIPE_V>();
    }

  private:
    template <typename Number>
    __aicore__ inline void LoadNumbers(const AscendC::LocalTensor<Number>& arrived,
                                       const AscendC::GlobalTensor<Number>& numbers, int64_t first,
                                       int32_t valid) const {
        constexpr uint32_t kBytes = sizeof(Number), kBlock = 32 / kBytes;
        const AscendC::DataCopyPadExtParams<Number> zeros{true, 0, kBlock - 1, 0};
        const int64_t gap = (strides_.time - 1) * static_cast<int64_t>(kBytes);
        if (IsGap(gap)) {
            AscendC::DataCopyPad(arrived, numbers[first],
                                 AscendC::DataCopyExtParams{static_cast<uint16_t>(valid), kBytes,
                                                            static_cast<uint32_t>(gap), 0, 0},
                                 zeros);
            return;
        }
        for (int32_t i = 0; i < valid; ++i) {
            AscendC::DataCopyPad(arrived[i * kBlock], numbers[first + i * strides_.time],
                                 AscendC::DataCopyExtParams{1, kBytes, 0, 0, 0}, zeros);
        }
    }

    const int32_t dtype_;
    const TokenStrides strides_;
    AscendC::GlobalTensor<uint16_t> words_;
    AscendC::GlobalTensor<float> floats_;
};

// A number of each token to a block of its own: 64 blocks of 8.
__aicore__ inline void Spread(const Floats& blocks, const Floats& row) {
    AscendC::Brcb(blocks, row, 8, AscendC::BrcbRepeatParams{1, 8});
    AscendC::PipeBarrier<PIPE_V>();
}
constexpr int32_t kSpread = kRuleChunk * 8;

// X = diag(factors) X, and Y = X diag(factors), of 64 x 64.
__aicore__ inline void ScaleRows(const Floats& x, const Floats& spread) {
    AscendC::Mul(x, x, spread, 64, kRuleChunk, AscendC::BinaryRepeatParams{1, 1, 0, 8, 8, 1});
    AscendC::PipeBarrier<PIPE_V>();
}
__aicore__ inline void ScaleColumns(const Floats& y, const Floats& x, const Floats& row) {
    AscendC::Mul(y, x, row, 64, kRuleChunk, AscendC::BinaryRepeatParams{1, 1, 1, 8, 8, 0});
    AscendC::PipeBarrier<PIPE_V>();
}

// X of 64 x 64 as two numbers of T, rounded and what is left of it: `parts` is twice as long.
template <typename T>
__aicore__ inline void Split(const AscendC::LocalTensor<T>& parts, const Floats& x,
                             const Floats& scratch) {
    AscendC::Cast(parts, x, AscendC::RoundMode::CAST_RINT, kSquare);
    AscendC::PipeBarrier<PIPE_V>();
    AscendC::Cast(scratch, parts, AscendC::RoundMode::CAST_NONE, kSquare);
    AscendC::PipeBarrier<PIPE_V>();
    AscendC::Sub(scratch, x, scratch, kSquare);
    AscendC::PipeBarrier<PIPE_V>();
    AscendC::Cast(parts[kSquare], scratch, AscendC::RoundMode::CAST_RINT, kSquare);
}

class Decays {
  public:
    static constexpr int32_t kFloats = 2 * kSpread;

    // `scratch`: kFloats floats.
    __aicore__ inline explicit Decays(const Floats& scratch) : scratch_(scratch) {}

    // g to c, in place; afterwards c is spread out as well. `unit` is zero, or g is a sum already,
    // in such units.
    __aicore__ inline void Accumulate(const Floats& c, float unit) {
        if (unit != 0.0f) {
            AscendC::Muls(c, c, unit, kRuleChunk);
            AscendC::PipeBarrier<PIPE_V>();
            Spread(Half(0), c);
            spread_ = Half(0);
            return;
        }
        AscendC::Maxs(c, c, kReset, kRuleChunk);
        AscendC::PipeBarrier<PIPE_V>();
        Spread(Half(0), c);
        int32_t from = 0;
        for (int32_t distance = 1; distance < kRuleChunk; distance *= 2, from = 1 - from) {
            const int32_t kept = distance * 8;
            AscendC::Copy(Half(1 - from), Half(from), kept < 64 ? kept : 64,
                          kept < 64 ? 1 : kept / 64, AscendC::CopyRepeatParams{1, 1, 8, 8});
            AscendC::Add(Half(1 - from)[kept], Half(from)[kept], Half(from), kSpread - kept);
            AscendC::PipeBarrier<PIPE_V>();
        }
        spread_ = Half(from);
        AscendC::BlockReduceMax(c, spread_, 8, 64, 1, 1, 8);
        AscendC::PipeBarrier<PIPE_V>();
    }

    // L, 64 x 64.
    __aicore__ inline void Between(const Floats& l, const Floats& c) const {
        AscendC::Sub(l, spread_, c, 64, kRuleChunk, AscendC::BinaryRepeatParams{1, 0, 1, 8, 1, 0});
        AscendC::PipeBarrier<PIPE_V>();
        AscendC::Mins(l, l, 0.0f, kSquare);
        AscendC::PipeBarrier<PIPE_V>();
        AscendC::Exp(l, l, kSquare);
    }
    // G_i, a row.
    __aicore__ inline static void FromStart(const Floats& row, const Floats& c) {
        AscendC::Exp(row, c, kRuleChunk);
        AscendC::PipeBarrier<PIPE_V>();
    }
    // e_i, a row.
    __aicore__ inline void ToEnd(const Floats& row, const Floats& c) const {
        AscendC::Sub(row, Last(), c, 64, 1, AscendC::BinaryRepeatParams{1, 0, 1, 8, 0, 8});
        AscendC::PipeBarrier<PIPE_V>();
        AscendC::Exp(row, row, kRuleChunk);
        AscendC::PipeBarrier<PIPE_V>();
    }
    // G, sixteen times.
    __aicore__ inline void OfChunk(const Floats& sixteen) const {
        AscendC::Exp(sixteen, Last(), 16, 1, AscendC::UnaryRepeatParams{1, 0, 8, 8});
        AscendC::PipeBarrier<PIPE_V>();
    }

  private:
    __aicore__ inline Floats Half(int32_t which) const { return scratch_[which * kSpread]; }
    __aicore__ inline Floats Last() const { return spread_[kSpread - 8]; }

    Floats scratch_, spread_;
};

}  // namespace neumann_tril
