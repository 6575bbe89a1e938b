// Products of every operand type and size class: layouts, tails, bias, accumulation, perturbation.
#include "harness.h"

using namespace harness;

template <typename T, typename C>
static void product(uint32_t m, uint32_t n, uint32_t k) {
    Global<T> a(random_values<T>(m * k, -100, 100, m));
    Global<T> b(random_values<T>(k * n, -100, 100, n));
    Global<C> c(filled<C>(m * n, 7), false);
    EXPECT("", run_kernel([&] {
               load_operands(a.tensor(), b.tensor(), m, n, k);
               Mmad(at<C>(TPosition::CO1, 0, 128 * 128), at<T>(TPosition::A2, 0, m * k),
                    at<T>(TPosition::B2, 0, k * n), mmad_params<T>(m, n, k));
               sync<HardEvent::M_FIX>();
               store(c.tensor(), m, n);
           }));
    CHECK_ALL(m * n, (same_bits(c.values()[i], exact<C>(a.values(), b.values(), n, k, i))));
}

static void products() {
    const uint32_t sizes[][3] = {{16, 16, 16}, {64, 64, 64},  {128, 128, 128}, {32, 128, 16},
                                 {30, 40, 70}, {17, 16, 128}, {2, 48, 33}};
    for (const auto& s : sizes) {
        product<half, float>(s[0], s[1], s[2]);
        product<bfloat16_t, float>(s[0], s[1], s[2]);
        product<int8_t, int32_t>(s[0], s[1], s[2]);
        if (s[0] * s[2] <= 64 * 64 * 4) product<float, float>(s[0], s[1], s[2]);
    }
}

static void accumulation_and_bias() {
    const uint32_t n = 64;
    Global<half> a(random_values<half>(n * n, -1, 1, 1)), b(random_values<half>(n * n, -1, 1, 2));
    Global<float> bias(random_values<float>(n, -1, 1, 3));
    Global<float> c(filled<float>(n * n, 0), false);
    const auto co = at<float>(TPosition::CO1, 0, n * n);
    const auto a2 = at<half>(TPosition::A2, 0, n * n), b2 = at<half>(TPosition::B2, 0, n * n);
    EXPECT("", run_kernel([&] {
               load_operands(a.tensor(), b.tensor(), n, n, n);
               const auto bias1 = at<float>(TPosition::C1, 300 * 1024, n);
               const auto bias2 = at<float>(TPosition::C2, 0, n);
               DataCopy(bias1, bias.tensor(), n);
               sync<HardEvent::MTE2_MTE1>();
               DataCopy(bias2, bias1, n);
               sync<HardEvent::MTE1_M>();
               Mmad(co, a2, b2, bias2, MmadParams(n, n, n, 0, false, false));
               PipeBarrier<PIPE_M>();
               Mmad(co, a2, b2, MmadParams(n, n, n, 0, false, false));
               sync<HardEvent::M_FIX>();
               store(c.tensor(), n, n);
           }));
    const auto term = [&](size_t i, double start) {
        double sum = start;
        for (uint32_t l = 0; l < n; ++l) {
            sum += double(float(a.values()[i / n * n + l])) * float(b.values()[l * n + i % n]);
        }
        return static_cast<float>(sum);
    };
    CHECK_ALL(n * n, same_bits(c.values()[i], term(i, term(i, bias.values()[i % n]))));
}

// A row vector: A is read as k consecutive elements.
static void gemv() {
    const uint32_t n = 32, k = 48;
    Global<half> a(random_values<half>(256, -1, 1, 1)), b(random_values<half>(k * n, -1, 1, 2));
    Global<float> c(filled<float>(n, 0), false);
    EXPECT("", run_kernel([&] {
               load_operands(b.tensor(), b.tensor(), n, n, k);
               const auto a1 = at<half>(TPosition::A1, 300 * 1024, 256);
               DataCopy(a1, a.tensor(), 256);
               sync<HardEvent::MTE2_MTE1>();
               SetFlag<HardEvent::M_MTE1>(0);
               WaitFlag<HardEvent::M_MTE1>(0);
               PipeBarrier<PIPE_MTE1>();
               LoadData(at<half>(TPosition::A2, 0, 256), a1,
                        LoadData2DParams(0, 1, 1, 0, 0, false, 0));
               sync<HardEvent::MTE1_M>();
               Mmad(at<float>(TPosition::CO1, 0, 16 * n), at<half>(TPosition::A2, 0, 256),
                    at<half>(TPosition::B2, 0, k * n), MmadParams(1, n, k, 0, false, true));
               sync<HardEvent::M_FIX>();
               store(c.tensor(), 1, n);
           }));
    CHECK_ALL(n, same_bits(c.values()[i], exact<float>(a.values(), b.values(), n, k, i)));
}

