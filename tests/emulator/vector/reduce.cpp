// Reductions, in values, order of summation, indices and strides.
#include "harness.h"

using namespace AscendC;
using namespace harness;

// Sum by a tree of neighbours, every node rounded to T; the hardware's order.
template <typename T>
static float tree(const std::vector<T>& x, size_t first, size_t count, size_t end) {
    if (count == 1) return first < end ? float(x[first]) : NAN;
    const float a = tree(x, first, count / 2, end), b = tree(x, first + count / 2, count / 2, end);
    if (std::isnan(a) || std::isnan(b)) return std::isnan(a) ? b : a;
    return float(static_cast<T>(a + b));
}

static void per_iteration() {
    const auto x = random_values<half>(384, -20, 20, 1);
    const auto sums = apply<half>(
        filled<half>(16, 0), [](auto d, auto s) { WholeReduceSum(d, s, 100, 3, 2, 1, 8); }, x);
    for (size_t r = 0; r < 3; ++r) {
        CHECK(float(sums[2 * r]) == tree(x, 128 * r, 128, 128 * r + 100));
        CHECK(float(sums[2 * r + 1]) == 0);
    }
    // The older name, with a stride that says nothing.
    const auto older = apply<half>(
        filled<half>(16, 0), [](auto d, auto s) { RepeatReduceSum(d, s, 3, 100, 9, 1, 2, 8); }, x);
    CHECK_ALL(16, same_bits(older[i], sums[i]));
    auto y = random_values<float>(192, -20, 20, 2);
    y[70] = y[90] = 30;  // the first of equals counts
    const auto largest = apply<float>(
        filled<float>(16, 0), [](auto d, auto s) { WholeReduceMax(d, s, 64, 3, 1, 1, 8); }, y);
    CHECK(largest[2] == 30);
    CHECK(emulator::bit_cast<uint32_t>(largest[3]) == 6);
    const auto smallest = apply<float>(
        filled<float>(16, 0),
        [](auto d, auto s) {
            ReduceRepeat<ReduceType::MIN, float, float>(d, s, 64, 3, 1, 1, 8,
                                                        ReduceOrder::ORDER_ONLY_VALUE);
        },
        y);
    for (size_t r = 0; r < 3; ++r) {
        CHECK(smallest[r] == *std::min_element(y.begin() + 64 * r, y.begin() + 64 * r + 64));
    }
}

static void per_block_and_pair() {
    const auto x = random_values<float>(128, -20, 20, 3);
    const auto blocks = apply<float>(
        filled<float>(16, -1), [](auto d, auto s) { BlockReduceSum(d, s, 2, 64, 1, 1, 8); }, x);
    CHECK_ALL(16, blocks[i] == tree(x, 8 * i, 8, 8 * i + 8));
    const auto masked = apply<float>(
        filled<float>(16, -1),
        [](auto d, auto s) {
            ReduceDataBlock<ReduceType::MAX, float, float>(d, s, 20, 1, 1, 1, 8);
        },
        x);
    CHECK(masked[2] == std::max({x[16], x[17], x[18], x[19]}));
    CHECK(masked[3] == (__NPU_ARCH__ == 2201 ? -1 : -INFINITY));
    const auto largest = apply<half>(
        filled<half>(16, -1), [](auto d, auto s) { BlockReduceMax(d, s, 2, 128, 1, 1, 8); },
        random_values<half>(256, -20, 20, 6));
    const auto h = random_values<half>(256, -20, 20, 6);
    CHECK_ALL(16, float(largest[i]) ==
                      float(*std::max_element(h.begin() + 16 * i, h.begin() + 16 * i + 16)));
    const auto pairs = apply<float>(
        filled<float>(64, -1), [](auto d, auto s) { PairReduceSum(d, s, 2, 64, 1, 1, 8); }, x);
    CHECK_ALL(64, pairs[i] == x[2 * i] + x[2 * i + 1]);
}

static void over_everything() {
    const auto x = random_values<float>(256, -20, 20, 4);
    // Count form: iterations are summed in order.
    const auto sum = apply<float>(
        filled<float>(8, 0), [](auto d, auto s, auto t) { ReduceSum(d, s, t, 200); }, x,
        filled<float>(64, 0));
    float expected = tree(x, 0, 64, 64);
    for (size_t r = 1; r < 4; ++r) expected += tree(x, 64 * r, 64, 200);
    CHECK(sum[0] == expected);
    // Repeat form: a tree over the iterations.
    const auto repeat = apply<float>(
        filled<float>(8, 0), [](auto d, auto s, auto t) { ReduceSum(d, s, t, 64, 4, 8); }, x,
        filled<float>(64, 0));
    CHECK(repeat[0] == tree(x, 0, 256, 256));
    float from_register = 0;
    apply<float>(
        filled<float>(8, 0),
        [&](auto d, auto s, auto t) {
            ReduceSum(d, s, t, 200);
            from_register = GetReduceRepeatSumSpr<float>();
        },
        x, filled<float>(64, 0));
    CHECK(from_register == expected);
#if __NPU_ARCH__ == 2201
    float value = 0, index = 0;
    apply<float>(
        filled<float>(8, 0),
        [&](auto d, auto s) {
            WholeReduceMin(d, s, 64, 4, 1, 1, 8, ReduceOrder::ORDER_INDEX_VALUE);
            GetReduceRepeatMaxMinSpr(value, index);
        },
        x);
    const auto least = std::min_element(x.begin(), x.end());
    CHECK(value == *least);
    CHECK(emulator::bit_cast<uint32_t>(index) == static_cast<uint32_t>(least - x.begin()));
#endif
    auto y = x;
    y[137] = 77;
    const auto largest = apply<float>(
        filled<float>(8, 0), [](auto d, auto s, auto t) { ReduceMax(d, s, t, 256, true); }, y,
        filled<float>(64, 0));
    CHECK(largest[0] == 77 && emulator::bit_cast<uint32_t>(largest[1]) == 137);
    const auto smallest = apply<half>(
        filled<half>(16, 0), [](auto d, auto s, auto t) { ReduceMin(d, s, t, 128); },
        random_values<half>(128, 1, 9, 5), filled<half>(64, 0));
    const auto h = random_values<half>(128, 1, 9, 5);
    CHECK(float(smallest[0]) == float(*std::min_element(h.begin(), h.end())));
}

int main() {
    per_iteration();
    per_block_and_pair();
    over_everything();
    return finish("reduce");
}
