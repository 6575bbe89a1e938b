// The result of a plan that is not exact, by the fewest products that give it.
//
//     for each leaf:  X = (I + A)^-1;  R = I - (I + A) band_w(X);  X <- X - X R^S
//     for each pair of blocks, from the smallest:  X21 = -X22 (A21 X11)
//     refinements times:  X <- X + X (I - (I + A) X)
//
// X (I - R^S) = X0 (I + R + ... + R^(S-1)) as X0 = band_w(X) = X (I - R): both forms of the sum
// are this number. R^p vanishes for distances i - j < p (w + 1), and the products skip it there.
#pragma once

#include "substitution.h"

namespace neumann_tril::NT_ISA {

// Blocks below are n x n, row-major, with rows `row` apart in their matrix.
template <class T>
struct Factor {
    const T* data;
    int first;  // entries vanish for distances i - j < first
};

// out = start + sign * f g; start may be NULL for zero; out is neither factor.
template <int Sign, class T>
void product(int n, ptrdiff_t row, T* out, const T* start, Factor<T> f, Factor<T> g) {
    constexpr int lanes = Vec<T>::lanes;
    for (int i = 0; i < n; i += kRows) {
        const int last = i + kRows - f.first;
        const int end = last < n ? last : n;
        for (int j = 0; j < n; j += kPanel<T>) {
            const int begin = j + g.first > 0 ? j + g.first : 0;
            Strip<T, kRows> s = zero_strip<T, kRows>();
            add_product<Sign>(s, f.data + i * row, row, g.data + j, row, begin, end);
            NT_UNROLL
            for (int r = 0; r < kRows; ++r) {
                NT_UNROLL
                for (int v = 0; v < kVectors<T>; ++v) {
                    const ptrdiff_t at = (i + r) * row + j + v * lanes;
                    store(out + at, start ? add(load(start + at), s.v[r][v]) : s.v[r][v]);
                }
            }
        }
    }
}

// out = f within the distances first <= i - j < last, zero elsewhere; out may be f.
template <class T>
void copy_band(int n, ptrdiff_t row, T* out, const T* f, int first, int last) {
    for (int i = 0; i < n; ++i)
        for (int j = 0; j < n; ++j) {
            const bool kept = i - j >= first && i - j < last;
            out[i * row + j] = kept ? f[i * row + j] : T(0);
        }
}

// f^exponent by binary exponentiation from the highest bit; returns where it is, f or a buffer.
template <class T>
const T* power(int n, ptrdiff_t row, Factor<T> f, int exponent, T* buffer, T* other) {
    int bit = 1;
    while (bit <= exponent / 2) bit *= 2;
    Factor<T> result = f;
    const auto multiply = [&](Factor<T> g) {
        product<1, T>(n, row, buffer, nullptr, result, g);
        result = {buffer, result.first + g.first};
        T* free = other;
        other = buffer;
        buffer = free;
    };
    for (bit /= 2; bit > 0; bit /= 2) {
        multiply(result);
        if (exponent & bit) multiply(f);
    }
    return result.data;
}

// x <- X (I - R^S) of one leaf.
template <class T>
void evaluate_leaf(const nt_plan& plan, int n, ptrdiff_t row, const T* a, T* x, T* r, T* buffer,
                   T* other) {
    for (int i = 0; i < n; i += kRows)
        solve_rows<T, kRows>(a + i * row, row, Tiles<T>{x, kPanel<T>, row}, i, sum_block(n));
    const int band = plan.bandwidth + 1;
    if (plan.terms >= (n + band - 1) / band) return;
    copy_band(n, row, buffer, x, 0, band);
    if (plan.terms > 1) {
        product<-1, T>(n, row, r, nullptr, {a, 1}, {buffer, 0});
        copy_band(n, row, r, r, band, n);
        const T* last = power(n, row, Factor<T>{r, band}, plan.terms, buffer, other);
        T* result = last == buffer ? other : buffer;
        product<-1, T>(n, row, result, x, {x, 0}, {last, band * plan.terms});
        buffer = result;
    }
    copy_band(n, row, x, buffer, 0, n);
}

// x21 <- -X22 (A21 X11) for two blocks of order n that follow each other on the diagonal.
template <class T>
void join_blocks(int n, ptrdiff_t row, const T* a, T* x, T* buffer) {
    const int full = -n;  // the first diagonal of a block without structure
    product<1, T>(n, row, buffer, nullptr, {a + n * row, full}, {x, 0});
    product<-1, T>(n, row, x + n * row, nullptr, {x + n * row + n, 0}, {buffer, full});
}

template <class T>
constexpr size_t kTruncatedScratch = 5 * kMaxChunk * kMaxChunk;

// An Invert. Rows of A after the valid ones count as zero: no row depends on a later one.
template <class T>
void invert_truncated(const Job& job, const Chunk& chunk, void* scratch) {
    const nt_plan& plan = job.plan;
    const int n = plan.chunk_size;
    const ptrdiff_t row = kMaxChunk;
    T* const a = static_cast<T*>(scratch);
    T* x = a + n * row;
    T* const r = x + n * row;
    T* buffer = r + n * row;
    T* const other = buffer + n * row;
    for (int i = 0; i < 2 * n * kMaxChunk; ++i) a[i] = T(0);
    job.load(chunk.a, job.a_row_stride, job.a_column_stride, 0, chunk.rows, a);

    const int leaf = n >> plan.splits;
    for (int o = 0; o < n; o += leaf) {
        const ptrdiff_t at = o * (row + 1);
        evaluate_leaf(plan, leaf, row, a + at, x + at, r, buffer, other);
    }
    for (int size = leaf; size < n; size *= 2)
        for (int o = 0; o < n; o += 2 * size)
            join_blocks(size, row, a + o * (row + 1), x + o * (row + 1), buffer);
    for (int step = 0; step < plan.refinements; ++step) {
        // I - (I + A) X = -r, where r = X + A X vanishes on the diagonal but for the unit.
        product<1, T>(n, row, r, x, {a, 1}, {x, 0});
        copy_band(n, row, r, r, 1, n);
        product<-1, T>(n, row, buffer, x, {x, 0}, {r, 1});
        T* const previous = x;
        x = buffer;
        buffer = previous;
    }
    for (int i = 0; i < chunk.rows; ++i) {
        for (int j = i + 1; j < n; ++j) x[i * row + j] = T(0);  // not so if A is not finite
        x[i * row + i] = T(1);
    }
    job.store({x, kPanel<T>, row}, 0, chunk.rows, n, chunk.x, job.x_row_stride,
              job.x_column_stride);
}

}  // namespace neumann_tril::NT_ISA
