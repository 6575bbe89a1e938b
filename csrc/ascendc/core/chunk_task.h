// The chunk matrices of a call, as the host describes them to a kernel: plain data, passed by
// value. Shared by host and device code.
#pragma once

#include <stdint.h>

namespace neumann_tril {

constexpr int32_t kTaskDims = 8;
constexpr int32_t kLeafRows = 16;  // rows of the leaves that vector cores seed side by side
constexpr int32_t kUnitRows =
    128;  // a unit: 128 rows, that is 128 / C matrices one below the other

struct ChunkTask {
    int32_t chunk_size;
    int32_t a_dtype, x_dtype;  // codes of neumann_tril.h
    int32_t dims, chunk_dim;   // as in nt_chunks
    int32_t packed;            // 1: a table gives each chunk's first row and valid rows
    int64_t matrices, units;
    int64_t size[kTaskDims], a_stride[kTaskDims], x_stride[kTaskDims];
    int64_t a_row_stride, x_row_stride, length;
};

}  // namespace neumann_tril
