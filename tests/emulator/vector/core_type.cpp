// A source compiled for vector cores alone, as the device compiler does: the core type is a
// constant that selects specialisations, and branches of the other type are not instantiated.
#define __DAV_VEC__
#include "harness.h"

using namespace AscendC;
using namespace harness;

template <int32_t type = g_coreType>
struct Kernel;

template <>
struct Kernel<AIV> {
    static void run(Global<float>& out) {
        if ASCEND_IS_AIV {
            const LocalTensor<float> x(TPosition::VECCALC, 0, 8);
            Duplicate(x, 4.0f, 8);
            PipeBarrier<PIPE_ALL>();
            DataCopy(out.tensor(), x, 8);
        }
    }
};

template <typename T>
static void only_one_branch() {
    if ASCEND_IS_AIC {
        static_assert(!std::is_same_v<T, float>, "the branch of the cube core");
    }
}

int main() {
    static_assert(g_coreType == AIV && AIC == 1 && AIV == 2);
    only_one_branch<float>();
    Global<float> out(filled<float>(8, 0), false);
    CHECK(run([&] { Kernel<>::run(out); }).empty());
    CHECK_ALL(8, out.values()[i] == 4.0f);
    return finish("core_type");
}
