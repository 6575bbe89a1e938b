// Where the chunk matrices lie in global memory.
#pragma once

#include "arch.h"
#include "task.h"

namespace neumann_tril {

// Element offsets of a matrix's first row in A and in X, and the rows that exist.
struct Place {
    int64_t a = 0, x = 0;
    int32_t valid = 0;
};

struct ChunkTable {
    AscendC::GlobalTensor<int64_t> first_row, valid_rows;

    __aicore__ inline ChunkTable(GM_ADDR first, GM_ADDR valid) {
        first_row.SetGlobalBuffer((__gm__ int64_t*)first);
        valid_rows.SetGlobalBuffer((__gm__ int64_t*)valid);
    }
};

__aicore__ inline Place Locate(const InverseTask& task, const ChunkTable& table, int64_t matrix) {
    Place place;
    if (matrix >= task.matrices) {
        return place;
    }
    const int32_t chunk_size = task.plan.chunk_size;
    place.valid = chunk_size;
    for (int32_t d = task.dims - 1; d >= 0; --d) {
        const int64_t index = matrix % task.size[d];
        matrix /= task.size[d];
        if (d != task.chunk_dim) {
            place.a += index * task.a_stride[d];
            place.x += index * task.x_stride[d];
            continue;
        }
        int64_t first = index * chunk_size;
        int64_t valid = task.length - first;
        if (task.packed != 0) {
            first = table.first_row.GetValue(index);
            valid = table.valid_rows.GetValue(index);
        }
        place.a += first * task.a_row_stride;
        place.x += first * task.x_row_stride;
        place.valid = valid < chunk_size ? static_cast<int32_t>(valid) : chunk_size;
    }
    return place;
}

// Copies the lower triangles, fractal by fractal, of the blocks of B rows on the diagonals of an
// image's matrices; the rest of the target is left alone. A row of a fractal is 32 bytes.
template <int32_t C, int32_t B, class Target, class Source>
__aicore__ inline void CopyLower(const Target& dst, const Source& src) {
    for (int32_t c = 0; c < C / 16; ++c) {
        const uint16_t rows = B - 16 * c % B;  // of the column within its block
        const uint16_t gap = C - rows;
        const uint32_t first = (c * kUnitRows + 16 * c) * 16;
        AscendC::DataCopy(dst[first], src[first],
                          AscendC::DataCopyParams{kUnitRows / C, rows, gap, gap});
    }
}

}  // namespace neumann_tril
