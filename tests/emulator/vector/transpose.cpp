// Transpose with TransposeParamsExt: [N, C, H, W] and back, squares, what is refused, what it
// costs.
#include "harness.h"

using namespace AscendC;
using namespace harness;

constexpr TransposeType kToNhwc = TransposeType::TRANSPOSE_NCHW2NHWC;
constexpr TransposeType kToNchw = TransposeType::TRANSPOSE_NHWC2NCHW;
constexpr TransposeType kSquare = TransposeType::TRANSPOSE_ND2ND_B16;

template <typename T>
static std::vector<T> counting(size_t count) {
    std::vector<T> values(count);
    for (size_t i = 0; i < count; ++i) {
        values[i] = static_cast<T>(static_cast<float>(sizeof(T) == 1 ? i % 127 : i % 2039));
    }
    return values;
}

// Bytes of sharedTmpBuffer as documented: 16 x 32 (b8: 32 x 32) for each channel, and twice more;
// on the way back for each channel twice, and once more.
template <typename T>
static size_t scratch(uint32_t c, bool to_nhwc) {
    const size_t unit = (sizeof(T) == 1 ? 32 : 16) * (32 / sizeof(T)) * sizeof(T);
    return (to_nhwc ? c + 2 : 2 * c + 1) * unit;
}

// src and dst by the definition: axes (0, 2, 3, 1) of [N, C, H, W], or (0, 3, 1, 2) of [N, H, W,
// C].
template <typename T>
static void images(uint16_t n, uint16_t c, uint16_t h, uint16_t w) {
    const size_t count = size_t{n} * c * h * w;
    const auto source = counting<T>(count);
    for (const bool to_nhwc : {true, false}) {
        const auto result = apply<T>(
            filled<T>(count, 1),
            [&](auto d, auto s, auto t) {
                Transpose(d, s, t, TransposeParamsExt(n, c, h, w, to_nhwc ? kToNhwc : kToNchw));
            },
            source, filled<uint8_t>(scratch<T>(c, to_nhwc), 0));
        for (size_t i = 0; i < count; ++i) {
            const size_t image = i / (size_t{c} * h * w), rest = i % (size_t{c} * h * w);
            const size_t channel = to_nhwc ? rest % c : rest / (h * w);
            const size_t pixel = to_nhwc ? rest / c : rest % (h * w);
            const size_t from = to_nhwc ? (image * c + channel) * h * w + pixel
                                        : (image * h * w + pixel) * c + channel;
            if (!same_bits(result[i], source[from])) return CHECK(!"a transposed element is wrong");
        }
    }
}

static void all_types() {
    images<int8_t>(2, 3, 4, 8);
    images<uint8_t>(1, 33, 8, 8);
    images<int16_t>(3, 1, 4, 4);
    images<uint16_t>(1, 16, 4, 4);
    images<half>(2, 5, 2, 24);
    images<int32_t>(1, 7, 1, 8);
    images<uint32_t>(2, 2, 3, 8);
    images<float>(1, 17, 5, 8);
#if __NPU_ARCH__ == 3510
    images<bfloat16_t>(2, 5, 2, 24);
#endif
}

static void squares() {
    const auto transpose = [](auto d, auto s, auto t) {
        Transpose(d, s, t, TransposeParamsExt(9, 9, 16, 16, kSquare));
    };
    const auto z = apply<uint16_t>(filled<uint16_t>(256, 0), transpose, counting<uint16_t>(256),
                                   filled<uint8_t>(32, 0));
    CHECK_ALL(256, z[i] == i % 16 * 16 + i / 16);
    const auto in_place = apply<uint16_t>(counting<uint16_t>(256), [](auto d) {
        Transpose(d, d, LocalTensor<uint8_t>(TPosition::VECCALC, 1024, 0),
                  TransposeParamsExt(0, 0, 16, 16, kSquare));
    });
    CHECK_ALL(256, in_place[i] == i % 16 * 16 + i / 16);
#if __NPU_ARCH__ == 3510
    const auto halves =
        apply<half>(filled<half>(256, 0), transpose, counting<half>(256), filled<uint8_t>(32, 0));
    CHECK_ALL(256, float(halves[i]) == static_cast<float>(i % 16 * 16 + i / 16));
#else
    EXPECT_ERROR("TRANSPOSE_ND2ND_B16 does not take half on dav-2201", {
        const LocalTensor<half> x(TPosition::VECCALC, 0, 256);
        Transpose(x, x, LocalTensor<uint8_t>(), TransposeParamsExt(0, 0, 16, 16, kSquare));
    });
#endif
}

