// Copy: in counter mode, and of what nothing has written; the latter as a launch may allow it.
#include "harness.h"

using namespace AscendC;
using namespace harness;

namespace {

// Each repeat takes as many elements as the mask counts, block after block at the block stride.
void counter_mode() {
    std::vector<int32_t> source(18 * 64);
    for (size_t i = 0; i < source.size(); ++i) source[i] = static_cast<int32_t>(i);
    const auto column = apply(
        filled<int32_t>(18 * 8, -1),
        [](auto d, auto s) {
            SetMaskCount();
            SetVectorMask<int32_t, MaskMode::COUNTER>(18 * 8);
            Copy<int32_t, false>(d, s, MASK_PLACEHOLDER, 1, {1, 8, 8, 8});
            SetMaskNorm();
            ResetMask();
        },
        source);
    CHECK_ALL(18 * 8, column[i] == source[i / 8 * 64 + i % 8]);
    // Two repeats of 20 elements; the repeat strides are those of the call.
    const auto twice = apply(
        filled<int32_t>(64, -1),
        [](auto d, auto s) {
            SetMaskCount();
            Copy(d, s, 20, 2, {1, 1, 4, 8});
            SetMaskNorm();
        },
        source);
    CHECK_ALL(64, twice[i] == (i % 32 < 20 ? source[i / 32 * 64 + i % 32] : -1));
}

std::string launch(bool strict, bool stale, const std::function<void()>& kernel) {
    emulator::Options options;
    options.auto_sync = true;
    options.timing = false;
    options.strict = strict;
    options.stale = stale;
    emulator::set_options(options);
    return emulator::launch_body("test", __NPU_ARCH__, 1, {0, 1}, kernel).error;
}

// Half of what is copied was never written: it stays so, and using it is an error.
void unwritten() {
    const auto kernel = [](uint32_t used) {
        return [used] {
            const LocalTensor<float> a(TPosition::VECCALC, 0, 64), b(TPosition::VECCALC, 256, 64),
                c(TPosition::VECCALC, 512, 64);
            Duplicate(a, 1.0f, 32);
            Copy(b, a, 64, 1, {1, 1, 8, 8});
            Adds(c, b, 1.0f, used);
        };
    };
    const auto refused = [](const std::string& error) {
        return error.find("nothing has written") != std::string::npos;
    };
    CHECK(launch(false, false, kernel(32)).empty());
    CHECK(refused(launch(false, false, kernel(33))));
    CHECK(refused(launch(true, false, kernel(32))));
    // Memory that an earlier kernel used may be read, and holds poison.
    CHECK(launch(true, true, kernel(64)).empty());
    Global<float> out(filled<float>(8, 0));
    CHECK(launch(true, true, [&] {
              const LocalTensor<float> fresh(TPosition::VECCALC, 0, 8);
              DataCopy(out.tensor(), fresh, 8);
          }).empty());
    CHECK_ALL(8, out.values()[i] != out.values()[i]);
}

void past_the_cache() {
    Global<int32_t> data(filled<int32_t>(8, 5));
    CHECK(run([&] {
              int32_t* const at = data.values().data();
              WriteGmByPassDCache<int32_t>(at + 3, ReadGmByPassDCache<int32_t>(at) + 2);
          }).empty());
    CHECK_ALL(8, data.values()[i] == (i == 3 ? 7 : 5));
    // One core polls a word; what the other did before it wrote that word is then done.
    Global<int32_t> word(filled<int32_t>(8, 0));
    Global<float> ones(filled<float>(8, 1)), middle(filled<float>(8, 0)), out(filled<float>(8, 0));
    const auto kernel = [&](bool polls) {
        return [&, polls] {
            const LocalTensor<float> x(TPosition::VECCALC, 0, 8);
            int32_t* const flag = word.values().data();
            if (GetBlockIdx() == 0) {
                while (polls && ReadGmByPassDCache<int32_t>(flag) == 0) {
                }
                DataCopy(x, middle.tensor(), 8);
                PipeBarrier<PIPE_ALL>();
                DataCopy(out.tensor(), x, 8);
            } else {
                DataCopy(x, ones.tensor(), 8);
                PipeBarrier<PIPE_ALL>();
                DataCopy(middle.tensor(), x, 8);
                SetFlag<HardEvent::MTE3_S>(0);
                WaitFlag<HardEvent::MTE3_S>(0);
                WriteGmByPassDCache<int32_t>(flag, 1);
            }
        };
    };
    emulator::set_options({});
    const auto both = [&](bool polls) {
        return emulator::launch_body("test", __NPU_ARCH__, 2, {0, 1}, kernel(polls)).error;
    };
    CHECK(both(true).empty());
    CHECK_ALL(8, out.values()[i] == 1);
    CHECK(both(false).find("race") != std::string::npos);
}

}  // namespace

int main() {
    counter_mode();
    unwritten();
    past_the_cache();
    return finish("copy");
}
