// What the build of a custom operator gives its sources: tiling data, keys, the overflow mode.
#define TILING_KEY_VAR 2
#include "harness.h"
#include "lib/matmul_intf.h"

using namespace AscendC;
using namespace harness;

namespace {

struct Tiling {
    int64_t count;
    float scale;
};

void scaled(GlobalTensor<float> x, GM_ADDR address) {
    GET_TILING_DATA_WITH_STRUCT(Tiling, tiling, address);
    const LocalTensor<float> local(TPosition::VECCALC, 0, 64);
    DataCopy(local, x, 64);
    PipeBarrier<PIPE_ALL>();
    if (TILING_KEY_IS(1)) {
        Adds(local, local, tiling.scale, static_cast<int32_t>(tiling.count));
    } else if (TILING_KEY_IS(2)) {
        KERNEL_TASK_TYPE(2, KERNEL_TYPE_AIV_ONLY);
        Muls(local, local, tiling.scale, static_cast<int32_t>(tiling.count));
    }
    PipeBarrier<PIPE_ALL>();
    DataCopy(x, local, 64);
}

void overflow() {
    const auto largest = [](uint64_t mode) {
        const auto half_of = [&](auto d, auto s) {
            AscendCUtils::SetOverflow(mode);
            Muls(d, s, half(4), 16);
        };
        return float(apply(filled<half>(16, 0), half_of, filled<half>(16, 60000))[0]);
    };
    CHECK(std::isinf(largest(1)));
    CHECK(largest(0) == 65504.0f);
}

}  // namespace

int main() {
    const Tiling tiling{40, 3};
    Global<float> x(filled<float>(64, 2));
    CHECK(run([&] {
              scaled(x.tensor(), reinterpret_cast<GM_ADDR>(const_cast<Tiling*>(&tiling)));
          }).empty());
    CHECK_ALL(64, x.values()[i] == (i < 40 ? 6.0f : 2.0f));
    EXPECT_ERROR("GET_TILING_DATA: the address is nullptr", scaled(x.tensor(), nullptr));
    static_assert(DivCeil(uint32_t{33}, 16) == 3 && AlignUp(size_t{33}, 16) == 48);
    overflow();
    return finish("custom_operator");
}
