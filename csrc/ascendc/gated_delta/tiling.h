// Host side: from a call of the chunk rule to what the kernel is told. Plain C++, no device.
#pragma once

#include "neumann_tril_npu.h"
#include "task.h"

namespace neumann_tril {

struct RuleTiling {
    const char* refusal = nullptr;  // static text; nothing else is set if it is not null
    RuleTask task{};
    int32_t blocks = 0;  // cube cores that get work
    int64_t workspace_bytes = 0;
};

RuleTiling Tile(const nt_npu_rule& rule);
RuleTiling Tile(const nt_npu_intra& intra);

}  // namespace neumann_tril
