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

}  // namespace

Shares shares_of(int64_t count, int64_t entries, int32_t threads) {
    if (count * entries <= kInlineEntries) threads = 1;
    if (threads == 0) threads = available_cores();
    const int64_t least = std::max<int64_t>(1, kInlineEntries / entries);
    const int64_t grain = std::max(least, count / (8 * static_cast<int64_t>(threads)));
    return {grain, static_cast<int32_t>(
                       std::min<int64_t>({threads, kMaxThreads, (count + grain - 1) / grain}))};
}

bool wants_stream(const nt_chunks& chunks, int32_t chunk_size, int64_t count, const void* x,
                  size_t x_item) {
    const int64_t bytes = chunk_size * chunk_size * static_cast<int64_t>(x_item);
    return count >= kStreamBytes / bytes && rows_fill_cache_lines(chunks, chunk_size, x, x_item);
}

void* thread_scratch(size_t bytes) {
    thread_local std::unique_ptr<void, Release> scratch;
    thread_local size_t size = 0;
    if (size < bytes) {
        scratch.reset(std::aligned_alloc(kCacheLine, bytes));
        size = scratch ? bytes : 0;
    }
    return scratch.get();
}

}  // namespace neumann_tril
