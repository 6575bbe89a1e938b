// What the emulator knows of each chip: capacities and the cost of instructions.
#pragma once

#include <cstdint>
#include <string>

#include "core/memory.h"

namespace emulator {

// Cycles are those of the cube/vector clock. "assumed" marks what no public document states.
struct Costs {
    // Matrix unit: ceil16(m) ceil16(n) ceil_k0(k) / (16 16 cube_k) cycles, see Mmad theory table.
    double cube_k_b8, cube_k_b16, cube_k_b32;
    double mmad_gap;      // extra cycles between two Mmads; from the unit-flag example's 8 Mmads
    double mmad_latency;  // from the last product to the flag; assumed
    // Bytes per cycle inside the core, from the tables of theoretical performance.
    double l1_to_l0a, l1_to_l0b, l1_to_bias, l1_to_fixpipe_buffer;
    double mte1_gap;      // assumed
    double mte1_latency;  // assumed
    // Fixpipe: elements per cycle to L1 (documented); to GM the same, then GM bandwidth.
    double fixpipe_b16, fixpipe_b32;
    double fixpipe_gap;      // assumed
    double fixpipe_latency;  // assumed
    // Global memory. Cold data comes from HBM, what this launch touched before from L2.
    double hbm_bytes_per_ns;       // whole chip
    double l2_bytes_per_ns;        // whole chip; assumed
    double core_read_per_cycle;    // one core's port; assumed
    double core_write_per_cycle;   // one core's port; assumed
    double gm_read_latency_ns;     // assumed
    double gm_write_latency_ns;    // assumed
    double gm_run_cycles;          // each contiguous run of an instruction; assumed
    double gm_gap;                 // assumed
    // Control.
    double scalar_issue;      // scalar cycles for one API call; assumed
    double scalar_memory;     // GetValue/SetValue; assumed
    double flag_latency;      // from SetFlag to the waiting pipe; assumed
    double cross_core_ns;     // CrossCoreSetFlag to CrossCoreWaitFlag; assumed
    double sync_all_ns;       // SyncAll; assumed
    double launch_ns;         // start of all cores, paid once; assumed
    // Vector unit.
    double vector_bytes_per_cycle;  // one repeat of 256 bytes per cycle, documented
    double vector_gap;              // issue of one vector instruction; assumed
    double vector_latency;          // assumed
};

struct Soc {
    const char* name;
    int arch;              // 2201 or 3510
    int cube_cores;        // AIC; twice as many AIV
    double frequency_ghz;
    uint64_t capacity[kBuffers];  // bytes by Buffer; GM unused
    Costs costs;
};

// nullptr when the name is unknown. An empty name means the architecture's default chip.
const Soc* find_soc(const std::string& name, int arch);
std::string known_socs();

}  // namespace emulator
