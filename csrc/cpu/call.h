// What calls of the C API have in common.
#pragma once

#include "batch.h"

namespace neumann_tril {

constexpr size_t kItemSize[] = {2, 2, 4, 8, 1, 2};  // by dtype code

// A checked call as every thread sees it: the matrices, and how a thread inverts some of them.
struct Call {
    const nt_chunks* chunks;
    int32_t chunk_size;
    const void* a;
    void* x;
    size_t a_item, x_item;
    void (*fence)();
    size_t scratch_bytes;
    char* scratch;  // scratch_bytes for every slot
};

// The call and its job, but for the scratch. `compute_dtype` is that of the kernels.
Call prepare(Job& job, const nt_plan& plan, const nt_chunks& chunks, int64_t count, const void* a,
             int32_t a_dtype, void* x, int32_t x_dtype, const RowKernels& rows,
             int32_t compute_dtype);

// Calls work(context, slot, begin, end) for ranges that cover `count` > 0 matrices, on as many
// threads as the caller asks for (0: one per core); the reason why it cannot, or NULL.
const char* share_out(Call& call, int64_t count, int32_t threads,
                      void (*work)(void* context, int slot, int64_t begin, int64_t end),
                      void* context);

// Calls invert(n, at, chunk, scratch) for the matrices [begin, end); at.index(d) is the matrix's
// index in a batch dimension.
template <class Invert>
void invert_range(const Call& call, int slot, int64_t begin, int64_t end, Invert invert) {
    char* scratch = call.scratch + static_cast<size_t>(slot) * call.scratch_bytes;
    ChunkIterator next(*call.chunks, call.chunk_size, call.a, call.a_item, call.x, call.x_item,
                       begin);
    Chunk chunk = *next;
    for (int64_t n = begin; n < end; ++n) {
        const ChunkIterator here = next;
        ++next;
        const Chunk following = *next;
        if (n + 1 < end) chunk.next_a = following.a;
        invert(n, here, chunk, scratch);
        chunk = following;
    }
    call.fence();
}

}  // namespace neumann_tril
