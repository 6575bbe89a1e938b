// Arithmetic, logic, casts, comparison, selection: values, masks, strides, tails.
#include "harness.h"

using namespace AscendC;
using namespace harness;

template <typename T>
static T rounded(double value) {
    if constexpr (std::is_integral_v<T>)
        return static_cast<T>(static_cast<int64_t>(value));
    else
        return static_cast<T>(static_cast<float>(value));
}

// A binary function against the same sum on the host: count form with a tail, then mask and
// strides.
template <typename T, typename Host, typename Count, typename Masked>
static void binary(Host host, Count count_form, Masked masked_form) {
    const auto a = random_values<T>(400, -50, 50, 1), b = random_values<T>(400, 1, 60, 2);
    const auto z = apply<T>(
        filled<T>(400, 7), [&](auto d, auto x, auto y) { count_form(d, x, y, 333); }, a, b);
    const auto value = [&](size_t i, size_t j) {
        return rounded<T>(host(static_cast<double>(emulator::widen(a[i])),
                               static_cast<double>(emulator::widen(b[j]))));
    };
    CHECK_ALL(400, same_bits(z[i], i < 333 ? value(i, i) : filled<T>(1, 7)[0]));

    // Two iterations, every third element, src1 one block for all (block stride 0), dst blocks
    // spread.
    constexpr size_t block = 32 / sizeof(T);
    uint64_t mask[2] = {0x9249249249249249ull, sizeof(T) == 2 ? 0x4924924924924924ull : 0};
    const auto y = apply<T>(
        filled<T>(block * 40, 3),
        [&](auto d, auto x, auto w) {
            masked_form(d, x, w, mask, 2, BinaryRepeatParams{2, 1, 0, 20, 8, 8});
        },
        random_values<T>(block * 16, -50, 50, 1), random_values<T>(block * 16, 1, 60, 2));
    const auto p = random_values<T>(block * 16, -50, 50, 1),
               q = random_values<T>(block * 16, 1, 60, 2);
    std::vector<T> expected = filled<T>(block * 40, 3);
    for (size_t r = 0; r < 2; ++r) {
        for (size_t lane = 0; lane < 8 * block; ++lane) {
            if ((mask[lane / 64] >> (lane % 64) & 1) == 0) continue;
            expected[(r * 20 + lane / block * 2) * block + lane % block] = rounded<T>(
                host(static_cast<double>(emulator::widen(p[r * 8 * block + lane])),
                     static_cast<double>(emulator::widen(q[r * 8 * block + lane % block]))));
        }
    }
    CHECK_ALL(expected.size(), same_bits(y[i], expected[i]));
}

#define BINARY(T, Name, expression)                                    \
    binary<T>([](double a, double b) { return expression; },           \
              [](auto d, auto x, auto y, int n) { Name(d, x, y, n); }, \
              [](auto d, auto x, auto y, uint64_t* m, int r, auto p) { Name(d, x, y, m, r, p); })

static void arithmetic() {
    BINARY(float, Add, a + b);
    BINARY(half, Add, a + b);
    BINARY(int16_t, Add, a + b);
    BINARY(int32_t, Sub, a - b);
    BINARY(float, Sub, a - b);
    BINARY(half, Mul, a * b);
    BINARY(float, Mul, a* b);
    BINARY(int16_t, Mul, a* b);
    BINARY(float, Max, a > b ? a : b);
    BINARY(half, Min, a < b ? a : b);
    BINARY(int16_t, And, static_cast<int64_t>(a) & static_cast<int64_t>(b));
    BINARY(uint16_t, Or, static_cast<int64_t>(a) | static_cast<int64_t>(b));
    BINARY(float, AddRelu, std::max(a + b, 0.0));
    BINARY(half, SubRelu, std::max(a - b, 0.0));

    // Division rounds once; the host's double quotient rounded to float agrees for these values.
    const auto a = random_values<float>(64, -9, 9, 3), b = random_values<float>(64, 1, 9, 4);
    const auto q =
        apply<float>(filled<float>(64, 0), [](auto d, auto x, auto y) { Div(d, x, y, 64); }, a, b);
    CHECK_ALL(64, q[i] == a[i] / b[i]);

    // Accumulation over the iterations: dst = src1 with a repeat stride of 0.
    const auto sum = apply<float>(
        filled<float>(64, 1), [](auto d, auto x) { Add(d, x, d, 64, 3, {1, 1, 1, 0, 8, 0}); },
        filled<float>(192, 2));
    CHECK_ALL(64, sum[i] == 7);
}

