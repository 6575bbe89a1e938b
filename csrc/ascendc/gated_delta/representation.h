// What a chunk writes into the state (its WY representation), from X = (I + A)^-1:
//
//     u = X diag(beta) v,   w = X diag(beta G) k
//
// The vector cores scale X: Y + Y' = X diag(beta) and Z + Z' = Y diag(G_i), in the dtype of the
// tokens, in two parts as it has too few digits. The cube multiplies: u = Y v + Y' v, w = Z k + Z'
// k, each product added rounding the sum to float.
#pragma once

#include "chunk_matrices.h"
#include "tokens.h"

namespace neumann_tril {

// A and G_i of each chunk.
template <typename T>
class IntraParts : private ChunkMatrices<T> {
  public:
    using ChunkMatrices<T>::ChunkMatrices;

    // Of the chunks that are this vector core's: `owned` has a bit for each.
    __aicore__ inline void Form(const RuleBatch& batch, int32_t number, uint32_t owned) {
        Base::Prepare(number);
        AscendC::SetFlag<AscendC::HardEvent::V_MTE2>(kGiven);
        AscendC::SetFlag<AscendC::HardEvent::MTE3_V>(kGiven);
        for (int32_t i = 0; i < batch.count; ++i) {
            if ((owned >> i & 1) != 0) {
                FormChunk(batch.of[i], number, i);
            }
        }
        AscendC::WaitFlag<AscendC::HardEvent::V_MTE2>(kGiven);
        AscendC::WaitFlag<AscendC::HardEvent::MTE3_V>(kGiven);
    }

  private:
    using Base = ChunkMatrices<T>;
    using Base::kGiven;

    __aicore__ inline void FormChunk(const RuleChunk& chunk, int32_t number, int32_t i) {
        Base::Arrive(chunk, i, 1);
        AscendC::WaitFlag<AscendC::HardEvent::MTE2_V>(kGiven);
        Base::ReadGates(chunk, i);
        Decays::FromStart(Base::Start(number, i), Base::RowOf(Base::kC));
        AscendC::WaitFlag<AscendC::HardEvent::MTE3_V>(kGiven);
        Base::FormA();
        AscendC::SetFlag<AscendC::HardEvent::V_MTE2>(kGiven);
        AscendC::SetFlag<AscendC::HardEvent::V_MTE3>(kGiven);
        AscendC::WaitFlag<AscendC::HardEvent::V_MTE3>(kGiven);
        Base::LeaveA(i);
        AscendC::SetFlag<AscendC::HardEvent::MTE3_V>(kGiven);
    }
};

// Y, Y', Z, Z' of each chunk; and X itself to memory, where it is wanted.
template <typename In, typename T>
class Factors {
  public:
    __aicore__ inline Factors(const RuleTask& task, GM_ADDR x, GM_ADDR workspace) : task_(task) {
        x16_.SetGlobalBuffer((__gm__ In*)x);
        x32_.SetGlobalBuffer((__gm__ float*)x);
        solved_.SetGlobalBuffer((__gm__ float*)(workspace + BatchWorkspace::kSolved));
        factors_.SetGlobalBuffer((__gm__ In*)(workspace + BatchWorkspace::kFactors));
    }

    __aicore__ inline void Form(const RuleBatch& batch, int32_t number, uint32_t owned) const {
        for (int32_t s = 0; s < 2; ++s) {
            AscendC::SetFlag<AscendC::HardEvent::MTE3_MTE2>(s);
        }
        int32_t formed = 0;
        for (int32_t i = 0; i < batch.count; ++i) {
            if ((owned >> i & 1) != 0) {
                FormChunk(batch.of[i], number, i, formed++ % 2);
            }
        }
        for (int32_t s = 0; s < 2; ++s) {
            AscendC::WaitFlag<AscendC::HardEvent::MTE3_MTE2>(s);
        }
    }

  private:
    // Byte offsets in the Unified Buffer: X twice; scaled; scratch; what leaves, twice: four parts
    // and X, in 16 bits.
    static constexpr uint32_t kX = 0, kScaled = kX + 2 * kSquare * 4;
    static constexpr uint32_t kScratch = kScaled + kSquare * 4, kOut = kScratch + kSquare * 4;
    static constexpr uint32_t kOutBytes = 5 * kSquare * 2;
    static_assert(kOut + 2 * kOutBytes <= PartBuffers::kStarts, "the Unified Buffer is too small");

