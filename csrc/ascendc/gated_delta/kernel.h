// The gated delta rule by chunks of 64 tokens, all of a layer in one kernel, as one core runs it.
//
// A core walks its streams (walk.h) in batches of a few chunks. Of each batch the cube and its two
// vector cores do in turn
//
//     cube     products    K K^T and Q K^T                             key_products.h
//     vector   parts       A, P and the scaled tokens                  parts.h
//     vector   seeds       N = -(I + A), X0                            ../inverse/leaf_seeds.h, ..
//     cube     inverse     X = (I + A)^-1                              ../inverse/products.h
//     vector   writers     X diag(beta)                                writers.h
//     cube     recurrence  o, and the state from chunk to chunk        recurrence.h
//
// and three batches are under way at a time, so that nobody waits long for the other:
//
//     cube     recurrence j - 2   inverse j - 1                  products j
//     vector                                    writers j - 1                parts j, seeds j
//
// Only tokens, gates, outputs and states are in memory for good; everything between is in the
// core's workspace, which is small enough for L2. A part of the cube begins when the one before has
// ended on all of its pipes: that is what orders its use of L1 and L0, and of the workspace.
#pragma once

#include "../inverse/leaf_seeds.h"
#include "../inverse/panel_seeds.h"
#include "../inverse/products.h"
#include "key_products.h"
#include "recurrence.h"
#include "writers.h"

namespace neumann_tril {

struct RuleTensors {
    GM_ADDR q;
    GM_ADDR k;
    GM_ADDR v;
    GM_ADDR g;
    GM_ADDR beta;
    GM_ADDR initial_state;
    GM_ADDR bounds;
    GM_ADDR o;
    GM_ADDR final_state;
    GM_ADDR chunk_states;
    GM_ADDR x;
    GM_ADDR workspace;
};

// Cross-core flags, beside those of the ring.
constexpr int32_t kMultiplied = 4;    // cube to vector cores: K K^T and Q K^T of a batch
constexpr int32_t kSolved = 5;        // cube to vector cores: X of a batch
constexpr int32_t kWritersReady = 6;  // vector cores to cube

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

template <typename In, typename T>
class RuleVectorCore {
  public:
    __aicore__ inline RuleVectorCore(const RuleTask& task, const RuleTensors& tensors,
                                     const RuleWorkspace& places)
        : tensors_(tensors),
          places_(places),
          walk_(task, tensors.bounds, AscendC::GetBlockIdx() / 2, AscendC::GetBlockNum()),
          inverse_(task),
          owned_(inverse_.Owned(static_cast<int32_t>(AscendC::GetSubBlockIdx()))),
          parts_(task, tensors.q, tensors.k, tensors.v, tensors.g, tensors.beta,
                 tensors.initial_state, tensors.chunk_states, tensors.workspace, places),
          writers_(task, tensors.x, tensors.workspace) {}

    __aicore__ inline void Run() {
        StoreConstants();
        for (int32_t j = 0;; ++j) {
            RuleBatch& before = batches_[(j + 1) % 2];
            RuleBatch& batch = batches_[j % 2];
            walk_.Take(batch);
            if (j > 0) {
                FormWriters(before);
            }
            if (batch.count == 0) {
                return;
            }
            AscendC::CrossCoreWaitFlag(kMultiplied);
            parts_.Form(batch, j, owned_);
            AscendC::PipeBarrier<PIPE_ALL>();
            Seed(batch.count);
            AscendC::PipeBarrier<PIPE_ALL>();
        }
    }

  private:
    // I and -I, a fractal each.
    __aicore__ inline void StoreConstants() const {
        if (AscendC::GetSubBlockIdx() != 0) {
            return;
        }
        const auto constants = Ub<uint16_t>(0, 512);
        AscendC::Duplicate<uint16_t>(constants, 0, 512);
        AscendC::PipeBarrier<PIPE_V>();
        for (int32_t r = 0; r < 16; ++r) {
            FillLanes(constants[r * 16], kOne<T>, r, 1);
            FillLanes(constants[256 + r * 16], kOne<T> | 0x8000, r, 1);
        }
        AscendC::GlobalTensor<uint16_t> to;
        to.SetGlobalBuffer((__gm__ uint16_t*)(tensors_.workspace + RuleWorkspace::kConstants));
        AscendC::PipeBarrier<PIPE_ALL>();
        AscendC::DataCopy(to, constants, 512);
        AscendC::PipeBarrier<PIPE_ALL>();
    }

    __aicore__ inline void FormWriters(const RuleBatch& batch) const {
        AscendC::CrossCoreWaitFlag(kSolved);
        writers_.Form(batch, owned_);
        AscendC::CrossCoreSetFlag<0x2, PIPE_MTE3>(kWritersReady);
        AscendC::PipeBarrier<PIPE_ALL>();
    }

