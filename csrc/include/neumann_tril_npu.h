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

/*
 * The gated delta rule by chunks of 64 tokens: o and the states, from tokens and gates, in one
 * launch. Layouts are those of flash-linear-attention: q, k (B, T, H, K), v, o (B, T, HV, V), g and
 * beta (B, T, HV), states (N, HV, K, V). Sizes of the last dimension are contiguous, o and the
 * states in all of theirs. With packed sequences B is 1, and `bounds` has N + 1 ascending starts.
 */
#define NT_NONE (-1) /* in place of the dtype of a tensor that is not there */

typedef struct nt_token_strides { /* in elements */
    int64_t batch, time, head;
} nt_token_strides;

typedef struct nt_token_numbers { /* a number for each token and head */
    nt_token_strides strides;
    int32_t data_dtype; /* NT_FLOAT16, NT_BFLOAT16 or NT_FLOAT32 */
} nt_token_numbers;

typedef struct nt_npu_rule_tensors { /* device pointers */
    const void *q, *k, *v, *g, *beta;
    const float* initial_state; /* (N, HV, K, V) or NULL */
    const int64_t* bounds;      /* (N + 1,) or NULL */
    void* o;                    /* rows of no sequence are not written */
    float* final_state;  /* (N, HV, K, V) or NULL; that of an empty sequence is not written */
    float* chunk_states; /* (chunks of all sequences, HV, K, V) or NULL: the state that each chunk
                            finds */
    float* x;            /* (B, T, HV, 64) or NULL: row t of X = (I + A)^-1 of the chunk of t */
    void* workspace;     /* nt_npu_rule_workspace_bytes() bytes, 512-byte aligned */
} nt_npu_rule_tensors;

typedef struct nt_npu_rule {
    nt_plan plan;          /* of the inverse; chunk_size 64, with products */
    int32_t dtype;         /* of q, k, v and o: NT_FLOAT16 or NT_BFLOAT16 */
    int32_t compute_dtype; /* of the operands of the products: NT_FLOAT16, or NT_BFLOAT16 with
                              tokens of that dtype */
    int32_t heads, value_heads, key_size, value_size; /* H, HV, K, V */
    int64_t sequences;                                /* N */
    int64_t length; /* T, of each sequence where they are not packed */
    nt_token_strides q, k, v;
    nt_token_numbers g, beta; /* g: NT_NONE where nothing decays */
    int32_t packed;           /* 1: bounds say where sequences start */
    int32_t normalize;        /* 1: q and k are divided by their lengths */
    int32_t initial_state, final_state, chunk_states, x; /* 1: there is such a tensor */
    float scale;                                         /* of q */
    int32_t cube_cores;                                  /* of the device */
    nt_npu_rule_tensors tensors;
} nt_npu_rule;

/* As the three functions above. */
NT_API const char* nt_npu_rule_refusal(const nt_npu_rule* rule);
NT_API int64_t nt_npu_rule_workspace_bytes(const nt_npu_rule* rule);
NT_API const char* nt_npu_gated_delta_rule(const nt_npu_rule* rule, void* stream);

/*
 * What chunks of 64 tokens write into the state, X = (I + A)^-1, u = X (beta v) and
 * w = X (beta G k), for those who keep their own kernel of the state. Layouts as above; X is
 * (B, T, HV, 64).
 */
typedef struct nt_npu_intra_tensors { /* device pointers */
    const void *k, *v, *g, *beta;
    const int64_t* bounds; /* (N + 1,) or NULL */
    void *w, *u;     /* (B, T, HV, K) and (B, T, HV, V); rows of no sequence are not written */
    void* x;         /* or NULL */
    void* workspace; /* nt_npu_intra_workspace_bytes() bytes, 512-byte aligned */
} nt_npu_intra_tensors;

typedef struct nt_npu_intra {
    nt_plan plan;          /* as for the rule */
    int32_t dtype;         /* of k, v, w and u: NT_FLOAT16 or NT_BFLOAT16 */
    int32_t compute_dtype; /* of the operands of the inverse */
    int32_t heads, value_heads, key_size, value_size; /* H, HV, K, V */
    int64_t sequences;                                /* N */
    int64_t length;                                   /* T */
    nt_token_strides k, v;
    nt_token_numbers g, beta; /* g: NT_NONE where nothing decays */
    int32_t packed;
    int32_t x_dtype; /* NT_FLOAT32, dtype, or NT_NONE */
    float gate_unit; /* 0: g is of each token; otherwise g is its sum within the chunk, in such
                        units: 1, or ln 2 for powers of two */
    int32_t cube_cores;
    nt_npu_intra_tensors tensors;
} nt_npu_intra;

/* As the three functions above. */
NT_API const char* nt_npu_intra_refusal(const nt_npu_intra* intra);
NT_API int64_t nt_npu_intra_workspace_bytes(const nt_npu_intra* intra);
NT_API const char* nt_npu_gated_delta_intra(const nt_npu_intra* intra, void* stream);

#ifdef __cplusplus
}
#endif

#endif /* NEUMANN_TRIL_NPU_H */
