// The chunk matrices A of the gated delta rule, from K K^T and the gates:
//
//     A = beta_i L_ij <k_i, k_j>,  rounded, and -A', what is left of it
//
// With normalised keys <k_i, k_j> stands for <k_i, k_j> / (|k_i| |k_j|), whose squares are on the
// diagonal of K K^T: factors of rows and columns.
#pragma once

#include "gates.h"

namespace neumann_tril {

// Byte offsets in the Unified Buffer.
struct PartBuffers {
    static constexpr uint32_t kStrict = 0;  // masks of 16 bits, 64 x 64
    static constexpr uint32_t kLower = kStrict + kSquare * 2;
    static constexpr uint32_t kDiagonal = kLower + kSquare * 2;  // 16 x 16
    static constexpr uint32_t kOffsets = kDiagonal + 512;        // of the diagonal, 64 x 64
    static constexpr uint32_t kRows = kOffsets + 256;            // of 64 floats each
    static constexpr uint32_t kGates = kRows + 10 * 256;         // g and beta as they arrive
    static constexpr uint32_t kSpreads = kGates + 2 * TokenColumn::kWords * 2;
    static constexpr uint32_t kDecays = kSpreads + 4 * kSpread * 4;
    static constexpr uint32_t kProducts = kDecays + Decays::kFloats * 4;
    static constexpr uint32_t kBetween = kProducts + BatchWorkspace::kProductsOfChunk * 4;
    static constexpr uint32_t kOut = kBetween + kSquare * 4;            // A, -A', P, decay
    static constexpr uint32_t kTokens = kOut + 3 * kSquare * 2 + 1024;  // two slices
    static constexpr uint32_t kSlices = kTokens + 2 * kSquare * 2;      // two that leave
    static constexpr uint32_t kNumbers = kSlices + 2 * kSquare * 2;     // a slice, in float
    static constexpr uint32_t kEnd = kNumbers + kSquare * 4;
    // Beta and G_i of the chunks of two batches live until their factors are formed.
    static constexpr uint32_t kRowsOfBatches = 2 * kRuleBatch * 256;
    static constexpr uint32_t kBetas = 192 * 1024 - 256 - kRowsOfBatches;
    static constexpr uint32_t kStarts = kBetas - kRowsOfBatches;
    static_assert(kEnd <= kStarts, "the Unified Buffer is too small");
};

template <typename T>
class ChunkMatrices {
  public:
    __aicore__ inline ChunkMatrices(const RuleTask& task, GM_ADDR g, GM_ADDR beta,
                                    GM_ADDR workspace)
        : task_(task),
          g_(g, task.g_dtype, task.g),
          beta_(beta, task.beta_dtype, task.beta),
          decays_(Ub<float>(Buffers::kDecays, Decays::kFloats)),
          workspace_(workspace) {
        a_.SetGlobalBuffer((__gm__ T*)(workspace + BatchWorkspace::kA));
    }

    // Beta and G_i of chunk i of a batch.
    __aicore__ inline static Floats Beta(int32_t number, int32_t i) {
        return Ub<float>(PartBuffers::kBetas + (number % 2 * kRuleBatch + i) * 256, kRuleChunk);
    }
    __aicore__ inline static Floats Start(int32_t number, int32_t i) {
        return Ub<float>(PartBuffers::kStarts + (number % 2 * kRuleBatch + i) * 256, kRuleChunk);
    }

  protected:
    using Buffers = PartBuffers;
    static constexpr int32_t kGiven =
        0;  // event: products and gates in, A and what goes with it out
    enum Row { kC, kKeyNorm, kQueryNorm, kFactor, kScratch, kOne, kSixteen };
    enum SpreadOf { kBetaSpread, kQuery, kKey, kLast };

    __aicore__ inline static Floats RowOf(int32_t which) {
        return Ub<float>(Buffers::kRows + which * 256, kRuleChunk);
    }
    __aicore__ inline static Floats SpreadFor(int32_t which) {
        return Ub<float>(Buffers::kSpreads + which * kSpread * 4, kSpread);
    }
    __aicore__ inline static Floats ProductOf(int32_t which) {
        return Ub<float>(Buffers::kProducts + which * kSquare * 4, kSquare);
    }
    // A slice of tokens in float, and scratch.
    __aicore__ inline static Floats Numbers() { return Ub<float>(Buffers::kNumbers, kSquare); }
    __aicore__ inline static Floats Between() { return Ub<float>(Buffers::kBetween, kSquare); }
    __aicore__ inline static AscendC::LocalTensor<uint16_t> Words(uint32_t offset, int32_t count) {
        return Ub<uint16_t>(offset, count);
    }
    template <typename U>
    __aicore__ inline static AscendC::LocalTensor<U> Out(int32_t which) {
        return Ub<U>(Buffers::kOut + which * kSquare * 2, kSquare);
    }

