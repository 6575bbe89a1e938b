// What the emulator knows of each chip: capacities and the cost of instructions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/memory.h"

namespace emulator {

// The cost table of a chip. What each cost is, its unit and its source: kCostFields in soc.cpp.
struct Costs {
    double cube_k_b8, cube_k_b16, cube_k_b32;
    double mmad_gap, mmad_latency;
    double l1_to_l0a, l1_to_l0b, l1_to_bias, l1_to_fixpipe_buffer;
    double mte1_gap, mte1_latency;
    double fixpipe_b16, fixpipe_b32;
    double fixpipe_gap, fixpipe_latency;
    double hbm_bytes_per_ns, l2_bytes_per_ns;
    double core_read_per_cycle, core_write_per_cycle;
    double gm_read_latency, gm_write_latency;
    double gm_run_cycles, gm_gap;
    double scalar_issue, scalar_memory;
    double flag_latency;
    double cross_core_ns, sync_all_ns, launch_ns;
    double vector_bytes_per_cycle, vector_gap, vector_latency, vector_head;
};
using Cost = double Costs::*;

enum class Evidence {
    Published,   // a public document or cost table states it
    Calibrated,  // nothing public states it; chosen so that one kernel meets its published times
    Assumed,     // nothing public states it, and that kernel does not depend on it
};

struct CostField {
    const char* name;
    Cost field;
    const char* unit;
    Evidence evidence;
    const char* source;
    double second = 0;  // what a second public source has for dav-2201; 0: there is none
};

// One cost set to another value.
struct CostChange {
    Cost field;
    double value;
};

struct Soc {
    const char* name;
    int arch;        // 2201 or 3510
    int cube_cores;  // AIC; twice as many AIV
    double frequency_ghz;
    uint64_t capacity[kBuffers];  // bytes by Buffer; GM unused
    Costs costs;
};

// nullptr when the name is unknown. An empty name means the architecture's default chip.
const Soc* find_soc(const std::string& name, int arch);
std::string known_socs();

// "name=value,name=value": the changes. Returns what is wrong with the text, empty if nothing.
std::string parse_costs(const std::string& text, std::vector<CostChange>& changes);
Costs changed(Costs costs, const std::vector<CostChange>& changes);
// [{"name", "value", "unit", "evidence", "source", "second"}], in the order of the table.
std::string costs_json(const Soc& soc);

}  // namespace emulator
