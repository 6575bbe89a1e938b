// The exact inverse X = (I + A)^-1 by forward substitution, for any plan that is exact.
//
//     for each block of R rows i:                                 (from the top)
//         for each panel of columns j up to the diagonal:
//             x = -A[i, j:i] X[j:i, panel]                        (X vanishes above its diagonal)
//             for r in block: x[r] -= A[r, i:r] x[i:r]            (x[r] unit lower triangular)
//
// An entry is the sum of -A[i,k] X[k,j], k ascending, cut into blocks of k that are summed on their
// own and then added: a few roundings of the entry's size instead of one for every k. Where tokens
// resemble each other the terms cancel one by one, and a sum begun too near the diagonal is larger
// than what it leads to: the first sum of a column holds its own block and the whole next one. The
// cuts are multiples of sum_block, whatever R, the vector length or the chunk's valid rows.
#pragma once

#include "tiles.h"

namespace neumann_tril::NT_ISA {

// Terms of a block, by the order n of the matrix: a quarter of it, in whole register blocks.
constexpr int sum_block(int n) { return (n + 31) / 32 * 8; }
static_assert(8 % kRows == 0, "a cut lies between register blocks");

// rows = s, or rows += s if they hold a sum already; s = 0.
template <class T, int R>
inline void add_block(Strip<T, R>& s, T* rows, ptrdiff_t row_stride, bool summed) {
    constexpr int lanes = Vec<T>::lanes;
    NT_UNROLL
    for (int r = 0; r < R; ++r) {
        NT_UNROLL
        for (int v = 0; v < kVectors<T>; ++v) {
            T* to = rows + r * row_stride + v * lanes;
            store(to, summed ? add(load(to), s.v[r][v]) : s.v[r][v]);
        }
    }
    s = zero_strip<T, R>();
}

// add_block() of the panel's first columns alone; the sums of the others go on.
template <class T, int R>
inline void add_columns(Strip<T, R>& s, T* rows, ptrdiff_t row_stride, bool summed, int columns) {
    constexpr int lanes = Vec<T>::lanes;
    const T* first = reinterpret_cast<const T*>(kDiagonal<T>.keep) + kPanel<T> - columns;
    const T* others = first + kPanel<T>;
    const Vec<T> zero = broadcast(T(0));
    Strip<T, R> ended = s;
    NT_UNROLL
    for (int r = 0; r < R; ++r) {
        NT_UNROLL
        for (int v = 0; v < kVectors<T>; ++v) {
            ended.v[r][v] = mask(s.v[r][v], load(first + v * lanes), zero);
            s.v[r][v] = mask(s.v[r][v], load(others + v * lanes), zero);
        }
    }
    add_block(ended, rows, row_stride, summed);
}

// Solves rows [i, i + R) of X; row r of the block of A is a[r * a_row], R divides i.
template <class T, int R>
inline void solve_rows(const T* a, ptrdiff_t a_row, Tiles<T> x, int i, int block) {
    constexpr int lanes = Vec<T>::lanes;
    T* panel = x.data;
    for (int j = 0; j <= i; j += kPanel<T>, panel += x.panel_stride) {
        T* rows = panel + i * x.row_stride;
        Strip<T, R> s = zero_strip<T, R>();
        int begin = j;
        for (int end = (j / block + 2) * block; end <= i; begin = end, end += block) {
            add_product<-1>(s, a, a_row, panel, x.row_stride, begin, end);
            const int columns = end - block - j;  // those whose first sum has ended
            if (columns < kPanel<T>) {
                add_columns(s, rows, x.row_stride, begin > j, columns);
            } else {
                add_block(s, rows, x.row_stride, begin > j);
            }
        }
        add_product<-1>(s, a, a_row, panel, x.row_stride, begin, i);
        const bool summed = begin > j;
        const bool on_diagonal = i - j < kPanel<T>;
        NT_UNROLL
        for (int r = 0; r < R; ++r) {
            NT_UNROLL
            for (int k = 0; k < r; ++k) {
                const Vec<T> scale = broadcast(a[r * a_row + i + k]);
                NT_UNROLL
                for (int v = 0; v < kVectors<T>; ++v)
                    s.v[r][v] = multiply_subtract(scale, s.v[k][v], s.v[r][v]);
            }
            if (summed) {
                NT_UNROLL
                for (int v = 0; v < kVectors<T>; ++v)
                    s.v[r][v] = add(load(rows + r * x.row_stride + v * lanes), s.v[r][v]);
            }
            if (on_diagonal) make_unit_lower<T>(s.v[r], i + r - j);
            NT_UNROLL
            for (int v = 0; v < kVectors<T>; ++v)
                store(rows + r * x.row_stride + v * lanes, s.v[r][v]);
        }
    }
}

// Rows of A in the computation dtype: where they are, or copied to `buffer`.
template <class T>
struct Rows {
    const T* data;
    ptrdiff_t stride;
};
template <class T>
inline Rows<T> rows_of(const Job& job, const Chunk& chunk, int first, int count, T* buffer) {
    if (job.a_in_place) {
        return {static_cast<const T*>(chunk.a) + first * job.a_row_stride, job.a_row_stride};
    }
    job.load(chunk.a, job.a_row_stride, job.a_column_stride, first, count, buffer);
    return {buffer, kMaxChunk};
}

template <class T, int R>
inline void invert_rows(const Job& job, const Chunk& chunk, int i, Tiles<T> x, T* buffer) {
    if (chunk.next_a && job.a_column_stride == 1)
        prefetch_rows(job.a_row_stride, job.a_item, chunk.next_a, i, R);
    const Rows<T> a = rows_of(job, chunk, i, R, buffer);
    solve_rows<T, R>(a.data, a.stride, x, i, sum_block(job.plan.chunk_size));
    job.store({x.data, x.panel_stride, x.row_stride}, i, R, job.plan.chunk_size, chunk.x,
              job.x_row_stride, job.x_column_stride);
}

template <class T>
constexpr size_t kExactScratch = (kMaxChunk + kRows) * kMaxChunk;

// An Invert. Columns of a panel are contiguous in scratch: no two rows share a cache set early.
template <class T>
void invert_exact(const Job& job, const Chunk& chunk, void* scratch) {
    const int n = job.plan.chunk_size;
    const Tiles<T> x{static_cast<T*>(scratch), n * kPanel<T>, kPanel<T>};
    T* buffer = x.data + kMaxChunk * kMaxChunk;
    int i = 0;
    for (; i + kRows <= chunk.rows; i += kRows) invert_rows<T, kRows>(job, chunk, i, x, buffer);
    for (; i < chunk.rows; ++i) invert_rows<T, 1>(job, chunk, i, x, buffer);
}

}  // namespace neumann_tril::NT_ISA
