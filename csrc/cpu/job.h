// What the parts of the CPU backend share: a checked call, one chunk matrix, the kernels of an ISA.
#pragma once

#include <cstddef>
#include <cstdint>

#include "neumann_tril.h"

namespace neumann_tril {

constexpr int kMaxChunk = 128;
constexpr int kCacheLine = 64;

struct Half {
    uint16_t bits;
};
struct BFloat16 {
    uint16_t bits;
};

// One chunk matrix: its first entries and its number of valid rows.
struct Chunk {
    const void* a;
    void* x;
    int rows;
    const void* next_a;  // of the chunk that the thread inverts next, to fetch ahead; may be NULL
};

// Copies rows [first, first + count) of A, strictly lower part, to out[count][kMaxChunk].
using LoadRows = void (*)(const void* a, ptrdiff_t row_stride, ptrdiff_t column_stride, int first,
                          int count, void* out);

// Where computed rows lie: column c of row r at data[c / panel * panel_stride + r * row_stride + c
// % panel], with `panel` the numbers in a cache line (see tiles.h).
struct RowSource {
    const void* data;
    ptrdiff_t panel_stride, row_stride;
};

// Writes rows [first, first + count) of a result of `columns` columns, zero above the diagonal.
using StoreRows = void (*)(RowSource rows, int first, int count, int columns, void* x,
                           ptrdiff_t row_stride, ptrdiff_t column_stride);

// What the inversions of a call have in common.
struct Job {
    nt_plan plan;
    ptrdiff_t a_row_stride, a_column_stride;
    ptrdiff_t x_row_stride, x_column_stride;
    ptrdiff_t a_item;  // bytes
    bool a_in_place;   // rows of A can be read where they are: computation dtype, unit stride
    LoadRows load;
    StoreRows store;
};

// The kernels that move rows, by dtype code; NULL where not used.
struct RowKernels {
    LoadRows load[6];
    StoreRows store[6];
    StoreRows stream[6];  // past the caches; rows aligned to kCacheLine, unit column stride
    void (*fence)();      // orders streamed rows before what the thread writes next
};

// Inverts one chunk with `scratch`, kCacheLine-aligned.
using Invert = void (*)(const Job& job, const Chunk& chunk, void* scratch);

// The kernels of a computation dtype, compiled for one instruction set.
struct Kernels {
    size_t item_size;
    Invert exact, truncated;
    size_t exact_scratch, truncated_scratch;  // in items, for the largest chunk
    RowKernels rows;
};

// The same of nt_cpu_inverse_quantized, which computes in float32.
struct QuantizedJob : Job {
    bool codes_in_a, codes_in_x;
    float largest;  // finite number of the dtype of X
};

struct QuantizedResult {
    float x_scale;
    int64_t saturated;
};

// Inverts one chunk with its row of constants, NULL for scales per chunk.
using InvertQuantized = QuantizedResult (*)(const QuantizedJob& job, const Chunk& chunk,
                                            const float* constants, void* scratch);

// The kernels for 8 or 16 bits.
struct QuantizedBits {
    InvertQuantized with_constants, with_scales_per_chunk;
    size_t (*scratch_bytes)(int chunk_size);
};

struct QuantizedKernels {
    QuantizedBits bits8, bits16;
    RowKernels rows;
};

struct Isa {
    const char* name;
    Kernels float32, float64;
    QuantizedKernels quantized;
};

}  // namespace neumann_tril