static void unary_and_scalar() {
    const auto x = random_values<half>(200, -30, 30, 5);
    auto z = apply<half>(filled<half>(200, 9), [](auto d, auto s) { Abs(d, s, 150); }, x);
    CHECK_ALL(200, z[i] == (i < 150 ? std::fabs(float(x[i])) : 9.0f));
    z = apply<half>(filled<half>(200, 9), [](auto d, auto s) { Relu(d, s, 200); }, x);
    CHECK_ALL(200, z[i] == std::max(float(x[i]), 0.0f));
    z = apply<half>(filled<half>(200, 9), [](auto d, auto s) { Muls(d, s, half(0.3f), 200); }, x);
    CHECK_ALL(200, same_bits(z[i], half(float(x[i]) * float(half(0.3f)))));
    z = apply<half>(
        filled<half>(200, 9), [](auto d, auto s) { LeakyRelu(d, s, half(0.5f), 200); }, x);
    CHECK_ALL(200, z[i] == (float(x[i]) < 0 ? 0.5f * float(x[i]) : float(x[i])));

    const auto y = random_values<float>(100, 0.1, 5, 6);
    auto w = apply<float>(filled<float>(100, 0), [](auto d, auto s) { Exp(d, s, 100); }, y);
    CHECK_ALL(100, w[i] == static_cast<float>(std::exp(double{y[i]})));
    w = apply<float>(
        filled<float>(100, 0), [](auto d, auto s) { Ln(d, s, 64, 1, {1, 1, 8, 8}); }, y);
    CHECK_ALL(100, w[i] == (i < 64 ? static_cast<float>(std::log(double{y[i]})) : 0));
    w = apply<float>(filled<float>(100, 0), [](auto d, auto s) { Sqrt(d, s, 100); }, y);
    CHECK_ALL(100, w[i] == std::sqrt(y[i]));
    w = apply<float>(filled<float>(100, 0), [](auto d, auto s) { Reciprocal(d, s, 100); }, y);
    CHECK_ALL(100, w[i] == 1 / y[i]);
    w = apply<float>(filled<float>(100, 0), [](auto d, auto s) { Adds(d, s, 2.5f, 100); }, y);
    CHECK_ALL(100, w[i] == y[i] + 2.5f);
    w = apply<float>(filled<float>(100, 0), [](auto d, auto s) { Maxs(d, s, 2.5f, 100); }, y);
    CHECK_ALL(100, w[i] == std::max(y[i], 2.5f));

    std::vector<int16_t> n = {17, -17, 32767, -32768, 5, 0, -1, 1};
    n.resize(16);
    auto m = apply<int16_t>(n, [](auto d, auto s) { ShiftRight(d, s, int16_t{5}, 16); }, n);
    CHECK_ALL(16, m[i] == n[i] >> 5);
    m = apply<int16_t>(
        n, [](auto d, auto s) { ShiftRight(d, s, int16_t{5}, 16, 1, {1, 1, 8, 8}, true); }, n);
    CHECK(m[0] == 1);
    m = apply<int16_t>(n, [](auto d, auto s) { ShiftLeft(d, s, int16_t{3}, 16); }, n);
    CHECK_ALL(16, m[i] == static_cast<int16_t>(n[i] * 8));
    m = apply<int16_t>(n, [](auto d, auto s) { Not(d, s, 16); }, n);
    CHECK_ALL(16, m[i] == static_cast<int16_t>(~n[i]));
    // Differences of int16_t wrap around: the sign flip of masks relies on 0 - 1 = all ones.
    m = apply<int16_t>(n, [](auto d, auto s) { Sub(d, d, s, 16); }, filled<int16_t>(16, 1));
    CHECK_ALL(16, m[i] == static_cast<int16_t>(n[i] - 1));
}

