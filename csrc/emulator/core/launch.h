// Launching a kernel function on the emulator.
#pragma once

#include <functional>
#include <string>

#include "core/machine.h"

namespace emulator {

// Runs `body` on every core of `blocks` blocks, on this thread, and returns the report. Never
// throws: what went wrong is the report's error. The report is also kept for emulator_report_*.
Report launch_body(const std::string& name, int arch, int blocks, Mix mix,
                   const std::function<void()>& body);

// Options of the launches that follow, process-wide.
void set_options(const Options& options);
Options get_options();
// The report of the last launch of this process, or the first one that failed since the last
// clear_report().
Report last_report();
void clear_report();

// kernel(args...) with the arguments converted to the kernel's parameter types, by value.
template <class... Parameters, class... Arguments>
Report launch(const char* name, int arch, void (*kernel)(Parameters...), int blocks, Mix mix,
              Arguments... arguments) {
    return launch_body(name, arch, blocks, mix,
                       [=] { kernel(static_cast<Parameters>(arguments)...); });
}

// What becomes of a launch on a stream: by default it runs at once, whatever the stream. Where
// there is a runtime with streams (csrc/emulator/acl), it puts `run` on the stream instead.
using StreamLauncher = void (*)(void* stream, std::function<Report()> run);
void set_stream_launcher(StreamLauncher launcher);
void put_on_stream(void* stream, std::function<Report()> run);

// launch() on a stream; the arguments are those of now.
template <class... Parameters, class... Arguments>
void launch_on(void* stream, const char* name, int arch, void (*kernel)(Parameters...), int blocks,
               Mix mix, Arguments... arguments) {
    put_on_stream(stream, [=] { return launch(name, arch, kernel, blocks, mix, arguments...); });
}

}  // namespace emulator

// Host side of run options and results, for ctypes. Strings are UTF-8 and owned by the library;
// a returned string is valid until the next call of the same function on the same thread.
extern "C" {
// Returns 0, or -1 with emulator_error() set. `key`: soc, schedule_seed, perturb_seed, checks,
// auto_sync, stale, timing, strict, saturate, fixpipe_saturates, trace_path, disable_sync, record,
// costs ("name=value,...").
int emulator_set_option(const char* key, const char* value);
const char* emulator_error();
void emulator_register_memory(void* base, uint64_t bytes, int initialised, int read_only);
void emulator_unregister_memory(void* base);
void emulator_clear_report();
const char* emulator_report_error();  // empty when the last launch ran to its end
double emulator_report_time_ns();
double emulator_report_busy_ns(const char* pipe);
const char* emulator_report_json();
// The cost table of a chip ("" is the default one), see costs_json(); "[]" if it is unknown.
const char* emulator_costs_json(const char* soc);
// What the last launch did, if the option `record` was on: its number, or -1 with emulator_error()
// set. The time is that of the same launch at other costs than the table's; -1 as above.
int emulator_recording_open();
double emulator_recording_time_ns(int recording, const char* costs);
void emulator_recording_close(int recording);
// [{"kind", "file", "line", "count"}]: the synchronisation calls that the launch executed.
const char* emulator_report_sync_sites();
}
