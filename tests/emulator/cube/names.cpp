// Names and small forms that sources for the device use, in kernels of either core type.
#include "harness.h"

using namespace harness;

namespace {

constexpr uint32_t N = 64;

__aicore__ __forceinline__ float32_t twice(float32_t x) { return x + x; }

template <typename T>
void pad_from_zero() {
    const auto values = random_values<T>(N, -1, 1, 3);
    Global<T> source(values), target(std::vector<T>(N), false);
    const std::string error = run([&] {
        const auto x = at<T>(TPosition::VECCALC, 0, N);
        Duplicate(x, T(7), N);
        sync<HardEvent::V_MTE2>();
        DataCopyExtParams copy{1, (N - 3) * sizeof(T), 0, 0, 0};
        DataCopyPadExtParams<T> pad{true, 0, 3, 0};
        DataCopyPad(x, source.tensor(), copy, pad);
        sync<HardEvent::MTE2_MTE3>();
        DataCopy(target.tensor(), x, N);
    });
    CHECK(error.empty());
    CHECK_ALL(N, same_bits(target.values()[i], i < N - 3 ? values[i] : T(0)));
}

void bfloat16_from_integers() {
    const bfloat16_t zero = 0, minus = -3, tie = 257, above = 259;
    CHECK(zero.bits == 0 && minus.bits == 0xc040);
    CHECK(tie.bits == 0x4380 && above.bits == 0x4382);  // 256 to even, 260 to even
    const bfloat16_t just_above = (int64_t{257} << 40) + 1;
    CHECK(just_above.bits == 0x5781);  // one rounding: up, not to the even 256 x 2^40
    CHECK((!std::is_convertible_v<float, bfloat16_t>));
}

// Each kind of core takes its own branch.
void core_types() {
    Global<float> out(filled<float>(3 * 8, 0), false);
    EXPECT("", run_kernel(
                   [&] {
                       CHECK((g_coreType == AscendC::AIC) != (g_coreType == AscendC::AIV));
                       if ASCEND_IS_AIC {
                           CHECK(g_coreType == AIC);
                       }
                       if (unlikely(g_coreType == AIC)) return;
                       CHECK(likely(g_coreType == AIV));
                       const auto x = at<float>(TPosition::VECCALC, 0, 8);
                       Duplicate(x, twice(static_cast<float>(GetBlockIdx())), 8);
                       sync<HardEvent::V_MTE3>();
                       DataCopy(out.tensor()[GetBlockIdx() * 8], x, 8);
                   },
                   {1, 2, true}));
    CHECK_ALL(16, out.values()[i] == (i < 8 ? 0.0f : 2.0f));
}

// A tensor that is given its place, and a barrier in the compiler's form.
void addresses_and_barriers() {
    const auto kernel = [](bool barrier, uint32_t length) {
        return [barrier, length] {
            LocalTensor<float> x;
            TBuffAddr piece;
            piece.logicPos = static_cast<uint8_t>(TPosition::VECCALC);
            piece.bufferAddr = 1024;
            piece.dataLen = length;
            x.SetAddr(piece);
            CHECK(x.GetSize() == length / 4 && x.GetPhyAddr() == 1024);
            Duplicate(x, 1.0f, N);
            if (barrier) pipe_barrier(PIPE_V);
            Adds(x, x, 1.0f, N);
            pipe_barrier(PIPE_ALL);
            CHECK(at<float>(TPosition::VECCALC, 1024, N).GetValue(N - 1) == 2.0f);
        };
    };
    CHECK(run(kernel(true, N * 4), false).empty());
    CHECK(run(kernel(false, N * 4), false).find("race") != std::string::npos);
    CHECK(run(kernel(true, N * 2), false).find("out of bounds") != std::string::npos);
}

// An offset of 64 bits may be negative.
void negative_offsets() {
    Global<int16_t> values({3, 4, 5, 6});
    EXPECT_CUBE("", const auto last = values.tensor()[3];
                CHECK(last[static_cast<uint64_t>(-2)].GetValue(0) == 4);
                CHECK(*last.GetPhyAddr(static_cast<uint64_t>(-3)) == 3));
    EXPECT_CUBE("", GlobalTensor<int4b_t> nibbles;
                nibbles.SetGlobalBuffer(reinterpret_cast<int4b_t*>(values.values().data()));
                CHECK(nibbles[8][static_cast<uint64_t>(-4)].GetValue(0) == 4));
}

void workspace() {
    uint8_t memory[32];
    EXPECT_CUBE("", CHECK(GetUserWorkspace(memory) == memory));
    EXPECT_CUBE("workspace is nullptr", GetUserWorkspace(nullptr));
}

}  // namespace

int main() {
    pad_from_zero<bfloat16_t>();
    pad_from_zero<half>();
    bfloat16_from_integers();
    core_types();
    addresses_and_barriers();
    negative_offsets();
    workspace();
    return finish("names");
}
