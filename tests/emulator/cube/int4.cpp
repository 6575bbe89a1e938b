// int4b_t: two elements in a byte, Cast, products with LoadData in its three forms, costs, misuse.
#include "harness.h"

using namespace harness;

namespace {

int from_bits(int nibble) { return nibble >= 8 ? nibble - 16 : nibble; }
int element(const std::vector<int8_t>& bytes, size_t index) {
    return from_bits(bytes[index / 2] >> (index % 2 * 4) & 15);
}

// Every value keeps its bits; the first of a byte lies in its low half: 6 and 7 make 118.
void elements() {
    for (int value = -8; value < 8; ++value) CHECK(int4b_t(value) == value);
    CHECK(sizeof(int4b_t) == 1 && int4b_t(9) == -7);
    CHECK(run([] {
              const auto bytes = at<int8_t>(TPosition::VECCALC, 64, 32);
              const auto x = bytes.template ReinterpretCast<int4b_t>();
              CHECK(x.GetSize() == 64 && x.GetLength() == 32 && x.GetPhyAddr(6) == 67);
              bytes.SetValue(2, 0);
              x.SetValue(4, 6);
              x.SetValue(5, 7);
              CHECK(bytes.GetValue(2) == 118);
              CHECK(x[2].GetValue(2) == 6 && x[4].GetValue(1) == 7 && x[4].GetSize() == 60);
              x.SetValue(5, -8);
              CHECK(int4b_t(x(5)) == -8 && x.GetValue(4) == 6);
              CHECK(x.template ReinterpretCast<half>().GetSize() == 16);
          }).empty());
    EXPECT_ERROR("int4b_t is cut at element 3", at<int4b_t>(TPosition::VECCALC, 0, 64)[3]);
    EXPECT_ERROR("out of bounds", at<int4b_t>(TPosition::VECCALC, 0, 64).GetValue(64));
}

void widening() {
    std::vector<int8_t> bytes(128);
    for (size_t i = 0; i < 128; ++i) bytes[i] = static_cast<int8_t>(2 * i);
    const auto wide = [](auto initial, auto bytes_) {
        return apply(
            initial,
            [](auto d, auto s) {
                Cast(d, s.template ReinterpretCast<int4b_t>(), RoundMode::CAST_NONE, d.GetSize());
            },
            bytes_);
    };
    const auto halves = wide(filled<half>(256, 99), bytes);
    CHECK_ALL(256, halves[i] == static_cast<float>(element(bytes, i)));
#if __NPU_ARCH__ == 3510
    const auto words = wide(filled<int16_t>(256, 99), bytes);
    CHECK_ALL(256, words[i] == element(bytes, i));
    const auto bfloats = wide(filled<bfloat16_t>(256, 99), bytes);
    CHECK_ALL(256, float(bfloats[i]) == static_cast<float>(element(bytes, i)));
#endif
    // Two iterations of 128, each 64 bytes of source, the second 3 DataBlocks further.
    bytes.resize(192, 5);
    const auto masked = apply<half>(
        filled<half>(256, 99),
        [](auto d, auto s) {
            Cast(d, s.template ReinterpretCast<int4b_t>(), RoundMode::CAST_NONE, uint64_t{100}, 2,
                 {1, 1, 8, 3});
        },
        bytes);
    CHECK_ALL(
        256,
        masked[i] ==
            (i % 128 >= 100 ? 99.0f : static_cast<float>(element(bytes, i / 128 * 192 + i % 128))));
}

// Rounded as the mode says, then held to -8 .. 7.
void narrowing() {
    std::vector<half> source(256);
    for (size_t i = 0; i < 256; ++i) source[i] = half(static_cast<float>(i) / 8 - 16);
    source[0] = half(INFINITY);
    source[1] = half(-INFINITY);
    source[2] = half(NAN);
    for (const RoundMode mode : {RoundMode::CAST_RINT, RoundMode::CAST_FLOOR, RoundMode::CAST_CEIL,
                                 RoundMode::CAST_ROUND, RoundMode::CAST_TRUNC}) {
        const auto z = apply<int8_t>(
            filled<int8_t>(160, 0x55),
            [&](auto d, auto s) { Cast(d.template ReinterpretCast<int4b_t>(), s, mode, 250); },
            source);
        const auto expected = [&](size_t i) {
            const double x = static_cast<double>(float(source[i]));
            if (std::isnan(x)) return 0.0;
            const double integer = mode == RoundMode::CAST_FLOOR   ? std::floor(x)
                                   : mode == RoundMode::CAST_CEIL  ? std::ceil(x)
                                   : mode == RoundMode::CAST_ROUND ? std::round(x)
                                   : mode == RoundMode::CAST_TRUNC ? std::trunc(x)
                                                                   : std::nearbyint(x);
            return std::min(std::max(integer, -8.0), 7.0);
        };
        CHECK_ALL(250, element(z, i) == expected(i));
        CHECK_ALL(35, z[125 + i] == 0x55);
    }
#if __NPU_ARCH__ == 3510
    const auto z = apply<int8_t>(
        filled<int8_t>(32, 0),
        [](auto d, auto s) {
            Cast(d.template ReinterpretCast<int4b_t>(), s, RoundMode::CAST_NONE, 64);
        },
        random_values<int16_t>(64, -300, 300, 1));
    const auto words = random_values<int16_t>(64, -300, 300, 1);
    CHECK_ALL(64, element(z, i) == std::min(std::max<int>(words[i], -8), 7));
#endif
}

void cast_refused() {
    const auto to = at<int4b_t>(TPosition::VECCALC, 0, 128);
    const auto from = at<half>(TPosition::VECCALC, 1024, 128);
    const char* const pairs = "of the two int4b_t of a byte one takes part";
    EXPECT_ERROR(pairs, Cast(to, from, RoundMode::CAST_RINT, 7));
    EXPECT_ERROR(pairs, Cast(to, from, RoundMode::CAST_RINT, uint64_t{9}, 1, {1, 1, 2, 8}));
    uint64_t mask[2] = {0b110, 0};
    EXPECT_ERROR(pairs, Cast(to, from, RoundMode::CAST_RINT, mask, 1, {1, 1, 2, 8}));
    EXPECT_ERROR("Cast from half to int4b_t does not take CAST_ODD",
                 Cast(to, from, RoundMode::CAST_ODD, 8));
    EXPECT_ERROR("Cast from int4b_t to half does not take CAST_RINT",
                 Cast(from, to, RoundMode::CAST_RINT, 8));
    EXPECT_ERROR("out of bounds", Duplicate(from, half(1), 128); PipeBarrier<PIPE_V>();
                 Cast(at<int4b_t>(TPosition::VECCALC, 0, 126), from, RoundMode::CAST_RINT, 128));
}

#if __NPU_ARCH__ == 2201
enum class Form { k2D, k3D };

// Row-major elements of `columns` a row, two a byte; whole bytes in each row.
std::vector<int8_t> packed(uint32_t rows, uint32_t columns, unsigned seed) {
    const auto values = random_values<float>(size_t{rows} * (columns / 2), -128, 127, seed);
    return std::vector<int8_t>(values.begin(), values.end());
}

GlobalTensor<int4b_t> as_int4(Global<int8_t>& bytes) {
    GlobalTensor<int4b_t> tensor;
    tensor.SetGlobalBuffer(reinterpret_cast<int4b_t*>(bytes.values().data()),
                           bytes.values().size() * 2);
    return tensor;
}

// A (m x k) to L0A by LoadData, B (k x n) to L0B by LoadDataWithTranspose. ND2NZ counts bytes.
void load(GlobalTensor<int4b_t> a, GlobalTensor<int4b_t> b, uint32_t m, uint32_t n, uint32_t k,
          Form form) {
    const uint32_t m16 = align(m, 16), n64 = align(n, 64), k64 = align(k, 64);
    const auto a1 = at<int4b_t>(TPosition::A1, 0, m16 * k64);
    const auto b1 = at<int4b_t>(TPosition::B1, 128 * 1024, k64 * n64);
    DataCopy(a1, a, Nd2NzParams{1, m, k / 2, 0, k / 2, m16, 1, 0});
    DataCopy(b1, b, Nd2NzParams{1, k, n / 2, 0, n / 2, k64, 1, 0});
    sync<HardEvent::MTE2_MTE1>();
    const auto a2 = at<int4b_t>(TPosition::A2, 0, m16 * k64);
    const auto b2 = at<int4b_t>(TPosition::B2, 0, k64 * n64);
    if (form == Form::k2D) {
        for (uint32_t i = 0; i < m16 / 16; ++i) {
            LoadData(a2[i * 16 * k64], a1[i * 16 * 64],
                     LoadData2DParams(0, k64 / 64, m16 / 16, 0, 0, false, 0));
        }
    } else {
        LoadData3DParamsV2<int4b_t> params;
        params.l1H = m16;
        params.l1W = 1;
        params.channelSize = k64;
        params.kExtension = k64;
        params.mExtension = m16;
        LoadData(a2, a1, params);
    }
    // Squares of 64 x 64 lie one below the other in L1 and side by side in L0B.
    for (uint32_t i = 0; i < k64 / 64; ++i) {
        LoadDataWithTranspose(b2[i * 64 * n64], b1,
                              LoadData2dTransposeParams(i, n64 / 64, k64 / 64, 3, 0));
    }
    sync<HardEvent::MTE1_M>();
}

void product(uint32_t m, uint32_t n, uint32_t k, Form form) {
    Global<int8_t> a(packed(m, k, m + k)), b(packed(k, n, n));
    Global<int32_t> c(filled<int32_t>(size_t{m} * n, 7), false);
    const uint32_t n64 = align(n, 64);
    EXPECT("", run_kernel([&] {
               load(as_int4(a), as_int4(b), m, n, k, form);
               Mmad(at<int32_t>(TPosition::CO1, 0, align(m, 16) * n64),
                    at<int4b_t>(TPosition::A2, 0, align(m, 16) * align(k, 64)),
                    at<int4b_t>(TPosition::B2, 0, align(k, 64) * n64),
                    MmadParams(m, k > 64 ? n64 : n, k, 0, false, true));
               sync<HardEvent::M_FIX>();
               store(c.tensor(), m, n);
           }));
    for (size_t i = 0; i < size_t{m} * n; ++i) {
        int32_t sum = 0;
        for (uint32_t l = 0; l < k; ++l) {
            sum += element(a.values(), i / n * k + l) * element(b.values(), l * n + i % n);
        }
        if (c.values()[i] != sum) return CHECK(!"an element of the product is wrong");
    }
}

void products() {
    for (const Form form : {Form::k2D, Form::k3D}) {
        product(16, 64, 64, form);
        product(64, 64, 128, form);
        product(128, 128, 256, form);
        product(17, 40, 48, form);
        product(2, 66, 130, form);
    }
}

// Rows around the image are the padding value in both halves of each byte.
void padding() {
    Global<int8_t> a(packed(16, 64, 1)), b(packed(64, 64, 2));
    Global<int32_t> c(filled<int32_t>(16 * 64, 0), false);
    EXPECT("", run_kernel([&] {
               load(as_int4(a), as_int4(b), 16, 64, 64, Form::k2D);
               sync<HardEvent::M_MTE1>();
               LoadData3DParamsV2<int4b_t> params;
               params.l1H = 16;
               params.l1W = 1;
               params.channelSize = params.kExtension = 64;
               params.mExtension = 16;
               params.padList[2] = 4;  // the first 4 rows
               params.padValue = -3;
               const auto a2 = at<int4b_t>(TPosition::A2, 0, 16 * 64);
               PipeBarrier<PIPE_MTE1>();
               LoadData(a2, at<int4b_t>(TPosition::A1, 0, 16 * 64), params);
               sync<HardEvent::MTE1_M>();
               Mmad(at<int32_t>(TPosition::CO1, 0, 16 * 64), a2,
                    at<int4b_t>(TPosition::B2, 0, 64 * 64), MmadParams(16, 64, 64, 0, false, true));
               sync<HardEvent::M_FIX>();
               store(c.tensor(), 16, 64);
           }));
    for (size_t i = 0; i < 16 * 64; ++i) {
        int32_t sum = 0;
        for (uint32_t l = 0; l < 64; ++l) {
            const int left = i / 64 < 4 ? -3 : element(a.values(), (i / 64 - 4) * 64 + l);
            sum += left * element(b.values(), l * 64 + i % 64);
        }
        CHECK(c.values()[i] == sum);
    }
}

// A row vector: A is read as k consecutive elements.
void gemv() {
    Global<int8_t> a(packed(1, 1024, 3)), b(packed(64, 64, 4));
    Global<int32_t> c(filled<int32_t>(64, 0), false);
    EXPECT("", run_kernel([&] {
               load(as_int4(b), as_int4(b), 64, 64, 64, Form::k2D);
               const auto a1 = at<int4b_t>(TPosition::A1, 300 * 1024, 1024);
               DataCopy(a1, as_int4(a), 1024);
               sync<HardEvent::MTE2_MTE1>();
               sync<HardEvent::M_MTE1>();
               PipeBarrier<PIPE_MTE1>();
               LoadData(at<int4b_t>(TPosition::A2, 0, 1024), a1,
                        LoadData2DParams(0, 1, 1, 0, 0, false, 0));
               sync<HardEvent::MTE1_M>();
               Mmad(at<int32_t>(TPosition::CO1, 0, 16 * 64), at<int4b_t>(TPosition::A2, 0, 1024),
                    at<int4b_t>(TPosition::B2, 0, 64 * 64), MmadParams(1, 64, 64, 0, false, true));
               sync<HardEvent::M_FIX>();
               store(c.tensor(), 1, 64);
           }));
    for (size_t i = 0; i < 64; ++i) {
        int32_t sum = 0;
        for (size_t l = 0; l < 64; ++l) {
            sum += element(a.values(), l) * element(b.values(), l * 64 + i);
        }
        CHECK(c.values()[i] == sum);
    }
}

void refused() {
    const auto a1 = at<int4b_t>(TPosition::A1, 0, 64 * 64);
    const auto a2 = at<int4b_t>(TPosition::A2, 0, 64 * 64);
    EXPECT_CUBE("16-bit elements only", LoadData(a2, a1, LoadData2DParams(0, 1, 1, 0, 0, true, 0)));
    EXPECT_CUBE("LoadDataWithTranspose of int4b_t loads L0B only",
                LoadDataWithTranspose(a2, a1, LoadData2dTransposeParams(0, 1, 1, 0, 0)));
    EXPECT_CUBE("int4b_t goes to L0A, not transposed", LoadData3DParamsV2<int4b_t> params;
                params.l1H = 64; params.l1W = 1;
                params.channelSize = params.kExtension = params.mExtension = 64;
                params.enTranspose = true; LoadData(a2, a1, params));
    EXPECT_CUBE("kStartPt 32 is not a multiple of 64", LoadData3DParamsV2<int4b_t> params;
                params.kStartPt = 32; LoadData(a2, a1, params));
    Global<int8_t> g(filled<int8_t>(64, 0));
    EXPECT_CUBE("not a multiple of 32", DataCopy(a1, as_int4(g), 32));
    emulator::Options strict;
    strict.strict = true;
    EXPECT("Mmad reads byte 0 of L0A (A), which nothing has written",
           run_kernel(
               [&] {
                   Mmad(at<int32_t>(TPosition::CO1, 0, 4096), a2,
                        at<int4b_t>(TPosition::B2, 0, 4096),
                        MmadParams(64, 64, 64, 0, false, true));
               },
               {1, 0}, 1, strict));
}

// 16 x 16 x 64 in a cycle; loads by their bytes.
void cost() {
    const emulator::Soc& soc = *emulator::find_soc("", __NPU_ARCH__);
    emulator::Options options;
    options.checks = false;
    const auto report = run_kernel(
        [] {
            LoadData(at<int4b_t>(TPosition::A2, 0, 128 * 256),
                     at<int4b_t>(TPosition::A1, 0, 128 * 256),
                     LoadData2DParams(0, 32, 1, 0, 0, false, 0));
            Mmad(at<int32_t>(TPosition::CO1, 0, 128 * 128),
                 at<int4b_t>(TPosition::A2, 0, 128 * 256), at<int4b_t>(TPosition::B2, 0, 128 * 256),
                 MmadParams(128, 128, 256, 0, false, true));
        },
        {1, 0}, 1, options);
    EXPECT("", report);
    const auto cycles = [&](pipe_t pipe) {
        return report.timing.busy_ns[pipe] * soc.frequency_ghz;
    };
    CHECK(std::fabs(cycles(PIPE_M) - (8 * 8 * 4 + soc.costs.mmad_gap)) < 1e-3);
    CHECK(std::fabs(cycles(PIPE_MTE1) - (32 * 512 / soc.costs.l1_to_l0a + soc.costs.mte1_gap)) <
          1e-3);
}
#endif

}  // namespace

int main() {
    elements();
    widening();
    narrowing();
    cast_refused();
#if __NPU_ARCH__ == 2201
    products();
    padding();
    gemv();
    refused();
    cost();
#endif
    return finish("int4");
}
