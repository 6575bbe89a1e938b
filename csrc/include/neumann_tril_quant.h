/*
 * The C API of the quantised inverse: every intermediate of a plan is a matrix of integer codes of
 * 8 or 16 bits, and every product an exact integer sum. Plain C. The meaning, to the bit, is that
 * of python/neumann_tril/grids/reference.py.
 */
#ifndef NEUMANN_TRIL_QUANT_H
#define NEUMANN_TRIL_QUANT_H

#include "neumann_tril.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The grids of a plan. Codes reach from -127 to 127 for 8 bits (from -128 for all but A's), and
 * from -32639 to 32639 for 16. Matrices with a unit diagonal lie on grids 1 / n, n an integer up to
 * the largest code.
 *
 * A row of constants is
 *     a_inverse, a_scale  the multiplier from A to its codes, and back
 *     m                   M = I + A lies on the grid 1 / m; 0 if the plan does not form M
 *     n                   X lies on the grid 1 / n
 * and for each further intermediate, in the order in which the plan forms them (R, the residual of
 * the leaves, and P1, P2.. its powers R^2, R^4.. in doubling form, if terms > 1; T0, T1.., the
 * A21 X11 of each join from the leaves up; E0, E1.., the residuals of the refinements):
 *     p                   it lies on the grid 1 / p; 0 for T
 *     to_grid             from its sum to its codes
 *     to_x, wide          from the sum that it makes part of X to codes of X, and to numbers
 */
typedef struct nt_quant {
    int32_t bits;           /* 8 or 16 */
    int32_t groups;         /* rows of constants; 0: scales per chunk, found on the fly */
    int32_t group_dim;      /* batch dimension whose index is the row of a matrix, of size `groups`;
                               -1: all matrices have row 0 */
    const float* constants; /* groups x nt_quant_constants(plan); not read if groups is 0 */
} nt_quant;

/* Numbers in a row of constants; 0 if nt_plan_error() refuses the plan. */
NT_API int32_t nt_quant_constants(const nt_plan* plan);

/*
 * X = (I + A)^-1 on the grids of `quant`, on the CPU.
 *
 * a_dtype: any; NaN counts as zero. Integers are codes: the numbers are code * a_scale; they need
 *     constants.
 * x_dtype: NT_FLOAT16, NT_BFLOAT16, NT_FLOAT32: numbers, never infinite; NT_INT8 (8 bits) or
 *     NT_INT16 (16 bits): codes of X, with 1 / n for scale.
 * x_scale: takes 1 / n of every matrix, in the order of the batch index, the last dimension
 *     fastest; may be NULL.
 * saturated: takes the number of codes beyond their grid, of all intermediates of all matrices;
 *     may be NULL.
 * The result does not depend on `threads` (0: one per core). Returns NULL, or the reason why
 * nothing was done (static text).
 */
NT_API const char* nt_cpu_inverse_quantized(const nt_plan* plan, const nt_quant* quant,
                                            const nt_chunks* chunks, const void* a, int32_t a_dtype,
                                            void* x, int32_t x_dtype, float* x_scale,
                                            int64_t* saturated, int32_t threads);

#ifdef __cplusplus
}
#endif

#endif /* NEUMANN_TRIL_QUANT_H */