    __aicore__ inline void FormChunk(const RuleChunk& chunk, int32_t number, int32_t i,
                                     int32_t s) const {
        const Floats x = Ub<float>(kX + s * kSquare * 4, kSquare);
        const Floats scaled = Ub<float>(kScaled, kSquare);
        const Floats scratch = Ub<float>(kScratch, kSquare);
        const auto out = Ub<In>(kOut + s * kOutBytes, 5 * kSquare);
        AscendC::WaitFlag<AscendC::HardEvent::MTE3_MTE2>(s);
        AscendC::DataCopy(x, solved_[i * kSquare], kSquare);
        AscendC::SetFlag<AscendC::HardEvent::MTE2_V>(s);
        AscendC::WaitFlag<AscendC::HardEvent::MTE2_V>(s);
        const bool narrow = task_.x != 0 && task_.x_dtype != NT_FLOAT32;
        if (narrow) {
            AscendC::Cast(out[4 * kSquare], x, AscendC::RoundMode::CAST_RINT, kSquare);
        }
        ScaleColumns(scaled, x, ChunkMatrices<T>::Beta(number, i));
        Split(out, scaled, scratch);
        ScaleColumns(scaled, scaled, ChunkMatrices<T>::Start(number, i));
        Split(out[2 * kSquare], scaled, scratch);
        AscendC::SetFlag<AscendC::HardEvent::V_MTE3>(s);
        AscendC::WaitFlag<AscendC::HardEvent::V_MTE3>(s);
        AscendC::DataCopy(factors_[i * 4 * kSquare], out, 4 * kSquare);
        if (task_.x != 0) {
            narrow ? Store(x16_, out[4 * kSquare], chunk) : Store(x32_, x, chunk);
        }
        AscendC::SetFlag<AscendC::HardEvent::MTE3_MTE2>(s);
    }

    template <typename U>
    __aicore__ inline void Store(const AscendC::GlobalTensor<U>& to,
                                 const AscendC::LocalTensor<U>& x, const RuleChunk& chunk) const {
        CopyRowsOut(to, ResultAt(task_, chunk, kRuleChunk), task_.value_heads * int64_t{kRuleChunk},
                    x, chunk.valid, kRuleChunk);
    }

    const RuleTask& task_;
    AscendC::GlobalTensor<float> solved_, x32_;
    AscendC::GlobalTensor<In> factors_, x16_;
};

// The cube's last part.
template <typename In>
class Representation {
  public:
    // L1 from `l1` on, in bytes, is free.
    __aicore__ inline Representation(const RuleTask& task, GM_ADDR k, GM_ADDR v, GM_ADDR w,
                                     GM_ADDR u, GM_ADDR workspace, uint32_t l1)
        : task_(task),
          l1_(l1),
          depth_(task.key_size + task.value_size > 256 ? 1 : 2),
          widths_{task.value_size, task.key_size} {
        tokens_[kU].SetGlobalBuffer((__gm__ In*)v);
        tokens_[kW].SetGlobalBuffer((__gm__ In*)k);
        results_[kU].SetGlobalBuffer((__gm__ In*)u);
        results_[kW].SetGlobalBuffer((__gm__ In*)w);
        factors_.SetGlobalBuffer((__gm__ In*)(workspace + BatchWorkspace::kFactors));
    }

    __aicore__ inline void Run(const RuleBatch& batch, int32_t) const {
        for (int32_t s = 0; s < depth_; ++s) {
            AscendC::SetFlag<AscendC::HardEvent::MTE1_MTE2>(s);
            AscendC::SetFlag<AscendC::HardEvent::M_MTE1>(s);
            AscendC::SetFlag<AscendC::HardEvent::FIX_M>(s);
        }
        for (int32_t i = 0; i < batch.count; ++i) {
            const int32_t slot = i % depth_;
            Fetch(slot, batch.of[i], i);
            Load(slot);
            Multiply(slot);
            Store(slot, batch.of[i]);
        }
        for (int32_t s = 0; s < depth_; ++s) {
            AscendC::WaitFlag<AscendC::HardEvent::MTE1_MTE2>(s);
            AscendC::WaitFlag<AscendC::HardEvent::M_MTE1>(s);
            AscendC::WaitFlag<AscendC::HardEvent::FIX_M>(s);
        }
    }

  private:
    enum Which : int32_t { kU, kW };
    static constexpr uint16_t kRows = kRuleChunk / 16;  // fractals

