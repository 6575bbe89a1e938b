// The gated delta rule by chunks of 64 tokens, all of a layer in one kernel, as one core runs it.
//
// A core walks its streams (walk.h) in batches of a few chunks (batches.h):
//
//     cube     K K^T and Q K^T                             key_products.h
//     vector   A, P and the scaled tokens                  chunk_matrices.h, parts.h
//     both     X = (I + A)^-1                              ../inverse
//     vector   X diag(beta)                                writers.h
//     cube     o, and the state from chunk to chunk        recurrence.h
//
// Only tokens, gates, outputs and states are in memory for good.
#pragma once

#include "batches.h"
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

// I and -I, a fractal each, for the recurrence.
template <typename T>
__aicore__ inline void StoreSigns(GM_ADDR workspace) {
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
    to.SetGlobalBuffer((__gm__ uint16_t*)(workspace + BatchWorkspace::kSigns));
    AscendC::PipeBarrier<PIPE_ALL>();
    AscendC::DataCopy(to, constants, 512);
    AscendC::PipeBarrier<PIPE_ALL>();
}

template <typename In, typename T>
__aicore__ inline void RunRuleOnVectors(const RuleTask& task, const RuleTensors& tensors,
                                        const RuleWorkspace& places) {
    RuleWalk walk(task, tensors.bounds, AscendC::GetBlockIdx() / 2, AscendC::GetBlockNum());
    Parts<In, T> parts(task, tensors.q, tensors.k, tensors.v, tensors.g, tensors.beta,
                       tensors.initial_state, tensors.chunk_states, tensors.workspace, places);
    const Writers<T> writers(task, tensors.x, tensors.workspace);
    VectorCore<T, Order::kResultsFirst, RuleWalk, Parts<In, T>, Writers<T>> core(
        task, walk, parts, writers, tensors.workspace);
    StoreSigns<T>(tensors.workspace);
    core.Run();
}

template <typename In, typename T>
__aicore__ inline void RunRuleOnCube(const RuleTask& task, const RuleTensors& tensors,
                                     const RuleWorkspace& places) {
    using Products = KeyProducts<In>;
    using Results = Recurrence<In, T>;
    using Core = CubeCore<T, Order::kResultsFirst, RuleWalk, Products, Results>;
    RuleWalk walk(task, tensors.bounds, AscendC::GetBlockIdx(), AscendC::GetBlockNum());
    Products products(task, tensors.q, tensors.k, tensors.workspace, Core::kFreeL1,
                      task.normalize != 0 ? 3 : 2);
    Results results(task, tensors.o, tensors.final_state, tensors.chunk_states, tensors.workspace,
                    places, Core::kFreeL1, Core::kEndL1 - Results::StateBytes());
    Core core(task, walk, products, results, tensors.workspace);
    core.Run();
}

template <typename In, typename T>
__aicore__ inline void RunRule(const RuleTask& task, RuleTensors tensors) {
    AscendC::InitSocState();
    AscendC::SetCtrlSpr<48, 48>(1);  // overflow gives infinity, as everywhere else
    const RuleWorkspace places{task.key_size, task.value_tile, task.inverse.leaf,
                               task.initial_state};
    if ASCEND_IS_AIV {
        tensors.workspace += AscendC::GetBlockIdx() / 2 * places.Bytes();
        RunRuleOnVectors<In, T>(task, tensors, places);
    }
    if ASCEND_IS_AIC {
        tensors.workspace += AscendC::GetBlockIdx() * places.Bytes();
        RunRuleOnCube<In, T>(task, tensors, places);
    }
    AscendC::PipeBarrier<PIPE_ALL>();
}

}  // namespace neumann_tril
