// The quantised kernels' entry points: launched by the C interface of neumann_tril_npu.h.
#include "../core/launch.h"
#include "kernel.h"
#include "tiling.h"

namespace neumann_tril {

template <typename In, int32_t C, int32_t Limbs>
__global__ __mix__(1, 2) void QuantKernel(GM_ADDR a, GM_ADDR x, GM_ADDR workspace,
                                          GM_ADDR constants, GM_ADDR first_row, GM_ADDR valid_rows,
                                          QuantTask task) {
    InvertQuantized<In, C, Limbs>(task, a, x, workspace, constants, first_row, valid_rows);
}

namespace {

template <typename In, int32_t C, int32_t Limbs>
void LaunchFor(const QuantTiling& tiling, const nt_npu_quantized& inversion, void* stream) {
    const auto address = [](const void* pointer) {
        return static_cast<uint8_t*>(const_cast<void*>(pointer));
    };
    NT_LAUNCH_MIX((QuantKernel<In, C, Limbs>), tiling.blocks, stream, address(inversion.a),
                  address(inversion.x), address(inversion.workspace),
                  address(inversion.quant.constants), address(inversion.chunks.first_row),
                  address(inversion.chunks.valid_rows), tiling.task);
}

template <typename In, int32_t Limbs>
void Launch(const QuantTiling& tiling, const nt_npu_quantized& inversion, void* stream) {
    switch (inversion.plan.chunk_size) {
        case 16:
            LaunchFor<In, 16, Limbs>(tiling, inversion, stream);
            break;
        case 32:
            LaunchFor<In, 32, Limbs>(tiling, inversion, stream);
            break;
        case 64:
            LaunchFor<In, 64, Limbs>(tiling, inversion, stream);
            break;
        default:
            LaunchFor<In, 128, Limbs>(tiling, inversion, stream);
    }
}

}  // namespace

}  // namespace neumann_tril

extern "C" {

const char* nt_npu_quantized_refusal(const nt_npu_quantized* inversion) {
    return neumann_tril::Tile(*inversion).refusal;
}

int64_t nt_npu_quantized_workspace_bytes(const nt_npu_quantized* inversion) {
    return neumann_tril::Tile(*inversion).workspace_bytes;
}

const char* nt_npu_inverse_quantized(const nt_npu_quantized* inversion, void* stream) {
    const neumann_tril::QuantTiling tiling = neumann_tril::Tile(*inversion);
    if (tiling.refusal != nullptr || tiling.blocks == 0) {
        return tiling.refusal;
    }
    const bool numbers = inversion->a_dtype == NT_FLOAT16;
    if (inversion->quant.bits == 8) {
        numbers ? neumann_tril::Launch<half, 1>(tiling, *inversion, stream)
                : neumann_tril::Launch<int8_t, 1>(tiling, *inversion, stream);
    } else {
        numbers ? neumann_tril::Launch<half, 2>(tiling, *inversion, stream)
                : neumann_tril::Launch<int16_t, 2>(tiling, *inversion, stream);
    }
    return nullptr;
}

}  // extern "C"
