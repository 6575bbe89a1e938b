#include "cube/atomic.h"

#include <cstring>

namespace emulator {

namespace {

template <typename T>
void add(uint8_t* to, const uint8_t* from, uint64_t bytes, Overflow overflow) {
    for (uint64_t at = 0; at < bytes; at += sizeof(T)) {
        T sum, addend;
        std::memcpy(&sum, to + at, sizeof(T));
        std::memcpy(&addend, from + at, sizeof(T));
        if constexpr (kIsReal<T>) {
            sum = narrow<T>(widen(sum) + widen(addend), overflow);
        } else {
            sum = static_cast<T>(int64_t{sum} + addend);
        }
        std::memcpy(to + at, &sum, sizeof(T));
    }
}

}  // namespace

void set_atomic_add(DType type, Site site) {
    switch (type) {
        case DType::I8:
        case DType::I16:
        case DType::I32:
        case DType::F16:
        case DType::BF16:
        case DType::F32:
            current_core().state<AtomicState>() = {true, type};
            return;
        default:
            fail(site,
                 "SetAtomicAdd does not take %s; it takes int8_t, int16_t, int32_t, half, "
                 "bfloat16_t, float",
                 dtype_name(type));
    }
}

void disable_dma_atomic() { current_core().state<AtomicState>() = {}; }

bool stores_add(DType stored, Site site) {
    const AtomicState& state = current_core().state<AtomicState>();
    if (state.add && state.type != stored) {
        fail(site, "SetAtomicAdd is for %s, the elements stored to global memory are %s",
             dtype_name(state.type), dtype_name(stored));
    }
    return state.add;
}

void add_elements(DType type, uint8_t* to, const uint8_t* from, uint64_t bytes) {
    const Overflow overflow = current_core().saturate ? Overflow::kSaturate : Overflow::kInfinity;
    switch (type) {
        case DType::I8:
            return add<int8_t>(to, from, bytes, overflow);
        case DType::I16:
            return add<int16_t>(to, from, bytes, overflow);
        case DType::I32:
            return add<int32_t>(to, from, bytes, overflow);
        case DType::F16:
            return add<half>(to, from, bytes, overflow);
        case DType::BF16:
            return add<bfloat16_t>(to, from, bytes, overflow);
        default:
            return add<float>(to, from, bytes, overflow);
    }
}

void store_runs(Instruction& copy, const View& to, const Region& targets, const View& from,
                const Region& sources, DType type) {
    const bool adds = stores_add(type, copy.site());
    // Bytes that nothing has written may leave the chip as such, unless the launch is strict.
    copy.reads_if(adds || copy.core().machine.options().strict, from, sources);
    adds ? copy.adds_to(to, targets) : copy.writes_raw(to, targets);
    for (uint64_t row = 0; row < sources.rows; ++row) {
        const auto at = static_cast<int64_t>(row);
        const auto source = static_cast<uint64_t>(at * sources.row_stride);
        const auto target = static_cast<uint64_t>(at * targets.row_stride);
        if (adds) {
            add_elements(type, to.data(target), from.data(source), sources.run);
        } else {
            Instruction::copy_raw(to, target, from, source, sources.run);
        }
    }
}

}  // namespace emulator