static void multiply_add() {
    const auto a = random_values<half>(128, -2, 2, 7), b = random_values<half>(128, -2, 2, 8);
    const auto c = random_values<float>(128, -2, 2, 9);
    const auto wide =
        apply<float>(c, [](auto d, auto x, auto y) { MulAddDst(d, x, y, 128); }, a, b);
    CHECK_ALL(128, wide[i] == std::fma(float(a[i]), float(b[i]), c[i]));
    const auto scaled = apply<float>(c, [](auto d, auto x) { Axpy(d, x, half(3), 100); }, a);
    CHECK_ALL(128, scaled[i] == (i < 100 ? std::fma(float(a[i]), 3.0f, c[i]) : c[i]));
    const auto fused = apply<float>(
        c, [](auto d, auto x, auto y) { FusedMulAdd(d, x, y, 128); },
        random_values<float>(128, -2, 2, 3), random_values<float>(128, -2, 2, 4));
    const auto x = random_values<float>(128, -2, 2, 3), y = random_values<float>(128, -2, 2, 4);
    CHECK_ALL(128, fused[i] == std::fma(x[i], c[i], y[i]));
}

static void casts() {
    const std::vector<float> x = {1.4f, 1.5f, 2.5f, -1.5f, -2.5f, 2.6f, -0.4f, 3e9f};
    const auto cast = [&](RoundMode mode) {
        return apply<int32_t>(
            filled<int32_t>(8, 0), [=](auto d, auto s) { Cast(d, s, mode, 8); }, x);
    };
    const std::vector<int32_t> rint = {1, 2, 2, -2, -2, 3, 0, INT32_MAX};
    const std::vector<int32_t> floor = {1, 1, 2, -2, -3, 2, -1, INT32_MAX};
    const std::vector<int32_t> ceil = {2, 2, 3, -1, -2, 3, 0, INT32_MAX};
    const std::vector<int32_t> round = {1, 2, 3, -2, -3, 3, 0, INT32_MAX};
    const std::vector<int32_t> trunc = {1, 1, 2, -1, -2, 2, 0, INT32_MAX};
    CHECK(cast(RoundMode::CAST_RINT) == rint);
    CHECK(cast(RoundMode::CAST_FLOOR) == floor);
    CHECK(cast(RoundMode::CAST_CEIL) == ceil);
    CHECK(cast(RoundMode::CAST_ROUND) == round);
    CHECK(cast(RoundMode::CAST_TRUNC) == trunc);

    // The worked examples of the documents: 0.5 + 2^-12 to half, 0.5 + 2^-9 + 2^-11 to bfloat16.
    const std::vector<float> h(8, 0.5f + 0x1p-12f);
    const auto to_half = [&](RoundMode mode) {
        return float(
            apply<half>(filled<half>(8, 0), [=](auto d, auto s) { Cast(d, s, mode, 8); }, h)[0]);
    };
    CHECK(to_half(RoundMode::CAST_RINT) == 0.5f);
    CHECK(to_half(RoundMode::CAST_CEIL) == 0.5f + 0x1p-11f);
    CHECK(to_half(RoundMode::CAST_ROUND) == 0.5f + 0x1p-11f);
    CHECK(to_half(RoundMode::CAST_TRUNC) == 0.5f);
    CHECK(to_half(RoundMode::CAST_ODD) == 0.5f + 0x1p-11f);
    const std::vector<float> g(8, 0.5f + 0x1p-9f + 0x1p-11f);
    const auto to_bf16 = [&](RoundMode mode) {
        return float(apply<bfloat16_t>(
            filled<bfloat16_t>(8, 0), [=](auto d, auto s) { Cast(d, s, mode, 8); }, g)[0]);
    };
    CHECK(to_bf16(RoundMode::CAST_RINT) == 0.5f + 0x1p-8f);
    CHECK(to_bf16(RoundMode::CAST_FLOOR) == 0.5f);

    // Width: the mask counts the wider type; strides as the kernels use them (16 rows of 8 blocks).
    const auto source = random_values<half>(256, -3, 3, 10);
    uint64_t mask[2] = {~0ull, 0};
    const auto wide = apply<float>(
        filled<float>(256, 5),
        [&](auto d, auto s) { Cast(d, s, RoundMode::CAST_NONE, mask, 4, {1, 1, 8, 4}); }, source);
    CHECK_ALL(256, wide[i] == float(source[i]));
    // float to half in place.
    const auto narrow = apply<float>(random_values<float>(128, -3, 3, 11), [](auto d) {
        Cast(d.template ReinterpretCast<half>(), d, RoundMode::CAST_RINT, 128);
    });
    const auto original = random_values<float>(128, -3, 3, 11);
    CHECK_ALL(128, same_bits(reinterpret_cast<const half*>(narrow.data())[i], half(original[i])));

    const auto quantised = apply<int8_t>(
        filled<int8_t>(128, 0), [](auto d, auto s) { Cast(d, s, RoundMode::CAST_RINT, 128); },
        random_values<half>(128, -300, 300, 12));
    const auto q = random_values<half>(128, -300, 300, 12);
    CHECK_ALL(128,
              quantised[i] == std::min(127.0f, std::max(-128.0f, std::nearbyint(float(q[i])))));
    const auto deq = apply<half>(
        filled<half>(64, 0),
        [](auto d, auto s) {
            SetDeqScale(half(0.5f));
            Cast(d, s, RoundMode::CAST_NONE, 64);
        },
        filled<int32_t>(64, 77));
    CHECK_ALL(64, float(deq[i]) == 38.5f);
}

