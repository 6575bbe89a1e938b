// The kernel's entry points: launched by the C interface of neumann_tril_npu.h.
#include "../core/launch.h"
#include "kernel.h"
#include "tiling.h"

namespace neumann_tril {

template <typename In, typename T>
__global__ __mix__(1, 2) void RuleKernel(RuleTensors tensors, RuleTask task) {
    RunRule<In, T>(task, tensors);
}

namespace {

template <typename In, typename T>
void Launch(const RuleTiling& tiling, const nt_npu_rule_tensors& given, void* stream) {
    const auto address = [](const void* pointer) {
        return static_cast<uint8_t*>(const_cast<void*>(pointer));
    };
    const RuleTensors tensors{address(given.q),           address(given.k),
                              address(given.v),           address(given.g),
                              address(given.beta),        address(given.initial_state),
                              address(given.bounds),      address(given.o),
                              address(given.final_state), address(given.chunk_states),
                              address(given.x),           address(given.workspace)};
    NT_LAUNCH_MIX((RuleKernel<In, T>), tiling.blocks, stream, tensors, tiling.task);
}

}  // namespace

}  // namespace neumann_tril

extern "C" {

const char* nt_npu_rule_refusal(const nt_npu_rule* rule) {
    return neumann_tril::Tile(*rule).refusal;
}

int64_t nt_npu_rule_workspace_bytes(const nt_npu_rule* rule) {
    return neumann_tril::Tile(*rule).workspace_bytes;
}

const char* nt_npu_gated_delta_rule(const nt_npu_rule* rule, void* stream) {
    const neumann_tril::RuleTiling tiling = neumann_tril::Tile(*rule);
    if (tiling.refusal != nullptr || tiling.blocks == 0) {
        return tiling.refusal;
    }
    if (rule->dtype == NT_FLOAT16) {
        neumann_tril::Launch<half, half>(tiling, rule->tensors, stream);
    } else if (rule->compute_dtype == NT_FLOAT16) {
        neumann_tril::Launch<bfloat16_t, half>(tiling, rule->tensors, stream);
    } else {
        neumann_tril::Launch<bfloat16_t, bfloat16_t>(tiling, rule->tensors, stream);
    }
    return nullptr;
}

}  // extern "C"
