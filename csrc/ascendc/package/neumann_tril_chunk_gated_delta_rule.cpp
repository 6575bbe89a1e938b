// The kernel of the custom operator NeumannTrilChunkGatedDeltaRule: one entry, compiled by CANN's
// operator build for every dtype of q (ORIG_DTYPE_Q) and every tiling key, 1000 * dtype of the
// operands + 64.
#include "../gated_delta/kernel.h"

extern "C" __global__ __aicore__ void neumann_tril_chunk_gated_delta_rule(
    GM_ADDR q, GM_ADDR k, GM_ADDR v, GM_ADDR beta, GM_ADDR g, GM_ADDR initial_state,
    GM_ADDR cu_seqlens, GM_ADDR o, GM_ADDR final_state, GM_ADDR chunk_states, GM_ADDR x,
    GM_ADDR workspace, GM_ADDR tiling) {
    REGISTER_TILING_DEFAULT(neumann_tril::RuleTask);
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIC_1_2);
    GET_TILING_DATA(task, tiling);
    if (task.streams == 0) {
        return;  // the C interface would not have launched anything
    }
    const neumann_tril::RuleTensors tensors{q,           k,
                                            v,           g,
                                            beta,        initial_state,
                                            cu_seqlens,  o,
                                            final_state, chunk_states,
                                            x,           AscendC::GetUserWorkspace(workspace)};
#if ORIG_DTYPE_Q == DT_FLOAT16
    if (TILING_KEY_IS(64)) {
        neumann_tril::RunRule<half, half>(task, tensors);
    }
#else
    if (TILING_KEY_IS(64)) {
        neumann_tril::RunRule<bfloat16_t, half>(task, tensors);
    } else if (TILING_KEY_IS(1064)) {
        neumann_tril::RunRule<bfloat16_t, bfloat16_t>(task, tensors);
    }
#endif
}
