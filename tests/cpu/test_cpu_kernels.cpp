// Tests of the native CPU kernels through their C interface. Usage: test_cpu_kernels [NAME... |
// -NAME...] runs the tests named, or all but those.
#include <sys/wait.h>

#include <algorithm>
#include <cfenv>
#include <functional>
#include <thread>

#include "layouts.h"

namespace {

std::mt19937_64 generator(7);

double uniform(double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(generator);
}

void invert(const nt_plan& plan, const nt_chunks& chunks, const void* a, int a_dtype, void* x,
            int x_dtype, int threads = 1) {
    const char* error = nt_cpu_inverse(&plan, &chunks, a, a_dtype, x, x_dtype, threads);
    CHECK(error == nullptr, "%s", error);
}

// Vectors of every set but the portable one multiply and add with one rounding.
bool fused() { return std::strcmp(nt_cpu_isa(), "portable") != 0; }

template <class T>
Matrix<T> random_matrix(int n, int dtype, double size) {
    Matrix<T> a(n);
    for (int i = 0; i < n; ++i)
        for (int j = 0; j < i; ++j) a(i, j) = static_cast<T>(rounded(dtype, uniform(-size, size)));
    return a;
}

// --- results -------------------------------------------------------------------------------------

template <class T>
void check_substitution(int n, int a_dtype, int x_dtype) {
    const Matrix<T> a = random_matrix<T>(n, a_dtype, 0.5);
    const Matrix<T> expected = substitute(a, fused());
    std::vector<char> in(n * n * kItem[a_dtype]), out(n * n * kItem[x_dtype]);
    for (int i = 0; i < n * n; ++i) {
        const bool lower = i % n < i / n;  // the rest is not read
        encode(a_dtype, lower ? static_cast<double>(a.v[i]) : NAN, &in[i * kItem[a_dtype]]);
    }
    const int splits = n % 32 == 0 ? 1 : 0;
    const nt_plan plans[] = {exact_plan(n),
                             {n, 3, (n + 3) / 4, NT_FORM_SEQUENTIAL, 0, 2},
                             {n, (n >> splits) - 1, 1, NT_FORM_DOUBLING, splits, 1}};
    for (const nt_plan& plan : plans) {
        invert(plan, contiguous(1, n), in.data(), a_dtype, out.data(), x_dtype);
        for (int i = 0; i < n * n; ++i) {
            const double x = decode(x_dtype, &out[i * kItem[x_dtype]]);
            const double want = rounded(x_dtype, static_cast<double>(expected.v[i]));
            CHECK(x == want, "n %d, dtypes %d %d, entry %d: %a, not %a", n, a_dtype, x_dtype, i, x,
                  want);
        }
    }
}

// An exact plan is the row substitution, to the bit, for every size and pair of dtypes.
void exact_plans_are_substitution() {
    for (int n = 16; n <= 128; n += 16)
        for (int a : kDtypes)
            for (int x : kDtypes)
                if (a == NT_FLOAT64 || x == NT_FLOAT64) {
                    check_substitution<double>(n, a, x);
                } else {
                    check_substitution<float>(n, a, x);
                }
}

using Wide = long double;

// The plan, term by term, on A; with `majorant` on -|A| and with every difference a sum, which
// bounds the absolute values of all intermediate results.
Matrix<Wide> evaluate(const nt_plan& plan, const Matrix<Wide>& a, int splits, bool majorant) {
    const int n = a.n;
    if (splits > 0) {
        const int h = n / 2;
        const Matrix<Wide> x11 = evaluate(plan, a.block(0, 0, h), splits - 1, majorant);
        const Matrix<Wide> x22 = evaluate(plan, a.block(h, h, h), splits - 1, majorant);
        Matrix<Wide> x(n);
        x.put(0, 0, x11);
        x.put(h, h, x22);
        x.put(h, 0, combine(Matrix<Wide>(h), Wide(-1), x22 * (a.block(h, 0, h) * x11)));
        return x;
    }
    Matrix<Wide> exact = substitute(a, false);
    const Matrix<Wide> m = combine(Matrix<Wide>(n, 1), Wide(1), a);
    Matrix<Wide> seed(n), r(n);
    for (int i = 0; i < n; ++i)
        for (int j = std::max(0, i - plan.bandwidth); j <= i; ++j) seed(i, j) = exact(i, j);
    if (majorant) {
        // |R| <= |A| |X0|, and every product that leads to X (I - R^S) is bounded by |X| times
        // 1 + ... + |R|^S, with one more |M| |X| for the rounding of the substitution.
        r = combine(Matrix<Wide>(n), Wide(-1), a * exact);
        Matrix<Wide> sum(n, 1);
        for (int s = 0; s < plan.terms; ++s) sum = combine(Matrix<Wide>(n, 1), Wide(1), r * sum);
        return exact * (combine(Matrix<Wide>(n, 1), Wide(-1), a) * (exact * sum));
    }
    r = combine(Matrix<Wide>(n, 1), Wide(-1), m * seed);
    Matrix<Wide> x = seed;
    for (int s = 1; s < plan.terms; ++s) x = combine(seed, Wide(1), x * r);
    return x;
}

Matrix<Wide> evaluate(const nt_plan& plan, const Matrix<Wide>& a, bool majorant) {
    const Matrix<Wide> one(a.n, 1);
    Matrix<Wide> x = evaluate(plan, a, plan.splits, majorant);
    for (int step = 0; step < plan.refinements; ++step) {
        const Wide sign = majorant ? 1 : -1;
        const Matrix<Wide> mx = combine(x, majorant ? Wide(-1) : Wide(1), a * x);
        x = combine(x, Wide(1), x * combine(one, sign, mx));
    }
    return x;
}

// A truncated plan is the truncated sum, up to rounding.
void truncated_plans_are_truncated() {
    const int settings[][5] = {{3, 8, 0, 0, 0}, {3, 4, 1, 0, 0}, {4, 3, 0, 0, 0}, {2, 1, 0, 0, 1},
                               {0, 7, 0, 0, 0}, {1, 2, 1, 1, 2}, {7, 1, 1, 2, 0}, {3, 2, 1, 3, 1},
                               {3, 8, 0, 1, 0}, {1, 6, 0, 0, 1}, {15, 1, 0, 0, 0}};
    for (int n : {16, 32, 48, 64, 128})
        for (const auto& s : settings) {
            if (n > 64 && s[3] == 0) continue;  // the reference takes its time
            const nt_plan plan = {n, s[0], s[1], s[2], s[3], s[4]};
            if (nt_plan_error(&plan)) continue;
            Matrix<Wide> a = random_matrix<Wide>(n, NT_FLOAT32, 0.15), size = a;
            for (Wide& v : size.v) v = -std::fabs(v);
            const Matrix<Wide> expected = evaluate(plan, a, false);
            const Matrix<Wide> bound = evaluate(plan, size, true);
            for (int dtype : {NT_FLOAT32, NT_FLOAT64}) {
                std::vector<char> in(n * n * kItem[dtype]), out(in.size());
                for (int i = 0; i < n * n; ++i) {
                    const bool lower = i % n < i / n;
                    encode(dtype, lower ? static_cast<double>(a.v[i]) : NAN, &in[i * kItem[dtype]]);
                }
                invert(plan, contiguous(1, n), in.data(), dtype, out.data(), dtype);
                // Each result is a chain of at most this many products of n terms.
                const int products = 4 + plan.terms + plan.splits * 2 + plan.refinements * 2;
                const Wide unit = std::ldexp(Wide(1), dtype == NT_FLOAT32 ? -24 : -53);
                for (int i = 0; i < n * n; ++i) {
                    const Wide error = decode(dtype, &out[i * kItem[dtype]]) - expected.v[i];
                    const Wide limit = products * n * unit * bound.v[i];
                    CHECK(std::fabs(error) <= limit, "n %d w %d S %d entry %d: error %Lg > %Lg", n,
                          s[0], s[1], i, error, limit);
                }
            }
        }
}

// The results are the negative values, converted: they stand in row 1 (read as single numbers) and
// row 31 (read as vectors) of matrices that are otherwise zero.
void check_conversion(int a_dtype, int x_dtype, const std::vector<double>& values) {
    const int n = 32;
    const size_t slots = 30;
    const int64_t count = static_cast<int64_t>((values.size() + slots - 1) / slots);
    std::vector<char> in(count * n * n * kItem[a_dtype]), out(count * n * n * kItem[x_dtype]);
    const auto place = [&](size_t i) {
        const size_t slot = i % slots;
        return (i / slots) * n * n + (slot ? 31 * n + slot + 1 : n);
    };
    for (size_t i = 0; i < values.size(); ++i)
        encode(a_dtype, values[i], &in[place(i) * kItem[a_dtype]]);
    invert(exact_plan(n), contiguous(count, n), in.data(), a_dtype, out.data(), x_dtype);
    for (size_t i = 0; i < values.size(); ++i) {
        const double x = decode(x_dtype, &out[place(i) * kItem[x_dtype]]);
        const double want = rounded(x_dtype, -values[i]);
        CHECK(std::isnan(want) ? std::isnan(x) : x == want, "dtype %d to %d: %a became %a", a_dtype,
              x_dtype, values[i], x);
    }
}

// A number that is not finite spoils its row: it is tested alone, in either row.
void check_conversion_alone(int a_dtype, int x_dtype, double value) {
    check_conversion(a_dtype, x_dtype, {value});
    std::vector<double> second = {0, value};
    check_conversion(a_dtype, x_dtype, second);
}

void conversions_round_to_nearest_even() {
    for (int dtype : {NT_FLOAT16, NT_BFLOAT16}) {
        std::vector<double> finite;
        for (int bits = 0; bits < 65536; ++bits) {
            const double v = decode16(dtype, static_cast<uint16_t>(bits));
            if (std::isfinite(v)) finite.push_back(v);
        }
        for (int x : kDtypes) check_conversion(dtype, x, finite);
        // Midpoints of neighbours, and the numbers next to them.
        std::vector<double> floats, doubles;
        for (size_t i = 1; i < finite.size(); ++i) {
            if (std::signbit(finite[i]) != std::signbit(finite[i - 1])) continue;
            const double d = (finite[i] + finite[i - 1]) / 2;
            const float f = static_cast<float>(d);
            for (float v : {f, std::nextafter(f, 1e38f), std::nextafter(f, -1e38f)})
                floats.push_back(v);
            for (double v : {d, std::nextafter(d, 1e300), std::nextafter(d, -1e300)})
                doubles.push_back(v);
        }
        for (double v : {65519.0, 65520.0, 3.39e38, 3.4e38, 1e-45, 1e-40, 6.1e-5})
            for (double sign : {-1.0, 1.0}) {
                floats.push_back(static_cast<float>(sign * v));
                doubles.push_back(sign * v);
            }
        for (double v : {1e39, 1e300, 1e-300, 5e-324}) doubles.push_back(v);
        check_conversion(NT_FLOAT32, dtype, floats);
        check_conversion(NT_FLOAT64, dtype, doubles);
        check_conversion(NT_FLOAT64, NT_FLOAT32, doubles);
    }
    for (int a : kDtypes)
        for (int x : kDtypes)
            for (double v : {INFINITY, -INFINITY, NAN}) check_conversion_alone(a, x, v);
    // A NaN whose payload a shorter dtype has no room for is still a NaN.
    std::vector<float> in(32 * 32), out(in.size());
    for (int place : {32, 31 * 32 + 2}) {
        const uint32_t payload = 0x7f800001;
        std::fill(in.begin(), in.end(), 0.0f);
        std::memcpy(&in[place], &payload, sizeof payload);
        for (int x : {NT_FLOAT16, NT_BFLOAT16}) {
            invert(exact_plan(32), contiguous(1, 32), in.data(), NT_FLOAT32, out.data(), x);
            const char* bytes = reinterpret_cast<const char*>(out.data());
            CHECK(std::isnan(decode(x, bytes + place * 2)), "dtype %d, entry %d", x, place);
        }
    }
}

// --- memory --------------------------------------------------------------------------------------

void check_layout(const Layout& layout, int n, const nt_plan& plan, int a_dtype, int x_dtype,
                  bool at_end, int threads) {
    const nt_chunks& c = layout.chunks;
    Extent read, written;
    for_each_chunk(c, n, [&](int64_t, int rows, int64_t a, int64_t x) {
        for (int i = 0; i < rows; ++i)
            for (int j = 0; j < n; ++j) {
                if (j < i) read.include(a + i * c.a_row_stride + j * c.a_column_stride);
                written.include(x + i * c.x_row_stride + j * c.x_column_stride);
            }
    });
    Guarded in(a_dtype, read.size(), at_end), out(x_dtype, written.size(), at_end);
    const double poison = -77;
    std::vector<bool> is_read(read.size()), is_written(written.size());
    for_each_chunk(c, n, [&](int64_t, int rows, int64_t a, int64_t x) {
        for (int i = 0; i < rows; ++i)
            for (int j = 0; j < n; ++j) {
                if (j < i)
                    is_read[a + i * c.a_row_stride + j * c.a_column_stride - read.low] = true;
                is_written[x + i * c.x_row_stride + j * c.x_column_stride - written.low] = true;
            }
    });
    for (size_t i = 0; i < read.size(); ++i)
        in.set(i, is_read[i] ? rounded(a_dtype, uniform(-0.3, 0.3)) : NAN);
    for (size_t i = 0; i < written.size(); ++i) out.set(i, poison);

    invert(plan, c, in.address(-read.low), a_dtype, out.address(-written.low), x_dtype, threads);

    for (size_t i = 0; i < written.size(); ++i)
        CHECK(is_written[i] || out.get(i) == poison, "%s: wrote outside", layout.name);
    // The same matrices one by one, contiguous and complete.
    for_each_chunk(c, n, [&](int64_t m, int rows, int64_t a, int64_t x) {
        std::vector<char> one(n * n * kItem[a_dtype]), result(n * n * kItem[x_dtype]);
        for (int i = 0; i < rows; ++i)
            for (int j = 0; j < i; ++j)
                encode(a_dtype, in.get(a + i * c.a_row_stride + j * c.a_column_stride - read.low),
                       &one[(i * n + j) * kItem[a_dtype]]);
        invert(plan, contiguous(1, n), one.data(), a_dtype, result.data(), x_dtype);
        for (int i = 0; i < rows; ++i)
            for (int j = 0; j < n; ++j) {
                const double want = decode(x_dtype, &result[(i * n + j) * kItem[x_dtype]]);
                const double got =
                    out.get(x + i * c.x_row_stride + j * c.x_column_stride - written.low);
                CHECK(got == want && (j <= i || got == 0) && (j != i || got == 1),
                      "%s n %d dtypes %d %d matrix %d (%d, %d): %g, not %g", layout.name, n,
                      a_dtype, x_dtype, static_cast<int>(m), i, j, got, want);
            }
    });
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

// --- non-finite numbers --------------------------------------------------------------------------

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

// --- threads -------------------------------------------------------------------------------------

struct Batch {
    int n = 32;
    int64_t count = 501;
    std::vector<float> a, x;
    Batch() : a(count * n * n), x(a.size()) {
        for (float& v : a) v = static_cast<float>(uniform(-0.4, 0.4));
    }
    std::vector<float> run(int threads) const {
        std::vector<float> result(a.size(), -1.0f);
        const nt_plan plan = exact_plan(n);
        invert(plan, contiguous(count, n), a.data(), NT_FLOAT32, result.data(), NT_FLOAT32,
               threads);
        return result;
    }
};

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
    return std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

void threads_do_not_change_results() {
    const Batch batch;
    const std::vector<float> expected = batch.run(1);
    for (int threads : {0, 2, 3, 7, 1000})
        CHECK(same_bits(batch.run(threads), expected), "%d threads", threads);
    // The caller's rounding mode holds on every thread.
    std::fesetround(FE_UPWARD);
    const std::vector<float> upward = batch.run(1);
    for (int i = 0; i < 20; ++i)
        CHECK(same_bits(batch.run(4), upward), "rounding upward, run %d", i);
    std::fesetround(FE_TONEAREST);
    CHECK(!same_bits(upward, expected), "rounding upward changed nothing");
}

void callers_may_come_at_once_and_after_fork() {
    const Batch batch;
    const std::vector<float> expected = batch.run(1);
    std::vector<std::thread> callers;
    std::vector<int> wrong(6);
    const auto call = [&](int t) {
        for (int i = 0; i < 20; ++i) wrong[t] += !same_bits(batch.run(1 + t % 4), expected);
    };
    for (int t = 0; t < 6; ++t) callers.emplace_back(call, t);
    // A child born while the pool is busy has a pool of its own.
    for (int i = 0; i < 5; ++i) {
        const pid_t child = fork();
        if (child == 0) {
            alarm(60);
            _exit(same_bits(batch.run(3), expected) ? 0 : 1);
        }
        int status = -1;
        waitpid(child, &status, 0);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child ended with %d", status);
    }
    for (std::thread& t : callers) t.join();
    for (int t = 0; t < 6; ++t) CHECK(wrong[t] == 0, "caller %d: %d wrong", t, wrong[t]);
}

// --- errors --------------------------------------------------------------------------------------

void plans_are_checked() {
    const struct {
        nt_plan plan;
        const char* part;
    } cases[] = {{{64, 3, 8, 0, 0, 0}, nullptr},         {{128, 31, 1, 1, 2, 8}, nullptr},
                 {{128, 15, 1, 1, 3, 0}, nullptr},       {{0, 3, 8, 0, 0, 0}, "chunk_size"},
                 {{-64, 3, 8, 0, 0, 0}, "chunk_size"},   {{40, 3, 8, 0, 0, 0}, "chunk_size"},
                 {{144, 3, 8, 0, 0, 0}, "chunk_size"},   {{64, -1, 8, 0, 0, 0}, "bandwidth"},
                 {{64, 64, 8, 0, 0, 0}, "bandwidth"},    {{64, 32, 8, 0, 1, 0}, "bandwidth"},
                 {{64, 3, 0, 0, 0, 0}, "terms"},         {{64, 3, 3, 1, 0, 0}, "power of two"},
                 {{64, 3, 8, 2, 0, 0}, "form"},          {{64, 3, 8, 0, -1, 0}, "splits"},
                 {{128, 3, 8, 0, 4, 0}, "splits"},       {{48, 3, 8, 0, 1, 0}, "leaf"},
                 {{16, 3, 8, 0, 1, 0}, "leaf"},          {{64, 3, 8, 0, 0, -1}, "refinements"},
                 {{64, 63, 64, 0, 0, 0}, nullptr},       {{64, 63, 65, 0, 0, 0}, "terms"},
                 {{64, 3, INT32_MAX, 0, 0, 0}, "terms"}, {{64, 3, 8, 0, 0, 9}, "refinements"}};
    for (const auto& c : cases) {
        const char* error = nt_plan_error(&c.plan);
        CHECK(c.part ? error && std::strstr(error, c.part) : !error, "%s: %s", c.part, error);
    }
    CHECK(nt_plan_error(nullptr), "NULL was accepted");
}

void calls_are_checked() {
    const int n = 16;
    std::vector<float> a(n * n), x(n * n, 5.0f);
    const int64_t zero = 0, negative = -1, many = 17, some = 3;
    const auto expect = [&](const char* part, const std::function<void(nt_chunks&)>& edit,
                            int a_dtype = NT_FLOAT32, int x_dtype = NT_FLOAT32, int threads = 1) {
        nt_chunks c = contiguous(1, n);
        edit(c);
        const nt_plan plan = exact_plan(n);
        const char* error =
            nt_cpu_inverse(&plan, &c, a.data(), a_dtype, x.data(), x_dtype, threads);
        CHECK(error && std::strstr(error, part), "%s: %s", part, error ? error : "no error");
        for (float v : x) CHECK(v == 5.0f, "%s: something was written", part);
    };
    const auto nothing = [](nt_chunks&) {};
    expect("a_dtype", nothing, 4);
    expect("a_dtype", nothing, -1);
    expect("x_dtype", nothing, NT_FLOAT32, 4);
    expect("threads", nothing, NT_FLOAT32, NT_FLOAT32, -1);
    expect("dims", [](nt_chunks& c) { c.dims = 9; });
    expect("dims", [](nt_chunks& c) { c.dims = -1; });
    expect("chunk_dim", [](nt_chunks& c) { c.chunk_dim = 1; });
    expect("chunk_dim", [](nt_chunks& c) { c.chunk_dim = -2; });
    expect("size", [](nt_chunks& c) { c.size[0] = -1; });
    expect("too many", [](nt_chunks& c) {
        c.dims = 3;
        c.size[0] = c.size[1] = c.size[2] = INT64_C(1) << 31;
    });
    expect("length", [](nt_chunks& c) {
        c.chunk_dim = 0;
        c.length = -1;
    });
    const auto table = [](const int64_t* first, const int64_t* valid) {
        return [=](nt_chunks& c) {
            c.chunk_dim = 0;
            c.first_row = first;
            c.valid_rows = valid;
        };
    };
    expect("together", table(&zero, nullptr));
    expect("first_row", table(&negative, &some));
    expect("valid_rows", table(&zero, &negative));
    expect("valid_rows", table(&zero, &many));
    expect("overwrite", [](nt_chunks& c) { c.x_row_stride = 0; });
    expect("overwrite", [](nt_chunks& c) {
        c.size[0] = 2;
        c.x_stride[0] = 0;
    });
    const nt_plan plan = exact_plan(n), wrong = {17, 3, 1, 0, 0, 0};
    nt_chunks c = contiguous(1, n);
    CHECK(nt_cpu_inverse(nullptr, &c, a.data(), 2, x.data(), 2, 1), "no plan");
    CHECK(nt_cpu_inverse(&wrong, &c, a.data(), 2, x.data(), 2, 1), "wrong plan");
    CHECK(nt_cpu_inverse(&plan, nullptr, a.data(), 2, x.data(), 2, 1), "no chunks");
    CHECK(nt_cpu_inverse(&plan, &c, nullptr, 2, x.data(), 2, 1), "no a");
    CHECK(nt_cpu_inverse(&plan, &c, a.data(), 2, nullptr, 2, 1), "no x");
    c.size[0] = 0;  // nothing to do needs no memory
    invert(plan, c, nullptr, NT_FLOAT32, nullptr, NT_FLOAT32);
    CHECK(nt_version() == NT_VERSION, "version %d", nt_version());
}

const struct {
    const char* name;
    void (*run)();
} kTests[] = {
#define TEST(name) {#name, name}
    TEST(exact_plans_are_substitution),
    TEST(truncated_plans_are_truncated),
    TEST(conversions_round_to_nearest_even),
    TEST(layouts_touch_only_their_elements),
    TEST(large_batches_equal_small_ones),
    TEST(non_finite_stays_in_its_chunk),
    TEST(threads_do_not_change_results),
    TEST(callers_may_come_at_once_and_after_fork),
    TEST(plans_are_checked),
    TEST(calls_are_checked),
};

}  // namespace

int main(int argc, char** argv) {
    std::printf("isa %s\n", nt_cpu_isa());
    int failed = 0;
    for (const auto& test : kTests) {
        bool wanted = argc == 1 || argv[1][0] == '-';
        for (int i = 1; i < argc; ++i) {
            wanted |= std::strcmp(argv[i], test.name) == 0;
            wanted &= argv[i][0] != '-' || std::strcmp(argv[i] + 1, test.name) != 0;
        }
        if (!wanted) continue;
        try {
            test.run();
            std::printf("ok %s\n", test.name);
        } catch (const std::exception& error) {
            std::printf("FAILED %s: %s\n", test.name, error.what());
            ++failed;
        }
        std::fflush(stdout);
    }
    return failed != 0;
}
