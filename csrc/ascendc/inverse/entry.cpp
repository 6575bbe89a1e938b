// The kernel's entry points: launched by the C interface of neumann_tril_npu.h.
#include "../core/launch.h"
#include "kernel.h"
#include "tiling.h"

namespace neumann_tril {

template <typename T, int32_t C>
__global__ __mix__(1, 2) void InverseKernel(GM_ADDR a, GM_ADDR x, GM_ADDR workspace,
                                            GM_ADDR first_row, GM_ADDR valid_rows,
                                            InverseTask task) {
    Invert<T, C>(task, a, x, workspace, first_row, valid_rows);
}

namespace {

template <typename T>
void Launch(const Tiling& tiling, const nt_npu_inversion& inversion, void* stream) {
    auto* const a = static_cast<uint8_t*>(const_cast<void*>(inversion.a));
    auto* const x = static_cast<uint8_t*>(inversion.x);
    auto* const workspace = static_cast<uint8_t*>(inversion.workspace);
    auto* const first_row =
        reinterpret_cast<uint8_t*>(const_cast<int64_t*>(inversion.chunks.first_row));
    auto* const valid_rows =
        reinterpret_cast<uint8_t*>(const_cast<int64_t*>(inversion.chunks.valid_rows));
    const InverseTask& task = tiling.task;
    switch (task.plan.chunk_size) {
        case 16:
            NT_LAUNCH_MIX((InverseKernel<T, 16>), tiling.blocks, stream, a, x, workspace, first_row,
                          valid_rows, task);
            break;
        case 32:
            NT_LAUNCH_MIX((InverseKernel<T, 32>), tiling.blocks, stream, a, x, workspace, first_row,
                          valid_rows, task);
            break;
        case 64:
            NT_LAUNCH_MIX((InverseKernel<T, 64>), tiling.blocks, stream, a, x, workspace, first_row,
                          valid_rows, task);
            break;
        default:
            NT_LAUNCH_MIX((InverseKernel<T, 128>), tiling.blocks, stream, a, x, workspace,
                          first_row, valid_rows, task);
    }
}

}  // namespace

}  // namespace neumann_tril

extern "C" {

const char* nt_npu_refusal(const nt_npu_inversion* inversion) {
    return neumann_tril::Tile(*inversion).refusal;
}

int64_t nt_npu_workspace_bytes(const nt_npu_inversion* inversion) {
    return neumann_tril::Tile(*inversion).workspace_bytes;
}

const char* nt_npu_inverse(const nt_npu_inversion* inversion, void* stream) {
    const neumann_tril::Tiling tiling = neumann_tril::Tile(*inversion);
    if (tiling.refusal != nullptr || tiling.blocks == 0) {
        return tiling.refusal;
    }
    switch (tiling.operands) {
        case NT_FLOAT16:
            neumann_tril::Launch<half>(tiling, *inversion, stream);
            break;
        case NT_BFLOAT16:
            neumann_tril::Launch<bfloat16_t>(tiling, *inversion, stream);
            break;
        default:
            neumann_tril::Launch<float>(tiling, *inversion, stream);
    }
    return nullptr;
}

}  // extern "C"
