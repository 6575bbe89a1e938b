// Register blocks, and the rows of matrices in memory and in scratch.
//
// Scratch matrices are addressed by panels, the columns of a cache line: column c of row r lies at
// data[c / kPanel * panel_stride + r * row_stride + c % kPanel].
#pragma once

#include "convert.h"
#include "job.h"

namespace neumann_tril::NT_ISA {

// Loops over registers must vanish: an array indexed at run time is kept in memory.
#define NT_UNROLL _Pragma("GCC unroll 16")

template <class T>
constexpr int kPanel = kCacheLine / static_cast<int>(sizeof(T));
template <class T>
constexpr int kVectors = kPanel<T> / Vec<T>::lanes;  // vectors of a panel's row

template <class T>
struct Tiles {
    T* data;
    ptrdiff_t panel_stride, row_stride;

    T* at(int row, int column) const {
        return data + column / kPanel<T> * panel_stride + row * row_stride + column % kPanel<T>;
    }
};

// A kPanel-wide strip of R rows in registers.
template <class T, int R>
struct Strip {
    Vec<T> v[R][kVectors<T>];
};

template <class T, int R>
inline Strip<T, R> zero_strip() {
    Strip<T, R> s;
    NT_UNROLL
    for (int r = 0; r < R; ++r) NT_UNROLL
    for (int v = 0; v < kVectors<T>; ++v) s.v[r][v] = broadcast(T(0));
    return s;
}

// s += sign * f[0:R, begin:end] g[begin:end, :], with k ascending; row k of g is one panel wide.
template <int Sign, class T, int R>
inline void add_product(Strip<T, R>& s, const T* f, ptrdiff_t f_row, const T* g, ptrdiff_t g_row,
                        int begin, int end) {
    constexpr int lanes = Vec<T>::lanes;
#pragma GCC unroll 4
    for (int k = begin; k < end; ++k) {
        Vec<T> row[kVectors<T>];
        NT_UNROLL
        for (int v = 0; v < kVectors<T>; ++v) row[v] = load(g + k * g_row + v * lanes);
        NT_UNROLL
        for (int r = 0; r < R; ++r) {
            const Vec<T> scale = broadcast(f[r * f_row + k]);
            NT_UNROLL
            for (int v = 0; v < kVectors<T>; ++v) {
                s.v[r][v] = Sign > 0 ? multiply_add(scale, row[v], s.v[r][v])
                                     : multiply_subtract(scale, row[v], s.v[r][v]);
            }
        }
    }
}

// Bit patterns to load at kPanel - d: keep the first d lanes of a panel, put a one in lane d. Those
// that keep the others lie at 2 kPanel - d.
template <class T>
struct Diagonal;
template <>
struct Diagonal<float> {
    uint32_t keep[3 * kPanel<float>];
    float one[2 * kPanel<float>];
};
template <>
struct Diagonal<double> {
    uint64_t keep[3 * kPanel<double>];
    double one[2 * kPanel<double>];
};
template <class T>
constexpr Diagonal<T> make_diagonal() {
    Diagonal<T> d{};
    for (int i = 0; i < kPanel<T>; ++i) {
        d.keep[i] = ~d.keep[i];
        d.keep[2 * kPanel<T> + i] = ~d.keep[2 * kPanel<T> + i];
    }
    d.one[kPanel<T>] = T(1);
    return d;
}
template <class T>
alignas(kCacheLine) constexpr Diagonal<T> kDiagonal = make_diagonal<T>();

// Makes the vectors of a row whose diagonal lies in lane d of the panel unit lower triangular.
template <class T>
inline void make_unit_lower(Vec<T> (&row)[kVectors<T>], int d) {
    const T* keep = reinterpret_cast<const T*>(kDiagonal<T>.keep) + kPanel<T> - d;
    const T* one = kDiagonal<T>.one + kPanel<T> - d;
    NT_UNROLL
    for (int v = 0; v < kVectors<T>; ++v) {
        const int lane = v * Vec<T>::lanes;
        row[v] = mask(row[v], load(keep + lane), load(one + lane));
    }
}

// Numbers of type E that whole vectors of T are read from and written to.
template <class T, class E>
constexpr bool kVectorIO =
    sizeof(E) == sizeof(T) || (sizeof(T) == sizeof(float) && sizeof(E) < sizeof(T));

// Copies n numbers; touches no others.
template <class T, class E>
inline void copy_prefix(const E* from, ptrdiff_t stride, int n, T* to) {
    if constexpr (kVectorIO<T, E>) {
        constexpr int lanes = Vec<T>::lanes;
        if (stride == 1 && n >= lanes) {
            for (int c = 0; c + lanes <= n; c += lanes) store(to + c, load(from + c));
            store(to + n - lanes, load(from + n - lanes));  // overlaps rather than reads beyond
            return;
        }
    }
    for (int c = 0; c < n; ++c) to[c] = convert<T>(from[c * stride]);
}

// Fetches rows [first, first + count) of the next chunk ahead: the hardware follows streams, but
// not from one chunk to another.
inline void prefetch_rows(ptrdiff_t row_stride, ptrdiff_t item, const void* a, int first,
                          int count) {
    const ptrdiff_t row_bytes = row_stride * item;
    const char* row = static_cast<const char*>(a) + first * row_bytes;
    const ptrdiff_t bytes = (first + count) * item;
    for (int r = 0; r < count; ++r, row += row_bytes)
        for (ptrdiff_t b = 0; b < bytes; b += kCacheLine) __builtin_prefetch(row + b);
}

// A LoadRows.
template <class T, class E>
void load_rows(const void* a, ptrdiff_t row_stride, ptrdiff_t column_stride, int first, int count,
               void* out) {
    for (int r = 0; r < count; ++r) {
        const E* row = static_cast<const E*>(a) + (first + r) * row_stride;
        copy_prefix(row, column_stride, first + r, static_cast<T*>(out) + r * kMaxChunk);
    }
}

// A StoreRows.
template <class T, class E, bool Stream>
void store_rows(RowSource source, int first, int count, int columns, void* x, ptrdiff_t row_stride,
                ptrdiff_t column_stride) {
    constexpr int lanes = Vec<T>::lanes;
    const ptrdiff_t panel_stride = source.panel_stride;
    for (int i = first; i < first + count; ++i) {
        const T* from = static_cast<const T*>(source.data) + i * source.row_stride;
        E* to = static_cast<E*>(x) + i * row_stride;
        if constexpr (kVectorIO<T, E>) {
            const auto put = [](E* p, Vec<T> a) {
                if constexpr (Stream) {
                    stream(p, a);
                } else {
                    store(p, a);
                }
            };
            if (Stream || column_stride == 1) {
                int c = 0;
                for (; c <= i; c += kPanel<T>, from += panel_stride)
                    for (int v = 0; v < kPanel<T>; v += lanes) put(to + c + v, load(from + v));
                for (; c < columns; c += lanes) put(to + c, broadcast(T(0)));
                continue;
            }
        }
        int c = 0;
        for (; c <= i; ++c) {
            const T value = from[c / kPanel<T> * panel_stride + c % kPanel<T>];
            to[c * column_stride] = convert<E>(value);
        }
        for (; c < columns; ++c) to[c * column_stride] = convert<E>(T(0));
    }
}

}  // namespace neumann_tril::NT_ISA
