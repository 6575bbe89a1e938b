#include "core/soc.h"

namespace emulator {

namespace {

// dav-2201. Sources: "theoretical performance of cube instructions" and "NPU architecture 2201"
// of the public Ascend C documentation unless a line says assumed in soc.h.
constexpr Costs kCosts2201 = {
    /*cube_k*/ 32, 16, 4,
    /*mmad gap, latency*/ 8, 24,
    /*L1 to L0A, L0B, BT, FB*/ 256, 128, 32, 32,
    /*mte1 gap, latency*/ 4, 24,
    /*fixpipe elements per cycle b16, b32*/ 64, 32,
    /*fixpipe gap, latency*/ 12, 40,
    /*HBM, L2 bytes per ns*/ 1600, 4000,
    /*core read, write bytes per cycle*/ 128, 64,
    /*GM read, write latency ns*/ 350, 250,
    /*cycles per run, gap*/ 1, 20,
    /*scalar issue, scalar memory*/ 6, 12,
    /*flag*/ 8,
    /*cross core, sync all, launch ns*/ 200, 1000, 3000,
    /*vector*/ 256, 4, 16,
};

constexpr Costs with_hbm(Costs costs, double hbm) {
    costs.hbm_bytes_per_ns = hbm;
    return costs;
}

constexpr Costs costs_3510() {
    Costs costs = kCosts2201;
    costs.cube_k_b32 = 1;
    costs.l1_to_l0b = 256;
    return costs;
}

constexpr uint64_t KB = 1024;

// FB of dav-2201: the documents say 2 KB, the platform description 7 KB; the larger is modelled.
const Soc kSocs[] = {
    // Core counts: platform descriptions. HBM: published 0.8 TB/s for 910B4, 1.6 TB/s for others.
    {"Ascend910B4", 2201, 20, 1.65,
     {0, 512 * KB, 64 * KB, 64 * KB, 128 * KB, 1 * KB, 7 * KB, 192 * KB}, with_hbm(kCosts2201, 800)},
    {"Ascend910B2", 2201, 24, 1.8,
     {0, 512 * KB, 64 * KB, 64 * KB, 128 * KB, 1 * KB, 7 * KB, 192 * KB}, kCosts2201},
    {"Ascend910B3", 2201, 20, 1.8,
     {0, 512 * KB, 64 * KB, 64 * KB, 128 * KB, 1 * KB, 7 * KB, 192 * KB}, kCosts2201},
    {"Ascend910_9391", 2201, 24, 1.8,
     {0, 512 * KB, 64 * KB, 64 * KB, 128 * KB, 1 * KB, 7 * KB, 192 * KB}, kCosts2201},
    {"Ascend950PR_9589", 3510, 28, 1.65,
     {0, 512 * KB, 64 * KB, 64 * KB, 256 * KB, 4 * KB, 16 * KB, 248 * KB}, costs_3510()},
};

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
