#include "batch.h"

#include <algorithm>

namespace neumann_tril {

const char* chunks_error(const nt_chunks& chunks, int32_t chunk_size, int64_t& count) {
    if (chunks.dims < 0 || chunks.dims > NT_MAX_DIMS) return "chunks.dims must be from 0 to 8";
    if (chunks.chunk_dim < -1 || chunks.chunk_dim >= chunks.dims)
        return "chunks.chunk_dim must be -1 or a batch dimension";
    count = 1;
    for (int d = 0; d < chunks.dims; ++d) {
        if (chunks.size[d] < 0) return "chunks.size must not be negative";
        if (chunks.size[d] != 0 && count > INT64_MAX / 2 / chunks.size[d])
            return "chunks.size has too many matrices";
        count *= chunks.size[d];
    }
    if (chunks.chunk_dim >= 0) {
        if ((chunks.first_row == nullptr) != (chunks.valid_rows == nullptr))
            return "chunks.first_row and chunks.valid_rows must be given together";
        if (!chunks.first_row && chunks.length < 0) return "chunks.length must not be negative";
        for (int64_t n = 0; chunks.first_row && n < chunks.size[chunks.chunk_dim]; ++n) {
            if (chunks.first_row[n] < 0) return "chunks.first_row must not be negative";
            if (chunks.valid_rows[n] < 0 || chunks.valid_rows[n] > chunk_size)
                return "chunks.valid_rows must be from 0 to chunk_size";
        }
    }
    if (count == 0) return nullptr;
    bool overlap = chunks.x_row_stride == 0 || chunks.x_column_stride == 0;
    for (int d = 0; d < chunks.dims; ++d)
        overlap |= d != chunks.chunk_dim && chunks.size[d] > 1 && chunks.x_stride[d] == 0;
    return overlap ? "strides of x must not be zero: results would overwrite each other" : nullptr;
}

bool rows_fill_cache_lines(const nt_chunks& chunks, int32_t chunk_size, const void* x,
                           size_t x_item) {
    const int64_t item = static_cast<int64_t>(x_item);
    bool whole = chunks.x_column_stride == 1 && reinterpret_cast<uintptr_t>(x) % kCacheLine == 0 &&
                 chunk_size * item % kCacheLine == 0 &&
                 chunks.x_row_stride * item % kCacheLine == 0;
    for (int d = 0; d < chunks.dims; ++d)
        whole &= d == chunks.chunk_dim || chunks.x_stride[d] * item % kCacheLine == 0;
    return whole;
}

ChunkIterator::ChunkIterator(const nt_chunks& chunks, int32_t chunk_size, const void* a,
                             size_t a_item, void* x, size_t x_item, int64_t start)
    : chunks_(chunks),
      chunk_size_(chunk_size),
      a_(static_cast<const char*>(a)),
      x_(static_cast<char*>(x)),
      a_item_(static_cast<int64_t>(a_item)),
      x_item_(static_cast<int64_t>(x_item)) {
    for (int d = chunks.dims - 1; d >= 0; --d) {
        index_[d] = start % chunks.size[d];
        start /= chunks.size[d];
        if (d == chunks.chunk_dim) continue;
        a_offset_ += index_[d] * chunks.a_stride[d];
        x_offset_ += index_[d] * chunks.x_stride[d];
    }
}

Chunk ChunkIterator::operator*() const {
    int64_t first = 0, rows = chunk_size_;
    if (chunks_.chunk_dim >= 0) {
        const int64_t n = index_[chunks_.chunk_dim];
        if (chunks_.first_row) {
            first = chunks_.first_row[n];
            rows = chunks_.valid_rows[n];
        } else {
            first = n * chunk_size_;
            rows = std::clamp<int64_t>(chunks_.length - first, 0, chunk_size_);
        }
        if (rows == 0) first = 0;
    }
    return {a_ + (a_offset_ + first * chunks_.a_row_stride) * a_item_,
            x_ + (x_offset_ + first * chunks_.x_row_stride) * x_item_, static_cast<int>(rows),
            nullptr};
}

void ChunkIterator::operator++() {
    for (int d = chunks_.dims - 1; d >= 0; --d) {
        const bool carry = ++index_[d] == chunks_.size[d];
        const int64_t step = carry ? 1 - chunks_.size[d] : 1;
        if (carry) index_[d] = 0;
        if (d != chunks_.chunk_dim) {
            a_offset_ += step * chunks_.a_stride[d];
            x_offset_ += step * chunks_.x_stride[d];
        }
        if (!carry) return;
    }
}

}  // namespace neumann_tril
