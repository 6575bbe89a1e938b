// What must not pass: every check of the core and of the matrix side fires, with the reason.
#include "harness.h"

using namespace harness;

namespace {

constexpr uint32_t N = 64;

struct Square {
    Global<half> a{random_values<half>(N * N, -1, 1, 1)};
    Global<half> b{random_values<half>(N * N, -1, 1, 2)};
    Global<float> c{filled<float>(N * N, 0), false};
    LocalTensor<float> co = at<float>(TPosition::CO1, 0, N* N);
    LocalTensor<half> a1 = at<half>(TPosition::A1, 0, N* N);
    LocalTensor<half> a2 = at<half>(TPosition::A2, 0, N* N);
    LocalTensor<half> b2 = at<half>(TPosition::B2, 0, N* N);

    void load() { load_operands(a.tensor(), b.tensor(), N, N, N); }
    void copy_in() { DataCopy(a1, a.tensor(), Nd2NzParams{1, N, N, 0, N, N, 1, 0}); }
    void multiply(uint32_t n = N, bool start = true) {
        Mmad(co, a2, b2, MmadParams(n, n, n, 0, false, start));
    }
};

void races() {
    Square s;
    EXPECT_CUBE("race: LoadData", s.copy_in();
                LoadData(s.a2, s.a1, LoadData2DParams(0, 4, 1, 0, 0, false, 0)));
    EXPECT_CUBE("race: Fixpipe (pipe FIX) reads L0C", s.load(); s.multiply();
                store(s.c.tensor(), N, N));
    // Reuse without waiting for the reader: L1 after LoadData, L0A after Mmad, L0C after Fixpipe.
    EXPECT_CUBE("race: DataCopy ND2NZ (pipe MTE2) writes L1", s.load(); s.copy_in());
    EXPECT_CUBE("race: Mmad (pipe M) writes L0C", s.load(); s.multiply(); sync<HardEvent::M_FIX>();
                store(s.c.tensor(), N, N); s.multiply());
    EXPECT_CUBE("", s.load(); s.multiply(); sync<HardEvent::M_FIX>(); store(s.c.tensor(), N, N);
                sync<HardEvent::FIX_M>(); s.multiply());
    // Same pipe: small accumulating Mmads, overlapping copies.
    EXPECT_CUBE("race: Mmad (pipe M) reads L0C", s.load(); s.multiply(32); s.multiply(32, false));
    EXPECT_CUBE("", s.load(); s.multiply(32); PipeBarrier<PIPE_M>(); s.multiply(32, false));
    EXPECT_CUBE("", s.load(); s.multiply(); s.multiply(N, false));
    EXPECT_CUBE("race: DataCopy ND2NZ", s.copy_in(); s.copy_in());
    EXPECT_CUBE("", s.copy_in(); PipeBarrier<PIPE_MTE2>(); s.copy_in());
    // Two blocks that write the same global memory.
    EXPECT("race: Fixpipe", run_kernel(
                                [&] {
                                    s.load();
                                    s.multiply();
                                    sync<HardEvent::M_FIX>();
                                    store(s.c.tensor(), N, N);
                                },
                                {1, 0}, 2));
}

void memory() {
    Square s;
    EXPECT_CUBE("which nothing has written", s.load(); s.multiply(); sync<HardEvent::M_FIX>();
                store(s.c.tensor(), 80, N));
    emulator::Options strict;
    strict.strict = true;
    EXPECT("Mmad reads byte 0 of L0A (A), which nothing has written",
           run_kernel([&] { s.multiply(); }, {1, 0}, 1, strict));
    EXPECT("of tensor dst",
           run_kernel([&] { DataCopy(at<half>(TPosition::A1, 0, 16), s.a.tensor(), 32); }, {1, 0},
                      1, strict));
    EXPECT_CUBE("of GM, which has 8192: out of bounds",
                DataCopy(s.a1, s.a.tensor()[16], Nd2NzParams{1, N, N, 0, N, N, 1, 0}));
    EXPECT_CUBE("of L1, which has 524288: out of bounds",
                DataCopy(at<half>(TPosition::A1, 524288 - 64, N), s.a.tensor(), N));
    EXPECT_CUBE("is not aligned to 32", DataCopy(at<half>(TPosition::A1, 16, N), s.a.tensor(), N));
    EXPECT_CUBE(
        "is not aligned to 512", s.copy_in(); sync<HardEvent::MTE2_MTE1>();
        LoadData(at<half>(TPosition::A2, 256, N), s.a1, LoadData2DParams(0, 1, 1, 0, 0, false, 0)));
    EXPECT_CUBE("is not aligned to 1024", s.load();
                Mmad(at<float>(TPosition::CO1, 512, N * N), s.a2, s.b2,
                     MmadParams(N, N, N, 0, false, true)));
    std::vector<half> stray(N * N);
    EXPECT_CUBE("lies in no registered buffer", GlobalTensor<half> g;
                g.SetGlobalBuffer(stray.data()); DataCopy(s.a1, g, N));
    emulator::register_global(stray.data(), N * N * 2, true, true);
    EXPECT_CUBE("this global buffer is an input", s.load(); s.multiply(); sync<HardEvent::M_FIX>();
                GlobalTensor<half> g; g.SetGlobalBuffer(stray.data());
                Fixpipe(g, s.co,
                        FixpipeParamsV220(N, N, N, N, false, QuantMode_t::F322F16, 0, 1, 0, 0, 0)));
    emulator::unregister_global(stray.data());
    EXPECT_CUBE("capacity 65536", LocalMemAllocator<Hardware::L0A> l0a;
                (l0a.Alloc<TPosition::A2, half>(N * N * 10)));
    EXPECT_CUBE("which this core does not have",
                DataCopy(at<half>(TPosition::VECIN, 0, N), s.a.tensor(), N));
}

void fields() {
    Square s;
    const int large = 70000;
    EXPECT_CUBE("a parameter field gets 70000", Nd2NzParams params; params.nValue = large);
#if __NPU_ARCH__ == 2201
    EXPECT_CUBE("a parameter field gets 70000", Nd2NzParams params; params.srcDValue = large);
    EXPECT_CUBE("srcNdStride is 513", s.load(); s.multiply(); sync<HardEvent::M_FIX>();
                FixpipeParamsV220 params(N, N, N, N, false); params.ndNum = 2;
                params.srcNdStride = 513; Fixpipe(s.c.tensor(), s.co, params));
#endif
    EXPECT_CUBE("a parameter field gets 300", LoadData2DParams params; params.repeatTimes = 300);
    EXPECT_CUBE("ndNum is 4096",
                DataCopy(s.a1, s.a.tensor(), Nd2NzParams{4096, N, N, 0, N, N, 1, 0}));
    EXPECT_CUBE("dstNzNStride is 0",
                DataCopy(s.a1, s.a.tensor(), Nd2NzParams{1, N, N, 0, N, N, 0, 0}));
    EXPECT_CUBE("k is 4096", Mmad(s.co, s.a2, s.b2, MmadParams(16, 16, 4096, 0, false, true)));
    EXPECT_CUBE("unitFlag is 1", Mmad(s.co, s.a2, s.b2, MmadParams(16, 16, 16, 1, false, true)));
    EXPECT_CUBE("not a multiple of 32", DataCopy(s.a1, s.a.tensor(), 17));
    EXPECT_CUBE("dstStride is 0", s.load(); s.multiply(); sync<HardEvent::M_FIX>();
                Fixpipe(s.c.tensor(), s.co, FixpipeParamsV220(N, N, N, 0, false)));
}

void paths_and_types() {
    Square s;
#if __NPU_ARCH__ == 2201
    EXPECT_CUBE("16-bit elements only",
                LoadData(at<int8_t>(TPosition::A2, 0, 512), at<int8_t>(TPosition::A1, 0, 512),
                         LoadData2DParams(0, 1, 1, 0, 0, true, 0)));
    EXPECT_CUBE("must be CFG_NZ", s.load(); s.multiply(); sync<HardEvent::M_FIX>();
                Fixpipe(s.a1, s.co,
                        FixpipeParamsV220(N, N, N, N, false, QuantMode_t::F322F16, 0, 1, 0, 0, 0)));
#else
    EXPECT_CUBE("no path from L1 to GM", s.copy_in(); sync<HardEvent::MTE2_MTE3>();
                DataCopy(s.a.tensor(), s.a1, N));
    EXPECT_CUBE("cannot be filled", Fill(s.a2, InitConstValueParams<half>(1, 1, 0, half(0))));
#endif
    EXPECT_CUBE("no path from GM to L0C", DataCopy(s.co, s.c.tensor(), N));
    EXPECT_CUBE("quantPre NoQuant converts float to float, not float to half", s.load();
                s.multiply(); sync<HardEvent::M_FIX>();
                Fixpipe(s.a.tensor(), s.co, FixpipeParamsV220(N, N, N, N, false)));
    EXPECT_CUBE("lies in L1, must lie in L0A",
                Mmad(s.co, s.a1, s.b2, MmadParams(N, N, N, 0, false, true)));
    EXPECT_CUBE(
        "was deqScalar set?", s.load(); s.multiply(); sync<HardEvent::M_FIX>();
        FixpipeParamsV220 params(N, N, N, N, false); params.quantPre = QuantMode_t::QF322B8_PRE;
        (Fixpipe<int8_t, float, CFG_NZ>(at<int8_t>(TPosition::A1, 0, N * N), s.co, params)));
    EXPECT("Mmad on a vector core", run_kernel([&] { s.multiply(); }, {0, 1}));
}

void flags() {
    EXPECT_CUBE("sets a flag that is already set", SetFlag<HardEvent::M_FIX>(0);
                SetFlag<HardEvent::M_FIX>(0));
    EXPECT_CUBE("deadlock: WaitFlag<M_FIX>(1)", WaitFlag<HardEvent::M_FIX>(1));
    EXPECT_CUBE("is left set when the kernel ends", SetFlag<HardEvent::M_FIX>(0));
    EXPECT_CUBE("event id 8", SetFlag<HardEvent::M_FIX>(8));
    EXPECT_CUBE("PipeBarrier<PIPE_S>", PipeBarrier<PIPE_S>());
    emulator::Options strict;
    strict.strict = true;
    EXPECT("may be executed before the WaitFlag of its last use", run_kernel(
                                                                      [] {
                                                                          sync<HardEvent::M_FIX>();
                                                                          sync<HardEvent::M_FIX>();
                                                                      },
                                                                      {1, 0}, 1, strict));
    EXPECT("", run_kernel(
                   [] {
                       sync<HardEvent::M_FIX>();
                       sync<HardEvent::FIX_M>();
                       sync<HardEvent::M_FIX>();
                   },
                   {1, 0}, 1, strict));
}

void unit_flags() {
    Square s;
    const auto fixpipe = [&](uint32_t flag) {
        FixpipeParamsV220 params(N, N, N, N, false);
        params.unitFlag = flag;
        Fixpipe(s.c.tensor(), s.co, params);
    };
    const auto multiply = [&](uint32_t flag) {
        Mmad(s.co, s.a2, s.b2, MmadParams(N, N, N, flag, false, true));
    };
    EXPECT_CUBE("", s.load(); multiply(3); fixpipe(3); multiply(3); PipeBarrier<PIPE_FIX>();
                fixpipe(3));
    EXPECT_CUBE("which no Mmad with unitFlag 3 has filled", s.load(); multiply(2); fixpipe(3));
    EXPECT_CUBE("both need the flag", s.load(); multiply(3); fixpipe(0));
    EXPECT_CUBE("not drained", s.load(); multiply(3); multiply(3));
}

void launches() {
    const auto nothing = [] {};
    EXPECT("cube and 0 vector cores per block", run_kernel(nothing, {2, 0}));
    EXPECT("blocks, accepted", run_kernel(nothing, {1, 0}, 0));
    emulator::Options options;
    options.soc = "Ascend310";
    EXPECT("no chip \"Ascend310\"", run_kernel(nothing, {1, 0}, 1, options));
    options.soc = "";
    // A disabled synchronisation call does nothing, and the race it prevented appears.
    Square s;
    const auto kernel = [&] {
        s.load();
        s.multiply();
        SetFlag<HardEvent::M_FIX>(0);
        WaitFlag<HardEvent::M_FIX>(0);
        store(s.c.tensor(), N, N);
    };
    const int line = __LINE__ - 4;
    const emulator::Report report = run_kernel(kernel, {1, 0}, 1, options);
    EXPECT("", report);
    bool listed = false;
    for (const auto& place : report.sync_sites) {
        listed |= static_cast<int>(place.site.line) == line &&
                  std::string(place.kind) == "SetFlag" && place.count == 1;
    }
    CHECK(listed);
    options.disable_sync =
        "checks.cpp:" + std::to_string(line) + ",WaitFlag@checks.cpp:" + std::to_string(line + 1);
    EXPECT("race: Fixpipe", run_kernel(kernel, {1, 0}, 1, options));
    options.disable_sync = "SetFlag@checks.cpp:" + std::to_string(line);
    EXPECT("deadlock: WaitFlag", run_kernel(kernel, {1, 0}, 1, options));
}

}  // namespace

int main() {
    races();
    memory();
    fields();
    paths_and_types();
    flags();
    unit_flags();
    launches();
    return finish("checks");
}
