// Where the chunk matrices of contiguous tensors lie; python/neumann_tril/native/structures.py does
// the same for tensors of any strides.
#include <algorithm>

#include "neumann_tril.h"

namespace {

bool IsChunkSize(int32_t chunk_size) { return chunk_size >= 1 && chunk_size <= 128; }

constexpr char kNoChunkSize[] = "chunk_size must be 1 to 128";

void SetStrides(nt_chunks* chunks, int32_t dim, int64_t size, int64_t stride) {
    chunks->size[dim] = size;
    chunks->a_stride[dim] = chunks->x_stride[dim] = stride;
}

void SetRows(nt_chunks* chunks, int64_t row_stride) {
    chunks->a_row_stride = chunks->x_row_stride = row_stride;
    chunks->a_column_stride = chunks->x_column_stride = 1;
}

// Batch, chunks, heads of (B, T, H, C) or (B, H, T, C).
void FillTime(nt_chunks* chunks, int32_t chunk_size, int32_t layout, int64_t batch, int64_t length,
              int64_t heads, int64_t count) {
    const bool heads_inside = layout == NT_BTHC;
    *chunks = nt_chunks{};
    chunks->dims = 3;
    chunks->chunk_dim = 1;
    SetStrides(chunks, 0, batch, length * heads * chunk_size);
    SetStrides(chunks, 1, count, 0);
    SetStrides(chunks, 2, heads, heads_inside ? chunk_size : length * chunk_size);
    SetRows(chunks, heads_inside ? heads * chunk_size : chunk_size);
    chunks->length = length;
}

const char* TimeError(const nt_chunks* chunks, int32_t chunk_size, int32_t layout) {
    if (!chunks) return "chunks is NULL";
    if (!IsChunkSize(chunk_size)) return kNoChunkSize;
    if (layout != NT_BTHC && layout != NT_BHTC) return "layout must be NT_BTHC or NT_BHTC";
    return nullptr;
}

}  // namespace

extern "C" const char* nt_chunks_dense(nt_chunks* chunks, int32_t chunk_size, int64_t count) {
    if (!chunks) return "chunks is NULL";
    if (!IsChunkSize(chunk_size)) return kNoChunkSize;
    if (count < 0) return "count must not be negative";
    *chunks = nt_chunks{};
    chunks->dims = 1;
    chunks->chunk_dim = -1;
    SetStrides(chunks, 0, count, int64_t{chunk_size} * chunk_size);
    SetRows(chunks, chunk_size);
    return nullptr;
}

extern "C" const char* nt_chunks_time(nt_chunks* chunks, int32_t chunk_size, int32_t layout,
                                      int64_t batch, int64_t length, int64_t heads) {
    if (const char* error = TimeError(chunks, chunk_size, layout)) return error;
    if (batch < 0 || length < 0 || heads < 0) return "batch, length and heads must not be negative";
    FillTime(chunks, chunk_size, layout, batch, length, heads,
             length / chunk_size + (length % chunk_size != 0));
    return nullptr;
}

extern "C" const char* nt_chunks_packed(nt_chunks* chunks, int32_t chunk_size, int32_t layout,
                                        int64_t length, int64_t heads, int64_t count,
                                        const int64_t* first_row, const int64_t* valid_rows) {
    if (const char* error = TimeError(chunks, chunk_size, layout)) return error;
    if (length < 0 || heads < 0 || count < 0) return "length, heads and count must not be negative";
    if (!first_row || !valid_rows) return "first_row and valid_rows must not be NULL";
    FillTime(chunks, chunk_size, layout, 1, length, heads, count);
    chunks->first_row = first_row;
    chunks->valid_rows = valid_rows;
    return nullptr;
}

extern "C" int64_t nt_chunk_table(const int64_t* cu_seqlens, int64_t sequences, int32_t chunk_size,
                                  int64_t* first_row, int64_t* valid_rows) {
    if (!cu_seqlens || sequences < 0 || !IsChunkSize(chunk_size) || cu_seqlens[0] != 0) return -1;
    int64_t count = 0;
    for (int64_t s = 0; s < sequences; ++s) {
        const int64_t end = cu_seqlens[s + 1];
        if (end < cu_seqlens[s]) return -1;
        for (int64_t row = cu_seqlens[s]; row < end; row += chunk_size, ++count) {
            if (first_row) first_row[count] = row;
            if (valid_rows) valid_rows[count] = std::min<int64_t>(chunk_size, end - row);
        }
    }
    return count;
}
