#include "core/soc.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "core/site.h"

namespace emulator {

namespace {

// Cycles are those of the core's clock. Sources:
//   [cube]  public documentation, "theoretical performance of cube instructions"
//   [perf]  fixed costs in the public performance tests of the Ascend C repository
//   [ini]   public platform description of the chip
//   [doc]   other public documentation
//   [pypto] cost tables of the public PyPTO framework; docs/emulator.md says why its two differ
constexpr Evidence kPublished = Evidence::Published, kCalibrated = Evidence::Calibrated,
                   kAssumed = Evidence::Assumed;
constexpr CostField kCostFields[] = {
    // ceil16(m) ceil16(n) ceil_k0(k) / (16 16 cube_k) cycles
    {"cube_k_b8", &Costs::cube_k_b8, "elements/cycle", kPublished, "[cube]"},
    {"cube_k_b16", &Costs::cube_k_b16, "elements/cycle", kPublished, "[cube]"},
    {"cube_k_b32", &Costs::cube_k_b32, "elements/cycle", kPublished, "[cube]"},
    {"mmad_gap", &Costs::mmad_gap, "cycles", kPublished,
     "[doc] 60 cycles in 8 Mmads of the unit-flag example"},
    {"mmad_latency", &Costs::mmad_latency, "cycles", kPublished, "[perf]"},
    {"l1_to_l0a", &Costs::l1_to_l0a, "bytes/cycle", kPublished, "[cube]"},
    {"l1_to_l0b", &Costs::l1_to_l0b, "bytes/cycle", kPublished, "[cube]"},
    {"l1_to_bias", &Costs::l1_to_bias, "bytes/cycle", kPublished, "[cube]"},
    {"l1_to_fixpipe_buffer", &Costs::l1_to_fixpipe_buffer, "bytes/cycle", kPublished, "[cube]"},
    {"mte1_gap", &Costs::mte1_gap, "cycles", kCalibrated, "of each load to L0"},
    {"mte1_latency", &Costs::mte1_latency, "cycles", kPublished, "[perf]"},
    // Out of L0C; on the way to global memory its bandwidth limits too.
    {"fixpipe_b16", &Costs::fixpipe_b16, "elements/cycle", kPublished, "[cube]"},
    {"fixpipe_b32", &Costs::fixpipe_b32, "elements/cycle", kPublished, "[cube]"},
    {"fixpipe_gap", &Costs::fixpipe_gap, "cycles", kCalibrated, "of each Fixpipe"},
    {"fixpipe_latency", &Costs::fixpipe_latency, "cycles", kPublished, "[perf]"},
    // Cold data comes from HBM, what this launch touched before from L2. Cores that transfer at the
    // same time share each of the two equally.
    {"hbm_bytes_per_ns", &Costs::hbm_bytes_per_ns, "bytes/ns", kPublished, "[doc] whole chip"},
    {"l2_bytes_per_ns", &Costs::l2_bytes_per_ns, "bytes/ns", kPublished, "[doc] whole chip"},
    {"core_read_per_cycle", &Costs::core_read_per_cycle, "bytes/cycle", kPublished,
     "[ini] port of one core", 87},
    {"core_write_per_cycle", &Costs::core_write_per_cycle, "bytes/cycle", kPublished,
     "[ini] port of one core", 87},
    {"gm_read_latency", &Costs::gm_read_latency, "cycles", kPublished,
     "[pypto] cache model: 50, a miss 150 more", 347},
    {"gm_write_latency", &Costs::gm_write_latency, "cycles", kPublished,
     "[pypto] cache model: 50, a miss 150 more", 203},
    {"gm_run_cycles", &Costs::gm_run_cycles, "cycles", kCalibrated,
     "of each contiguous run of a transfer"},
    {"gm_gap", &Costs::gm_gap, "cycles", kCalibrated, "of each transfer"},
    {"scalar_issue", &Costs::scalar_issue, "cycles", kCalibrated, "scalar unit, of each call"},
    {"scalar_memory", &Costs::scalar_memory, "cycles", kAssumed, "GetValue, SetValue"},
    {"flag_latency", &Costs::flag_latency, "cycles", kPublished, "[pypto] SetFlag 1, WaitFlag 1"},
    {"cross_core_ns", &Costs::cross_core_ns, "ns", kAssumed,
     "CrossCoreSetFlag to CrossCoreWaitFlag"},
    {"sync_all_ns", &Costs::sync_all_ns, "ns", kAssumed, "SyncAll"},
    {"launch_ns", &Costs::launch_ns, "ns", kCalibrated, "before the first instruction of a core"},
    {"vector_bytes_per_cycle", &Costs::vector_bytes_per_cycle, "bytes/cycle", kPublished,
     "[doc] UB to UB copies"},
    {"vector_gap", &Costs::vector_gap, "cycles", kAssumed, "UB to UB copies"},
    {"vector_latency", &Costs::vector_latency, "cycles", kAssumed, "UB to UB copies"},
    {"vector_head", &Costs::vector_head, "cycles", kAssumed,
     "vector instructions whose head [pypto] does not have: that of Add"},
};
static_assert(sizeof(kCostFields) / sizeof(CostField) == sizeof(Costs) / sizeof(double),
              "every cost stands in the table");

constexpr Costs kCosts2201 = {
    /*cube_k*/ 32,
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
    6,
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

static const CostField* find_cost(const std::string& name) {
    for (const CostField& cost : kCostFields) {
        if (name == cost.name) return &cost;
    }
    return nullptr;
}

static std::string known_costs() {
    std::string all;
    for (const CostField& cost : kCostFields)
        all += (all.empty() ? "" : ", ") + std::string(cost.name);
    return all;
}

std::string parse_costs(const std::string& text, std::vector<CostChange>& changes) {
    for (size_t begin = 0; begin < text.size();) {
        const size_t end = std::min(text.find(',', begin), text.size());
        const std::string entry = text.substr(begin, end - begin);
        begin = end + 1;
        const size_t equals = entry.find('=');
        const std::string name = entry.substr(0, equals);
        const CostField* cost = find_cost(name);
        if (cost == nullptr) return "unknown cost \"" + name + "\"; known: " + known_costs();
        const std::string value = equals == std::string::npos ? "" : entry.substr(equals + 1);
        char* rest = nullptr;
        const double number = std::strtod(value.c_str(), &rest);
        if (value.empty() || *rest != '\0' || !std::isfinite(number) || number <= 0) {
            return "cost " + name + " is \"" + value + "\"; accepted: a finite number above 0";
        }
        changes.push_back({cost->field, number});
    }
    return "";
}

Costs changed(Costs costs, const std::vector<CostChange>& changes) {
    for (const CostChange& change : changes) costs.*change.field = change.value;
    return costs;
}

std::string costs_json(const Soc& soc) {
    constexpr const char* kEvidence[] = {"published", "calibrated", "assumed"};
    std::string out = "[";
    for (const CostField& cost : kCostFields) {
        out += format_text(
            "%s{\"name\": \"%s\", \"value\": %.17g, \"unit\": \"%s\", \"evidence\": \"%s\", "
            "\"source\": \"%s\", \"second\": %.17g}",
            out.size() > 1 ? ", " : "", cost.name, soc.costs.*cost.field, cost.unit,
            kEvidence[static_cast<int>(cost.evidence)], cost.source,
            soc.arch == 2201 ? cost.second : 0.0);
    }
    return out + "]";
}

}  // namespace emulator