static void saturation() {
    const std::vector<float> big(16, 1e6f);
    const auto kept = apply<half>(
        filled<half>(16, 0),
        [](auto d, auto s) {
            SetSaturationFlag<SaturationMode::FLOAT>(false);
            Cast(d, s, RoundMode::CAST_RINT, 16);
        },
        big);
    CHECK(std::isinf(float(kept[0])));
    const auto clamped = apply<half>(
        filled<half>(16, 0),
        [](auto d, auto s) {
            SetCtrlSpr<48, 48>(0);
            Cast(d, s, RoundMode::CAST_RINT, 16);
        },
        big);
    CHECK(float(clamped[0]) == 65504.0f);
    const auto nan = apply<half>(
        filled<half>(16, 3),
        [](auto d, auto s) {
            SetSaturationFlag<SaturationMode::FLOAT>(true);
            Muls(d, s, half(1), 16);
        },
        filled<half>(16, NAN));
    CHECK(nan[0].bits == 0);
}

static void integers_of_another_width() {
    const auto source = filled<int32_t>(64, -55);
    const auto wide = apply<int64_t>(
        filled<int64_t>(64, 0), [](auto d, auto s) { Cast(d, s, RoundMode::CAST_NONE, 64); },
        source);
    CHECK_ALL(64, wide[i] == -55);
    const auto cast = [](bool saturates, int32_t value) {
        return apply<int16_t>(
            filled<int16_t>(64, 0),
            [=](auto d, auto s) {
                SetSaturationFlag<SaturationMode::CAST>(saturates);
                Cast(d, s, RoundMode::CAST_NONE, 64);
            },
            filled<int32_t>(64, value))[0];
    };
    CHECK(cast(true, 70000) == 32767 && cast(true, -70000) == -32768 && cast(true, 7) == 7);
    CHECK(cast(false, 70000) == 70000 - 65536 && cast(false, -40000) == 65536 - 40000);
    CHECK(cast(false, -7) == -7);
}

