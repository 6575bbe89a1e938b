// What a launch did, in program order of each core: the input of the timing model.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/memory.h"
#include "core/site.h"
#include "core/soc.h"

namespace emulator {

enum class EventKind : uint8_t {
    Instruction,
    SetFlag,    // pipe -> other; waited for through its index
    WaitFlag,   // other waits; token = index of the SetFlag event of the same core
    Barrier,    // pipe
    CrossSet,   // pipe; token = index into cross tokens
    CrossWait,  // pipe (PIPE_S blocks everything); token = index into joins
};

// What an instruction does, in the terms of a cost table; null: nothing of that kind.
struct Work {
    Cost gap = nullptr;  // the pipe is busy for gap + amount / rate + cycles
    double amount = 0;
    Cost rate = nullptr;
    Cost latency = nullptr;  // and the result visible latency + visible cycles later
    double cycles = 0, visible = 0;
};

struct Event {
    EventKind kind = EventKind::Instruction;
    uint8_t pipe = 0;
    uint8_t other = 0;
    bool cold = false;  // global memory traffic that HBM serves
    uint32_t site = 0;  // site table: name, file, line
    Work work;
    uint32_t gm_bytes = 0;  // global memory traffic; limited by bandwidth
    uint32_t gm_runs = 0;   // contiguous pieces of it
    bool gm_write = false;
    int32_t token = -1;
    int32_t unit_token = -1;  // event that a unit flag makes this one follow
};

struct SiteEntry {
    const char* name;
    Site site;
};

struct CoreTrace {
    bool is_cube = false;
    int block = 0;
    int sub = 0;
    int slot = 0;          // physical core
    int32_t follows = -1;  // core (index) that ran on the slot before
    std::vector<Event> events;
    // Filled by the timing model, one per event, in ns.
    std::vector<double> start, end;
};

struct CrossToken {
    int core;
    int event;
};

struct LaunchTrace {
    std::vector<CoreTrace> cores;
    std::vector<SiteEntry> sites;
    std::vector<std::vector<CrossToken>> joins;  // for each CrossWait: the sets it waits for
    std::vector<bool> join_is_sync_all;
};

struct Timing {
    double total_ns = 0;
    double busy_ns[kPipes] = {};  // summed over cores
    std::vector<double> core_end_ns;
};

// Computes start and end of every event at these costs. Cores run concurrently; transfers share
// bandwidth.
Timing compute_timing(LaunchTrace& trace, const Costs& costs, double frequency_ghz);

// Chrome / Perfetto JSON: one process per core, one thread per pipe.
std::string chrome_trace(const LaunchTrace& trace);

}  // namespace emulator
