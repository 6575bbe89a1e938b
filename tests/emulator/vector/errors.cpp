// What must not pass: every check of the vector side fires, with the reason.
#include "harness.h"

using namespace AscendC;
using namespace harness;

template <typename T>
static LocalTensor<T> at(uint32_t address, uint32_t count) {
    return LocalTensor<T>(TPosition::VECCALC, address, count);
}

// A tensor whose elements are written.
template <typename T>
static LocalTensor<T> written(uint32_t address, uint32_t count) {
    const LocalTensor<T> tensor = at<T>(address, count);
    Duplicate(tensor, T{}, static_cast<int32_t>(count));
    return tensor;
}

static void operands() {
    EXPECT_ERROR("out of bounds", { Duplicate(at<float>(248 * 1024 - 64, 4096), 1.0f, 17 * 64); });
    EXPECT_ERROR("out of bounds", { Duplicate(at<float>(0, 64), 1.0f, 65); });
    EXPECT_ERROR("aligned", { Duplicate(at<float>(16, 64), 1.0f, 8); });
    EXPECT_ERROR("nothing has written", { Adds(at<float>(0, 64), at<float>(1024, 64), 1.0f, 64); });
    EXPECT_ERROR("lies in L1", { Duplicate(LocalTensor<float>(TPosition::A1, 0, 64), 1.0f, 8); });
    EXPECT_ERROR("block stride of dst",
                 { Duplicate(at<float>(0, 64), 1.0f, static_cast<uint64_t>(64), 1, 0, 8); });
}

static void types() {
    EXPECT_ERROR("does not take CAST_CEIL",
                 { Cast(at<float>(0, 64), at<half>(256, 64), RoundMode::CAST_CEIL, 64); });
#if __NPU_ARCH__ == 2201
    EXPECT_ERROR("only CMPMODE::EQ", {
        Compare(at<uint8_t>(0, 32), at<int32_t>(256, 64), at<int32_t>(256, 64), CMPMODE::LT, 64);
    });
#endif
}

static void ranges() {
    const uint64_t all = 64;
    EXPECT_ERROR("repeatTime is 256",
                 { Adds(at<float>(0, 64), at<float>(0, 64), 1.0f, all, 256, {1, 1, 0, 0}); });
    EXPECT_ERROR("mask is 65",
                 { Adds(at<float>(0, 64), at<float>(0, 64), 1.0f, all + 1, 1, {1, 1, 8, 8}); });
    const int wide = 256;
    EXPECT_ERROR("field", {
        BinaryRepeatParams params;
        params.src1RepStride = wide;
    });
    EXPECT_ERROR("field", { UnaryRepeatParams params(1, 1, wide, 8); });
    EXPECT_ERROR("256 bytes", {
        Compare(at<uint8_t>(0, 32), at<float>(256, 64), at<float>(256, 64), CMPMODE::LT, 60);
    });
    EXPECT_ERROR("not a multiple of the element", {
        DataCopyPad(GlobalTensor<float>(), at<float>(0, 64), DataCopyExtParams{1, 6, 0, 0, 0});
    });
    EXPECT_ERROR("SetMaskCount",
                 { Adds<float, false>(at<float>(0, 64), at<float>(0, 64), 1.0f, 1); });
}

static void overlap() {
    EXPECT_ERROR("overlaps src", {
        const auto x = written<float>(0, 512);
        Adds(x[8], x, 1.0f, static_cast<uint64_t>(64), 2, {1, 1, 8, 8});
    });
    EXPECT_ERROR("overlaps src", {
        const auto x = written<float>(0, 512);
        Adds(x[64], x, 1.0f, static_cast<uint64_t>(64), 4, {1, 1, 8, 8});
    });
    // The same place, and places apart, are fine.
    const std::string error = run([] {
        const auto x = written<float>(0, 512);
        Adds(x, x, 1.0f, static_cast<uint64_t>(64), 4, {1, 1, 8, 8});
        Adds(x[256], x, 1.0f, static_cast<uint64_t>(64), 4, {1, 1, 8, 8});
    });
    CHECK(error.empty());
}

static void synchronisation() {
    Global<float> x(filled<float>(64, 1)), z(filled<float>(64, 0), false);
    const auto without = [&](bool in, bool between, bool out, bool auto_sync) {
        return run(
            [&] {
                const auto t = at<float>(0, 64);
                DataCopy(t, x.tensor(), 64);
                if (in) {
                    SetFlag<HardEvent::MTE2_V>(0);
                    WaitFlag<HardEvent::MTE2_V>(0);
                }
                Adds(t, t, 1.0f, 64);
                if (between) PipeBarrier<PIPE_V>();
                Muls(t, t, 2.0f, 64);
                if (out) {
                    SetFlag<HardEvent::V_MTE3>(0);
                    WaitFlag<HardEvent::V_MTE3>(0);
                }
                DataCopy(z.tensor(), t, 64);
                PipeBarrier<PIPE_ALL>();
            },
            auto_sync);
    };
    CHECK(without(true, true, true, false).empty());
    CHECK(without(true, false, true, true).empty());  // the compiler adds barriers between V
    CHECK(without(false, true, true, true).find("race") != std::string::npos);
    CHECK(without(true, false, true, false).find("race") != std::string::npos);
    CHECK(without(true, true, false, true).find("race") != std::string::npos);
    // A scalar read of what the vector unit writes: ordered by the compiler, or else by a flag.
    const auto scalar = [&](bool flag, bool auto_sync) {
        return run(
            [&] {
                const auto t = at<float>(0, 64);
                Duplicate(t, 3.0f, 64);
                if (flag) {
                    SetFlag<HardEvent::V_S>(0);
                    WaitFlag<HardEvent::V_S>(0);
                }
                CHECK(t.GetValue(5) == 3.0f);
            },
            auto_sync);
    };
    CHECK(scalar(true, false).empty());
    CHECK(scalar(false, true).empty());
    CHECK(scalar(false, false).find("race") != std::string::npos);
}

int main() {
    operands();
    types();
    ranges();
    overlap();
    synchronisation();
    return finish("errors");
}
