// Blocks of one cube and two vector cores: cross-core flags in every mode, and their failures.
#include "harness.h"

using namespace harness;

namespace {

const emulator::Mix kMix{1, 2, true};
constexpr uint32_t kCount = 64;

template <typename T>
LocalTensor<T> ub() {
    return at<T>(TPosition::VECCALC, 0, kCount);
}

// The cube core copies global memory to global memory through L1 (dav-2201) or writes nothing;
// here vector cores do the copying, so that both architectures run the same test.
void copy(GlobalTensor<float> to, GlobalTensor<float> from) {
    DataCopy(ub<float>(), from, kCount);
    SetFlag<HardEvent::MTE2_MTE3>(0);
    WaitFlag<HardEvent::MTE2_MTE3>(0);
    DataCopy(to, ub<float>(), kCount);
    SetFlag<HardEvent::MTE3_MTE2>(0);
    WaitFlag<HardEvent::MTE3_MTE2>(0);
}

// AIV 0 writes, AIV 1 reads what it wrote; `meet` is what must order them.
template <typename Meet>
emulator::Report hand_over(Meet meet, int blocks = 1, uint64_t seed = 0) {
    static Global<float> in(random_values<float>(kCount * 8, -1, 1, 3));
    static Global<float> middle(filled<float>(kCount * 8, 0));
    static Global<float> out(filled<float>(kCount * 8, 0));
    emulator::Options options;
    options.schedule_seed = seed;
    return run_kernel(
        [&] {
            const uint32_t offset =
                static_cast<uint32_t>(GetBlockNum() > 1 ? GetBlockIdx() / 2 : 0);
            if ASCEND_IS_AIV {
                if (GetSubBlockIdx() == 0) {
                    copy(middle.tensor()[offset * kCount], in.tensor()[offset * kCount]);
                }
                meet();
                if (GetSubBlockIdx() == 1) {
                    copy(out.tensor()[offset * kCount], middle.tensor()[offset * kCount]);
                }
            }
            if ASCEND_IS_AIC {
                meet();
            }
        },
        kMix, blocks, options);
}

void modes() {
    EXPECT("race: DataCopy", hand_over([] {}));
    EXPECT("", hand_over([] {
               if ASCEND_IS_AIV {
                   CrossCoreSetFlag<1, PIPE_MTE3>(0);
                   CrossCoreWaitFlag(0);
               }
           }));
    for (const uint64_t seed : {0, 1, 2, 3}) {
        EXPECT("", hand_over(
                       [] {
                           if ASCEND_IS_AIV {
                               CrossCoreSetFlag<0, PIPE_MTE3>(3);
                               CrossCoreWaitFlag(3);
                           }
                       },
                       4, seed));
        EXPECT("", hand_over([] { SyncAll<false>(); }, 4, seed));
    }
    EXPECT("", hand_over([] { SyncAll<false>(); }));
    EXPECT("", hand_over([] {
               if ASCEND_IS_AIV {
                   CrossCoreSetFlag<2, PIPE_MTE3>(1);
                   CrossCoreWaitFlag(2);
               }
               if ASCEND_IS_AIC {
                   CrossCoreWaitFlag(1);
                   CrossCoreSetFlag<2, PIPE_FIX>(2);
               }
           }));
    // The flag must be set by the pipe that writes.
    EXPECT("race: DataCopy", hand_over([] {
               if ASCEND_IS_AIV {
                   CrossCoreSetFlag<1, PIPE_V>(0);
                   CrossCoreWaitFlag(0);
               }
           }));
#if __NPU_ARCH__ == 3510
    EXPECT("", hand_over([] {
               if ASCEND_IS_AIV {
                   if (GetSubBlockIdx() == 0) CrossCoreSetFlag<4, PIPE_MTE3>(1);
                   if (GetSubBlockIdx() == 1) CrossCoreWaitFlag<4, PIPE_MTE2>(2);
               }
               if ASCEND_IS_AIC {
                   CrossCoreWaitFlag<4, PIPE_FIX>(1);
                   CrossCoreSetFlag<4, PIPE_FIX>(16 + 2);
               }
           }));
#endif
}

void failures_of_flags() {
    const auto on_mix = [](const std::function<void()>& kernel) {
        return run_kernel(kernel, kMix);
    };
    EXPECT("deadlock: every core waits; AIC of block 0 for CrossCoreWaitFlag(1)", on_mix([] {
               if ASCEND_IS_AIC {
                   CrossCoreWaitFlag(1);
               }
               if ASCEND_IS_AIV {
                   if (GetSubBlockIdx() == 0) CrossCoreSetFlag<2, PIPE_MTE3>(1);
               }
           }));
    EXPECT("is left set at the end", on_mix([] {
               if ASCEND_IS_AIC {
                   CrossCoreSetFlag<2, PIPE_FIX>(1);
               }
           }));
    EXPECT("counts beyond 15", on_mix([] {
               if ASCEND_IS_AIC {
                   for (int i = 0; i < 16; ++i) CrossCoreSetFlag<2, PIPE_FIX>(1);
               }
               if ASCEND_IS_AIV {
                   CrossCoreWaitFlag(2);
               }
           }));
    EXPECT("others that must did not", on_mix([] {
               if ASCEND_IS_AIV {
                   if (GetSubBlockIdx() == 0) CrossCoreSetFlag<2, PIPE_MTE3>(1);
               }
           }));
    EXPECT("flag id 16 is out of range", on_mix([] { CrossCoreSetFlag<2, PIPE_MTE3>(16); }));
    EXPECT("PIPE_ALL is not accepted", on_mix([] { CrossCoreSetFlag<2, PIPE_ALL>(1); }));
    EXPECT("mode 3 does not exist", on_mix([] { CrossCoreSetFlag<3, PIPE_MTE3>(1); }));
    EXPECT("the cross-core scheduler is off",
           run_kernel([] { CrossCoreSetFlag<0, PIPE_FIX>(1); }, {1, 0}));
    // More blocks than cores cannot meet.
    EXPECT("deadlock", run_kernel([] { SyncAll<false>(); }, kMix, 100));
}

void indices() {
    EXPECT("", run_kernel(
                   [] {
                       const emulator::Core& core = emulator::current_core();
                       CHECK(GetBlockNum() == 3);
                       if ASCEND_IS_AIC {
                           CHECK(GetBlockIdx() == core.block && GetTaskRatio() == 1);
                       }
                       if ASCEND_IS_AIV {
                           CHECK(GetBlockIdx() == core.block * 2 + GetSubBlockIdx());
                           CHECK(GetTaskRatio() == 2);
                       }
                   },
                   kMix, 3));
}

}  // namespace

int main() {
    modes();
    failures_of_flags();
    indices();
    return finish("cross_core");
}
