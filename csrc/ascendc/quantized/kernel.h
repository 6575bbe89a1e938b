// The quantised kernel, X = (I + A)^-1 on integer grids, as one core runs it.
//
//     for each cube core, in parallel with its two vector cores:
//         vector core, for every second round of its units of 128 rows:
//             A -> codes of the seeds (and of A) -> workspace                      seed_stage.h
//         cube core
//             8 bits:  for every unit: all joins; X -> global memory                 products.h
//             16 bits: the sums of a join -> workspace                                   sums.h
//         vector core, 16 bits: sums -> codes -> workspace, X                       sum_codes.h
//
// With 16 bits the rounds go through the joins step by step, a few in flight: schedule.h.
#pragma once

#include "products.h"
#include "seed_stage.h"
#include "sum_codes.h"

namespace neumann_tril {

// The steps of a vector core, 16 bits.
template <typename In, int32_t C>
struct SeedsAndCodes {
    SeedStage<In, C, 2>& seeds;
    SumCodeStage<In, C>& codes;

    __aicore__ inline void Step(int32_t j, int32_t step) {
        if (step == 0) {
            seeds.Round(j);
        } else {
            codes.Join(j, (step - 1) / 2, step % 2 != 0);
        }
    }
};

template <typename In, int32_t C, int32_t Limbs>
__aicore__ inline void RunVectorCore(const QuantTask& task, GM_ADDR a, GM_ADDR x, GM_ADDR workspace,
                                     const Constants& constants, const Chunks& chunks) {
    const Rounds<C, Limbs> rounds(chunks);
    SeedStage<In, C, Limbs> seeds(task, a, x, workspace, constants, rounds);
    seeds.Start();
    if constexpr (C == kLeafRows || Limbs == 1) {
        for (int32_t j = 0; j < rounds.Count(); ++j) {
            seeds.Round(j);
        }
    } else {
        SumCodeStage<In, C> codes(task, x, workspace, constants, rounds);
        SeedsAndCodes<In, C> both{seeds, codes};
        Steps<C>::Run(both, rounds.Count());
    }
}

template <int32_t C, int32_t Limbs>
__aicore__ inline void RunCubeCore(const QuantTask& task, GM_ADDR a, GM_ADDR x, GM_ADDR workspace,
                                   const Constants& constants, const Chunks& chunks) {
    if constexpr (C > kLeafRows && Limbs == 1) {
        QuantProductStage<C> stage(task, a, x, workspace, constants, chunks);
        stage.Run();
    }
    if constexpr (C > kLeafRows && Limbs == 2) {
        SumStage<C> stage(task, workspace);
        stage.Run();
    }
}

template <typename In, int32_t C, int32_t Limbs>
__aicore__ inline void InvertQuantized(const QuantTask& task, GM_ADDR a, GM_ADDR x,
                                       GM_ADDR workspace, GM_ADDR numbers, GM_ADDR first_row,
                                       GM_ADDR valid_rows) {
    AscendC::InitSocState();
    AscendC::SetCtrlSpr<48, 48>(1);  // overflow gives infinity, as everywhere else
    const Chunks chunks(task.chunks, first_row, valid_rows);
    const Constants constants(numbers, task);
    if ASCEND_IS_AIV {
        RunVectorCore<In, C, Limbs>(task, a, x, workspace, constants, chunks);
    }
    if ASCEND_IS_AIC {
        RunCubeCore<C, Limbs>(task, a, x, workspace, constants, chunks);
    }
    AscendC::PipeBarrier<PIPE_ALL>();
}

}  // namespace neumann_tril
