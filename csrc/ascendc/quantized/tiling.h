// Host side of the quantised kernels: from a call to what the kernel is told.
#pragma once

#include "neumann_tril_npu.h"
#include "task.h"

namespace neumann_tril {

struct QuantTiling {
    const char* refusal = nullptr;  // static text; nothing else is set if it is not null
    QuantTask task{};
    int32_t blocks = 0;  // cube cores that get work, each with two vector cores
    int64_t workspace_bytes = 0;
};

QuantTiling Tile(const nt_npu_quantized& inversion);

}  // namespace neumann_tril
