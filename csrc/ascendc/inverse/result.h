// What the vector cores write of the result: columns of the seeds, and zeros.
#pragma once

#include "../core/rows.h"
#include "neumann_tril.h"
#include "task.h"

namespace neumann_tril {

class ResultRows {
  public:
    // `zeros`: kZeros words that are zero.
    static constexpr int32_t kZeros = 1024;
    __aicore__ inline ResultRows(const InverseTask& task, GM_ADDR x,
                                 const AscendC::LocalTensor<uint16_t>& zeros)
        : task_(task), zeros_(zeros) {
        x16_.SetGlobalBuffer((__gm__ uint16_t*)x);
        x32_.SetGlobalBuffer((__gm__ float*)x);
    }

    __aicore__ inline bool Wide() const { return task_.chunks.x_dtype == NT_FLOAT32; }

    // `count` numbers as the words of the result; float32 results take the floats themselves.
    __aicore__ inline void Round(const AscendC::LocalTensor<uint16_t>& words,
                                 const AscendC::LocalTensor<float>& floats, int32_t count) const {
        if (task_.chunks.x_dtype == NT_FLOAT16) {
            AscendC::Cast(words.template ReinterpretCast<half>(), floats,
                          AscendC::RoundMode::CAST_RINT, count);
        } else {
            AscendC::Cast(words.template ReinterpretCast<bfloat16_t>(), floats,
                          AscendC::RoundMode::CAST_RINT, count);
        }
        AscendC::PipeBarrier<PIPE_V>();
    }

    // Sixteen columns of a matrix at `offset` from its first element.
    __aicore__ inline void Store(int64_t offset, const AscendC::LocalTensor<uint16_t>& words,
                                 int32_t rows) const {
        CopyRowsOut(x16_, offset, task_.chunks.x_row_stride, words, rows, 16);
    }
    __aicore__ inline void Store(int64_t offset, const AscendC::LocalTensor<float>& floats,
                                 int32_t rows) const {
        CopyRowsOut(x32_, offset, task_.chunks.x_row_stride, floats, rows, 16);
    }

    __aicore__ inline bool HasZeros() const { return task_.zero_side < task_.chunks.chunk_size; }
    __aicore__ inline void StoreZerosOf(const Place& place) const {
        const ChunkTask& chunks = task_.chunks;
        if (Wide()) {
            StoreZeros(x32_, place, chunks.x_row_stride, chunks.chunk_size, task_.zero_side,
                       zeros_.ReinterpretCast<float>(), kZeros / 2);
        } else {
            StoreZeros(x16_, place, chunks.x_row_stride, chunks.chunk_size, task_.zero_side, zeros_,
                       kZeros);
        }
    }

    // NaN on and below the diagonal, zeros above; `nans`: words of as many numbers as a row has.
    __aicore__ inline void StoreNans(const Place& place,
                                     const AscendC::LocalTensor<uint16_t>& nans) const {
        if (Wide()) {
            StoreNans(x32_, place, nans.ReinterpretCast<float>(), zeros_.ReinterpretCast<float>());
        } else {
            StoreNans(x16_, place, nans, zeros_);
        }
    }

  private:
    template <typename U>
    __aicore__ inline void StoreNans(const AscendC::GlobalTensor<U>& x, const Place& place,
                                     const AscendC::LocalTensor<U>& nans,
                                     const AscendC::LocalTensor<U>& zeros) const {
        const int64_t stride = task_.chunks.x_row_stride;
        for (int32_t row = 0; row < place.valid; ++row) {
            const int64_t offset = place.x + row * stride;
            const int32_t beyond = task_.chunks.chunk_size - row - 1;
            CopyRowsOut(x, offset, stride, nans, 1, row + 1);
            if (beyond > 0) {
                CopyRowsOut(x, offset + row + 1, stride, zeros, 1, beyond);
            }
        }
    }

    const InverseTask& task_;
    const AscendC::LocalTensor<uint16_t> zeros_;
    AscendC::GlobalTensor<uint16_t> x16_;
    AscendC::GlobalTensor<float> x32_;
};

}  // namespace neumann_tril
