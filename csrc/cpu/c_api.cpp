// nt_cpu_inverse: checks a call, picks its kernels and shares its matrices out to threads.
#include "call.h"
#include "isa.h"
#include "pool.h"

namespace neumann_tril {
namespace {

struct Call {
    const nt_chunks* chunks;
    const void* a;
    void* x;
    size_t a_item, x_item;
    Job job;
    Invert invert;
    size_t scratch_bytes;
    void (*fence)();
    char* scratch;  // scratch_bytes for every slot
};

void invert_range(void* context, int slot, int64_t begin, int64_t end) {
    const Call& call = *static_cast<const Call*>(context);
    char* scratch = call.scratch + static_cast<size_t>(slot) * call.scratch_bytes;
    ChunkIterator chunk(*call.chunks, call.job.plan.chunk_size, call.a, call.a_item, call.x,
                        call.x_item, begin);
    Chunk current = *chunk;
    for (int64_t n = begin; n < end; ++n) {
        ++chunk;
        const Chunk next = *chunk;
        if (n + 1 < end) current.next_a = next.a;
        call.invert(call.job, current, scratch);
        current = next;
    }
    call.fence();
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
    const size_t a_item = kItemSize[a_dtype], x_item = kItemSize[x_dtype];
    const bool stream = wants_stream(*chunks, plan->chunk_size, count, x, x_item);

    Call call = {};
    call.chunks = chunks;
    call.a = a;
    call.x = x;
    call.a_item = a_item;
    call.x_item = x_item;
    call.job.plan = *plan;
    call.job.a_row_stride = chunks->a_row_stride;
    call.job.a_column_stride = chunks->a_column_stride;
    call.job.x_row_stride = chunks->x_row_stride;
    call.job.x_column_stride = chunks->x_column_stride;
    call.job.a_item = static_cast<ptrdiff_t>(a_item);
    call.job.a_in_place = a_item == kernels.item_size && chunks->a_column_stride == 1;
    call.job.load = kernels.load[a_dtype];
    call.job.store = (stream ? kernels.stream : kernels.store)[x_dtype];
    call.fence = stream ? kernels.fence : [] {};
    const bool exact = is_exact(*plan);
    call.invert = exact ? kernels.exact : kernels.truncated;
    call.scratch_bytes =
        (exact ? kernels.exact_scratch : kernels.truncated_scratch) * kernels.item_size;

    const Shares shares = shares_of(count, plan->chunk_size * plan->chunk_size, threads);
    call.scratch = static_cast<char*>(
        thread_scratch(static_cast<size_t>(shares.threads) * call.scratch_bytes));
    if (!call.scratch) return "out of memory";
    parallel_for(count, shares.grain, shares.threads, invert_range, &call);
    return nullptr;
}
