#include "core/launch.h"

#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

namespace emulator {

namespace {
std::mutex state_mutex;
Report kept_report;

Options& options_state() {
    static Options options = [] {
        Options initial;
        // The environment reaches programs that do not know the emulator's interface.
        if (const char* soc = std::getenv("NT_EMULATOR_SOC")) initial.soc = soc;
        if (const char* seed = std::getenv("NT_EMULATOR_SEED"))
            initial.schedule_seed = std::strtoull(seed, nullptr, 10);
        if (const char* seed = std::getenv("NT_EMULATOR_PERTURB"))
            initial.perturb_seed = std::strtoull(seed, nullptr, 10);
        if (const char* on = std::getenv("NT_EMULATOR_AUTO_SYNC"))
            initial.auto_sync = std::strcmp(on, "0") != 0;
        if (const char* on = std::getenv("NT_EMULATOR_CHECKS"))
            initial.checks = std::strcmp(on, "0") != 0;
        if (const char* on = std::getenv("NT_EMULATOR_TIMING"))
            initial.timing = std::strcmp(on, "0") != 0;
        if (const char* path = std::getenv("NT_EMULATOR_TRACE")) initial.trace_path = path;
        return initial;
    }();
    return options;
}

void keep(const Report& report) {
    std::lock_guard<std::mutex> lock(state_mutex);
    if (kept_report.error.empty()) kept_report = report;
}
}  // namespace

void set_options(const Options& options) {
    std::lock_guard<std::mutex> lock(state_mutex);
    options_state() = options;
}

Options get_options() {
    std::lock_guard<std::mutex> lock(state_mutex);
    return options_state();
}

Report last_report() {
    std::lock_guard<std::mutex> lock(state_mutex);
    return kept_report;
}

void clear_report() {
    std::lock_guard<std::mutex> lock(state_mutex);
    kept_report = Report();
}

Report launch_body(const std::string& name, int arch, int blocks, Mix mix,
                   const std::function<void()>& body) {
    const Options options = get_options();
    Report report;
    report.kernel = name;
    const Soc* soc = find_soc(options.soc, arch);
    if (soc == nullptr) {
        report.error = format_text("no chip \"%s\" of architecture %d is known; known: %s",
                                   options.soc.c_str(), arch, known_socs().c_str());
    } else if (blocks < 1 || blocks > 65535) {
        report.error = format_text("%s: %d blocks, accepted: 1..65535", name.c_str(), blocks);
    } else if (!(mix.aic == 1 && mix.aiv >= 0 && mix.aiv <= 2) && !(mix.aic == 0 && mix.aiv == 1)) {
        report.error = format_text(
            "%s: %d cube and %d vector cores per block; accepted: "
            "(1,0), (0,1), (1,1), (1,2)",
            name.c_str(), mix.aic, mix.aiv);
    } else {
        try {
            Machine machine(*soc, options, mix, blocks);
            report = machine.run(name, body);
        } catch (const std::exception& error) {
            report.error = error.what();
        }
    }
    keep(report);
    return report;
}

namespace {
StreamLauncher stream_launcher = [](void*, std::function<Report()> run) { run(); };
}  // namespace

void set_stream_launcher(StreamLauncher launcher) { stream_launcher = launcher; }

void put_on_stream(void* stream, std::function<Report()> run) {
    stream_launcher(stream, std::move(run));
}

}  // namespace emulator

namespace {
thread_local std::string option_error, report_error, report_json, report_sync, costs_text;

// Launches that wait to be priced, by number.
std::mutex recordings_mutex;
std::map<int, emulator::Report> recordings;
int last_recording = 0;
}  // namespace

