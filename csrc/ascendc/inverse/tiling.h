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

}  // namespace neumann_tril
