// Positions, block indices and core state: the parts of the API that touch no data.
#include "ascendc/sync.h"
#include "cube/atomic.h"

namespace emulator {

bool runs_on_cube() { return current_core().is_cube; }

Buffer buffer_of(AscendC::TPosition position, Site site) {
    using AscendC::TPosition;
    switch (position) {
        case TPosition::GM:
        case TPosition::CO2:
            return Buffer::GM;
        case TPosition::A1:
        case TPosition::B1:
        case TPosition::C1:
        case TPosition::TSCM:
            return Buffer::L1;
        case TPosition::A2:
            return Buffer::L0A;
        case TPosition::B2:
            return Buffer::L0B;
        case TPosition::CO1:
            return Buffer::L0C;
        case TPosition::C2:
            return Buffer::BT;
        case TPosition::C2PIPE2GM:
            return Buffer::FB;
        case TPosition::VECIN:
        case TPosition::VECOUT:
        case TPosition::VECCALC:
            return Buffer::UB;
        default:
            fail(site, "a LocalTensor without a position is used");
    }
}

View view_of(const LocalOperand& operand, uint64_t alignment, const char* what, Site site) {
    return local_view(buffer_of(operand.position, site), operand.address, operand.bytes, alignment,
                      what, site);
}

View view_of(const GlobalOperand& operand, const char* what, Site site) {
    return global_view(operand.address, what, site);
}

void require_field(const char* instruction, const char* field, int64_t value, int64_t low,
                   int64_t high, Site site) {
    if (value < low || value > high) {
        fail(site, "%s: %s is %lld, accepted: %lld to %lld", instruction, field,
             static_cast<long long>(value), static_cast<long long>(low),
             static_cast<long long>(high));
    }
}

void init_soc_state(Site) {
    current_core().soc_state_initialised = true;
    disable_dma_atomic();
}

int64_t block_index() {
    const Core& core = current_core();
    const int ratio = core.is_cube ? 1 : core.machine.mix().aiv;
    return int64_t{core.block} * ratio + core.sub;
}
int64_t block_count() { return current_core().machine.blocks(); }
int64_t sub_block_index() { return current_core().sub; }
int64_t task_ratio() {
    const Core& core = current_core();
    return core.is_cube ? 1 : core.machine.mix().aiv;
}
int64_t sub_block_count() { return task_ratio(); }

}  // namespace emulator
