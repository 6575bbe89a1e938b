// nt_cpu_inverse: checks a call, picks its kernels and shares its matrices out to threads.
#include "call.h"
#include "isa.h"

namespace neumann_tril {
namespace {

struct Inversion {
    Call call;
    Job job;
    Invert invert;
};

void run(void* context, int slot, int64_t begin, int64_t end) {
    const Inversion& inversion = *static_cast<const Inversion*>(context);
    invert_range(inversion.call, slot, begin, end,
                 [&](int64_t, const ChunkIterator&, const Chunk& chunk, void* scratch) {
                     inversion.invert(inversion.job, chunk, scratch);
                 });
}

bool is_exact(const nt_plan& plan) {
    const int32_t leaf = plan.chunk_size >> plan.splits;
    return static_cast<int64_t>(plan.terms) * (plan.bandwidth + 1) >= leaf;
}

}  // namespace
}  // namespace neumann_tril

using namespace neumann_tril;

extern "C" const char* nt_cpu_isa(void) { return isa().name; }

extern "C" const char* nt_cpu_inverse(const nt_plan* plan, const nt_chunks* chunks, const void* a,
                                      int32_t a_dtype, void* x, int32_t x_dtype, int32_t threads) {
    if (const char* error = nt_plan_error(plan)) return error;
    if (!chunks) return "chunks is NULL";
    if (a_dtype < NT_FLOAT16 || a_dtype > NT_FLOAT64) return "a_dtype is not a dtype code";
    if (x_dtype < NT_FLOAT16 || x_dtype > NT_FLOAT64) return "x_dtype is not a dtype code";
    if (threads < 0) return "threads must not be negative";
    int64_t count = 0;
    if (const char* error = chunks_error(*chunks, plan->chunk_size, count)) return error;
    if (count == 0) return nullptr;
    if (!a) return "a is NULL";
    if (!x) return "x is NULL";

    const bool wide = a_dtype == NT_FLOAT64 || x_dtype == NT_FLOAT64;
    const Kernels& kernels = wide ? isa().float64 : isa().float32;
    const bool exact = is_exact(*plan);
    Inversion inversion = {};
    inversion.call = prepare(inversion.job, *plan, *chunks, count, a, a_dtype, x, x_dtype,
                             kernels.rows, wide ? NT_FLOAT64 : NT_FLOAT32);
    inversion.invert = exact ? kernels.exact : kernels.truncated;
    inversion.call.scratch_bytes =
        (exact ? kernels.exact_scratch : kernels.truncated_scratch) * kernels.item_size;
    return share_out(inversion.call, count, threads, run, &inversion);
}
