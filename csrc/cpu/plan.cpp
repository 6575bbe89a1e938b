// What plans can be evaluated.
#include "job.h"

extern "C" const char* nt_plan_error(const nt_plan* plan) {
    if (!plan) return "plan is NULL";
    const int32_t n = plan->chunk_size;
    if (n < 16 || n > neumann_tril::kMaxChunk || n % 16 != 0)
        return "chunk_size must be a multiple of 16 from 16 to 128";
    if (plan->splits < 0 || plan->splits > 3) return "splits must be 0, 1, 2 or 3";
    const int32_t leaf = n >> plan->splits;
    if (leaf << plan->splits != n || leaf % 16 != 0)
        return "splits must leave a leaf, chunk_size / 2^splits, that is a multiple of 16";
    if (plan->bandwidth < 0 || plan->bandwidth >= leaf)
        return "bandwidth must be at least 0 and below the leaf, chunk_size / 2^splits";
    if (plan->terms < 1) return "terms must be at least 1";
    if (plan->form != NT_FORM_SEQUENTIAL && plan->form != NT_FORM_DOUBLING)
        return "form must be NT_FORM_SEQUENTIAL or NT_FORM_DOUBLING";
    if (plan->form == NT_FORM_DOUBLING && (plan->terms & (plan->terms - 1)) != 0)
        return "terms must be a power of two in doubling form";
    if (plan->refinements < 0) return "refinements must be at least 0";
    return nullptr;
}
