/* The plan of an inversion, shared by host and device code. */
#ifndef NEUMANN_TRIL_PLAN_H
#define NEUMANN_TRIL_PLAN_H

#include <stdint.h>

enum { NT_FORM_SEQUENTIAL = 0, NT_FORM_DOUBLING = 1 };

/*
 * How the inverse of I + A is evaluated. `bandwidth` and `terms` refer to the leaves, the
 * chunk_size / 2^splits square blocks on the diagonal that remain after `splits` halvings.
 * A leaf's result is exact for distances i - j < terms * (bandwidth + 1).
 */
typedef struct nt_plan {
    int32_t chunk_size;  /* C: a multiple of 16, 16..128 */
    int32_t bandwidth;   /* w: the seed keeps 0 <= i - j <= w; 0 <= w < leaf */
    int32_t terms;       /* S: terms of the residual sum, >= 1; a power of two in doubling form */
    int32_t form;        /* NT_FORM_SEQUENTIAL or NT_FORM_DOUBLING */
    int32_t splits;      /* halvings of the chunk, 0..3; the leaf is a multiple of 16 */
    int32_t refinements; /* residual steps X <- X + X (I - (I + A) X) on the whole chunk, >= 0 */
} nt_plan;

#endif /* NEUMANN_TRIL_PLAN_H */
