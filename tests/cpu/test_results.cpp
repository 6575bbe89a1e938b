// Tests of the native CPU kernels: the numbers that plans and conversions give.
#include <algorithm>

#include "runner.h"
#include "support.h"

namespace {

// Vectors of every set but the portable one multiply and add with one rounding.
bool fused() { return std::strcmp(nt_cpu_isa(), "portable") != 0; }

template <class T>
Matrix<T> random_matrix(int n, int dtype, double size) {
    Matrix<T> a(n);
    for (int i = 0; i < n; ++i)
        for (int j = 0; j < i; ++j) a(i, j) = static_cast<T>(rounded(dtype, uniform(-size, size)));
    return a;
}

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

}  // namespace

int main(int argc, char** argv) {
    return run_tests({TEST(exact_plans_are_substitution), TEST(truncated_plans_are_truncated),
                      TEST(conversions_round_to_nearest_even)},
                     argc, argv);
}
