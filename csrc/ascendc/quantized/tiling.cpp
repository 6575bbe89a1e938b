#include "tiling.h"

#include <algorithm>

#include "../core/tiling.h"

namespace neumann_tril {

namespace {

bool IsBlocked(const nt_plan& plan) {
    return plan.chunk_size >> plan.splits == kLeafRows && plan.bandwidth == kLeafRows - 1 &&
           plan.terms == 1 && plan.refinements == 0;
}

const char* RefuseQuant(const nt_quant& quant, const nt_chunks& chunks) {
    if (quant.bits != 8 && quant.bits != 16) {
        return "bits must be 8 or 16";
    }
    if (quant.groups < 1) {
        return "scales per chunk, found on the fly, are not possible on the NPU: calibrate the "
               "plan";
    }
    if (quant.group_dim < -1 || quant.group_dim >= chunks.dims) {
        return "group_dim must be -1 or one of the batch dimensions";
    }
    const int64_t wanted = quant.group_dim < 0 ? 1 : chunks.size[quant.group_dim];
    return quant.groups == wanted ? nullptr : "groups must be the size of group_dim, or 1 without";
}

const char* RefuseDtypes(const nt_npu_quantized& inversion) {
    const int32_t codes = inversion.quant.bits == 8 ? NT_INT8 : NT_INT16;
    if (inversion.a_dtype != NT_FLOAT16 && inversion.a_dtype != codes) {
        return "A must be float16 or codes, int8 or int16 as the plan's bits, on the NPU";
    }
    if (inversion.x_dtype != NT_FLOAT16 && inversion.x_dtype != codes) {
        return "X must be float16 or codes, int8 or int16 as the plan's bits, on the NPU";
    }
    return nullptr;
}

const char* Refuse(const nt_npu_quantized& inversion) {
    if (const char* reason = RefusePlan(inversion.plan)) {
        return reason;
    }
    if (!IsBlocked(inversion.plan)) {
        return "a quantised plan must be the blocked one on the NPU: leaves of 16 rows, bandwidth "
               "15, terms 1, refinements 0";
    }
    if (const char* reason = RefuseLayout(inversion.plan, inversion.chunks)) {
        return reason;
    }
    if (const char* reason = RefuseQuant(inversion.quant, inversion.chunks)) {
        return reason;
    }
    if (const char* reason = RefuseDtypes(inversion)) {
        return reason;
    }
    return inversion.cube_cores < 1 ? "cube_cores must be at least 1" : nullptr;
}

}  // namespace

QuantTiling Tile(const nt_npu_quantized& inversion) {
    QuantTiling tiling;
    tiling.refusal = Refuse(inversion);
    if (tiling.refusal != nullptr) {
        return tiling;
    }
    const int32_t c = inversion.plan.chunk_size;
    QuantTask& task = tiling.task;
    task.chunks = ChunkTaskOf(c, inversion.chunks, inversion.a_dtype, inversion.x_dtype);
    task.groups = inversion.quant.groups;
    task.row = kFirstJoin + kJoinNumbers * inversion.plan.splits;
    task.group_step = 1;
    for (int32_t d = inversion.chunks.dims - 1; d > std::max(inversion.quant.group_dim, -1); --d) {
        task.group_step *= inversion.chunks.size[d];
    }
    tiling.blocks =
        static_cast<int32_t>(std::min<int64_t>(task.chunks.units, inversion.cube_cores));
    if (c > kLeafRows) {
        tiling.workspace_bytes =
            int64_t{tiling.blocks} * QuantWorkspacePerCore(c, inversion.quant.bits / 8);
    }
    return tiling;
}

}  // namespace neumann_tril
