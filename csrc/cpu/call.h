// What calls of the C API have in common.
#pragma once

#include "batch.h"

namespace neumann_tril {

constexpr size_t kItemSize[] = {2, 2, 4, 8, 1, 2};  // by dtype code

// How a batch is shared out: ranges of `grain` matrices, on `threads` threads.
struct Shares {
    int64_t grain;
    int32_t threads;
};
// Of `count` > 0 matrices of `entries` entries; `threads` as the caller asks for, 0: one per core.
Shares shares_of(int64_t count, int64_t entries, int32_t threads);

// Whether results should be written past the caches, which would not hold them.
bool wants_stream(const nt_chunks& chunks, int32_t chunk_size, int64_t count, const void* x,
                  size_t x_item);

// Memory the calling thread keeps for its calls, at least `bytes`; NULL if there is none left.
void* thread_scratch(size_t bytes);

}  // namespace neumann_tril
