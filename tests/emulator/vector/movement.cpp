// Fills, gathers, transposes and padded copies.
#include "harness.h"

using namespace AscendC;
using namespace harness;

template <typename T>
static std::vector<T> counting(size_t count) {
    std::vector<T> values(count);
    for (size_t i = 0; i < count; ++i) values[i] = static_cast<T>(static_cast<float>(i));
    return values;
}

static void fills() {
    auto z = apply<float>(filled<float>(200, 1), [](auto d) { Duplicate(d, 2.5f, 77); });
    CHECK_ALL(200, z[i] == (i < 77 ? 2.5f : 1.0f));
    uint64_t mask[2] = {0x00ff00ff00ff00ffull, 0};
    z = apply<float>(filled<float>(256, 1), [&](auto d) { Duplicate(d, 2.5f, mask, 2, 2, 16); });
    // Block b of iteration r lies at block 16 r + 2 b; the mask takes blocks 0, 2, 4, 6.
    CHECK_ALL(256, z[i] == (i / 8 % 4 == 0 ? 2.5f : 1.0f));
    const auto w = apply<uint16_t>(filled<uint16_t>(256, 1),
                                   [](auto d) { Duplicate<uint16_t>(d, 0x7fff, 128, 2, 1, 8); });
    CHECK_ALL(256, w[i] == 0x7fff);
    z = apply<float>(filled<float>(100, 0), [](auto d) { CreateVecIndex(d, 5.0f, 100u); });
    CHECK_ALL(100, z[i] == 5 + static_cast<float>(i));

    z = apply<float>(
        filled<float>(256, 0), [](auto d, auto s) { Brcb(d, s, 2, {2, 16}); }, counting<float>(16));
    // Element 8 r + b fills block 16 r + 2 b.
    CHECK_ALL(256, z[i] == (i / 8 % 2 == 0 ? static_cast<float>(i / 16) : 0));

    z = apply<float>(
        filled<float>(256, -1), [](auto d, auto s) { Copy(d, s, 20, 2, {2, 1, 16, 8}); },
        counting<float>(128));
    CHECK_ALL(256, z[i] == (i / 8 % 2 == 0 && i % 128 / 16 * 8 + i % 8 < 20
                                ? static_cast<float>(i / 128 * 64 + i % 128 / 16 * 8 + i % 8)
                                : -1));
}

// In counter mode the mask counts the elements of each iteration, here more than 256 bytes.
static void counted_copies() {
    const auto z = apply<float>(
        filled<float>(384, -1),
        [](auto d, auto s) {
            SetMaskCount();
            SetVectorMask<float, MaskMode::COUNTER>(100);
            Copy<float, false>(d, s, MASK_PLACEHOLDER, 3, {1, 1, 16, 0});
            SetMaskNorm();
            ResetMask();
        },
        counting<float>(100));
    CHECK_ALL(384, z[i] == (i % 128 < 100 ? static_cast<float>(i % 128) : -1));
    EXPECT_ERROR("dst overlaps src", {
        const LocalTensor<float> x(TPosition::VECCALC, 0, 512);
        Duplicate(x, 1.0f, 512);
        SetMaskCount();
        SetVectorMask<float, MaskMode::COUNTER>(100);
        Copy<float, false>(x[64], x, MASK_PLACEHOLDER, 2, {1, 1, 16, 16});
    });
}

static void gathers() {
    std::vector<uint32_t> offsets(128);
    for (size_t i = 0; i < 128; ++i) offsets[i] = static_cast<uint32_t>((i * 37 % 100) * 4);
    auto z = apply<float>(
        filled<float>(128, -1), [](auto d, auto s, auto o) { Gather(d, s, o, 8u, 90u); },
        counting<float>(128), offsets);
    CHECK_ALL(128, z[i] == (i < 90 ? static_cast<float>(i * 37 % 100 + 2) : -1));
    z = apply<float>(
        filled<float>(128, -1),
        [](auto d, auto s, auto o) { Gather(d, s, o, 0u, static_cast<uint64_t>(50), 2, 8); },
        counting<float>(128), offsets);
    CHECK_ALL(128, z[i] == (i % 64 < 50 ? static_cast<float>(i * 37 % 100) : -1));

    std::vector<uint32_t> blocks(16);
    for (size_t i = 0; i < 16; ++i) blocks[i] = static_cast<uint32_t>((15 - i) * 32);
    const auto b = apply<uint16_t>(
        filled<uint16_t>(256, 0), [](auto d, auto s, auto o) { Gatherb(d, s, o, 2, {1, 8}); },
        counting<uint16_t>(256), blocks);
    CHECK_ALL(256, b[i] == (15 - i / 16) * 16 + i % 16);

    uint64_t kept = 0;
    z = apply<float>(
        filled<float>(128, -1),
        [&](auto d, auto s) { GatherMask(d, s, uint8_t{2}, false, 0, {1, 2, 8, 0}, kept); },
        counting<float>(128));
    CHECK(kept == 64);
    CHECK_ALL(64, z[i] == static_cast<float>(2 * i + 1));
    std::vector<uint32_t> pattern(8, 0x99999999u);
    z = apply<float>(
        filled<float>(128, -1),
        [&](auto d, auto s, auto p) { GatherMask(d, s, p, true, 30, {1, 2, 8, 0}, kept); },
        counting<float>(128), pattern);
    CHECK(kept == 30);
    CHECK(z[0] == 0 && z[1] == 3 && z[2] == 4 && z[15] == 64 && z[16] == 67);
}