    __aicore__ inline void Seed(int32_t chunks) {
        const InverseTask& task = inverse_.Of(chunks);
        switch (task.leaf) {
            case 16:
                Run<LeafSeedStage<T, kRuleChunk>>(task);
                break;
            case 32:
                Run<PanelSeedStage<T, kRuleChunk, 32>>(task);
                break;
            default:
                Run<PanelSeedStage<T, kRuleChunk, 64>>(task);
        }
    }
    template <class Stage>
    __aicore__ inline void Run(const InverseTask& task) const {
        const Chunks chunks(task.chunks, nullptr, nullptr);
        Stage stage(task, tensors_.workspace + RuleWorkspace::kA,
                    tensors_.workspace + RuleWorkspace::kSolved,
                    tensors_.workspace + places_.Ring(), chunks, Share{0, 1});
        stage.Run();
    }

    const RuleTensors& tensors_;
    const RuleWorkspace& places_;
    RuleWalk walk_;
    BatchInverse inverse_;
    const uint32_t owned_;
    Parts<In, T> parts_;
    const Writers<T> writers_;
    RuleBatch batches_[2];
};

template <typename In, typename T>
class RuleCubeCore {
  public:
    __aicore__ inline RuleCubeCore(const RuleTask& task, const RuleTensors& tensors,
                                   const RuleWorkspace& places)
        : tensors_(tensors),
          places_(places),
          walk_(task, tensors.bounds, AscendC::GetBlockIdx(), AscendC::GetBlockNum()),
          inverse_(task),
          products_(task, tensors.q, tensors.k, tensors.workspace, kFreeL1),
          recurrence_(task, tensors.o, tensors.final_state, tensors.chunk_states, tensors.workspace,
                      places, kFreeL1, kStateL1) {}

    __aicore__ inline void Run() {
        Inverse::ClearInputs();
        for (int32_t j = 0;; ++j) {
            const RuleBatch& oldest = batches_[(j + 1) % 3];
            const RuleBatch& older = batches_[(j + 2) % 3];
            RuleBatch& batch = batches_[j % 3];
            walk_.Take(batch);
            if (j >= 2) {
                AscendC::CrossCoreWaitFlag(kWritersReady);
                recurrence_.Run(oldest, j - 2);
                AscendC::PipeBarrier<PIPE_ALL>();
            }
            if (j >= 1 && older.count > 0) {
                Invert(older.count);
                AscendC::CrossCoreSetFlag<0x2, PIPE_FIX>(kSolved);
                AscendC::PipeBarrier<PIPE_ALL>();
            } else if (j >= 1) {
                return;
            }
            if (batch.count > 0) {
                products_.Run(batch);
                AscendC::CrossCoreSetFlag<0x2, PIPE_FIX>(kMultiplied);
                AscendC::PipeBarrier<PIPE_ALL>();
            }
        }
    }

  private:
    using Inverse = ProductStage<T, kRuleChunk, true>;
    // The inputs of the inverse stay in L1, for what is zero in them; the state lies at its end.
    static constexpr uint32_t kFreeL1 = ProductBuffers<T, kRuleChunk, true>::kResidualL1;
    static constexpr uint32_t kStateL1 = 512 * 1024 - 256 - Recurrence<In, T>::StateBytes();

    __aicore__ inline void Invert(int32_t count) {
        const InverseTask& task = inverse_.Of(count);
        const Chunks chunks(task.chunks, nullptr, nullptr);
        Inverse stage(task, tensors_.workspace + RuleWorkspace::kSolved,
                      tensors_.workspace + places_.Ring(), chunks, Share{0, 1},
                      tensors_.workspace + RuleWorkspace::kRest);
        stage.RunReady();
    }

    const RuleTensors& tensors_;
    const RuleWorkspace& places_;
    RuleWalk walk_;
    BatchInverse inverse_;
    const KeyProducts<In> products_;
    Recurrence<In, T> recurrence_;
    RuleBatch batches_[3];
};

template <typename In, typename T>
__aicore__ inline void RunRule(const RuleTask& task, RuleTensors tensors) {
    AscendC::InitSocState();
    AscendC::SetCtrlSpr<48, 48>(1);  // overflow gives infinity, as everywhere else
    const RuleWorkspace places{task.key_size, task.value_tile, task.inverse.leaf,
                               task.initial_state};
    if ASCEND_IS_AIV {
        tensors.workspace += AscendC::GetBlockIdx() / 2 * places.Bytes();
        RuleVectorCore<In, T> core(task, tensors, places);
        core.Run();
    }
    if ASCEND_IS_AIC {
        tensors.workspace += AscendC::GetBlockIdx() * places.Bytes();
        RuleCubeCore<In, T> core(task, tensors, places);
        core.Run();
    }
    AscendC::PipeBarrier<PIPE_ALL>();
}

}  // namespace neumann_tril
