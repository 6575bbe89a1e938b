/*
 * The C API of neumann-tril: the inverse of I + A for strictly lower triangular chunk matrices A.
 * Plain C, no Python and no torch. Every function is safe to call from several threads.
 */
#ifndef NEUMANN_TRIL_H
#define NEUMANN_TRIL_H

#include <stdint.h>

#include "neumann_tril/plan.h"

#if defined(_WIN32)
#define NT_API __declspec(dllexport)
#else
#define NT_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define NT_VERSION 1              /* of this interface; changes with every incompatible edit */
#define NT_VERSION_STRING "0.1.0" /* of the library */
#define NT_MAX_DIMS 8

/* The integers are codes of a quantised inverse, neumann_tril_quant.h. */
enum { NT_FLOAT16 = 0, NT_BFLOAT16 = 1, NT_FLOAT32 = 2, NT_FLOAT64 = 3, NT_INT8 = 4, NT_INT16 = 5 };

/* (B, T, H, C) and (B, H, T, C): row t of a chunk holds its C columns. */
enum { NT_BTHC = 0, NT_BHTC = 1 };

/*
 * The chunk matrices of a tensor and of the tensor that takes their inverses.
 *
 * Entry (r, c) of the matrix with batch index i lies at
 *     data + sum_k i[k] * stride[k] + r * row_stride + c * column_stride        (in elements).
 * On a time layout one batch dimension, `chunk_dim`, counts chunks of consecutive rows:
 *   - with `first_row` NULL, chunk n has rows n * C .. min((n + 1) * C, length) - 1;
 *   - with `first_row`, chunk n has the `valid_rows[n]` rows from first_row[n] on.
 * The stride of that dimension is not used: a row advances by row_stride.
 * Where chunk_dim is -1 every matrix has all C rows.
 *
 * Read: A[r][c] for c < r, r below the chunk's valid rows. Nothing else is touched.
 * Written: all C columns of the valid rows, zero above the diagonal.
 */
typedef struct nt_chunks {
    int32_t dims; /* 0..NT_MAX_DIMS batch dimensions */
    int32_t chunk_dim;
    int64_t size[NT_MAX_DIMS];
    int64_t a_stride[NT_MAX_DIMS];
    int64_t x_stride[NT_MAX_DIMS];
    int64_t a_row_stride, a_column_stride;
    int64_t x_row_stride, x_column_stride;
    int64_t length; /* rows of the time axis; read only if chunk_dim >= 0 and first_row is NULL */
    const int64_t* first_row;
    const int64_t* valid_rows;
} nt_chunks;

/* NT_VERSION and NT_VERSION_STRING of the library, which a program compares with its header's. */
NT_API int32_t nt_version(void);
NT_API const char* nt_version_string(void);

/* NULL if the plan can be evaluated, otherwise the reason (static text). */
NT_API const char* nt_plan_error(const nt_plan* plan);

/*
 * The plan that a name stands for: "exact", "fast" or "paper", as plan_for() in Python has them for
 * operands of this dtype; or a plan's fields as text, "64:3:8:sequential:0:0" (chunk_size,
 * bandwidth, terms, form, splits, refinements). Returns NULL, or the reason why there is none.
 */
NT_API const char* nt_plan_named(nt_plan* plan, const char* name, int32_t chunk_size,
                                 int32_t compute_dtype);

/*
 * Fill the description of contiguous tensors, A and X alike, with chunks of chunk_size rows:
 *   dense    (count, C, C), every matrix whole
 *   time     (B, T, H, C) or (B, H, T, C); the last chunk of a sequence may be short
 *   packed   one time axis (T, H, C) or (H, T, C) with the chunks of a table, which
 *            nt_chunk_table() makes and which must be where the kernels run (on the device for the
 *            NPU). Pass NT_BTHC for (T, H, C), NT_BHTC for (H, T, C).
 * Other strides can be set afterwards. Return NULL, or the reason why nothing was filled in.
 */
NT_API const char* nt_chunks_dense(nt_chunks* chunks, int32_t chunk_size, int64_t count);
NT_API const char* nt_chunks_time(nt_chunks* chunks, int32_t chunk_size, int32_t layout,
                                  int64_t batch, int64_t length, int64_t heads);
NT_API const char* nt_chunks_packed(nt_chunks* chunks, int32_t chunk_size, int32_t layout,
                                    int64_t length, int64_t heads, int64_t count,
                                    const int64_t* first_row, const int64_t* valid_rows);

/*
 * The chunks of packed sequences: sequence s has the rows cu_seqlens[s] .. cu_seqlens[s + 1] - 1,
 * so cu_seqlens has sequences + 1 entries, from 0 on, not decreasing. Fills first_row and
 * valid_rows unless they are NULL, and returns how many chunks there are, or -1 for other
 * cu_seqlens.
 */
NT_API int64_t nt_chunk_table(const int64_t* cu_seqlens, int64_t sequences, int32_t chunk_size,
                              int64_t* first_row, int64_t* valid_rows);

/* The instruction set the CPU kernels use: "avx512", "avx2", "neon" or "portable". */
NT_API const char* nt_cpu_isa(void);

/*
 * X = (I + A)^-1 as the plan says, on the CPU, computed in float64 if either dtype is NT_FLOAT64
 * and in float32 otherwise. A plan that is exact is evaluated by substitution; a truncated one
 * gives the truncated result. The result does not depend on `threads` (0: one per core). Returns
 * NULL, or the reason why nothing was done (static text).
 */
NT_API const char* nt_cpu_inverse(const nt_plan* plan, const nt_chunks* chunks, const void* a,
                                  int32_t a_dtype, void* x, int32_t x_dtype, int32_t threads);

#ifdef __cplusplus
}
#endif

#endif /* NEUMANN_TRIL_H */
