#include "call.h"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <new>

#include "pool.h"

namespace neumann_tril {
namespace {

// Entries of a batch that is done before another thread is awake: about 30 us of work.
constexpr int64_t kInlineEntries = 1 << 16;

// Results larger than a core's share of the last cache would not stay there: write past it.
constexpr int64_t kStreamBytes = 8 << 20;

constexpr int32_t kMaxThreads = 256;

struct Release {
    void operator()(void* p) const { std::free(p); }
};

// How a batch is shared out: ranges of `grain` matrices, on `threads` threads.
struct Shares {
    int64_t grain;
    int32_t threads;
};
// Of matrices of `entries` entries.
Shares shares_of(int64_t count, int64_t entries, int32_t threads) {
    if (count * entries <= kInlineEntries) threads = 1;
    if (threads == 0) threads = available_cores();
    const int64_t least = std::max<int64_t>(1, kInlineEntries / entries);
    const int64_t grain = std::max(least, count / (8 * static_cast<int64_t>(threads)));
    return {grain, static_cast<int32_t>(
                       std::min<int64_t>({threads, kMaxThreads, (count + grain - 1) / grain}))};
}

// Whether results should be written past the caches, which would not hold them.
bool wants_stream(const nt_chunks& chunks, int32_t chunk_size, int64_t count, const void* x,
                  size_t x_item) {
    const int64_t bytes = chunk_size * chunk_size * static_cast<int64_t>(x_item);
    return count >= kStreamBytes / bytes && rows_fill_cache_lines(chunks, chunk_size, x, x_item);
}

// Memory the calling thread keeps for its calls, at least `bytes`; NULL if there is none left.
void* thread_scratch(size_t bytes) {
    thread_local std::unique_ptr<void, Release> scratch;
    thread_local size_t size = 0;
    if (size < bytes) {
        scratch.reset(std::aligned_alloc(kCacheLine, bytes));
        size = scratch ? bytes : 0;
    }
    return scratch.get();
}

}  // namespace

Call prepare(Job& job, const nt_plan& plan, const nt_chunks& chunks, int64_t count, const void* a,
             int32_t a_dtype, void* x, int32_t x_dtype, const RowKernels& rows,
             int32_t compute_dtype) {
    Call call = {};
    call.chunks = &chunks;
    call.chunk_size = plan.chunk_size;
    call.a = a;
    call.x = x;
    call.a_item = kItemSize[a_dtype];
    call.x_item = kItemSize[x_dtype];
    const bool stream = wants_stream(chunks, plan.chunk_size, count, x, call.x_item);
    call.fence = stream ? rows.fence : [] {};
    job.plan = plan;
    job.a_row_stride = chunks.a_row_stride;
    job.a_column_stride = chunks.a_column_stride;
    job.x_row_stride = chunks.x_row_stride;
    job.x_column_stride = chunks.x_column_stride;
    job.a_item = static_cast<ptrdiff_t>(call.a_item);
    job.a_in_place = a_dtype == compute_dtype && chunks.a_column_stride == 1;
    job.load = rows.load[a_dtype];
    job.store = (stream ? rows.stream : rows.store)[x_dtype];
    return call;
}

const char* share_out(Call& call, int64_t count, int32_t threads,
                      void (*work)(void* context, int slot, int64_t begin, int64_t end),
                      void* context) {
    const Shares shares = shares_of(count, call.chunk_size * call.chunk_size, threads);
    call.scratch = static_cast<char*>(
        thread_scratch(static_cast<size_t>(shares.threads) * call.scratch_bytes));
    if (!call.scratch) return "out of memory";
    parallel_for(count, shares.grain, shares.threads, work, context);
    return nullptr;
}

}  // namespace neumann_tril