static void transposes() {
    const auto z = apply<half>(
        filled<half>(256, 0), [](auto d, auto s) { Transpose(d, s); }, counting<half>(256));
    CHECK_ALL(256, z[i] == static_cast<float>(i % 16 * 16 + i / 16));
    // 16 rows of 8 floats to 8 rows of 16: two destination blocks per column.
    const auto y = apply<float>(
        filled<float>(128, 0),
        [](auto d, auto s) {
            uint64_t to[16], from[16];
            for (int i = 0; i < 16; ++i) {
                to[i] = d[8 * i].GetPhyAddr();
                from[i] = s[8 * i].GetPhyAddr();
            }
            TransDataTo5HD<float>(to, from, TransDataTo5HDParams(false, false, 1, 0, 0));
        },
        counting<float>(128));
    CHECK_ALL(128, y[i] == static_cast<float>(i % 16 * 8 + i / 16));
}

static void padded_copies() {
    Global<half> source(counting<half>(200));
    Global<half> result(filled<half>(64, -1));
    // Runs of 5 elements, 3 elements apart; padded with one 9 before and two after, and 9 to the
    // block.
    std::string error = run([&] {
        ub_head = 0;
        const auto t = ub<half>(64);
        DataCopyPad(t, source.tensor()[4], DataCopyExtParams{3, 10, 6, 0, 0},
                    DataCopyPadExtParams<half>{true, 1, 2, half(9)});
        PipeBarrier<PIPE_ALL>();
        DataCopy(result.tensor(), t, 48);
    });
    CHECK(error.empty());
    CHECK_ALL(48, float(result.values()[i]) ==
                      (i % 16 >= 1 && i % 16 < 6 ? 4 + i / 16 * 8 + i % 16 - 1 : 9));
    // Without padding the rest of the block repeats the first element of its run.
    error = run([&] {
        ub_head = 0;
        const auto t = ub<half>(64);
        DataCopyPad(t, source.tensor()[7], DataCopyExtParams{2, 10, 0, 1, 0},
                    DataCopyPadExtParams<half>{false, 0, 0, half(0)});
        PipeBarrier<PIPE_ALL>();
        DataCopy(result.tensor(), t, DataCopyParams{2, 1, 1, 0});
    });
    CHECK(error.empty());
    CHECK_ALL(32, float(result.values()[i]) == 7 + i / 16 * 5 + (i % 16 < 5 ? i % 16 : 0));
    // Out: 3 runs of 6 bytes every 64 bytes of the buffer, 2 bytes apart in global memory.
    error = run([&] {
        ub_head = 0;
        const auto t = ub<half>(96);
        DataCopy(t, source.tensor(), 96);
        PipeBarrier<PIPE_ALL>();
        DataCopyPad(result.tensor(), t, DataCopyExtParams{3, 6, 1, 2, 0});
    });
    CHECK(error.empty());
    CHECK_ALL(11, i % 4 == 3 || float(result.values()[i]) == i / 4 * 32 + i % 4);
    // The same with DataCopyParams.
    error = run([&] {
        ub_head = 0;
        const auto t = ub<half>(32);
        DataCopyPad(t, source.tensor(), DataCopyParams{2, 6, 4, 0},
                    DataCopyPadParams{true, 0, 1, 0});
        PipeBarrier<PIPE_ALL>();
        DataCopyPad(result.tensor(), t, DataCopyParams{2, 6, 0, 0});
    });
    CHECK(error.empty());
    CHECK_ALL(6, float(result.values()[i]) == i / 3 * 5 + i % 3);
    // SetPadValue fills where isPad is false.
    error = run([&] {
        ub_head = 0;
        const auto t = ub<half>(16);
        SetPadValue(half(5));
        DataCopyPad(t, source.tensor(), DataCopyExtParams{1, 2, 0, 0, 0},
                    DataCopyPadExtParams<half>{false, 0, 3, half(0)});
        PipeBarrier<PIPE_ALL>();
        DataCopy(result.tensor(), t, 16);
    });
    CHECK(error.empty());
    CHECK_ALL(16, float(result.values()[i]) == (i == 0 ? 0 : 5));
}

int main() {
    fills();
    counted_copies();
    gathers();
    transposes();
    padded_copies();
    return finish("movement");
}
