// The vector cores' part of the quantised inverse: gather A, seed the leaves, codes of both.
//
// A round is 16 or 32 leaves of 16 rows, whole matrices one below the other. For each round a core
//
//     takes      the rows of A, a slice at a time                                    slices.h
//     stores     float16 and int16 A: the codes of all rows      -> workspace        operands.h
//     transposes the leaves -> lanes, their strict lower parts                       leaves.h
//     seeds      the inverse of every leaf, in float                                 seeds.h
//     stores     16 bits: the leaves and zeros                   -> X                result.h
//     stores     the codes of X, in int8 limbs as fractals       -> workspace        operands.h
//     announces  all to the cube core                                                core/ring.h
#pragma once

#include "operands.h"
#include "result.h"

namespace neumann_tril {

template <typename In, int32_t C, int32_t Limbs>
class SeedStage {
  public:
    __aicore__ inline SeedStage(const QuantTask& task, GM_ADDR a, GM_ADDR x, GM_ADDR workspace,
                                const Constants& constants, const Rounds<C, Limbs>& rounds)
        : task_(task.chunks),
          rounds_(rounds),
          slices_(task.chunks, a, rounds),
          seeds_(constants, rounds),
          operands_(workspace, constants, rounds, slices_.Count()),
          result_(task.chunks, x, rounds, leaves_) {
        x_.SetGlobalBuffer((__gm__ int8_t*)x);
    }

    __aicore__ inline void Start() {
        slices_.Start();
        result_.Prepare();
        leaves_.Prepare();
        operands_.Prepare();
    }

    __aicore__ inline void Round(int32_t j) {
        if (kCodesOfA || rounds_.IsEmpty(j)) {
            WaitForPlaces(j);
        }
        if (!rounds_.IsEmpty(j)) {
            Seed(j);
        }
        if (kHasCube) {
            rounds_.OfCore().Announce();
        }
    }

  private:
    using Buffers = QuantBuffers<In, C, Limbs>;
    static constexpr bool kHasCube = Buffers::kHasCube, kCodesOfA = Buffers::kCodesOfA;
    using SlicesOfA = Slices<In, C, Limbs>;

    // In the workspace. With two limbs they are free: their sums have been read.
    __aicore__ inline void WaitForPlaces(int32_t j) const {
        if (Limbs == 1 && kHasCube) {
            rounds_.OfCore().WaitForPlaces(j);
        }
    }

    __aicore__ inline void Seed(int32_t j) {
        seeds_.SetScales(j);
        result_.Begin(j);
        for (int32_t s = 0; s < slices_.CountOf(j); ++s) {
            const int32_t row = s * SlicesOfA::kRows;
            const auto slice = slices_.Take(j, row);
            leaves_.Gather(slice, row);
            if constexpr (kCodesOfA) {
                operands_.StoreCodesOfA(slice, j, row);
            }
            slices_.Release();
        }
        AscendC::PipeBarrier<PIPE_V>();
        leaves_.Transpose();
        seeds_.Invert(leaves_.template Words<LeafWord<In>>());
        Store(j);
        result_.End(j);
    }

    __aicore__ inline void Store(int32_t j) const {
        if (task_.x_dtype == NT_FLOAT16) {
            result_.StoreNumbers(seeds_.F(), j);
        }
        const auto codes = leaves_.template Words<int16_t>();
        seeds_.Code(codes);
        if (task_.x_dtype == NT_INT16) {
            result_.StoreWords(j);
        }
        if (!kCodesOfA) {
            WaitForPlaces(j);
        }
        if constexpr (kHasCube) {
            operands_.StoreSeeds(codes, j);
        } else if (task_.x_dtype == NT_INT8) {
            operands_.StoreRows(codes, j, x_, task_.x_row_stride);
        }
    }

    const ChunkTask& task_;
    const Rounds<C, Limbs>& rounds_;
    SlicesOfA slices_;
    const Leaves<In, C, Limbs> leaves_{};
    Seeds<In, C, Limbs> seeds_;
    Operands<In, C, Limbs> operands_;
    const LeafResult<In, C, Limbs> result_;
    AscendC::GlobalTensor<int8_t> x_;
};

}  // namespace neumann_tril
