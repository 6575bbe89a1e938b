/* The C interface from plain C: what a program without Python sees of it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "neumann_tril_npu.h" /* with neumann_tril.h */

static int failures = 0;

#define CHECK(condition)                                           \
    do {                                                           \
        if (!(condition)) {                                        \
            printf("%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            ++failures;                                            \
        }                                                          \
    } while (0)

static int says(const char* reason, const char* word) {
    return reason != NULL && strstr(reason, word) != NULL;
}

enum { kC = 32, kHeads = 3, kLength = 75, kBatch = 2 };

/* Entry (r, c) of I + A times X below the valid rows must be that of I, to float32's accuracy. */
static void check_inverse(const float* a, const float* x, int64_t row_stride, int64_t rows) {
    int64_t r, c, k;
    for (r = 0; r < rows; ++r) {
        for (c = 0; c < kC; ++c) {
            double sum = x[r * row_stride + c] - (r == c), scale = fabs(x[r * row_stride + c]);
            for (k = 0; k < r; ++k) {
                const double product = (double)a[r * row_stride + k] * x[k * row_stride + c];
                sum += product;
                scale += fabs(product);
            }
            /* Substitution: each of r products and sums is rounded once. */
            if (fabs(sum) > (r + 1) * ldexp(1, -24) * scale * 2) {
                printf("row %d, column %d: residual %g\n", (int)r, (int)c, sum);
                ++failures;
                return;
            }
        }
    }
}

static float* random_numbers(size_t count) {
    float* numbers = malloc(count * sizeof(float));
    uint32_t state = 1;
    size_t i;
    for (i = 0; i < count; ++i) {
        state = state * 1664525u + 1013904223u;
        numbers[i] = (float)(state >> 8) / (1 << 24) - 0.5f;
    }
    return numbers;
}

static void invert(const nt_chunks* chunks, const float* a, float* x) {
    nt_plan plan;
    CHECK(nt_plan_named(&plan, "exact", kC, NT_FLOAT32) == NULL);
    CHECK(nt_cpu_inverse(&plan, chunks, a, NT_FLOAT32, x, NT_FLOAT32, 1) == NULL);
}

static void layouts(void) {
    const size_t count = (size_t)kBatch * kLength * kHeads * kC;
    float *a = random_numbers(count), *x = calloc(count, sizeof(float));
    nt_chunks chunks;
    int64_t b, h, t;
    CHECK(nt_chunks_time(&chunks, kC, NT_BTHC, kBatch, kLength, kHeads) == NULL);
    invert(&chunks, a, x);
    for (b = 0; b < kBatch; ++b)
        for (h = 0; h < kHeads; ++h)
            for (t = 0; t < kLength; t += kC) {
                const int64_t at = ((b * kLength + t) * kHeads + h) * kC;
                check_inverse(a + at, x + at, kHeads * kC, t + kC < kLength ? kC : kLength - t);
            }
    CHECK(nt_chunks_time(&chunks, kC, NT_BHTC, kBatch, kLength, kHeads) == NULL);
    invert(&chunks, a, x);
    for (b = 0; b < kBatch; ++b)
        for (h = 0; h < kHeads; ++h)
            for (t = 0; t < kLength; t += kC) {
                const int64_t at = ((b * kHeads + h) * kLength + t) * kC;
                check_inverse(a + at, x + at, kC, t + kC < kLength ? kC : kLength - t);
            }
    CHECK(nt_chunks_dense(&chunks, kC, 4) == NULL);
    invert(&chunks, a, x);
    for (b = 0; b < 4; ++b) check_inverse(a + b * kC * kC, x + b * kC * kC, kC, kC);
    CHECK(says(nt_chunks_dense(&chunks, kC, -1), "count"));
    CHECK(says(nt_chunks_dense(&chunks, 129, 1), "chunk_size"));
    CHECK(says(nt_chunks_time(&chunks, kC, 2, 1, 1, 1), "layout"));
    CHECK(says(nt_chunks_time(NULL, kC, 0, 1, 1, 1), "NULL"));
    free(a);
    free(x);
}

static void packed(int32_t layout) {
    const int64_t cu_seqlens[] = {0, 40, 40, 75}; /* 40 rows, none, 35 rows */
    const size_t count = (size_t)kLength * kHeads * kC;
    const int64_t row = layout == NT_BTHC ? kHeads * kC : kC;
    const int64_t head = layout == NT_BTHC ? kC : kLength * kC;
    float *a = random_numbers(count), *x = calloc(count, sizeof(float));
    int64_t first_row[4], valid_rows[4], n, h;
    nt_chunks chunks;
    CHECK(nt_chunk_table(cu_seqlens, 3, kC, NULL, NULL) == 4);
    CHECK(nt_chunk_table(cu_seqlens, 3, kC, first_row, valid_rows) == 4);
    CHECK(first_row[1] == 32 && valid_rows[1] == 8 && first_row[2] == 40 && valid_rows[3] == 3);
    CHECK(nt_chunks_packed(&chunks, kC, layout, kLength, kHeads, 4, first_row, valid_rows) == NULL);
    invert(&chunks, a, x);
    for (n = 0; n < 4; ++n)
        for (h = 0; h < kHeads; ++h) {
            const int64_t at = first_row[n] * row + h * head;
            check_inverse(a + at, x + at, row, valid_rows[n]);
        }
    CHECK(says(nt_chunks_packed(&chunks, kC, layout, 1, 1, 1, NULL, NULL), "first_row"));
    CHECK(nt_chunk_table(cu_seqlens + 1, 2, kC, NULL, NULL) == -1); /* does not start at 0 */
    free(a);
    free(x);
}

static void plans(void) {
    nt_plan plan = {0, 0, 0, 0, 0, 0};
    CHECK(nt_plan_named(&plan, "64:3:8:sequential:0:0", 64, NT_FLOAT16) == NULL);
    CHECK(plan.chunk_size == 64 && plan.bandwidth == 3 && plan.terms == 8);
    CHECK(plan.form == NT_FORM_SEQUENTIAL && plan.splits == 0 && plan.refinements == 0);
    CHECK(says(nt_plan_named(&plan, "64:3:8:sequential:0:0", 32, NT_FLOAT16), "another"));
    CHECK(says(nt_plan_named(&plan, "64:64:8:sequential:0:0", 64, NT_FLOAT16), "bandwidth"));
    CHECK(says(nt_plan_named(&plan, "64:3:8:sequential:0:0:", 64, NT_FLOAT16), "exact, fast"));
    CHECK(says(nt_plan_named(&plan, "64:3:8:sideways:0:0", 64, NT_FLOAT16), "exact, fast"));
    CHECK(says(nt_plan_named(&plan, "64:99999999999:8:doubling:0:0", 64, 0), "exact, fast"));
    CHECK(says(nt_plan_named(&plan, "best", 64, NT_FLOAT16), "exact, fast"));
    CHECK(says(nt_plan_named(&plan, "paper", 48, NT_FLOAT16), "16, 32, 64 and 128"));
    CHECK(says(nt_plan_named(&plan, "exact", 24, NT_FLOAT16), "chunk_size"));
    CHECK(says(nt_plan_named(&plan, "exact", 64, 4), "compute_dtype"));
    CHECK(says(nt_plan_named(NULL, "exact", 64, 0), "NULL"));
    CHECK(says(nt_plan_named(&plan, NULL, 64, 0), "NULL"));
}

int main(void) {
    CHECK(nt_version() == NT_VERSION);
    CHECK(strcmp(nt_version_string(), NT_VERSION_STRING) == 0);
    plans();
    layouts();
    packed(NT_BTHC);
    packed(NT_BHTC);
    printf("%s\n", failures ? "failed" : "passed");
    return failures != 0;
}
