// The kernel's entry points: launched by the C interface of neumann_tril_npu.h.
#include "../core/launch.h"
#include "intra.h"
#include "kernel.h"
#include "tiling.h"

namespace neumann_tril {

template <typename In, typename T>
__global__ __mix__(1, 2) void RuleKernel(RuleTensors tensors, RuleTask task) {
    RunRule<In, T>(task, tensors);
}

template <typename In, typename T>
__global__ __mix__(1, 2) void IntraKernel(IntraTensors tensors, RuleTask task) {
    RunIntra<In, T>(task, tensors);
}

namespace {

uint8_t* Address(const void* pointer) { return static_cast<uint8_t*>(const_cast<void*>(pointer)); }

template <typename In, typename T>
void Launch(const RuleTiling& tiling, const nt_npu_rule_tensors& given, void* stream) {
    const RuleTensors tensors{Address(given.q),           Address(given.k),
                              Address(given.v),           Address(given.g),
                              Address(given.beta),        Address(given.initial_state),
                              Address(given.bounds),      Address(given.o),
                              Address(given.final_state), Address(given.chunk_states),
                              Address(given.x),           Address(given.workspace)};
    NT_LAUNCH_MIX((RuleKernel<In, T>), tiling.blocks, stream, tensors, tiling.task);
}

template <typename In, typename T>
void Launch(const RuleTiling& tiling, const nt_npu_intra_tensors& given, void* stream) {
    const IntraTensors tensors{
        Address(given.k),    Address(given.v),      Address(given.g),
        Address(given.beta), Address(given.bounds), Address(given.w),
        Address(given.u),    Address(given.x),      Address(given.workspace)};
    NT_LAUNCH_MIX((IntraKernel<In, T>), tiling.blocks, stream, tensors, tiling.task);
}

template <class Call>
const char* LaunchCall(const Call& call, void* stream) {
    const RuleTiling tiling = Tile(call);
    if (tiling.refusal != nullptr || tiling.blocks == 0) {
        return tiling.refusal;
    }
    if (call.dtype == NT_FLOAT16) {
        Launch<half, half>(tiling, call.tensors, stream);
    } else if (call.compute_dtype == NT_FLOAT16) {
        Launch<bfloat16_t, half>(tiling, call.tensors, stream);
    } else {
        Launch<bfloat16_t, bfloat16_t>(tiling, call.tensors, stream);
    }
    return nullptr;
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
    return neumann_tril::LaunchCall(*rule, stream);
}

const char* nt_npu_intra_refusal(const nt_npu_intra* intra) {
    return neumann_tril::Tile(*intra).refusal;
}

int64_t nt_npu_intra_workspace_bytes(const nt_npu_intra* intra) {
    return neumann_tril::Tile(*intra).workspace_bytes;
}

const char* nt_npu_gated_delta_intra(const nt_npu_intra* intra, void* stream) {
    return neumann_tril::LaunchCall(*intra, stream);
}

}  // extern "C"
