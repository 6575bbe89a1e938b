// The representation of chunks of 64 tokens alone, for those who keep their own kernel of the
// state: from k, v, g and beta to w, u and X, as one core runs it.
//
//     cube     K K^T                            key_products.h
//     vector   A, and G_i                       chunk_matrices.h, representation.h
//     both     X = (I + A)^-1                   ../inverse
//     vector   X diag(beta), X diag(beta G)     representation.h
//     cube     u, w                             representation.h
#pragma once

#include "batches.h"
#include "key_products.h"
#include "representation.h"

namespace neumann_tril {

struct IntraTensors {
    GM_ADDR k;
    GM_ADDR v;
    GM_ADDR g;
    GM_ADDR beta;
    GM_ADDR bounds;
    GM_ADDR w;
    GM_ADDR u;
    GM_ADDR x;
    GM_ADDR workspace;
};

template <typename In, typename T>
__aicore__ inline void RunIntra(const RuleTask& task, IntraTensors tensors) {
    AscendC::InitSocState();
    AscendC::SetCtrlSpr<48, 48>(1);  // overflow gives infinity, as everywhere else
    const int64_t bytes = BatchWorkspace::End(task.inverse.leaf);
    if ASCEND_IS_AIV {
        const int64_t block = AscendC::GetBlockIdx() / 2;
        GM_ADDR workspace = tensors.workspace + block * bytes;
        ChunkWalk walk(task, tensors.bounds, block, AscendC::GetBlockNum());
        IntraParts<T> parts(task, tensors.g, tensors.beta, workspace);
        const Factors<In, T> factors(task, tensors.x, workspace);
        VectorCore<T, Order::kProductsFirst, ChunkWalk, IntraParts<T>, Factors<In, T>> core(
            task, walk, parts, factors, workspace);
        core.Run();
    }
    if ASCEND_IS_AIC {
        using Core =
            CubeCore<T, Order::kProductsFirst, ChunkWalk, KeyProducts<In>, Representation<In>>;
        const int64_t block = AscendC::GetBlockIdx();
        GM_ADDR workspace = tensors.workspace + block * bytes;
        ChunkWalk walk(task, tensors.bounds, block, AscendC::GetBlockNum());
        KeyProducts<In> products(task, nullptr, tensors.k, workspace, Core::kFreeL1, 1);
        Representation<In> results(task, tensors.k, tensors.v, tensors.w, tensors.u, workspace,
                                   Core::kFreeL1);
        Core core(task, walk, products, results, workspace);
        core.Run();
    }
    AscendC::PipeBarrier<PIPE_ALL>();
}

}  // namespace neumann_tril