extern "C" {

int emulator_set_option(const char* key, const char* value) {
    emulator::Options options = emulator::get_options();
    const std::string name = key;
    const auto number = [&] { return std::strtoull(value, nullptr, 10); };
    if (name == "soc") {
        options.soc = value;
    } else if (name == "schedule_seed") {
        options.schedule_seed = number();
    } else if (name == "perturb_seed") {
        options.perturb_seed = number();
    } else if (name == "checks") {
        options.checks = number() != 0;
    } else if (name == "auto_sync") {
        options.auto_sync = number() != 0;
    } else if (name == "stale") {
        options.stale = number() != 0;
    } else if (name == "timing") {
        options.timing = number() != 0;
    } else if (name == "strict") {
        options.strict = number() != 0;
    } else if (name == "saturate") {
        options.saturate = number() != 0;
    } else if (name == "fixpipe_saturates") {
        options.fixpipe_saturates = number() != 0;
    } else if (name == "trace_path") {
        options.trace_path = value;
    } else if (name == "disable_sync") {
        options.disable_sync = value;
    } else if (name == "record") {
        options.record = number() != 0;
    } else if (name == "costs") {
        options.costs.clear();
        option_error = emulator::parse_costs(value, options.costs);
        if (!option_error.empty()) return -1;
    } else {
        option_error =
            "unknown option " + name +
            "; known: soc, schedule_seed, perturb_seed, checks, auto_sync, stale, timing, "
            "strict, saturate, fixpipe_saturates, trace_path, disable_sync, record, costs";
        return -1;
    }
    emulator::set_options(options);
    return 0;
}

const char* emulator_error() { return option_error.c_str(); }

void emulator_register_memory(void* base, uint64_t bytes, int initialised, int read_only) {
    emulator::register_global(base, bytes, initialised != 0, read_only != 0);
}

void emulator_unregister_memory(void* base) { emulator::unregister_global(base); }

void emulator_clear_report() { emulator::clear_report(); }

const char* emulator_report_error() {
    report_error = emulator::last_report().error;
    return report_error.c_str();
}

double emulator_report_time_ns() { return emulator::last_report().timing.total_ns; }

double emulator_report_busy_ns(const char* pipe) {
    const emulator::Report report = emulator::last_report();
    for (int p = 0; p < emulator::kPipes; ++p) {
        if (std::strcmp(emulator::pipe_name(p), pipe) == 0) return report.timing.busy_ns[p];
    }
    return -1;
}

const char* emulator_costs_json(const char* soc) {
    const emulator::Soc* found = emulator::find_soc(soc, __NPU_ARCH__);
    costs_text = found == nullptr ? "[]" : emulator::costs_json(*found);
    return costs_text.c_str();
}

int emulator_recording_open() {
    emulator::Report report = emulator::last_report();
    if (report.trace == nullptr) {
        option_error = "the last launch was not recorded: set the option record";
        return -1;
    }
    std::lock_guard<std::mutex> lock(recordings_mutex);
    recordings.emplace(++last_recording, std::move(report));
    return last_recording;
}

double emulator_recording_time_ns(int recording, const char* costs) {
    std::vector<emulator::CostChange> changes;
    option_error = emulator::parse_costs(costs, changes);
    if (!option_error.empty()) return -1;
    std::lock_guard<std::mutex> lock(recordings_mutex);
    const auto found = recordings.find(recording);
    if (found == recordings.end()) {
        option_error = "no recording " + std::to_string(recording);
        return -1;
    }
    const emulator::Soc& soc = *emulator::find_soc(found->second.soc, __NPU_ARCH__);
    return emulator::compute_timing(*found->second.trace, emulator::changed(soc.costs, changes),
                                    soc.frequency_ghz)
        .total_ns;
}

void emulator_recording_close(int recording) {
    std::lock_guard<std::mutex> lock(recordings_mutex);
    recordings.erase(recording);
}

const char* emulator_report_sync_sites() {
    report_sync = emulator::last_report().sync_json();
    return report_sync.c_str();
}

const char* emulator_report_json() {
    report_json = emulator::last_report().json();
    return report_json.c_str();
}
}
