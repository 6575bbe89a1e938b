// What the emulator knows of each chip: capacities and the cost of instructions.
#pragma once

#include <cstdint>
#include <string>

#include "core/memory.h"

namespace emulator {

// Cycles are those of the core's clock. Where a figure comes from:
//   [cube]  public documentation, "theoretical performance of cube instructions"
//   [perf]  fixed costs in the public performance tests of the Ascend C repository
//   [ini]   public platform description of the chip
//   [doc]   other public documentation
//   [pypto] cost table of the public PyPTO framework
//   assumed nothing public states it
struct Costs {
    // ceil16(m) ceil16(n) ceil_k0(k) / (16 16 cube_k) cycles [cube]
    double cube_k_b4, cube_k_b8, cube_k_b16, cube_k_b32;
    double mmad_gap;      // between two Mmads: 60 cycles in 8 Mmads of the unit-flag example [doc]
    double mmad_latency;  // [perf]
    // Bytes per cycle inside the core [cube].
    double l1_to_l0a, l1_to_l0b, l1_to_bias, l1_to_fixpipe_buffer;
    double mte1_gap;      // assumed
    double mte1_latency;  // [perf]
    // Elements per cycle out of L0C; to global memory its bandwidth limits too [cube].
    double fixpipe_b16, fixpipe_b32;
    double fixpipe_gap;      // assumed
    double fixpipe_latency;  // [perf]
    // Global memory: cold data comes from HBM, what this launch touched before from L2. Cores
    // that transfer at the same time share each of the two equally.
    double hbm_bytes_per_ns;      // whole chip [doc]
    double l2_bytes_per_ns;       // whole chip [doc]
    double core_read_per_cycle;   // one core's port [ini]
    double core_write_per_cycle;  // one core's port [ini]
    double gm_read_latency;       // cycles [pypto]
    double gm_write_latency;      // cycles [pypto]
    double gm_run_cycles;         // each contiguous run of an instruction; assumed
    double gm_gap;                // assumed
    // Control.
    double scalar_issue;   // scalar cycles for one API call; assumed
    double scalar_memory;  // GetValue/SetValue; assumed
    double flag_latency;   // from SetFlag to the waiting pipe [pypto: set 1, wait 1]
    double cross_core_ns;  // CrossCoreSetFlag to CrossCoreWaitFlag; assumed
    double sync_all_ns;    // SyncAll; assumed
    double launch_ns;      // before the first instruction of a core; assumed
    // Vector unit.
    double vector_bytes_per_cycle;  // UB to UB copies [doc]
    double vector_gap;              // assumed
    double vector_latency;          // assumed
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

}  // namespace emulator