    // First element of u's or w's part, 64 rows each, in memory that holds both.
    __aicore__ inline uint32_t At(int32_t which) const {
        return which == kU ? 0 : kRuleChunk * task_.value_size;
    }
    __aicore__ inline uint32_t Entries() const {
        return kRuleChunk * (task_.value_size + task_.key_size);
    }
    // Four factors, then v and k.
    __aicore__ inline AscendC::LocalTensor<In> Slot(int32_t slot) const {
        const uint32_t count = 4 * kSquare + Entries();
        return AscendC::LocalTensor<In>(AscendC::TPosition::A1, l1_ + slot * count * sizeof(In),
                                        count);
    }
    __aicore__ inline static AscendC::LocalTensor<In> Left(int32_t slot) {
        return AscendC::LocalTensor<In>(AscendC::TPosition::A2, slot * 4 * kSquare * sizeof(In),
                                        4 * kSquare);
    }
    __aicore__ inline AscendC::LocalTensor<In> Right(int32_t slot) const {
        return AscendC::LocalTensor<In>(AscendC::TPosition::B2, slot * Entries() * sizeof(In),
                                        Entries());
    }
    __aicore__ inline AscendC::LocalTensor<float> Sums(int32_t slot) const {
        return AscendC::LocalTensor<float>(AscendC::TPosition::CO1, slot * Entries() * 4,
                                           Entries());
    }

    __aicore__ inline void Fetch(int32_t slot, const RuleChunk& chunk, int32_t i) const {
        const auto to = Slot(slot);
        AscendC::WaitFlag<AscendC::HardEvent::MTE1_MTE2>(slot);
        if (chunk.valid < kRuleChunk) {
            const AscendC::InitConstValueParams<uint16_t> zeros{
                1, static_cast<uint16_t>(Entries() / 16), 0, 0};
            AscendC::Fill(to[4 * kSquare].template ReinterpretCast<uint16_t>(), zeros);
            AscendC::PipeBarrier<PIPE_MTE2>();
        }
        FetchTiles(to, factors_[i * 4 * kSquare], 4, kRuleChunk, kRuleChunk, kRuleChunk, kSquare,
                   kRuleChunk, kSquare);
        FetchTokens(to[4 * kSquare + At(kU)], tokens_[kU], task_.v, chunk, chunk.value_head,
                    task_.value_size);
        FetchTokens(to[4 * kSquare + At(kW)], tokens_[kW], task_.k, chunk, KeyHead(task_, chunk),
                    task_.key_size);
        AscendC::SetFlag<AscendC::HardEvent::MTE2_MTE1>(slot);
    }

    __aicore__ inline void Load(int32_t slot) const {
        AscendC::WaitFlag<AscendC::HardEvent::MTE2_MTE1>(slot);
        AscendC::WaitFlag<AscendC::HardEvent::M_MTE1>(slot);
        for (int32_t f = 0; f < 4; ++f) {
            LoadLeft(Left(slot)[f * kSquare], Slot(slot)[f * kSquare], kRows, kRows, kRows);
        }
        for (int32_t which = kU; which <= kW; ++which) {
            LoadRight(Right(slot)[At(which)], Slot(slot)[4 * kSquare + At(which)], kRows, kRows,
                      static_cast<uint16_t>(widths_[which] / 16));
        }
        AscendC::SetFlag<AscendC::HardEvent::MTE1_MTE2>(slot);
        AscendC::SetFlag<AscendC::HardEvent::MTE1_M>(slot);
    }

    __aicore__ inline void Multiply(int32_t slot) const {
        AscendC::WaitFlag<AscendC::HardEvent::MTE1_M>(slot);
        AscendC::WaitFlag<AscendC::HardEvent::FIX_M>(slot);
        for (int32_t part = 0; part < 2; ++part) {
            for (int32_t which = kU; which <= kW; ++which) {
                AscendC::Mmad(Sums(slot)[At(which)], Left(slot)[(2 * which + part) * kSquare],
                              Right(slot)[At(which)],
                              Product(kRuleChunk, static_cast<uint16_t>(widths_[which]), kRuleChunk,
                                      part > 0));
            }
            AscendC::PipeBarrier<PIPE_M>();
        }
        AscendC::SetFlag<AscendC::HardEvent::M_MTE1>(slot);
        AscendC::SetFlag<AscendC::HardEvent::M_FIX>(slot);
    }

    __aicore__ inline void Store(int32_t slot, const RuleChunk& chunk) const {
        AscendC::WaitFlag<AscendC::HardEvent::M_FIX>(slot);
        for (int32_t which = kU; which <= kW; ++which) {
            const int64_t width = widths_[which], row = task_.value_heads * width;
            StoreRows(results_[which][ResultAt(task_, chunk, width)], Sums(slot)[At(which)],
                      CubeCast<In>::value, kNoScale, static_cast<uint16_t>(chunk.valid),
                      static_cast<uint16_t>(width), static_cast<uint32_t>(row), kRuleChunk);
        }
        AscendC::SetFlag<AscendC::HardEvent::FIX_M>(slot);
    }

    const RuleTask& task_;
    const uint32_t l1_;
    const int32_t depth_;
    const int32_t widths_[2];
    AscendC::GlobalTensor<In> tokens_[2], results_[2], factors_;
};

}  // namespace neumann_tril
