// half, bfloat16_t and the roundings of conversions, by exhaustion over neighbouring numbers.
#include "harness.h"

using namespace harness;
using AscendC::RoundMode;
using emulator::Overflow;

// Between every two neighbours: each goes to itself, what lies nearer to one goes there, the middle
// to the even one; the directed modes go to their side.
template <typename T>
static void neighbours(uint16_t infinity) {
    for (uint16_t bits = 0; bits + 1 < infinity; ++bits) {
        const T low = T::from_bits(bits), high = T::from_bits(static_cast<uint16_t>(bits + 1));
        const float a = static_cast<float>(low), b = static_cast<float>(high);
        const float middle = a + (b - a) / 2;  // exact: a float has digits to spare
        const T even = bits % 2 == 0 ? low : high;
        const auto round = [](float x, RoundMode mode) {
            return emulator::convert<T>(x, mode, Overflow::kInfinity).bits;
        };
        const bool holds = static_cast<T>(a).bits == bits &&
                           static_cast<T>(middle).bits == even.bits &&
                           static_cast<T>(std::nextafter(middle, a)).bits == low.bits &&
                           static_cast<T>(std::nextafter(middle, b)).bits == high.bits &&
                           static_cast<T>(-middle).bits == (even.bits | 0x8000) &&
                           round(middle, RoundMode::CAST_RINT) == even.bits &&
                           round(middle, RoundMode::CAST_ROUND) == high.bits &&
                           round(middle, RoundMode::CAST_TRUNC) == low.bits &&
                           round(middle, RoundMode::CAST_FLOOR) == low.bits &&
                           round(middle, RoundMode::CAST_CEIL) == high.bits &&
                           round(-middle, RoundMode::CAST_FLOOR) == (high.bits | 0x8000) &&
                           round(middle, RoundMode::CAST_ODD) == (bits % 2 == 1 ? low : high).bits;
        CHECK(holds);
        if (!holds) return;
    }
}

static void extremes() {
    CHECK(half(65519.9f).bits == 0x7bff && half(65520.0f).bits == 0x7c00);
    CHECK(half(-1e30f).bits == 0xfc00 && half(0x1p-25f).bits == 0 && half(0x1.8p-25f).bits == 1);
    CHECK(std::isnan(float(half(NAN))) && std::isnan(float(bfloat16_t(NAN))));
    CHECK(emulator::narrow<half>(1e6f, Overflow::kSaturate).bits == 0x7bff);
    CHECK(emulator::narrow<half>(-INFINITY, Overflow::kSaturate).bits == 0xfbff);
    CHECK(emulator::narrow<half>(NAN, Overflow::kSaturate).bits == 0);
    CHECK(std::isinf(float(emulator::narrow<half>(1e6f, Overflow::kInfinity))));
    // A double that a detour over float would round twice: just above a middle of two halves.
    CHECK(half(1 + 0x1p-11 + 0x1p-40).bits == half(1 + 0x1p-10).bits);
    CHECK(emulator::saturate_to_integer<int8_t>(200.0) == 127);
    CHECK(emulator::saturate_to_integer<uint8_t>(-3.0) == 0);
    CHECK(emulator::saturate_to_integer<int32_t>(NAN) == 0);
    CHECK(emulator::saturate_to_integer<int16_t>(int64_t{1} << 40) == 32767);
    CHECK(emulator::saturate_to_integer<int16_t>(-(int64_t{1} << 40)) == -32768);
}

// The worked examples of the public documents.
static void examples() {
    const auto to_float = [](auto value, RoundMode mode) {
        return emulator::convert<float>(value, mode, Overflow::kInfinity);
    };
    const int32_t n = (1 << 25) + 3;
    CHECK(to_float(n, RoundMode::CAST_RINT) == 0x1p25f + 4);
    CHECK(to_float(n, RoundMode::CAST_FLOOR) == 0x1p25f);
    CHECK(to_float(n, RoundMode::CAST_TRUNC) == 0x1p25f);
    const int64_t m = (int64_t{1} << 35) + (1 << 12) + (1 << 11);
    CHECK(to_float(m, RoundMode::CAST_RINT) == 0x1p35f + 0x1p13f);
    CHECK(to_float(m, RoundMode::CAST_FLOOR) == 0x1p35f + 0x1p12f);
    const int16_t k = 4098;
    CHECK(float(emulator::convert<half>(k, RoundMode::CAST_RINT, Overflow::kInfinity)) == 4096);
    CHECK(float(emulator::convert<half>(k, RoundMode::CAST_CEIL, Overflow::kInfinity)) == 4100);
    CHECK(emulator::convert<int32_t>(half(-1.5f), RoundMode::CAST_RINT, Overflow::kInfinity) == -2);
    CHECK(emulator::convert<int32_t>(half(-1.5f), RoundMode::CAST_CEIL, Overflow::kInfinity) == -1);
    CHECK(emulator::convert<float>(0.5f, RoundMode::CAST_RINT, Overflow::kInfinity) == 0);
    CHECK(emulator::convert<float>(0.5f, RoundMode::CAST_ROUND, Overflow::kInfinity) == 1);
}

static void integers() {
    const auto to = [](auto target, auto value) {
        return emulator::convert<decltype(target)>(value, RoundMode::CAST_NONE,
                                                   Overflow::kInfinity);
    };
    CHECK(to(int16_t{}, int8_t{-8}) == -8 && to(int32_t{}, int8_t{-128}) == -128);
    CHECK(to(int64_t{}, int32_t{-5}) == -5 && to(int32_t{}, int64_t{-5}) == -5);
    CHECK(to(int32_t{}, int64_t{1} << 40) == INT32_MAX && to(int16_t{}, -70000) == INT16_MIN);
    CHECK(to(uint8_t{}, int16_t{-1}) == 0 && to(uint8_t{}, int16_t{300}) == 255);
    CHECK(to(uint32_t{}, int16_t{-1}) == 0 && to(int16_t{}, uint32_t{70000}) == INT16_MAX);
}

static void arithmetic() {
    half x = 1.5, y = 2;
    const half sum = x + y;
    x += y;
    CHECK(sum == x && x == 3.5f && x * 2.0f == 7 && -x == -3.5f && y < x);
}

int main() {
    neighbours<half>(0x7c00);
    neighbours<bfloat16_t>(0x7f80);
    extremes();
    examples();
    integers();
    arithmetic();
    return finish("scalars");
}
