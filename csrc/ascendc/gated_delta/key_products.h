// The cube's first part: K K^T of every chunk, in float; Q K^T; and Q Q^T where queries are
// normalised, for its diagonal.
//
// Tokens behind the end of a sequence are zeros.
#pragma once

#include "tokens.h"

namespace neumann_tril {

template <typename In>
class KeyProducts {
  public:
    // L1 from `l1` on, in bytes, is free; `count`: how many of the three products.
    __aicore__ inline KeyProducts(const RuleTask& task, GM_ADDR q, GM_ADDR k, GM_ADDR workspace,
                                  uint32_t l1, int32_t count)
        : task_(task),
          count_(count),
          tile_(kRuleChunk * task.key_size),
          depth_(task.key_size > 128 ? 1 : 2),
          l1_(l1),
          workspace_(workspace) {
        q_.SetGlobalBuffer((__gm__ In*)q);
        k_.SetGlobalBuffer((__gm__ In*)k);
    }

    __aicore__ inline void Run(const RuleBatch& batch, int32_t number) {
        products_.SetGlobalBuffer((__gm__ float*)(workspace_ + BatchWorkspace::Products(number)));
        for (int32_t s = 0; s < depth_; ++s) {
            AscendC::SetFlag<AscendC::HardEvent::MTE1_MTE2>(s);
            AscendC::SetFlag<AscendC::HardEvent::M_MTE1>(s);
            AscendC::SetFlag<AscendC::HardEvent::FIX_M>(s);
        }
        for (int32_t i = 0; i < batch.count; ++i) {
            const int32_t slot = i % depth_;
            Fetch(slot, batch.of[i]);
            Load(slot);
            Multiply(slot);
            Store(slot, i);
        }
        for (int32_t s = 0; s < depth_; ++s) {
            AscendC::WaitFlag<AscendC::HardEvent::MTE1_MTE2>(s);
            AscendC::WaitFlag<AscendC::HardEvent::M_MTE1>(s);
            AscendC::WaitFlag<AscendC::HardEvent::FIX_M>(s);
        }
    }

  private:
    static constexpr uint16_t kRows = kRuleChunk / 16;  // fractals

    __aicore__ inline AscendC::LocalTensor<In> Tile(int32_t slot, int32_t which) const {
        return AscendC::LocalTensor<In>(AscendC::TPosition::A1,
                                        l1_ + (slot * 2 + which) * tile_ * sizeof(In), tile_);
    }
    __aicore__ inline AscendC::LocalTensor<In> Operand(AscendC::TPosition position, int32_t slot,
                                                       int32_t which) const {
        return AscendC::LocalTensor<In>(position, (slot * 2 + which) * tile_ * sizeof(In), tile_);
    }
    __aicore__ inline static AscendC::LocalTensor<float> Sums(int32_t slot) {
        constexpr uint32_t kBytes = BatchWorkspace::kProductsOfChunk * 4;
        return AscendC::LocalTensor<float>(AscendC::TPosition::CO1, slot * kBytes,
                                           BatchWorkspace::kProductsOfChunk);
    }
    __aicore__ inline void Fetch(int32_t slot, const RuleChunk& chunk) const {
        AscendC::WaitFlag<AscendC::HardEvent::MTE1_MTE2>(slot);
        if (chunk.valid < kRuleChunk) {
            const AscendC::InitConstValueParams<uint16_t> zeros{
                1, static_cast<uint16_t>(2 * tile_ / 16), 0, 0};
            const auto tiles = AscendC::LocalTensor<uint16_t>(
                AscendC::TPosition::A1, l1_ + slot * 2 * tile_ * sizeof(In), 2 * tile_);
            AscendC::Fill(tiles, zeros);
            AscendC::PipeBarrier<PIPE_MTE2>();
        }
        const int32_t head = KeyHead(task_, chunk);
        FetchTokens(Tile(slot, 0), k_, task_.k, chunk, head, task_.key_size);
        if (count_ > 1) {
            FetchTokens(Tile(slot, 1), q_, task_.q, chunk, head, task_.key_size);
        }
        AscendC::SetFlag<AscendC::HardEvent::MTE2_MTE1>(slot);
    }
    __aicore__ inline void Load(int32_t slot) const {
        const uint16_t columns = static_cast<uint16_t>(task_.key_size / 16);
        AscendC::WaitFlag<AscendC::HardEvent::MTE2_MTE1>(slot);
        AscendC::WaitFlag<AscendC::HardEvent::M_MTE1>(slot);
        for (int32_t which = 0; which < 2 && which < count_; ++which) {
            LoadLeft(Operand(AscendC::TPosition::A2, slot, which), Tile(slot, which), kRows, kRows,
                     columns);
            if (which == 0 || count_ > 2) {
                LoadRightTransposed(Operand(AscendC::TPosition::B2, slot, which), Tile(slot, which),
                                    kRows, columns);
            }
        }
        AscendC::SetFlag<AscendC::HardEvent::MTE1_MTE2>(slot);
        AscendC::SetFlag<AscendC::HardEvent::MTE1_M>(slot);
    }

    __aicore__ inline void Multiply(int32_t slot) const {
        AscendC::WaitFlag<AscendC::HardEvent::MTE1_M>(slot);
        AscendC::WaitFlag<AscendC::HardEvent::FIX_M>(slot);
        for (int32_t product = 0; product < count_; ++product) {
            const int32_t left = product == 0 ? 0 : 1, right = product == 2 ? 1 : 0;
            AscendC::Mmad(
                Sums(slot)[product * kSquare], Operand(AscendC::TPosition::A2, slot, left),
                Operand(AscendC::TPosition::B2, slot, right),
                Product(kRuleChunk, kRuleChunk, static_cast<uint16_t>(task_.key_size), false));
        }
        AscendC::SetFlag<AscendC::HardEvent::M_MTE1>(slot);
        AscendC::SetFlag<AscendC::HardEvent::M_FIX>(slot);
    }

    __aicore__ inline void Store(int32_t slot, int32_t i) const {
        AscendC::WaitFlag<AscendC::HardEvent::M_FIX>(slot);
        StoreBlocks(products_[i * BatchWorkspace::kProductsOfChunk], Sums(slot),
                    static_cast<uint16_t>(count_), kRuleChunk, kRuleChunk, kRows * kRows);
        AscendC::SetFlag<AscendC::HardEvent::FIX_M>(slot);
    }

    const RuleTask& task_;
    const int32_t count_;
    const int32_t tile_, depth_;
    const uint32_t l1_;
    GM_ADDR workspace_;
    AscendC::GlobalTensor<In> q_, k_;
    AscendC::GlobalTensor<float> products_;
};

}  // namespace neumann_tril
