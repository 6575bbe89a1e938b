// Host side: from a call to what the kernel is told. Plain C++, no device, no allocation.
#pragma once

#include "neumann_tril_npu.h"
#include "task.h"

namespace neumann_tril {

struct Tiling {
    const char* refusal = nullptr;  // static text; nothing else is set if it is not null
    InverseTask task{};
    int32_t operands = NT_FLOAT16;  // dtype in which the vector cores keep A
    int32_t blocks = 0;             // cube cores that get work, each with two vector cores
    int64_t workspace_bytes = 0;
};

Tiling Tile(const nt_npu_inversion& inversion);

// The parts of it that hold for the quantised kernels too.
const char* RefusePlan(const nt_plan& plan);
const char* RefuseLayout(const nt_plan& plan, const nt_chunks& chunks);
InverseTask TaskOf(const nt_plan& plan, const nt_chunks& chunks, int32_t a_dtype, int32_t x_dtype);

}  // namespace neumann_tril
