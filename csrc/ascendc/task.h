// What the host tells the kernel: plain data, passed by value. Shared by host and device code.
#pragma once

#include <stdint.h>

#include "neumann_tril/plan.h"

namespace neumann_tril {

constexpr int32_t kTaskDims = 8;
constexpr int32_t kMaxRefinements = 8;
constexpr int32_t kUnitRows = 128;  // rows a vector core prepares at a time: 128 / C matrices
constexpr int32_t kRingDepth = 3;   // batches (a unit of either vector core) in the workspace

struct InverseTask {
    nt_plan plan;
    int32_t leaf;              // chunk_size / 2^splits
    int32_t cube;              // 1: the cube has a part in this plan
    int32_t background;        // 1: parts of the result come from the vector cores
    int32_t a_dtype, x_dtype;  // NT_FLOAT16, NT_BFLOAT16 or NT_FLOAT32
    int32_t dims, chunk_dim;   // as in nt_chunks
    int32_t packed;            // 1: a table gives each chunk's first row and valid rows
    int64_t matrices;
    int64_t size[kTaskDims], a_stride[kTaskDims], x_stride[kTaskDims];
    int64_t a_row_stride, x_row_stride, length;
};

// Elements of an image: the matrices of a unit, one below the other, as fractals column by column.
template <int32_t C>
constexpr int32_t kImage = kUnitRows * C;
// A core's workspace: an identity of 64 x 64, then the images N and X0 of the units in the ring.
constexpr int32_t kIdentity = 64 * 64;
template <int32_t C>
constexpr int32_t kWorkspacePerCore = kIdentity + kRingDepth * 2 * 2 * kImage<C>;

// Cross-core flags.
constexpr int32_t kReady = 8;  // vector cores to cube: the images of a batch are in the workspace
constexpr int32_t kFree = 9;   // cube to vector cores: the images of a batch have been read

}  // namespace neumann_tril
