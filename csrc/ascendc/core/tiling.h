// Host side of every kernel: from nt_chunks to what a kernel is told. Plain C++, no device.
#pragma once

#include "chunk_task.h"
#include "neumann_tril.h"

namespace neumann_tril {

// Why the kernels cannot run it; nullptr if they can. Static text.
const char* RefusePlan(const nt_plan& plan);
const char* RefuseLayout(const nt_plan& plan, const nt_chunks& chunks);

ChunkTask ChunkTaskOf(int32_t chunk_size, const nt_chunks& chunks, int32_t a_dtype,
                      int32_t x_dtype);

}  // namespace neumann_tril
