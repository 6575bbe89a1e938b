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

// A unit flag orders Fixpipe after Mmad, and so after all that Mmad waited for: a vector core that
// hears of Fixpipe may overwrite the operands.
void unit_flags() {
    constexpr uint32_t n = 16;
    Global<half> a(filled<half>(n * n, 1)), b(filled<half>(n * n, 1));
    Global<float> c(filled<float>(n * n, 0));
    const auto kernel = [&](uint8_t flag) {
        return [&, flag] {
            if ASCEND_IS_AIC {
                load_operands(a.tensor(), b.tensor(), n, n, n);
                const auto co = at<float>(TPosition::CO1, 0, n * n);
                Mmad(co, at<half>(TPosition::A2, 0, n * n), at<half>(TPosition::B2, 0, n * n),
                     MmadParams(n, n, n, flag, false, true));
                if (flag != 0) {
                    FixpipeParamsV220 params(n, n, n, n, false);
                    params.unitFlag = flag;
                    Fixpipe(c.tensor(), co, params);
                }
                CrossCoreSetFlag<2, PIPE_FIX>(1);
            }
            if ASCEND_IS_AIV {
                CrossCoreWaitFlag(1);
                const auto zeros = at<half>(TPosition::VECCALC, 0, n * n);
                Duplicate(zeros, half(0), n * n);
                PipeBarrier<PIPE_ALL>();
                if (GetSubBlockIdx() == 0) DataCopy(a.tensor(), zeros, n * n);
            }
        };
    };
    EXPECT("", run_kernel(kernel(3), kMix));
    CHECK_ALL(n * n, c.values()[i] == n);
    EXPECT("race: DataCopy", run_kernel(kernel(0), kMix));
}

#if __NPU_ARCH__ == 3510
// A vector core stores in L1 of its cube core, which leaves the product in UB of a vector core.
void shared_buffers() {
    constexpr uint32_t n = 16;
    Global<half> a(random_values<half>(n * n, -1, 1, 1)), b(random_values<half>(n * n, -1, 1, 2));
    Global<float> c(filled<float>(n * n, 0));
    const auto kernel = [&](bool meets) {
        return [&, meets] {
            if ASCEND_IS_AIV {
                if (GetSubBlockIdx() == 1) {
                    const auto x = at<half>(TPosition::VECCALC, 0, n * n);
                    DataCopy(x, a.tensor(), Nd2NzParams{1, n, n, 0, n, n, 1, 0});
                    sync<HardEvent::MTE2_MTE3>();
                    DataCopy(at<half>(TPosition::A1, 0, n * n), x, n * n);
                    CrossCoreSetFlag<4, PIPE_MTE3>(0);
                    CrossCoreWaitFlag<4, PIPE_MTE3>(1);
                    DataCopy(c.tensor(), at<float>(TPosition::VECCALC, 4096, n * n), n * n);
                }
            }
            if ASCEND_IS_AIC {
                const auto a1 = at<half>(TPosition::A1, 0, n * n), b1 = a1[4 * n * n];
                const auto a2 = at<half>(TPosition::A2, 0, n * n);
                const auto b2 = at<half>(TPosition::B2, 0, n * n);
                const auto co = at<float>(TPosition::CO1, 0, n * n);
                DataCopy(b1, b.tensor(), Nd2NzParams{1, n, n, 0, n, n, 1, 0});
                sync<HardEvent::MTE2_MTE1>();
                if (meets) CrossCoreWaitFlag<4, PIPE_MTE1>(16);
                LoadData(a2, a1, LoadData2DParamsV2(0, 0, 1, 1, 1, 1, false, 0));
                LoadData(b2, b1, LoadData2DParamsV2(0, 0, 1, 1, 1, 1, true, 0));
                sync<HardEvent::MTE1_M>();
                Mmad(co, a2, b2, mmad_params<half>(n, n, n));
                sync<HardEvent::M_FIX>();
                FixpipeParamsArch3510<CO2Layout::ROW_MAJOR> params(n, n, n, n);
                params.subBlockId = true;
                Fixpipe(at<float>(TPosition::VECCALC, 4096, n * n), co, params);
                if (!meets) CrossCoreWaitFlag<4, PIPE_FIX>(16);
                CrossCoreSetFlag<4, PIPE_FIX>(17);
            }
        };
    };
    EXPECT("", run_kernel(kernel(true), kMix));
    CHECK_ALL(n * n, c.values()[i] == exact<float>(a.values(), b.values(), n, n, i));
    EXPECT("race: DataCopy (pipe MTE3) writes L1", run_kernel(kernel(false), kMix));
    EXPECT("of another core, which the block does not have",
           run_kernel(
               [] {
                   const auto x = at<half>(TPosition::VECCALC, 0, 256);
                   Duplicate(x, half(1), 256);
                   sync<HardEvent::V_MTE3>();
                   DataCopy(at<half>(TPosition::A1, 0, 256), x, 256);
               },
               {0, 1}));
}
#endif

#if __NPU_ARCH__ == 3510
// Vector instructions keep their order; a strict launch asks for the barrier all the same.
void vector_order() {
    const auto kernel = [] {
        const auto x = at<float>(TPosition::VECCALC, 0, 64);
        Duplicate(x, 1.0f, 64);
        Adds(x, x, 1.0f, 64);
    };
    emulator::Options options;
    EXPECT("", run_kernel(kernel, {0, 1}, 1, options));
    options.strict = true;
    EXPECT("race: Adds", run_kernel(kernel, {0, 1}, 1, options));
}
#endif

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
    unit_flags();
#if __NPU_ARCH__ == 3510
    shared_buffers();
    vector_order();
#endif
    indices();
    return finish("cross_core");
}
