// The kernel X = (I + A)^-1 for every chunk matrix, as one core runs it.
//
//     for each cube core, in parallel with its two vector cores:
//         vector core, for every second round of its units of 128 rows:
//             A -> N = -(I + A) and the banded seed X0 of every leaf      leaf_seeds.h,
//             panel_seeds.h wait until places in the ring are free; N, X0 -> workspace
//         cube core, for every unit:
//             N, X0 -> L1; all products of the plan; X -> global memory                  products.h
//
// A plan without products ends with the seed, which the vector cores store themselves.
#pragma once

#include "leaf_seeds.h"
#include "panel_seeds.h"
#include "products.h"

namespace neumann_tril {

template <class Stage>
__aicore__ inline void RunSeeds(const InverseTask& task, GM_ADDR a, GM_ADDR x, GM_ADDR workspace,
                                const Chunks& chunks) {
    Stage stage(task, a, x, workspace, chunks,
                Share{AscendC::GetBlockIdx() / 2, AscendC::GetBlockNum(), kBatchesHeld});
    stage.Run();
}

template <typename T, int32_t C, int32_t L>
__aicore__ inline void SeedLeaves(const InverseTask& task, GM_ADDR a, GM_ADDR x, GM_ADDR workspace,
                                  const Chunks& chunks) {
    if constexpr (sizeof(T) == 2 && L == 16) {
        RunSeeds<LeafSeedStage<T, C>>(task, a, x, workspace, chunks);
    } else if constexpr (L == C || (sizeof(T) == 2 && L < C)) {
        RunSeeds<PanelSeedStage<T, C, L>>(task, a, x, workspace, chunks);
    }
}

template <typename T, int32_t C>
__aicore__ inline void Invert(const InverseTask& task, GM_ADDR a, GM_ADDR x, GM_ADDR workspace,
                              GM_ADDR first_row, GM_ADDR valid_rows) {
    AscendC::InitSocState();
    AscendC::SetCtrlSpr<48, 48>(1);  // overflow gives infinity, as everywhere else
    const Chunks chunks(task.chunks, first_row, valid_rows);
    if ASCEND_IS_AIV {
        switch (task.leaf) {
            case 16:
                SeedLeaves<T, C, 16>(task, a, x, workspace, chunks);
                break;
            case 32:
                SeedLeaves<T, C, 32>(task, a, x, workspace, chunks);
                break;
            case 64:
                SeedLeaves<T, C, 64>(task, a, x, workspace, chunks);
                break;
            default:
                SeedLeaves<T, C, 128>(task, a, x, workspace, chunks);
        }
    }
    if ASCEND_IS_AIC {
        if constexpr (sizeof(T) == 2) {
            if (task.cube != 0) {
                ProductStage<T, C> stage(
                    task, x, workspace, chunks,
                    Share{AscendC::GetBlockIdx(), AscendC::GetBlockNum(), kBatchesHeld});
                stage.ClearInputs();
                stage.Run();
            }
        }
    }
    AscendC::PipeBarrier<PIPE_ALL>();
}

}  // namespace neumann_tril
