// The quantised kernel, X = (I + A)^-1 on integer grids, and its entry points.
//
//     for each cube core, in parallel with its two vector cores:
//         vector core, for every second round of 512 rows:
//             wait until a place in the ring is free
//             A -> codes of the seeds (and of A) -> workspace                     quant_seed.h
//         cube core, for every unit of 128 rows:
//             seeds, blocks of A -> L1; all joins; X -> global memory         quant_products.h
#include "launch.h"
#include "quant_products.h"
#include "quant_seed.h"
#include "quant_tiling.h"

namespace neumann_tril {

template <typename In, int32_t C>
__global__ __mix__(1, 2) void QuantKernel(GM_ADDR a, GM_ADDR x, GM_ADDR workspace,
                                          GM_ADDR constants, GM_ADDR first_row, GM_ADDR valid_rows,
                                          QuantTask task) {
    AscendC::InitSocState();
    AscendC::SetCtrlSpr<48, 48>(1);
    const ChunkTable table(first_row, valid_rows);
    if ASCEND_IS_AIV {
        QuantSeedStage<In, C, 1> stage(task, a, x, workspace, constants, table);
        stage.Run();
    }
    if ASCEND_IS_AIC {
        if constexpr (C > kLeafRows) {
            QuantProductStage<C> stage(task, a, x, workspace, constants, table);
            stage.Run();
        }
    }
    AscendC::PipeBarrier<PIPE_ALL>();
}

namespace {

template <typename In, int32_t C>
void LaunchFor(const QuantTiling& tiling, const nt_npu_quantized& inversion, void* stream) {
    const auto address = [](const void* pointer) {
        return static_cast<uint8_t*>(const_cast<void*>(pointer));
    };
    NT_LAUNCH_MIX((QuantKernel<In, C>), tiling.blocks, stream, address(inversion.a),
                  address(inversion.x), address(inversion.workspace),
                  address(inversion.quant.constants), address(inversion.chunks.first_row),
                  address(inversion.chunks.valid_rows), tiling.task);
}

template <typename In>
void Launch(const QuantTiling& tiling, const nt_npu_quantized& inversion, void* stream) {
    switch (inversion.plan.chunk_size) {
        case 16:
            LaunchFor<In, 16>(tiling, inversion, stream);
            break;
        case 32:
            LaunchFor<In, 32>(tiling, inversion, stream);
            break;
        case 64:
            LaunchFor<In, 64>(tiling, inversion, stream);
            break;
        default:
            LaunchFor<In, 128>(tiling, inversion, stream);
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
    if (inversion->a_dtype == NT_INT8) {
        neumann_tril::Launch<int8_t>(tiling, *inversion, stream);
    } else {
        neumann_tril::Launch<half>(tiling, *inversion, stream);
    }
    return nullptr;
}

}  // extern "C"
