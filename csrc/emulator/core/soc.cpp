#include "core/soc.h"

namespace emulator {

namespace {

constexpr Costs kCosts2201 = {
    /*cube_k*/ 64,
    32,
    16,
    4,
    /*mmad gap, latency*/ 8,
    21,
    /*L1 to L0A, L0B, BT, FB*/ 256,
    128,
    32,
    32,
    /*mte1 gap, latency*/ 4,
    30,
    /*fixpipe elements per cycle, b16 and b32*/ 64,
    32,
    /*fixpipe gap, latency*/ 8,
    20,
    /*HBM, L2 bytes per ns*/ 1600,
    7000,
    /*core read, write bytes per cycle*/ 110,
    86,
    /*GM read, write latency*/ 200,
    200,
    /*cycles per run, gap*/ 1,
    16,
    /*scalar issue, scalar memory*/ 4,
    12,
    /*flag*/ 2,
    /*cross core, sync all, launch ns*/ 200,
    1000,
    2000,
    /*vector*/ 256,
    4,
    16,
};

constexpr Costs with_hbm(Costs costs, double hbm, double l2) {
    costs.hbm_bytes_per_ns = hbm;
    costs.l2_bytes_per_ns = l2;
    return costs;
}

constexpr Costs costs_3510() {
    Costs costs = kCosts2201;
    costs.cube_k_b32 = 1;
    costs.l1_to_l0b = 256;
    costs.mmad_latency = 25;
    costs.fixpipe_latency = 26;
    costs.core_read_per_cycle = 100;
    costs.core_write_per_cycle = 42;
    return costs;
}

constexpr uint64_t KB = 1024;
constexpr uint64_t kFixpipeBuffer2201 = 7 * KB;  // documents: 2 KB; platform description: 2+1+2+2

#define NT_MEMORIES_2201 \
    {0, 512 * KB, 64 * KB, 64 * KB, 128 * KB, 1 * KB, kFixpipeBuffer2201, 192 * KB}

// Cores and clocks: platform descriptions. HBM: 0.8 TB/s and 1.6 TB/s of the documentation.
const Soc kSocs[] = {
    {"Ascend910B4", 2201, 20, 1.5, NT_MEMORIES_2201, with_hbm(kCosts2201, 800, 3500)},
    {"Ascend910B1", 2201, 24, 1.85, NT_MEMORIES_2201, kCosts2201},
    {"Ascend910B2", 2201, 24, 1.8, NT_MEMORIES_2201, kCosts2201},
    {"Ascend910B3", 2201, 20, 1.8, NT_MEMORIES_2201, kCosts2201},
    {"Ascend910_9391", 2201, 24, 1.8, NT_MEMORIES_2201, kCosts2201},
    {"Ascend950PR_9599",
     3510,
     36,
     1.65,
     {0, 512 * KB, 64 * KB, 64 * KB, 256 * KB, 4 * KB, 16 * KB, 248 * KB},
     costs_3510()},
};

#undef NT_MEMORIES_2201

}  // namespace

const Soc* find_soc(const std::string& name, int arch) {
    for (const Soc& soc : kSocs) {
        if (soc.arch == arch && (name.empty() || name == soc.name)) return &soc;
    }
    return nullptr;
}

std::string known_socs() {
    std::string all;
    for (const Soc& soc : kSocs) all += (all.empty() ? "" : ", ") + std::string(soc.name);
    return all;
}

}  // namespace emulator
