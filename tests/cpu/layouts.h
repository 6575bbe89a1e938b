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

// The memory of one call: the elements that a layout lets it read and write, between pages that
// must not be touched.
class LayoutMemory {
  public:
    // A holds numbers of [-size, size]; what must not be read is no number, or, of codes, a large
    // one.
    LayoutMemory(const Layout& layout, int n, int a_dtype, int x_dtype, bool at_end, double size)
        : layout_(layout),
          n_(n),
          a_dtype_(a_dtype),
          x_dtype_(x_dtype),
          read_(extent(layout, n, &LayoutMemory::a_offset)),
          written_(extent(layout, n, &LayoutMemory::x_offset)),
          a_(a_dtype, read_.size(), at_end),
          x_(x_dtype, written_.size(), at_end) {
        const std::vector<bool> given = touched(read_, &LayoutMemory::a_offset);
        const double unread = a_dtype >= NT_INT8 ? 127 : NAN;
        for (size_t i = 0; i < read_.size(); ++i)
            a_.set(i, given[i] ? rounded(a_dtype, uniform(-size, size)) : unread);
        for (size_t i = 0; i < written_.size(); ++i) x_.set(i, kPoison);
    }

    // As the call takes them.
    const void* a() const { return a_.address(-read_.low); }
    void* x() const { return x_.address(-written_.low); }

    // The call wrote nothing else, and every matrix is what invert_one(m, a, x) makes of it alone,
    // contiguous and complete; nothing lies above its diagonal, which is one where `unit` says so.
    void check(const std::function<void(int64_t, const void*, void*)>& invert_one,
               bool unit) const {
        const std::vector<bool> result = touched(written_, &LayoutMemory::x_offset);
        for (size_t i = 0; i < written_.size(); ++i)
            CHECK(result[i] || x_.get(i) == kPoison, "%s: wrote outside", layout_.name);
        for_each_chunk(layout_.chunks, n_, [&](int64_t m, int rows, int64_t a, int64_t x) {
            std::vector<char> one(n_ * n_ * kItem[a_dtype_]), alone(n_ * n_ * kItem[x_dtype_]);
            for (int i = 0; i < rows; ++i)
                for (int j = 0; j < i; ++j)
                    encode(a_dtype_, a_.get(a + a_offset(layout_.chunks, i, j) - read_.low),
                           &one[(i * n_ + j) * kItem[a_dtype_]]);
            invert_one(m, one.data(), alone.data());
            for (int i = 0; i < rows; ++i)
                for (int j = 0; j < n_; ++j) {
                    const double want = decode(x_dtype_, &alone[(i * n_ + j) * kItem[x_dtype_]]);
                    const double got = x_.get(x + x_offset(layout_.chunks, i, j) - written_.low);
                    CHECK(got == want && (j <= i || got == 0) && (!unit || j != i || got == 1),
                          "%s n %d dtypes %d %d matrix %d (%d, %d): %g, not %g", layout_.name, n_,
                          a_dtype_, x_dtype_, static_cast<int>(m), i, j, got, want);
                }
        });
    }

  private:
    // Where an entry lies in its matrix; none of A's is read on or above the diagonal.
    using Offset = int64_t (*)(const nt_chunks& chunks, int i, int j);
    static int64_t a_offset(const nt_chunks& c, int i, int j) {
        return i * c.a_row_stride + j * c.a_column_stride;
    }
    static int64_t x_offset(const nt_chunks& c, int i, int j) {
        return i * c.x_row_stride + j * c.x_column_stride;
    }
    template <class Visit>
    static void for_each_entry(const Layout& layout, int n, Offset offset, Visit visit) {
        const bool of_a = offset == &LayoutMemory::a_offset;
        for_each_chunk(layout.chunks, n, [&](int64_t, int rows, int64_t a, int64_t x) {
            for (int i = 0; i < rows; ++i)
                for (int j = 0; j < (of_a ? i : n); ++j)
                    visit((of_a ? a : x) + offset(layout.chunks, i, j));
        });
    }
    static Extent extent(const Layout& layout, int n, Offset offset) {
        Extent found;
        for_each_entry(layout, n, offset, [&](int64_t at) { found.include(at); });
        return found;
    }
    std::vector<bool> touched(const Extent& extent, Offset offset) const {
        std::vector<bool> found(extent.size());
        for_each_entry(layout_, n_, offset, [&](int64_t at) { found[at - extent.low] = true; });
        return found;
    }

    static constexpr double kPoison = -77;
    const Layout& layout_;
    const int n_, a_dtype_, x_dtype_;
    const Extent read_, written_;
    Guarded a_, x_;
};
