#include "tiling.h"

#include <algorithm>
#include <limits>

namespace neumann_tril {

static_assert(NT_MAX_DIMS <= kTaskDims, "InverseTask cannot hold every layout of nt_chunks");

const char* RefusePlan(const nt_plan& plan) {
    const int32_t c = plan.chunk_size;
    if (c != 16 && c != 32 && c != 64 && c != 128) {
        return "chunk_size must be 16, 32, 64 or 128 on the NPU";
    }
    if (plan.splits < 0 || plan.splits > 3 || (c >> plan.splits) < 16) {
        return "splits must be 0 to 3 and leave leaves of at least 16 rows";
    }
    if (plan.bandwidth < 0 || plan.bandwidth >= (c >> plan.splits)) {
        return "bandwidth must be 0 to leaf - 1";
    }
    if (plan.form != NT_FORM_SEQUENTIAL && plan.form != NT_FORM_DOUBLING) {
        return "form must be sequential or doubling";
    }
    if (plan.terms < 1 || plan.terms > (c >> plan.splits)) {
        return "terms must be 1 to the rows of a leaf";
    }
    if (plan.form == NT_FORM_DOUBLING && (plan.terms & (plan.terms - 1)) != 0) {
        return "terms must be a power of two in doubling form";
    }
    if (plan.refinements < 0 || plan.refinements > kMaxRefinements) {
        return "refinements must be 0 to 8";
    }
    return nullptr;
}

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

}  // namespace

const char* RefuseLayout(const nt_plan& plan, const nt_chunks& chunks) {
    if (chunks.dims < 0 || chunks.dims > NT_MAX_DIMS) {
        return "at most 8 batch dimensions are possible";
    }
    if (chunks.chunk_dim < -1 || chunks.chunk_dim >= chunks.dims) {
        return "chunk_dim must be -1 or one of the batch dimensions";
    }
    if (chunks.a_column_stride != 1 || chunks.x_column_stride != 1) {
        return "the columns of A and X must be contiguous (column stride 1) on the NPU";
    }
    if (chunks.x_row_stride < plan.chunk_size ||
        chunks.x_row_stride > std::numeric_limits<uint32_t>::max()) {
        return "the row stride of X must be at least C and below 2^32 on the NPU";
    }
    int64_t matrices = 1;
    for (int32_t d = 0; d < chunks.dims; ++d) {
        if (chunks.size[d] < 0) {
            return "batch sizes must not be negative";
        }
        // 2^31 rows keep every count of the kernel within its type.
        if (chunks.size[d] > 0 && matrices > (int64_t{1} << 31) / 128 / chunks.size[d]) {
            return "at most 2^24 chunk matrices fit one call";
        }
        matrices *= chunks.size[d];
    }
    return nullptr;
}

namespace {

int64_t WorkspacePerCore(int32_t chunk_size) {
    switch (chunk_size) {
        case 16:
            return kWorkspacePerCore<16>;
        case 32:
            return kWorkspacePerCore<32>;
        case 64:
            return kWorkspacePerCore<64>;
        default:
            return kWorkspacePerCore<128>;
    }
}

}  // namespace

InverseTask TaskOf(const nt_plan& plan, const nt_chunks& chunks, int32_t a_dtype, int32_t x_dtype) {
    InverseTask task{};
    task.plan = plan;
    task.leaf = plan.chunk_size >> plan.splits;
    task.cube = HasProducts(plan);
    task.background = plan.refinements == 0 && (plan.terms == 1 || plan.splits > 0);
    task.a_dtype = a_dtype;
    task.x_dtype = x_dtype;
    task.dims = chunks.dims;
    task.chunk_dim = chunks.chunk_dim;
    task.packed = chunks.chunk_dim >= 0 && chunks.first_row != nullptr;
    task.matrices = 1;
    for (int32_t d = 0; d < chunks.dims; ++d) {
        task.matrices *= chunks.size[d];
        task.size[d] = chunks.size[d];
        task.a_stride[d] = chunks.a_stride[d];
        task.x_stride[d] = chunks.x_stride[d];
    }
    task.a_row_stride = chunks.a_row_stride;
    task.x_row_stride = chunks.x_row_stride;
    task.length = chunks.length;
    return task;
}

Tiling Tile(const nt_npu_inversion& inversion) {
    Tiling tiling;
    if (const char* reason = RefusePlan(inversion.plan)) {
        tiling.refusal = reason;
    } else if (const char* reason = RefuseDtypes(inversion)) {
        tiling.refusal = reason;
    } else if (const char* reason = RefuseLayout(inversion.plan, inversion.chunks)) {
        tiling.refusal = reason;
    } else if (inversion.cube_cores < 1) {
        tiling.refusal = "cube_cores must be at least 1";
    }
    if (tiling.refusal != nullptr) {
        return tiling;
    }
    tiling.task = TaskOf(inversion.plan, inversion.chunks, inversion.a_dtype, inversion.x_dtype);
    // Without products nothing is rounded but A: A of 16 bits is the same number in float32.
    tiling.operands =
        inversion.compute_dtype == NT_FLOAT32 ? inversion.a_dtype : inversion.compute_dtype;
    const int32_t chunk_size = inversion.plan.chunk_size;
    const int64_t rows_per_batch = 2 * kUnitRows;
    const int64_t batches =
        (tiling.task.matrices * chunk_size + rows_per_batch - 1) / rows_per_batch;
    tiling.blocks = static_cast<int32_t>(std::min<int64_t>(batches, inversion.cube_cores));
    if (tiling.task.cube != 0) {
        tiling.workspace_bytes =
            tiling.blocks * WorkspacePerCore(chunk_size) * static_cast<int64_t>(sizeof(uint16_t));
    }
    return tiling;
}

}  // namespace neumann_tril