    // Once for a batch.
    __aicore__ inline void Prepare(int32_t number) {
        number_ = number;
        products_.SetGlobalBuffer((__gm__ float*)(workspace_ + BatchWorkspace::Products(number)));
        rest_.SetGlobalBuffer((__gm__ T*)(workspace_ + BatchWorkspace::Rest(number)));
        PrepareConstants();
    }
    __aicore__ inline void PrepareConstants() const {
        const auto strict = Words(Buffers::kStrict, kSquare);
        const auto lower = Words(Buffers::kLower, kSquare);
        const auto diagonal = Words(Buffers::kDiagonal, 256);
        AscendC::Duplicate<uint16_t>(Words(Buffers::kStrict, 2 * kSquare + 256), 0,
                                     2 * kSquare + 256);
        AscendC::CreateVecIndex(Ub<int32_t>(Buffers::kOffsets, kRuleChunk), 0, kRuleChunk);
        AscendC::Duplicate<float>(RowOf(kOne), 1.0f, kRuleChunk);
        AscendC::PipeBarrier<PIPE_V>();
        AscendC::Muls(Ub<int32_t>(Buffers::kOffsets, kRuleChunk),
                      Ub<int32_t>(Buffers::kOffsets, kRuleChunk), (kRuleChunk + 1) * 4, kRuleChunk);
        for (int32_t r = 0; r < kRuleChunk; ++r) {
            if (r > 0) {
                AscendC::Duplicate<uint16_t>(strict[r * kRuleChunk], 0xFFFF, r);
            }
            AscendC::Duplicate<uint16_t>(lower[r * kRuleChunk], 0xFFFF, r + 1);
        }
        for (int32_t r = 0; r < 16; ++r) {
            const uint64_t lane[2] = {uint64_t{1} << r, 0};
            AscendC::Duplicate<uint16_t>(diagonal[r * 16], 0xFFFF, lane, 1, 1, 8);
        }
    }

    // K K^T and `count - 1` more products, and the gates.
    __aicore__ inline void Arrive(const RuleChunk& chunk, int32_t i, int32_t count) const {
        AscendC::WaitFlag<AscendC::HardEvent::V_MTE2>(kGiven);
        AscendC::DataCopy(Ub<float>(Buffers::kProducts, BatchWorkspace::kProductsOfChunk),
                          products_[i * BatchWorkspace::kProductsOfChunk], count * kSquare);
        g_.Load(Words(Buffers::kGates, TokenColumn::kWords), chunk);
        beta_.Load(Words(Buffers::kGates + TokenColumn::kWords * 2, TokenColumn::kWords), chunk);
        AscendC::SetFlag<AscendC::HardEvent::MTE2_V>(kGiven);
    }

    __aicore__ inline void ReadGates(const RuleChunk& chunk, int32_t i) {
        g_.ToRow(RowOf(kC), Words(Buffers::kGates, TokenColumn::kWords), Between(), chunk.valid);
        beta_.ToRow(Beta(number_, i),
                    Words(Buffers::kGates + TokenColumn::kWords * 2, TokenColumn::kWords),
                    Between(), chunk.valid);
        Spread(SpreadFor(kBetaSpread), Beta(number_, i));
        decays_.Accumulate(RowOf(kC), task_.gate_unit);
        decays_.Between(Between(), RowOf(kC));
    }

    // K K^T becomes that of normalised keys.
    __aicore__ inline void NormalizeKeys() const {
        InverseNorms(RowOf(kKeyNorm), ProductOf(0));
        Spread(SpreadFor(kKey), RowOf(kKeyNorm));
        ScaleRows(ProductOf(0), SpreadFor(kKey));
        ScaleColumns(ProductOf(0), ProductOf(0), RowOf(kKeyNorm));
    }
    __aicore__ inline static void InverseNorms(const Floats& row, const Floats& products) {
        AscendC::Gather(row, products, Ub<uint32_t>(Buffers::kOffsets, kRuleChunk), 0, kRuleChunk);
        AscendC::PipeBarrier<PIPE_V>();
        AscendC::Adds(row, row, kNormEpsilon, kRuleChunk);
        AscendC::PipeBarrier<PIPE_V>();
        AscendC::Sqrt(row, row, kRuleChunk);
        AscendC::PipeBarrier<PIPE_V>();
        AscendC::Div(row, RowOf(kOne), row, kRuleChunk);
        AscendC::PipeBarrier<PIPE_V>();
    }

    // `rounded` takes x in T, and x what that is more than x.
    __aicore__ inline static void TakeRounded(const AscendC::LocalTensor<T>& rounded,
                                              const Floats& x, const Floats& scratch) {
        AscendC::Cast(rounded, x, AscendC::RoundMode::CAST_RINT, kSquare);
        AscendC::PipeBarrier<PIPE_V>();
        AscendC::Cast(scratch, rounded, AscendC::RoundMode::CAST_NONE, kSquare);
        AscendC::PipeBarrier<PIPE_V>();
        AscendC::Sub(x, scratch, x, kSquare);
        AscendC::PipeBarrier<PIPE_V>();
    }

    __aicore__ inline void FormA() const {
        const Floats a = ProductOf(0);
        AscendC::Mul(a, a, Between(), kSquare);
        AscendC::PipeBarrier<PIPE_V>();
        ScaleRows(a, SpreadFor(kBetaSpread));
        TakeRounded(Out<T>(0), a, Numbers());
        AscendC::Cast(Out<T>(1), a, AscendC::RoundMode::CAST_RINT, kSquare);
        AscendC::PipeBarrier<PIPE_V>();
        const auto rest = Out<uint16_t>(1);
        AscendC::And(rest, rest, Words(Buffers::kStrict, kSquare), kSquare);
    }

    __aicore__ inline void LeaveA(int32_t i) const {
        AscendC::DataCopy(a_[i * kSquare], Out<T>(0), kSquare);
        AscendC::DataCopy(rest_[i * kSquare], Out<T>(1), kSquare);
    }

    const RuleTask& task_;
    const TokenColumn g_, beta_;
    Decays decays_;
    GM_ADDR workspace_;

  private:
    AscendC::GlobalTensor<float> products_;
    AscendC::GlobalTensor<T> a_, rest_;
    int32_t number_ = 0;  // of the batch
};

}  // namespace neumann_tril
