// The timing model: documented costs, overlap, shared bandwidth, barriers; the trace it writes.
#include <fstream>
#include <sstream>

#include "harness.h"

using namespace harness;

namespace {

constexpr uint32_t N = 128;
const emulator::Soc& soc() { return *emulator::find_soc("", __NPU_ARCH__); }
double ns(double cycles) { return cycles / soc().frequency_ghz; }

Global<half>& operand() {
    static Global<half> all(random_values<half>(N * N * 64, -1, 1, 1));
    return all;
}

LocalTensor<half> l1(uint32_t tile) { return at<half>(TPosition::A1, tile * N * N * 2, N * N); }
void copy_in(uint32_t tile, uint32_t of) {
    DataCopy(l1(tile), operand().tensor()[of * N * N], N * N);
}

// k products of 16 x 16 x 16 fractals take one cycle each, plus the documented gap.
void products() {
    for (const uint32_t count : {1u, 8u}) {
        const auto report = run_kernel([&] {
            const auto a2 = at<half>(TPosition::A2, 0, N * N),
                       b2 = at<half>(TPosition::B2, 0, N * N);
            for (uint32_t i = 0; i < count; ++i) {
                Mmad(at<float>(TPosition::CO1, 0, N * N), a2, b2,
                     MmadParams(N, N, N, 0, false, true));
            }
        });
        EXPECT("", report);
        const double cycles = count * (512 + soc().costs.mmad_gap);
        CHECK(std::fabs(report.timing.busy_ns[PIPE_M] - ns(cycles)) < 1e-3);
    }
}

double time_of(const std::function<void()>& kernel, int blocks = 1) {
    const auto report = run_kernel(kernel, {1, 0}, blocks);
    EXPECT("", report);
    return report.timing.total_ns;
}

// Two instructions of different pipes overlap, unless a flag stands between them.
void overlap() {
    const auto load = [](uint32_t tile) {
        LoadData(at<half>(TPosition::A2, 0, N * N), l1(tile),
                 LoadData2DParams(0, 64, 1, 0, 0, false, 0));
    };
    const auto with = [&](bool flag, bool copies, bool loads) {
        return time_of([&] {
            copy_in(0, 0);
            sync<HardEvent::MTE2_MTE1>();
            if (copies) copy_in(1, 1);
            if (flag) sync<HardEvent::MTE2_MTE1>();
            if (loads) load(0);
        });
    };
    const double copy = with(false, true, false), both = with(false, true, true);
    const double apart = with(true, true, true);
    CHECK(both < copy + 1);
    CHECK(apart > both + 1);
}

// n cores that read as much as they can share the memory: the time is bytes / bandwidth.
void bandwidth() {
    const int blocks = soc().cube_cores;
    const double one = time_of([&] { copy_in(0, 0); });
    const auto read = [&](uint32_t count) {
        return time_of(
            [&] {
                for (uint32_t i = 0; i < count; ++i) {
                    copy_in(0, (GetBlockIdx() + i * GetBlockNum()) % 64);
                    PipeBarrier<PIPE_MTE2>();
                }
            },
            blocks);
    };
    const double bytes = 1.0 * blocks * N * N * 2;
    CHECK(read(1) - soc().costs.launch_ns >= bytes / soc().costs.hbm_bytes_per_ns);
    CHECK(read(1) > one);
}

// Fixpipe waits for the store before it: in global memory on dav-2201, anywhere on dav-3510.
// DataCopy does not.
void fixpipe_barriers() {
    static Global<half> out(std::vector<half>(N * N));
    const auto sums = at<float>(TPosition::CO1, 0, N * N);
    const auto time = [&](uint32_t count, const std::function<void()>& store) {
        emulator::Options options;
        options.checks = false;
        const auto report = run_kernel(
            [&] {
                for (uint32_t i = 0; i < count; ++i) store();
            },
            {1, 0}, 1, options);
        EXPECT("", report);
        return report.timing.total_ns;
    };
    const auto second = [&](const std::function<void()>& store) {
        return time(2, store) - time(1, store);
    };
    const auto& costs = soc().costs;
    // 16 x 16 elements, so that the bytes take less time than the gap.
    const double busy = ns(costs.fixpipe_gap + 256 / costs.fixpipe_b16);
    const double store = std::max(busy, ns(costs.gm_gap + 16 * costs.gm_run_cycles));
    const double to_l1 = second([&] {
        FixpipeParamsV220 params(16, 16, 16, N, false);
        params.quantPre = QuantMode_t::F322F16;
        Fixpipe<half, float, CFG_NZ>(l1(0), sums, params);
    });
    CHECK(std::fabs(to_l1 - busy - (__NPU_ARCH__ == 3510 ? ns(costs.fixpipe_latency) : 0)) < 1e-3);
    const double by_fixpipe = second([&] {
        FixpipeParamsV220 params(16, 16, 16, N, false);
        params.quantPre = QuantMode_t::F322F16;
        Fixpipe(out.tensor(), sums, params);
    });
    const double latency = ns(costs.fixpipe_latency + costs.gm_write_latency);
    CHECK(std::fabs(by_fixpipe - store - latency) < 1e-3);
    const double by_copy = second([&] {
        SetFixpipeNz2ndFlag(1, 0, 1);
        DataCopy(out.tensor(), sums,
                 DataCopyCO12DstParams(16, 16, N, 16, QuantMode_t::F322F16, 0, false, true));
    });
    CHECK(std::fabs(by_copy - store) < 1e-3);
}

void trace() {
    const std::string path = "/tmp/neumann_tril_emulator_trace.json";
    emulator::Options options;
    options.trace_path = path;
    const auto report = run_kernel([] { copy_in(0, 0); }, {1, 0}, 2, options);
    EXPECT("", report);
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    CHECK(text.str().find("\"name\": \"DataCopy\"") != std::string::npos);
    CHECK(text.str().find("AIC block 1") != std::string::npos);
    CHECK(text.str().find("timing.cpp:") != std::string::npos);
    CHECK(report.json().find("\"GM->L1\": 65536") != std::string::npos);
    std::remove(path.c_str());
    options.trace_path = "/nonexistent/trace.json";
    EXPECT("cannot write the trace", run_kernel([] { copy_in(0, 0); }, {1, 0}, 1, options));
}

// Costs by name: of the launches that follow, and of one that was recorded.
void costs_by_name() {
    const auto launch = [] {
        emulator_clear_report();
        emulator::launch_body("copy", __NPU_ARCH__, 1, {1, 0}, [] { copy_in(0, 0); });
        return emulator_report_time_ns();
    };
    emulator::set_options({});
    const double latency = soc().costs.gm_read_latency;
    const std::string doubled = "gm_read_latency=" + std::to_string(2 * latency);
    CHECK(emulator_recording_open() == -1);
    CHECK(emulator_set_option("record", "1") == 0);
    const double base = launch();
    const int recording = emulator_recording_open();
    CHECK(recording > 0);
    CHECK(emulator_recording_time_ns(recording, "") == base);
    const double slower = emulator_recording_time_ns(recording, doubled.c_str());
    CHECK(std::fabs(slower - base - ns(latency)) < 1e-3);
    CHECK(emulator_set_option("costs", doubled.c_str()) == 0);
    CHECK(launch() == slower);
    for (const char* wrong : {"gm_read_latncy=1", "gm_gap=0", "gm_gap=-1", "gm_gap=inf", "gm_gap=x",
                              "gm_gap=", "gm_gap"}) {
        CHECK(emulator_set_option("costs", wrong) == -1);
        CHECK(emulator_recording_time_ns(recording, wrong) == -1);
    }
    CHECK(emulator_set_option("costs", "gm_read_latncy=1") == -1);
    CHECK(std::string(emulator_error()).find("unknown cost \"gm_read_latncy\"; known: cube_k_b4") !=
          std::string::npos);
    CHECK(emulator_set_option("costs", "") == 0);
    CHECK(launch() == base);
    emulator_recording_close(recording);
    CHECK(emulator_recording_time_ns(recording, "") == -1);
    CHECK(
        std::string(emulator_costs_json("")).find("{\"name\": \"gm_run_cycles\", \"value\": 1, ") !=
        std::string::npos);
    CHECK(std::string(emulator_costs_json("none")) == "[]");
    emulator::set_options({});
}

// The C interface: options by name, results of the last launch.
void c_interface() {
    CHECK(emulator_set_option("nonsense", "1") == -1);
    CHECK(std::string(emulator_error()).find("unknown option nonsense") != std::string::npos);
    emulator::set_options({});
    CHECK(emulator_set_option("checks", "0") == 0);
    emulator_clear_report();
    emulator::launch_body("racy", __NPU_ARCH__, 1, {1, 0}, [] {
        copy_in(0, 0);
        copy_in(0, 0);
    });
    CHECK(std::string(emulator_report_error()).empty());
    CHECK(emulator_report_time_ns() > 0 && emulator_report_busy_ns("MTE2") > 0);
    CHECK(std::string(emulator_report_json()).find("\"kernel\": \"racy\"") != std::string::npos);
    CHECK(emulator_set_option("checks", "1") == 0);
    emulator::launch_body("racy", __NPU_ARCH__, 1, {1, 0}, [] {
        copy_in(0, 0);
        copy_in(0, 0);
    });
    CHECK(std::string(emulator_report_error()).find("race") != std::string::npos);
    emulator_clear_report();
    CHECK(std::string(emulator_report_error()).empty());
}

}  // namespace

int main() {
    operand();  // registered before the first launch
    products();
    overlap();
    bandwidth();
    fixpipe_barriers();
    costs_by_name();
    trace();
    c_interface();
    return finish("timing");
}
