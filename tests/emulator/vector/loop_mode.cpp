// Loop mode and the compact mode of DataCopyPad: copies, addresses, what is refused, what it costs.
#include "harness.h"

using namespace AscendC;
using namespace harness;

#if __NPU_ARCH__ == 3510
namespace {

constexpr DataCopyMVType kIn = DataCopyMVType::OUT_TO_UB;
constexpr DataCopyMVType kOut = DataCopyMVType::UB_TO_OUT;

// Global memory whose first element is aligned to 32 bytes.
class Bytes {
  public:
    explicit Bytes(std::vector<int8_t> values) : count_(values.size()), all_(padded(values)) {
        std::copy(values.begin(), values.end(), begin());
    }
    int8_t& operator[](size_t i) { return begin()[i]; }
    GlobalTensor<int8_t> tensor() {
        GlobalTensor<int8_t> tensor;
        tensor.SetGlobalBuffer(begin(), count_);
        return tensor;
    }

  private:
    static std::vector<int8_t> padded(const std::vector<int8_t>& values) {
        return std::vector<int8_t>(values.size() + 32, -7);
    }
    int8_t* begin() {
        int8_t* const first = all_.values().data();
        return first + (32 - reinterpret_cast<uintptr_t>(first) % 32) % 32;
    }
    size_t count_;
    Global<int8_t> all_;
};

std::vector<int8_t> counting(size_t count) {
    std::vector<int8_t> values(count);
    for (size_t i = 0; i < count; ++i) values[i] = static_cast<int8_t>(i * 31 % 101);
    return values;
}

LocalTensor<int8_t> buffer(uint32_t count) {
    return LocalTensor<int8_t>(TPosition::VECCALC, 0, count);
}

// `copy(ub, source)` on a buffer of -1; the buffer afterwards.
template <typename Copy>
std::vector<int8_t> copied_in(uint32_t count, Bytes& source, Copy copy) {
    Global<int8_t> before(std::vector<int8_t>(count, -1)), after(std::vector<int8_t>(count, 0));
    const std::string error = run([&] {
        const auto ub = buffer(count);
        DataCopy(ub, before.tensor(), count);
        PipeBarrier<PIPE_ALL>();
        copy(ub, source.tensor());
        PipeBarrier<PIPE_ALL>();
        DataCopy(after.tensor(), ub, count);
    });
    if (!error.empty()) std::printf("%s\n", error.c_str());
    CHECK(error.empty());
    return after.values();
}

// Two runs of 48 bytes behind each other, padded to 96 + 0: the documented example, 2 x 2 times.
void compact_in() {
    Bytes source(counting(384));
    const auto z = copied_in(576, source, [](auto ub, auto gm) {
        SetLoopModePara(LoopModeParams{2, 2, 96, 128, 192, 288}, kIn);
        DataCopyPad<int8_t, PaddingMode::Compact>(ub, gm, DataCopyExtParams{2, 48, 0, 0, 0},
                                                  DataCopyPadExtParams<int8_t>{false, 0, 0, 0});
        ResetLoopModePara(kIn);
    });
    for (size_t outer = 0; outer < 2; ++outer) {
        for (size_t inner = 0; inner < 2; ++inner) {
            const size_t to = outer * 288 + inner * 128, from = outer * 192 + inner * 96;
            CHECK_ALL(96, z[to + i] == source[from + i]);
        }
    }
    CHECK_ALL(32, z[96 + i] == -1 && z[256 + i] == -1);
}

// 80 bytes in a row, the last 16 of their 96 are padding; without a loop.
void compact_padding() {
    Bytes source(counting(80));
    const auto z = copied_in(128, source, [](auto ub, auto gm) {
        DataCopyPad<int8_t, PaddingMode::Compact>(ub, gm, DataCopyExtParams{2, 40, 0, 7, 0},
                                                  DataCopyPadExtParams<int8_t>{true, 3, 5, 9});
    });
    CHECK_ALL(128, z[i] == (i < 80 ? source[i] : i < 96 ? 9 : -1));
    const auto y = copied_in(128, source, [](auto ub, auto gm) {
        DataCopyPad<int8_t, PaddingMode::Compact>(ub, gm, DataCopyParams{2, 40, 0, 0},
                                                  DataCopyPadParams{true, 0, 0, 8});
    });
    CHECK_ALL(128, y[i] == (i < 80 ? source[i] : i < 96 ? 8 : -1));
    // Without a value the padding is unknown.
    EXPECT_ERROR("which nothing has written", {
        const auto ub = buffer(96);
        DataCopyPad<int8_t, PaddingMode::Compact>(ub, source.tensor(),
                                                  DataCopyExtParams{2, 40, 0, 0, 0},
                                                  DataCopyPadExtParams<int8_t>{false, 0, 0, 0});
        PipeBarrier<PIPE_ALL>();
        ub.GetValue(80);
    });
}

// [2, 4, 3, 8, 30] of which [2, 2, 2, 4, 30]: rows of 30 bytes padded to 32.
void five_dimensions() {
    constexpr uint32_t kRow = 30, kRows = 8, kPlanes = 3, kCubes = 4;
    Bytes source(counting(2 * kCubes * kPlanes * kRows * kRow));
    const auto z = copied_in(2 * 2 * 2 * 4 * 32, source, [](auto ub, auto gm) {
        SetLoopModePara({2, 2, kRows * kRow, 4 * 32, kPlanes * kRows * kRow, 2 * 4 * 32}, kIn);
        for (uint32_t i = 0; i < 2; ++i) {
            DataCopyPad<int8_t>(ub[i * 2 * 2 * 4 * 32], gm[i * kCubes * kPlanes * kRows * kRow],
                                DataCopyExtParams{4, kRow, 0, 0, 0},
                                DataCopyPadExtParams<int8_t>{true, 0, 0, 0});
        }
        ResetLoopModePara(kIn);
    });
    for (size_t i = 0; i < z.size(); ++i) {
        const size_t at = i % 32, row = i / 32 % 4, plane = i / 128 % 2, cube = i / 256 % 2;
        const size_t from = (((i / 512 * kCubes + cube) * kPlanes + plane) * kRows + row) * kRow;
        if (z[i] != (at < kRow ? source[from + at] : 0)) return CHECK(!"a wrong element");
    }
}

void out() {
    const auto values = counting(512);
    for (const bool compact : {false, true}) {
        Global<int8_t> source(values);
        Bytes result(std::vector<int8_t>(400, 0));
        const std::string error = run([&] {
            const auto ub = buffer(512);
            DataCopy(ub, source.tensor(), 512);
            PipeBarrier<PIPE_ALL>();
            // Runs of 20 bytes, 30 apart in global memory.
            SetLoopModePara({2, 3, 64, 60, 128, 130}, kOut);
            const DataCopyExtParams params{2, 20, 0, 10, 0};
            compact ? DataCopyPad<int8_t, PaddingMode::Compact>(result.tensor(), ub, params)
                    : DataCopyPad(result.tensor(), ub, params);
            ResetLoopModePara(kOut);
        });
        CHECK(error.empty());
        std::vector<int8_t> expected(400, 0);
        for (size_t i = 0; i < 12; ++i) {
            const size_t run = i % 2, inner = i / 2 % 2, outer = i / 4;
            const size_t from = outer * 128 + inner * 64 + run * (compact ? 20 : 32);
            std::copy_n(
                values.begin() + static_cast<ptrdiff_t>(from), 20,
                expected.begin() + static_cast<ptrdiff_t>(outer * 130 + inner * 60 + run * 30));
        }
        CHECK_ALL(400, result[i] == expected[i]);
    }
}

// DataCopy takes part; copies in the other direction, and after a reset, do not.
void plain_copies() {
    Bytes source(counting(256));
    const auto z = copied_in(256, source, [](auto ub, auto gm) {
        SetLoopModePara({4, 1, 32, 64, 0, 0}, kIn);
        DataCopy(ub, gm, 32);
        ResetLoopModePara(kIn);
        PipeBarrier<PIPE_ALL>();
        SetLoopModePara({4, 1, 32, 32, 0, 0}, kOut);
        DataCopy(ub[32], gm[128], 32);
        ResetLoopModePara(kOut);
    });
    CHECK_ALL(256, z[i] == (i / 32 == 1       ? source[128 + i - 32]
                            : i / 32 % 2 == 0 ? source[i / 64 * 32 + i % 32]
                                              : -1));
    const auto none = copied_in(64, source, [](auto ub, auto gm) {
        SetLoopModePara({2, 0, 32, 32, 0, 0}, kIn);
        DataCopy(ub, gm, 32);
        ResetLoopModePara(kIn);
    });
    CHECK_ALL(64, none[i] == -1);
}

void refused() {
    Bytes source(counting(256));
    const auto copy = [&](LoopModeParams loops, uint32_t skip = 0, bool reset = true) {
        SetLoopModePara(loops, kIn);
        DataCopyPad(buffer(256), source.tensor()[skip], DataCopyExtParams{1, 32, 0, 0, 0},
                    DataCopyPadExtParams<int8_t>{false, 0, 0, 0});
        if (reset) ResetLoopModePara(kIn);
    };
    EXPECT_ERROR("ResetLoopModePara does not follow", copy({2, 1, 32, 32, 0, 0}, 0, false));
    EXPECT_ERROR("loop1Size is 2097152, it must be below 2^21", copy({1u << 21, 1, 0, 0, 0, 0}));
    EXPECT_ERROR("loop2SrcStride is 1099511627776, it must be below 2^40",
                 copy({1, 1, 0, 0, 1ull << 40, 0}));
    EXPECT_ERROR("loop2DstStride is 2097152", copy({1, 1, 0, 0, 0, 1u << 21}));
    EXPECT_ERROR("loop1DstStride is 48, not a multiple of 32", copy({2, 1, 32, 48, 0, 0}));
    EXPECT_ERROR("loop1SrcStride is 16, not a multiple of 32",
                 SetLoopModePara({2, 1, 16, 32, 0, 0}, kOut));
    EXPECT_ERROR("overlap at byte 0 of dst", copy({2, 1, 32, 0, 0, 0}));
    EXPECT_ERROR("overlap at byte 32 of dst", copy({2, 2, 32, 32, 64, 32}));
    EXPECT_ERROR("of tensor dst, which has 0: out of bounds", copy({9, 1, 16, 32, 0, 0}));
    EXPECT_ERROR("of GM", copy({8, 1, 256, 32, 0, 0}));
    EXPECT_ERROR("in loop mode src must be aligned to 32 bytes", copy({1, 1, 0, 0, 0, 0}, 1));
    CHECK(run([&] { copy({8, 1, 32, 32, 0, 0}); }).empty());
}

// The runs of all iterations cost what as many runs of one copy do.
void cost() {
    Bytes source(counting(4096));
    const auto time = [&](uint32_t loops, uint32_t runs) {
        emulator::set_options({});
        const auto report = emulator::launch_body("test", __NPU_ARCH__, 1, {0, 1}, [&] {
            SetLoopModePara({loops, 1, runs * 32, runs * 32, 0, 0}, kIn);
            DataCopyPad(buffer(4096), source.tensor(), DataCopyExtParams{runs, 32, 0, 0, 0},
                        DataCopyPadExtParams<int8_t>{false, 0, 0, 0});
            ResetLoopModePara(kIn);
        });
        CHECK(report.error.empty());
        return report.timing.busy_ns[PIPE_MTE2];
    };
    CHECK(time(1, 64) > time(1, 16));
    CHECK(std::fabs(time(4, 16) - time(1, 64)) < 1e-3);
}

}  // namespace

int main() {
    compact_in();
    compact_padding();
    five_dimensions();
    out();
    plain_copies();
    refused();
    cost();
    return finish("loop_mode");
}
#else
int main() { return finish("loop_mode"); }
#endif
