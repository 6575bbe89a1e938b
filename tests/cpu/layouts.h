// The layouts that the native tests try, and the memory that a layout may touch.
#pragma once

#include <algorithm>
#include <functional>

#include "support.h"

struct Layout {
    const char* name;
    nt_chunks chunks;
    std::vector<int64_t> first, valid;
};

// Calls visit(matrix, rows, a offset, x offset) for every matrix, by the definition of nt_chunks.
inline void for_each_chunk(const nt_chunks& c, int n,
                           const std::function<void(int64_t, int, int64_t, int64_t)>& visit) {
    int64_t count = 1;
    for (int d = 0; d < c.dims; ++d) count *= c.size[d];
    for (int64_t m = 0; m < count; ++m) {
        int64_t rest = m, a = 0, x = 0, first = 0, rows = n;
        for (int d = c.dims - 1; d >= 0; --d) {
            const int64_t i = rest % c.size[d];
            rest /= c.size[d];
            if (d == c.chunk_dim) {
                first = c.first_row ? c.first_row[i] : i * n;
                rows = c.first_row ? c.valid_rows[i] : std::min<int64_t>(n, c.length - i * n);
            } else {
                a += i * c.a_stride[d];
                x += i * c.x_stride[d];
            }
        }
        visit(m, static_cast<int>(rows), a + first * c.a_row_stride, x + first * c.x_row_stride);
    }
}

inline std::vector<Layout> layouts(int n) {
    std::vector<Layout> all;
    const auto add = [&](const char* name, nt_chunks c, std::vector<int64_t> first = {},
                         std::vector<int64_t> valid = {}) {
        all.push_back({name, c, std::move(first), std::move(valid)});
    };
    nt_chunks c = contiguous(3, n);
    add("contiguous", c);
    c.a_row_stride = c.x_row_stride = 1;
    c.a_column_stride = c.x_column_stride = n;
    add("transposed", c);
    c = contiguous(3, n);
    c.a_row_stride = c.x_row_stride = -n;
    c.a_column_stride = c.x_column_stride = -1;
    add("reversed", c);
    c = contiguous(3, n);
    c.a_stride[0] = 0;
    add("one A for all", c);
    c = contiguous(3, n);
    c.a_row_stride = 3 * n;
    c.a_stride[0] = 2;
    c.a_column_stride = 6;
    c.a_row_stride = 6 * n;
    c.x_row_stride = n + 3;
    c.x_stride[0] = n * (n + 3) + 1;
    add("strided", c);
    const int heads = 2, length = 2 * n + 5;
    c = {};
    c.dims = 3;  // batch, chunk, head
    c.chunk_dim = 1;
    c.size[0] = 2;
    c.size[1] = 3;
    c.size[2] = heads;
    c.a_stride[0] = c.x_stride[0] = length * heads * n;
    c.a_stride[2] = c.x_stride[2] = n;
    c.a_row_stride = c.x_row_stride = heads * n;
    c.a_column_stride = c.x_column_stride = 1;
    c.length = length;
    add("bthc", c);
    c.a_stride[2] = length * n;  // only A is bhtc
    c.a_row_stride = n;
    add("bhtc to bthc", c);
    c.size[0] = 1;
    c.size[1] = 4;
    c.a_stride[2] = c.x_stride[2] = n;
    c.a_row_stride = c.x_row_stride = heads * n;
    c.length = 0;
    add("packed thc", c, {0, n, n + 3, n + 3}, {n, 3, 0, n - 1});
    c = {};
    c.dims = 8;
    c.chunk_dim = -1;
    c.a_row_stride = c.x_row_stride = n;
    c.a_column_stride = c.x_column_stride = 1;
    for (int d = 0; d < 8; ++d) {
        c.size[d] = d % 3 == 0 ? 2 : 1;
        c.a_stride[d] = c.x_stride[d] = n * n * (d == 0 ? 4 : d == 3 ? 2 : 1);
    }
    add("eight dimensions", c);
    c = {};
    c.chunk_dim = -1;
    c.a_row_stride = c.x_row_stride = n;
    c.a_column_stride = c.x_column_stride = 1;
    add("one matrix", c);
    for (Layout& layout : all) {
        if (layout.first.empty()) continue;
        layout.chunks.first_row = layout.first.data();
        layout.chunks.valid_rows = layout.valid.data();
    }
    return all;
}

// The range of offsets that a call may read or write.
struct Extent {
    int64_t low = INT64_MAX, high = INT64_MIN;
    void include(int64_t i) {
        low = std::min(low, i);
        high = std::max(high, i);
    }
    size_t size() const { return low > high ? 0 : static_cast<size_t>(high - low + 1); }
};
