// The kernel of the custom operator NeumannTrilInverse: one entry, compiled by CANN's operator
// build for every dtype of A (ORIG_DTYPE_A) and every tiling key, 1000 * dtype of the operands + C.
#include "../inverse/kernel.h"

#define NT_INVERT(T, C) \
    neumann_tril::Invert<T, C>(task, a, x, user_workspace, first_row, valid_rows)

extern "C" __global__ __aicore__ void neumann_tril_inverse(GM_ADDR a, GM_ADDR first_row,
                                                           GM_ADDR valid_rows, GM_ADDR x,
                                                           GM_ADDR workspace, GM_ADDR tiling) {
    REGISTER_TILING_DEFAULT(neumann_tril::InverseTask);
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIC_1_2);
    GET_TILING_DATA(task, tiling);
    if (task.chunks.matrices == 0) {
        return;  // the C interface would not have launched anything
    }
    GM_ADDR user_workspace = AscendC::GetUserWorkspace(workspace);
#if ORIG_DTYPE_A != DT_BF16
    if (TILING_KEY_IS(16)) {
        NT_INVERT(half, 16);
    } else if (TILING_KEY_IS(32)) {
        NT_INVERT(half, 32);
    } else if (TILING_KEY_IS(64)) {
        NT_INVERT(half, 64);
    } else if (TILING_KEY_IS(128)) {
        NT_INVERT(half, 128);
    }
#endif
#if ORIG_DTYPE_A != DT_FLOAT16
    if (TILING_KEY_IS(1016)) {
        NT_INVERT(bfloat16_t, 16);
    } else if (TILING_KEY_IS(1032)) {
        NT_INVERT(bfloat16_t, 32);
    } else if (TILING_KEY_IS(1064)) {
        NT_INVERT(bfloat16_t, 64);
    } else if (TILING_KEY_IS(1128)) {
        NT_INVERT(bfloat16_t, 128);
    }
#endif
#if ORIG_DTYPE_A == DT_FLOAT
    if (TILING_KEY_IS(2016)) {
        NT_INVERT(float, 16);
    } else if (TILING_KEY_IS(2032)) {
        NT_INVERT(float, 32);
    } else if (TILING_KEY_IS(2064)) {
        NT_INVERT(float, 64);
    } else if (TILING_KEY_IS(2128)) {
        NT_INVERT(float, 128);
    }
#endif
}
