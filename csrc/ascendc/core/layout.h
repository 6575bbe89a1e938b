// Where the chunk matrices lie in global memory.
#pragma once

#include "chunk_task.h"
#include "kernel_operator.h"

namespace neumann_tril {

// Element offsets of a matrix's first row in A and in X, and the rows that exist.
struct Place {
    int64_t a = 0, x = 0;
    int32_t valid = 0;
};

class Chunks {
  public:
    __aicore__ inline Chunks(const ChunkTask& task, GM_ADDR first_row, GM_ADDR valid_rows)
        : task(task) {
        first_row_.SetGlobalBuffer((__gm__ int64_t*)first_row);
        valid_rows_.SetGlobalBuffer((__gm__ int64_t*)valid_rows);
    }

    // Of a matrix in batch order; nowhere, without rows, beyond the last.
    __aicore__ inline Place Locate(int64_t matrix) const {
        Place place;
        if (matrix >= task.matrices) {
            return place;
        }
        place.valid = task.chunk_size;
        for (int32_t d = task.dims - 1; d >= 0; --d) {
            const int64_t index = matrix % task.size[d];
            matrix /= task.size[d];
            if (d != task.chunk_dim) {
                place.a += index * task.a_stride[d];
                place.x += index * task.x_stride[d];
                continue;
            }
            int64_t first = index * task.chunk_size;
            int64_t valid = task.length - first;
            if (task.packed != 0) {
                first = first_row_.GetValue(index);
                valid = valid_rows_.GetValue(index);
            }
            place.a += first * task.a_row_stride;
            place.x += first * task.x_row_stride;
            place.valid = valid < task.chunk_size ? static_cast<int32_t>(valid) : task.chunk_size;
        }
        return place;
    }

    const ChunkTask& task;

  private:
    AscendC::GlobalTensor<int64_t> first_row_, valid_rows_;
};

__aicore__ inline int32_t Clamp(int32_t value, int32_t most) {
    return value < 0 ? 0 : value > most ? most : value;
}

}  // namespace neumann_tril
