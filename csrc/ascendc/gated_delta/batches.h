// Batches of chunks through the parts of a kernel, on one core: the cube and its two vector cores.
//
//     cube     products    K K^T, and what else is between tokens      First of the cube
//     vector   parts       A and what goes with it                     First of the vector cores
//     vector   seeds       N = -(I + A), X0                            ../inverse/leaf_seeds.h, ..
//     cube     inverse     X = (I + A)^-1                              ../inverse/products.h
//     vector   factors     X, scaled                                   Second of the vector cores
//     cube     results                                                 Second of the cube
//
// Three batches are under way at a time, so that nobody waits long for the other. Where the cube's
// results take longer than the vector cores' parts, these have that time, and the first results
// come early:
//
//     Order::kResultsFirst    cube     results j - 2   inverse j - 1   products j
//                             vector   factors j - 1                   parts j, seeds j
//
// Otherwise they begin at once:
//
//     Order::kProductsFirst   cube     products j      results j - 2   inverse j - 1
//                             vector   parts j, seeds j                factors j - 1
//
// What is between the parts is in the core's workspace, which is small enough for L2. A part of the
// cube begins when the one before has ended on all of its pipes: that is what orders its use of L1
// and L0, and of the workspace.
#pragma once

#include "../inverse/leaf_seeds.h"
#include "../inverse/panel_seeds.h"
#include "../inverse/products.h"
#include "walk.h"

namespace neumann_tril {

// Cross-core flags, beside those of the ring.
constexpr int32_t kMultiplied = 4;    // cube to vector cores: K K^T and Q K^T of a batch
constexpr int32_t kSolved = 5;        // cube to vector cores: X of a batch
constexpr int32_t kFactorsReady = 6;  // vector cores to cube

// The inversion of a batch, by the parts of the inverse's own kernel.
class BatchInverse {
  public:
    __aicore__ inline BatchInverse(const RuleTask& task) : task_(task.inverse) {}

    __aicore__ inline const InverseTask& Of(int32_t chunks) {
        task_.chunks.matrices = chunks;
        task_.chunks.size[0] = chunks;
        task_.chunks.units = (chunks + 1) / 2;
        return task_;
    }
    // Chunks whose seeds are this vector core's.
    __aicore__ inline uint32_t Owned(int32_t side) const {
        const int32_t round = 2 * RoundUnits(kRuleChunk, task_.leaf);
        uint32_t owned = 0;
        for (int32_t i = 0; i < kRuleBatch; ++i) {
            owned |= static_cast<uint32_t>(i / round % 2 == side) << i;
        }
        return owned;
    }

  private:
    InverseTask task_;
};

enum class Order { kResultsFirst, kProductsFirst };

// First and Second have Form(batch, number, owned): for the chunks whose bit is set.
template <typename T, Order order, class Walk, class First, class Second>
class VectorCore {
  public:
    __aicore__ inline VectorCore(const RuleTask& task, Walk& walk, First& first,
                                 const Second& second, GM_ADDR workspace)
        : walk_(walk),
          first_(first),
          second_(second),
          workspace_(workspace),
          inverse_(task),
          owned_(inverse_.Owned(static_cast<int32_t>(AscendC::GetSubBlockIdx()))) {}

    __aicore__ inline void Run() {
        for (int32_t j = 0;; ++j) {
            RuleBatch& batch = batches_[j % 2];
            walk_.Take(batch);
            if (order == Order::kResultsFirst) {
                FormFactors(batches_[(j + 1) % 2], j - 1);
            }
            FormParts(batch, j);
            if (order == Order::kProductsFirst) {
                FormFactors(batches_[(j + 1) % 2], j - 1);
            }
            if (batch.count == 0) {
                return;
            }
        }
    }

  private:
    __aicore__ inline void FormParts(const RuleBatch& batch, int32_t number) {
        if (batch.count == 0) {
            return;
        }
        AscendC::CrossCoreWaitFlag(kMultiplied);
        first_.Form(batch, number, owned_);
        AscendC::PipeBarrier<PIPE_ALL>();
        Seed(batch.count, number);
        AscendC::PipeBarrier<PIPE_ALL>();
    }
    __aicore__ inline void FormFactors(const RuleBatch& batch, int32_t number) const {
        if (number < 0) {
            return;
        }
        AscendC::CrossCoreWaitFlag(kSolved);
        second_.Form(batch, number, owned_);
        AscendC::CrossCoreSetFlag<0x2, PIPE_MTE3>(kFactorsReady);
        AscendC::PipeBarrier<PIPE_ALL>();
    }