// Nothing to do, and nothing done.
static void nothing() {
    for (const TransposeParamsExt& p :
         {TransposeParamsExt(0, 4, 4, 4, kToNhwc), TransposeParamsExt(1, 0, 4, 4, kToNhwc),
          TransposeParamsExt(1, 4, 0, 4, kToNchw), TransposeParamsExt(1, 4, 4, 0, kToNchw),
          TransposeParamsExt(1, 4, 4, 4, TransposeType::TRANSPOSE_TYPE_NONE)}) {
        const auto z = apply<half>(
            filled<half>(64, 7), [&](auto d, auto s, auto t) { Transpose(d, s, t, p); },
            filled<half>(64, 1), filled<uint8_t>(32, 0));
        CHECK_ALL(64, z[i] == 7.0f);
    }
}

static void refused() {
    const auto call = [](TransposeParamsExt p, uint32_t dst = 0, uint32_t bytes = 64 * 1024) {
        const LocalTensor<half> d(TPosition::VECCALC, dst, 8192),
            s(TPosition::VECCALC, 32 * 1024, 8192);
        Duplicate(s, half(1), 8192);
        PipeBarrier<PIPE_V>();
        Transpose(d, s, LocalTensor<uint8_t>(TPosition::VECCALC, 64 * 1024, bytes), p);
    };
    const uint32_t needed = static_cast<uint32_t>(scratch<half>(4, true));
    EXPECT_ERROR("", call({1, 4, 4, 4, kToNhwc}, 0, needed));
    EXPECT_ERROR("sharedTmpBuffer has 3071 bytes, 3072 are needed",
                 call({1, 4, 4, 4, kToNhwc}, 0, needed - 1));
    EXPECT_ERROR("sharedTmpBuffer has 3072 bytes, 4608 are needed",
                 call({1, 4, 4, 4, kToNchw}, 0, needed));
    EXPECT_ERROR("hSize * wSize is 12 elements, not a multiple of 32 bytes",
                 call({1, 4, 3, 4, kToNhwc}));
    EXPECT_ERROR("cSize is 4096", call({1, 4096, 4, 4, kToNhwc}));
    EXPECT_ERROR("hSize * wSize is 4096", call({1, 1, 64, 64, kToNhwc}));
    EXPECT_ERROR("dst overlaps src", call({1, 4, 4, 4, kToNhwc}, 32 * 1024));
    EXPECT_ERROR("out of bounds", call({129, 4, 4, 4, kToNhwc}, 80 * 1024));
    EXPECT_ERROR("transposeType 7 is not supported",
                 call({1, 4, 4, 4, TransposeType::TRANSPOSE_ND2ND_ONLY}));
    EXPECT_ERROR("hSize is 8", {
        const LocalTensor<uint16_t> x(TPosition::VECCALC, 0, 256);
        Transpose(x, x, LocalTensor<uint8_t>(), TransposeParamsExt(0, 0, 8, 16, kSquare));
    });
    EXPECT_ERROR("a parameter field gets 65536", call({65536, 4, 4, 4, kToNhwc}));
    EXPECT_ERROR("nothing has written", {
        const LocalTensor<half> x(TPosition::VECCALC, 0, 256);
        Transpose(x[64], x, LocalTensor<uint8_t>(TPosition::VECCALC, 64 * 1024, needed),
                  TransposeParamsExt(1, 4, 4, 4, kToNhwc));
    });
    // The scratch buffer loses its content.
    const auto z = apply<uint8_t>(
        filled<uint8_t>(needed, 5),
        [](auto t, auto d, auto s) { Transpose(d, s, t, TransposeParamsExt(1, 4, 4, 4, kToNhwc)); },
        filled<half>(64, 0), filled<half>(64, 1));
    CHECK_ALL(needed, z[i] != 5);
}

// Every square passes TransDataTo5HD twice: twice its 512 bytes in iterations of 256.
static void cost() {
    const auto busy = [](uint16_t n) {
        emulator::Options options;
        options.checks = false;  // of src, which nothing has written
        emulator::set_options(options);
        const auto report = emulator::launch_body("test", __NPU_ARCH__, 1, {0, 1}, [&] {
            Transpose(LocalTensor<half>(TPosition::VECCALC, 0, 8192),
                      LocalTensor<half>(TPosition::VECCALC, 16384, 8192),
                      LocalTensor<uint8_t>(TPosition::VECCALC, 32768, 65536),
                      TransposeParamsExt(n, 16, 4, 16, kToNhwc));
        });
        return report.timing.busy_ns[PIPE_V] * emulator::find_soc("", __NPU_ARCH__)->frequency_ghz;
    };
    CHECK(std::fabs(busy(1) - (6 + 2 * 4 * 2)) < 1e-3);
    CHECK(std::fabs(busy(8) - (6 + 2 * 4 * 2 * 8)) < 1e-3);
}

int main() {
    all_types();
    squares();
    nothing();
    refused();
    cost();
    return finish("transpose");
}
