// Threads that share a range of work; they live as long as the process.
#pragma once

#include <cstdint>

namespace neumann_tril {

// The cores this process may run on.
int available_cores();

// Calls work(context, slot, begin, end) for ranges of at most `grain` that cover [0, count), on the
// caller and on up to threads - 1 others, and returns when all are done. No two calls at a time
// have the same slot, 0 <= slot < threads. Each has the caller's floating-point environment. Safe
// from several threads at once, and after a fork. work must not throw.
void parallel_for(int64_t count, int64_t grain, int threads,
                  void (*work)(void* context, int slot, int64_t begin, int64_t end), void* context);

}  // namespace neumann_tril