    __aicore__ inline void Seed(int32_t chunks, int32_t number) {
        const InverseTask& task = inverse_.Of(chunks);
        switch (task.leaf) {
            case 16:
                Run<LeafSeedStage<T, kRuleChunk>>(task, number);
                break;
            case 32:
                Run<PanelSeedStage<T, kRuleChunk, 32>>(task, number);
                break;
            default:
                Run<PanelSeedStage<T, kRuleChunk, 64>>(task, number);
        }
    }
    template <class Stage>
    __aicore__ inline void Run(const InverseTask& task, int32_t number) const {
        const Chunks chunks(task.chunks, nullptr, nullptr);
        Stage stage(task, workspace_ + BatchWorkspace::kA, workspace_ + BatchWorkspace::kSolved,
                    workspace_ + BatchWorkspace::Ring(number, task.leaf), chunks,
                    Share{0, 1, HeldInRing(task.leaf)});
        stage.RunRounds();
    }

    Walk& walk_;
    First& first_;
    const Second& second_;
    GM_ADDR workspace_;
    BatchInverse inverse_;
    const uint32_t owned_;
    RuleBatch batches_[2];
};

// First and Second have Run(batch, number).
template <typename T, Order order, class Walk, class First, class Second>
class CubeCore {
  public:
    __aicore__ inline CubeCore(const RuleTask& task, Walk& walk, First& first, Second& second,
                               GM_ADDR workspace)
        : walk_(walk), first_(first), second_(second), workspace_(workspace), inverse_(task) {}

    // L1 from here on is free for First and Second; behind it are the inputs of the inverse, which
    // stay for what is zero in them.
    static constexpr uint32_t kFreeL1 = ProductBuffers<T, kRuleChunk, true>::kResidualL1;
    static constexpr uint32_t kEndL1 = 512 * 1024 - 256;

    __aicore__ inline void Run() {
        Inverse::ClearInputs();
        for (int32_t j = 0;; ++j) {
            RuleBatch& batch = batches_[j % 3];
            walk_.Take(batch);
            if (order == Order::kProductsFirst) {
                Multiply(batch, j);
            }
            if (j >= 2) {
                AscendC::CrossCoreWaitFlag(kFactorsReady);
                second_.Run(batches_[(j + 1) % 3], j - 2);
                AscendC::PipeBarrier<PIPE_ALL>();
            }
            if (j >= 1 && batches_[(j + 2) % 3].count == 0) {
                return;
            }
            if (j >= 1) {
                Invert(batches_[(j + 2) % 3].count, j - 1);
            }
            if (order == Order::kResultsFirst) {
                Multiply(batch, j);
            }
        }
    }

  private:
    using Inverse = ProductStage<T, kRuleChunk, true>;

    __aicore__ inline void Multiply(const RuleBatch& batch, int32_t number) {
        if (batch.count == 0) {
            return;
        }
        first_.Run(batch, number);
        AscendC::CrossCoreSetFlag<0x2, PIPE_FIX>(kMultiplied);
        AscendC::PipeBarrier<PIPE_ALL>();
    }

    __aicore__ inline void Invert(int32_t count, int32_t number) {
        const InverseTask& task = inverse_.Of(count);
        const Chunks chunks(task.chunks, nullptr, nullptr);
        Inverse stage(task, workspace_ + BatchWorkspace::kSolved,
                      workspace_ + BatchWorkspace::Ring(number, task.leaf), chunks,
                      Share{0, 1, HeldInRing(task.leaf)},
                      workspace_ + BatchWorkspace::Rest(number));
        stage.RunReady();
        AscendC::CrossCoreSetFlag<0x2, PIPE_FIX>(kSolved);
        AscendC::PipeBarrier<PIPE_ALL>();
    }

    Walk& walk_;
    First& first_;
    Second& second_;
    GM_ADDR workspace_;
    BatchInverse inverse_;
    RuleBatch batches_[3];
};

}  // namespace neumann_tril
