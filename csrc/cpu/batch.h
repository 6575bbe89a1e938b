// The chunk matrices of a call, one after the other.
#pragma once

#include "job.h"

namespace neumann_tril {

// The reason why the matrices cannot be visited, or NULL; `count` is their number.
const char* chunks_error(const nt_chunks& chunks, int32_t chunk_size, int64_t& count);

// Whether every valid row of x consists of whole cache lines.
bool rows_fill_cache_lines(const nt_chunks& chunks, int32_t chunk_size, const void* x,
                           size_t x_item);

// Walks through matrices in the order of their batch index, the last dimension fastest.
class ChunkIterator {
  public:
    ChunkIterator(const nt_chunks& chunks, int32_t chunk_size, const void* a, size_t a_item,
                  void* x, size_t x_item, int64_t start);
    Chunk operator*() const;
    void operator++();
    // The index in a batch dimension.
    int64_t index(int dimension) const { return index_[dimension]; }

  private:
    const nt_chunks& chunks_;
    const int64_t chunk_size_;
    const char* const a_;
    char* const x_;
    const int64_t a_item_, x_item_;
    int64_t index_[NT_MAX_DIMS];
    int64_t a_offset_ = 0, x_offset_ = 0;  // in elements, without the chunk dimension
};

}  // namespace neumann_tril