static void compare_and_select() {
    const auto a = random_values<float>(128, -1, 1, 13), b = random_values<float>(128, -1, 1, 14);
    const auto bits = apply<uint8_t>(
        filled<uint8_t>(32, 0xff),
        [](auto d, auto x, auto y) { Compare(d, x, y, CMPMODE::LT, 128); }, a, b);
    CHECK_ALL(128, (bits[i / 8] >> (i % 8) & 1) == (a[i] < b[i]));
    CHECK(bits[16] == 0xff);
    const auto scalar = apply<uint8_t>(
        filled<uint8_t>(32, 0),
        [](auto d, auto x) { Compares(d, x, 0.25f, CMPMODE::GE, 64, 2, {1, 1, 8, 8}); }, a);
    CHECK_ALL(128, (scalar[i / 8] >> (i % 8) & 1) == (a[i] >= 0.25f));

    std::vector<uint8_t> choose(32);
    for (size_t i = 0; i < choose.size(); ++i) choose[i] = static_cast<uint8_t>(i * 37 + 11);
    const auto bit = [&](size_t i) { return (choose[i / 8] >> (i % 8) & 1) != 0; };
    auto z = apply<float>(
        filled<float>(128, 9),
        [](auto d, auto x, auto y, auto m) {
            Select(d, m, x, y, SELMODE::VSEL_TENSOR_TENSOR_MODE, 100);
        },
        a, b, choose);
    CHECK_ALL(128, z[i] == (i >= 100 ? 9 : bit(i) ? a[i] : b[i]));
    z = apply<float>(
        filled<float>(128, 9),
        [](auto d, auto x, auto y, auto m) {
            Select(d, m, x, y, SELMODE::VSEL_CMPMASK_SPR, 64, 2, {1, 1, 1, 8, 8, 8});
        },
        a, b, choose);
    CHECK_ALL(128, z[i] == (bit(i % 64) ? a[i] : b[i]));
    z = apply<float>(
        filled<float>(128, 9),
        [](auto d, auto x, auto m) {
            Select(d, m, x, -4.0f, SELMODE::VSEL_TENSOR_SCALAR_MODE, 128);
        },
        a, choose);
    CHECK_ALL(128, z[i] == (bit(i) ? a[i] : -4));
}

static void mask_registers() {
    const auto a = random_values<half>(256, -9, 9, 15);
    // Counter mode, count form: the registers say 130.
    auto z = apply<half>(
        filled<half>(256, 1),
        [](auto d, auto x) {
            SetMaskCount();
            SetVectorMask<half, MaskMode::COUNTER>(130);
            Adds<half, false>(d, x, half(2), 1);
            SetMaskNorm();
            ResetMask();
        },
        a);
    CHECK_ALL(256, z[i] == (i < 130 ? float(half(float(a[i]) + 2)) : 1.0f));
    // Normal mode, bits.
    z = apply<half>(
        filled<half>(256, 1),
        [](auto d, auto x) {
            SetMaskNorm();
            SetVectorMask<half, MaskMode::NORMAL>(0, 0xf);
            Add<half, false>(d, x, x, MASK_PLACEHOLDER, 2, {1, 1, 1, 8, 8, 8});
            ResetMask();
        },
        a);
    CHECK_ALL(256, z[i] == (i % 128 < 4 ? float(half(2 * float(a[i]))) : 1.0f));
}

