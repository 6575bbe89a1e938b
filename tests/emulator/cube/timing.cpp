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
    trace();
    c_interface();
    return finish("timing");
}
