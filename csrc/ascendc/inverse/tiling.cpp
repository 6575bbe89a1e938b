#include "tiling.h"

#include <algorithm>

#include "../core/tiling.h"

namespace neumann_tril {

namespace {

bool IsKernelDtype(int32_t dtype) {
    return dtype == NT_FLOAT16 || dtype == NT_BFLOAT16 || dtype == NT_FLOAT32;
}

bool HasProducts(const nt_plan& plan) {
    return plan.terms > 1 || plan.splits > 0 || plan.refinements > 0;
}

const char* RefuseDtypes(const nt_npu_inversion& inversion) {
    if (!IsKernelDtype(inversion.a_dtype)) {
        return "A must be float16, bfloat16 or float32 on the NPU";
    }
    if (!IsKernelDtype(inversion.x_dtype)) {
        return "X must be float16, bfloat16 or float32 on the NPU";
    }
    if (!IsKernelDtype(inversion.compute_dtype)) {
        return "compute_dtype must be float16, bfloat16 or float32 on the NPU";
    }
    if (inversion.compute_dtype == NT_FLOAT32) {
        return HasProducts(inversion.plan)
                   ? "compute_dtype float32 takes only plans without products (splits 0, terms 1, "
                     "refinements 0) on the NPU: dav-2201 cannot move float32 from L0C to L1"
                   : nullptr;
    }
    if (inversion.a_dtype != NT_FLOAT32 && inversion.a_dtype != inversion.compute_dtype) {
        return "A of 16 bits must have the compute dtype, or that be float32, on the NPU";
    }
    return nullptr;
}

// Without products nothing is rounded but A: A of 16 bits is the same number in float32.
int32_t OperandsOf(const nt_npu_inversion& inversion) {
    return inversion.compute_dtype == NT_FLOAT32 ? inversion.a_dtype : inversion.compute_dtype;
}

InverseTask TaskOf(const nt_npu_inversion& inversion) {
    const nt_plan& plan = inversion.plan;
    InverseTask task{};
    task.chunks =
        ChunkTaskOf(plan.chunk_size, inversion.chunks, inversion.a_dtype, inversion.x_dtype);
    task.plan = plan;
    task.leaf = plan.chunk_size >> plan.splits;
    task.cube = HasProducts(plan);
    const bool joined_last = plan.refinements == 0 && plan.splits > 0;
    // X in L1 is X in the dtype of the operands.
    task.by_identity = joined_last && inversion.x_dtype == OperandsOf(inversion);
    task.result_seeds = plan.refinements == 0 && plan.terms == 1 && task.by_identity == 0;
    task.zero_side = task.result_seeds != 0                 ? 16
                     : joined_last && task.by_identity == 0 ? std::min<int32_t>(task.leaf, 64)
                                                            : 64;
    return task;
}

const char* Refuse(const nt_npu_inversion& inversion) {
    if (const char* reason = RefusePlan(inversion.plan)) return reason;
    if (const char* reason = RefuseDtypes(inversion)) return reason;
    if (const char* reason = RefuseLayout(inversion.plan, inversion.chunks)) return reason;
    return inversion.cube_cores < 1 ? "cube_cores must be at least 1" : nullptr;
}

}  // namespace

Tiling Tile(const nt_npu_inversion& inversion) {
    Tiling tiling;
    tiling.refusal = Refuse(inversion);
    if (tiling.refusal != nullptr) {
        return tiling;
    }
    tiling.task = TaskOf(inversion);
    tiling.operands = OperandsOf(inversion);
    // Two units are work for the two vector cores of a core.
    tiling.blocks = static_cast<int32_t>(
        std::min<int64_t>((tiling.task.chunks.units + 1) / 2, inversion.cube_cores));
    if (tiling.task.cube != 0) {
        tiling.workspace_bytes = tiling.blocks * static_cast<int64_t>(sizeof(uint16_t)) *
                                 InverseWorkspace(inversion.plan.chunk_size, tiling.task.leaf);
    }
    return tiling;
}

}  // namespace neumann_tril
