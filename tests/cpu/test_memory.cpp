// Tests of the native CPU kernels: what they read and write.
#include <utility>

#include "layouts.h"
#include "runner.h"

namespace {

void check_layout(const Layout& layout, int n, const nt_plan& plan, int a_dtype, int x_dtype,
                  bool at_end, int threads) {
    const LayoutMemory memory(layout, n, a_dtype, x_dtype, at_end, 0.3);
    invert(plan, layout.chunks, memory.a(), a_dtype, memory.x(), x_dtype, threads);
    const auto invert_one = [&](int64_t, const void* a, void* x) {
        invert(plan, contiguous(1, n), a, a_dtype, x, x_dtype);
    };
    memory.check(invert_one, true);
}

// Every layout gives the same numbers as matrices one by one, touches no element it need not, and
// works with inaccessible memory right before and behind.
void layouts_touch_only_their_elements() {
    for (int n : {16, 48, 64})
        for (const Layout& layout : layouts(n))
            for (bool at_end : {false, true})
                for (int a : kDtypes)
                    for (int x : kDtypes) {
                        // Larger chunks take the same paths: two pairs with every dtype suffice.
                        if (n > 16 && a + x != 3) continue;
                        check_layout(layout, n, exact_plan(n), a, x, at_end, 1);
                        const nt_plan split = {n, 1, 3, NT_FORM_SEQUENTIAL, n % 32 == 0, 1};
                        if (a + x == 3) check_layout(layout, n, split, a, x, at_end, 1);
                    }
}

// Results past the caches are the same as results within.
void large_batches_equal_small_ones() {
    const int n = 64;
    for (int x_dtype : {NT_FLOAT32, NT_BFLOAT16, NT_FLOAT16, NT_FLOAT64}) {
        const int64_t count = (8 << 20) / (n * n * static_cast<int64_t>(kItem[x_dtype])) + 3;
        std::vector<float> a(count * n * n);
        for (float& v : a) v = static_cast<float>(uniform(-0.3, 0.3));
        const size_t bytes = count * n * n * kItem[x_dtype];
        for (size_t shift : {size_t(0), kItem[x_dtype]}) {
            char* memory = static_cast<char*>(std::aligned_alloc(64, (bytes + 128) / 64 * 64));
            char* x = memory + shift;
            std::vector<char> one(n * n * kItem[x_dtype]);
            invert(exact_plan(n), contiguous(count, n), a.data(), NT_FLOAT32, x, x_dtype, 2);
            for (int64_t m = 0; m < count; ++m) {
                invert(exact_plan(n), contiguous(1, n), &a[m * n * n], NT_FLOAT32, one.data(),
                       x_dtype);
                CHECK(std::memcmp(one.data(), x + m * one.size(), one.size()) == 0,
                      "dtype %d matrix %d", x_dtype, static_cast<int>(m));
            }
            std::free(memory);
        }
    }
}

void non_finite_stays_in_its_chunk() {
    for (int n : {16, 64, 128})
        for (const nt_plan& plan : {exact_plan(n), nt_plan{n, 1, 3, NT_FORM_SEQUENTIAL, 0, 1},
                                    nt_plan{n, 1, 2, NT_FORM_DOUBLING, n >= 32, 0}}) {
            const int count = 5;
            std::vector<float> a(count * n * n), clean(a.size()), x(a.size());
            for (float& v : a) v = static_cast<float>(uniform(-0.2, 0.2));
            invert(plan, contiguous(count, n), a.data(), NT_FLOAT32, clean.data(), NT_FLOAT32);
            for (float bad : {NAN, INFINITY, -INFINITY})
                for (const auto& [row, column] :
                     {std::pair{1, 0}, {n - 1, 0}, {n / 2, n / 2 - 1}}) {
                    std::vector<float> spoiled = a;
                    spoiled[2 * n * n + row * n + column] = bad;
                    invert(plan, contiguous(count, n), spoiled.data(), NT_FLOAT32, x.data(),
                           NT_FLOAT32, 2);
                    bool finite = true;
                    for (int i = 0; i < count * n * n; ++i) {
                        const int r = i / n % n, c = i % n;
                        if (i / (n * n) != 2) {
                            CHECK(x[i] == clean[i], "n %d: another chunk changed", n);
                        } else {
                            finite &= std::isfinite(x[i]);
                            CHECK(c <= r || x[i] == 0, "n %d (%d, %d) is %g", n, r, c, x[i]);
                            CHECK(c != r || x[i] == 1, "n %d (%d, %d) is %g", n, r, c, x[i]);
                        }
                    }
                    CHECK(!finite, "n %d: a non-finite entry left no trace", n);
                }
        }
}

}  // namespace

int main(int argc, char** argv) {
    return run_tests({TEST(layouts_touch_only_their_elements), TEST(large_batches_equal_small_ones),
                      TEST(non_finite_stays_in_its_chunk)},
                     argc, argv);
}
