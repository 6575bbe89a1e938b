// The kernel X = (I + A)^-1 for every chunk matrix, as one core runs it.
//
//     for each cube core, in parallel with its two vector cores:
//         vector core v, for every second unit of 128 rows:
//             wait until a place in the ring is free
//             A -> N = -(I + A) and the banded seed X0 of every leaf -> workspace          seed.h
//         cube core, for every unit:
//             N, X0 -> L1; all products of the plan; X -> global memory                products.h
//
// A plan without products ends with the seed, which the vector cores store themselves.
#pragma once

#include "products.h"
#include "seed.h"

namespace neumann_tril {

template <typename T, int32_t C, int32_t L>
__aicore__ inline void RunSeedStage(const InverseTask& task, GM_ADDR a, GM_ADDR x,
                                    GM_ADDR workspace, const ChunkTable& table) {
    if constexpr (L == C || (L < C && sizeof(T) == 2)) {
        SeedStage<T, C, L> stage(task, a, x, workspace, table);
        stage.Run();
    }
}

template <typename T, int32_t C>
__aicore__ inline void Invert(const InverseTask& task, GM_ADDR a, GM_ADDR x, GM_ADDR workspace,
                              GM_ADDR first_row, GM_ADDR valid_rows) {
    AscendC::InitSocState();
    AscendC::SetCtrlSpr<48, 48>(1);  // overflow gives infinity, as everywhere else
    const ChunkTable table(first_row, valid_rows);
    if ASCEND_IS_AIV {
        switch (task.leaf) {
            case 16:
                RunSeedStage<T, C, 16>(task, a, x, workspace, table);
                break;
            case 32:
                RunSeedStage<T, C, 32>(task, a, x, workspace, table);
                break;
            case 64:
                RunSeedStage<T, C, 64>(task, a, x, workspace, table);
                break;
            default:
                RunSeedStage<T, C, 128>(task, a, x, workspace, table);
        }
    }
    if ASCEND_IS_AIC {
        if constexpr (sizeof(T) == 2) {
            if (task.cube != 0) {
                ProductStage<T, C> stage(task, x, workspace, table);
                stage.Run();
            }
        }
    }
    AscendC::PipeBarrier<PIPE_ALL>();
}

}  // namespace neumann_tril