// The perturbed sum differs, by no more than the error bound of k float32 additions in any order.
static void perturbation() {
    const uint32_t n = 64;
    Global<half> a(random_values<half>(n * n, -1, 1, 1)), b(random_values<half>(n * n, -1, 1, 2));
    Global<float> c(filled<float>(n * n, 0), false);
    emulator::Options options;
    options.perturb_seed = 5;
    EXPECT("", run_kernel(
                   [&] {
                       load_operands(a.tensor(), b.tensor(), n, n, n);
                       Mmad(at<float>(TPosition::CO1, 0, n * n), at<half>(TPosition::A2, 0, n * n),
                            at<half>(TPosition::B2, 0, n * n), MmadParams(n, n, n, 0, false, true));
                       sync<HardEvent::M_FIX>();
                       store(c.tensor(), n, n);
                   },
                   {1, 0}, 1, options));
    bool differs = false;
    const float bound = n * n * std::ldexp(1.0f, -24);  // n additions of partial sums below n
    for (size_t i = 0; i < n * n; ++i) {
        const float sum = exact<float>(a.values(), b.values(), n, n, i);
        differs |= !same_bits(sum, c.values()[i]);
        CHECK(std::fabs(sum - c.values()[i]) <= bound);
    }
    CHECK(differs);
}

static void saturation() {
    const uint32_t n = 16;
    Global<half> a(filled<half>(n * n, 60000)), b(filled<half>(n * n, 60000));
    for (const bool saturate : {false, true}) {
        Global<half> c(filled<half>(n * n, 0), false);
        emulator::Options options;
        options.saturate = saturate;
        EXPECT("", run_kernel(
                       [&] {
                           load_operands(a.tensor(), b.tensor(), n, n, n);
                           const auto co = at<float>(TPosition::CO1, 0, n * n);
                           Mmad(co, at<half>(TPosition::A2, 0, n * n),
                                at<half>(TPosition::B2, 0, n * n),
                                MmadParams(n, n, n, 0, false, true));
                           sync<HardEvent::M_FIX>();
                           Fixpipe(c.tensor(), co,
                                   FixpipeParamsV220(n, n, n, n, false, QuantMode_t::F322F16, 0, 1,
                                                     0, 0, 0));
                       },
                       {1, 0}, 1, options));
        CHECK(float(c.values()[0]) == (saturate ? 65504.0f : INFINITY));
    }
}

// F322F16 and F322BF16 of infinity and NaN, as one of two documents has it and as the other.
template <typename T>
static void disputed_saturation(QuantMode_t quant, float largest, bool disputed) {
    const uint32_t n = 16;
    std::vector<half> rows = filled<half>(n * n, 0), identity = filled<half>(n * n, 0);
    for (uint32_t i = 0; i < n; ++i) identity[i * n + i] = 1;
    rows[0] = -INFINITY;  // the rest of its row is NaN: zero times infinity
    Global<half> a(rows), b(identity);
    for (const bool saturates : {false, true}) {
        Global<T> c(filled<T>(n * n, 1), false);
        emulator::Options options;
        options.fixpipe_saturates = saturates;
        EXPECT("", run_kernel(
                       [&] {
                           AscendC::SetCtrlSpr<48, 48>(1);
                           load_operands(a.tensor(), b.tensor(), n, n, n);
                           const auto co = at<float>(TPosition::CO1, 0, n * n);
                           Mmad(co, at<half>(TPosition::A2, 0, n * n),
                                at<half>(TPosition::B2, 0, n * n),
                                MmadParams(n, n, n, 0, false, true));
                           sync<HardEvent::M_FIX>();
                           Fixpipe(c.tensor(), co,
                                   FixpipeParamsV220(n, n, n, n, false, quant, 0, 1, 0, 0, 0));
                       },
                       {1, 0}, 1, options));
        if (saturates && disputed) {
            CHECK(float(c.values()[0]) == -largest && float(c.values()[1]) == 0.0f);
        } else {
            CHECK(float(c.values()[0]) == -INFINITY && std::isnan(float(c.values()[1])));
        }
        CHECK(float(c.values()[n]) == 0.0f);
    }
}

int main() {
    products();
    accumulation_and_bias();
    gemv();
    perturbation();
    saturation();
    disputed_saturation<half>(QuantMode_t::F322F16, 65504.0f, __NPU_ARCH__ == 2201);
    disputed_saturation<bfloat16_t>(QuantMode_t::F322BF16, std::ldexp(255.0f, 120), true);
    return finish("products");
}
