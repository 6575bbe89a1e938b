// Broadcast of one and two dimensions, what it does to its scratch, and what it refuses.
#include "harness.h"

using namespace AscendC;
using namespace harness;

namespace {

template <typename T>
std::vector<T> ramp(size_t count) {
    std::vector<T> values(count);
    for (size_t i = 0; i < count; ++i) values[i] = static_cast<T>(static_cast<float>(i % 100));
    return values;
}

// Rows x columns out of the shape (source_rows, source_columns), along `axis`.
template <typename T, int axis>
void matrix(uint32_t rows, uint32_t columns) {
    const uint32_t to[2] = {rows, columns};
    const uint32_t from[2] = {axis == 0 ? 1 : rows, axis == 1 ? 1 : columns};
    const auto source = ramp<T>(from[0] * from[1]);
    const auto result = apply(
        filled<T>(rows * columns, -1),
        [&](auto d, auto s, auto scratch) {
            LocalTensor<uint8_t> shared = scratch;
            Broadcast<T, 2, axis>(d, s, to, from, shared);
        },
        source, filled<uint8_t>(4096, 7));
    CHECK_ALL(rows * columns, same_bits(result[i], source[axis == 0 ? i % columns : i / columns]));
}

void forms() {
    matrix<float, 1>(5, 16);
    matrix<float, 1>(9, 13);
    matrix<half, 1>(3, 32);
    matrix<int8_t, 1>(8, 64);
    matrix<float, 0>(7, 24);
    matrix<half, 0>(2, 16);
    matrix<float, 1>(4, 1);  // nothing to do but to copy
    const uint32_t to[1] = {40}, from[1] = {1};
    CHECK_ALL(40, apply(
                      filled<float>(40, 0),
                      [&](auto d, auto s) {
                          // Its own scratch: what InitBuffer has left, behind everything here.
                          TPipe pipe;
                          TBuf<TPosition::VECCALC> taken;
                          pipe.InitBuffer(taken, 8 * 1024);
                          Broadcast<float, 1, 0>(d, s, to, from);
                      },
                      filled<float>(8, 3))[i] == 3);
}

// What it needs is lost; what lies beyond stays. The call ends with a barrier.
void scratch() {
    const uint32_t to[2] = {8, 16}, from[2] = {8, 1};
    Global<uint8_t> out(filled<uint8_t>(512, 0));
    CHECK(run(
              [&] {
                  ub_head = 0;
                  const auto s = ub<float>(8), d = ub<float>(8 * 16);
                  LocalTensor<uint8_t> shared = ub<uint8_t>(512);
                  Duplicate(s, 1.0f, 8);
                  Duplicate(shared.ReinterpretCast<int16_t>(), int16_t(0x0505), 256);
                  PipeBarrier<PIPE_V>();
                  Broadcast<float, 2, 1>(d, s, to, from, shared);
                  Broadcast<float, 2, 1>(d, s, to, from, shared);
                  PipeBarrier<PIPE_ALL>();
                  DataCopy(out.tensor(), shared, 512);
              },
              false)
              .empty());
    CHECK(out.values()[0] != 5 && out.values()[255] != 5);
    CHECK_ALL(256, out.values()[256 + i] == 5);
}

void errors() {
    const auto call = [](uint32_t r0, uint32_t c0, uint32_t r1, uint32_t c1, uint32_t bytes) {
        ub_head = 0;
        const uint32_t to[2] = {r0, c0}, from[2] = {r1, c1};
        const auto s = ub<float>(1024), d = ub<float>(1024);
        LocalTensor<uint8_t> shared = ub<uint8_t>(bytes);
        Duplicate(s, 1.0f, 1024);
        Broadcast<float, 2, 1>(d, s, to, from, shared);
    };
    EXPECT_ERROR("dimension 0 is 1 in srcShape and 8 in dstShape", call(8, 16, 1, 1, 1024));
    EXPECT_ERROR("dimension 1 is 4 in srcShape and 16 in dstShape", call(8, 16, 8, 4, 1024));
    EXPECT_ERROR("sharedTmpBuffer has 128 bytes, at least 256", call(8, 16, 8, 1, 128));
    EXPECT_ERROR("sharedTmpBuffer has 256 bytes, at least 768", call(8, 13, 8, 1, 256));
    EXPECT_ERROR("nothing has written", {
        const uint32_t to[1] = {8}, from[1] = {1};
        LocalTensor<uint8_t> shared(TPosition::VECCALC, 4096, 256);
        Broadcast<float, 1, 0>(LocalTensor<float>(TPosition::VECCALC, 0, 8),
                               LocalTensor<float>(TPosition::VECCALC, 512, 8), to, from, shared);
    });
    EXPECT_ERROR("dst overlaps src", {
        const uint32_t to[2] = {8, 16}, from[2] = {8, 1};
        LocalTensor<uint8_t> shared(TPosition::VECCALC, 4096, 256);
        const LocalTensor<float> place(TPosition::VECCALC, 0, 128);
        Duplicate(place, 1.0f, 128);
        Broadcast<float, 2, 1>(place, place, to, from, shared);
    });
    EXPECT_ERROR("srcShape[1] must be a multiple of 32 bytes, it has 20", {
        const uint32_t to[2] = {8, 5}, from[2] = {1, 5};
        LocalTensor<uint8_t> shared(TPosition::VECCALC, 4096, 256);
        const LocalTensor<float> place(TPosition::VECCALC, 0, 128);
        Broadcast<float, 2, 0>(place, place, to, from, shared);
    });
}

}  // namespace

int main() {
    forms();
    scratch();
    errors();
    return finish("broadcast");
}
