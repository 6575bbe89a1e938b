// Tests of the native CPU kernels: calls that are refused.
#include <functional>

#include "runner.h"
#include "support.h"

namespace {

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

}  // namespace

int main(int argc, char** argv) {
    return run_tests({TEST(plans_are_checked), TEST(calls_are_checked)}, argc, argv);
}
