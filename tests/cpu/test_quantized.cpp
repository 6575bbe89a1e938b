// Tests of the native quantised kernels through their C interface: memory, extremes, counts. That
// results equal the reference is tested from Python.
#include "layouts.h"
#include "neumann_tril_quant.h"
#include "runner.h"

namespace {

double highest(int bits) { return bits == 8 ? 127 : 32639; }
int code_dtype(int bits) { return bits == 8 ? NT_INT8 : NT_INT16; }

// Every path through a plan.
std::vector<nt_plan> plans(int n) {
    std::vector<nt_plan> all = {{n, n - 1, 1, NT_FORM_SEQUENTIAL, 0, 0},
                                {n, 1, 4, NT_FORM_DOUBLING, 0, 0},
                                {n, 3, 3, NT_FORM_SEQUENTIAL, 0, 1}};
    if (n % 32 == 0) all.push_back({n, 15, 1, NT_FORM_DOUBLING, 1, 0});
    if (n % 64 == 0) all.push_back({n, 2, 2, NT_FORM_DOUBLING, 2, 1});
    return all;
}

// Rows of constants that fit numbers of about one.
std::vector<float> constants(const nt_plan& plan, int bits, int groups) {
    const int count = nt_quant_constants(&plan);
    std::vector<float> all;
    for (int group = 0; group < groups; ++group) {
        const float n = static_cast<float>(std::floor(highest(bits) / uniform(1, 3)));
        all.insert(all.end(), {n, 1 / n, n, n});
        for (int i = 4; i < count; i += 4) all.insert(all.end(), {n, 1 / n, 1 / n, 1 / (n * n)});
    }
    return all;
}

struct Outcome {
    std::vector<float> scale;
    int64_t saturated = -1;
};

Outcome invert(const nt_plan& plan, const nt_quant& quant, const nt_chunks& chunks, const void* a,
               int a_dtype, void* x, int x_dtype, int threads = 1) {
    int64_t count = 1;
    for (int d = 0; d < chunks.dims; ++d) count *= chunks.size[d];
    Outcome outcome;
    outcome.scale.resize(static_cast<size_t>(count), -1);
    const char* error = nt_cpu_inverse_quantized(&plan, &quant, &chunks, a, a_dtype, x, x_dtype,
                                                 outcome.scale.data(), &outcome.saturated, threads);
    CHECK(error == nullptr, "%s", error);
    return outcome;
}

// --- memory --------------------------------------------------------------------------------------

void check_layout(const Layout& layout, int n, const nt_plan& plan, const nt_quant& quant,
                  int a_dtype, int x_dtype, bool at_end) {
    const LayoutMemory memory(layout, n, a_dtype, x_dtype, at_end, a_dtype >= NT_INT8 ? 60 : 0.5);
    const Outcome outcome =
        invert(plan, quant, layout.chunks, memory.a(), a_dtype, memory.x(), x_dtype, 2);
    int64_t saturated = 0;
    const auto invert_one = [&](int64_t m, const void* a, void* x) {
        nt_quant own = quant;
        if (quant.group_dim >= 0) {  // the last dimension
            own.constants += m % quant.groups * nt_quant_constants(&plan);
            own.groups = 1;
            own.group_dim = -1;
        }
        const Outcome single = invert(plan, own, contiguous(1, n), a, a_dtype, x, x_dtype);
        saturated += single.saturated;
        CHECK(single.scale[0] == outcome.scale[m], "%s: scale of matrix %d", layout.name,
              static_cast<int>(m));
    };
    memory.check(invert_one, false);
    CHECK(saturated == outcome.saturated, "%s: %d saturated", layout.name,
          static_cast<int>(outcome.saturated));
}

// Every layout gives the same numbers as matrices one by one, touches no element it need not, and
// works with inaccessible memory right before and behind.
void layouts_touch_only_their_elements() {
    for (int n : {16, 32})
        for (const Layout& layout : layouts(n))
            for (int bits : {8, 16})
                for (int a : {NT_FLOAT16, NT_FLOAT32, NT_FLOAT64, NT_INT8, NT_INT16})
                    for (int x : std::vector<int>{NT_FLOAT32, NT_BFLOAT16, code_dtype(bits)}) {
                        const std::vector<nt_plan> all = plans(n);
                        const nt_plan plan = all[generator() % all.size()];
                        const int last = layout.chunks.dims - 1;
                        const bool by_head = last > 0 && last != layout.chunks.chunk_dim;
                        const int groups = by_head ? static_cast<int>(layout.chunks.size[last]) : 1;
                        const std::vector<float> rows = constants(plan, bits, groups);
                        const nt_quant fixed = {bits, groups, by_head ? last : -1, rows.data()};
                        check_layout(layout, n, plan, fixed, a, x, generator() % 2);
                        if (a < NT_INT8)
                            check_layout(layout, n, plan, {bits, 0, -1, nullptr}, a, x, true);
                    }
}

// --- extremes ------------------------------------------------------------------------------------

// Whatever A and the constants are, X is finite, its diagonal a one, and nothing lies above.
void results_are_finite() {
    const double extremes[] = {NAN, INFINITY, -INFINITY, 3e38, -3e38, 128, -128.25, 1e-41, 0};
    for (int n = 16; n <= 128; n += 16)
        for (const nt_plan& plan : plans(n))
            for (int bits : {8, 16})
                for (int kind = 0; kind < 3; ++kind) {
                    std::vector<float> a(n * n), x(n * n);
                    for (float& v : a) {
                        v = static_cast<float>(kind == 0   ? extremes[generator() % 9]
                                               : kind == 1 ? uniform(-1, 1)
                                                           : 1000);
                    }
                    std::vector<float> rows = constants(plan, bits, 1);
                    for (size_t i = 4; kind == 1 && i < rows.size(); i += 4) {
                        rows[i + 1] = 0x1p64f;  // every code saturates
                        rows[i + 2] = 0x1p64f;
                    }
                    for (int groups : {0, 1}) {
                        const nt_quant quant = {bits, groups, -1, rows.data()};
                        invert(plan, quant, contiguous(1, n), a.data(), NT_FLOAT32, x.data(),
                               NT_FLOAT32);
                        for (int i = 0; i < n * n; ++i) {
                            CHECK(std::isfinite(x[i]), "n %d bits %d: %g", n, bits, x[i]);
                            CHECK(i % n <= i / n || x[i] == 0, "n %d: %g above", n, x[i]);
                        }
                    }
                }
}

// A leaf whose seed is its whole inverse: X = I - A for a matrix with entries in one column only.
void codes_saturate_and_are_counted() {
    const int n = 16;
    for (int bits : {8, 16}) {
        const nt_plan plan = {n, n - 1, 1, NT_FORM_DOUBLING, 0, 0};
        CHECK(nt_quant_constants(&plan) == 4, "constants");
        const float one = bits == 8 ? 64 : 16384, top = static_cast<float>(highest(bits));
        const float rows[] = {one, 1 / one, 0, one};
        std::vector<float> a(n * n, 0.0f);
        // In units of the grid; the lowest code of 8 bits is -128.
        const double low = bits == 8 ? -128 : -32639;
        const double scaled[] = {top + 0.25, top + 0.5, top + 0.75, low,  low - 0.25, low - 0.5,
                                 low - 0.75, 0.5,       1.5,        -2.5, -3.5};
        const int count = sizeof scaled / sizeof scaled[0];
        int64_t beyond = 0;
        for (int i = 0; i < count; ++i) {
            a[(i + 1) * n] = static_cast<float>(-scaled[i] / one);
            const double code = std::nearbyint(-a[(i + 1) * n] * one);
            beyond += code > top || code < low;
        }
        std::vector<char> x(n * n * 2);
        const int dtype = code_dtype(bits);
        const Outcome outcome = invert(plan, {bits, 1, -1, rows}, contiguous(1, n), a.data(),
                                       NT_FLOAT32, x.data(), dtype);
        CHECK(outcome.saturated == beyond && beyond == (bits == 8 ? 3 : 4), "%d saturated, not %d",
              static_cast<int>(outcome.saturated), static_cast<int>(beyond));
        CHECK(outcome.scale[0] == 1 / one, "scale %g", outcome.scale[0]);
        for (int i = 0; i < count; ++i) {
            const double got = decode(dtype, &x[(i + 1) * n * kItem[dtype]]);
            const double want = std::nearbyint(-a[(i + 1) * n] * one);
            CHECK(got == std::clamp<double>(want, low, top), "%g became %g", scaled[i], got);
        }
    }
}

void plans_that_cannot_be_quantised_are_refused() {
    const nt_plan plans[] = {{64, 3, 65, NT_FORM_SEQUENTIAL, 0, 0},
                             {64, 3, 2, NT_FORM_DOUBLING, 0, 9},
                             {40, 3, 2, NT_FORM_DOUBLING, 0, 0}};
    float number = 0;
    const nt_quant quant = {8, 0, -1, nullptr};
    for (const nt_plan& plan : plans) {
        const nt_chunks one = contiguous(1, 64);
        CHECK(nt_quant_constants(&plan) == 0, "constants");
        CHECK(nt_cpu_inverse_quantized(&plan, &quant, &one, &number, NT_FLOAT32, &number,
                                       NT_FLOAT32, nullptr, nullptr, 1),
              "accepted");
    }
    CHECK(nt_quant_constants(nullptr) == 0, "NULL was accepted");
}

}  // namespace

int main(int argc, char** argv) {
    return run_tests(
        {TEST(layouts_touch_only_their_elements), TEST(results_are_finite),
         TEST(codes_saturate_and_are_counted), TEST(plans_that_cannot_be_quantised_are_refused)},
        argc, argv);
}
