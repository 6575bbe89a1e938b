/*
 * The C API of the NPU kernels. The same interface is that of the library which runs the very same
 * kernel sources on a CPU, under the emulator. Plain C, no Python and no torch.
 */
#ifndef NEUMANN_TRIL_NPU_H
#define NEUMANN_TRIL_NPU_H

#include "neumann_tril.h"
#include "neumann_tril_quant.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One inversion, X = (I + A)^-1 of every chunk matrix. All pointers are device pointers. */
typedef struct nt_npu_inversion {
    nt_plan plan;          /* chunk_size 16, 32, 64 or 128 */
    nt_chunks chunks;      /* column strides 1; first_row and valid_rows are device pointers too */
    int32_t a_dtype;       /* NT_FLOAT16, NT_BFLOAT16 or NT_FLOAT32 */
    int32_t x_dtype;       /* the same three */
    int32_t compute_dtype; /* dtype of the operands of every product; NT_FLOAT32 without products */
    int32_t cube_cores;    /* of the device */
    const void* a;
    void* x;
    void* workspace; /* nt_npu_workspace_bytes() bytes, 512-byte aligned; contents do not matter */
} nt_npu_inversion;

/* NULL if the kernels can do it, otherwise the reason (static text). Pointers are not looked at. */
NT_API const char* nt_npu_refusal(const nt_npu_inversion* inversion);

/* Bytes of workspace it needs; 0 if it would be refused. */
NT_API int64_t nt_npu_workspace_bytes(const nt_npu_inversion* inversion);

/*
 * Puts the inversion on the stream (an aclrtStream; the emulator alone ignores it) and returns: no
 * synchronisation, no allocation, no copy. Returns NULL, or the reason why nothing was launched.
 */
NT_API const char* nt_npu_inverse(const nt_npu_inversion* inversion, void* stream);

/*
 * One inversion on the grids of `quant`, bit for bit that of nt_cpu_inverse_quantized(). All
 * pointers, quant.constants too, are device pointers.
 */
typedef struct nt_npu_quantized {
    nt_plan plan;     /* blocked: leaves of 16 rows, their whole inverse as seed, no refinement */
    nt_chunks chunks; /* as above */
    nt_quant quant;   /* with constants */
    int32_t a_dtype;  /* NT_FLOAT16 or codes: NT_INT8 (8 bits), NT_INT16 (16 bits). -128 is no code
                         of A */
    int32_t x_dtype;  /* the same */
    int32_t cube_cores;
    const void* a;
    void* x;
    void* workspace; /* nt_npu_quantized_workspace_bytes() bytes, 512-byte aligned */
} nt_npu_quantized;

/* As the three functions above. */
NT_API const char* nt_npu_quantized_refusal(const nt_npu_quantized* inversion);
NT_API int64_t nt_npu_quantized_workspace_bytes(const nt_npu_quantized* inversion);
NT_API const char* nt_npu_inverse_quantized(const nt_npu_quantized* inversion, void* stream);

#ifdef __cplusplus
}
#endif

#endif /* NEUMANN_TRIL_NPU_H */