static void mask_register_of_comparisons() {
    const auto a = random_values<float>(64, -1, 1, 16), b = random_values<float>(64, -1, 1, 17);
    const auto bits = apply<uint8_t>(
        filled<uint8_t>(32, 0),
        [](auto d, auto x, auto y) {
            Compare(x, y, CMPMODE::GT, static_cast<uint64_t>(64), BinaryRepeatParams());
            PipeBarrier<PIPE_V>();
            GetCmpMask(d);
        },
        a, b);
    CHECK_ALL(64, (bits[i / 8] >> (i % 8) & 1) == (a[i] > b[i]));
    const auto z = apply<float>(
        filled<float>(128, 0),
        [](auto d, auto x, auto y, auto m) {
            SetCmpMask(m);
            SetVectorMask<float>(64);
            Select<float, SELMODE::VSEL_CMPMASK_SPR>(d, x, y, 2, {1, 1, 1, 8, 0, 0});
            ResetMask();
        },
        a, b, bits);
    CHECK_ALL(128, z[i] == std::max(a[i % 64], b[i % 64]));
}

// CMPMASK may be loaded from 16 bytes of which only some are written, and those may be used.
static void partly_written_mask_register() {
    const auto kernel = [](uint64_t used) {
        const LocalTensor<float> x(TPosition::VECCALC, 0, 64), y(TPosition::VECCALC, 256, 64);
        const LocalTensor<uint32_t> bits(TPosition::VECCALC, 1024, 8);
        Duplicate(x, 1.0f, 64);
        Duplicate(y, 2.0f, 64);
        Duplicate(bits, 0xffu, 1);
        SetCmpMask(bits);
        SetVectorMask<float>(static_cast<int32_t>(used));
        Select<float, SELMODE::VSEL_CMPMASK_SPR>(x, x, y, 1, {1, 1, 1, 8, 8, 8});
    };
    CHECK(run([&] { kernel(32); }) == "");
    EXPECT_ERROR("uses byte 4 of CMPMASK", { kernel(64); });
}

static void rectified_multiply_add() {
    const auto x = random_values<half>(128, -2, 2, 3), y = random_values<half>(128, -2, 2, 4);
    const auto c = random_values<half>(128, -2, 2, 5);
    const auto fused = [&](size_t i) {
        return emulator::round_to_format(double{float(x[i])} * float(c[i]) + float(y[i]),
                                         emulator::kHalfFormat, RoundMode::CAST_RINT);
    };
    auto z = apply<half>(c, [](auto d, auto s, auto t) { MulAddRelu(d, s, t, 128); }, x, y);
    CHECK_ALL(128, double{float(z[i])} == std::max(0.0, fused(i)));
    z = apply<half>(
        c,
        [](auto d, auto s, auto t) {
            FusedMulAddRelu(d, s, t, static_cast<uint64_t>(100), 1, {1, 1, 1, 8, 8, 8});
        },
        x, y);
    CHECK_ALL(128, double{float(z[i])} == (i < 100 ? std::max(0.0, fused(i)) : float(c[i])));
    const auto rsqrt = apply<float>(
        filled<float>(64, 0), [](auto d, auto s) { Rsqrt(d, s, 64); }, filled<float>(64, 4));
    CHECK_ALL(64, rsqrt[i] == 0.5f);
#if __NPU_ARCH__ == 3510
    const auto negative =
        apply<half>(filled<half>(128, 0), [](auto d, auto s) { Neg(d, s, 128); }, x);
    CHECK_ALL(128, float(negative[i]) == -float(x[i]));
    const auto sum = apply<bfloat16_t>(
        filled<bfloat16_t>(128, 0), [](auto d, auto s) { Add(d, s, s, 128); },
        random_values<bfloat16_t>(128, -2, 2, 3));
    const auto terms = random_values<bfloat16_t>(128, -2, 2, 3);
    CHECK_ALL(128, float(sum[i]) == 2 * float(terms[i]));
#endif
}

int main() {
    mask_register_of_comparisons();
    partly_written_mask_register();
    rectified_multiply_add();
    arithmetic();
    unary_and_scalar();
    multiply_add();
    casts();
    saturation();
    integers_of_another_width();
    compare_and_select();
    mask_registers();
    return finish("elementwise");
}
