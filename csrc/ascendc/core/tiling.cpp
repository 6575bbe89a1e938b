#include "tiling.h"

#include <limits>

namespace neumann_tril {

static_assert(NT_MAX_DIMS <= kTaskDims, "ChunkTask cannot hold every layout of nt_chunks");

const char* RefusePlan(const nt_plan& plan) {
    const int32_t c = plan.chunk_size;
    if (c != 16 && c != 32 && c != 64 && c != 128) {
        return "chunk_size must be 16, 32, 64 or 128 on the NPU";
    }
    return nt_plan_error(&plan);
}

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
        if (chunks.size[d] > 0 && matrices > (int64_t{1} << 31) / kUnitRows / chunks.size[d]) {
            return "at most 2^24 chunk matrices fit one call";
        }
        matrices *= chunks.size[d];
    }
    return nullptr;
}

ChunkTask ChunkTaskOf(int32_t chunk_size, const nt_chunks& chunks, int32_t a_dtype,
                      int32_t x_dtype) {
    ChunkTask task{};
    task.chunk_size = chunk_size;
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
    task.units = (task.matrices * chunk_size + kUnitRows - 1) / kUnitRows;
    task.a_row_stride = chunks.a_row_stride;
    task.x_row_stride = chunks.x_row_stride;
    task.length = chunks.length;
    return task;
}

}  // namespace neumann_tril
