// The quantised kernel, X = (I + A)^-1 on integer grids, and its entry points.
//
//     for each cube core, in parallel with its two vector cores:
//         vector core, for every second round of 512 rows:
//             wait until a place in the ring is free
//             A -> codes of the seeds (and of A) -> workspace                     quant_seed.h
//         cube core, for every unit of 128 rows:
//             8 bits:  seeds, blocks of A -> L1; all joins; X -> global memory  quant_products.h
//             16 bits: two int8 limbs; the sums of each join -> workspace           quant_sums.h
//         vector core, 16 bits: sums -> codes -> workspace, X         quant_codes.h
#include "../core/launch.h"
#include "codes.h"
#include "products.h"
#include "seed.h"
#include "sums.h"
#include "tiling.h"

namespace neumann_tril {

template <typename In, int32_t C, int32_t Limbs>
__global__ __mix__(1, 2) void QuantKernel(GM_ADDR a, GM_ADDR x, GM_ADDR workspace,
                                          GM_ADDR constants, GM_ADDR first_row, GM_ADDR valid_rows,
                                          QuantTask task) {
    AscendC::InitSocState();
    AscendC::SetCtrlSpr<48, 48>(1);
    const Chunks chunks(task.chunks, first_row, valid_rows);
    if ASCEND_IS_AIV {
        QuantSeedStage<In, C, Limbs> seeds(task, a, x, workspace, constants, chunks);
        seeds.Start();
        const int32_t rounds =
            Share(task.chunks.units, AscendC::GetBlockIdx() / 2, AscendC::GetBlockNum()).Rounds();
        if constexpr (C == kLeafRows || Limbs == 1) {
            for (int32_t j = 0; j < rounds; ++j) {
                seeds.Round(j);
            }
        } else {
            using Seeds = QuantSeedBuffers<In, C>;
            static_assert(Seeds::kWords <= QuantCodeBuffers::kWords &&
                              QuantCodeBuffers::kEnd <= Seeds::kSlices,
                          "the joins must leave the constants and the slices of A alone");
            QuantCodeStage<C> codes(task, x, workspace, constants, chunks);
            for (int32_t first = 0; first < rounds; first += RoundsHeld(Limbs)) {
                const int32_t held = first + RoundsHeld(Limbs);
                const int32_t end = held < rounds ? held : rounds;
                for (int32_t j = first; j < end; ++j) {
                    seeds.Round(j);
                }
                codes.Run(first, end);
            }
        }
    }
    if ASCEND_IS_AIC {
        if constexpr (C > kLeafRows && Limbs == 1) {
            QuantProductStage<C> stage(task, a, x, workspace, constants, chunks);
            stage.Run();
        }
        if constexpr (C > kLeafRows && Limbs == 2) {
            QuantSumStage<C> stage(task, workspace);
            stage.Run();
        }
    }
    AscendC::PipeBarrier<PIPE_ALL>();
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
